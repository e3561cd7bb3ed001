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
    /// Too many jobs wait for the model already; the same one can succeed later.
    Busy,
    /// The deadline of a job passed before its turn came. Nothing was run for it.
    TimedOut,
    /// The model was closed before the job was run.
    Closed,
    /// An input that an earlier run left in the memory of a device is gone with it; what gave it gives it again.
    Lost,
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

/// An error as fields: kind, what happened, where, what was expected and found, and the way out. `Display` makes a sentence of them.
#[derive(Debug)]
pub struct Error(Box<ErrorParts>);

/// The fields of an [`Error`], to be taken over one by one.
#[non_exhaustive]
#[derive(Debug)]
pub struct ErrorParts {
    /// What went wrong, for programs.
    pub kind: ErrorKind,
    /// What happened.
    pub message: String,
    /// Where: a file or folder, or the name of a model or a variable.
    pub place: Option<String>,
    /// What should have been there.
    pub expected: Option<String>,
    /// What was there.
    pub found: Option<String>,
    /// The way out.
    pub help: Option<String>,
    /// The error beneath.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(ErrorParts { kind, message, place: None, expected: None, found: None, help: None, source: None }))
    }

    pub(crate) fn io(path: &Path, error: std::io::Error) -> Self {
        if let Some(homeless) = crate::home::homeless(path) {
            return homeless;
        }
        if crate::disk::is_full(&error) {
            return crate::disk::unwritten(path).with_source(error);
        }
        Self::new(ErrorKind::Io, error.to_string()).at(path.display()).with_source(error)
    }

    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place = Some(place.to_string());
        self
    }

    pub(crate) fn expecting(mut self, expected: impl fmt::Display) -> Self {
        self.0.expected = Some(expected.to_string());
        self
    }

    pub(crate) fn finding(mut self, found: impl fmt::Display) -> Self {
        self.0.found = Some(found.to_string());
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, and nothing else.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where: a file or folder, or the name of a model or a variable.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What should have been there.
    pub fn expected(&self) -> Option<&str> {
        self.0.expected.as_deref()
    }

    /// What was there.
    pub fn found(&self) -> Option<&str> {
        self.0.found.as_deref()
    }

    /// The way out, where there is one.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// All fields.
    pub fn into_parts(self) -> ErrorParts {
        *self.0
    }

    /// Place, message, what was expected and found: all but the way out, on one line.
    pub(crate) fn sentence(&self) -> String {
        let ErrorParts { message, place, expected, found, .. } = &*self.0;
        let place = place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
        let compared: Vec<String> = [("expected", expected), ("found", found)]
            .into_iter()
            .filter_map(|(what, value)| value.as_ref().map(|value| format!("{what} {value}")))
            .collect();
        let comparison = if compared.is_empty() { String::new() } else { format!(": {}", compared.join(", ")) };
        format!("{place}{message}{comparison}")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        match self.help() {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_made_of_the_fields_that_are_there() {
        let bare = Error::new(ErrorKind::Offline, "nothing to fetch");
        assert_eq!(bare.to_string(), "nothing to fetch");
        let error = Error::new(ErrorKind::InvalidInput, "input `x`").at("net").expecting("f32").finding("i64").with_help("cast it");
        assert_eq!(error.to_string(), "net: input `x`: expected f32, found i64\n  help: cast it");
        let parts = error.into_parts();
        assert_eq!((parts.kind, parts.message.as_str(), parts.place.as_deref()), (ErrorKind::InvalidInput, "input `x`", Some("net")));
        assert_eq!((parts.expected.as_deref(), parts.found.as_deref(), parts.help.as_deref()), (Some("f32"), Some("i64"), Some("cast it")));
    }
}
