//! Running promptable models: prompts from the user, or from a detector's boxes. (Without prompts: `everything`.)

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use maskline::vision::draw::Marks;
use maskline::{
    Embedding, EmbeddingSource, Error, ErrorKind, Image, Model, Multimask, Object, Prompt, PromptTimings, SegmentOptions, Task as ModelTask,
};
use serde_json::{Value, json};

use crate::args::{self, Prompted, Run};
use crate::everything::{self, Everything};
use crate::failure::{self, Failure};
use crate::outputs::Answer;
use crate::prompts::Prompts;
use crate::run::{Report, milliseconds, object_table, predict_options, say_loaded};
use crate::terminal;

/// What the models of a command do together.
pub(crate) enum Task<'a> {
    /// One model finds objects by itself.
    Detect(&'a Model),
    /// A model answers prompts.
    Segment(Segmenter<'a>),
    /// A model is asked at every place.
    Everything(Everything<'a>),
}

/// A promptable model and where its prompts come from.
pub(crate) struct Segmenter<'a> {
    detector: Option<&'a Model>,
    model: &'a Model,
    prompts: &'a Prompts,
    options: SegmentOptions,
}

impl<'a> Task<'a> {
    /// Checks that models and prompts fit together.
    pub(crate) fn of(models: &'a [Model], prompts: &'a Prompts, arguments: &Run) -> Result<Self, Failure> {
        let invalid = |message: String| Err(Failure::new(ErrorKind::InvalidOption, message));
        let is_promptable = |model: &Model| model.info().task == ModelTask::Promptable;
        let detects = |model: &Model| !is_promptable(model) && model.info().task != ModelTask::Classify;
        let (detector, model) = match models {
            [model] if is_promptable(model) && arguments.everything.everything => {
                return Ok(Self::Everything(Everything { model, options: everything::options(arguments) }));
            }
            _ if arguments.everything.everything => {
                let names: Vec<&str> = models.iter().map(Model::name).collect();
                return invalid(format!("--everything: expected one promptable model, found {}", names.join("+")));
            }
            [model] if is_promptable(model) => (None, model),
            [model] if prompts.is_empty() => return Ok(Self::Detect(model)),
            [model] => {
                let message = format!("{} is a {} and takes no prompts", model.name(), model.info().task);
                return invalid(message + "\n  help: leave them out, or join it with a promptable model: yolov8n+sam2.1-tiny");
            }
            [detector, model] if detects(detector) && is_promptable(model) => (Some(detector), model),
            _ => return invalid("expected one model, or a detector and a promptable model joined by `+`".into()),
        };
        if detector.is_none() && prompts.is_empty() {
            let message = format!("{}: expected prompts, found none", model.name());
            return invalid(
                message
                    + "\n  help: add --point X,Y or --box X1,Y1,X2,Y2, give --prompts FILE, say --everything, or join a detector: yolov8n+NAME",
            );
        }
        Ok(Self::Segment(Segmenter { detector, model, prompts, options: segment_options(&arguments.prompted) }))
    }
}

fn segment_options(arguments: &Prompted) -> SegmentOptions {
    SegmentOptions {
        multimask: match arguments.multimask {
            args::Multimask::Auto => Multimask::Auto,
            args::Multimask::On => Multimask::On,
            args::Multimask::Off => Multimask::Off,
        },
        threshold: arguments.mask_threshold,
        non_overlapping: arguments.no_overlap,
        max_hole_area: arguments.fill_holes,
        max_sprinkle_area: arguments.remove_spots,
        chunk: arguments.chunk,
        ..SegmentOptions::default()
    }
}

/// All masks, the prompts that could not be answered, and where the time went.
type Objects = (Vec<Object>, Vec<(usize, Error)>, PromptTimings);

/// What is known of a picture's objects before the promptable model has seen it.
struct Asked {
    prompts: Vec<Prompt>,
    /// Scores of the detections that the first prompts are.
    scores: Vec<f32>,
    /// Prompts whose masks cannot be read. An empty prompt stands in their place.
    broken: HashMap<usize, Error>,
    detect: Option<Duration>,
}

impl Segmenter<'_> {
    pub(crate) fn answer(&self, report: &mut Report<'_>, paths: &[PathBuf]) -> Result<(), Failure> {
        for path in paths {
            let asked = report.open(path).and_then(|image| Ok((self.ask(report, path, &image)?, image)));
            match asked {
                Ok((asked, image)) => self.segment(report, (path, &image), asked)?,
                Err(error) => report.fail(path, &error)?,
            }
        }
        Ok(())
    }

    fn ask(&self, report: &Report<'_>, path: &Path, image: &Image) -> Result<Asked, Error> {
        let mut asked = Asked { prompts: Vec::new(), scores: Vec::new(), broken: HashMap::new(), detect: None };
        if let Some(detector) = self.detector {
            let found = detector.predict(image, &predict_options(report.arguments))?;
            asked.detect = Some(found.timings.total() - found.timings.decode);
            for object in &found.objects {
                asked.scores.push(object.score);
                let (label, class_id) = (object.label.clone(), object.class_id);
                asked.prompts.push(Prompt { label, class_id, ..Prompt::bounds(object.bounds) });
            }
        }
        for prompt in self.prompts.for_picture((path, image), asked.prompts.len()) {
            let index = asked.prompts.len();
            asked.prompts.push(prompt.unwrap_or_else(|error| {
                asked.broken.insert(index, error);
                Prompt::default()
            }));
        }
        if asked.prompts.is_empty() && self.detector.is_none() {
            let message = "no prompt is meant for this picture\n  help: add its name under `images` of the prompts file";
            return Err(Error::new(ErrorKind::BadInput, message));
        }
        Ok(asked)
    }

    fn segment(&self, report: &mut Report<'_>, (path, image): (&Path, &Image), mut asked: Asked) -> Result<(), Failure> {
        // What is wrong with the model or the options is wrong for every picture: it ends the command.
        let embedding = self.model.embed(image)?;
        let (mut objects, errors, timings) = self.objects(&embedding, &mut asked)?;
        for (object, score) in objects.iter_mut().filter_map(|o| Some((asked.scores.get(o.prompt?)?, o))).map(|(s, o)| (o, *s)) {
            object.score = score;
        }
        let mut all = json!(objects);
        if let Value::Array(all) = &mut all {
            for (index, error) in &errors {
                all.push(json!({"prompt": index, "error": {"kind": failure::word(error.kind()), "message": error.to_string()}}));
            }
            all.sort_by_key(|object| object["prompt"].as_u64());
        }
        let mut json_timings = json!(timings);
        let total = timings.total() + asked.detect.unwrap_or_default();
        if let Some(detect) = asked.detect {
            json_timings["detect"] = json!((detect.as_secs_f64() * 1e6).round() / 1e3);
            json_timings["total"] = json!((total.as_secs_f64() * 1e6).round() / 1e3);
        }
        let points: Vec<(f32, f32, bool)> = asked.prompts.iter().flat_map(|p| &p.clicks).map(|c| (c.x, c.y, c.is_positive)).collect();
        let boxes: Vec<[f32; 4]> = if self.detector.is_some() { vec![] } else { asked.prompts.iter().filter_map(|p| p.bounds).collect() };
        let written = Answer { objects: &objects, classes: None, marks: Marks { points: &points, boxes: &boxes } };
        let models: Vec<&Model> = self.detector.into_iter().chain([self.model]).collect();
        let is_first = report.succeed((path, image), (&models, ("objects", all), json_timings), &written)?;
        for (_, error) in &errors {
            report.complain(path, error);
        }
        if report.arguments.json {
            return Ok(());
        }
        let (width, height) = image.size();
        let mut text = format!("{}  {width} × {height}\n", path.display());
        text += &if objects.is_empty() { "nothing found\n".into() } else { object_table(&objects) };
        text += &timing_line(&timings, asked.detect);
        if is_first {
            models.iter().for_each(|model| say_loaded(model));
        }
        terminal::print(&text)
    }

    fn objects(&self, embedding: &Embedding, asked: &mut Asked) -> Result<Objects, Failure> {
        if asked.prompts.is_empty() {
            return Ok((vec![], vec![], *embedding.timings()));
        }
        let found = embedding.find(&asked.prompts, &self.options)?;
        let why = |(index, error): (usize, Error)| (index, asked.broken.remove(&index).unwrap_or(error));
        Ok((found.objects, found.errors.into_iter().map(why).collect(), *embedding.timings() + found.timings))
    }
}

/// Where the time went, in one line.
pub(crate) fn timing_line(timings: &PromptTimings, detect: Option<Duration>) -> String {
    let stages = detect.map(|time| ("detect", time)).into_iter().chain(timings.stages());
    let is_cached = timings.embedding < EmbeddingSource::Miss;
    // Waiting and opening are rare.
    let told = stages.filter(|(name, time)| !time.is_zero() || !["queue", "open"].contains(name));
    let parts: Vec<String> = told
        .map(|(name, time)| match name {
            "image_encode" if is_cached => "image encode 0 (cached)".into(),
            _ => format!("{} {}", name.replace('_', " "), milliseconds(time)),
        })
        .collect();
    format!("{} = {} ms\n", parts.join(" + "), milliseconds(timings.total() + detect.unwrap_or_default()))
}
