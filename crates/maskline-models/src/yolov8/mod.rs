//! YOLOv8 (Ultralytics 2023): detection, segmentation, pose, classification and oriented boxes.
//!
//! `config` reads the sizes off the checkpoint, `graph` and `head` emit the network as the forward pass reads, [`decode`]
//! turns its raw outputs into candidates, `said` reads what a checkpoint says beside its tensors, `export` takes over existing ONNX exports.
//!
//! Source: the `ultralytics` package, version 8.4.190 (`nn/tasks.py`, `nn/modules/head.py`).

mod config;
pub mod decode;
mod export;
mod graph;
mod head;
mod labels;
mod said;

pub use config::Config;
use maskline_onnx::ModelHeader;
use maskline_weights::{Scope, Source};

use crate::family::refuse_left_over;
use crate::{
    BuildOptions, Built, Description, DetectorHead, Error, ErrorKind, Family, HeadForm, LabelSource, ModelInfo, Output, Part, PartRole,
    Preprocess, Result, SizeSource, Task,
};

/// The family.
#[derive(Debug)]
pub struct YoloV8;

static DESCRIPTION: Description = Description {
    name: "yolov8",
    title: "YOLOv8: detect, segment, pose, classify, oriented boxes",
    tasks: &[Task::Detect, Task::Segment, Task::Pose, Task::Classify, Task::Obb],
    architectures: config::ARCHITECTURES,
    licence: "AGPL-3.0 (weights and reference code of Ultralytics)",
    source: "https://github.com/ultralytics/ultralytics",
};

/// Tensors that are in checkpoints and not in the network.
const KNOWN_EXTRAS: [&str; 1] = [".num_batches_tracked"];

impl Family for YoloV8 {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn takes_any_size(&self) -> bool {
        true
    }

    /// The C2f blocks set it apart from YOLOv5, the index of the head from YOLO11 and others.
    fn recognises(&self, names: &Scope<'_>) -> bool {
        let has = |name: &str| names.contains(name);
        has("model.0.conv.weight")
            && has("model.2.cv1.conv.weight")
            && has("model.2.m.0.cv1.conv.weight")
            && !has("model.2.cv3.conv.weight")
            && ((has("model.22.cv2.0.0.conv.weight") && has("model.22.cv3.0.0.conv.weight")) || has("model.9.linear.weight"))
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let config = match (&options.architecture, checkpoint.is_synthetic()) {
            (Some(name), true) => Config::published(name)?,
            (None, true) => return Err(Error::new(ErrorKind::Configuration, "generated weights need the name of an architecture")),
            (_, false) => Config::of_checkpoint(checkpoint, options)?,
        };
        let model = graph::network(checkpoint, &config, options)?.finish()?;
        refuse_left_over(checkpoint, "a YOLOv8", &KNOWN_EXTRAS)?;
        said::check_no_other_modules(checkpoint)?;
        said::check_task(checkpoint, config.task)?;
        let (name, role) = match part_role(config.task) {
            PartRole::Classifier => ("classifier", PartRole::Classifier),
            role => ("detector", role),
        };
        let (labels, labels_from) = labels::of_checkpoint(checkpoint, &config, options)?;
        let (default_size, size_from) = said::picture_side(checkpoint, config.task)?;
        let info = ModelInfo { labels, labels_from, default_size, size_from, ..of_published(&config) };
        if let Output::Detector(head) = &info.output {
            head.check()?;
        }
        Ok(Built::new(info, vec![Part { name, role, eager: true, model }]))
    }

    fn import(&self, header: &ModelHeader, options: &BuildOptions) -> Option<Result<ModelInfo>> {
        export::import(header, options)
    }
}

/// What the published models of a configuration are, whose classes nobody names here.
fn of_published(config: &Config) -> ModelInfo {
    let output = match config.task {
        Task::Classify => Output::Classifier { classes: config.classes, probabilities: "probabilities".into() },
        _ => Output::Detector(DetectorHead {
            classes: config.classes,
            extras: config.extras,
            form: HeadForm::Raw { strides: head::STRIDES.to_vec(), reg_max: config.reg_max },
        }),
    };
    ModelInfo {
        family: DESCRIPTION.name.into(),
        architecture: config.architecture.clone(),
        task: config.task,
        labels: vec![],
        labels_from: LabelSource::None,
        weights_notes: vec![],
        input: graph::INPUT.into(),
        preprocess: preprocess(config.task),
        default_size: default_size(config.task),
        size_from: SizeSource::Published,
        fixed_size: None,
        fixed_batch: None,
        parts: vec![],
        memory: None,
        output,
    }
}

fn part_role(task: Task) -> PartRole {
    match task {
        Task::Classify => PartRole::Classifier,
        _ => PartRole::Detector,
    }
}

fn preprocess(task: Task) -> Preprocess {
    match task {
        Task::Classify => Preprocess::CenterCrop,
        _ => Preprocess::Letterbox { stride: 32 },
    }
}

/// The size that the published models were trained at.
fn default_size(task: Task) -> usize {
    match task {
        Task::Classify => 224,
        Task::Obb => 1024,
        _ => 640,
    }
}
