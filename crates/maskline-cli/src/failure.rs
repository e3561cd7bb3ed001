//! Errors and exit codes: 0 fine, 1 failed, 2 usage, 3 bad input, 4 model or runtime not available, 5 over a limit.

use std::process::ExitCode;

use maskline::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::nearest::shortened;

/// Letters of an error: ONNX Runtime's quote names from the file, which may be of any length.
const LONGEST: usize = 4000;

/// Why the command ends with an exit code other than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error to be told.
    Error(Error),
    /// All was told already.
    Told(u8),
    /// The reader of our output has gone; nothing is wrong.
    OutputClosed,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::Error(Error::new(kind, message))
    }

    /// Prints the error, if it is not told yet, and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Error(error) => {
                crate::terminal::complain(&shortened(&error.to_string(), LONGEST));
                ExitCode::from(code(error.kind()))
            }
            Self::Told(code) => ExitCode::from(code),
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<maskline::vision::Error> for Failure {
    fn from(error: maskline::vision::Error) -> Self {
        Self::Error(error.into())
    }
}

impl From<maskline::runtime::Error> for Failure {
    fn from(error: maskline::runtime::Error) -> Self {
        Self::Error(error.into())
    }
}

impl From<maskline_bench::Error> for Failure {
    fn from(error: maskline_bench::Error) -> Self {
        use maskline_bench::Error as Benched;
        let kind = match error {
            Benched::InvalidArgument { what, expected, found } => {
                return Error::new(ErrorKind::InvalidOption, what).expecting(expected).but_found(found).into();
            }
            Benched::NotAReport { .. } => ErrorKind::BadInput,
            Benched::Write { .. } => ErrorKind::Io,
            _ => ErrorKind::Failed,
        };
        Self::new(kind, error.to_string())
    }
}

/// The exit code of an error.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidOption => 2,
        ErrorKind::BadInput => 3,
        ErrorKind::Unavailable => 4,
        ErrorKind::OverLimit => 5,
        _ => 1,
    }
}

/// An error in JSON: its stable word, the text that people read, and its parts.
pub(crate) fn told(error: &Error) -> Value {
    let mut told = json!(error);
    told["message"] = json!(error.to_string());
    told
}
