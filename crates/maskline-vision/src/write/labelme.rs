//! LabelMe's annotation files.

use serde_json::{Value, json};

use super::png::mask_png;
use super::polygons::polygon_iou;
use super::{Answer, UNNAMED, is_finite};
use crate::object::{pixels, score};
use crate::{Mask, Object, Result};

/// The LabelMe whose files these are like; it is only shown.
const VERSION: &str = "5.5.0";

/// How masks become LabelMe's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LabelMeShapes {
    /// As `Polygons`, but as `Masks` where the holes are more than 1 % of what they are in.
    #[default]
    Auto,
    /// One polygon per part, holes filled: easy to edit.
    Polygons,
    /// One shape of the type `mask`: exact.
    Masks,
}

/// LabelMe's annotations of one picture, `imageData` left out.
///
/// A mask becomes polygons, one per part, or a shape of the type `mask`: its bounds (first and last pixel) and a PNG of what
/// is within, as base64. Rotated boxes become polygons, other boxes rectangles. All shapes of an object have its place in the
/// list, from 1, as `group_id`, which is how LabelMe tells instances of a class apart. Two keys are ours, and kept by LabelMe:
/// `score`, and `iou` of an object's polygons with its mask. Objects without a class name are named `class_5` after their
/// class index, or `object`. Empty masks and what is not finite are left out.
///
/// # Errors
/// As [`Mask::from_polygons`].
pub fn labelme(answer: &Answer<'_>, tolerance: f32, shapes: LabelMeShapes) -> Result<Value> {
    let found = &answer.found;
    let mut written: Vec<Value> = Vec::new();
    for (place, object) in found.objects.iter().enumerate().filter(|(_, object)| is_finite(object)) {
        for mut shape in object_shapes(object, tolerance, shapes)? {
            shape["label"] = json!(label_of(object));
            shape["group_id"] = json!(place + 1);
            shape["score"] = json!(score(object.score));
            shape["description"] = json!("");
            shape["flags"] = json!({});
            written.push(shape);
        }
    }
    Ok(json!({
        "version": VERSION,
        "flags": {},
        "shapes": written,
        "imagePath": answer.file_name,
        "imageData": null,
        "imageHeight": found.height,
        "imageWidth": found.width,
    }))
}

pub(super) fn label_of(object: &Object) -> String {
    let label = object.label.clone().filter(|label| !label.is_empty());
    label.or_else(|| object.class_id.map(|class_id| format!("class_{class_id}"))).unwrap_or_else(|| UNNAMED.to_owned())
}

fn object_shapes(object: &Object, tolerance: f32, shapes: LabelMeShapes) -> Result<Vec<Value>> {
    if let Some(mask) = &object.mask {
        let as_mask = match shapes {
            LabelMeShapes::Auto => has_large_holes(mask)?,
            LabelMeShapes::Polygons => false,
            LabelMeShapes::Masks => true,
        };
        return if as_mask { mask_shape(mask) } else { polygon_shapes(mask, tolerance) };
    }
    if let Some(rotated) = &object.rotated {
        return Ok(vec![json!({"shape_type": "polygon", "points": rotated.corners().map(|corner| corner.map(pixels)), "mask": null})]);
    }
    let [x1, y1, x2, y2] = object.bounds.map(pixels);
    Ok(vec![json!({"shape_type": "rectangle", "points": [[x1, y1], [x2, y2]], "mask": null})])
}

fn has_large_holes(mask: &Mask) -> Result<bool> {
    let filled = Mask::from_polygons(mask.width(), mask.height(), &mask.polygons(0.0))?.area();
    Ok((filled - mask.area()) * 100 > filled)
}

fn polygon_shapes(mask: &Mask, tolerance: f32) -> Result<Vec<Value>> {
    let polygons = mask.polygons(tolerance);
    let iou = polygon_iou(mask, &polygons)?;
    let shape = |polygon: &Vec<[f32; 2]>| {
        let points: Vec<[f64; 2]> = polygon.iter().map(|vertex| vertex.map(pixels)).collect();
        json!({"shape_type": "polygon", "points": points, "mask": null, "iou": iou})
    };
    Ok(polygons.iter().map(shape).collect())
}

fn mask_shape(mask: &Mask) -> Result<Vec<Value>> {
    let Some([x1, y1, x2, y2]) = mask.bounds() else { return Ok(Vec::new()) };
    let png = base64(&mask_png(mask, Some([x1, y1, x2, y2]), 1)?);
    let points = [[x1, y1], [x2 - 1, y2 - 1]].map(|corner| corner.map(|value| value as f64));
    Ok(vec![json!({"shape_type": "mask", "points": points, "mask": png})])
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, index| bits << 8 | usize::from(group.get(index).copied().unwrap_or(0)));
        for digit in 0..4 {
            // n bytes need n + 1 digits.
            text.push(if digit <= group.len() { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text
}
