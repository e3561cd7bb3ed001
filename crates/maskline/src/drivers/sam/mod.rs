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

pub(super) use self::calls::{Calls, Prompters};
pub(crate) use self::decoders::Tokens;
pub(super) use self::film::CASES as VIDEO_CASES;
pub(super) use self::golden::CASES;
pub(super) use self::prompter::{Embedding, Prompter};
pub(crate) use self::video::{Asked, Cells, Choice, Decoded, Features, Past, Seen, Video};
use super::encoder::Encoder;
use super::{Call, Driver, Encoded, Inquiry, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take, Tensors};
use crate::promptable::EmbeddingFile;
use crate::verify::{AtSize, Case, Check};
use crate::{Detections, Image, Object, Result, Stages, WordOptions, limits};

/// An image encoder, and what answers from its embeddings.
#[derive(Debug)]
pub(super) struct Sam {
    parts: Parts,
    encoder: Encoder,
    prompter: Prompter,
}

impl Sam {
    pub(super) fn open(parts: Parts, head: PromptHead) -> Result<Self> {
        let encoder = Encoder::open(&parts, PromptHead::ENCODER, head.embedding())?;
        Ok(Self { prompter: Prompter::open(&parts, head)?, parts, encoder })
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.parts.info())
    }
}

impl Driver for Sam {
    fn warm_up(&self) -> Result<()> {
        let side = self.encoder.side();
        let empty = vec![0.0; limits::input_length([1, side, side])?];
        let (outputs, _) = self.encoder.run_values(empty, &Call::default())?;
        let picture: Encoded = Arc::new(self.prompter.embedding(Tensors::new(self.encoder.take(outputs)?)));
        self.prompter.tune(&picture)
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        Err(self.refusal().detection())
    }

    fn prompting(&self) -> Result<Prompting> {
        Ok(Prompter::prompting(&self.prompter.head))
    }

    fn encode(&self, image: &Image, call: &Call) -> Result<(Encoded, Stages)> {
        let (tensors, stages) = self.encoder.see(image, call)?;
        Ok((Arc::new(self.prompter.embedding(tensors)), stages))
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
