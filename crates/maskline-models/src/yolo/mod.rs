//! The networks of the `ultralytics` package: YOLOv8 (2023), YOLO11 (2024) and YOLO26 (2026). Detection, segmentation, pose, classification and
//! oriented boxes.
//!
//! `generation` says what sets them apart, `config` scales that and `sizes` reads it off a checkpoint; `graph`, `attention` and `head` emit the
//! network as the forward pass reads, [`decode`] turns its raw outputs into candidates, `said` reads what a checkpoint says beside its tensors and
//! `checks` compares it with them, `export` takes over existing ONNX exports.
//!
//! Source: the `ultralytics` package, version 8.4.190 (`nn/tasks.py`, `nn/modules/block.py`, `nn/modules/head.py`).

mod attention;
mod checks;
mod config;
mod conv;
pub mod decode;
mod export;
mod generation;
mod graph;
mod head;
mod labels;
mod rows;
mod said;
mod sizes;

use maskline_onnx::ModelHeader;
use maskline_weights::{Attribute, Checkpoint, Scope, Source};

use self::config::{Config, architectures};
use self::generation::{Generation, V8, V11, V26};
use self::sizes::Reading;
use crate::family::refuse_left_over;
use crate::unsupported;
use crate::{
    BuildOptions, Built, Description, DetectorHead, Error, ErrorKind, Family, HeadBranch, HeadForm, LabelSource, ModelInfo, Output, Part,
    PartRole, Preprocess, Result, Selection, SizeSource, Task,
};

/// A family: one generation.
#[derive(Debug)]
pub struct Yolo {
    generation: &'static Generation,
    description: Description,
}

/// Most objects that a head without suppression gives (ultralytics' `max_det`).
pub const MOST_CHOSEN: usize = 300;

const TASKS: &[Task] = &[Task::Detect, Task::Segment, Task::Pose, Task::Classify, Task::Obb];
const LICENCE: &str = "AGPL-3.0 (weights and reference code of Ultralytics)";
const SOURCE: &str = "https://github.com/ultralytics/ultralytics";

/// YOLOv8.
pub static YOLO_V8: Yolo = Yolo {
    generation: &V8,
    description: Description {
        name: "yolov8",
        title: "YOLOv8: detect, segment, pose, classify, oriented boxes",
        tasks: TASKS,
        architectures: architectures!("yolov8"),
        licence: LICENCE,
        source: SOURCE,
    },
};

/// YOLO11.
pub static YOLO11: Yolo = Yolo {
    generation: &V11,
    description: Description {
        name: "yolo11",
        title: "YOLO11: detect, segment, pose, classify, oriented boxes",
        tasks: TASKS,
        architectures: architectures!("yolo11"),
        licence: LICENCE,
        source: SOURCE,
    },
};

/// YOLO26.
pub static YOLO26: Yolo = Yolo {
    generation: &V26,
    description: Description {
        name: "yolo26",
        title: "YOLO26: detect, segment, pose, classify, oriented boxes; with a head that needs no suppression",
        tasks: TASKS,
        architectures: architectures!("yolo26"),
        licence: LICENCE,
        source: SOURCE,
    },
};

impl Family for Yolo {
    fn description(&self) -> &Description {
        &self.description
    }

    fn takes_any_size(&self) -> bool {
        true
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        generation_of(names).is_some_and(|generation| std::ptr::eq(generation, self.generation))
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let (checkpoint, generation) = (source.checkpoint(), self.generation);
        let config = match (&options.architecture, checkpoint.is_synthetic()) {
            (Some(name), true) => Config::published(generation, name, options.head)?,
            (None, true) => return Err(Error::new(ErrorKind::Configuration, "generated weights need the name of an architecture")),
            (_, false) => Reading { checkpoint, generation, options }.config(self.description.architectures)?,
        };
        let model = graph::network(checkpoint, &config, options)?.finish()?;
        let known = checks::not_needed(&config);
        refuse_left_over(checkpoint, generation.title, &known.iter().map(String::as_str).collect::<Vec<_>>())?;
        checks::no_other_modules(checkpoint, generation)?;
        checks::task(checkpoint, config.task)?;
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
        export::import(self.generation, header, options)
    }
}

/// The generation of a checkpoint with these names. The classifiers of YOLO11 and YOLO26 are one network: a file that does not say of which it is
/// is told by the first.
fn generation_of(names: &Scope<'_>) -> Option<&'static Generation> {
    let has = |name: &str| names.contains(name);
    let is_detector =
        |head: usize| HeadBranch::ALL.iter().any(|branch| has(&format!("model.{head}.{}cv2.0.0.conv.weight", branch.prefix())));
    if !has("model.0.conv.weight") || !has("model.2.cv1.conv.weight") || !has("model.2.m.0.cv1.conv.weight") {
        return None;
    }
    if unsupported::is_variant(names.checkpoint()) {
        return None;
    }
    // Stages of YOLOv5 have a third convolution.
    let is_v8 = (is_detector(22) && has("model.22.cv3.0.0.conv.weight")) || has("model.9.linear.weight");
    if is_v8 && !has("model.2.cv3.conv.weight") {
        return Some(&V8);
    }
    if has("model.9.m.0.attn.qkv.conv.weight") && has("model.10.linear.weight") {
        return Some(if said_name(names.checkpoint()).is_some_and(|name| name.contains(V26.name)) { &V26 } else { &V11 });
    }
    if !has("model.10.m.0.attn.qkv.conv.weight") || !is_detector(23) {
        return None;
    }
    Some(if has("model.22.m.0.1.attn.qkv.conv.weight") { &V26 } else { &V11 })
}

/// The file that a checkpoint says it was made from, e.g. `yolo26n-cls.yaml`.
fn said_name(checkpoint: &Checkpoint) -> Option<String> {
    let places: [&[&str]; 6] =
        [&["yaml_file"], &["yaml", "yaml_file"], &["model_name"], &["train_args", "model"], &["args", "model"], &["description"]];
    let said = said::told(checkpoint, &places)?;
    let name = Attribute::as_str(&said)?.rsplit(['/', '\\']).next()?.to_lowercase();
    Some(name)
}

/// What the published models of a configuration are, whose classes nobody names here.
fn of_published(config: &Config) -> ModelInfo {
    let selection = match config.head.branch {
        HeadBranch::OneToMany => Selection::Suppression,
        HeadBranch::OneToOne => Selection::Best { most: MOST_CHOSEN },
    };
    let output = match config.task {
        Task::Classify => Output::Classifier { classes: config.classes, probabilities: "probabilities".into() },
        _ => Output::Detector(DetectorHead {
            classes: config.classes,
            extras: config.extras,
            form: HeadForm::Raw { strides: head::STRIDES.to_vec(), reg_max: config.reg_max, coding: config.coding },
            selection,
        }),
    };
    ModelInfo {
        family: config.generation.name.into(),
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
