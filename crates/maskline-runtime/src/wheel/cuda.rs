//! CUDA's own libraries, which ONNX Runtime's builds for CUDA need and do not hold: packages of NVIDIA's for Linux x86_64.
//!
//! CUDA 13.0 with its second update, the oldest of that line that is still mended, and 12.8 as PyTorch 2.9 pins it; cuDNN is the same for
//! both. Of CUDA 13, cuFFT is not among them: that build asks for it only where a graph has Fourier transforms.

use std::borrow::Cow;

use super::{Contents, Wheel};

/// A package of CUDA's.
pub(crate) struct Row {
    /// Of CUDA: 12 or 13.
    pub(crate) major: u32,
    /// The libraries that it is fetched for.
    pub(crate) provides: &'static [&'static str],
    pub(crate) wheel: Wheel,
}

const WAY_OUT: &str = "run `maskline runtime install` once with Python's pip and network access, or install CUDA and cuDNN 9 yourself and \
                       name their folders in LD_LIBRARY_PATH";

/// All of them, each after those that it needs.
pub(crate) static CUDA: &[Row] = &[
    Row {
        major: 13,
        provides: &["libcudart.so.13"],
        wheel: Wheel {
            title: "CUDA runtime",
            package: "nvidia-cuda-runtime",
            version: "13.0.96",
            platform: "manylinux2014_x86_64",
            library: "libcudart.so.13",
            bytes: 2_243_632,
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            contents: Contents::Sha256(Cow::Borrowed("7548687f66798e81161aebc9a199b0edf141df8cc8884985e7c915c188e72bb3")),
            unpacked: 763_550,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 13,
        provides: &["libcublasLt.so.13", "libcublas.so.13"],
        wheel: Wheel {
            title: "cuBLAS",
            package: "nvidia-cublas",
            version: "13.1.0.3",
            platform: "manylinux_2_27_x86_64",
            library: "libcublas.so.13",
            bytes: 423_133_236,
            sha256: "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171",
            contents: Contents::Sha256(Cow::Borrowed("8070afd1219b93d316f200b94939f36147065acd03d00c07a8f188cd8380286a")),
            unpacked: 596_570_342,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 13,
        provides: &["libcurand.so.10"],
        wheel: Wheel {
            title: "cuRAND",
            package: "nvidia-curand",
            version: "10.4.0.35",
            platform: "manylinux_2_27_x86_64",
            library: "libcurand.so.10",
            bytes: 59_544_258,
            sha256: "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc",
            contents: Contents::Sha256(Cow::Borrowed("1738f5094293d2cfa3af03644709da6c01a6962149ddc6ca5aaa8964f954a0ea")),
            unpacked: 132_757_590,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 13,
        provides: &["libnvrtc.so.13"],
        wheel: Wheel {
            title: "NVRTC",
            package: "nvidia-cuda-nvrtc",
            version: "13.0.88",
            platform: "manylinux2010_x86_64",
            library: "libnvrtc.so.13",
            bytes: 90_215_200,
            sha256: "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575",
            contents: Contents::Sha256(Cow::Borrowed("3c50c4f636b7e80c070d886c76bce2f447bec9d23eacd0a9344b4ef7f1fa4f3d")),
            unpacked: 227_971_854,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 13,
        provides: &["libcudnn.so.9"],
        wheel: Wheel {
            title: "cuDNN",
            package: "nvidia-cudnn-cu13",
            version: "9.20.0.48",
            platform: "manylinux_2_27_x86_64",
            library: "libcudnn.so.9",
            bytes: 366_173_588,
            sha256: "0c45dd8eeb50b603f07995b1b300c62ffe6a1980482b82b3bcf94a4ca9d49304",
            contents: Contents::Sha256(Cow::Borrowed("6315abe9e4c429ceb3f87c9a563bca2b857f2ecc6ff855916904eb58c401e3b2")),
            unpacked: 493_437_126,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libcudart.so.12"],
        wheel: Wheel {
            title: "CUDA runtime",
            package: "nvidia-cuda-runtime-cu12",
            version: "12.8.90",
            platform: "manylinux2014_x86_64",
            library: "libcudart.so.12",
            bytes: 954_765,
            sha256: "adade8dcbd0edf427b7204d480d6066d33902cab2a4707dcfc48a2d0fd44ab90",
            contents: Contents::Sha256(Cow::Borrowed("b5cf58318a4b73735e7ee41c06a52a8b246a951e133b925d39ae1ed3806129eb")),
            unpacked: 788_062,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libcublasLt.so.12", "libcublas.so.12"],
        wheel: Wheel {
            title: "cuBLAS",
            package: "nvidia-cublas-cu12",
            version: "12.8.4.1",
            platform: "manylinux_2_27_x86_64",
            library: "libcublas.so.12",
            bytes: 594_346_921,
            sha256: "8ac4e771d5a348c551b2a426eda6193c19aa630236b418086020df5ba9667142",
            contents: Contents::Sha256(Cow::Borrowed("d91e132bcbc9458a1a8bdebad6a014df868619dc6329ea9695713fbbb7305032")),
            unpacked: 868_973_454,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libcurand.so.10"],
        wheel: Wheel {
            title: "cuRAND",
            package: "nvidia-curand-cu12",
            version: "10.3.9.90",
            platform: "manylinux_2_27_x86_64",
            library: "libcurand.so.10",
            bytes: 63_619_976,
            sha256: "b32331d4f4df5d6eefa0554c565b626c7216f87a06a4f56fab27c3b68a830ec9",
            contents: Contents::Sha256(Cow::Borrowed("b36d2a7adbc6493b920784be3ac14560fd49a03aa89664491504d74fb79f2eac")),
            unpacked: 136_808_502,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libnvJitLink.so.12"],
        wheel: Wheel {
            title: "nvJitLink",
            package: "nvidia-nvjitlink-cu12",
            version: "12.8.93",
            platform: "manylinux2010_x86_64",
            library: "libnvJitLink.so.12",
            bytes: 39_254_836,
            sha256: "81ff63371a7ebd6e6451970684f916be2eab07321b73c9d244dc2b4da7f73b88",
            contents: Contents::Sha256(Cow::Borrowed("c0979ca8d0ba129bfbb7b8c48cb82e33dee9714eb291810a9dbf863f1a640b0e")),
            unpacked: 94_160_654,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libcufft.so.11"],
        wheel: Wheel {
            title: "cuFFT",
            package: "nvidia-cufft-cu12",
            version: "11.3.3.83",
            platform: "manylinux2014_x86_64",
            library: "libcufft.so.11",
            bytes: 193_118_695,
            sha256: "4d2dd21ec0b88cf61b62e6b43564355e5222e4a3fb394cac0db101f2dd0d4f74",
            contents: Contents::Sha256(Cow::Borrowed("3aae9da9534c53b258c386c9112c88f9c7ea487b1035a4ef10b24ef85370a7e3")),
            unpacked: 281_085_750,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libnvrtc.so.12"],
        wheel: Wheel {
            title: "NVRTC",
            package: "nvidia-cuda-nvrtc-cu12",
            version: "12.8.93",
            platform: "manylinux2010_x86_64",
            library: "libnvrtc.so.12",
            bytes: 88_040_029,
            sha256: "a7756528852ef889772a84c6cd89d41dfa74667e24cca16bb31f8f061e3e9994",
            contents: Contents::Sha256(Cow::Borrowed("3e7e9d4e43c6ce0d4b045ffafb689322787dc56598da6e2aba0e5fd9661c5674")),
            unpacked: 222_161_366,
            way_out: WAY_OUT,
        },
    },
    Row {
        major: 12,
        provides: &["libcudnn.so.9"],
        wheel: Wheel {
            title: "cuDNN",
            package: "nvidia-cudnn-cu12",
            version: "9.20.0.48",
            platform: "manylinux_2_27_x86_64",
            library: "libcudnn.so.9",
            bytes: 657_910_570,
            sha256: "7d7479e1321c7a039b33827f0247791ee1be091759032c1f66a287c4a643396a",
            contents: Contents::Sha256(Cow::Borrowed("e1a222ecfc66810abb7ce027b69f15ec55b32f194391f0d51c543a7213d4b59c")),
            unpacked: 996_755_494,
            way_out: WAY_OUT,
        },
    },
];
