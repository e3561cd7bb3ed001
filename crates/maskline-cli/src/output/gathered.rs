//! Files that hold the answers to all pictures of a run. What goes into them waits on disk, not in memory: picture by picture in
//! `.maskline/<name>.parts`, from which the file is made when the run ends, however it ends.

use std::collections::{HashMap, HashSet};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use maskline::Error;
use maskline::vision::draw::Marks;
use maskline::vision::write::{
    Answer, COCO_91, CocoAnnotations, ImageObjects, LabelStudioNames, coco_annotations, coco_category, coco_image, coco_results,
    label_studio,
};
use serde_json::{Value, json};

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

/// Name of the file of a format that gathers all pictures; `results.jsonl` grows in its place and is none of them.
pub(crate) fn file_name(format: Format) -> Option<&'static str> {
    match format {
        Format::Coco => Some("coco.json"),
        Format::CocoResults => Some("coco-results.json"),
        Format::Coco91 => Some("coco91-results.json"),
        Format::LabelStudio => Some("label-studio.json"),
        _ => None,
    }
}

fn parts_of(format: Format, own: &Path) -> PathBuf {
    own.join(format!("{}.parts", file_name(format).unwrap_or_default()))
}

/// The ids of [`coco_category`], for classes up to the highest that was found: results count as the data set beside them does.
fn category_ids(found: &ImageObjects<'_>) -> Vec<i64> {
    let classes = found.objects.iter().filter_map(|object| object.class_id).max().map_or(0, |highest| highest.saturating_add(1));
    (1..).take(classes).collect()
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
        let (image, items) = match self.format {
            Format::Coco => (coco_image(part.found, ""), json!(coco_annotations(part.found, &CocoAnnotations::default()))),
            Format::Coco91 => (Value::Null, coco_results(std::slice::from_ref(part.found), Some(&COCO_91))),
            Format::LabelStudio => {
                let answer = Answer { found: *part.found, file_name: part.relative, pixels: None, marks: Marks::default() };
                (Value::Null, json!([label_studio(&answer, &LabelStudioNames::default())?]))
            }
            _ => (Value::Null, coco_results(std::slice::from_ref(part.found), Some(&category_ids(part.found)))),
        };
        let line = json!({"stem": part.stem, "image": image, "items": items});
        self.parts.append(line.to_string().as_bytes()).map_err(|error| io(self.parts.path(), &error))
    }

    /// Writes the whole file to `out`: a list of all items, or COCO's data set.
    pub(crate) fn assemble(&self, out: impl Write, told: &Told<'_>) -> std::io::Result<()> {
        let mut out = BufWriter::new(out);
        if self.format == Format::Coco {
            self.data_set(&mut out, told)?;
        } else {
            self.list(&mut out, "items", told)?;
        }
        out.write_all(b"\n")?;
        out.flush()
    }

    fn data_set(&self, out: &mut impl Write, told: &Told<'_>) -> std::io::Result<()> {
        let info = json!({"description": "masks and boxes found by maskline", "version": env!("CARGO_PKG_VERSION")});
        let categories = told.classes.iter().enumerate().filter_map(|(class_id, name)| coco_category(class_id, name, None));
        write!(out, "{{\"info\": {info}, \"licenses\": [], \"categories\": {}", Value::Array(categories.collect()))?;
        out.write_all(b",\n\"images\": ")?;
        self.list(out, "image", told)?;
        out.write_all(b",\n\"annotations\": ")?;
        self.list(out, "items", told)?;
        out.write_all(b"}")
    }

    /// One key of all parts as a list; annotations are numbered on the way, and pictures named.
    fn list(&self, out: &mut impl Write, key: &str, told: &Told<'_>) -> std::io::Result<()> {
        let (mut separator, mut number) = ("[", 0);
        for part in self.parts.lines()? {
            let mut part = part?;
            let name = part["stem"].as_str().and_then(|stem| told.names.get(stem)).cloned().unwrap_or_default();
            let items = match part[key].take() {
                Value::Array(items) => items,
                item => vec![item],
            };
            for mut item in items {
                number += 1;
                match (self.format, key) {
                    (Format::LabelStudio, _) => {}
                    (Format::Coco, "items") => item["id"] = json!(number),
                    // A picture's number only counts within this run: results have the name beside it.
                    _ => item["file_name"] = json!(name),
                }
                write!(out, "{separator}\n{item}")?;
                separator = ",";
            }
        }
        out.write_all(if number == 0 { b"[]" } else { b"\n]" })
    }
}
