//! Objects followed through time: prompted on any frame, remembered, and found again on others.
//!
//! The semantics are those of the official `SAM2VideoPredictor` (`facebookresearch/sam2`, `sam2_video_predictor.py`). A tracker is a value
//! that its caller owns; networks are the model's, and a hundred trackers share them. `object` is what is known of an object, `sight` how
//! objects are seen on a frame, `answer` what is told of them, `encoder` frames encoded ahead.

mod answer;
mod encoder;
mod object;
mod options;
mod sight;

use std::sync::Arc;
use std::time::Instant;

use maskline_vision::mask::Logits;

pub use answer::{Tracked, TrackedObject};
pub use encoder::{Frame, FrameEncoder};
pub(crate) use object::{Followed, Output, Shelf};
pub use options::{MemoryPrecision, TrackerOptions};
pub(crate) use sight::{Glimpse, Said, Sight};

use crate::drivers::{Call, Choice, Features, Seen, Video};
use crate::{Click, Error, ErrorKind, Image, MaskPrompt, Model, Prompt, Result, Stage, Stages};

/// What callers call an object.
pub type ObjectId = i64;

/// Which way a clip is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// From earlier frames to later ones.
    #[default]
    Forward,
    /// From later frames to earlier ones.
    Backward,
}

impl Direction {
    /// The frame so many steps before another one on the way.
    fn before(self, frame: usize, distance: usize) -> Option<usize> {
        match self {
            Self::Forward => frame.checked_sub(distance),
            Self::Backward => frame.checked_add(distance),
        }
    }

    /// Whether a frame is met before another one, or is that one.
    fn is_past(self, other: usize, frame: usize) -> bool {
        match self {
            Self::Forward => other <= frame,
            Self::Backward => other >= frame,
        }
    }
}

/// Follows objects through a clip or a stream. Frames are given one by one and never kept; what is kept of objects is bounded
/// ([`Tracker::state_bytes`]).
///
/// A prompt belongs to the frame that was given last. On a frame that was not tracked onto, it says anew where the object is, and the
/// frame is looked at for ever after; on one that was, it corrects. Clones share what they know and go on alone.
#[derive(Debug, Clone)]
pub struct Tracker {
    video: Arc<Video>,
    options: TrackerOptions,
    objects: Vec<Followed>,
    current: Option<Current>,
    /// For whom networks run.
    call: Call,
}

/// The frame that was given last.
#[derive(Debug, Clone)]
struct Current {
    index: usize,
    features: Features,
    /// What reading and encoding it took, until an answer tells.
    spent: Stages,
}

impl Model {
    /// A tracker without objects.
    ///
    /// # Errors
    /// `InvalidOption` if the model has no memory, or for options outside their domain.
    pub fn tracker(&self, options: TrackerOptions) -> Result<Tracker> {
        options.check()?;
        Ok(Tracker::of(self.driver().video()?, options))
    }
}

impl Tracker {
    pub(crate) fn of(video: Arc<Video>, options: TrackerOptions) -> Self {
        Self { video, options, objects: Vec::new(), current: None, call: Call::default() }
    }

    pub(crate) fn followed(&self) -> &[Followed] {
        &self.objects
    }

    /// What is known of all objects on the current frame; those that have no answer there are left out.
    pub(crate) fn told(&self) -> Result<Tracked> {
        self.answer(&self.objects(), Stages::default())
    }

    /// What encodes frames, on other threads too: see [`Tracker::push_encoded`].
    pub fn encoder(&self) -> FrameEncoder {
        FrameEncoder::new(Arc::clone(&self.video))
    }

    /// The next frame: all objects are found on it. Without objects, the answer is empty.
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`] and [`Tracker::track`].
    pub fn push(&mut self, frame: &Image) -> Result<Tracked> {
        self.push_encoded(self.encoder().encode(frame)?)
    }

    /// As [`Tracker::push`], of a frame that was encoded, so that the next one can be encoded meanwhile.
    ///
    /// # Errors
    /// As [`Tracker::track`].
    pub fn push_encoded(&mut self, frame: Frame) -> Result<Tracked> {
        let next = self.frame().map_or(0, |index| index + 1);
        self.look_encoded(next, frame)?;
        self.track(Direction::Forward)
    }

    /// Goes to any frame of the clip without tracking onto it: to prompt there, or to track onto it ([`Tracker::track`]).
    ///
    /// How far back answers can be corrected says [`TrackerOptions::history`].
    ///
    /// # Errors
    /// As [`FrameEncoder::encode`]; `Failed` where a network fails.
    pub fn look(&mut self, index: usize, frame: &Image) -> Result<()> {
        self.look_encoded(index, self.encoder().encode(frame)?)
    }

    /// As [`Tracker::look`], of a frame that was encoded.
    ///
    /// # Errors
    /// `Failed` where a network fails; `InvalidOption` for a frame beyond the clip's length.
    pub fn look_encoded(&mut self, index: usize, frame: Frame) -> Result<()> {
        if let Some(length) = self.options.length.filter(|length| index >= *length) {
            let error = Error::new(ErrorKind::InvalidOption, "frame");
            return Err(error.expecting(format!("one of the clip's {length}, counted from 0")).but_found(index));
        }
        let spent = self.leave()?;
        let Frame { features, spent: encoded } = frame;
        self.current = Some(Current { index, features, spent: encoded + spent });
        Ok(())
    }

    /// Finds all objects on the current frame by what is remembered of them. An object that was prompted here keeps that answer.
    ///
    /// # Errors
    /// `InvalidOption` without a frame, and where an object has no prompt left; `Failed` where a network fails.
    pub fn track(&mut self, direction: Direction) -> Result<Tracked> {
        let start = Instant::now();
        let mut stages = self.take_spent()?;
        stages += self.leave()?;
        let around = self.forgets();
        self.objects.iter_mut().for_each(|object| object.commit(around));
        if let Some(lost) = self.objects.iter().find(|object| object.conditioning.is_empty()) {
            let error = Error::new(ErrorKind::InvalidOption, format!("object {}: no frame with a prompt is left", lost.id));
            return Err(error.with_help("prompt it on some frame, or remove it"));
        }
        let Current { index, features, .. } = self.here()?;
        let sight = Sight { video: &self.video, options: &self.options, frame: *index, features, call: &self.call };
        let unprompted = |object: &&Followed| !object.conditioning.contains_key(index);
        let wanted: Vec<&Followed> = self.objects.iter().filter(unprompted).collect();
        let (glimpses, spent) = sight.tracked(&wanted, direction)?;
        let seen: Vec<Seen<'_>> = glimpses.iter().map(|glimpse| glimpse.seen(false)).collect();
        let (memories, more) = sight.remember(&seen)?;
        stages += spent + more;
        let precision = self.options.memory;
        let mut outputs = glimpses.into_iter().zip(memories).map(|(glimpse, memory)| glimpse.output.remembered(&memory, precision));
        let index = *index;
        for object in &mut self.objects {
            if object.conditioning.contains_key(&index) {
                object.forget_around(index, around);
            } else if let Some(output) = outputs.next() {
                object.ordinary.insert(index, output);
            }
            object.passed.insert(index, direction);
        }
        drop(outputs);
        self.prune(direction)?;
        let ids: Vec<ObjectId> = self.objects();
        self.answer(&ids, stages.rest(Stage::Postprocess, start))
    }

    /// Says where an object is on the current frame; what was said of it there before is forgotten. A new name is a new object, at any
    /// time: the others are followed as before.
    ///
    /// A mask of the frame's size is believed as it is; it stands alone.
    ///
    /// # Errors
    /// `InvalidOption` without a frame, `BadInput` for a prompt outside the frame, `OverLimit` for too many objects, `Failed` where a
    /// network fails.
    pub fn add(&mut self, object: ObjectId, prompt: &Prompt) -> Result<Tracked> {
        let Current { index, features, .. } = self.here()?;
        let index = *index;
        prompt.check(features.size, &self.video.prompting()).map_err(|error| error.named(format!("object {object}")))?;
        match &prompt.mask {
            Some(MaskPrompt::Picture(_)) if prompt.clicks.is_empty() && prompt.bounds.is_none() => {}
            None => {}
            Some(_) => {
                let error = Error::new(ErrorKind::BadInput, format!("object {object}")).but_found("a mask with something else");
                return Err(error.expecting("a mask of the frame's size alone, or clicks and a box"));
            }
        }
        let place = self.place(object);
        if place.is_none() && self.objects.len() >= self.options.most_objects {
            let error = Error::new(ErrorKind::OverLimit, "objects").expecting(format!("at most {}", self.options.most_objects));
            return Err(error.but_found(self.objects.len() + 1).with_help("remove some that are no longer needed, or raise the limit"));
        }
        // A prompt that fails leaves everything as it was.
        let mut followed = place.map_or_else(|| Followed::new(object), |place| self.objects[place].clone());
        followed.prompts.insert(index, prompt.clone());
        let stages = self.prompted(&mut followed)?;
        match place {
            Some(place) => self.objects[place] = followed,
            None => self.objects.push(followed),
        }
        self.answer(&[object], stages)
    }

    /// More clicks beside those that were given of an object on the current frame, or the first ones.
    ///
    /// # Errors
    /// As [`Tracker::add`]; `BadInput` for an object that is not followed, or has a mask here.
    pub fn refine(&mut self, object: ObjectId, clicks: &[Click]) -> Result<Tracked> {
        let Current { index, .. } = self.here()?;
        let Some(place) = self.place(object) else {
            let error = Error::new(ErrorKind::BadInput, "object").but_found(object);
            return Err(error.expecting(format!("one that is followed: {}", self.names())));
        };
        let mut prompt = self.objects[place].prompts.get(index).cloned().unwrap_or_default();
        if prompt.mask.is_some() {
            let error = Error::new(ErrorKind::BadInput, format!("object {object}")).expecting("clicks, or a mask, of one frame");
            return Err(error.but_found("clicks beside a mask").with_help("say it anew: clicks alone, or another mask"));
        }
        prompt.clicks.extend_from_slice(clicks);
        self.add(object, &prompt)
    }

    /// Forgets what was said of an object on the current frame.
    ///
    /// # Errors
    /// `InvalidOption` without a frame, `BadInput` for an object that is not followed.
    pub fn clear(&mut self, object: ObjectId) -> Result<()> {
        let index = self.here()?.index;
        match self.place(object) {
            Some(place) => self.objects[place].clear(index),
            None => {
                let error = Error::new(ErrorKind::BadInput, "object").but_found(object);
                return Err(error.expecting(format!("one that is followed: {}", self.names())));
            }
        }
        Ok(())
    }

    /// Follows an object no longer; the others stay as they are. Whether there was one of this name.
    pub fn remove(&mut self, object: ObjectId) -> bool {
        let before = self.objects.len();
        self.objects.retain(|followed| followed.id != object);
        before != self.objects.len()
    }

    /// Forgets all objects and frames.
    pub fn reset(&mut self) {
        self.objects.clear();
        self.current = None;
    }

    /// The objects that are followed, in the order in which they were added.
    pub fn objects(&self) -> Vec<ObjectId> {
        self.objects.iter().map(|object| object.id).collect()
    }

    /// Index of the current frame.
    pub fn frame(&self) -> Option<usize> {
        Some(self.current.as_ref()?.index)
    }

    /// Bytes that are kept of objects and of the current frame.
    pub fn state_bytes(&self) -> usize {
        let frame = self.current.as_ref().map_or(0, |current| current.features.bytes());
        frame + self.objects.iter().map(Followed::bytes).sum::<usize>()
    }

    fn here(&self) -> Result<&Current> {
        self.current.as_ref().ok_or_else(|| {
            let error = Error::new(ErrorKind::InvalidOption, "there is no frame yet");
            error.with_help("give one first: what is said of objects is said of the frame that was given last")
        })
    }

    fn take_spent(&mut self) -> Result<Stages> {
        self.here()?;
        Ok(self.current.as_mut().map(|current| std::mem::take(&mut current.spent)).unwrap_or_default())
    }

    fn place(&self, object: ObjectId) -> Option<usize> {
        self.objects.iter().position(|followed| followed.id == object)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.objects().iter().map(ToString::to_string).collect();
        if names.is_empty() { "there is none".into() } else { names.join(", ") }
    }

    /// How far around a prompted frame memories are forgotten.
    fn forgets(&self) -> Option<usize> {
        self.options.forget_around_prompts.then_some(self.video.head.memories)
    }

    /// An object's answer to what is said of it on the current frame, which counts from the next run on.
    fn prompted(&self, object: &mut Followed) -> Result<Stages> {
        let start = Instant::now();
        let Current { index, features, .. } = self.here()?;
        let Some(prompt) = object.prompts.get(index).cloned() else { return Ok(Stages::default()) };
        let passed = object.passed.get(index).copied();
        let is_conditioning = passed.is_none() || self.options.corrections_condition;
        let earlier = object.latest(*index).and_then(|output| output.logits.as_deref().map(limited));
        let sight = Sight { video: &self.video, options: &self.options, frame: *index, features, call: &self.call };
        let said = Said { prompt: &prompt, passed, earlier, of_mask: Choice::Single };
        let (glimpse, stages) = sight.prompted(object, &said)?;
        let shelf = if is_conditioning { Shelf::Conditioning } else { Shelf::Ordinary };
        object.pending(shelf).insert(*index, glimpse.output);
        Ok(stages.rest(Stage::Postprocess, start))
    }

    /// Remembers what prompts said on the current frame, before its features are dropped.
    fn leave(&mut self) -> Result<Stages> {
        let Some(Current { index, features, .. }) = &self.current else { return Ok(Stages::default()) };
        let sight = Sight { video: &self.video, options: &self.options, frame: *index, features, call: &self.call };
        let mut stages = Stages::default();
        for shelf in [Shelf::Conditioning, Shelf::Ordinary] {
            let mut pending: Vec<&mut Output> = Vec::new();
            for object in &mut self.objects {
                pending.extend(object.pending(shelf).get_mut(index).filter(|output| output.memory.is_none()));
            }
            let logits: Vec<Arc<Logits>> = pending.iter().filter_map(|output| output.logits.clone()).collect();
            let seen = logits.iter().zip(&pending).map(|(logits, output)| Seen { logits, is_hard: true, presence: output.presence });
            let (memories, spent) = sight.remember(&seen.collect::<Vec<_>>())?;
            stages += spent;
            for (output, memory) in pending.into_iter().zip(memories) {
                *output = output.clone().remembered(&memory, self.options.memory);
            }
        }
        Ok(stages)
    }

    fn prune(&mut self, direction: Direction) -> Result<()> {
        let frame = self.here()?.index;
        let viewpoint = object::Viewpoint { frame, direction, options: &self.options, head: &self.video.head };
        self.objects.iter_mut().for_each(|object| object.prune(viewpoint));
        Ok(())
    }

    /// What is known of objects on the current frame.
    fn answer(&self, ids: &[ObjectId], timings: Stages) -> Result<Tracked> {
        let Current { index, features, .. } = self.here()?;
        let upsampler = Arc::new(self.video.upsampler(features.size)?);
        let told = |id: &ObjectId| {
            let object = &self.objects[self.place(*id)?];
            let output = object.latest(*index)?;
            let is_prompted = object.prompts.contains_key(index);
            TrackedObject::new(object.id, output, answer::Shown { upsampler: Arc::clone(&upsampler), is_prompted })
        };
        let objects = ids.iter().filter_map(told).collect();
        let mut answer = Tracked { frame: *index, size: features.size, objects, timings };
        if self.options.non_overlapping {
            answer.separate()?;
        }
        Ok(answer)
    }
}

/// An earlier answer as it is fed back, cut as the official predictor cuts it.
fn limited(logits: &Logits) -> Arc<Logits> {
    const LIMIT: f32 = 32.0;
    let mut logits = logits.clone();
    logits.data_mut().iter_mut().for_each(|logit| *logit = logit.clamp(-LIMIT, LIMIT));
    Arc::new(logits)
}

/// A decoder gives a row for each that it is asked for.
fn nothing_decoded() -> Error {
    Error::new(ErrorKind::Failed, "the decoder gave no answer")
}
