//! What the arguments say of a GPU.

use clap::Args;
use maskline::runtime::{GpuOptions, Provider, parse_bytes};

use crate::failure::Failure;

/// Wishes about a GPU; each is refused where the provider has no such option.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct Gpu {
    /// GPU that computes, counted from 0 (cuda, tensorrt).
    #[arg(long, value_name = "N")]
    pub(crate) device: Option<u32>,
    /// Most memory that each network may take of the GPU, such as 6GB; cuDNN and cuBLAS take some beside it (cuda).
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) gpu_memory_limit: Option<u64>,
    /// Compute in TF32: faster, with errors of about 1e-3 (cuda).
    #[arg(long)]
    pub(crate) tf32: bool,
    /// Capture the runs of networks with fixed shapes as CUDA graphs (cuda).
    #[arg(long)]
    pub(crate) cuda_graph: bool,
    /// How long TensorRT looks for a fast engine, 0 to 5 (tensorrt). [default: 3]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) tensorrt_level: Option<u8>,
    /// Most memory of the GPU that TensorRT works with while it builds an engine, such as 4GB (tensorrt). [default: all]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) tensorrt_workspace: Option<u64>,
}

impl Gpu {
    pub(crate) fn options(&self) -> GpuOptions {
        let Self { device, gpu_memory_limit, tf32, cuda_graph, tensorrt_level, tensorrt_workspace } = *self;
        GpuOptions { device, gpu_memory_limit, tf32, cuda_graph, tensorrt_level, tensorrt_workspace }
    }

    /// A provider by its name, with these wishes.
    ///
    /// # Errors
    /// `InvalidOption` for one that it cannot fulfil.
    pub(crate) fn provider(&self, name: &str) -> Result<Provider, Failure> {
        Ok(name.parse::<Provider>()?.with_gpu(&self.options())?)
    }
}

/// A number of bytes: `6GB`.
fn size(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok().filter(|bytes| *bytes > 0).ok_or_else(|| "expected a size such as 6GB or 800MB".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!((size("6GB"), size("512 MiB")), (Ok(6_000_000_000), Ok(512 << 20)));
        assert!(["", "0", "0GB", "many", "-1GB"].into_iter().all(|text| size(text).is_err()));
    }

    #[test]
    fn wishes_go_to_the_provider() {
        let gpu = Gpu { device: Some(1), tf32: true, ..Gpu::default() };
        let Ok(Provider::Cuda(options)) = gpu.provider("cuda") else { panic!("not CUDA") };
        assert_eq!((options.device_id, options.tf32), (1, true));
        assert!(matches!(gpu.provider("cpu"), Err(Failure::Error(error)) if error.kind() == maskline::ErrorKind::InvalidOption));
    }
}
