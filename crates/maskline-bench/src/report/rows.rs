//! The rows of a report.

use serde::{Deserialize, Serialize};

use super::{Effort, ServerSide};
use crate::percentile::{Estimate, Percentile, sorted};
use crate::samples::{Series, Summary};
use crate::steadiness::Verdict;

/// Starts of fresh processes, from the command to the first answer. Measure eleven or more: fewer have no median.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cold {
    /// Name of the row: with `cache`, unique in the report.
    pub name: String,
    /// The subject that it is about, by name.
    pub subject: String,
    /// What was in the caches.
    pub cache: CacheState,
    /// How many processes were started.
    pub runs: usize,
    /// The parts of a start in their order, without gaps; the last may be called `other`.
    pub stages: Vec<ColdStage>,
    /// From the start of the process to readiness for calls.
    pub ready: ColdStage,
    /// From the start of the process to the first answer.
    pub first_result: ColdStage,
    /// Most memory that a process used.
    pub peak_memory_bytes: Option<u64>,
    /// Most memory of the card that a process held; `None` where none computed on a card, or the driver does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
}

/// What was in the caches before a cold start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheState {
    /// No built bundle: graphs are built and optimised.
    Empty,
    /// The bundle of an earlier start.
    Present,
    /// The bundle of an earlier start, but the system's page cache was dropped.
    PresentUnread,
}

impl CacheState {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Present => "present",
            Self::PresentUnread => "present, page cache dropped",
        }
    }
}

/// A part of a cold start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColdStage {
    /// Name of the part.
    pub name: String,
    /// Mean over the processes.
    pub mean_ms: f64,
    /// Median over the processes.
    pub p50_ms: Option<Estimate>,
    /// The slowest.
    pub max_ms: f64,
}

impl ColdStage {
    /// The figures of one part, from its time in each process; all 0 where there are none.
    pub fn of(name: &str, milliseconds: &[f64]) -> Self {
        let sorted = sorted(milliseconds.iter().copied());
        Self {
            name: name.to_owned(),
            mean_ms: mean(&sorted),
            p50_ms: Percentile::P50.of_sorted(&sorted),
            max_ms: sorted.last().copied().unwrap_or(0.0),
        }
    }
}

/// Repeated calls of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steady {
    /// Name of the row, unique in the report.
    pub name: String,
    /// The subject that it is about, by name.
    pub subject: String,
    /// How calls were made, such as `closed loop, 1 caller`.
    pub load: String,
    /// Where the embedding came from. `None` for models without one.
    pub embedding: Option<EmbeddingState>,
    /// Where the embeddings of the phrases came from. `None` for models that take no words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextState>,
    /// Figures of the steady part.
    pub summary: Summary,
    /// Most memory of the card that the row's process held until the end of the steady calls, its other rows' among it; `None` as for
    /// [`Cold::device_memory_bytes`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory_bytes: Option<u64>,
    /// Calls that failed.
    pub errors: usize,
    /// Whether the figures may be believed.
    pub verdict: Verdict,
    /// Whether the answers are those of the first subject with the same model, size and prompts; `None` for that subject itself.
    pub parity: Option<Parity>,
    /// All samples, warm-up and steady apart. A report without them is smaller but compares with wider intervals.
    pub samples: Option<Series>,
}

/// Where a call's embedding came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingState {
    /// The picture was encoded in the call.
    Miss,
    /// The picture came again, and its embedding was in the cache.
    Hit,
    /// The caller held the embedding: the call is the prompts' alone.
    Held,
}

impl EmbeddingState {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Held => "held",
        }
    }
}

/// Where the embeddings of a call's phrases came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextState {
    /// The same phrases came again, and their embeddings were in the cache.
    Hit,
    /// The phrases were encoded in the call.
    Miss,
}

impl TextState {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

/// Where the time of a call goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRow {
    /// Name of the row: that of `steady` or `peers` whose calls these are.
    pub name: String,
    /// The subject that it is about, by name.
    pub subject: String,
    /// The stages in their order.
    pub stages: Vec<Stage>,
    /// The whole call.
    pub end_to_end: Stage,
    /// Mean of the whole less the sum of the stages' means; below 0 where stages overlap.
    pub unaccounted_ms: f64,
}

/// One stage of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Mean time.
    pub mean_ms: f64,
    /// Median.
    pub p50_ms: Option<Estimate>,
    /// 99th percentile.
    pub p99_ms: Option<Estimate>,
}

impl Stage {
    /// The figures of one stage, from its time in each call; the mean is 0 where there are none.
    pub fn of(name: &str, milliseconds: &[f64]) -> Self {
        let sorted = sorted(milliseconds.iter().copied());
        let [p50_ms, p99_ms] = [Percentile::P50, Percentile::P99].map(|percentile| percentile.of_sorted(&sorted));
        Self { name: name.to_owned(), mean_ms: mean(&sorted), p50_ms, p99_ms }
    }
}

impl StageRow {
    /// Median of a stage, or its mean where it has too few samples for one; `None` where there is no such stage.
    pub fn stage_ms(&self, name: &str) -> Option<f64> {
        let stage = self.stages.iter().find(|stage| stage.name == name)?;
        Some(stage.p50_ms.map_or(stage.mean_ms, |p50| p50.value))
    }

    /// A row, with what no stage covers. `subject` is the name of one in the report's identity.
    pub fn new(name: &str, subject: &str, stages: Vec<Stage>, end_to_end: Stage) -> Self {
        let covered: f64 = stages.iter().map(|stage| stage.mean_ms).sum();
        let [name, subject] = [name, subject].map(str::to_owned);
        Self { name, subject, unaccounted_ms: end_to_end.mean_ms - covered, stages, end_to_end }
    }
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// A figure over a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Name of the sweep.
    pub name: String,
    /// The parameter, such as `threads`.
    pub parameter: String,
    /// Names of the places 0, 1, 2 … of a parameter that is no number, such as `provider`.
    pub places: Option<Vec<String>>,
    /// What is shown over it.
    pub unit: Unit,
    /// One curve per kind.
    pub curves: Vec<Curve>,
}

/// What a sweep shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Median latency.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Pictures per second.
    #[serde(rename = "images/s")]
    ImagesPerSecond,
}

impl Unit {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::ImagesPerSecond => "images/s",
        }
    }

    /// What the axis shows, without the unit.
    pub fn quantity(self) -> &'static str {
        match self {
            Self::Milliseconds => "median latency",
            Self::ImagesPerSecond => "throughput",
        }
    }
}

/// One curve of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Its points, by rising parameter.
    pub points: Vec<CurvePoint>,
}

/// One point of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// The parameter.
    pub at: f64,
    /// The figure.
    pub figure: Estimate,
}

/// Latency over load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadCurve {
    /// Name of the curve.
    pub name: String,
    /// The subject that it is about, by name.
    pub subject: String,
    /// How calls were made.
    pub kind: LoadKind,
    /// Its points, by rising load.
    pub points: Vec<LoadPoint>,
}

/// How the calls of a load curve were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// Open loop with Poisson arrivals; the load is requests per second.
    Poisson,
    /// Open loop with even arrivals; the load is requests per second.
    Constant,
    /// Closed loop; the load is the number of callers.
    Closed,
}

impl LoadKind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poisson => "open loop, Poisson",
            Self::Constant => "open loop, constant",
            Self::Closed => "closed loop",
        }
    }

    /// The load's name with its unit.
    pub fn load(self) -> &'static str {
        match self {
            Self::Poisson | Self::Constant => "offered rate (requests/s)",
            Self::Closed => "callers",
        }
    }
}

/// One load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadPoint {
    /// Requests per second, or number of callers.
    pub offered: f64,
    /// Answers per second.
    pub achieved_per_second: f64,
    /// Latencies.
    pub summary: Summary,
    /// Mean time that calls waited for others, as the engine tells; `None` where it does not.
    pub queue_ms: Option<f64>,
    /// Rows that ran together on average, as seen by an answer: its own among them. `None` where the engine does not tell.
    pub rows_together: Option<f64>,
    /// Most threads that the process had at a time, those of the callers among them; `None` where the system does not tell.
    pub threads: Option<usize>,
    /// Calls that failed.
    pub errors: usize,
    /// Whether the figures may be believed.
    pub verdict: Verdict,
    /// Of a server: what is behind the latencies. `None` of a model in a process of the benchmark's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerSide>,
}

/// Another program on the same inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Name of the row, unique in the report.
    pub name: String,
    /// The program, with its version.
    pub program: String,
    /// The row of `steady` that it is compared with.
    pub compared_with: String,
    /// Whether its calls and ours took turns, so that both saw the same machine.
    pub is_interleaved: bool,
    /// Its latencies.
    pub summary: Summary,
    /// Whether its figures may be believed.
    pub verdict: Verdict,
    /// Its median over ours: above 1, we are faster.
    pub ratio: Estimate,
    /// From the start of its process to readiness for calls; `None` where it was not measured.
    pub ready: Option<ColdStage>,
    /// From the start of its process to the first answer.
    pub first_result: Option<ColdStage>,
    /// Most memory that its process used.
    pub peak_memory_bytes: Option<u64>,
    /// Whether it gives the same answers. A ratio without parity compares nothing.
    pub parity: Option<Parity>,
    /// What it takes to come to its first answer; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
}

/// Equality of answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parity {
    /// What is compared, such as `least mask IoU`.
    pub metric: String,
    /// What was found.
    pub value: f64,
    /// The least that counts as equal.
    pub least: f64,
}

impl Parity {
    /// Whether the answers count as equal.
    pub fn is_equal(&self) -> bool {
        self.value >= self.least
    }
}

/// How near a limit of the hardware something comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// What was measured: the part of the network; with `subject` and `unit`, unique in the report.
    pub name: String,
    /// The subject that it is about, by name.
    pub subject: String,
    /// Operations, or bytes, of one run.
    pub work: f64,
    /// In what.
    pub unit: CeilingUnit,
    /// What it reaches.
    pub achieved: f64,
    /// The most that a loop without anything else reaches on the same machine.
    pub limit: f64,
}

/// What a ceiling is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CeilingUnit {
    /// Thousand million floating point operations per second; a multiplication and an addition are two.
    #[serde(rename = "GFLOP/s")]
    Gigaflops,
    /// Thousand million bytes of memory traffic per second.
    #[serde(rename = "GB/s")]
    Gigabytes,
}

impl CeilingUnit {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gigaflops => "GFLOP/s",
            Self::Gigabytes => "GB/s",
        }
    }
}

impl Ceiling {
    /// Share of the limit; `None` where the limit is 0.
    pub fn share(&self) -> Option<f64> {
        (self.limit > 0.0).then(|| self.achieved / self.limit)
    }
}
