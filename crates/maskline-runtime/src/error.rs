//! The error of this crate.

use std::fmt;
use std::path::Path;

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No ONNX Runtime library where one was asked for, or none for this platform.
    LibraryNotFound,
    /// The file is not a loadable ONNX Runtime library.
    LibraryInvalid,
    /// The library is older than the oldest supported version.
    VersionTooOld,
    /// Another library is already loaded in this process.
    AlreadyLoaded,
    /// The library would have to be fetched, and fetching is switched off.
    Offline,
    /// pip is missing, or could not download the library.
    FetchFailed,
    /// A downloaded file is not the pinned one.
    HashMismatch,
    /// The loaded library does not have the execution provider, or the provider cannot start on this machine.
    ProviderUnavailable,
    /// The model cannot be read, or uses what the runtime does not support.
    InvalidModel,
    /// An input of a run: unknown or missing name, wrong element type or shape.
    InvalidInput,
    /// An output that does not exist or has another element type.
    InvalidOutput,
    /// The runtime failed while it computed.
    RunFailed,
    /// The session's queue is full.
    QueueFull,
    /// The session was closed before the request was run.
    Closed,
    /// An option outside its domain.
    InvalidOption,
    /// The builder of a cache entry failed, or the cache folder cannot be used.
    Cache,
    /// A file cannot be read or written.
    Io,
    /// No room is left on the disk.
    DiskFull,
    /// A file or folder that code would be loaded from can be changed by other users.
    Untrusted,
}

/// An error with its kind, what happened and, where there is one, the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None, source: None }
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        if let Some(homeless) = crate::home::homeless(path) {
            return homeless;
        }
        if crate::disk::is_full(&error) {
            return crate::disk::unwritten(path).with_source(error);
        }
        let mut new = Self::new(ErrorKind::Io, format!("{}: {error}", path.display()));
        new.source = Some(Box::new(error));
        new
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without the way out.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The way out, where there is one.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}
