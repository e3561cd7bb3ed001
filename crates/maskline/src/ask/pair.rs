//! A model that finds objects, and one that gives them masks.

use crate::{Error, ErrorKind, Image, Masked, Model, Object, PredictOptions, Prompt, Result, SegmentOptions, Stage, Stages};

/// A finder and a segmenter: what the first one finds is what the second one is asked about (`yolov8n+sam2.1-tiny`).
#[derive(Debug, Clone)]
pub struct Pair {
    finder: Model,
    segmenter: Model,
}

/// Options of [`Pair::find`].
#[derive(Debug, Clone, Default)]
pub struct PairOptions {
    /// Of the finder.
    pub predict: PredictOptions,
    /// Of the segmenter.
    pub segment: SegmentOptions,
}

impl Pair {
    /// # Errors
    /// `InvalidOption` if the first model finds no boxes by itself or the second one takes no prompts.
    pub fn new(finder: Model, segmenter: Model) -> Result<Self> {
        if finder.info().task.finds_boxes() && segmenter.info().task.takes_prompts() {
            return Ok(Self { finder, segmenter });
        }
        let found = format!("{} ({}) and {} ({})", finder.name(), finder.info().task, segmenter.name(), segmenter.info().task);
        let error = Error::new(ErrorKind::InvalidOption, "pair of models").expecting("a detector and a promptable model");
        Err(error.but_found(found))
    }

    /// The model that finds objects.
    pub fn finder(&self) -> &Model {
        &self.finder
    }

    /// The model that gives them masks.
    pub fn segmenter(&self) -> &Model {
        &self.segmenter
    }

    /// The objects of a picture with their masks: [`Embedding::segment_detections`](crate::Embedding::segment_detections) of what
    /// [`Model::predict`] finds. What the finder took is the stage `detect`.
    ///
    /// # Errors
    /// As these two.
    pub fn find(&self, image: &Image, options: &PairOptions) -> Result<Masked> {
        self.find_with(image, options, |_| Vec::new())
    }

    /// As [`Pair::find`], and answers to more prompts, which follow the detections: `more` hears what was found and says them.
    ///
    /// # Errors
    /// As [`Pair::find`].
    pub fn find_with(&self, image: &Image, options: &PairOptions, more: impl FnOnce(&[Object]) -> Vec<Prompt>) -> Result<Masked> {
        let detected = self.finder.predict(image, &options.predict)?;
        let mut timings = Stages::default();
        timings.spend(Stage::Detect, detected.timings.total() - detected.timings.get(Stage::Decode));
        let embedding = self.segmenter.embed(image)?;
        let found = embedding.segment_detections(&detected.objects, &more(&detected.objects), &options.segment)?;
        Ok(Masked { timings: timings + *embedding.timings() + found.timings, ..found })
    }
}
