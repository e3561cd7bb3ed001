//! Running models that find objects by themselves: detectors and classifiers.

use maskline::vision::draw::Marks;
use maskline::{Detections, Error, Image, InputSize, Model, PredictOptions, WordOptions};
use serde_json::json;

use super::report::{Answer, Report};
use crate::concepts::LeastScores;
use crate::failure::Failure;
use crate::output::Drawn;

/// Answers some pictures together.
pub(super) fn answer(report: &mut Report<'_>, model: &Model, places: &[usize]) -> Result<(), Failure> {
    let opened: Vec<Result<Image, Error>> = places.iter().map(|place| report.open(*place)).collect();
    let images: Vec<&Image> = opened.iter().filter_map(|image| image.as_ref().ok()).collect();
    let mut answers = model.predict_each(&images, &predict_options(report))?.into_iter();
    for (place, image) in places.iter().zip(opened) {
        match image {
            Err(error) => report.fail(*place, error)?,
            Ok(image) => match answers.next() {
                Some(Ok(answer)) => tell(report, *place, &Detected { model, image: &image, found: &answer })?,
                Some(Err(error)) => report.fail(*place, error)?,
                None => {}
            },
        }
    }
    Ok(())
}

pub(super) fn predict_options(report: &Report<'_>) -> PredictOptions {
    let arguments = report.arguments;
    let size = match (arguments.compute.size, arguments.rect) {
        (Some(0), _) => InputSize::Square(0),
        (size, true) => InputSize::Rect(size.unwrap_or(0)),
        (Some(size), false) => InputSize::Square(size),
        (None, false) => InputSize::Default,
    };
    PredictOptions {
        size,
        conf: arguments.conf.as_ref().and_then(LeastScores::of_all),
        iou: arguments.iou,
        max_detections: arguments.max_detections,
        agnostic_nms: arguments.agnostic_nms,
        classes: report.classes.clone(),
        batch: arguments.batch,
        words: WordOptions { truncate: arguments.worded.truncate, templates: arguments.worded.templates, ..WordOptions::default() },
        ..PredictOptions::default()
    }
}

/// What a model found in a picture.
struct Detected<'a> {
    model: &'a Model,
    image: &'a Image,
    found: &'a Detections,
}

fn tell(report: &mut Report<'_>, place: usize, detected: &Detected<'_>) -> Result<(), Failure> {
    let Detected { model, image, found } = *detected;
    let answer = Answer {
        image,
        models: &[model],
        drawn: Drawn { objects: &found.objects, classes: found.classes.as_deref(), marks: Marks::default() },
        found: found.classes.as_ref().map_or_else(|| json!(found.objects), |classes| json!(classes)),
        examples: Vec::new(),
        timings: found.timings,
        nothing: format!("nothing above {}", predict_options(report).conf.or(model.usual().conf).unwrap_or_default()),
        absent: Vec::new(),
        errors: &[],
    };
    report.succeed(place, &answer)
}
