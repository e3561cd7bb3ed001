//! Golden tensors of OWL-ViT and OWLv2: the encoders that ship, the product of what they give, and the choice of an example's patch.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use maskline_models::WordHead;
use maskline_runtime::{Outputs, Tensor};

use super::Owl;
use super::example::{Chosen, choose};
use super::likeness::logits;
use super::sight::{LENGTH_MARGIN, Sight, length, query};
use crate::drivers::{Call, Driver};
use crate::verify::{AtSize, Case, Check, Computed, Sizes};
use crate::{Error, ErrorKind, Result, Stage, Stages};

/// Families of cases that this checks.
pub(in crate::drivers) const CASES: &[&str] = &["owlvit", "owlv2"];

pub(super) struct Golden<'c> {
    case: &'c Case,
    calls: HashMap<String, Result<Answered>>,
}

/// What a call's inputs gave.
struct Answered {
    pictures: Seen,
    /// Of text calls.
    phrases: Option<Phrases>,
    /// Of image-guided calls.
    examples: Option<Seen>,
}

/// Pictures of one size.
struct Seen {
    grid: usize,
    sights: Vec<Sight>,
    taps: Outputs,
}

/// The phrases of all pictures of a call.
struct Phrases {
    /// The first id of each is 0.
    is_padding: Vec<bool>,
    /// Of length 1.
    embeddings: Vec<Vec<f32>>,
    taps: Outputs,
}

/// The model as it ships, and with its inner tensors.
#[derive(Clone)]
struct Pair {
    shipped: Arc<Owl>,
    tapped: Arc<Owl>,
}

impl<'c> Golden<'c> {
    pub(super) fn of(case: &'c Case, models: [Arc<dyn Driver>; 2], at_size: AtSize<'_>) -> Result<Self> {
        let trained = Pair::of(models)?;
        let mut sizes: HashMap<usize, Pair> = HashMap::from([(trained.shipped.info().default_size, trained.clone())]);
        let mut calls = HashMap::new();
        for call in case.calls() {
            let answered = Self::answer(case, &call.name, &trained, &mut |side| {
                if let Some(pair) = sizes.get(&side) {
                    return Ok(pair.clone());
                }
                let pair = Pair::of(at_size(Sizes { image: Some(side), ..Sizes::default() })?)?;
                sizes.insert(side, pair.clone());
                Ok(pair)
            });
            calls.insert(call.name, answered);
        }
        Ok(Self { case, calls })
    }

    fn answer(case: &Case, call: &str, trained: &Pair, at_size: &mut dyn FnMut(usize) -> Result<Pair>) -> Result<Answered> {
        let mut see = |name: &str| {
            let pixels = case.input(&format!("{call}.{name}"))?;
            let &[_, 3, height, width] = pixels.shape.as_slice() else {
                return Err(Error::new(ErrorKind::BadInput, format!("{call}.{name}")).expecting("[batch, 3, height, width]"));
            };
            if height != width {
                let error =
                    Error::new(ErrorKind::BadInput, format!("{call}.{name}")).expecting("a square picture, as all are that models see");
                return Err(error.but_found(format!("{height} × {width}")));
            }
            at_size(height)?.see(&pixels.data)
        };
        let (ids, other) = (format!("{call}.input_ids"), format!("{call}.query_pixel_values"));
        Ok(Answered {
            pictures: see("pixel_values")?,
            phrases: case
                .has_input(&ids)
                .then(|| trained.read(&case.input(&ids)?, &case.input(&format!("{call}.attention_mask"))?))
                .transpose()?,
            examples: case.has_input(&other).then(|| see("query_pixel_values")).transpose()?,
        })
    }
}

impl Pair {
    fn of(models: [Arc<dyn Driver>; 2]) -> Result<Self> {
        let owl = |model: Arc<dyn Driver>| {
            let any: Arc<dyn Any + Send + Sync> = model;
            any.downcast::<Owl>().map_err(|_| Error::new(ErrorKind::Failed, "the model has another driver"))
        };
        let [shipped, tapped] = models.map(owl);
        Ok(Self { shipped: shipped?, tapped: tapped? })
    }

    fn see(&self, pixels: &[f32]) -> Result<Seen> {
        let side = self.shipped.info().default_size;
        let sight = |picture: &[f32]| {
            let (mut outputs, _) = self.shipped.encoder.run_values(picture.to_vec(), &Call::default())?;
            Sight::of(&mut outputs, &self.shipped.head)
        };
        let sights = pixels.chunks_exact(3 * side * side).map(sight).collect::<Result<_>>()?;
        Ok(Seen { grid: self.shipped.head.grid, sights, taps: self.tapped.encoder.run_values(pixels.to_vec(), &Call::default())?.0 })
    }

    fn read(&self, ids: &Computed, mask: &Computed) -> Result<Phrases> {
        let &[phrases, length] = ids.shape.as_slice() else {
            return Err(Error::new(ErrorKind::BadInput, "input_ids").expecting("[phrases, tokens]").but_found(format!("{:?}", ids.shape)));
        };
        let WordHead { context, width, .. } = self.shipped.head;
        if length > context {
            return Err(Error::new(ErrorKind::BadInput, "input_ids").expecting(format!("up to {context} tokens")).but_found(length));
        }
        // Later tokens change nothing.
        let rows = |values: &Computed| -> Vec<Vec<i64>> {
            let row = |row: &[f32]| row.iter().map(|id| *id as i64).chain(std::iter::repeat(0)).take(context).collect();
            values.data.chunks_exact(length).map(row).collect()
        };
        let (ids, mask) = (rows(ids), rows(mask));
        let tensor = |rows: &[Vec<i64>]| Tensor::new([phrases, context], rows.concat());
        let inputs = vec![(WordHead::IDS, tensor(&ids)?), (WordHead::MASK, tensor(&mask)?)];
        let (taps, _) = self.tapped.reader.lanes(&mut Stages::default())?.run(inputs, Stage::TextEncode, &Call::default())?;
        let is_padding: Vec<bool> = ids.iter().map(|row| row[0] == 0).collect();
        let mut embeddings = self.shipped.reader.encode(&ids, &mut Stages::default(), &Call::default())?;
        // What padding gives is looked at by nobody but the reference, where it sees nothing at all.
        let tapped = taps.f32(WordHead::WORDS)?;
        for (index, embedding) in embeddings.iter_mut().enumerate().filter(|(index, _)| is_padding[*index]) {
            embedding.copy_from_slice(&tapped.data[index * width..(index + 1) * width]);
        }
        Ok(Phrases { is_padding, embeddings, taps })
    }
}

impl Answered {
    /// Of each picture, the logits of its queries by patch.
    fn logits(&self) -> Result<Computed> {
        let sights = &self.pictures.sights;
        let (mut data, mut queries) = (Vec::new(), 1);
        for (index, sight) in sights.iter().enumerate() {
            match &self.phrases {
                Some(phrases) => {
                    queries = phrases.embeddings.len() / sights.len();
                    let range = index * queries..(index + 1) * queries;
                    let of_picture: Vec<Vec<f32>> = phrases.embeddings[range.clone()].iter().map(|embedding| query(embedding)).collect();
                    let of_picture: Vec<&[f32]> = of_picture.iter().map(Vec::as_slice).collect();
                    let mut logits = logits(sight, &of_picture)?;
                    let padding = &phrases.is_padding[range];
                    for (logit, is_padding) in logits.iter_mut().zip(padding.iter().cycle()) {
                        *logit = if *is_padding { f32::MIN } else { *logit };
                    }
                    data.extend(logits);
                }
                None => data.extend(logits(sight, &[&self.chosen(index)?.query])?),
            }
        }
        Ok(Computed { shape: vec![sights.len(), data.len() / (sights.len() * queries), queries], data })
    }

    /// The patch that stands for a picture's example.
    fn chosen(&self, picture: usize) -> Result<Chosen> {
        choose(&self.examples()?.sights[picture], None)
    }

    fn examples(&self) -> Result<&Seen> {
        self.examples.as_ref().ok_or_else(|| Error::new(ErrorKind::BadInput, "the call has no example"))
    }

    fn phrases(&self) -> Result<&Phrases> {
        self.phrases.as_ref().ok_or_else(|| Error::new(ErrorKind::BadInput, "the call has no phrases"))
    }

    /// What an example's patch looks like, as the encoder gave it.
    fn query_embeddings(&self) -> Result<Computed> {
        let sights = &self.examples()?.sights;
        let embeddings = sights.iter().enumerate().map(|(index, sight)| Ok(sight.class(self.chosen(index)?.patch)?.to_vec()));
        let data = embeddings.collect::<Result<Vec<_>>>()?.concat();
        Ok(Computed { shape: vec![sights.len(), 1, data.len() / sights.len()], data })
    }
}

impl Seen {
    /// A tensor of all pictures.
    fn joined(&self, tensor: impl Fn(&Sight) -> Result<Vec<f32>>, last: Option<usize>) -> Result<Computed> {
        let data = self.sights.iter().map(tensor).collect::<Result<Vec<_>>>()?.concat();
        let shape = [self.sights.len(), self.grid * self.grid].into_iter().chain(last).collect();
        Ok(Computed { shape, data })
    }

    fn boxes(&self) -> Result<Computed> {
        self.joined(|sight| Ok(sight.centred()?.to_vec()), Some(4))
    }

    /// Embeddings of length 1.
    fn classes(&self) -> Result<Computed> {
        let normed = |class: &[f32]| {
            let length = length(class) + LENGTH_MARGIN;
            class.iter().map(move |value| value / length).collect::<Vec<f32>>()
        };
        let width = self.sights.first().map(Sight::width);
        self.joined(|sight| Ok(sight.classes()?.chunks_exact(sight.width()).flat_map(normed).collect()), width)
    }

    fn objectness(&self) -> Result<Computed> {
        let none = || Error::new(ErrorKind::BadInput, "this version has no objectness");
        self.joined(|sight| Ok(sight.objectness()?.ok_or_else(none)?.to_vec()), None)
    }
}

impl Check for Golden<'_> {
    fn compute(&self, name: &str) -> Result<Computed> {
        let unknown = || Error::new(ErrorKind::BadInput, format!("no check knows the tensor `{name}`"));
        let (call, tensor) = name.split_once('.').ok_or_else(unknown)?;
        let answered = self.calls.get(call).ok_or_else(unknown)?.as_ref().map_err(Clone::clone)?;
        match tensor {
            "logits" => answered.logits(),
            "pred_boxes" | "target_pred_boxes" => answered.pictures.boxes(),
            "query_pred_boxes" => answered.examples()?.boxes(),
            "objectness_logits" => answered.pictures.objectness(),
            "query_objectness_logits" => answered.examples()?.objectness(),
            "class_embeds" => answered.pictures.classes(),
            "query_embeds" => answered.query_embeddings(),
            "best_box_index" => {
                let patches = (0..answered.examples()?.sights.len()).map(|index| Ok(answered.chosen(index)?.patch as f32));
                let data = patches.collect::<Result<Vec<f32>>>()?;
                let golden = self.case.output(name)?.shape;
                Ok(Computed { shape: if golden.len() == 1 { vec![data.len()] } else { vec![data.len(), 1] }, data })
            }
            "text_embeds" => {
                let embeddings = &answered.phrases()?.embeddings;
                let (pictures, width) = (answered.pictures.sights.len(), embeddings.first().map_or(0, Vec::len));
                Ok(Computed { shape: vec![pictures, embeddings.len() / pictures, width], data: embeddings.concat() })
            }
            "text_last_hidden" => {
                // Cut to the tokens that the call had.
                let hidden = plain(&answered.phrases()?.taps, tensor)?;
                let (tokens, width) = (self.case.output(name)?.shape[1], hidden.shape[2]);
                let rows = hidden.data.chunks_exact(hidden.shape[1] * width).flat_map(|row| &row[..(tokens * width).min(row.len())]);
                Ok(Computed { shape: vec![hidden.shape[0], tokens, width], data: rows.copied().collect() })
            }
            "image_embeds" | "vision_last_hidden" => plain(&answered.pictures.taps, tensor),
            "query_image_embeds" => plain(&answered.examples()?.taps, "image_embeds"),
            _ => Err(unknown()),
        }
    }
}

fn plain(outputs: &Outputs, name: &str) -> Result<Computed> {
    let view = outputs.f32(name)?;
    Ok(Computed { shape: view.shape, data: view.data.to_vec() })
}
