//! Rough masks: pictures, polygons and run lengths.

use std::path::{Path, PathBuf};

use maskline::vision::decode::{DecodeOptions, mask_of_file};
use maskline::vision::mask::Rle;
use maskline::{Error, ErrorKind, Image, Mask};
use serde_json::Value;

/// Where a mask comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MaskSource {
    /// A picture of the picture's size.
    File(PathBuf),
    /// COCO's run lengths.
    Rle(Rle),
    /// COCO's polygons: x, y, x, y, … in pixels.
    Polygons(Vec<Vec<f64>>),
}

const FORMS: &str =
    "a mask is the name of a picture, COCO's polygons [[x, y, x, y, …], …], or run lengths {\"size\": [height, width], \"counts\": …}";

impl MaskSource {
    /// From a prompt file; names of pictures are seen from its `folder`.
    ///
    /// # Errors
    /// What is wrong, without a place.
    pub(super) fn of_json(json: Value, folder: &Path) -> Result<Self, String> {
        match json {
            Value::String(name) => Ok(Self::File(folder.join(name))),
            Value::Array(polygons) => {
                polygons.into_iter().enumerate().map(|(index, json)| polygon(index, json)).collect::<Result<_, _>>().map(Self::Polygons)
            }
            Value::Object(mut fields) => {
                let (size, counts) = (fields.remove("size"), fields.remove("counts"));
                if let Some(other) = fields.keys().next() {
                    return Err(format!("the mask: unknown field `{other}`; {FORMS}"));
                }
                let size = size.and_then(|size| serde_json::from_value::<[usize; 2]>(size).ok());
                let size = size.ok_or_else(|| format!("the mask: expected its size as [height, width]; {FORMS}"))?;
                run_lengths(size, counts).map(Self::Rle)
            }
            other => Err(format!("the mask: found {other}; {FORMS}")),
        }
    }

    /// The pixels in a picture; at least one is set.
    ///
    /// # Errors
    /// `BadInput` for a mask of another size, and for one that is empty or cannot be read.
    pub(super) fn read(&self, image: &Image) -> Result<Mask, Error> {
        let (width, height) = image.size();
        let broken = |error: maskline::vision::Error| {
            let error = Error::from(error);
            with_parts(Error::new(ErrorKind::BadInput, format!("the mask's {}", error.message())), &error)
        };
        let mask = match self {
            Self::File(path) => return of_file(path, image),
            Self::Rle(rle) => Mask::from_rle(rle).map_err(broken)?,
            Self::Polygons(polygons) => Mask::from_coco_polygons(width, height, polygons.iter().map(Vec::as_slice)).map_err(broken)?,
        };
        let why_empty = if matches!(self, Self::Polygons(_)) { ": the polygons cover no pixel of the picture" } else { "" };
        fitting(mask, image, why_empty)
    }
}

fn polygon(index: usize, json: Value) -> Result<Vec<f64>, String> {
    let numbers: Vec<f64> = serde_json::from_value(json).map_err(|error| format!("the mask's polygon {index}: {error}; {FORMS}"))?;
    if numbers.len() < 6 || numbers.len() % 2 == 1 {
        return Err(format!("the mask's polygon {index}: expected x, y of at least 3 points, found {} numbers", numbers.len()));
    }
    Ok(numbers)
}

/// COCO's run lengths, compressed to text or as a list.
fn run_lengths(size: [usize; 2], counts: Option<Value>) -> Result<Rle, String> {
    match counts {
        Some(Value::String(text)) => Rle::from_coco_string(size, &text).map_err(|error| format!("the mask's counts: {error}")),
        Some(counts @ Value::Array(_)) => {
            let counts = serde_json::from_value(counts).map_err(|error| format!("the mask's counts: expected run lengths: {error}"))?;
            Ok(Rle { size, counts })
        }
        _ => Err(format!("the mask: expected counts as text or as a list; {FORMS}")),
    }
}

fn of_file(path: &Path, image: &Image) -> Result<Mask, Error> {
    // Its errors name the file.
    let mask = mask_of_file(path, &DecodeOptions::default()).map_err(|error| {
        let error = Error::from(error);
        // A mask that is not there, or is none, is bad input; what remains are disks and limits.
        let is_bad_input = !path.exists() || error.kind() == ErrorKind::InvalidOption;
        if is_bad_input { with_parts(Error::new(ErrorKind::BadInput, error.message()), &error) } else { error }
    })?;
    fitting(mask, image, ": the picture is black").map_err(|error| error.at(path))
}

/// A mask of the picture's size that is not empty.
fn fitting(mask: Mask, image: &Image, why_empty: &str) -> Result<Mask, Error> {
    let (width, height) = image.size();
    let error = Error::new(ErrorKind::BadInput, "");
    if (mask.width(), mask.height()) != (width, height) {
        let expected = format!("a mask of the picture's size {width} × {height}");
        return Err(error.expecting(expected).but_found(format!("{} × {}", mask.width(), mask.height())));
    }
    if mask.is_empty() {
        return Err(error.expecting("a mask with at least one pixel").but_found(format!("an empty one{why_empty}")));
    }
    Ok(mask)
}

/// An error with all of another one but its kind and message.
fn with_parts(mut error: Error, other: &Error) -> Error {
    if let Some(place) = other.place() {
        error = error.at_place(place);
    }
    if let Some(expected) = other.expected() {
        error = error.expecting(expected);
    }
    if let Some(found) = other.found() {
        error = error.but_found(found);
    }
    match other.help() {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// The error of a prompt, which stands in a file or on the command line.
pub(super) fn of_prompt(error: Error, index: usize, file: Option<&Path>) -> Error {
    let error = error.named(format!("prompt {index}"));
    match file.filter(|_| error.place().is_none()) {
        Some(file) => error.at(file),
        None => error,
    }
}
