//! Files that are there whole or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Writes a file of any length in one step, from what `fill` gives: readers see the old content or the new, never a part.
///
/// # Errors
/// `Io`, naming the file, and what `fill` says.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let failed = |error: std::io::Error| unwritable(path, &error);
    let mut out = BufWriter::new(aside(path, "")?);
    fill(&mut out)?;
    out.into_inner().map_err(|error| failed(error.into_error()))?.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// A file beside another one, which is removed unless it takes its place.
pub(super) fn aside(path: &Path, ending: &str) -> Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut aside = tempfile::Builder::new();
    aside.prefix(".maskline-").suffix(ending);
    // Temporary files are private by default; this one becomes the user's, as their umask says.
    #[cfg(unix)]
    aside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    aside.tempfile_in(folder).map_err(|error| unwritable(path, &error))
}

pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::io(path, "cannot be written", error)
}
