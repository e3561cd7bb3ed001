//! What was measured, on what, with what.

use serde::{Deserialize, Serialize};

/// The identity of a run: two reports whose identities differ in more than the tool were not measured alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// When it was measured: RFC 3339, in UTC.
    pub created: String,
    /// This program.
    pub tool: Tool,
    /// The computer.
    pub machine: Machine,
    /// The settings that all subjects share.
    pub run: Run,
    /// The pictures.
    pub inputs: Inputs,
    /// What was measured.
    pub subjects: Vec<Subject>,
}

/// A model with all that decides about its speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name, unique in the report: the model's, with the settings in which it differs from the others.
    pub name: String,
    /// The model.
    pub model: ModelIdentity,
    /// What runs the network.
    pub provider: Provider,
    /// Threads of the network; `None` where a server does not tell.
    pub threads: Option<usize>,
    /// Pictures per call.
    pub batch: usize,
    /// Side of the network's input in pixels, where it is square.
    pub image_size: Option<usize>,
    /// What is asked about each picture; `None` for models that find things by themselves.
    pub prompts: Option<Prompts>,
    /// What each picture is searched for; `None` for models that take no words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
    /// The server that was asked; `None` for a model that ran in a process of the benchmark's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// What it takes to come to its first answer; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
}

/// What somebody must have and do until the first answer. A checkpoint, which all programs take alike, is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effort {
    /// Bytes on disk of all that must be installed; `None` where part of it is not known.
    pub installed_bytes: Option<u64>,
    /// Commands to be given and scripts to be written, in their order; the last one answers.
    pub steps: Vec<String>,
}

/// A server as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where it is.
    pub url: String,
    /// How it was asked, such as `oip, binary`.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it runs the model with, as its metadata say.
    pub platform: Option<String>,
    /// State of the model.
    pub state: Option<String>,
    /// What each request had, such as `INPUT0 FP32 [1, 16]`.
    pub inputs: Vec<String>,
}

/// What a picture is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// Of which kind.
    pub kind: TextKind,
    /// How many, in one call.
    pub count: usize,
}

/// Kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextKind {
    /// One word, of a fixed list.
    Words,
    /// Several words, such as `a small red mug on a table`, of a fixed list.
    Phrases,
    /// Those that the user gave.
    Given,
    /// One word, always the same: the simplest thing to ask.
    Word,
    /// One phrase of several words, always the same.
    Phrase,
    /// Several phrases, always the same: several kinds of objects at once.
    Objects,
}

impl TextKind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Phrases => "phrases",
            Self::Given => "given",
            Self::Word => "word",
            Self::Phrase => "phrase",
            Self::Objects => "objects",
        }
    }

    /// How simple or hard a question is, from one word to several objects: kinds whose phrases are always the same.
    pub(crate) const BY_COMPLEXITY: [Self; 3] = [Self::Word, Self::Phrase, Self::Objects];
}

impl std::str::FromStr for TextKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Self::Words, Self::Phrases].into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("phrases: expected words or phrases, found {name}"))
    }
}

/// What is asked about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// Of which kind.
    pub kind: PromptKind,
    /// How many, in one call.
    pub count: usize,
}

/// Kind of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptKind {
    /// A positive click.
    Click,
    /// A box.
    Box,
    /// A rough mask.
    Mask,
}

impl PromptKind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::Box => "box",
            Self::Mask => "mask",
        }
    }
}

/// The measuring program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// Its commit, where it is known.
    pub commit: Option<String>,
    /// Version of ONNX Runtime.
    pub onnx_runtime: String,
}

/// The model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelIdentity {
    /// Its name.
    pub name: String,
    /// SHA-256 of its weights' file, in hexadecimal; `None` for generated weights.
    pub sha256: Option<String>,
    /// Seed of generated weights: real speed, meaningless answers.
    pub generated_from_seed: Option<u64>,
    /// Key of the built graphs: two runs with the same key ran the same graphs.
    pub bundle: String,
    /// Its family.
    pub family: String,
    /// Its architecture within the family, such as the backbone.
    pub architecture: String,
    /// Of its arithmetic; `None` where a server does not tell.
    pub precision: Option<Precision>,
    /// What computes the layers of its image encoder: `own` for operators of maskline's, `ort` for ONNX Runtime's; `None` where it has none, or
    /// nobody tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<String>,
}

/// Of the network's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point (IEEE half).
    F16,
    /// f32, rounded where a GPU would have f16.
    F16Emulated,
    /// 16-bit floating point (bfloat16).
    Bf16,
    /// 8-bit integers.
    Int8,
}

impl std::str::FromStr for PromptKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = [Self::Click, Self::Box, Self::Mask].into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| format!("kind: expected click, box or mask, found {name}"))
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found =
            [Self::F32, Self::F16, Self::F16Emulated, Self::Bf16, Self::Int8].into_iter().find(|precision| precision.name() == name);
        found.ok_or_else(|| format!("precision: expected f32, f16, f16-emulated, bf16 or int8, found {name}"))
    }
}

impl Precision {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::F16Emulated => "f16-emulated",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// What runs the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What was asked for.
    pub asked: String,
    /// What ran.
    pub actual: String,
    /// Share of the nodes that fell back to the CPU, where it is known.
    pub fallback_share: Option<f64>,
}

/// The computer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The processor as it names itself.
    pub cpu: String,
    /// Its vector instructions, best first.
    pub isa: Option<String>,
    /// Processors that this process may use.
    pub logical_cpus: usize,
    /// How the system picks clock rates.
    pub governor: Option<String>,
    /// Clock during the run, in MHz.
    pub clock_mhz: Option<f64>,
    /// The highest clock that the system allows, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_max_mhz: Option<f64>,
    /// How often processors slowed down for heat during the run; `None` where the system does not count that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttles: Option<u64>,
    /// Highest temperature during the run.
    pub temperature_celsius: Option<f64>,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// Bandwidth of memory as measured in the run, in thousand million bytes per second, with all processors.
    pub bandwidth_gbs: Option<f64>,
    /// Multiplications and additions in registers as measured in the run, in thousand million operations per second, with all processors: no
    /// network computes faster in f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiply_add_gflops: Option<f64>,
    /// Busy processors just before the run: above 0.5, something else was running.
    pub load_before: Option<f64>,
    /// The system, with its version.
    pub os: String,
    /// The accelerator.
    pub device: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
    /// The cards that computed, as their driver tells of them; none where nothing was measured on one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Card>,
}

/// A card that computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// The highest clock of its multiprocessors, in MHz.
    pub clock_max_mhz: Option<f64>,
    /// The power that it may take.
    pub power_limit_watts: Option<f64>,
    /// Just before the steady calls.
    pub before: CardState,
    /// Just after them.
    pub after: CardState,
    /// What lowered its clock in between, such as `power limit` or `heat`; empty where nothing was seen to.
    pub slowed_by: Vec<String>,
}

/// A card at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardState {
    /// Clock of its multiprocessors, in MHz.
    pub clock_mhz: Option<f64>,
    /// Its temperature.
    pub temperature_celsius: Option<f64>,
}

/// The settings that all subjects share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The command's arguments.
    pub arguments: Vec<String>,
    /// Seed of arrivals, order of turns and intervals.
    pub seed: u64,
    /// What the whole run took, in seconds.
    pub seconds: f64,
}

/// The pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// What they are.
    pub name: String,
    /// How many.
    pub count: usize,
    /// SHA-256 over all of them, in hexadecimal.
    pub sha256: String,
    /// Whether they are made up instead of photographed.
    pub is_synthetic: bool,
}
