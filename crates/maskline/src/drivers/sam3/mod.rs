//! SAM 3 on pictures: one trunk, a head for words and examples, and a head for clicks and boxes.
//!
//! `sight` is an encoded picture, `prompts` makes of words and examples what the decoder is asked (`pooling` are the weights of what a box
//! shows), `find` asks it and cuts out what was found; `golden` checks all that. Clicks are answered by the driver of
//! [`sam`](super::sam). Nothing is opened that no question needed.

mod clicks;
mod find;
mod golden;
mod golden_clicks;
mod pooling;
mod prompts;
mod sight;

use std::sync::Arc;
use std::time::Instant;

use maskline_models::{ConceptHead, ModelInfo};
use maskline_text::Cleaning;

use self::clicks::Clicks;
pub(super) use self::golden::CASES;
use self::sight::{Features, Neck, Sight};
use super::encoder::Encoder;
use super::parts::LazyLanes;
use super::words::{Form, Reader, Reading, count};
use super::{
    Call, Driver, Encoded, Inquiry, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take, Tensors, Video, made_here,
};
use crate::delays::sleep;
use crate::promptable::EmbeddingFile;
use crate::verify::{AtSize, Case, Check};
use crate::{Detections, Error, ErrorKind, Image, Object, PredictOptions, Result, Stage, Stages, Usual, WordOptions, limits};

/// All heads of a SAM 3.
#[derive(Debug)]
pub(super) struct Sam3 {
    parts: Parts,
    head: ConceptHead,
    encoder: Encoder,
    neck: LazyLanes,
    reader: Reader,
    exemplars: LazyLanes,
    decoder: LazyLanes,
    masks: LazyLanes,
    clicks: Option<Clicks>,
}

impl Sam3 {
    pub(super) fn open(parts: Parts, head: ConceptHead) -> Result<Self> {
        let encoder = Encoder::open(&parts, ConceptHead::IMAGE_ENCODER, &[ConceptHead::TRUNK])?;
        let reading = Reading {
            context: head.context,
            vocabulary: head.vocabulary,
            tokenizer: head.tokenizer,
            cleaning: Some(Cleaning::Original),
            width: head.width,
            form: Form::PerToken,
        };
        let lazy = |part| LazyLanes::new(&parts, part);
        Ok(Self {
            encoder,
            neck: lazy(ConceptHead::CONCEPT_NECK),
            reader: Reader::new(&parts, reading),
            exemplars: lazy(ConceptHead::EXEMPLAR_ENCODER),
            decoder: lazy(ConceptHead::CONCEPT_DECODER),
            masks: lazy(ConceptHead::MASK_HEAD),
            clicks: head.clicks.clone().map(|clicks| Clicks::new(&parts, clicks)),
            parts,
            head,
        })
    }

    fn info(&self) -> &ModelInfo {
        self.parts.info()
    }

    /// Runs the image encoder on one picture f32 [3, side, side].
    fn see(&self, values: Vec<f32>, call: &Call) -> Result<Sight> {
        let (outputs, _) = self.encoder.run_values(values, call)?;
        Sight::of(Tensors::new(self.encoder.take(outputs)?), &self.head)
    }

    /// What concepts are compared with in a picture.
    fn features(&self, sight: &Sight, stages: &mut Stages, call: &Call) -> Result<Arc<Features>> {
        sight.features(&self.head, stages, |stages| self.neck(sight, stages)?.see(stages, call))
    }

    /// What makes features of a picture's trunk.
    fn neck(&self, sight: &Sight, stages: &mut Stages) -> Result<Neck> {
        Ok(Neck { lanes: self.neck.get(stages)?, trunk: Arc::clone(sight.trunk()), names: &ConceptHead::FEATURES })
    }

    /// The head for clicks, of models that have one.
    fn clicks(&self) -> Result<&Clicks> {
        self.clicks.as_ref().ok_or_else(|| self.refusal().prompts().with_help("say what to look for, in words or by an example"))
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.info())
    }

    /// A picture for prompts, in the form that the head for them takes.
    fn clicked(&self, picture: &Encoded, stages: &mut Stages, call: &Call) -> Result<Encoded> {
        self.clicks()?.embedding(made_here::<Sight>(picture)?, stages, call)
    }

    /// Refuses options that are outside their domain, and those of other models.
    fn check(&self, options: &PredictOptions) -> Result<()> {
        options.check_shares()?;
        limits::check_count("max_detections", options.max_detections, usize::MAX)?;
        options.check_built_size(self.info().default_size)
    }
}

impl Driver for Sam3 {
    fn warm_up(&self) -> Result<()> {
        let side = self.info().default_size;
        let (call, mut stages) = (Call::default(), Stages::default());
        let picture: Encoded = Arc::new(self.see(vec![0.0; limits::input_length([1, side, side])?], &call)?);
        self.reader.warm_up()?;
        self.warm_up_concepts(&picture, &call)?;
        if self.clicks.is_some() {
            let clicked = self.clicked(&picture, &mut stages, &call)?;
            self.clicks()?.tune(&clicked)?;
        }
        Ok(())
    }

    fn usual(&self) -> Usual {
        Usual { conf: Some(find::SCORE), conf_of_examples: Some(find::SCORE), iou: None }
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        Err(self.refusal().unasked())
    }

    fn prompting(&self) -> Result<Prompting> {
        Ok(self.clicks()?.prompting())
    }

    fn encode(&self, image: &Image, call: &Call) -> Result<(Encoded, Stages)> {
        let (trunk, stages) = self.encoder.see(image, call)?;
        Ok((Arc::new(Sight::of(trunk, &self.head)?), stages))
    }

    fn restore(&self, file: &EmbeddingFile) -> Result<Encoded> {
        Ok(Arc::new(Sight::restore(file, &self.head)?))
    }

    fn tune(&self, picture: &Encoded) -> Result<()> {
        let clicked = self.clicked(picture, &mut Stages::default(), &Call::default())?;
        self.clicks()?.tune(&clicked)
    }

    fn segment(&self, question: &Question<'_>, take: Take<'_>) -> Result<Stages> {
        let mut stages = Stages::default();
        let picture = self.clicked(question.picture, &mut stages, question.call)?;
        let spent = self.clicks()?.segment(&Question { picture: &picture, ..*question }, &mut stages, take)?;
        Ok(stages + spent)
    }

    fn sweep(&self, sweep: &Sweep<'_>, listener: &mut dyn Listener) -> Result<Stages> {
        let mut stages = Stages::default();
        let picture = self.clicked(sweep.picture, &mut stages, sweep.call)?;
        let spent = self.clicks()?.sweep(&Sweep { picture: &picture, ..*sweep }, &mut stages, listener)?;
        Ok(stages + spent)
    }

    fn read(&self, phrases: &[&str], options: &WordOptions, call: &Call) -> Result<(Vec<Encoded>, Stages)> {
        if options.templates {
            let error = Error::new(ErrorKind::InvalidOption, "templates").expecting("a model that is measured with several phrasings");
            return Err(error.but_found(self.parts.name()).with_help("leave `templates` out: SAM 3 is asked with plain phrases"));
        }
        let start = Instant::now();
        let mut stages = Stages::of(&[Stage::TextEncode]);
        let embedded = self.reader.embed(phrases, options, &mut stages, call)?;
        stages.count_phrases(count(embedded.iter().map(std::slice::from_ref)));
        let read = embedded.into_iter().map(|embedded| Arc::new(prompts::Words::of(embedded.values)) as Encoded).collect();
        Ok((read, stages.rest(Stage::TextEncode, start)))
    }

    fn find(&self, inquiry: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        inquiry.call.check()?;
        self.check(inquiry.options)?;
        let start = Instant::now();
        let mut stages = Stages::of(&[Stage::ConceptDecode, Stage::MaskDecode]);
        let found = self.look_for(inquiry, &mut stages)?;
        stages.spend(Stage::Postprocess, sleep(self.parts.delays().postprocess));
        Ok((found, stages.rest(Stage::Postprocess, start)))
    }

    fn video(&self) -> Result<Arc<Video>> {
        Err(self.refusal().video())
    }

    fn golden<'c>(self: Arc<Self>, case: &'c Case, tapped: Arc<dyn Driver>, at_size: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        if case.family() == golden::CLICKS {
            return Ok(Box::new(golden_clicks::Golden::of(case, [self, tapped])?));
        }
        Ok(Box::new(golden::Golden::of(case, [self, tapped], at_size)?))
    }
}
