//! `maskline run`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::vision::decode::DecodeOptions;
use maskline::vision::draw::Marks;
use maskline::{Detections, Error, Image, InputSize, LoadOptions, Model, Object, PredictOptions};
use serde_json::{Value, json};

use crate::args::Run;
use crate::failure::{self, Failure};
use crate::outputs::{Answer, Outputs};
use crate::prompts::Prompts;
use crate::{model, pictures, prompted, terminal};

/// Runs a model on pictures. One that fails is told and passed over; the others are done.
pub(crate) fn run(arguments: &Run, matches: &ArgMatches) -> Result<(), Failure> {
    let (named, images) = pictures::split_model(&arguments.words)?;
    let sources = model::sources(&arguments.options, named.unwrap_or(DEFAULT_MODEL))?;
    let prompts = Prompts::of(matches, arguments.prompted.prompts.as_deref())?;
    let pictures = pictures::pictures(images)?;
    let mut outputs = Outputs::open(arguments, named.is_none())?;
    let engine = model::engine_for(&arguments.compute.provider, arguments.options.runtime.as_deref(), arguments.options.offline)?;
    let options = load_options(arguments, pictures.len() * arguments.repeat)?;
    let models = sources.into_iter().map(|source| Ok(engine.load(source, &options)?)).collect::<Result<Vec<Model>, Failure>>()?;
    let task = prompted::Task::of(&models, &prompts, arguments)?;
    let mut report = Report { arguments, outputs: &mut outputs, first: true, code: 0 };
    let progress = progress(pictures.len() * arguments.repeat);
    for _ in 0..arguments.repeat.max(1) {
        for together in pictures.chunks(arguments.batch.max(1)) {
            match &task {
                prompted::Task::Detect(model) => detect(&mut report, model, together)?,
                prompted::Task::Segment(segmenter) => segmenter.answer(&mut report, together)?,
                prompted::Task::Everything(everything) => everything.answer(&mut report, together)?,
            }
            progress.inc(together.len() as u64);
        }
    }
    progress.finish_and_clear();
    let code = report.code;
    outputs.finish()?;
    if named.is_none() && code == 0 && !arguments.json {
        say_of_larger_models();
    }
    match code {
        0 => Ok(()),
        code => Err(Failure::Told(code)),
    }
}

/// What runs where no model is named: the one that maskline carries.
const DEFAULT_MODEL: &str = "nano";

fn say_of_larger_models() {
    terminal::say(&format!(
        "{DEFAULT_MODEL} is the small model that maskline carries. Larger ones give better masks:\n  \
         maskline pull sam2.1-tiny, then maskline run sam2.1-tiny IMAGE …  (all of them: maskline list)"
    ));
}

/// From so many answers on, finding out the fastest way at the start pays.
const MANY: usize = 8;

fn load_options(arguments: &Run, answers: usize) -> Result<LoadOptions, Failure> {
    Ok(LoadOptions {
        provider: arguments.compute.provider.parse()?,
        threads: arguments.compute.threads,
        // The first picture warms up as well as an empty one, and is an answer.
        warm_up: answers >= MANY,
        embedding_cache: arguments.prompted.embedding_cache.saturating_mul(1 << 20),
        bundle: model::bundle_options(&arguments.options, arguments.compute.size),
        ..LoadOptions::default()
    })
}

fn progress(count: usize) -> ProgressBar {
    let visible = count > 1 && terminal::is_talking();
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {per_sec}, {eta} left");
    ProgressBar::with_draw_target(Some(count as u64), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Finds objects by themselves: detectors and classifiers.
fn detect(report: &mut Report<'_>, model: &Model, paths: &[PathBuf]) -> Result<(), Failure> {
    let opened: Vec<Result<Image, Error>> = paths.iter().map(|path| report.open(path)).collect();
    let images: Vec<&Image> = opened.iter().filter_map(|image| image.as_ref().ok()).collect();
    // What is wrong with the options or the network is wrong for every picture: it ends the command.
    let mut answers = model.predict_batch(&images, &predict_options(report.arguments))?.into_iter();
    for (path, image) in paths.iter().zip(&opened) {
        match image {
            Err(error) => report.fail(path, error)?,
            Ok(image) => {
                if let Some(answer) = answers.next() {
                    detected(report, model, (path, image, &answer))?;
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn predict_options(arguments: &Run) -> PredictOptions {
    let size = match (arguments.compute.size, arguments.rect) {
        (Some(0), _) => InputSize::Square(0),
        (size, true) => InputSize::Rect(size.unwrap_or(0)),
        (Some(size), false) => InputSize::Square(size),
        (None, false) => InputSize::Default,
    };
    PredictOptions {
        size,
        conf: arguments.conf,
        iou: arguments.iou,
        max_detections: arguments.max_detections,
        agnostic_nms: arguments.agnostic_nms,
        classes: arguments.classes.clone(),
        batch: arguments.batch,
        ..PredictOptions::default()
    }
}

fn detected(report: &mut Report<'_>, model: &Model, (path, image, answer): (&Path, &Image, &Detections)) -> Result<(), Failure> {
    let found = match &answer.classes {
        Some(classes) => ("classes", json!(classes)),
        None => ("objects", json!(answer.objects)),
    };
    let written = Answer { objects: &answer.objects, classes: answer.classes.as_deref(), marks: Marks::default() };
    let is_first = report.succeed((path, image), (&[model], found, json!(answer.timings)), &written)?;
    if report.arguments.json {
        return Ok(());
    }
    let mut text = format!("{}  {} × {}\n", path.display(), answer.size.0, answer.size.1);
    if let Some(classes) = &answer.classes {
        let mut table = terminal::table(&["class", "score"]);
        for class in classes {
            table.add_row([class.label.clone().unwrap_or_else(|| format!("#{}", class.class_id)), format!("{:.3}", class.score)]);
        }
        text += &format!("{table}\n");
    } else if answer.objects.is_empty() {
        text += &format!("nothing above {}\n", report.arguments.conf);
    } else {
        text += &object_table(&answer.objects);
    }
    let timings = answer.timings;
    let parts: Vec<String> = timings.stages().iter().map(|(name, time)| format!("{name} {}", milliseconds(*time))).collect();
    text += &format!("{} = {} ms\n", parts.join(" + "), milliseconds(timings.total()));
    if is_first {
        say_loaded(model);
    }
    terminal::print(&text)
}

/// Name, score and box of each object, and the area where it has a mask.
pub(crate) fn object_table(objects: &[Object]) -> String {
    let has_masks = objects.iter().any(|object| object.mask.is_some());
    let has_prompts = objects.iter().any(|object| object.prompt.is_some());
    let mut titles = vec!["label", "score", "x1", "y1", "x2", "y2"];
    if has_prompts {
        titles.insert(0, "prompt");
    }
    if has_masks {
        titles.push("pixels");
    }
    let mut table = terminal::table(&titles);
    for object in objects {
        let label = object.label.clone().or(object.class_id.map(|id| format!("#{id}"))).unwrap_or_default();
        let mut row = vec![label, format!("{:.3}", object.score)];
        row.extend(object.bounds.map(|side| format!("{side:.1}")));
        if has_prompts {
            row.insert(0, object.prompt.map(|prompt| prompt.to_string()).unwrap_or_default());
        }
        if has_masks {
            row.push(object.mask.as_ref().map(|mask| mask.area().to_string()).unwrap_or_default());
        }
        table.add_row(row);
    }
    format!("{table}\n")
}

pub(crate) fn milliseconds(time: std::time::Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// Says what loading a model took.
pub(crate) fn say_loaded(model: &Model) {
    let start = if model.was_cached() { "from the cache" } else { "built now" };
    terminal::say(&format!(
        "loaded {} ({}, {}) on {} in {} ms, {start}",
        model.name(),
        model.info().architecture,
        model.info().task,
        model.provider(),
        milliseconds(model.cold().total),
    ));
}

/// What is said and written of the answers.
pub(crate) struct Report<'a> {
    pub(crate) arguments: &'a Run,
    outputs: &'a mut Outputs,
    /// Whether the next answer is the first, which carries the cold figures.
    first: bool,
    /// Exit code: that of the first failure.
    code: u8,
}

impl Report<'_> {
    pub(crate) fn open(&self, path: &Path) -> Result<Image, Error> {
        Image::open_with(path, &DecodeOptions { max_pixels: self.arguments.max_pixels, ..DecodeOptions::default() })
    }

    /// A picture that could not be answered.
    pub(crate) fn fail(&mut self, path: &Path, error: &Error) -> Result<(), Failure> {
        self.complain(path, error);
        let line = json!({"image": path, "error": {"kind": failure::word(error.kind()), "message": error.to_string()}});
        self.outputs.line(&line)?;
        if self.arguments.json { terminal::print(&format!("{line}\n")) } else { Ok(()) }
    }

    /// Tells an error about a picture, and remembers the exit code.
    pub(crate) fn complain(&mut self, path: &Path, error: &Error) {
        if self.code == 0 {
            self.code = failure::code(error.kind());
        }
        let message = error.to_string();
        // The engine names the file where it knows it; the line must name it in any case.
        let named = message.contains(&path.display().to_string());
        terminal::complain(&if named { message } else { format!("{}: {message}", path.display()) });
    }

    /// Writes an answer and prints its JSON where that is wished; whether it was the first one.
    pub(crate) fn succeed(
        &mut self,
        (path, image): (&Path, &Image),
        (models, found, timings): (&[&Model], (&str, Value), Value),
        written: &Answer<'_>,
    ) -> Result<bool, Failure> {
        let (width, height) = image.size();
        let joined = |part: fn(&Model) -> String| models.iter().map(|model| part(model)).collect::<Vec<_>>();
        let mut providers = joined(Model::provider);
        providers.dedup();
        let mut line = json!({
            "image": path, "width": width, "height": height,
            "model": joined(|model| model.name().to_string()).join("+"), "provider": providers.join("+"),
            "start": if models.iter().all(|model| model.was_cached()) { "warm" } else { "cold" },
        });
        line[found.0] = found.1;
        line["timings_ms"] = timings;
        let is_first = std::mem::take(&mut self.first);
        if let (true, Some(model)) = (is_first, models.last()) {
            line["cold_ms"] = json!(model.cold());
        }
        self.outputs.write(path, image, written)?;
        self.outputs.line(&line)?;
        if self.arguments.json {
            terminal::print(&format!("{line}\n"))?;
        }
        Ok(is_first)
    }
}
