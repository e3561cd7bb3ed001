//! A folder that maskline writes into: which files of it may be replaced, and writing them.

use std::io::Write;
use std::path::{Path, PathBuf};

use maskline::{Error, ErrorKind};

use super::inputs::Inputs;
use super::journal::Journal;
use super::known::{self, OWN_FOLDER, Written};
use crate::failure::Failure;

/// A folder and what maskline wrote into it. One process at a time has it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) path: PathBuf,
    pub(super) journal: Journal,
    /// Files that must never be replaced.
    inputs: Inputs,
    /// Files of others may be replaced.
    overwrite: bool,
}

/// What a file is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    /// The picture, by its stem; none for files about all.
    pub(crate) stem: Option<&'a str>,
    /// The format's name.
    pub(crate) format: &'a str,
}

impl Place {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// `Io` if it cannot be written to, or another process writes into it.
    pub(crate) fn open(path: &Path, inputs: Inputs, overwrite: bool) -> Result<Self, Failure> {
        std::fs::create_dir_all(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_path_buf(), journal: Journal::open(path)?, inputs, overwrite })
    }

    /// Maskline's own folder in it.
    pub(crate) fn own(&self) -> PathBuf {
        self.path.join(OWN_FOLDER)
    }

    /// The path of a file, without `./` before names in the current folder.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        if self.path == Path::new(".") { PathBuf::from(name) } else { self.path.join(name) }
    }

    /// Whether a path names something in the folder as [`path_of`](Self::path_of) does.
    pub(crate) fn names(&self, path: &Path) -> bool {
        path.strip_prefix(&self.path).is_ok() || (self.path == Path::new(".") && path.is_relative())
    }

    /// Whether a file may be written: it is no input, and new or maskline's own about the same picture, or it is wished.
    pub(crate) fn may_write(&self, name: &str, stem: Option<&str>) -> Result<(), Error> {
        let path = self.path_of(name);
        let facts = match path.symlink_metadata() {
            Ok(facts) => facts,
            // Such as a name that is too long.
            Err(error) if !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Err(io(&path, &error));
            }
            Err(_) => return Ok(()),
        };
        let refused = |what: &str, help: &str| Err(Error::new(ErrorKind::Io, format!("{} {what}", path.display())).with_help(help));
        if facts.is_dir() {
            return refused("is a folder, and would have to be a file", "write elsewhere with -o DIR");
        }
        if self.inputs.contains(&path) {
            return refused("is an input of this run and is never replaced", "write elsewhere with -o DIR");
        }
        if self.overwrite || self.journal.known.own(name).is_some_and(|written| written.stem.as_deref() == stem) {
            return Ok(());
        }
        let what = "is there already, and maskline did not write it (or it was changed since, or is about another picture)";
        refused(what, "--overwrite replaces it; -o DIR writes elsewhere")
    }

    /// Writes a file whose name was found to be allowed, in one step: readers see the old content or the new, never a part.
    pub(crate) fn put(
        &mut self,
        name: &str,
        about: About<'_>,
        fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<PathBuf, Error> {
        let path = self.path_of(name);
        let failed = |error: std::io::Error| io(&path, &error);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| io(parent, &error))?;
        }
        // We have the folder to ourselves, so that one name is enough for what is not whole yet.
        let aside = self.own().join("partial");
        let mut out = Hashed { file: std::fs::File::create(&aside).map_err(failed)?, hasher: blake3::Hasher::new() };
        fill(&mut out).map_err(failed)?;
        let blake3 = Some(out.hasher.finalize().to_hex().to_string());
        self.note(|journal| journal.note_file(written(name, about, blake3)))?;
        match std::fs::rename(&aside, &path) {
            // A folder below ours may be another disk.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let bytes = std::fs::read(&aside).map_err(failed)?;
                maskline::vision::write::write_atomically(&path, &bytes)?;
            }
            renamed => renamed.map_err(failed)?,
        }
        Ok(path)
    }

    /// Names of the files that an earlier run wrote in a format about something.
    pub(crate) fn files_of(&self, stem: &str, format: &str) -> Vec<String> {
        self.journal.known.files_of(stem, format)
    }

    /// Removes a file of ours; one that somebody has changed stays.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.journal.remove(name).map_err(|error| io(&self.path_of(name), &error))
    }

    /// Notes that a file grows from now on.
    pub(crate) fn note_growing(&mut self, name: &str, about: About<'_>) -> Result<(), Error> {
        self.note(|journal| journal.note_file(written(name, about, None)))
    }

    /// Notes that a file that grew is whole now.
    pub(crate) fn note_final(&mut self, name: &str, about: About<'_>) -> Result<(), Error> {
        let path = self.path_of(name);
        let blake3 = known::hash_file(&path).map_err(|error| io(&path, &error))?;
        self.note(|journal| journal.note_file(written(name, about, Some(blake3))))
    }

    pub(crate) fn note(&mut self, note: impl FnOnce(&mut Journal) -> std::io::Result<()>) -> Result<(), Error> {
        note(&mut self.journal).map_err(|error| io(&self.path.join(OWN_FOLDER), &error))
    }
}

fn written(name: &str, about: About<'_>, blake3: Option<String>) -> Written {
    Written { name: name.into(), stem: about.stem.map(str::to_string), format: about.format.into(), blake3, before: None }
}

/// Hashes what goes by.
struct Hashed {
    file: std::fs::File,
    hasher: blake3::Hasher,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

pub(super) fn io(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot be written: {error}")).at(path)
}

pub(super) fn unwritable(folder: &Path, error: &std::io::Error) -> Error {
    let new = Error::new(ErrorKind::Io, format!("the output folder cannot be written: {error}"));
    new.at(folder).with_help("give another one with -o DIR")
}
