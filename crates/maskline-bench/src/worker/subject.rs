//! A loaded model and its pictures: one call from path to answer.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use maskline::{
    Ask, Concept, Embedding, EmbeddingSource, Error, ErrorKind, Image, InputSize, Model, ModelInfo, Object, PredictOptions, Prompt, Result,
    SegmentOptions, Stage, Stages, WordOptions,
};

use super::prompts::prompts_of;
use super::{Assignment, LEAST_SCORE, Sought, Track, phrases_of};
use crate::load::Request;
use crate::report::{EmbeddingState, TextState, Texts};
use crate::samples::milliseconds;

/// Pictures whose embeddings are kept at most: more would not fit into memory.
const MOST_KEPT: usize = 8;
/// More than any network has patches.
const MOST_OBJECTS: usize = 1 << 20;

/// A loaded model and its pictures.
pub(super) struct Subject {
    pub(super) model: Model,
    size: Option<usize>,
    pictures: Vec<PathBuf>,
    /// The phrases that the user gave.
    given: Vec<String>,
    /// Whether it is asked by prompts though it takes words too.
    is_by_prompts: bool,
    held: Mutex<HashMap<PathBuf, Embedding>>,
}

/// An answer, and where its time went.
pub(super) struct Answer {
    pub(super) objects: Vec<Object>,
    /// As the engine tells it, of all pictures of the call together.
    pub(super) timings: Stages,
    /// Masks to the form in which they are sent.
    mask_encode: Duration,
}

/// A track with all that is not to be timed.
pub(super) struct Prepared {
    track: Track,
    questions: Vec<Question>,
    /// What pictures are searched for, by the number of the caller; none of models that take no words.
    asks: Vec<Vec<Ask>>,
    /// Whether the phrases were seen to be in the cache.
    are_phrases_kept: bool,
    held: Vec<Embedding>,
}

/// A picture, and what each caller asks about it.
struct Question {
    picture: PathBuf,
    /// By the number of the caller; none of models that find things by themselves.
    prompts: Vec<Vec<Prompt>>,
}

/// The stage that follows the engine's.
const MASK_ENCODE: &str = "mask_encode";

impl Subject {
    pub(super) fn new(model: Model, assigned: &Assignment) -> Self {
        let Assignment { compute, pictures, wording, .. } = assigned;
        Self {
            model,
            size: compute.size,
            pictures: pictures.clone(),
            given: wording.given.clone(),
            is_by_prompts: wording.is_by_prompts,
            held: Mutex::default(),
        }
    }

    /// Whether it is asked by prompts.
    pub(super) fn is_promptable(&self) -> bool {
        is_asked_by_prompts(self.model.info(), self.is_by_prompts)
    }

    /// Whether it is told by words what to find.
    pub(super) fn takes_words(&self) -> bool {
        self.model.info().task.takes_concepts() && !self.is_promptable()
    }

    /// Side of the network's input.
    pub(super) fn side(&self) -> usize {
        self.size.unwrap_or(self.model.info().default_size)
    }

    /// A model that encodes pictures is built for a size: one that was not built for the wished one must not be measured as if it were.
    pub(super) fn check_size(&self) -> Result<()> {
        let built = self.model.info().default_size;
        match self.size {
            Some(size) if (self.is_promptable() || self.takes_words()) && size != built => {
                let message = format!("{}: size: expected {built}, which it is made for, found {size}", self.model.name());
                Err(Error::new(ErrorKind::InvalidOption, message))
            }
            _ => Ok(()),
        }
    }

    /// Makes prompts, each caller's own, and embeddings where they are to be there already, those of phrases too.
    pub(super) fn prepare(&self, track: Track, callers: usize) -> Result<Prepared> {
        let mut prepared = self.prepared(track, &self.pictures, callers)?;
        if track.sought.is_some_and(|sought| sought.text == TextState::Hit) {
            let embedding = match self.pictures.first() {
                Some(path) => self.hold(path, &Image::open(path)?)?,
                None => return Ok(prepared),
            };
            for asks in &prepared.asks {
                self.search(&embedding, asks, TextState::Hit)?;
            }
            prepared.are_phrases_kept = true;
        }
        Ok(prepared)
    }

    /// As [`Self::prepare`], for one caller and other pictures, and with phrases that nobody has seen to.
    pub(super) fn prepare_for(&self, track: Track, pictures: &[PathBuf]) -> Result<Prepared> {
        self.prepared(track, pictures, 1)
    }

    fn prepared(&self, track: Track, pictures: &[PathBuf], callers: usize) -> Result<Prepared> {
        self.check(track)?;
        let is_kept = matches!(track.embedding(), Some(EmbeddingState::Hit | EmbeddingState::Held));
        let most = if is_kept { MOST_KEPT } else { usize::MAX };
        let asks = match track.sought {
            Some(Sought { texts, .. }) => (0..callers).map(|caller| self.asks_of(caller, texts)).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let mut prepared = Prepared { track, questions: Vec::new(), asks, are_phrases_kept: false, held: Vec::new() };
        for path in pictures.iter().take(most) {
            let prompts = match track.embedding() {
                None => Vec::new(),
                Some(state) => {
                    let image = Image::open(path)?;
                    match state {
                        EmbeddingState::Miss => {}
                        // The cache's own way in.
                        EmbeddingState::Hit => drop(self.model.embed(&image)?),
                        EmbeddingState::Held => prepared.held.push(self.hold(path, &image)?),
                    }
                    let prompts = |caller| track.asked.map(|(asked, _)| prompts_of(caller, asked, image.size()));
                    (0..callers).filter_map(prompts).collect::<Result<_>>()?
                }
            };
            prepared.questions.push(Question { picture: path.clone(), prompts });
        }
        Ok(prepared)
    }

    fn hold(&self, path: &Path, image: &Image) -> Result<Embedding> {
        // Nothing is half-done while the lock is held.
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(embedding) = held.get(path) {
            return Ok(embedding.clone());
        }
        let embedding = self.model.embed(image)?;
        held.insert(path.to_path_buf(), embedding.clone());
        Ok(embedding)
    }

    /// What a caller searches pictures for.
    fn asks_of(&self, caller: usize, texts: Texts) -> Result<Vec<Ask>> {
        let phrases = phrases_of(caller, texts, &self.given)?;
        Ok(phrases.into_iter().map(|phrase| Ask::Concept(Concept::text(phrase))).collect())
    }

    fn check(&self, track: Track) -> Result<()> {
        let wrong = |message: &str| Err(Error::new(ErrorKind::InvalidOption, format!("{}: {message}", self.model.name())));
        match (self.is_promptable(), track.asked) {
            (true, None) => wrong("expected prompts, found none"),
            (false, Some(_)) => wrong("it takes no prompts"),
            _ if self.takes_words() != track.sought.is_some() => {
                wrong(if self.takes_words() { "expected words, found none" } else { "it takes no words" })
            }
            _ if track.sought.is_some() && track.batch != 1 => wrong("it takes one picture at a time"),
            _ if track.sought.is_some_and(|sought| sought.texts.count == 0) => wrong("text: expected at least 1 phrase, found 0"),
            (true, _) if track.batch != 1 => wrong("it takes one picture at a time; the batch of a promptable model is its prompts"),
            (true, Some((asked, _))) if asked.count == 0 => wrong("prompts: expected at least 1, found 0"),
            _ if track.batch == 0 => wrong("batch: expected at least 1, found 0"),
            _ => Ok(()),
        }
    }

    /// One call. Its index says which pictures, its caller which prompts.
    pub(super) fn call(&self, prepared: &Prepared, request: Request) -> Result<Answer> {
        let Track { asked, sought, .. } = prepared.track;
        let mut answer = match (asked, sought) {
            (Some((_, state)), _) => self.ask(prepared, request, state),
            (None, Some(sought)) => self.find(prepared, request, sought),
            (None, None) => self.detect(prepared, request.index),
        }?;
        let start = Instant::now();
        for mask in answer.objects.iter().filter_map(|object| object.mask.as_ref()) {
            black_box(mask.to_rle().to_coco_string());
        }
        answer.mask_encode = start.elapsed();
        Ok(answer)
    }

    fn detect(&self, prepared: &Prepared, index: usize) -> Result<Answer> {
        let batch = prepared.track.batch;
        let paths = (0..batch).map(|i| &prepared.questions[(index * batch + i) % prepared.questions.len()].picture);
        let images = paths.map(Image::open).collect::<Result<Vec<_>>>()?;
        let size = self.size.map_or(InputSize::Default, InputSize::Square);
        let options = PredictOptions { size, batch, ..PredictOptions::default() };
        let answers = self.model.predict_batch(&images.iter().collect::<Vec<_>>(), &options)?;
        let timings = answers.iter().map(|answer| answer.timings).sum();
        let objects = answers.into_iter().flat_map(|answer| answer.objects).collect();
        Ok(Answer { objects, timings, mask_encode: Duration::ZERO })
    }

    fn ask(&self, prepared: &Prepared, request: Request, state: EmbeddingState) -> Result<Answer> {
        let at = request.index % prepared.questions.len();
        let Question { picture: path, prompts } = &prepared.questions[at];
        let prompts = &prompts[request.caller % prompts.len()];
        let embedding = self.embedding(path, state, prepared.held.get(at))?;
        let found = embedding.find(prompts, &SegmentOptions::default())?;
        if let Some((prompt, error)) = found.errors().next() {
            return Err(error.clone().named(format!("prompt {prompt}")));
        }
        Ok(Answer { timings: made(&embedding, state) + found.timings, objects: found.into_objects(), mask_encode: Duration::ZERO })
    }

    fn find(&self, prepared: &Prepared, request: Request, sought: Sought) -> Result<Answer> {
        let at = request.index % prepared.questions.len();
        let path = &prepared.questions[at].picture;
        let embedding = self.embedding(path, sought.embedding, prepared.held.get(at))?;
        let answer = self.search(&embedding, &prepared.asks[request.caller % prepared.asks.len()], sought.text)?;
        let phrases = answer.timings.phrases();
        if prepared.are_phrases_kept && phrases.cached != phrases.total() {
            return Err(Error::new(ErrorKind::Failed, "the phrases")
                .expecting("their embeddings in the cache")
                .but_found("them encoded anew"));
        }
        Ok(Answer { timings: made(&embedding, sought.embedding) + answer.timings, ..answer })
    }

    /// What a picture shows of what is searched for, all together by falling score.
    fn search(&self, embedding: &Embedding, asks: &[Ask], text: TextState) -> Result<Answer> {
        let words = WordOptions { uncached: text == TextState::Miss, ..WordOptions::default() };
        // As many objects as there are: other programs have no limit either.
        let predict = PredictOptions { conf: Some(LEAST_SCORE), max_detections: MOST_OBJECTS, words, ..PredictOptions::default() };
        let answers = self.model.answer(&maskline::Request { predict, ..maskline::Request::new(embedding.clone(), asks.to_vec()) })?;
        let mut objects = Vec::new();
        for answer in answers.answers {
            objects.extend(answer?.objects);
        }
        objects.sort_by(|a, b| b.score.total_cmp(&a.score));
        Ok(Answer { objects, timings: answers.timings, mask_encode: Duration::ZERO })
    }

    /// The embedding of a picture, from where the call is to have it.
    fn embedding(&self, path: &Path, state: EmbeddingState, held: Option<&Embedding>) -> Result<Embedding> {
        let embedding = match (state, held) {
            (EmbeddingState::Held, Some(held)) => held.clone(),
            (EmbeddingState::Miss, _) => self.model.embed_uncached(&Image::open(path)?)?,
            _ => self.model.embed(&Image::open(path)?)?,
        };
        if state != EmbeddingState::Miss && embedding.timings().embedding() == Some(EmbeddingSource::Miss) && held.is_none() {
            return Err(Error::new(ErrorKind::Failed, format!("{}: expected its embedding in the cache", path.display())));
        }
        Ok(embedding)
    }
}

/// Whether a model is asked by prompts: one that is told by words what to find is, where that `is_wished`.
fn is_asked_by_prompts(info: &ModelInfo, is_wished: bool) -> bool {
    info.takes_prompts() && (is_wished || !info.task.takes_concepts())
}

/// What making an embedding took of this call: nothing of one that is held, which an earlier call made.
fn made(embedding: &Embedding, state: EmbeddingState) -> Stages {
    if state == EmbeddingState::Held { Stages::default() } else { *embedding.timings() }
}

impl Prepared {
    /// Index of the first picture of a call.
    pub(super) fn picture(&self, index: usize) -> u32 {
        u32::try_from(index * self.track.batch % self.questions.len()).unwrap_or(u32::MAX)
    }

    /// Number of what a call asks: its first picture, and the caller whose prompts they are.
    pub(super) fn input(&self, request: Request) -> u32 {
        let callers = self.questions.first().map_or(1, |question| question.prompts.len().max(self.asks.len()).max(1));
        let caller = u32::try_from(request.caller % callers * self.questions.len()).unwrap_or(u32::MAX);
        self.picture(request.index).saturating_add(caller)
    }

    /// The first picture, and what is asked about it.
    pub(super) fn first_embedding(&self) -> Option<&Embedding> {
        self.held.first()
    }
}

impl Answer {
    /// The stages in order, with what each took in milliseconds; what none covers is told by whoever knows the whole.
    pub(super) fn stages(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let told = self.timings.iter().filter(|(stage, _)| *stage != Stage::Other).map(|(stage, time)| (stage.name(), time));
        told.chain([(MASK_ENCODE, self.mask_encode)]).map(|(name, time)| (name, milliseconds(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_takes_words_and_prompts_is_told_words_unless_prompts_are_wished() {
        let info = |task: &str, output: &serde_json::Value| -> ModelInfo {
            let info = serde_json::json!({
                "family": "f", "architecture": "a", "task": task, "labels": [], "input": "image", "preprocess": "pyramid",
                "default_size": 64, "fixed_size": null, "fixed_batch": null, "parts": [], "output": output,
            });
            serde_json::from_value(info).expect("a model")
        };
        let clicks = serde_json::json!({
            "grid": 4, "space": 64, "masks": 4, "object_score": true, "high_resolution": true, "always_padded": true, "single": "first",
            "everything": {"predicted_iou": 0.8, "stability": 0.95, "points_per_side": 32, "cleans_logits": true},
            "prompt_logit_limit": null,
        });
        let concepts = |clicks: &serde_json::Value| {
            serde_json::json!({"concepts": {
                "grid": 4, "width": 8, "trunk_width": 8, "queries": 4, "pooled": 7, "context": 32, "vocabulary": 99, "tokenizer": "stand_in",
                "clicks": clicks,
            }})
        };
        let both = info("concepts", &concepts(&clicks));
        assert!(!is_asked_by_prompts(&both, false) && is_asked_by_prompts(&both, true));
        let words = info("concepts", &concepts(&serde_json::Value::Null));
        assert!(!is_asked_by_prompts(&words, true));
        let prompts = info("promptable", &serde_json::json!({"promptable": clicks}));
        assert!(is_asked_by_prompts(&prompts, false));
    }
}
