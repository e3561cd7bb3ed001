//! Answers as files: pictures, COCO results and YOLO label files. A file is there whole or not at all.

use std::io::Write;
use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};
use serde_json::{Value, json};

use crate::object::{pixels, score};
use crate::{Error, ErrorKind, Object, Result, RgbImage};

/// The format of a picture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Lossless, compressed fast rather than small.
    Png,
    /// Lossy.
    Jpeg {
        /// 1..=100.
        quality: u8,
    },
}

/// Encodes a picture and writes it as [`write_atomically`] does.
///
/// # Errors
/// `InvalidArgument` for a quality outside 1..=100 or a picture that the format cannot hold (JPEG: sides up to 65535 pixels);
/// `Io` as [`write_atomically`].
pub fn save_picture(path: &Path, image: &RgbImage, format: PictureFormat) -> Result<()> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidArgument, message).at(path);
    let (width, height) = (image.width, image.height);
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok()).filter(|_| image.pixels.len() == width * height * 3);
    let (columns, rows) = sides.ok_or_else(|| invalid(format!("{} bytes are no RGB picture of {width} × {height}", image.pixels.len())))?;
    let mut bytes = Vec::new();
    let encoded = match format {
        PictureFormat::Png => PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive).write_image(
            &image.pixels,
            columns,
            rows,
            ExtendedColorType::Rgb8,
        ),
        PictureFormat::Jpeg { quality } if !(1..=100).contains(&quality) => {
            return Err(invalid(format!("JPEG quality: expected 1..=100, found {quality}")));
        }
        PictureFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut bytes, quality).write_image(&image.pixels, columns, rows, ExtendedColorType::Rgb8)
        }
    };
    let unfit = |error: ImageError| {
        invalid(format!("the picture of {width} × {height} cannot be encoded: {error}")).help("write it as PNG instead")
    };
    encoded.map_err(unfit)?;
    write_atomically(path, &bytes)
}

/// Writes a file in one step: readers see the old content or the new, never a part. Replaces an existing file.
///
/// # Errors
/// `Io`, naming the file, if its folder is missing or cannot be written to.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| {
        let reason = Error::new(ErrorKind::Io, format!("cannot write the file: {}", error.kind())).at(path);
        if path.is_dir() {
            reason.help("a folder has this name")
        } else if folder.is_dir() {
            reason.help(format!("check that the folder {} can be written to and its disk has room", folder.display()))
        } else {
            reason.help(format!("create the folder {} first", folder.display()))
        }
    };
    let mut aside = tempfile::Builder::new();
    aside.prefix(".maskline-");
    // Temporary files are private by default; this one becomes the user's, as their umask says.
    #[cfg(unix)]
    aside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = aside.tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

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

/// COCO's category ids of its 80 classes, which number 1..=90 with gaps; the position is the contiguous class index.
#[rustfmt::skip]
pub const COCO_91: [i64; 80] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 27, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65,
    67, 70, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 84, 85, 86, 87, 88, 89, 90,
];

/// COCO's results format, as `pycocotools`' `loadRes` reads it.
///
/// Each object gives `image_id`, `category_id`, `score` and `bbox` (`[x, y, width, height]`), or `segmentation` (compressed
/// RLE) in place of `bbox` if it has a mask, and `keypoints` (`[x, y, visibility, …]`, visibility 1 where there is none).
/// The category is `category_ids[class_id]`, or `class_id` itself without a table; objects without a class get their prompt's
/// index, or 0. Left out are objects whose class the table lacks and those whose score or place is not finite.
pub fn coco_results(images: &[ImageObjects<'_>], category_ids: Option<&[i64]>) -> Value {
    let category_of = |object: &Object| match (object.class_id, category_ids) {
        (Some(class_id), Some(table)) => table.get(class_id).copied(),
        _ => i64::try_from(class_of(object)).ok(),
    };
    let objects = images.iter().flat_map(|image| image.objects.iter().map(|object| (image.image_id, object)));
    let results = objects.filter(|(_, object)| is_finite(object)).filter_map(|(image_id, object)| {
        let mut result = json!({"image_id": image_id, "category_id": category_of(object)?, "score": score(object.score)});
        if let Some(mask) = &object.mask {
            result["segmentation"] = json!(mask.to_rle());
        } else {
            let [x1, y1, x2, y2] = object.bounds;
            result["bbox"] = json!([x1, y1, x2 - x1, y2 - y1].map(pixels));
        }
        if let Some(keypoints) = &object.keypoints {
            let flat = keypoints.iter().flat_map(|point| [pixels(point.x), pixels(point.y), point.score.map_or(1.0, score)]);
            result["keypoints"] = flat.collect();
        }
        Some(result)
    });
    results.collect()
}

/// YOLO's label format: a line per object, in shares of the picture's width and height.
///
/// Boxes are `class x y width height` (x, y: the centre), followed by `x y visibility` of each keypoint; objects with a mask
/// are `class x1 y1 x2 y2 …` (one polygon), rotated ones likewise with their four corners. The score ends the line where asked
/// for. Objects without a class get their prompt's index, or 0. Left out are empty masks and what is not finite.
pub fn yolo_txt(image: &ImageObjects<'_>, with_score: bool) -> String {
    let mut text = String::new();
    for object in image.objects.iter().filter(|object| is_finite(object)) {
        let mut values = yolo_values(object, [image.width as f32, image.height as f32]);
        if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
            continue;
        }
        values.extend(with_score.then_some(object.score));
        text += &class_of(object).to_string();
        for value in values {
            text += &format!(" {value:.6}");
        }
        text.push('\n');
    }
    text
}

/// Pixels that a polygon may leave its mask's edges: enough to drop their steps.
const POLYGON_TOLERANCE: f32 = 1.0;

fn yolo_values(object: &Object, [width, height]: [f32; 2]) -> Vec<f32> {
    let share = |[x, y]: [f32; 2]| [x / width, y / height];
    if let Some(mask) = &object.mask {
        return mask.merged_polygon(POLYGON_TOLERANCE).into_iter().flat_map(share).collect();
    }
    if let Some(rotated) = &object.rotated {
        return rotated.corners().into_iter().flat_map(share).collect();
    }
    let [x1, y1, x2, y2] = object.bounds;
    let mut values = [share([(x1 + x2) / 2.0, (y1 + y2) / 2.0]), share([x2 - x1, y2 - y1])].concat();
    for point in object.keypoints.iter().flatten() {
        values.extend(share([point.x, point.y]));
        values.push(point.score.unwrap_or(1.0));
    }
    values
}

fn class_of(object: &Object) -> usize {
    object.class_id.or(object.prompt).unwrap_or(0)
}

/// Whether the score and whatever places the object are numbers that a reader of the file can use.
fn is_finite(object: &Object) -> bool {
    let points = object.keypoints.iter().flatten();
    let mut values = points.flat_map(|point| [point.x, point.y, point.score.unwrap_or(1.0)]);
    let is_placed = object.mask.is_some() || object.bounds.iter().all(|side| side.is_finite());
    object.score.is_finite() && is_placed && values.all(f32::is_finite)
}
