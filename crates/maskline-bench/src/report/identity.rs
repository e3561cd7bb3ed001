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
    /// The model.
    pub model: ModelIdentity,
    /// What runs the network.
    pub provider: Provider,
    /// The computer.
    pub machine: Machine,
    /// The settings.
    pub run: Run,
    /// The pictures.
    pub inputs: Inputs,
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
    /// SHA-256 of its weights, in hexadecimal.
    pub sha256: String,
    /// Its family.
    pub family: String,
    /// Its architecture within the family, such as the backbone.
    pub architecture: String,
    /// Of its arithmetic.
    pub precision: Precision,
}

/// Of the network's arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point (IEEE half).
    F16,
    /// 16-bit floating point (bfloat16).
    Bf16,
    /// 8-bit integers.
    Int8,
}

impl Precision {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
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
    /// Highest temperature during the run.
    pub temperature_celsius: Option<f64>,
    /// Memory.
    pub memory_bytes: Option<u64>,
    /// The system, with its version.
    pub os: String,
    /// The accelerator.
    pub device: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Threads of the network.
    pub threads: usize,
    /// Pictures per call.
    pub batch: usize,
    /// Side of the network's input in pixels, where it was set.
    pub image_size: Option<usize>,
    /// Prompts per picture.
    pub prompts: Option<usize>,
    /// Seed of arrivals, order of inputs and intervals.
    pub seed: u64,
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
