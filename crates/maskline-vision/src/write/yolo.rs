//! YOLO's label files.

use super::within::{box_within, corners_within, is_within};
use super::{ImageObjects, class_of, is_finite};
use crate::Object;

/// YOLO's label format: a line per object, in shares of the picture's width and height.
///
/// Boxes are `class x y width height` (x, y: the centre), followed by `x y visibility` of each keypoint; objects with a mask
/// are `class x1 y1 x2 y2 …`, rotated ones likewise with their four corners. A line is an object to YOLO, so that a mask of
/// several parts is one polygon too ([`Mask::merged_polygon`](crate::Mask::merged_polygon)): the parts are joined by bridges
/// without width, holes are filled, and parts below 1 % of the largest are left out. The score ends the line where asked for.
/// Objects without a class get their prompt's index, or 0.
///
/// All values but the class lie in 0..1, or training refuses the file: boxes are cut at the picture's edges; of a rotated box that is,
/// the four corners are written which hold the most of what is left; keypoints outside are `0 0 0`, as unseen ones. Left out are
/// objects that lie outside altogether, empty masks, and what is not finite.
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

fn yolo_values(object: &Object, size: [f32; 2]) -> Vec<f32> {
    let share = |point: [f32; 2]| [0, 1].map(|axis| (point[axis] / size[axis]).clamp(0.0, 1.0));
    if let Some(mask) = &object.mask {
        return mask.merged_polygon(POLYGON_TOLERANCE).into_iter().flat_map(share).collect();
    }
    if let Some(rotated) = &object.rotated {
        return corners_within(rotated.corners(), size).into_iter().flatten().flat_map(share).collect();
    }
    let Some([x1, y1, x2, y2]) = box_within(object.bounds, size) else { return Vec::new() };
    let mut values = [share([(x1 + x2) / 2.0, (y1 + y2) / 2.0]), share([x2 - x1, y2 - y1])].concat();
    for point in object.keypoints.iter().flatten() {
        if is_within([point.x, point.y], size) {
            values.extend(share([point.x, point.y]));
            values.push(point.score.unwrap_or(1.0).clamp(0.0, 1.0));
        } else {
            values.extend([0.0; 3]);
        }
    }
    values
}
