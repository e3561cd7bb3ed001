//! Embeddings by the content of their picture, bounded in bytes.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::embedding::Kept;
use crate::{EmbeddingSource, Result};

/// Content of a picture: its pixels and its size.
pub(crate) type Key = blake3::Hash;

/// The embeddings of the pictures that were asked about last. Who asks for a picture that another thread is encoding waits for it.
#[derive(Debug)]
pub(crate) struct EmbeddingCache {
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
enum Entry {
    UnderWay,
    Ready { kept: Kept, used: u64 },
}

/// What [`EmbeddingCache::get_or_encode`] gives.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) kept: Kept,
    pub(crate) source: EmbeddingSource,
    /// How long this call waited for other threads that were encoding the picture.
    pub(crate) waited: Duration,
}

impl EmbeddingCache {
    /// A cache of at most `limit` bytes; 0 keeps nothing.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    /// The embedding of a picture. `encode` makes it where it is not here; it is told how long this call waited for another thread that
    /// then left nothing behind.
    pub(crate) fn get_or_encode(&self, key: Key, encode: impl FnOnce(Duration) -> Result<Kept>) -> Result<Got> {
        let mut state = self.lock();
        let mut waited = Duration::ZERO;
        loop {
            state.clock += 1;
            let now = state.clock;
            match state.entries.get_mut(&key) {
                Some(Entry::Ready { kept, used }) => {
                    *used = now;
                    let source = if waited.is_zero() { EmbeddingSource::Hit } else { EmbeddingSource::Waited };
                    return Ok(Got { kept: kept.clone(), source, waited });
                }
                Some(Entry::UnderWay) => {
                    let start = Instant::now();
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    // Never nothing: it was waited for.
                    waited += start.elapsed().max(Duration::from_nanos(1));
                }
                None => break,
            }
        }
        state.entries.insert(key, Entry::UnderWay);
        drop(state);
        // Whatever becomes of the encoding, those who wait must not wait for ever.
        let ticket = Ticket { cache: self, key };
        let made = encode(waited)?;
        ticket.keep(&made);
        Ok(Got { kept: made, source: EmbeddingSource::Miss, waited })
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to fill an entry. Dropped without being filled, it frees the entry.
struct Ticket<'a> {
    cache: &'a EmbeddingCache,
    key: Key,
}

impl Ticket<'_> {
    fn keep(self, made: &Kept) {
        let size = made.bytes();
        if size > self.cache.limit {
            return;
        }
        let mut state = self.cache.lock();
        while state.bytes + size > self.cache.limit {
            let ready = state.entries.iter().filter_map(|(key, entry)| match entry {
                Entry::Ready { used, .. } => Some((*used, *key)),
                Entry::UnderWay => None,
            });
            let Some((_, oldest)) = ready.min_by_key(|(used, _)| *used) else { break };
            if let Some(Entry::Ready { kept, .. }) = state.entries.remove(&oldest) {
                state.bytes -= kept.bytes();
            }
        }
        state.clock += 1;
        let used = state.clock;
        state.bytes += size;
        state.entries.insert(self.key, Entry::Ready { kept: made.clone(), used });
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if matches!(state.entries.get(&self.key), Some(Entry::UnderWay)) {
            state.entries.remove(&self.key);
        }
        drop(state);
        self.cache.changed.notify_all();
    }
}
