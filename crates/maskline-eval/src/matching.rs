//! Which detection is which object: the matching of COCO's evaluation, for one class in one picture.
//!
//! Source: `pycocotools/cocoeval.py`, `computeIoU` and `evaluateImg`, and `maskApi.c`, `bbIou` and `rleIou`.

use std::cmp::Ordering;

use maskline::{Mask, Result};

use crate::truth::bounds_of;
use crate::{Annotation, Detection};

/// Least overlaps of a match: 0.5, 0.55, … 0.95, rounded as `numpy.linspace` rounds them.
pub(crate) const THRESHOLDS: usize = 10;
/// Areas that are judged by themselves.
pub(crate) const RANGES: usize = 4;
/// All, small, medium and large, in pixels, both ends included.
const AREAS: [[f64; 2]; RANGES] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];
/// Most detections of a class in a picture.
pub(crate) const MOST: usize = 100;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Box,
    Mask,
}

/// True and found objects of one class in one picture, each in the order of its file.
#[derive(Default)]
pub(crate) struct Cell<'a> {
    pub(crate) truths: Vec<&'a Annotation>,
    pub(crate) found: Vec<&'a Detection>,
}

/// What became of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    True,
    False,
    /// Neither good nor bad: a crowd, or outside of the areas.
    Ignored,
}

/// The verdicts in one range of areas.
pub(crate) struct Matches {
    /// Detections by falling score, each with its verdict at every threshold.
    pub(crate) verdicts: Vec<(f64, [Verdict; THRESHOLDS])>,
    /// How many objects should be found.
    pub(crate) positives: usize,
}

/// A detection as it is compared.
struct Found<'a> {
    score: f64,
    bounds: [f64; 4],
    mask: Option<&'a Mask>,
    area: f64,
}

impl Cell<'_> {
    /// The verdicts in every range of areas.
    pub(crate) fn matches(&self, shape: Shape) -> Result<[Matches; RANGES]> {
        let mut found: Vec<Found> = self.found.iter().map(|detection| Found::of(detection, shape)).collect();
        // Stable, as pycocotools' merge sort: equal scores stay in the order of the file.
        found.sort_by(|a, b| by_falling_score(a.score, b.score));
        found.truncate(MOST);
        let overlaps = found.iter().map(|detection| self.overlaps(detection, shape)).collect::<Result<Vec<_>>>()?;
        Ok(AREAS.map(|area| self.matches_in(area, &found, &overlaps)))
    }

    fn overlaps(&self, found: &Found<'_>, shape: Shape) -> Result<Vec<f64>> {
        let overlap = |truth: &&Annotation| match (shape, found.mask, &truth.mask) {
            (Shape::Mask, Some(mask), Some(truth_mask)) => mask_overlap(mask, truth_mask, truth.is_crowd),
            _ => Ok(box_overlap(found.bounds, truth.bounds, truth.is_crowd)),
        };
        self.truths.iter().map(overlap).collect()
    }

    fn matches_in(&self, area: [f64; 2], found: &[Found<'_>], overlaps: &[Vec<f64>]) -> Matches {
        let is_outside = |value: f64| value < area[0] || value > area[1];
        let is_ignored: Vec<bool> = self.truths.iter().map(|truth| truth.is_crowd || is_outside(truth.area)).collect();
        // Ignored objects last.
        let mut order: Vec<usize> = (0..self.truths.len()).collect();
        order.sort_by_key(|index| is_ignored[*index]);
        let mut verdicts: Vec<_> = found.iter().map(|detection| (detection.score, [Verdict::False; THRESHOLDS])).collect();
        for (number, threshold) in thresholds().into_iter().enumerate() {
            let mut is_taken = vec![false; self.truths.len()];
            for ((detection, overlaps), (_, verdicts)) in found.iter().zip(overlaps).zip(&mut verdicts) {
                let mut best: Option<usize> = None;
                let mut most = threshold.min(1.0 - 1e-10);
                for &index in &order {
                    if is_taken[index] && !self.truths[index].is_crowd {
                        continue;
                    }
                    // An object that counts goes before all that are ignored.
                    if best.is_some_and(|best| !is_ignored[best]) && is_ignored[index] {
                        break;
                    }
                    // Of equal overlaps, the last.
                    if overlaps[index] >= most {
                        most = overlaps[index];
                        best = Some(index);
                    }
                }
                verdicts[number] = match best {
                    Some(index) if is_ignored[index] => Verdict::Ignored,
                    Some(_) => Verdict::True,
                    None if is_outside(detection.area) => Verdict::Ignored,
                    None => Verdict::False,
                };
                if let Some(index) = best {
                    is_taken[index] = true;
                }
            }
        }
        Matches { verdicts, positives: is_ignored.iter().filter(|is_ignored| !**is_ignored).count() }
    }
}

impl<'a> Found<'a> {
    fn of(detection: &'a Detection, shape: Shape) -> Self {
        let mask = detection.mask.as_ref();
        let bounds = detection.bounds.or_else(|| mask.map(bounds_of)).unwrap_or_default();
        // Where only a mask is given, its pixels are the area of its box too.
        let of_mask = mask.filter(|_| shape == Shape::Mask || detection.bounds.is_none());
        let area = of_mask.map_or(bounds[2] * bounds[3], |mask| mask.area() as f64);
        Self { score: detection.score, bounds, mask, area }
    }
}

/// For finite scores; 0 and -0 are equal, as in numpy.
pub(crate) fn by_falling_score(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

fn thresholds() -> [f64; THRESHOLDS] {
    let (first, last) = (0.5, 0.95);
    let step = (last - first) / (THRESHOLDS - 1) as f64;
    std::array::from_fn(|number| if number == THRESHOLDS - 1 { last } else { first + number as f64 * step })
}

/// Intersection over union; over the detection's own area for a crowd, of which it may be any part.
fn box_overlap(found: [f64; 4], truth: [f64; 4], is_crowd: bool) -> f64 {
    let side = |axis: usize| (found[axis] + found[axis + 2]).min(truth[axis] + truth[axis + 2]) - found[axis].max(truth[axis]);
    let (width, height) = (side(0), side(1));
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let (shared, own) = (width * height, found[2] * found[3]);
    shared / if is_crowd { own } else { own + truth[2] * truth[3] - shared }
}

fn mask_overlap(found: &Mask, truth: &Mask, is_crowd: bool) -> Result<f64> {
    let shared = found.overlap(truth)?;
    let union = if is_crowd { found.area() } else { found.area() + truth.area() - shared };
    Ok(if shared == 0 { 0.0 } else { shared as f64 / union as f64 })
}
