//! What a journal says of a folder: which files maskline wrote into it, and for which picture.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Folder within the output folder for what is maskline's own.
pub(crate) const OWN_FOLDER: &str = ".maskline";

/// The journal in it.
const FILE: &str = "journal.jsonl";

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    File(Written),
    Removed { name: String },
    Picture(Source),
    Done(Done),
}

/// A file that maskline writes; noted before it is there, so that a killed run leaves no file that nobody knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Name below the folder, with forward slashes.
    pub(crate) name: String,
    /// Stem of the picture that it is about; none where it is about all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stem: Option<String>,
    /// The format's name.
    pub(crate) format: String,
    /// BLAKE3 of the content; none while it still grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blake3: Option<String>,
    /// BLAKE3 of the content before it, which is still there where a run was killed between the note and the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
}

/// The picture that a stem stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) stem: String,
    /// Absolute path, which counts while the picture stays where it is; afterwards its content does.
    pub(crate) path: String,
    /// The same as seen from the folder, which counts where both were moved or copied together.
    #[serde(default)]
    pub(crate) relative: String,
    pub(crate) blake3: String,
}

/// A picture that was answered whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) stem: String,
    /// What was asked, as a hash.
    pub(crate) asked: String,
    /// Bytes of the picture and when it was changed, in nanoseconds since 1970.
    pub(crate) version: Version,
    /// The picture's number in data sets.
    pub(crate) image_id: i64,
}

/// What tells without reading whether a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    bytes: u64,
    modified: u64,
}

impl Version {
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let facts = std::fs::metadata(path).ok()?;
        let modified = facts.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Self { bytes: facts.len(), modified: u64::try_from(modified.as_nanos()).ok()? })
    }
}

/// What is known of one folder.
#[derive(Debug, Default)]
pub(crate) struct Known {
    folder: PathBuf,
    files: BTreeMap<String, Written>,
    /// Names of the files about a stem.
    about: HashMap<String, BTreeSet<String>>,
    sources: HashMap<String, Source>,
    /// Stems by the path of their picture.
    stems: HashMap<String, String>,
    done: HashMap<String, Done>,
}

impl Known {
    /// Reads the journal of a folder; nothing is known where there is none. Beside it, whether the journal should be written anew.
    ///
    /// # Errors
    /// Where there is one that cannot be read.
    pub(super) fn read(folder: &Path) -> std::io::Result<(Self, bool)> {
        let text = match std::fs::read(path(folder)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut known = Self { folder: folder.to_path_buf(), ..Self::default() };
        let lines = || text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        // A line that cannot be read (of a killed run, the last one) makes nothing maskline's: the file it spoke of is left alone.
        lines().filter_map(|line| serde_json::from_slice(line).ok()).for_each(|line| known.take(line));
        let is_cut_off = text.last().is_some_and(|byte| *byte != b'\n');
        let is_mostly_old = lines().count() > 2 * known.live().count() + 1000;
        Ok((known, is_cut_off || is_mostly_old))
    }

    /// The lines that still say something.
    pub(super) fn live(&self) -> impl Iterator<Item = Line> + '_ {
        let files = self.files.values().cloned().map(Line::File);
        let sources = self.sources.values().cloned().map(Line::Picture);
        files.chain(sources).chain(self.done.values().cloned().map(Line::Done))
    }

    pub(super) fn take(&mut self, line: Line) {
        match line {
            // A journal may come from anywhere: nothing outside of its folder is maskline's.
            Line::File(written) if !Path::new(&written.name).components().all(|part| matches!(part, Component::Normal(_))) => {}
            Line::File(mut written) => {
                let old = self.files.get(&written.name).filter(|old| old.stem == written.stem);
                written.before = written.before.or_else(|| old.and_then(|old| old.blake3.clone()));
                self.forget(&written.name);
                if let Some(stem) = &written.stem {
                    self.about.entry(stem.clone()).or_default().insert(written.name.clone());
                }
                self.files.insert(written.name.clone(), written);
            }
            Line::Removed { name } => self.forget(&name),
            Line::Picture(source) => {
                // Another picture of this name: what was done for the old one is not done for it.
                if self.sources.get(&source.stem).is_some_and(|old| *old != source) {
                    self.done.remove(&source.stem);
                }
                self.stems.insert(source.path.clone(), source.stem.clone());
                self.sources.insert(source.stem.clone(), source);
            }
            Line::Done(done) => {
                self.done.insert(done.stem.clone(), done);
            }
        }
    }

    fn forget(&mut self, name: &str) {
        let stem = self.files.remove(name).and_then(|written| written.stem);
        if let Some(names) = stem.and_then(|stem| self.about.get_mut(&stem)) {
            names.remove(name);
        }
    }

    /// What is known of a file, if it is one (no link, and no pipe, which would be waited for), and its content is still what maskline
    /// wrote (or it still grows).
    pub(crate) fn own(&self, name: &str) -> Option<&Written> {
        let (written, path) = (self.files.get(name)?, self.folder.join(name));
        if !path.symlink_metadata().ok()?.is_file() {
            return None;
        }
        match &written.blake3 {
            None => begins_with_an_answer(&path).then_some(written),
            hashes => {
                let found = hash_file(&path).ok()?;
                hashes.iter().chain(&written.before).any(|hash| *hash == found).then_some(written)
            }
        }
    }

    /// The picture that a stem stood for last.
    pub(crate) fn source(&self, stem: &str) -> Option<&Source> {
        self.sources.get(stem)
    }

    /// The stem that a picture has had, by its path.
    pub(crate) fn stem_of(&self, path: &str) -> Option<&str> {
        self.stems.get(path).map(String::as_str)
    }

    /// The answer to a picture, if all files that were written for it are there.
    pub(crate) fn done(&self, stem: &str) -> Option<&Done> {
        let mut files = self.about.get(stem).into_iter().flatten();
        self.done.get(stem).filter(|_| files.all(|name| self.folder.join(name).exists()))
    }

    /// Whether any file about a stem is still there.
    pub(crate) fn has_files(&self, stem: &str) -> bool {
        self.about.get(stem).into_iter().flatten().any(|name| self.folder.join(name).exists())
    }

    /// How many pictures beside these stems have files of a format.
    pub(crate) fn count_beside(&self, stems: &[String], format: &str) -> usize {
        let stems: HashSet<&String> = stems.iter().collect();
        let has_files = |stem: &String| self.files_of(stem, format).iter().any(|name| self.folder.join(name).exists());
        self.about.keys().filter(|stem| !stems.contains(stem) && has_files(stem)).count()
    }

    /// Names of the files that a format has for a picture.
    pub(crate) fn files_of(&self, stem: &str, format: &str) -> Vec<String> {
        let names = self.about.get(stem).into_iter().flatten();
        names.filter(|name| self.files.get(*name).is_some_and(|written| written.format == format)).cloned().collect()
    }
}

/// Whether a file of lines that never became whole is still what maskline began: its first line is an answer, or nothing is there.
fn begins_with_an_answer(path: &Path) -> bool {
    let mut line = Vec::new();
    let is_read = File::open(path).and_then(|file| BufReader::new(file).read_until(b'\n', &mut line)).is_ok();
    let is_cut_off = !line.ends_with(b"\n") && (line.is_empty() || line.starts_with(b"{\""));
    // About a picture, or about a frame of a clip.
    let is_ours = |line: serde_json::Value| {
        line["image"].is_string() && line["files"].is_array() || line["frame"].is_u64() && line["objects"].is_array()
    };
    let is_answer = || serde_json::from_slice(&line).is_ok_and(is_ours);
    is_read && (is_cut_off || is_answer())
}

/// Where the journal of a folder is.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(OWN_FOLDER).join(FILE)
}

pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

pub(crate) fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
