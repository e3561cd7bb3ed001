//! EfficientViT-SAM (Zhang et al. 2024): Segment Anything with an EfficientViT (Cai et al. 2023) as image encoder.
//!
//! `config` tells the sizes, `read` finds them in a checkpoint; `block` holds the blocks, `encoder` joins backbone, neck and the image
//! side of the decoder of [`crate::sam`]. Prompts are given in a square of 1024 whatever the picture's side is.
//!
//! Source: `mit-han-lab/efficientvit` (`efficientvit/models/{efficientvit,nn}`).

mod block;
mod config;
mod encoder;
mod read;

pub use config::{Block, Config, Stage};
use maskline_onnx::{GeluForm, ModelHeader};
use maskline_weights::{Scope, Source};

use crate::family::{refuse_left_over, refuse_other_activations};
use crate::sam::{Decoder, first, names};
use crate::{BuildOptions, Built, Description, Family, ModelInfo, Part, Result, Task};

/// The family.
#[derive(Debug)]
pub struct EfficientVitSam;

static DESCRIPTION: Description = Description {
    name: "efficientvit_sam",
    title: "EfficientViT-SAM: masks for clicks, boxes and rough masks, with a fast encoder",
    tasks: &[Task::Promptable],
    architectures: config::ARCHITECTURES,
    licence: "Apache-2.0",
    source: "https://github.com/mit-han-lab/efficientvit",
};

impl Family for EfficientVitSam {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        let has = |name: &str| names.contains(name);
        has("image_encoder.backbone.stages.0.op_list.0.conv.weight") && has("mask_decoder.mask_tokens.weight")
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let published = |name: &str| Config::published(name, options);
        let mut config = first::choose(source, options, published, |facts| Config::of_checkpoint(checkpoint, options, facts))?;
        config.decoder = config.decoder.built_as(options);
        let decoder = Decoder::new(checkpoint, &names::OFFICIAL_1, &config.decoder);
        let encoder = encoder::graph(&decoder, &config, options)?.finish()?;
        let [plain, masked] = decoder.parts(options.dialect, options.taps)?;
        refuse_other_activations(checkpoint, GeluForm::Tanh)?;
        refuse_left_over(checkpoint, "an EfficientViT-SAM", &["num_batches_tracked"])?;
        let info = first::info(DESCRIPTION.name, &config.architecture, config.image_size, &config.decoder);
        Ok(Built::new(info, vec![Part::encoder(encoder), plain, masked]))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}
