//! Where the time went: values that are returned with the answer, never a global table.

use std::time::{Duration, Instant};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Times of one picture. `other` is what no stage covers, so the parts add up to `total`.
///
/// In a batch, the network's time (and what no stage covers) is shared evenly by its pictures: the totals of a batch add up to the
/// wall time of the batch plus the decoding of its pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// File to pixels.
    pub decode: Duration,
    /// Pixels to network input.
    pub preprocess: Duration,
    /// The network.
    pub network: Duration,
    /// Network output to objects in pixels of the picture.
    pub postprocess: Duration,
    /// What no stage covers.
    pub other: Duration,
}

impl Timings {
    /// The sum of all parts.
    pub fn total(&self) -> Duration {
        self.decode + self.preprocess + self.network + self.postprocess + self.other
    }
}

impl Serialize for Timings {
    /// Milliseconds by stage, with `total`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = [
            ("decode", self.decode),
            ("preprocess", self.preprocess),
            ("network", self.network),
            ("postprocess", self.postprocess),
            ("other", self.other),
            ("total", self.total()),
        ];
        serializer.collect_map(stages.map(|(name, time)| (name, milliseconds(time))))
    }
}

/// Times of one picture and the prompts on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptTimings {
    /// File to pixels.
    pub decode: Duration,
    /// Pixels to network input.
    pub preprocess: Duration,
    /// The image encoder; nothing when the embedding was in the cache.
    pub image_encode: Duration,
    /// The mask decoder, for all prompts.
    pub mask_decode: Duration,
    /// Decoder output to masks of the picture's size.
    pub postprocess: Duration,
    /// What no stage covers.
    pub other: Duration,
    /// Whether the embedding was in the cache.
    pub was_cached: bool,
}

impl PromptTimings {
    /// The sum of all parts.
    pub fn total(&self) -> Duration {
        self.decode + self.preprocess + self.image_encode + self.mask_decode + self.postprocess + self.other
    }
}

impl Serialize for PromptTimings {
    /// Milliseconds by stage, with `total`, and `embedding`: `hit` or `miss`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = [
            ("decode", self.decode),
            ("preprocess", self.preprocess),
            ("image_encode", self.image_encode),
            ("mask_decode", self.mask_decode),
            ("postprocess", self.postprocess),
            ("other", self.other),
            ("total", self.total()),
        ];
        let mut map = serializer.serialize_map(Some(stages.len() + 1))?;
        for (name, time) in stages {
            map.serialize_entry(name, &milliseconds(time))?;
        }
        map.serialize_entry("embedding", if self.was_cached { "hit" } else { "miss" })?;
        map.end()
    }
}

/// What a load cost before the first answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdTimings {
    /// Fetching ONNX Runtime, on the first start of all.
    pub runtime_fetch: Duration,
    /// Loading the library into the process.
    pub runtime_load: Duration,
    /// Reading the model file to know which bundle it is.
    pub model_read: Duration,
    /// Building the graphs, when no bundle was there.
    pub build: Duration,
    /// Creating the sessions.
    pub session: Duration,
    /// Running the network before the first request, when wished.
    pub warm_up: Duration,
    /// Wall time of the load.
    pub total: Duration,
}

impl Serialize for ColdTimings {
    /// Milliseconds by stage, with `other`, which no stage covers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = [
            ("runtime_fetch", self.runtime_fetch),
            ("runtime_load", self.runtime_load),
            ("model_read", self.model_read),
            ("build", self.build),
            ("session", self.session),
            ("warm_up", self.warm_up),
        ];
        let covered: Duration = stages.iter().map(|s| s.1).sum();
        let rest = [("other", self.total.saturating_sub(covered)), ("total", self.total)];
        serializer.collect_map(stages.into_iter().chain(rest).map(|(name, time)| (name, milliseconds(time))))
    }
}

/// Milliseconds, rounded to microseconds.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The one clock: each lap is the time since the last.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    last: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, last: now }
    }

    pub(crate) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let lap = now - self.last;
        self.last = now;
        lap
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
