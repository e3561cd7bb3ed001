//! A model that finds objects, and one that gives them masks.

use super::{Answerer, Round, ended};
use crate::drivers::Call;
use crate::promptable::masked;
use crate::{
    Answer, Answers, Ask, Concept, Error, ErrorKind, Image, Masked, Model, Object, PredictOptions, Prompt, Request, Result, SegmentOptions,
    Stage, Stages, Ticket,
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
        let PairOptions { concepts, predict, segment } = options;
        // What the finder does not answer, it refuses by name.
        let asks = if concepts.is_empty() { vec![Ask::Detect] } else { concepts.iter().cloned().map(Ask::Concept).collect() };
        let request = Request { predict: predict.clone(), segment: segment.clone(), ..Request::new(image.clone(), asks) };
        let call = Call::default();
        let boxes = boxes(Round { is_one: true, ..Round::new(&self.finder, &request, &call) })?;
        let mut objects = Vec::new();
        for answer in boxes.answers.into_iter().flatten() {
            objects.extend(answer?.objects);
        }
        objects.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut round = Round::new(&self.segmenter, &request, &call);
        let masked = round.embedding()?.segment_detections(&objects, &more(&objects), segment)?;
        Ok(Masked { timings: boxes.timings + round.timings + masked.timings, ..masked })
    }

    /// Answers a request on this thread. [`Ask::Detect`] and [`Ask::Concept`] are the finder's, whose objects the segmenter gives masks;
    /// [`Ask::Object`], [`Ask::Everything`] and [`Ask::Encode`] are the segmenter's. All that wants a mask goes through the decoder together. An object for
    /// which there is no mask comes without one.
    ///
    /// An embedding, which is the segmenter's, is asked by prompts alone.
    ///
    /// # Errors
    /// `TimedOut` past the request's deadline, in either model. All else is the answer of the asks concerned: what one of the models cannot
    /// answer, it refuses by name.
    pub fn answer(&self, request: &Request) -> Result<Answers> {
        self.answer_for(request, &Call::of(request))
    }

    /// As [`Pair::answer`], without waiting: see [`Model::ask`]. The segmenter's threads answer.
    ///
    /// # Errors
    /// As [`Model::ask`].
    pub fn ask(&self, request: Request) -> Result<Ticket> {
        Answerer::from(self.clone()).ask(request)
    }

    /// As [`Pair::answer`], for somebody.
    pub(super) fn answer_for(&self, request: &Request, call: &Call) -> Result<Answers> {
        call.check()?;
        let Boxes { mut answers, timings } = boxes(Round::new(&self.finder, request, call))?;
        let mut round = Round::new(&self.segmenter, request, call);
        round.encodings(&mut answers)?;
        let wanted = Masks::of(request, &mut answers);
        if !wanted.prompts.is_empty() {
            let found = round.embedding().and_then(|embedding| embedding.find_for(&wanted.prompts, &request.segment, call));
            match ended(found)? {
                Err(error) => wanted.places.iter().for_each(|place| answers[*place] = Some(Err(error.clone()))),
                Ok(found) => {
                    round.timings += found.timings;
                    wanted.hand_out(found.answers, &mut answers);
                }
            }
        }
        round.everything_asked(&mut answers)?;
        repeat_detection(request, &mut answers);
        Ok(Answers { timings: timings + round.timings, ..Answers::of(request, answers) })
    }
}

/// What a finder found.
struct Boxes {
    /// Of the asks that are a finder's.
    answers: Vec<Option<Result<Answer>>>,
    /// As the finder of a pair takes its time.
    timings: Stages,
}

/// Answers what is the finder's.
fn boxes(mut round: Round<'_>) -> Result<Boxes> {
    let mut answers = round.unanswered();
    match round.image().map(drop) {
        Ok(()) => round.concepts(&mut answers)?,
        // What is known of the picture is the segmenter's.
        Err(error) => {
            let concepts = round.request.asks.iter().zip(&mut answers).filter(|(ask, _)| matches!(ask, Ask::Concept(_)));
            concepts.for_each(|(_, slot)| *slot = Some(Err(error.clone())));
        }
    }
    round.detections(&mut answers)?;
    let found = round.timings;
    let mut timings = Stages::default();
    if found.iter().next().is_some() {
        let (decode, words) = (found.get(Stage::Decode), found.get(Stage::TextEncode));
        timings.spend(Stage::Detect, found.total().saturating_sub(decode + words));
        if found.phrases().total() > 0 {
            timings.spend(Stage::TextEncode, words);
            timings.count_phrases(found.phrases());
        }
    }
    Ok(Boxes { answers, timings })
}

/// Everything of a request that the segmenter is to answer by prompts: the user's come first.
struct Masks {
    prompts: Vec<Prompt>,
    /// To which ask each prompt belongs.
    places: Vec<usize>,
    /// What the last prompts are about.
    detections: Vec<Object>,
}

impl Masks {
    /// Takes the objects out of the finder's answers.
    fn of(request: &Request, answers: &mut [Option<Result<Answer>>]) -> Self {
        let (mut prompts, mut places, mut detections) = (Vec::new(), Vec::new(), Vec::new());
        for (place, ask) in request.asks.iter().enumerate() {
            if let Ask::Object(prompt) = ask {
                prompts.push(prompt.clone());
                places.push(place);
            }
        }
        let mut is_detected = false;
        for (place, ask) in request.asks.iter().enumerate() {
            // One detection is all of them.
            let is_again = matches!(ask, Ask::Detect) && std::mem::replace(&mut is_detected, true);
            if let Some(Ok(answer)) = answers[place].as_mut().filter(|_| !is_again) {
                detections.append(&mut answer.objects);
                places.resize(prompts.len() + detections.len(), place);
            }
        }
        prompts.extend(detections.iter().map(Prompt::of_object));
        Self { prompts, places, detections }
    }

    /// Puts the answers to the prompts where they belong.
    fn hand_out(self, found: Vec<Result<Vec<Object>>>, answers: &mut [Option<Result<Answer>>]) {
        let own = self.prompts.len() - self.detections.len();
        for (index, (found, place)) in found.into_iter().zip(self.places).enumerate() {
            let detection = index.checked_sub(own).and_then(|index| self.detections.get(index));
            match (detection, &mut answers[place]) {
                (Some(detection), Some(Ok(answer))) => match found {
                    Ok(objects) => {
                        answer.objects.extend(objects.into_iter().map(|object| Object { prompt: None, ..masked(detection, object) }))
                    }
                    Err(_) => answer.objects.push(detection.clone()),
                },
                (_, slot) => *slot = Some(found.map(|objects| Answer { objects, ..Answer::default() })),
            }
        }
    }
}

/// Asked twice, what the finder finds by itself is found once.
fn repeat_detection(request: &Request, answers: &mut [Option<Result<Answer>>]) {
    let mut places = request.asks.iter().enumerate().filter(|(_, ask)| matches!(ask, Ask::Detect)).map(|(place, _)| place);
    if let Some(first) = places.next() {
        places.for_each(|place| answers[place] = answers[first].clone());
    }
}
