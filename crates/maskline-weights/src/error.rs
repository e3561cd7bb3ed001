//! The error of this crate.

use std::fmt;
use std::path::Path;

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
    // Boxed, so that a result is small.
    expected: Option<Box<str>>,
    found: Option<Box<str>>,
    path: Option<Box<Path>>,
    help: Option<Box<str>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), expected: None, found: None, path: None, help: None }
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

    /// Adds what was expected: `: expected …`.
    pub(crate) fn expecting(mut self, expected: impl fmt::Display) -> Self {
        let expected = expected.to_string();
        self.message += if self.message.is_empty() { "expected " } else { ": expected " };
        self.message += &expected;
        self.expected = Some(expected.into());
        self
    }

    /// Adds what was found instead: `, found …`.
    pub(crate) fn finding(mut self, found: impl fmt::Display) -> Self {
        let found = found.to_string();
        self.message += ", found ";
        self.message += &found;
        self.found = Some(found.into());
        self
    }

    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.into());
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into().into());
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

    /// What was expected, where the message says so.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What was found instead.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// Where it went wrong: the checkpoint, as text.
    pub fn place(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.display().to_string())
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
