//! The way back to a provider that has failed: tried again and again on a thread of its own, with growing pauses.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::runner::{Bound, Placed, attempt};
use super::status::Status;
use crate::compute::Compute;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{ElementType, Tensor};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// More than anybody waits for, and little enough to be added to a time.
const MOST_FIRST_PAUSE: Duration = Duration::from_secs(24 * 3600);
/// Times the first pause: five minutes.
const LONGEST: u32 = 300;

/// The pauses between attempts: each twice as long as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pauses {
    first: Duration,
    /// How often it was doubled.
    doubled: u32,
}

impl Pauses {
    pub(super) fn new(first: Option<Duration>) -> Self {
        Self { first: first.unwrap_or(FIRST_PAUSE).min(MOST_FIRST_PAUSE), doubled: 0 }
    }

    pub(super) fn longest(self) -> Duration {
        self.first.saturating_mul(LONGEST)
    }

    /// The pause before the next attempt.
    pub(super) fn next(self) -> Duration {
        self.first.saturating_mul(2u32.saturating_pow(self.doubled)).min(self.longest())
    }

    pub(super) fn longer(self) -> Self {
        Self { doubled: self.doubled.saturating_add(1), ..self }
    }

    pub(super) fn restarted(self) -> Self {
        Self { doubled: 0, ..self }
    }
}

/// An input with which an attempt is made: zeros of this type and shape.
#[derive(Debug, Clone)]
pub(super) struct Zeros {
    pub(super) name: String,
    pub(super) element_type: ElementType,
    pub(super) shape: Vec<usize>,
}

/// What an attempt takes.
pub(super) struct Attempts {
    pub(super) plan: Arc<Plan>,
    pub(super) status: Arc<Status>,
    /// A job that the session must be able to run.
    pub(super) proof: Vec<Zeros>,
    pub(super) pauses: Pauses,
}

/// Attempts under way. Dropping it ends them, and waits for the one that is being made.
pub(super) struct Recovery {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_over: bool,
    /// The pauses that it took, and a session that has proved itself.
    found: Option<(Pauses, Compute)>,
}

impl Recovery {
    /// # Errors
    /// `Io` where the system gives no thread.
    pub(super) fn start(attempts: Attempts) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("maskline-back".into()).spawn(move || theirs.recover(&attempts));
        let thread =
            thread.map_err(|error| Error::new(ErrorKind::Io, format!("no thread could be started: {error}")).with_source(error))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The session that came back, once, with the pauses that it took.
    pub(super) fn take(&self) -> Option<(Pauses, Compute)> {
        self.shared.lock().found.take()
    }
}

impl Drop for Recovery {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take() {
            // Whatever a panic there did, nobody needs it any more.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recover(&self, attempts: &Attempts) {
        let mut pauses = attempts.pauses;
        let mut refusals = attempts.plan.faults().refusals;
        while self.pause(pauses.next()) {
            let outcome = if refusals > 0 { None } else { attempts.make() };
            refusals = refusals.saturating_sub(1);
            if let Some(placed) = outcome {
                let mut state = self.lock();
                state.found = Some((pauses, placed.session));
                // The next run is its.
                attempts.status.came_back(placed.providers);
                return;
            }
            pauses = pauses.longer();
            attempts.status.tried(pauses.next());
        }
    }

    /// Waits; `false` if it is over.
    fn pause(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.is_over || left.is_zero() {
                return !state.is_over;
            }
            state = self.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Attempts {
    /// A session with the wished provider that has run a job; `None` where there is none yet, for whatever reason.
    fn make(&self) -> Option<Placed> {
        let proved = || -> Result<_> {
            let mut placed = self.plan.wished()?;
            let mut zeros = Vec::with_capacity(self.proof.len());
            for Zeros { name, element_type, shape } in &self.proof {
                zeros.push((name.as_str(), Tensor::zeros(*element_type, shape.clone())?.into()));
            }
            let inputs = Bound::of(zeros)?;
            attempt(&mut placed.session, &inputs).map_err(|failure| failure.error)?;
            Ok(placed)
        };
        // A panic is one more way not to come back.
        catch_unwind(AssertUnwindSafe(proved)).ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut pauses = Pauses::new(None);
        let seconds: Vec<u64> = (0..11)
            .map(|_| {
                let pause = pauses.next().as_secs();
                pauses = pauses.longer();
                pause
            })
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let endless = (0..100).fold(pauses, |pauses, _| pauses.longer());
        assert_eq!((endless.next().as_secs(), endless.restarted()), (300, Pauses::new(None)));
        assert_eq!(Pauses::new(Some(Duration::MAX)).next(), MOST_FIRST_PAUSE);
    }
}
