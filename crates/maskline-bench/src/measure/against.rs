//! Other programs on the same models, weights, pictures and threads.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Instant;

use maskline::{
    BundleOptions, Error, ErrorKind, Image, ModelInfo, ModelSource, Multimask, Object, Prompt, Result, write_generated_weights,
};
use maskline_text::Tokenizer;

use super::lanes::{Caller, Figures, MOST_ERRORS, Turn, wrapped};
use super::plan::{Against, Process};
use super::subjects::{One, Subjects};
use super::{Room, Running, efforts};
use crate::bootstrap::{Resampling, median_ratio};
use crate::peers::{self, DetectOptions, Environment, Mode, PeerModel, Phrase, Program, Request, Task, Words, Worker, parity};
use crate::report::{ColdStage, Effort, EmbeddingState, Parity, Peer, Precision, PromptKind, TextState, Texts};
use crate::samples::{Sample, milliseconds};
use crate::worker::{Call, LEAST_SCORE, Message, Order, Track, phrases, prompts};

/// A program with the model of one of our processes.
pub(super) struct Opponent {
    /// The program, with its versions.
    described: String,
    program: Program,
    /// What we know of its model.
    info: ModelInfo,
    /// Index of our process.
    pub(super) process: usize,
    worker: RefCell<Worker>,
    starts: Vec<Start>,
    effort: Option<Effort>,
}

/// How a start went.
struct Start {
    ready_ms: f64,
    first_result_ms: f64,
    peak_memory_bytes: Option<u64>,
}

/// A picture, and what is asked about it.
struct Question {
    picture: PathBuf,
    prompts: Vec<Prompt>,
    /// None of models that take no words.
    phrases: Vec<Phrase>,
}

/// How a program is to be asked.
#[derive(Clone, Copy)]
struct Manner {
    mode: Mode,
    /// Whether the embeddings of phrases are there already.
    are_phrases_held: bool,
}

impl Manner {
    /// As our row is asked.
    fn of(track: Track) -> Self {
        let mode = match track.embedding() {
            None => Mode::Detect,
            Some(EmbeddingState::Miss) => Mode::Miss,
            Some(EmbeddingState::Hit) => Mode::Hit,
            Some(EmbeddingState::Held) => Mode::Held,
        };
        Self { mode, are_phrases_held: track.sought.is_some_and(|sought| sought.text == TextState::Hit) }
    }
}

impl Room<'_> {
    /// Starts every program with the model of every process of ours on the CPU: they compute in f32 there, and nowhere else.
    pub(super) fn opponents(&self, running: &[Running], subjects: &Subjects) -> Result<Vec<Opponent>> {
        let Some(Against { programs, environment }) = self.plan.against.as_ref().filter(|_| self.plan.seconds > 0.0) else {
            return Ok(Vec::new());
        };
        let mut opponents = Vec::new();
        for program in programs {
            (self.tell)(&format!("preparing {program}"), 0.0);
            let environment = Environment::prepare(*program, environment).map_err(engine_error)?;
            let versions: Vec<String> = environment.versions().iter().map(|(name, version)| format!("{name} {version}")).collect();
            for (process, own) in running.iter().enumerate() {
                let compute = &own.process.compute;
                let is_alike = compute.provider == "cpu" && compute.precision == Precision::F32;
                let Some(one) = subjects.first_of(process).filter(|_| is_alike) else { continue };
                let task = self.task(own)?;
                let questions = self.questions(one, &task.model.info, &self.inputs.files[..1])?;
                let is_encoder = one.subject.prompts.is_some() || one.subject.texts.is_some();
                let manner = Manner { mode: if is_encoder { Mode::Miss } else { Mode::Detect }, are_phrases_held: false };
                let (mut starts, mut kept) = (Vec::new(), None);
                for run in 0..self.plan.cold.runs.max(1) {
                    (self.tell)(&format!("starting {program}"), run as f64 / self.plan.cold.runs.max(1) as f64);
                    // One process at a time: what the last one held is free again.
                    drop(kept.take());
                    let (worker, start) =
                        Opening { environment: &environment, program: *program, task: &task }.started(&questions[0], manner)?;
                    starts.push(start);
                    kept = Some(worker);
                }
                let Some(worker) = kept else { continue };
                let described = format!("{program} ({})", versions.join(", "));
                let info = task.model.info;
                let effort = efforts::of_program(*program, &environment, &info);
                opponents.push(Opponent { described, program: *program, info, process, worker: RefCell::new(worker), starts, effort });
            }
        }
        Ok(opponents)
    }

    /// What a program is given: the graphs in standard operators, and the checkpoint.
    fn task(&self, running: &Running) -> Result<Task> {
        let Process { model, compute } = &running.process;
        let Message::Portable { parts, info } = running.worker.borrow_mut().order(&Order::Portable)? else {
            return Err(running.worker.borrow().unexpected());
        };
        let checkpoint = match &self.plan.models[*model].1 {
            ModelSource::Checkpoint(path) => Some(path.clone()),
            ModelSource::Synthetic { architecture, seed } => {
                let path = self.folder.join(format!("{architecture}-{seed}-{}.safetensors", compute.size.unwrap_or(0)));
                if !path.exists() {
                    let options = BundleOptions { image_size: compute.size, head: compute.head, ..BundleOptions::default() };
                    write_generated_weights(architecture, *seed, &options, &path)?;
                }
                Some(path)
            }
            ModelSource::Onnx(_) | ModelSource::Nano => None,
        };
        let task = Task::new(PeerModel { checkpoint, parts, info: *info });
        let detect = match running.started.facts.takes_words {
            true => DetectOptions { conf: LEAST_SCORE, ..task.detect },
            false => task.detect,
        };
        Ok(Task { threads: compute.threads, size: compute.size, detect, ..task })
    }

    /// What a program is asked about pictures, beside one of our subjects.
    fn questions(&self, one: &One, info: &ModelInfo, files: &[PathBuf]) -> Result<Vec<Question>> {
        let phrases = match one.subject.texts {
            Some(texts) => self.phrases(texts, one, info)?,
            None => Vec::new(),
        };
        let question = |file: &PathBuf| {
            let prompts = match one.subject.prompts {
                Some(asked) => prompts(asked, Image::open(file)?.size())?,
                None => Vec::new(),
            };
            Ok(Question { picture: file.clone(), prompts, phrases: phrases.clone() })
        };
        files.iter().map(question).collect()
    }

    /// Phrases; with our tokens where weights are generated, as no tokenizer comes with those.
    fn phrases(&self, texts: Texts, one: &One, info: &ModelInfo) -> Result<Vec<Phrase>> {
        let is_generated = one.subject.model.generated_from_seed.is_some();
        let sizes = info.words().map(|head| (head.vocabulary, head.context));
        let sizes = sizes.or(info.concepts().map(|head| (head.vocabulary, head.context)));
        let tokenizer = sizes.filter(|_| is_generated).map(|(vocabulary, context)| (Tokenizer::stand_in(vocabulary), context));
        let phrase = |text: String| {
            let ids = match &tokenizer {
                Some((tokenizer, context)) => {
                    Some(tokenizer.encode(&text, maskline_text::Room { context: *context, truncate: false })?.ids)
                }
                None => None,
            };
            Ok(Phrase { text, ids })
        };
        phrases(texts, &self.plan.phrases)?.into_iter().map(phrase).collect()
    }

    /// The calls of a program that answer to one of our rows; `None` where it cannot be asked so.
    pub(super) fn rival<'a>(&self, opponent: &'a Opponent, one: &One, track: Track) -> Result<Option<Rival<'a>>> {
        let is_mask = one.subject.prompts.is_some_and(|prompts| prompts.kind == PromptKind::Mask);
        if one.process != opponent.process || track.batch != 1 || is_mask {
            return Ok(None);
        }
        let questions = self.questions(one, &opponent.info, &self.inputs.files)?;
        Ok(Some(Rival { opponent, questions, manner: Manner::of(track) }))
    }

    /// Whether a program gives our answers, on a picture that every decoder reads alike.
    pub(super) fn agreement(&self, rival: &Rival<'_>, one: &One, running: &Running, track: Track) -> Result<Parity> {
        let opponent = rival.opponent;
        let picture = self.lossless()?;
        let order = Order::Answer { track, picture: picture.clone() };
        let Message::Objects(ours) = running.worker.borrow_mut().order(&order)? else { return Err(running.worker.borrow().unexpected()) };
        let questions = self.questions(one, &opponent.info, &[picture])?;
        let mut theirs = ask(&opponent.worker, &questions[0], rival.manner)?;
        if one.subject.texts.is_some() {
            theirs.objects = on_picture(theirs.objects, Image::open(&questions[0].picture)?.size());
        }
        Ok(parity(&super::parity::objects(&ours)?, &theirs.objects))
    }

    /// The first picture as PNG.
    fn lossless(&self) -> Result<PathBuf> {
        let path = self.folder.join("lossless.png");
        if !path.exists() {
            let image = Image::open(&self.inputs.files[0])?;
            maskline::vision::write::save_picture(&path, image.pixels(), maskline::vision::write::PictureFormat::Png)?;
        }
        Ok(path)
    }
}

/// The part of each box that is on a picture of this width and height, as maskline gives it; what is beside it, in the border that makes
/// the picture a square, is gone.
fn on_picture(objects: Vec<Object>, size: (usize, usize)) -> Vec<Object> {
    let edges = [size.0 as f32, size.1 as f32, size.0 as f32, size.1 as f32];
    let cut = |object: Object| Object { bounds: std::array::from_fn(|side| object.bounds[side].clamp(0.0, edges[side])), ..object };
    let has_area = |object: &Object| object.bounds[0] < object.bounds[2] && object.bounds[1] < object.bounds[3];
    objects.into_iter().map(cut).filter(has_area).collect()
}

/// A program before its start.
struct Opening<'a> {
    environment: &'a Environment,
    program: Program,
    task: &'a Task,
}

impl Opening<'_> {
    /// From nothing to a first answer.
    fn started(&self, question: &Question, manner: Manner) -> Result<(Worker, Start)> {
        let beginning = Instant::now();
        let worker = RefCell::new(Worker::start(self.environment, self.program, self.task).map_err(engine_error)?);
        let ready_ms = milliseconds(beginning.elapsed());
        ask(&worker, question, manner)?;
        let first_result_ms = milliseconds(beginning.elapsed());
        let worker = worker.into_inner();
        let peak_memory_bytes = worker.peak_memory();
        Ok((worker, Start { ready_ms, first_result_ms, peak_memory_bytes }))
    }
}

fn ask(worker: &RefCell<Worker>, question: &Question, manner: Manner) -> Result<peers::Reply> {
    let Question { picture, prompts, phrases } = question;
    let words = (!phrases.is_empty()).then_some(Words { phrases, are_held: manner.are_phrases_held });
    let request = Request { picture, mode: manner.mode, prompts, words, multimask: Multimask::Auto };
    worker.borrow_mut().call(&request).map_err(engine_error)
}

/// The calls of a program beside one of our rows.
pub(super) struct Rival<'a> {
    opponent: &'a Opponent,
    questions: Vec<Question>,
    manner: Manner,
}

impl Caller for Rival<'_> {
    fn turn(&mut self, first: usize, seconds: f64) -> Result<Turn> {
        let mut turn = Turn::default();
        let beginning = Instant::now();
        let mut index = first;
        while (turn.calls.is_empty() || beginning.elapsed().as_secs_f64() < seconds) && turn.errors.len() < MOST_ERRORS {
            let at = index % self.questions.len();
            let start_ms = milliseconds(beginning.elapsed());
            match ask(&self.opponent.worker, &self.questions[at], self.manner) {
                Ok(reply) => {
                    turn.stages = reply.stages.iter().map(|(name, _)| name.clone()).collect();
                    let stages_ms = reply.stages.iter().map(|(_, milliseconds)| *milliseconds).collect();
                    turn.calls.push(Call { start_ms, total_ms: reply.milliseconds, picture: u32::try_from(at).unwrap_or(0), stages_ms });
                }
                // A program that fails, or dies, ends its own row and no other.
                Err(error) => turn.errors.push(error.to_string()),
            }
            index += 1;
        }
        turn.elapsed_ms = milliseconds(beginning.elapsed());
        Ok(turn)
    }
}

impl Opponent {
    /// Name of its row beside one of ours.
    pub(super) fn row(&self, ours: &str) -> String {
        format!("{ours}, {}", self.program)
    }

    /// Its row: `found` beside ours of this name, with these samples.
    pub(super) fn described(&self, ours: &str, samples: &[Sample], found: Figures, parity: Parity) -> Result<Peer> {
        let times = |samples: &[Sample]| samples.iter().map(Sample::milliseconds).collect::<Vec<_>>();
        let ratio = wrapped(median_ratio(&times(found.series.steady()), &times(samples), &Resampling::default()))?;
        let stage = |name: &str, of: fn(&Start) -> f64| Some(ColdStage::of(name, &self.starts.iter().map(of).collect::<Vec<_>>()));
        Ok(Peer {
            name: self.row(ours),
            program: self.described.clone(),
            compared_with: ours.to_owned(),
            is_interleaved: true,
            summary: found.summary,
            verdict: found.verdict,
            ratio,
            ready: stage("ready", |start| start.ready_ms),
            first_result: stage("first_result", |start| start.first_result_ms),
            peak_memory_bytes: self.starts.iter().filter_map(|start| start.peak_memory_bytes).max(),
            parity: Some(parity),
            effort: self.effort.clone(),
        })
    }
}

pub(crate) fn engine_error(error: peers::Error) -> Error {
    let kind = match error.kind() {
        peers::ErrorKind::InvalidArgument | peers::ErrorKind::Unsupported => ErrorKind::InvalidOption,
        peers::ErrorKind::NoPython | peers::ErrorKind::Offline | peers::ErrorKind::Install | peers::ErrorKind::Lacking => {
            ErrorKind::Unavailable
        }
        peers::ErrorKind::Io => ErrorKind::Io,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_end_at_the_edge_of_the_picture_and_what_is_beside_it_is_gone() {
        let boxes = [[-5.0, 10.0, 30.0, 90.0], [10.0, 82.0, 30.0, 99.0], [1.0, 2.0, 3.0, 4.0]];
        let objects = boxes.map(|bounds| Object { bounds, score: 0.5, ..Object::default() }).to_vec();
        let bounds: Vec<[f32; 4]> = on_picture(objects, (100, 80)).iter().map(|object| object.bounds).collect();
        assert_eq!(bounds, [[0.0, 10.0, 30.0, 80.0], [1.0, 2.0, 3.0, 4.0]]);
    }
}
