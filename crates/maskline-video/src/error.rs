//! The error of this crate.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A file cannot be read or written.
    Io,
    /// `ffmpeg` is not there, or cannot do what is needed.
    Unavailable,
    /// What was given is no clip, or one that is damaged or cut off.
    Corrupt,
    /// A clip without a single frame: empty, or with sound only.
    NoFrames,
    /// A frame is larger than the limit.
    TooLarge,
    /// An argument is outside its domain (a zero size, a frame that is not there).
    InvalidArgument,
    /// `ffmpeg` ended without doing what it was asked for.
    Failed,
}

/// An error with the place it happened at, what was expected and found, and the way out, each a field of its own.
///
/// Shown as `message: expected …, found …`, and on further lines `in   …` and `help: …`; what is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    /// Boxed, so that results stay small.
    parts: Box<Parts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Parts {
    message: String,
    path: Option<PathBuf>,
    expected: Option<String>,
    found: Option<String>,
    help: Option<String>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` says what went wrong, or what it is about where the other parts say the rest.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, parts: Box::new(Parts { message: message.into(), ..Parts::default() }) }
    }

    /// Short for an error of [`ErrorKind::InvalidArgument`].
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// An error of the system about a file.
    pub(crate) fn io(path: &Path, what: &str, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{what}: {error}")).at(path)
    }

    /// Names the file that the error is about.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.parts.path = Some(path.to_path_buf());
        self
    }

    /// Says what was expected.
    #[must_use]
    pub fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.parts.expected = Some(expected.into());
        self
    }

    /// Says what was found instead.
    #[must_use]
    pub fn with_found(mut self, found: impl Into<String>) -> Self {
        self.parts.found = Some(found.into());
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.parts.help = Some(help.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong or what it is about, without the other parts.
    pub fn message(&self) -> &str {
        &self.parts.message
    }

    /// Where it happened, as text: a file.
    pub fn place(&self) -> Option<Cow<'_, str>> {
        self.parts.path.as_deref().map(Path::to_string_lossy)
    }

    /// The file that the error is about.
    pub fn path(&self) -> Option<&Path> {
        self.parts.path.as_deref()
    }

    /// What was expected.
    pub fn expected(&self) -> Option<&str> {
        self.parts.expected.as_deref()
    }

    /// What was found instead.
    pub fn found(&self) -> Option<&str> {
        self.parts.found.as_deref()
    }

    /// The way out.
    pub fn help(&self) -> Option<&str> {
        self.parts.help.as_deref()
    }
}

impl From<maskline_vision::Error> for Error {
    fn from(error: maskline_vision::Error) -> Self {
        use maskline_vision::ErrorKind as Seen;
        let kind = match error.kind() {
            Seen::Io => ErrorKind::Io,
            Seen::TooLarge => ErrorKind::TooLarge,
            Seen::UnknownFormat | Seen::Corrupt => ErrorKind::Corrupt,
            _ => ErrorKind::InvalidArgument,
        };
        let parts = Parts {
            message: error.message().into(),
            path: error.path().map(Path::to_path_buf),
            expected: error.expected().map(str::to_string),
            found: error.found().map(str::to_string),
            help: error.help().map(str::to_string),
        };
        Self { kind, parts: Box::new(parts) }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.parts.message)?;
        match (&self.parts.expected, &self.parts.found) {
            (Some(expected), Some(found)) => write!(f, ": expected {expected}, found {found}")?,
            (Some(expected), None) => write!(f, ": expected {expected}")?,
            (None, Some(found)) => write!(f, ": found {found}")?,
            (None, None) => {}
        }
        if let Some(path) = &self.parts.path {
            write!(f, "\n  in   {}", path.display())?;
        }
        if let Some(help) = &self.parts.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
