//! Work on many masks by all cores.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, ErrorKind, Result};

/// Fewer items than this are not worth a thread.
const FEWEST_PER_THREAD: usize = 4;

/// `make` of each item in its place, by as many threads as there are cores. Masks differ in cost, so each thread takes the next one
/// when it is done.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], make: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(items.len() / FEWEST_PER_THREAD).max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut made = Vec::new();
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, items.get(index)?))) {
            made.push((index, make(item)?));
        }
        Ok(made)
    };
    let parts: Vec<Result<Vec<(usize, R)>>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let first = work();
        let failed = || Err(Error::new(ErrorKind::Failed, "making a mask panicked"));
        std::iter::once(first).chain(others.into_iter().map(|thread| thread.join().unwrap_or_else(|_| failed()))).collect()
    });
    let mut made = parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect::<Vec<_>>();
    made.sort_unstable_by_key(|(index, _)| *index);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_in_parallel_keeps_its_order_and_its_error() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(in_parallel(&items, |item| Ok(item * 3)).unwrap(), items.iter().map(|item| item * 3).collect::<Vec<_>>());
        assert_eq!(in_parallel(&items[..0], |item| Ok(*item)).unwrap(), Vec::<usize>::new());
        let fails = |item: &usize| if *item == 567 { Err(Error::new(ErrorKind::Failed, "five")) } else { Ok(()) };
        assert_eq!(in_parallel(&items, fails).unwrap_err().to_string(), "five");
    }
}
