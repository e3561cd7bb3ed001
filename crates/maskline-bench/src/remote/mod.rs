//! Servers under load: ours, and any that speaks the Open Inference Protocol, version 2.
//!
//! Requests are made before the calls, each caller has a connection of his own, several servers take turns, and what they say of themselves
//! is set beside what the callers see.

mod address;
mod client;
mod fresh;
mod oip;
mod requests;
mod rest;
mod rows;
mod server;
mod statistics;
mod subject;
mod target;
mod tensors;
mod turns;

use std::path::Path;
use std::time::Instant;

use maskline::{Error, ErrorKind, Image, Result};

pub use address::{Address, Key};
pub use requests::Asked;
pub use tensors::InputShape;

use crate::machine::{Watch, identify};
use crate::measure::inputs::{Inputs, io};
use crate::measure::{Given, Load, Pictures, Progress};
use crate::report::{self, EmbeddingState, Identity, Report, Run, Tool};
use fresh::Fresh;
use requests::Picture;
use rows::Rows;
use server::Server;
use subject::{Group, Subject};

/// A benchmark of servers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers; each has all of the models.
    pub servers: Vec<Address>,
    /// Their key, where they want one.
    pub key: Option<Key>,
    /// The models by name.
    pub models: Vec<String>,
    /// How they are asked; `None` for maskline's own interface where there is one.
    pub protocol: Option<Protocol>,
    /// Shapes of inputs whose sizes are free.
    pub shapes: Vec<InputShape>,
    /// The pictures, for models that take some.
    pub pictures: Pictures,
    /// What is asked about them.
    pub asked: Asked,
    /// What of it was asked for: such as no model takes is refused.
    pub given: Vec<Given>,
    /// Whether the server has the pictures ([`EmbeddingState::Hit`]), or gets another one in every call: a row for each.
    pub embeddings: Vec<EmbeddingState>,
    /// Least length of a row, in seconds.
    pub seconds: f64,
    /// The loads: a row each.
    pub loads: Vec<Load>,
    /// Seed of turns and made-up tensors.
    pub seed: u64,
    /// The command's arguments, for the report.
    pub arguments: Vec<String>,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// The Open Inference Protocol, version 2, over HTTP.
    Oip,
    /// maskline's own interface.
    Rest,
}

/// Measures what a plan says. `commit` is that of this program, where it is known.
///
/// # Errors
/// `Unavailable` for a server that is not there, not ready, or does not speak the protocol; `BadInput` for a model that it does not have;
/// `InvalidOption` for a plan that cannot be; `Failed` if no call of the whole run was answered.
pub fn run(plan: &Plan, commit: Option<&str>, tell: Progress<'_>) -> Result<Report> {
    let start = Instant::now();
    plan.check()?;
    tell("looking for servers", 0.0);
    let servers = plan.servers.iter().map(|address| Server::find(address, plan.key.as_ref())).collect::<Result<Vec<_>>>()?;
    let subjects = Subject::all(plan, &servers)?;
    let folder = tempfile::tempdir().map_err(|error| io(&std::env::temp_dir(), &error))?;
    let (inputs, pictures) = gather(plan, &subjects, folder.path())?;
    let machine = identify();
    let watch = Watch::start();
    let tool =
        Tool { version: env!("CARGO_PKG_VERSION").to_owned(), commit: commit.map(str::to_owned), onnx_runtime: "the server's".into() };
    let run = Run { arguments: plan.arguments.clone(), seed: plan.seed, seconds: 0.0 };
    let created = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let described = subjects.iter().map(|subject| subject.described.clone()).collect();
    let mut report = Report::new(Identity { created, tool, machine, run, inputs, subjects: described });
    let groups = Group::all(plan, &subjects);
    let total = (groups.len() * plan.loads.len()) as f64;
    let mut rows = Rows::default();
    for (number, group) in groups.iter().enumerate() {
        tell("preparing requests", (number * plan.loads.len()) as f64 / total);
        let targets = group.targets(plan, &pictures)?;
        for (index, load) in plan.loads.iter().enumerate() {
            let done = (number * plan.loads.len() + index) as f64;
            rows.measure(plan, *load, &targets, &|part| tell(&group.name(*load), (done + part) / total))?;
        }
    }
    rows.write(&mut report)?;
    let observed = watch.stop();
    report.identity.machine.clock_mhz = observed.clock_mhz;
    report.identity.machine.temperature_celsius = observed.temperature_celsius;
    report.identity.run.seconds = start.elapsed().as_secs_f64();
    report.notes.extend(notes(plan, &report));
    Ok(report)
}

impl Plan {
    fn check(&self) -> Result<()> {
        let invalid = |what: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(Error::new(ErrorKind::InvalidOption, what).expecting(expected).but_found(found))
        };
        let urls: Vec<&str> = self.servers.iter().map(Address::url).collect();
        if let Some(url) = twice(&urls) {
            return invalid("--url", "each server once", &format!("{url} twice"));
        }
        if let Some(name) = twice(&self.models) {
            return invalid("models", "each once", &format!("{name} twice"));
        }
        if let Some(name) = self.models.iter().find(|name| !is_name(name)) {
            return invalid("models", "names of the server's models", name);
        }
        if self.embeddings.contains(&EmbeddingState::Held) {
            let error = Error::new(ErrorKind::InvalidOption, "--embedding").expecting("hit or miss beside --url").but_found("held");
            return Err(error.with_help("a caller of a server holds no embedding: hit asks about a picture that the server has"));
        }
        if let Some(state) = twice(&self.embeddings) {
            return invalid("--embedding", "each state once", &format!("{} twice", state.name()));
        }
        if !(self.seconds.is_finite() && self.seconds > 0.0) {
            return invalid("--time", "more than 0 seconds beside --url", &self.seconds);
        }
        if self.servers.is_empty() || self.models.is_empty() || self.loads.is_empty() {
            return invalid("plan", "a server, a model and a load", &"none");
        }
        Ok(())
    }
}

/// Whether a name can stand in a path as it is.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-._+~@".contains(&letter))
}

fn twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)).map(|(_, value)| value)
}

/// The pictures, where a model takes some; else what the report says of made-up tensors.
fn gather(plan: &Plan, subjects: &[Subject<'_>], folder: &Path) -> Result<(report::Inputs, Vec<Picture>)> {
    if !subjects.iter().any(|subject| subject.metadata.takes_pictures()) {
        if plan.pictures != Pictures::Generated {
            let error = Error::new(ErrorKind::InvalidOption, "--images does not apply: no model takes pictures");
            return Err(error.with_help("leave it out: tensors are made up"));
        }
        return subject::tensors_described(plan, subjects).map(|described| (described, Vec::new()));
    }
    let inputs = Inputs::gather(&plan.pictures, folder)?;
    let read = |path: &std::path::PathBuf| -> Result<Picture> {
        let file = std::fs::read(path).map_err(|error| io(path, &error))?;
        let size = Image::open(path)?.size();
        Ok(Picture { size, fresh: Fresh::of(file.clone())?, file })
    };
    let pictures = inputs.files.iter().map(read).collect::<Result<_>>()?;
    Ok((inputs.described, pictures))
}

/// What a reader should know besides.
fn notes(plan: &Plan, report: &Report) -> Vec<String> {
    let mut notes = vec!["The machine is that of the callers: what the servers run on is theirs to tell.".to_owned()];
    if plan.servers.len() > 1 {
        let first = plan.servers[0].url();
        notes.push(format!("The servers took turns; the others are compared with {first}, and their answers were not compared."));
    }
    if report.identity.inputs.is_synthetic && report.steady.iter().any(|row| row.embedding.is_some()) {
        notes.push("Pictures are generated: give your own with --images, as sizes and contents change decoding and answers.".into());
    }
    if report.steady.iter().any(|row| row.embedding == Some(EmbeddingState::Miss)) {
        let note = "miss: every call sends a picture that the server has not seen (the same file with other steps of quantisation); files \
                    that are not JPEG are sent as JPEG.";
        notes.push(note.into());
    }
    notes
}
