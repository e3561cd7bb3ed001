//! Who does the work.

/// Somebody who does work that falls into parts, on as many threads as he has.
pub trait Workers {
    /// Runs `work` once for each number below `count`, and returns when all are done.
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync + Send));
}

/// The lock of something that only one thread ever asks for.
pub(crate) fn own<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
