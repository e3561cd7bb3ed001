//! The process that a model runs in while it is measured.
//!
//! Each model with its provider, threads and size has a process of its own: none sees the caches, the threads or the runtime library of
//! another, its memory is its own, and starting it is what a cold start is. It is this program once more: whoever measures calls
//! [`serve`] in a process that [`Worker`](crate::measure::Worker) starts. Both talk in lines of JSON: an [`Assignment`], then an
//! [`Order`] per line, each answered by [`Message`]s; at the end of its input the process ends.

mod phrases;
mod prompts;
mod serve;
mod subject;

use std::path::PathBuf;
use std::time::Duration;

use maskline::runtime::GpuOptions;
use maskline::{Delays, ErrorKind, HeadBranch, Kernels, MaskDecoder, ModelInfo, ModelSource, ProviderShare};
use serde::{Deserialize, Serialize};

pub(crate) use phrases::{LEAST_SCORE, most_phrases, phrases, phrases_of};
pub(crate) use prompts::places;
pub(crate) use prompts::prompts;
pub use prompts::{boxes, middle};
pub use serve::{Process, serve, try_provider};

use crate::report::{EmbeddingState, Precision, Prompts, TextState, Texts};

/// What a process is started for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The model.
    pub source: ModelSource,
    /// What runs it.
    pub compute: Compute,
    /// Where things are.
    pub place: Place,
    /// The pictures; calls go over them in turn.
    pub pictures: Vec<PathBuf>,
    /// What the first call asks, of a model that takes prompts.
    pub first: Prompts,
    /// What a model is asked for that takes words.
    #[serde(default)]
    pub wording: Wording,
    /// Sleeps within stages: the self-test's.
    #[serde(default)]
    pub delays: Delays,
}

/// What a model is asked for in words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// Of the first call; `None` for one word.
    pub first: Option<Texts>,
    /// The phrases that the user gave.
    pub given: Vec<String>,
    /// A model that takes words and prompts is asked by prompts.
    #[serde(default)]
    pub is_by_prompts: bool,
}

/// What runs a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// `cpu`, `openvino`, `cuda` or `tensorrt`.
    pub provider: String,
    /// What else is said of a GPU.
    #[serde(default)]
    pub gpu: GpuOptions,
    /// Of the arithmetic.
    pub precision: Precision,
    /// Threads.
    pub threads: usize,
    /// Side of the network's input; `None` for the model's own.
    pub size: Option<usize>,
    /// Mask decoder; `None` for the one that is fastest here.
    #[serde(default)]
    pub decoder: Option<MaskDecoder>,
    /// Layers of image encoders.
    #[serde(default)]
    pub kernels: Kernels,
    /// Which of a detector's two heads answers; `None` for the one that its reference predicts with.
    #[serde(default)]
    pub head: Option<HeadBranch>,
}

/// Where things are, if not where the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// ONNX Runtime.
    pub runtime: Option<PathBuf>,
    /// Directory of the bundles.
    pub bundles: Option<PathBuf>,
    /// Never use the network.
    pub offline: bool,
}

/// Calls of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// Pictures per call.
    pub batch: usize,
    /// What is asked, and where the embedding comes from; `None` for models that take no prompts.
    pub asked: Option<(Prompts, EmbeddingState)>,
    /// What is searched for; `None` for models that take no words.
    #[serde(default)]
    pub sought: Option<Sought>,
}

/// What pictures are searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sought {
    /// The phrases.
    pub texts: Texts,
    /// Where the picture's embedding comes from.
    pub embedding: EmbeddingState,
    /// Where the phrases' embeddings come from.
    pub text: TextState,
}

impl Track {
    /// Where the embedding of a picture comes from; `None` for models that have none.
    pub fn embedding(&self) -> Option<EmbeddingState> {
        self.asked.map(|(_, state)| state).or(self.sought.map(|sought| sought.embedding))
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Calls one after another for a time, but at least so many: [`Message::Turn`].
    Turn {
        /// Of which kind.
        track: Track,
        /// Index of the first call, which says what pictures it has.
        first: usize,
        /// No call starts later.
        seconds: f64,
        /// At least so many.
        calls: usize,
    },
    /// The answer on one picture: [`Message::Objects`].
    Answer {
        /// Of which kind.
        track: Track,
        /// The picture.
        picture: PathBuf,
    },
    /// Callers that wait for their answers, each with prompts of his own: [`Message::Load`].
    Closed {
        /// Of which kind.
        track: Track,
        /// How many callers.
        callers: usize,
        /// No call starts later.
        seconds: f64,
    },
    /// Calls at given times: [`Message::Load`].
    Open {
        /// Of which kind.
        track: Track,
        /// Intended starts.
        arrivals: Vec<Duration>,
        /// Threads that make the calls.
        workers: usize,
    },
    /// The model's graphs in standard operators, for other programs: [`Message::Portable`].
    Portable,
    /// The rate of matrix products, with the assignment's provider and threads: [`Message::Gemm`].
    Gemm,
}

/// What the process says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The first answer is there.
    First {
        /// What was loaded.
        facts: Box<Facts>,
        /// The parts of the start, in their order.
        stages: Vec<(String, f64)>,
        /// When the process began, in nanoseconds since 1970 by the system's clock.
        began: u64,
        /// The answer.
        objects: serde_json::Value,
    },
    /// Nothing is left to warm up.
    Ready {
        /// What it took after the first answer, in milliseconds.
        warm_up_ms: f64,
        /// Most memory so far.
        peak_memory_bytes: Option<u64>,
    },
    /// The calls of a turn.
    Turn {
        /// Names of the stages.
        stages: Vec<String>,
        /// The calls in their order.
        calls: Vec<Call>,
        /// From the first start to the last end, in milliseconds.
        elapsed_ms: f64,
        /// What the failed ones said, at most ten.
        errors: Vec<String>,
    },
    /// An answer.
    Objects(serde_json::Value),
    /// The calls of a load.
    Load {
        /// The calls by index.
        calls: Vec<LoadCall>,
        /// What the failed ones said, at most ten.
        errors: Vec<String>,
    },
    /// Graphs in standard operators.
    Portable {
        /// Parts, and their files.
        parts: Vec<(String, PathBuf)>,
        /// What the model is.
        info: Box<ModelInfo>,
    },
    /// Thousand million operations per second.
    Gemm(f64),
    /// What [`try_provider`] says of a provider that computes.
    Computed,
    /// An order could not be done, or the start failed.
    Failed {
        /// Of which kind.
        kind: ErrorKind,
        /// In words.
        message: String,
    },
}

/// One call of a turn that was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Start from the start of the turn, in milliseconds.
    pub start_ms: f64,
    /// From path to answers in the form in which they are given out, in milliseconds.
    pub total_ms: f64,
    /// Index of the first picture.
    pub picture: u32,
    /// The engine's own times of the stages, in milliseconds.
    pub stages_ms: Vec<f64>,
}

/// One call of a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoadCall {
    /// When it should have started, from the start of the run.
    pub intended: Duration,
    /// When it started.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
    /// Number of what was asked: the picture, and the caller's own prompts.
    pub input: u32,
    /// Whether there was an answer.
    pub is_ok: bool,
    /// What the engine says that it waited for other calls; `None` where there was no answer.
    pub queue: Option<Duration>,
    /// Rows that ran together, its own among them; `None` where the engine does not tell.
    pub rows_together: Option<usize>,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Short name of the model.
    pub name: String,
    /// Family.
    pub family: String,
    /// Architecture.
    pub architecture: String,
    /// Whether it takes prompts.
    pub is_promptable: bool,
    /// Whether it is told by words what to find.
    pub takes_words: bool,
    /// Height and width of the network's input.
    pub input: [usize; 2],
    /// Version of ONNX Runtime.
    pub onnx_runtime: String,
    /// What really runs the network, such as `cpu`; several are joined by `+`.
    pub provider: String,
    /// Nodes of the graph by provider.
    pub shares: Vec<Share>,
    /// Whether bundle and optimised graph were there already.
    pub was_cached: bool,
    /// Key of the bundle.
    pub bundle: String,
    /// What computes the layers of its image encoder, [`Kernels::Own`] or [`Kernels::Ort`]; `None` where it has none.
    #[serde(default)]
    pub kernels: Option<Kernels>,
    /// Parts of the network, and their files.
    pub parts: Vec<(String, PathBuf)>,
    /// Further looks after the first for a click, of networks that look at the picture itself; `None` for all others.
    pub refinements: Option<usize>,
}

/// Nodes that a provider took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its name.
    pub name: String,
    /// How many; `None` where nothing else can run them.
    pub nodes: Option<usize>,
}

impl From<&ProviderShare> for Share {
    fn from(share: &ProviderShare) -> Self {
        Self { name: share.name.clone(), nodes: share.nodes }
    }
}
