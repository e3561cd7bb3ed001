//! Promptable models: a picture is encoded once and answers any number of prompts.
//!
//! `prompt` is what is asked, `embedding` an encoded picture (`store` writes it to a file), `segment` its answers (`separate` parts those
//! that overlap), `detections` asks about a detector's objects, `everything` asks by itself. How a family's networks do it is its
//! [driver](crate::drivers)'s business.

mod detections;
mod embedding;
mod everything;
mod prompt;
mod segment;
mod separate;
mod store;

use std::time::{Duration, Instant};

pub use detections::Masked;
pub(crate) use detections::masked;
pub use embedding::Embedding;
pub(crate) use everything::POINTS_TOGETHER;
pub use everything::{Everything, EverythingOptions, Origin, Progress, Watch};
pub(crate) use prompt::within_reach;
pub use prompt::{Click, MaskPrompt, PartLogits, Prompt};
pub use segment::{Found, Multimask, PromptMask, SegmentOptions, Segments};
pub(crate) use separate::keep_apart;
pub(crate) use store::{EmbeddingFile, Stored};

use crate::drivers::Call;
use crate::{EmbeddingSource, Image, Model, Result, Stage, Stages};

impl Model {
    /// Encodes a picture, or finds its embedding in the cache.
    ///
    /// # Errors
    /// `InvalidOption` if the model is not asked about encoded pictures; `BadInput` for a picture too thin to be scaled to the network's
    /// input.
    pub fn embed(&self, image: &Image) -> Result<Embedding> {
        self.embed_for(image, &Call::default())
    }

    /// As [`Model::embed`], for somebody.
    pub(crate) fn embed_for(&self, image: &Image, call: &Call) -> Result<Embedding> {
        let start = Instant::now();
        let mut stages = Stages::of_embedding();
        let got = self.pictures().get_or_make(image.content_hash(), call.deadline, |_| {
            let (encoded, spent) = self.driver().encode(image, call)?;
            stages += spent;
            Ok(encoded)
        })?;
        stages.spend(Stage::Queue, got.waited);
        let mut stages = stages.rest(Stage::Other, start);
        stages.spend(Stage::Decode, image.decode);
        stages.set_embedding(got.source);
        Ok(Embedding::new(self.driver().clone(), got.value, image.size()).told(stages, self))
    }

    /// The embedding of a picture, where the cache has it; nothing is computed, and no hit or miss is counted.
    pub fn embedding_of(&self, image: &Image) -> Option<Embedding> {
        let encoded = self.pictures().get(image.content_hash())?;
        let mut stages = Stages::of_embedding();
        stages.spend(Stage::Decode, image.decode);
        stages.set_embedding(EmbeddingSource::Hit);
        Some(Embedding::new(self.driver().clone(), encoded, image.size()).told(stages, self))
    }

    /// Encodes a picture and neither asks the cache nor keeps the embedding there: for pictures that do not come again, and to measure.
    ///
    /// # Errors
    /// As [`Model::embed`].
    pub fn embed_uncached(&self, image: &Image) -> Result<Embedding> {
        let start = Instant::now();
        let (encoded, spent) = self.driver().encode(image, &Call::default())?;
        let mut stages = (Stages::of_embedding() + spent).rest(Stage::Other, start);
        stages.spend(Stage::Decode, image.decode);
        stages.set_embedding(EmbeddingSource::Miss);
        Ok(Embedding::new(self.driver().clone(), encoded, image.size()).told(stages, self))
    }

    /// Encodes a picture, or finds its embedding in the cache, and answers prompts on it: [`Model::embed`] and [`Embedding::find`] in one
    /// call, with the times of both.
    ///
    /// # Errors
    /// As [`Model::embed`] and [`Embedding::find`].
    pub fn find(&self, image: &Image, prompts: &[Prompt], options: &SegmentOptions) -> Result<Found> {
        let embedding = self.embed(image)?;
        let found = embedding.find(prompts, options)?;
        Ok(Found { timings: *embedding.timings() + found.timings, ..found })
    }

    /// Finds out how many prompts to answer together, unless that is known already, and what it took: what is left of warming up when a
    /// picture has been encoded and asked about.
    ///
    /// # Errors
    /// `InvalidOption` if the embedding is another model's; as [`Embedding::segment`].
    pub fn tune(&self, embedding: &Embedding) -> Result<Duration> {
        let start = Instant::now();
        self.driver().tune(embedding.encoded())?;
        Ok(start.elapsed())
    }
}
