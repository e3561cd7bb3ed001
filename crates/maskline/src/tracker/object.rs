//! What is known of one object: what was said of it, what was answered, and what of that is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;

use maskline_vision::mask::Logits;

use super::{Direction, MemoryPrecision, ObjectId, TrackerOptions};
use crate::drivers::{Decoded, Past};
use crate::{MemoryHead, Prompt};

/// What was answered of an object on a frame.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// Of the decoder's resolution; dropped where nobody can ask for them again.
    pub(crate) logits: Option<Arc<Logits>>,
    /// Logit that the object is seen.
    pub(crate) presence: f32,
    /// Predicted IoU.
    pub(crate) iou: f32,
    pub(crate) pointer: Arc<[f32]>,
    /// What is remembered of it; `None` until the frame is left, and where it is too long ago.
    pub(crate) memory: Option<Arc<[f32]>>,
}

impl Output {
    pub(crate) fn of(decoded: Decoded) -> Self {
        let Decoded { logits, presence, iou, pointer } = decoded;
        Self { logits: Some(Arc::new(logits)), presence, iou, pointer, memory: None }
    }

    /// With what the memory encoder made of it.
    pub(crate) fn remembered(mut self, memory: &[f32], precision: MemoryPrecision) -> Self {
        self.memory = Some(match precision {
            MemoryPrecision::Full => memory.into(),
            MemoryPrecision::Rounded => memory.iter().map(|number| half::bf16::from_f32(*number).to_f32()).collect(),
        });
        self
    }

    fn bytes(&self) -> usize {
        let numbers = |shared: &Option<Arc<[f32]>>| shared.as_ref().map_or(0, |numbers| numbers.len());
        let logits = self.logits.as_ref().map_or(0, |logits| logits.data().len());
        size_of::<f32>() * (logits + self.pointer.len() + numbers(&self.memory))
    }
}

/// Where an answer belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    /// Prompted frames, which are always looked at.
    Conditioning,
    /// All others.
    Ordinary,
}

/// Answers by their frames.
type Outputs = BTreeMap<usize, Output>;

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) id: ObjectId,
    /// What was said, by frame.
    pub(crate) prompts: BTreeMap<usize, Prompt>,
    pub(crate) conditioning: Outputs,
    pub(crate) ordinary: Outputs,
    /// Answers to prompts that count from the next run on, for each shelf.
    pub(crate) pending_conditioning: Outputs,
    pub(crate) pending_ordinary: Outputs,
    /// Frames that a run has passed, and which way.
    pub(crate) passed: BTreeMap<usize, Direction>,
}

impl Followed {
    pub(crate) fn new(id: ObjectId) -> Self {
        let none = Outputs::new;
        let (prompts, passed) = (BTreeMap::new(), BTreeMap::new());
        Self { id, prompts, conditioning: none(), ordinary: none(), pending_conditioning: none(), pending_ordinary: none(), passed }
    }

    pub(crate) fn pending(&mut self, shelf: Shelf) -> &mut Outputs {
        match shelf {
            Shelf::Conditioning => &mut self.pending_conditioning,
            Shelf::Ordinary => &mut self.pending_ordinary,
        }
    }

    /// The latest answer on a frame.
    pub(crate) fn latest(&self, frame: usize) -> Option<&Output> {
        let places = [&self.pending_conditioning, &self.pending_ordinary, &self.conditioning, &self.ordinary];
        places.into_iter().find_map(|outputs| outputs.get(&frame))
    }

    /// Answers to prompts become part of what is remembered; `around` of those, in frames, other answers are forgotten.
    pub(crate) fn commit(&mut self, around: Option<usize>) {
        for shelf in [Shelf::Ordinary, Shelf::Conditioning] {
            for (frame, output) in std::mem::take(self.pending(shelf)) {
                match shelf {
                    Shelf::Conditioning => self.conditioning.insert(frame, output),
                    Shelf::Ordinary => self.ordinary.insert(frame, output),
                };
                self.forget_around(frame, around);
            }
        }
        let Self { conditioning, ordinary, .. } = self;
        ordinary.retain(|frame, _| !conditioning.contains_key(frame));
    }

    /// Forgets ordinary answers up to so many frames away.
    pub(crate) fn forget_around(&mut self, frame: usize, around: Option<usize>) {
        if let Some(around) = around {
            self.ordinary.retain(|other, _| other.abs_diff(frame) > around);
        }
    }

    /// Forgets what was said on a frame; the answer stays, as one that nobody asked for.
    pub(crate) fn clear(&mut self, frame: usize) {
        self.prompts.remove(&frame);
        self.pending_conditioning.remove(&frame);
        self.pending_ordinary.remove(&frame);
        if let Some(output) = self.conditioning.remove(&frame) {
            self.ordinary.insert(frame, output);
            self.passed.remove(&frame);
        }
    }

    /// What is looked at from a frame.
    pub(crate) fn past(&self, from: Viewpoint<'_>) -> Past {
        let Viewpoint { frame, direction, options, head } = from;
        let chosen = self.nearest(frame, options.conditioning_frames);
        let is_chosen = |other: &usize| chosen.contains(other);
        let before = |distance: usize| direction.before(frame, distance);
        let mut past = Past::default();
        for output in chosen.iter().filter_map(|frame| self.conditioning.get(frame)) {
            past.memories.extend(output.memory.clone().map(|memory| (memory, head.memories as i64 - 1)));
        }
        // Of prompted frames that are not chosen, those before count as ordinary ones.
        let ordinary = |other: usize| self.ordinary.get(&other).or_else(|| self.conditioning.get(&other).filter(|_| !is_chosen(&other)));
        for distance in (1..head.memories).rev() {
            let output = before(distance).and_then(ordinary);
            past.memories.extend(output.and_then(|output| output.memory.clone()).map(|memory| (memory, distance as i64 - 1)));
        }
        let most = options.length.unwrap_or(usize::MAX).min(head.pointers);
        // A clip of one frame has no distances.
        let share = |distance: f32| distance / (most.max(2) - 1) as f32;
        for other in chosen.iter().filter(|other| direction.is_past(**other, frame)) {
            if let Some(output) = self.conditioning.get(other) {
                past.pointers.push((Arc::clone(&output.pointer), share(other.abs_diff(frame) as f32)));
            }
        }
        for distance in 1..most {
            if let Some(output) = before(distance).and_then(ordinary) {
                past.pointers.push((Arc::clone(&output.pointer), share(distance as f32)));
            }
        }
        past
    }

    /// The prompted frames that are looked at: of more than `most`, the nearest before, the nearest from here on, and then the nearest.
    fn nearest(&self, frame: usize, most: Option<usize>) -> Vec<usize> {
        let all: Vec<usize> = self.conditioning.keys().copied().collect();
        let Some(most) = most.filter(|most| all.len() > *most) else { return all };
        let before = all.iter().rev().find(|other| **other < frame).copied();
        let after = all.iter().find(|other| **other >= frame).copied();
        let mut chosen: Vec<usize> = before.into_iter().chain(after).collect();
        let mut rest: Vec<usize> = all.into_iter().filter(|other| !chosen.contains(other)).collect();
        rest.sort_by_key(|other| other.abs_diff(frame));
        chosen.extend(rest.into_iter().take(most.saturating_sub(chosen.len())));
        chosen
    }

    /// Drops what neither tracking nor going back needs.
    pub(crate) fn prune(&mut self, from: Viewpoint<'_>) {
        let Viewpoint { frame, options, head, .. } = from;
        let history = options.history;
        let within = |other: usize, reach: usize| other.abs_diff(frame) <= reach.max(history);
        for (other, output) in &mut self.ordinary {
            if !within(*other, 0) {
                output.logits = None;
            }
            if !within(*other, head.memories - 1) {
                output.memory = None;
            }
        }
        self.ordinary.retain(|other, _| within(*other, head.pointers.max(head.memories) - 1));
        self.passed.retain(|other, _| within(*other, 0));
        if options.conditioning_frames.is_some() {
            let kept = self.nearest(frame, options.conditioning_frames);
            self.conditioning.retain(|other, _| kept.contains(other) || within(*other, head.pointers.max(head.memories) - 1));
        }
        let Self { prompts, conditioning, .. } = self;
        prompts.retain(|other, _| conditioning.contains_key(other) || within(*other, 0));
    }

    /// Bytes of all that is kept.
    pub(crate) fn bytes(&self) -> usize {
        let shelves = [&self.conditioning, &self.ordinary, &self.pending_conditioning, &self.pending_ordinary];
        shelves.into_iter().flat_map(BTreeMap::values).map(Output::bytes).sum()
    }
}

/// From where an object's past is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewpoint<'a> {
    pub(crate) frame: usize,
    pub(crate) direction: Direction,
    pub(crate) options: &'a TrackerOptions,
    pub(crate) head: &'a MemoryHead,
}
