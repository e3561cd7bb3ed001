//! Promptable models: a picture is encoded once and answers any number of prompts.
//!
//! `prompt` is what is asked, `frame` brings pictures and prompts to the network, `cache` keeps embeddings, `embedding` and `segment`
//! are the answers, `detections` asks about a detector's objects, `everything` asks by itself. Two ways lead from prompts to masks:
//! `encoded` (an encoder's tensors, read by `decoders` in chunks that `chunk` chooses; `choice` picks one of a prompt's masks), and
//! `looks` (a small network that sees a part of the picture per prompt).

mod cache;
mod choice;
mod chunk;
mod decoders;
mod detections;
mod embedding;
mod encoded;
mod everything;
mod frame;
mod looks;
mod parallel;
mod prompt;
mod segment;
mod separate;
mod store;

use std::sync::Arc;

use maskline_models::Preprocess;
use maskline_vision::look::Pyramid;

pub(crate) use cache::EmbeddingCache;
pub(crate) use choice::{single_mask, stability};
pub(crate) use decoders::{Decoders, Tokens};
pub use embedding::Embedding;
use embedding::{Kept, Source};
use encoded::Encoded;
pub use everything::{Everything, EverythingOptions, Origin, Progress, Watch};
use frame::View;
use looks::Looks;
pub(crate) use looks::Viewer;
pub(crate) use parallel::in_parallel;
pub use prompt::{Click, MaskPrompt, PartLogits, Prompt};
pub use segment::{Found, Multimask, PromptMask, SegmentOptions, Segments};

use std::time::{Duration, Instant};

use crate::delays::sleep;
use crate::timings::{Clock, PromptTimings};
use crate::{EmbeddingSource, Image, Model, Result};

/// What answers prompts.
#[derive(Debug, Clone)]
pub(crate) enum Answerer {
    /// Decoders of an encoder's tensors.
    Decoders(Arc<Decoders>),
    /// A network that looks at the picture itself.
    Viewer(Arc<Viewer>),
}

impl Answerer {
    /// Name of the bundle: what made an embedding.
    fn bundle(&self) -> &str {
        match self {
            Self::Decoders(decoders) => decoders.bundle(),
            Self::Viewer(viewer) => viewer.bundle(),
        }
    }
}

impl Model {
    /// Encodes a picture, or finds its embedding in the cache.
    ///
    /// # Errors
    /// `InvalidOption` if the model takes no prompts; `BadInput` for a picture without pixels, or too thin to be scaled to the network's
    /// input.
    pub fn embed(&self, image: &Image) -> Result<Embedding> {
        let mut clock = Clock::start();
        let mut timings = PromptTimings { decode: image.decode, ..PromptTimings::default() };
        // Before the cache: a model without prompts has none.
        self.answerer()?;
        image.check()?;
        let got = self.embeddings().get_or_encode(image.content_hash(), |waited| {
            timings.other += clock.lap().saturating_sub(waited);
            self.encode(image, (&mut timings, &mut clock))
        })?;
        timings.queue += got.waited;
        timings.other += match got.source {
            EmbeddingSource::Miss => clock.lap(),
            _ => clock.lap().saturating_sub(got.waited),
        };
        timings.embedding = got.source;
        self.embedding(got.kept, image.size(), timings)
    }

    /// Encodes a picture and neither asks the cache nor keeps the embedding there: for pictures that do not come again, and to measure.
    ///
    /// # Errors
    /// As [`Model::embed`].
    pub fn embed_uncached(&self, image: &Image) -> Result<Embedding> {
        let mut clock = Clock::start();
        let mut timings = PromptTimings { decode: image.decode, embedding: EmbeddingSource::Miss, ..PromptTimings::default() };
        self.answerer()?;
        image.check()?;
        timings.other += clock.lap();
        let kept = self.encode(image, (&mut timings, &mut clock))?;
        timings.other += clock.lap();
        self.embedding(kept, image.size(), timings)
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
        match (self.answerer()?, embedding.kept()) {
            (Answerer::Decoders(decoders), Kept::Tensors(tensors)) => decoders.tune(&tensors)?,
            (Answerer::Viewer(viewer), Kept::Pyramid(_)) => viewer.warm_up()?,
            _ => return Err(crate::Error::new(crate::ErrorKind::InvalidOption, "embedding: expected one of this model, found another's")),
        }
        Ok(start.elapsed())
    }

    fn encode(&self, image: &Image, (timings, clock): (&mut PromptTimings, &mut Clock)) -> Result<Kept> {
        let delays = self.delays();
        let decoders = match self.answerer()? {
            Answerer::Decoders(decoders) => decoders,
            Answerer::Viewer(viewer) => {
                let pyramid = Pyramid::new(image.pixels(), viewer.optics().input);
                sleep(delays.preprocess);
                timings.preprocess = clock.lap();
                return Ok(Kept::Pyramid(Arc::new(pyramid)));
            }
        };
        let preprocess: &Preprocess = &self.info().preprocess;
        let side = self.info().default_size;
        let values = frame::fit(image.pixels(), side, preprocess)?;
        sleep(delays.preprocess);
        timings.preprocess = clock.lap();
        let (mut outputs, work) = self.ask(values, [1, side, side])?;
        let tensors = decoders.head.embedding().iter().map(|name| Ok(outputs.take(name)?)).collect::<Result<Vec<_>>>()?;
        sleep(delays.network);
        timings.queue += work.queue;
        timings.image_encode = clock.lap().saturating_sub(work.queue);
        Ok(Kept::Tensors(Arc::new(tensors)))
    }

    /// An embedding of what is kept of a picture; `size` is its width and height.
    fn embedding(&self, kept: Kept, size: (usize, usize), timings: PromptTimings) -> Result<Embedding> {
        let source = match (self.answerer()?, kept) {
            (Answerer::Decoders(decoders), Kept::Tensors(tensors)) => {
                let view = View::new(size, (&self.info().preprocess, &decoders.head))?;
                Source::Encoded(Encoded { tensors, decoders: Arc::clone(decoders), view })
            }
            (Answerer::Viewer(viewer), Kept::Pyramid(pyramid)) => Source::Looks(Looks { pyramid, viewer: Arc::clone(viewer), size }),
            _ => return Err(crate::Error::new(crate::ErrorKind::Failed, "the embedding is of another kind than the model's")),
        };
        Ok(Embedding::new(source, size, (timings, self.delays())))
    }
}
