//! The files on PyPI that may be fetched, each pinned by its hash: ONNX Runtime's builds, and CUDA's own libraries.

mod cuda;
mod runtime;

use std::borrow::Cow;
use std::fmt;

pub(crate) use cuda::{CUDA, Row as CudaRow};
pub(crate) use runtime::RUNTIME;

/// A file of a package on PyPI, pinned by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// What it is called in talk.
    pub(crate) title: &'static str,
    /// The package's name on PyPI.
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
    /// The platform tag that pip is asked for.
    pub(crate) platform: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) bytes: u64,
    /// File name of the library in the wheel that it is fetched for.
    pub(crate) library: &'static str,
    /// What [`contents::check`](crate::contents::check) finds of its libraries.
    pub(crate) contents: Contents,
    /// Bytes of what is kept of it.
    pub(crate) unpacked: u64,
    /// What else can be done where it cannot be fetched.
    pub(crate) way_out: &'static str,
}

impl fmt::Display for Wheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.title, self.version)
    }
}

/// The hash of a list of a wheel's libraries: name, size and hash of each on a line, sorted by name; in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// All hashes are blake3.
    Blake3(Cow<'static, str>),
    /// All hashes are sha256, which the wheel's own `RECORD` tells of its files: a wheel of 600 MB is pinned without fetching it.
    Sha256(Cow<'static, str>),
}

impl Contents {
    pub(crate) fn hash(&self) -> &str {
        match self {
            Self::Blake3(hash) | Self::Sha256(hash) => hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wheel_is_pinned() {
        for wheel in RUNTIME.iter().map(|row| &row.wheel).chain(CUDA.iter().map(|row| &row.wheel)) {
            let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_hash(wheel.sha256) && is_hash(wheel.contents.hash()), "{wheel}");
            assert!(wheel.bytes > 0 && wheel.unpacked > 0 && !wheel.way_out.is_empty(), "{wheel}");
        }
    }

    #[test]
    fn no_row_is_there_twice() {
        for (index, row) in RUNTIME.iter().enumerate() {
            let same = |other: &runtime::Row| other.variant == row.variant && other.os == row.os && other.arch == row.arch;
            assert!(!RUNTIME[..index].iter().any(same), "{}", row.wheel);
            assert!(row.wheel.library.contains(row.wheel.version) || row.os == "windows", "{}", row.wheel);
            assert!(row.wheel.unpacked > row.wheel.bytes, "{}", row.wheel);
        }
        for (index, row) in CUDA.iter().enumerate() {
            assert!(!CUDA[..index].iter().any(|other| other.wheel.package == row.wheel.package), "{}", row.wheel);
            assert!(row.provides.contains(&row.wheel.library), "{}", row.wheel);
        }
    }
}
