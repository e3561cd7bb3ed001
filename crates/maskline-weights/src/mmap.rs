//! The one place that maps files into memory.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, ErrorKind, Result};

/// Maps a regular, non-empty file read-only.
///
/// Known limit: if another process truncates the file while it is mapped, reading the lost part raises `SIGBUS`.
/// Replacing the file by rename (as downloads and package managers do) is fine: the mapping keeps the old contents.
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Unsupported, "not a regular file").in_file(path));
    }
    if metadata.len() == 0 {
        return Err(Error::corrupt("the file is empty").in_file(path).with_help("download it again"));
    }
    // SAFETY: the file is opened for reading and mapped read-only, and the map is private to this crate, which hands out
    // shared slices only. Soundness needs that nobody changes the bytes in place while they are mapped; no operating
    // system call can promise that, so it is a documented requirement of `Checkpoint::open`, as for any mapped file.
    #[allow(unsafe_code)]
    let mapped = unsafe { Mmap::map(&file) };
    mapped.map_err(|error| Error::io(path, &error))
}
