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
    expected: Option<String>,
    found: Option<String>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, scope: String::new(), message: message.into(), expected: None, found: None }
    }

    /// Adds what was expected: `: expected …`.
    pub(crate) fn expecting(mut self, expected: impl std::fmt::Display) -> Self {
        let expected = expected.to_string();
        self.message += if self.message.is_empty() { "expected " } else { ": expected " };
        self.message += &expected;
        self.expected = Some(expected);
        self
    }

    /// Adds what was found instead: `, found …`.
    pub(crate) fn finding(mut self, found: impl std::fmt::Display) -> Self {
        let found = found.to_string();
        self.message += ", found ";
        self.message += &found;
        self.found = Some(found);
        self
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

    /// What went wrong, without scope and help.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the graph it went wrong, see [`scope`](Self::scope); `None` outside a graph.
    pub fn place(&self) -> Option<&str> {
        Some(self.scope.as_str()).filter(|scope| !scope.is_empty())
    }

    /// What was expected, where the message says so.
    pub fn expected(&self) -> Option<&str> {
        self.expected.as_deref()
    }

    /// What was found instead.
    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    /// Dotted path of the scope and the operator, e.g. `mask_decoder.transformer.layers.0.MatMul`; empty outside a graph.
    pub fn scope(&self) -> &str {
        &self.scope
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place() {
            Some(scope) => write!(f, "{scope}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}
