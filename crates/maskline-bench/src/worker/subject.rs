//! A loaded model and its pictures: one call from path to answer.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use maskline::{
    Embedding, EmbeddingSource, Error, ErrorKind, Image, InputSize, Model, Object, PredictOptions, Prompt, PromptTimings, Result,
    SegmentOptions, Task,
};

use super::Track;
use super::prompts::prompts;
use crate::report::EmbeddingState;
use crate::samples::milliseconds;

/// Pictures whose embeddings are kept at most: more would not fit into memory.
const MOST_KEPT: usize = 8;

/// A loaded model and its pictures.
pub(super) struct Subject {
    pub(super) model: Model,
    size: Option<usize>,
    pictures: Vec<PathBuf>,
    held: Mutex<HashMap<PathBuf, Embedding>>,
}

/// An answer, and the engine's times of the stages.
pub(super) struct Answer {
    pub(super) objects: Vec<Object>,
    stages: Vec<Duration>,
}

/// A track with all that is not to be timed.
pub(super) struct Prepared {
    track: Track,
    pictures: Vec<(PathBuf, Vec<Prompt>)>,
    held: Vec<Embedding>,
}

const DETECTOR_STAGES: [&str; 6] = ["decode", "preprocess", "queue", "network", "postprocess", "mask_encode"];
const PROMPT_STAGES: [&str; 8] = ["decode", "preprocess", "queue", "image_encode", "open", "mask_decode", "postprocess", "mask_encode"];
/// What no stage covers is told by whoever knows the whole.
const UNCOVERED: &str = "other";

impl Subject {
    pub(super) fn new(model: Model, size: Option<usize>, pictures: Vec<PathBuf>) -> Self {
        Self { model, size, pictures, held: Mutex::default() }
    }

    pub(super) fn is_promptable(&self) -> bool {
        self.model.info().task == Task::Promptable
    }

    /// Side of the network's input.
    pub(super) fn side(&self) -> usize {
        self.size.unwrap_or(self.model.info().default_size)
    }

    /// A promptable model is built for a size: one that was not built for the wished one must not be measured as if it were.
    pub(super) fn check_size(&self) -> Result<()> {
        let built = self.model.info().default_size;
        match self.size {
            Some(size) if self.is_promptable() && size != built => {
                let message = format!("{}: size: expected {built}, which it is made for, found {size}", self.model.name());
                Err(Error::new(ErrorKind::InvalidOption, message))
            }
            _ => Ok(()),
        }
    }

    /// Names of the stages of a track's calls.
    pub(super) fn stage_names(&self) -> Vec<String> {
        let names: &[&str] = if self.is_promptable() { &PROMPT_STAGES } else { &DETECTOR_STAGES };
        names.iter().map(ToString::to_string).collect()
    }

    /// Makes prompts, and embeddings where they are to be there already.
    pub(super) fn prepare(&self, track: Track) -> Result<Prepared> {
        self.prepare_for(track, &self.pictures)
    }

    /// As [`Self::prepare`], for other pictures.
    pub(super) fn prepare_for(&self, track: Track, pictures: &[PathBuf]) -> Result<Prepared> {
        self.check(track)?;
        let is_kept = matches!(track.asked, Some((_, EmbeddingState::Hit | EmbeddingState::Held)));
        let most = if is_kept { MOST_KEPT } else { usize::MAX };
        let mut prepared = Prepared { track, pictures: Vec::new(), held: Vec::new() };
        for path in pictures.iter().take(most) {
            let asked = match track.asked {
                None => Vec::new(),
                Some((asked, state)) => {
                    let image = Image::open(path)?;
                    match state {
                        EmbeddingState::Miss => {}
                        // The cache's own way in.
                        EmbeddingState::Hit => drop(self.model.embed(&image)?),
                        EmbeddingState::Held => prepared.held.push(self.hold(path, &image)?),
                    }
                    prompts(asked, image.size())?
                }
            };
            prepared.pictures.push((path.clone(), asked));
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

    fn check(&self, track: Track) -> Result<()> {
        let wrong = |message: &str| Err(Error::new(ErrorKind::InvalidOption, format!("{}: {message}", self.model.name())));
        match (self.is_promptable(), track.asked) {
            (true, None) => wrong("expected prompts, found none"),
            (false, Some(_)) => wrong("it finds things by itself and takes no prompts"),
            (true, _) if track.batch != 1 => wrong("it takes one picture at a time; the batch of a promptable model is its prompts"),
            (true, Some((asked, _))) if asked.count == 0 => wrong("prompts: expected at least 1, found 0"),
            _ if track.batch == 0 => wrong("batch: expected at least 1, found 0"),
            _ => Ok(()),
        }
    }

    /// One call. `index` says which pictures.
    pub(super) fn call(&self, prepared: &Prepared, index: usize) -> Result<Answer> {
        let mut answer = match prepared.track.asked {
            None => self.detect(prepared, index),
            Some((_, state)) => self.ask(prepared, index, state),
        }?;
        let start = Instant::now();
        for mask in answer.objects.iter().filter_map(|object| object.mask.as_ref()) {
            black_box(mask.to_rle().to_coco_string());
        }
        answer.stages.push(start.elapsed());
        Ok(answer)
    }

    fn detect(&self, prepared: &Prepared, index: usize) -> Result<Answer> {
        let batch = prepared.track.batch;
        let paths = (0..batch).map(|i| &prepared.pictures[(index * batch + i) % prepared.pictures.len()].0);
        let images = paths.map(Image::open).collect::<Result<Vec<_>>>()?;
        let size = self.size.map_or(InputSize::Default, InputSize::Square);
        let options = PredictOptions { size, batch, ..PredictOptions::default() };
        let answers = self.model.predict_batch(&images.iter().collect::<Vec<_>>(), &options)?;
        let mut stages = vec![Duration::ZERO; DETECTOR_STAGES.len() - 1];
        for answer in &answers {
            stages.iter_mut().zip(covered(answer.timings.stages())).for_each(|(sum, time)| *sum += time);
        }
        Ok(Answer { objects: answers.into_iter().flat_map(|answer| answer.objects).collect(), stages })
    }

    fn ask(&self, prepared: &Prepared, index: usize, state: EmbeddingState) -> Result<Answer> {
        let at = index % prepared.pictures.len();
        let (path, prompts) = &prepared.pictures[at];
        let embedding = match state {
            EmbeddingState::Miss => self.model.embed_uncached(&Image::open(path)?)?,
            EmbeddingState::Hit => self.model.embed(&Image::open(path)?)?,
            EmbeddingState::Held => prepared.held[at].clone(),
        };
        if state == EmbeddingState::Hit && embedding.timings().embedding == EmbeddingSource::Miss {
            return Err(Error::new(ErrorKind::Failed, format!("{}: expected its embedding in the cache", path.display())));
        }
        let found = embedding.find(prompts, &SegmentOptions::default())?;
        if let Some((prompt, error)) = found.errors.into_iter().next() {
            return Err(Error::new(error.kind(), format!("prompt {prompt}: {error}")));
        }
        // An embedding that is held was made by an earlier call.
        let picture = if state == EmbeddingState::Held { PromptTimings::default() } else { *embedding.timings() };
        Ok(Answer { objects: found.objects, stages: covered((picture + found.timings).stages()).collect() })
    }
}

/// The times of an answer's stages, in their order.
fn covered(stages: impl IntoIterator<Item = (&'static str, Duration)>) -> impl Iterator<Item = Duration> {
    stages.into_iter().filter(|(name, _)| *name != UNCOVERED).map(|(_, time)| time)
}

impl Prepared {
    /// Index of the first picture of a call.
    pub(super) fn picture(&self, index: usize) -> u32 {
        u32::try_from(index * self.track.batch % self.pictures.len()).unwrap_or(u32::MAX)
    }

    /// The first picture, and what is asked about it.
    pub(super) fn first_embedding(&self) -> Option<&Embedding> {
        self.held.first()
    }
}

impl Answer {
    /// What the networks took.
    pub(super) fn network(&self, is_promptable: bool) -> Duration {
        let names: &[&str] = if is_promptable { &PROMPT_STAGES } else { &DETECTOR_STAGES };
        let is_network = |name: &str| ["network", "image_encode", "mask_decode"].contains(&name);
        names.iter().zip(&self.stages).filter(|(name, _)| is_network(name)).map(|(_, time)| *time).sum()
    }

    /// Times of the stages, in milliseconds.
    pub(super) fn milliseconds(&self) -> Vec<f64> {
        self.stages.iter().map(|time| milliseconds(*time)).collect()
    }
}

#[cfg(test)]
mod tests {
    use maskline::Timings;

    use super::*;

    #[test]
    fn stages_are_named_as_the_engine_names_them() {
        let named = |stages: &[(&'static str, Duration)]| {
            let names = stages.iter().map(|(name, _)| *name).filter(|name| *name != UNCOVERED);
            names.chain(["mask_encode"]).collect::<Vec<&str>>()
        };
        assert_eq!(named(&Timings::default().stages()), DETECTOR_STAGES);
        assert_eq!(named(&PromptTimings::default().stages()), PROMPT_STAGES);
    }
}
