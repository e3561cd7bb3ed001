//! NVIDIA TensorRT.

use std::path::PathBuf;

use ort::ep::{self, ExecutionProviderDispatch};

use super::shapes::ShapeProfile;
use super::{Settings, device};

/// Options of [`Provider::TensorRt`](crate::Provider::TensorRt). What TensorRT does not take runs on CUDA, on the same device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorRtOptions {
    /// Index of the device, as CUDA counts them.
    pub device_id: u32,
    /// Let TensorRT compute in f16 where it finds that faster.
    pub fp16: bool,
    /// Let TensorRT compute in int8 where the graph quantises (`QuantizeLinear`, `DequantizeLinear`); no calibration is made or needed.
    pub int8: bool,
    /// Shapes that one engine is built for; `None`: those that come, and a new engine whenever one is outside what came before.
    pub profile: Option<ShapeProfile>,
    /// Where built engines and timings are kept, in a folder of their own for each card, driver and TensorRT; `None`:
    /// [`LaneOptions::optimised`](crate::LaneOptions::optimised).
    pub engine_cache: Option<PathBuf>,
    /// Upper limit of the workspace while an engine is built, in bytes; `None`: all that is free.
    pub workspace: Option<usize>,
    /// How long TensorRT looks for a fast engine, 0 to 5; `None`: its own 3.
    pub builder_level: Option<u8>,
}

impl TensorRtOptions {
    /// All that an engine depends on, as text.
    pub(crate) fn engine_key(&self) -> String {
        let Self { device_id, fp16, int8, profile, engine_cache: _, workspace, builder_level } = self;
        let profile = profile.as_ref().map(|profile| format!("{} {} {}", profile.min(), profile.opt(), profile.max()));
        format!("{device_id} {fp16} {int8} {profile:?} {workspace:?} {builder_level:?}")
    }
}

pub(super) fn dispatch(options: &TensorRtOptions, settings: &Settings<'_>) -> ExecutionProviderDispatch {
    let mut provider = ep::TensorRT::default().with_device_id(device(options.device_id)).with_fp16(options.fp16).with_int8(options.int8);
    if let Some(cache) = settings.engines {
        let cache = cache.display();
        provider = provider.with_engine_cache(true).with_engine_cache_path(cache.to_string());
        provider = provider.with_timing_cache(true).with_timing_cache_path(cache);
    }
    if let Some(profile) = &options.profile {
        provider = provider.with_profile_min_shapes(profile.min()).with_profile_opt_shapes(profile.opt());
        provider = provider.with_profile_max_shapes(profile.max());
    }
    if let Some(workspace) = options.workspace {
        provider = provider.with_max_workspace_size(workspace);
    }
    if let Some(level) = options.builder_level {
        provider = provider.with_builder_optimization_level(level);
    }
    provider.build().error_on_failure()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_of_other_options_has_another_key() {
        let profile = ShapeProfile::new("x:1".parse().expect("min"), "x:2".parse().expect("opt"), "x:3".parse().expect("max"));
        let plain = TensorRtOptions::default();
        let others = [
            TensorRtOptions { device_id: 1, ..plain.clone() },
            TensorRtOptions { fp16: true, ..plain.clone() },
            TensorRtOptions { int8: true, ..plain.clone() },
            TensorRtOptions { profile: profile.ok(), ..plain.clone() },
            TensorRtOptions { workspace: Some(1 << 30), ..plain.clone() },
            TensorRtOptions { builder_level: Some(5), ..plain.clone() },
        ];
        let keys: std::collections::BTreeSet<String> = others.iter().chain([&plain]).map(TensorRtOptions::engine_key).collect();
        assert_eq!(keys.len(), others.len() + 1);
        let elsewhere = TensorRtOptions { engine_cache: Some("elsewhere".into()), ..plain.clone() };
        assert_eq!(elsewhere.engine_key(), plain.engine_key());
    }
}
