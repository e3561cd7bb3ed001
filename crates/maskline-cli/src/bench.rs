//! `maskline bench`.

mod arguments;
mod compare;
mod progress;
mod remote;
mod track;

use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clap::ArgMatches;
use maskline::runtime::home_dir;
use maskline::{Engine, Error, ErrorKind, ModelSource, Numbers};
use maskline_bench::load;
use maskline_bench::measure::{self, Absent, Against, Check, Cold, Given, Launcher, Load, Pictures, Plan, Providers, Sweep};
use maskline_bench::peers::EnvironmentOptions;
use maskline_bench::report::{EmbeddingState, Precision, PromptKind, Prompts, Report, TextKind, TextState, Texts};
use maskline_bench::worker::{Compute, Place, Process, serve, try_provider};
use maskline_bench::write;

use arguments::{Action, Arrivals, Cache, Embedding, Format, TextCache};
pub(crate) use arguments::{Bench, WorkerOptions};
use progress::Talk;

use crate::failure::Failure;
use crate::output::Reports;
use crate::{model, pictures, terminal};

/// Hidden name of the command that is a process with a model.
pub(crate) const WORKER: &str = "bench-worker";

/// Measures, and says what was found.
pub(crate) fn bench(arguments: &Bench, matches: &ArgMatches) -> Result<(), Failure> {
    match &arguments.action {
        Some(Action::Compare(compare)) => compare::compare(compare),
        Some(Action::Track(arguments)) => track::track(arguments),
        None if arguments.self_test => self_test(arguments),
        None if arguments.remote.url.is_empty() => {
            let launcher = launcher()?;
            let plan = plan(arguments, &launcher)?;
            reported(arguments, |tell| measure::run(&plan, &launcher, COMMIT, tell))
        }
        None => {
            let plan = remote::plan(arguments, matches)?;
            reported(arguments, |tell| maskline_bench::remote::run(&plan, COMMIT, tell))
        }
    }
}

/// That of this program, where it is known.
const COMMIT: Option<&str> = option_env!("MASKLINE_COMMIT");

/// Measures, prints what was found and writes it where it was asked for.
fn reported(arguments: &Bench, run: impl FnOnce(measure::Progress<'_>) -> maskline::Result<Report>) -> Result<(), Failure> {
    // Nothing is measured for nothing.
    let reports = arguments.results.output.as_deref().map(|folder| open_reports(folder, "report", arguments.results.overwrite));
    let reports = reports.transpose()?;
    let talk = Talk::new();
    let report = run(&|what, done| talk.tell(what, done));
    drop(talk);
    let report = report?;
    if let (Some(mut reports), Some(folder)) = (reports, &arguments.results.output) {
        for format in FORMATS {
            reports.write(&format!("report.{}", format.extension()), write::render(&report, format)?.as_bytes())?;
        }
        terminal::say(&format!("written: {}", folder.join("report.{md,csv,json,html}").display()));
    }
    terminal::print(&rendered(&report, arguments.results.format)?)?;
    let is_failed = report.steady.iter().any(|row| row.parity.as_ref().is_some_and(|parity| !parity.is_equal()));
    if is_failed { Err(Failure::Told(1)) } else { Ok(()) }
}

/// The forms of a report that a folder gets.
const FORMATS: [write::Format; 4] = [write::Format::Markdown, write::Format::Csv, write::Format::Json, write::Format::Html];

/// The folder for a report of this name in every form.
fn open_reports(folder: &Path, name: &str, overwrite: bool) -> Result<Reports, Failure> {
    let names = FORMATS.map(|format| format!("{name}.{}", format.extension()));
    Reports::open(folder, &names.each_ref().map(String::as_str), overwrite)
}

fn rendered(report: &Report, format: Format) -> Result<String, Failure> {
    Ok(match format {
        Format::Text => write::text(report, terminal::width()),
        Format::Md => write::render(report, write::Format::Markdown)?,
        Format::Csv => write::render(report, write::Format::Csv)?,
        Format::Json => write::render(report, write::Format::Json)?,
        Format::Html => write::render(report, write::Format::Html)?,
    })
}

/// This program once more, as a process with a model.
fn launcher() -> Result<Launcher, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(ErrorKind::Failed, format!("cannot find this program to start it again: {error}")))?;
    Ok(Launcher { program, arguments: vec![WORKER.to_owned()] })
}

fn plan(arguments: &Bench, launcher: &Launcher) -> Result<Plan, Failure> {
    let Bench { models, options, setting, calls, .. } = arguments;
    let models = models.iter().map(|name| Ok((name_of(name), source(options, name)?))).collect::<Result<Vec<_>, Failure>>()?;
    let is_twice = |(index, (name, _)): &(usize, &(String, ModelSource))| models[..*index].iter().any(|(other, _)| other == name);
    if let Some((_, (name, _))) = models.iter().enumerate().find(is_twice) {
        return Err(Failure::new(ErrorKind::InvalidOption, format!("models: {name} is there twice")));
    }
    let files = if setting.images.is_empty() { Pictures::Generated } else { Pictures::Files(pictures::all_there(&setting.images)?) };
    let threads = match model::threads(setting.threads) {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    let precision = numbers(options.precision, &setting.gpu.provider(&setting.provider)?);
    let has = |cache| calls.cache.contains(&cache);
    let Swept { sweeps, absent } = swept(arguments, launcher)?;
    Ok(Plan {
        models,
        setting: measure::Setting {
            compute: Compute {
                provider: setting.provider.clone(),
                gpu: setting.gpu.options(),
                precision,
                threads,
                size: setting.size,
                decoder: options.decoder,
                kernels: options.kernels,
                head: options.head,
            },
            batch: setting.batch.unwrap_or(1),
            prompts: Prompts { kind: setting.kind.unwrap_or(PromptKind::Click), count: setting.prompts.unwrap_or(1) },
            texts: texts(setting),
        },
        given: given(arguments),
        sweeps,
        absent,
        limit: setting.limit,
        pictures: files,
        embeddings: embeddings(calls),
        texts: text_states(calls),
        phrases: setting.text.clone(),
        cold: Cold { runs: calls.cold, empty: has(Cache::Empty), present: has(Cache::Present) },
        seconds: calls.time,
        loads: loads(calls),
        against: against(calls, options.offline),
        ceilings: !calls.no_ceiling,
        seed: calls.run_seed,
        place: place(options),
        arguments: std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
    })
}

/// What is swept on this machine.
struct Swept {
    sweeps: Vec<Sweep>,
    absent: Vec<Absent>,
}

/// What is to be swept, with the providers that are here where that is said; those that are not are told.
fn swept(arguments: &Bench, launcher: &Launcher) -> Result<Swept, Failure> {
    let asked = &arguments.setting.sweep;
    if !asked.iter().any(Sweep::is_every_provider) {
        return Ok(Swept { sweeps: asked.clone(), absent: Vec::new() });
    }
    let Providers { here, absent } = Providers::find(launcher, arguments.options.runtime.as_deref());
    absent.iter().for_each(|absent| terminal::say(&absent.to_string()));
    if here.is_empty() {
        let error = Error::new(ErrorKind::Unavailable, "--sweep provider=all: no provider is here");
        return Err(error.with_help("maskline runtime install cpu").into());
    }
    let sweep = |sweep: &Sweep| if sweep.is_every_provider() { Sweep::Provider(here.clone()) } else { sweep.clone() };
    Ok(Swept { sweeps: asked.iter().map(sweep).collect(), absent })
}

/// What is measured where nothing is swept. With `auto`, a sweep over providers has the numbers of the one that is named.
fn numbers(wished: maskline::Precision, provider: &maskline::Provider) -> Precision {
    match wished.on(provider) {
        Numbers::F32 => Precision::F32,
        Numbers::F16Weights | Numbers::F16 => Precision::F16,
        Numbers::F16Emulated => Precision::F16Emulated,
        Numbers::Int8 | Numbers::Observed => Precision::Int8,
    }
}

fn place(options: &crate::args::ModelOptions) -> Place {
    Place { runtime: options.runtime.clone(), bundles: None, offline: options.offline }
}

/// What rows call a model: its file's stem, or its name.
fn name_of(word: &str) -> String {
    let path = Path::new(word);
    if path.exists() { ModelSource::of_path(path).name() } else { word.to_owned() }
}

fn source(options: &crate::args::ModelOptions, name: &str) -> Result<ModelSource, Failure> {
    let mut sources = model::sources(options, name.as_ref())?;
    match (sources.pop(), sources.is_empty()) {
        (Some(source), true) => Ok(source),
        _ => {
            let error = Error::new(ErrorKind::InvalidOption, name).expecting("one model").but_found("several");
            Err(error.with_help("name them with commas").into())
        }
    }
}

/// What stands on the command line of that which not every model takes.
fn given(arguments: &Bench) -> Vec<Given> {
    let Bench { setting, calls, .. } = arguments;
    let all = [
        (setting.prompts.is_some(), Given::Prompts),
        (setting.kind.is_some(), Given::Kind),
        (!calls.embedding.is_empty(), Given::Embedding),
        (setting.batch.is_some(), Given::Batch),
        (!setting.text.is_empty(), Given::Text),
        (setting.phrases.is_some(), Given::Phrases),
        (!calls.text_cache.is_empty(), Given::TextCache),
    ];
    all.into_iter().filter_map(|(is_given, option)| is_given.then_some(option)).collect()
}

fn embeddings(calls: &arguments::Calls) -> Vec<EmbeddingState> {
    let state = |state: &Embedding| match state {
        Embedding::Miss => EmbeddingState::Miss,
        Embedding::Hit => EmbeddingState::Hit,
        Embedding::Held => EmbeddingState::Held,
    };
    if calls.embedding.is_empty() { vec![EmbeddingState::Miss, EmbeddingState::Hit] } else { calls.embedding.iter().map(state).collect() }
}

/// What pictures are searched for.
fn texts(setting: &arguments::Setting) -> Texts {
    match setting.text.len() {
        0 => Texts { kind: setting.phrases.unwrap_or(TextKind::Words), count: 1 },
        count => Texts { kind: TextKind::Given, count },
    }
}

fn text_states(calls: &arguments::Calls) -> Vec<TextState> {
    let state = |state: &TextCache| match state {
        TextCache::Hit => TextState::Hit,
        TextCache::Miss => TextState::Miss,
    };
    if calls.text_cache.is_empty() { vec![TextState::Hit] } else { calls.text_cache.iter().map(state).collect() }
}

fn loads(calls: &arguments::Calls) -> Vec<Load> {
    let arrivals = match calls.arrivals {
        Arrivals::Poisson => load::Arrivals::Poisson { seed: calls.run_seed },
        Arrivals::Constant => load::Arrivals::Constant,
    };
    let closed = calls.concurrency.iter().map(|callers| Load::Closed { callers: *callers });
    closed.chain(calls.rate.iter().map(|rate| Load::Open { rate: *rate, arrivals })).collect()
}

/// Where other programs run: in the Python that is named, or in one that is made.
fn environment(python: Option<std::path::PathBuf>, offline: bool) -> EnvironmentOptions {
    EnvironmentOptions {
        offline,
        python,
        maker: std::env::var_os("MASKLINE_PYTHON").map(Into::into),
        progress: Some(Arc::new(terminal::say)),
        ..EnvironmentOptions::new(home_dir().join("peers"))
    }
}

fn against(calls: &arguments::Calls, offline: bool) -> Option<Against> {
    let environment = environment(calls.peer_python.clone(), offline);
    (!calls.against.is_empty()).then(|| Against { programs: calls.against.clone(), environment })
}

fn self_test(arguments: &Bench) -> Result<(), Failure> {
    let talk = Talk::new();
    let checks = measure::self_test(&place(&arguments.options), &launcher()?, &|what, done| talk.tell(what, done));
    drop(talk);
    let checks = checks?;
    let mut text = String::new();
    for Check { name, expected, found, is_passed } in &checks {
        let word = if *is_passed { "ok    " } else { "FAILED" };
        text += &format!("{word} {name}\n         expected {expected}\n         found    {found}\n");
    }
    terminal::print(&text)?;
    if checks.iter().all(|check| check.is_passed) { Ok(()) } else { Err(Failure::Told(1)) }
}

/// A process with a model; `began` is when it began.
pub(crate) fn worker(began: Instant, options: &WorkerOptions) -> Result<(), Failure> {
    let result = match &options.trial {
        Some(provider) => {
            let engine =
                || model::Runtime { provider, path: options.runtime.as_deref(), offline: true, ..model::Runtime::default() }.engine();
            try_provider(std::io::stdout().lock(), provider, engine)
        }
        None => {
            let (input, output) = (BufReader::new(std::io::stdin().lock()), std::io::stdout().lock());
            serve(Process { began, input, output }, engine)
        }
    };
    result.map_err(|error| Failure::new(ErrorKind::Failed, format!("{WORKER}: {error}")))
}

/// ONNX Runtime, as a process is told to have it.
fn engine(assignment: &maskline_bench::worker::Assignment) -> Result<Engine, Error> {
    let Place { runtime, bundles, offline } = &assignment.place;
    let Compute { provider, threads, .. } = &assignment.compute;
    let (path, offline, threads, bundles) = (runtime.as_deref(), *offline, *threads, bundles.as_deref());
    model::Runtime { provider, path, offline, threads, bundles }.engine()
}
