//! Threads that answer what is asked by ticket.
//!
//! A ticket's work waits for networks most of its time, so there are more of these than cores, but never more than so many: what is
//! asked beyond that waits in one queue for all models of an engine.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Error, ErrorKind, Result};

/// A piece of work.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// The threads and their queue. Threads begin when they are needed, and end with the engine and its models.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

/// How many there are at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) threads: usize,
    /// Pieces of work that wait.
    pub(crate) queue: usize,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} wait, {} of {} threads are idle", self.waiting.len(), self.idle, self.threads)
    }
}

impl Workers {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { shared: Arc::new(Shared { limits, state: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Queues a piece of work.
    ///
    /// # Errors
    /// `Busy` if too much waits, `Failed` if the system gives no thread.
    pub(crate) fn push(&self, work: Work) -> Result<()> {
        let mut state = self.shared.lock();
        let Limits { threads, queue } = self.shared.limits;
        if state.waiting.len() >= queue.max(1) {
            let error = Error::new(ErrorKind::Busy, format!("{queue} requests wait already"));
            return Err(error.with_help("ask again in a moment, or raise the limit of the queue"));
        }
        state.waiting.push_back(work);
        if state.idle < state.waiting.len() && state.threads < threads.max(1) {
            let shared = Arc::clone(&self.shared);
            match std::thread::Builder::new().name("maskline-worker".into()).spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.waiting.pop_back();
                    return Err(Error::new(ErrorKind::Failed, format!("no thread could be started: {error}")));
                }
                // Those that are there take it.
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                drop(state);
                // What panics takes its own answer along, and no thread.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                state = self.lock();
            } else if state.is_closed {
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}
