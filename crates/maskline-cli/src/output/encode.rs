//! One picture's answer in each format, as bytes.

use maskline::vision::draw::{DrawOptions, Marks, annotate_classes, annotate_prompted};
use maskline::vision::write::{
    Answer, EncodedFile, ImageObjects, MaskFormat, MaskOptions, PictureFormat, encode_masks, encode_picture, yolo_txt,
};
use maskline::{ClassScore, Error, ErrorKind, Image, Object};

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

/// Name of a format, as on the command line.
pub(crate) fn name(format: Format) -> &'static str {
    match format {
        Format::Jpg => "jpg",
        Format::Png => "png",
        Format::Json => "json",
        Format::Coco => "coco",
        Format::CocoResults => "coco-results",
        Format::Coco91 => "coco91",
        Format::Yolo => "yolo",
        Format::YoloSeg => "yolo-seg",
        Format::CocoRle => "coco-rle",
        Format::PngIndex => "png-index",
        Format::Masks => "masks",
        Format::Cutout => "cutout",
        Format::Polygons => "polygons",
        Format::Labelme => "labelme",
        Format::LabelStudio => "label-studio",
    }
}

/// What follows the stem in the name of the one file that a format has for every picture; none for formats of several files, of
/// pictures (which make way) and of all pictures together.
pub(crate) fn single_ending(format: Format) -> Option<&'static str> {
    match format {
        Format::Yolo | Format::YoloSeg => Some(".txt"),
        Format::CocoRle => Some(".rle.json"),
        Format::PngIndex => Some(".index.png"),
        Format::Polygons => Some(".polygons.json"),
        Format::Labelme => Some(".json"),
        _ => None,
    }
}

/// What stands between a picture's stem and the last ending in the names of a format's files, without the number of an object: another
/// picture may be called so.
pub(crate) fn tail(format: Format) -> Option<&'static str> {
    match format {
        Format::CocoRle => Some(".rle"),
        Format::PngIndex => Some(".index"),
        Format::Polygons => Some(".polygons"),
        Format::Masks => Some(".mask-"),
        Format::Cutout => Some(".cutout-"),
        _ => None,
    }
}

/// Whether the files of a format name the picture, as seen from where they are.
pub(crate) fn names_picture(format: Format) -> bool {
    matches!(format, Format::CocoRle | Format::Polygons | Format::Labelme | Format::LabelStudio)
}

/// The files of a format for one picture.
pub(crate) fn files(format: Format, picture: &Picture<'_>, drawn: &Drawn<'_>) -> Result<Vec<EncodedFile>, Error> {
    let masks = |format: MaskFormat| {
        let answer =
            Answer { found: picture.found, file_name: picture.file_name, pixels: Some(picture.image.pixels()), marks: drawn.marks };
        Ok(encode_masks(format, &answer, &MaskOptions::default())?)
    };
    let single = |suffix: &str, bytes: Vec<u8>| Ok(vec![EncodedFile { suffix: suffix.into(), bytes }]);
    match format {
        Format::Jpg => single(".jpg", overlay(picture, drawn, PictureFormat::Jpeg { quality: 92 })?),
        Format::Png => single(".png", overlay(picture, drawn, PictureFormat::Png)?),
        Format::Yolo | Format::YoloSeg => single(".txt", yolo_txt(&picture.found, picture.save_conf).into_bytes()),
        Format::CocoRle => masks(MaskFormat::CocoRle),
        Format::PngIndex => masks(MaskFormat::PngIndex),
        Format::Masks => masks(MaskFormat::Png),
        Format::Cutout => masks(MaskFormat::Cutout),
        Format::Polygons => masks(MaskFormat::Polygons),
        Format::Labelme => masks(MaskFormat::LabelMe),
        Format::Json | Format::Coco | Format::CocoResults | Format::Coco91 | Format::LabelStudio => Ok(Vec::new()),
    }
}

fn overlay(picture: &Picture<'_>, drawn: &Drawn<'_>, format: PictureFormat) -> Result<Vec<u8>, Error> {
    let pixels = picture.image.pixels();
    let annotated = match drawn.classes {
        Some(classes) => {
            let named = |class: &ClassScore| (class.label.clone().unwrap_or_else(|| format!("#{}", class.class_id)), class.score);
            annotate_classes(pixels, &classes.iter().map(named).collect::<Vec<_>>())
        }
        None => annotate_prompted(pixels, drawn.objects, &drawn.marks, &DrawOptions::default()),
    };
    // It is the picture that the format cannot hold, not an option that is wrong.
    encode_picture(&annotated, format).map_err(|error| Error::new(ErrorKind::OverLimit, error.to_string()))
}
