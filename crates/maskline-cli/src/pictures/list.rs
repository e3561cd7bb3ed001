//! Lists of pictures: `@list.txt`, one path a line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use maskline::Error;

use super::{bad, unreadable};

/// The list that an argument names: its path behind the `@`.
pub(crate) fn named(argument: &OsStr) -> Option<PathBuf> {
    let path = argument.as_encoded_bytes().strip_prefix(b"@").filter(|path| !path.is_empty())?;
    os_text(path).map(PathBuf::from)
}

/// The lines of a list: paths of pictures, folders or patterns, seen from the current folder as on the command line, and where nothing is
/// there, from the folder of the list. Empty lines are passed over, and those that begin with `#`, unless a file has that name.
///
/// # Errors
/// `BadInput` for a list that cannot be read, is no text, or names nothing.
pub(super) fn read(list: &Path) -> Result<Vec<OsString>, Error> {
    let bytes = std::fs::read(list).map_err(|error| {
        let help = "@FILE names a list of pictures; a picture whose name begins with @ is written ./@NAME";
        bad(format!("the list cannot be read: {error}")).at(list).with_help(help)
    })?;
    let text = maskline_eval::without_mark(&bytes).map_err(|message| bad(message).at(list))?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n' || *byte == b'\r').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty()) {
        let line = os_text(line).ok_or_else(|| unreadable(list, &std::io::Error::other("a line is no UTF-8")))?;
        if line.as_encoded_bytes().starts_with(b"#") && !Path::new(&line).exists() {
            continue;
        }
        lines.push(placed(line, folder));
    }
    if lines.is_empty() {
        return Err(bad("the list names no pictures").at(list).with_help("write one path a line"));
    }
    Ok(lines)
}

/// A line as seen from the current folder, or from the list's where only there is something.
fn placed(line: OsString, folder: &Path) -> OsString {
    let beside = folder.join(&line);
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if !is_there(Path::new(&line)) && is_there(&beside) { beside.into_os_string() } else { line }
}

/// Bytes as a name, where the system has such names.
fn os_text(bytes: &[u8]) -> Option<OsString> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Some(OsStr::from_bytes(bytes).to_owned())
    }
    #[cfg(not(unix))]
    std::str::from_utf8(bytes).ok().map(OsString::from)
}
