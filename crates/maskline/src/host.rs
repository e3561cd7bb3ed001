//! The host's own work on many things by all cores: one pool of threads for all models of the process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Result;

/// Fewer items than this are not worth another thread.
const FEWEST_PER_THREAD: usize = 4;
/// What is done here is bound by memory long before it has so many cores.
const MOST_THREADS: usize = 8;

/// The pool: whoever asks works too, so it has a thread less than there are cores. `None` on one core, and where the system gives no threads.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let build = || {
        let helpers = cores().min(MOST_THREADS).checked_sub(1).filter(|helpers| *helpers > 0)?;
        let name = |index| format!("maskline-host-{index}");
        ThreadPoolBuilder::new().num_threads(helpers).thread_name(name).build().ok()
    };
    POOL.get_or_init(build).as_ref()
}

/// `make` of each item in its place. Masks differ in cost, so whoever is done takes the next one.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let Some(pool) = pool().filter(|_| items.len() >= 2 * FEWEST_PER_THREAD) else {
        return items.iter().map(make).collect();
    };
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(items.len())));
    let work = || {
        let mut mine = Vec::new();
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, items.get(index)?))) {
            mine.push((index, make(item)));
        }
        made.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
    };
    let helpers = pool.current_num_threads().min(items.len() / FEWEST_PER_THREAD - 1);
    pool.in_place_scope(|scope| {
        (0..helpers).for_each(|_| scope.spawn(|_| work()));
        work();
    });
    let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    made.sort_unstable_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, made)| made).collect()
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
