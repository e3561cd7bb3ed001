//! Scenarios of Hugging Face's `Sam2VideoModel`. Its rules are those of the official predictor but for these:
//!
//! - a prompt runs all objects on its frame, and stores what is found of the others;
//! - earlier answers are not fed back with clicks;
//! - a prompted frame does not count as passed by a run, so that another prompt there is a first one again;
//! - memories are made at once; where something was said of one object, those of all are hard;
//! - of a mask that is given, the memory is made at the size of the input, and the pointer is that of the best of the masks for ambiguous
//!   prompts.

use std::sync::Arc;

use maskline_models::sam::kind;
use maskline_vision::mask::Logits;

use super::steps::Step;
use super::{Film, Found, numbers, of_objects, of_state};
use crate::drivers::{Call, Choice, Seen};
use crate::tracker::{Followed, Glimpse, MemoryPrecision, Said, Sight, TrackerOptions};
use crate::verify::Computed;
use crate::{Direction, Error, ErrorKind, MaskPrompt, ObjectId, Prompt, Result};

/// A session.
struct Session<'a> {
    film: &'a Film<'a>,
    options: TrackerOptions,
    objects: Vec<Followed>,
    /// Those of which something was said since they were run.
    waiting: Vec<ObjectId>,
    /// What the memory attention gave, one run after the other.
    attended: Vec<Computed>,
}

pub(super) fn play(film: &Film<'_>, steps: &[Step], memory: MemoryPrecision) -> Result<Found> {
    let options = TrackerOptions { length: Some(film.frames.len()), memory, hole_area: 0, ..TrackerOptions::default() };
    let mut session = Session { film, options, objects: Vec::new(), waiting: Vec::new(), attended: Vec::new() };
    let (mut found, side) = (Found::new(), film.video.mask_side());
    for (number, step) in steps.iter().enumerate() {
        let mut tell = |name: &str, tensor: Computed| found.insert(format!("step{number}.{name}"), tensor);
        match step {
            Step::Say { frame, object, prompt, waits, .. } => {
                session.say(*frame, *object, prompt);
                for (name, tensor) in session.tokens(prompt)? {
                    tell(name, tensor.clone());
                    tell(&format!("obj{object}.{name}"), tensor);
                }
                if !waits {
                    session.run(*frame, Direction::Forward)?;
                    let (masks, scores) = of_objects(&session.objects, *frame, side);
                    tell("click_masks", masks);
                    tell("click_scores", scores);
                }
            }
            Step::Run { direction, .. } => {
                let order = step.frames(film.frames.len());
                let (mut masks, mut scores) = (Vec::new(), Vec::new());
                for frame in &order {
                    session.run(*frame, *direction)?;
                    let (mask, score) = of_objects(&session.objects, *frame, side);
                    masks.extend(mask.data);
                    scores.extend(score.data);
                }
                let objects = session.objects.len();
                tell("pred_masks", Computed { shape: vec![order.len(), objects, 1, side, side], data: masks });
                tell("object_score_logits", Computed { shape: vec![order.len(), objects, 1], data: scores });
                tell("frame_order", numbers(order));
                tell("object_ids", numbers(session.objects.iter().map(|object| object.id)));
            }
            Step::Remove { object } => session.objects.retain(|followed| followed.id != *object),
        }
        for object in &session.objects {
            tell(&format!("obj{}.cond_frames", object.id), numbers(object.conditioning.keys().copied()));
        }
    }
    of_state(&mut found, film, &session.objects, false);
    let ends = [("memory_attention_first", session.attended.first()), ("memory_attention_last", session.attended.last())];
    found.extend(ends.into_iter().filter_map(|(name, tensor)| Some((name.to_owned(), tensor?.clone()))));
    Ok(found)
}

impl Session<'_> {
    fn say(&mut self, frame: usize, object: ObjectId, prompt: &Prompt) {
        let place = self.objects.iter().position(|followed| followed.id == object).unwrap_or_else(|| {
            self.objects.push(Followed::new(object));
            self.objects.len() - 1
        });
        self.objects[place].prompts.insert(frame, prompt.clone());
        self.waiting.push(object);
    }

    /// Places and labels of a prompt's tokens but the pad, as the network gets them.
    fn tokens(&self, prompt: &Prompt) -> Result<[(&'static str, Computed); 2]> {
        let (tokens, _) = self.film.video.tokens(prompt, self.film.size()?)?;
        let count = tokens.kinds.iter().filter(|kind| **kind != kind::PAD).count();
        // Negative and positive clicks are 0 and 1, corners 2 and 3.
        let labels = tokens.kinds[..count].iter().map(|kind| (kind - 1) as f32).collect();
        Ok([
            ("point_coords", Computed { shape: vec![1, 1, count, 2], data: tokens.coords[..2 * count].to_vec() }),
            ("point_labels", Computed { shape: vec![1, 1, count], data: labels }),
        ])
    }

    /// All objects on a frame.
    fn run(&mut self, frame: usize, mut direction: Direction) -> Result<()> {
        let mut made: Vec<(usize, Arc<Logits>, bool)> = Vec::new();
        for index in 0..self.objects.len() {
            let object = &self.objects[index];
            let is_waiting = self.waiting.contains(&object.id);
            if !is_waiting && object.conditioning.contains_key(&frame) {
                continue;
            }
            let prompt = object.prompts.get(&frame).filter(|_| is_waiting).cloned();
            let is_first = is_waiting && !object.passed.contains_key(&frame);
            if is_first {
                direction = Direction::Forward;
            }
            let passed = (!is_first).then_some(direction);
            let (glimpse, remembered) = self.seen(index, frame, &Asking { prompt: prompt.as_ref(), passed })?;
            let object = &mut self.objects[index];
            made.push((index, remembered, prompt.is_some()));
            if is_first {
                object.conditioning.insert(frame, glimpse.output);
            } else {
                object.ordinary.insert(frame, glimpse.output);
                object.passed.insert(frame, direction);
            }
            if prompt.is_some() {
                let id = object.id;
                self.waiting.retain(|waiting| *waiting != id);
            }
        }
        self.remember(frame, &made)
    }

    fn sight<'s>(&'s self, frame: usize, call: &'s Call) -> Sight<'s> {
        Sight { video: &self.film.video, options: &self.options, frame, features: &self.film.frames[frame], call }
    }

    /// An object on a frame, and the mask that is remembered of it.
    fn seen(&mut self, index: usize, frame: usize, asking: &Asking<'_>) -> Result<(Glimpse, Arc<Logits>)> {
        let (call, object) = (Call::default(), &self.objects[index]);
        let sight = self.sight(frame, &call);
        let given = asking.prompt.and_then(|prompt| match &prompt.mask {
            Some(MaskPrompt::Picture(mask)) => Some(mask),
            _ => None,
        });
        let attended = match asking.passed.filter(|_| given.is_none()) {
            Some(direction) => Some(sight.conditioned(object, direction)?.0),
            None => None,
        };
        let glimpse = match asking.prompt {
            Some(prompt) => {
                let said = Said { prompt, passed: asking.passed, earlier: None, of_mask: Choice::Best };
                sight.prompted(object, &said)?.0
            }
            None => {
                let (glimpses, _) = sight.tracked(&[object], asking.passed.unwrap_or_default())?;
                glimpses.into_iter().next().ok_or_else(|| Error::new(ErrorKind::Failed, "nothing was decoded"))?
            }
        };
        let remembered = match given {
            Some(mask) => Arc::new(self.film.video.given(mask)?),
            None => Arc::clone(&glimpse.unfilled),
        };
        if let Some(cells) = attended.and_then(|cells| cells.conditioned) {
            let view = cells.view::<f32>()?;
            let shape = std::iter::once(1).chain(view.shape).collect();
            self.attended.push(Computed { shape, data: view.data.to_vec() });
        }
        Ok((glimpse, remembered))
    }

    /// Makes the memories of what was seen on a frame: by index of the object, its mask, and whether something was said of it.
    fn remember(&mut self, frame: usize, made: &[(usize, Arc<Logits>, bool)]) -> Result<()> {
        let (call, is_hard) = (Call::default(), made.iter().any(|(.., is_said)| *is_said));
        for (index, logits, _) in made {
            let latest = self.objects[*index].latest(frame).cloned();
            let Some(output) = latest else { continue };
            let (memories, _) = self.sight(frame, &call).remember(&[Seen { logits, is_hard, presence: output.presence }])?;
            let object = &mut self.objects[*index];
            let shelf = if object.conditioning.contains_key(&frame) { &mut object.conditioning } else { &mut object.ordinary };
            shelf.insert(frame, output.remembered(&memories[0], self.options.memory));
        }
        Ok(())
    }
}

/// What is asked of one object on a frame.
struct Asking<'a> {
    prompt: Option<&'a Prompt>,
    /// Which way the frame is passed; `None` where the object has no past on it.
    passed: Option<Direction>,
}
