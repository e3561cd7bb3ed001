//! The host's own work on many things by all cores: one pool of threads for all models of the process.

use std::sync::OnceLock;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Result;

/// Fewer items than this are not worth other threads.
const FEWEST: usize = 8;
/// What is done here is bound by memory long before it has so many cores.
const MOST_THREADS: usize = 8;

/// The pool; `None` where the system gives no threads, and callers do their work themselves.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let build = || {
        let name = |index| format!("maskline-host-{index}");
        ThreadPoolBuilder::new().num_threads(cores().min(MOST_THREADS)).thread_name(name).build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

/// `make` of each item in its place. Masks differ in cost, so whoever is done takes the next one.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> Result<R> + Sync + Send) -> Result<Vec<R>> {
    match pool() {
        Some(pool) if items.len() >= FEWEST => pool.install(|| items.par_iter().map(&make).collect()),
        _ => items.iter().map(make).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[test]
    fn what_is_made_in_parallel_keeps_its_order_and_its_error() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(in_parallel(&items, |item| Ok(item * 3)).unwrap(), items.iter().map(|item| item * 3).collect::<Vec<_>>());
        assert_eq!(in_parallel(&items[..0], |item| Ok(*item)).unwrap(), Vec::<usize>::new());
        let fails = |item: &usize| if *item == 567 { Err(Error::new(ErrorKind::Failed, "five")) } else { Ok(()) };
        assert_eq!(in_parallel(&items, fails).unwrap_err().to_string(), "five");
    }
}
