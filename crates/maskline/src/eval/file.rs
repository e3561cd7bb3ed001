//! COCO's JSON as it lies in files.

use std::path::Path;

use maskline_vision::Mask;
use maskline_vision::mask::Rle;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{Error, ErrorKind, Result};

/// `instances.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Instances {
    pub(super) images: Vec<ImageEntry>,
    pub(super) annotations: Vec<AnnotationEntry>,
    #[serde(default)]
    pub(super) categories: Vec<CategoryEntry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ImageEntry {
    pub(super) id: i64,
    pub(super) file_name: Option<String>,
    pub(super) width: usize,
    pub(super) height: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct CategoryEntry {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) isthing: Option<Flag>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AnnotationEntry {
    pub(super) id: i64,
    pub(super) image_id: i64,
    pub(super) category_id: Option<i64>,
    pub(super) segmentation: Option<Segmentation>,
    pub(super) bbox: Option<Vec<f64>>,
    pub(super) area: Option<f64>,
    pub(super) iscrowd: Option<Flag>,
    pub(super) isthing: Option<Flag>,
}

/// One line of COCO's results format.
#[derive(Debug, Deserialize)]
pub(super) struct ResultEntry {
    pub(super) image_id: i64,
    pub(super) category_id: i64,
    pub(super) score: f64,
    pub(super) bbox: Option<Vec<f64>>,
    pub(super) segmentation: Option<Segmentation>,
}

/// 0 and 1 or false and true: both are found.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Flag {
    Number(i64),
    Bool(bool),
}

impl Flag {
    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::Bool(true)) || matches!(self, Self::Number(number) if number != 0)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    Runs { size: [usize; 2], counts: Counts },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Counts {
    Compressed(String),
    Uncompressed(Vec<u32>),
}

impl Segmentation {
    /// The pixels in a picture of `[width, height]`; `None` where the list of polygons is empty.
    ///
    /// # Errors
    /// What is wrong, without a place.
    pub(super) fn into_mask(self, [width, height]: [usize; 2]) -> Result<Option<Mask>, String> {
        match self {
            Self::Polygons(polygons) if polygons.is_empty() => Ok(None),
            Self::Polygons(polygons) => {
                let mask = Mask::from_coco_polygons(width, height, polygons.iter().map(Vec::as_slice));
                mask.map(Some).map_err(|error| error.to_string())
            }
            Self::Runs { size, .. } if size != [height, width] => {
                Err(format!("run lengths: expected the picture's size [{height}, {width}] (height, width), found {size:?}"))
            }
            Self::Runs { size, counts } => {
                let rle = match counts {
                    Counts::Compressed(text) => Rle::from_coco_string(size, &text).map_err(|error| error.to_string())?,
                    Counts::Uncompressed(counts) => Rle { size, counts },
                };
                Mask::from_rle(&rle).map(Some).map_err(|error| error.to_string())
            }
            Self::Other(_) => {
                Err("segmentation: expected a list of polygons, or run lengths {\"size\": [height, width], \"counts\": …}".into())
            }
        }
    }
}

/// `[x, y, width, height]`; `None` where the list is empty.
pub(super) fn bounds(numbers: &[f64]) -> Result<Option<[f64; 4]>, String> {
    match *numbers {
        [] => Ok(None),
        [x, y, width, height] if numbers.iter().all(|number| number.is_finite()) && width >= 0.0 && height >= 0.0 => {
            Ok(Some([x, y, width, height]))
        }
        _ => Err(format!("bbox: expected x, y, width, height, found {numbers:?}")),
    }
}

/// Reads a JSON file; `form` says what it should be.
pub(super) fn read<T: DeserializeOwned>(path: &Path, form: &str) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(path, &format!("{error}\n  help: expected {form}")))
}

/// An error about a file; further lines of the message stay behind the file's name.
pub(super) fn bad(path: &Path, message: &str) -> Error {
    let (message, help) = message.split_once("\n  help: ").map_or((message, String::new()), |(m, h)| (m, format!("\n  help: {h}")));
    Error::new(ErrorKind::BadInput, format!("{message}\n  in   {}{help}", path.display()))
}
