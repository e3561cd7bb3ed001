//! The error of this crate.

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Shapes that do not fit each other or the operator.
    Shape,
    /// An element type that the operator does not take.
    DType,
    /// An option outside its domain, a duplicate name, an empty graph.
    Invalid,
    /// The bytes are not an ONNX model.
    Format,
    /// A file cannot be read or written.
    Io,
}

/// An error that names the scope in the graph and the operator it arose in.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    scope: String,
    message: String,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, scope: String::new(), message: message.into() }
    }

    pub(crate) fn in_scope(mut self, scope: impl Into<String>) -> Self {
        if self.scope.is_empty() {
            self.scope = scope.into();
        }
        self
    }

    pub(crate) fn io(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{}: {error}", path.display()))
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Dotted path of the scope and the operator, e.g. `mask_decoder.transformer.layers.0.MatMul`; empty outside a graph.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.scope.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.scope, self.message) }
    }
}

impl std::error::Error for Error {}
