//! A detector's objects as prompts: what it found stays as it found it, and gets a mask.

use maskline_vision::Object;

use super::embedding::Embedding;
use super::prompt::Prompt;
use super::segment::SegmentOptions;
use crate::{Error, Result, Stages};

impl Prompt {
    /// A detector's object as a question for its mask: its box, with its name and class.
    pub fn of_object(object: &Object) -> Self {
        Self { label: object.label.clone(), class_id: object.class_id, ..Self::bounds(object.bounds) }
    }
}

/// The answer of [`Embedding::segment_detections`].
#[derive(Debug, Clone)]
pub struct Masked {
    /// The detections and what answers the other prompts, in the order of the prompts.
    pub objects: Vec<Object>,
    /// The prompts that could not be answered, by index. A detection that has no mask is among the objects all the same.
    pub errors: Vec<(usize, Error)>,
    /// Where the time of this call went.
    pub timings: Stages,
}

impl Embedding {
    /// Masks for a detector's objects, and answers to `more` prompts.
    ///
    /// The detections are the prompts from 0 on, `more` follow them. An object that answers a detection is the detection, with everything
    /// that it had (box, score, class, keypoints, …), and the mask beside it: [`Object::mask`], its own box in [`Object::mask_box`], the
    /// segmenter's score in [`Object::mask_score`] and the mask's stability. A detection that gets no mask stays in the list without one,
    /// and [`Masked::errors`] says why. Nothing detected and nothing else asked is an empty answer.
    ///
    /// # Errors
    /// As [`Embedding::find`].
    pub fn segment_detections(&self, detections: &[Object], more: &[Prompt], options: &SegmentOptions) -> Result<Masked> {
        let prompts: Vec<Prompt> = detections.iter().map(Prompt::of_object).chain(more.iter().cloned()).collect();
        let found = self.find(&prompts, options)?;
        let mut masks = Masked { objects: Vec::new(), errors: Vec::new(), timings: found.timings };
        for (index, answer) in found.answers.into_iter().enumerate() {
            let detection = detections.get(index);
            match (answer, detection) {
                (Ok(objects), Some(detection)) => masks.objects.extend(objects.into_iter().map(|object| masked(detection, object))),
                (Ok(objects), None) => masks.objects.extend(objects),
                (Err(error), detection) => {
                    masks.objects.extend(detection.map(|detection| Object { prompt: Some(index), ..detection.clone() }));
                    masks.errors.push((index, error));
                }
            }
        }
        Ok(masks)
    }
}

/// A detection with the mask that answers it.
pub(crate) fn masked(detection: &Object, answer: Object) -> Object {
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
