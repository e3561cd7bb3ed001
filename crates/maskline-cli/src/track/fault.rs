//! Errors of clips as those of the command.

use maskline::{Error, ErrorKind};
use maskline_video::ErrorKind as Kind;

/// What is wrong with a clip that is read: that it, or one of its frames, is not there is bad input, as for pictures.
pub(super) fn of_clip(error: maskline_video::Error) -> Error {
    let kind = match error.kind() {
        Kind::Io | Kind::Corrupt | Kind::NoFrames | Kind::InvalidArgument => ErrorKind::BadInput,
        kind => common(kind),
    };
    told(kind, &error)
}

/// What is wrong with files that are written.
pub(super) fn of_files(error: maskline_video::Error) -> Error {
    let kind = match error.kind() {
        Kind::Io => ErrorKind::Io,
        Kind::Corrupt | Kind::NoFrames => ErrorKind::BadInput,
        kind => common(kind),
    };
    told(kind, &error)
}

fn common(kind: Kind) -> ErrorKind {
    match kind {
        Kind::Unavailable => ErrorKind::Unavailable,
        Kind::TooLarge => ErrorKind::OverLimit,
        Kind::InvalidArgument => ErrorKind::InvalidOption,
        _ => ErrorKind::Failed,
    }
}

fn told(kind: ErrorKind, error: &maskline_video::Error) -> Error {
    let mut told = Error::new(kind, error.message());
    if let Some(path) = error.path() {
        told = told.at(path);
    }
    if let Some(expected) = error.expected() {
        told = told.expecting(expected);
    }
    if let Some(found) = error.found() {
        told = told.but_found(found);
    }
    match error.help() {
        Some(help) => told.with_help(help),
        None => told,
    }
}
