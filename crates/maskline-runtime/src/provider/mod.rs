//! Execution providers: what a session computes on.

mod cuda;
mod gpu;
mod openvino;
mod shapes;
mod tensorrt;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::memory::AllocationDevice;

pub use cuda::{ArenaGrowth, ConvolutionSearch, CudaOptions};
pub use gpu::GpuOptions;
pub use openvino::{InferencePrecision, OpenVinoOptions, PerformanceHint};
pub use shapes::{ShapeProfile, Shaped, Shapes};
pub use tensorrt::TensorRtOptions;

use crate::error::{Error, ErrorKind, Result};
use crate::kept::Device;
use crate::library::Library;

/// What a session computes on, with the provider's options.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Provider {
    /// ONNX Runtime's own CPU kernels.
    #[default]
    Cpu,
    /// Intel OpenVINO: needs [`Variant::OpenVino`](crate::Variant::OpenVino).
    OpenVino(OpenVinoOptions),
    /// NVIDIA CUDA: needs [`Variant::Cuda13`](crate::Variant::Cuda13) or [`Variant::Cuda12`](crate::Variant::Cuda12), a driver, that version of
    /// CUDA, and cuDNN 9.
    Cuda(CudaOptions),
    /// NVIDIA TensorRT: needs what CUDA needs, and TensorRT 10. What it does not support runs on CUDA.
    TensorRt(TensorRtOptions),
}

impl Provider {
    /// `cpu`, `openvino`, `cuda` or `tensorrt`: what [`FromStr`] takes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino(_) => "openvino",
            Self::Cuda(_) => "cuda",
            Self::TensorRt(_) => "tensorrt",
        }
    }

    /// The name that ONNX Runtime gives it, e.g. `CUDAExecutionProvider`.
    pub fn runtime_name(&self) -> &'static str {
        match self {
            Self::Cpu => ep::CPU::NAME,
            Self::OpenVino(_) => ep::OpenVINO::NAME,
            Self::Cuda(_) => ep::CUDA::NAME,
            Self::TensorRt(_) => ep::TensorRT::NAME,
        }
    }

    /// The short name of a provider that ONNX Runtime names, or that name where it is not one of ours.
    pub(crate) fn short_name(runtime_name: &str) -> &str {
        match runtime_name {
            ep::CPU::NAME => "cpu",
            ep::OpenVINO::NAME => "openvino",
            ep::CUDA::NAME => "cuda",
            ep::TensorRT::NAME => "tensorrt",
            other => other,
        }
    }

    /// Whether it computes in memory of its own, where outputs can stay ([`Job::staying`](crate::Job::staying)).
    pub fn has_memory(&self) -> bool {
        self.device().is_some()
    }

    /// Whether it compiles a network for the shapes that have come, and anew for each that is outside of these.
    pub fn compiles_shapes(&self) -> bool {
        matches!(self, Self::TensorRt(options) if options.profile.is_none())
    }

    /// The memory that it computes in, where that is not the host's.
    pub(crate) fn device(&self) -> Option<Device> {
        let id = match self {
            Self::Cuda(options) => options.device_id,
            Self::TensorRt(options) => options.device_id,
            Self::Cpu | Self::OpenVino(_) => return None,
        };
        Some(Device { kind: AllocationDevice::CUDA, id: device(id) })
    }

    /// Whether this is the CPU provider, for which nothing has to be registered.
    pub fn is_cpu(&self) -> bool {
        matches!(self, Self::Cpu)
    }

    /// Whether its device has units for f16: GPUs and NPUs. (Processors that have them as well compute the rest of a network slower than in
    /// f32.)
    pub fn computes_in_half(&self) -> bool {
        match self {
            Self::Cpu => false,
            Self::OpenVino(options) => ["GPU", "NPU"].iter().any(|device| options.device.contains(device)),
            Self::Cuda(_) | Self::TensorRt(_) => true,
        }
    }

    /// What is to be registered, in this order; a failure to register is an error.
    pub(crate) fn dispatches(&self, settings: &Settings<'_>) -> Vec<ExecutionProviderDispatch> {
        match self {
            Self::Cpu => vec![ep::CPU::default().build().error_on_failure()],
            Self::OpenVino(options) => vec![openvino::dispatch(options, settings)],
            Self::Cuda(options) => vec![cuda::dispatch(options, settings.capture)],
            Self::TensorRt(options) => {
                let rest = CudaOptions { device_id: options.device_id, ..CudaOptions::default() };
                vec![tensorrt::dispatch(options, settings), cuda::dispatch(&rest, false)]
            }
        }
    }

    /// What of it changes what is computed or compiled, as a part of keys.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::OpenVino(options) => options.key(),
            Self::Cpu | Self::Cuda(_) | Self::TensorRt(_) => self.name().to_owned(),
        }
    }

    /// Fails when the loaded library was built without this provider, and for options that it cannot follow.
    pub(crate) fn check(&self, library: &Library) -> Result<()> {
        if let Self::OpenVino(options) = self {
            options.check()?;
        }
        if library.providers().contains(&self.name()) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::ProviderUnavailable, format!("the loaded {library} has no {self} provider")).with_help(self.way_out()))
    }

    pub(crate) fn way_out(&self) -> &'static str {
        match self {
            Self::Cpu => "use an unmodified ONNX Runtime",
            Self::OpenVino(_) => {
                "`maskline runtime install openvino` brings a build that has it (Linux x86_64), or choose another provider"
            }
            Self::Cuda(_) | Self::TensorRt(_) => {
                "`maskline runtime install cuda13` (cuda12 for drivers older than 580) brings a build that has it, unless another library is named \
                 (--runtime, MASKLINE_ONNXRUNTIME); `maskline doctor` says what else is missing"
            }
        }
    }

    /// What to do where the library has it and it does not start.
    pub(crate) fn start_help(&self) -> String {
        format!("`maskline doctor --provider {self}` says what is here and what is missing; or choose another provider")
    }
}

/// A device's index as ONNX Runtime takes it; one that is too large for it is no device's.
fn device(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// What a provider takes from the session's options.
pub(crate) struct Settings<'a> {
    pub(crate) threads: usize,
    pub(crate) cache: Option<&'a Path>,
    /// Folder of TensorRT's engines, where it is known which device, driver and TensorRT they are for.
    pub(crate) engines: Option<&'a Path>,
    /// Whether CUDA captures the session's runs.
    pub(crate) capture: bool,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "openvino" => Ok(Self::OpenVino(OpenVinoOptions::default())),
            "cuda" => Ok(Self::Cuda(CudaOptions::default())),
            "tensorrt" => Ok(Self::TensorRt(TensorRtOptions::default())),
            other => Err(Error::new(ErrorKind::InvalidOption, format!("unknown provider {other:?}"))
                .with_help("the providers are cpu, openvino, cuda and tensorrt")),
        }
    }
}

/// How many nodes of a session's graph a provider took, after fusion: what a provider compiles counts as one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderShare {
    /// `cpu`, `openvino`, `cuda`, `tensorrt`, or ONNX Runtime's name of another provider.
    pub name: String,
    /// The number of nodes; `None` where the runtime was not asked because nothing else can run them (CPU sessions).
    pub nodes: Option<usize>,
}

/// Reads ONNX Runtime's report of node placements: ` All nodes placed on [X]. Number of nodes: 3` and
/// ` Node(s) placed on [X]. Number of nodes: 2`, logged while a session is created.
pub(crate) fn parse_placement(message: &str) -> Option<ProviderShare> {
    let (_, rest) = message.split_once("placed on [")?;
    let (name, rest) = rest.split_once(']')?;
    let (_, count) = rest.split_once("Number of nodes: ")?;
    let digits: String = count.trim_start().chars().take_while(char::is_ascii_digit).collect();
    Some(ProviderShare { name: Provider::short_name(name).to_owned(), nodes: Some(digits.parse().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["cpu", "openvino", "cuda", "tensorrt"] {
            let provider: Provider = name.parse().expect("a known provider");
            assert_eq!(provider.to_string(), name);
            assert_eq!(Provider::short_name(provider.runtime_name()), name);
        }
        let error = "coreml".parse::<Provider>().expect_err("not one of ours");
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }

    #[test]
    fn placements_are_read() {
        let share = |name: &str, nodes| Some(ProviderShare { name: name.into(), nodes: Some(nodes) });
        assert_eq!(parse_placement(" All nodes placed on [CPUExecutionProvider]. Number of nodes: 12"), share("cpu", 12));
        assert_eq!(
            parse_placement(" Node(s) placed on [XnnpackExecutionProvider]. Number of nodes: 3\n"),
            share("XnnpackExecutionProvider", 3)
        );
        assert_eq!(parse_placement("Node placements"), None);
    }
}
