//! Masks as polygons with holes.

use serde_json::{Value, json};

use super::{Answer, has_finite_box};
use crate::mask::{Part, Polygon};
use crate::object::{pixels, score};
use crate::{Mask, Object, Result};

/// The objects of one picture with their masks as polygons, and what that costs.
///
/// `{"image", "width", "height", "tolerance", "objects": [{"label", "class_id", "prompt", "score", "box", "area", "iou",
/// "parts": [{"outer": [[x, y], …], "holes": [[[x, y], …], …]}]}]}`. Vertices are in pixel edges; outer outlines run
/// clockwise (y down), holes counter-clockwise. `iou` is that of the polygons, filled by pixel centres, with the mask of
/// `area` pixels, rounded down: 1 with tolerance 0, and for masks that lose nothing above. Objects without a mask have none
/// of the three keys, those from a detector have `mask_box` and `mask_score` beside them; left out are those whose score, box or keypoints are not finite.
///
/// # Errors
/// As [`Mask::from_polygons`].
pub fn polygons(answer: &Answer<'_>, tolerance: f32) -> Result<Value> {
    let found = &answer.found;
    let finite = found.objects.iter().filter(|object| has_finite_box(object));
    let objects = finite.map(|object| polygon_object(object, tolerance)).collect::<Result<Vec<Value>>>()?;
    Ok(json!({
        "image": answer.file_name,
        "width": found.width,
        "height": found.height,
        "tolerance": pixels(tolerance),
        "objects": objects,
    }))
}

fn polygon_object(object: &Object, tolerance: f32) -> Result<Value> {
    let mut value = json!({"score": score(object.score), "box": object.bounds.map(pixels)});
    let named = [("label", json!(object.label)), ("class_id", json!(object.class_id)), ("prompt", json!(object.prompt))];
    for (key, given) in named.into_iter().filter(|(_, given)| !given.is_null()) {
        value[key] = given;
    }
    if let Some(bounds) = object.mask_box.filter(|bounds| bounds.iter().all(|side| side.is_finite())) {
        value["mask_box"] = json!(bounds.map(pixels));
    }
    if let Some(own) = object.mask_score.filter(|own| own.is_finite()) {
        value["mask_score"] = json!(score(own));
    }
    if let Some(mask) = &object.mask {
        let parts = mask.parts(tolerance);
        value["area"] = json!(mask.area());
        value["iou"] = json!(polygon_iou(mask, parts.iter().flat_map(Part::rings))?);
        value["parts"] = parts
            .iter()
            .map(|part| json!({"outer": whole(&part.outer), "holes": part.holes.iter().map(whole).collect::<Vec<_>>()}))
            .collect();
    }
    Ok(value)
}

/// IoU of the filled polygons with their mask, rounded down to six decimals so that 1 means equal. Nothing equals nothing.
pub(super) fn polygon_iou<'a>(mask: &Mask, polygons: impl IntoIterator<Item = &'a Polygon>) -> Result<f64> {
    let filled = Mask::from_polygons(mask.width(), mask.height(), polygons)?;
    Ok(if filled == *mask { 1.0 } else { (mask.iou(&filled)? * 1e6).floor() / 1e6 })
}

/// The vertices of traced outlines are whole pixels, and shorter to write as such.
fn whole(polygon: &Polygon) -> Vec<[u64; 2]> {
    polygon.iter().map(|vertex| vertex.map(|value| value as u64)).collect()
}
