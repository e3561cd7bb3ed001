//! Running promptable models: prompts from the user, or from a detector's boxes. (Without prompts: `everything`.)

use std::collections::HashMap;

use maskline::vision::draw::{Marks, Unanswered};
use maskline::{
    Ask, Error, ErrorKind, Image, Masked, Model, Multimask, Object, Pair, PairOptions, PredictOptions, Prompt, Request, SegmentOptions,
};
use serde_json::{Value, json};

use super::detect::predict_options;
use super::everything::{self, Everything};
use super::find::{self, Finder};
use super::report::{Answer, Report};
use crate::args::{self, Prompted, Run};
use crate::concepts::{Concepts, Least};
use crate::failure::{self, Failure};
use crate::output::Drawn;
use crate::prompts::Prompts;
use crate::terminal;

/// The way in which the models of a command answer.
pub(super) enum Way<'a> {
    /// One model finds objects by itself.
    Detect(&'a Model),
    /// One model finds what words and examples say.
    Find(Finder<'a>),
    /// A model answers prompts.
    Segment(Segmenter<'a>),
    /// A model is asked at every place.
    Everything(Everything<'a>),
}

/// What is asked of every picture.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    pub(super) prompts: &'a Prompts,
    pub(super) concepts: &'a Concepts,
}

/// A promptable model and where its prompts come from.
pub(super) struct Segmenter<'a> {
    asked: Asked<'a>,
    prompts: &'a Prompts,
    concepts: &'a Concepts,
    options: SegmentOptions,
}

/// Who is asked.
enum Asked<'a> {
    /// One model, about the user's prompts.
    One(&'a Model),
    /// One model, about the user's prompts, which also finds what words and examples say.
    Both(&'a Model),
    /// A detector, and a model that its boxes are prompts of too.
    Pair(Pair),
}

impl<'a> Way<'a> {
    /// Checks that models and prompts fit together.
    pub(super) fn of(models: &'a [Model], Looked { prompts, concepts }: Looked<'a>, arguments: &Run) -> Result<Self, Failure> {
        let invalid = |message: &str| Error::new(ErrorKind::InvalidOption, message);
        let one_or_joined = || invalid("").expecting("one model, or a detector and a promptable model joined by `+`");
        let is_promptable = |model: &Model| model.info().takes_prompts();
        if arguments.everything.everything {
            return match models {
                [model] if is_promptable(model) => Ok(Self::Everything(Everything { model, options: everything::options(arguments) })),
                _ => {
                    let names: Vec<&str> = models.iter().map(Model::name).collect();
                    Err(invalid("--everything").expecting("one promptable model").but_found(names.join("+")).into())
                }
            };
        }
        if let Some(finder) = models.first().filter(|model| model.info().task.takes_concepts()).filter(|_| concepts.is_empty()) {
            let is_asked = models.len() == 1 && is_promptable(finder) && !prompts.is_empty();
            if !is_asked {
                return Err(untold(finder, models.len() == 1).into());
            }
        }
        let asked = match models {
            [model] if model.info().task.takes_concepts() && prompts.is_empty() => return Ok(Self::Find(Finder { model, concepts })),
            [model] if is_promptable(model) && !concepts.is_empty() => Asked::Both(model),
            [model] if is_promptable(model) => Asked::One(model),
            [model] if prompts.is_empty() => return Ok(Self::Detect(model)),
            [model] => {
                let error = invalid(&format!("{} is {} and takes no prompts", model.name(), model.info().task.noun()));
                return Err(error.with_help("leave them out, or join it with a promptable model: yolov8n+sam2.1-tiny").into());
            }
            [finder, segmenter] => match Pair::new(finder.clone(), segmenter.clone()) {
                Ok(pair) => Asked::Pair(pair),
                Err(_) => return Err(one_or_joined().into()),
            },
            _ => return Err(one_or_joined().into()),
        };
        match &asked {
            Asked::One(model) if prompts.is_empty() => {
                let help = "add --point X,Y or --box X1,Y1,X2,Y2, give --prompts FILE, say --everything, or join a detector: yolov8n+NAME";
                return Err(invalid(model.name()).expecting("prompts").but_found("none").with_help(help).into());
            }
            Asked::Pair(_) if !prompts.is_empty() && !arguments.quiet => {
                terminal::say("the prompts are objects of their own, after those that the detector finds");
            }
            Asked::Both(_) if !arguments.quiet => {
                terminal::say("the prompts are objects of their own, after those that words and examples find");
            }
            _ => {}
        }
        Ok(Self::Segment(Segmenter { asked, prompts, concepts, options: segment_options(&arguments.prompted) }))
    }
}

/// What is said where a model that is told what to find is told nothing.
fn untold(finder: &Model, is_alone: bool) -> Error {
    let (expected, more) = match is_alone && finder.info().takes_prompts() {
        true => ("words, examples or prompts", "; or ask with --point X,Y, --box X1,Y1,X2,Y2, --prompts FILE or --everything"),
        false => ("words or examples", ""),
    };
    let help =
        format!("say what to look for: --text \"a red car\", --texts FILE, --like-box x1,y1,x2,y2, or --like PICTURE#x1,y1,x2,y2{more}");
    Error::new(ErrorKind::InvalidOption, finder.name()).expecting(expected).but_found("none").with_help(help)
}

/// What a model finds and what it answers in one picture, which it encodes once: its own objects first, then those of the prompts.
fn find_and_segment(model: &Model, image: &Image, both: &Both<'_>) -> Result<Masked, Error> {
    let embedding = model.embed(image)?;
    let asks = both.concepts.list().iter().cloned().map(Ask::Concept);
    let found = model.answer(&Request { predict: both.predict.clone(), ..Request::new(embedding.clone(), asks) })?;
    let mut objects: Vec<Object> = Vec::new();
    for answer in found.answers {
        objects.extend(answer?.objects);
    }
    objects.sort_by(|a, b| b.score.total_cmp(&a.score));
    let answered = embedding.segment_detections(&[], both.prompts, both.segment)?;
    objects.extend(answered.objects);
    Ok(Masked { objects, errors: answered.errors, timings: *embedding.timings() + found.timings + answered.timings })
}

/// What is asked of a picture in two ways.
struct Both<'a> {
    concepts: &'a Concepts,
    predict: PredictOptions,
    prompts: &'a [Prompt],
    segment: &'a SegmentOptions,
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

/// The user's prompts for one picture.
#[derive(Default)]
struct Own {
    /// Index of the first: those before are a detector's boxes.
    first: usize,
    prompts: Vec<Prompt>,
    /// Prompts whose masks cannot be read. An empty prompt stands in their place.
    broken: HashMap<usize, Error>,
}

/// A picture and its answer.
struct Answered {
    image: Image,
    own: Own,
    found: Masked,
}

impl Segmenter<'_> {
    pub(super) fn answer(&self, report: &mut Report<'_>, places: &[usize]) -> Result<(), Failure> {
        for &place in places {
            match report.open(place).and_then(|image| self.ask(report, place, image)) {
                Ok(answered) => self.tell(report, place, &answered)?,
                Err(error) => report.fail(place, error)?,
            }
        }
        Ok(())
    }

    fn ask(&self, report: &Report<'_>, place: usize, image: Image) -> Result<Answered, Error> {
        let (own, mut found) = match &self.asked {
            Asked::Pair(pair) => {
                let concepts = self.concepts.list().to_vec();
                let options = PairOptions { concepts, predict: predict_options(report), segment: self.options.clone() };
                let mut own = Own::default();
                let found = pair.find_with(&image, &options, |detected| {
                    own = self.own(report, place, &image, detected.len());
                    own.prompts.clone()
                })?;
                (own, found)
            }
            Asked::One(model) => {
                let own = self.own(report, place, &image, 0);
                if own.prompts.is_empty() {
                    let error = Error::new(ErrorKind::BadInput, "no prompt is meant for this picture");
                    return Err(error.with_help("add its name under `images` of the prompts file"));
                }
                let embedding = model.embed(&image)?;
                let found = embedding.segment_detections(&[], &own.prompts, &self.options)?;
                (own, Masked { timings: *embedding.timings() + found.timings, ..found })
            }
            Asked::Both(model) => {
                // A picture for which no prompt is meant is searched all the same.
                let own = self.own(report, place, &image, 0);
                let both = Both { concepts: self.concepts, predict: find::options(report), prompts: &own.prompts, segment: &self.options };
                let found = find_and_segment(model, &image, &both)?;
                (own, found)
            }
        };
        for (index, error) in &mut found.errors {
            if let Some(why) = own.broken.get(index) {
                *error = why.clone();
            }
        }
        Ok(Answered { image, own, found })
    }

    /// The user's prompts for a picture, which follow so many others.
    fn own(&self, report: &Report<'_>, place: usize, image: &Image, first: usize) -> Own {
        let mut own = Own { first, ..Own::default() };
        for prompt in self.prompts.for_picture(&report.pictures[place].path, image, first) {
            let index = first + own.prompts.len();
            own.prompts.push(prompt.unwrap_or_else(|error| {
                own.broken.insert(index, error);
                Prompt::default()
            }));
        }
        own
    }

    fn tell(&self, report: &mut Report<'_>, place: usize, answered: &Answered) -> Result<(), Failure> {
        let Answered { image, own, found: Masked { objects, errors, timings } } = answered;
        let mut all = json!(objects);
        if let Value::Array(all) = &mut all {
            for (index, error) in errors {
                all.push(json!({"prompt": index, "error": failure::told(error)}));
            }
            all.sort_by_key(|object| object["prompt"].as_u64());
        }
        // A detector's boxes are drawn with its objects.
        let prompts = own.prompts.iter().enumerate().map(|(index, prompt)| (own.first + index, prompt));
        let has_failed = |index: &usize| errors.iter().any(|(failed, _)| failed == index);
        let failed: Vec<_> = prompts.clone().filter(|(index, _)| has_failed(index)).collect();
        let drawn: Vec<_> = prompts.filter(|(index, _)| !has_failed(index)).collect();
        let clicks = |prompts: &[(usize, &Prompt)]| prompts.iter().flat_map(|(_, prompt)| prompt.clicks.clone()).collect::<Vec<_>>();
        let boxes = |prompts: &[(usize, &Prompt)]| prompts.iter().filter_map(|(_, prompt)| prompt.bounds).collect::<Vec<_>>();
        let points: Vec<(f32, f32, bool)> = clicks(&drawn).iter().map(|click| (click.x, click.y, click.is_positive)).collect();
        let failed_points: Vec<[f32; 2]> = clicks(&failed).iter().map(|click| [click.x, click.y]).collect();
        let unanswered = Unanswered { points: &failed_points, boxes: &boxes(&failed) };
        let models: Vec<&Model> = match &self.asked {
            Asked::One(model) | Asked::Both(model) => vec![model],
            Asked::Pair(pair) => vec![pair.finder(), pair.segmenter()],
        };
        let of_finder = objects.iter().filter(|object| object.prompt.is_none_or(|prompt| prompt < own.first));
        let absent =
            models.first().map_or_else(Vec::new, |finder| self.concepts.absent(of_finder, Least::of(finder, predict_options(report).conf)));
        let boxes = [self.concepts.wanted_boxes(), boxes(&drawn)].concat();
        let answer = Answer {
            image,
            models: &models,
            drawn: Drawn { objects, classes: None, marks: Marks { points: &points, boxes: &boxes, unanswered } },
            found: all,
            examples: self.concepts.boxes(),
            timings: *timings,
            nothing: if absent.is_empty() { "nothing found".into() } else { absent.join("; ") },
            absent,
            errors,
        };
        report.succeed(place, &answer)
    }
}
