//! Files that hold the answers to all pictures, put together from one part for each.

use std::io::Write;

use serde_json::{Value, json};

use super::{
    Answer, COCO_91, CocoAnnotations, FileFormat, ImageObjects, LabelStudioNames, coco_annotations, coco_category, coco_image,
    coco_results, label_studio,
};
use crate::Result;

/// What one picture adds to a file about all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct GatheredPart {
    /// How data sets name the picture.
    pub name: String,
    /// The picture's own entry, of formats that have one.
    pub image: Value,
    /// The entries of its objects.
    pub items: Value,
}

/// The part of one picture; its entries are numbered and named when the file is written.
///
/// # Errors
/// As [`label_studio`].
pub fn gathered_part(format: FileFormat, answer: &Answer<'_>, name: &str) -> Result<GatheredPart> {
    let found = &answer.found;
    let (image, items) = match format {
        FileFormat::Coco => (coco_image(found, ""), json!(coco_annotations(found, &CocoAnnotations::default()))),
        FileFormat::Coco91 => (Value::Null, coco_results(std::slice::from_ref(found), Some(&COCO_91))),
        FileFormat::LabelStudio => (Value::Null, json!([label_studio(answer, &LabelStudioNames::default())?])),
        _ => (Value::Null, coco_results(std::slice::from_ref(found), Some(&category_ids(found)))),
    };
    Ok(GatheredPart { name: name.to_owned(), image, items })
}

/// The ids of [`coco_category`], for classes up to the highest that was found: results count as the data set beside them does.
fn category_ids(found: &ImageObjects<'_>) -> Vec<i64> {
    let classes = found.objects.iter().filter_map(|object| object.class_id).max().map_or(0, |highest| highest.saturating_add(1));
    (1..).take(classes).collect()
}

/// The parts of a file, which may be more than memory holds.
pub type GatheredParts<'a> = Box<dyn Iterator<Item = std::io::Result<GatheredPart>> + 'a>;

/// Writes a whole file: a list of all items, or COCO's data set, for which `parts` are gone through twice. `classes` are names by number.
///
/// # Errors
/// Those of `out` and of `parts`.
pub fn write_gathered<'a>(
    format: FileFormat,
    out: &mut impl Write,
    classes: &[String],
    parts: impl Fn() -> std::io::Result<GatheredParts<'a>>,
) -> std::io::Result<()> {
    // A picture's number only counts within this run: results have the name beside it.
    let named = |item: &mut Value, name: &str, _| item["file_name"] = json!(name);
    match format {
        FileFormat::Coco => {
            let info = json!({"description": "masks and boxes found by maskline", "version": env!("CARGO_PKG_VERSION")});
            let categories = classes.iter().enumerate().filter_map(|(class_id, name)| coco_category(class_id, name, None));
            write!(out, "{{\"info\": {info}, \"licenses\": [], \"categories\": {}", Value::Array(categories.collect()))?;
            out.write_all(b",\n\"images\": ")?;
            list(out, parts()?.map(|part| part.map(|part| (part.name, json!([part.image])))), named)?;
            out.write_all(b",\n\"annotations\": ")?;
            list(out, items(parts()?), |item, _, number| item["id"] = json!(number))?;
            out.write_all(b"}")?;
        }
        FileFormat::LabelStudio => list(out, items(parts()?), |_, _, _| {})?,
        _ => list(out, items(parts()?), named)?,
    }
    out.write_all(b"\n")
}

/// The name of a picture, and entries about it.
type Entries = (String, Value);

fn items(parts: GatheredParts<'_>) -> impl Iterator<Item = std::io::Result<Entries>> {
    parts.map(|part| part.map(|part| (part.name, part.items)))
}

/// The entries of all parts as one list; `settle` is told the picture's name and the entry's number, from 1.
fn list(
    out: &mut impl Write,
    parts: impl Iterator<Item = std::io::Result<Entries>>,
    settle: impl Fn(&mut Value, &str, usize),
) -> std::io::Result<()> {
    let (mut separator, mut number) = ("[", 0);
    for part in parts {
        let (name, mut entries) = part?;
        for entry in entries.as_array_mut().into_iter().flatten() {
            number += 1;
            settle(entry, &name, number);
            write!(out, "{separator}\n{entry}")?;
            separator = ",";
        }
    }
    out.write_all(if number == 0 { b"[]" } else { b"\n]" })
}

/// The number by which data sets know a picture that is called by one, as COCO's are: 139 of `000000000139.jpg`.
pub fn number_in_name(stem: &str) -> Option<i64> {
    stem.parse::<i64>().ok().filter(|number| *number >= 0)
}
