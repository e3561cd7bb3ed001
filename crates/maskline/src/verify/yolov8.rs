//! Golden tensors of YOLOv8.
//!
//! Raw and decoded outputs come from the graph that ships, inner tensors from the same graph with taps. Suppression and masks
//! are computed from the *golden* predictions: their tolerances leave no room for the network's rounding.

use std::collections::HashMap;
use std::path::Path;

use maskline_models::yolov8::decode::{CandidateOptions, Prediction, candidates, decode_all};
use maskline_models::{DetectorHead, Extras, HeadForm, Output};
use maskline_runtime::Outputs;
use maskline_vision::letterbox::Letterbox;
use maskline_vision::mask::Prototypes;

use super::Computed;
use super::case::Case;
use crate::network::DetectorOutputs;
use crate::postprocess::{corners, suppress};
use crate::{BundleOptions, Engine, Error, ErrorKind, LoadOptions, Model, PredictOptions, Result};

pub(super) struct Check<'c> {
    case: &'c Case,
    shipped: Model,
    tapped: Model,
    /// Outputs of both graphs by input name, e.g. `x0`.
    runs: HashMap<String, Run>,
}

struct Run {
    shape: [usize; 3],
    shipped: Outputs,
    tapped: Outputs,
}

impl<'c> Check<'c> {
    pub(super) fn load(engine: &Engine, case: &'c Case, checkpoint: &Path) -> Result<Self> {
        let shape = case.config()["kpt_shape"].as_array().map(|list| list.iter().filter_map(|v| v.as_u64()).collect::<Vec<_>>());
        let keypoint_shape = shape.and_then(|shape| match shape.as_slice() {
            &[count, dims] => Some([count as usize, dims as usize]),
            _ => None,
        });
        let load = |taps: bool| {
            let bundle = BundleOptions { keypoint_shape, taps, dialect: case.dialect(), ..BundleOptions::default() };
            engine.load(checkpoint, &LoadOptions { warm_up: false, bundle, ..LoadOptions::default() })
        };
        let mut check = Self { case, shipped: load(false)?, tapped: load(true)?, runs: HashMap::new() };
        let mut calls: Vec<String> = case.outputs()?.names().iter().filter_map(|name| name.split('.').next().map(str::to_string)).collect();
        calls.dedup();
        for call in calls {
            let image = case.input(&format!("{call}.u8"))?;
            let &[batch, 3, height, width] = image.shape.as_slice() else {
                return Err(Error::new(
                    ErrorKind::BadInput,
                    format!("{call}.u8: expected [batch, 3, height, width], found {:?}", image.shape),
                ));
            };
            let shape = [batch, height, width];
            let values: Vec<f32> = image.data.iter().map(|level| level / 255.0).collect();
            let run = Run { shape, shipped: check.shipped.run(values.clone(), shape)?, tapped: check.tapped.run(values, shape)? };
            check.runs.insert(call, run);
        }
        Ok(check)
    }
}

impl super::Check for Check<'_> {
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
            "masks" | "masks_native" | "native_boxes" => self.masks((call, tensor), run.shape),
            _ if tensor.ends_with(".dets") => self.detections(call, tensor),
            _ => Err(unknown()),
        }
    }
}

impl Check<'_> {
    fn head(&self) -> Result<&DetectorHead> {
        match &self.shipped.info().output {
            Output::Detector(head) => Ok(head),
            _ => Err(Error::new(ErrorKind::BadInput, "the checkpoint is no detector")),
        }
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
            return Err(Error::new(ErrorKind::BadInput, format!("expected predictions [batch, channels, anchors], found {shape:?}")));
        };
        let angles = data.chunks_exact((channels * anchors).max(1)).flat_map(|picture| &picture[(channels - 1) * anchors..]);
        Ok(Computed { shape: vec![batch, 1, anchors], data: angles.copied().collect() })
    }

    fn predictions(&self, run: &Run) -> Result<Computed> {
        let head = self.head()?;
        let [batch, height, width] = run.shape;
        let outputs = DetectorOutputs::new(&run.shipped, head, ([height, width], batch))?;
        let mut data = Vec::new();
        for picture in 0..batch {
            match outputs.prediction(picture) {
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
            conf: number("conf_thres", 0.25),
            iou: number("iou_thres", 0.7),
            agnostic_nms: is_set("agnostic"),
            max_detections: settings["max_det"].as_u64().unwrap_or(300) as usize,
            ..PredictOptions::default()
        };
        // One class has one label: ultralytics ignores the wish there.
        let multi_label = is_set("multi_label") && head.classes > 1;
        let wanted = CandidateOptions { threshold: options.conf, multi_label, classes };
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
    fn masks(&self, (call, tensor): (&str, &str), [_, height, width]: [usize; 3]) -> Result<Computed> {
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
