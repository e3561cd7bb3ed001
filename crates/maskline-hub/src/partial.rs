//! A file that is not whole yet: `NAME.partial` with what has come, `NAME.partial.json` with what it is a part of.
//!
//! The whole file appears under its name by renaming, after it was checked and is safe on disk.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::{Path, PathBuf};

use maskline::runtime::free_space;
use maskline::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::http::Facts;

const SUFFIX: &str = ".partial";

/// What a partial file is a part of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sidecar {
    url: String,
    #[serde(flatten)]
    facts: Facts,
}

/// A file on its way.
#[derive(Debug)]
pub(crate) struct Partial {
    target: PathBuf,
    data: PathBuf,
    sidecar: PathBuf,
    url: String,
    known: Option<Facts>,
}

impl Partial {
    /// What is there of `url` already; parts of anything else are as good as nothing.
    pub(crate) fn open(target: &Path, url: &str) -> Self {
        let beside = |suffix: &str| {
            let name = target.file_name().unwrap_or_default().to_string_lossy();
            target.with_file_name(format!("{name}{suffix}"))
        };
        let (data, sidecar) = (beside(SUFFIX), beside(".partial.json"));
        let stored: Option<Sidecar> = std::fs::read(&sidecar).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let known = stored.filter(|stored| stored.url == url).map(|stored| stored.facts).filter(Facts::is_marked);
        Self { target: target.to_path_buf(), data, sidecar, url: url.to_string(), known }
    }

    /// What the part is known to belong to.
    pub(crate) fn known(&self) -> Option<&Facts> {
        self.known.as_ref()
    }

    /// Bytes that are there and can be gone on from.
    pub(crate) fn length(&self) -> u64 {
        if self.known.is_none() {
            return 0;
        }
        std::fs::metadata(&self.data).map_or(0, |facts| facts.len())
    }

    /// Throws away what is there.
    pub(crate) fn discard(&mut self) -> Result<()> {
        self.known = None;
        for path in [&self.sidecar, &self.data] {
            remove_if_there(path)?;
        }
        Ok(())
    }

    /// An empty file for new content.
    pub(crate) fn restart(&mut self, facts: &Facts) -> Result<File> {
        self.known = None;
        // In this order a crash never leaves old bytes under a new description.
        remove_if_there(&self.sidecar)?;
        let file = File::create(&self.data).map_err(|error| Error::io(&self.data, error))?;
        let text = serde_json::to_vec(&Sidecar { url: self.url.clone(), facts: facts.clone() });
        let text = text.map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        write_whole(&self.sidecar, &text)?;
        self.known = Some(facts.clone());
        Ok(file)
    }

    /// The file, to be written on at its end.
    pub(crate) fn append(&self) -> Result<File> {
        OpenOptions::new().append(true).open(&self.data).map_err(|error| Error::io(&self.data, error))
    }

    /// Fails where so many bytes more have no room, if that can be known.
    pub(crate) fn check_room(&self, more: Option<u64>) -> Result<()> {
        match (more, free_space(&self.data)) {
            (Some(more), Some(free)) if more > free => Err(self.disk_full()),
            _ => Ok(()),
        }
    }

    /// Writes to the file that [`Self::restart`] or [`Self::append`] gave.
    pub(crate) fn write(&self, file: &mut File, bytes: &[u8]) -> Result<()> {
        file.write_all(bytes).map_err(|error| match error.kind() {
            IoKind::StorageFull | IoKind::QuotaExceeded => self.disk_full(),
            _ => Error::io(&self.data, error),
        })
    }

    fn disk_full(&self) -> Error {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let whole = self.known.as_ref().and_then(|facts| facts.size);
        let need = whole.map_or_else(String::new, |size| format!(" of the file's {}", megabytes(size)));
        let free = free_space(&self.data).map_or_else(String::new, |free| format!(", {} are free", megabytes(free)));
        let message = format!("the disk is full: {}{need} are there{free}", megabytes(self.length()));
        let help = "make room and pull again: it goes on from there; or set MASKLINE_HOME to a folder on another disk";
        Error::new(ErrorKind::Io, message).at(&self.data).with_help(help)
    }

    /// SHA-256 of what is there, in hexadecimal.
    pub(crate) fn sha256(&self) -> Result<String> {
        let mut file = File::open(&self.data).map_err(|error| Error::io(&self.data, error))?;
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
        loop {
            match file.read(&mut buffer).map_err(|error| Error::io(&self.data, error))? {
                0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// Gives the file its name. Check it before.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let file = OpenOptions::new().append(true).open(&self.data).map_err(|error| Error::io(&self.data, error))?;
        file.sync_all().map_err(|error| Error::io(&self.data, error))?;
        drop(file);
        std::fs::rename(&self.data, &self.target).map_err(|error| Error::io(&self.target, error))?;
        remove_if_there(&self.sidecar)?;
        self.known = None;
        sync_folder(&self.target)
    }
}

/// Whether a name is that of a partial file's content.
pub(crate) fn is_partial(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// Writes a small file so that it is there whole or not at all.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> Result<()> {
    let aside = path.with_extension("tmp");
    std::fs::write(&aside, text).map_err(|error| Error::io(&aside, error))?;
    std::fs::rename(&aside, path).map_err(|error| Error::io(path, error))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != IoKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// Makes a renaming durable, where the system has a way to.
fn sync_folder(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::io(folder, error)),
        _ => Ok(()),
    }
}
