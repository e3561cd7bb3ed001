//! What numbers a model computes with: what is wished, and what a provider makes of it.

use std::fmt;
use std::str::FromStr;

use maskline_onnx::Half;
use maskline_runtime::Provider;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// What numbers a model is wished to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// f16 on what has units for it (GPUs), f32 on processors.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit floats: where a GPU computes, all but what must be f32; on processors the weights, which are widened when the model is opened,
    /// for kernels of f16 are missing or slow there.
    F16,
    /// What a GPU answers in f16, told by any provider: f32, rounded where a GPU would have f16. Slow; for comparisons.
    F16Emulated,
    /// Products of bytes, with the ranges that the user's own pictures have shown ([`Engine::calibrate`](crate::Engine::calibrate)): for
    /// processors, and TensorRT.
    Int8,
}

/// What a bundle is made of. What it is called is part of its name in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbers {
    /// f32 throughout, but for large weights that a checkpoint has in half precision.
    #[default]
    F32,
    /// Weights in f16, arithmetic in f32 ([`Half::Weights`]).
    F16Weights,
    /// Arithmetic in f16, but for what must be f32 ([`Half::Arithmetic`]).
    F16,
    /// Arithmetic in f32, rounded where [`Numbers::F16`] has f16 ([`Half::Emulated`]): the answers of a GPU, on any processor. Slow.
    F16Emulated,
    /// Products and convolutions of bytes where a [`Calibration`](crate::Calibration) knows their ranges, f32 elsewhere.
    Int8,
    /// f32, with outputs that tell of every tensor that [`Numbers::Int8`] needs the range of.
    Observed,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Auto, Self::F32, Self::F16, Self::F16Emulated, Self::Int8];

    /// `auto`, `f32`, `f16`, `f16-emulated` or `int8`: what [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::F16Emulated => "f16-emulated",
            Self::Int8 => "int8",
        }
    }

    /// What a bundle is made of that this provider runs.
    pub fn on(self, provider: &Provider) -> Numbers {
        match (self, provider.computes_in_half()) {
            (Self::F32, _) | (Self::Auto, false) => Numbers::F32,
            (Self::F16, false) => Numbers::F16Weights,
            (Self::Auto | Self::F16, true) => Numbers::F16,
            (Self::F16Emulated, _) => Numbers::F16Emulated,
            (Self::Int8, _) => Numbers::Int8,
        }
    }
}

impl Numbers {
    /// Stable name: `f32`, `f16-weights`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16Weights => "f16-weights",
            Self::F16 => "f16",
            Self::F16Emulated => "f16-emulated",
            Self::Int8 => "int8",
            Self::Observed => "observed",
        }
    }

    pub(crate) fn half(self) -> Option<Half> {
        match self {
            Self::F32 | Self::Int8 | Self::Observed => None,
            Self::F16Weights => Some(Half::Weights),
            Self::F16 => Some(Half::Arithmetic),
            Self::F16Emulated => Some(Half::Emulated),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|precision| precision.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOption, "precision").expecting(Self::ALL.map(Self::name).join(", ")).but_found(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use maskline_runtime::{CudaOptions, OpenVinoOptions};

    use super::*;

    #[test]
    fn precisions_are_what_a_provider_makes_of_them() {
        let gpu = |device: &str| Provider::OpenVino(OpenVinoOptions { device: device.into(), ..OpenVinoOptions::default() });
        let cuda = Provider::Cuda(CudaOptions::default());
        for (provider, auto, f16) in [
            (Provider::Cpu, Numbers::F32, Numbers::F16Weights),
            (gpu("CPU"), Numbers::F32, Numbers::F16Weights),
            (gpu("GPU.1"), Numbers::F16, Numbers::F16),
            (gpu("AUTO:GPU,CPU"), Numbers::F16, Numbers::F16),
            (cuda, Numbers::F16, Numbers::F16),
        ] {
            assert_eq!(Precision::Auto.on(&provider), auto, "{provider:?}");
            assert_eq!(Precision::F16.on(&provider), f16, "{provider:?}");
            assert_eq!(Precision::F32.on(&provider), Numbers::F32, "{provider:?}");
        }
        for precision in Precision::ALL {
            assert_eq!(precision.name().parse::<Precision>().ok(), Some(precision));
        }
        assert!("f8".parse::<Precision>().is_err_and(|error| error.to_string().contains("auto, f32, f16")));
    }
}
