//! Something that is done again and again beside what is measured.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread that does something at once, and then after every interval, until this is stopped or dropped.
#[derive(Debug)]
pub(super) struct Ticker {
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct End {
    is_over: Mutex<bool>,
    /// Told when [`End::is_over`].
    over: Condvar,
}

impl Ticker {
    /// Starts it. Where no thread can be started, nothing is done.
    pub(super) fn start(name: &str, interval: Duration, tick: impl Fn() + Send + 'static) -> Self {
        let end = Arc::new(End::default());
        let seen = Arc::clone(&end);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            tick();
            while !seen.is_over_within(interval) {
                tick();
            }
        });
        Self { end, thread: thread.ok() }
    }

    /// Ends it at once; a tick that is under way is waited for.
    pub(super) fn stop(&mut self) {
        *self.end.is_over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.over.notify_all();
        if let Some(thread) = self.thread.take() {
            // A tick that panicked leaves what was seen before.
            let _ = thread.join();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl End {
    fn is_over_within(&self, interval: Duration) -> bool {
        let is_over = self.is_over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.over.wait_timeout_while(is_over, interval, |is_over| !*is_over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
