//! Room on a disk.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

/// Bytes that this user may still write to the disk that holds `path`, or would hold it. `None` where the system does not tell
/// (Windows).
pub fn free_space(path: &Path) -> Option<u64> {
    let absolute = std::path::absolute(path).ok()?;
    // What is not made yet comes onto the disk of the nearest folder that is there.
    absolute.ancestors().find_map(free_at)
}

#[cfg(unix)]
fn free_at(path: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(path).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(not(unix))]
fn free_at(_path: &Path) -> Option<u64> {
    None
}

/// Fails where less than `needed` bytes are free for `folder`; `what` is to be kept there.
pub(crate) fn check_room(folder: &Path, needed: u64, what: &str) -> Result<()> {
    match free_space(folder) {
        Some(free) if free < needed => Err(disk_full(folder, needed, what)),
        _ => Ok(()),
    }
}

/// The error for a disk without room: what is needed, what is free, where, and the way out.
pub(crate) fn disk_full(folder: &Path, needed: u64, what: &str) -> Error {
    full(format!("{what} needs {}{}", megabytes(needed), free_at_hand(folder)), folder)
}

/// The error for a file that could not be written for want of room.
pub(crate) fn unwritten(file: &Path) -> Error {
    full(format!("it could not be written{}", free_at_hand(file)), file)
}

fn full(what: String, place: &Path) -> Error {
    Error::new(ErrorKind::DiskFull, format!("the disk is full: {what}"))
        .at(place.display())
        .with_help("make room there (`maskline cache du` shows what maskline keeps), or set MASKLINE_HOME to a folder on another disk")
}

fn free_at_hand(path: &Path) -> String {
    free_space(path).map_or_else(String::new, |free| format!(", {} are free", megabytes(free)))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", (bytes as f64 / 1e6).ceil())
}

/// Whether a write failed for want of room.
pub(crate) fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_looked_for_before_it_is_needed() {
        let folder = tempfile::tempdir().expect("folder");
        let absent = folder.path().join("not/made/yet");
        assert!(check_room(&absent, 1, "a test").is_ok());
        if cfg!(unix) {
            let error = check_room(&absent, u64::MAX, "a test").expect_err("nobody has so much");
            assert_eq!(error.kind(), ErrorKind::DiskFull);
            let text = error.to_string();
            let unwritten = Error::io(&absent, std::io::ErrorKind::StorageFull.into());
            assert_eq!((unwritten.kind(), unwritten.help()), (ErrorKind::DiskFull, error.help()));
            assert!(text.contains("a test needs") && text.contains("MB are free") && text.contains("MASKLINE_HOME"), "{text}");
        }
    }
}
