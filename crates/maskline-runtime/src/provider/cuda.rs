//! NVIDIA CUDA.

use ort::ep::{self, ExecutionProviderDispatch};

/// Options of [`Provider::Cuda`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CudaOptions {
    /// Index of the device.
    pub device_id: u32,
    /// Upper limit of the memory arena in bytes; `None`: all that is free.
    pub memory_limit: Option<usize>,
    /// Allow TF32 in f32 matrix products and convolutions: faster, about 1e-3 relative error.
    pub tf32: bool,
}

pub(super) fn dispatch(options: &CudaOptions) -> ExecutionProviderDispatch {
    let mut provider = ep::CUDA::default().with_device_id(options.device_id as i32).with_tf32(options.tf32);
    if let Some(limit) = options.memory_limit {
        provider = provider.with_memory_limit(limit);
    }
    provider.build().error_on_failure()
}
