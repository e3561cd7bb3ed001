//! Files that commands beside `run` were told to write: never over one that maskline did not write, unless it is wished.

use std::io::Write;
use std::path::{Path, PathBuf};

use maskline::{Error, ErrorKind};

use super::inputs::Inputs;
use super::place::{About, Place};
use crate::failure::Failure;

/// Files of one folder, by their names.
#[derive(Debug)]
pub(crate) struct Reports {
    place: Place,
}

impl Reports {
    /// Files in a folder, which is made where it is missing. That they may be written is asked at once, before anything is computed.
    ///
    /// # Errors
    /// `Io` if one of them may not be written.
    pub(crate) fn open(folder: &Path, names: &[&str], overwrite: bool) -> Result<Self, Failure> {
        Self::beside(Inputs::default(), folder, names, overwrite)
    }

    /// The same where the command reads files, which are never replaced.
    fn beside(inputs: Inputs, folder: &Path, names: &[&str], overwrite: bool) -> Result<Self, Failure> {
        let place = Place::open(folder, inputs, overwrite)?;
        names.iter().try_for_each(|name| place.may_write(name, None))?;
        Ok(Self { place })
    }

    /// Writes one of the files.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
        self.put(name, |out| out.write_all(bytes))
    }

    /// Copies a file, which may be large.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn copy(&mut self, from: &Path, name: &str) -> Result<PathBuf, Error> {
        let mut source = std::fs::File::open(from).map_err(|error| super::place::io(from, &error))?;
        self.put(name, |mut out| std::io::copy(&mut source, &mut out).map(drop))
    }

    fn put(&mut self, name: &str, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<PathBuf, Error> {
        self.place.may_write(name, None)?;
        self.place.put(name, About { stem: None, format: name }, fill)
    }
}

/// One file that a command was told to write.
#[derive(Debug)]
pub(crate) struct SingleFile {
    folder: Reports,
    name: String,
}

impl SingleFile {
    /// A file that will be written, and is none of those that the command reads; asked before anything is computed.
    ///
    /// # Errors
    /// `InvalidOption` for a path without a name, else as [`Reports::open`].
    pub(crate) fn open(path: &Path, inputs: Inputs, overwrite: bool) -> Result<Self, Failure> {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let error = Error::new(ErrorKind::Io, "the file cannot be written: its folder does not exist").at(path);
            return Err(error.with_help("name a file in a folder that exists and can be written to").into());
        }
        let named = path.file_name().and_then(|name| name.to_str());
        let name = named.ok_or_else(|| Failure::new(ErrorKind::InvalidOption, format!("{} is no name of a file", path.display())))?;
        Ok(Self { folder: Reports::beside(inputs, folder, &[name], overwrite)?, name: name.into() })
    }

    /// Writes it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn write(mut self, bytes: &[u8]) -> Result<PathBuf, Error> {
        self.folder.write(&self.name, bytes)
    }
}
