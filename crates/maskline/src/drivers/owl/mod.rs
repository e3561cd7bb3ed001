//! Finders of what words and examples say (OWL-ViT, OWLv2): what patches of a picture look like, against what is looked for.
//!
//! `sight` is an encoded picture, `words` are encoded phrases (`templates` are published phrasings), `likeness` is the product of both,
//! `example` chooses the patch that stands for an example, `objects` makes answers; `golden` checks it all.

mod example;
mod golden;
mod likeness;
mod objects;
mod sight;
mod templates;
mod words;

use std::sync::Arc;
use std::time::Instant;

use maskline_models::{ModelInfo, Preprocess, WordHead};
use maskline_vision::Object;

pub(super) use self::golden::CASES;
use self::sight::Sight;
use super::encoder::Encoder;
use super::words::{Form, Reader, Reading};
use super::{Call, Driver, Encoded, Inquiry, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take, Video, made_here};
use crate::delays::sleep;
use crate::promptable::EmbeddingFile;
use crate::verify::{AtSize, Case, Check};
use crate::{Detections, Image, Result, Stage, Stages, Usual, WordOptions, limits};

/// An image encoder, and a reader of words.
#[derive(Debug)]
pub(super) struct Owl {
    parts: Parts,
    head: WordHead,
    encoder: Encoder,
    reader: Reader,
}

impl Owl {
    pub(super) fn open(parts: Parts, head: WordHead) -> Result<Self> {
        // What is found of a picture is read by the host alone.
        let encoder = Encoder::open(&parts, WordHead::IMAGE_ENCODER, &[])?;
        let WordHead { context, vocabulary, tokenizer, width, .. } = head;
        let reader = Reader::new(&parts, Reading { context, vocabulary, tokenizer, cleaning: None, width, form: Form::OneRow });
        Ok(Self { parts, head, encoder, reader })
    }

    fn info(&self) -> &ModelInfo {
        self.parts.info()
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.info())
    }
}

/// What boxes in 0..1 of the input are multiplied by to be pixels of a picture of this `size`, its width and height.
fn extent(info: &ModelInfo, size: (usize, usize)) -> [f32; 2] {
    let (width, height) = size;
    match info.preprocess {
        Preprocess::PaddedSquare(_) => [width.max(height) as f32; 2],
        _ => [width as f32, height as f32],
    }
}

impl Driver for Owl {
    fn warm_up(&self) -> Result<()> {
        let side = self.encoder.side();
        self.encoder.run_values(vec![0.0; limits::input_length([1, side, side])?], &Call::default())?;
        self.reader.warm_up()
    }

    fn usual(&self) -> Usual {
        Usual { conf: Some(objects::WORD_SCORE), conf_of_examples: Some(objects::EXAMPLE_SCORE), iou: None }
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        Err(self.refusal().unasked())
    }

    fn prompting(&self) -> Result<Prompting> {
        Err(self.refusal().prompts().with_help("say what to look for, in words or by an example"))
    }

    fn encode(&self, image: &Image, call: &Call) -> Result<(Encoded, Stages)> {
        let (mut outputs, stages) = self.encoder.run_on(image, call)?;
        Ok((Arc::new(Sight::of(&mut outputs, &self.head)?), stages))
    }

    fn restore(&self, file: &EmbeddingFile) -> Result<Encoded> {
        Ok(Arc::new(Sight::restore(file, &self.head)?))
    }

    /// There is only one way.
    fn tune(&self, picture: &Encoded) -> Result<()> {
        made_here::<Sight>(picture).map(drop)
    }

    fn segment(&self, _: &Question<'_>, _: Take<'_>) -> Result<Stages> {
        self.prompting().map(|_| Stages::default())
    }

    fn sweep(&self, _: &Sweep<'_>, _: &mut dyn Listener) -> Result<Stages> {
        self.prompting().map(|_| Stages::default())
    }

    fn read(&self, phrases: &[&str], options: &WordOptions, call: &Call) -> Result<(Vec<Encoded>, Stages)> {
        words::read(&self.reader, phrases, options, call)
    }

    fn find(&self, inquiry: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        inquiry.call.check()?;
        objects::check(self.info(), inquiry.options)?;
        let start = Instant::now();
        let mut stages = Stages::default();
        let found = objects::find(self.info(), inquiry, &mut stages)?;
        stages.spend(Stage::Postprocess, sleep(self.parts.delays().postprocess));
        Ok((found, stages.rest(Stage::Postprocess, start)))
    }

    fn video(&self) -> Result<Arc<Video>> {
        Err(self.refusal().video())
    }

    fn golden<'c>(self: Arc<Self>, case: &'c Case, tapped: Arc<dyn Driver>, at_size: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        Ok(Box::new(golden::Golden::of(case, [self, tapped], at_size)?))
    }
}
