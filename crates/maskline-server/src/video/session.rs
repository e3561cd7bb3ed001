//! One session: a tracker, on which one request works at a time, in the order in which they came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use maskline::{Error, ErrorKind, Frame, FrameEncoder, Image, ObjectId, TrackerOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Work;
use crate::app::panicked;
use crate::fault::{Fault, Reason, Result};
use crate::models::{Slot, Turn};

/// Requests that may wait for the one that is worked on.
const MOST_WAITING: usize = 8;

/// A session.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) slot: Arc<Slot>,
    pub(crate) options: TrackerOptions,
    /// Files of the frames, where all of them came at first.
    pub(crate) clip: Vec<Bytes>,
    idle: Duration,
    encoder: FrameEncoder,
    /// One frame is encoded while another is worked on, and no more wait encoded: they are large.
    encoding: Arc<Semaphore>,
    work: Arc<tokio::sync::Mutex<Work>>,
    life: Mutex<Life>,
}

/// What a session is opened with.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    pub(crate) options: TrackerOptions,
    /// Files of the frames, where all of them come at first.
    pub(crate) clip: Vec<Bytes>,
}

/// What is known of a session without waiting for it.
struct Life {
    is_closed: bool,
    /// Requests that work or wait.
    places: usize,
    used: Instant,
    seen: Seen,
}

/// What a session has come to.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) frame: Option<usize>,
    pub(super) frames: u64,
    pub(super) size: Option<(usize, usize)>,
    pub(super) objects: Vec<ObjectId>,
    pub(super) bytes: usize,
}

/// The state of a session, as it is told.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Index of the frame that was given last.
    pub(crate) frame: Option<usize>,
    /// Frames that were given.
    pub(crate) frames: u64,
    /// Width and height of the frames.
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) objects: Vec<ObjectId>,
    pub(crate) bytes: usize,
    /// How long nobody has asked.
    pub(crate) idle: Duration,
    /// When it is closed, should nobody ask.
    pub(crate) expires: Duration,
}

impl Session {
    /// Closed when nobody asks for `idle`.
    pub(super) fn new(slot: Arc<Slot>, work: Work, terms: Terms, idle: Duration) -> Self {
        let Terms { options, clip } = terms;
        let life = Life { is_closed: false, places: 0, used: Instant::now(), seen: work.seen() };
        Self {
            id: crate::http::fresh_id(),
            slot,
            options,
            clip,
            idle,
            encoder: work.tracker.encoder(),
            encoding: Arc::new(Semaphore::new(1)),
            work: Arc::new(tokio::sync::Mutex::new(work)),
            life: Mutex::new(life),
        }
    }

    /// What it has come to. What is worked on is not waited for.
    pub(crate) fn state(&self) -> State {
        let life = self.life();
        let Seen { frame, frames, size, objects, bytes } = life.seen.clone();
        let idle = life.idle();
        let bytes = bytes + self.clip.iter().map(Bytes::len).sum::<usize>();
        State { frame, frames, size, objects, bytes, idle, expires: self.idle.saturating_sub(idle) }
    }

    /// A place among its requests.
    ///
    /// # Errors
    /// `NotFound` where it is closed, `Busy` where too many wait.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Place> {
        let mut life = self.life();
        if life.is_closed {
            return Err(gone(&self.id, self.idle));
        }
        if life.places > MOST_WAITING {
            let error = Error::new(ErrorKind::Busy, format!("{MOST_WAITING} requests wait for this session already"));
            return Err(Fault::new(Reason::Busy, error.with_help("wait for an answer before the next frame is sent")));
        }
        life.places += 1;
        drop(life);
        Ok(Place { session: Arc::clone(self) })
    }

    pub(super) fn close(&self) {
        self.life().is_closed = true;
    }

    /// Closes it where nobody asked for too long.
    pub(super) fn close_if_idle(&self) -> bool {
        let mut life = self.life();
        life.is_closed |= life.idle() >= self.idle;
        life.is_closed
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    fn idle(&self) -> Duration {
        if self.places > 0 { Duration::ZERO } else { self.used.elapsed() }
    }
}

/// The refusal of a session that is not there.
pub(super) fn gone(id: &str, idle: Duration) -> Fault {
    let shown: String = id.chars().take(40).flat_map(char::escape_debug).collect();
    let fault = Fault::not_found(format!("there is no video session `{shown}`"));
    let idle = idle.as_secs_f64();
    fault.with_help(format!("one that nobody asked for {idle} s is closed, and so are those of a model that is unloaded: open another one"))
}

/// A place among the requests of a session. Dropping it leaves.
pub(crate) struct Place {
    session: Arc<Session>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut life = self.session.life();
        life.places -= 1;
        life.used = Instant::now();
    }
}

/// A frame that is encoded, and waits for its turn.
pub(crate) struct Ahead {
    pub(crate) frame: Frame,
    /// What waiting for the frames before took.
    pub(crate) waited: Duration,
    /// What encoding it took.
    pub(crate) took: Duration,
    encoding: OwnedSemaphorePermit,
}

impl Ahead {
    /// The frame, whose place another one may take.
    pub(crate) fn taken(self) -> Frame {
        drop(self.encoding);
        self.frame
    }
}

impl Place {
    /// Encodes a frame, once the one before has been taken. Frames come to be worked on in this order.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`]; `Failed`.
    pub(crate) async fn encoded(&self, image: Arc<Image>) -> Result<Ahead> {
        let begun = Instant::now();
        let encoding = Arc::clone(&self.session.encoding).acquire_owned().await.map_err(|_| panicked("the session"))?;
        self.check_open()?;
        let (waited, encoder) = (begun.elapsed(), self.session.encoder.clone());
        let encode = move || {
            let start = Instant::now();
            Ok(Ahead { frame: encoder.encode(&image)?, waited, took: start.elapsed(), encoding })
        };
        tokio::task::spawn_blocking(encode).await.map_err(|_| panicked("encoding the frame"))?
    }

    /// Works on the session, when it is this request's turn. Whoever goes meanwhile leaves the work to its end.
    ///
    /// # Errors
    /// `NotFound` where it was closed meanwhile, `Failed` where the work panics, which closes the session; as the work.
    pub(crate) async fn work<T: Send + 'static>(self, turn: Turn, job: impl FnOnce(&mut Work) -> Result<T> + Send + 'static) -> Result<T> {
        let mut work = Arc::clone(&self.session.work).lock_owned().await;
        self.check_open()?;
        let session = Arc::clone(&self.session);
        let working = move || {
            let outcome = job(&mut work);
            let seen = work.seen();
            drop((work, turn));
            self.session.life().seen = seen;
            // The place is left behind the work, whether or not its caller is still there.
            drop(self);
            outcome
        };
        tokio::task::spawn_blocking(working).await.unwrap_or_else(|_| {
            // Nobody knows what the tracker knows now.
            session.close();
            Err(panicked("following the objects"))
        })
    }

    fn check_open(&self) -> Result<()> {
        if self.session.life().is_closed { Err(gone(&self.session.id, self.session.idle)) } else { Ok(()) }
    }
}
