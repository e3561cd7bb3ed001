//! The error of this crate.

use std::path::{Path, PathBuf};

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
    path: Option<PathBuf>,
    help: Option<String>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, help: None }
    }

    pub(crate) fn at(mut self, path: Option<&Path>) -> Self {
        self.path = path.map(Path::to_path_buf);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
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
        Self::new(ErrorKind::Graph, error.to_string())
    }
}

impl From<maskline_weights::Error> for Error {
    fn from(error: maskline_weights::Error) -> Self {
        // The message already names the tensor, the file and the way out.
        Self::new(ErrorKind::Checkpoint, error.to_string())
    }
}
