//! Golden tensors of SAM 3: every part that ships, and the inner tensors of those with taps.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use maskline_models::{ConceptHead, WordHead};
use maskline_runtime::{Outputs, SharedTensor, Tensor};

use super::find::{Asked, Batch, Decoded};
use super::prompts::Examples;
use super::{Features, Sam3, Sight};
use crate::drivers::{Call, Driver};
use crate::verify::{AtSize, Case, Check, Computed, Sizes};
use crate::{Error, ErrorKind, Result, Stage, Stages};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["sam3_image", "sam3_lite_text"];
/// The family of cases of the click head, which is also checked where it is the only one.
pub(super) const CLICKS: &str = "sam3_tracker";

/// Hugging Face cuts the presence's logit to this; the official code means to, and does not.
const MOST_PRESENCE: f32 = 10.0;
/// The label of boxes that fill up a batch.
const NO_BOX: f32 = -10.0;

pub(super) struct Golden<'c> {
    case: &'c Case,
    calls: HashMap<String, Result<Answered>>,
}

/// A picture, with the inner tensors of its neck.
struct Seen {
    sight: Sight,
    features: Arc<Features>,
    taps: Outputs,
}

/// What a call's inputs gave, row by row of its batch.
struct Answered {
    rows: Vec<Row>,
    /// Of the tapped text encoder, for all rows; those after a text's end as the reference has them.
    text: Outputs,
    words: Computed,
    pictures: Vec<Arc<Seen>>,
}

struct Row {
    decoded: Decoded,
    /// Of the tapped decoder.
    inner: Outputs,
    masks: Computed,
    semantic: Computed,
    /// Rows of the examples, of which there are as many as boxes that are some, and one more.
    examples: Option<Vec<f32>>,
}

/// The model as it ships, and with its inner tensors.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) shipped: Arc<Sam3>,
    pub(super) tapped: Arc<Sam3>,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, models: [Arc<dyn Driver>; 2], at_size: AtSize<'_>) -> Result<Self> {
        let pair = Pair::of(models)?;
        let mut lengths: HashMap<usize, Pair> = HashMap::from([(pair.shipped.head.context, pair.clone())]);
        let mut known: HashMap<String, Vec<Arc<Seen>>> = HashMap::new();
        let mut calls = HashMap::new();
        let names: Vec<String> = case.calls().into_iter().map(|call| call.name).collect();
        for call in &names {
            // A call without a picture asks about that of the first one.
            let holder = if case.has_input(&format!("{call}.pixel_values")) { call } else { &names[0] };
            let answered = match known.get(holder) {
                Some(pictures) => Ok(pictures.clone()),
                None => pair.see(case, holder),
            }
            .and_then(|pictures| {
                known.insert(holder.clone(), pictures.clone());
                let ids = TokenIds::of(case, call)?;
                let pair = match lengths.entry(ids.length) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(Pair::of(at_size(Sizes { context: Some(ids.length), ..Sizes::default() })?)?),
                };
                pair.answer(Calling { case, name: call, ids }, pictures)
            });
            calls.insert(call.clone(), answered);
        }
        Ok(Self { case, calls })
    }
}

impl Pair {
    pub(super) fn of(models: [Arc<dyn Driver>; 2]) -> Result<Self> {
        let own = |model: Arc<dyn Driver>| {
            let any: Arc<dyn Any + Send + Sync> = model;
            any.downcast::<Sam3>().map_err(|_| Error::new(ErrorKind::Failed, "the model has another driver"))
        };
        let [shipped, tapped] = models.map(own);
        Ok(Self { shipped: shipped?, tapped: tapped? })
    }

    fn see(&self, case: &Case, call: &str) -> Result<Vec<Arc<Seen>>> {
        let pixels = case.input(&format!("{call}.pixel_values"))?;
        let side = self.shipped.info().default_size;
        if pixels.shape[1..] != [3, side, side] {
            let error = Error::new(ErrorKind::BadInput, format!("{call}.pixel_values")).expecting(format!("[batch, 3, {side}, {side}]"));
            return Err(error.but_found(format!("{:?}", pixels.shape)));
        }
        let seen = |picture: &[f32]| {
            let (call, mut stages) = (Call::default(), Stages::default());
            let sight = self.shipped.see(picture.to_vec(), &call)?;
            let features = self.shipped.features(&sight, &mut stages, &call)?;
            let (taps, _) = self.tapped.neck(&sight, &mut stages)?.run(&call)?;
            Ok(Arc::new(Seen { sight, features, taps }))
        };
        pixels.data.chunks_exact(3 * side * side).map(seen).collect()
    }

    fn answer(&self, calling: Calling<'_>, pictures: Vec<Arc<Seen>>) -> Result<Answered> {
        let Calling { case, name: call, ids } = calling;
        let present = ids.present();
        // Meta's text encoder is told of no padding: what stands there is seen by nobody else.
        let told = if is_of_meta(case) { vec![vec![1.0; ids.length]; ids.rows.len()] } else { present.clone() };
        let text = self.tapped_text(&ids.rows, &told)?;
        let words = plain(&text, ConceptHead::WORDS)?;
        let (stages, at) = (&mut Stages::default(), &Call::default());
        let rows_of_text = match &ids.mask {
            Some(_) => self.shipped.reader.encode(&ids.rows, stages, at)?,
            // Padding that counts as text: nobody can ask so, and text encoders that look at it are not made for it as they ship.
            None => words.data.chunks_exact(words.data.len() / ids.rows.len()).map(<[f32]>::to_vec).collect(),
        };
        let boxes = Boxes::of(case, call)?;
        let mut rows = Vec::with_capacity(ids.rows.len());
        for (index, (text, present)) in rows_of_text.iter().zip(&present).enumerate() {
            let picture = pictures.get(index).unwrap_or(&pictures[0]);
            let examples = match &boxes {
                Some(boxes) => Some(self.encode_boxes(&boxes.of_row(index), picture)?),
                // The official code never leaves the examples' part of a prompt out, Hugging Face's does.
                None if case.outputs()?.has(&format!("{call}.geometry")) => Some(self.encode_boxes(&Examples::default(), picture)?),
                None => None,
            };
            rows.push(self.row(Asking { text, present, examples }, picture)?);
        }
        Ok(Answered { rows, text, words, pictures })
    }

    fn encode_boxes(&self, examples: &Examples, picture: &Seen) -> Result<Vec<f32>> {
        if examples.labels.is_empty() {
            return Ok(picture.features.get(ConceptHead::BLANK)?.view::<f32>()?.data.to_vec());
        }
        self.shipped.encode_examples(examples, &picture.features, &mut Stages::default(), &Call::default())
    }

    /// The tapped text encoder's answer for all rows.
    fn tapped_text(&self, ids: &[Vec<i64>], present: &[Vec<f32>]) -> Result<Outputs> {
        let shape = [ids.len(), ids[0].len()];
        let mask: Vec<i64> = present.iter().flatten().map(|value| *value as i64).collect();
        let inputs = vec![(WordHead::IDS, Tensor::new(shape, ids.concat())?), (WordHead::MASK, Tensor::new(shape, mask)?)];
        let (outputs, _) = self.tapped.reader.lanes(&mut Stages::default())?.run(inputs, Stage::TextEncode, &Call::default())?;
        Ok(outputs)
    }

    fn row(&self, asking: Asking<'_>, picture: &Seen) -> Result<Row> {
        let (width, stages, call) = (self.shipped.head.width, &mut Stages::default(), &Call::default());
        // What pads a text is left out, as it is where people ask.
        let kept = asking.text.chunks_exact(width).zip(asking.present).filter(|(_, present)| **present != 0.0);
        let mut rows: Vec<f32> = kept.flat_map(|(row, _)| row.iter().copied()).collect();
        rows.extend(asking.examples.iter().flatten());
        let batch = Batch::of(&[&rows], width);
        let mut decoded = self.shipped.decode(&batch, &picture.features, stages, call)?;
        let nothing = || Error::new(ErrorKind::Failed, "the decoder gave nothing");
        let decoded = decoded.pop().ok_or_else(nothing)?;
        let mut inputs = batch.inputs()?;
        inputs.push((ConceptHead::ATTENDED, picture.features.get(ConceptHead::ATTENDED)?.into()));
        let (inner, _) = self.tapped.decoder.get(stages)?.run(inputs, Stage::ConceptDecode, call)?;
        let asked = Asked::of(&rows, &decoded, &picture.features)?;
        let masks = plain(&self.shipped.run_masks(&asked, &decoded.queries, stages, call)?, ConceptHead::MASKS)?;
        let semantic = plain(&self.tapped.run_masks(&asked, &decoded.queries[..width], stages, call)?, "semantic_seg")?;
        Ok(Row { decoded, inner, masks, semantic, examples: asking.examples })
    }
}

/// A call, and its texts.
struct Calling<'a> {
    case: &'a Case,
    name: &'a str,
    ids: TokenIds,
}

/// The texts of a call.
struct TokenIds {
    /// All of `length` tokens.
    rows: Vec<Vec<i64>>,
    length: usize,
    /// 1 for tokens that count, where the call says which.
    mask: Option<Vec<f32>>,
}

impl TokenIds {
    fn of(case: &Case, call: &str) -> Result<Self> {
        let (ids, mask) = (case.input(&format!("{call}.input_ids"))?, format!("{call}.attention_mask"));
        let mask = case.has_input(&mask).then(|| case.input(&mask)).transpose()?;
        let Some(length) = ids.shape.get(1).copied().filter(|_| ids.shape.len() == 2 && !ids.data.is_empty()) else {
            return Err(Error::new(ErrorKind::BadInput, format!("{call}.input_ids")).expecting("[rows, tokens]"));
        };
        let rows = ids.data.chunks_exact(length).map(|row| row.iter().map(|id| *id as i64).collect());
        Ok(Self { rows: rows.collect(), length, mask: mask.map(|mask| mask.data) })
    }

    /// 1 for tokens that count; without a mask all do.
    fn present(&self) -> Vec<Vec<f32>> {
        match &self.mask {
            Some(mask) => mask.chunks_exact(self.length).map(<[f32]>::to_vec).collect(),
            None => vec![vec![1.0; self.length]; self.rows.len()],
        }
    }
}

/// What a row of a call asks.
struct Asking<'a> {
    /// f32 [context, width].
    text: &'a [f32],
    /// 1 for tokens that count.
    present: &'a [f32],
    examples: Option<Vec<f32>>,
}

/// The boxes of a call.
struct Boxes {
    boxes: Computed,
    labels: Vec<f32>,
}

impl Boxes {
    fn of(case: &Case, call: &str) -> Result<Option<Self>> {
        let [boxes, labels] = ["input_boxes", "input_boxes_labels"].map(|name| format!("{call}.{name}"));
        if !case.has_input(&boxes) {
            return Ok(None);
        }
        let boxes = case.input(&boxes)?;
        let labels = if case.has_input(&labels) { case.input(&labels)?.data } else { vec![1.0; boxes.data.len() / 4] };
        Ok(Some(Self { boxes, labels }))
    }

    /// Those of one row that are some.
    fn of_row(&self, row: usize) -> Examples {
        let count = self.boxes.shape[1];
        let mut examples = Examples::default();
        for index in row * count..(row + 1) * count {
            if self.labels[index] != NO_BOX {
                examples.boxes.extend_from_slice(&self.boxes.data[4 * index..][..4]);
                examples.labels.push(self.labels[index] as i64);
            }
        }
        examples
    }
}

impl Answered {
    /// A tensor of every row, one after another.
    fn joined(&self, shape: &[usize], of_row: impl Fn(&Row) -> Result<Vec<f32>>) -> Result<Computed> {
        let data = self.rows.iter().map(of_row).collect::<Result<Vec<_>>>()?.concat();
        Ok(Computed { shape: [&[self.rows.len()], shape].concat(), data })
    }

    /// An inner tensor [layers, 1, ..] of every row as [layers, rows, ..].
    fn layered(&self, name: &str, most: f32) -> Result<Computed> {
        let parts = self.rows.iter().map(|row| plain(&row.inner, name)).collect::<Result<Vec<_>>>()?;
        let mut shape = parts[0].shape.clone();
        let size: usize = shape[2..].iter().product();
        shape[1] = parts.len();
        let mut data = Vec::new();
        for layer in 0..shape[0] {
            parts
                .iter()
                .for_each(|part| data.extend(part.data[layer * size..(layer + 1) * size].iter().map(|value| value.clamp(-most, most))));
        }
        Ok(Computed { shape, data })
    }

    /// Of every picture of the call, one after another.
    fn pictured(&self, of: impl Fn(&Seen) -> Result<Computed>) -> Result<Computed> {
        let mut parts = self.pictures.iter().map(|seen| of(seen)).collect::<Result<Vec<_>>>()?.into_iter();
        let first = parts.next().ok_or_else(|| Error::new(ErrorKind::BadInput, "the call has no picture"))?;
        Ok(parts.fold(first, |mut all, part| {
            all.shape[0] += part.shape[0];
            all.data.extend(part.data);
            all
        }))
    }

    /// The rows of examples. Where a row has fewer than others, what fills it up means nothing to anybody: it is taken from the golden
    /// tensor, whose mask says where that is.
    fn geometry(&self, golden: &Computed) -> Result<Computed> {
        let size = golden.data.len() / self.rows.len().max(1);
        let mut data = Vec::with_capacity(golden.data.len());
        for (row, filled) in self.rows.iter().zip(golden.data.chunks_exact(size)) {
            let examples = row.examples.as_ref().ok_or_else(|| Error::new(ErrorKind::BadInput, "the call has no boxes"))?;
            data.extend_from_slice(examples);
            data.extend_from_slice(filled.get(examples.len()..).unwrap_or(&[]));
        }
        Ok(Computed { shape: golden.shape.clone(), data })
    }

    /// Which of them are some.
    fn geometry_mask(&self, width: usize, length: usize) -> Result<Computed> {
        self.joined(&[length], |row| {
            let count = row.examples.as_ref().map_or(0, Vec::len) / width;
            Ok((0..length).map(|index| if index < count { 1.0 } else { 0.0 }).collect())
        })
    }
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (call, tensor) = name.split_once('.').ok_or_else(unknown)?;
        let answered = self.calls.get(call).ok_or_else(unknown)?.as_ref().map_err(Clone::clone)?;
        let queries = answered.rows[0].decoded.logits.len();
        let most_presence = if is_of_meta(self.case) { f32::MAX } else { MOST_PRESENCE };
        match tensor {
            "pred_masks" => answered.joined(&answered.rows[0].masks.shape[1..], |row| Ok(row.masks.data.clone())),
            "pred_boxes" => answered.joined(&[queries, 4], |row| Ok(row.decoded.boxes.clone())),
            "pred_logits" => answered.joined(&[queries], |row| Ok(row.decoded.logits.clone())),
            "presence_logits" => answered.joined(&[1], |row| Ok(vec![row.decoded.presence.clamp(-most_presence, most_presence)])),
            "semantic_seg" => answered.joined(&answered.rows[0].semantic.shape[1..], |row| Ok(row.semantic.data.clone())),
            "text_features" => Ok(answered.words.clone()),
            "geometry" => answered.geometry(&self.case.output(name)?),
            "geometry_mask" => {
                let length = self.case.output(name)?.shape[1];
                let width = answered.rows[0].decoded.queries.len() / queries;
                answered.geometry_mask(width, length)
            }
            "decoder_hidden" | "reference_boxes" => answered.layered(tensor, f32::MAX),
            "presence_all" => answered.layered(tensor, most_presence),
            "encoder" => {
                let width = answered.rows[0].decoded.queries.len() / queries;
                answered.joined(&[answered.rows[0].decoded.encoded.len() / width, width], |row| Ok(row.decoded.encoded.clone()))
            }
            _ if tensor.starts_with("text_layer") => plain(&answered.text, tensor),
            "vit" => answered.pictured(|seen| shared(&seen.sight.trunk().now()[0])),
            "fpn_pos.2" => plain(&answered.pictures[0].taps, tensor),
            _ if tensor.starts_with("fpn.") => answered.pictured(|seen| plain(&seen.taps, tensor)),
            _ => Err(unknown()),
        }
    }
}

/// Whether Meta's own classes made it.
fn is_of_meta(case: &Case) -> bool {
    case.entry("cls").as_str().is_some_and(|class| class.starts_with("sam3"))
}

fn plain(outputs: &Outputs, name: &str) -> Result<Computed> {
    let view = outputs.f32(name)?;
    Ok(Computed { shape: view.shape, data: view.data.to_vec() })
}

fn shared(tensor: &SharedTensor) -> Result<Computed> {
    let view = tensor.view::<f32>()?;
    Ok(Computed { shape: view.shape, data: view.data.to_vec() })
}
