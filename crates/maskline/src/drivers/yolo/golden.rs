//! Golden tensors of YOLOv8.
//!
//! Raw and decoded outputs come from the graph that ships, inner tensors from the same graph with taps. Suppression and masks
//! are computed from the *golden* predictions: their tolerances leave no room for the network's rounding.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use maskline_models::yolov8::decode::{CandidateOptions, Prediction, candidates, decode_all};
use maskline_models::{DetectorHead, Extras, HeadForm};
use maskline_runtime::Outputs;
use maskline_vision::letterbox::Letterbox;
use maskline_vision::mask::Prototypes;

use super::objects::{corners, suppress};
use super::outputs::{DetectorOutputs, Input};
use super::{Reading, Yolo};
use crate::drivers::{Call, Driver};
use crate::verify::{Case, Check, Computed};
use crate::{Error, ErrorKind, PredictOptions, Result};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["yolov8"];

pub(super) struct Golden<'c> {
    case: &'c Case,
    /// `None` of classifiers.
    head: Option<DetectorHead>,
    /// Outputs of both graphs by input name, e.g. `x0`.
    runs: HashMap<String, Run>,
}

struct Run {
    input: Input,
    shipped: Outputs,
    tapped: Outputs,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, shipped: &Yolo, tapped: Arc<dyn Driver>) -> Result<Self> {
        let tapped: Arc<dyn Any + Send + Sync> = tapped;
        let tapped = tapped.downcast::<Yolo>().map_err(|_| Error::new(ErrorKind::Failed, "the tapped model has another driver"))?;
        let head = match &shipped.reading {
            Reading::Detector(head) => Some(head.clone()),
            Reading::Classifier { .. } => None,
        };
        let mut golden = Self { case, head, runs: HashMap::new() };
        let mut calls: Vec<String> = case.outputs()?.names().iter().filter_map(|name| name.split('.').next().map(str::to_string)).collect();
        calls.dedup();
        for call in calls {
            let image = case.input(&format!("{call}.u8"))?;
            let &[batch, 3, height, width] = image.shape.as_slice() else {
                let found = format!("{:?}", image.shape);
                return Err(Error::new(ErrorKind::BadInput, format!("{call}.u8")).expecting("[batch, 3, height, width]").but_found(found));
            };
            let input = Input { batch, height, width };
            let values: Vec<f32> = image.data.iter().map(|level| level / 255.0).collect();
            let run = |yolo: &Yolo, values| Ok::<_, Error>(yolo.run(values, input, &Call::default())?.0);
            let run = Run { input, shipped: run(shipped, values.clone())?, tapped: run(&tapped, values)? };
            golden.runs.insert(call, run);
        }
        Ok(golden)
    }
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (call, tensor) = name.split_once('.').ok_or_else(unknown)?;
        let run = self.runs.get(call).ok_or_else(unknown)?;
        match tensor {
            "pred" => self.predictions(run),
            "raw_boxes" => self.levels(run, "boxes"),
            "raw_scores" => self.levels(run, "scores"),
            "mask_coefficient" | "kpts_raw" | "raw_angle" | "angle_raw" => self.levels(run, "extras"),
            "angle" => self.angles(run),
            "sppf" | "p3" | "p4" | "p5" => plain(&run.tapped, tensor),
            "logits" => plain(&run.tapped, "logits"),
            "prob" => plain(&run.shipped, "probabilities"),
            "proto" => plain(&run.shipped, "protos"),
            "masks" | "masks_native" | "native_boxes" => self.masks(call, tensor, run.input),
            _ if tensor.ends_with(".dets") => self.detections(call, tensor),
            _ => Err(unknown()),
        }
    }
}

impl Golden<'_> {
    fn head(&self) -> Result<&DetectorHead> {
        self.head.as_ref().ok_or_else(|| Error::new(ErrorKind::BadInput, "the checkpoint is no detector"))
    }

    /// The raw outputs of all levels joined along the anchors: [batch, channels, anchors].
    fn levels(&self, run: &Run, kind: &str) -> Result<Computed> {
        let HeadForm::Raw { strides, .. } = &self.head()?.form else {
            return Err(Error::new(ErrorKind::BadInput, "the head is not raw"));
        };
        let views = strides.iter().map(|s| Ok(run.shipped.f32(&format!("{kind}_{s}"))?)).collect::<Result<Vec<_>>>()?;
        let (batch, channels) = (views[0].shape[0], views[0].shape[1]);
        let mut data = Vec::new();
        for row in 0..batch * channels {
            for view in &views {
                let anchors = view.shape[2] * view.shape[3];
                data.extend_from_slice(&view.data[row * anchors..(row + 1) * anchors]);
            }
        }
        let anchors = data.len() / (batch * channels);
        Ok(Computed { shape: vec![batch, channels, anchors], data })
    }

    /// The angles of rotated boxes in radians, [batch, 1, anchors]: the last rows of the predictions.
    fn angles(&self, run: &Run) -> Result<Computed> {
        let head = self.head()?;
        if head.extras != Extras::Angle {
            return Err(Error::new(ErrorKind::BadInput, "the checkpoint has no rotated boxes"));
        }
        let Computed { shape, data } = self.predictions(run)?;
        let &[batch, channels, anchors] = shape.as_slice() else {
            let error = Error::new(ErrorKind::BadInput, "").expecting("predictions [batch, channels, anchors]");
            return Err(error.but_found(format!("{shape:?}")));
        };
        let angles = data.chunks_exact((channels * anchors).max(1)).flat_map(|picture| &picture[(channels - 1) * anchors..]);
        Ok(Computed { shape: vec![batch, 1, anchors], data: angles.copied().collect() })
    }

    fn predictions(&self, run: &Run) -> Result<Computed> {
        let head = self.head()?;
        let batch = run.input.batch;
        let outputs = DetectorOutputs::new(&run.shipped, head, run.input)?;
        let mut data = Vec::new();
        for picture in 0..batch {
            match outputs.of(picture).prediction {
                Prediction::Raw(levels) => data.extend(decode_all(head, &levels)?),
                Prediction::Decoded(rows) => data.extend_from_slice(rows),
            }
        }
        let channels = 4 + head.classes + head.extras.channels();
        Ok(Computed { shape: vec![batch, channels, data.len() / (batch * channels)], data })
    }

    /// `nms_<name>.b<picture>.dets`: suppression of the golden predictions, as rows of box, score, class and extras.
    fn detections(&self, call: &str, tensor: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{call}.{tensor}`"));
        let (nms, rest) = tensor.split_once(".b").ok_or_else(unknown)?;
        let picture: usize = rest.strip_suffix(".dets").and_then(|n| n.parse().ok()).ok_or_else(unknown)?;
        let settings = self.case.postprocess(&format!("{call}.{nms}"))?;
        let head = self.head()?;
        let number = |key: &str, default: f64| settings[key].as_f64().unwrap_or(default) as f32;
        let is_set = |key: &str| settings[key].as_bool().unwrap_or(false);
        let classes = settings["classes"].as_array().map(|list| list.iter().filter_map(|v| v.as_u64()).map(|v| v as usize).collect());
        let options = PredictOptions {
            conf: Some(number("conf_thres", 0.25)),
            iou: Some(number("iou_thres", 0.7)),
            agnostic_nms: is_set("agnostic"),
            max_detections: settings["max_det"].as_u64().unwrap_or(300) as usize,
            ..PredictOptions::default()
        };
        // One class has one label: ultralytics ignores the wish there.
        let multi_label = is_set("multi_label") && head.classes > 1;
        let wanted = CandidateOptions { threshold: number("conf_thres", 0.25), multi_label, classes };
        let golden = self.case.output(&format!("{call}.pred"))?;
        let length = golden.data.len() / golden.shape[0];
        let rows = golden.data.get(picture * length..(picture + 1) * length).ok_or_else(unknown)?;
        let kept = suppress(candidates(head, &Prediction::Decoded(rows), &wanted)?, head.extras, &options);
        let columns = 6 + head.extras.channels();
        let mut data = Vec::with_capacity(kept.len() * columns);
        for candidate in &kept {
            data.extend(if head.extras == Extras::Angle { candidate.xywh } else { corners(candidate.xywh) });
            data.extend([candidate.score, candidate.class as f32]);
            data.extend(&candidate.extras);
        }
        Ok(Computed { shape: vec![kept.len(), columns], data })
    }

    /// Masks of the first rows of `nms_default.b0`, from golden rows and golden prototypes.
    fn masks(&self, call: &str, tensor: &str, input: Input) -> Result<Computed> {
        let Input { height, width, .. } = input;
        let rows = self.case.output(&format!("{call}.nms_default.b0.dets"))?;
        let protos = self.case.output(&format!("{call}.proto"))?;
        let native = &self.case.postprocess(&format!("{call}.masks"))?["native_shape"];
        let side = |i: usize| native[i].as_u64().unwrap_or(0) as usize;
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

fn plain(outputs: &Outputs, name: &str) -> Result<Computed> {
    let view = outputs.f32(name)?;
    Ok(Computed { shape: view.shape, data: view.data.to_vec() })
}
