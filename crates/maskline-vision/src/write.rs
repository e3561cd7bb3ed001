//! Answers as files: pictures, masks, COCO results and label files. A file is there whole or not at all.
//!
//! [`write_masks`] writes one answer in any [`MaskFormat`]; the functions beside it give the parts for those who gather the
//! answers of many pictures. [`FileFormat`] are the files that `maskline run` and the server write.

mod classes;
mod coco;
mod data_set;
mod file;
mod formats;
mod gathered;
mod label_studio;
mod labelme;
mod masks;
mod names;
mod picture;
mod png;
mod polygons;
mod within;
mod yolo;

pub use classes::{GivenClass, HIGHEST_CLASS, UNNAMED, class_names, numbered};
pub use coco::{COCO_91, coco_results, coco_rle, has_coco_classes};
pub use data_set::{CocoAnnotations, CocoShapes, coco_annotations, coco_category, coco_image};
pub use file::write_atomically;
pub use formats::{FileFormat, FileOptions, RESULTS, encode_files};
pub use gathered::{GatheredPart, GatheredParts, gathered_part, number_in_name, write_gathered};
pub use label_studio::{LabelStudioNames, label_studio, label_studio_config};
pub use labelme::{LabelMeShapes, labelme};
pub use masks::{EncodedFile, MaskFormat, MaskOptions, encode_masks, write_masks};
pub use names::{CLASSES_TXT, DATA_YAML, YoloDataSet, classes_txt, data_yaml, yolo_files};
pub use picture::{PictureFormat, encode_picture, save_picture};
pub use png::{mask_png, voc_palette};
pub use polygons::polygons;
pub use yolo::yolo_txt;

use crate::draw::Marks;
use crate::{Keypoint, Object, RgbImage, RotatedBox};

/// The objects of one picture.
#[derive(Debug, Clone, Copy)]
pub struct ImageObjects<'a> {
    /// COCO's id of the picture.
    pub image_id: i64,
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// What was found.
    pub objects: &'a [Object],
}

/// One picture, what was found in it and what was asked.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The objects, and the size of the picture. Masks are as large as the picture.
    pub found: ImageObjects<'a>,
    /// The picture's file, as the JSON formats name it: written as it is given. LabelMe looks for it from the folder of its own file,
    /// and wants a relative path with forward slashes, which still leads there when both are moved; Label Studio wants a URL or the
    /// path under its local files (`/data/local-files/?d=…`).
    pub file_name: &'a str,
    /// The picture's pixels, which cut-outs and overlays are made of.
    pub pixels: Option<&'a RgbImage>,
    /// The prompts, which overlays show.
    pub marks: Marks<'a>,
}

fn class_of(object: &Object) -> usize {
    object.class_id.or(object.prompt).unwrap_or(0)
}

/// Whether the score and whatever places the object are numbers that a reader of the file can use.
fn is_finite(object: &Object) -> bool {
    let is_placed = object.mask.is_some() || object.bounds.iter().all(|side| side.is_finite());
    let are_points_finite = object.keypoints.iter().flatten().all(Keypoint::is_finite);
    object.score.is_finite() && is_placed && are_points_finite && object.rotated.as_ref().is_none_or(RotatedBox::is_finite)
}

/// [`is_finite`], of the box too, for formats that give it beside the mask.
fn has_finite_box(object: &Object) -> bool {
    is_finite(object) && object.bounds.iter().all(|side| side.is_finite())
}
