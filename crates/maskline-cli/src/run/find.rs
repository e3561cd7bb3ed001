//! Running models that find what words and examples say.

use std::time::Duration;

use maskline::vision::draw::Marks;
use maskline::{Detections, Image, Model, PredictOptions};
use serde_json::json;

use super::detect::predict_options;
use super::report::{Answer, Report};
use crate::concepts::{Concepts, Least};
use crate::failure::Failure;
use crate::output::Drawn;
use crate::terminal::Waiting;

/// Reading fewer phrases takes no longer than people wait without a word.
const MANY: usize = 64;

/// A model, and what it looks for in every picture.
pub(super) struct Finder<'a> {
    pub(super) model: &'a Model,
    pub(super) concepts: &'a Concepts,
}

impl Finder<'_> {
    pub(super) fn answer(&self, report: &mut Report<'_>, places: &[usize]) -> Result<(), Failure> {
        for &place in places {
            let count = self.concepts.list().len();
            // With the first picture; later ones find them read.
            let is_long = place == 0 && count > MANY && !report.arguments.quiet;
            let _waiting = is_long.then(|| Waiting::after(Duration::from_secs(1), format!("reading {count} phrases and examples")));
            let found = report.open(place).and_then(|image| {
                let found = self.model.find_concepts(&image, self.concepts.list(), &options(report))?;
                Ok((image, found))
            });
            match found {
                Ok((image, found)) => self.tell(report, place, &image, &found)?,
                Err(error) => report.fail(place, error)?,
            }
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report<'_>, place: usize, image: &Image, found: &Detections) -> Result<(), Failure> {
        let absent = self.concepts.absent(&found.objects, Least::of(self.model, predict_options(report).conf));
        let boxes = self.concepts.wanted_boxes();
        let answer = Answer {
            image,
            models: &[self.model],
            drawn: Drawn { objects: &found.objects, classes: None, marks: Marks { boxes: &boxes, ..Marks::default() } },
            found: json!(found.objects),
            examples: self.concepts.boxes(),
            timings: found.timings,
            nothing: absent.join("; "),
            absent,
            errors: &[],
        };
        report.succeed(place, &answer)
    }
}

/// How a model looks for what it is told; masks that it gives keep apart where that is wished.
pub(super) fn options(report: &Report<'_>) -> PredictOptions {
    PredictOptions { separate: report.arguments.prompted.no_overlap, ..predict_options(report) }
}
