//! The error of this crate.

use std::fmt;
use std::path::{Path, PathBuf};

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The file cannot be opened or read.
    Io,
    /// Not a checkpoint, or one in a form that is not read (legacy pickle, ONNX, TorchScript, sharded …).
    Unsupported,
    /// The right kind of file, but damaged: truncated, overlapping, out of bounds, a broken pickle.
    Corrupt,
    /// A pickle that would run code when PyTorch loads it.
    Unsafe,
    /// The file asks for more than a checkpoint can need (nesting, number of values, expanded tensors …).
    Limit,
    /// No tensor of that name.
    Missing,
    /// The tensor has another shape than asked for.
    Shape,
    /// The tensor has an element type that the request cannot take.
    DType,
}

/// An error that names the tensor or what is wrong, the file, and the way out.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    help: Option<String>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, help: None }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    pub(crate) fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, error.to_string()).in_file(path)
    }

    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, in one line, without file and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The checkpoint it went wrong in.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The way out, where one is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(path) = &self.path {
            write!(f, "\n  in   {}", path.display())?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
