//! Which pictures the arguments name.

use std::path::{Path, PathBuf};

use maskline::ErrorKind;

use crate::failure::Failure;

const EXTENSIONS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Files as they are (also missing ones: each gets its own error), the pictures of folders in order, and globs.
pub(crate) fn pictures(arguments: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        if path.is_dir() {
            found.extend(of_folder(path)?);
        } else if !path.exists() && argument.contains(['*', '?', '[']) {
            found.extend(of_glob(argument)?);
        } else {
            found.push(path.to_path_buf());
        }
    }
    Ok(found)
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| bad(format!("{e}\n  in   {}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| is_picture(path)).collect();
    files.sort();
    if files.is_empty() {
        return Err(bad(format!("the folder {} holds no pictures ({})", folder.display(), EXTENSIONS.join(", "))));
    }
    Ok(files)
}

fn of_glob(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let paths = glob::glob(pattern).map_err(|e| bad(format!("the pattern `{pattern}` is broken: {e}")))?;
    let files: Vec<PathBuf> = paths.flatten().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(bad(format!("nothing matches `{pattern}`")));
    }
    Ok(files)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    path.is_file() && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn bad(message: String) -> Failure {
    Failure::new(ErrorKind::BadInput, message)
}
