//! Orders in, messages out.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use maskline::runtime::peak_rss;
use maskline::{BundleOptions, Dialect, Engine, Error, ErrorKind, LoadOptions, Provider, Result};
use serde_json::json;

use super::subject::{Answer, Prepared, Subject};
use super::{Assignment, Call, Facts, LoadCall, Message, Order, Share, Track};
use crate::load::{ClosedLoop, Limit, OpenLoop, RealClock, Record, Target, run_closed, run_open};
use crate::report::{EmbeddingState, Precision};
use crate::samples::milliseconds;

/// Runs the process of a model: see the [module](super). `began` is when the process began, `engine` loads ONNX Runtime.
///
/// # Errors
/// If the other side speaks something else or is gone; what fails about the model is a [`Message::Failed`].
pub fn serve(
    (began, input, output): (Instant, impl BufRead, impl Write),
    engine: impl Fn(&Assignment) -> Result<Engine>,
) -> std::io::Result<()> {
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
    for line in lines {
        let order: Order = parse(&line?)?;
        let message = obey((&engine, &subject, &start.assignment), order).unwrap_or_else(|error| failed(&error));
        speaker.say(&message)?;
    }
    Ok(())
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
        let subject = Subject::new(model, assigned.compute.size, assigned.pictures.clone());
        subject.check_size()?;
        let state = EmbeddingState::Held;
        let track = Track { batch: 1, asked: subject.is_promptable().then_some((assigned.first, state)) };
        let pictures = &assigned.pictures[..1.min(assigned.pictures.len())];
        if pictures.is_empty() {
            return Err(Error::new(ErrorKind::InvalidOption, "pictures: expected at least one, found none").into());
        }
        let asking = Instant::now();
        let prepared = subject.prepare_for(track, pictures)?;
        let answer = subject.call(&prepared, 0)?;
        let objects = json!(answer.objects);
        let first_answer = asking.elapsed();
        let inference = inference(&prepared, &answer, subject.is_promptable());
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
fn inference(prepared: &Prepared, answer: &Answer, is_promptable: bool) -> Duration {
    let encode = prepared.first_embedding().map_or(Duration::ZERO, |embedding| embedding.timings().image_encode);
    encode + answer.network(is_promptable)
}

fn load_options(assigned: &Assignment) -> Result<LoadOptions> {
    let compute = &assigned.compute;
    Ok(LoadOptions {
        provider: provider(&compute.provider, compute.precision)?,
        threads: compute.threads,
        warm_up: false,
        // As many as are asked for: whoever measures wants none to go.
        embedding_cache: usize::MAX / 2,
        bundle: BundleOptions { image_size: compute.size, ..BundleOptions::default() },
        delays: assigned.delays,
    })
}

/// The provider with its arithmetic. A wished precision that it does not have is an error, never another one.
fn provider(name: &str, precision: Precision) -> Result<Provider> {
    match (name.parse()?, precision) {
        (provider, Precision::F32) => Ok(provider),
        (Provider::TensorRt(options), Precision::F16) => {
            Ok(Provider::TensorRt(maskline::runtime::TensorRtOptions { fp16: true, ..options }))
        }
        (_, precision) => {
            let message = format!("precision: the {name} provider computes in f32, found {}", precision.name());
            Err(Error::new(ErrorKind::InvalidOption, message + "\n  help: f16 is there with tensorrt"))
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
        input,
        onnx_runtime: engine.library().version().to_owned(),
        provider: model.provider(),
        shares: model.provider_shares().iter().map(Share::from).collect(),
        was_cached: model.was_cached(),
        bundle: bundle.directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        parts: bundle.parts().map(|(name, file)| (name.to_owned(), file)).collect(),
        refinements: match &info.output {
            maskline::Output::Looks(head) => Some(head.refinements),
            _ => None,
        },
    }
}

fn obey((engine, subject, assigned): (&Engine, &Subject, &Assignment), order: Order) -> Result<Message> {
    match order {
        Order::Turn { track, first, seconds, calls } => {
            let prepared = subject.prepare(track)?;
            Ok(turn((subject, &prepared), first, (Duration::from_secs_f64(seconds), calls)))
        }
        Order::Answer { track, picture } => {
            let prepared = subject.prepare_for(track, &[picture])?;
            Ok(Message::Objects(json!(subject.call(&prepared, 0)?.objects)))
        }
        Order::Closed { track, callers, seconds } => {
            let prepared = subject.prepare(track)?;
            let options = ClosedLoop { concurrency: callers, limit: Limit::Time(Duration::from_secs_f64(seconds)) };
            load(run_closed(&Calls { subject, prepared: &prepared }, &RealClock::default(), &options))
        }
        Order::Open { track, arrivals, workers } => {
            let prepared = subject.prepare(track)?;
            load(run_open(&Calls { subject, prepared: &prepared }, &RealClock::default(), &OpenLoop { arrivals, workers }))
        }
        Order::Portable => {
            let options = BundleOptions { dialect: Dialect::Portable, image_size: assigned.compute.size, ..BundleOptions::default() };
            let bundle = engine.build(assigned.source.clone(), &options)?;
            let parts = bundle.parts().map(|(name, file)| (name.to_owned(), file)).collect();
            Ok(Message::Portable { parts, info: Box::new(bundle.info().clone()) })
        }
        Order::Gemm => {
            let provider = provider(&assigned.compute.provider, assigned.compute.precision)?;
            Ok(Message::Gemm(crate::machine::gemm(engine, assigned.compute.threads, &provider)?))
        }
    }
}

/// Most failed calls in a row: what always fails is told and not repeated.
const MOST_FAILURES: usize = 10;

fn turn((subject, prepared): (&Subject, &Prepared), first: usize, (time, least): (Duration, usize)) -> Message {
    let (mut calls, mut errors) = (Vec::new(), Vec::new());
    let beginning = Instant::now();
    let mut index = first;
    while (calls.len() < least.max(1) || beginning.elapsed() < time) && errors.len() < MOST_FAILURES {
        let start = Instant::now();
        match subject.call(prepared, index) {
            Ok(answer) => {
                let total = start.elapsed();
                calls.push(Call {
                    start_ms: milliseconds(start - beginning),
                    total_ms: milliseconds(total),
                    picture: prepared.picture(index),
                    stages_ms: answer.milliseconds(),
                });
            }
            Err(error) => errors.push(error.to_string()),
        }
        index += 1;
    }
    Message::Turn { stages: subject.stage_names(), calls, elapsed_ms: milliseconds(beginning.elapsed()), errors }
}

/// The subject under a load.
struct Calls<'a> {
    subject: &'a Subject,
    prepared: &'a Prepared,
}

impl Target for Calls<'_> {
    type Error = Error;

    fn call(&self, index: usize) -> Result<()> {
        self.subject.call(self.prepared, index).map(drop)
    }

    fn input(&self, index: usize) -> u32 {
        self.prepared.picture(index)
    }
}

fn load(record: crate::Result<Record>) -> Result<Message> {
    let record = record.map_err(|error| Error::new(ErrorKind::InvalidOption, error.to_string()))?;
    let call = |call: &crate::load::Call| LoadCall {
        intended: call.intended,
        start: call.start,
        end: call.end,
        picture: call.input,
        is_ok: call.is_ok,
    };
    Ok(Message::Load { calls: record.calls.iter().map(call).collect(), errors: record.messages })
}
