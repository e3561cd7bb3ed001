//! The folder of a model: its files under their names, or parts of them; a record of where they come from; a lock.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::http::Facts;
use super::partial::{is_partial, write_whole};
use super::registry::Entry;
use crate::{Error, ErrorKind, Result};

const RECORD: &str = "pulled.json";

/// Where a model's files come from: `pulled.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) repository: String,
    pub(super) licence: String,
    /// The commit that the first file came from; the others come from it too, so that they belong together.
    pub(super) commit: Option<String>,
    pub(super) files: BTreeMap<String, RecordedFile>,
}

/// A file of a [`Record`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RecordedFile {
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// Where a model is, or would be.
pub(super) struct Place {
    pub(super) entry: &'static Entry,
    pub(super) folder: PathBuf,
    root: PathBuf,
}

impl Place {
    pub(super) fn new(root: &Path, entry: &'static Entry) -> Self {
        Self { entry, folder: root.join(entry.name), root: root.to_path_buf() }
    }

    /// Where a file of the repository lies when it is whole.
    pub(super) fn file(&self, file: &str) -> PathBuf {
        self.folder.join(self.entry.local_name(file))
    }

    /// The checkpoint, if all files of the model are there.
    pub(super) fn checkpoint(&self) -> Option<PathBuf> {
        let whole = self.entry.files.iter().all(|file| self.file(file).is_file());
        self.entry.files.first().filter(|_| whole).map(|file| self.file(file))
    }

    /// Bytes that the model has on disk.
    pub(super) fn bytes(&self) -> u64 {
        let whole = self.entry.files.iter().map(|file| self.file(file));
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let parts = entries.filter(|entry| is_partial(&entry.file_name().to_string_lossy())).map(|entry| entry.path());
        whole.chain(parts).filter_map(|path| std::fs::metadata(path).ok()).map(|facts| facts.len()).sum()
    }

    pub(super) fn record(&self) -> Record {
        let stored = std::fs::read(self.folder.join(RECORD)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let fresh = || Record { repository: self.entry.repository.into(), licence: self.entry.licence.into(), ..Record::default() };
        stored.filter(|record: &Record| record.repository == self.entry.repository).unwrap_or_else(fresh)
    }

    /// Writes down where a file came from.
    pub(super) fn note(&self, record: &mut Record, file: &str, facts: &Facts) -> Result<()> {
        record.commit = record.commit.take().or_else(|| facts.commit.clone());
        let noted = RecordedFile { bytes: facts.size, sha256: facts.sha256().map(str::to_string) };
        record.files.insert(file.to_string(), noted);
        let text = serde_json::to_vec_pretty(record).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        write_whole(&self.folder.join(RECORD), &text)
    }

    /// Keeps other processes, and other threads of this one, away from the model's files while the answer lives.
    ///
    /// `waiting` is called once if somebody else has them.
    pub(super) fn lock(&self, waiting: impl FnOnce()) -> Result<File> {
        let (file, path) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => waiting(),
            Err(TryLockError::Error(error)) => return Err(Error::io(&path, error)),
        }
        file.lock().map_err(|error| Error::io(&path, error))?;
        Ok(file)
    }

    fn lock_file(&self) -> Result<(File, PathBuf)> {
        let folder = self.root.join(".locks");
        std::fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        let path = folder.join(format!("{}.lock", self.entry.name));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        file.map(|file| (file, path.clone())).map_err(|error| Error::io(&path, error))
    }

    /// Removes the model's folder and says how many bytes it held; `None` if there was none.
    pub(super) fn remove(&self) -> Result<Option<u64>> {
        let (file, path) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("`{}` is being pulled\n  help: wait until that is done, or end it", self.entry.name);
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            Err(TryLockError::Error(error)) => return Err(Error::io(&path, error)),
        }
        let bytes = self.bytes();
        // Renamed first: a removal that is cut off leaves no half of a model under its name.
        let aside = self.root.join(format!(".{}.removed", self.entry.name));
        remove_folder(&aside)?;
        match std::fs::rename(&self.folder, &aside) {
            Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
            other => other.map_err(|error| Error::io(&self.folder, error))?,
        }
        remove_folder(&aside)?;
        Ok(Some(bytes))
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != IoKind::NotFound => Err(Error::io(folder, error)),
        _ => Ok(()),
    }
}
