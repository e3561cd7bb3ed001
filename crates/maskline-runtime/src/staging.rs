//! Folders that appear whole or not at all, and locks between processes.
//!
//! Who builds a folder holds its lock, fills a hidden folder beside it, syncs it to disk and renames it. A crash leaves
//! the hidden folder, which the next holder of the lock removes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A lock between processes (and between handles in one process), freed when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `None` on a read-only disk, where nobody can take anything away either.
    file: Option<File>,
}

impl Lock {
    fn open(path: &Path) -> Result<File> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(|error| Error::io(path, error))
    }

    /// Waits until nobody has the lock for itself. What this process may not write to needs no lock file: it is used as it is.
    pub(crate) fn shared(path: &Path) -> Result<Self> {
        let file = match Self::open(path) {
            Ok(file) => file,
            Err(error) if is_read_only(&error) => match File::open(path) {
                Ok(file) => file,
                Err(_) => return Ok(Self { file: None }),
            },
            Err(error) => return Err(error),
        };
        file.lock_shared().map_err(|error| Error::io(path, error))?;
        Ok(Self { file: Some(file) })
    }

    /// The exclusive lock, or `None` when somebody has it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>> {
        let file = Self::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io(path, error)),
        }
    }

    /// Sets the modification time of the lock's file to now.
    pub(crate) fn touch(&self) {
        // Only the order of eviction hangs on it: a file system that refuses is no reason to fail.
        let _ = self.file.as_ref().map(|file| file.set_modified(std::time::SystemTime::now()));
    }
}

/// Whether an error came of a folder that this process may not write to.
pub(crate) fn is_read_only(error: &Error) -> bool {
    cause(error).is_some_and(|kind| matches!(kind, IoKind::PermissionDenied | IoKind::ReadOnlyFilesystem))
}

/// Whether an error came of a file in the place of a folder.
fn is_no_folder(error: &Error) -> bool {
    cause(error).is_some_and(|kind| matches!(kind, IoKind::NotADirectory | IoKind::AlreadyExists))
}

fn cause(error: &Error) -> Option<IoKind> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

/// A hidden folder that becomes `target` when it is complete. Removed when dropped before.
pub(crate) struct Staging {
    folder: tempfile::TempDir,
    target: PathBuf,
}

impl Staging {
    /// A fresh hidden folder beside `target`. What crashed predecessors left is removed: hold the target's lock.
    pub(crate) fn beside(target: &Path) -> Result<Self> {
        let parent = parent(target);
        create_folder(parent)?;
        remove_leftovers(target)?;
        let prefix = prefix(target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755));
        let folder = builder.tempdir_in(parent).map_err(|error| Error::io(parent, error))?;
        Ok(Self { folder, target: target.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes what is in the folder durable and renames it to the target, in place of what was there.
    pub(crate) fn commit(self) -> Result<()> {
        sync_tree(self.folder.path())?;
        if self.target.exists() {
            remove_dir(&self.target)?;
        }
        let staged = self.folder.keep();
        std::fs::rename(&staged, &self.target).map_err(|error| {
            let _ = std::fs::remove_dir_all(&staged);
            Error::io(&self.target, error)
        })?;
        sync_folder(parent(&self.target))
    }
}

/// Removes a folder so that no half of it is ever seen under its name.
pub(crate) fn remove_dir(target: &Path) -> Result<()> {
    let aside =
        tempfile::Builder::new().prefix(&prefix(target)).tempdir_in(parent(target)).map_err(|error| Error::io(parent(target), error))?;
    std::fs::rename(target, aside.path().join("removed")).map_err(|error| Error::io(target, error))?;
    let path = aside.path().to_owned();
    aside.close().map_err(|error| Error::io(&path, error))
}

/// Removes the hidden folders that crashed builders of `target` left. Hold the target's lock.
pub(crate) fn remove_leftovers(target: &Path) -> Result<()> {
    let (parent, prefix) = (parent(target), prefix(target));
    let entries = std::fs::read_dir(parent).map_err(|error| Error::io(parent, error))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_dir_all(entry.path()).map_err(|error| Error::io(&entry.path(), error))?;
        }
    }
    Ok(())
}

/// The name of the folder that a hidden folder is meant for, or `None` for other names.
pub(crate) fn leftover_of(name: &str) -> Option<&str> {
    name.strip_prefix('.')?.split_once(INFIX).map(|(target, _)| target)
}

/// The lock file that belongs to `target`.
pub(crate) fn lock_path(target: &Path) -> PathBuf {
    parent(target).join(".locks").join(format!("{}.lock", name(target)))
}

/// Makes a folder and those above it, where they are not there yet; only this user may write to those that are made.
///
/// # Errors
/// `Io`; `DiskFull`; `Cache` for a path in the home folder of a user who has none.
pub fn create_folder(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    // Whatever the user's mask allows: code is loaded from here, and others are not to put any there.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.create(folder).map_err(|error| match Error::io(folder, error) {
        error if is_read_only(&error) || is_no_folder(&error) => error.with_help(crate::home::NAME_A_HOME),
        error => error,
    })
}

/// An empty file that only this user may write to.
pub(crate) fn create_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
    options.open(path).map_err(|error| Error::io(path, error))
}

/// Bytes of all files below `folder`; files that vanish meanwhile count nothing.
pub fn tree_size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => tree_size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

const INFIX: &str = ".partial-";

fn prefix(target: &Path) -> String {
    format!(".{}{INFIX}", name(target))
}

fn name(target: &Path) -> String {
    target.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn parent(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_tree(folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io(folder, error))?.path();
        let kind = path.symlink_metadata().map_err(|error| Error::io(&path, error))?;
        if kind.is_dir() {
            sync_tree(&path)?;
        } else if kind.is_file() {
            // Windows flushes only what is open for writing; a read-only file has been flushed by its writer.
            let file = OpenOptions::new().read(true).write(cfg!(windows)).open(&path);
            file.and_then(|file| file.sync_all()).map_err(|error| Error::io(&path, error))?;
        }
    }
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::io(folder, error))
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> Result<()> {
    Ok(())
}
