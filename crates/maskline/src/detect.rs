//! Detectors and classifiers: pictures in, objects or classes out.

use maskline_vision::Object;
use serde::Serialize;

use crate::drivers::{Call, Pictures};
use crate::{Error, ErrorKind, Image, Model, Result, Stages};

/// Size of the network input, at most 8192 a side and a GiB for the pictures of a batch together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputSize {
    /// The size that the model was trained at, as a square.
    #[default]
    Default,
    /// A square of this side, a multiple of the network's stride.
    Square(usize),
    /// The smallest rectangle of the network's stride that holds the picture scaled to this side (0: the default).
    Rect(usize),
}

/// Options of [`Model::predict`].
#[derive(Debug, Clone)]
pub struct PredictOptions {
    /// Size of the network input.
    pub size: InputSize,
    /// Least score; `None` for what the model's reference uses.
    pub conf: Option<f32>,
    /// Overlap above which the worse of two boxes of a class goes; `None` for what the model's reference does, which suppresses nothing of words
    /// and of heads that were trained to find each object once.
    pub iou: Option<f32>,
    /// Most objects per picture.
    pub max_detections: usize,
    /// Boxes of different classes suppress each other too; of a head without suppression, an anchor is of its best class alone.
    pub agnostic_nms: bool,
    /// Only these classes, by their index.
    pub classes: Option<Vec<usize>>,
    /// Classifiers: so many of the best classes.
    pub top: usize,
    /// Most pictures that go through the network together, up to 1024.
    pub batch: usize,
    /// How words are read.
    pub words: WordOptions,
    /// Masks of the objects found do not overlap: of several, the one with the largest logit keeps a pixel. Only of models that find masks
    /// for words and examples.
    pub separate: bool,
}

/// How words are read, of models that take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WordOptions {
    /// What is too long for the text encoder is cut, and no error.
    pub truncate: bool,
    /// A word is asked for in the phrasings that the model's published figures are measured with, and the mean of their likenesses counts.
    pub templates: bool,
    /// Words are encoded, whether somebody encoded them before or not, and nobody finds them encoded afterwards: to measure what that takes.
    pub uncached: bool,
}

/// What a model does where [`PredictOptions`] say nothing; `None` where it does no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usual {
    /// Least score of what it finds by itself or by words.
    pub conf: Option<f32>,
    /// Least score of what it finds by examples.
    pub conf_of_examples: Option<f32>,
    /// Overlap above which the worse of two boxes of a class goes.
    pub iou: Option<f32>,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self {
            size: InputSize::Default,
            conf: None,
            iou: None,
            max_detections: 300,
            agnostic_nms: false,
            classes: None,
            top: 5,
            batch: 4,
            words: WordOptions::default(),
            separate: false,
        }
    }
}

impl PredictOptions {
    /// Refuses another size than the one that a model is built for.
    pub(crate) fn check_built_size(&self, built: usize) -> Result<()> {
        match self.size {
            InputSize::Default => Ok(()),
            InputSize::Square(side) if side == built => Ok(()),
            InputSize::Square(side) | InputSize::Rect(side) => {
                let expected = format!("{built} × {built}, which the model is built for");
                let error = Error::new(ErrorKind::InvalidOption, "size").expecting(expected);
                Err(error.but_found(side).with_help("load the model with another size"))
            }
        }
    }

    /// Refuses shares that are none.
    pub(crate) fn check_shares(&self) -> Result<()> {
        let is_share = |value: f32| (0.0..=1.0).contains(&value);
        match [("conf", self.conf), ("iou", self.iou)].into_iter().find(|(_, value)| value.is_some_and(|value| !is_share(value))) {
            Some((name, value)) => {
                let error = Error::new(ErrorKind::InvalidOption, name).expecting("a number from 0 to 1");
                Err(error.but_found(value.unwrap_or_default()))
            }
            None => Ok(()),
        }
    }
}

impl Model {
    /// What holds where options say nothing.
    pub fn usual(&self) -> Usual {
        self.driver().usual()
    }

    /// Refuses to keep masks apart where none are found for words.
    pub(crate) fn check_separate(&self, options: &PredictOptions) -> Result<()> {
        let task = self.info().task;
        if !options.separate || (task.takes_concepts() && task.has_masks()) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::InvalidOption, "separate").expecting("a model that finds masks for words and examples");
        Err(error.but_found(format!("{} ({})", self.name(), task.noun())))
    }
}

/// A class and its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassScore {
    /// Class index.
    pub class_id: usize,
    /// Class name, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Probability.
    pub score: f32,
}

impl ClassScore {
    /// The name that it is shown by, its number where it has none, and its score.
    pub fn shown(&self) -> (String, f32) {
        (self.label.clone().unwrap_or_else(|| format!("#{}", self.class_id)), self.score)
    }
}

/// The answer for one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detections {
    /// Objects by falling score; empty for classifiers.
    pub objects: Vec<Object>,
    /// The best classes of a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<ClassScore>>,
    /// Width and height of the picture in pixels.
    pub size: (usize, usize),
    /// Where the time went.
    #[serde(rename = "timings_ms")]
    pub timings: Stages,
}

impl Model {
    /// The answer for one picture.
    ///
    /// # Errors
    /// `InvalidOption` for thresholds outside 0..1 or a size that the network cannot take, `OverLimit` for sizes and batches beyond all
    /// memory; `BadInput` for a picture without pixels, `BadAnswer` if the network gave NaN.
    pub fn predict(&self, image: &Image, options: &PredictOptions) -> Result<Detections> {
        let mut answers = self.predict_each(&[image], options)?;
        answers.pop().unwrap_or_else(|| Err(Error::new(ErrorKind::Failed, "the network gave no answer")))
    }

    /// The answers for many pictures, in their order, all of them or none: [`Model::predict_each`] tells which pictures fail.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_batch(&self, images: &[&Image], options: &PredictOptions) -> Result<Vec<Detections>> {
        self.predict_each(images, options)?.into_iter().collect()
    }

    /// The answer for each of many pictures, in their order, or why this picture has none; neighbours of one input size go through the
    /// network together. What fails together is tried again picture by picture, so that no picture costs another one its answer.
    ///
    /// # Errors
    /// As [`Model::predict`], where it is not about a picture: then no picture can be answered.
    pub fn predict_each(&self, images: &[&Image], options: &PredictOptions) -> Result<Vec<Result<Detections>>> {
        self.detect(images, options, &Call::default())
    }

    pub(crate) fn detect(&self, images: &[&Image], options: &PredictOptions, call: &Call) -> Result<Vec<Result<Detections>>> {
        self.check_separate(options)?;
        self.driver().detect(&Pictures { images, options, call })
    }
}
