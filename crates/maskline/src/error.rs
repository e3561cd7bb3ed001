//! The error of the engine.

use std::sync::Arc;

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A picture, checkpoint or case that is broken, unknown or not what was expected.
    BadInput,
    /// An option outside its domain.
    InvalidOption,
    /// The model, ONNX Runtime or the wished provider is not available.
    Unavailable,
    /// An input over a limit.
    OverLimit,
    /// The network's answer is not finite or not of its described form.
    BadAnswer,
    /// A file cannot be read or written.
    Io,
    /// Too many requests wait; the same one can succeed later.
    Busy,
    /// Whoever asked called the work off.
    Cancelled,
    /// Anything else that failed while running.
    Failed,
}

/// What an error of a question about a picture is about: whoever asks about many pictures goes on with the next one after a
/// [`Concern::Picture`], and stops after all else. Errors of loading a model are never about a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Concern {
    /// This picture, what was asked about it, or the network's answer to it: another picture may be answered.
    Picture,
    /// The options, which are the same for every picture.
    Options,
    /// The model, ONNX Runtime or the machine: no picture will be answered.
    Model,
}

impl Concern {
    /// What errors of a kind are about, unless whoever made the error knew better.
    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::BadInput | ErrorKind::OverLimit | ErrorKind::BadAnswer | ErrorKind::Io | ErrorKind::Busy => Self::Picture,
            ErrorKind::InvalidOption | ErrorKind::Cancelled => Self::Options,
            ErrorKind::Unavailable | ErrorKind::Failed => Self::Model,
        }
    }
}

/// An error with what was expected and found, where, and the way out.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    concern: Concern,
    message: String,
    /// Shared, so that one failure can be the answer of many pictures.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` says what was expected and found, and on further lines where and the way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, concern: Concern::of(kind), message: message.into(), source: None }
    }

    pub(crate) fn io(path: &std::path::Path, error: std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::BadInput } else { ErrorKind::Io };
        let message = format!("{error}\n  in   {}", path.display());
        Self { source: Some(Arc::new(error)), ..Self::new(kind, message) }
    }

    fn wrap(kind: ErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        let message = error.to_string();
        Self { source: Some(Arc::new(error)), ..Self::new(kind, message) }
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether this is about the picture that was asked about, or would come back with every other one.
    pub fn concerns(&self) -> Concern {
        self.concern
    }

    /// For those who know better what the error is about than its kind tells.
    #[must_use]
    pub(crate) fn about(self, concern: Concern) -> Self {
        Self { concern, ..self }
    }

    /// What a picture is refused for, where a function of pixels calls it an argument outside its domain: the options were checked before.
    pub(crate) fn of_picture(error: maskline_vision::Error) -> Self {
        match Self::from(error) {
            error if error.kind == ErrorKind::InvalidOption => Self { kind: ErrorKind::BadInput, concern: Concern::Picture, ..error },
            error => error,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<maskline_vision::Error> for Error {
    fn from(error: maskline_vision::Error) -> Self {
        use maskline_vision::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::TooLarge => ErrorKind::OverLimit,
            Kind::InvalidArgument => ErrorKind::InvalidOption,
            Kind::UnknownFormat | Kind::Corrupt => ErrorKind::BadInput,
            Kind::Io => ErrorKind::Io,
            _ => ErrorKind::Failed,
        };
        Self::wrap(kind, error)
    }
}

impl From<maskline_weights::Error> for Error {
    fn from(error: maskline_weights::Error) -> Self {
        Self::wrap(ErrorKind::BadInput, error).about(Concern::Model)
    }
}

impl From<maskline_models::Error> for Error {
    fn from(error: maskline_models::Error) -> Self {
        use maskline_models::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::Output => ErrorKind::BadAnswer,
            Kind::Graph => ErrorKind::Failed,
            Kind::Configuration => ErrorKind::InvalidOption,
            _ => ErrorKind::BadInput,
        };
        let concern = if kind == ErrorKind::BadInput { Concern::Model } else { Concern::of(kind) };
        Self::wrap(kind, error).about(concern)
    }
}

impl From<maskline_onnx::Error> for Error {
    fn from(error: maskline_onnx::Error) -> Self {
        use maskline_onnx::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::Format => ErrorKind::BadInput,
            Kind::Io => ErrorKind::Io,
            _ => ErrorKind::Failed,
        };
        Self::wrap(kind, error).about(Concern::Model)
    }
}

impl From<maskline_runtime::Error> for Error {
    fn from(error: maskline_runtime::Error) -> Self {
        use maskline_runtime::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::InvalidModel | Kind::InvalidInput => ErrorKind::BadInput,
            Kind::InvalidOption => ErrorKind::InvalidOption,
            Kind::QueueFull => ErrorKind::Busy,
            Kind::RunFailed | Kind::InvalidOutput | Kind::Closed => ErrorKind::Failed,
            Kind::Io | Kind::Cache | Kind::DiskFull => ErrorKind::Io,
            _ => ErrorKind::Unavailable,
        };
        let concern = match error.kind() {
            // Another picture may need less memory, or none of the operators that failed: who goes on loses nothing.
            Kind::RunFailed | Kind::QueueFull => Concern::Picture,
            Kind::InvalidOption => Concern::Options,
            _ => Concern::Model,
        };
        Self::wrap(kind, error).about(concern)
    }
}
