//! Files that grow line by line while a run goes on, and stay whole when it ends early.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file of JSON lines.
#[derive(Debug)]
pub(crate) struct GrowingFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl GrowingFile {
    /// Begins a file anew.
    pub(crate) fn create(path: &Path) -> std::io::Result<Self> {
        let file = File::create(path)?;
        Ok(Self { path: path.to_path_buf(), file, length: 0 })
    }

    /// Goes on with a file as it is.
    pub(crate) fn extend(path: &Path) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { path: path.to_path_buf(), length: file.metadata()?.len(), file })
    }

    /// Goes on with a file: of its lines those stay that are whole and wished for. One that is missing begins empty. The new file grows
    /// at `aside` first.
    pub(crate) fn resume(path: &Path, aside: &Path, is_wanted: impl Fn(&Value) -> bool) -> std::io::Result<Self> {
        let old = match File::open(path) {
            Ok(old) => old,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Self::create(path),
            Err(error) => return Err(error),
        };
        let mut kept = Self::create(aside)?;
        for line in BufReader::new(old).split(b'\n') {
            let line = line?;
            if serde_json::from_slice(&line).is_ok_and(|value| is_wanted(&value)) {
                kept.append(&line)?;
            }
        }
        std::fs::rename(aside, path)?;
        Ok(Self { path: path.to_path_buf(), ..kept })
    }

    /// What the whole lines of a file say under a key, of those that are wanted; nothing where there is no file.
    pub(crate) fn values(path: &Path, key: &str, is_wanted: impl Fn(&Value) -> bool) -> std::io::Result<HashSet<String>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
            Err(error) => return Err(error),
        };
        let mut values = HashSet::new();
        for line in BufReader::new(file).split(b'\n') {
            let value: Option<Value> = serde_json::from_slice(&line?).ok();
            values.extend(value.filter(&is_wanted).and_then(|line| line[key].as_str().map(str::to_string)));
        }
        Ok(values)
    }

    /// Adds a line: whole, or on an error (a full disk) nothing.
    pub(crate) fn append(&mut self, line: &[u8]) -> std::io::Result<()> {
        let whole = [line, b"\n"].concat();
        if let Err(error) = self.file.write_all(&whole) {
            // If the end cannot be taken back either, the reader finds a line that is cut off; the error is told in any case.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(error);
        }
        self.length += whole.len() as u64;
        Ok(())
    }

    /// The lines so far, one at a time.
    pub(crate) fn lines(&self) -> std::io::Result<impl Iterator<Item = std::io::Result<Value>>> {
        let lines = BufReader::new(File::open(&self.path)?).lines();
        Ok(lines.map(|line| line.and_then(|line| serde_json::from_str(&line).map_err(std::io::Error::from))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
