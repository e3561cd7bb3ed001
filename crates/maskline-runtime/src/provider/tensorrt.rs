//! NVIDIA TensorRT.

use std::path::PathBuf;

use ort::ep::{self, ExecutionProviderDispatch};

use super::Settings;

/// Options of [`Provider::TensorRt`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorRtOptions {
    /// Index of the device.
    pub device_id: u32,
    /// Let TensorRT compute in f16 where it finds that faster.
    pub fp16: bool,
    /// Where built engines and timings are kept; `None`: [`LaneOptions::optimised`](crate::LaneOptions::optimised).
    pub engine_cache: Option<PathBuf>,
    /// Upper limit of the workspace while an engine is built, in bytes; `None`: all that is free.
    pub workspace: Option<usize>,
}

pub(super) fn dispatch(options: &TensorRtOptions, settings: &Settings<'_>) -> ExecutionProviderDispatch {
    let mut provider = ep::TensorRT::default().with_device_id(options.device_id as i32).with_fp16(options.fp16);
    if let Some(cache) = options.engine_cache.as_deref().or(settings.cache) {
        let cache = cache.display();
        provider = provider.with_engine_cache(true).with_engine_cache_path(cache.to_string());
        provider = provider.with_timing_cache(true).with_timing_cache_path(cache);
    }
    if let Some(workspace) = options.workspace {
        provider = provider.with_max_workspace_size(workspace);
    }
    provider.build().error_on_failure()
}
