//! What a model is doing, and has done, in numbers.

use maskline_runtime::RunCount;

use crate::Model;

/// What a model has to do now, and what it did since it was loaded: a snapshot, cheap to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tickets ([`Model::ask`]) that wait for a thread.
    pub waiting: usize,
    /// Tickets that are worked on.
    pub running: usize,
    /// Runs that wait for one of the networks.
    pub queued: usize,
    /// The runs of all its networks, with those of warming up.
    pub runs: RunCount,
    /// The cache of encoded pictures.
    pub embeddings: CacheUsage,
    /// The cache of encoded words.
    pub words: CacheUsage,
}

/// What a cache holds now, and how often it was of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheUsage {
    /// Values that are kept.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Of these, bytes in the memory of a device.
    pub device_bytes: usize,
    /// Most bytes that are kept.
    pub limit: usize,
    /// Values that were there.
    pub hits: u64,
    /// Values that another caller was making.
    pub waits: u64,
    /// Values that were not there.
    pub misses: u64,
    /// Values that went to make room for others.
    pub evicted: u64,
}

impl Model {
    /// What the model has to do now, and what it did so far.
    pub fn usage(&self) -> Usage {
        let load = self.workers().load();
        Usage {
            waiting: load.waiting,
            running: load.running,
            queued: self.queued(),
            runs: self.tally().count(),
            embeddings: self.pictures().usage(),
            words: self.words().usage(),
        }
    }
}
