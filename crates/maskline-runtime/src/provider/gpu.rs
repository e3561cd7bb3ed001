//! What the command line and settings may say of a card, whatever provider uses it.

use serde::{Deserialize, Serialize};

use super::Provider;
use crate::error::{Error, ErrorKind, Result};

/// Wishes about a card, to be put into a provider's own options: [`Provider::with_gpu`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GpuOptions {
    /// Index of the device; `None`: the first.
    pub device: Option<u32>,
    /// Most bytes of each session's memory arena.
    pub gpu_memory_limit: Option<u64>,
    /// TF32 in f32 products and convolutions.
    pub tf32: bool,
    /// Capture the runs of networks with fixed shapes as CUDA graphs.
    pub cuda_graph: bool,
    /// How long TensorRT looks for a fast engine, 0 to 5.
    pub tensorrt_level: Option<u8>,
    /// Most bytes that TensorRT works with while it builds an engine.
    pub tensorrt_workspace: Option<u64>,
}

/// A wish by its name on the command line.
struct Wish {
    name: &'static str,
    is_given: bool,
    /// Providers that can fulfil it.
    takers: &'static [&'static str],
}

const CUDA: &[&str] = &["cuda"];
const TENSORRT: &[&str] = &["tensorrt"];
const BOTH: &[&str] = &["cuda", "tensorrt"];

impl GpuOptions {
    fn wishes(&self) -> [Wish; 6] {
        let Self { device, gpu_memory_limit, tf32, cuda_graph, tensorrt_level, tensorrt_workspace } = *self;
        let wish = |name, is_given, takers| Wish { name, is_given, takers };
        [
            wish("--device", device.is_some(), BOTH),
            wish("--gpu-memory-limit", gpu_memory_limit.is_some(), CUDA),
            wish("--tf32", tf32, CUDA),
            wish("--cuda-graph", cuda_graph, CUDA),
            wish("--tensorrt-level", tensorrt_level.is_some(), TENSORRT),
            wish("--tensorrt-workspace", tensorrt_workspace.is_some(), TENSORRT),
        ]
    }
}

impl Provider {
    /// The same provider with these wishes.
    ///
    /// # Errors
    /// `InvalidOption` for a wish that the provider cannot fulfil, by its name on the command line.
    pub fn with_gpu(mut self, wishes: &GpuOptions) -> Result<Self> {
        if let Some(wish) = wishes.wishes().iter().find(|wish| wish.is_given && !wish.takers.contains(&self.name())) {
            let error = Error::new(ErrorKind::InvalidOption, format!("{} does not apply to the {self} provider", wish.name));
            return Err(error.with_help(format!("leave it out, or choose --provider {}", wish.takers.join(" or "))));
        }
        match &mut self {
            Self::Cpu | Self::OpenVino(_) => {}
            Self::Cuda(options) => {
                options.device_id = wishes.device.unwrap_or(options.device_id);
                options.memory_limit =
                    wishes.gpu_memory_limit.map(|bytes| limit("--gpu-memory-limit", bytes)).transpose()?.or(options.memory_limit);
                options.tf32 |= wishes.tf32;
                options.cuda_graph |= wishes.cuda_graph;
            }
            Self::TensorRt(options) => {
                options.device_id = wishes.device.unwrap_or(options.device_id);
                options.builder_level = wishes.tensorrt_level.map(level).transpose()?.or(options.builder_level);
                options.workspace =
                    wishes.tensorrt_workspace.map(|bytes| limit("--tensorrt-workspace", bytes)).transpose()?.or(options.workspace);
            }
        }
        Ok(self)
    }
}

fn level(level: u8) -> Result<u8> {
    let error = || Error::new(ErrorKind::InvalidOption, "--tensorrt-level").expecting("0 to 5").finding(level);
    (level <= 5).then_some(level).ok_or_else(error)
}

fn limit(name: &str, bytes: u64) -> Result<usize> {
    let error = || Error::new(ErrorKind::InvalidOption, name).expecting("at least one byte").finding(bytes);
    usize::try_from(bytes).ok().filter(|bytes| *bytes > 0).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(name: &str, wishes: GpuOptions) -> Result<Provider> {
        name.parse::<Provider>()?.with_gpu(&wishes)
    }

    #[test]
    fn cuda_takes_all_wishes() {
        let all =
            GpuOptions { device: Some(2), gpu_memory_limit: Some(6_000_000_000), tf32: true, cuda_graph: true, ..GpuOptions::default() };
        let Provider::Cuda(options) = provider("cuda", all).expect("taken") else { panic!("not CUDA") };
        assert_eq!((options.device_id, options.memory_limit, options.tf32, options.cuda_graph), (2, Some(6_000_000_000), true, true));
        let none = provider("cuda", GpuOptions::default()).expect("nothing wished");
        assert_eq!(none, "cuda".parse().expect("cuda"));
    }

    #[test]
    fn tensorrt_takes_how_engines_are_built() {
        let wishes = GpuOptions { tensorrt_level: Some(5), tensorrt_workspace: Some(1 << 30), ..GpuOptions::default() };
        let Provider::TensorRt(options) = provider("tensorrt", wishes).expect("taken") else { panic!("not TensorRT") };
        assert_eq!((options.builder_level, options.workspace), (Some(5), Some(1 << 30)));
        let error = provider("tensorrt", GpuOptions { tensorrt_level: Some(6), ..GpuOptions::default() }).expect_err("no such level");
        assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("expected 0 to 5, found 6"), "{error}");
    }

    #[test]
    fn what_a_provider_has_not_is_refused_by_its_name() {
        let device = GpuOptions { device: Some(1), ..GpuOptions::default() };
        let limit = GpuOptions { gpu_memory_limit: Some(1 << 30), ..GpuOptions::default() };
        let tf32 = GpuOptions { tf32: true, ..GpuOptions::default() };
        let graph = GpuOptions { cuda_graph: true, ..GpuOptions::default() };
        let level = GpuOptions { tensorrt_level: Some(3), ..GpuOptions::default() };
        let workspace = GpuOptions { tensorrt_workspace: Some(1 << 30), ..GpuOptions::default() };
        for (wishes, name, takers) in [
            (&device, "--device", &["cuda", "tensorrt"][..]),
            (&limit, "--gpu-memory-limit", &["cuda"]),
            (&tf32, "--tf32", &["cuda"]),
            (&graph, "--cuda-graph", &["cuda"]),
            (&level, "--tensorrt-level", &["tensorrt"]),
            (&workspace, "--tensorrt-workspace", &["tensorrt"]),
        ] {
            for known in ["cpu", "openvino", "cuda", "tensorrt"] {
                match provider(known, wishes.clone()) {
                    Ok(_) => assert!(takers.contains(&known), "{known} takes {name}"),
                    Err(error) => {
                        assert!(!takers.contains(&known) && error.kind() == ErrorKind::InvalidOption, "{error}");
                        assert!(error.to_string().contains(&format!("{name} does not apply to the {known} provider")), "{error}");
                        assert!(error.help().is_some_and(|help| help.contains("--provider ")), "{error}");
                    }
                }
            }
        }
        let nothing = GpuOptions { gpu_memory_limit: Some(0), ..GpuOptions::default() };
        assert_eq!(provider("cuda", nothing).expect_err("no memory").kind(), ErrorKind::InvalidOption);
    }
}
