//! SAM 2.1 (Ravi et al. 2024): a Hiera trunk, a feature pyramid, the mask decoder of [`crate::sam`], and the memory of
//! [`crate::memory`].
//!
//! `config` tells the sizes, `hiera` is the trunk, `encoder` joins trunk, pyramid and the image side of the decoder, `names` the
//! published layouts.
//!
//! Source: `facebookresearch/sam2` (`modeling/backbones`, `modeling/sam2_base.py`, `sam2_image_predictor.py`).

mod config;
mod encoder;
mod hiera;
mod names;

pub use config::{Config, Stage};
use maskline_onnx::{GeluForm, ModelHeader};
use maskline_weights::{Scope, Source};

use crate::family::{refuse_left_over, refuse_other_activations};
use crate::memory::Memory;
use crate::sam::Decoder;
use crate::{
    BuildOptions, Built, Description, Error, ErrorKind, EverythingDefaults, Family, LabelSource, ModelInfo, Normalise, Output, Part,
    Preprocess, PromptHead, Result, SizeSource, Task,
};

/// The family.
#[derive(Debug)]
pub struct Sam2;

static DESCRIPTION: Description = Description {
    name: "sam2",
    title: "SAM 2.1: masks for clicks, boxes and rough masks",
    tasks: &[Task::Promptable],
    architectures: config::ARCHITECTURES,
    licence: "Apache-2.0",
    source: "https://github.com/facebookresearch/sam2",
};

/// Masks that are given again as prompts are cut to this (`sam2_image_predictor.py`, `predict`).
const PROMPT_LOGIT_LIMIT: f32 = 32.0;

impl Family for Sam2 {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        let has = |name: &str| names.contains(name);
        (has("image_encoder.trunk.pos_embed_window") && has("sam_mask_decoder.mask_tokens.weight"))
            || (has("vision_encoder.backbone.pos_embed_window") && has("mask_decoder.mask_tokens.weight"))
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let mut config = match (&options.architecture, checkpoint.is_synthetic()) {
            (Some(name), true) => Config::published(name, options)?,
            (None, true) => return Err(Error::new(ErrorKind::Configuration, "generated weights need the name of an architecture")),
            (_, false) => Config::of_source(source, options)?,
        };
        config.decoder = config.decoder.built_as(options);
        let encoder = encoder::graph(checkpoint, &config, options)?.finish()?;
        let decoder = Decoder::new(checkpoint, config.decoder_names, &config.decoder);
        let [plain, masked] = decoder.parts(options.dialect, options.taps)?;
        let mut parts = vec![Part::encoder(encoder), plain, masked];
        let mut info = info(&config);
        if let Some(sizes) = &config.memory {
            let memory = Memory { scope: checkpoint.root(), names: config.memory_names, config: sizes };
            parts.extend(decoder.object_parts(&memory, options.dialect)?);
            parts.extend(memory.parts(options.dialect, options.taps)?);
            info.memory = Some(memory.head());
        }
        let mut known = names::KNOWN_EXTRAS.to_vec();
        if config.memory.is_none() {
            known.extend(names::MEMORY);
        }
        // The position encoding of prompts is stored twice; both copies are equal.
        known.push("shared_image_embedding.positional_embedding");
        refuse_other_activations(checkpoint, GeluForm::Exact)?;
        refuse_left_over(checkpoint, "a SAM 2.1", &known)?;
        Ok(Built::new(info, parts))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}

fn info(config: &Config) -> ModelInfo {
    let size = config.image_size;
    ModelInfo {
        family: DESCRIPTION.name.into(),
        architecture: config.architecture.clone(),
        task: Task::Promptable,
        labels: vec![],
        labels_from: LabelSource::None,
        weights_notes: vec![],
        input: encoder::INPUT.into(),
        preprocess: Preprocess::Stretch(Normalise::IMAGENET),
        default_size: size,
        size_from: SizeSource::default(),
        fixed_size: Some([size, size]),
        fixed_batch: None,
        parts: vec![],
        memory: None,
        output: Output::Promptable(PromptHead {
            grid: config.decoder.grid,
            space: config.decoder.space,
            masks: config.decoder.masks,
            object_score: true,
            high_resolution: true,
            decoder: config.decoder.form,
            always_padded: true,
            single: config.single,
            everything: EverythingDefaults::SAM_2,
            prompt_logit_limit: Some(PROMPT_LOGIT_LIMIT),
        }),
    }
}
