//! Intel OpenVINO.
//!
//! OpenVINO takes a graph piece by piece: what it lacks runs on ONNX Runtime's CPU kernels, with a copy at each border. So its graphs are
//! built of standard operators alone, and it takes them whole.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};

use super::Settings;
use crate::Library;
use crate::error::{Error, ErrorKind, Result};

/// Options of [`Provider::OpenVino`](super::Provider::OpenVino).
#[derive(Debug, Clone, PartialEq)]
pub struct OpenVinoOptions {
    /// OpenVINO's device: `CPU`, `GPU`, `GPU.1`, `NPU`, `AUTO:GPU,CPU` ...
    pub device: String,
    /// Where compiled models are kept, whether or not this OpenVINO can read them back; `None`:
    /// [`LaneOptions::optimised`](crate::LaneOptions::optimised), where it can.
    pub cache: Option<PathBuf>,
    /// Arithmetic inside the network.
    pub precision: InferencePrecision,
    /// What the device is tuned for; `None`: its own choice, which on processors is [`PerformanceHint::Latency`].
    pub hint: Option<PerformanceHint>,
    /// Streams: how many requests one session is laid out for, which share the threads. `None`: one, as a lane runs one call at a time.
    pub streams: Option<usize>,
}

impl Default for OpenVinoOptions {
    fn default() -> Self {
        Self { device: "CPU".into(), cache: None, precision: InferencePrecision::default(), hint: None, streams: None }
    }
}

/// Arithmetic that OpenVINO computes in, whatever the weights are kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InferencePrecision {
    /// 32 bits: what the other providers compute. (Left alone, OpenVINO takes bf16 or f16 where a device is faster so.)
    #[default]
    F32,
    /// 16 bits with the range of f32: processors with AVX-512.
    Bf16,
    /// 16 bits: GPUs, NPUs, and processors with AVX-512 FP16.
    F16,
}

impl InferencePrecision {
    /// `f32`, `bf16` or `f16`: what [`FromStr`] takes, and OpenVINO's own names.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// Whether this processor has it. OpenVINO computes in f32 where it has not, and does not say so.
    fn is_native(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => has_avx512_core(),
            Self::F16 => has_avx512_fp16(),
        }
    }
}

/// What a device is tuned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerformanceHint {
    /// The shortest time of one call.
    Latency,
    /// The most calls per second, with several under way.
    Throughput,
}

impl PerformanceHint {
    /// `latency` or `throughput`: what [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
        }
    }
}

macro_rules! by_name {
    ($type:ty, $what:literal, [$($variant:ident),+]) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = Error;

            fn from_str(name: &str) -> Result<Self> {
                let all = [$(Self::$variant),+];
                all.into_iter().find(|value| value.name() == name).ok_or_else(|| {
                    let names = all.map(Self::name).join(", ");
                    Error::new(ErrorKind::InvalidOption, $what).expecting(names).finding(name)
                })
            }
        }
    };
}

by_name!(InferencePrecision, "inference precision", [F32, Bf16, F16]);
by_name!(PerformanceHint, "performance hint", [Latency, Throughput]);

#[cfg(target_arch = "x86_64")]
fn has_avx512_core() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512bw")
        && std::arch::is_x86_feature_detected!("avx512vl")
        && std::arch::is_x86_feature_detected!("avx512dq")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512_fp16() -> bool {
    has_avx512_core() && processor_has("avx512_fp16")
}

/// What the standard library cannot yet ask for.
#[cfg(target_arch = "x86_64")]
fn processor_has(flag: &str) -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().find(|line| line.starts_with("flags")).is_some_and(|line| line.split_whitespace().any(|word| word == flag))
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512_core() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512_fp16() -> bool {
    false
}

/// Most streams of a session: what ONNX Runtime takes.
const MOST_STREAMS: usize = 8;

impl OpenVinoOptions {
    /// Refuses what OpenVINO would answer with something else in silence.
    ///
    /// # Errors
    /// `InvalidOption`.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidOption, what);
        if let Some(streams) = self.streams.filter(|streams| !(1..=MOST_STREAMS).contains(streams)) {
            return Err(invalid("streams of OpenVINO".into()).expecting(format!("1 to {MOST_STREAMS}")).finding(streams));
        }
        if self.device == "CPU" && !self.precision.is_native() {
            let needs = if self.precision == InferencePrecision::Bf16 { "AVX-512" } else { "AVX-512 FP16" };
            let what = format!("inference precision {}: this processor has no {needs}, and OpenVINO would compute in f32", self.precision);
            return Err(invalid(what).with_help("leave it at f32"));
        }
        Ok(())
    }

    /// What of them changes what is computed or compiled.
    pub(super) fn key(&self) -> String {
        let Self { device, precision, hint, streams, .. } = self;
        format!("openvino {device} {precision} {hint:?} {streams:?}")
    }

    /// Whether compiled models are of use: what OpenVINO writes for processors is read by a frontend that not every build of it brings
    /// (the wheel of ONNX Runtime for Linux does not). Without it each start would write them, and compile anew all the same.
    pub(crate) fn reads_compiled(&self, library: &Library) -> bool {
        !self.device.contains("CPU") || has_reader(library.path().parent().unwrap_or(Path::new(".")))
    }

    /// What the options of ONNX Runtime do not say, in the properties of OpenVINO. Of threads: its own option also makes so many requests,
    /// with buffers for each.
    fn properties(&self, threads: usize) -> String {
        let mut all = serde_json::Map::new();
        for device in ["CPU", "GPU", "NPU"].into_iter().filter(|device| self.device.contains(device)) {
            let mut properties = serde_json::Map::new();
            let mut set = |name: &str, value: String| properties.insert(name.to_owned(), value.into());
            set("INFERENCE_PRECISION_HINT", self.precision.name().into());
            if device == "CPU" {
                set("INFERENCE_NUM_THREADS", threads.to_string());
            }
            if let Some(hint) = self.hint {
                set("PERFORMANCE_HINT", hint.name().to_uppercase());
            }
            all.insert(device.to_owned(), properties.into());
        }
        serde_json::Value::Object(all).to_string()
    }
}

/// Whether a folder has the library that reads compiled models of processors.
fn has_reader(folder: &Path) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.into_iter().any(|file| file.file_name().to_string_lossy().contains("openvino_ir_frontend"))
}

pub(super) fn dispatch(options: &OpenVinoOptions, settings: &Settings<'_>) -> ExecutionProviderDispatch {
    let provider = ep::OpenVINO::default().with_device_type(&options.device);
    let mut provider = provider.with_arbitrary_config("load_config", options.properties(settings.threads));
    if let Some(streams) = options.streams {
        // Not more than `MOST_STREAMS`, which was checked.
        provider = provider.with_num_streams(u8::try_from(streams).unwrap_or(u8::MAX));
    }
    if let Some(cache) = options.cache.as_deref().or(settings.cache) {
        provider = provider.with_cache_dir(cache.display());
    }
    provider.build().error_on_failure()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_name_threads_precision_and_hint() {
        let options = OpenVinoOptions { hint: Some(PerformanceHint::Throughput), ..OpenVinoOptions::default() };
        let expected = r#"{"CPU":{"INFERENCE_NUM_THREADS":"3","INFERENCE_PRECISION_HINT":"f32","PERFORMANCE_HINT":"THROUGHPUT"}}"#;
        assert_eq!(options.properties(3), expected);
        let gpu = OpenVinoOptions { device: "AUTO:GPU.1,CPU".into(), ..OpenVinoOptions::default() };
        assert!(gpu.properties(3).contains(r#""GPU":{"INFERENCE_PRECISION_HINT":"f32"}"#), "{}", gpu.properties(3));
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let refused = |options: OpenVinoOptions| options.check().expect_err("refused");
        for streams in [0, MOST_STREAMS + 1] {
            let error = refused(OpenVinoOptions { streams: Some(streams), ..OpenVinoOptions::default() });
            assert_eq!(error.kind(), ErrorKind::InvalidOption);
        }
        for precision in [InferencePrecision::Bf16, InferencePrecision::F16] {
            let options = OpenVinoOptions { precision, ..OpenVinoOptions::default() };
            assert_eq!(options.check().is_ok(), precision.is_native(), "{precision}");
            assert!(OpenVinoOptions { device: "GPU".into(), ..options }.check().is_ok());
        }
        assert!(OpenVinoOptions { streams: Some(1), ..OpenVinoOptions::default() }.check().is_ok());
    }

    #[test]
    fn names_round_trip() {
        for name in ["f32", "bf16", "f16"] {
            assert_eq!(name.parse::<InferencePrecision>().expect("known").to_string(), name);
        }
        for name in ["latency", "throughput"] {
            assert_eq!(name.parse::<PerformanceHint>().expect("known").to_string(), name);
        }
        assert_eq!("fast".parse::<PerformanceHint>().expect_err("unknown").kind(), ErrorKind::InvalidOption);
    }

    #[test]
    fn the_reader_of_compiled_models_is_found_by_its_file() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(!has_reader(folder.path()) && !has_reader(&folder.path().join("absent")));
        std::fs::write(folder.path().join("libopenvino_ir_frontend.so.2541"), []).expect("file");
        assert!(has_reader(folder.path()));
    }
}
