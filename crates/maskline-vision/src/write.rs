//! Answers and pictures to files: whole or not at all, an older file replaced, never appended to.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use serde_json::{Value, json};

use crate::{Error, ErrorKind, Object, Result, RgbImage};

/// File format of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Lossless.
    Png,
    /// JPEG.
    Jpeg {
        /// 1..=100.
        quality: u8,
    },
}

/// What was found in one picture.
#[derive(Debug, Clone, Copy)]
pub struct ImageObjects<'a> {
    /// COCO's id of the picture.
    pub image_id: i64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The objects.
    pub objects: &'a [Object],
}

/// COCO's category ids (1..90, with gaps) of the 80 classes that detectors number from 0.
pub const COCO_91: [i64; 80] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 67, 70, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 81, 82, 84, 85, 86, 87, 88, 89, 90,
];

/// Points of an outline are left out as long as it stays this close (pixels).
const OUTLINE_TOLERANCE: f32 = 1.0;

/// Writes bytes beside the target and renames: who reads sees the old file or the new one.
///
/// # Errors
/// `Io`, naming the target.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |error: std::io::Error| Error::new(ErrorKind::Io, format!("the file cannot be written: {error}")).at(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".maskline-").tempfile_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    set_ordinary_permissions(file.as_file()).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Temporary files are private to their owner; results are not.
#[cfg(unix)]
fn set_ordinary_permissions(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_ordinary_permissions(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Saves a picture.
///
/// # Errors
/// `Io` if the file cannot be written, `InvalidArgument` if the picture is empty or too large for the format.
pub fn save_picture(path: &Path, picture: &RgbImage, format: PictureFormat) -> Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    let (width, height) = (picture.width as u32, picture.height as u32);
    let written = match format {
        PictureFormat::Png => PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive).write_image(
            &picture.pixels,
            width,
            height,
            ExtendedColorType::Rgb8,
        ),
        PictureFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut bytes, quality).write_image(&picture.pixels, width, height, ExtendedColorType::Rgb8)
        }
    };
    written.map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("the picture cannot be encoded: {error}")).at(path))?;
    write_atomically(path, &bytes.into_inner())
}

/// COCO results: one entry per object. Objects with a mask carry `segmentation` (compressed run lengths) and no `bbox`, so that
/// evaluation takes their area from the mask; poses carry `keypoints`.
///
/// `category_ids` maps class indices; without it they are used as they are.
pub fn coco_results(images: &[ImageObjects<'_>], category_ids: Option<&[i64]>) -> Value {
    let category = |object: &Object| {
        let class = object.class_id.unwrap_or(0);
        category_ids.and_then(|ids| ids.get(class).copied()).unwrap_or(class as i64)
    };
    let entry = |(image, object): (&ImageObjects<'_>, &Object)| {
        let mut entry = json!({"image_id": image.image_id, "category_id": category(object), "score": rounded(object.score, 5)});
        if let Some(mask) = &object.mask {
            let rle = mask.to_rle();
            entry["segmentation"] = json!({"size": rle.size, "counts": rle.to_coco_string()});
        } else {
            let [x1, y1, x2, y2] = object.bounds;
            entry["bbox"] = json!([x1, y1, x2 - x1, y2 - y1].map(|side| rounded(side, 2)));
        }
        if let Some(keypoints) = &object.keypoints {
            let flat =
                keypoints.iter().flat_map(|point| [rounded(point.x, 2), rounded(point.y, 2), rounded(point.score.unwrap_or(1.0), 4)]);
            entry["keypoints"] = flat.collect();
        }
        entry
    };
    images.iter().flat_map(|image| image.objects.iter().map(move |object| (image, object))).map(entry).collect()
}

/// A YOLO label file: per line the class and, in fractions of the picture, the box (centre and size), the outline of a mask, the
/// corners of a rotated box, or the box and keypoints of a pose; at last the score, if it is wished.
pub fn yolo_txt(image: &ImageObjects<'_>, with_score: bool) -> String {
    let (width, height) = (image.width as f32, image.height as f32);
    let mut text = String::new();
    for object in image.objects {
        let [x1, y1, x2, y2] = object.bounds;
        let mut numbers: Vec<f32> = match (&object.mask, &object.rotated) {
            (Some(mask), _) => mask.merged_polygon(OUTLINE_TOLERANCE).iter().flat_map(|[x, y]| [x / width, y / height]).collect(),
            (None, Some(rotated)) => rotated.corners().iter().flat_map(|[x, y]| [x / width, y / height]).collect(),
            _ => vec![(x1 + x2) / 2.0 / width, (y1 + y2) / 2.0 / height, (x2 - x1) / width, (y2 - y1) / height],
        };
        for point in object.keypoints.iter().flatten() {
            numbers.extend([point.x / width, point.y / height]);
            numbers.extend(point.score);
        }
        numbers.extend(with_score.then_some(object.score));
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", object.class_id.unwrap_or(0));
        numbers.iter().for_each(|number| {
            let _ = write!(text, " {}", rounded(*number, 6));
        });
        text.push('\n');
    }
    text
}

/// A number with at most so many decimals.
fn rounded(value: f32, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (f64::from(value) * factor).round() / factor
}
