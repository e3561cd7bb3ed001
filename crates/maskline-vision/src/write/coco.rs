//! COCO's results, and masks as run lengths.

use serde_json::{Value, json};

use super::{Answer, ImageObjects, class_of, has_finite_box, is_finite};
use crate::Object;
use crate::object::{pixels, score};

/// COCO's category ids of its 80 classes, which number 1..=90 with gaps; the position is the contiguous class index.
#[rustfmt::skip]
pub const COCO_91: [i64; 80] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21,
    22, 23, 24, 25, 27, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65,
    67, 70, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 84, 85, 86, 87, 88, 89, 90,
];

/// Whether classes are those 80, or `person` alone, which pose models have of them: by their number and their ends, for names that were
/// given may be other ones.
pub fn has_coco_classes(names: &[impl AsRef<str>]) -> bool {
    let name = |index: usize| names.get(index).map(AsRef::as_ref);
    let is_whole = names.len() == COCO_91.len() && name(0) == Some("person") && name(COCO_91.len() - 1) == Some("toothbrush");
    is_whole || (names.len() == 1 && name(0) == Some("person"))
}

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

/// The objects of one picture with their masks as COCO's compressed RLE.
///
/// `{"image", "image_id", "width", "height", "objects": [{"label", "class_id", "score", "box", "segmentation": {"size",
/// "counts"}, "area", …}]}`; the objects as [`Object`] serialises, so `box` is `[x1, y1, x2, y2]` in pixels. Left out are
/// objects whose score, box or keypoints are not finite.
pub fn coco_rle(answer: &Answer<'_>) -> Value {
    let found = &answer.found;
    let objects: Vec<&Object> = found.objects.iter().filter(|object| has_finite_box(object)).collect();
    json!({
        "image": answer.file_name,
        "image_id": found.image_id,
        "width": found.width,
        "height": found.height,
        "objects": objects,
    })
}
