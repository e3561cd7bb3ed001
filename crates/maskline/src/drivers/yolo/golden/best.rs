//! The best rows of a head without suppression, where scores that are nearly equal may stand in another order.

use maskline_models::Extras;
use maskline_models::yolo::decode::{Candidate, CandidateOptions, Prediction, candidates};

use super::super::objects::{choose, corners};
use super::super::outputs::DetectorOutputs;
use super::outputs::Answers;
use crate::verify::Computed;
use crate::{Error, ErrorKind, PredictOptions, Result};

/// A row that the reference may have chosen.
struct Row {
    anchor: usize,
    score: f32,
    /// Box, score, class and extras.
    values: Vec<f32>,
}

/// The golden rows, and how far scores may be apart that still stand in any order.
#[derive(Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) golden: &'a Computed,
    pub(super) tolerance: f64,
}

impl Order<'_> {
    /// The rows that are chosen, [batch, objects, 6 + extras], in the golden order as far as scores leave it open.
    pub(super) fn rows(self, answers: &Answers<'_>) -> Result<Computed> {
        let pictures = self.ordered(answers)?;
        let shape = vec![pictures.len(), pictures.first().map_or(0, Vec::len), 6 + answers.head.extras.channels()];
        Ok(Computed { shape, data: pictures.into_iter().flatten().flat_map(|row| row.values).collect() })
    }

    /// Their anchors, [batch, objects].
    pub(super) fn anchors(self, answers: &Answers<'_>) -> Result<Computed> {
        let pictures = self.ordered(answers)?;
        let shape = vec![pictures.len(), pictures.first().map_or(0, Vec::len)];
        Ok(Computed { shape, data: pictures.into_iter().flatten().map(|row| row.anchor as f32).collect() })
    }

    fn ordered(self, answers: &Answers<'_>) -> Result<Vec<Vec<Row>>> {
        let columns = 6 + answers.head.extras.channels();
        let &[batch, count, width] = self.golden.shape.as_slice() else {
            return Err(Error::new(ErrorKind::BadInput, "golden rows").expecting("[batch, objects, numbers]"));
        };
        if batch != answers.input.batch || width != columns {
            let expected = format!("[{}, objects, {columns}]", answers.input.batch);
            return Err(Error::new(ErrorKind::BadInput, "golden rows").expecting(expected).but_found(format!("{:?}", self.golden.shape)));
        }
        let outputs = DetectorOutputs::new(answers.outputs, answers.head, answers.input)?;
        let golden = self.golden.data.chunks((count * columns).max(1));
        golden.enumerate().map(|(picture, rows)| self.of_picture(answers, &outputs.of(picture).prediction, rows)).collect()
    }

    /// Each golden row takes, of our rows whose scores might stand in its place, the one that is most like it.
    fn of_picture(self, answers: &Answers<'_>, prediction: &Prediction<'_>, golden: &[f32]) -> Result<Vec<Row>> {
        let head = answers.head;
        let all = PredictOptions { conf: Some(f32::NEG_INFINITY), ..PredictOptions::default() };
        let chosen = choose(head, prediction, &all)?;
        let scores: Vec<f32> = chosen.iter().map(|candidate| candidate.score).collect();
        let last = scores.last().copied().unwrap_or(f32::INFINITY);
        // Those that might have been chosen instead of the last ones.
        let any = CandidateOptions { threshold: last - self.tolerance as f32, multi_label: true, classes: None };
        let mut others = candidates(head, prediction, &any)?;
        others.retain(|other| !chosen.iter().any(|taken| (taken.anchor, taken.class) == (other.anchor, other.class)));
        let mut pool: Vec<Option<Row>> = chosen.into_iter().chain(others).map(|candidate| Some(row(candidate, head.extras))).collect();
        let columns = 6 + head.extras.channels();
        let mut ordered = Vec::with_capacity(scores.len());
        for (place, score) in scores.iter().enumerate() {
            let Some(golden) = golden.get(place * columns..(place + 1) * columns) else { break };
            let fits = |row: &Row| f64::from((row.score - score).abs()) <= self.tolerance;
            let distance = |row: &Row| row.values.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let candidates = pool.iter().enumerate().filter_map(|(i, row)| Some((i, distance(row.as_ref().filter(|row| fits(row))?))));
            let nearest = candidates.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i);
            let taken = nearest.and_then(|i| pool[i].take());
            ordered.push(taken.ok_or_else(|| Error::new(ErrorKind::BadInput, format!("no row is left for place {place}")))?);
        }
        Ok(ordered)
    }
}

fn row(candidate: Candidate, extras: Extras) -> Row {
    let bounds = if extras == Extras::Angle { candidate.xywh } else { corners(candidate.xywh) };
    let values = bounds.into_iter().chain([candidate.score, candidate.class as f32]).chain(candidate.extras).collect();
    Row { anchor: candidate.anchor, score: candidate.score, values }
}
