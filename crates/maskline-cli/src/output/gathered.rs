//! Files that hold the answers to all pictures of a run. What goes into them waits on disk, not in memory: picture by picture in
//! `.maskline/<name>.parts`, from which the file is made when the run ends, however it ends.

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use maskline::Error;
use maskline::vision::draw::Marks;
use maskline::vision::write::{Answer, GatheredPart, GatheredParts, ImageObjects, gathered_part, write_gathered};
use serde_json::json;

use super::growing::GrowingFile;
use super::place::io;
use crate::args::Format;

/// One such file.
#[derive(Debug)]
pub(crate) struct Gathered {
    format: Format,
    parts: GrowingFile,
}

/// What a picture is to the files that hold all.
pub(crate) struct Part<'a> {
    pub(crate) stem: &'a str,
    pub(crate) found: &'a ImageObjects<'a>,
    /// The picture as seen from the folder of the files.
    pub(crate) relative: &'a str,
}

/// What is only known when all pictures are.
pub(crate) struct Told<'a> {
    /// Class names by index.
    pub(crate) classes: &'a [String],
    /// How data sets name each picture, by its stem.
    pub(crate) names: HashMap<String, String>,
}

/// Name of the file of a format that gathers all pictures.
pub(crate) fn file_name(format: Format) -> Option<&'static str> {
    format.of_files().gathered_file()
}

fn parts_of(format: Format, own: &Path) -> PathBuf {
    own.join(format!("{}.parts", file_name(format).unwrap_or_default()))
}

impl Gathered {
    /// The stems that have whole parts.
    pub(crate) fn stems(format: Format, own: &Path) -> std::io::Result<HashSet<String>> {
        GrowingFile::values(&parts_of(format, own), "stem", |_| true)
    }

    /// The parts of a format below `own`, maskline's folder; `is_done` says of which stems the old ones are kept.
    pub(crate) fn open(format: Format, own: &Path, is_done: Option<&dyn Fn(&str) -> bool>) -> std::io::Result<Self> {
        let path = parts_of(format, own);
        let parts = match is_done {
            Some(is_done) => GrowingFile::resume(&path, &own.join("partial"), |part| part["stem"].as_str().is_some_and(is_done))?,
            None => GrowingFile::create(&path)?,
        };
        Ok(Self { format, parts })
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Adds one picture.
    pub(crate) fn add(&mut self, part: &Part<'_>) -> Result<(), Error> {
        let answer = Answer { found: *part.found, file_name: part.relative, pixels: None, marks: Marks::default() };
        // How data sets name the picture is known when all are.
        let GatheredPart { image, items, .. } = gathered_part(self.format.of_files(), &answer, "")?;
        let line = json!({"stem": part.stem, "image": image, "items": items});
        self.parts.append(line.to_string().as_bytes()).map_err(|error| io(self.parts.path(), &error))
    }

    /// Writes the whole file to `out`: a list of all items, or COCO's data set.
    pub(crate) fn assemble(&self, out: impl Write, told: &Told<'_>) -> std::io::Result<()> {
        let mut out = BufWriter::new(out);
        write_gathered(self.format.of_files(), &mut out, told.classes, || self.named_parts(told))?;
        out.flush()
    }

    fn named_parts<'a>(&'a self, told: &'a Told<'_>) -> std::io::Result<GatheredParts<'a>> {
        let named = |mut line: serde_json::Value| {
            let name = line["stem"].as_str().and_then(|stem| told.names.get(stem)).cloned().unwrap_or_default();
            GatheredPart { name, image: line["image"].take(), items: line["items"].take() }
        };
        Ok(Box::new(self.parts.lines()?.map(move |line| line.map(named))))
    }
}
