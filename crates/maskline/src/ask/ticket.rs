//! An answer that is to come.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Answerer, Answers, Request};
use crate::cancel::CancelToken;
use crate::drivers::Call;
use crate::workers::{Errand, Place};
use crate::{Error, ErrorKind, Model, Result, Stage};

/// A request under way: wait for its answers, or be called with them. Dropping the ticket calls off what has not begun, and frees its
/// place in the queue at once.
#[derive(Debug)]
pub struct Ticket {
    slot: Arc<Slot>,
    cancel: CancelToken,
    /// Goes with the ticket.
    _place: Place,
}

/// Where answer and caller meet.
#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

type Callback = Box<dyn FnOnce(Result<Answers>) + Send>;

#[derive(Default)]
enum State {
    #[default]
    Awaited,
    Listened(Callback),
    Ready(Box<Result<Answers>>),
    Taken,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Awaited => "awaited",
            Self::Listened(_) => "listened for",
            Self::Ready(_) => "ready",
            Self::Taken => "taken",
        })
    }
}

impl Answerer {
    /// Asks, and goes on: see [`Model::ask`].
    ///
    /// # Errors
    /// As [`Model::ask`].
    pub fn ask(&self, request: Request) -> Result<Ticket> {
        let (slot, cancel, asked) = (Arc::new(Slot::default()), CancelToken::default(), Instant::now());
        let call = Call { cancel: cancel.clone(), ..Call::of(&request) };
        let promise = Promise { slot: Arc::clone(&slot), is_kept: false };
        let answerer = self.clone();
        let (priority, deadline) = (request.priority, request.deadline);
        let work = Box::new(move || {
            let waited = asked.elapsed();
            promise.keep(answerer.answer_for(&request, &call).map(|mut answers| {
                answers.timings.spend(Stage::Queue, waited);
                answers
            }));
        });
        let place = self.workers().push(Errand { priority, deadline, work })?;
        Ok(Ticket { slot, cancel, _place: place })
    }
}

impl Model {
    /// Asks, and goes on. The answers are made by the engine's own threads; several tickets' prompts, pictures or phrases run together
    /// where they can. A request whose deadline passes before its turn is answered `TimedOut` then.
    ///
    /// # Errors
    /// `Busy` if too many requests wait for this model ([`EngineOptions::queue`](crate::EngineOptions)).
    pub fn ask(&self, request: Request) -> Result<Ticket> {
        Answerer::from(self.clone()).ask(request)
    }
}

/// The duty to answer. Broken by a panic, it answers with an error.
struct Promise {
    slot: Arc<Slot>,
    is_kept: bool,
}

impl Promise {
    fn keep(mut self, answers: Result<Answers>) {
        self.is_kept = true;
        self.slot.fill(answers);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.is_kept {
            self.slot.fill(Err(Error::new(ErrorKind::Failed, "answering panicked, or the engine ended")));
        }
    }
}

impl Slot {
    fn fill(&self, answers: Result<Answers>) {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Listened(callback) => {
                drop(state);
                callback(answers);
            }
            _ => {
                *state = State::Ready(Box::new(answers));
                drop(state);
                self.changed.notify_all();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// Waits for the answers.
    ///
    /// # Errors
    /// As [`Model::answer`].
    pub fn wait(self) -> Result<Answers> {
        let mut state = self.slot.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Ready(answers) => return *answers,
                State::Awaited => *state = State::Awaited,
                gone => {
                    *state = gone;
                    return Err(Error::new(ErrorKind::Failed, "the answers were taken already, or go to the listener"));
                }
            }
            state = self.slot.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits at most so long; `None` if the answers are not there yet, or were taken.
    pub fn wait_for(&self, limit: Duration) -> Option<Result<Answers>> {
        let is_awaited = |state: &mut State| matches!(state, State::Awaited);
        let state = self.slot.lock();
        let (mut state, _) = self.slot.changed.wait_timeout_while(state, limit, is_awaited).unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answers) => Some(*answers),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Calls `listener` with the answers, on the thread that made them or found that there is none, or at once where they are there. It must not block. As long as the
    /// ticket is held, the request is not called off.
    pub fn on_ready(&self, listener: impl FnOnce(Result<Answers>) + Send + 'static) {
        let mut state = self.slot.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Ready(answers) => {
                drop(state);
                listener(*answers);
            }
            State::Awaited => *state = State::Listened(Box::new(listener)),
            other => *state = other,
        }
    }
}

impl Drop for Ticket {
    /// Before its place goes: what is taken out of the queue sees that it was called off.
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
