//! Promptable models: a picture is encoded once and answers any number of prompts.
//!
//! `prompt` is what is asked, `frame` brings pictures and prompts to the network, `cache` keeps embeddings, `embedding` and `segment`
//! are the answers, `everything` asks by itself, `decoders` holds the sessions and `choice` picks one of a prompt's masks.

mod cache;
mod choice;
mod decoders;
mod embedding;
mod everything;
mod frame;
mod parallel;
mod prompt;
mod segment;
mod store;

use std::sync::Arc;

use maskline_models::Preprocess;

pub(crate) use cache::EmbeddingCache;
pub(crate) use choice::{single_mask, stability};
pub(crate) use decoders::{Decoders, Tokens};
pub use embedding::Embedding;
pub use everything::{Everything, EverythingOptions, Origin};
pub(crate) use parallel::in_parallel;
pub use prompt::{Click, MaskPrompt, Prompt};
pub use segment::{Found, Multimask, PromptMask, SegmentOptions, Segments};

use crate::timings::{Clock, PromptTimings};
use crate::{Image, Model, Result};

impl Model {
    /// Encodes a picture, or finds its embedding in the cache.
    ///
    /// # Errors
    /// `InvalidOption` if the model takes no prompts.
    pub fn embed(&self, image: &Image) -> Result<Embedding> {
        let mut clock = Clock::start();
        let decoders = self.decoders()?;
        let preprocess: &Preprocess = &self.info().preprocess;
        let mut timings = PromptTimings { decode: image.decode, ..PromptTimings::default() };
        let side = self.info().default_size;
        let (tensors, was_cached) = self.embeddings().get_or_encode(image.content_hash(), || {
            timings.other += clock.lap();
            let values = frame::fit(image.pixels(), side, preprocess)?;
            timings.preprocess = clock.lap();
            let mut outputs = self.run(values, [1, side, side])?;
            let tensors = decoders.head.embedding().iter().map(|name| Ok(outputs.take(name)?)).collect();
            timings.image_encode = clock.lap();
            tensors
        })?;
        timings.was_cached = was_cached;
        timings.other += clock.lap();
        Embedding::new((tensors, Arc::clone(decoders)), (image.size(), preprocess), timings)
    }
}
