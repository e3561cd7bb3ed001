//! The folder of a model: its files under their names, or parts of them; a record of where they come from; a lock.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use maskline::runtime::create_folder;
use maskline::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::http::{Facts, unavailable};
use crate::partial::{is_partial, write_whole};
use crate::registry::{Entry, is_commit};

const RECORD: &str = "pulled.json";

/// Where a model's files come from: `pulled.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) repository: String,
    pub(crate) licence: String,
    /// The commit that the first file came from; the others come from it too, so that they belong together.
    pub(crate) commit: Option<String>,
    pub(crate) files: BTreeMap<String, RecordedFile>,
    /// Name of the checkpoint in the folder, once the model is whole: by it the model is found without this crate.
    #[serde(default)]
    pub(crate) checkpoint: Option<String>,
    /// Names of the other files in the folder.
    #[serde(default)]
    pub(crate) companions: Vec<String>,
}

/// A file of a [`Record`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecordedFile {
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<String>,
}

/// Where a model is, or would be.
pub(crate) struct Place {
    pub(crate) entry: &'static Entry,
    pub(crate) folder: PathBuf,
    root: PathBuf,
}

impl Place {
    pub(crate) fn new(root: &Path, entry: &'static Entry) -> Self {
        Self { entry, folder: root.join(entry.name), root: root.to_path_buf() }
    }

    /// Where a file of the repository lies when it is whole.
    pub(crate) fn file(&self, file: &str) -> PathBuf {
        self.folder.join(self.entry.local_name(file))
    }

    /// The checkpoint, if all files of the model are there.
    pub(crate) fn checkpoint(&self) -> Option<PathBuf> {
        let whole = self.entry.files.iter().all(|file| self.file(file).is_file());
        self.entry.files.first().filter(|_| whole).map(|file| self.file(file))
    }

    /// Bytes that the model has on disk.
    pub(crate) fn bytes(&self) -> u64 {
        let whole = self.entry.files.iter().map(|file| self.file(file));
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let parts = entries.filter(|entry| is_partial(&entry.file_name().to_string_lossy())).map(|entry| entry.path());
        whole.chain(parts).filter_map(|path| std::fs::metadata(path).ok()).map(|facts| facts.len()).sum()
    }

    pub(crate) fn record(&self) -> Record {
        let stored = std::fs::read(self.folder.join(RECORD)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let fresh = || Record { repository: self.entry.repository.into(), licence: self.entry.licence.into(), ..Record::default() };
        // What came from another commit than the one that the registry names does not belong to it.
        let belongs = |record: &Record| {
            let is_pinned = self.entry.pinned().is_none_or(|pinned| record.commit.as_deref().is_none_or(|commit| commit == pinned));
            record.repository == self.entry.repository && is_pinned
        };
        stored.filter(belongs).unwrap_or_else(fresh)
    }

    /// Writes down where a file came from.
    pub(crate) fn note(&self, record: &mut Record, file: &str, facts: &Facts) -> Result<()> {
        record.commit = record.commit.take().or_else(|| self.entry.pinned().map(str::to_string)).or_else(|| facts.commit.clone());
        let noted = RecordedFile { bytes: facts.size, sha256: facts.sha256().map(str::to_string) };
        record.files.insert(file.to_string(), noted);
        self.write(record)
    }

    /// Writes down that the model is whole, and what it is made of, unless the record says so already.
    pub(crate) fn note_whole(&self, record: &mut Record) -> Result<()> {
        let mut names = self.entry.files.iter().map(|file| self.entry.local_name(file));
        let (checkpoint, companions) = (names.next(), names.collect());
        if record.checkpoint == checkpoint && record.companions == companions {
            return Ok(());
        }
        (record.checkpoint, record.companions) = (checkpoint, companions);
        self.write(record)
    }

    fn write(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec_pretty(record).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        write_whole(&self.folder.join(RECORD), &text)
    }

    /// Keeps other processes, and other threads of this one, away from the model's files while the answer lives.
    ///
    /// `waiting` is called once if somebody else has them.
    pub(crate) fn lock(&self, waiting: impl FnOnce()) -> Result<File> {
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
        create_folder(&folder)?;
        let path = folder.join(format!("{}.lock", self.entry.name));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        file.map(|file| (file, path.clone())).map_err(|error| Error::io(&path, error))
    }

    /// Removes the model's folder and says how many bytes it held; `None` if there was none.
    pub(crate) fn remove(&self) -> Result<Option<u64>> {
        let (file, path) = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let error = unavailable(format!("`{}` is being pulled", self.entry.name));
                return Err(error.with_help("wait until that is done, or end it"));
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

/// Fails where the hub gives a file of another commit than the one that was asked for.
pub(crate) fn check_commit(asked: &str, facts: &Facts) -> Result<()> {
    match facts.commit.as_deref().filter(|commit| is_commit(asked) && *commit != asked) {
        None => Ok(()),
        Some(found) => {
            let error = unavailable("").expecting(format!("a file of the commit {asked}")).but_found(format!("one of {found}"));
            Err(error.with_help("the hub or something between serves another revision; nothing was kept"))
        }
    }
}

fn remove_folder(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != IoKind::NotFound => Err(Error::io(folder, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;

    const PINNED: &str = "0123456789abcdef0123456789abcdef01234567";
    const OTHER: &str = "76543210fedcba9876543210fedcba9876543210";

    #[test]
    fn a_pinned_model_is_of_its_commit_alone() {
        let root = tempfile::tempdir().expect("folder");
        let branch = find("mobile-sam").expect("an entry");
        let pinned: &'static Entry = Box::leak(Box::new(Entry { revision: PINNED, ..*branch }));
        assert_eq!((branch.pinned(), pinned.pinned()), (None, Some(PINNED)));
        // What a branch stood for is written down and gone on with.
        let place = Place::new(root.path(), branch);
        create_folder(&place.folder).expect("folder");
        let other = Facts { commit: Some(OTHER.into()), ..Facts::default() };
        place.note(&mut place.record(), "mobile_sam.pt", &other).expect("noted");
        assert_eq!(place.record().commit.as_deref(), Some(OTHER));
        // A commit that the registry names counts for more.
        let place = Place::new(root.path(), pinned);
        assert!(place.record().commit.is_none() && place.record().files.is_empty());
        place.note(&mut place.record(), "mobile_sam.pt", &Facts::default()).expect("noted");
        assert_eq!(place.record().commit.as_deref(), Some(PINNED));
    }

    #[test]
    fn a_file_of_another_commit_is_refused() {
        let of = |commit: &str| Facts { commit: Some(commit.into()), ..Facts::default() };
        assert!(check_commit("main", &of(OTHER)).is_ok() && check_commit(PINNED, &of(PINNED)).is_ok());
        assert!(check_commit(PINNED, &Facts::default()).is_ok(), "mirrors need not tell");
        let error = check_commit(PINNED, &of(OTHER)).expect_err("another commit").to_string();
        assert!(error.contains(PINNED) && error.contains(OTHER), "{error}");
    }
}
