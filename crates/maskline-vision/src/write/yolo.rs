//! YOLO's label files.

use super::{ImageObjects, class_of, is_finite};
use crate::Object;

/// YOLO's label format: a line per object, in shares of the picture's width and height.
///
/// Boxes are `class x y width height` (x, y: the centre), followed by `x y visibility` of each keypoint; objects with a mask
/// are `class x1 y1 x2 y2 …`, rotated ones likewise with their four corners. A line is an object to YOLO, so that a mask of
/// several parts is one polygon too ([`Mask::merged_polygon`](crate::Mask::merged_polygon)): the parts are joined by bridges
/// without width, holes are filled, and parts below 1 % of the largest are left out. The score ends the line where asked for.
/// Objects without a class get their prompt's index, or 0. Left out are empty masks and what is not finite.
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
