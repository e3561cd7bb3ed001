//! The session of a model: tensors in, described outputs out.

use std::path::Path;
use std::sync::Arc;

use maskline_models::yolov8::decode::{Prediction, RawLevel};
use maskline_models::{DetectorHead, Extras, HeadForm};
use maskline_runtime::{Library, ModelSource, Outputs, Session, SessionOptions, Tensor, View, device_key};

use crate::{Error, ErrorKind, LoadOptions, Result};

/// Opens the session of one part, with its optimised artefact beside it in the bundle.
pub(crate) fn open(library: &Arc<Library>, (name, file, directory): (&str, &Path, &Path), options: &LoadOptions) -> Result<Session> {
    let artefact = directory.join(format!("{name}.{}.optimised.onnx", device_key(&options.provider, library)));
    let session = SessionOptions {
        provider: options.provider.clone(),
        threads: options.threads,
        optimised: Some(artefact),
        ..SessionOptions::default()
    };
    Ok(Session::open(library, ModelSource::File(file), &session)?)
}

/// A batch of pictures [batch, 3, height, width] for the network.
pub(crate) fn input(values: Vec<f32>, [batch, height, width]: [usize; 3]) -> Result<Tensor> {
    Ok(Tensor::new([batch, 3, height, width], values)?)
}

/// The outputs of a detector for a whole batch.
pub(crate) struct DetectorOutputs<'a> {
    head: &'a DetectorHead,
    input: [usize; 2],
    tensors: Vec<View<'a, f32>>,
    protos: Option<View<'a, f32>>,
}

impl<'a> DetectorOutputs<'a> {
    /// Finds and checks the outputs; `input` is the network input's height and width, `batch` the number of pictures.
    pub(crate) fn new(outputs: &'a Outputs, head: &'a DetectorHead, (input, batch): ([usize; 2], usize)) -> Result<Self> {
        head.check()?;
        let checked = |name: &str, expected: &[usize]| {
            let view = outputs.f32(name)?;
            if view.shape == expected {
                return Ok(view);
            }
            let message = format!("output `{name}`: expected {expected:?}, found {:?}", view.shape);
            Err(Error::new(ErrorKind::BadAnswer, message))
        };
        let [height, width] = input;
        let (mut tensors, protos_name) = (Vec::new(), protos_name(head));
        match &head.form {
            HeadForm::Raw { strides, reg_max } => {
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
        }
        let protos = match (head.extras, protos_name) {
            (Extras::Masks { count }, Some(name)) => Some(checked(name, &[batch, count, height / 4, width / 4])?),
            _ => None,
        };
        Ok(Self { head, input, tensors, protos })
    }

    /// The part of one picture.
    pub(crate) fn prediction(&self, picture: usize) -> Prediction<'a> {
        match &self.head.form {
            HeadForm::Decoded { .. } => Prediction::Decoded(of_picture(&self.tensors[0], picture)),
            HeadForm::Raw { strides, .. } => {
                let per_level = self.tensors.len() / strides.len();
                let levels = strides.iter().zip(self.tensors.chunks_exact(per_level)).map(|(stride, tensors)| RawLevel {
                    stride: *stride,
                    size: self.input.map(|side| side / stride),
                    boxes: of_picture(&tensors[0], picture),
                    scores: of_picture(&tensors[1], picture),
                    extras: tensors.get(2).map_or(&[], |extras| of_picture(extras, picture)),
                });
                Prediction::Raw(levels.collect())
            }
        }
    }

    /// Mask prototypes of one picture, with their shape [count, height, width].
    pub(crate) fn protos(&self, picture: usize) -> Option<(&'a [f32], [usize; 3])> {
        let view = self.protos.as_ref()?;
        Some((of_picture(view, picture), [view.shape[1], view.shape[2], view.shape[3]]))
    }
}

fn protos_name(head: &DetectorHead) -> Option<&str> {
    match &head.form {
        HeadForm::Raw { .. } => Some("protos"),
        HeadForm::Decoded { protos, .. } => protos.as_deref(),
    }
}

/// The elements of one picture of a batch.
pub(crate) fn of_picture<'a>(view: &View<'a, f32>, picture: usize) -> &'a [f32] {
    let length = view.data.len() / view.shape[0].max(1);
    &view.data[picture * length..(picture + 1) * length]
}
