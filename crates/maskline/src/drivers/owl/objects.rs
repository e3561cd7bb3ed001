//! From likeness to objects in pixels of the picture.

use std::collections::BTreeMap;
use std::time::Instant;

use maskline_models::ModelInfo;
use maskline_vision::Object;
use maskline_vision::nms::nms;

use super::example::choose;
use super::extent;
use super::likeness::{best, sigmoid};
use super::sight::Sight;
use super::words::Words;
use crate::drivers::{Inquiry, Shown, Wanted, made_here};
use crate::{Error, ErrorKind, PredictOptions, Result, Stage, Stages, limits};

/// Scores of words have to be above it, unless somebody says another.
pub(super) const WORD_SCORE: f32 = 0.1;
/// Scores of examples, before they are rescaled, have to reach it. (The reference's function would show all; its examples say 0.6.)
pub(super) const EXAMPLE_SCORE: f32 = 0.6;
/// The worse of two boxes goes that an example finds, if they overlap by more. Words suppress nothing.
const EXAMPLE_OVERLAP: f32 = 0.3;
/// A score that is this share of an example's best one is shown as 0.
const FAINTEST: f32 = 0.1;

/// Refuses options that are outside their domain.
pub(super) fn check(info: &ModelInfo, options: &PredictOptions) -> Result<()> {
    options.check_shares()?;
    limits::check_count("max_detections", options.max_detections, usize::MAX)?;
    options.check_built_size(info.default_size)
}

/// A patch that may be an answer.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    patch: usize,
    concept: usize,
    score: f32,
}

/// The objects of each concept, by falling score. Comparing is told as [`Stage::Match`].
///
/// All words of a request compete: each patch answers the phrase that it is most like, as in the reference. An example stands alone, with
/// the words that say the same and the examples of what it is not.
pub(super) fn find(info: &ModelInfo, inquiry: &Inquiry<'_>, stages: &mut Stages) -> Result<Vec<Result<Vec<Object>>>> {
    let sight = made_here::<Sight>(inquiry.picture)?;
    let finder = Finder { info, sight, boxes: sight.corners()?, inquiry };
    let start = Instant::now();
    let mut found = finder.of_words()?;
    let mut failed: Vec<Option<Error>> = inquiry.concepts.iter().map(|_| None).collect();
    for (index, concept) in inquiry.concepts.iter().enumerate().filter(|(_, concept)| !concept.examples.is_empty()) {
        match finder.of_example(index, concept) {
            Ok(candidates) => found.extend(candidates),
            Err(error) if error.kind() == ErrorKind::BadInput => failed[index] = Some(error),
            Err(error) => return Err(error),
        }
    }
    stages.spend(Stage::Match, start.elapsed());
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    if inquiry.options.agnostic_nms {
        found = finder.suppress(&found, inquiry.options.iou.unwrap_or(EXAMPLE_OVERLAP));
    }
    let objects = found.into_iter().filter_map(|candidate| finder.object(candidate)).take(inquiry.options.max_detections);
    let mut answers: Vec<Result<Vec<Object>>> = failed.into_iter().map(|error| error.map_or(Ok(Vec::new()), Err)).collect();
    for (concept, object) in objects {
        if let Ok(objects) = &mut answers[concept] {
            objects.push(object);
        }
    }
    Ok(answers)
}

/// What is looked for in one picture.
struct Finder<'a> {
    info: &'a ModelInfo,
    sight: &'a Sight,
    /// In 0..1 of the input, by patch.
    boxes: Vec<[f32; 4]>,
    inquiry: &'a Inquiry<'a>,
}

impl Finder<'_> {
    /// What the phrases find.
    fn of_words(&self) -> Result<Vec<Candidate>> {
        let concepts = self.inquiry.concepts;
        let (mut places, mut queries) = (Vec::new(), Vec::new());
        for (index, concept) in concepts.iter().enumerate().filter(|(_, concept)| concept.examples.is_empty()) {
            if let Some(words) = &concept.words {
                places.push(index);
                queries.push(made_here::<Words>(words)?.query());
            }
        }
        let least = |concept: usize| concepts[concept].threshold.or(self.inquiry.options.conf).unwrap_or(WORD_SCORE);
        let candidates = best(self.sight, &queries)?.into_iter().enumerate().map(|(patch, best)| Candidate {
            patch,
            concept: places[best.query],
            score: sigmoid(best.logit),
        });
        let found: Vec<Candidate> = candidates.filter(|found| found.score > least(found.concept)).collect();
        Ok(match self.inquiry.options.iou {
            Some(overlap) => {
                let mut by_concept: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
                found.into_iter().for_each(|found| by_concept.entry(found.concept).or_default().push(found));
                by_concept.into_values().flat_map(|found| self.suppress(&found, overlap)).collect()
            }
            None => found,
        })
    }

    /// What an example finds: scores are rescaled so that the best one is 1.
    fn of_example(&self, index: usize, concept: &Wanted) -> Result<Vec<Candidate>> {
        let mut queries: Vec<Vec<f32>> = Vec::new();
        if let Some(words) = &concept.words {
            queries.push(made_here::<Words>(words)?.query().to_vec());
        }
        let chosen = |is_positive: bool| {
            let examples = concept.examples.iter().filter(move |shown| shown.is_positive == is_positive);
            examples.map(|shown| self.query_of(shown)).collect::<Result<Vec<_>>>()
        };
        queries.extend(chosen(true)?);
        let wanted = queries.len();
        queries.extend(chosen(false)?);
        let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
        let (conf, least) = (concept.threshold.or(self.inquiry.options.conf).unwrap_or(EXAMPLE_SCORE), FAINTEST);
        // A patch that is more like what is not wanted is none.
        let likely = best(self.sight, &queries)?.into_iter().enumerate().filter(|(_, best)| best.query < wanted);
        let found: Vec<Candidate> = likely.map(|(patch, best)| Candidate { patch, concept: index, score: sigmoid(best.logit) }).collect();
        let highest = found.iter().map(|found| found.score).fold(0.0, f32::max) + 1e-6;
        // What would not be shown suppresses nobody that is: suppression goes from better to worse.
        let shown: Vec<Candidate> = found.into_iter().filter(|found| found.score >= conf && found.score > least * highest).collect();
        let kept = self.suppress(&shown, self.inquiry.options.iou.unwrap_or(EXAMPLE_OVERLAP));
        let rescaled = |score: f32| ((score - highest * least) / (highest * (1.0 - least))).clamp(0.0, 1.0);
        Ok(kept.into_iter().map(|found| Candidate { score: rescaled(found.score), ..found }).filter(|found| found.score > 0.0).collect())
    }

    /// What an example looks like.
    fn query_of(&self, shown: &Shown) -> Result<Vec<f32>> {
        let bounds = match shown.bounds {
            Some(bounds) => Some(within(bounds, shown.size)?),
            None => None,
        };
        let [across, down] = extent(self.info, shown.size);
        let bounds = bounds.map(|[x1, y1, x2, y2]| [x1 / across, y1 / down, x2 / across, y2 / down]);
        Ok(choose(made_here::<Sight>(&shown.picture)?, bounds)?.query)
    }

    /// Those that overlap no better one by more, best first.
    fn suppress(&self, found: &[Candidate], overlap: f32) -> Vec<Candidate> {
        let boxes: Vec<[f32; 4]> = found.iter().map(|found| self.boxes[found.patch]).collect();
        let scores: Vec<f32> = found.iter().map(|found| found.score).collect();
        nms(&boxes, &scores, f64::from(overlap)).into_iter().map(|index| found[index]).collect()
    }

    /// The object with its concept; `None` where it is beside the picture, in what was added to make it a square.
    fn object(&self, candidate: Candidate) -> Option<(usize, Object)> {
        let (width, height) = self.inquiry.size;
        let [across, down] = extent(self.info, self.inquiry.size);
        let [x1, y1, x2, y2] = self.boxes[candidate.patch];
        let (right, bottom) = (width as f32, height as f32);
        let bounds = [
            (x1 * across).clamp(0.0, right),
            (y1 * down).clamp(0.0, bottom),
            (x2 * across).clamp(0.0, right),
            (y2 * down).clamp(0.0, bottom),
        ];
        let concept = &self.inquiry.concepts[candidate.concept];
        let object =
            Object { label: concept.label.clone(), class_id: Some(candidate.concept), score: candidate.score, bounds, ..Object::default() };
        (bounds[0] < bounds[2] && bounds[1] < bounds[3]).then_some((candidate.concept, object))
    }
}

/// The part of an example's box that lies on its picture of this `size`, its width and height.
fn within(bounds: [f32; 4], size: (usize, usize)) -> Result<[f32; 4]> {
    let (width, height) = size;
    let (right, bottom) = (width as f32, height as f32);
    let [x1, y1, x2, y2] = [bounds[0].max(0.0), bounds[1].max(0.0), bounds[2].min(right), bounds[3].min(bottom)];
    if x1 < x2 && y1 < y2 {
        return Ok([x1, y1, x2, y2]);
    }
    let error = Error::new(ErrorKind::BadInput, "example").expecting(format!("a box that overlaps its picture of {width} × {height}"));
    Err(error.but_found(format!("{bounds:?}")))
}

#[cfg(test)]
mod tests;
