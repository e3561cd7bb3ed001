//! The builds of ONNX Runtime: one row per variant and platform.

use std::borrow::Cow;

use super::{Contents, Wheel};
use crate::variant::Variant;

/// A build of ONNX Runtime.
pub(crate) struct Row {
    pub(crate) variant: Variant,
    pub(crate) os: &'static str,
    pub(crate) arch: &'static str,
    pub(crate) wheel: Wheel,
}

const WAY_OUT: &str = "run once with Python's pip and network access, or install ONNX Runtime 1.24 or newer yourself \
                       and name its library in MASKLINE_ONNXRUNTIME";

/// All of them.
pub(crate) static RUNTIME: &[Row] = &[
    Row {
        variant: Variant::Cpu,
        os: "linux",
        arch: "x86_64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime",
            version: "1.31.1",
            platform: "manylinux_2_28_x86_64",
            library: "libonnxruntime.so.1.31.1",
            bytes: 23_753_652,
            sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
            contents: Contents::Blake3(Cow::Borrowed("1f4c37b87ee9132220441760b01c8c144b7ba941f8141abc671f71220dd79f3a")),
            unpacked: 29_705_993,
            way_out: WAY_OUT,
        },
    },
    Row {
        variant: Variant::Cpu,
        os: "linux",
        arch: "aarch64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime",
            version: "1.31.1",
            platform: "manylinux_2_28_aarch64",
            library: "libonnxruntime.so.1.31.1",
            bytes: 21_413_526,
            sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
            contents: Contents::Blake3(Cow::Borrowed("cdbd69383517cb719101887ede76b93662e7e67a80af3caef19d71036a1ddfa9")),
            unpacked: 25_802_993,
            way_out: WAY_OUT,
        },
    },
    Row {
        variant: Variant::Cpu,
        os: "macos",
        arch: "aarch64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime",
            version: "1.31.1",
            platform: "macosx_14_0_arm64",
            library: "libonnxruntime.1.31.1.dylib",
            bytes: 20_871_676,
            sha256: "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
            contents: Contents::Blake3(Cow::Borrowed("c353f5f33d470340d0d1a781453b0a3c517c19ef97ea2f349a58a463d7f559e3")),
            unpacked: 33_376_497,
            way_out: WAY_OUT,
        },
    },
    Row {
        variant: Variant::Cpu,
        os: "windows",
        arch: "x86_64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime",
            version: "1.31.1",
            platform: "win_amd64",
            library: "onnxruntime.dll",
            bytes: 14_885_761,
            sha256: "c3d91b5de31e2fc82d71bd65b2b22bddee8b49057a3a36338e9a868e0ea90c05",
            contents: Contents::Blake3(Cow::Borrowed("b0b884d0d821a0df223ddfef587f0dffe3040a84020243a1d308a6d155f9c128")),
            unpacked: 19_656_295,
            way_out: WAY_OUT,
        },
    },
    Row {
        variant: Variant::OpenVino,
        os: "linux",
        arch: "x86_64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime-openvino",
            version: "1.24.1",
            platform: "manylinux_2_28_x86_64",
            library: "libonnxruntime.so.1.24.1",
            bytes: 84_430_935,
            sha256: "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
            contents: Contents::Blake3(Cow::Borrowed("520d53f21665319aa18f97f957049b782d5ea222bff04c1a9894487422efd4e1")),
            unpacked: 225_079_032,
            way_out: WAY_OUT,
        },
    },
    Row {
        variant: Variant::Cuda13,
        os: "linux",
        arch: "x86_64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime-gpu",
            version: "1.31.1",
            platform: "manylinux_2_28_x86_64",
            library: "libonnxruntime.so.1.31.1",
            bytes: 255_560_985,
            sha256: "e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6",
            contents: Contents::Blake3(Cow::Borrowed("b42c9a47a94ae045e0fa48048a377a0ecb519a90005fb9cb6c37ab57258f90f4")),
            unpacked: 314_785_345,
            way_out: WAY_OUT,
        },
    },
    Row {
        variant: Variant::Cuda12,
        os: "linux",
        arch: "x86_64",
        wheel: Wheel {
            title: "ONNX Runtime",
            package: "onnxruntime-gpu",
            version: "1.26.0",
            platform: "manylinux_2_28_x86_64",
            library: "libonnxruntime.so.1.26.0",
            bytes: 276_956_564,
            sha256: "4fa231294c2643911d2a7d16469c4808b0bdcdc4b5f4063d3a53744ce25b683a",
            contents: Contents::Blake3(Cow::Borrowed("7908531320e0270162d557cf9cb089b702eb5ecdc6107326be5a3b6cdb47d14e")),
            unpacked: 425_039_039,
            way_out: WAY_OUT,
        },
    },
];
