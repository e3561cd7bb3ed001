//! The error of this crate.

/// What went wrong, for programs. Stable; new kinds may be added.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The text has more tokens than there is room for, or more bytes than are read at all.
    TooLong,
    /// A tokenizer file is broken, of another kind, or not one with the others.
    InvalidFile,
    /// A tokenizer file is larger than the limit.
    TooLarge,
    /// A tokenizer file that is needed was not given.
    MissingFile,
    /// An argument is outside its domain.
    InvalidArgument,
}

/// An error with the file it is about, what was expected and found, and the way out, each a field of its own.
///
/// Shown as `message: expected …, found …`, and on further lines `in   …` and `help: …`; what is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    /// Boxed, so that results stay small.
    parts: Box<Parts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    message: String,
    place: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    help: Option<String>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` says what went wrong, or what it is about where [`Error::expected`] and [`Error::found`] say the rest.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let parts = Parts { message: message.into(), place: None, expected: None, found: None, help: None };
        Self { kind, parts: Box::new(parts) }
    }

    /// Short for an error of [`ErrorKind::InvalidFile`].
    pub(crate) fn invalid(file: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidFile, message).at(file)
    }

    /// Names the file that the error is about.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.parts.place = Some(place.into());
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

    /// What went wrong or what it is about, without what was expected and found, the place and the way out.
    pub fn message(&self) -> &str {
        &self.parts.message
    }

    /// Name of the file that the error is about, e.g. `merges.txt`.
    pub fn place(&self) -> Option<&str> {
        self.parts.place.as_deref()
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

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.parts.message)?;
        match (&self.parts.expected, &self.parts.found) {
            (Some(expected), Some(found)) => write!(f, ": expected {expected}, found {found}")?,
            (Some(expected), None) => write!(f, ": expected {expected}")?,
            (None, Some(found)) => write!(f, ": found {found}")?,
            (None, None) => {}
        }
        if let Some(place) = &self.parts.place {
            write!(f, "\n  in   {place}")?;
        }
        if let Some(help) = &self.parts.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// A text as people read it within a message: its beginning, with everything escaped that does not show.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut characters = text.chars();
    let beginning: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_none() { format!("{beginning:?}") } else { format!("{beginning:?}…") }
}
