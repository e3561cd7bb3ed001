//! The error of the engine.

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
    /// Anything else that failed while running.
    Failed,
}

/// An error with what was expected and found, where, and the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` says what was expected and found, and on further lines where and the way out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn io(path: &std::path::Path, error: std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::BadInput } else { ErrorKind::Io };
        Self { kind, message: format!("{error}\n  in   {}", path.display()), source: Some(Box::new(error)) }
    }

    fn wrap(kind: ErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { kind, message: error.to_string(), source: Some(Box::new(error)) }
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
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
        Self::wrap(ErrorKind::BadInput, error)
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
        Self::wrap(kind, error)
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
        Self::wrap(kind, error)
    }
}

impl From<maskline_runtime::Error> for Error {
    fn from(error: maskline_runtime::Error) -> Self {
        use maskline_runtime::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::InvalidModel | Kind::InvalidInput => ErrorKind::BadInput,
            Kind::InvalidOption => ErrorKind::InvalidOption,
            Kind::RunFailed | Kind::InvalidOutput | Kind::QueueFull | Kind::Closed => ErrorKind::Failed,
            Kind::Io | Kind::Cache | Kind::DiskFull => ErrorKind::Io,
            _ => ErrorKind::Unavailable,
        };
        Self::wrap(kind, error)
    }
}
