//! The error of this crate.

use std::path::PathBuf;

/// What went wrong: where, what was expected and what was found.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is outside its domain.
    #[error("{what}: expected {expected}, found {found}")]
    InvalidArgument {
        /// The argument.
        what: String,
        /// Its domain.
        expected: String,
        /// What was given.
        found: String,
    },
    /// The bytes are not a report that this version can read.
    #[error("not a benchmark report: {message}\n  help: reports are the JSON files that this program writes")]
    NotAReport {
        /// Where reading stopped, and why.
        message: String,
    },
    /// The code under load panicked; there is no record of the run.
    #[error("the code under load panicked: expected a value or an error from each call")]
    TargetPanicked,
    /// A file could not be written; whatever was there before is untouched.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn argument(what: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::InvalidArgument { what: what.into(), expected: expected.into(), found: found.to_string() }
    }
}
