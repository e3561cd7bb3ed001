//! What is worked on a session: its tracker, and what it must know beside that.

use std::collections::BTreeMap;

use maskline::{Direction, Error, ErrorKind, Frame, MaskPrompt, ObjectId, Prompt, Stages, Tracked, Tracker};

use super::session::Seen;
use crate::fault::{Fault, Reason, Result};

/// Farthest frame of a video: years of it.
const LAST_FRAME: usize = u32::MAX as usize;

/// A tracker, and what it was told.
pub(crate) struct Work {
    pub(crate) tracker: Tracker,
    /// Width and height of all frames.
    size: Option<(usize, usize)>,
    frames: u64,
    labels: BTreeMap<ObjectId, String>,
    /// Bytes of the masks that objects were told, by frame.
    masks: BTreeMap<(ObjectId, usize), usize>,
}

/// A frame that is gone to.
pub(crate) struct Step {
    pub(crate) frame: Frame,
    /// `None` for the next one.
    pub(crate) index: Option<usize>,
    /// Whether objects are followed onto it.
    pub(crate) tracks: bool,
    pub(crate) direction: Direction,
}

/// What is said of an object on the current frame.
pub(crate) struct Said {
    pub(crate) object: ObjectId,
    pub(crate) prompt: Prompt,
    /// Whether its clicks come beside those that are there.
    pub(crate) refines: bool,
}

impl Work {
    pub(super) fn new(tracker: Tracker) -> Self {
        Self { tracker, size: None, frames: 0, labels: BTreeMap::new(), masks: BTreeMap::new() }
    }

    pub(super) fn seen(&self) -> Seen {
        let told: usize = self.labels.values().map(String::len).sum::<usize>() + self.masks.values().sum::<usize>();
        let Self { tracker, size, frames, .. } = self;
        Seen { frame: tracker.frame(), frames: *frames, size: *size, objects: tracker.objects(), bytes: tracker.state_bytes() + told }
    }

    /// What an object is called.
    pub(crate) fn label(&self, object: ObjectId) -> Option<&String> {
        self.labels.get(&object)
    }

    /// Goes to a frame.
    ///
    /// # Errors
    /// `BadRequest` for a frame of another size than those before, and where there is no next one; as tracking.
    pub(crate) fn step(&mut self, step: Step) -> Result<Tracked> {
        let Step { frame, index, tracks, direction } = step;
        let size = frame.size();
        if let Some(known) = self.size.filter(|known| *known != size) {
            let shown = |(width, height): (usize, usize)| format!("{width} × {height}");
            let fault = Fault::bad("frame", format!("the size of the frames before, {}", shown(known)), shown(size));
            return Err(fault.with_help("open a session for each video, or reset this one"));
        }
        let index = index.map_or_else(|| self.next(direction), Ok)?;
        if index > LAST_FRAME {
            return Err(Fault::bad("index", format!("at most {LAST_FRAME}"), index));
        }
        self.tracker.look_encoded(index, frame)?;
        (self.size, self.frames) = (Some(size), self.frames + 1);
        if tracks {
            return Ok(self.tracker.track(direction)?);
        }
        Ok(Tracked { frame: index, size, objects: Vec::new(), timings: Stages::default() })
    }

    fn next(&self, direction: Direction) -> Result<usize> {
        match (self.tracker.frame(), direction) {
            (None, Direction::Forward) => Ok(0),
            (Some(frame), Direction::Forward) => Ok(frame + 1),
            (Some(frame), Direction::Backward) if frame > 0 => Ok(frame - 1),
            (found, Direction::Backward) => {
                let found = found.map_or("no frame yet", |_| "the first frame");
                Err(Fault::bad("direction", "a frame to go back from, or the index of this one", found))
            }
        }
    }

    /// Says where an object is on the current frame.
    ///
    /// # Errors
    /// As [`Work::size`] and the tracker's.
    pub(crate) fn say(&mut self, said: Said) -> Result<Tracked> {
        let Said { object, prompt, refines } = said;
        if !refines {
            let tracked = self.tracker.add(object, &prompt)?;
            let bytes = match &prompt.mask {
                Some(MaskPrompt::Picture(mask)) => size_of::<u32>() * mask.to_rle().counts.len(),
                _ => 0,
            };
            self.masks.insert((object, tracked.frame), bytes);
            self.name(object, prompt.label);
            return Ok(tracked);
        }
        if prompt.bounds.is_some() || prompt.mask.is_some() || prompt.clicks.is_empty() {
            return Err(Fault::bad("refine", "points alone, which come beside what was said before", "something else"));
        }
        let tracked = self.tracker.refine(object, &prompt.clicks)?;
        self.name(object, prompt.label);
        Ok(tracked)
    }

    fn name(&mut self, object: ObjectId, label: Option<String>) {
        self.labels.extend(label.map(|label| (object, label)));
    }

    /// Width and height of the current frame.
    ///
    /// # Errors
    /// `Conflict` where there is none.
    pub(crate) fn size(&self) -> Result<(usize, usize)> {
        self.size.filter(|_| self.tracker.frame().is_some()).ok_or_else(|| {
            let error =
                Error::new(ErrorKind::InvalidOption, "there is no frame yet, and objects are prompted on the frame that was given last");
            Fault::new(Reason::Conflict, error.with_help("give one first: POST /v1/video/{id}/frames"))
        })
    }

    /// Forgets what was said of an object on the current frame.
    ///
    /// # Errors
    /// `NotFound` for an object that is not followed; `Conflict` without a frame.
    pub(crate) fn clear(&mut self, object: ObjectId) -> Result<()> {
        self.size()?;
        self.check_followed(object)?;
        self.tracker.clear(object)?;
        if let Some(frame) = self.tracker.frame() {
            self.masks.remove(&(object, frame));
        }
        Ok(())
    }

    /// Follows an object no longer.
    ///
    /// # Errors
    /// `NotFound` for one that is not followed.
    pub(crate) fn remove(&mut self, object: ObjectId) -> Result<()> {
        self.check_followed(object)?;
        self.tracker.remove(object);
        self.labels.remove(&object);
        self.masks.retain(|(other, _), _| *other != object);
        Ok(())
    }

    fn check_followed(&self, object: ObjectId) -> Result<()> {
        let followed = self.tracker.objects();
        if followed.contains(&object) {
            return Ok(());
        }
        let names: Vec<String> = followed.iter().map(ToString::to_string).collect();
        let known = if names.is_empty() { "none is".to_owned() } else { format!("these are: {}", names.join(", ")) };
        Err(Fault::not_found(format!("object {object} is not followed")).with_help(known))
    }

    /// Forgets all objects and frames.
    pub(crate) fn reset(&mut self) {
        self.tracker.reset();
        let tracker = self.tracker.clone();
        *self = Self::new(tracker);
    }
}
