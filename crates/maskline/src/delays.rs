//! Time that is slept within stages, to test what measures, queues or gives up.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Time that a model sleeps at the end of each of its stages, once per call. Only tests want any: a benchmark proves with it that it sees a
/// slow stage where it is, a server that it keeps its deadlines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delays {
    /// In `preprocess`; not where an embedding was in the cache.
    pub preprocess: Duration,
    /// In `network` of detectors and classifiers, in `image_encode` of promptable models.
    pub network: Duration,
    /// In `mask_decode`.
    pub mask_decode: Duration,
    /// In `postprocess`.
    pub postprocess: Duration,
}

/// Sleeps, where there is something to sleep; how long it was, which is never less.
pub(crate) fn sleep(time: Duration) -> Duration {
    if time.is_zero() {
        return time;
    }
    let start = Instant::now();
    std::thread::sleep(time);
    start.elapsed()
}
