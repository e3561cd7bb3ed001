//! Objects through the frames of a clip.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use maskline::{Direction, Error, ErrorKind, ObjectId, Stage, Stages, Tracked, TrackedObject, Tracker};
use maskline_video::write::{FrameMasks, ObjectMask};

use super::prompts::{Asked, Title};
use super::stream::Coming;

/// A tracker and what is still to be said to it.
pub(super) struct Following {
    pub(super) tracker: Tracker,
    pub(super) direction: Direction,
    /// Prompts by frame, once they are read; a frame's go when it is reached.
    pub(super) asked: Option<BTreeMap<usize, Vec<Asked>>>,
    pub(super) titles: HashMap<ObjectId, Title>,
}

/// What was found on a frame.
pub(super) struct Step {
    pub(super) masks: FrameMasks,
    pub(super) timings: Stages,
}

impl Following {
    /// Finds all objects on a frame, then hears what is said of it; `place` is its number for the tracker, whose neighbours are those of the
    /// frames that are looked at.
    ///
    /// # Errors
    /// As [`Tracker::track`] and [`Tracker::add`], naming the frame.
    pub(super) fn step(&mut self, coming: Coming, place: usize) -> Result<Step, Error> {
        let Coming { index, time, image, decode, encoded, .. } = coming;
        let size = image.size();
        let mut timings = Stages::of(&[Stage::Decode]);
        timings.spend(Stage::Decode, decode);
        let asked = self.asked.as_mut().and_then(|asked| asked.remove(&index)).unwrap_or_default();
        let Some(encoded) = encoded.filter(|_| !asked.is_empty() || !self.tracker.objects().is_empty()) else {
            return Ok(Step { masks: FrameMasks { index, time, size, objects: Vec::new() }, timings });
        };
        let named = |error: Error| error.named(format!("frame {index}"));
        self.tracker.look_encoded(place, encoded).map_err(named)?;
        let mut found: Vec<TrackedObject> = Vec::new();
        if !self.tracker.objects().is_empty() {
            let Tracked { objects, timings: spent, .. } = self.tracker.track(self.direction).map_err(named)?;
            found = objects;
            timings += spent;
        }
        for Asked { object, prompt } in asked {
            let told = self.tracker.add(object, &prompt).map_err(named)?;
            timings += told.timings;
            for prompted in told.objects {
                match found.iter_mut().find(|tracked| tracked.id == prompted.id) {
                    Some(tracked) => *tracked = prompted,
                    None => found.push(prompted),
                }
            }
        }
        let start = Instant::now();
        let objects = found.iter().map(|object| self.mask_of(object)).collect::<Result<Vec<_>, _>>().map_err(named)?;
        timings.spend(Stage::Postprocess, start.elapsed());
        Ok(Step { masks: FrameMasks { index, time, size, objects }, timings })
    }

    fn mask_of(&self, object: &TrackedObject) -> Result<ObjectMask, Error> {
        let Title { label, class_id } = self.titles.get(&object.id).cloned().unwrap_or_default();
        Ok(ObjectMask { id: object.id, score: object.score, label, class_id, mask: object.mask()? })
    }

    /// What is wrong where prompts are left whose frames never came.
    pub(super) fn unheard(&self, clip_length: Option<usize>) -> Option<Error> {
        let (frame, asked) = self.asked.as_ref()?.first_key_value()?;
        let objects: Vec<String> = asked.iter().map(|asked| asked.object.to_string()).collect();
        let error =
            Error::new(ErrorKind::BadInput, format!("object {} has a prompt on frame {frame}, which did not come", objects.join(", ")));
        Some(match clip_length {
            Some(length) => error.expecting(format!("a frame below {length}")).but_found(frame),
            None => error,
        })
    }
}
