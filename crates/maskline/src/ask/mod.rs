//! What is asked of a picture, in one form for all models and all callers.
//!
//! A [`Request`] is a picture (or its embedding) and any number of [`Ask`]s. [`Model::answer`] answers it on the caller's thread;
//! [`Model::ask`] gives a [`Ticket`], so that nobody need wait. A [`Pair`] of models does the same. What is wrong with one ask is that ask's answer.

mod answerer;
mod concept;
mod pair;
mod seek;
mod ticket;
#[cfg(test)]
mod worded;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use answerer::Answerer;
pub use concept::{Concept, Exemplar};
pub use pair::{Pair, PairOptions};
use serde::Serialize;
pub use ticket::Ticket;

use crate::drivers::Call;
use crate::{
    ClassScore, Detections, Embedding, Error, ErrorKind, EverythingOptions, Image, Model, Object, Origin, PredictOptions, Priority, Prompt,
    Result, SegmentOptions, Stages,
};

/// One question about a picture. What a model cannot answer, it refuses by name.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// The object that clicks, a box or a rough mask mean.
    Object(Prompt),
    /// All objects that words or examples mean.
    Concept(Concept),
    /// All objects that the model knows, or the class of the whole picture.
    Detect,
    /// All objects, whatever they are.
    Everything(EverythingOptions),
    /// None: the picture is encoded, so that later questions about it find it so, where the model keeps embeddings.
    Encode,
}

/// What is asked about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A picture.
    Image(Arc<Image>),
    /// An encoded picture, of models that take prompts.
    Embedding(Box<Embedding>),
}

impl Subject {
    /// Width and height of the picture.
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Image(image) => image.size(),
            Self::Embedding(embedding) => embedding.size(),
        }
    }
}

impl From<Image> for Subject {
    fn from(image: Image) -> Self {
        Self::Image(Arc::new(image))
    }
}

impl From<Arc<Image>> for Subject {
    fn from(image: Arc<Image>) -> Self {
        Self::Image(image)
    }
}

impl From<Embedding> for Subject {
    fn from(embedding: Embedding) -> Self {
        Self::Embedding(Box::new(embedding))
    }
}

/// Questions about one picture.
#[derive(Debug, Clone)]
pub struct Request {
    /// The picture.
    pub subject: Subject,
    /// The questions.
    pub asks: Vec<Ask>,
    /// Of finding things: [`Ask::Detect`], [`Ask::Concept`].
    pub predict: PredictOptions,
    /// Of [`Ask::Object`].
    pub segment: SegmentOptions,
    /// What is not begun by then is not begun any more.
    pub deadline: Option<Instant>,
    /// How urgent it is: of what waits for the model's threads or its networks, the most urgent goes first. What is low can wait for ever
    /// while more urgent requests keep coming; the deadline bounds it.
    pub priority: Priority,
}

impl Request {
    /// Questions with the default options, of normal priority and without a deadline.
    pub fn new(subject: impl Into<Subject>, asks: impl IntoIterator<Item = Ask>) -> Self {
        Self {
            subject: subject.into(),
            asks: asks.into_iter().collect(),
            predict: PredictOptions::default(),
            segment: SegmentOptions::default(),
            deadline: None,
            priority: Priority::default(),
        }
    }

    /// With a deadline that ends so long from now.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(time), ..self }
    }
}

/// The answer to one ask.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Answer {
    /// The objects: none, one or many, with a mask or only a box.
    pub objects: Vec<Object>,
    /// The best classes, of classifiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<ClassScore>>,
    /// Where each object comes from, of [`Ask::Everything`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
}

/// The answers to a request.
#[derive(Debug, Clone)]
pub struct Answers {
    /// In the order of the asks: the answer, or why there is none.
    pub answers: Vec<Result<Answer>>,
    /// Width and height of the picture in pixels.
    pub size: (usize, usize),
    /// Where the time went, for all asks together; how long they queued, and how many rows ran together.
    pub timings: Stages,
}

impl Model {
    /// Answers a request on this thread.
    ///
    /// # Errors
    /// `TimedOut` past the request's deadline. All else is the answer of the asks concerned.
    pub fn answer(&self, request: &Request) -> Result<Answers> {
        self.answer_for(request, &Call::of(request))
    }

    /// As [`Model::answer`], for somebody.
    fn answer_for(&self, request: &Request, call: &Call) -> Result<Answers> {
        call.check()?;
        let mut round = Round::new(self, request, call);
        let mut answers = round.unanswered();
        round.encodings(&mut answers)?;
        round.objects(&mut answers)?;
        round.concepts(&mut answers)?;
        round.detections(&mut answers)?;
        round.everything_asked(&mut answers)?;
        Ok(Answers { timings: round.timings, ..Answers::of(request, answers) })
    }
}

impl Answers {
    /// Of a request whose asks were answered so.
    fn of(request: &Request, answers: Vec<Option<Result<Answer>>>) -> Self {
        let none = || Err(Error::new(ErrorKind::Failed, "the model gave no answer"));
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(none)).collect();
        Self { answers, size: request.subject.size(), timings: Stages::default() }
    }
}

/// What ends a request as a whole: nobody waits for it any more.
fn ended<T>(answer: Result<T>) -> Result<Result<T>> {
    match answer {
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Cancelled) => Err(error),
        answer => Ok(answer),
    }
}

/// One request under way.
struct Round<'a> {
    model: &'a Model,
    request: &'a Request,
    call: &'a Call,
    timings: Stages,
    /// Made once, for all asks that need it.
    embedding: Option<Embedding>,
    /// Whether what is wrong with one concept is an error of all: then nothing is computed for the others.
    is_one: bool,
}

impl<'a> Round<'a> {
    fn new(model: &'a Model, request: &'a Request, call: &'a Call) -> Self {
        Self { model, request, call, timings: Stages::default(), embedding: None, is_one: false }
    }
}

impl Round<'_> {
    /// A place for the answer to each ask.
    fn unanswered(&self) -> Vec<Option<Result<Answer>>> {
        self.request.asks.iter().map(|_| None).collect()
    }

    /// The picture's embedding.
    fn embedding(&mut self) -> Result<Embedding> {
        if let Some(embedding) = &self.embedding {
            return Ok(embedding.clone());
        }
        let embedding = match &self.request.subject {
            Subject::Embedding(embedding) => Embedding::clone(embedding),
            Subject::Image(image) => {
                let embedding = self.model.embed_for(image, self.call)?;
                self.timings += *embedding.timings();
                embedding
            }
        };
        Ok(self.embedding.insert(embedding).clone())
    }

    fn image(&self) -> Result<&Image> {
        match &self.request.subject {
            Subject::Image(image) => Ok(image),
            Subject::Embedding(_) => {
                let error = Error::new(ErrorKind::InvalidOption, self.model.name()).expecting("a picture").but_found("its embedding");
                Err(error.with_help("only prompts and concepts are asked of an embedding"))
            }
        }
    }

    /// Answers where the picture is to be encoded and nothing else.
    fn encodings(&mut self, answers: &mut [Option<Result<Answer>>]) -> Result<()> {
        for (ask, slot) in self.request.asks.iter().zip(answers) {
            if matches!(ask, Ask::Encode) {
                *slot = Some(ended(self.embedding())?.map(|_| Answer::default()));
            }
        }
        Ok(())
    }

    /// Answers what prompts mean, all of them together.
    fn objects(&mut self, answers: &mut [Option<Result<Answer>>]) -> Result<()> {
        let (mut places, mut prompts) = (Vec::new(), Vec::new());
        for (index, ask) in self.request.asks.iter().enumerate() {
            if let Ask::Object(prompt) = ask {
                places.push(index);
                prompts.push(prompt.clone());
            }
        }
        if prompts.is_empty() {
            return Ok(());
        }
        let found = self.embedding().and_then(|embedding| embedding.find_for(&prompts, &self.request.segment, self.call));
        match ended(found)? {
            Err(error) => places.into_iter().for_each(|place| answers[place] = Some(Err(error.clone()))),
            Ok(found) => {
                self.timings += found.timings;
                let answer = |objects| Answer { objects, ..Answer::default() };
                places.into_iter().zip(found.answers).for_each(|(place, objects)| answers[place] = Some(objects.map(answer)));
            }
        }
        Ok(())
    }

    /// Answers what is found without being told, once for all who ask.
    fn detections(&mut self, answers: &mut [Option<Result<Answer>>]) -> Result<()> {
        let mut detected: Option<Result<Answer>> = None;
        for (ask, slot) in self.request.asks.iter().zip(answers) {
            if matches!(ask, Ask::Detect) {
                let found = detected.get_or_insert_with(|| self.detect()).clone();
                *slot = Some(ended(found)?);
            }
        }
        Ok(())
    }

    /// Answers where all objects are wished.
    fn everything_asked(&mut self, answers: &mut [Option<Result<Answer>>]) -> Result<()> {
        for (ask, slot) in self.request.asks.iter().zip(answers) {
            if let Ask::Everything(options) = ask {
                *slot = Some(ended(self.everything(options))?);
            }
        }
        Ok(())
    }

    fn detect(&mut self) -> Result<Answer> {
        let mut found = self.model.detect(&[self.image()?], &self.request.predict, self.call)?;
        let Detections { objects, classes, timings, .. } =
            found.pop().unwrap_or_else(|| Err(Error::new(ErrorKind::Failed, "the network gave no answer")))?;
        self.timings += timings;
        Ok(Answer { objects, classes, ..Answer::default() })
    }

    fn everything(&mut self, options: &EverythingOptions) -> Result<Answer> {
        let found = self.model.everything_for(self.image()?, options, &mut |_| ControlFlow::Continue(()), self.call)?;
        self.timings += found.timings;
        Ok(Answer { objects: found.objects, origins: found.origins, ..Answer::default() })
    }
}
