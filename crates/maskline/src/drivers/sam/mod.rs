//! Segment Anything and its kin (SAM 1, MobileSAM, EfficientViT-SAM, SAM 2 on pictures): an encoder's tensors, read by mask decoders.
//!
//! `frame` brings prompts to the network's square, `decoders` are the lanes that answer, in chunks that `chunk` chooses, `answers` makes
//! masks of what they give (`choice` picks one of a prompt's); `prompter` is all that without the encoder, for whoever has another one.
//! `golden` checks the encoder, `calls` and `upscale` what answers.

mod answers;
mod calls;
mod choice;
mod chunk;
mod decoders;
mod film;
mod frame;
mod golden;
mod prompter;
mod upscale;
mod video;

use std::sync::Arc;

use maskline_models::PromptHead;
use maskline_runtime::{Outputs, Tensor};

pub(super) use self::calls::{Calls, Prompters};
pub(super) use self::film::CASES as VIDEO_CASES;
pub(super) use self::golden::CASES;
pub(super) use self::prompter::{Embedding, Prompter};
pub(crate) use self::video::{Asked, Cells, Choice, Decoded, Features, Past, Seen, Video};
use super::square::Preparing;
use super::{Call, Driver, Encoded, Inquiry, Lanes, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take};
use crate::delays::sleep;
use crate::promptable::EmbeddingFile;
use crate::stages::Clock;
use crate::verify::{AtSize, Case, Check};
use crate::{Detections, Image, Object, Result, Stage, Stages, WordOptions, limits};

/// An image encoder, and what answers from its embeddings.
#[derive(Debug)]
pub(super) struct Sam {
    parts: Parts,
    encoder: Arc<Lanes>,
    preparing: Preparing,
    prompter: Prompter,
}

impl Sam {
    pub(super) fn open(parts: Parts, head: PromptHead) -> Result<Self> {
        let encoder = parts.open(PromptHead::ENCODER)?;
        let prompter = Prompter::open(&parts, head)?;
        let preparing = Preparing::open(&parts, parts.info().default_size)?;
        Ok(Self { parts, encoder, preparing, prompter })
    }

    /// Side of the encoder's square input.
    fn side(&self) -> usize {
        self.parts.info().default_size
    }

    /// Runs the encoder on pictures f32 [batch, 3, height, width], of which `shape` is [batch, height, width].
    fn run(&self, values: Vec<f32>, [batch, height, width]: [usize; 3], call: &Call) -> Result<(Outputs, Stages)> {
        let values = Tensor::new([batch, 3, height, width], values)?;
        self.encoder.run(vec![(self.parts.info().input.as_str(), values)], Stage::ImageEncode, call)
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.parts.info())
    }
}

impl Driver for Sam {
    fn warm_up(&self) -> Result<()> {
        let side = self.side();
        let empty = vec![0.0; limits::input_length([1, side, side])?];
        let (mut outputs, _) = self.run(empty, [1, side, side], &Call::default())?;
        let picture: Encoded = Arc::new(self.prompter.embedding(&mut outputs)?);
        self.prompter.tune(&picture)
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        Err(self.refusal().detection())
    }

    fn prompting(&self) -> Result<Prompting> {
        Ok(Prompter::prompting(&self.prompter.head))
    }

    fn encode(&self, image: &Image, call: &Call) -> Result<(Encoded, Stages)> {
        let (mut clock, mut stages, side) = (Clock::start(), Stages::default(), self.side());
        let values = self.preparing.prepare(image.pixels(), call)?;
        sleep(self.parts.delays().preprocess);
        stages.spend(Stage::Preprocess, clock.lap());
        let (mut outputs, spent) = self.run(values, [1, side, side], &call.slowed(self.parts.delays().network))?;
        Ok((Arc::new(self.prompter.embedding(&mut outputs)?), stages + spent))
    }

    fn restore(&self, file: &EmbeddingFile) -> Result<Encoded> {
        self.prompter.restore(file)
    }

    fn tune(&self, picture: &Encoded) -> Result<()> {
        self.prompter.tune(picture)
    }

    fn segment(&self, question: &Question<'_>, take: Take<'_>) -> Result<Stages> {
        self.prompter.segment(question, take)
    }

    fn sweep(&self, sweep: &Sweep<'_>, listener: &mut dyn Listener) -> Result<Stages> {
        self.prompter.sweep(sweep, listener)
    }

    fn read(&self, _: &[&str], _: &WordOptions, _: &Call) -> Result<(Vec<Encoded>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn find(&self, _: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn video(&self) -> Result<Arc<Video>> {
        Ok(Arc::new(Video::open(&self.parts, &self.prompter.head, &self.encoder)?))
    }

    fn golden<'c>(self: Arc<Self>, case: &'c Case, tapped: Arc<dyn Driver>, _: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        if film::CASES.contains(&case.family()) {
            return Ok(Box::new(film::Golden::of(case, &self, tapped)?));
        }
        Ok(Box::new(golden::Golden::of(case, &self, tapped)?))
    }
}
