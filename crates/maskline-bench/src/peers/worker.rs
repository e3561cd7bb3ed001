//! A program at work: one process, asked again and again.

use std::path::Path;
use std::time::{Duration, Instant};

use maskline::vision::mask::Rle;
use maskline::{Mask, Multimask, Object, Prompt};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use super::environment::Environment;
use super::error::{Error, ErrorKind, Result};
use super::process::Process;
use super::program::Program;
use super::python::isolated;
use super::task::{Task, text_of};

/// A phrase that says what to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    /// Its words.
    pub text: String,
    /// Its tokens, filled up to the length of the model's texts: for generated weights, which have no tokenizer. A program that finds
    /// one beside the checkpoint makes its own.
    pub ids: Option<Vec<i64>>,
}

/// What a picture is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The phrases; an object's class is the place of its phrase among them.
    pub phrases: &'a [Phrase],
    /// Whether their embeddings are there already.
    pub are_held: bool,
}

/// What a call does. The times of all begin with the path of a picture and end with the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Promptable, and what finds words: the picture is read, encoded, and asked about.
    Miss,
    /// The same: the picture is read and known again by its pixels; its embedding is there already.
    Hit,
    /// The same: the caller held the embedding. Only the prompts, or words, are answered.
    Held,
    /// Detectors: the picture is read, and what is in it is found.
    Detect,
}

impl Mode {
    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Held => "held",
            Self::Detect => "detect",
        }
    }
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// File of the picture.
    pub picture: &'a Path,
    /// What is done with it.
    pub mode: Mode,
    /// What is asked about it: clicks and boxes. Empty for all that is not promptable.
    pub prompts: &'a [Prompt],
    /// What it is searched for, by models that find words.
    pub words: Option<Words<'a>>,
    /// How many masks a prompt gets; [`Multimask::On`] is not for other programs.
    pub multimask: Multimask,
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What the call took by the program's own monotonic clock: what travels between the processes is not in it.
    pub milliseconds: f64,
    /// Its stages in their order, as far as the program tells them apart.
    pub stages: Vec<(String, f64)>,
    /// The objects: of a promptable model one per prompt, in their order.
    pub objects: Vec<Object>,
}

/// What it took until a program was ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// From the start of the process to readiness for calls.
    pub total: Duration,
    /// The parts of that, in milliseconds: the interpreter's start, imports, load, warm-up.
    pub parts: Vec<(String, f64)>,
}

/// The running process of a program. It ends with this value.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    ready: Ready,
    task: Task,
}

/// A line that a worker prints.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Ready { ready: Ordered, threads: usize },
    Reply { milliseconds: f64, stages: Ordered, objects: Vec<Answer>, threads: usize },
    Error { error: String },
}

/// One object as a worker gives it.
#[derive(Deserialize)]
struct Answer {
    score: f32,
    segmentation: Option<CocoRle>,
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    class_id: Option<usize>,
}

#[derive(Deserialize)]
struct CocoRle {
    size: [usize; 2],
    counts: String,
}

/// A JSON object whose order counts.
struct Ordered(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Ordered;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of times")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Worker {
    /// Starts a program and waits until it has loaded the model and run it once.
    ///
    /// # Errors
    /// `Unsupported` if it does not run this model, `InvalidArgument` if the model has not what it reads, `Lacking` if packages
    /// are missing, `Failed` if it cannot load the model, `Died` and `TimedOut`.
    pub fn start(environment: &Environment, program: Program, task: &Task) -> Result<Self> {
        let script = program.script(&task.model.info)?;
        let message = task.message(&script)?;
        let mut command = isolated(&environment.python);
        if environment.is_foreign {
            command.arg("-B");
        }
        command.arg(environment.scripts.file("worker.py"));
        let threads = task.threads().to_string();
        for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"] {
            command.env(name, &threads);
        }
        for name in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"] {
            command.env(name, "1");
        }
        command.env("YOLO_OFFLINE", "true").env("YOLO_AUTOINSTALL", "false").env("YOLO_VERBOSE", "false");
        command.env("YOLO_CONFIG_DIR", &environment.settings).env("CUDA_VISIBLE_DEVICES", "");
        Self::launch(command, program.name(), &message, task)
    }

    /// Starts a command that speaks as `worker.py` does.
    pub(super) fn launch(command: std::process::Command, name: &str, message: &Value, task: &Task) -> Result<Self> {
        let start = Instant::now();
        let process = Process::start(command, name)?;
        let ready = Ready { total: Duration::ZERO, parts: Vec::new() };
        let mut worker = Self { process, ready, task: task.clone() };
        match worker.ask(message, task.limits.start)? {
            Line::Ready { ready: Ordered(parts), threads } => {
                worker.check_threads(threads)?;
                let total = start.elapsed();
                let told: f64 = parts.iter().map(|(_, milliseconds)| milliseconds).sum();
                let interpreter = ("interpreter".to_owned(), (total.as_secs_f64() * 1e3 - told).max(0.0));
                worker.ready = Ready { total, parts: std::iter::once(interpreter).chain(parts).collect() };
                Ok(worker)
            }
            Line::Error { error } => Err(worker.failure("cannot run the model", &error)),
            Line::Reply { .. } => Err(worker.process.death("answered before it was asked")),
        }
    }

    /// What it took until the program was ready.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Makes one call.
    ///
    /// # Errors
    /// `Unsupported` for prompts with masks, `Failed` if the program says that it could not answer (it can be asked again), `Died` and
    /// `TimedOut`: then it is gone.
    pub fn call(&mut self, request: &Request<'_>) -> Result<Reply> {
        let message = message_of(request)?;
        match self.ask(&message, self.task.limits.call)? {
            Line::Reply { milliseconds, stages: Ordered(stages), objects, threads } => {
                self.check_threads(threads)?;
                let objects = objects.into_iter().enumerate().map(|(index, answer)| answer.object(index));
                match objects.collect::<Result<Vec<_>, String>>() {
                    Ok(objects) if has_any_number(request) || objects.len() == request.prompts.len() => {
                        Ok(Reply { milliseconds, stages, objects })
                    }
                    Ok(objects) => {
                        let what = format!("answered {} prompts with {} masks", request.prompts.len(), objects.len());
                        Err(self.process.death(&what))
                    }
                    Err(reason) => Err(self.process.death(&format!("gave a broken answer: {reason}"))),
                }
            }
            Line::Error { error } => Err(self.failure("could not answer", &error)),
            Line::Ready { .. } => Err(self.process.death("said twice that it is ready")),
        }
    }

    /// Most memory that the process used so far, in bytes; `None` where the system does not tell.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
    }

    fn ask(&mut self, message: &Value, limit: Duration) -> Result<Line> {
        let answer = self.process.ask(message, limit)?;
        serde_json::from_slice(&answer).map_err(|_| {
            let shown: String = String::from_utf8_lossy(&answer).trim_end().chars().take(120).collect();
            self.process.death(&format!("wrote what is no answer: `{shown}`"))
        })
    }

    fn failure(&self, what: &str, error: &str) -> Error {
        let kind = if error.starts_with("this Python lacks") { ErrorKind::Lacking } else { ErrorKind::Failed };
        let message = format!("{} {what}: {error}", self.process.name());
        Error::new(kind, message).log(&self.process.log())
    }

    /// A program on other threads than it was told to use is no comparison.
    fn check_threads(&mut self, found: usize) -> Result<()> {
        let expected = self.task.threads();
        if found == expected {
            return Ok(());
        }
        Err(self.process.death(&format!("runs on {found} threads, expected {expected}")))
    }
}

/// Whether a picture, not its prompts, says how many objects there are.
fn has_any_number(request: &Request<'_>) -> bool {
    request.mode == Mode::Detect || request.words.is_some()
}

/// A request as the worker reads it.
fn message_of(request: &Request<'_>) -> Result<Value> {
    let multimask = match request.multimask {
        Multimask::Auto => "auto",
        Multimask::Off => "off",
        Multimask::On => return Err(Error::new(ErrorKind::Unsupported, "other programs are asked for one mask per prompt")),
    };
    let prompts = request.prompts.iter().enumerate().map(|(index, prompt)| {
        if prompt.mask.is_some() || (prompt.bounds.is_none() && prompt.clicks.is_empty()) {
            let message = format!("prompt {index}: other programs are asked by clicks and boxes");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let mut given = serde_json::Map::new();
        if let Some(bounds) = prompt.bounds {
            given.insert("box".into(), json!(bounds));
        }
        if !prompt.clicks.is_empty() {
            let points: Vec<[f32; 2]> = prompt.clicks.iter().map(|click| [click.x, click.y]).collect();
            let labels: Vec<u8> = prompt.clicks.iter().map(|click| u8::from(click.is_positive)).collect();
            given.insert("points".into(), json!(points));
            given.insert("labels".into(), json!(labels));
        }
        Ok(Value::Object(given))
    });
    let prompts = prompts.collect::<Result<Vec<_>>>()?;
    let mut message =
        json!({"picture": text_of(request.picture)?, "mode": request.mode.name(), "prompts": prompts, "multimask": multimask});
    if let Some(Words { phrases, are_held }) = request.words {
        message["words"] = (if are_held { Mode::Held } else { Mode::Miss }).name().into();
        message["phrases"] = phrases.iter().map(Phrase::message).collect();
    }
    Ok(message)
}

impl Phrase {
    fn message(&self) -> Value {
        match &self.ids {
            Some(ids) => json!({"text": self.text, "ids": ids}),
            None => json!({"text": self.text}),
        }
    }
}

impl Answer {
    fn object(self, index: usize) -> Result<Object, String> {
        let Self { score, segmentation, bounds, class_id } = self;
        let mask = segmentation.map(CocoRle::mask).transpose()?;
        // What no phrase found was prompted for, and its box is its mask's.
        if class_id.is_none()
            && let Some(found) = &mask
        {
            let bounds = found.bounds().unwrap_or_default().map(|side| side as f32);
            return Ok(Object { prompt: Some(index), score, bounds, mask, ..Object::default() });
        }
        let bounds = bounds.ok_or_else(|| format!("object {index} has neither mask nor box"))?;
        Ok(Object { score, bounds, class_id, mask, ..Object::default() })
    }
}

impl CocoRle {
    fn mask(self) -> Result<Mask, String> {
        let rle = Rle::from_coco_string(self.size, &self.counts).map_err(|error| error.to_string())?;
        Mask::from_rle(&rle).map_err(|error| error.to_string())
    }
}
