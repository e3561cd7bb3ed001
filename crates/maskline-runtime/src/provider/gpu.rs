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
}

impl Provider {
    /// The same provider with these wishes.
    ///
    /// # Errors
    /// `InvalidOption` for a wish that the provider cannot fulfil, by its name on the command line.
    pub fn with_gpu(mut self, wishes: &GpuOptions) -> Result<Self> {
        let GpuOptions { device, gpu_memory_limit, tf32, cuda_graph } = *wishes;
        let given = [device.is_some(), gpu_memory_limit.is_some(), tf32, cuda_graph];
        let names = ["--device", "--gpu-memory-limit", "--tf32", "--cuda-graph"];
        let taken = match &mut self {
            Self::Cpu | Self::OpenVino(_) => [false; 4],
            Self::Cuda(options) => {
                options.device_id = device.unwrap_or(options.device_id);
                options.memory_limit = gpu_memory_limit.map(limit).transpose()?.or(options.memory_limit);
                options.tf32 |= tf32;
                options.cuda_graph |= cuda_graph;
                [true; 4]
            }
            Self::TensorRt(options) => {
                options.device_id = device.unwrap_or(options.device_id);
                [true, false, false, false]
            }
        };
        match names.iter().zip(given).zip(taken).find(|((_, given), taken)| *given && !*taken) {
            Some(((name, _), _)) => Err(self.without(name)),
            None => Ok(self),
        }
    }

    fn without(&self, name: &str) -> Error {
        let fits = if name == "--device" && !matches!(self, Self::TensorRt(_)) { "cuda or tensorrt" } else { "cuda" };
        let error = Error::new(ErrorKind::InvalidOption, format!("{name} does not apply to the {self} provider"));
        error.with_help(format!("leave it out, or choose --provider {fits}"))
    }
}

fn limit(bytes: u64) -> Result<usize> {
    let error = || Error::new(ErrorKind::InvalidOption, "--gpu-memory-limit").expecting("at least one byte").finding(bytes);
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
        let all = GpuOptions { device: Some(2), gpu_memory_limit: Some(6_000_000_000), tf32: true, cuda_graph: true };
        let Provider::Cuda(options) = provider("cuda", all).expect("taken") else { panic!("not CUDA") };
        assert_eq!((options.device_id, options.memory_limit, options.tf32, options.cuda_graph), (2, Some(6_000_000_000), true, true));
        let none = provider("cuda", GpuOptions::default()).expect("nothing wished");
        assert_eq!(none, "cuda".parse().expect("cuda"));
    }

    #[test]
    fn what_a_provider_has_not_is_refused_by_its_name() {
        let device = GpuOptions { device: Some(1), ..GpuOptions::default() };
        let limit = GpuOptions { gpu_memory_limit: Some(1 << 30), ..GpuOptions::default() };
        let tf32 = GpuOptions { tf32: true, ..GpuOptions::default() };
        let graph = GpuOptions { cuda_graph: true, ..GpuOptions::default() };
        for (wishes, name, takers) in [
            (&device, "--device", &["cuda", "tensorrt"][..]),
            (&limit, "--gpu-memory-limit", &["cuda"]),
            (&tf32, "--tf32", &["cuda"]),
            (&graph, "--cuda-graph", &["cuda"]),
        ] {
            for known in ["cpu", "openvino", "cuda", "tensorrt"] {
                match provider(known, wishes.clone()) {
                    Ok(_) => assert!(takers.contains(&known), "{known} takes {name}"),
                    Err(error) => {
                        assert!(!takers.contains(&known) && error.kind() == ErrorKind::InvalidOption, "{error}");
                        assert!(error.to_string().contains(&format!("{name} does not apply to the {known} provider")), "{error}");
                        assert!(error.help().is_some_and(|help| help.contains("--provider cuda")), "{error}");
                    }
                }
            }
        }
        let nothing = GpuOptions { gpu_memory_limit: Some(0), ..GpuOptions::default() };
        assert_eq!(provider("cuda", nothing).expect_err("no memory").kind(), ErrorKind::InvalidOption);
    }
}
