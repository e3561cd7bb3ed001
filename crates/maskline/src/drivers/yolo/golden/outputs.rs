//! What a detector's network gives, in the form of golden tensors.

use maskline_models::yolo::decode::{Prediction, decode_all};
use maskline_models::{DetectorHead, Extras, HeadForm};
use maskline_runtime::Outputs;

use super::super::objects::corners;
use super::super::outputs::{DetectorOutputs, Input};
use crate::verify::Computed;
use crate::{Error, ErrorKind, Result};

/// The outputs of the network of one head.
pub(super) struct Answers<'a> {
    pub(super) head: &'a DetectorHead,
    pub(super) outputs: &'a Outputs,
    pub(super) input: Input,
}

impl Answers<'_> {
    /// The raw outputs of all levels joined along the anchors: [batch, channels, anchors].
    pub(super) fn levels(&self, kind: &str) -> Result<Computed> {
        let HeadForm::Raw { strides, .. } = &self.head.form else {
            return Err(Error::new(ErrorKind::BadInput, "the head is not raw"));
        };
        let views = strides.iter().map(|s| Ok(self.outputs.f32(&format!("{kind}_{s}"))?)).collect::<Result<Vec<_>>>()?;
        let (batch, channels) = (views[0].shape[0], views[0].shape[1]);
        let mut data = Vec::new();
        for row in 0..batch * channels {
            for view in &views {
                let anchors = view.shape[2] * view.shape[3];
                data.extend_from_slice(&view.data[row * anchors..(row + 1) * anchors]);
            }
        }
        let anchors = data.len() / (batch * channels);
        Ok(Computed { shape: vec![batch, channels, anchors], data })
    }

    /// All anchors decoded, [batch, 4 + classes + extras, anchors].
    pub(super) fn predictions(&self) -> Result<Computed> {
        let batch = self.input.batch;
        let outputs = DetectorOutputs::new(self.outputs, self.head, self.input)?;
        let mut data = Vec::new();
        for picture in 0..batch {
            match outputs.of(picture).prediction {
                Prediction::Raw(levels) => data.extend(decode_all(self.head, &levels)?),
                Prediction::Decoded(rows) | Prediction::Chosen(rows) => data.extend_from_slice(rows),
            }
        }
        let channels = 4 + self.head.classes + self.head.extras.channels();
        Ok(Computed { shape: vec![batch, channels, data.len() / (batch * channels)], data })
    }

    /// The same with corners of the boxes that are not rotated, as heads without suppression give them.
    pub(super) fn corner_predictions(&self) -> Result<Computed> {
        let Computed { shape, mut data } = self.predictions()?;
        let (channels, anchors) = (shape[1], shape[2]);
        if self.head.extras != Extras::Angle {
            for picture in data.chunks_exact_mut((channels * anchors).max(1)) {
                for anchor in 0..anchors {
                    let bounds = corners([0, 1, 2, 3].map(|i| picture[i * anchors + anchor]));
                    bounds.into_iter().enumerate().for_each(|(i, side)| picture[i * anchors + anchor] = side);
                }
            }
        }
        Ok(Computed { shape, data })
    }

    /// The angles of rotated boxes in radians, [batch, 1, anchors]: the last rows of the predictions.
    pub(super) fn angles(&self) -> Result<Computed> {
        if self.head.extras != Extras::Angle {
            return Err(Error::new(ErrorKind::BadInput, "the checkpoint has no rotated boxes"));
        }
        let Computed { shape, data } = self.predictions()?;
        let (channels, anchors) = (shape[1], shape[2]);
        let angles = data.chunks_exact((channels * anchors).max(1)).flat_map(|picture| &picture[(channels - 1) * anchors..]);
        Ok(Computed { shape: vec![self.input.batch, 1, anchors], data: angles.copied().collect() })
    }
}
