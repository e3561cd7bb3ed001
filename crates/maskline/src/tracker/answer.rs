//! What is told of objects on a frame.

use std::sync::Arc;

use maskline_vision::Mask;
use maskline_vision::mask::{Logits, Upsampler};

use super::object::Output;
use super::{Glimpse, ObjectId};
use crate::drivers::Seen;
use crate::host::in_parallel;
use crate::{Object, Result, Stages};

/// Objects on one frame.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// Index of the frame.
    pub frame: usize,
    /// Its width and height in pixels.
    pub size: (usize, usize),
    /// In the order in which they were added; of an answer to a prompt, the one that was prompted.
    pub objects: Vec<TrackedObject>,
    /// Where the time went.
    pub timings: Stages,
}

/// One object on one frame.
#[derive(Debug, Clone)]
pub struct TrackedObject {
    /// Its name.
    pub id: ObjectId,
    /// That it is seen, 0..1.
    pub score: f32,
    /// Predicted IoU of the mask with the object.
    pub iou: f32,
    /// Whether something was said of it on this frame.
    pub is_prompted: bool,
    logits: Arc<Logits>,
    upsampler: Arc<Upsampler>,
    /// The mask, where more than the logits decided about it.
    settled: Option<Mask>,
}

/// How an object is shown.
pub(super) struct Shown {
    pub(super) upsampler: Arc<Upsampler>,
    pub(super) is_prompted: bool,
}

impl TrackedObject {
    /// `None` where the answer was dropped.
    pub(super) fn new(id: ObjectId, output: &Output, shown: Shown) -> Option<Self> {
        let Shown { upsampler, is_prompted } = shown;
        let score = 1.0 / (1.0 + (-output.presence).exp());
        Some(Self { id, score, iou: output.iou, is_prompted, logits: output.logits.clone()?, upsampler, settled: None })
    }

    /// The mask at the size of the frame; empty where the object is not seen.
    ///
    /// # Errors
    /// `OverLimit` for frames beyond `u32::MAX` pixels.
    pub fn mask(&self) -> Result<Mask> {
        match &self.settled {
            Some(mask) => Ok(mask.clone()),
            None => Ok(self.upsampler.threshold(&self.logits, 0.0)?),
        }
    }

    /// The mask's logits at the decoder's resolution, over all of the frame; all -1024 where the object is not seen.
    pub fn logits(&self) -> &Logits {
        &self.logits
    }

    /// The object with its mask, as answers on pictures tell it.
    ///
    /// # Errors
    /// As [`TrackedObject::mask`].
    pub fn object(&self) -> Result<Object> {
        let mask = self.mask()?;
        let bounds = mask.bounds().unwrap_or_default().map(|side| side as f32);
        Ok(Object { score: self.score, bounds, mask: Some(mask), ..Object::default() })
    }
}

impl Tracked {
    /// Leaves each pixel to the object with the largest logit there, of equal ones to the first.
    pub(super) fn separate(&mut self) -> Result<()> {
        if self.objects.len() < 2 {
            return Ok(());
        }
        let full = in_parallel(&self.objects.iter().collect::<Vec<_>>(), |object| Ok(object.upsampler.upsample(&object.logits)?))?;
        let (width, height) = self.size;
        let winner = |pixel: usize| {
            let largest = |best: usize, other: usize| if full[other][pixel] > full[best][pixel] { other } else { best };
            (1..full.len()).fold(0, largest)
        };
        let winners: Vec<usize> = (0..width * height).map(winner).collect();
        for (index, object) in self.objects.iter_mut().enumerate() {
            let is_set = |x: usize, y: usize| winners[y * width + x] == index && full[index][y * width + x] > 0.0;
            object.settled = Some(Mask::from_fn(width, height, is_set)?);
        }
        Ok(())
    }
}

impl Glimpse {
    /// The mask that is remembered of it.
    pub(crate) fn seen(&self, is_hard: bool) -> Seen<'_> {
        Seen { logits: &self.unfilled, is_hard, presence: self.output.presence }
    }
}
