//! Segment Anything (Kirillov et al. 2023) with its own image encoder, a plain ViT (Li et al. 2022) in sizes B, L and H.
//!
//! `config` tells the sizes, `names` the published layouts; `encoder` is the ViT, `relative` its relative positions; the mask decoder is
//! that of [`crate::sam`].
//!
//! Source: `facebookresearch/segment-anything` (`segment_anything/modeling/image_encoder.py`, `build_sam.py`).

mod config;
mod encoder;
mod names;
mod relative;

pub use config::Config;
use maskline_onnx::{GeluForm, ModelHeader};
use maskline_weights::{Scope, Source};

use crate::family::{refuse_left_over, refuse_other_activations};
use crate::sam::{Decoder, first};
use crate::{BuildOptions, Built, Description, Family, ModelInfo, Part, Result, Task};

/// The family.
#[derive(Debug)]
pub struct Sam1;

static DESCRIPTION: Description = Description {
    name: "sam1",
    title: "Segment Anything: masks for clicks, boxes and rough masks",
    tasks: &[Task::Promptable],
    architectures: config::ARCHITECTURES,
    licence: "Apache-2.0",
    source: "https://github.com/facebookresearch/segment-anything",
};

/// Hugging Face's files hold the Gaussian matrix of positions once or twice; both copies are equal.
const KNOWN_EXTRAS: [&str; 1] = ["shared_image_embedding.positional_embedding"];

impl Family for Sam1 {
    fn description(&self) -> &Description {
        &DESCRIPTION
    }

    fn recognises(&self, names: &Scope<'_>) -> bool {
        names::of(names).is_some() && names.contains("mask_decoder.mask_tokens.weight")
    }

    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>> {
        let checkpoint = source.checkpoint();
        let published = |name: &str| Config::published(name, options);
        let mut config = first::choose(source, options, published, |facts| Config::of_checkpoint(checkpoint, options, facts))?;
        config.decoder = config.decoder.built_as(options);
        let decoder = Decoder::new(checkpoint, config.names.decoder, &config.decoder);
        let encoder = encoder::graph(&decoder, &config, options)?.finish()?;
        let [plain, masked] = decoder.parts(options.dialect, options.taps)?;
        refuse_other_activations(checkpoint, GeluForm::Exact)?;
        refuse_left_over(checkpoint, "a Segment Anything", &KNOWN_EXTRAS)?;
        let info = first::info(DESCRIPTION.name, &config.architecture, config.image_size, &config.decoder);
        Ok(Built::new(info, vec![Part::encoder(encoder), plain, masked]))
    }

    fn import(&self, _: &ModelHeader, _: &BuildOptions) -> Option<Result<ModelInfo>> {
        None
    }
}
