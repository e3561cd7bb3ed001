//! A detector's objects as prompts: what it found stays as it found it, and gets a mask.

use maskline_vision::Object;

use super::embedding::Embedding;
use super::prompt::Prompt;
use super::segment::{Found, SegmentOptions};
use crate::Result;
use crate::timings::PromptTimings;

impl Prompt {
    /// A detector's object as a question for its mask: its box, with its name and class.
    pub fn of_object(object: &Object) -> Self {
        Self { label: object.label.clone(), class_id: object.class_id, ..Self::bounds(object.bounds) }
    }
}

impl Embedding {
    /// Masks for a detector's objects, and answers to `more` prompts.
    ///
    /// The detections are the prompts from 0 on, `more` follow them. An object that answers a detection is the detection, with everything
    /// that it had (box, score, class, keypoints, …), and the mask beside it: [`Object::mask`], its own box in [`Object::mask_box`], the
    /// segmenter's score in [`Object::mask_score`] and the mask's stability. A detection that gets no mask stays in the list without one,
    /// and [`Found::errors`] says why. Nothing detected and nothing else asked is an empty answer, not an error.
    ///
    /// # Errors
    /// As [`Embedding::find`].
    pub fn segment_detections(&self, detections: &[Object], more: &[Prompt], options: &SegmentOptions) -> Result<Found> {
        let prompts: Vec<Prompt> = detections.iter().map(Prompt::of_object).chain(more.iter().cloned()).collect();
        if prompts.is_empty() {
            options.check()?;
            return Ok(Found { objects: Vec::new(), errors: Vec::new(), timings: PromptTimings::default() });
        }
        let mut found = self.find(&prompts, options)?;
        for object in &mut found.objects {
            if let Some(detection) = object.prompt.and_then(|prompt| detections.get(prompt)) {
                *object = masked(detection, std::mem::take(object));
            }
        }
        let failed = found.errors.iter().filter_map(|(index, _)| Some((*index, detections.get(*index)?)));
        let without_mask = failed.map(|(index, detection)| Object { prompt: Some(index), ..detection.clone() });
        found.objects.extend(without_mask.collect::<Vec<_>>());
        found.objects.sort_by_key(|object| object.prompt);
        Ok(found)
    }
}

/// A detection with the mask that answers it.
fn masked(detection: &Object, answer: Object) -> Object {
    Object {
        prompt: answer.prompt,
        stability: answer.stability,
        // An empty mask has none.
        mask_box: answer.mask.as_ref().and_then(|mask| mask.bounds()).map(|bounds| bounds.map(|side| side as f32)),
        mask_score: Some(answer.score),
        mask: answer.mask,
        ..detection.clone()
    }
}
