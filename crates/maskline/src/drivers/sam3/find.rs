//! From prompts to objects with masks: the decoder for all of them, then masks of what is likely enough.

use maskline_models::ConceptHead;
use maskline_runtime::{Input, Outputs, SharedTensor, Tensor};
use maskline_vision::mask::{Frame, Logits, Upsampler};
use maskline_vision::nms::nms;

use super::prompts::Examples;
use super::{Features, Sam3, Sight};
use crate::drivers::NOT_FINITE;
use crate::drivers::{Call, Encoded, Inquiry, made_here};
use crate::host::in_parallel;
use crate::promptable::keep_apart;
use crate::{Error, ErrorKind, Object, Result, Stage, Stages};

/// Scores have to be above it, unless somebody says another.
pub(super) const SCORE: f32 = 0.5;
/// Overlap above which the worse of two boxes goes where concepts suppress each other; else nothing is suppressed.
const OVERLAP: f32 = 0.5;
/// How many prompts go through the decoder together. A list is cut into pieces of these sizes, the largest ones first.
const PIECES: [usize; 2] = [4, 1];

/// What is found of a concept, before it has a mask.
#[derive(Debug, Clone)]
struct Candidate {
    concept: usize,
    score: f32,
    /// Corners in pixels of the picture, cut at its border.
    bounds: [f32; 4],
    /// What the mask head is asked with.
    query: Vec<f32>,
}

/// A candidate with the logits of its mask.
struct CutOut {
    candidate: Candidate,
    logits: Logits,
}

/// Prompts of one run of the decoder.
#[derive(Debug)]
pub(super) struct Batch {
    /// Rows of the longest of them.
    pub(super) length: usize,
    /// f32 [prompts, length, width].
    pub(super) rows: Vec<f32>,
    /// f32 [prompts, length]: 1 for rows that count.
    pub(super) present: Vec<f32>,
}

impl Batch {
    /// Of prompts of any lengths.
    pub(super) fn of(prompts: &[&[f32]], width: usize) -> Self {
        let length = prompts.iter().map(|rows| rows.len() / width).max().unwrap_or(0);
        let mut batch = Self { length, rows: Vec::new(), present: Vec::new() };
        for prompt in prompts {
            let count = prompt.len() / width;
            batch.rows.extend_from_slice(prompt);
            batch.rows.resize(batch.rows.len() + (length - count) * width, 0.0);
            batch.present.extend((0..length).map(|row| if row < count { 1.0 } else { 0.0 }));
        }
        batch
    }

    pub(super) fn count(&self) -> usize {
        self.present.len() / self.length.max(1)
    }

    /// The inputs that say it.
    pub(super) fn inputs(&self) -> Result<Vec<(&'static str, Input)>> {
        let (count, length) = (self.count(), self.length);
        let width = self.rows.len() / (count * length).max(1);
        Ok(vec![
            (ConceptHead::PROMPT, Tensor::new([count, length, width], self.rows.clone())?.into()),
            (ConceptHead::PRESENT, Tensor::new([count, length], self.present.clone())?.into()),
        ])
    }
}

/// What the decoder gives of one prompt.
pub(super) struct Decoded {
    pub(super) logits: Vec<f32>,
    pub(super) presence: f32,
    /// Corners in 0..1, four per query.
    pub(super) boxes: Vec<f32>,
    /// f32 [queries, width].
    pub(super) queries: Vec<f32>,
    /// f32 [g², width].
    pub(super) encoded: Vec<f32>,
}

impl Sam3 {
    /// The objects of each concept, by falling score.
    pub(super) fn look_for(&self, inquiry: &Inquiry<'_>, stages: &mut Stages) -> Result<Vec<Result<Vec<Object>>>> {
        let call = &inquiry.call.slowed(self.parts.delays().mask_decode);
        let features = self.features(made_here::<Sight>(inquiry.picture)?, stages, call)?;
        let mut answers: Vec<Result<Vec<Object>>> = inquiry.concepts.iter().map(|_| Ok(Vec::new())).collect();
        let mut asked: Vec<(usize, Vec<f32>)> = Vec::new();
        for (index, concept) in inquiry.concepts.iter().enumerate() {
            match self.prompt(concept, &features, stages, call) {
                Ok(rows) => asked.push((index, rows)),
                Err(error) if error.kind() == ErrorKind::BadInput => answers[index] = Err(error),
                Err(error) => return Err(error),
            }
        }
        let (side, (width, height)) = (self.head.mask_side(), inquiry.size);
        let upsampler = Upsampler::new([side; 2], &Frame::Whole, [height, width]).map_err(Error::of_picture)?;
        let mut found: Vec<CutOut> = Vec::new();
        let mut left = asked.as_slice();
        let mut floor = f32::NEG_INFINITY;
        while !left.is_empty() {
            inquiry.call.check()?;
            let size = PIECES.into_iter().find(|size| *size <= left.len()).unwrap_or(1);
            let (piece, rest) = left.split_at(size);
            left = rest;
            let prompts: Vec<&[f32]> = piece.iter().map(|(_, rows)| rows.as_slice()).collect();
            let decoded = self.decode(&Batch::of(&prompts, self.head.width), &features, stages, call)?;
            for ((concept, rows), decoded) in piece.iter().zip(decoded) {
                let mut candidates = candidates(inquiry, *concept, &decoded);
                candidates.retain(|candidate| candidate.score > floor);
                // What is not there needs no masks.
                if !candidates.is_empty() {
                    found.extend(self.cut_out(candidates, &Asked::of(rows, &decoded, &features)?, stages, call)?);
                }
            }
            found.sort_by(|a, b| b.candidate.score.total_cmp(&a.candidate.score));
            // Where nothing is suppressed later, what is not among the best now will not be: nobody need keep its mask, or make others.
            if !inquiry.options.agnostic_nms {
                found.truncate(inquiry.options.max_detections);
                floor = found.get(inquiry.options.max_detections - 1).map_or(floor, |last| last.candidate.score);
            }
        }
        if inquiry.options.agnostic_nms {
            let keep = kept(found.iter().map(|cut| &cut.candidate), inquiry.options.iou.unwrap_or(OVERLAP));
            found = keep_only(found, &keep);
        }
        found.truncate(inquiry.options.max_detections);
        if inquiry.options.separate {
            keep_apart(found.iter_mut().map(|cut| &mut cut.logits).collect(), 0.0);
        }
        let masks = in_parallel(&found, |cut| Ok(upsampler.threshold(&cut.logits, 0.0)?))?;
        for (CutOut { candidate, .. }, mask) in found.into_iter().zip(masks) {
            let label = inquiry.concepts[candidate.concept].label.clone();
            let (class_id, score, bounds) = (Some(candidate.concept), candidate.score, candidate.bounds);
            if let Ok(objects) = &mut answers[candidate.concept] {
                objects.push(Object { label, class_id, score, bounds, mask: Some(mask), ..Object::default() });
            }
        }
        Ok(answers)
    }

    /// Runs the decoder: an answer per prompt.
    pub(super) fn decode(&self, batch: &Batch, features: &Features, stages: &mut Stages, call: &Call) -> Result<Vec<Decoded>> {
        let lanes = self.decoder.get(stages)?;
        let (outputs, spent) = features.ask(call, || {
            let mut inputs = batch.inputs()?;
            inputs.push((ConceptHead::ATTENDED, features.get(ConceptHead::ATTENDED)?.into()));
            lanes.run(inputs, Stage::ConceptDecode, call)
        })?;
        *stages += spent;
        let view = |name: &str| outputs.f32(name);
        let (logits, presence) = (view(ConceptHead::LOGITS)?, view(ConceptHead::PRESENCE)?);
        let (boxes, queries, encoded) = (view(ConceptHead::BOXES)?, view(ConceptHead::QUERIES)?, view(ConceptHead::ENCODED)?);
        let is_finite =
            [logits.data, presence.data, boxes.data, queries.data].iter().all(|data| data.iter().all(|value| value.is_finite()));
        if !is_finite || presence.data.len() != batch.count() {
            let error = Error::new(ErrorKind::BadAnswer, "the concept decoder's answer is not finite");
            return Err(error.with_help(NOT_FINITE));
        }
        let part = |data: &[f32], index: usize| {
            let size = data.len() / batch.count();
            data[index * size..(index + 1) * size].to_vec()
        };
        let decoded = |index: usize| Decoded {
            logits: part(logits.data, index),
            presence: presence.data[index],
            boxes: part(boxes.data, index),
            queries: part(queries.data, index),
            encoded: part(encoded.data, index),
        };
        Ok((0..batch.count()).map(decoded).collect())
    }

    /// The masks' logits of candidates of one prompt.
    fn cut_out(&self, candidates: Vec<Candidate>, asked: &Asked<'_>, stages: &mut Stages, call: &Call) -> Result<Vec<CutOut>> {
        let side = self.head.mask_side();
        let queries: Vec<f32> = candidates.iter().flat_map(|candidate| candidate.query.iter().copied()).collect();
        let outputs = self.run_masks(asked, &queries, stages, call)?;
        let masks = outputs.f32(ConceptHead::MASKS)?;
        let mut cut = Vec::with_capacity(candidates.len());
        for (candidate, logits) in candidates.into_iter().zip(masks.data.chunks_exact(side * side)) {
            // A sum is finite where all its parts are, for logits of any sane magnitude.
            if !logits.iter().sum::<f32>().is_finite() {
                let error = Error::new(ErrorKind::BadAnswer, "the mask head's answer is not finite");
                return Err(error.with_help(NOT_FINITE));
            }
            cut.push(CutOut { candidate, logits: Logits::new(logits.to_vec(), [side; 2])? });
        }
        Ok(cut)
    }

    /// Runs the mask head for objects f32 [objects, width].
    pub(super) fn run_masks(&self, asked: &Asked<'_>, queries: &[f32], stages: &mut Stages, call: &Call) -> Result<Outputs> {
        let lanes = self.masks.get(stages)?;
        let (outputs, spent) = asked.features.ask(call, || lanes.run(asked.inputs(queries)?, Stage::MaskDecode, call))?;
        *stages += spent;
        Ok(outputs)
    }

    /// Runs what answers concepts in the forms that are to come.
    pub(super) fn warm_up_concepts(&self, picture: &Encoded, call: &Call) -> Result<()> {
        let (width, mut stages) = (self.head.width, Stages::default());
        let features = self.features(made_here::<Sight>(picture)?, &mut stages, call)?;
        let examples = Examples { boxes: vec![0.5; 4], labels: vec![1] };
        let rows = self.encode_examples(&examples, &features, &mut stages, call)?;
        for size in PIECES {
            let decoded = self.decode(&Batch::of(&vec![rows.as_slice(); size], width), &features, &mut stages, call)?;
            for decoded in decoded.iter().take(1) {
                let asked = Asked::of(&rows, decoded, &features)?;
                self.run_masks(&asked, &decoded.queries[..width], &mut stages, call)?;
            }
        }
        Ok(())
    }
}

/// A prompt whose objects are to be cut out.
pub(super) struct Asked<'a> {
    batch: Batch,
    encoded: SharedTensor,
    features: &'a Features,
    width: usize,
}

impl<'a> Asked<'a> {
    /// Of the prompt's rows, and what the decoder gave of it.
    pub(super) fn of(rows: &[f32], decoded: &Decoded, features: &'a Features) -> Result<Self> {
        let width = decoded.queries.len() / decoded.logits.len().max(1);
        let encoded = Tensor::new([1, decoded.encoded.len() / width.max(1), width], decoded.encoded.clone())?;
        Ok(Self { batch: Batch::of(&[rows], width), encoded: SharedTensor::new(encoded)?, features, width })
    }

    /// The mask head's inputs for objects f32 [objects, width].
    pub(super) fn inputs(&self, queries: &[f32]) -> Result<Vec<(&'static str, Input)>> {
        let count = queries.len() / self.width.max(1);
        let mut inputs = self.batch.inputs()?;
        inputs.push((ConceptHead::ENCODED, self.encoded.clone().into()));
        inputs.push((ConceptHead::QUERIES, Tensor::new([1, count, self.width], queries.to_vec())?.into()));
        for name in [ConceptHead::MIDDLE, ConceptHead::FINE] {
            inputs.push((name, self.features.get(name)?.into()));
        }
        Ok(inputs)
    }
}

/// What a prompt found that is likely enough and lies on the picture, best first, as many as are wished.
fn candidates(inquiry: &Inquiry<'_>, concept: usize, decoded: &Decoded) -> Vec<Candidate> {
    let (options, (width, height)) = (inquiry.options, inquiry.size);
    let least = inquiry.concepts[concept].threshold.or(options.conf).unwrap_or(SCORE);
    let presence = sigmoid(decoded.presence);
    let size = decoded.queries.len() / decoded.logits.len().max(1);
    let (right, bottom) = (width as f32, height as f32);
    let mut found: Vec<Candidate> = Vec::new();
    for (index, (logit, side)) in decoded.logits.iter().zip(decoded.boxes.chunks_exact(4)).enumerate() {
        let score = sigmoid(*logit) * presence;
        let cut = |at: usize, length: f32| (side[at] * length).clamp(0.0, length);
        let bounds = [cut(0, right), cut(1, bottom), cut(2, right), cut(3, bottom)];
        if score > least && bounds[0] < bounds[2] && bounds[1] < bounds[3] {
            found.push(Candidate { concept, score, bounds, query: decoded.queries[index * size..(index + 1) * size].to_vec() });
        }
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    if let Some(overlap) = options.iou {
        let keep = kept(found.iter(), overlap);
        found = keep_only(found, &keep);
    }
    found.truncate(options.max_detections);
    found
}

/// Indices of those that overlap no better one by more.
fn kept<'a>(found: impl Iterator<Item = &'a Candidate>, overlap: f32) -> Vec<usize> {
    let (boxes, scores): (Vec<[f32; 4]>, Vec<f32>) = found.map(|candidate| (candidate.bounds, candidate.score)).unzip();
    nms(&boxes, &scores, f64::from(overlap))
}

fn keep_only<T>(all: Vec<T>, keep: &[usize]) -> Vec<T> {
    let kept = all.into_iter().enumerate().filter(|(index, _)| keep.contains(index));
    kept.map(|(_, one)| one).collect()
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
