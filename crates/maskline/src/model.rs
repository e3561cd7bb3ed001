//! A loaded model and its answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline_models::{DetectorHead, ModelInfo, Output, Preprocess};
use maskline_runtime::{Library, Outputs, ProviderShare, Session};
use maskline_vision::Object;
use maskline_vision::crop::center_crop;
use maskline_vision::letterbox::Letterbox;
use serde::Serialize;

use crate::delays::sleep;
use crate::network::{self, DetectorOutputs, of_picture};
use crate::promptable::{Answerer, Decoders, EmbeddingCache, Viewer};
use crate::timings::Clock;
use crate::{Bundle, ColdTimings, Delays, Error, ErrorKind, Image, LoadOptions, Result, Timings, postprocess};

/// Size of the network input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputSize {
    /// The size that the model was trained at, as a square.
    #[default]
    Default,
    /// A square of this side.
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
    /// Only these classes.
    pub classes: Option<Vec<usize>>,
    /// Classifiers: so many of the best classes.
    pub top: usize,
    /// Most pictures that go through the network together.
    pub batch: usize,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self { size: InputSize::Default, conf: 0.25, iou: 0.7, max_detections: 300, agnostic_nms: false, classes: None, top: 5, batch: 4 }
    }
}

impl PredictOptions {
    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidOption, message));
        for (name, value) in [("conf", self.conf), ("iou", self.iou)] {
            if !(0.0..=1.0).contains(&value) {
                return invalid(format!("{name}: expected a number from 0 to 1, found {value}"));
            }
        }
        if self.batch == 0 || self.max_detections == 0 {
            return invalid("batch and max_detections must be at least 1".into());
        }
        Ok(())
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

/// A loaded model. It can be shared between threads; requests queue at its session.
#[derive(Debug)]
pub struct Model {
    name: String,
    bundle: Bundle,
    session: Arc<Session>,
    answerer: Option<Answerer>,
    embeddings: EmbeddingCache,
    cold: ColdTimings,
    delays: Delays,
}

/// How one picture came to the network.
enum Fitted {
    Letterbox(Letterbox),
    Crop,
}

impl Model {
    pub(crate) fn open(
        library: &Arc<Library>,
        (name, bundle): (String, Bundle),
        (options, mut cold, start): (&LoadOptions, ColdTimings, Instant),
    ) -> Result<Self> {
        let (part, file) = bundle
            .parts()
            .next()
            .map(|(part, file)| (part.to_string(), file))
            .ok_or_else(|| Error::new(ErrorKind::Failed, format!("{}: the bundle has no part", bundle.directory.display())))?;
        let session = Arc::new(network::open(library, (&part, &file, &bundle.directory), options)?);
        let mut decoders_session = Duration::ZERO;
        let answerer = match &bundle.info().output {
            Output::Promptable(head) => {
                let decoders = Decoders::open(library, (&bundle, head.clone()), options)?;
                decoders_session = decoders.plain().cold().create;
                Some(Answerer::Decoders(Arc::new(decoders)))
            }
            Output::Looks(head) => Some(Answerer::Viewer(Arc::new(Viewer::new(Arc::clone(&session), (&bundle.directory, head))))),
            _ => None,
        };
        cold.session = session.cold().create + decoders_session;
        let embeddings = EmbeddingCache::new(options.embedding_cache);
        let mut model = Self { name, bundle, session, answerer, embeddings, cold, delays: options.delays };
        if options.warm_up {
            model.cold.warm_up = model.warm_up()?;
        }
        // Loading the library came before this load, and belongs to its cost all the same.
        model.cold.total = start.elapsed() + cold.runtime_fetch + cold.runtime_load;
        Ok(model)
    }

    /// Runs the network on an empty input of the default size; promptable models also measure how many prompts to take together.
    fn warm_up(&self) -> Result<Duration> {
        let start = Instant::now();
        if let Some(Answerer::Viewer(viewer)) = &self.answerer {
            viewer.warm_up()?;
            return Ok(start.elapsed());
        }
        let [height, width] = self.info().fixed_size.unwrap_or([self.info().default_size; 2]);
        let batch = self.info().fixed_batch.unwrap_or(1);
        let mut outputs = self.run(vec![0.0; input_length([batch, height, width])?], [batch, height, width])?;
        if let Some(Answerer::Decoders(decoders)) = &self.answerer {
            let embedding = decoders.head.embedding().iter().map(|name| Ok(outputs.take(name)?)).collect::<Result<Vec<_>>>()?;
            decoders.tune(&embedding)?;
        }
        Ok(start.elapsed())
    }

    /// Short name: file stem or architecture.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        self.bundle.info()
    }

    /// The bundle on disk.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What really runs the network, e.g. `cpu`; several are joined by `+`.
    pub fn provider(&self) -> String {
        let mut names: Vec<&str> = self.session.providers().iter().map(|share| share.name.as_str()).collect();
        names.dedup();
        names.join("+")
    }

    /// How many nodes of the graph each provider took.
    pub fn provider_shares(&self) -> &[ProviderShare] {
        self.session.providers()
    }

    /// The sleeps within stages.
    pub(crate) fn delays(&self) -> Delays {
        self.delays
    }

    /// Whether bundle and optimised graph were there already when this model was loaded.
    pub fn was_cached(&self) -> bool {
        !self.bundle.built && self.session.cold().from_optimised
    }

    /// What loading took.
    pub fn cold(&self) -> &ColdTimings {
        &self.cold
    }

    /// The answer for one picture.
    ///
    /// # Errors
    /// `InvalidOption` for thresholds outside 0..1 or a size that the network cannot take; `BadAnswer` if the network gave NaN.
    pub fn predict(&self, image: &Image, options: &PredictOptions) -> Result<Detections> {
        let mut answers = self.predict_batch(&[image], options)?;
        answers.pop().ok_or_else(|| Error::new(ErrorKind::Failed, "the network gave no answer"))
    }

    /// The answers for many pictures, in their order; neighbours of one input size go through the network together.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_batch(&self, images: &[&Image], options: &PredictOptions) -> Result<Vec<Detections>> {
        options.check()?;
        if self.answerer.is_some() {
            let message = format!("{}: a {} answers prompts and finds nothing by itself", self.name, self.info().architecture);
            return Err(Error::new(ErrorKind::InvalidOption, message + "\n  help: give it clicks, boxes or masks"));
        }
        let sizes = images.iter().map(|image| self.input_size(image, options)).collect::<Result<Vec<_>>>()?;
        let limit = self.info().fixed_batch.map_or(options.batch, |fixed| fixed.min(options.batch));
        let mut answers = Vec::with_capacity(images.len());
        let mut start = 0;
        while start < images.len() {
            let same = sizes[start..].iter().take(limit).take_while(|size| **size == sizes[start]).count();
            answers.extend(self.predict_together(&images[start..start + same], sizes[start], options)?);
            start += same;
        }
        Ok(answers)
    }

    /// Height and width of the network input for a picture.
    fn input_size(&self, image: &Image, options: &PredictOptions) -> Result<[usize; 2]> {
        let info = self.info();
        let side = match options.size {
            InputSize::Square(side) => side,
            InputSize::Default | InputSize::Rect(0) => info.default_size,
            InputSize::Rect(side) => side,
        };
        let multiple = match info.preprocess {
            Preprocess::Letterbox { stride } => stride,
            _ => 32,
        };
        if side == 0 || side % multiple != 0 {
            let message = format!("size: expected a multiple of {multiple} from {multiple} up, found {side}");
            return Err(Error::new(ErrorKind::InvalidOption, message));
        }
        if let Some([height, width]) = info.fixed_size {
            let asks_other =
                matches!(options.size, InputSize::Rect(_)) || (options.size != InputSize::Default && [side; 2] != [height, width]);
            if asks_other {
                let message = format!("size: this export takes {width} × {height} only");
                return Err(Error::new(
                    ErrorKind::InvalidOption,
                    message + "\n  help: export it with `dynamic=True`, or use its checkpoint",
                ));
            }
            return Ok([height, width]);
        }
        match (options.size, &info.preprocess) {
            (InputSize::Rect(_), Preprocess::Letterbox { stride }) => {
                let (width, height) = Letterbox::rect(image.size(), side, *stride)?.target();
                Ok([height, width])
            }
            _ => Ok([side; 2]),
        }
    }

    fn predict_together(&self, images: &[&Image], [height, width]: [usize; 2], options: &PredictOptions) -> Result<Vec<Detections>> {
        let mut clock = Clock::start();
        let batch = self.info().fixed_batch.unwrap_or(images.len());
        let mut values = vec![0.0; input_length([batch, height, width])?];
        let length = 3 * height * width;
        let mut fitted = Vec::with_capacity(images.len());
        for (image, out) in images.iter().zip(values.chunks_exact_mut(length)) {
            let fit = self.preprocess(image, [height, width], out)?;
            sleep(self.delays.preprocess);
            fitted.push((fit, clock.lap()));
        }
        let outputs = self.run(values, [batch, height, width])?;
        sleep(self.delays.network);
        let network = clock.lap();
        let mut answers = match &self.info().output {
            Output::Detector(head) => {
                self.detections((images, &fitted), (head, &outputs, [batch, height, width]), (&mut clock, options))?
            }
            Output::Classifier { probabilities } => {
                let view = outputs.f32(probabilities)?;
                let classes = |i: usize| self.best_classes(of_picture(&view, i), options.top);
                let answer = |(i, image): (usize, &&Image)| {
                    let classes = Some(classes(i)?);
                    sleep(self.delays.postprocess);
                    Ok(Detections { objects: vec![], classes, size: image.size(), timings: postprocess_time(clock.lap()) })
                };
                images.iter().enumerate().map(answer).collect::<Result<Vec<_>>>()?
            }
            _ => return Err(Error::new(ErrorKind::Failed, "this model's outputs are of an unknown kind")),
        };
        drop(outputs);
        let count = images.len() as u32;
        for ((answer, image), (_, preprocess)) in answers.iter_mut().zip(images).zip(&fitted) {
            answer.timings.decode = image.decode;
            answer.timings.preprocess = *preprocess;
            answer.timings.network = network / count;
        }
        let covered: Duration = answers.iter().map(|a| a.timings.total() - a.timings.decode).sum();
        let other = clock.elapsed().saturating_sub(covered) / count;
        answers.iter_mut().for_each(|answer| answer.timings.other = other);
        Ok(answers)
    }

    fn preprocess(&self, image: &Image, [height, width]: [usize; 2], out: &mut [f32]) -> Result<Fitted> {
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

    pub(crate) fn embeddings(&self) -> &EmbeddingCache {
        &self.embeddings
    }

    /// Bytes of the embeddings that are kept.
    pub fn cached_embedding_bytes(&self) -> usize {
        self.embeddings.bytes()
    }

    /// What answers prompts.
    pub(crate) fn answerer(&self) -> Result<&Answerer> {
        let message = || format!("{}: a {} takes no prompts", self.name, self.info().architecture);
        self.answerer.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidOption, message()))
    }

    /// The sessions that read embeddings.
    pub(crate) fn decoders(&self) -> Result<&Arc<Decoders>> {
        match self.answerer()? {
            Answerer::Decoders(decoders) => Ok(decoders),
            Answerer::Viewer(_) => Err(Error::new(ErrorKind::InvalidOption, format!("{}: there is no embedding to decode", self.name))),
        }
    }

    /// The network that looks at pictures.
    pub(crate) fn viewer(&self) -> Result<&Viewer> {
        match self.answerer()? {
            Answerer::Viewer(viewer) => Ok(viewer),
            Answerer::Decoders(_) => Err(Error::new(ErrorKind::InvalidOption, format!("{}: it does not look at pictures", self.name))),
        }
    }

    pub(crate) fn run(&self, values: Vec<f32>, shape: [usize; 3]) -> Result<Outputs> {
        Ok(self.session.run(vec![(self.info().input.as_str(), network::input(values, shape)?)])?)
    }

    fn detections(
        &self,
        (images, fitted): (&[&Image], &[(Fitted, Duration)]),
        (head, outputs, [batch, height, width]): (&DetectorHead, &Outputs, [usize; 3]),
        (clock, options): (&mut Clock, &PredictOptions),
    ) -> Result<Vec<Detections>> {
        let outputs = DetectorOutputs::new(outputs, head, ([height, width], batch))?;
        let mut answers = Vec::with_capacity(images.len());
        for (i, (image, (fit, _))) in images.iter().zip(fitted).enumerate() {
            let Fitted::Letterbox(letterbox) = fit else {
                return Err(Error::new(ErrorKind::Failed, "a detector's pictures are letterboxed"));
            };
            let objects = postprocess::objects((self.info(), head), (&outputs, i), (letterbox, image.size()), options)?;
            sleep(self.delays.postprocess);
            answers.push(Detections { objects, classes: None, size: image.size(), timings: postprocess_time(clock.lap()) });
        }
        Ok(answers)
    }

    fn best_classes(&self, probabilities: &[f32], top: usize) -> Result<Vec<ClassScore>> {
        if let Some(bad) = probabilities.iter().find(|p| !p.is_finite()) {
            let message = format!("the network's answer is not finite: a class probability is {bad}");
            return Err(Error::new(ErrorKind::BadAnswer, message + "\n  help: the weights are damaged or diverged in training"));
        }
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let best = order.into_iter().take(top.max(1));
        let score =
            |class_id: usize| ClassScore { class_id, label: self.info().labels.get(class_id).cloned(), score: probabilities[class_id] };
        Ok(best.map(score).collect())
    }
}

/// Numbers of a network input of [batch, height, width] pictures.
///
/// # Errors
/// `OverLimit` for more than [`MOST_NUMBERS`]: an export may claim any size.
fn input_length([batch, height, width]: [usize; 3]) -> Result<usize> {
    let length = [batch, height, width].into_iter().try_fold(3_usize, usize::checked_mul);
    length.filter(|length| *length <= MOST_NUMBERS).ok_or_else(|| {
        let message = format!("size: a network input of {batch} × 3 × {height} × {width} numbers, the limit is {MOST_NUMBERS}");
        Error::new(ErrorKind::OverLimit, message + "\n  help: choose a smaller size or batch")
    })
}

/// Most numbers of a network input: 2 GiB, which is 45 × 3 × 2000 × 2000.
const MOST_NUMBERS: usize = 1 << 29;

fn postprocess_time(postprocess: Duration) -> Timings {
    Timings { postprocess, ..Timings::default() }
}
