//! Where the time went: values that are returned with the answer, never a global table.
//!
//! An answer tells what its own call did, and nothing that another call did: [`Model::embed`](crate::Model::embed) tells what encoding
//! took, [`Embedding::find`](crate::Embedding::find) what its prompts took, and their sum is what the answer took from the picture on.

use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::time::{Duration, Instant};

use maskline_runtime::Outputs;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Times of one picture. `other` is what no stage covers, so the parts add up to `total`.
///
/// In a batch, the network's time, the wait for it (and what no stage covers) are shared evenly by its pictures: the totals of a batch
/// add up to the wall time of the batch plus the decoding of its pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// File to pixels: what making the [`Image`](crate::Image) took.
    pub decode: Duration,
    /// Pixels to network input.
    pub preprocess: Duration,
    /// Waiting for the network, which others used.
    pub queue: Duration,
    /// The network.
    pub network: Duration,
    /// Network output to objects in pixels of the picture.
    pub postprocess: Duration,
    /// What no stage covers.
    pub other: Duration,
}

impl Timings {
    /// All parts with their names, in the order in which they happen.
    pub fn stages(&self) -> [(&'static str, Duration); 6] {
        [
            ("decode", self.decode),
            ("preprocess", self.preprocess),
            ("queue", self.queue),
            ("network", self.network),
            ("postprocess", self.postprocess),
            ("other", self.other),
        ]
    }

    /// The sum of all parts.
    pub fn total(&self) -> Duration {
        self.stages().iter().map(|(_, time)| *time).sum()
    }
}

impl Serialize for Timings {
    /// Milliseconds by stage, with `total`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = self.stages().into_iter().chain([("total", self.total())]);
        serializer.collect_map(stages.map(|(name, time)| (name, milliseconds(time))))
    }
}

/// Where the embedding came from that a call used, the cheapest way first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EmbeddingSource {
    /// Whoever asked had it already, from a call before or from a file.
    #[default]
    Held,
    /// It was in the cache.
    Hit,
    /// Another thread was encoding the same picture: this call waited for it, which is told as `queue`.
    Waited,
    /// This call encoded the picture.
    Miss,
}

impl EmbeddingSource {
    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Hit => "hit",
            Self::Waited => "waited",
            Self::Miss => "miss",
        }
    }
}

/// Times of one call about one picture and the prompts on it: of what this call did, and of nothing else.
///
/// `+` gives the times of two calls together, such as encoding a picture and asking about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PromptTimings {
    /// File to pixels: what making the [`Image`](crate::Image) took, of calls that were given one.
    pub decode: Duration,
    /// Pixels to network input.
    pub preprocess: Duration,
    /// Waiting for networks that others used, and for another thread that was encoding the same picture.
    pub queue: Duration,
    /// The image encoder; nothing when the embedding was there.
    pub image_encode: Duration,
    /// Opening the decoder for mask prompts, which the first of them does.
    pub open: Duration,
    /// The mask decoder, for all prompts.
    pub mask_decode: Duration,
    /// Decoder output to masks of the picture's size.
    pub postprocess: Duration,
    /// What no stage covers.
    pub other: Duration,
    /// Where the embedding came from; of several, the one that took the most.
    pub embedding: EmbeddingSource,
}

impl PromptTimings {
    /// All parts with their names, in the order in which they happen.
    pub fn stages(&self) -> [(&'static str, Duration); 8] {
        [
            ("decode", self.decode),
            ("preprocess", self.preprocess),
            ("queue", self.queue),
            ("image_encode", self.image_encode),
            ("open", self.open),
            ("mask_decode", self.mask_decode),
            ("postprocess", self.postprocess),
            ("other", self.other),
        ]
    }

    /// The sum of all parts.
    pub fn total(&self) -> Duration {
        self.stages().iter().map(|(_, time)| *time).sum()
    }

    /// The times of a call that began at `start` and in which decoders did `work`; all else is postprocessing.
    pub(crate) fn of_prompts(start: Instant, work: Work) -> Self {
        let Work { queue, open, network } = work;
        let postprocess = start.elapsed().saturating_sub(work.total());
        Self { queue, open, mask_decode: network, postprocess, ..Self::default() }
    }
}

impl Add for PromptTimings {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            decode: self.decode + more.decode,
            preprocess: self.preprocess + more.preprocess,
            queue: self.queue + more.queue,
            image_encode: self.image_encode + more.image_encode,
            open: self.open + more.open,
            mask_decode: self.mask_decode + more.mask_decode,
            postprocess: self.postprocess + more.postprocess,
            other: self.other + more.other,
            embedding: self.embedding.max(more.embedding),
        }
    }
}

impl AddAssign for PromptTimings {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sum for PromptTimings {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl Serialize for PromptTimings {
    /// Milliseconds by stage, with `total`, and `embedding`: `miss`, `waited`, `hit` or `held`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, time) in self.stages().into_iter().chain([("total", self.total())]) {
            map.serialize_entry(name, &milliseconds(time))?;
        }
        map.serialize_entry("embedding", self.embedding.name())?;
        map.end()
    }
}

/// What calls of sessions took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Waiting: for a session that others use, or for one that another thread opens.
    pub(crate) queue: Duration,
    /// Opening a session.
    pub(crate) open: Duration,
    /// Running it.
    pub(crate) network: Duration,
}

impl Work {
    /// Of a call of a session that took so long in all: what is not the run is waiting for it, wherever the session lets its callers wait.
    pub(crate) fn of_run(took: Duration, outputs: &Outputs) -> Self {
        let network = outputs.run.min(took);
        Self { queue: took - network, network, ..Self::default() }
    }

    pub(crate) fn total(&self) -> Duration {
        self.queue + self.open + self.network
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, more: Self) {
        self.queue += more.queue;
        self.open += more.open;
        self.network += more.network;
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
