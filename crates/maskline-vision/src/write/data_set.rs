//! A whole COCO data set, entry by entry: who writes it need not hold more than one picture.
//!
//! The file is `{"images": [coco_image, …], "annotations": [coco_annotations, …], "categories": [coco_category, …]}`.

use serde_json::{Value, json};

use super::within::{box_within, corners_within, is_within};
use super::{ImageObjects, class_of, is_finite};
use crate::mask::{Part, Polygon};
use crate::object::{pixels, score};
use crate::{Keypoint, Mask, Object};

/// How masks stand in a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CocoShapes {
    /// Lists of polygons, which every loader reads (torchvision's, detectron2's and ultralytics' take nothing else without being told).
    /// Holes are kept: bridges of no width join the outlines of the 100 largest to that of their part.
    #[default]
    Polygons,
    /// Compressed run lengths, to the pixel; pycocotools and mmdetection read them.
    Rle,
}

/// Options of [`coco_annotations`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CocoAnnotations<'a> {
    /// Id of the first annotation; the next picture's is as many higher as there were annotations.
    pub first_id: i64,
    /// Category ids by class index, as [`COCO_91`](super::COCO_91); as [`coco_category`] numbers them where there are none.
    pub category_ids: Option<&'a [i64]>,
    /// How masks are written.
    pub shapes: CocoShapes,
    /// Pixels that a polygon may leave its mask's edges.
    pub tolerance: f32,
    /// Keypoints of a lower score are written as not labelled.
    pub min_keypoint_score: f32,
}

impl Default for CocoAnnotations<'_> {
    fn default() -> Self {
        Self { first_id: 1, category_ids: None, shapes: CocoShapes::Polygons, tolerance: 1.0, min_keypoint_score: 0.25 }
    }
}

/// The entry of a picture in `images`. `file_name` is relative to the folder of the pictures.
pub fn coco_image(image: &ImageObjects<'_>, file_name: &str) -> Value {
    json!({"id": image.image_id, "file_name": file_name, "width": image.width, "height": image.height})
}

/// The entry of a class in `categories`. Ids begin with 1 (`class_id + 1`): loaders keep 0 for the background, and ultralytics'
/// converter subtracts 1. [`coco_results`](super::coco_results) without a table writes the class index itself: whoever compares the
/// two gives both the same table of ids.
pub fn coco_category(class_id: usize, name: &str, category_ids: Option<&[i64]>) -> Option<Value> {
    let id = category_id(class_id, category_ids)?;
    Some(json!({"id": id, "name": name, "supercategory": ""}))
}

/// The entries of one picture's objects in `annotations`.
///
/// Each has `id`, `image_id`, `category_id`, `bbox` (`[x, y, width, height]`: around the mask where there is one, else the box cut at
/// the picture's edges), `area` (of the mask, else of the box), `iscrowd` 0, `segmentation` (empty for a box; the corners of a
/// rotated one), `keypoints` (`x, y, 2`, or `0, 0, 0` for those outside of the picture or below the least score) with
/// `num_keypoints`, and as an extra key `score`. Left out are objects whose class the table lacks, that have an empty mask or lie
/// outside of the picture, and what is not finite.
pub fn coco_annotations(image: &ImageObjects<'_>, options: &CocoAnnotations<'_>) -> Vec<Value> {
    let size = [image.width as f32, image.height as f32];
    let mut written = Vec::new();
    for object in image.objects.iter().filter(|object| is_finite(object)) {
        let Some(category) = category_id(class_of(object), options.category_ids) else { continue };
        let Some(mut value) = place(object, size, options) else { continue };
        value["id"] = json!(options.first_id.saturating_add(written.len() as i64));
        value["image_id"] = json!(image.image_id);
        value["category_id"] = json!(category);
        value["iscrowd"] = json!(0);
        value["score"] = json!(score(object.score));
        if let Some(keypoints) = &object.keypoints {
            let is_seen = |point: &&Keypoint| {
                is_within([point.x, point.y], size) && point.score.is_none_or(|score| score >= options.min_keypoint_score)
            };
            let flat = |point| if is_seen(&point) { [pixels(point.x), pixels(point.y), 2.0] } else { [0.0; 3] };
            value["keypoints"] = keypoints.iter().flat_map(flat).collect();
            value["num_keypoints"] = json!(keypoints.iter().filter(is_seen).count());
        }
        written.push(value);
    }
    written
}

fn category_id(class_id: usize, table: Option<&[i64]>) -> Option<i64> {
    match table {
        Some(table) => table.get(class_id).copied(),
        None => i64::try_from(class_id).ok()?.checked_add(1),
    }
}

/// `bbox`, `area` and `segmentation`; `None` for what lies nowhere in the picture.
fn place(object: &Object, size: [f32; 2], options: &CocoAnnotations<'_>) -> Option<Value> {
    if let Some(mask) = &object.mask {
        let [x1, y1, x2, y2] = mask.bounds()?;
        let segmentation = match options.shapes {
            CocoShapes::Polygons => polygons(mask, options.tolerance),
            CocoShapes::Rle => json!(mask.to_rle()),
        };
        return Some(json!({"bbox": [x1, y1, x2 - x1, y2 - y1], "area": mask.area(), "segmentation": segmentation}));
    }
    let corners = object.rotated.map(|rotated| corners_within(rotated.corners(), size));
    let (bounds, segmentation) = match corners {
        Some(corners) => {
            let corners = corners?;
            let side = |axis: usize, pick: fn(f32, f32) -> f32| corners.iter().map(|corner| corner[axis]).reduce(pick).unwrap_or(0.0);
            let bounds = [side(0, f32::min), side(1, f32::min), side(0, f32::max), side(1, f32::max)];
            (bounds, json!([corners.as_flattened().iter().map(|value| pixels(*value)).collect::<Vec<f64>>()]))
        }
        None => (box_within(object.bounds, size)?, json!([])),
    };
    let [x1, y1, x2, y2] = bounds;
    let area = corners.flatten().map_or((x2 - x1) * (y2 - y1), |corners| super::within::area(&corners) as f32);
    let bbox = [x1, y1, x2 - x1, y2 - y1].map(pixels);
    Some(json!({"bbox": bbox, "area": pixels(area), "segmentation": segmentation}))
}

/// A flat list for each part.
fn polygons(mask: &Mask, tolerance: f32) -> Value {
    let tolerance = if tolerance >= 0.0 && tolerance.is_finite() { tolerance } else { 0.0 };
    let flat = |part: &Part| part.keyhole().as_flattened().iter().map(|value| pixels(*value)).collect::<Vec<f64>>();
    mask.parts(tolerance).iter().map(flat).collect::<Vec<_>>().into()
}

impl Part {
    /// The part with its holes as one outline.
    fn keyhole(&self) -> Polygon {
        crate::mask::bridged(&self.outer, self.holes.iter())
    }
}
