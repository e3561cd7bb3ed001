//! Rough masks: pictures, polygons and run lengths.

use std::path::{Path, PathBuf};

use maskline::vision::decode::{DecodeOptions, mask_of_file};
use maskline::vision::mask::Rle;
use maskline::{Error, ErrorKind, Mask};
use serde_json::Value;

/// Where a mask comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MaskSource {
    /// A picture of the picture's size.
    File(PathBuf),
    /// COCO's run lengths.
    Rle(Rle),
    /// COCO's polygons: x, y, x, y, … in pixels.
    Polygons(Vec<Vec<f64>>),
}

/// What is wrong with a mask.
#[derive(Debug)]
pub(super) struct MaskError {
    kind: ErrorKind,
    message: String,
    /// The picture that holds the mask, where the message does not name it.
    path: Option<PathBuf>,
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
            Value::Array(polygons) => polygons.into_iter().enumerate().map(polygon).collect::<Result<_, _>>().map(Self::Polygons),
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

    /// The pixels in a picture of this width and height; at least one is set.
    ///
    /// # Errors
    /// `BadInput` for a mask of another size, and for one that is empty or cannot be read.
    pub(super) fn read(&self, (width, height): (usize, usize)) -> Result<Mask, MaskError> {
        let broken = |error: maskline::vision::Error| MaskError::new(format!("the mask's {error}"));
        let mask = match self {
            Self::File(path) => return of_file(path, (width, height)),
            Self::Rle(rle) => Mask::from_rle(rle).map_err(broken)?,
            Self::Polygons(polygons) => Mask::from_coco_polygons(width, height, polygons.iter().map(Vec::as_slice)).map_err(broken)?,
        };
        if (mask.width(), mask.height()) != (width, height) {
            return Err(of_other_size((width, height), (mask.width(), mask.height())));
        }
        if mask.is_empty() {
            let beside = if matches!(self, Self::Polygons(_)) { ": the polygons cover no pixel of the picture" } else { "" };
            return Err(MaskError::new(format!("{EMPTY}{beside}")));
        }
        Ok(mask)
    }
}

const EMPTY: &str = "expected a mask with at least one pixel, found an empty one";

fn polygon((index, json): (usize, Value)) -> Result<Vec<f64>, String> {
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

fn of_file(path: &Path, size: (usize, usize)) -> Result<Mask, MaskError> {
    let here = |error: MaskError| MaskError { path: Some(path.to_path_buf()), ..error };
    // Its errors name the file.
    let mask = mask_of_file(path, &DecodeOptions::default()).map_err(|error| {
        let message = error.to_string();
        // A mask that is not there, or is none, is bad input; what remains are disks and limits.
        let kind = Some(Error::from(error).kind()).filter(|kind| path.exists() && *kind != ErrorKind::InvalidOption);
        let kind = kind.unwrap_or(ErrorKind::BadInput);
        MaskError { kind, message, path: None }
    })?;
    if (mask.width(), mask.height()) != size {
        return Err(here(of_other_size(size, (mask.width(), mask.height()))));
    }
    if mask.is_empty() {
        return Err(here(MaskError::new(format!("{EMPTY}: the picture is black"))));
    }
    Ok(mask)
}

fn of_other_size(expected: (usize, usize), found: (usize, usize)) -> MaskError {
    let message = format!("expected a mask of the picture's size {} × {}, found {} × {}", expected.0, expected.1, found.0, found.1);
    MaskError::new(message)
}

impl MaskError {
    fn new(message: String) -> Self {
        Self { kind: ErrorKind::BadInput, message, path: None }
    }

    /// The error of a prompt, which stands in a file or on the command line.
    pub(super) fn of_prompt(self, index: usize, file: Option<&Path>) -> Error {
        let Self { kind, message, path } = self;
        let place = path.as_deref().or(file).filter(|place| !message.contains(&place.display().to_string()));
        let place = place.map(|place| format!("\n  in   {}", place.display())).unwrap_or_default();
        let (message, help) = message.split_once("\n  help: ").map_or((message.as_str(), None), |(m, h)| (m, Some(h)));
        let help = help.map(|help| format!("\n  help: {help}")).unwrap_or_default();
        Error::new(kind, format!("prompt {index}: {message}{place}{help}"))
    }
}
