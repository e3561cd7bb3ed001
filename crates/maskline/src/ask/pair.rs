//! A model that finds objects, and one that gives them masks.

use crate::{
    Concept, Detections, Error, ErrorKind, Image, Masked, Model, Object, PredictOptions, Prompt, Result, SegmentOptions, Stage, Stages,
};

/// A finder and a segmenter: what the first one finds is what the second one is asked about (`yolov8n+sam2.1-tiny`,
/// `owlv2-base+sam2.1-tiny`).
#[derive(Debug, Clone)]
pub struct Pair {
    finder: Model,
    segmenter: Model,
}

/// Options of [`Pair::find`].
#[derive(Debug, Clone, Default)]
pub struct PairOptions {
    /// What a finder that is told by words or examples looks for; none for one that finds its own classes.
    pub concepts: Vec<Concept>,
    /// Of the finder.
    pub predict: PredictOptions,
    /// Of the segmenter.
    pub segment: SegmentOptions,
}

impl Pair {
    /// # Errors
    /// `InvalidOption` if the first model finds no boxes, by itself or for words, or the second one takes no prompts.
    pub fn new(finder: Model, segmenter: Model) -> Result<Self> {
        let task = finder.info().task;
        if (task.finds_boxes() || task.takes_concepts()) && segmenter.info().takes_prompts() {
            return Ok(Self { finder, segmenter });
        }
        let found = format!("{} ({}) and {} ({})", finder.name(), finder.info().task, segmenter.name(), segmenter.info().task);
        let error =
            Error::new(ErrorKind::InvalidOption, "pair of models").expecting("a detector or a finder of words, and a promptable model");
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
    /// [`Model::predict`] finds, or [`Model::find_concepts`] of a finder that is told what to look for. An object keeps its label, class and
    /// score. What the finder took is the stage `detect`, but for reading words, which is `text_encode`.
    ///
    /// # Errors
    /// As these; `InvalidOption` for concepts that the finder does not take, and for a finder of words that is told none.
    pub fn find(&self, image: &Image, options: &PairOptions) -> Result<Masked> {
        self.find_with(image, options, |_| Vec::new())
    }

    /// As [`Pair::find`], and answers to more prompts, which follow the detections: `more` hears what was found and says them.
    ///
    /// # Errors
    /// As [`Pair::find`].
    pub fn find_with(&self, image: &Image, options: &PairOptions, more: impl FnOnce(&[Object]) -> Vec<Prompt>) -> Result<Masked> {
        let found = self.boxes(image, options)?;
        let (decode, words) = (found.timings.get(Stage::Decode), found.timings.get(Stage::TextEncode));
        let mut timings = Stages::default();
        timings.spend(Stage::Detect, found.timings.total().saturating_sub(decode + words));
        if found.timings.phrases().total() > 0 {
            timings.spend(Stage::TextEncode, words);
            timings.count_phrases(found.timings.phrases());
        }
        let embedding = self.segmenter.embed(image)?;
        let masked = embedding.segment_detections(&found.objects, &more(&found.objects), &options.segment)?;
        Ok(Masked { timings: timings + *embedding.timings() + masked.timings, ..masked })
    }

    /// What the finder finds.
    fn boxes(&self, image: &Image, options: &PairOptions) -> Result<Detections> {
        let PairOptions { concepts, predict, .. } = options;
        // What the finder does not answer, it refuses by name.
        if concepts.is_empty() { self.finder.predict(image, predict) } else { self.finder.find_concepts(image, concepts, predict) }
    }
}
