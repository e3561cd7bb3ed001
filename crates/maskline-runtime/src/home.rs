//! maskline's folder on this machine.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Stands for the folder of a user who has no home folder. Below a file nothing can be made, by nobody: whatever is tried there
/// ends with an error. A folder for temporary files would be no way out: everybody knows its name and may put a library there.
const NOWHERE: &str = if cfg!(windows) { r"\\.\NUL\maskline" } else { "/dev/null/maskline" };

/// What to do where no folder of the user's is to be had.
pub(crate) const NAME_A_HOME: &str = "set MASKLINE_HOME to a folder that is yours alone";

/// maskline's cache folder: `MASKLINE_HOME`, else `maskline` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`,
/// `~/Library/Caches`, `%LOCALAPPDATA%`). The home folder is that of the environment, else that of the system's user list.
///
/// For a user without a home folder it is a path where nothing can be: who tries to use it gets an error that asks for
/// `MASKLINE_HOME`.
pub fn home_dir() -> PathBuf {
    match std::env::var_os("MASKLINE_HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home),
        _ => platform_home(),
    }
}

/// As [`home_dir`], without a look at `MASKLINE_HOME`.
pub(crate) fn platform_home() -> PathBuf {
    user_cache().map_or_else(|| PathBuf::from(NOWHERE), |cache| cache.join("maskline"))
}

fn user_cache() -> Option<PathBuf> {
    // A path that depends on the current folder is anybody's.
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // Looks into the system's user list where the environment names no home.
    let home = || variable("HOME").or_else(std::env::home_dir).filter(|home| home.is_absolute());
    if cfg!(windows) {
        variable("LOCALAPPDATA").or_else(|| home().map(|home| home.join("AppData").join("Local")))
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
    }
}

/// The error for a path below no home, or `None` for other paths.
pub(crate) fn homeless(path: &Path) -> Option<Error> {
    let is_nowhere = path.starts_with(NOWHERE);
    is_nowhere
        .then(|| Error::new(ErrorKind::Cache, "this user has no home folder, where maskline would keep its files").with_help(NAME_A_HOME))
}

/// Fails where there is no folder to keep files in: none of the user's, or something else in its place.
///
/// # Errors
/// `Cache`, which asks for `MASKLINE_HOME`.
pub fn check_home(home: &Path) -> Result<()> {
    if let Some(error) = homeless(home) {
        return Err(error);
    }
    match nearest(home).filter(|path| !path.is_dir()) {
        Some(path) => {
            let error = Error::new(ErrorKind::Cache, "not a folder").at(path.display());
            Err(error.expecting("a folder for maskline's files").finding("a file").with_help(NAME_A_HOME))
        }
        None => Ok(()),
    }
}

/// Whether this user may write to maskline's folder, or may make it. `true` where the system does not tell (Windows).
pub fn is_home_writable(home: &Path) -> bool {
    #[cfg(unix)]
    return nearest(home).is_some_and(|path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok());
    #[cfg(not(unix))]
    {
        let _ = home;
        true
    }
}

/// What is there of a path: itself, or the nearest folder above it.
fn nearest(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().find(|path| path.exists()).map(Path::to_path_buf)
}
