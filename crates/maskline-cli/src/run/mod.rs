//! `maskline run`.

mod classes;
mod detect;
mod everything;
mod find;
mod prompted;
mod report;
mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskline::{BundleOptions, Engine, Error, ErrorKind, LoadOptions, Model, ModelSource, Vocabulary};

use crate::args::{Format, Multimask, Run};
use crate::concepts::{Concepts, Room};
use crate::failure::{self, Failure};
use crate::output::{self, Inputs, Outputs, Plan};
use crate::pictures::{self, Picture};
use crate::prompts::Prompts;
use crate::{applies, interrupt, model, terminal};
use prompted::{Looked, Way};
use report::Report;
pub(crate) use text::{milliseconds, written};

/// Runs a model on pictures. One that fails is told and passed over; the others are done.
pub(crate) fn run(arguments: &Run, matches: &ArgMatches) -> Result<(), Failure> {
    interrupt::listen();
    let (named, words) = pictures::split_model(&arguments.words)?;
    let sources = model::sources(&arguments.options, named.unwrap_or(DEFAULT_MODEL.as_ref()))?;
    let folder = output::folder_of(arguments);
    let search = pictures::Search { is_recursive: arguments.recursive, without: Some(&folder) };
    let pictures::Found { pictures, missing } = pictures::pictures(words, &search)?;
    if !arguments.json {
        refuse_if_none_is_there(&pictures)?;
    }
    let prompts = Prompts::of(matches, arguments.prompted.prompts.as_deref(), &pictures)?;
    let concepts = Concepts::of(matches, arguments)?;
    let formats = output::formats(arguments, named.is_none());
    check(arguments, &formats)?;
    applies::check_everything(matches, &arguments.everything)?;
    let mut inputs = inputs(arguments, &sources, &pictures, &prompts);
    inputs.add(arguments.worded.texts.as_deref().into_iter().chain(concepts.files()));
    let plan = Plan {
        arguments,
        pictures: &pictures,
        formats,
        inputs,
        asked: asked(arguments, &sources, Looked { prompts: &prompts, concepts: &concepts }),
        classes: Vec::new(),
        keypoints: None,
    };
    let outputs = Outputs::open(plan)?;
    let runtime = model::Runtime {
        provider: &arguments.compute.provider,
        path: arguments.options.runtime.as_deref(),
        offline: arguments.options.offline,
        threads: model::threads(arguments.compute.threads),
        bundles: None,
    };
    let engine = runtime.engine()?;
    let answers = pictures.len().saturating_mul(arguments.repeat);
    let models = load(&engine, sources, &load_options(arguments, answers, concepts.room())?, arguments.quiet)?;
    applies::check(matches, &models, arguments)?;
    applies::check_words(arguments, &concepts)?;
    let way = Way::of(&models, Looked { prompts: &prompts, concepts: &concepts }, arguments)?;
    interrupt::answering();
    let mut report = Report::new(arguments, &pictures, outputs);
    report.classes = models.first().map_or(Ok(None), |model| applies::classes(model, &arguments.classes))?;
    report.outputs.describe(classes::names(&models, &prompts, &concepts)?, classes::keypoints(&models));
    missing.iter().try_for_each(|missing| report.fail_missing(missing))?;
    let ended = answer_all(&mut report, &way).and_then(|()| match interrupt::is_wished() {
        true => Ok(()),
        // Also where nothing was left to do, the files about all pictures are about those of this run.
        false => Ok(report.outputs.begin()?),
    });
    // What was answered is written, whatever ended the command.
    let code = report.finish();
    ended?;
    match code? {
        0 if interrupt::is_wished() => Err(Failure::Told(interrupt::EXIT_CODE)),
        0 => {
            if named.is_none() && !arguments.json && !arguments.quiet {
                say_of_larger_models();
            }
            Ok(())
        }
        _ if interrupt::is_wished() => Err(Failure::Told(interrupt::EXIT_CODE)),
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

/// Where no picture is there at all, that is what is wrong, whatever else is; nothing is loaded for it.
fn refuse_if_none_is_there(pictures: &[Picture]) -> Result<(), Failure> {
    let missing = pictures.iter().map_while(|picture| pictures::exists(&picture.path).err());
    let missing: Vec<Error> = missing.collect();
    if missing.len() < pictures.len() {
        return Ok(());
    }
    missing.iter().for_each(|error| terminal::complain(&error.to_string()));
    Err(Failure::Told(missing.first().map_or(1, |error| failure::code(error.kind()))))
}

/// Options that cannot go together.
fn check(arguments: &Run, formats: &[Format]) -> Result<(), Error> {
    let invalid = |message: &str| Error::new(ErrorKind::InvalidOption, message);
    // Before a runtime is fetched for it.
    arguments.compute.provider()?;
    if formats.contains(&Format::Yolo) && formats.contains(&Format::YoloSeg) {
        let error = invalid("-f yolo and -f yolo-seg would write the same files");
        return Err(error.with_help("choose one; of objects with masks both give segments"));
    }
    if arguments.save_conf && !formats.iter().any(|format| matches!(format, Format::Yolo | Format::YoloSeg)) {
        let error = invalid("--save-conf is about YOLO's label files, and none are written");
        return Err(error.with_help("add -f yolo, or leave it out"));
    }
    if arguments.repeat == 0 {
        return Err(invalid("--repeat").expecting("1 or more").but_found(0));
    }
    if arguments.prompted.no_overlap && arguments.prompted.multimask == Multimask::On {
        let message = "--no-overlap does not apply to --multimask on: the three masks of a prompt are guesses at one object, and overlap";
        return Err(invalid(message).with_help("leave one of them out"));
    }
    if arguments.resume && formats.is_empty() {
        let error = invalid("--resume goes on with a folder of answers, and this command writes none");
        return Err(error.with_help("add -o DIR and formats with -f"));
    }
    if arguments.resume && arguments.repeat > 1 {
        return Err(invalid("--repeat measures, and --resume leaves out what was done: they cannot go together"));
    }
    Ok(())
}

/// All files that the run reads.
fn inputs(arguments: &Run, sources: &[ModelSource], pictures: &[Picture], prompts: &Prompts) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add(pictures.iter().map(|picture| picture.path.as_path()));
    inputs.add(arguments.prompted.prompts.as_deref());
    inputs.add(arguments.options.names.as_deref());
    inputs.add(prompts.mask_files());
    arguments.words.iter().filter_map(|word| pictures::list_of(word)).for_each(|list| inputs.add([list.as_path()]));
    inputs.add(arguments.options.runtime.as_deref());
    sources.iter().for_each(|source| inputs.add(model_files(source).iter().map(PathBuf::as_path)));
    inputs
}

/// A model's file, and the configurations beside it that say how it is built, some of which may not exist.
pub(crate) fn model_files(source: &ModelSource) -> Vec<PathBuf> {
    let (ModelSource::Checkpoint(path) | ModelSource::Onnx(path)) = source else { return Vec::new() };
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let tokenizer = Vocabulary::FILES.map(|name| folder.join(name));
    [path.clone(), path.with_extension("config.json"), folder.join("config.json")].into_iter().chain(tokenizer).collect()
}

/// A hash of all that answers and their files depend on, beside the picture.
fn asked(arguments: &Run, sources: &[ModelSource], Looked { prompts, concepts }: Looked<'_>) -> String {
    let Run { options, compute, prompted, everything, worded, .. } = arguments;
    let model_files: Vec<PathBuf> = sources.iter().flat_map(model_files).collect();
    let files = model_files
        .iter()
        .map(PathBuf::as_path)
        .chain(prompted.prompts.as_deref())
        .chain(options.names.as_deref())
        .chain(prompts.mask_files());
    let versions: Vec<_> = files.map(|file| std::fs::metadata(file).ok().map(|facts| (facts.len(), facts.modified().ok()))).collect();
    let model = format!(
        "{sources:?} {versions:?} {:?} {:?} {:?} {} {:?} {:?} {} {:?}",
        options.keypoints,
        options.head,
        compute.size,
        compute.provider,
        compute.gpu,
        compute.openvino,
        options.precision,
        arguments.preprocess
    );
    let detector = format!(
        "{} {:?} {:?} {} {:?} {}",
        arguments.rect, arguments.conf, arguments.iou, arguments.max_detections, arguments.classes, arguments.agnostic_nms
    );
    let written = format!("{:?} {}", arguments.format, arguments.save_conf);
    // Which words belong to one object, the options alone do not tell.
    let prompts = prompts.for_all();
    let words = format!("{} {} {}", worded.templates, worded.truncate, concepts.asked());
    output::hash(format!("{model}\n{detector}\n{written}\n{prompted:?}\n{prompts:?}\n{everything:?}\n{words}").as_bytes())
}

/// Loads the models; what takes more than a moment says what it does.
pub(crate) fn load(engine: &Engine, sources: Vec<ModelSource>, options: &LoadOptions, is_quiet: bool) -> Result<Vec<Model>, Failure> {
    let load = |index: usize, source: ModelSource| {
        let waiting = format!("loading {} (the first time it is built, which takes longer)", source.name());
        let _waiting = (!is_quiet).then(|| terminal::Waiting::after(Duration::from_secs(1), waiting));
        // Names and heads are those of the first model, which detects; what segments its boxes has neither.
        let (labels, head) = (options.bundle.labels.clone().filter(|_| index == 0), options.bundle.head.filter(|_| index == 0));
        let own = BundleOptions { labels, head, ..options.bundle.clone() };
        Ok(engine.load(source, &LoadOptions { bundle: own, ..options.clone() })?)
    };
    sources.into_iter().enumerate().map(|(index, source)| load(index, source)).collect()
}

/// Says what loading a model took.
pub(crate) fn say_loaded(model: &Model) {
    terminal::say(&text::loaded(model));
    model::notes(model).iter().for_each(|note| terminal::say(&format!("  {note}")));
}

/// From so many answers on, finding out the fastest way at the start pays.
const MANY: usize = 8;

fn load_options(arguments: &Run, answers: usize, concepts: Room) -> Result<LoadOptions, Failure> {
    // Each picture comes once, unless it is a copy of the one before: a run over thousands needs no memory for them.
    let kept = if arguments.repeat > 1 { 256 } else { 32 };
    let usual = LoadOptions::default();
    Ok(LoadOptions {
        provider: arguments.compute.provider()?,
        precision: arguments.options.precision,
        preprocessing: arguments.preprocess.into(),
        // The first picture warms up as well as an empty one, and is an answer.
        warm_up: answers >= MANY,
        // What is asked of every picture stays, however many pictures come by.
        embedding_cache: match arguments.prompted.embedding_cache {
            Some(kept) => kept.saturating_mul(1 << 20),
            None => (kept << 20) + concepts.pictures,
        },
        word_cache: usual.word_cache + concepts.words,
        bundle: model::bundle_options(&arguments.options, arguments.compute.size)?,
        ..usual
    })
}

/// Goes over the pictures as often as wished, until all are answered or Ctrl-C.
fn answer_all(report: &mut Report<'_>, way: &Way<'_>) -> Result<(), Failure> {
    let arguments = report.arguments;
    let left: Vec<usize> = (0..report.pictures.len()).filter(|place| !report.outputs.is_done(*place)).collect();
    if left.len() < report.pictures.len() && !arguments.quiet {
        terminal::say(&format!("{} of {} pictures were done before", report.pictures.len() - left.len(), report.pictures.len()));
    }
    report.progress = progress(left.len().saturating_mul(arguments.repeat), arguments.quiet);
    for pass in 0..arguments.repeat {
        report.pass = pass;
        for together in left.chunks(arguments.batch.max(1)) {
            if interrupt::is_wished() {
                return Ok(());
            }
            match way {
                Way::Detect(model) => detect::answer(report, model, together)?,
                Way::Find(finder) => finder.answer(report, together)?,
                Way::Segment(segmenter) => segmenter.answer(report, together)?,
                Way::Everything(everything) => everything.answer(report, together)?,
            }
            report.progress.inc(together.len() as u64);
        }
    }
    Ok(())
}

fn progress(count: usize, is_quiet: bool) -> ProgressBar {
    let visible = count > 1 && !is_quiet && terminal::is_talking();
    let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pictures, {per_sec}, {eta} left");
    ProgressBar::with_draw_target(Some(count as u64), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
