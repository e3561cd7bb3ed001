//! COCO's JSON as it lies in files.

use std::path::Path;

use maskline::vision::mask::Rle;
use maskline::{Error, ErrorKind, Mask, Result};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::ids::{Id, whole};

/// `instances.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Instances {
    pub(crate) images: Vec<ImageEntry>,
    pub(crate) annotations: Vec<AnnotationEntry>,
    #[serde(default)]
    pub(crate) categories: Vec<CategoryEntry>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ImageEntry {
    pub(crate) id: Id,
    pub(crate) file_name: Option<String>,
    /// LVIS has no name, but the address of COCO's picture.
    pub(crate) coco_url: Option<String>,
    /// LVIS: categories that are surely not in the picture.
    pub(crate) neg_category_ids: Option<IgnoredAny>,
    #[serde(deserialize_with = "whole")]
    pub(crate) width: usize,
    #[serde(deserialize_with = "whole")]
    pub(crate) height: usize,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CategoryEntry {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) isthing: Option<Flag>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AnnotationEntry {
    pub(crate) id: Id,
    pub(crate) image_id: Id,
    pub(crate) category_id: Option<Id>,
    pub(crate) segmentation: Option<Segmentation>,
    pub(crate) bbox: Option<Vec<f64>>,
    pub(crate) area: Option<f64>,
    pub(crate) iscrowd: Option<Flag>,
    pub(crate) isthing: Option<Flag>,
}

/// One line of COCO's results format.
#[derive(Debug, Deserialize)]
pub(crate) struct ResultEntry {
    pub(crate) image_id: Id,
    pub(crate) category_id: Id,
    pub(crate) score: f64,
    pub(crate) bbox: Option<Vec<f64>>,
    pub(crate) segmentation: Option<Segmentation>,
}

/// 0 and 1 (also 0.0 and 1.0) or false and true: both are found.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(crate) enum Flag {
    Number(f64),
    Bool(bool),
}

impl Flag {
    pub(crate) fn is_set(self) -> bool {
        matches!(self, Self::Bool(true)) || matches!(self, Self::Number(number) if number != 0.0)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Segmentation {
    Polygons(Vec<Vec<f64>>),
    Runs { size: [usize; 2], counts: Counts },
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Counts {
    Compressed(String),
    Uncompressed(Vec<u32>),
}

impl Segmentation {
    /// The pixels in a picture of `[width, height]`; `None` where the list of polygons is empty.
    ///
    /// # Errors
    /// What is wrong, without a place.
    pub(crate) fn into_mask(self, [width, height]: [usize; 2]) -> Result<Option<Mask>> {
        match self {
            Self::Polygons(polygons) if polygons.is_empty() => Ok(None),
            Self::Polygons(polygons) => {
                let mask = Mask::from_coco_polygons(width, height, polygons.iter().map(Vec::as_slice));
                mask.map(Some).map_err(of_mask)
            }
            Self::Runs { size, .. } if size != [height, width] => {
                let expected = format!("the picture's size [{height}, {width}] (height, width)");
                Err(wrong("run lengths").expecting(expected).but_found(format!("{size:?}")))
            }
            Self::Runs { size, counts } => {
                let rle = match counts {
                    Counts::Compressed(text) => Rle::from_coco_string(size, &text).map_err(of_mask)?,
                    Counts::Uncompressed(counts) => Rle { size, counts },
                };
                Mask::from_rle(&rle).map(Some).map_err(of_mask)
            }
            Self::Other(_) => {
                let expected = "a list of polygons, or run lengths {\"size\": [height, width], \"counts\": …}";
                Err(wrong("segmentation").expecting(expected))
            }
        }
    }
}

/// `[x, y, width, height]`; `None` where the list is empty.
pub(crate) fn bounds(numbers: &[f64]) -> Result<Option<[f64; 4]>> {
    match *numbers {
        [] => Ok(None),
        [x, y, width, height] if numbers.iter().all(|number| number.is_finite()) && width >= 0.0 && height >= 0.0 => {
            Ok(Some([x, y, width, height]))
        }
        _ => Err(wrong("bbox").expecting("x, y, width, height").but_found(format!("{numbers:?}"))),
    }
}

/// Reads a JSON file; `form` says what it should be.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, form: &str) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    let text = behind_mark(&bytes).map_err(|found| bad(path, no_utf8(found)))?;
    serde_json::from_slice(text).map_err(|error| bad(path, wrong(error.to_string()).with_help(format!("expected {form}"))))
}

/// The bytes of a text file behind its byte order mark, which editors on Windows write.
///
/// # Errors
/// What is wrong, without a place: the text is UTF-16 or UTF-32, which is told by the mark or by zeros between letters.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], String> {
    behind_mark(bytes).map_err(|found| no_utf8(found).to_string())
}

/// As [`without_mark`], or the name of the other encoding.
fn behind_mark(bytes: &[u8]) -> Result<&[u8], &'static str> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match text {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Err("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => Err("UTF-16"),
        _ => Ok(text),
    }
}

fn no_utf8(found: &str) -> Error {
    wrong("").expecting("text in UTF-8").but_found(found).with_help("save the file as UTF-8")
}

/// Letters of a message.
const LONGEST: usize = 600;

/// What is wrong with the data, without a place.
pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadInput, message)
}

/// What is wrong with a segmentation of the data.
fn of_mask(error: maskline::vision::Error) -> Error {
    Error::from(error).of_kind(ErrorKind::BadInput)
}

/// What is wrong with a file, with the file.
pub(crate) fn bad(path: &Path, error: Error) -> Error {
    shortened(error).at(path)
}

/// Some errors quote what the file holds, which may be long: of those the beginning, as a message alone.
fn shortened(error: Error) -> Error {
    let text = error.to_string();
    let help = error.help().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    let message = text.strip_suffix(&help).unwrap_or(&text);
    let Some((end, _)) = message.char_indices().nth(LONGEST) else { return error };
    let short = wrong(format!("{} …", &message[..end]));
    match error.help() {
        Some(help) => short.with_help(help),
        None => short,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{bad, wrong};
    use crate::without_mark;

    #[test]
    fn long_quotes_are_cut_and_the_way_out_stays() {
        let of = |count: usize| bad(Path::new("a.json"), wrong("bbox").expecting("four").but_found("é".repeat(count)).with_help("count"));
        assert_eq!((of(9).found(), of(9).message()), (Some("ééééééééé"), "bbox"));
        let long = of(1000);
        assert_eq!((long.help(), long.place(), long.message().chars().count()), (Some("count"), Some("a.json"), 602));
        assert!(long.message().starts_with("bbox: expected four, found éé") && long.message().ends_with("é …"), "{long}");
    }

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
