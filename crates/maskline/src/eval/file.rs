//! COCO's JSON as it lies in files.

use std::path::Path;

use maskline_vision::Mask;
use maskline_vision::mask::Rle;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::ids::{Id, whole};
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
    pub(super) id: Id,
    pub(super) file_name: Option<String>,
    #[serde(deserialize_with = "whole")]
    pub(super) width: usize,
    #[serde(deserialize_with = "whole")]
    pub(super) height: usize,
}

#[derive(Debug, Deserialize)]
pub(super) struct CategoryEntry {
    pub(super) id: Id,
    pub(super) name: String,
    pub(super) isthing: Option<Flag>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AnnotationEntry {
    pub(super) id: Id,
    pub(super) image_id: Id,
    pub(super) category_id: Option<Id>,
    pub(super) segmentation: Option<Segmentation>,
    pub(super) bbox: Option<Vec<f64>>,
    pub(super) area: Option<f64>,
    pub(super) iscrowd: Option<Flag>,
    pub(super) isthing: Option<Flag>,
}

/// One line of COCO's results format.
#[derive(Debug, Deserialize)]
pub(super) struct ResultEntry {
    pub(super) image_id: Id,
    pub(super) category_id: Id,
    pub(super) score: f64,
    pub(super) bbox: Option<Vec<f64>>,
    pub(super) segmentation: Option<Segmentation>,
}

/// 0 and 1 (also 0.0 and 1.0) or false and true: both are found.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Flag {
    Number(f64),
    Bool(bool),
}

impl Flag {
    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::Bool(true)) || matches!(self, Self::Number(number) if number != 0.0)
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
    let text = without_mark(&bytes).map_err(|message| bad(path, &message))?;
    serde_json::from_slice(text).map_err(|error| bad(path, &format!("{error}\n  help: expected {form}")))
}

/// The bytes of a text file behind its byte order mark, which editors on Windows write.
///
/// # Errors
/// What is wrong, without a place: the text is UTF-16 or UTF-32, which is told by the mark or by zeros between letters.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], String> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let found = match text {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => "UTF-16",
        _ => return Ok(text),
    };
    Err(format!("expected text in UTF-8, found {found}\n  help: save the file as UTF-8"))
}

/// Letters of a message.
const LONGEST: usize = 600;

/// An error about a file; further lines of the message stay behind the file's name.
pub(super) fn bad(path: &Path, message: &str) -> Error {
    let (message, help) = message.split_once("\n  help: ").map_or((message, String::new()), |(m, h)| (m, format!("\n  help: {h}")));
    // Some quote what the file holds, which may be long.
    let (start, more) = message.char_indices().nth(LONGEST).map_or((message, ""), |(place, _)| (&message[..place], " …"));
    Error::new(ErrorKind::BadInput, format!("{start}{more}\n  in   {}{help}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::without_mark;

    #[test]
    fn byte_order_marks_are_taken_off_or_told() {
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), Ok(&b"{}"[..]));
        assert_eq!((without_mark(b"{}"), without_mark(b""), without_mark(b"[")), (Ok(&b"{}"[..]), Ok(&b""[..]), Ok(&b"["[..])));
        for bytes in [&b"\xff\xfe{\0}\0"[..], b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}"] {
            assert!(without_mark(bytes).is_err_and(|message| message.contains("UTF-16") && message.contains("help:")), "{bytes:?}");
        }
        for bytes in [&b"\xff\xfe\0\0{\0\0\0"[..], b"\0\0\xfe\xff\0\0\0{"] {
            assert!(without_mark(bytes).is_err_and(|message| message.contains("UTF-32")), "{bytes:?}");
        }
    }
}
