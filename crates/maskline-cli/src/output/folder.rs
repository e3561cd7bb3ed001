//! The output folder: which names may be written, and writing them.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use maskline::vision::write::{EncodedFile, write_atomically};
use maskline::{Error, ErrorKind};

use super::journal::{self, Done, Journal, OWN_FOLDER, Source, Version, Written};
use super::{Plan, encode, names};
use crate::args::Format;
use crate::failure::Failure;

/// The folder and the names of its files.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) journal: Journal,
    /// Stem of each picture.
    pub(crate) stems: Vec<String>,
}

/// Where a file belongs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    /// The picture that it is about, or all.
    pub(crate) stem: Option<&'a str>,
    pub(crate) format: Format,
}

impl Folder {
    /// Makes the folder and names all pictures; `taken` are stems that they cannot have.
    pub(crate) fn open(path: &Path, plan: &Plan<'_>, taken: &[&str]) -> Result<Self, Failure> {
        let unwritable = |error: std::io::Error| {
            let message = format!("the output folder cannot be written: {error}\n  in   {}", path.display());
            Failure::new(ErrorKind::Io, message + "\n  help: give another one with -o DIR")
        };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        let journal = Journal::open(path)?;
        let mut folder = Self { path: path.to_path_buf(), journal, stems: Vec::new() };
        folder.stems = folder.stems_beside_old_ones(names::stems(plan.pictures, taken), plan);
        Ok(folder)
    }

    /// A stem that an earlier run gave to another picture stays that picture's.
    fn stems_beside_old_ones(&self, stems: Vec<String>, plan: &Plan<'_>) -> Vec<String> {
        let mut given: HashSet<String> = stems.iter().cloned().collect();
        let one = |(stem, picture): (String, &crate::pictures::Picture)| {
            if self.is_of(&stem, &picture.path) {
                return stem;
            }
            let known = self.journal.stem_of(&names::absolute(&picture.path).to_string_lossy());
            let known = known.filter(|known| !given.contains(*known)).map(str::to_string);
            let free = |stem: &String| !given.contains(stem) && self.is_of(stem, &picture.path);
            let numbered = || (2..).map(|number| format!("{stem}-{number}")).find(free);
            let stem = known.or_else(numbered).unwrap_or(stem);
            given.insert(stem.clone());
            stem
        };
        stems.into_iter().zip(plan.pictures).map(one).collect()
    }

    /// Whether a stem is free for a picture: nothing is left of another one that had it.
    fn is_of(&self, stem: &str, picture: &Path) -> bool {
        let Some(source) = self.journal.source(stem) else { return true };
        if source.path == names::absolute(picture).to_string_lossy() || !self.journal.has_files(stem) {
            return true;
        }
        // Where the old picture is no longer there, it may be this one, moved.
        !Path::new(&source.path).exists() && journal::hash_file(picture).is_ok_and(|hash| hash == source.blake3)
    }

    pub(crate) fn own(&self) -> PathBuf {
        self.path.join(OWN_FOLDER)
    }

    /// Whether a file may be written: it is no input, and new or maskline's own about the same picture, or `--overwrite` was said.
    pub(crate) fn may_write(&self, plan: &Plan<'_>, name: &str, owner: Option<&str>) -> Result<(), Error> {
        let path = self.path_of(name);
        let Ok(facts) = path.symlink_metadata() else { return Ok(()) };
        let refused = |what: &str, help: &str| {
            let message = format!("{} {what}\n  help: {help}", path.display());
            Err(Error::new(ErrorKind::Io, message))
        };
        if facts.is_dir() {
            return refused("is a folder, and would have to be a file", "write elsewhere with -o DIR");
        }
        if plan.inputs.contains(&path) {
            return refused("is an input of this run and is never replaced", "write elsewhere with -o DIR");
        }
        if plan.arguments.overwrite || self.journal.own(name).is_some_and(|written| written.stem.as_deref() == owner) {
            return Ok(());
        }
        let what = "is there already, and maskline did not write it (or it was changed since, or is about another picture)";
        refused(what, "--overwrite replaces it; -o DIR writes elsewhere")
    }

    /// Writes the files of one format for one picture and removes what an earlier answer left of it.
    pub(crate) fn write_all(&mut self, plan: &Plan<'_>, owner: Owner<'_>, files: Vec<EncodedFile>) -> Result<Vec<PathBuf>, Error> {
        let stem = owner.stem.unwrap_or_default();
        let is_overlay = matches!(owner.format, Format::Jpg | Format::Png);
        let mut named = Vec::with_capacity(files.len());
        for file in files {
            let name = if is_overlay { self.free_name(plan, stem, &file.suffix) } else { format!("{stem}{}", file.suffix) };
            self.may_write(plan, &name, owner.stem)?;
            named.push((name, file.bytes));
        }
        let old = self.journal.files_of(stem, encode::name(owner.format));
        let mut written = Vec::with_capacity(named.len());
        for (name, bytes) in &named {
            written.push(self.write(name, owner, bytes)?);
        }
        for left in old.iter().filter(|old| named.iter().all(|(name, _)| name != *old)) {
            self.journal.remove(left).map_err(|error| io(&self.path.join(left), &error))?;
        }
        Ok(written)
    }

    /// A name for an overlay: `photo.jpg`, or beside the user's `photo.jpg` the first of `photo-2.jpg`, … that may be written.
    fn free_name(&self, plan: &Plan<'_>, stem: &str, suffix: &str) -> String {
        let first = format!("{stem}{suffix}");
        let numbered = (2..1000).map(|number| format!("{stem}-{number}{suffix}"));
        let mut names = std::iter::once(first.clone()).chain(numbered);
        names.find(|name| self.may_write(plan, name, Some(stem)).is_ok()).unwrap_or(first)
    }

    /// Writes a file whose name was found to be allowed.
    fn write(&mut self, name: &str, owner: Owner<'_>, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path_of(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| io(parent, &error))?;
        }
        let aside = self.aside();
        std::fs::write(&aside, bytes).map_err(|error| io(&path, &error))?;
        let written = Written {
            name: name.into(),
            stem: owner.stem.map(str::to_string),
            format: encode::name(owner.format).into(),
            blake3: Some(journal::hash(bytes)),
        };
        self.note(|journal| journal.note_file(written))?;
        match std::fs::rename(&aside, &path) {
            // A folder below ours may be another disk.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => write_atomically(&path, bytes)?,
            renamed => renamed.map_err(|error| io(&path, &error))?,
        }
        Ok(path)
    }

    /// Where a file is whole before it gets its name. We have the folder to ourselves, so that one name is enough.
    fn aside(&self) -> PathBuf {
        self.own().join("partial")
    }

    /// The path of a file, without `./` before names in the current folder.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        if self.path == Path::new(".") { PathBuf::from(name) } else { self.path.join(name) }
    }

    /// Writes a file about the whole run in one step, from what `fill` gives.
    pub(crate) fn write_whole(
        &mut self,
        plan: &Plan<'_>,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<PathBuf, Error> {
        self.may_write(plan, name, None)?;
        let (path, aside) = (self.path_of(name), self.aside());
        let failed = |error: std::io::Error| io(&path, &error);
        let mut out = Hashed { file: std::fs::File::create(&aside).map_err(failed)?, hasher: blake3::Hasher::new() };
        fill(&mut out).map_err(failed)?;
        let hash = out.hasher.finalize().to_hex().to_string();
        let written = Written { name: name.into(), stem: None, format: name.into(), blake3: Some(hash) };
        self.note(|journal| journal.note_file(written))?;
        std::fs::rename(&aside, &path).map_err(failed)?;
        Ok(path)
    }

    /// Notes that a file that grew is whole now.
    pub(crate) fn note_final(&mut self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let blake3 = journal::hash_file(&path).map_err(|error| io(&path, &error))?;
        let written = Written { name: name.into(), stem: None, format: name.into(), blake3: Some(blake3) };
        self.note(|journal| journal.note_file(written))
    }

    /// Notes which picture the stem stands for.
    pub(crate) fn note_source(&mut self, stem: &str, picture: &Path) -> Result<(), Error> {
        let blake3 = journal::hash_file(picture).map_err(|error| io(picture, &error))?;
        let path = names::absolute(picture).to_string_lossy().into_owned();
        self.note(|journal| journal.note_source(Source { stem: stem.into(), path, blake3 }))
    }

    /// Whether a picture was answered whole by an earlier run that asked the same, and has not changed since.
    pub(crate) fn done(&self, plan: &Plan<'_>, place: usize) -> Option<&Done> {
        let version = Version::of(&plan.pictures[place].path)?;
        let path = names::absolute(&plan.pictures[place].path);
        let is_same = self.journal.source(&self.stems[place]).is_none_or(|source| source.path == path.to_string_lossy());
        self.journal.done(&self.stems[place]).filter(|done| is_same && done.asked == plan.asked && done.version == version)
    }

    pub(crate) fn note(&mut self, note: impl FnOnce(&mut Journal) -> std::io::Result<()>) -> Result<(), Error> {
        note(&mut self.journal).map_err(|error| io(&self.path.join(OWN_FOLDER), &error))
    }

    /// A picture as seen from the folder, with forward slashes; absolute where no path leads there (another drive).
    pub(crate) fn relative(&self, picture: &Path) -> String {
        let (from, to) = (names::absolute(&self.path), names::absolute(picture));
        names::slashed(&pathdiff::diff_paths(&to, from).unwrap_or(to))
    }
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

pub(crate) fn io(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot be written: {error}\n  in   {}", path.display()))
}
