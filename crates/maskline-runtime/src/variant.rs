//! The builds of ONNX Runtime that can be fetched: one table entry per package and platform.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// A build of ONNX Runtime, told apart by the providers in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Variant {
    /// CPU kernels only, 14 to 24 MB to fetch.
    #[default]
    Cpu,
    /// CPU kernels and OpenVINO, 84 MB to fetch; Linux x86_64.
    OpenVino,
    /// CPU kernels, CUDA 13 and TensorRT, 256 MB to fetch; Linux x86_64. CUDA itself is not in it.
    Cuda,
}

/// A file of a package on PyPI, pinned by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// The package's name on PyPI.
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// The platform tag that pip is asked for.
    pub(crate) platform: &'static str,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// File name of the runtime library in the wheel.
    pub(crate) library: &'static str,
    /// What [`contents::check`](crate::contents::check) finds of its libraries.
    pub(crate) contents: String,
    /// Bytes of what is kept of it.
    pub(crate) unpacked: u64,
}

struct Row {
    variant: Variant,
    os: &'static str,
    arch: &'static str,
    package: &'static str,
    version: &'static str,
    platform: &'static str,
    library: &'static str,
    bytes: u64,
    sha256: &'static str,
    contents: &'static str,
    unpacked: u64,
}

const TABLE: &[Row] = &[
    Row {
        variant: Variant::Cpu,
        os: "linux",
        arch: "x86_64",
        package: "onnxruntime",
        version: "1.31.1",
        platform: "manylinux_2_28_x86_64",
        library: "libonnxruntime.so.1.31.1",
        bytes: 23_753_652,
        sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        contents: "1f4c37b87ee9132220441760b01c8c144b7ba941f8141abc671f71220dd79f3a",
        unpacked: 29_705_993,
    },
    Row {
        variant: Variant::Cpu,
        os: "linux",
        arch: "aarch64",
        package: "onnxruntime",
        version: "1.31.1",
        platform: "manylinux_2_28_aarch64",
        library: "libonnxruntime.so.1.31.1",
        bytes: 21_413_526,
        sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        contents: "cdbd69383517cb719101887ede76b93662e7e67a80af3caef19d71036a1ddfa9",
        unpacked: 25_802_993,
    },
    Row {
        variant: Variant::Cpu,
        os: "macos",
        arch: "aarch64",
        package: "onnxruntime",
        version: "1.31.1",
        platform: "macosx_14_0_arm64",
        library: "libonnxruntime.1.31.1.dylib",
        bytes: 20_871_676,
        sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
        contents: "c353f5f33d470340d0d1a781453b0a3c517c19ef97ea2f349a58a463d7f559e3",
        unpacked: 33_376_497,
    },
    Row {
        variant: Variant::Cpu,
        os: "windows",
        arch: "x86_64",
        package: "onnxruntime",
        version: "1.31.1",
        platform: "win_amd64",
        library: "onnxruntime.dll",
        bytes: 14_885_761,
        sha256: "c3d91b5de31e2fc82d71bd65b2b22bddee8b49057a3a36338e9a868e0ea90c05",
        contents: "b0b884d0d821a0df223ddfef587f0dffe3040a84020243a1d308a6d155f9c128",
        unpacked: 19_656_295,
    },
    Row {
        variant: Variant::OpenVino,
        os: "linux",
        arch: "x86_64",
        package: "onnxruntime-openvino",
        version: "1.24.1",
        platform: "manylinux_2_28_x86_64",
        library: "libonnxruntime.so.1.24.1",
        bytes: 84_430_935,
        sha256: "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
        contents: "520d53f21665319aa18f97f957049b782d5ea222bff04c1a9894487422efd4e1",
        unpacked: 225_079_032,
    },
    Row {
        variant: Variant::Cuda,
        os: "linux",
        arch: "x86_64",
        package: "onnxruntime-gpu",
        version: "1.31.1",
        platform: "manylinux_2_28_x86_64",
        library: "libonnxruntime.so.1.31.1",
        bytes: 255_560_985,
        sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
        contents: "b42c9a47a94ae045e0fa48048a377a0ecb519a90005fb9cb6c37ab57258f90f4",
        unpacked: 314_785_345,
    },
];

impl Variant {
    /// `cpu`, `openvino` or `cuda`: what [`FromStr`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }

    /// The pinned version of ONNX Runtime, where this variant exists for this platform.
    pub fn version(self) -> Option<&'static str> {
        self.row().map(|row| row.version)
    }

    /// Bytes that are fetched on this platform, where this variant exists for it.
    pub fn download_bytes(self) -> Option<u64> {
        self.row().map(|row| row.bytes)
    }

    fn row(self) -> Option<&'static Row> {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        TABLE.iter().find(|row| row.variant == self && row.os == os && row.arch == arch)
    }

    /// The wheel to fetch on this platform.
    pub(crate) fn wheel(self) -> Result<Wheel> {
        let Some(row) = self.row() else {
            let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
            return Err(Error::new(
                ErrorKind::LibraryNotFound,
                format!("there is no {self} variant of ONNX Runtime to fetch for {os} {arch}"),
            )
            .with_help("install ONNX Runtime 1.24 or newer yourself and name its library in MASKLINE_ONNXRUNTIME"));
        };
        Ok(Wheel {
            package: row.package,
            version: row.version,
            platform: row.platform,
            sha256: row.sha256.to_owned(),
            bytes: row.bytes,
            library: row.library,
            contents: row.contents.to_owned(),
            unpacked: row.unpacked,
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

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "openvino" => Ok(Self::OpenVino),
            "cuda" => Ok(Self::Cuda),
            other => Err(Error::new(ErrorKind::InvalidOption, format!("unknown runtime variant {other:?}"))
                .with_help("the variants are cpu, openvino and cuda")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_pinned_and_unique() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!([row.sha256, row.contents].iter().all(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())));
            assert!(row.unpacked > row.bytes);
            assert!(row.library.contains(row.version) || row.os == "windows");
            let same = |other: &Row| other.variant == row.variant && other.os == row.os && other.arch == row.arch;
            assert!(!TABLE[..index].iter().any(same));
        }
    }
}
