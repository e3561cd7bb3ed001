//! What lanes have run so far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts the runs of the lanes that share it, also of one that takes another's place.
#[derive(Debug, Default)]
pub struct Tally {
    runs: AtomicU64,
    rows: AtomicU64,
    failed: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Runs that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunCount {
    /// Those that gave an answer.
    pub runs: u64,
    /// The rows of all of them: divided by `runs`, how many ran together.
    pub rows: u64,
    /// Those that failed. Where jobs failed together, each ran again alone.
    pub failed: u64,
    /// What those that gave an answer took.
    pub time: Duration,
}

impl Tally {
    /// The runs so far.
    pub fn count(&self) -> RunCount {
        RunCount {
            runs: self.runs.load(Relaxed),
            rows: self.rows.load(Relaxed),
            failed: self.failed.load(Relaxed),
            time: Duration::from_nanos(self.nanoseconds.load(Relaxed)),
        }
    }

    pub(super) fn add(&self, rows: usize, time: Duration) {
        self.runs.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows as u64, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn add_failure(&self) {
        self.failed.fetch_add(1, Relaxed);
    }
}
