//! Drivers: how a family's networks turn a picture and what is asked of it into answers.
//!
//! A driver owns the lanes of a model's parts and is the only place that knows what they take and give. The engine, `verify`, and all who
//! use the engine see the trait [`Driver`] alone. A family that answers as another one does shares its driver; a new way of answering is a
//! new file here and a line in [`open`].

mod encoder;
mod look;
mod owl;
mod parts;
mod refusal;
mod sam;
mod sam3;
mod square;
mod tensors;
mod words;
mod yolo;

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline_models::{EverythingDefaults, Output};
use maskline_runtime::{Input, Job, Priority};
use maskline_vision::Object;

pub(crate) use parts::{Graph, Lanes, Parts};
pub(crate) use refusal::Refusal;
pub(crate) use sam::{Asked, Cells, Choice, Decoded, Features, Past, Seen, Tokens, Video};
pub(crate) use tensors::Tensors;

use crate::cache::Weighed;
use crate::cancel::CancelToken;
use crate::promptable::{EmbeddingFile, PromptMask, Stored};
use crate::verify::{AtSize, Case, Check};
use crate::{
    Detections, Error, ErrorKind, EverythingOptions, Image, Multimask, PredictOptions, Prompt, Request, Result, SegmentOptions, Stages,
    Usual, WordOptions,
};

/// The way out of answers that are not finite.
pub(crate) const NOT_FINITE: &str = "the weights are damaged or diverged in training; in f16 numbers may be too large: --precision f32";

/// The driver of a model, with the parts open that are needed at once.
///
/// # Errors
/// `Unavailable` if the provider is not there, `Failed` for a bundle that misses a part.
pub(crate) fn open(parts: Parts) -> Result<Arc<dyn Driver>> {
    Ok(match parts.info().output.clone() {
        Output::Detector(head) => Arc::new(yolo::Yolo::detector(parts, head)?),
        Output::Classifier { probabilities, .. } => Arc::new(yolo::Yolo::classifier(parts, probabilities)?),
        Output::Promptable(head) => Arc::new(sam::Sam::open(parts, head)?),
        Output::Looks(head) => Arc::new(look::Looker::open(parts, head)?),
        Output::Words(head) => Arc::new(owl::Owl::open(parts, head)?),
        Output::Concepts(head) => Arc::new(sam3::Sam3::open(parts, head)?),
        _ => {
            let message = format!("{}: no driver answers for the family {}", parts.name(), parts.info().family);
            return Err(Error::new(ErrorKind::Failed, message));
        }
    })
}

/// Families of golden cases that some driver can check.
pub(crate) fn case_families() -> Vec<&'static str> {
    [yolo::CASES, look::CASES, sam::CASES, sam::VIDEO_CASES, owl::CASES, sam3::CASES].concat()
}

/// What turns asks into answers. What a model does not answer, its driver refuses by name ([`Refusal`]).
pub(crate) trait Driver: Any + Debug + Send + Sync {
    /// Runs the networks in the forms that are to come.
    fn warm_up(&self) -> Result<()>;

    /// What holds where options say nothing.
    fn usual(&self) -> Usual {
        Usual::default()
    }

    /// What is found in pictures by itself: for each, its answer or why it has none.
    fn detect(&self, pictures: &Pictures<'_>) -> Result<Vec<Result<Detections>>>;

    /// How pictures of this model are asked about.
    fn prompting(&self) -> Result<Prompting>;

    /// What the networks must know of a picture to be asked about it.
    fn encode(&self, image: &Image, call: &Call) -> Result<(Encoded, Stages)>;

    /// An encoding from a file.
    fn restore(&self, file: &EmbeddingFile) -> Result<Encoded>;

    /// Finds out the fastest way to answer prompts on this machine, unless that is known.
    fn tune(&self, picture: &Encoded) -> Result<()>;

    /// Hands the answer to each valid prompt to `take`, in any order.
    fn segment(&self, question: &Question<'_>, take: Take<'_>) -> Result<Stages>;

    /// Asks at many places of a picture and hands the masks over as they come.
    fn sweep(&self, sweep: &Sweep<'_>, listener: &mut dyn Listener) -> Result<Stages>;

    /// What the networks must know of words to be asked about them: one encoding per phrase.
    fn read(&self, phrases: &[&str], options: &WordOptions, call: &Call) -> Result<(Vec<Encoded>, Stages)>;

    /// The objects of each concept.
    fn find(&self, inquiry: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)>;

    /// The networks that follow objects through time.
    fn video(&self) -> Result<Arc<Video>>;

    /// The way from the names of a golden case to computed tensors; `tapped` is the driver of the same model that also gives its inner
    /// tensors, and `at_size` gives both for another picture size.
    fn golden<'c>(self: Arc<Self>, case: &'c Case, tapped: Arc<dyn Driver>, at_size: AtSize<'_>) -> Result<Box<dyn Check + 'c>>;
}

/// What is kept of a picture, or of words.
pub(crate) trait Encoding: Any + Debug + Send + Sync {
    /// Bytes of memory, on whatever device: the same as long as it lives.
    fn bytes(&self) -> usize;

    /// Bytes that a device holds of it now.
    fn device_bytes(&self) -> usize {
        0
    }

    /// What a file of it holds.
    fn stored(&self) -> Result<Vec<Stored<'_>>>;
}

/// An encoding that many ask.
pub(crate) type Encoded = Arc<dyn Encoding>;

impl Weighed for Encoded {
    fn bytes(&self) -> usize {
        self.as_ref().bytes()
    }

    fn device_bytes(&self) -> usize {
        self.as_ref().device_bytes()
    }
}

/// The encoding as its driver made it.
///
/// # Errors
/// `InvalidOption` where another model's driver did.
pub(crate) fn made_here<T: Encoding>(encoded: &Encoded) -> Result<&T> {
    let any: &dyn Any = encoded.as_ref();
    any.downcast_ref()
        .ok_or_else(|| Error::new(ErrorKind::InvalidOption, "embedding").expecting("one of this model").but_found("another's"))
}

/// By whom, until when and how urgently something is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) deadline: Option<Instant>,
    pub(crate) priority: Priority,
    pub(crate) cancel: CancelToken,
    /// Slept by the lane at the end of the run, for tests.
    pub(crate) pace: Duration,
}

impl Call {
    /// Of who asks this.
    pub(crate) fn of(request: &Request) -> Self {
        Self { deadline: request.deadline, priority: request.priority, ..Self::default() }
    }

    /// Refuses work that nobody waits for any more.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the request was called off"));
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::new(ErrorKind::TimedOut, "the request's deadline has passed")),
            _ => Ok(()),
        }
    }

    /// A run for this call.
    pub(crate) fn job<I: Into<Input>>(&self, inputs: Vec<(&str, I)>) -> Job {
        Job::new(inputs).with_deadline(self.deadline).with_priority(self.priority).with_pace(self.pace)
    }

    /// The same with runs that take longer.
    pub(crate) fn slowed(&self, pace: Duration) -> Self {
        Self { pace, ..self.clone() }
    }
}

/// Pictures in which something is to be found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pictures<'a> {
    pub(crate) images: &'a [&'a Image],
    pub(crate) options: &'a PredictOptions,
    pub(crate) call: &'a Call,
}

/// How a promptable model is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prompting {
    /// Side of the mask logits that are given out and taken.
    pub(crate) mask_side: usize,
    /// Whether a mask's logits belong to a part of the picture.
    pub(crate) is_part: bool,
    /// Masks of a prompt where all are wished.
    pub(crate) candidates: usize,
    /// What everything mode does where nothing is said.
    pub(crate) everything: EverythingDefaults,
}

impl Prompting {
    /// Masks that a prompt gets.
    pub(crate) fn masks(&self, multimask: Multimask) -> usize {
        if multimask == Multimask::On { self.candidates } else { 1 }
    }
}

/// Prompts on a picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) picture: &'a Encoded,
    /// Width and height of the picture.
    pub(crate) size: (usize, usize),
    pub(crate) prompts: &'a [Prompt],
    /// Indices of those that can be answered.
    pub(crate) valid: &'a [usize],
    pub(crate) options: &'a SegmentOptions,
    pub(crate) call: &'a Call,
}

/// Who is handed a prompt's index and its masks.
pub(crate) type Take<'a> = &'a mut dyn FnMut(usize, Result<Vec<PromptMask>>) -> Result<()>;

/// Places of a picture that are asked about one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sweep<'a> {
    pub(crate) picture: &'a Encoded,
    /// Width and height of the picture.
    pub(crate) size: (usize, usize),
    /// x, y in pixels of the picture.
    pub(crate) points: &'a [[f32; 2]],
    pub(crate) options: &'a EverythingOptions,
    pub(crate) call: &'a Call,
}

/// Who hears of a sweep.
pub(crate) trait Listener {
    /// The masks of some places, which [`PromptMask::prompt`] counts.
    fn masks(&mut self, masks: Vec<PromptMask>) -> Result<()>;

    /// So many places are done, in proportion.
    fn progress(&mut self, done: usize) -> Result<()>;
}

/// Concepts that are looked for in a picture.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inquiry<'a> {
    pub(crate) picture: &'a Encoded,
    /// Width and height of the picture.
    pub(crate) size: (usize, usize),
    pub(crate) concepts: &'a [Wanted],
    pub(crate) options: &'a PredictOptions,
    pub(crate) call: &'a Call,
}

/// A concept as networks know it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// What its objects are called.
    pub(crate) label: Option<String>,
    pub(crate) words: Option<Encoded>,
    pub(crate) examples: Vec<Shown>,
    /// Least score, instead of the one of the options.
    pub(crate) threshold: Option<f32>,
}

/// An example as networks know it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) picture: Encoded,
    /// Width and height of its picture.
    pub(crate) size: (usize, usize),
    /// `[x1, y1, x2, y2]` in pixels of its picture; `None` for all of it.
    pub(crate) bounds: Option<[f32; 4]>,
    pub(crate) is_positive: bool,
}
