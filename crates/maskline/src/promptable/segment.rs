//! Prompts in, masks out.

use std::sync::Arc;
use std::time::Instant;

use maskline_vision::mask::{Cleaning, Logits, StabilityCut, Upsampler};
use maskline_vision::{Mask, Object};

use super::embedding::{Embedding, Source};
use super::parallel::in_parallel;
use super::prompt::{MaskPrompt, PartLogits, Prompt};
use super::separate::{separate, separate_parts};
use crate::delays::sleep;
use crate::limits::{self, LARGEST_CHUNK};
use crate::timings::{PromptTimings, Work};
use crate::{Error, ErrorKind, Result};

/// How many masks a prompt gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Multimask {
    /// One: for a single click the best of the masks for ambiguous prompts, for all else the model's single answer.
    #[default]
    Auto,
    /// One: the model's single answer (`multimask_output=False`).
    Off,
    /// All masks for ambiguous prompts (`multimask_output=True`).
    On,
}

/// Options of [`Embedding::segment`].
#[derive(Debug, Clone)]
pub struct SegmentOptions {
    /// How many masks a prompt gets.
    pub multimask: Multimask,
    /// Pixels with a larger logit belong to the mask.
    pub threshold: f32,
    /// Of overlapping masks, each pixel is kept by the one with the largest logit. Of several masks of a prompt only the first competes:
    /// the others are guesses at the same object.
    pub non_overlapping: bool,
    /// Holes of at most so many low-resolution pixels are filled; 0 for none.
    pub max_hole_area: u64,
    /// Separate spots of at most so many low-resolution pixels are removed; 0 for none.
    pub max_sprinkle_area: u64,
    /// Most prompts that are taken.
    pub max_prompts: usize,
    /// Prompts that go through the decoder together, up to 64; `None` for what was measured to be fastest.
    pub chunk: Option<usize>,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            multimask: Multimask::Auto,
            threshold: 0.0,
            non_overlapping: false,
            max_hole_area: 0,
            max_sprinkle_area: 0,
            max_prompts: 10_000,
            chunk: None,
        }
    }
}

impl SegmentOptions {
    pub(super) fn cleaning(&self) -> Cleaning {
        Cleaning { threshold: self.threshold, max_hole_area: self.max_hole_area, max_sprinkle_area: self.max_sprinkle_area }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !self.threshold.is_finite() {
            let message = format!("threshold: expected a finite number, found {}", self.threshold);
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        self.chunk.map_or(Ok(()), |chunk| limits::check_count("chunk", chunk, LARGEST_CHUNK))
    }
}

/// One mask for one prompt: low-resolution logits, enlarged when the mask is asked for.
#[derive(Debug, Clone)]
pub struct PromptMask {
    /// Index of the prompt.
    pub prompt: usize,
    /// Which of the decoder's masks this is; 0 is the one for single answers.
    pub candidate: usize,
    /// Predicted IoU of the mask with the object.
    pub score: f32,
    /// Logit that the object is there at all (SAM 2).
    pub presence: Option<f32>,
    /// The mask's logits at the decoder's resolution. They can be the mask of a later prompt.
    pub logits: Logits,
    /// `[x1, y1, x2, y2]` in pixels: what the logits cover, of models that answer for a part of the picture (nano).
    pub part: Option<[f64; 4]>,
    pub(super) upsampler: Arc<Upsampler>,
    pub(super) threshold: f32,
    /// The mask, where more than the logits decided about it.
    pub(super) settled: Option<Mask>,
}

/// SAM 2 gives out logits of at most this size.
const LARGEST_LOGIT: f32 = 32.0;
/// Offset of the cuts of [`PromptMask::stability`], as in the official mask generators.
const STABILITY_OFFSET: f32 = 1.0;

impl PromptMask {
    /// The mask at the size of the picture, bit for bit as if all logits were enlarged bilinearly.
    ///
    /// # Errors
    /// `OverLimit` for pictures beyond `u32::MAX` pixels.
    pub fn mask(&self) -> Result<Mask> {
        match &self.settled {
            Some(mask) => Ok(mask.clone()),
            None => Ok(self.upsampler.threshold(&self.logits, self.threshold)?),
        }
    }

    /// The mask as a prompt for a better one, its logits limited as SAM 2's predictor limits those that it gives out.
    pub fn to_prompt(&self) -> MaskPrompt {
        let mut logits = self.logits.clone();
        if self.presence.is_some() {
            logits.data_mut().iter_mut().for_each(|logit| *logit = logit.clamp(-LARGEST_LOGIT, LARGEST_LOGIT));
        }
        match self.part {
            Some(bounds) => MaskPrompt::Part(PartLogits { logits, bounds }),
            None => MaskPrompt::Logits(logits),
        }
    }

    /// Share of the area above `threshold - 1` that is also above `threshold + 1`, at the decoder's resolution: near 1 for a mask
    /// with steep borders.
    pub fn stability(&self) -> f32 {
        self.logits.stability(StabilityCut { threshold: self.threshold, offset: STABILITY_OFFSET })
    }

    fn object(&self) -> Result<Object> {
        let mask = self.mask()?;
        let bounds = mask.bounds().unwrap_or_default().map(|side| side as f32);
        let (prompt, stability) = (Some(self.prompt), Some(self.stability()));
        Ok(Object { prompt, score: self.score, bounds, stability, mask: Some(mask), ..Object::default() })
    }

    pub(crate) fn upsampler(&self) -> &Upsampler {
        &self.upsampler
    }
}

/// The answers of [`Embedding::segment`].
#[derive(Debug)]
pub struct Segments {
    /// Per prompt its masks, or why it could not be answered.
    pub answers: Vec<Result<Vec<PromptMask>>>,
    /// Where the time of this call went: encoding the picture was another one ([`Embedding::timings`]). Enlarging masks by [`Segments::objects`] is added to `postprocess`.
    pub timings: PromptTimings,
    labels: Vec<(Option<String>, Option<usize>)>,
}

impl Segments {
    /// All masks at the size of the picture, in the order of the prompts; those that could not be answered have none.
    ///
    /// # Errors
    /// As [`PromptMask::mask`].
    pub fn objects(&mut self) -> Result<Vec<Object>> {
        let start = Instant::now();
        let masks: Vec<&PromptMask> = self.answers.iter().flatten().flatten().collect();
        let mut objects = in_parallel(&masks, |mask| mask.object())?;
        for object in &mut objects {
            let names = object.prompt.and_then(|prompt| self.labels.get(prompt)).cloned();
            (object.label, object.class_id) = names.unwrap_or_default();
        }
        self.timings.postprocess += start.elapsed();
        Ok(objects)
    }
}

/// The answers of [`Embedding::find`].
#[derive(Debug)]
pub struct Found {
    /// All masks at the size of the picture, in the order of the prompts.
    pub objects: Vec<Object>,
    /// The prompts that could not be answered, by index.
    pub errors: Vec<(usize, Error)>,
    /// Where the time of this call went: encoding the picture was another one ([`Embedding::timings`]).
    pub timings: PromptTimings,
}

/// Masks that are enlarged together.
const WAITING: usize = 32;

impl Embedding {
    /// Answers prompts, each by itself: neither its neighbours nor their number change an answer beyond rounding.
    ///
    /// # Errors
    /// `InvalidOption` for an empty list or options outside their domain, `OverLimit` for too many prompts (or more than 4 GiB of logits
    /// for them). What is wrong with one prompt is that prompt's answer.
    pub fn segment(&self, prompts: &[Prompt], options: &SegmentOptions) -> Result<Segments> {
        let start = Instant::now();
        limits::check_logits(prompts.len().saturating_mul(self.masks(options.multimask)), self.mask_side().side)?;
        let mut answers: Vec<Result<Vec<PromptMask>>> = prompts.iter().map(|_| Ok(Vec::new())).collect();
        let work = self.answer_all((prompts, options), |index, answer| {
            answers[index] = answer;
            Ok(())
        })?;
        sleep(self.delays().postprocess);
        if options.non_overlapping {
            match self.source() {
                Source::Encoded(_) => separate(&mut answers, options.threshold),
                Source::Looks(_) => separate_parts(&mut answers, self.size())?,
            }
        }
        let labels = prompts.iter().map(|prompt| (prompt.label.clone(), prompt.class_id)).collect();
        Ok(Segments { answers, timings: PromptTimings::of_prompts(start, work), labels })
    }

    /// As [`Embedding::segment`], with the masks at the size of the picture. Low-resolution logits are dropped on the way, so that
    /// thousands of prompts take no more memory than their masks.
    ///
    /// # Errors
    /// As [`Embedding::segment`] and [`PromptMask::mask`].
    pub fn find(&self, prompts: &[Prompt], options: &SegmentOptions) -> Result<Found> {
        if options.non_overlapping {
            // Which mask a pixel belongs to is known when all are there.
            let mut segments = self.segment(prompts, options)?;
            let objects = segments.objects()?;
            let errors = segments.answers.into_iter().enumerate().filter_map(|(index, answer)| Some((index, answer.err()?)));
            return Ok(Found { objects, errors: errors.collect(), timings: segments.timings });
        }
        let start = Instant::now();
        let (mut objects, mut errors, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let enlarge = |waiting: &mut Vec<PromptMask>| in_parallel(&std::mem::take(waiting), PromptMask::object);
        let work = self.answer_all((prompts, options), |index, answer| {
            match answer {
                Ok(masks) => waiting.extend(masks),
                Err(error) => errors.push((index, error)),
            }
            if waiting.len() >= WAITING {
                objects.extend(enlarge(&mut waiting)?);
            }
            Ok(())
        })?;
        objects.extend(enlarge(&mut waiting)?);
        sleep(self.delays().postprocess);
        for object in &mut objects {
            let prompt = object.prompt.and_then(|prompt| prompts.get(prompt));
            (object.label, object.class_id) = prompt.map(|prompt| (prompt.label.clone(), prompt.class_id)).unwrap_or_default();
        }
        // Prompts of one token count were answered together.
        objects.sort_by_key(|object| object.prompt);
        errors.sort_by_key(|(index, _)| *index);
        Ok(Found { objects, errors, timings: PromptTimings::of_prompts(start, work) })
    }

    /// Hands every prompt's answer to `take`; what the decoders took.
    fn answer_all(
        &self,
        (prompts, options): (&[Prompt], &SegmentOptions),
        mut take: impl FnMut(usize, Result<Vec<PromptMask>>) -> Result<()>,
    ) -> Result<Work> {
        options.check()?;
        if prompts.is_empty() {
            return Err(Error::new(ErrorKind::InvalidOption, "prompts: expected at least one, found an empty list"));
        }
        if prompts.len() > options.max_prompts {
            let message = format!("prompts: expected at most {}, found {}", options.max_prompts, prompts.len());
            return Err(Error::new(ErrorKind::OverLimit, message + "\n  help: send them in several requests, or raise the limit"));
        }
        let mut valid = Vec::with_capacity(prompts.len());
        for (index, prompt) in prompts.iter().enumerate() {
            match prompt.check(index, (self.size(), self.mask_side())) {
                Ok(()) => valid.push(index),
                Err(error) => take(index, Err(error))?,
            }
        }
        let mut work = match self.source() {
            Source::Encoded(encoded) => encoded.answer_all((prompts, &valid), options, take),
            Source::Looks(looks) => looks.answer_all((prompts, &valid), options, take),
        }?;
        work.network += sleep(self.delays().mask_decode);
        Ok(work)
    }
}
