//! The builds of ONNX Runtime that can be fetched.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};
use crate::wheel::{RUNTIME, Wheel};

/// A build of ONNX Runtime, told apart by the providers in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Variant {
    /// CPU kernels only, 14 to 24 MB to fetch.
    #[default]
    Cpu,
    /// CPU kernels and OpenVINO, 84 MB to fetch; Linux x86_64.
    OpenVino,
    /// CPU kernels, CUDA 12 and TensorRT, 277 MB to fetch; Linux x86_64. CUDA itself is not in it. The last build for CUDA 12.
    Cuda12,
    /// CPU kernels, CUDA 13 and TensorRT, 256 MB to fetch; Linux x86_64. CUDA itself is not in it.
    Cuda13,
}

impl Variant {
    /// Every variant, the smallest first.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::OpenVino, Self::Cuda12, Self::Cuda13];

    /// `cpu`, `openvino`, `cuda12` or `cuda13`: what [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda12 => "cuda12",
            Self::Cuda13 => "cuda13",
        }
    }

    /// The providers in it, by their short names.
    pub fn providers(self) -> &'static [&'static str] {
        match self {
            Self::Cpu => &["cpu"],
            Self::OpenVino => &["cpu", "openvino"],
            Self::Cuda12 | Self::Cuda13 => &["cpu", "cuda", "tensorrt"],
        }
    }

    /// The pinned version of ONNX Runtime, where this variant exists for this platform.
    pub fn version(self) -> Option<&'static str> {
        self.found().map(|wheel| wheel.version)
    }

    /// Bytes of ONNX Runtime that are fetched on this platform, where this variant exists for it. CUDA's libraries are not counted:
    /// [`packages`](crate::packages) tells them.
    pub fn download_bytes(self) -> Option<u64> {
        self.found().map(|wheel| wheel.bytes)
    }

    /// The version of CUDA that it is made for, of those that are.
    pub(crate) fn cuda_major(self) -> Option<u32> {
        match self {
            Self::Cpu | Self::OpenVino => None,
            Self::Cuda12 => Some(12),
            Self::Cuda13 => Some(13),
        }
    }

    fn found(self) -> Option<&'static Wheel> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        RUNTIME.iter().find(|row| row.variant == self && row.os == os && row.arch == arch).map(|row| &row.wheel)
    }

    /// The wheel to fetch on this platform.
    pub(crate) fn wheel(self) -> Result<&'static Wheel> {
        self.found().ok_or_else(|| {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            Error::new(ErrorKind::LibraryNotFound, format!("there is no {self} variant of ONNX Runtime to fetch for {os} {arch}"))
                .with_help("install ONNX Runtime 1.24 or newer yourself and name its library in MASKLINE_ONNXRUNTIME")
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Variant {
    type Err = Error;

    /// Takes the names, and `cuda` as another word for `cuda13`.
    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|variant| variant.name() == name);
        known.or((name == "cuda").then_some(Self::Cuda13)).ok_or_else(|| {
            Error::new(ErrorKind::InvalidOption, format!("unknown runtime variant {name:?}"))
                .with_help("the variants are cpu, openvino, cuda12 and cuda13 (or cuda)")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_cuda_is_the_newest() {
        for variant in Variant::ALL {
            assert_eq!(variant.name().parse::<Variant>().expect("a variant"), variant);
        }
        assert_eq!("cuda".parse::<Variant>().expect("a variant"), Variant::Cuda13);
        let error = "rocm".parse::<Variant>().expect_err("none of ours");
        assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("cuda12"), "{error}");
    }
}
