//! `maskline track`: objects followed through a clip.
//!
//! `clip` says which frames, `prompts` what is said of them; `stream` encodes ahead of `follow`, which tracks; `files` writes, `report` tells.

mod arguments;
mod clip;
mod detected;
mod fault;
mod files;
mod follow;
mod live;
mod passes;
mod prompts;
mod report;
mod stream;

use clap::ArgMatches;
use maskline::{BundleOptions, Error, ErrorKind, LoadOptions, MemoryPrecision, Model, ModelSource, TrackerOptions};

pub(crate) use arguments::Track;
use arguments::{ClipFormat, Direction, Precision};
use clip::Route;
use files::{ClipFiles, Plan};
use passes::Passes;
use prompts::Drafts;
use report::{Ending, Report, Talk};

use crate::failure::Failure;
use crate::output::{self, Inputs};
use crate::{applies, interrupt, model, run, terminal};

/// Follows objects through a clip. What is written is whole, whatever ends the command.
pub(crate) fn track(arguments: &Track, matches: &ArgMatches) -> Result<(), Failure> {
    interrupt::listen();
    let formats = formats(arguments);
    clip::check(arguments, !formats.is_empty())?;
    let sources = model::sources(&arguments.options, &arguments.model)?;
    let first = arguments.way.from.or((arguments.way.direction != Direction::Backward).then_some(0));
    let drafts = Drafts::of(matches, arguments.asked.prompts.as_deref(), first)?;
    let route = Route::of(&arguments.way, &drafts)?;
    refuse_nothing(&sources, &drafts)?;
    refuse_too_many(drafts.titles.len())?;
    let mut frames = clip::open(arguments, &route)?;
    clip::check_length(frames.clip().length, &route, &drafts)?;
    let folder = clip::folder(arguments);
    let mut files = match formats.is_empty() {
        true => None,
        false => Some(ClipFiles::open(Plan {
            folder: &folder,
            formats: &formats,
            inputs: inputs(arguments, &sources, &drafts),
            overwrite: arguments.overwrite,
            resume: arguments.resume,
            asked: asked(arguments, &sources, &drafts),
        })?),
    };
    if let Some(done) = files.as_ref().filter(|files| files.was_whole()) {
        if !arguments.quiet {
            terminal::say(&format!("all {} frames were done before", done.count()));
        }
        return Ok(());
    }
    let models = load(arguments, sources)?;
    if !arguments.json && !arguments.quiet {
        models.iter().for_each(run::say_loaded);
    }
    let (detector, segmenter) = roles(&models)?;
    let classes = detector.map_or(Ok(None), |model| applies::classes(model, &arguments.asked.classes))?;
    let length = clip::short_length(&mut frames, &route);
    let tracker = segmenter.tracker(TrackerOptions { length, ..tracker_options(arguments) })?;
    interrupt::answering();
    let talk = Talk { json: arguments.json, quiet: arguments.quiet };
    let mut report = Report::new(talk, clip::expected(&frames, &route));
    if let Some(files) = &mut files {
        files.length = frames.clip().length;
    }
    let mut passes = Passes { arguments, route, tracker, drafts, files, report: &mut report, detector, classes, live: None };
    let stopper = frames.stopper();
    let ended = passes.go(frames);
    // A stream that stands still would be waited for.
    stopper.stop();
    let Passes { files, live, .. } = passes;
    let is_whole = matches!(ended, Ok(())) && !interrupt::is_wished();
    let mut written = Vec::new();
    for file in files.map(|files| files.finish(is_whole)).unwrap_or_default() {
        match file {
            Ok(file) => written.push(file),
            Err(error) => report.complain(&error),
        }
    }
    report.finish(&Ending { clip: &arguments.clip, models: &models, live, files: &written })?;
    ended?;
    match report.code() {
        _ if interrupt::is_wished() => Err(Failure::Told(interrupt::EXIT_CODE)),
        0 => Ok(()),
        code => Err(Failure::Told(code)),
    }
}

/// What is written.
fn formats(arguments: &Track) -> Vec<ClipFormat> {
    let mut formats: Vec<ClipFormat> = Vec::new();
    for format in &arguments.format {
        if !formats.contains(format) {
            formats.push(*format);
        }
    }
    if formats.is_empty() && (!arguments.json || arguments.output.is_some()) {
        formats = vec![ClipFormat::Overlay, ClipFormat::Davis];
    }
    formats
}

/// One model alone is told what to follow.
fn refuse_nothing(sources: &[ModelSource], drafts: &Drafts) -> Result<(), Error> {
    if sources.len() > 1 || !drafts.is_empty() {
        return Ok(());
    }
    let name = sources.first().map(ModelSource::name).unwrap_or_default();
    let help = "add --point X,Y or --box X1,Y1,X2,Y2, give --prompts FILE, or join a detector: yolov8n+NAME";
    Err(Error::new(ErrorKind::InvalidOption, name).expecting("prompts").but_found("none").with_help(help))
}

/// Told at once, and not when the first object too many is reached.
fn refuse_too_many(objects: usize) -> Result<(), Error> {
    let most = TrackerOptions::default().most_objects;
    if objects <= most {
        return Ok(());
    }
    let error = Error::new(ErrorKind::OverLimit, "objects").expecting(format!("at most {most}")).but_found(objects);
    Err(error.with_help("follow some of them, then the others"))
}

/// The detector, where there is one, and the model that follows.
fn roles(models: &[Model]) -> Result<(Option<&Model>, &Model), Error> {
    match models {
        [segmenter] => Ok((None, segmenter)),
        [detector, segmenter] if detector.info().task.finds_boxes() => Ok((Some(detector), segmenter)),
        _ => {
            let names: Vec<&str> = models.iter().map(Model::name).collect();
            let error = Error::new(ErrorKind::InvalidOption, "").expecting("one promptable model, or a detector and one joined by `+`");
            Err(error.but_found(names.join("+")))
        }
    }
}

fn load(arguments: &Track, sources: Vec<ModelSource>) -> Result<Vec<Model>, Failure> {
    let provider = arguments.compute.provider()?;
    let runtime = model::Runtime {
        provider: &arguments.compute.provider,
        path: arguments.options.runtime.as_deref(),
        offline: arguments.options.offline,
        threads: model::threads(arguments.compute.threads),
        bundles: None,
    };
    let engine = runtime.engine()?;
    let bundle = model::bundle_options(&arguments.options, None)?;
    let size = arguments.compute.size;
    // Of a detector with a segmenter, the size is the detector's where it takes several.
    let is_alone = sources.len() == 1;
    let bundle = BundleOptions { image_size: size.filter(|_| is_alone || arguments.options.synthetic), ..bundle };
    let precision = arguments.options.precision;
    let options = LoadOptions { provider, precision, embedding_cache: 0, bundle, ..LoadOptions::default() };
    run::load(&engine, sources, &options, arguments.quiet)
}

fn tracker_options(arguments: &Track) -> TrackerOptions {
    let memory = &arguments.memory;
    TrackerOptions {
        memory: match memory.memory {
            Precision::Bf16 => MemoryPrecision::Rounded,
            Precision::F32 => MemoryPrecision::Full,
        },
        // Going back from the beginning looks at what came after it.
        history: if arguments.way.direction == Direction::Both { passes::LOOKS_AHEAD } else { 0 },
        conditioning_frames: memory.keep_conditioning,
        corrections_condition: memory.corrections_condition,
        non_overlapping: memory.non_overlapping,
        hole_area: memory.hole_area,
        ..TrackerOptions::default()
    }
}

/// All files that are read.
fn inputs(arguments: &Track, sources: &[ModelSource], drafts: &Drafts) -> Inputs {
    let mut inputs = Inputs::default();
    inputs.add([arguments.clip.as_path()]);
    let pictures: Vec<_> = std::fs::read_dir(&arguments.clip).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    inputs.add(pictures.iter().map(|path| path.as_path()));
    inputs.add(arguments.asked.prompts.as_deref());
    inputs.add(arguments.options.names.as_deref());
    inputs.add(drafts.mask_files());
    inputs.add(arguments.options.runtime.as_deref());
    sources.iter().for_each(|source| inputs.add(run::model_files(source).iter().map(|path| path.as_path())));
    inputs
}

/// A hash of all that the files depend on.
fn asked(arguments: &Track, sources: &[ModelSource], drafts: &Drafts) -> String {
    let Track { options, compute, format, asked, way, memory, clip, .. } = arguments;
    let files: Vec<_> = sources.iter().flat_map(run::model_files).chain(asked.prompts.clone()).chain(options.names.clone()).collect();
    let masks = drafts.mask_files().map(|path| path.to_path_buf());
    let versions: Vec<_> = files.into_iter().chain(masks).map(|file| output::Version::of(&file)).collect();
    let clip = clip::versions(clip);
    let model = format!(
        "{sources:?} {versions:?} {:?} {:?} {:?} {} {:?} {:?} {}",
        options.keypoints, options.head, compute.size, compute.provider, compute.gpu, compute.openvino, options.precision
    );
    output::hash(format!("{model}\n{clip:?}\n{format:?}\n{asked:?}\n{drafts:?}\n{way:?}\n{memory:?}").as_bytes())
}
