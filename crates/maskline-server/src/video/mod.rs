//! Objects followed through videos: sessions, each with a tracker of its own, which callers give frames and prompts.
//!
//! `session` is one of them and who waits for it, `work` what is worked on it, `course` the way of a frame. Here is which there are, and how
//! they end.

mod course;
mod session;
mod work;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use maskline::{Error, ErrorKind, Model, TrackerOptions};

pub(crate) use course::{Answered, Course, Prepared};
pub(crate) use session::{Session, State, Terms};
use work::Step;
pub(crate) use work::{Said, Work};

use crate::app::App;
use crate::fault::{Fault, Reason, Result};
use crate::models::{Served, Slot};
use crate::options::VideoLimits;

/// How often the server looks whether a session is idle.
const LOOKS: Duration = Duration::from_secs(1);

/// The sessions of the server, in the order in which they were opened.
pub(crate) struct Sessions {
    limits: VideoLimits,
    open: Mutex<Vec<Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(limits: VideoLimits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    /// Opens a session with a model.
    ///
    /// # Errors
    /// `Unsupported` where there are none, `TooLarge` for more history than is kept, `BadRequest` for a model without a memory and for other
    /// options, `Busy` where there are too many.
    pub(crate) fn open(&self, slot: &Arc<Slot>, model: &Model, terms: Terms) -> Result<Arc<Session>> {
        if self.limits.sessions == 0 {
            let error = Error::new(ErrorKind::InvalidOption, "objects are not followed through videos here");
            return Err(Fault::new(Reason::Unsupported, error.with_help("start the server with --video-sessions above 0")));
        }
        let history = terms.options.history;
        if history > self.limits.history {
            let fault = Fault::over("history", format!("{} frames", self.limits.history), history);
            return Err(fault.with_help("ask for less, or start the server with a larger --video-history"));
        }
        let options = TrackerOptions { most_objects: self.limits.objects, ..terms.options };
        let work = Work::new(model.tracker(options.clone())?);
        let session = Arc::new(Session::new(Arc::clone(slot), work, Terms { options, ..terms }, self.limits.idle));
        if self.bytes() + session.state().bytes > self.limits.memory {
            return Err(self.has_no_room());
        }
        let mut open = self.lock();
        if open.len() >= self.limits.sessions {
            return Err(is_full(&open));
        }
        open.push(Arc::clone(&session));
        Ok(session)
    }

    /// The session of this name.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Session>> {
        let found = self.lock().iter().find(|session| session.id == id).cloned();
        found.ok_or_else(|| session::gone(id, self.limits.idle))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().clone()
    }

    /// Closes a session: what is worked on is finished, and what waits is refused.
    ///
    /// # Errors
    /// As [`Sessions::get`].
    pub(crate) fn close(&self, id: &str) -> Result<()> {
        let session = self.get(id)?;
        self.close_where(|other| Arc::ptr_eq(other, &session));
        Ok(())
    }

    /// Closes the sessions of a model.
    pub(crate) fn close_of(&self, model: &str) {
        self.close_where(|session| session.slot.name() == model);
    }

    /// Whether a model has sessions.
    pub(crate) fn has_of(&self, model: &str) -> bool {
        self.lock().iter().any(|session| session.slot.name() == model)
    }

    /// Closes the sessions that nobody asked for too long.
    pub(crate) fn close_idle(&self) {
        self.lock().retain(|session| {
            let is_over = session.close_if_idle();
            if is_over {
                tracing::info!(session = session.id, model = session.slot.name(), "a video session is closed: nobody asked");
            }
            !is_over
        });
    }

    fn close_where(&self, is_meant: impl Fn(&Arc<Session>) -> bool) {
        self.lock().retain(|session| {
            let is_meant = is_meant(session);
            if is_meant {
                session.close();
            }
            !is_meant
        });
    }

    /// Bytes of all sessions.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().iter().map(|session| session.state().bytes).sum()
    }

    /// What the sessions of a model hold.
    pub(crate) fn held_by(&self, model: &str) -> Held {
        let states: Vec<State> = self.lock().iter().filter(|session| session.slot.name() == model).map(|session| session.state()).collect();
        Held { sessions: states.len(), bytes: states.iter().map(|state| state.bytes).sum() }
    }

    /// Refuses what would make a session larger, once all memory for sessions is taken.
    ///
    /// # Errors
    /// `TooLarge` where the session itself has most of it, `Busy` where others have.
    pub(crate) fn check_room(&self, session: &Session) -> Result<()> {
        let (all, own, most) = (self.bytes(), session.state().bytes, self.limits.memory);
        if all < most {
            return Ok(());
        }
        if own >= most / 2 {
            let fault =
                Fault::over("session's memory", format!("{} MB of all sessions", most >> 20), format!("{} MB of this one", own >> 20));
            let help = "follow fewer objects, open the session with less history or with conditioning_frames, or start the server with a \
                        larger --video-memory";
            return Err(fault.with_help(help));
        }
        Err(self.has_no_room())
    }

    fn has_no_room(&self) -> Fault {
        let most = self.limits.memory >> 20;
        let error = Error::new(ErrorKind::Busy, format!("the video sessions hold all of the {most} MB that are meant for them"));
        Fault::new(Reason::Busy, error.with_help("close some, or start the server with a larger --video-memory"))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What sessions hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) sessions: usize,
    pub(crate) bytes: usize,
}

/// The model that follows objects, where one does: of a pair the one that makes masks.
pub(crate) fn following(served: &Served) -> Option<&Model> {
    served.prompted().filter(|model| model.info().memory.is_some())
}

/// The refusal of one more.
fn is_full(open: &[Arc<Session>]) -> Fault {
    let error = Error::new(ErrorKind::Busy, format!("{} video sessions are open already, and there may be no more", open.len()));
    let help = "close one: DELETE /v1/video/{id}; or start the server with a larger --video-sessions";
    let soonest = open.iter().map(|session| session.state().expires).min().unwrap_or_default();
    Fault { retry_after: Some(soonest.max(Duration::from_secs(1))), ..Fault::new(Reason::Busy, error.with_help(help)) }
}

/// Closes idle sessions until the server ends.
pub(crate) async fn upkeep(app: Arc<App>) {
    let sessions = &app.models.sessions;
    while !app.ending.is_cancelled() {
        tokio::time::sleep(LOOKS.min(sessions.limits.idle).max(Duration::from_millis(10))).await;
        sessions.close_idle();
    }
}
