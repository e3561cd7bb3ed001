//! nano: maskline's own small segmenter, which the binary carries, so that the first mask needs no download.
//!
//! The network sees one object at a time, through a frame that the host lays on the picture (`maskline_vision::look`): a window
//! around a box, or a fovea around a click, whose answer is then refined through windows. `config` tells the sizes, `graph` is a
//! U-net (Ronneberger et al. 2015) of dense 3×3 convolutions with attention at its coarsest scale.
//!
//! Source: `training/nano/model.py` of this repository, which trains it from scratch.

mod config;
mod graph;

pub use config::Config;
use maskline_onnx::ModelHeader;
use maskline_weights::{Scope, Source};

use crate::family::refuse_left_over;
use crate::{
    BuildOptions, Built, Description, Family, LabelSource, LookHead, ModelInfo, Output, Part, PartRole, Preprocess, Result, SizeSource,
    Task,
};

/// The family.
#[derive(Debug)]
pub struct Nano;

static DESCRIPTION: Description = Description {
    name: "nano",
    title: "nano: masks for clicks, boxes and rough masks, small enough to be carried by the binary",
    tasks: &[Task::Promptable],
    architectures: &[config::ARCHITECTURE],
    licence: "MIT OR Apache-2.0",
    source: "training/ of this repository",
};

/// Parts of the names of what training checkpoints hold beside the weights.
const KNOWN_EXTRAS: [&str; 1] = ["num_batches_tracked"];

impl Family for Nano {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn takes_any_size(&self) -> bool {
        true
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        ["stem.0.weight", "residuals.0.first.0.weight", "attentions.0.qkv.weight"].iter().all(|name| names.contains(name))
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let config = if checkpoint.is_synthetic() { Config::published() } else { Config::of_checkpoint(checkpoint)? };
        let head = LookHead::nano();
        let model = graph::graph(checkpoint, &config, &head, options.dialect)?.finish()?;
        refuse_left_over(checkpoint, "a nano", &KNOWN_EXTRAS)?;
        let info = ModelInfo {
            family: DESCRIPTION.name.into(),
            architecture: config::ARCHITECTURE.into(),
            task: Task::Promptable,
            labels: vec![],
            labels_from: LabelSource::None,
            weights_notes: vec![],
            input: LookHead::PLANES.into(),
            preprocess: Preprocess::Pyramid,
            default_size: head.input,
            size_from: SizeSource::default(),
            fixed_size: Some([head.input; 2]),
            fixed_batch: None,
            parts: vec![],
            memory: None,
            output: Output::Looks(head),
        };
        Ok(Built::new(info, vec![Part { name: LookHead::SEGMENTER, role: PartRole::Segmenter, eager: true, model }]))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}
