//! What maskline wrote into a folder, and for which picture: `.maskline/journal.jsonl` in that folder.
//!
//! Names in it are relative to the folder, so that the folder can be moved or copied. A file counts as maskline's only while its content is
//! what maskline wrote: one that a person has changed since is his.

use std::fs::File;
use std::path::{Path, PathBuf};

use maskline::{Error, ErrorKind};

use super::growing::GrowingFile;
use super::known::{self, Done, Known, Line, OWN_FOLDER, Source, Written};
use super::place::unwritable;
use crate::failure::Failure;

/// The journal of one folder. Only one process at a time has it.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    lines: GrowingFile,
    pub(crate) known: Known,
    _lock: File,
}

impl Journal {
    /// Opens the journal of a folder, which exists; makes it where there is none.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let own = folder.join(OWN_FOLDER);
        let failed = |error: std::io::Error| unwritable(folder, &error);
        std::fs::create_dir_all(&own).map_err(failed)?;
        let lock = File::options().create(true).truncate(false).write(true).open(own.join("lock")).map_err(failed)?;
        if matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)) {
            let error = Error::new(ErrorKind::Io, "another maskline is writing into this folder").at(folder);
            return Err(error.with_help("wait until it is done, or give another one with -o DIR").into());
        }
        let (known, is_old) = Known::read(folder).map_err(failed)?;
        let lines = GrowingFile::extend(&known::path(folder)).map_err(failed)?;
        let mut journal = Self { folder: folder.to_path_buf(), lines, known, _lock: lock };
        if is_old {
            journal.rewrite().map_err(failed)?;
        }
        Ok(journal)
    }

    fn rewrite(&mut self) -> std::io::Result<()> {
        let (path, mut text) = (known::path(&self.folder), Vec::new());
        for line in self.known.live() {
            text.extend(serde_json::to_vec(&line)?);
            text.push(b'\n');
        }
        maskline::vision::write::write_atomically(&path, &text).map_err(std::io::Error::other)?;
        self.lines = GrowingFile::extend(&path)?;
        Ok(())
    }

    fn note(&mut self, line: Line) -> std::io::Result<()> {
        self.lines.append(&serde_json::to_vec(&line)?)?;
        self.known.take(line);
        Ok(())
    }

    /// Notes a file before it is written.
    pub(crate) fn note_file(&mut self, written: Written) -> std::io::Result<()> {
        self.note(Line::File(written))
    }

    /// Notes which picture a stem stands for.
    pub(crate) fn note_source(&mut self, source: Source) -> std::io::Result<()> {
        if self.known.source(&source.stem) == Some(&source) && self.known.stem_of(&source.path) == Some(&source.stem) {
            Ok(())
        } else {
            self.note(Line::Picture(source))
        }
    }

    /// Notes that a picture was answered whole.
    pub(crate) fn note_done(&mut self, done: Done) -> std::io::Result<()> {
        self.note(Line::Done(done))
    }

    /// Removes a file of ours; one that was changed since stays, and is no longer ours.
    pub(crate) fn remove(&mut self, name: &str) -> std::io::Result<()> {
        if self.known.own(name).is_some() {
            std::fs::remove_file(self.folder.join(name))?;
        }
        self.note(Line::Removed { name: name.into() })
    }
}
