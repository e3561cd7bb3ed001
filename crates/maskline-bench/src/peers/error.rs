//! What can go wrong with another program.

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A name, option or request outside its domain.
    InvalidArgument,
    /// The program does not run models of this family, or not this kind of prompt.
    Unsupported,
    /// No Python, or one that is too old or cannot make environments.
    NoPython,
    /// Packages would have to be fetched, and fetching is switched off.
    Offline,
    /// pip could not install the packages.
    Install,
    /// The Python that was named lacks packages.
    Lacking,
    /// The program could not load the model, or answered a request with an error.
    Failed,
    /// The program's process ended, or its output is not that of a worker.
    Died,
    /// There was no answer in time; the process was ended.
    TimedOut,
    /// A file cannot be read or written.
    Io,
}

/// An error with what happened, the last lines that the program wrote, and the way out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// `Result` with this module's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{error}\n  in   {}", path.display()))
    }

    pub(super) fn help(mut self, help: &str) -> Self {
        self.message = format!("{}\n  help: {help}", self.message);
        self
    }

    /// The last lines that a program wrote, below the message.
    pub(super) fn log(mut self, lines: &[String]) -> Self {
        for line in lines {
            self.message = format!("{}\n  | {line}", self.message);
        }
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<maskline::runtime::Error> for Error {
    fn from(error: maskline::runtime::Error) -> Self {
        Self::new(ErrorKind::Io, error.to_string())
    }
}
