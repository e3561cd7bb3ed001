//! Frames at their own pace: those that can no longer be answered in time are skipped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use maskline::Error;
use maskline_video::{Frame, Frames};

use super::fault;

/// Most bytes of frames that wait to be answered; one waits in any case.
const WAITING_BYTES: usize = 256 << 20;
/// How much the time of the last answer counts in what the next one is expected to take.
const NEWEST_SHARE: f64 = 0.3;

/// How long an answer may take, and whether frames are held back until they are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) budget: Duration,
    pub(super) is_paced: bool,
}

/// Frames that came and wait.
pub(super) struct Live {
    state: Mutex<State>,
    changed: Condvar,
    budget: Duration,
    /// Frames that are never skipped: something is said of them.
    is_kept: Box<dyn Fn(usize) -> bool + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Frame, Instant)>,
    end: Option<Option<Error>>,
    skipped: usize,
    late: usize,
    /// What an answer takes, from taking the frame on.
    usual: Duration,
    /// Nobody waits any more.
    is_over: bool,
}

impl Live {
    /// Lets the frames of a clip come when they are shown, and those of a stream when they are there.
    pub(super) fn start(frames: Frames, timing: Timing, is_kept: impl Fn(usize) -> bool + Send + Sync + 'static) -> Arc<Self> {
        let Timing { budget, is_paced } = timing;
        let live = Arc::new(Self { state: Mutex::default(), changed: Condvar::new(), budget, is_kept: Box::new(is_kept) });
        let fed = Arc::clone(&live);
        std::thread::spawn(move || {
            let mut clock: Option<(Instant, f64)> = None;
            for frame in frames {
                let frame = match frame {
                    Ok(frame) => frame,
                    Err(error) => return fed.end(Some(fault::of_clip(error))),
                };
                let (start, first) = *clock.get_or_insert_with(|| (Instant::now(), frame.time.seconds()));
                let shown = Duration::try_from_secs_f64(frame.time.seconds() - first).unwrap_or_default();
                if is_paced && let Some(wait) = (start + shown).checked_duration_since(Instant::now()) {
                    std::thread::sleep(wait);
                }
                if !fed.add(frame) {
                    return;
                }
            }
            fed.end(None);
        });
        live
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False once nobody wants frames.
    fn add(&self, frame: Frame) -> bool {
        let (width, height) = frame.image.size();
        let most = (WAITING_BYTES / (width * height * 3).max(1)).max(1);
        let mut state = self.state();
        while state.waiting.len() >= most {
            self.drop_oldest(&mut state);
        }
        state.waiting.push_back((frame, Instant::now()));
        self.changed.notify_all();
        !state.is_over
    }

    fn end(&self, error: Option<Error>) {
        self.state().end = Some(error);
        self.changed.notify_all();
    }

    fn drop_oldest(&self, state: &mut State) {
        state.waiting.pop_front();
        state.skipped += 1;
    }

    /// The oldest frame that can still be answered in time; where none can, the newest. Waits for one.
    pub(super) fn take(&self) -> Option<Result<(Frame, Instant), Error>> {
        let mut state = self.state();
        loop {
            let usual = state.usual;
            while state.waiting.len() > 1
                && state
                    .waiting
                    .front()
                    .is_some_and(|(frame, arrived)| arrived.elapsed() + usual > self.budget && !(self.is_kept)(frame.index))
            {
                self.drop_oldest(&mut state);
            }
            if let Some(taken) = state.waiting.pop_front() {
                return Some(Ok(taken));
            }
            if let Some(end) = &mut state.end {
                return end.take().map(Err);
            }
            if state.is_over {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes an answer, and what it took from its frame's coming and from its taking.
    pub(super) fn answered(&self, arrived: Instant, taken: Duration) {
        let mut state = self.state();
        state.usual = if state.usual.is_zero() { taken } else { state.usual.mul_f64(1.0 - NEWEST_SHARE) + taken.mul_f64(NEWEST_SHARE) };
        if arrived.elapsed() > self.budget {
            state.late += 1;
        }
    }

    /// How many frames were skipped, and how many answered too late.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.skipped, state.late)
    }

    /// No more frames are wanted.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.skipped += state.waiting.len();
        state.waiting.clear();
        self.changed.notify_all();
    }
}
