//! Prompts in, masks out.

use std::sync::Arc;
use std::time::Instant;

use maskline_vision::mask::{Cleaning, Logits, StabilityCut, Upsampler};
use maskline_vision::{Mask, Object};
use serde::Serialize;
use serde::ser::SerializeStruct;

use super::embedding::Embedding;
use super::prompt::{MaskPrompt, PartLogits, Prompt};
use super::separate::{separate, separate_parts};
use crate::delays::sleep;
use crate::drivers::{Call, Question, Take};
use crate::host::in_parallel;
use crate::limits::{self, LARGEST_CHUNK};
use crate::{Error, ErrorKind, Result, Stage, Stages};

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
    pub(crate) fn cleaning(&self) -> Cleaning {
        Cleaning { threshold: self.threshold, max_hole_area: self.max_hole_area, max_sprinkle_area: self.max_sprinkle_area }
    }

    fn check(&self) -> Result<()> {
        if !self.threshold.is_finite() {
            return Err(Error::new(ErrorKind::InvalidOption, "threshold").expecting("a finite number").but_found(self.threshold));
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
    /// As a prompt for a better one, logits are limited to this.
    pub(crate) prompt_limit: Option<f32>,
    pub(crate) upsampler: Arc<Upsampler>,
    pub(crate) threshold: f32,
    /// The mask, where more than the logits decided about it.
    pub(crate) settled: Option<Mask>,
}

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

    /// The mask as a prompt for a better one, its logits limited as the family's own predictor limits those that it gives out (SAM 2).
    pub fn to_prompt(&self) -> MaskPrompt {
        let mut logits = self.logits.clone();
        if let Some(limit) = self.prompt_limit {
            logits.data_mut().iter_mut().for_each(|logit| *logit = logit.clamp(-limit, limit));
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
}

/// The answers of [`Embedding::segment`].
#[derive(Debug)]
pub struct Segments {
    /// Per prompt its masks, or why it could not be answered.
    pub answers: Vec<Result<Vec<PromptMask>>>,
    /// Where the time of this call went: encoding the picture was another one ([`Embedding::timings`]). Enlarging masks by [`Segments::objects`] is added to `postprocess`.
    pub timings: Stages,
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
        self.timings.spend(Stage::Postprocess, start.elapsed());
        Ok(objects)
    }
}

/// The answers of [`Embedding::find`].
#[derive(Debug, Clone)]
pub struct Found {
    /// Per prompt its masks at the size of the picture (several where all candidates were wished), or why it could not be answered: a
    /// click beside the picture is nobody's "nothing found".
    pub answers: Vec<Result<Vec<Object>>>,
    /// Where the time of this call went: encoding the picture was another one ([`Embedding::timings`]).
    pub timings: Stages,
}

impl Found {
    /// All masks, in the order of the prompts.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.answers.iter().flatten().flatten()
    }

    /// As [`Found::objects`], taken out.
    pub fn into_objects(self) -> Vec<Object> {
        self.answers.into_iter().flatten().flatten().collect()
    }

    /// The prompts that could not be answered, by index.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &Error)> {
        self.answers.iter().enumerate().filter_map(|(index, answer)| Some((index, answer.as_ref().err()?)))
    }
}

impl Serialize for Found {
    /// `answers`, each with `objects` or `error`, and `timings_ms`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Found", 2)?;
        let answers: Vec<Told<'_>> = self.answers.iter().map(Told::from).collect();
        map.serialize_field("answers", &answers)?;
        map.serialize_field("timings_ms", &self.timings)?;
        map.end()
    }
}

/// One answer in a file.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Told<'a> {
    Objects(&'a [Object]),
    Error(&'a Error),
}

impl<'a> From<&'a Result<Vec<Object>>> for Told<'a> {
    fn from(answer: &'a Result<Vec<Object>>) -> Self {
        match answer {
            Ok(objects) => Self::Objects(objects),
            Err(error) => Self::Error(error),
        }
    }
}

/// Masks that are enlarged together.
const WAITING: usize = 32;

impl Embedding {
    /// Answers prompts, each by itself: neither its neighbours nor their number change an answer beyond rounding. No prompts have no
    /// answers.
    ///
    /// # Errors
    /// `InvalidOption` for options outside their domain, `OverLimit` for too many prompts (or more than 4 GiB of logits for them). What is
    /// wrong with one prompt is that prompt's answer.
    pub fn segment(&self, prompts: &[Prompt], options: &SegmentOptions) -> Result<Segments> {
        self.segment_for(prompts, options, &Call::default())
    }

    /// As [`Embedding::segment`], for somebody.
    pub(crate) fn segment_for(&self, prompts: &[Prompt], options: &SegmentOptions, call: &Call) -> Result<Segments> {
        if prompts.is_empty() {
            options.check()?;
            return Ok(Segments { answers: Vec::new(), timings: Stages::of_prompts(), labels: Vec::new() });
        }
        let start = Instant::now();
        let prompting = self.driver().prompting()?;
        limits::check_logits(prompts.len().saturating_mul(prompting.masks(options.multimask)), prompting.mask_side)?;
        let mut answers: Vec<Result<Vec<PromptMask>>> = prompts.iter().map(|_| Ok(Vec::new())).collect();
        let spent = self.answer_all(&Asked { prompts, options, call }, &mut |index, answer| {
            answers[index] = answer;
            Ok(())
        })?;
        sleep(self.delays().postprocess);
        if options.non_overlapping {
            if prompting.is_part {
                separate_parts(&mut answers, self.size())?;
            } else {
                separate(&mut answers, options.threshold);
            }
        }
        let labels = prompts.iter().map(|prompt| (prompt.label.clone(), prompt.class_id)).collect();
        Ok(Segments { answers, timings: of_prompts(spent, start), labels })
    }

    /// As [`Embedding::segment`], with the masks at the size of the picture. Low-resolution logits are dropped on the way, so that
    /// thousands of prompts take no more memory than their masks.
    ///
    /// # Errors
    /// As [`Embedding::segment`] and [`PromptMask::mask`].
    pub fn find(&self, prompts: &[Prompt], options: &SegmentOptions) -> Result<Found> {
        self.find_for(prompts, options, &Call::default())
    }

    /// As [`Embedding::find`], for somebody.
    pub(crate) fn find_for(&self, prompts: &[Prompt], options: &SegmentOptions, call: &Call) -> Result<Found> {
        if prompts.is_empty() {
            options.check()?;
            return Ok(Found { answers: Vec::new(), timings: Stages::of_prompts() });
        }
        if options.non_overlapping {
            // Which mask a pixel belongs to is known when all are there.
            let mut segments = self.segment_for(prompts, options, call)?;
            let mut answers: Vec<Result<Vec<Object>>> = prompts.iter().map(|_| Ok(Vec::new())).collect();
            sort_in(&mut answers, segments.objects()?, prompts);
            for (answer, segment) in answers.iter_mut().zip(segments.answers) {
                if let Err(error) = segment {
                    *answer = Err(error);
                }
            }
            return Ok(Found { answers, timings: segments.timings });
        }
        let start = Instant::now();
        let mut answers: Vec<Result<Vec<Object>>> = prompts.iter().map(|_| Ok(Vec::new())).collect();
        let mut waiting = Vec::new();
        let enlarge = |waiting: &mut Vec<PromptMask>| in_parallel(&std::mem::take(waiting), PromptMask::object);
        let spent = self.answer_all(&Asked { prompts, options, call }, &mut |index, answer| {
            match answer {
                Ok(masks) => waiting.extend(masks),
                Err(error) => answers[index] = Err(error),
            }
            if waiting.len() >= WAITING {
                sort_in(&mut answers, enlarge(&mut waiting)?, prompts);
            }
            Ok(())
        })?;
        sort_in(&mut answers, enlarge(&mut waiting)?, prompts);
        sleep(self.delays().postprocess);
        Ok(Found { answers, timings: of_prompts(spent, start) })
    }

    /// Hands every prompt's answer to `take`; what the networks took.
    fn answer_all(&self, asked: &Asked<'_>, take: Take<'_>) -> Result<Stages> {
        let Asked { prompts, options, call } = *asked;
        options.check()?;
        if prompts.len() > options.max_prompts {
            let error = Error::new(ErrorKind::OverLimit, "prompts").expecting(format!("at most {}", options.max_prompts));
            return Err(error.but_found(prompts.len()).with_help("send them in several requests, or raise the limit"));
        }
        let prompting = self.driver().prompting()?;
        let mut valid = Vec::with_capacity(prompts.len());
        for (index, prompt) in prompts.iter().enumerate() {
            match prompt.check(self.size(), &prompting) {
                Ok(()) => valid.push(index),
                Err(error) => take(index, Err(error.named(format!("prompt {index}"))))?,
            }
        }
        if valid.is_empty() {
            return Ok(Stages::default());
        }
        self.driver().segment(&Question { picture: self.encoded(), size: self.size(), prompts, valid: &valid, options, call }, take)
    }
}

/// Puts objects, with the names of their prompts, to the prompts that they answer.
fn sort_in(answers: &mut [Result<Vec<Object>>], objects: Vec<Object>, prompts: &[Prompt]) {
    for object in objects {
        let Some(index) = object.prompt.filter(|index| *index < prompts.len()) else { continue };
        let Prompt { label, class_id, .. } = &prompts[index];
        if let Ok(found) = &mut answers[index] {
            found.push(Object { label: label.clone(), class_id: *class_id, ..object });
        }
    }
}

/// What is asked of an embedding.
struct Asked<'a> {
    prompts: &'a [Prompt],
    options: &'a SegmentOptions,
    call: &'a Call,
}

/// The stages of a call that began at `start` and in which networks took what was `spent`; all else is postprocessing.
fn of_prompts(spent: Stages, start: Instant) -> Stages {
    (Stages::of_prompts() + spent).rest(Stage::Postprocess, start)
}
