//! `maskline eval`: how good a model is on a data set.

mod arguments;
mod table;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::{Error, ErrorKind, InputSize, Kernels, LoadOptions, Model, ModelInfo, PredictOptions, WordOptions};
use maskline_eval::{
    DetectionReport, DetectorOptions, Judged, PromptableOptions, Truth, detections, detector, finder, promptable, read_predictions,
};
use serde_json::{Map, Value, json};

pub(crate) use arguments::Eval;

use crate::args::Multimask;
use crate::failure::Failure;
use crate::output::{Inputs, SingleFile};
use crate::pictures::shown;
use crate::run::say_loaded;
use crate::{applies, args, model, terminal};

/// Reads the data set, judges the model or the detections, and prints or writes the report.
pub(crate) fn eval(arguments: &Eval, matches: &ArgMatches) -> Result<(), Failure> {
    // A report that cannot be written is told before the hours of making it.
    let mut inputs = Inputs::default();
    let files = [Some(&arguments.data), arguments.predictions.as_ref()].into_iter().flatten().map(PathBuf::as_path);
    inputs.add(files.chain(arguments.model.as_deref().map(Path::new)));
    let output = arguments.output.as_deref().map(|path| SingleFile::open(path, inputs, arguments.overwrite)).transpose()?;
    let mut truth = Truth::open(&arguments.data)?;
    if let Some(folder) = &arguments.images {
        truth = truth.with_pictures(folder);
    }
    let Answer { report, text } = match (&arguments.predictions, &arguments.model) {
        (Some(path), _) => {
            applies::check_eval(matches, None, arguments)?;
            judge_predictions(arguments, &truth, path)?
        }
        (None, Some(name)) => {
            let model = load(arguments, name)?;
            applies::check_eval(matches, Some(&model), arguments)?;
            let is_by_prompts = is_by_prompts(matches, &truth, model.info());
            judge_model(&Judging { arguments, truth: &truth, is_by_prompts }, &model)?
        }
        // clap asks for one of them.
        (None, None) => {
            let error = Error::new(ErrorKind::InvalidOption, "").expecting("a MODEL or --predictions FILE").but_found("neither");
            return Err(error.into());
        }
    };
    let report = Value::Object(report);
    if let (Some(output), Some(path)) = (output, &arguments.output) {
        output.write(format!("{report}\n").as_bytes())?;
        terminal::say(&format!("wrote {}", path.display()));
    }
    terminal::print(&if arguments.json { format!("{report}\n") } else { text })
}

/// The report as JSON and as text.
struct Answer {
    report: Map<String, Value>,
    text: String,
}

fn judge_predictions(arguments: &Eval, truth: &Truth, path: &Path) -> Result<Answer, Failure> {
    let found = read_predictions(path, truth)?;
    let report = detections(truth, &found, &Judged::default())?;
    let facts = json!({"data": shown(&arguments.data), "predictions": shown(path), "task": "detect"});
    Ok(Answer { report: joined(facts, json!(report)), text: table::detections(&report) })
}

/// How a model is judged.
struct Judging<'a> {
    arguments: &'a Eval,
    truth: &'a Truth,
    /// By prompts about each object, and not by what it finds.
    is_by_prompts: bool,
}

/// Whether prompts are what a model is to be judged by: a model that also takes words is told the names of the categories, unless there are
/// none, or options speak of prompts.
fn is_by_prompts(matches: &ArgMatches, truth: &Truth, info: &ModelInfo) -> bool {
    let takes_names = info.task.takes_concepts() && info.takes_words() && !truth.categories().is_empty();
    info.takes_prompts() && (!takes_names || applies::is_judged_by_prompts(matches))
}

fn judge_model(judging: &Judging<'_>, model: &Model) -> Result<Answer, Failure> {
    let Judging { arguments, truth, is_by_prompts } = *judging;
    let mut facts = json!({
        "data": shown(&arguments.data), "model": model.name(), "architecture": model.info().architecture, "task": model.info().task,
        "provider": model.provider(), "numbers": model.bundle().numbers().name(),
    });
    let progress = progress(if is_by_prompts { "objects" } else { "pictures" });
    let hear = |done: usize, all: usize| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    };
    let answer = if is_by_prompts {
        let options = promptable_options(arguments);
        // What it is judged as, also where it could find things too.
        facts["task"] = json!("promptable");
        facts["options"] = json!({
            "min_area": options.min_area, "images_limit": options.max_images, "objects_limit": options.max_objects,
            "seed": options.seed, "clicks": options.clicks, "mask_feedback": options.mask_feedback,
            "multimask": if arguments.multimask == Multimask::Off { "off" } else { "auto" }, "resamples": options.resamples,
        });
        let mut report = promptable(model, truth, &options, hear)?;
        let text = table::promptable(&report);
        if !arguments.per_object {
            report.per_object.clear();
        }
        Answer { report: joined(facts, json!(report)), text }
    } else {
        let options = detector_options(arguments, model);
        facts["options"] = json!({
            "conf": decimal(arguments.conf), "iou": options.predict.iou.map(decimal), "max_detections": options.predict.max_detections,
            "size": arguments.compute.size, "rect": arguments.rect, "images_limit": options.max_images, "seed": options.seed,
        });
        let report = judge_boxes(model, truth, &options, hear)?;
        Answer { report: joined(facts, json!(report)), text: table::detections(&report) }
    };
    progress.finish_and_clear();
    Ok(answer)
}

/// What a model finds by itself, or is told to find.
fn judge_boxes(model: &Model, truth: &Truth, options: &DetectorOptions, hear: impl FnMut(usize, usize)) -> Result<DetectionReport, Error> {
    if model.info().task.takes_concepts() { finder(model, truth, options, hear) } else { detector(model, truth, options, hear) }
}

fn load(arguments: &Eval, name: &OsStr) -> Result<Model, Failure> {
    let how = args::ModelOptions {
        synthetic: arguments.synthetic,
        seed: arguments.seed,
        decoder: None,
        kernels: Kernels::Auto,
        precision: arguments.precision,
        keypoints: arguments.keypoints,
        head: arguments.head,
        names: None,
        runtime: arguments.runtime.clone(),
        offline: arguments.offline,
    };
    let sources = model::sources(&how, name)?;
    let [source] = sources.as_slice() else {
        let error = Error::new(ErrorKind::InvalidOption, name.to_string_lossy()).expecting("one model");
        return Err(error.but_found(format!("{} joined by `+`", sources.len())).into());
    };
    let provider = arguments.compute.provider()?;
    let runtime = model::Runtime {
        provider: &arguments.compute.provider,
        path: arguments.runtime.as_deref(),
        offline: arguments.offline,
        threads: model::threads(arguments.compute.threads),
        bundles: None,
    };
    let engine = runtime.engine()?;
    let options = LoadOptions {
        provider,
        precision: arguments.precision,
        warm_up: true,
        // Every picture comes once.
        embedding_cache: 0,
        bundle: model::bundle_options(&how, arguments.compute.size)?,
        ..LoadOptions::default()
    };
    let model = engine.load(source.clone(), &options)?;
    say_loaded(&model);
    Ok(model)
}

fn promptable_options(arguments: &Eval) -> PromptableOptions {
    PromptableOptions {
        min_area: arguments.min_area,
        max_images: arguments.images_limit,
        max_objects: arguments.objects_limit,
        seed: arguments.seed,
        clicks: arguments.clicks,
        mask_feedback: arguments.mask_feedback,
        multimask: match arguments.multimask {
            Multimask::Auto => maskline::Multimask::Auto,
            Multimask::On => maskline::Multimask::On,
            Multimask::Off => maskline::Multimask::Off,
        },
        max_pixels: arguments.max_pixels,
        ..PromptableOptions::default()
    }
}

fn detector_options(arguments: &Eval, model: &Model) -> DetectorOptions {
    let size = match (arguments.compute.size, arguments.rect) {
        (size, true) => InputSize::Rect(size.unwrap_or(0)),
        (Some(size), false) => InputSize::Square(size),
        (None, false) => InputSize::Default,
    };
    let predict = PredictOptions {
        size,
        conf: Some(arguments.conf),
        iou: arguments.iou.or(model.usual().iou),
        max_detections: arguments.max_detections,
        batch: arguments.batch,
        words: WordOptions { templates: arguments.templates, ..WordOptions::default() },
        ..PredictOptions::default()
    };
    DetectorOptions { predict, max_images: arguments.images_limit, seed: arguments.seed, max_pixels: arguments.max_pixels }
}

fn progress(what: &str) -> ProgressBar {
    let target = if terminal::is_talking() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {what}, {{per_sec}}, {{eta}} left"));
    ProgressBar::with_draw_target(None, target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The number that was given, without the digits that its 32 bits add.
fn decimal(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

/// The members of two objects.
fn joined(first: Value, second: Value) -> Map<String, Value> {
    let members = [first, second].into_iter().filter_map(|value| if let Value::Object(members) = value { Some(members) } else { None });
    members.flatten().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::applies::stand_in;
    use crate::args::Arguments;

    #[test]
    fn a_model_that_takes_both_is_told_the_categories_unless_there_are_none_or_prompts_are_spoken_of() {
        let folder = tempfile::tempdir().unwrap();
        let truth = |categories: Value| {
            let path = folder.path().join("instances.json");
            let images = json!([{"id": 1, "file_name": "1.png", "width": 4, "height": 4}]);
            std::fs::write(&path, json!({"images": images, "annotations": [], "categories": categories}).to_string()).unwrap();
            Truth::open(&path).unwrap()
        };
        let named = truth(json!([{"id": 1, "name": "mug"}]));
        let is_by_prompts = |words: &str, truth: &Truth, info: &ModelInfo| {
            let words = ["maskline", "eval", "m", "--data", "d.json"].into_iter().chain(words.split_whitespace());
            let matches = Arguments::command().try_get_matches_from(words).unwrap();
            super::is_by_prompts(matches.subcommand_matches("eval").unwrap(), truth, info)
        };
        let both = stand_in::both();
        assert!(!is_by_prompts("", &named, &both) && !is_by_prompts("--conf 0.1", &named, &both));
        assert!(is_by_prompts("--clicks 3", &named, &both) && is_by_prompts("--min-area 5", &named, &both));
        assert!(is_by_prompts("", &truth(json!([])), &both));
        // Without a text encoder it cannot be told names.
        let speechless = ModelInfo { parts: Vec::new(), ..both.clone() };
        assert!(is_by_prompts("", &named, &speechless));
        let detector = stand_in::info("detect", &json!({"classifier": {"classes": 2, "probabilities": "p"}}));
        assert!(!is_by_prompts("--clicks 3", &named, &detector));
    }
}
