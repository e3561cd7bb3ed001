//! Files in one step.

use std::io::Write;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// Writes a file in one step: readers see the old content or the new, never a part. Replaces an existing file.
///
/// # Errors
/// `Io`, naming the file, if its folder is missing or cannot be written to.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| {
        let reason = Error::new(ErrorKind::Io, format!("cannot write the file: {}", error.kind())).at(path);
        if path.is_dir() {
            reason.with_help("a folder has this name")
        } else if folder.is_dir() {
            reason.with_help(format!("check that the folder {} can be written to and its disk has room", folder.display()))
        } else {
            reason.with_help(format!("create the folder {} first", folder.display()))
        }
    };
    let mut aside = tempfile::Builder::new();
    aside.prefix(".maskline-");
    // Temporary files are private by default; this one becomes the user's, as their umask says.
    #[cfg(unix)]
    aside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = aside.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
