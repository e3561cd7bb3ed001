//! The output folder: which names may be written, and writing them.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use maskline::vision::write::{CLASSES_TXT, EncodedFile, FileFormat, classes_txt};
use maskline::{Error, ErrorKind};

use super::known::{self, Done, Source, Version};
use super::names::Taken;
use super::place::{About, Place, io};
use super::{Plan, names};
use crate::args::Format;
use crate::failure::Failure;

/// The folder and the names of its files.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) place: Place,
    /// Stem of each picture.
    pub(crate) stems: Vec<String>,
}

impl Folder {
    /// Makes the folder and names all pictures.
    pub(crate) fn open(path: &Path, plan: &mut Plan<'_>, taken: &Taken<'_>) -> Result<Self, Failure> {
        let inputs = std::mem::take(&mut plan.inputs);
        let mut folder = Self { place: Place::open(path, inputs, plan.arguments.overwrite)?, stems: Vec::new() };
        folder.stems = folder.stems_beside_old_ones(names::stems(plan.pictures, taken), plan, taken);
        Ok(folder)
    }

    /// A stem that an earlier run gave to another picture stays that picture's, and a picture keeps the one that it had where a namesake
    /// with another ending has come or gone.
    fn stems_beside_old_ones(&self, stems: Vec<String>, plan: &Plan<'_>, taken: &Taken<'_>) -> Vec<String> {
        let mut given: HashSet<String> = stems.iter().cloned().collect();
        let mut one = |stem: String, picture: &Path| {
            let known = self.place.journal.known.stem_of(&names::absolute(picture).to_string_lossy());
            let known = known.filter(|known| !given.contains(*known) && !taken.has(known, &given)).map(str::to_string);
            let is_namesake = |known: &String| names::without_ending(known) == stem || names::without_ending(&stem) == *known;
            if let Some(known) = known.as_ref().filter(|known| is_namesake(known) && self.is_of(known, picture)) {
                given.insert(known.clone());
                return known.clone();
            }
            if self.is_of(&stem, picture) {
                return stem;
            }
            let free = |stem: &String| !given.contains(stem) && self.is_of(stem, picture);
            let numbered = || (2..).map(|number| format!("{stem}-{number}")).find(free);
            let stem = known.or_else(numbered).unwrap_or(stem);
            given.insert(stem.clone());
            stem
        };
        stems.into_iter().zip(plan.pictures).map(|(stem, picture)| one(stem, &picture.path)).collect()
    }

    /// Whether a stem is free for a picture: nothing is left of another one that had it.
    fn is_of(&self, stem: &str, picture: &Path) -> bool {
        let Some(source) = self.place.journal.known.source(stem) else { return true };
        if source.path == names::absolute(picture).to_string_lossy() || !self.place.journal.known.has_files(stem) {
            return true;
        }
        // Where the old picture is no longer there, it may be this one, moved; or this one was copied together with the folder.
        let may_be = !Path::new(&source.path).exists() || source.relative == self.seen_from_here(picture);
        may_be && known::hash_file(picture).is_ok_and(|hash| hash == source.blake3)
    }

    /// Writes a picture's files in all formats, and removes what an earlier answer left in them. All names are asked for before anything
    /// is written: an answer that one format has no place for leaves nothing behind.
    pub(crate) fn write_all(&mut self, stem: &str, encoded: Vec<(Format, Vec<EncodedFile>)>) -> Result<Vec<PathBuf>, Error> {
        let mut named = Vec::with_capacity(encoded.len());
        for (format, files) in encoded {
            let is_overlay = matches!(format, Format::Jpg | Format::Png);
            let name = |suffix: &str| if is_overlay { self.free_name(stem, suffix) } else { format!("{stem}{suffix}") };
            let files: Vec<(String, Vec<u8>)> = files.into_iter().map(|file| (name(&file.suffix), file.bytes)).collect();
            files.iter().try_for_each(|(name, _)| self.place.may_write(name, Some(stem)))?;
            named.push((format.of_files().name(), files));
        }
        let mut written = Vec::new();
        for (format, files) in &named {
            let old = self.place.journal.known.files_of(stem, format);
            for (name, bytes) in files {
                written.push(self.place.put(name, About { stem: Some(stem), format }, |out| out.write_all(bytes))?);
            }
            for left in old.iter().filter(|old| files.iter().all(|(name, _)| name != *old)) {
                self.place.journal.remove(left).map_err(|error| io(&self.place.path_of(left), &error))?;
            }
        }
        Ok(written)
    }

    /// A name for an overlay: `photo.jpg`, or beside the user's `photo.jpg` the first of `photo-2.jpg`, … that may be written.
    fn free_name(&self, stem: &str, suffix: &str) -> String {
        let first = format!("{stem}{suffix}");
        let numbered = (2..1000).map(|number| format!("{stem}-{number}{suffix}"));
        let mut names = std::iter::once(first.clone()).chain(numbered);
        names.find(|name| self.place.may_write(name, Some(stem)).is_ok()).unwrap_or(first)
    }

    /// Writes a file about the whole run in one step, from what `fill` gives.
    pub(crate) fn write_whole(&mut self, name: &str, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<PathBuf, Error> {
        self.place.may_write(name, None)?;
        self.place.put(name, About { stem: None, format: name }, fill)
    }

    /// What is to be said where labels of an earlier run stay, and the classes of this one are not those that they are numbered by.
    pub(crate) fn other_classes(&self, classes: &[String]) -> Option<Error> {
        self.place.journal.known.own(CLASSES_TXT)?;
        let old = std::fs::read_to_string(self.place.path_of(CLASSES_TXT)).ok()?;
        let formats = [FileFormat::Yolo, FileFormat::YoloSeg].map(FileFormat::name);
        let others: usize = formats.iter().map(|format| self.place.journal.known.count_beside(&self.stems, format)).sum();
        (others > 0 && !classes_txt(classes).starts_with(&old)).then(|| {
            let labels = if others == 1 { "the labels of 1 picture" } else { &format!("the labels of {others} pictures") };
            let folder = self.place.path.display();
            let message = format!("{labels} of an earlier run in {folder} are numbered by other classes than {CLASSES_TXT} names now");
            Error::new(ErrorKind::InvalidOption, message).with_help("write them elsewhere with -o DIR")
        })
    }

    /// Notes which picture the stem stands for.
    pub(crate) fn note_source(&mut self, stem: &str, picture: &Path) -> Result<(), Error> {
        let blake3 = known::hash_file(picture).map_err(|error| io(picture, &error))?;
        let path = names::absolute(picture).to_string_lossy().into_owned();
        let source = Source { stem: stem.into(), path, relative: self.seen_from_here(picture), blake3 };
        self.place.note(|journal| journal.note_source(source))
    }

    /// Whether a picture was answered whole by an earlier run that asked the same, and has not changed since.
    pub(crate) fn done(&self, plan: &Plan<'_>, place: usize) -> Option<&Done> {
        let version = Version::of(&plan.pictures[place].path)?;
        let path = &plan.pictures[place].path;
        // Where files name the picture as seen from their folder, that must still be right.
        let is_named = plan.formats.iter().any(|format| format.of_files().names_picture());
        let is_same = |source: &Source| {
            self.seen_from_here(path) == source.relative || (!is_named && names::absolute(path).to_string_lossy() == source.path)
        };
        let is_same = self.place.journal.known.source(&self.stems[place]).is_none_or(is_same);
        self.place.journal.known.done(&self.stems[place]).filter(|done| is_same && done.asked == plan.asked && done.version == version)
    }

    /// A picture as seen from the folder.
    pub(crate) fn seen_from_here(&self, picture: &Path) -> String {
        self.relative("", picture)
    }

    /// A picture as seen from the folder that a file lies in, with forward slashes; absolute where no path leads there (another drive).
    pub(crate) fn relative(&self, file: &str, picture: &Path) -> String {
        let from = names::absolute(&self.place.path).join(Path::new(file).parent().unwrap_or(Path::new("")));
        let to = names::absolute(picture);
        names::slashed(&pathdiff::diff_paths(&to, from).unwrap_or(to))
    }
}
