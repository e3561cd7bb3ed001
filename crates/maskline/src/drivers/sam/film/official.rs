//! Scenarios of the official predictor: the tracker that ships.

use std::sync::Arc;

use super::steps::{self, Step};
use super::{Film, Found, numbers, of_objects, of_state};
use crate::tracker::{Frame, MemoryPrecision, Tracker, TrackerOptions};
use crate::verify::{Case, Computed};
use crate::{Result, Stages};

/// What a scenario's predictor was made with.
pub(super) fn options(case: &Case, scenario: &str, memory: MemoryPrecision) -> TrackerOptions {
    let is_set = |key: &str| steps::entry(case, scenario).is_some_and(|call| call["options"][key] == true);
    TrackerOptions {
        memory,
        // The official session keeps everything.
        history: usize::MAX,
        corrections_condition: is_set("add_all_frames_to_correct_as_cond"),
        forget_around_prompts: is_set("clear_non_cond_mem_around_input"),
        non_overlapping: is_set("non_overlap_masks"),
        hole_area: 0,
        ..TrackerOptions::default()
    }
}

pub(super) fn play(film: &Film<'_>, steps: &[Step], options: &TrackerOptions) -> Result<Found> {
    let options = TrackerOptions { length: Some(film.frames.len()), ..options.clone() };
    let mut tracker = Tracker::of(Arc::clone(&film.video), options);
    let look = |tracker: &mut Tracker, index: usize| {
        let frame = Frame { features: film.frames[index].clone(), spent: Stages::default() };
        tracker.look_encoded(index, frame)
    };
    let mut found = Found::new();
    for (number, step) in steps.iter().enumerate() {
        let mut tell = |name: &str, tensor: Computed| found.insert(format!("step{number}.{name}"), tensor);
        match step {
            Step::Say { frame, object, prompt, is_more, .. } => {
                look(&mut tracker, *frame)?;
                if *is_more {
                    tracker.refine(*object, &prompt.clicks)?
                } else {
                    tracker.add(*object, prompt)?
                };
                let place = tracker.followed().iter().position(|followed| followed.id == *object);
                let prompted = &tracker.followed()[place.unwrap_or_default()];
                let (masks, scores) = of_objects(std::slice::from_ref(prompted), *frame, film.video.mask_side());
                tell("click_masks", masks);
                tell("click_scores", scores);
                let is_conditioning = prompted.pending_conditioning.contains_key(frame);
                tell("is_cond", Computed { shape: vec![], data: vec![f32::from(u8::from(is_conditioning))] });
                tell("video_positive", positive(&tracker)?);
            }
            Step::Run { direction, .. } => {
                let order = step.frames(film.frames.len());
                let (mut masks, mut scores) = (Vec::new(), Vec::new());
                for index in &order {
                    look(&mut tracker, *index)?;
                    tracker.track(*direction)?;
                    let (mask, score) = of_objects(tracker.followed(), *index, film.video.mask_side());
                    masks.extend(mask.data);
                    scores.extend(score.data);
                    tell("last_video_positive", positive(&tracker)?);
                }
                let (objects, side) = (tracker.objects().len(), film.video.mask_side());
                tell("pred_masks", Computed { shape: vec![order.len(), objects, 1, side, side], data: masks });
                tell("object_score_logits", Computed { shape: vec![order.len(), objects, 1], data: scores });
                tell("frame_order", numbers(order));
                tell("object_ids", numbers(tracker.objects()));
            }
            Step::Remove { object } => {
                tracker.remove(*object);
            }
        }
        for object in tracker.followed() {
            tell(&format!("obj{}.cond_frames", object.id), numbers(object.conditioning.keys().copied()));
        }
    }
    of_state(&mut found, film, tracker.followed(), true);
    Ok(found)
}

/// Where objects are, at the size of the frame: 1 inside.
fn positive(tracker: &Tracker) -> Result<Computed> {
    let answer = tracker.told()?;
    let (width, height) = answer.size;
    let mut data = Vec::new();
    for object in &answer.objects {
        data.extend(object.mask()?.to_rows(1).into_iter().map(f32::from));
    }
    Ok(Computed { shape: vec![answer.objects.len(), 1, height, width], data })
}
