//! The formats that answers are written in: their names, and what their files are called.

use std::fmt;
use std::str::FromStr;

use super::{Answer, EncodedFile, MaskFormat, MaskOptions, PictureFormat, encode_masks, encode_picture, yolo_txt};
use crate::draw::{DrawOptions, annotate_classes, annotate_prompted};
use crate::{Error, Result, RgbImage};

/// The file that all answers of [`FileFormat::Json`] gather in, a line each.
pub const RESULTS: &str = "results.jsonl";

/// Quality of JPEG overlays.
const QUALITY: u8 = 92;

/// A format that answers are written in as files, on the command line and by the server. Parsed from and shown as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// `jpg`: the picture with what was found and asked, `photo.jpg`.
    Jpg,
    /// `png`: the same without loss, `photo.png`.
    Png,
    /// `json`: answers as JSON lines, [`RESULTS`].
    Json,
    /// `masks`: black and white, a file per object, `photo.mask-001.png`.
    Masks,
    /// `cutout`: the object with the rest transparent, a file per object, `photo.cutout-001.png`.
    Cutout,
    /// `png-index`: one picture of object numbers, `photo.index.png`.
    PngIndex,
    /// `polygons`: outlines with holes, `photo.polygons.json`.
    Polygons,
    /// `coco-rle`: masks as run lengths, `photo.rle.json`.
    CocoRle,
    /// `labelme`: LabelMe's annotations, `photo.json`.
    LabelMe,
    /// `yolo`: labels, `photo.txt`, with `classes.txt` and `data.yaml`.
    Yolo,
    /// `yolo-seg`: the same files.
    YoloSeg,
    /// `coco`: a data set of all pictures, `coco.json`.
    Coco,
    /// `coco-results`: results of all pictures, `coco-results.json`.
    CocoResults,
    /// `coco91`: the same with COCO's own category ids, `coco91-results.json`.
    Coco91,
    /// `label-studio`: tasks of all pictures, `label-studio.json`.
    LabelStudio,
}

impl FileFormat {
    /// Every format.
    pub const ALL: [Self; 15] = [
        Self::Jpg,
        Self::Png,
        Self::Json,
        Self::Masks,
        Self::Cutout,
        Self::PngIndex,
        Self::Polygons,
        Self::CocoRle,
        Self::LabelMe,
        Self::Yolo,
        Self::YoloSeg,
        Self::Coco,
        Self::CocoResults,
        Self::Coco91,
        Self::LabelStudio,
    ];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Json => "json",
            Self::Masks => "masks",
            Self::Cutout => "cutout",
            Self::PngIndex => "png-index",
            Self::Polygons => "polygons",
            Self::CocoRle => "coco-rle",
            Self::LabelMe => "labelme",
            Self::Yolo => "yolo",
            Self::YoloSeg => "yolo-seg",
            Self::Coco => "coco",
            Self::CocoResults => "coco-results",
            Self::Coco91 => "coco91",
            Self::LabelStudio => "label-studio",
        }
    }

    /// What follows the stem in the name of the one file that it has for every picture; none for formats of several files, of pictures
    /// and of all pictures together.
    pub fn single_ending(self) -> Option<&'static str> {
        match self {
            Self::Yolo | Self::YoloSeg => Some(".txt"),
            Self::CocoRle => Some(".rle.json"),
            Self::PngIndex => Some(".index.png"),
            Self::Polygons => Some(".polygons.json"),
            Self::LabelMe => Some(".json"),
            _ => None,
        }
    }

    /// What stands between a picture's stem and the last ending in the names of its files, without the number of an object: another
    /// picture may be called so.
    pub fn tail(self) -> Option<&'static str> {
        match self {
            Self::CocoRle => Some(".rle"),
            Self::PngIndex => Some(".index"),
            Self::Polygons => Some(".polygons"),
            Self::Masks => Some(".mask-"),
            Self::Cutout => Some(".cutout-"),
            _ => None,
        }
    }

    /// Name of the file that gathers all pictures; [`RESULTS`] grows line by line and is none of them.
    pub fn gathered_file(self) -> Option<&'static str> {
        match self {
            Self::Coco => Some("coco.json"),
            Self::CocoResults => Some("coco-results.json"),
            Self::Coco91 => Some("coco91-results.json"),
            Self::LabelStudio => Some("label-studio.json"),
            _ => None,
        }
    }

    /// Whether its files name the picture, as seen from where they are.
    pub fn names_picture(self) -> bool {
        matches!(self, Self::CocoRle | Self::Polygons | Self::LabelMe | Self::LabelStudio)
    }

    /// Whether `classes.txt` and `data.yaml` belong to it ([`yolo_files`](super::yolo_files)).
    pub fn is_yolo(self) -> bool {
        matches!(self, Self::Yolo | Self::YoloSeg)
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FileFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::ALL.map(Self::name).join(", ");
        let unknown = || Error::invalid("format").with_expected(format!("one of {}", names())).with_found(format!("{text:?}"));
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(unknown)
    }
}

/// What [`encode_files`] writes beside the answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileOptions<'a> {
    /// Names and scores of a classifier's best classes, which overlays show in place of objects.
    pub classes: Option<&'a [(String, f32)]>,
    /// YOLO's lines end in the score.
    pub has_scores: bool,
}

/// The files that a format has for one picture; none of formats that gather all pictures ([`gathered_part`](super::gathered_part)).
///
/// Objects are written as they are: [`numbered`](super::numbered) brings them into the form in which files tell them.
///
/// # Errors
/// As [`encode_masks`]; `TooLarge` for an overlay that the picture's format cannot hold.
pub fn encode_files(format: FileFormat, answer: &Answer<'_>, options: &FileOptions<'_>) -> Result<Vec<EncodedFile>> {
    let masks = |format: MaskFormat| encode_masks(format, answer, &MaskOptions::default());
    let single = |suffix: &str, bytes: Vec<u8>| Ok(vec![EncodedFile { suffix: suffix.into(), bytes }]);
    match format {
        FileFormat::Jpg => single(".jpg", overlay(answer, options, PictureFormat::Jpeg { quality: QUALITY })?),
        FileFormat::Png => single(".png", overlay(answer, options, PictureFormat::Png)?),
        FileFormat::Yolo | FileFormat::YoloSeg => single(".txt", yolo_txt(&answer.found, options.has_scores).into_bytes()),
        FileFormat::CocoRle => masks(MaskFormat::CocoRle),
        FileFormat::PngIndex => masks(MaskFormat::PngIndex),
        FileFormat::Masks => masks(MaskFormat::Png),
        FileFormat::Cutout => masks(MaskFormat::Cutout),
        FileFormat::Polygons => masks(MaskFormat::Polygons),
        FileFormat::LabelMe => masks(MaskFormat::LabelMe),
        FileFormat::Json | FileFormat::Coco | FileFormat::CocoResults | FileFormat::Coco91 | FileFormat::LabelStudio => Ok(Vec::new()),
    }
}

fn overlay(answer: &Answer<'_>, options: &FileOptions<'_>, format: PictureFormat) -> Result<Vec<u8>> {
    let missing = || Error::invalid("overlay").with_expected("the picture's pixels").with_found("none");
    let pixels: &RgbImage = answer.pixels.ok_or_else(missing)?;
    let annotated = match options.classes {
        Some(classes) => annotate_classes(pixels, classes),
        None => annotate_prompted(pixels, answer.found.objects, &answer.marks, &DrawOptions::default()),
    };
    // It is the picture that the format cannot hold, not an option that is wrong.
    encode_picture(&annotated, format).map_err(|error| Error::too_large(error.to_string()))
}
