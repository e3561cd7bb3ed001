//! An encoded picture: what its patches look like, and where their objects are.

use maskline_models::WordHead;
use maskline_runtime::{Outputs, SharedTensor, Tensor};

use crate::drivers::Encoding;
use crate::drivers::NOT_FINITE;
use crate::promptable::{EmbeddingFile, Stored};
use crate::{Error, ErrorKind, Result};

/// What is added to the length of an embedding before it is divided by it.
pub(super) const LENGTH_MARGIN: f32 = 1e-6;

/// What the image encoder gives of one picture, see [`WordHead`].
#[derive(Debug)]
pub(super) struct Sight {
    width: usize,
    /// In the order of [`NAMES`].
    tensors: Vec<SharedTensor>,
    /// By patch: what its product with a query is multiplied by, and what is added then.
    lines: Vec<Line>,
}

/// A patch's logit of a query q̂ is `slope · (c·q̂) + offset`: its length, scale and shift at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) slope: f32,
    pub(super) offset: f32,
}

/// Outputs of the image encoder; the last one is of version 2 alone.
const NAMES: [&str; 5] = [WordHead::BOXES, WordHead::CLASSES, WordHead::SHIFT, WordHead::SCALE, WordHead::OBJECTNESS];

fn names(head: &WordHead) -> &'static [&'static str] {
    if head.has_objectness { &NAMES } else { &NAMES[..4] }
}

fn shape(name: &str, head: &WordHead) -> Vec<usize> {
    let patches = head.grid * head.grid;
    match name {
        WordHead::BOXES => vec![1, patches, 4],
        WordHead::CLASSES => vec![1, patches, head.width],
        _ => vec![1, patches],
    }
}

impl Encoding for Sight {
    fn bytes(&self) -> usize {
        self.tensors.iter().map(SharedTensor::bytes).sum::<usize>() + size_of_val(self.lines.as_slice())
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        Ok(NAMES.iter().zip(&self.tensors).map(|(name, tensor)| Stored::tensor(name, tensor.clone())).collect())
    }
}

impl Sight {
    /// Of the outputs for one picture.
    pub(super) fn of(outputs: &mut Outputs, head: &WordHead) -> Result<Self> {
        Self::of_tensors(head, names(head).iter().map(|name| Ok(outputs.take(name)?)).collect::<Result<_>>()?)
    }

    /// Of a file.
    pub(super) fn restore(file: &EmbeddingFile, head: &WordHead) -> Result<Self> {
        let read = |name: &&str| {
            let shape = shape(name, head);
            Ok(SharedTensor::new(Tensor::new(shape.clone(), file.f32(name, &shape)?)?)?)
        };
        Self::of_tensors(head, names(head).iter().map(read).collect::<Result<_>>()?)
    }

    /// Of tensors in the order of [`NAMES`].
    pub(super) fn of_tensors(head: &WordHead, tensors: Vec<SharedTensor>) -> Result<Self> {
        for (name, tensor) in names(head).iter().zip(&tensors) {
            let expected = shape(name, head);
            if tensor.shape() != expected {
                let error = Error::new(ErrorKind::BadAnswer, format!("the network's output `{name}`"));
                return Err(error.expecting(format!("{expected:?}")).but_found(format!("{:?}", tensor.shape())));
            }
            if let Some(bad) = tensor.view::<f32>()?.data.iter().find(|value| !value.is_finite()) {
                let message = format!("the network's answer is not finite: `{name}` holds {bad}");
                return Err(Error::new(ErrorKind::BadAnswer, message).with_help(NOT_FINITE));
            }
        }
        let mut sight = Self { width: head.width, tensors, lines: Vec::new() };
        let (shifts, scales) = (sight.values(2)?, sight.values(3)?);
        let line = |(class, (shift, scale)): (&[f32], (&f32, &f32))| Line {
            slope: scale / (length(class) + LENGTH_MARGIN),
            offset: shift * scale,
        };
        let lines = sight.classes()?.chunks_exact(head.width).zip(shifts.iter().zip(scales)).map(line).collect();
        sight.lines = lines;
        Ok(sight)
    }

    fn values(&self, index: usize) -> Result<&[f32]> {
        Ok(self.tensors[index].view::<f32>()?.data)
    }

    /// What patches look like, f32 [patches, width].
    pub(super) fn classes(&self) -> Result<&[f32]> {
        self.values(1)
    }

    /// What one patch looks like.
    pub(super) fn class(&self, patch: usize) -> Result<&[f32]> {
        Ok(&self.classes()?[patch * self.width..][..self.width])
    }

    /// Width of an embedding.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Boxes as centre and size in 0..1 of the input, f32 [patches, 4].
    pub(super) fn centred(&self) -> Result<&[f32]> {
        self.values(0)
    }

    /// Corners in 0..1 of the input by patch; they may reach out of it.
    pub(super) fn corners(&self) -> Result<Vec<[f32; 4]>> {
        let corners = |side: &[f32]| {
            let (half_width, half_height) = (0.5 * side[2], 0.5 * side[3]);
            [side[0] - half_width, side[1] - half_height, side[0] + half_width, side[1] + half_height]
        };
        Ok(self.centred()?.chunks_exact(4).map(corners).collect())
    }

    /// How much of an object each patch is, as logits; `None` in version 1.
    pub(super) fn objectness(&self) -> Result<Option<&[f32]>> {
        self.tensors.get(4).map(|tensor| Ok(tensor.view::<f32>()?.data)).transpose()
    }
}

/// Euclidean length.
pub(super) fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// A query as the class head takes it: of length 1, but for the margin.
pub(super) fn query(embedding: &[f32]) -> Vec<f32> {
    let length = length(embedding) + LENGTH_MARGIN;
    embedding.iter().map(|value| value / length).collect()
}
