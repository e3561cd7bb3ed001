//! The measuring itself: from a [`Plan`] to a [`Report`].
//!
//! Every model with its provider, precision, threads and size runs in a [process](crate::worker) of its own, and so does every cold start.
//! Processes are started one after another, their answers compared, cold starts made while they sleep; then all rows take turns.

pub(crate) mod against;
mod assemble;
mod cold;
mod efforts;
pub(crate) mod inputs;
pub(crate) mod lanes;
mod loads;
mod networks;
mod parity;
mod plan;
mod process;
mod providers;
mod self_test;
mod subjects;

use std::cell::RefCell;
use std::path::Path;
use std::time::Instant;

use maskline::{Error, ErrorKind, Result};

pub use plan::{Against, Cold, Given, Load, Pictures, Plan, Setting, Sweep};
pub(crate) use plan::{Takes, refuse_given};
pub use process::{Launcher, Started, Watched, Worker};
pub use providers::{Absent, Providers};
pub use self_test::{Check, self_test};

use crate::machine::{CardWatch, Watch, identify};
use crate::report::{Card, Identity, Report, Run, Tool};
use crate::worker::{Assignment, Wording};
use assemble::Entrants;
use inputs::Inputs;
use plan::Process;
use subjects::Subjects;

/// What hears how far a run is: what is being done, and how much of it is, from 0 to 1.
pub type Progress<'a> = &'a dyn Fn(&str, f64);

/// Measures what a plan says. `commit` is that of this program, where it is known.
///
/// # Errors
/// For a plan that cannot be, pictures that cannot be read, and models that do not load or answer.
pub fn run(plan: &Plan, launcher: &Launcher, commit: Option<&str>, tell: Progress<'_>) -> Result<Report> {
    let start = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| inputs::io(&std::env::temp_dir(), &error))?;
    let processes = plan.processes()?;
    let inputs = Inputs::gather(&plan.pictures, folder.path())?;
    let machine = identify();
    let watch = Watch::start();
    let is_on_card = processes.iter().any(Process::is_on_card);
    let cards = if is_on_card { CardWatch::start() } else { None };
    let room = Room { plan, launcher, inputs: &inputs, folder: folder.path(), cards, tell };
    let running = room.start(processes)?;
    let mut subjects = Subjects::of(plan, &running)?;
    let efforts = room.efforts(&running);
    subjects.all.iter_mut().for_each(|one| one.subject.effort.clone_from(&efforts[one.process]));
    let tool = Tool { version: env!("CARGO_PKG_VERSION").to_owned(), commit: commit.map(str::to_owned), onnx_runtime: versions(&running) };
    let run = Run { arguments: plan.arguments.clone(), seed: plan.seed, seconds: 0.0 };
    let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let identity = Identity { created, tool, machine, run, inputs: inputs.described.clone(), subjects: subjects.described() };
    let mut report = Report::new(identity);
    // What another program cannot run is better known before an hour of measuring than after.
    let opponents = room.opponents(&running, &subjects)?;
    report.cold = room.cold(&running, &subjects)?;
    let limits = room.limits(&running, &mut report)?;
    let parities = room.parities(&running, &subjects)?;
    room.cards.iter().filter(|_| plan.seconds > 0.0).for_each(CardWatch::begin);
    room.steady(&Entrants { running: &running, subjects: &subjects, parities: &parities, opponents: &opponents }, &mut report)?;
    report.identity.machine.cards = room.cards(&running);
    room.loads(&running, &subjects, &mut report)?;
    room.ceilings(&running, &subjects, &limits, &mut report)?;
    report.sweeps = subjects.sweeps(&report.steady);
    let observed = watch.stop();
    report.identity.machine.clock_mhz = observed.clock_mhz;
    report.identity.machine.throttles = observed.throttles;
    report.identity.machine.temperature_celsius = observed.temperature_celsius;
    report.identity.run.seconds = start.elapsed().as_secs_f64();
    report.notes.extend(notes(plan, &report));
    Ok(report)
}

/// Versions of ONNX Runtime, as each process has its own library.
fn versions(running: &[Running]) -> String {
    let mut versions: Vec<&str> = running.iter().map(|one| one.started.facts.onnx_runtime.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    versions.join(", ")
}

/// A process that waits for orders.
struct Running {
    process: Process,
    worker: RefCell<Worker>,
    started: Started,
}

/// What all parts of a run need.
struct Room<'a> {
    plan: &'a Plan,
    launcher: &'a Launcher,
    inputs: &'a Inputs,
    /// For what is gone when the run is over.
    folder: &'a Path,
    /// Where something computes on a card whose driver tells of it.
    cards: Option<CardWatch>,
    tell: Progress<'a>,
}

impl Room<'_> {
    fn assignment(&self, process: &Process) -> Assignment {
        Assignment {
            source: self.plan.models[process.model].1.clone(),
            compute: process.compute.clone(),
            place: self.plan.place.clone(),
            pictures: self.inputs.files.clone(),
            first: self.plan.setting.prompts,
            wording: Wording {
                first: Some(self.plan.setting.texts),
                given: self.plan.phrases.clone(),
                is_by_prompts: self.plan.is_by_prompts(),
            },
            delays: maskline::Delays::default(),
        }
    }

    /// Starts a process; what it held of a card until then is seen while it still runs.
    fn started(&self, assignment: &Assignment) -> Result<(Worker, Started)> {
        let (worker, started) = Worker::start(self.launcher, assignment)?;
        let device_memory_bytes = self.device_memory_of(&worker);
        Ok((worker, Started { device_memory_bytes, ..started }))
    }

    /// The most memory that a process held of a card so far.
    fn device_memory_of(&self, worker: &Worker) -> Option<u64> {
        self.cards.as_ref()?.most_memory_of(worker.id())
    }

    /// What the steady calls did to the cards that compute.
    fn cards(&self, running: &[Running]) -> Vec<Card> {
        let processes: Vec<u32> = running.iter().map(|one| one.worker.borrow().id()).collect();
        self.cards.as_ref().map(|cards| cards.end(&processes)).unwrap_or_default()
    }

    /// Starts a process for each; what they build and fetch is there from then on.
    fn start(&self, processes: Vec<Process>) -> Result<Vec<Running>> {
        let mut running = Vec::new();
        let count = processes.len() as f64;
        for process in processes {
            (self.tell)(&format!("loading {}", self.plan.models[process.model].0), running.len() as f64 / count);
            let (worker, started) = self.started(&self.assignment(&process))?;
            let asked = &process.compute.provider;
            if !started.facts.provider.split('+').any(|actual| actual == asked) {
                // The session refuses this already; a benchmark that believed it would be the worst place for a mistake.
                let message = format!("{asked} was asked for, but {} runs the network", started.facts.provider);
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            running.push(Running { process, worker: RefCell::new(worker), started });
        }
        Ok(running)
    }
}

/// What a reader should know besides.
fn notes(plan: &Plan, report: &Report) -> Vec<String> {
    let mut notes: Vec<String> = plan.absent.iter().map(Absent::to_string).collect();
    if report.identity.subjects.iter().any(|subject| subject.model.generated_from_seed.is_some()) {
        notes.push("Weights are generated: speed and memory are those of the real model, answers mean nothing.".to_owned());
    }
    let is_made_up = |subject: &crate::report::Subject| {
        subject.model.generated_from_seed.is_some() && subject.prompts.is_none() && subject.texts.is_none()
    };
    if report.identity.subjects.iter().any(is_made_up) {
        let note = "With generated weights a detector sees objects everywhere: post-processing takes longer than in earnest, and the more so the \
                    slower a program is at it. Compare programs with real weights.";
        notes.push(note.to_owned());
    }
    if report.identity.inputs.is_synthetic {
        notes
            .push("Pictures are generated: give your own with --images, as sizes and contents change decoding and post-processing.".into());
    }
    if plan.cold.runs > 0 && plan.cold.runs < 11 {
        notes.push(format!("{} cold starts have no median: eleven are needed.", plan.cold.runs));
    }
    notes
}
