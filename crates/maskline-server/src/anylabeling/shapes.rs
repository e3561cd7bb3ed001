//! Objects as the tool's shapes, in pixels of the picture.

use maskline::{Keypoint, Object, RotatedBox};
use serde::Serialize;

/// Pixels that an outline may leave its mask's edge by, as a share of its length, where nobody says another.
pub(super) const USUAL_FINENESS: f32 = 0.001;
/// What the tool takes for an object that is still to be named.
pub(super) const UNNAMED: &str = "AUTOLABEL_OBJECT";
/// Keypoints of a lower score are not there.
const LEAST_KEYPOINT: f32 = 0.5;
/// Of a mask in several parts, those are shown that have so large a share of the largest: the rest is dust.
const LEAST_PART: f64 = 0.01;
/// Most parts of a mask that become shapes.
const MOST_PARTS: usize = 100;

/// A shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Shape {
    pub(super) label: String,
    pub(super) shape_type: &'static str,
    pub(super) points: Vec<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<f64>,
    /// What belongs together: a pose and its keypoints.
    pub(super) group_id: Option<usize>,
    /// Of a rotated box, in radians, clockwise, from 0 up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) direction: Option<f64>,
}

/// How objects become shapes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawing {
    /// The share of an outline's length ([`USUAL_FINENESS`]); 0 follows the pixels.
    pub(super) fineness: f32,
    /// Width and height of the picture.
    pub(super) size: (usize, usize),
}

impl Drawing {
    /// The shapes of all objects, in their order: outlines of masks (the outer ones, for the tool's polygons have no holes), else rotated
    /// boxes, else boxes with their keypoints.
    pub(super) fn shapes(self, objects: &[Object]) -> Vec<Shape> {
        objects.iter().enumerate().flat_map(|(place, object)| self.of_object(place, object)).collect()
    }

    fn of_object(self, place: usize, object: &Object) -> Vec<Shape> {
        let label = object.label.clone().filter(|label| !label.is_empty()).unwrap_or_else(|| UNNAMED.to_owned());
        let score = object.score.is_finite().then(|| rounded(object.score, 1e5));
        let shape = |shape_type, points| Shape { label: label.clone(), shape_type, points, score, group_id: None, direction: None };
        if let Some(mask) = &object.mask {
            let outlines = mask.polygons_by_length(self.fineness);
            let largest = outlines.first().map_or(0.0, |outline| area(outline));
            let shown = outlines.iter().take(MOST_PARTS).filter(|outline| area(outline) >= largest * LEAST_PART);
            return shown.map(|outline| shape("polygon", outline.iter().map(|corner| pixels(*corner)).collect())).collect();
        }
        if let Some(rotated) = &object.rotated {
            return vec![Shape { direction: Some(direction(rotated)), ..shape("rotation", corners(rotated)) }];
        }
        let Some([x1, y1, x2, y2]) = self.within(object.bounds) else { return Vec::new() };
        let rectangle = shape("rectangle", [[x1, y1], [x2, y1], [x2, y2], [x1, y2]].map(pixels).to_vec());
        let Some(keypoints) = &object.keypoints else { return vec![rectangle] };
        let group_id = Some(place + 1);
        let points = keypoints.iter().enumerate().filter(|(_, point)| self.is_shown(point)).map(|(number, point)| Shape {
            label: format!("{label}_kpt_{number}"),
            score: Some(rounded(point.score.unwrap_or(1.0), 1e5)),
            group_id,
            ..shape("point", vec![pixels([point.x, point.y])])
        });
        std::iter::once(Shape { group_id, ..rectangle.clone() }).chain(points).collect()
    }

    /// The part of a box inside the picture.
    fn within(self, [x1, y1, x2, y2]: [f32; 4]) -> Option<[f32; 4]> {
        let (width, height) = (self.size.0 as f32, self.size.1 as f32);
        let cut = [x1.max(0.0), y1.max(0.0), x2.min(width), y2.min(height)];
        (cut[0] < cut[2] && cut[1] < cut[3]).then_some(cut)
    }

    fn is_shown(self, point: &Keypoint) -> bool {
        let is_inside = (0.0..=self.size.0 as f32).contains(&point.x) && (0.0..=self.size.1 as f32).contains(&point.y);
        is_inside && point.score.is_none_or(|score| score >= LEAST_KEYPOINT)
    }
}

/// The corners before turning from the top left one, clockwise.
fn corners(rotated: &RotatedBox) -> Vec<[f64; 2]> {
    let [bottom_right, top_right, top_left, bottom_left] = rotated.corners();
    [top_left, top_right, bottom_right, bottom_left].map(pixels).to_vec()
}

fn direction(rotated: &RotatedBox) -> f64 {
    f64::from(rotated.angle).rem_euclid(std::f64::consts::TAU)
}

fn pixels(corner: [f32; 2]) -> [f64; 2] {
    corner.map(|value| rounded(value, 100.0))
}

fn rounded(value: f32, steps: f64) -> f64 {
    (f64::from(value) * steps).round() / steps
}

/// Shoelace formula.
fn area(outline: &[[f32; 2]]) -> f64 {
    let next = outline.iter().cycle().skip(1);
    let twice: f64 = outline.iter().zip(next).map(|(a, b)| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1])).sum();
    twice.abs() / 2.0
}

#[cfg(test)]
mod tests {
    use maskline::Mask;

    use super::*;

    const DRAWING: Drawing = Drawing { fineness: USUAL_FINENESS, size: (40, 30) };

    fn object() -> Object {
        Object { score: 0.123_456_7, bounds: [-3.0, 2.0, 10.5, 99.0], label: Some("cup".into()), ..Object::default() }
    }

    #[test]
    fn a_box_is_its_four_corners_within_the_picture() {
        let shapes = DRAWING.shapes(&[object(), Object { bounds: [50.0, 0.0, 60.0, 9.0], ..object() }]);
        let [shape] = shapes.as_slice() else { panic!("{shapes:?}") };
        assert_eq!((shape.shape_type, shape.label.as_str(), shape.score, shape.group_id), ("rectangle", "cup", Some(0.12346), None));
        assert_eq!(shape.points, [[0.0, 2.0], [10.5, 2.0], [10.5, 30.0], [0.0, 30.0]]);
    }

    #[test]
    fn a_rotated_box_begins_with_the_corner_that_was_the_top_left_one() {
        let quarter = std::f32::consts::FRAC_PI_2;
        let rotated = RotatedBox { center: [20.0, 15.0], size: [8.0, 4.0], angle: quarter };
        let shapes = DRAWING.shapes(&[Object { rotated: Some(rotated), ..object() }]);
        assert_eq!((shapes[0].shape_type, &shapes[0].points[0], &shapes[0].points[1]), ("rotation", &[22.0, 11.0], &[22.0, 19.0]));
        assert!((shapes[0].direction.expect("one") - f64::from(quarter)).abs() < 1e-6);
        let back = RotatedBox { angle: -quarter, ..rotated };
        assert!((direction(&back) - 1.5 * std::f64::consts::PI).abs() < 1e-6);
    }

    #[test]
    fn a_mask_is_the_outer_outlines_of_its_parts_without_dust() {
        // A ring, a square of its own, and a spot.
        let mask = Mask::from_fn(40, 30, |x, y| {
            let is_ring = (2..22).contains(&x) && (2..22).contains(&y) && !((8..14).contains(&x) && (8..14).contains(&y));
            is_ring || ((30..36).contains(&x) && (5..11).contains(&y)) || (x, y) == (38, 28)
        });
        let object = Object { mask: Some(mask.expect("small")), label: None, ..object() };
        let shapes = DRAWING.shapes(&[object]);
        assert_eq!(shapes.iter().map(|shape| (shape.shape_type, shape.points.len())).collect::<Vec<_>>(), [("polygon", 4), ("polygon", 4)]);
        assert_eq!(shapes[0].label, UNNAMED);
        let mut corners = shapes[0].points.clone();
        corners.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        assert_eq!(corners, [[2.0, 2.0], [2.0, 22.0], [22.0, 2.0], [22.0, 22.0]]);
    }

    #[test]
    fn a_pose_is_a_box_and_the_points_that_are_seen() {
        let keypoint = |x, y, score| Keypoint { x, y, score: Some(score) };
        let keypoints = Some(vec![keypoint(5.0, 5.0, 0.9), keypoint(6.0, 6.0, 0.1), keypoint(99.0, 5.0, 0.9)]);
        let shapes = DRAWING.shapes(&[object(), Object { keypoints, ..object() }]);
        let told: Vec<_> = shapes.iter().map(|shape| (shape.shape_type, shape.label.as_str(), shape.group_id)).collect();
        assert_eq!(told, [("rectangle", "cup", None), ("rectangle", "cup", Some(2)), ("point", "cup_kpt_0", Some(2))]);
    }
}
