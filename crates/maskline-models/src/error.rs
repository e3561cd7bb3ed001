//! The error of this crate.

use std::path::Path;

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No family knows this checkpoint, ONNX file or architecture name.
    UnknownModel,
    /// The checkpoint is of this family but a tensor is missing, has another shape, or is left over.
    Checkpoint,
    /// A configuration that cannot be built, or that must be given.
    Configuration,
    /// An output of the network that is not what its description says.
    Output,
    /// A fault in the graph (an error of this library, or a checkpoint that contradicts itself).
    Graph,
}

/// An error with what was expected and found, and the way out.
#[derive(Debug)]
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

    /// Adds what was expected: `: expected …`.
    pub(crate) fn expecting(mut self, expected: impl std::fmt::Display) -> Self {
        let expected = expected.to_string();
        self.message += if self.message.is_empty() { "expected " } else { ": expected " };
        self.message += &expected;
        self.expected = Some(expected.into());
        self
    }

    /// Adds what was found instead: `, found …`.
    pub(crate) fn finding(mut self, found: impl std::fmt::Display) -> Self {
        let found = found.to_string();
        self.message += ", found ";
        self.message += &found;
        self.found = Some(found.into());
        self
    }

    pub(crate) fn at(mut self, path: Option<&Path>) -> Self {
        self.path = path.map(Into::into);
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

    /// What went wrong, without file and help.
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

    /// Where it went wrong: the file, as text.
    pub fn place(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.display().to_string())
    }

    /// The way out, where one is known.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file that the error is about.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

impl From<maskline_onnx::Error> for Error {
    fn from(error: maskline_onnx::Error) -> Self {
        let (expected, found) = (error.expected().map(Into::into), error.found().map(Into::into));
        Self { expected, found, ..Self::new(ErrorKind::Graph, error.to_string()) }
    }
}

impl From<maskline_weights::Error> for Error {
    fn from(error: maskline_weights::Error) -> Self {
        let owned = |text: Option<&str>| text.map(Into::into);
        Self {
            kind: ErrorKind::Checkpoint,
            message: error.message().to_owned(),
            expected: owned(error.expected()),
            found: owned(error.found()),
            path: error.path().map(Into::into),
            help: owned(error.help()),
        }
    }
}
