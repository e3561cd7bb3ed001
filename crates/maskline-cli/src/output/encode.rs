//! One picture's answer in each format, as bytes.

use maskline::vision::draw::Marks;
use maskline::vision::write::{Answer, EncodedFile, FileFormat, FileOptions, ImageObjects, encode_files};
use maskline::{ClassScore, Error, Image, Object};

use crate::args::Format;

/// What was found in one picture, and what was asked.
pub(crate) struct Drawn<'a> {
    pub(crate) objects: &'a [Object],
    pub(crate) classes: Option<&'a [ClassScore]>,
    pub(crate) marks: Marks<'a>,
}

/// The picture that files are about.
pub(crate) struct Picture<'a> {
    pub(crate) image: &'a Image,
    pub(crate) found: ImageObjects<'a>,
    /// The picture as seen from the folder of the files.
    pub(crate) file_name: &'a str,
    /// YOLO's lines end in the score.
    pub(crate) save_conf: bool,
}

impl Format {
    /// The format of the files.
    pub(crate) fn of_files(self) -> FileFormat {
        match self {
            Self::Jpg => FileFormat::Jpg,
            Self::Png => FileFormat::Png,
            Self::Json => FileFormat::Json,
            Self::Coco => FileFormat::Coco,
            Self::CocoResults => FileFormat::CocoResults,
            Self::Coco91 => FileFormat::Coco91,
            Self::Yolo => FileFormat::Yolo,
            Self::YoloSeg => FileFormat::YoloSeg,
            Self::CocoRle => FileFormat::CocoRle,
            Self::PngIndex => FileFormat::PngIndex,
            Self::Masks => FileFormat::Masks,
            Self::Cutout => FileFormat::Cutout,
            Self::Polygons => FileFormat::Polygons,
            Self::Labelme => FileFormat::LabelMe,
            Self::LabelStudio => FileFormat::LabelStudio,
        }
    }
}

/// The files of a format for one picture.
pub(crate) fn files(format: Format, picture: &Picture<'_>, drawn: &Drawn<'_>) -> Result<Vec<EncodedFile>, Error> {
    let Picture { image, found, file_name, save_conf } = *picture;
    let classes = drawn.classes.map(|classes| classes.iter().map(ClassScore::shown).collect::<Vec<_>>());
    let answer = Answer { found, file_name, pixels: Some(image.pixels()), marks: drawn.marks };
    let options = FileOptions { classes: classes.as_deref(), has_scores: save_conf };
    Ok(encode_files(format.of_files(), &answer, &options)?)
}
