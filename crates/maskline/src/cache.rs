//! What was made with effort, kept by its key and bounded in bytes.
//!
//! Made once: who asks for what another thread is making waits for it, and gets it whether or not it is kept. Least recently used goes
//! first, at once and exactly, so that the bound holds at every moment. (`moka` was looked at: it evicts in the background and by
//! estimated use, and does not tell who waited, which an answer's stages say.)

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{CacheUsage, EmbeddingSource, Error, ErrorKind, Result};

/// Until when somebody waits; `None`: as long as it takes.
type Deadline = Option<Instant>;

/// What has a size in memory.
pub(crate) trait Weighed: Clone {
    /// Bytes of memory, the same as long as it lives.
    fn bytes(&self) -> usize;

    /// Bytes that a device holds of it now.
    fn device_bytes(&self) -> usize {
        0
    }
}

/// The values that were asked for last.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    limit: usize,
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    bytes: usize,
    clock: u64,
    /// Hits, waits, misses and evictions so far.
    counts: CacheUsage,
}

#[derive(Debug)]
enum Entry<V> {
    UnderWay(Arc<Flight<V>>),
    Ready { value: V, used: u64 },
}

/// A value that a thread is making.
#[derive(Debug)]
struct Flight<V> {
    landed: Mutex<Landing<V>>,
    changed: Condvar,
}

#[derive(Debug)]
enum Landing<V> {
    Awaited,
    Made(V),
    Failed,
}

/// A value that [`Cache::get_or_make`] gives.
#[derive(Debug)]
pub(crate) struct Got<V> {
    pub(crate) value: V,
    pub(crate) source: EmbeddingSource,
    /// How long this call waited for other threads that were making it.
    pub(crate) waited: Duration,
}

impl<K: Copy + Eq + Hash, V: Weighed> Cache<K, V> {
    /// A cache of at most `limit` bytes; 0 keeps nothing, and nobody waits for anybody.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::new(State { entries: HashMap::new(), bytes: 0, clock: 0, counts: CacheUsage::default() }) }
    }

    /// The value of a key, if it is here.
    pub(crate) fn get(&self, key: K) -> Option<V> {
        self.lock().touch(key)
    }

    /// The value of a key. `make` makes it where it is not here; it is told how long this call waited for another thread that then
    /// failed. What another thread is making is waited for until `deadline`, then `TimedOut`.
    pub(crate) fn get_or_make(&self, key: K, deadline: Deadline, mut make: impl FnMut(Duration) -> Result<V>) -> Result<Got<V>> {
        let mut got = self.get_or_make_all(&[key], deadline, |_, waited| Ok(vec![make(waited)?]))?;
        got.pop().ok_or_else(|| Error::new(ErrorKind::Failed, "the cache gave nothing for a key"))
    }

    /// The values of several keys, in their order. `make` makes those that are not here, together, and is told which by their index; what
    /// another thread is making is waited for until `deadline`, then `TimedOut`. It is called again where that thread fails.
    pub(crate) fn get_or_make_all(
        &self,
        keys: &[K],
        deadline: Deadline,
        mut make: impl FnMut(&[usize], Duration) -> Result<Vec<V>>,
    ) -> Result<Vec<Got<V>>> {
        let mut waited = Duration::ZERO;
        if self.limit == 0 {
            self.lock().counts.misses += keys.len() as u64;
            let values = make(&(0..keys.len()).collect::<Vec<_>>(), waited)?;
            return Ok(values.into_iter().map(|value| Got { value, source: EmbeddingSource::Miss, waited }).collect());
        }
        let mut got: Vec<Option<Got<V>>> = keys.iter().map(|_| None).collect();
        while got.iter().any(Option::is_none) {
            let open: Vec<usize> = (0..keys.len()).filter(|index| got[*index].is_none()).collect();
            let (mut claimed, mut tickets, mut flights) = (Vec::new(), Vec::new(), Vec::new());
            for index in open {
                match self.claim(keys[index]) {
                    Claim::Ready(value) => got[index] = Some(Got { value, source: EmbeddingSource::Hit, waited: Duration::ZERO }),
                    Claim::UnderWay(flight) => flights.push((index, flight)),
                    Claim::Mine(ticket) => {
                        claimed.push(index);
                        tickets.push(ticket);
                    }
                }
            }
            // Before waiting for others, who may wait for these.
            if !claimed.is_empty() {
                for ((value, index), ticket) in make(&claimed, waited)?.into_iter().zip(claimed).zip(tickets) {
                    ticket.keep(&value);
                    got[index] = Some(Got { value, source: EmbeddingSource::Miss, waited });
                }
            }
            for (index, flight) in flights {
                let start = Instant::now();
                let made = flight.wait(deadline)?;
                // Never nothing: it was waited for.
                waited += start.elapsed().max(Duration::from_nanos(1));
                got[index] = made.map(|value| Got { value, source: EmbeddingSource::Waited, waited });
            }
        }
        Ok(got.into_iter().flatten().collect())
    }

    /// The value of a key, who is making it, or the right and duty to make it.
    fn claim(&self, key: K) -> Claim<'_, K, V> {
        let mut state = self.lock();
        if let Some(value) = state.touch(key) {
            state.counts.hits += 1;
            return Claim::Ready(value);
        }
        match state.entries.get(&key) {
            Some(Entry::UnderWay(flight)) => {
                let flight = Arc::clone(flight);
                state.counts.waits += 1;
                Claim::UnderWay(flight)
            }
            _ => {
                state.counts.misses += 1;
                let flight = Arc::new(Flight { landed: Mutex::new(Landing::Awaited), changed: Condvar::new() });
                state.entries.insert(key, Entry::UnderWay(Arc::clone(&flight)));
                // Whatever becomes of the making, those who wait must not wait for ever.
                Claim::Mine(Ticket { cache: self, key, flight })
            }
        }
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// What is kept, and how often it was of use.
    pub(crate) fn usage(&self) -> CacheUsage {
        let state = self.lock();
        let ready = state.entries.values().filter_map(|entry| match entry {
            Entry::Ready { value, .. } => Some(value),
            Entry::UnderWay(_) => None,
        });
        let (entries, device_bytes) = ready.fold((0, 0), |(entries, bytes), value| (entries + 1, bytes + value.device_bytes()));
        CacheUsage { entries, bytes: state.bytes, device_bytes, limit: self.limit, ..state.counts }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V: Clone> State<K, V> {
    /// The value of a key, which is now the last one used.
    fn touch(&mut self, key: K) -> Option<V> {
        self.clock += 1;
        match self.entries.get_mut(&key) {
            Some(Entry::Ready { value, used }) => {
                *used = self.clock;
                Some(value.clone())
            }
            _ => None,
        }
    }
}

impl<V: Clone> Flight<V> {
    /// What was made; `None` if that failed.
    fn wait(&self, deadline: Deadline) -> Result<Option<V>> {
        let mut landed = self.landed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*landed {
                Landing::Made(value) => return Ok(Some(value.clone())),
                Landing::Failed => return Ok(None),
                Landing::Awaited => {}
            }
            landed = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => {
                    return Err(Error::new(ErrorKind::TimedOut, "the deadline passed while another request was encoding the same"));
                }
                Some(left) => self.changed.wait_timeout(landed, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(landed).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn land(&self, landing: Landing<V>) {
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = landing;
        self.changed.notify_all();
    }
}

/// What [`Cache::claim`] gives.
enum Claim<'a, K: Copy + Eq + Hash, V: Weighed> {
    Ready(V),
    UnderWay(Arc<Flight<V>>),
    Mine(Ticket<'a, K, V>),
}

/// The right to fill an entry. Dropped without being filled, it frees the entry.
struct Ticket<'a, K: Copy + Eq + Hash, V: Weighed> {
    cache: &'a Cache<K, V>,
    key: K,
    flight: Arc<Flight<V>>,
}

impl<K: Copy + Eq + Hash, V: Weighed> Ticket<'_, K, V> {
    fn keep(self, made: &V) {
        let size = made.bytes();
        if size <= self.cache.limit {
            let mut state = self.cache.lock();
            while state.bytes + size > self.cache.limit {
                let ready = state.entries.iter().filter_map(|(key, entry)| match entry {
                    Entry::Ready { used, .. } => Some((*used, *key)),
                    Entry::UnderWay(_) => None,
                });
                let Some((_, oldest)) = ready.min_by_key(|(used, _)| *used) else { break };
                if let Some(Entry::Ready { value, .. }) = state.entries.remove(&oldest) {
                    state.bytes -= value.bytes();
                    state.counts.evicted += 1;
                }
            }
            state.clock += 1;
            let used = state.clock;
            state.bytes += size;
            state.entries.insert(self.key, Entry::Ready { value: made.clone(), used });
        }
        self.flight.land(Landing::Made(made.clone()));
    }
}

impl<K: Copy + Eq + Hash, V: Weighed> Drop for Ticket<'_, K, V> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if matches!(state.entries.get(&self.key), Some(Entry::UnderWay(_))) {
            state.entries.remove(&self.key);
        }
        drop(state);
        let mut landed = self.flight.landed.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*landed, Landing::Awaited) {
            *landed = Landing::Failed;
        }
        drop(landed);
        self.flight.changed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Error, ErrorKind};

    #[derive(Debug, Clone, PartialEq)]
    struct Heavy(usize);

    impl Weighed for Heavy {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    /// What callers in several threads at once get for one key, and how often it was made.
    fn at_once(cache: &Cache<u8, Heavy>, make: impl Fn(usize) -> Result<Heavy> + Sync) -> (Vec<Result<Got<Heavy>>>, usize) {
        const CALLERS: usize = 4;
        let (barrier, made) = (Barrier::new(CALLERS), AtomicUsize::new(0));
        let caller = || {
            barrier.wait();
            cache.get_or_make(1, None, |_| {
                std::thread::sleep(Duration::from_millis(30));
                make(made.fetch_add(1, Ordering::SeqCst))
            })
        };
        let got = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        (got, made.into_inner())
    }

    #[test]
    fn what_is_too_large_to_be_kept_is_made_once_for_all_who_wait() {
        let cache = Cache::new(10);
        let (got, made) = at_once(&cache, |_| Ok(Heavy(11)));
        assert!(got.iter().all(|got| got.as_ref().unwrap().value == Heavy(11)));
        assert_eq!((made, cache.bytes()), (1, 0));
    }

    #[test]
    fn without_a_cache_nobody_waits_for_anybody() {
        let (got, made) = at_once(&Cache::new(0), |_| Ok(Heavy(1)));
        assert!(got.iter().all(|got| got.as_ref().unwrap().source == EmbeddingSource::Miss));
        assert_eq!(made, 4);
    }

    #[test]
    fn a_failure_is_its_own_callers() {
        let fail_first = |count| if count == 0 { Err(Error::new(ErrorKind::Failed, "no")) } else { Ok(Heavy(1)) };
        let (got, made) = at_once(&Cache::new(10), fail_first);
        assert_eq!((got.iter().filter(|got| got.is_err()).count(), made), (1, 2));
    }

    #[test]
    fn who_waits_for_another_goes_at_the_deadline() {
        let cache = Cache::new(10);
        let (begun, begins) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let cache = &cache;
            let maker = scope.spawn(move || {
                cache.get_or_make(1, None, |_| {
                    begun.send(()).unwrap();
                    let _ = released.recv();
                    Ok(Heavy(1))
                })
            });
            begins.recv().unwrap();
            let deadline = Some(Instant::now() + Duration::from_millis(5));
            let late = cache.get_or_make(1, deadline, |_| unreachable!("another makes it")).unwrap_err();
            assert_eq!(late.kind(), ErrorKind::TimedOut);
            drop(release);
            assert_eq!(maker.join().unwrap().unwrap().value, Heavy(1));
        });
        let CacheUsage { hits, waits, misses, .. } = cache.usage();
        assert_eq!((hits, waits, misses), (0, 1, 1));
    }

    #[test]
    fn a_look_finds_what_is_here_and_makes_nothing() {
        let cache = Cache::new(8);
        let make = |key| cache.get_or_make(key, None, |_| Ok(Heavy(4))).unwrap();
        assert_eq!(cache.get(1), None);
        make(1);
        make(2);
        assert_eq!(cache.get(1), Some(Heavy(4)), "and it counts as used");
        make(3);
        assert_eq!((cache.get(1), cache.get(2)), (Some(Heavy(4)), None));
        make(1);
        let expected = CacheUsage { entries: 2, bytes: 8, device_bytes: 0, limit: 8, hits: 1, waits: 0, misses: 3, evicted: 1 };
        assert_eq!(cache.usage(), expected);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(10);
        let get = |key| cache.get_or_make(key, None, |_| Ok(Heavy(4))).unwrap().source;
        assert_eq!(
            [get(1), get(2), get(1), get(3)],
            [EmbeddingSource::Miss, EmbeddingSource::Miss, EmbeddingSource::Hit, EmbeddingSource::Miss]
        );
        assert_eq!((cache.bytes(), get(1), get(2)), (8, EmbeddingSource::Hit, EmbeddingSource::Miss));
    }
}
