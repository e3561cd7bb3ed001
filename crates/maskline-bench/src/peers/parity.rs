//! Whether two programs give the same answers.

use maskline::{Mask, Object};

use crate::report::Parity;

/// Least overlap of two masks that count as the same.
const SAME_MASK: f64 = 0.98;
/// Least overlap of two boxes that count as the same.
const SAME_BOX: f64 = 0.95;
/// Boxes that overlap less are of different objects.
const SAME_OBJECT: f64 = 0.5;
/// Near the usual threshold of 0.25, rounding decides whether an object is there.
const SURE: f32 = 0.3;

/// Compares the answers of two programs to the same request.
///
/// Where prompts were answered with masks, the n-th answers the n-th prompt: the figure is the least overlap (IoU) of all prompts; two
/// empty masks are the same, and a missing mask is another one. Else objects of the same class are paired by the overlap of their boxes:
/// the figure is the least overlap of a pair, of its masks where there are any, and 0 if one program is sure of an object (a score above
/// 0.3) that the other does not have.
pub fn parity(ours: &[Object], theirs: &[Object]) -> Parity {
    let has_masks = ours.iter().chain(theirs).any(|object| object.mask.is_some());
    let was_found = ours.iter().chain(theirs).any(|object| object.class_id.is_some());
    let value = match (has_masks, was_found) {
        (true, false) => (0..ours.len().max(theirs.len())).map(|index| overlap(ours.get(index), theirs.get(index))).fold(1.0, f64::min),
        (true, true) => least_of_pairs(ours, theirs, |pair| overlap(Some(&ours[pair.ours]), Some(&theirs[pair.theirs]))),
        (false, _) => least_of_pairs(ours, theirs, |pair| pair.overlap),
    };
    match has_masks {
        true => Parity { metric: "least mask IoU".into(), value, least: SAME_MASK },
        false => Parity { metric: "least box IoU".into(), value, least: SAME_BOX },
    }
}

/// How many of the masks are neither empty nor full: the others prove little about agreement.
pub fn lively_masks(objects: &[Object]) -> usize {
    let is_lively = |mask: &&Mask| !mask.is_empty() && mask.area() < mask.width() as u64 * mask.height() as u64;
    objects.iter().filter_map(|object| object.mask.as_ref()).filter(is_lively).count()
}

fn overlap(ours: Option<&Object>, theirs: Option<&Object>) -> f64 {
    match (ours.and_then(|object| object.mask.as_ref()), theirs.and_then(|object| object.mask.as_ref())) {
        (Some(ours), Some(theirs)) if ours.is_empty() && theirs.is_empty() && is_of_size(ours, theirs) => 1.0,
        // Masks of different sizes are not of the same picture.
        (Some(ours), Some(theirs)) => ours.iou(theirs).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn is_of_size(one: &Mask, other: &Mask) -> bool {
    (one.width(), one.height()) == (other.width(), other.height())
}

/// Two objects that stand for the same thing.
#[derive(Clone, Copy)]
struct Pair {
    ours: usize,
    theirs: usize,
    /// Of their boxes.
    overlap: f64,
}

/// The least `likeness` of objects paired by their boxes, the best pairs first; 0 if a sure one is left.
fn least_of_pairs(ours: &[Object], theirs: &[Object], likeness: impl Fn(Pair) -> f64) -> f64 {
    let mut pairs: Vec<Pair> = Vec::new();
    for (i, one) in ours.iter().enumerate() {
        for (j, other) in theirs.iter().enumerate().filter(|(_, other)| other.class_id == one.class_id) {
            let overlap = box_overlap(one.bounds, other.bounds);
            if overlap >= SAME_OBJECT {
                pairs.push(Pair { ours: i, theirs: j, overlap });
            }
        }
    }
    pairs.sort_by(|a, b| b.overlap.total_cmp(&a.overlap));
    let (mut paired_ours, mut paired_theirs) = (vec![false; ours.len()], vec![false; theirs.len()]);
    let mut least = 1.0_f64;
    for pair in pairs {
        if !paired_ours[pair.ours] && !paired_theirs[pair.theirs] {
            (paired_ours[pair.ours], paired_theirs[pair.theirs]) = (true, true);
            least = least.min(likeness(pair));
        }
    }
    let is_left = |objects: &[Object], paired: &[bool]| objects.iter().zip(paired).any(|(object, paired)| !paired && object.score > SURE);
    if is_left(ours, &paired_ours) || is_left(theirs, &paired_theirs) { 0.0 } else { least }
}

fn box_overlap(a: [f32; 4], b: [f32; 4]) -> f64 {
    let area = |[x1, y1, x2, y2]: [f32; 4]| f64::from((x2 - x1).max(0.0)) * f64::from((y2 - y1).max(0.0));
    let shared = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(a) + area(b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn masked(columns: std::ops::Range<usize>) -> Object {
        let mask = Mask::from_fn(10, 10, |x, _| columns.contains(&x)).unwrap();
        Object { mask: Some(mask), ..Object::default() }
    }

    fn boxed(x: f32, class_id: usize, score: f32) -> Object {
        Object { bounds: [x, 0.0, x + 100.0, 100.0], class_id: Some(class_id), score, ..Object::default() }
    }

    #[test]
    fn the_worst_mask_counts() {
        let same = parity(&[masked(0..4), masked(0..0)], &[masked(0..4), masked(0..0)]);
        assert_eq!((same.value, same.metric.as_str()), (1.0, "least mask IoU"));
        assert!(same.is_equal());
        let near = parity(&[masked(0..4), masked(0..8)], &[masked(0..4), masked(0..4)]);
        assert_eq!(near.value, 0.5);
        assert!(!near.is_equal());
        assert_eq!(parity(&[masked(0..0)], &[masked(0..1)]).value, 0.0, "empty and not empty");
        assert_eq!(parity(&[masked(0..4), masked(0..4)], &[masked(0..4)]).value, 0.0, "a mask is missing");
        let larger = Object { mask: Some(Mask::from_fn(20, 10, |_, _| false).unwrap()), ..Object::default() };
        assert_eq!(parity(&[masked(0..0)], &[larger]).value, 0.0, "another picture");
    }

    #[test]
    fn lively_masks_are_neither_empty_nor_full() {
        assert_eq!(lively_masks(&[masked(0..0), masked(0..10), masked(0..9), boxed(0.0, 0, 1.0)]), 1);
    }

    #[test]
    fn boxes_are_paired_within_their_class() {
        let ours = [boxed(0.0, 0, 0.9), boxed(300.0, 1, 0.8)];
        let moved = parity(&ours, &[boxed(301.0, 1, 0.8), boxed(0.0, 0, 0.9)]);
        assert!((moved.value - 99.0 / 101.0).abs() < 1e-9, "{moved:?}");
        assert!(moved.is_equal());
        assert_eq!(parity(&ours, &[boxed(0.0, 0, 0.9), boxed(300.0, 2, 0.8)]).value, 0.0, "another class");
        assert_eq!(parity(&ours, &ours[..1]).value, 0.0, "one is missing");
        assert_eq!(parity(&ours[..1], &ours).value, 0.0, "one is too many");
        assert_eq!(parity(&[], &[]).value, 1.0);
    }

    #[test]
    fn an_object_near_the_threshold_may_be_missing() {
        let ours = [boxed(0.0, 0, 0.9), boxed(300.0, 1, 0.26)];
        assert_eq!(parity(&ours, &ours[..1]).value, 1.0);
    }

    #[test]
    fn found_masks_are_paired_by_their_boxes() {
        let found = |x, columns, score| Object { mask: masked(columns).mask, ..boxed(x, 0, score) };
        let ours = [found(0.0, 0..4, 0.9), found(300.0, 0..8, 0.8)];
        let same = parity(&ours, &[found(300.0, 0..8, 0.8), found(0.0, 0..4, 0.9)]);
        assert_eq!((same.value, same.metric.as_str()), (1.0, "least mask IoU"), "in another order");
        assert_eq!(parity(&ours, &[found(300.0, 0..4, 0.8), found(0.0, 0..4, 0.9)]).value, 0.5, "another mask");
        assert_eq!(parity(&ours, &ours[..1]).value, 0.0, "one is missing");
        assert_eq!(parity(&[ours[0].clone(), found(300.0, 0..8, 0.2)], &ours[..1]).value, 1.0, "one near the threshold is missing");
    }

    #[test]
    fn each_box_is_paired_once() {
        let ours = [boxed(0.0, 0, 0.9), boxed(10.0, 0, 0.8)];
        let value = parity(&ours, &[boxed(10.0, 0, 0.9), boxed(0.0, 0, 0.8)]).value;
        assert_eq!(value, 1.0, "the best pairs are made first");
        assert_eq!(parity(&ours, &[boxed(0.0, 0, 0.9)]).value, 0.0);
    }
}
