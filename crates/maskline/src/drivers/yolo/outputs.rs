//! A detector's outputs, found by their names and checked.

use maskline_models::yolo::decode::{Prediction, RawLevel};
use maskline_models::{DetectorHead, Extras, HeadForm};
use maskline_runtime::{Outputs, View};

use crate::{Error, ErrorKind, Result};

/// The size of a batch of pictures f32 [batch, 3, height, width].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) batch: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// The outputs of one picture of a batch.
pub(super) struct OfPicture<'a> {
    pub(super) prediction: Prediction<'a>,
    /// Mask prototypes.
    pub(super) protos: Option<Planes<'a>>,
}

/// Planes [count, height, width].
pub(super) struct Planes<'a> {
    pub(super) values: &'a [f32],
    pub(super) shape: [usize; 3],
}

/// The outputs of a detector for a whole batch.
pub(super) struct DetectorOutputs<'a> {
    head: &'a DetectorHead,
    input: Input,
    tensors: Vec<View<'a, f32>>,
    protos: Option<View<'a, f32>>,
}

impl<'a> DetectorOutputs<'a> {
    /// Finds and checks the outputs.
    pub(super) fn new(outputs: &'a Outputs, head: &'a DetectorHead, input: Input) -> Result<Self> {
        head.check()?;
        let checked = |name: &str, expected: &[usize]| {
            let view = outputs.f32(name)?;
            if view.shape == expected {
                return Ok(view);
            }
            let shapes = [expected, &view.shape].map(|shape| format!("{shape:?}"));
            Err(Error::new(ErrorKind::BadAnswer, format!("output `{name}`")).expecting(&shapes[0]).but_found(&shapes[1]))
        };
        let Input { batch, height, width } = input;
        let (mut tensors, protos_name) = (Vec::new(), protos_name(head));
        match &head.form {
            HeadForm::Raw { strides, reg_max, .. } => {
                for stride in strides {
                    let plane = |channels: usize| [batch, channels, height / stride, width / stride];
                    tensors.push(checked(&format!("boxes_{stride}"), &plane(4 * reg_max))?);
                    tensors.push(checked(&format!("scores_{stride}"), &plane(head.classes))?);
                    if head.extras != Extras::None {
                        tensors.push(checked(&format!("extras_{stride}"), &plane(head.extras.channels()))?);
                    }
                }
            }
            HeadForm::Decoded { predictions, .. } => {
                let anchors = [8, 16, 32].map(|stride| (height / stride) * (width / stride)).iter().sum();
                tensors.push(checked(predictions, &[batch, 4 + head.classes + head.extras.channels(), anchors])?);
            }
            HeadForm::Chosen { predictions, .. } => {
                // The export says how many objects it chooses.
                let objects = outputs.f32(predictions)?.shape.get(1).copied().unwrap_or(0);
                tensors.push(checked(predictions, &[batch, objects, 6 + head.extras.channels()])?);
            }
        }
        let protos = match (head.extras, protos_name) {
            (Extras::Masks { count }, Some(name)) => Some(checked(name, &[batch, count, height / 4, width / 4])?),
            _ => None,
        };
        Ok(Self { head, input, tensors, protos })
    }

    /// What of them belongs to one picture.
    pub(super) fn of(&self, picture: usize) -> OfPicture<'a> {
        let prediction = match &self.head.form {
            HeadForm::Decoded { .. } => Prediction::Decoded(of_picture(&self.tensors[0], picture)),
            HeadForm::Chosen { .. } => Prediction::Chosen(of_picture(&self.tensors[0], picture)),
            HeadForm::Raw { strides, .. } => {
                let per_level = self.tensors.len() / strides.len();
                let levels = strides.iter().zip(self.tensors.chunks_exact(per_level)).map(|(stride, tensors)| RawLevel {
                    stride: *stride,
                    size: [self.input.height, self.input.width].map(|side| side / stride),
                    boxes: of_picture(&tensors[0], picture),
                    scores: of_picture(&tensors[1], picture),
                    extras: tensors.get(2).map_or(&[], |extras| of_picture(extras, picture)),
                });
                Prediction::Raw(levels.collect())
            }
        };
        let planes =
            |view: &View<'a, f32>| Planes { values: of_picture(view, picture), shape: [view.shape[1], view.shape[2], view.shape[3]] };
        OfPicture { prediction, protos: self.protos.as_ref().map(planes) }
    }
}

fn protos_name(head: &DetectorHead) -> Option<&str> {
    match &head.form {
        HeadForm::Raw { .. } => Some("protos"),
        HeadForm::Decoded { protos, .. } | HeadForm::Chosen { protos, .. } => protos.as_deref(),
    }
}

/// The elements of one picture of a batch.
pub(super) fn of_picture<'a>(view: &View<'a, f32>, picture: usize) -> &'a [f32] {
    let length = view.data.len() / view.shape[0].max(1);
    &view.data[picture * length..(picture + 1) * length]
}
