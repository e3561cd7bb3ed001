//! Golden tensors of YOLO.
//!
//! Raw and decoded outputs come from the graphs that ship, one for each head, inner tensors from the same graph with taps. Suppression, the choice
//! of the best, and masks are computed from the *golden* predictions: their tolerances leave no room for the network's rounding.

mod best;
mod outputs;

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use maskline_models::yolo::decode::{Candidate, CandidateOptions, Prediction, candidates};
use maskline_models::{DetectorHead, Extras, HeadBranch, HeadForm, Selection};
use maskline_runtime::Outputs;
use maskline_vision::letterbox::Letterbox;
use maskline_vision::mask::Prototypes;
use serde_json::Value;

use self::best::Order;
use self::outputs::Answers;
use super::objects::{choose, corners, suppress};
use super::outputs::Input;
use super::{Reading, Yolo};
use crate::drivers::{Call, Driver};
use crate::verify::{AtSize, Case, Check, Computed, Sizes};
use crate::{Error, ErrorKind, PredictOptions, Result};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["yolov8", "yolo11", "yolo26"];

/// What a detector's heads give.
const OF_HEADS: [&str; 9] =
    ["pred", "pred_anchor", "raw_boxes", "raw_scores", "mask_coefficient", "kpts_raw", "raw_angle", "angle_raw", "angle"];

pub(super) struct Golden<'c> {
    case: &'c Case,
    /// The networks that answer, by their heads; one where there is one head. None of classifiers.
    heads: Vec<DetectorHead>,
    /// Outputs by input name, e.g. `x0`.
    runs: HashMap<String, Run>,
}

struct Run {
    input: Input,
    /// Of the network of each head, in their order; of a classifier one.
    shipped: Vec<Outputs>,
    tapped: Outputs,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, shipped: Arc<Yolo>, tapped: Arc<dyn Driver>, at_size: AtSize<'_>) -> Result<Self> {
        let names = case.outputs()?.names();
        let tapped = yolo(tapped)?;
        let mut networks = vec![shipped];
        if names.iter().any(|name| name.contains(".one2one.") || name.ends_with(".pred_anchor")) {
            let other = match networks[0].head() {
                Some(head) if head.selection == Selection::Suppression => HeadBranch::OneToOne,
                _ => HeadBranch::OneToMany,
            };
            let [other, _] = at_size(Sizes { head: Some(other), ..Sizes::default() })?;
            networks.push(yolo(other)?);
        }
        let heads = networks.iter().filter_map(|network| network.head().cloned()).collect();
        let mut golden = Self { case, heads, runs: HashMap::new() };
        let mut calls: Vec<String> = names.iter().filter_map(|name| name.split('.').next().map(str::to_string)).collect();
        calls.dedup();
        for call in calls {
            let image = case.input(&format!("{call}.u8"))?;
            let &[batch, 3, height, width] = image.shape.as_slice() else {
                let found = format!("{:?}", image.shape);
                return Err(Error::new(ErrorKind::BadInput, format!("{call}.u8")).expecting("[batch, 3, height, width]").but_found(found));
            };
            let input = Input { batch, height, width };
            let values: Vec<f32> = image.data.iter().map(|level| level / 255.0).collect();
            let run = |yolo: &Yolo| Ok::<_, Error>(yolo.run(values.clone(), input, &Call::default())?.0);
            let shipped = networks.iter().map(|network| run(network)).collect::<Result<_>>()?;
            golden.runs.insert(call, Run { input, shipped, tapped: run(&tapped)? });
        }
        Ok(golden)
    }
}

impl Yolo {
    fn head(&self) -> Option<&DetectorHead> {
        match &self.reading {
            Reading::Detector(head) => Some(head),
            Reading::Classifier { .. } => None,
        }
    }
}

fn yolo(driver: Arc<dyn Driver>) -> Result<Arc<Yolo>> {
    let driver: Arc<dyn Any + Send + Sync> = driver;
    driver.downcast::<Yolo>().map_err(|_| Error::new(ErrorKind::Failed, "another model of the case has another driver"))
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let (call, tensor) = name.split_once('.').ok_or_else(|| unknown(name))?;
        let run = self.runs.get(call).ok_or_else(|| unknown(name))?;
        match tensor {
            "sppf" | "c2psa" | "p3" | "p4" | "p5" | "logits" => return plain(&run.tapped, tensor),
            "prob" => return plain(&run.shipped[0], "probabilities"),
            // Goldens of the first pictures of a batch may be all that was kept.
            "proto" => return self.first(plain(&run.shipped[0], "protos")?, name),
            "masks" | "masks_native" | "native_boxes" => return self.masks(call, tensor, run.input),
            _ if tensor.ends_with(".dets") => return self.detections(call, tensor),
            _ => {}
        }
        if !OF_HEADS.contains(&tensor.rsplit('.').next().unwrap_or(tensor)) {
            return Err(unknown(name));
        }
        let (answers, tensor) = self.answers(run, tensor)?;
        match (tensor, answers.head.selection) {
            ("pred", Selection::Suppression) => answers.predictions(),
            ("one2one.pred", _) => answers.corner_predictions(),
            ("pred", _) => Order { golden: &self.case.output(name)?, tolerance: self.swap_tolerance(call)? }.rows(&answers),
            ("pred_anchor", _) => {
                let golden = self.case.output(&format!("{call}.pred"))?;
                Order { golden: &golden, tolerance: self.swap_tolerance(call)? }.anchors(&answers)
            }
            ("raw_boxes", _) => answers.levels("boxes"),
            ("raw_scores", _) => answers.levels("scores"),
            ("mask_coefficient" | "kpts_raw" | "raw_angle" | "angle_raw", _) => answers.levels("extras"),
            ("angle", _) => answers.angles(),
            _ => Err(unknown(name)),
        }
    }
}

impl Golden<'_> {
    /// The network whose tensor it is, and the tensor's name there. Where there are two heads, `pred` is what the second one chose.
    fn answers<'a>(&'a self, run: &'a Run, tensor: &'a str) -> Result<(Answers<'a>, &'a str)> {
        let is_second = |head: &DetectorHead| head.selection != Selection::Suppression;
        let (wants_second, tensor) = match tensor.split_once('.') {
            Some(("one2many", rest)) => (false, rest),
            Some(("one2one", "pred")) => (true, tensor),
            Some(("one2one", rest)) => (true, rest),
            _ => (self.heads.iter().any(is_second), tensor),
        };
        let found = self.heads.iter().position(|head| is_second(head) == wants_second);
        let index = found.ok_or_else(|| Error::new(ErrorKind::BadInput, format!("the checkpoint has no head that gives `{tensor}`")))?;
        Ok((Answers { head: &self.heads[index], outputs: &run.shipped[index], input: run.input }, tensor))
    }

    /// How far scores may be apart whose order rounding decides: the noise of two of them. Where the case tells the noise of their logits, that,
    /// as a score changes by a quarter of it at most; else that of the rows.
    fn swap_tolerance(&self, call: &str) -> Result<f64> {
        let tolerance = |name: &str| Ok::<_, Error>(self.case.tolerance(name, self.case.output(name)?.magnitude()).unwrap_or(0.0));
        let logits = format!("{call}.one2one.raw_scores");
        if self.case.outputs()?.has(&logits) { Ok(tolerance(&logits)? / 2.0) } else { tolerance(&format!("{call}.pred")) }
    }

    /// As many pictures as the golden tensor has.
    fn first(&self, computed: Computed, name: &str) -> Result<Computed> {
        let count = self.case.output(name)?.shape.first().copied().unwrap_or(0);
        let Computed { mut shape, mut data } = computed;
        let pictures = shape.first().copied().unwrap_or(0);
        if count < pictures {
            data.truncate(data.len() / pictures * count);
            shape[0] = count;
        }
        Ok(Computed { shape, data })
    }

    /// `<call>.b<picture>.dets`: what of the golden predictions is kept, as rows of box, score, class and extras.
    fn detections(&self, call: &str, tensor: &str) -> Result<Computed> {
        let unknown = || unknown(&format!("{call}.{tensor}"));
        let (name, rest) = tensor.split_once(".b").ok_or_else(unknown)?;
        let picture: usize = rest.strip_suffix(".dets").and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
        let settings = self.case.postprocess(&format!("{call}.{name}"))?;
        let golden = self.case.output(&format!("{call}.{}", settings["on"].as_str().unwrap_or("pred")))?;
        let length = golden.data.len() / golden.shape[0];
        let numbers = golden.data.get(picture * length..(picture + 1) * length).ok_or_else(unknown)?;
        let head = self.heads.first().ok_or_else(|| Error::new(ErrorKind::BadInput, "the checkpoint is no detector"))?;
        let columns = 6 + head.extras.channels();
        // Of the second head, the golden rows are those that were chosen.
        let is_chosen = golden.shape.len() == 3 && golden.shape[2] == columns && settings["on"] == "pred" && self.heads.len() > 1;
        let kept = if is_chosen { chosen(head, numbers, settings)? } else { suppressed(head, numbers, settings)? };
        let mut data = Vec::with_capacity(kept.len() * columns);
        for candidate in &kept {
            data.extend(if head.extras == Extras::Angle { candidate.xywh } else { corners(candidate.xywh) });
            data.extend([candidate.score, candidate.class as f32]);
            data.extend(&candidate.extras);
        }
        Ok(Computed { shape: vec![kept.len(), columns], data })
    }

    /// Masks of the first rows of what was kept of the first picture, from golden rows and golden prototypes.
    fn masks(&self, call: &str, tensor: &str, input: Input) -> Result<Computed> {
        let Input { height, width, .. } = input;
        let settings = self.case.postprocess(&format!("{call}.masks"))?;
        let kept =
            ["nms_default", "e2e_default"].into_iter().find(|kept| settings["note"].as_str().is_some_and(|note| note.contains(kept)));
        let rows = self.case.output(&format!("{call}.{}.b0.dets", kept.unwrap_or("nms_default")))?;
        let protos = self.case.output(&format!("{call}.proto"))?;
        let side = |i: usize| settings["native_shape"][i].as_u64().unwrap_or(0) as usize;
        let (native_height, native_width) = (side(0), side(1));
        let letterbox = Letterbox::fit((native_width, native_height), (width, height))?;
        let shape = [protos.shape[1], protos.shape[2], protos.shape[3]];
        let prototypes = Prototypes::new(&protos.data[..shape.iter().product()], shape)?;
        let count = self.case.output(&format!("{call}.{tensor}"))?.shape[0];
        let columns = rows.shape[1];
        let mut data = Vec::new();
        for row in rows.data.chunks_exact(columns).take(count) {
            let bounds = [row[0], row[1], row[2], row[3]];
            let native_bounds = letterbox.unmap_box(bounds);
            match tensor {
                "native_boxes" => data.extend(native_bounds),
                "masks" => data.extend(prototypes.input_mask(&row[6..], bounds, [width, height])?.to_rows(1).into_iter().map(f32::from)),
                _ => {
                    let mask = prototypes.native_mask(&row[6..], native_bounds, [native_width, native_height])?;
                    data.extend(mask.to_rows(1).into_iter().map(f32::from));
                }
            }
        }
        let shape = match tensor {
            "native_boxes" => vec![count, 4],
            "masks" => vec![count, height, width],
            _ => vec![count, native_height, native_width],
        };
        Ok(Computed { shape, data })
    }
}

/// What a case says of thresholds, classes and counts.
fn wish(settings: &Value) -> PredictOptions {
    let number = |key: &str, default: f64| settings[key].as_f64().unwrap_or(default) as f32;
    let classes = settings["classes"].as_array().map(|list| list.iter().filter_map(|v| v.as_u64()).map(|v| v as usize).collect());
    PredictOptions {
        conf: Some(number("conf_thres", 0.25)),
        iou: Some(number("iou_thres", 0.7)),
        agnostic_nms: settings["agnostic"].as_bool().unwrap_or(false),
        max_detections: settings["max_det"].as_u64().unwrap_or(300) as usize,
        classes,
        ..PredictOptions::default()
    }
}

/// Suppression of predictions [4 + classes + extras, anchors].
fn suppressed(head: &DetectorHead, numbers: &[f32], settings: &Value) -> Result<Vec<Candidate>> {
    let wish = wish(settings);
    // One class has one label: ultralytics ignores the wish there.
    let multi_label = settings["multi_label"].as_bool().unwrap_or(false) && head.classes > 1;
    let wanted = CandidateOptions { threshold: wish.conf.unwrap_or(0.25), multi_label, classes: wish.classes.clone() };
    Ok(suppress(candidates(head, &Prediction::Decoded(numbers), &wanted)?, head.extras, &wish))
}

/// What is kept of rows that were chosen.
fn chosen(head: &DetectorHead, numbers: &[f32], settings: &Value) -> Result<Vec<Candidate>> {
    let form = HeadForm::Chosen { predictions: String::new(), protos: None };
    let head = DetectorHead { form, selection: Selection::Made, ..head.clone() };
    choose(&head, &Prediction::Chosen(numbers), &PredictOptions { iou: None, ..wish(settings) })
}

fn plain(outputs: &Outputs, name: &str) -> Result<Computed> {
    let view = outputs.f32(name)?;
    Ok(Computed { shape: view.shape, data: view.data.to_vec() })
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"))
}
