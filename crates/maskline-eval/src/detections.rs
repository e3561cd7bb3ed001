//! COCO's average precision of whatever was found.

use std::collections::BTreeMap;

use maskline::{Mask, Result};
use serde::Serialize;

use crate::Truth;
use crate::average::average;
use crate::file::wrong;
use crate::matching::{Cell, Shape};

/// Something found in a picture; it has a box, a mask or both.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// COCO's id of the picture.
    pub image_id: i64,
    /// COCO's id of the category.
    pub category_id: i64,
    /// How sure it is; only the order counts.
    pub score: f64,
    /// `[x, y, width, height]` in pixels; `None` for the box around the mask.
    pub bounds: Option<[f64; 4]>,
    /// Its pixels, at the size of the picture.
    pub mask: Option<Mask>,
}

/// What [`detections`] judges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judged {
    /// Ids of the pictures; `None` for all.
    pub images: Option<Vec<i64>>,
    /// Ids of the categories; `None` for all but those that the data set says are stuff.
    pub categories: Option<Vec<i64>>,
}

/// How good detections are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DetectionReport {
    /// Pictures.
    pub images: usize,
    /// Categories that were judged.
    pub categories: usize,
    /// Objects that should be found.
    pub objects: usize,
    /// Annotated crowds: what is found in them is neither right nor wrong.
    pub crowds: usize,
    /// Detections that were judged.
    pub detections: usize,
    /// Detections of other pictures and categories.
    pub left_out: usize,
    /// Class names of the model that no category has: what it found of them is not judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels_without_category: Vec<String>,
    /// Categories that the model has no class for; they are not judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories_without_label: Vec<String>,
    /// Whether the data set says of each picture which categories it was searched for (LVIS). The figures are COCO's all the same: what is
    /// found of a category that nobody searched for counts as wrong, and they are below LVIS's own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_federated: bool,
    /// What was asked for, of models that are told by words what to find.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phrases: Option<Phrases>,
    /// Boxes.
    pub bbox: AveragePrecision,
    /// Masks, where detections have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segm: Option<AveragePrecision>,
}

/// The names of the categories, as they were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Phrases {
    /// How many, in each picture.
    pub asked: usize,
    /// Whether each was asked for in the phrasings that published figures are measured with.
    #[serde(rename = "templates")]
    pub has_templates: bool,
    /// How many were encoded, in all pictures together: each once.
    pub encoded: usize,
    /// How many an earlier run had encoded.
    pub from_disk: usize,
}

/// COCO's twelve figures; `None` where there are no such objects (pycocotools says -1).
///
/// Sizes are small up to 32² pixels, medium up to 96², else large, by the `area` of the annotation. Recall allows each class so many
/// detections in a picture, 100 for the sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AveragePrecision {
    /// Mean over IoU 0.5, 0.55, … 0.95.
    pub ap: Option<f64>,
    /// At IoU 0.5.
    pub ap_50: Option<f64>,
    /// At IoU 0.75.
    pub ap_75: Option<f64>,
    /// `ap` of small objects.
    pub ap_small: Option<f64>,
    /// `ap` of medium objects.
    pub ap_medium: Option<f64>,
    /// `ap` of large objects.
    pub ap_large: Option<f64>,
    /// Recall of the best detection.
    pub ar_1: Option<f64>,
    /// Recall of the ten best.
    pub ar_10: Option<f64>,
    /// Recall of the hundred best.
    pub ar_100: Option<f64>,
    /// `ar_100` of small objects.
    pub ar_small: Option<f64>,
    /// `ar_100` of medium objects.
    pub ar_medium: Option<f64>,
    /// `ar_100` of large objects.
    pub ar_large: Option<f64>,
}

/// Cells by class and picture.
type Cells<'a> = BTreeMap<(usize, usize), Cell<'a>>;

/// Compares detections with the ground truth exactly as `pycocotools`' `COCOeval` does: boxes, and masks where detections have them.
///
/// Its one known defect is not copied: there, what is matched with an annotation of id 0 counts as wrong.
///
/// # Errors
/// `BadInput` for detections of unknown pictures and categories, scores that are no numbers, masks that only some detections have or
/// that are not as large as their picture, and when there is nothing to be found.
pub fn detections(truth: &Truth, found: &[Detection], judged: &Judged) -> Result<DetectionReport> {
    let categories = judged_categories(truth, judged)?;
    let images = judged_images(truth, judged)?;
    let has_masks = check(truth, found)?;
    let is_judged = |image: usize, category: usize| images[image] && categories[category];
    let mut cells = Cells::new();
    let (mut objects, mut crowds) = (0, 0);
    for annotation in truth.annotations() {
        let Some(category) = annotation.category.filter(|category| is_judged(annotation.picture, *category)) else { continue };
        if has_masks && annotation.mask.is_none() {
            let error = wrong(format!("annotation {}", annotation.id)).expecting("a segmentation as detections have masks");
            return Err(truth.bad(error.but_found("none")));
        }
        *(if annotation.is_crowd { &mut crowds } else { &mut objects }) += 1;
        cells.entry((category, annotation.picture)).or_default().truths.push(annotation);
    }
    if objects == 0 {
        let names = truth.categories().iter().zip(&categories).filter(|(_, is_judged)| **is_judged);
        let names: Vec<&str> = names.map(|(category, _)| category.name.as_str()).take(5).collect();
        let expected = format!("objects of the categories that are judged ({}, …)", names.join(", "));
        let error = wrong("").expecting(expected).but_found("none");
        return Err(truth.bad(error.with_help("choose other pictures or categories")));
    }
    let mut count = 0;
    for detection in found {
        let places = truth.category_of(detection.category_id).zip(truth.picture_of(detection.image_id));
        if let Some((category, image)) = places.filter(|(category, image)| is_judged(*image, *category)) {
            cells.entry((category, image)).or_default().found.push(detection);
            count += 1;
        }
    }
    let classes = by_class(cells);
    let figures = |shape: Shape| average(classes.iter().map(Vec::as_slice), shape);
    Ok(DetectionReport {
        images: images.iter().filter(|is_judged| **is_judged).count(),
        categories: categories.iter().filter(|is_judged| **is_judged).count(),
        objects,
        crowds,
        detections: count,
        left_out: found.len() - count,
        labels_without_category: Vec::new(),
        categories_without_label: Vec::new(),
        is_federated: truth.is_federated(),
        phrases: None,
        bbox: figures(Shape::Box)?,
        segm: has_masks.then(|| figures(Shape::Mask)).transpose()?,
    })
}

/// The cells of each class, by picture.
fn by_class(cells: Cells<'_>) -> Vec<Vec<Cell<'_>>> {
    let mut classes: Vec<Vec<Cell>> = Vec::new();
    let mut last = None;
    for ((category, _), cell) in cells {
        if last.replace(category) != Some(category) {
            classes.push(Vec::new());
        }
        if let Some(class) = classes.last_mut() {
            class.push(cell);
        }
    }
    classes
}

/// Which categories are judged, by index.
fn judged_categories(truth: &Truth, judged: &Judged) -> Result<Vec<bool>> {
    if truth.categories().is_empty() {
        return Err(truth.bad(wrong("categories").expecting("at least one to judge detections by").but_found("none")));
    }
    let Some(ids) = &judged.categories else {
        return Ok(truth.categories().iter().map(|category| category.is_thing != Some(false)).collect());
    };
    let mut chosen = vec![false; truth.categories().len()];
    for id in ids {
        let unknown = || truth.bad(wrong(format!("category {id} is to be judged, but is not among the categories")));
        chosen[truth.category_of(*id).ok_or_else(unknown)?] = true;
    }
    Ok(chosen)
}

/// Which pictures are judged, by index.
fn judged_images(truth: &Truth, judged: &Judged) -> Result<Vec<bool>> {
    let Some(ids) = &judged.images else { return Ok(vec![true; truth.pictures().len()]) };
    let mut chosen = vec![false; truth.pictures().len()];
    for id in ids {
        let unknown = || truth.bad(wrong(format!("picture {id} is to be judged, but is not among the images")));
        chosen[truth.picture_of(*id).ok_or_else(unknown)?] = true;
    }
    Ok(chosen)
}

/// Refuses what cannot be compared; whether detections have masks.
fn check(truth: &Truth, found: &[Detection]) -> Result<bool> {
    let masks = found.iter().filter(|detection| detection.mask.is_some()).count();
    for (index, detection) in found.iter().enumerate() {
        let of_detection = || wrong(format!("detection {index}"));
        let Some(picture) = truth.picture_of(detection.image_id) else {
            let message = format!("its image {} is not among those of {}", detection.image_id, truth.path().display());
            return Err(wrong(message).named(format!("detection {index}")));
        };
        if truth.category_of(detection.category_id).is_none() {
            let message = format!("its category {} is not among those of {}", detection.category_id, truth.path().display());
            let help = "COCO numbers its 80 classes from 1 to 90 with gaps: `maskline run -f coco91` does so too";
            return Err(wrong(message).named(format!("detection {index}")).with_help(help));
        }
        let is_box = |bounds: &[f64; 4]| bounds.iter().all(|side| side.is_finite()) && bounds[2] >= 0.0 && bounds[3] >= 0.0;
        if !detection.score.is_finite() || !detection.bounds.iter().all(is_box) {
            let found = format!("score {} and box {:?}", detection.score, detection.bounds);
            return Err(of_detection().expecting("finite numbers").but_found(found));
        }
        let picture = &truth.pictures()[picture];
        match &detection.mask {
            Some(mask) if (mask.width(), mask.height()) != (picture.width, picture.height) => {
                let expected = format!("a mask of the picture's size {} × {}", picture.width, picture.height);
                return Err(of_detection().expecting(expected).but_found(format!("{} × {}", mask.width(), mask.height())));
            }
            None if masks > 0 => return Err(of_detection().expecting("a mask as others have").but_found("none")),
            None if detection.bounds.is_none() => return Err(of_detection().expecting("a box or a mask").but_found("neither")),
            _ => {}
        }
    }
    Ok(masks > 0)
}
