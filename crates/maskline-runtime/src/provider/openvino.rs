//! Intel OpenVINO.

use std::path::PathBuf;

use ort::ep::{self, ExecutionProviderDispatch};

use super::Settings;

/// Options of [`Provider::OpenVino`].
#[derive(Debug, Clone, PartialEq)]
pub struct OpenVinoOptions {
    /// OpenVINO's device: `CPU`, `GPU`, `GPU.1`, `NPU`, `AUTO:GPU,CPU` ...
    pub device: String,
    /// Where compiled models are kept; `None`: [`LaneOptions::optimised`](crate::LaneOptions::optimised).
    pub cache: Option<PathBuf>,
    /// `FP32`, `FP16` or `ACCURACY`; `None`: the device's own choice.
    pub precision: Option<String>,
}

impl Default for OpenVinoOptions {
    fn default() -> Self {
        Self { device: "CPU".into(), cache: None, precision: None }
    }
}

pub(super) fn dispatch(options: &OpenVinoOptions, settings: &Settings<'_>) -> ExecutionProviderDispatch {
    let mut provider = ep::OpenVINO::default().with_device_type(&options.device).with_num_threads(settings.threads);
    if let Some(cache) = options.cache.as_deref().or(settings.cache) {
        provider = provider.with_cache_dir(cache.display());
    }
    if let Some(precision) = &options.precision {
        provider = provider.with_precision(precision);
    }
    provider.build().error_on_failure()
}
