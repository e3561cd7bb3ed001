//! From the decoder's answers to masks that pass: by themselves, then beside each other.

use std::borrow::Cow;

use maskline_vision::Mask;
use maskline_vision::grid::{Crop, EDGE_TOLERANCE, mask_box, near_crop_edge, uncrop_box, uncrop_mask, uncrop_point};
use maskline_vision::mask::{Cleaning, Logits, Regions, clean, remove_small_regions};
use maskline_vision::nms::nms;

use super::options::Plan;
use crate::Result;
use crate::host::in_parallel;
use crate::promptable::PromptMask;

/// A mask of the picture that passed all that is asked of it alone.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) mask: Mask,
    /// `[x1, y1, x2, y2]` in pixels of the picture, the last two inclusive: everything mode suppresses by these.
    pub(super) bounds: [f32; 4],
    /// Predicted IoU.
    pub(super) score: f32,
    pub(super) stability: f32,
    /// In pixels of the picture.
    pub(super) point: [f32; 2],
    pub(super) crop: Crop,
}

/// Some points of a crop that were asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clicked<'a> {
    pub(super) crop: &'a Crop,
    /// In pixels of the crop; what a mask's `prompt` counts.
    pub(super) points: &'a [[f32; 2]],
}

/// Judges the answers for some points of a crop.
pub(super) fn judge(masks: &[PromptMask], plan: &Plan<'_>, clicked: Clicked<'_>) -> Result<Vec<Candidate>> {
    let Clicked { crop, points } = clicked;
    let threshold = plan.predicted_iou;
    let good: Vec<&PromptMask> = masks.iter().filter(|mask| threshold <= 0.0 || mask.score > threshold).collect();
    let found = in_parallel(&good, |mask| candidate(mask, plan, crop, points[mask.prompt]))?;
    Ok(found.into_iter().flatten().collect())
}

/// Stability, pixels, box and edges, in this order; `None` for what does not pass.
fn candidate(answer: &PromptMask, plan: &Plan<'_>, crop: &Crop, point: [f32; 2]) -> Result<Option<Candidate>> {
    let options = plan.options;
    let logits = cleaned(&answer.logits, plan);
    let stability = answer.upsampler.stability(&logits, options.cut())?;
    if plan.stability > 0.0 && stability < plan.stability {
        return Ok(None);
    }
    let mask = answer.upsampler.threshold(&logits, options.mask_threshold)?;
    let bounds = mask_box(&mask).map(|side| side as f32);
    // The official generators give masks without a pixel too where nothing is asked of their stability.
    if mask.is_empty() || near_crop_edge(bounds, crop, plan.size, EDGE_TOLERANCE) {
        return Ok(None);
    }
    Ok(Some(Candidate {
        mask: if crop.layer == 0 { mask } else { uncrop_mask(&mask, crop, plan.size)? },
        bounds: uncrop_box(bounds, crop),
        score: answer.score,
        stability,
        point: uncrop_point(point, crop),
        crop: *crop,
    }))
}

/// SAM 2 removes small regions from the logits, about 0 whatever the threshold of the masks is.
fn cleaned<'l>(logits: &'l Logits, plan: &Plan<'_>) -> Cow<'l, Logits> {
    let area = plan.options.min_mask_region_area;
    if area == 0 || !plan.cleans_logits {
        return Cow::Borrowed(logits);
    }
    let mut logits = logits.clone();
    clean(&mut logits, &Cleaning { threshold: 0.0, max_hole_area: area, max_sprinkle_area: area });
    Cow::Owned(logits)
}

/// Drops duplicates within a crop: of two boxes that overlap, the one of the better predicted IoU stays. Best first.
pub(super) fn best_of_crop(found: Vec<Candidate>, plan: &Plan<'_>) -> Vec<Candidate> {
    let scores: Vec<f32> = found.iter().map(|candidate| candidate.score).collect();
    suppress(found, &scores, plan.options.box_nms_thresh)
}

/// Drops duplicates between crops: of two boxes that overlap, the one of the smaller crop stays. Smallest crops first.
pub(super) fn best_of_crops(found: Vec<Candidate>, plan: &Plan<'_>) -> Vec<Candidate> {
    let score = |candidate: &Candidate| {
        let [x1, y1, x2, y2] = candidate.crop.bounds;
        1.0 / ((x2 - x1) * (y2 - y1)) as f32
    };
    let scores: Vec<f32> = found.iter().map(score).collect();
    suppress(found, &scores, plan.options.crop_nms_thresh)
}

/// SAM 1's removal of small holes and islands, and of the duplicates that arise: masks that had none stay, and come first.
pub(super) fn without_small_regions(found: Vec<Candidate>, area: u64, threshold: f64) -> Result<Vec<Candidate>> {
    let cleaned = in_parallel(&found, |candidate| {
        let (mask, had_holes) = remove_small_regions(&candidate.mask, area, Regions::Holes);
        let (mask, had_islands) = remove_small_regions(&mask, area, Regions::Islands);
        let bounds = mask_box(&mask).map(|side| side as f32);
        let unchanged = if had_holes || had_islands { 0.0 } else { 1.0 };
        Ok((Candidate { mask, bounds, ..candidate.clone() }, unchanged))
    })?;
    let (cleaned, scores) = cleaned.into_iter().unzip::<_, _, Vec<Candidate>, Vec<f32>>();
    Ok(suppress(cleaned, &scores, threshold))
}

fn suppress(found: Vec<Candidate>, scores: &[f32], threshold: f64) -> Vec<Candidate> {
    let boxes: Vec<[f32; 4]> = found.iter().map(|candidate| candidate.bounds).collect();
    let mut found: Vec<Option<Candidate>> = found.into_iter().map(Some).collect();
    nms(&boxes, scores, threshold).into_iter().filter_map(|index| found[index].take()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CROP: Crop = Crop { bounds: [0, 0, 20, 20], layer: 0 };

    /// A mask of 20 x 20 pixels.
    fn found(score: f32, is_set: impl Fn(usize, usize) -> bool) -> Candidate {
        let mask = Mask::from_fn(20, 20, is_set).unwrap();
        let bounds = mask_box(&mask).map(|side| side as f32);
        Candidate { mask, bounds, score, stability: 1.0, point: [0.0; 2], crop: CROP }
    }

    #[test]
    fn small_regions_go_and_with_them_the_duplicates_that_arise() {
        let square = |x: usize, y: usize| (2..12).contains(&x) && (2..12).contains(&y);
        // The island makes the box of the better mask another one; without it, it is that of the whole square.
        let with_island = found(0.9, |x, y| square(x, y) || (x, y) == (19, 19));
        let whole = found(0.8, square);
        let with_hole = found(0.7, |x, y| (13..19).contains(&x) && y < 8 && (x, y) != (15, 3));
        let kept = without_small_regions(vec![with_island.clone(), with_hole, whole.clone()], 4, 0.7).unwrap();
        let scores: Vec<f32> = kept.iter().map(|candidate| candidate.score).collect();
        assert_eq!(scores, [0.8, 0.7], "what had no small region comes first, and suppresses what was changed");
        assert_eq!(kept[0].mask, whole.mask);
        assert!(kept[1].mask.get(15, 3), "the hole is filled");
        let kept = without_small_regions(vec![with_island, whole], 1, 0.7).unwrap();
        assert_eq!(kept.len(), 2, "no region is smaller than one pixel");
    }
}
