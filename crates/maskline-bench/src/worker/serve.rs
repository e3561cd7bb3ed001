//! Orders in, messages out.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maskline::runtime::peak_rss;
use maskline::{BundleOptions, Dialect, Engine, Error, ErrorKind, LoadOptions, Result, Stage};
use serde_json::json;

use super::subject::{Answer, Prepared, Subject};
use super::{Assignment, Call, Facts, LoadCall, Message, Order, Share, Sought, Track};
use crate::load::{ClosedLoop, Limit, OpenLoop, RealClock, Record, Request, Target, run_closed, run_open};
use crate::report::{EmbeddingState, Precision, TextKind, TextState, Texts};
use crate::samples::milliseconds;

/// This process, as far as it is a worker.
#[derive(Debug)]
pub struct Process<I, O> {
    /// When it began.
    pub began: Instant,
    /// Where orders come from.
    pub input: I,
    /// Where messages go.
    pub output: O,
}

/// Runs the process of a model: see the [module](super). `engine` loads ONNX Runtime.
///
/// # Errors
/// If the other side speaks something else or is gone; what fails about the model is a [`Message::Failed`].
pub fn serve<I: BufRead, O: Write>(process: Process<I, O>, engine: impl Fn(&Assignment) -> Result<Engine>) -> std::io::Result<()> {
    let Process { began, input, output } = process;
    let began_nanoseconds = nanoseconds_since_1970().saturating_sub(u64::try_from(began.elapsed().as_nanos()).unwrap_or(0));
    let mut lines = input.lines();
    let mut speaker = Speaker(output);
    let Some(line) = lines.next() else { return Ok(()) };
    let assignment: Assignment = parse(&line?)?;
    let start = Start { began, began_nanoseconds, assignment };
    let (engine, subject) = match start.run(&mut speaker, engine) {
        Ok(started) => started,
        Err(Trouble::Model(error)) => return speaker.say(&failed(&error)),
        Err(Trouble::Line(error)) => return Err(error),
    };
    let loaded = Loaded { engine, subject, assignment: start.assignment };
    for line in lines {
        let order: Order = parse(&line?)?;
        let message = loaded.obey(order).unwrap_or_else(|error| failed(&error));
        speaker.say(&message)?;
    }
    Ok(())
}

/// Has a provider compute something, and says to `output` whether it could. `engine` loads ONNX Runtime.
///
/// # Errors
/// If the other side is gone; what fails about the provider is a [`Message::Failed`].
pub fn try_provider(output: impl Write, provider: &str, engine: impl FnOnce() -> Result<Engine>) -> std::io::Result<()> {
    let tried = || {
        let provider = provider.parse::<maskline::Provider>()?;
        Ok(maskline::runtime::try_provider(engine()?.library(), &provider)?)
    };
    Speaker(output).say(&tried().map_or_else(|error| failed(&error), |()| Message::Computed))
}

/// The other side of the pipe.
struct Speaker<W>(W);

impl<W: Write> Speaker<W> {
    fn say(&mut self, message: &Message) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.0.write_all(&line)?;
        self.0.flush()
    }
}

fn parse<T: serde::de::DeserializeOwned>(line: &str) -> std::io::Result<T> {
    serde_json::from_str(line).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

fn failed(error: &Error) -> Message {
    Message::Failed { kind: error.kind(), message: error.to_string() }
}

fn nanoseconds_since_1970() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What ends a start.
enum Trouble {
    Model(Error),
    Line(std::io::Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Model(error)
    }
}

/// A cold start.
struct Start {
    began: Instant,
    began_nanoseconds: u64,
    assignment: Assignment,
}

impl Start {
    /// From nothing to the first answer, and to readiness.
    fn run<W: Write>(
        &self,
        speaker: &mut Speaker<W>,
        engine: impl Fn(&Assignment) -> Result<Engine>,
    ) -> Result<(Engine, Subject), Trouble> {
        let assigned = &self.assignment;
        let before_runtime = self.began.elapsed();
        let engine = engine(assigned)?;
        let runtime = self.began.elapsed() - before_runtime;
        let model = engine.load(assigned.source.clone(), &load_options(assigned)?)?;
        let cold = *model.cold();
        let subject = Subject::new(model, assigned);
        subject.check_size()?;
        let state = EmbeddingState::Held;
        let texts = assigned.wording.first.unwrap_or(Texts { kind: TextKind::Words, count: 1 });
        let track = Track {
            batch: 1,
            asked: subject.is_promptable().then_some((assigned.first, state)),
            // As a caller asks who cares for no cache: what an earlier process encoded is on disk.
            sought: subject.takes_words().then_some(Sought { texts, embedding: state, text: TextState::Hit }),
        };
        let pictures = &assigned.pictures[..1.min(assigned.pictures.len())];
        if pictures.is_empty() {
            return Err(Error::new(ErrorKind::InvalidOption, "pictures: expected at least one, found none").into());
        }
        let asking = Instant::now();
        let prepared = subject.prepare_for(track, pictures)?;
        let answer = subject.call(&prepared, Request::default())?;
        let objects = json!(answer.objects);
        let first_answer = asking.elapsed();
        let inference = inference(&prepared, &answer);
        let parts = [
            ("runtime_load", runtime),
            ("model_read", cold.model_read),
            ("build", cold.build),
            ("session", cold.session),
            ("first_inference", inference),
            ("rest_of_first_answer", first_answer.saturating_sub(inference)),
        ];
        let stages = parts.into_iter().map(|(name, time)| (name.to_owned(), milliseconds(time))).collect();
        let facts = Box::new(facts(&engine, &subject));
        let began = self.began_nanoseconds;
        speaker.say(&Message::First { facts, stages, began, objects }).map_err(Trouble::Line)?;
        let warm_up = match prepared.first_embedding() {
            Some(embedding) => subject.model.tune(embedding)?,
            None => Duration::ZERO,
        };
        let ready = Message::Ready { warm_up_ms: milliseconds(warm_up), peak_memory_bytes: peak_rss() };
        speaker.say(&ready).map_err(Trouble::Line)?;
        Ok((engine, subject))
    }
}

/// What the networks took for the first answer.
fn inference(prepared: &Prepared, answer: &Answer) -> Duration {
    let encode = prepared.first_embedding().map_or(Duration::ZERO, |embedding| embedding.timings().networks());
    encode + answer.timings.networks()
}

fn load_options(assigned: &Assignment) -> Result<LoadOptions> {
    let compute = &assigned.compute;
    Ok(LoadOptions {
        provider: compute.provider.parse::<maskline::Provider>()?.with_gpu(&compute.gpu)?,
        precision: numbers(compute.precision)?,
        threads: compute.threads,
        warm_up: false,
        // As many as are asked for: whoever measures wants none to go.
        embedding_cache: usize::MAX / 2,
        bundle: BundleOptions {
            image_size: compute.size,
            decoder: compute.decoder,
            kernels: compute.kernels,
            head: compute.head,
            ..BundleOptions::default()
        },
        delays: assigned.delays,
        ..LoadOptions::default()
    })
}

/// What the engine calls the numbers. Those that it does not have are an error, never others.
fn numbers(precision: Precision) -> Result<maskline::Precision> {
    match precision {
        Precision::F32 => Ok(maskline::Precision::F32),
        Precision::F16 => Ok(maskline::Precision::F16),
        Precision::F16Emulated => Ok(maskline::Precision::F16Emulated),
        Precision::Int8 => Ok(maskline::Precision::Int8),
        Precision::Bf16 => {
            let message = format!("precision: expected f32, f16, f16-emulated or int8, found {}", precision.name());
            Err(Error::new(ErrorKind::InvalidOption, message))
        }
    }
}

fn facts(engine: &Engine, subject: &Subject) -> Facts {
    let model = &subject.model;
    let info = model.info();
    let bundle = model.bundle();
    let input = info.fixed_size.unwrap_or([subject.side(); 2]);
    Facts {
        name: model.name().to_owned(),
        family: info.family.clone(),
        architecture: info.architecture.clone(),
        is_promptable: subject.is_promptable(),
        takes_words: subject.takes_words(),
        input,
        onnx_runtime: engine.library().version().to_owned(),
        provider: model.provider(),
        shares: model.provider_shares().iter().map(Share::from).collect(),
        was_cached: model.was_cached(),
        kernels: bundle.kernels(),
        bundle: bundle.directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        parts: bundle.parts().map(|(name, file)| (name.to_owned(), file)).collect(),
        refinements: info.refinements(),
    }
}

/// A process whose model is ready.
struct Loaded {
    engine: Engine,
    subject: Subject,
    assignment: Assignment,
}

impl Loaded {
    fn obey(&self, order: Order) -> Result<Message> {
        let Self { engine, subject, assignment } = self;
        let compute = &assignment.compute;
        match order {
            Order::Turn { track, first, seconds, calls } => {
                let prepared = subject.prepare(track, 1)?;
                Ok(Turn { subject, prepared: &prepared, time: Duration::from_secs_f64(seconds), least: calls.max(1) }.made(first))
            }
            Order::Answer { track, picture } => {
                let prepared = subject.prepare_for(track, &[picture])?;
                Ok(Message::Objects(json!(subject.call(&prepared, Request::default())?.objects)))
            }
            Order::Closed { track, callers, seconds } => {
                let prepared = subject.prepare(track, callers)?;
                let options = ClosedLoop { concurrency: callers, limit: Limit::Time(Duration::from_secs_f64(seconds)) };
                Calls::of(subject, &prepared).message(|calls| run_closed(calls, &RealClock::default(), &options))
            }
            Order::Open { track, arrivals, workers } => {
                let prepared = subject.prepare(track, 1)?;
                let options = OpenLoop { arrivals, workers };
                Calls::of(subject, &prepared).message(|calls| run_open(calls, &RealClock::default(), &options))
            }
            Order::Portable => {
                let options =
                    BundleOptions { dialect: Dialect::Portable, image_size: compute.size, head: compute.head, ..BundleOptions::default() };
                let bundle = engine.build(assignment.source.clone(), &options)?;
                let parts = bundle.parts().map(|(name, file)| (name.to_owned(), file)).collect();
                Ok(Message::Portable { parts, info: Box::new(bundle.info().clone()) })
            }
            Order::Gemm => {
                let provider = compute.provider.parse()?;
                Ok(Message::Gemm(crate::machine::gemm(engine, compute.threads, &provider)?))
            }
        }
    }
}

/// Most failed calls in a row: what always fails is told and not repeated.
const MOST_FAILURES: usize = 10;

/// Calls one after another.
struct Turn<'a> {
    subject: &'a Subject,
    prepared: &'a Prepared,
    /// No call starts later.
    time: Duration,
    /// At least so many.
    least: usize,
}

impl Turn<'_> {
    /// Makes them; `first` is the index of the first.
    fn made(&self, first: usize) -> Message {
        let Self { subject, prepared, time, least } = *self;
        let (mut calls, mut errors, mut stages) = (Vec::new(), Vec::new(), Vec::new());
        let beginning = Instant::now();
        let mut index = first;
        while (calls.len() < least || beginning.elapsed() < time) && errors.len() < MOST_FAILURES {
            let start = Instant::now();
            match subject.call(prepared, Request { index, caller: 0 }) {
                Ok(answer) => {
                    let total = start.elapsed();
                    // Calls of one kind have the same stages.
                    let (names, stages_ms) = answer.stages().unzip::<_, _, Vec<_>, Vec<_>>();
                    stages = names;
                    calls.push(Call {
                        start_ms: milliseconds(start - beginning),
                        total_ms: milliseconds(total),
                        picture: prepared.picture(index),
                        stages_ms,
                    });
                }
                Err(error) => errors.push(error.to_string()),
            }
            index += 1;
        }
        let stages = stages.into_iter().map(str::to_owned).collect();
        Message::Turn { stages, calls, elapsed_ms: milliseconds(beginning.elapsed()), errors }
    }
}

/// The subject under a load.
struct Calls<'a> {
    subject: &'a Subject,
    prepared: &'a Prepared,
    /// What the engine says of each answer, by the index of its call.
    told: Mutex<HashMap<usize, Told>>,
}

/// What the engine says of an answer beside its stages.
#[derive(Debug, Clone, Copy)]
struct Told {
    queue: Duration,
    rows_together: Option<usize>,
}

impl Target for Calls<'_> {
    type Error = Error;

    fn call(&self, request: Request) -> Result<()> {
        let answer = self.subject.call(self.prepared, request)?;
        let told = Told { queue: answer.timings.get(Stage::Queue), rows_together: Some(answer.timings.rows_together()) };
        // Nothing is half-done while the lock is held.
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(request.index, told);
        Ok(())
    }

    fn input(&self, request: Request) -> u32 {
        self.prepared.input(request)
    }
}

impl<'a> Calls<'a> {
    fn of(subject: &'a Subject, prepared: &'a Prepared) -> Self {
        Self { subject, prepared, told: Mutex::default() }
    }

    /// Makes the calls of a load, and says how each went.
    fn message(self, run: impl FnOnce(&Self) -> crate::Result<Record>) -> Result<Message> {
        let record = run(&self).map_err(|error| Error::new(ErrorKind::InvalidOption, error.to_string()))?;
        let told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        let call = |call: &crate::load::Call| {
            let told = told.get(&call.index);
            LoadCall {
                intended: call.intended,
                start: call.start,
                end: call.end,
                input: call.input,
                is_ok: call.is_ok,
                queue: told.map(|told| told.queue),
                rows_together: told.and_then(|told| told.rows_together),
            }
        };
        Ok(Message::Load { calls: record.calls.iter().map(call).collect(), errors: record.messages })
    }
}
