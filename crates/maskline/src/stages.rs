//! Where the time went: values that are returned with the answer, never a global table.
//!
//! An answer tells what its own call did, and nothing that another call did: [`Model::embed`](crate::Model::embed) tells what encoding
//! took, [`Embedding::find`](crate::Embedding::find) what its prompts took, and their sum is what the answer took from the picture on.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::time::{Duration, Instant};

use maskline_runtime::Outputs;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A part of the way from a request to its answer. The order is that in which they happen.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Of a server's answer: reading the request, from its first byte to what is asked.
    Receive,
    /// All that the finder of a pair of models took, but for reading words: a detector, whose objects the other one is asked about.
    Detect,
    /// File to pixels: what making the [`Image`](crate::Image) took.
    Decode,
    /// Pixels to network input.
    Preprocess,
    /// Waiting: for networks that others used, for the rest of a run that several callers shared, for another thread that was encoding
    /// the same picture.
    Queue,
    /// Words to their embedding.
    TextEncode,
    /// The image encoder; nothing where the embedding was there.
    ImageEncode,
    /// Examples to what a network is told of them.
    ExemplarEncode,
    /// Opening a network that was not needed before.
    Open,
    /// The network, of models that have one.
    Network,
    /// The memory of a video.
    Memory,
    /// What is looked for against what the picture shows, by networks: for all phrases and examples.
    ConceptDecode,
    /// The mask decoder, for all prompts; the masks of what was found.
    MaskDecode,
    /// What is looked for against what the picture shows: the product of both embeddings.
    Match,
    /// Network output to objects in pixels of the picture.
    Postprocess,
    /// Of a server's answer: objects to the form in which they are sent.
    Encode,
    /// What no stage covers, so that the parts add up.
    Other,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 17] = [
        Self::Receive,
        Self::Detect,
        Self::Decode,
        Self::Preprocess,
        Self::Queue,
        Self::TextEncode,
        Self::ImageEncode,
        Self::ExemplarEncode,
        Self::Open,
        Self::Network,
        Self::Memory,
        Self::ConceptDecode,
        Self::MaskDecode,
        Self::Match,
        Self::Postprocess,
        Self::Encode,
        Self::Other,
    ];

    /// Stable name: that of reports and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Detect => "detect",
            Self::Decode => "decode",
            Self::Preprocess => "preprocess",
            Self::Queue => "queue",
            Self::TextEncode => "text_encode",
            Self::ImageEncode => "image_encode",
            Self::ExemplarEncode => "exemplar_encode",
            Self::Open => "open",
            Self::Network => "network",
            Self::Memory => "memory",
            Self::ConceptDecode => "concept_decode",
            Self::MaskDecode => "mask_decode",
            Self::Match => "match",
            Self::Postprocess => "postprocess",
            Self::Encode => "encode",
            Self::Other => "other",
        }
    }

    /// Whether networks run in it.
    pub fn is_network(self) -> bool {
        matches!(
            self,
            Self::TextEncode
                | Self::ImageEncode
                | Self::ExemplarEncode
                | Self::Network
                | Self::Memory
                | Self::ConceptDecode
                | Self::MaskDecode
        )
    }

    /// Whether it is rare: people need not read of it where it took nothing.
    fn is_rare(self) -> bool {
        matches!(self, Self::Queue | Self::Open | Self::ExemplarEncode)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the embedding came from that a call used, the cheapest way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EmbeddingSource {
    /// Whoever asked had it already, from a call before or from a file.
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

/// Where the embeddings of a call's phrases came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PhraseCount {
    /// Encoded by this call.
    pub encoded: usize,
    /// Encoded by a process before, and kept on disk.
    pub from_disk: usize,
    /// In memory, or just being encoded by another call.
    pub cached: usize,
}

impl PhraseCount {
    /// All of them.
    pub fn total(self) -> usize {
        self.encoded + self.from_disk + self.cached
    }
}

impl Add for PhraseCount {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self { encoded: self.encoded + more.encoded, from_disk: self.from_disk + more.from_disk, cached: self.cached + more.cached }
    }
}

/// The stages of one call and what each took: of what this call did, and of nothing else. The parts add up to [`Stages::total`].
///
/// In a batch, the network's time, the wait for it (and what no stage covers) are shared evenly by its pictures: the totals of a batch
/// add up to the wall time of the batch plus the decoding of its pictures. Of a run that several callers shared, each is told the share
/// of his rows as the network's time and the rest as `queue`.
///
/// `+` gives the times of two calls together, such as encoding a picture and asking about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    times: [Option<Duration>; Stage::ALL.len()],
    embedding: Option<EmbeddingSource>,
    phrases: PhraseCount,
    rows_together: usize,
}

impl Stages {
    /// Of a call that has these stages, none of which took anything so far.
    pub fn of(stages: &[Stage]) -> Self {
        let mut new = Self::default();
        stages.iter().for_each(|stage| new.spend(*stage, Duration::ZERO));
        new
    }

    /// Of a call that encodes a picture, or finds it encoded.
    pub(crate) fn of_embedding() -> Self {
        use Stage::{Decode, ImageEncode, Other, Preprocess, Queue};
        Self { embedding: Some(EmbeddingSource::Held), ..Self::of(&[Decode, Preprocess, Queue, ImageEncode, Other]) }
    }

    /// Of a call about prompts on a picture; its embedding was held.
    pub(crate) fn of_prompts() -> Self {
        use Stage::{MaskDecode, Open, Postprocess};
        Self::of_embedding() + Self::of(&[Open, MaskDecode, Postprocess])
    }

    /// What a stage took; nothing where the call has no such stage.
    pub fn get(&self, stage: Stage) -> Duration {
        self.times[stage as usize].unwrap_or_default()
    }

    /// Adds to a stage.
    pub fn spend(&mut self, stage: Stage, time: Duration) {
        *self.times[stage as usize].get_or_insert_default() += time;
    }

    /// The stages of the call with their times, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Duration)> + use<> {
        Stage::ALL.into_iter().zip(self.times).filter_map(|(stage, time)| Some((stage, time?)))
    }

    /// The sum of all parts.
    pub fn total(&self) -> Duration {
        self.times.iter().flatten().sum()
    }

    /// What the networks took.
    pub fn networks(&self) -> Duration {
        self.iter().filter(|(stage, _)| stage.is_network()).map(|(_, time)| time).sum()
    }

    /// Where the embedding came from, of calls that need one; of several, the source that took the most.
    pub fn embedding(&self) -> Option<EmbeddingSource> {
        self.embedding
    }

    /// Most rows (prompts, pictures, phrases) that ran together in a run that this call had a part in, those of other callers counted
    /// too; 0 where nothing ran.
    pub fn rows_together(&self) -> usize {
        self.rows_together
    }

    /// Where the embeddings of the call's phrases came from; none where it had no words.
    pub fn phrases(&self) -> PhraseCount {
        self.phrases
    }

    pub(crate) fn count_phrases(&mut self, phrases: PhraseCount) {
        self.phrases = self.phrases + phrases;
    }

    pub(crate) fn set_embedding(&mut self, source: EmbeddingSource) {
        self.embedding = Some(source);
    }

    /// Counts a run that this call had a part in, as `network`; `took` is the time from asking for it to having it.
    pub(crate) fn add_run(&mut self, network: Stage, took: Duration, outputs: &Outputs) {
        let share = outputs.rows() as f64 / outputs.rows_together.max(1) as f64;
        let run = outputs.run.mul_f64(share.clamp(0.0, 1.0)).min(took);
        self.spend(network, run);
        // What is not the run is waiting for it, wherever the lane lets its callers wait.
        self.spend(Stage::Queue, took - run);
        self.rows_together = self.rows_together.max(outputs.rows_together);
    }

    /// Puts what is left of a call that began at `start` into a stage.
    #[must_use]
    pub fn rest(mut self, stage: Stage, start: Instant) -> Self {
        self.spend(stage, start.elapsed().saturating_sub(self.total()));
        self
    }

    /// Shares what was spent on several pictures together.
    pub(crate) fn shared_by(mut self, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        self.times.iter_mut().flatten().for_each(|time| *time /= count);
        self
    }

    /// As a line for people: `decode 3.1 + preprocess 2.0 + … = 12.3 ms`. What is rare is left out where it took nothing, and encoding
    /// says where it was spared.
    pub fn line(&self) -> String {
        let told = self.iter().filter(|(stage, time)| !time.is_zero() || !stage.is_rare());
        let is_spared = self.embedding.is_some_and(|source| source < EmbeddingSource::Miss);
        let part = |stage: Stage, time: Duration| match stage {
            Stage::ImageEncode if is_spared && time.is_zero() => "image encode 0 (cached)".to_owned(),
            Stage::TextEncode if self.phrases.encoded == 0 => {
                let source = if self.phrases.from_disk > 0 { "from disk" } else { "cached" };
                format!("text encode {:.1} ({source})", time.as_secs_f64() * 1e3)
            }
            stage => format!("{} {:.1}", stage.name().replace('_', " "), time.as_secs_f64() * 1e3),
        };
        format!(
            "{} = {:.1} ms",
            told.map(|(stage, time)| part(stage, time)).collect::<Vec<_>>().join(" + "),
            self.total().as_secs_f64() * 1e3
        )
    }
}

impl Stages {
    /// As the value of HTTP's `Server-Timing` header, in milliseconds: `decode;dur=3.1, …, total;dur=12.3`.
    pub fn server_timing(&self) -> String {
        let parts = self.iter().map(|(stage, time)| (stage.name(), time)).chain([("total", self.total())]);
        parts.map(|(name, time)| format!("{name};dur={}", milliseconds(time))).collect::<Vec<_>>().join(", ")
    }
}

impl Add for Stages {
    type Output = Self;

    fn add(mut self, more: Self) -> Self {
        more.iter().for_each(|(stage, time)| self.spend(stage, time));
        self.embedding = self.embedding.max(more.embedding);
        self.phrases = self.phrases + more.phrases;
        self.rows_together = self.rows_together.max(more.rows_together);
        self
    }
}

impl AddAssign for Stages {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sum for Stages {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, more| sum + more)
    }
}

impl Serialize for Stages {
    /// Milliseconds by stage, with `total`; where an embedding was needed `embedding` (`miss`, `waited`, `hit` or `held`), and where there
    /// were words `phrases`, see [`PhraseCount`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (stage, time) in self.iter() {
            map.serialize_entry(stage.name(), &milliseconds(time))?;
        }
        map.serialize_entry("total", &milliseconds(self.total()))?;
        if let Some(source) = self.embedding {
            map.serialize_entry("embedding", source.name())?;
        }
        if self.phrases.total() > 0 {
            map.serialize_entry("phrases", &self.phrases)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn stages_are_told_in_the_order_in_which_they_happen_and_add_up() {
        assert!(Stage::ALL.iter().enumerate().all(|(index, stage)| *stage as usize == index));
        let mut stages = Stages::of_prompts();
        stages.spend(Stage::MaskDecode, 7 * MS);
        stages.spend(Stage::Decode, 3 * MS);
        assert_eq!(
            stages.line(),
            "decode 3.0 + preprocess 0.0 + image encode 0 (cached) + mask decode 7.0 + postprocess 0.0 + other 0.0 = 10.0 ms"
        );
        let mut detector = Stages::of(&[Stage::Network]);
        detector.spend(Stage::Detect, MS);
        let both = stages + detector;
        assert_eq!((both.total(), both.networks(), both.embedding()), (11 * MS, 7 * MS, Some(EmbeddingSource::Held)));
        assert!(both.iter().map(|(stage, _)| stage).is_sorted());
        assert!(both.server_timing().starts_with("detect;dur=1, decode;dur=3, ") && both.server_timing().ends_with(", total;dur=11"));
        let json = serde_json::to_value(both).expect("numbers and a word");
        assert_eq!((json["detect"].as_f64(), json["total"].as_f64(), json["embedding"].as_str()), (Some(1.0), Some(11.0), Some("held")));
    }
}
