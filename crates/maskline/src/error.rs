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
    /// The request's deadline passed before it was answered.
    TimedOut,
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
            ErrorKind::BadInput | ErrorKind::OverLimit | ErrorKind::BadAnswer | ErrorKind::Io | ErrorKind::Busy | ErrorKind::TimedOut => {
                Self::Picture
            }
            ErrorKind::InvalidOption | ErrorKind::Cancelled => Self::Options,
            ErrorKind::Unavailable | ErrorKind::Failed => Self::Model,
        }
    }
}

/// An error as data: what went wrong, where, what was expected and found, and the way out. [`Display`](std::fmt::Display) puts the parts
/// into the lines that people read; a server takes them one by one.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    concern: Concern,
    /// In a box of its own, so that results are small where nothing went wrong.
    parts: Box<Parts>,
    /// Shared, so that one failure can be the answer of many pictures.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

#[derive(Debug, Clone, Default)]
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
    /// A new error; `message` says what went wrong, or what it is about where [`expected`](Self::expecting) and
    /// [`found`](Self::but_found) say the rest.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, concern: Concern::of(kind), parts: Box::new(Parts { message: message.into(), ..Parts::default() }), source: None }
    }

    /// With the file that it is about.
    #[must_use]
    pub fn at(self, path: &std::path::Path) -> Self {
        self.at_place(path.display().to_string())
    }

    /// With the place that it is about.
    #[must_use]
    pub fn at_place(mut self, place: impl Into<String>) -> Self {
        self.parts.place = Some(place.into());
        self
    }

    /// With what was expected.
    #[must_use]
    pub fn expecting(mut self, expected: impl std::fmt::Display) -> Self {
        self.parts.expected = Some(expected.to_string());
        self
    }

    /// With what was found instead.
    #[must_use]
    pub fn but_found(mut self, found: impl std::fmt::Display) -> Self {
        self.parts.found = Some(found.to_string());
        self
    }

    /// With the way out.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.parts.help = Some(help.into());
        self
    }

    /// What came of reading or writing a file: `BadInput` where there is none, else `Io`.
    pub fn io(path: &std::path::Path, error: std::io::Error) -> Self {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { ErrorKind::BadInput } else { ErrorKind::Io };
        let new = Self::new(kind, error.to_string()).at(path);
        Self { source: Some(Arc::new(error)), ..new }
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, without the other parts.
    pub fn message(&self) -> &str {
        &self.parts.message
    }

    /// The file or place that it is about.
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

    /// The message with something before it, such as which of several prompts it is about.
    #[must_use]
    pub fn named(mut self, name: impl std::fmt::Display) -> Self {
        let message = &self.parts.message;
        self.parts.message = if message.is_empty() { name.to_string() } else { format!("{name}: {message}") };
        self
    }

    /// Whether this is about the picture that was asked about, or would come back with every other one.
    pub fn concerns(&self) -> Concern {
        self.concern
    }

    /// For those who know better what the error is about than its kind tells.
    #[must_use]
    pub fn about(self, concern: Concern) -> Self {
        Self { concern, ..self }
    }

    /// For those who know better what went wrong than the crate that the error comes from; it is then about what errors of the kind are.
    #[must_use]
    pub fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, concern: Concern::of(kind), ..self }
    }

    /// What a picture is refused for, where a function of pixels calls it an argument outside its domain: the options were checked before.
    pub(crate) fn of_picture(error: maskline_vision::Error) -> Self {
        match Self::from(error) {
            error if error.kind == ErrorKind::InvalidOption => error.of_kind(ErrorKind::BadInput),
            error => error,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Parts { message, place, expected, found, help } = &*self.parts;
        f.write_str(message)?;
        let colon = if message.is_empty() { "" } else { ": " };
        match (expected, found) {
            (Some(expected), Some(found)) => write!(f, "{colon}expected {expected}, found {found}")?,
            (Some(expected), None) => write!(f, "{colon}expected {expected}")?,
            (None, Some(found)) => write!(f, "{colon}found {found}")?,
            (None, None) => {}
        }
        if let Some(place) = place {
            write!(f, "\n  in   {place}")?;
        }
        match help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl serde::Serialize for Error {
    /// `kind`, `message`, and where they are known `where`, `expected`, `found` and `help`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", &self.kind)?;
        map.serialize_entry("message", &self.parts.message)?;
        let Parts { place, expected, found, help, .. } = &*self.parts;
        for (key, value) in [("where", place), ("expected", expected), ("found", found), ("help", help)] {
            if let Some(value) = value {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// The fields of an error of another crate.
struct Told<'a> {
    message: &'a str,
    place: Option<String>,
    expected: Option<&'a str>,
    found: Option<&'a str>,
    help: Option<&'a str>,
}

impl Told<'_> {
    /// Takes the fields over. Where a message ends with the comparison, that is taken off: it is told by the fields.
    fn parts(&self) -> Box<Parts> {
        let comparison = match (self.expected, self.found) {
            (Some(expected), Some(found)) => format!("expected {expected}, found {found}"),
            (Some(expected), None) => format!("expected {expected}"),
            (None, Some(found)) => format!("found {found}"),
            (None, None) => String::new(),
        };
        let before = self.message.strip_suffix(&comparison).map(|before| before.strip_suffix(": ").unwrap_or(before));
        let is_within = before.is_none() && self.message.contains("expected ");
        let (expected, found) = if is_within { (None, None) } else { (self.expected, self.found) };
        Box::new(Parts {
            message: before.unwrap_or(self.message).to_owned(),
            place: self.place.clone(),
            expected: expected.map(str::to_owned),
            found: found.map(str::to_owned),
            help: self.help.map(str::to_owned),
        })
    }
}

/// The fields of errors that all crates tell in the same way.
macro_rules! told {
    ($error:expr, $place:expr) => {
        Told { message: $error.message(), place: $place, expected: $error.expected(), found: $error.found(), help: $error.help() }
    };
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
        let parts = told!(error, error.place().map(|place| place.into_owned())).parts();
        Self { kind, concern: Concern::of(kind), parts, source: Some(Arc::new(error)) }
    }
}

impl From<maskline_text::Error> for Error {
    fn from(error: maskline_text::Error) -> Self {
        use maskline_text::ErrorKind as Kind;
        // The words are the same for every picture, and the files are the model's.
        let (kind, concern) = match error.kind() {
            Kind::TooLong => (ErrorKind::BadInput, Concern::Options),
            Kind::InvalidArgument => (ErrorKind::InvalidOption, Concern::Options),
            Kind::InvalidFile | Kind::TooLarge | Kind::MissingFile => (ErrorKind::BadInput, Concern::Model),
            _ => (ErrorKind::Failed, Concern::Model),
        };
        let parts = told!(error, error.place().map(str::to_owned)).parts();
        Self { kind, concern, parts, source: Some(Arc::new(error)) }
    }
}

impl From<maskline_weights::Error> for Error {
    fn from(error: maskline_weights::Error) -> Self {
        let parts = told!(error, error.place()).parts();
        Self { kind: ErrorKind::BadInput, concern: Concern::Model, parts, source: Some(Arc::new(error)) }
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
        let parts = told!(error, error.place()).parts();
        Self { kind, concern, parts, source: Some(Arc::new(error)) }
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
        // The place is one within the graph, which stands before the message.
        let new = Self::new(kind, error.to_string()).about(Concern::Model);
        Self { source: Some(Arc::new(error)), ..new }
    }
}

impl From<maskline_runtime::Error> for Error {
    fn from(error: maskline_runtime::Error) -> Self {
        use maskline_runtime::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::InvalidModel | Kind::InvalidInput => ErrorKind::BadInput,
            Kind::InvalidOption => ErrorKind::InvalidOption,
            Kind::Busy => ErrorKind::Busy,
            Kind::TimedOut => ErrorKind::TimedOut,
            Kind::RunFailed | Kind::InvalidOutput | Kind::Closed | Kind::Lost => ErrorKind::Failed,
            Kind::Io | Kind::Cache | Kind::DiskFull => ErrorKind::Io,
            _ => ErrorKind::Unavailable,
        };
        let concern = match error.kind() {
            // Another picture may need less memory, or none of the operators that failed: who goes on loses nothing.
            Kind::RunFailed | Kind::Lost | Kind::Busy | Kind::TimedOut => Concern::Picture,
            Kind::InvalidOption => Concern::Options,
            _ => Concern::Model,
        };
        let maskline_runtime::ErrorParts { message, place, expected, found, help, source, .. } = error.into_parts();
        let parts = Box::new(Parts { message, place, expected, found, help });
        Self { kind, concern, parts, source: source.map(Arc::from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_too_long_would_be_so_for_every_picture() {
        let room = maskline_text::Room { context: 3, truncate: false };
        let error = Error::from(maskline_text::Tokenizer::stand_in(9).encode("a b c", room).expect_err("too long"));
        assert_eq!((error.kind(), error.concerns(), error.found()), (ErrorKind::BadInput, Concern::Options, Some("5")));
        let error = Error::from(maskline_text::Tokenizer::open(&maskline_text::TokenizerFiles::default()).expect_err("no files"));
        assert_eq!((error.kind(), error.concerns()), (ErrorKind::BadInput, Concern::Model));
        assert!(error.help().is_some_and(|help| help.contains("tokenizer.json")), "{error}");
    }

    #[test]
    fn fields_of_other_crates_are_told_once() {
        let told = |message, expected, found| Told { message, place: Some("net.pt".into()), expected, found, help: Some("ask") };
        let error = |told: Told<'_>| Error { parts: told.parts(), ..Error::new(ErrorKind::BadInput, "") };
        let text = "weight: expected [2], found [3]\n  in   net.pt\n  help: ask";
        let within = error(told("weight: expected [2], found [3]", Some("[2]"), Some("[3]")));
        assert_eq!((within.to_string().as_str(), within.message(), within.found()), (text, "weight", Some("[3]")));
        let apart = error(told("weight", Some("[2]"), Some("[3]")));
        assert_eq!((apart.to_string().as_str(), apart.expected()), (text, Some("[2]")));
        let bare = error(told("expected [2], found [3]", Some("[2]"), Some("[3]")));
        assert_eq!((bare.to_string().lines().next(), bare.message()), (Some("expected [2], found [3]"), ""));
        let elsewhere = error(told("expected [2], found [3] and more", Some("[2]"), Some("[3]")));
        assert_eq!((elsewhere.to_string().lines().next(), elsewhere.found()), (Some("expected [2], found [3] and more"), None));
        let json = serde_json::to_value(&within).expect("text");
        assert_eq!(
            json,
            serde_json::json!({"kind": "bad_input", "message": "weight", "where": "net.pt", "expected": "[2]", "found": "[3]", "help": "ask"})
        );
    }
}
