//! Frames encoded on a thread of their own, while those before them are tracked.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use maskline::{Error, FrameEncoder, Image};
use maskline_video::{Frames, Time};

use super::fault;
use super::live::Live;
use crate::interrupt;

/// How often a wish to end is looked for while no frame comes.
const PATIENCE: Duration = Duration::from_millis(100);
/// Encoded frames that wait: one is enough to keep both sides at work.
const ENCODED_AHEAD: usize = 1;

/// A frame, ready to be tracked onto.
pub(super) struct Coming {
    pub(super) index: usize,
    pub(super) time: Time,
    pub(super) image: Image,
    /// What decoding it took, on another thread.
    pub(super) decode: Duration,
    /// `None` for a frame on which nothing is to be found.
    pub(super) encoded: Option<maskline::Frame>,
    /// When it came, and when work on it began.
    pub(super) arrived: Instant,
    pub(super) taken: Instant,
}

/// Where frames come from, before they are encoded.
pub(super) enum Pace {
    /// As fast as they are wanted.
    Wanted(Box<dyn Iterator<Item = maskline_video::Result<maskline_video::Frame>> + Send>),
    /// At their own pace.
    Live(Arc<Live>),
}

/// What is to be done with which frame.
#[derive(Clone)]
pub(super) struct Choice {
    /// Whether a frame is looked at.
    pub(super) is_taken: Arc<dyn Fn(usize) -> bool + Send + Sync>,
    /// Whether something is to be found on it.
    pub(super) is_encoded: Arc<dyn Fn(usize) -> bool + Send + Sync>,
}

/// Frames that come encoded.
pub(super) struct Stream {
    coming: Receiver<Result<Coming, Error>>,
    _thread: JoinHandle<()>,
}

impl Stream {
    /// Begins to encode. Dropping it ends the thread with the frame that it is at.
    pub(super) fn start(pace: Pace, choice: Choice, encoder: FrameEncoder) -> Self {
        let (sender, coming) = sync_channel(ENCODED_AHEAD);
        let thread = std::thread::spawn(move || {
            let mut pace = pace;
            while let Some(frame) = pace.next(&choice) {
                let prepared = frame.and_then(|(frame, arrived)| prepare(frame, arrived, &choice, &encoder));
                let is_last = prepared.is_err();
                if sender.send(prepared).is_err() || is_last {
                    break;
                }
            }
        });
        Self { coming, _thread: thread }
    }

    /// The next frame; none at the end, and once Ctrl-C was pressed.
    pub(super) fn next(&self) -> Option<Result<Coming, Error>> {
        loop {
            if interrupt::is_wished() {
                return None;
            }
            match self.coming.recv_timeout(PATIENCE) {
                Ok(coming) => return Some(coming),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Pace {
    fn next(&mut self, choice: &Choice) -> Option<Result<(maskline_video::Frame, Instant), Error>> {
        match self {
            Self::Wanted(frames) => {
                let frame = frames.find(|frame| frame.as_ref().map_or(true, |frame| (choice.is_taken)(frame.index)))?;
                Some(frame.map(|frame| (frame, Instant::now())).map_err(fault::of_clip))
            }
            Self::Live(live) => live.take(),
        }
    }
}

fn prepare(frame: maskline_video::Frame, arrived: Instant, choice: &Choice, encoder: &FrameEncoder) -> Result<Coming, Error> {
    let taken = Instant::now();
    let maskline_video::Frame { index, time, image, decode } = frame;
    let image = Image::from_pixels(image);
    let encoded = if (choice.is_encoded)(index) { Some(encoder.encode(&image)?) } else { None };
    Ok(Coming { index, time, image, decode, encoded, arrived, taken })
}

/// Goes over the frames of a clip on the thread that encodes them, and keeps the clip for going over it again.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<Mutex<Frames>>);

impl Shared {
    pub(super) fn frames(&self) -> MutexGuard<'_, Frames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iterator for Shared {
    type Item = maskline_video::Result<maskline_video::Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.frames().next()
    }
}
