//! From candidates to objects in pixels of the picture: the choice among them, un-letterboxing, masks.

use maskline_models::yolo::decode::{Candidate, CandidateOptions, Prediction, candidates};
use maskline_models::{DetectorHead, Extras, ModelInfo, Selection};
use maskline_vision::letterbox::Letterbox;
use maskline_vision::mask::Prototypes;
use maskline_vision::nms::{nms, nms_rotated};
use maskline_vision::{Keypoint, Object, RotatedBox};

use super::outputs::{OfPicture, Planes};
use crate::{Error, ErrorKind, PredictOptions, Result};

/// Boxes of different classes are set this far apart, so that one pass suppresses within each class (ultralytics `max_wh`).
const CLASS_OFFSET: f32 = 7680.0;
/// Least score, unless somebody says another (ultralytics' `conf` of predictions).
pub(super) const LEAST_SCORE: f32 = 0.25;
/// Overlap above which the worse of two boxes goes, unless somebody says another (ultralytics' `iou`).
pub(super) const MOST_OVERLAP: f32 = 0.7;
/// Most candidates that suppression looks at (ultralytics `max_nms`).
const MOST_CANDIDATES: usize = 30_000;

/// The objects that a head finds, best first, by the rule that it was trained for. Where that knows no suppression, the wish for one asks for it.
pub(super) fn choose(head: &DetectorHead, prediction: &Prediction<'_>, options: &PredictOptions) -> Result<Vec<Candidate>> {
    let threshold = options.conf.unwrap_or(LEAST_SCORE);
    let wanted = CandidateOptions { threshold, multi_label: false, classes: options.classes.clone() };
    match head.selection {
        Selection::Suppression => Ok(suppress(candidates(head, prediction, &wanted)?, head.extras, options)),
        Selection::Best { most } => {
            // An anchor may stand for objects of several classes; the wish for some comes after the choice.
            let any = CandidateOptions { multi_label: !options.agnostic_nms, classes: None, ..wanted };
            let mut best = candidates(head, prediction, &any)?;
            best.sort_by(|a, b| b.score.total_cmp(&a.score));
            best.truncate(most.max(options.max_detections).min(prediction.anchors(head)));
            best.retain(|candidate| options.classes.as_ref().is_none_or(|wanted| wanted.contains(&candidate.class)));
            if options.iou.is_some() {
                return Ok(suppress(best, head.extras, options));
            }
            best.truncate(options.max_detections);
            Ok(best)
        }
        Selection::Made => {
            let mut made = candidates(head, prediction, &wanted)?;
            if options.iou.is_some() || options.agnostic_nms {
                return Ok(suppress(made, head.extras, options));
            }
            made.truncate(options.max_detections);
            Ok(made)
        }
    }
}

/// Which candidates are kept, best first (ultralytics `non_max_suppression`).
pub(super) fn suppress(candidates: Vec<Candidate>, extras: Extras, options: &PredictOptions) -> Vec<Candidate> {
    let mut sorted = candidates;
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    sorted.truncate(MOST_CANDIDATES);
    let scores: Vec<f32> = sorted.iter().map(|c| c.score).collect();
    let offset = |c: &Candidate| if options.agnostic_nms { 0.0 } else { c.class as f32 * CLASS_OFFSET };
    let overlap = options.iou.unwrap_or(MOST_OVERLAP);
    let mut kept = if extras == Extras::Angle {
        let turned = |c: &Candidate| [c.xywh[0] + offset(c), c.xywh[1] + offset(c), c.xywh[2], c.xywh[3], c.extras[0]];
        nms_rotated(&sorted.iter().map(turned).collect::<Vec<_>>(), &scores, overlap)
    } else {
        let upright = |c: &Candidate| corners(c.xywh).map(|side| side + offset(c));
        nms(&sorted.iter().map(upright).collect::<Vec<_>>(), &scores, f64::from(overlap))
    };
    kept.truncate(options.max_detections);
    let mut sorted: Vec<Option<Candidate>> = sorted.into_iter().map(Some).collect();
    kept.into_iter().filter_map(|i| sorted[i].take()).collect()
}

/// Centre and size to corners.
pub(super) fn corners([x, y, width, height]: [f32; 4]) -> [f32; 4] {
    [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0]
}

/// One picture's outputs and how it came to the network.
pub(super) struct Found<'a> {
    pub(super) info: &'a ModelInfo,
    pub(super) head: &'a DetectorHead,
    pub(super) outputs: OfPicture<'a>,
    pub(super) letterbox: &'a Letterbox,
    /// Width and height of the picture.
    pub(super) size: (usize, usize),
}

impl Found<'_> {
    /// The objects of the picture, by falling score.
    pub(super) fn objects(&self, options: &PredictOptions) -> Result<Vec<Object>> {
        let kept = choose(self.head, &self.outputs.prediction, options)?;
        let protos = match &self.outputs.protos {
            Some(Planes { values, shape }) if !kept.is_empty() => {
                if values.iter().any(|value| !value.is_finite()) {
                    let message = "the network's answer is not finite: a mask prototype is NaN or infinite";
                    return Err(Error::new(ErrorKind::BadAnswer, message));
                }
                Some(Prototypes::new(values, *shape)?)
            }
            _ => None,
        };
        kept.into_iter()
            .map(|candidate| {
                let mut object = self.object(&candidate);
                if let Some(protos) = &protos {
                    object.mask = Some(protos.native_mask(&candidate.extras, object.bounds, [self.size.0, self.size.1])?);
                }
                Ok(object)
            })
            .collect()
    }

    fn object(&self, candidate: &Candidate) -> Object {
        let letterbox = self.letterbox;
        let mut object = Object {
            label: self.info.labels.get(candidate.class).cloned(),
            class_id: Some(candidate.class),
            score: candidate.score,
            bounds: letterbox.unmap_box(corners(candidate.xywh)),
            ..Object::default()
        };
        match self.head.extras {
            Extras::Angle => {
                let [x, y, width, height] = candidate.xywh;
                let [gain_x, gain_y] = letterbox.gain();
                let rotated = RotatedBox {
                    center: letterbox.unmap_point([x, y]),
                    size: [width / gain_x, height / gain_y],
                    angle: candidate.extras[0],
                };
                object.bounds = rotated.bounds();
                object.rotated = Some(rotated);
            }
            Extras::Keypoints { dims, .. } => {
                let points = candidate.extras.chunks_exact(dims).map(|point| {
                    let [x, y] = letterbox.unmap_point([point[0], point[1]]);
                    Keypoint { x, y, score: point.get(2).copied() }
                });
                object.keypoints = Some(points.collect());
            }
            Extras::None | Extras::Masks { .. } => {}
        }
        object
    }
}
