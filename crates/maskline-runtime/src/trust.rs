//! Who may change what is loaded as code: nobody but this user and the system.

use std::path::Path;

use crate::error::Result;

/// Fails where another user could have put a library into `folder`, or could put another one there between a look at it and its
/// loading: a folder or file that is not this user's or the system's, or that others may write to.
///
/// Looked at are `folder` and what lies in it, and the folders above it up to `home`. A home that the user named himself is his
/// word; what is made below it is looked at all the same.
///
/// # Errors
/// `Untrusted`.
pub(crate) fn check(folder: &Path, home: &Path) -> Result<()> {
    #[cfg(unix)]
    return unix::check(folder, home);
    // Elsewhere a user's folders are his own unless he gives others rights to them.
    #[cfg(not(unix))]
    {
        let _ = (folder, home);
        Ok(())
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use crate::error::{Error, ErrorKind, Result};
    use crate::home::{NAME_A_HOME, platform_home};

    const OTHERS_WRITE: u32 = 0o002;
    const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
    /// Only the owner of a file may rename or remove it, though others may write to the folder.
    const STICKY: u32 = 0o1000;

    pub(super) fn check(folder: &Path, home: &Path) -> Result<()> {
        let own = |path: &Path| owned(path).and_then(|facts| closed(path, &facts));
        for path in folder.ancestors().take_while(|path| *path != home) {
            own(path)?;
        }
        let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
        for entry in entries {
            own(&entry.map_err(|error| Error::io(folder, error))?.path())?;
        }
        if home != platform_home() {
            return Ok(());
        }
        own(home)?;
        // Whoever owns the folder around it, or may rename what is in it, could put another home there.
        match home.parent() {
            Some(around) => owned(around).and_then(|facts| lasting(around, &facts)),
            None => Ok(()),
        }
    }

    /// What `path` is, if it, and what it may point to, is this user's or the system's.
    fn owned(path: &Path) -> Result<Metadata> {
        let io = |error| Error::io(path, error);
        for facts in [path.symlink_metadata().map_err(io)?, path.metadata().map_err(io)?] {
            let own = rustix::process::geteuid().as_raw();
            if facts.uid() != own && facts.uid() != 0 {
                return Err(untrusted(path, &format!("it belongs to user {}, not to this one ({own})", facts.uid())));
            }
        }
        path.metadata().map_err(io)
    }

    fn closed(path: &Path, facts: &Metadata) -> Result<()> {
        match facts.mode() & GROUP_OR_OTHERS_WRITE {
            0 => Ok(()),
            _ => Err(untrusted(path, &format!("others may write to it (mode {:o})", facts.mode() & 0o7777))),
        }
    }

    fn lasting(path: &Path, facts: &Metadata) -> Result<()> {
        let is_lasting = facts.mode() & OTHERS_WRITE == 0 || facts.mode() & STICKY != 0;
        if is_lasting { Ok(()) } else { Err(untrusted(path, &format!("everybody may write to it (mode {:o})", facts.mode() & 0o7777))) }
    }

    fn untrusted(path: &Path, reason: &str) -> Error {
        Error::new(ErrorKind::Untrusted, format!("ONNX Runtime is not loaded from there, as {reason}"))
            .at(path.display())
            .with_help(format!("make it yours alone (chown, chmod go-w), or {NAME_A_HOME}, or name a library in MASKLINE_ONNXRUNTIME"))
    }
}
