//! From raw outputs to candidates (ultralytics `Detect`, `Pose`, `OBB`, `Pose26`, `OBB26`): distances from a distribution, boxes from distances.
//!
//! Only anchors whose best class passes the threshold are decoded. Scores are compared as logits, so no sigmoid is taken for the
//! thousands that fail.

use std::f32::consts::PI;

use super::rows;
use crate::{Coding, DetectorHead, Error, ErrorKind, Extras, HeadForm, Result};

/// One picture's raw outputs on one level (row-major planes of `rows × columns` anchors).
#[derive(Debug, Clone, Copy)]
pub struct RawLevel<'a> {
    /// Stride in input pixels.
    pub stride: usize,
    /// Anchors per column and row.
    pub size: [usize; 2],
    /// [4·reg_max, rows, columns] logits of the distances left, top, right, bottom.
    pub boxes: &'a [f32],
    /// [classes, rows, columns] logits.
    pub scores: &'a [f32],
    /// [extras, rows, columns], raw.
    pub extras: &'a [f32],
}

/// One picture's outputs.
#[derive(Debug, Clone)]
pub enum Prediction<'a> {
    /// [`crate::HeadForm::Raw`].
    Raw(Vec<RawLevel<'a>>),
    /// [`crate::HeadForm::Decoded`]: [4 + classes + extras, anchors].
    Decoded(&'a [f32]),
    /// [`crate::HeadForm::Chosen`]: [objects, 6 + extras].
    Chosen(&'a [f32]),
}

impl Prediction<'_> {
    /// Number of anchors, or of the objects that were chosen.
    pub fn anchors(&self, head: &DetectorHead) -> usize {
        match self {
            Self::Raw(levels) => levels.iter().map(|level| level.size[0] * level.size[1]).sum(),
            Self::Decoded(numbers) => numbers.len() / (4 + head.classes + head.extras.channels()),
            Self::Chosen(numbers) => numbers.len() / (6 + head.extras.channels()),
        }
    }
}

/// Which anchors become candidates.
#[derive(Debug, Clone)]
pub struct CandidateOptions {
    /// Least score.
    pub threshold: f32,
    /// One candidate per class above the threshold, instead of the best class only.
    pub multi_label: bool,
    /// Only these classes.
    pub classes: Option<Vec<usize>>,
}

/// An anchor above the threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Index of the anchor, or of the row of an object that was chosen.
    pub anchor: usize,
    /// Centre x, y, width, height in input pixels.
    pub xywh: [f32; 4],
    /// Probability.
    pub score: f32,
    /// Class index.
    pub class: usize,
    /// Mask coefficients, keypoints in input pixels (visibility as probability), or the angle in radians.
    pub extras: Vec<f32>,
}

/// The candidates of one picture, in the order of the anchors (and classes).
///
/// # Errors
/// `Output` if the lengths do not fit the head, or the scores or a candidate hold NaN or infinite values: such an answer
/// is refused, never drawn.
pub fn candidates(head: &DetectorHead, prediction: &Prediction<'_>, options: &CandidateOptions) -> Result<Vec<Candidate>> {
    let found = match prediction {
        Prediction::Raw(levels) => {
            let mut found = Vec::new();
            let mut start = 0;
            for level in levels {
                let decoder = LevelDecoder::new(head, level, start)?;
                start += decoder.anchors;
                let limit = logit(options.threshold);
                Scores { planes: level.scores, classes: head.classes }.scan(limit, options, |anchor, class, raw| {
                    found.push(decoder.candidate(anchor, class, sigmoid(raw)));
                })?;
            }
            // The logit comparison is exact up to rounding; the probability decides, as it is what the caller sees.
            found.retain(|c| c.score > options.threshold);
            found
        }
        Prediction::Decoded(rows) => decoded_candidates(head, rows, options)?,
        Prediction::Chosen(numbers) => rows::candidates(head, numbers, options)?,
    };
    match found.iter().find(|c| c.xywh.iter().chain(&c.extras).any(|v| !v.is_finite())) {
        Some(bad) => Err(not_finite(&format!("a box is {:?}", bad.xywh))),
        None => Ok(found),
    }
}

fn decoded_candidates(head: &DetectorHead, rows: &[f32], options: &CandidateOptions) -> Result<Vec<Candidate>> {
    let channels = 4 + head.classes + head.extras.channels();
    let anchors = rows.len() / channels;
    if rows.is_empty() || !rows.len().is_multiple_of(channels) {
        let misfit = Error::new(ErrorKind::Output, "");
        return Err(misfit.expecting(format!("{channels} numbers per anchor")).finding(format!("{} in all", rows.len())));
    }
    let at = |channel: usize, anchor: usize| rows[channel * anchors + anchor];
    let mut found = Vec::new();
    let scores = Scores { planes: &rows[4 * anchors..(4 + head.classes) * anchors], classes: head.classes };
    scores.scan(options.threshold, options, |anchor, class, score| {
        let extras = (4 + head.classes..channels).map(|channel| at(channel, anchor)).collect();
        found.push(Candidate { anchor, xywh: [0, 1, 2, 3].map(|i| at(i, anchor)), score, class, extras });
    })?;
    Ok(found)
}

/// All anchors decoded: [4 + classes + extras, anchors] as existing exports give it (and the golden cases hold it).
///
/// # Errors
/// `Output` if the lengths do not fit the head.
pub fn decode_all(head: &DetectorHead, levels: &[RawLevel<'_>]) -> Result<Vec<f32>> {
    let channels = 4 + head.classes + head.extras.channels();
    let anchors: usize = levels.iter().map(|l| l.size[0] * l.size[1]).sum();
    let mut decoded = vec![0.0; channels * anchors];
    let mut start = 0;
    for level in levels {
        let decoder = LevelDecoder::new(head, level, start)?;
        for anchor in 0..decoder.anchors {
            let candidate = decoder.candidate(anchor, 0, 0.0);
            let scores = (0..head.classes).map(|class| sigmoid(level.scores[class * decoder.anchors + anchor]));
            let values = candidate.xywh.into_iter().chain(scores).chain(candidate.extras);
            values.enumerate().for_each(|(channel, value)| decoded[channel * anchors + start + anchor] = value);
        }
        start += decoder.anchors;
    }
    Ok(decoded)
}

/// Class scores in planes [classes, anchors].
struct Scores<'a> {
    planes: &'a [f32],
    classes: usize,
}

impl Scores<'_> {
    /// Calls `keep(anchor, class, score)` for what passes `limit`.
    ///
    /// A running maximum over the class planes of a block of anchors is all that most anchors cost.
    fn scan(&self, limit: f32, options: &CandidateOptions, mut keep: impl FnMut(usize, usize, f32)) -> Result<()> {
        let Self { planes: scores, classes } = *self;
        const BLOCK: usize = 64;
        let anchors = scores.len() / classes.max(1);
        let wanted: Vec<usize> = match &options.classes {
            Some(list) => (0..classes).filter(|class| list.contains(class)).collect(),
            None => (0..classes).collect(),
        };
        for start in (0..anchors).step_by(BLOCK) {
            let width = BLOCK.min(anchors - start);
            let mut best = [f32::NEG_INFINITY; BLOCK];
            let mut poison = [0.0_f32; BLOCK];
            for class in 0..classes {
                let plane = &scores[class * anchors + start..][..width];
                for ((best, poison), score) in best.iter_mut().zip(&mut poison).zip(plane) {
                    *best = if *score > *best { *score } else { *best };
                    // NaN and infinity times zero are NaN, and stay in the sum.
                    *poison += *score * 0.0;
                }
            }
            if poison[..width].iter().any(|p| p.is_nan()) {
                return Err(not_finite("a class score is NaN or infinite"));
            }
            for anchor in (start..start + width).filter(|anchor| best[anchor - start] > limit) {
                let at = |class: usize| scores[class * anchors + anchor];
                if options.multi_label {
                    wanted.iter().filter(|class| at(**class) > limit).for_each(|class| keep(anchor, *class, at(*class)));
                } else {
                    // The best class decides, then the wish: an anchor whose best class is not wanted is none.
                    let first_best = (0..classes).find(|class| at(*class) == best[anchor - start]);
                    first_best
                        .filter(|class| wanted.binary_search(class).is_ok())
                        .into_iter()
                        .for_each(|class| keep(anchor, class, at(class)));
                }
            }
        }
        Ok(())
    }
}

/// Decodes single anchors of one level.
struct LevelDecoder<'a> {
    level: &'a RawLevel<'a>,
    extras: Extras,
    coding: Coding,
    reg_max: usize,
    anchors: usize,
    /// Anchors of the levels before it.
    start: usize,
}

impl<'a> LevelDecoder<'a> {
    fn new(head: &DetectorHead, level: &'a RawLevel<'a>, start: usize) -> Result<Self> {
        let HeadForm::Raw { coding, .. } = head.form else {
            return Err(Error::new(ErrorKind::Output, "raw outputs of a head that decodes them itself"));
        };
        let anchors = level.size[0] * level.size[1];
        let reg_max = level.boxes.len() / (4 * anchors).max(1);
        let fits = anchors > 0
            && reg_max > 0
            && level.boxes.len() == 4 * reg_max * anchors
            && level.scores.len() == head.classes * anchors
            && level.extras.len() == head.extras.channels() * anchors;
        if !fits {
            let message = format!(
                "stride {}: {} box, {} score and {} further numbers do not fit {:?} anchors of {} classes",
                level.stride,
                level.boxes.len(),
                level.scores.len(),
                level.extras.len(),
                level.size,
                head.classes
            );
            return Err(Error::new(ErrorKind::Output, message));
        }
        Ok(Self { level, extras: head.extras, coding, reg_max, anchors, start })
    }

    fn candidate(&self, anchor: usize, class: usize, score: f32) -> Candidate {
        let columns = self.level.size[1];
        let stride = self.level.stride as f32;
        let center = [(anchor % columns) as f32 + 0.5, (anchor / columns) as f32 + 0.5];
        let distances = [0, 1, 2, 3].map(|side| self.distance(side, anchor));
        let extras = self.decode_extras(anchor, center);
        let angle = if self.extras == Extras::Angle { extras[0] } else { 0.0 };
        Candidate { anchor: self.start + anchor, xywh: box_of(distances, center, angle).map(|v| v * stride), score, class, extras }
    }

    /// Distribution focal loss (Li et al. 2020): the expectation of a softmax over the bins 0, 1, 2, … One bin is no distribution, but the
    /// distance itself, which may be negative.
    fn distance(&self, side: usize, anchor: usize) -> f32 {
        let bin = |i: usize| self.level.boxes[(side * self.reg_max + i) * self.anchors + anchor];
        if self.reg_max == 1 {
            return bin(0);
        }
        let largest = (0..self.reg_max).map(bin).fold(f32::NEG_INFINITY, f32::max);
        let (mut total, mut weighted) = (0.0, 0.0);
        for i in 0..self.reg_max {
            let weight = (bin(i) - largest).exp();
            total += weight;
            weighted += weight * i as f32;
        }
        weighted / total
    }

    fn decode_extras(&self, anchor: usize, [x, y]: [f32; 2]) -> Vec<f32> {
        let stride = self.level.stride as f32;
        let raw = (0..self.extras.channels()).map(|channel| self.level.extras[channel * self.anchors + anchor]);
        match self.extras {
            Extras::None | Extras::Masks { .. } => raw.collect(),
            Extras::Angle if self.coding == Coding::Plain => raw.collect(),
            Extras::Angle => raw.map(|v| (sigmoid(v) - 0.25) * PI).collect(),
            Extras::Keypoints { dims, .. } => {
                let place = |v: f32, center: f32| match self.coding {
                    Coding::Doubled => (v * 2.0 + (center - 0.5)) * stride,
                    Coding::Plain => (v + center) * stride,
                };
                let number = |(i, v): (usize, f32)| match i % dims {
                    0 => place(v, x),
                    1 => place(v, y),
                    _ => sigmoid(v),
                };
                raw.enumerate().map(number).collect()
            }
        }
    }
}

/// Box from the distances to its sides, turned by `angle` about the anchor: centre and size in units of the stride.
fn box_of([left, top, right, bottom]: [f32; 4], [x, y]: [f32; 2], angle: f32) -> [f32; 4] {
    let (dx, dy) = ((right - left) / 2.0, (bottom - top) / 2.0);
    let (sin, cos) = angle.sin_cos();
    [x + dx * cos - dy * sin, y + dx * sin + dy * cos, left + right, top + bottom]
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// A little below the logit of `p`, so that no probability above `p` is missed by rounding.
fn logit(p: f32) -> f32 {
    if p <= 0.0 {
        return f32::NEG_INFINITY;
    }
    let exact = (f64::from(p) / (1.0 - f64::from(p))).ln();
    exact as f32 - 1e-4
}

pub(super) fn not_finite(what: &str) -> Error {
    Error::new(ErrorKind::Output, format!("the network's answer is not finite: {what}"))
        .with_help("the weights are damaged or diverged in training; the answer is refused")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Selection;

    fn coded(extras: Extras, coding: Coding) -> DetectorHead {
        let form = HeadForm::Raw { strides: vec![8], reg_max: 4, coding };
        DetectorHead { classes: 3, extras, form, selection: Selection::Suppression }
    }

    fn head(extras: Extras) -> DetectorHead {
        coded(extras, Coding::Doubled)
    }

    /// Deterministic values in about -3..3.
    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 6.0
            })
            .collect()
    }

    #[test]
    fn raw_and_decoded_paths_agree() -> Result<()> {
        let kinds = [Extras::None, Extras::Angle, Extras::Keypoints { count: 2, dims: 3 }, Extras::Masks { count: 5 }];
        for (extras, coding) in kinds.into_iter().flat_map(|kind| [(kind, Coding::Doubled), (kind, Coding::Plain)]) {
            let head = coded(extras, coding);
            let anchors = 9 * 15;
            let (boxes, scores, more) = (noise(16 * anchors, 1), noise(3 * anchors, 2), noise(extras.channels() * anchors, 3));
            let level = RawLevel { stride: 8, size: [9, 15], boxes: &boxes, scores: &scores, extras: &more };
            let decoded = decode_all(&head, &[level])?;
            for (multi_label, classes) in [(false, None), (true, None), (false, Some(vec![0, 2])), (true, Some(vec![1]))] {
                let options = CandidateOptions { threshold: 0.6, multi_label, classes };
                let raw = candidates(&head, &Prediction::Raw(vec![level]), &options)?;
                assert!(!raw.is_empty());
                assert_eq!(raw, candidates(&head, &Prediction::Decoded(&decoded), &options)?);
            }
        }
        Ok(())
    }

    #[test]
    fn answers_that_are_not_finite_are_refused() {
        let head = head(Extras::None);
        let boxes = vec![0.0; 16 * 4];
        let options = CandidateOptions { threshold: 0.5, multi_label: false, classes: None };
        for bad in [f32::NAN, f32::INFINITY] {
            let mut scores = vec![-9.0; 12];
            scores[7] = bad;
            let level = RawLevel { stride: 8, size: [2, 2], boxes: &boxes, scores: &scores, extras: &[] };
            let error = candidates(&head, &Prediction::Raw(vec![level]), &options).expect_err("must be refused");
            assert_eq!(error.kind(), ErrorKind::Output);
        }
        let boxes = vec![f32::NAN; 16 * 4];
        let scores = vec![4.0; 12];
        let level = RawLevel { stride: 8, size: [2, 2], boxes: &boxes, scores: &scores, extras: &[] };
        assert!(candidates(&head, &Prediction::Raw(vec![level]), &options).is_err());
    }

    #[test]
    fn one_bin_is_the_distance_itself_and_plain_numbers_stay_as_they_are() {
        let (boxes, more) = ([-0.5, 1.0, 2.0, 3.0], [0.25, -0.5, 0.0]);
        let level = RawLevel { stride: 8, size: [1, 1], boxes: &boxes, scores: &[2.0, 0.0, 0.0], extras: &more };
        let options = CandidateOptions { threshold: 0.5, multi_label: false, classes: None };
        let keypoints = Extras::Keypoints { count: 1, dims: 3 };
        let found = |head| candidates(&head, &Prediction::Raw(vec![level]), &options).expect("finite").swap_remove(0);
        let plain = found(coded(keypoints, Coding::Plain));
        assert_eq!((plain.xywh, plain.extras.as_slice()), ([14.0, 12.0, 12.0, 32.0], &[6.0, 0.0, 0.5][..]));
        assert_eq!(found(head(keypoints)).extras, [4.0, -8.0, 0.5]);
        let level = RawLevel { extras: &more[..1], ..level };
        let turned = candidates(&coded(Extras::Angle, Coding::Plain), &Prediction::Raw(vec![level]), &options).expect("finite");
        assert_eq!(turned[0].extras, [0.25]);
    }

    #[test]
    fn an_even_distribution_is_the_middle_of_the_bins() {
        let boxes = vec![0.0; 16];
        let level = RawLevel { stride: 8, size: [1, 1], boxes: &boxes, scores: &[2.0, 0.0, 0.0], extras: &[] };
        let options = CandidateOptions { threshold: 0.5, multi_label: false, classes: None };
        let found = candidates(&head(Extras::None), &Prediction::Raw(vec![level]), &options).expect("finite");
        assert_eq!(found[0].xywh, [4.0, 4.0, 24.0, 24.0]);
    }
}
