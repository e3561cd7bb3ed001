//! Neighbours of one input size, through the network together.

use std::time::Duration;

use maskline_models::{DetectorHead, Preprocess};
use maskline_runtime::{Outputs, View};
use maskline_vision::crop::center_crop;
use maskline_vision::letterbox::Letterbox;

use super::classes::best_classes;
use super::objects::Found;
use super::outputs::{DetectorOutputs, Input, of_picture};
use super::{Reading, Yolo};
use crate::delays::sleep;
use crate::drivers::Pictures;
use crate::stages::Clock;
use crate::{Concern, Detections, Error, ErrorKind, Image, Result, Stage, Stages, limits};

/// Neighbours that go through the network together.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) yolo: &'a Yolo,
    pub(super) pictures: Pictures<'a>,
    /// Of the network's input.
    pub(super) height: usize,
    /// Of the network's input.
    pub(super) width: usize,
}

/// How one picture came to the network.
enum Fitted {
    Letterbox(Letterbox),
    Crop,
}

/// A picture at the network's input, and what bringing it there took.
struct Prepared {
    fitted: Fitted,
    took: Duration,
}

/// A batch's outputs in the form that they have.
enum Given<'a> {
    Detector { head: &'a DetectorHead, outputs: DetectorOutputs<'a> },
    Classifier { probabilities: View<'a, f32> },
}

impl Batch<'_> {
    /// The answer for each picture.
    pub(super) fn answers(&self) -> Result<Vec<Result<Detections>>> {
        let (images, delays) = (self.pictures.images, self.yolo.parts.delays());
        let mut clock = Clock::start();
        let batch = self.yolo.parts.info().fixed_batch.unwrap_or(images.len());
        let input = Input { batch, height: self.height, width: self.width };
        let mut values = vec![0.0; limits::input_length([batch, self.height, self.width])?];
        let mut prepared = Vec::with_capacity(images.len());
        for (image, out) in images.iter().zip(values.chunks_exact_mut(3 * self.height * self.width)) {
            let fitted = self.fit(image, out)?;
            sleep(delays.preprocess);
            prepared.push(Prepared { fitted, took: clock.lap() });
        }
        let (outputs, spent) = self.yolo.run(values, input, &self.pictures.call.slowed(delays.network))?;
        clock.lap();
        let given = self.given(&outputs, input)?;
        let mut answers = Vec::with_capacity(images.len());
        for (index, prepared) in prepared.iter().enumerate() {
            let answer = self.answer(index, &given, &prepared.fitted);
            sleep(delays.postprocess);
            let mut timings = Stages::of(&[Stage::Network, Stage::Queue]);
            timings.spend(Stage::Decode, images[index].decode);
            timings.spend(Stage::Preprocess, prepared.took);
            timings.spend(Stage::Postprocess, clock.lap());
            // What is wrong with an answer is wrong with this one.
            answers.push(answer.map(|answer| Detections { timings, ..answer }).map_err(|error| error.about(Concern::Picture)));
        }
        drop(given);
        drop(outputs);
        let preprocess = prepared.iter().map(|prepared| prepared.took).sum();
        share_out(&mut answers, spent, clock.elapsed().saturating_sub(preprocess));
        Ok(answers)
    }

    /// Brings a picture to its part of the network's input.
    fn fit(&self, image: &Image, out: &mut [f32]) -> Result<Fitted> {
        match &self.yolo.parts.info().preprocess {
            Preprocess::CenterCrop => {
                out.copy_from_slice(&center_crop(image.pixels(), self.height).map_err(Error::of_picture)?);
                Ok(Fitted::Crop)
            }
            Preprocess::Letterbox { .. } => {
                let letterbox = Letterbox::fit(image.size(), (self.width, self.height)).map_err(Error::of_picture)?;
                letterbox.to_planar_f32(image.pixels(), out);
                Ok(Fitted::Letterbox(letterbox))
            }
            other => Err(Error::new(ErrorKind::Failed, format!("a detector cannot take pictures by {other:?}"))),
        }
    }

    fn given<'o>(&'o self, outputs: &'o Outputs, input: Input) -> Result<Given<'o>> {
        Ok(match &self.yolo.reading {
            Reading::Detector(head) => Given::Detector { head, outputs: DetectorOutputs::new(outputs, head, input)? },
            Reading::Classifier { probabilities } => Given::Classifier { probabilities: outputs.f32(probabilities)? },
        })
    }

    /// What was found in a picture, without its times.
    fn answer(&self, index: usize, given: &Given<'_>, fitted: &Fitted) -> Result<Detections> {
        let (info, options) = (self.yolo.parts.info(), self.pictures.options);
        let size = self.pictures.images[index].size();
        let (objects, classes) = match (given, fitted) {
            (Given::Detector { head, outputs }, Fitted::Letterbox(letterbox)) => {
                (Found { info, head, outputs: outputs.of(index), letterbox, size }.objects(options)?, None)
            }
            (Given::Detector { .. }, Fitted::Crop) => {
                return Err(Error::new(ErrorKind::Failed, "a detector's pictures are letterboxed"));
            }
            (Given::Classifier { probabilities }, _) => (vec![], Some(best_classes(of_picture(probabilities, index), options.top, info)?)),
        };
        Ok(Detections { objects, classes, size, timings: Stages::default() })
    }
}

/// Adds the pictures' even shares of what was spent on all of them: running the network, and what no stage covers. All took `elapsed`
/// beside preprocessing.
fn share_out(answers: &mut [Result<Detections>], mut spent: Stages, elapsed: Duration) {
    let found: Duration = answers.iter().flatten().map(|answer| answer.timings.get(Stage::Postprocess)).sum();
    spent.spend(Stage::Other, elapsed.saturating_sub(spent.total() + found));
    let share = spent.shared_by(answers.len());
    answers.iter_mut().flatten().for_each(|answer| answer.timings += share);
}
