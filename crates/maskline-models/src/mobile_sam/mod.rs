//! MobileSAM (Zhang et al. 2023): Segment Anything with a TinyViT (Wu et al. 2022) as image encoder.
//!
//! `config` tells the sizes, `encoder` is the TinyViT; the mask decoder is that of [`crate::sam`].
//!
//! Source: `ChaoningZhang/MobileSAM` (`mobile_sam/modeling/tiny_vit_sam.py`, `build_sam.py`).

mod config;
mod encoder;

pub use config::{Config, Stage};
use maskline_onnx::{GeluForm, ModelHeader};
use maskline_weights::{Scope, Source};

use crate::family::{refuse_left_over, refuse_other_activations};
use crate::sam::{Decoder, first, names};
use crate::{BuildOptions, Built, Description, Family, ModelInfo, Part, Result, Task};

/// The family.
#[derive(Debug)]
pub struct MobileSam;

static DESCRIPTION: Description = Description {
    name: "mobile_sam",
    title: "MobileSAM: masks for clicks, boxes and rough masks, with a small encoder",
    tasks: &[Task::Promptable],
    architectures: &[config::ARCHITECTURE],
    licence: "Apache-2.0",
    source: "https://github.com/ChaoningZhang/MobileSAM",
};

/// Parts of the names of what is in published files and not needed: the classifier that the encoder was first trained with, tables
/// that are worked out, counters.
const KNOWN_EXTRAS: [&str; 4] = ["image_encoder.norm_head.", "image_encoder.head.", "attention_bias_idxs", "num_batches_tracked"];

impl Family for MobileSam {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        let has = |name: &str| names.contains(name);
        has("image_encoder.patch_embed.seq.0.c.weight") && has("mask_decoder.mask_tokens.weight")
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let published = |name: &str| Config::published(name, options);
        let mut config = first::choose(source, options, published, |facts| Config::of_checkpoint(checkpoint, options, facts))?;
        config.decoder = config.decoder.built_as(options);
        let decoder = Decoder::new(checkpoint, &names::OFFICIAL_1, &config.decoder);
        let encoder = encoder::graph(&decoder, &config, options)?.finish()?;
        let [plain, masked] = decoder.parts(options.dialect, options.taps)?;
        refuse_other_activations(checkpoint, GeluForm::Exact)?;
        refuse_left_over(checkpoint, "a MobileSAM", &KNOWN_EXTRAS)?;
        let info = first::info(DESCRIPTION.name, &config.architecture, config.image_size, &config.decoder);
        Ok(Built::new(info, vec![Part::encoder(encoder), plain, masked]))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}
