//! Running promptable models: prompts from the user, or from a detector's boxes. (Without prompts: `everything`.)

use std::collections::HashMap;
use std::time::Duration;

use maskline::vision::draw::{Marks, Unanswered};
use maskline::{
    EmbeddingSource, Error, ErrorKind, Image, Model, Multimask, Object, Prompt, PromptTimings, SegmentOptions, Task as ModelTask,
};
use serde_json::{Value, json};

use super::detect::predict_options;
use super::everything::{self, Everything};
use super::report::{Answer, Report, Timings};
use super::text;
use crate::applies;
use crate::args::{self, Prompted, Run};
use crate::failure::{self, Failure};
use crate::output::Drawn;
use crate::prompts::Prompts;
use crate::terminal;

/// What the models of a command do together.
pub(super) enum Task<'a> {
    /// One model finds objects by itself.
    Detect(&'a Model),
    /// A model answers prompts.
    Segment(Segmenter<'a>),
    /// A model is asked at every place.
    Everything(Everything<'a>),
}

/// A promptable model and where its prompts come from.
pub(super) struct Segmenter<'a> {
    detector: Option<&'a Model>,
    model: &'a Model,
    prompts: &'a Prompts,
    options: SegmentOptions,
}

impl<'a> Task<'a> {
    /// Checks that models and prompts fit together.
    pub(super) fn of(models: &'a [Model], prompts: &'a Prompts, arguments: &Run) -> Result<Self, Failure> {
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
                let message = format!("{} is {} and takes no prompts", model.name(), applies::noun(model.info().task));
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
        if detector.is_some() && !prompts.is_empty() && !arguments.quiet {
            terminal::say("the prompts are objects of their own, after those that the detector finds");
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

/// What is known of a picture's objects before the promptable model has seen it.
struct Asked {
    image: Image,
    /// What a detector found: the first prompts.
    detected: Vec<Object>,
    detect: Option<Duration>,
    /// The prompts that follow.
    prompts: Vec<Prompt>,
    /// Prompts whose masks cannot be read. An empty prompt stands in their place.
    broken: HashMap<usize, Error>,
}

/// All masks, the prompts that could not be answered, and where the time went.
struct Answered {
    objects: Vec<Object>,
    errors: Vec<(usize, Error)>,
    timings: PromptTimings,
}

impl Segmenter<'_> {
    pub(super) fn answer(&self, report: &mut Report<'_>, places: &[usize]) -> Result<(), Failure> {
        for &place in places {
            let answered = report.open(place).and_then(|image| {
                let mut asked = self.ask(report, place, image)?;
                Ok((self.segment(&mut asked)?, asked))
            });
            match answered {
                Ok((answered, asked)) => self.tell(report, place, &asked, &answered)?,
                Err(error) => report.fail(place, error)?,
            }
        }
        Ok(())
    }

    fn ask(&self, report: &Report<'_>, place: usize, image: Image) -> Result<Asked, Error> {
        let mut asked = Asked { image, detected: Vec::new(), detect: None, prompts: Vec::new(), broken: HashMap::new() };
        if let Some(detector) = self.detector {
            let found = detector.predict(&asked.image, &predict_options(report))?;
            asked.detect = Some(found.timings.total() - found.timings.decode);
            asked.detected = found.objects;
        }
        let own = self.prompts.for_picture((&report.pictures[place].path, &asked.image), asked.detected.len());
        for prompt in own {
            let index = asked.detected.len() + asked.prompts.len();
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

    fn segment(&self, asked: &mut Asked) -> Result<Answered, Error> {
        let embedding = self.model.embed(&asked.image)?;
        let found = embedding.segment_detections(&asked.detected, &asked.prompts, &self.options)?;
        let why = |(index, error): (usize, Error)| (index, asked.broken.remove(&index).unwrap_or(error));
        let errors = found.errors.into_iter().map(why).collect();
        Ok(Answered { objects: found.objects, errors, timings: *embedding.timings() + found.timings })
    }

    fn tell(&self, report: &mut Report<'_>, place: usize, asked: &Asked, answered: &Answered) -> Result<(), Failure> {
        let Answered { objects, errors, timings } = answered;
        let mut all = json!(objects);
        if let Value::Array(all) = &mut all {
            for (index, error) in errors {
                all.push(json!({"prompt": index, "error": {"kind": failure::word(error.kind()), "message": error.to_string()}}));
            }
            all.sort_by_key(|object| object["prompt"].as_u64());
        }
        // A detector's boxes are drawn with its objects.
        let prompts = asked.prompts.iter().enumerate().map(|(index, prompt)| (asked.detected.len() + index, prompt));
        let (failed, drawn): (Vec<_>, Vec<_>) = prompts.partition(|(index, _)| errors.iter().any(|(failed, _)| failed == index));
        let clicks = |prompts: &[(usize, &Prompt)]| prompts.iter().flat_map(|(_, prompt)| prompt.clicks.clone()).collect::<Vec<_>>();
        let boxes = |prompts: &[(usize, &Prompt)]| prompts.iter().filter_map(|(_, prompt)| prompt.bounds).collect::<Vec<_>>();
        let points: Vec<(f32, f32, bool)> = clicks(&drawn).iter().map(|click| (click.x, click.y, click.is_positive)).collect();
        let failed_points: Vec<[f32; 2]> = clicks(&failed).iter().map(|click| [click.x, click.y]).collect();
        let unanswered = Unanswered { points: &failed_points, boxes: &boxes(&failed) };
        let models: Vec<&Model> = self.detector.into_iter().chain([self.model]).collect();
        let answer = Answer {
            image: &asked.image,
            models: &models,
            drawn: Drawn { objects, classes: None, marks: Marks { points: &points, boxes: &boxes(&drawn), unanswered } },
            found: all,
            timings: told(timings, asked.detect),
            nothing: "nothing found".into(),
            errors,
        };
        report.succeed(place, &answer)
    }
}

/// Where the time went, in each form.
pub(super) fn told(timings: &PromptTimings, detect: Option<Duration>) -> Timings {
    let total = timings.total() + detect.unwrap_or_default();
    let stages: Vec<_> = detect.map(|time| ("detect", time)).into_iter().chain(timings.stages()).collect();
    let mut json = json!(timings);
    if let Some(detect) = detect {
        json["detect"] = json!((detect.as_secs_f64() * 1e6).round() / 1e3);
        json["total"] = json!((total.as_secs_f64() * 1e6).round() / 1e3);
    }
    let is_cached = timings.embedding < EmbeddingSource::Miss;
    let line = text::stages(&stages, total);
    let line = if is_cached { line.replace("image encode 0.0", "image encode 0 (cached)") } else { line };
    Timings { json, line, total }
}
