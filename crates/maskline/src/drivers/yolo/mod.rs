//! Detectors and classifiers of one network (YOLOv8, YOLO11, YOLO26): pictures in, objects or classes out.
//!
//! `size` says what input a picture gets, `batch` brings neighbours of one size through the network, `outputs` finds what it gives,
//! `objects` and `classes` make answers of that, `golden` checks it all.

mod batch;
mod classes;
mod golden;
mod objects;
mod outputs;
mod size;

use std::sync::Arc;

use maskline_models::{DetectorHead, Selection};
use maskline_runtime::{Outputs, Tensor};

use self::batch::Batch;
pub(super) use self::golden::CASES;
use self::outputs::Input;
use super::{Call, Driver, Encoded, Inquiry, Lanes, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take, Video};
use crate::promptable::EmbeddingFile;
use crate::verify::{AtSize, Case, Check};
use crate::{Concern, Detections, Image, Object, Result, Stage, Stages, Usual, WordOptions, limits};

/// One network, and how its outputs are read.
#[derive(Debug)]
pub(super) struct Yolo {
    parts: Parts,
    lanes: Arc<Lanes>,
    reading: Reading,
}

/// What the network gives.
#[derive(Debug)]
enum Reading {
    /// Boxes per anchor.
    Detector(DetectorHead),
    /// Class probabilities.
    Classifier {
        /// Name of the output.
        probabilities: String,
    },
}

impl Yolo {
    pub(super) fn detector(parts: Parts, head: DetectorHead) -> Result<Self> {
        Self::open(parts, Reading::Detector(head))
    }

    pub(super) fn classifier(parts: Parts, probabilities: String) -> Result<Self> {
        Self::open(parts, Reading::Classifier { probabilities })
    }

    fn open(parts: Parts, reading: Reading) -> Result<Self> {
        let lanes = parts.open(parts.first()?)?;
        Ok(Self { parts, lanes, reading })
    }

    /// Runs the network on a batch of pictures.
    fn run(&self, values: Vec<f32>, input: Input, call: &Call) -> Result<(Outputs, Stages)> {
        let Input { batch, height, width } = input;
        let values = Tensor::new([batch, 3, height, width], values)?;
        self.lanes.run(vec![(self.parts.info().input.as_str(), values)], Stage::Network, call)
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.parts.info())
    }
}

impl Driver for Yolo {
    /// On an empty input of the default size.
    fn warm_up(&self) -> Result<()> {
        let info = self.parts.info();
        let [height, width] = info.fixed_size.unwrap_or([info.default_size; 2]);
        let batch = info.fixed_batch.unwrap_or(1);
        let empty = vec![0.0; limits::input_length([batch, height, width])?];
        self.run(empty, Input { batch, height, width }, &Call::default()).map(drop)
    }

    fn usual(&self) -> Usual {
        match &self.reading {
            Reading::Detector(head) => {
                let iou = (head.selection == Selection::Suppression).then_some(objects::MOST_OVERLAP);
                Usual { conf: Some(objects::LEAST_SCORE), iou, ..Usual::default() }
            }
            Reading::Classifier { .. } => Usual::default(),
        }
    }

    fn detect(&self, pictures: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        let Pictures { images, options, .. } = *pictures;
        let info = self.parts.info();
        let limit = info.fixed_batch.map_or(options.batch, |fixed| fixed.min(options.batch));
        size::check(info, options, limit.min(images.len()))?;
        let inputs: Vec<Result<[usize; 2]>> = images.iter().map(|image| size::of_picture(info, options, image)).collect();
        let mut answers = Vec::with_capacity(images.len());
        let mut start = 0;
        while let Some(input) = inputs.get(start) {
            let [height, width] = match input {
                Ok(input) => *input,
                Err(error) => {
                    answers.push(Err(error.clone()));
                    start += 1;
                    continue;
                }
            };
            let is_same = |other: &&Result<[usize; 2]>| matches!(other, Ok(other) if *other == [height, width]);
            let same = inputs[start..].iter().take(limit).take_while(is_same).count();
            let pictures = Pictures { images: &images[start..start + same], ..*pictures };
            answers.extend(self.apart(&Batch { yolo: self, pictures, height, width })?);
            start += same;
        }
        Ok(answers)
    }

    fn prompting(&self) -> Result<Prompting> {
        Err(self.refusal().prompts())
    }

    fn encode(&self, _: &Image, _: &Call) -> Result<(Encoded, Stages)> {
        Err(self.refusal().prompts())
    }

    fn restore(&self, _: &EmbeddingFile) -> Result<Encoded> {
        Err(self.refusal().prompts())
    }

    fn tune(&self, _: &Encoded) -> Result<()> {
        Err(self.refusal().prompts())
    }

    fn segment(&self, _: &Question<'_>, _: Take<'_>) -> Result<Stages> {
        Err(self.refusal().prompts())
    }

    fn sweep(&self, _: &Sweep<'_>, _: &mut dyn Listener) -> Result<Stages> {
        Err(self.refusal().prompts())
    }

    fn read(&self, _: &[&str], _: &WordOptions, _: &Call) -> Result<(Vec<Encoded>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn find(&self, _: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn video(&self) -> Result<Arc<Video>> {
        Err(self.refusal().video())
    }

    fn golden<'c>(self: Arc<Self>, case: &'c Case, tapped: Arc<dyn Driver>, at_size: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        Ok(Box::new(golden::Golden::of(case, self, tapped, at_size)?))
    }
}

impl Yolo {
    /// The answers of a batch, or of its pictures one by one where they cannot go together.
    fn apart(&self, batch: &Batch<'_>) -> Result<Vec<Result<Detections>>> {
        let images = batch.pictures.images;
        let alone = |images| {
            let alone = Batch { pictures: Pictures { images, ..batch.pictures }, ..*batch };
            alone.answers().unwrap_or_else(|error| vec![Err(error)])
        };
        let answers: Vec<Result<Detections>> = match batch.answers() {
            Ok(answers) => answers,
            Err(error) if error.concerns() != Concern::Picture => return Err(error),
            Err(error) if images.len() == 1 => vec![Err(error)],
            Err(_) => images.chunks(1).flat_map(alone).collect(),
        };
        match answers.iter().find_map(|answer| answer.as_ref().err().filter(|error| error.concerns() != Concern::Picture)) {
            Some(error) => Err(error.clone()),
            None => Ok(answers),
        }
    }
}
