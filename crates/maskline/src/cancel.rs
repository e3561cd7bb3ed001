//! Calling off.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maskline_runtime::Ticket;

/// Says to work under way that nobody waits for it any more. What waits in a queue is taken out of it at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct CancelToken {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    is_cancelled: bool,
    /// The job that the work waits for.
    job: Option<Ticket>,
}

impl CancelToken {
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        let job = state.job.take();
        drop(state);
        // Takes it out of its queue, or does nothing to one that has begun.
        drop(job);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// The work waits for a job.
    pub(crate) fn hold(&self, job: Ticket) {
        let mut state = self.lock();
        // Where it was called off meanwhile, dropping the job is what is left to do.
        if !state.is_cancelled {
            state.job = Some(job);
        }
    }

    /// The job has ended.
    pub(crate) fn release(&self) {
        let job = self.lock().job.take();
        drop(job);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
