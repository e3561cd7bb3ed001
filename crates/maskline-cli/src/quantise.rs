//! `maskline quantise`: a model on integers, from the user's own pictures, if it is worth it and good enough.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use maskline::{
    Calibrating, Calibration, CalibrationOptions, Engine, Error, ErrorKind, Image, LoadOptions, Model, ModelSource, Numbers, Precision,
};
use maskline_eval::{Said, agreement, ask};
use serde_json::json;

use crate::args::{self, Compute};
use crate::failure::Failure;
use crate::{model, pictures, terminal};

/// Every so manieth picture is not calibrated with, but judged by.
const HELD_OUT: usize = 4;

/// Which model, on which pictures, and what is good enough.
#[derive(Debug, Args)]
pub(crate) struct Quantise {
    #[command(flatten)]
    pub(crate) model: args::Model,
    /// Pictures like those that the model will see, some dozens: files, folders, patterns in quotes, or @FILE with one a line.
    #[arg(required = true, value_name = "PICTURES")]
    pub(crate) images: Vec<OsString>,
    /// Least agreement with f32 on the pictures that are held out, 0 to 1: mean IoU of masks, or the share of objects that both find.
    #[arg(long, default_value_t = 0.9, value_name = "SHARE")]
    pub(crate) limit: f64,
    /// Share of a tensor's numbers that its steps reach; 1 for all.
    #[arg(long, default_value_t = 0.9999, value_name = "SHARE")]
    pub(crate) kept: f64,
    /// Keep it also where it is no faster than f32 here: for trying, and for the weights, which take a quarter.
    #[arg(long)]
    pub(crate) anyway: bool,
    #[command(flatten)]
    pub(crate) compute: Compute,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a form of the model did on the pictures that were held out.
struct Tried {
    said: Vec<Said>,
    /// Median of the time per picture.
    time: Duration,
    /// Bytes of the weights.
    weights: u64,
}

pub(crate) fn quantise(arguments: &Quantise) -> Result<(), Failure> {
    check(arguments)?;
    let source = model::source(&arguments.model.options, &arguments.model.model)?;
    let (seen, held_out) = pictures_of(arguments)?;
    let engine = engine(arguments)?;
    let options = load_options(arguments)?;
    let plain = tried(&engine.load(source.clone(), &options)?, &held_out)?;
    terminal::say(&format!("looking at {} pictures, {} held out", seen.len(), held_out.len()));
    let calibration = calibrated(&engine, &source, &Looking { options: &options, pictures: &seen, kept: arguments.kept })?;
    let integers = integers(&options, &calibration);
    let quantised = tried(&engine.load(source.clone(), &integers)?, &held_out)?;
    let found = plain.said.iter().zip(&quantised.said).map(|(a, b)| agreement(a, b)).collect::<Result<Vec<_>, _>>()?;
    let found: Vec<f64> = found.into_iter().flatten().collect();
    if found.is_empty() {
        let error = Error::new(ErrorKind::BadInput, "int8: the model finds nothing on any of the pictures that were held out");
        return Err(error.with_help("give pictures that show what it looks for").into());
    }
    let agreed = found.iter().sum::<f64>() / found.len() as f64;
    let path = engine.calibration_file(&source, &options)?;
    let ratio = quantised.time.as_secs_f64() / plain.time.as_secs_f64().max(f64::MIN_POSITIVE);
    let is_slower = ratio >= 1.0;
    report(arguments, &Outcome { plain, quantised, agreed, pictures: found.len(), path: &path })?;
    if agreed < arguments.limit {
        let message = format!("int8: agrees with f32 to {agreed:.3}, the limit is {}; nothing was kept", arguments.limit);
        let help = "more pictures, more like those that it will see, or another --kept; --limit takes less";
        return Err(Error::new(ErrorKind::Failed, message).with_help(help).into());
    }
    if is_slower && !arguments.anyway {
        let message = format!("int8: no faster than f32 on this machine ({ratio:.2} of its time); nothing was kept");
        return Err(Error::new(ErrorKind::Failed, message).with_help("leave it at f32; --anyway keeps it nevertheless").into());
    }
    calibration.write(&path)?;
    terminal::say("kept: run it with --precision int8");
    Ok(())
}

fn check(arguments: &Quantise) -> Result<(), Error> {
    for (name, share) in [("limit", arguments.limit), ("kept", arguments.kept)] {
        if !(share > 0.0 && share <= 1.0) {
            return Err(Error::new(ErrorKind::InvalidOption, name).expecting("a share above 0, up to 1").but_found(share));
        }
    }
    let precision = arguments.model.options.precision;
    if ![Precision::Auto, Precision::Int8].contains(&precision) {
        return Err(Error::new(ErrorKind::InvalidOption, "precision").expecting("int8, which this makes").but_found(precision));
    }
    Ok(())
}

/// Those that are calibrated with, and those that are judged by.
fn pictures_of(arguments: &Quantise) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Failure> {
    let paths = pictures::all_there(&arguments.images)?;
    if paths.len() < 2 {
        let error = Error::new(ErrorKind::BadInput, "pictures").expecting("two or more, of which some are held out").but_found(paths.len());
        return Err(error.into());
    }
    let is_held_out = |at: usize| at % HELD_OUT == HELD_OUT - 1 || (paths.len() < HELD_OUT && at + 1 == paths.len());
    let (held_out, seen): (Vec<_>, Vec<_>) = paths.iter().cloned().enumerate().partition(|(at, _)| is_held_out(*at));
    let path = |(_, path): (usize, PathBuf)| path;
    Ok((seen.into_iter().map(path).collect(), held_out.into_iter().map(path).collect()))
}

fn engine(arguments: &Quantise) -> Result<Engine, Error> {
    let options = &arguments.model.options;
    let runtime = model::Runtime {
        provider: &arguments.compute.provider,
        path: options.runtime.as_deref(),
        offline: options.offline,
        threads: model::threads(arguments.compute.threads),
        bundles: None,
    };
    runtime.engine()
}

/// In f32; every picture is encoded anew.
fn load_options(arguments: &Quantise) -> Result<LoadOptions, Failure> {
    let mut bundle = model::bundle_options(&arguments.model.options, arguments.compute.size)?;
    bundle.numbers = Some(Numbers::F32);
    Ok(LoadOptions { provider: arguments.compute.provider()?, embedding_cache: 0, bundle, ..LoadOptions::default() })
}

/// The same on integers.
fn integers(options: &LoadOptions, calibration: &Calibration) -> LoadOptions {
    let mut options = options.clone();
    options.bundle.numbers = Some(Numbers::Int8);
    options.bundle.calibration = Some(Arc::new(calibration.clone()));
    options
}

/// What is looked at.
struct Looking<'a> {
    options: &'a LoadOptions,
    pictures: &'a [PathBuf],
    kept: f64,
}

fn calibrated(engine: &Engine, source: &ModelSource, looking: &Looking<'_>) -> Result<Calibration, Error> {
    let calibrating = Calibrating { load: looking.options, options: CalibrationOptions { kept: looking.kept } };
    engine.calibrate(source, &calibrating, &mut |model| {
        looking.pictures.iter().try_for_each(|path| ask(model, &Image::open(path)?).map(drop))
    })
}

fn tried(model: &Model, pictures: &[PathBuf]) -> Result<Tried, Error> {
    let mut times = Vec::new();
    let mut said = Vec::new();
    for path in pictures {
        let image = Image::open(path)?;
        let start = Instant::now();
        said.push(ask(model, &image)?);
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let weights = model.bundle().parts().filter_map(|(part, _)| model.bundle().weights_bytes(part)).sum();
    Ok(Tried { said, time: times[times.len() / 2], weights })
}

/// What came of it.
struct Outcome<'a> {
    plain: Tried,
    quantised: Tried,
    agreed: f64,
    /// Pictures on which anything was found.
    pictures: usize,
    path: &'a Path,
}

fn report(arguments: &Quantise, outcome: &Outcome<'_>) -> Result<(), Failure> {
    let Outcome { plain, quantised, agreed, pictures, path } = outcome;
    let milliseconds = |tried: &Tried| tried.time.as_secs_f64() * 1e3;
    let megabytes = |tried: &Tried| tried.weights as f64 / 1e6;
    if arguments.json {
        let row = |tried: &Tried| json!({"ms": milliseconds(tried), "weights_mb": megabytes(tried)});
        let line = json!({
            "f32": row(plain), "int8": row(quantised), "agreement": agreed, "pictures": pictures, "limit": arguments.limit,
            "calibration": path.to_string_lossy(),
        });
        return terminal::print(&format!("{line}\n"));
    }
    let mut table = terminal::table(&["numbers", "ms a picture", "weights MB", "agreement"]);
    let row = |name: &str, tried: &Tried, agreed: f64| {
        [name.into(), format!("{:.1}", milliseconds(tried)), format!("{:.1}", megabytes(tried)), format!("{agreed:.3}")]
    };
    table.add_row(row("f32", plain, 1.0));
    table.add_row(row("int8", quantised, *agreed));
    terminal::print(&format!("{table}\n"))
}
