//! Detectors and classifiers: pictures in, objects or classes out.

use std::time::Duration;

use maskline_models::{DetectorHead, Output, Preprocess};
use maskline_vision::Object;
use maskline_vision::crop::center_crop;
use maskline_vision::letterbox::Letterbox;
use serde::Serialize;

use crate::delays::sleep;
use crate::error::Concern;
use crate::limits::{self, LARGEST_BATCH, LARGEST_SIDE};
use crate::network::{DetectorOutputs, of_picture};
use crate::timings::{Clock, Work};
use crate::{Error, ErrorKind, Image, Model, ModelInfo, Result, Timings, postprocess};

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
    /// Least score.
    pub conf: f32,
    /// Overlap above which the worse of two boxes of a class goes.
    pub iou: f32,
    /// Most objects per picture.
    pub max_detections: usize,
    /// Boxes of different classes suppress each other too.
    pub agnostic_nms: bool,
    /// Only these classes, by their index.
    pub classes: Option<Vec<usize>>,
    /// Classifiers: so many of the best classes.
    pub top: usize,
    /// Most pictures that go through the network together, up to 1024.
    pub batch: usize,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self { size: InputSize::Default, conf: 0.25, iou: 0.7, max_detections: 300, agnostic_nms: false, classes: None, top: 5, batch: 4 }
    }
}

impl PredictOptions {
    /// Refuses what is outside its domain, for any picture; so many go through the network together at most.
    fn check(&self, info: &ModelInfo, together: usize) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidOption, message));
        for (name, value) in [("conf", self.conf), ("iou", self.iou)] {
            if !(0.0..=1.0).contains(&value) {
                return invalid(format!("{name}: expected a number from 0 to 1, found {value}"));
            }
        }
        limits::check_count("batch", self.batch, LARGEST_BATCH)?;
        limits::check_count("max_detections", self.max_detections, usize::MAX)?;
        limits::check_count("top", self.top, usize::MAX)?;
        if let (Output::Detector(DetectorHead { classes, .. }), Some(wanted)) = (&info.output, &self.classes) {
            if let Some(unknown) = wanted.iter().find(|class| *class >= classes) {
                return invalid(format!("classes: expected indices below {classes}, found {unknown}"));
            }
            if wanted.is_empty() {
                return invalid("classes: expected at least one, found an empty list".into());
            }
        }
        let [height, width] = self.largest(info)?;
        limits::input_length([info.fixed_batch.unwrap_or(together), height, width])?;
        Ok(())
    }

    /// Height and width of the largest network input that a picture can get.
    fn largest(&self, info: &ModelInfo) -> Result<[usize; 2]> {
        let side = match self.size {
            InputSize::Default | InputSize::Rect(0) => info.default_size,
            InputSize::Square(side) | InputSize::Rect(side) => side,
        };
        let multiple = match info.preprocess {
            Preprocess::Letterbox { stride } => stride.max(1),
            _ => 32,
        };
        let most = LARGEST_SIDE / multiple * multiple;
        if side > most {
            let message = format!("size: expected a multiple of {multiple} from {multiple} to {most}, found {side}");
            return Err(Error::new(ErrorKind::OverLimit, message).about(Concern::Options));
        }
        if side == 0 || side % multiple != 0 {
            let message = format!("size: expected a multiple of {multiple} from {multiple} to {most}, found {side}");
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        let Some([height, width]) = info.fixed_size else { return Ok([side; 2]) };
        let asks_other = matches!(self.size, InputSize::Rect(_)) || (self.size != InputSize::Default && [side; 2] != [height, width]);
        if asks_other {
            let message = format!("size: this export takes {width} × {height} only");
            return Err(Error::new(ErrorKind::InvalidOption, message + "\n  help: export it with `dynamic=True`, or use its checkpoint"));
        }
        Ok([height, width])
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

/// The answer for one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Detections {
    /// Objects by falling score; empty for classifiers.
    pub objects: Vec<Object>,
    /// The best classes of a classifier.
    pub classes: Option<Vec<ClassScore>>,
    /// Width and height of the picture in pixels.
    pub size: (usize, usize),
    /// Where the time went.
    pub timings: Timings,
}

/// Neighbours that go through the network together.
struct Batch<'a> {
    images: &'a [&'a Image],
    /// Height and width of the network input.
    input: [usize; 2],
    options: &'a PredictOptions,
}

/// How one picture came to the network.
enum Fitted {
    Letterbox(Letterbox),
    Crop,
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
        if self.is_promptable() {
            let message = format!("{}: a {} answers prompts and finds nothing by itself", self.name(), self.info().architecture);
            return Err(Error::new(ErrorKind::InvalidOption, message + "\n  help: give it clicks, boxes or masks"));
        }
        let limit = self.info().fixed_batch.map_or(options.batch, |fixed| fixed.min(options.batch));
        options.check(self.info(), limit.min(images.len()))?;
        let inputs: Vec<Result<[usize; 2]>> = images.iter().map(|image| self.input_size(image, options)).collect();
        let mut answers = Vec::with_capacity(images.len());
        let mut start = 0;
        while let Some(input) = inputs.get(start) {
            let input = match input {
                Ok(input) => *input,
                Err(error) => {
                    answers.push(Err(error.clone()));
                    start += 1;
                    continue;
                }
            };
            let same = inputs[start..].iter().take(limit).take_while(|other| matches!(other, Ok(other) if *other == input)).count();
            answers.extend(self.predict_apart(&Batch { images: &images[start..start + same], input, options })?);
            start += same;
        }
        Ok(answers)
    }

    /// Height and width of the network input for a picture; the options are in their domain.
    fn input_size(&self, image: &Image, options: &PredictOptions) -> Result<[usize; 2]> {
        image.check()?;
        let [height, width] = options.largest(self.info())?;
        match (options.size, &self.info().preprocess) {
            (InputSize::Rect(_), Preprocess::Letterbox { stride }) => {
                let (width, height) = Letterbox::rect(image.size(), width, *stride).map_err(Error::of_picture)?.target();
                Ok([height, width])
            }
            _ => Ok([height, width]),
        }
    }

    /// A batch, or its pictures one by one where they cannot go together.
    fn predict_apart(&self, batch: &Batch<'_>) -> Result<Vec<Result<Detections>>> {
        let alone = |images| self.predict_together(&Batch { images, ..*batch }).unwrap_or_else(|error| vec![Err(error)]);
        let answers: Vec<Result<Detections>> = match self.predict_together(batch) {
            Ok(answers) => answers,
            Err(error) if error.concerns() != Concern::Picture => return Err(error),
            Err(error) if batch.images.len() == 1 => vec![Err(error)],
            Err(_) => batch.images.chunks(1).flat_map(alone).collect(),
        };
        match answers.iter().find_map(|answer| answer.as_ref().err().filter(|error| error.concerns() != Concern::Picture)) {
            Some(error) => Err(error.clone()),
            None => Ok(answers),
        }
    }

    fn predict_together(&self, batch: &Batch<'_>) -> Result<Vec<Result<Detections>>> {
        let (images, [height, width]) = (batch.images, batch.input);
        let mut clock = Clock::start();
        let count = self.info().fixed_batch.unwrap_or(images.len());
        let mut values = vec![0.0; limits::input_length([count, height, width])?];
        let mut fitted = Vec::with_capacity(images.len());
        for (image, out) in images.iter().zip(values.chunks_exact_mut(3 * height * width)) {
            let fit = self.preprocess(image, batch.input, out).map_err(Error::of_picture)?;
            sleep(self.delays().preprocess);
            fitted.push((fit, clock.lap()));
        }
        let (outputs, work) = self.ask(values, [count, height, width])?;
        sleep(self.delays().network);
        let network = clock.lap().saturating_sub(work.queue);
        let mut answers = match &self.info().output {
            Output::Detector(head) => {
                let outputs = DetectorOutputs::new(&outputs, head, (batch.input, count))?;
                let objects = |i: usize| self.objects((&outputs, head), (i, &fitted[i].0), batch);
                self.answers(batch, &mut clock, |i| Ok((objects(i)?, None)))
            }
            Output::Classifier { probabilities } => {
                let view = outputs.f32(probabilities)?;
                self.answers(batch, &mut clock, |i| Ok((vec![], Some(self.best_classes(of_picture(&view, i), batch.options.top)?))))
            }
            _ => return Err(Error::new(ErrorKind::Failed, "this model's outputs are of an unknown kind")),
        };
        drop(outputs);
        let work = Work { network, ..work };
        let preprocess: Vec<Duration> = fitted.into_iter().map(|(_, time)| time).collect();
        share_out(&mut answers, (&preprocess, work), &clock);
        Ok(answers)
    }

    /// What was found in each picture, with what finding it took.
    fn answers(
        &self,
        batch: &Batch<'_>,
        clock: &mut Clock,
        found: impl Fn(usize) -> Result<(Vec<Object>, Option<Vec<ClassScore>>)>,
    ) -> Vec<Result<Detections>> {
        let answer = |(i, image): (usize, &&Image)| {
            let found = found(i);
            sleep(self.delays().postprocess);
            let timings = Timings { decode: image.decode, postprocess: clock.lap(), ..Timings::default() };
            // What is wrong with an answer is wrong with this one.
            let found = found.map_err(|error| error.about(Concern::Picture));
            found.map(|(objects, classes)| Detections { objects, classes, size: image.size(), timings })
        };
        batch.images.iter().enumerate().map(answer).collect()
    }

    fn preprocess(&self, image: &Image, [height, width]: [usize; 2], out: &mut [f32]) -> maskline_vision::Result<Fitted> {
        match self.info().preprocess {
            Preprocess::CenterCrop => {
                out.copy_from_slice(&center_crop(image.pixels(), height)?);
                Ok(Fitted::Crop)
            }
            _ => {
                let letterbox = Letterbox::fit(image.size(), (width, height))?;
                letterbox.to_planar_f32(image.pixels(), out);
                Ok(Fitted::Letterbox(letterbox))
            }
        }
    }

    fn objects(
        &self,
        (outputs, head): (&DetectorOutputs<'_>, &DetectorHead),
        (i, fit): (usize, &Fitted),
        batch: &Batch<'_>,
    ) -> Result<Vec<Object>> {
        let Fitted::Letterbox(letterbox) = fit else {
            return Err(Error::new(ErrorKind::Failed, "a detector's pictures are letterboxed"));
        };
        postprocess::objects((self.info(), head), (outputs, i), (letterbox, batch.images[i].size()), batch.options)
    }

    fn best_classes(&self, probabilities: &[f32], top: usize) -> Result<Vec<ClassScore>> {
        if let Some(bad) = probabilities.iter().find(|p| !p.is_finite()) {
            let message = format!("the network's answer is not finite: a class probability is {bad}");
            return Err(Error::new(ErrorKind::BadAnswer, message + "\n  help: the weights are damaged or diverged in training"));
        }
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let best = order.into_iter().take(top);
        let score =
            |class_id: usize| ClassScore { class_id, label: self.info().labels.get(class_id).cloned(), score: probabilities[class_id] };
        Ok(best.map(score).collect())
    }
}

/// Writes the pictures' own times and their even shares of the common ones; `preprocess` has one time per picture.
fn share_out(answers: &mut [Result<Detections>], (preprocess, work): (&[Duration], Work), clock: &Clock) {
    let count = u32::try_from(answers.len()).unwrap_or(u32::MAX).max(1);
    let found: Duration = answers.iter().flatten().map(|answer| answer.timings.postprocess).sum();
    let covered = preprocess.iter().sum::<Duration>() + work.total() + found;
    let other = clock.elapsed().saturating_sub(covered) / count;
    for (answer, preprocess) in answers.iter_mut().zip(preprocess) {
        let Ok(answer) = answer else { continue };
        let Work { queue, network, .. } = work;
        answer.timings = Timings { preprocess: *preprocess, queue: queue / count, network: network / count, other, ..answer.timings };
    }
}
