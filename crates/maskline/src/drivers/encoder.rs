//! What encodes pictures.

use std::sync::Arc;

use maskline_models::Preprocess;
use maskline_runtime::{Input, Outputs, SharedTensor, Tensor};

use super::square::Preparing;
use super::{Call, Lanes, Parts, Tensors};
use crate::{Image, Result, Stage, Stages};

/// An image encoder, and what prepares its pictures. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::drivers) struct Encoder {
    parts: Parts,
    lanes: Arc<Lanes>,
    preparing: Arc<Preparing>,
    /// Outputs that are kept of a picture: other networks take them.
    names: &'static [&'static str],
}

impl Encoder {
    /// The part of this name.
    ///
    /// # Errors
    /// `Unavailable` if the provider is not there.
    pub(in crate::drivers) fn open(parts: &Parts, part: &str, names: &'static [&'static str]) -> Result<Self> {
        let lanes = parts.open(part)?;
        let preparing = Arc::new(Preparing::open(parts, parts.info().default_size)?);
        Ok(Self { parts: parts.clone(), lanes, preparing, names })
    }

    /// The same network on pictures that the host prepares in another way, of which other outputs are kept.
    pub(in crate::drivers) fn of_other(&self, preprocess: Preprocess, names: &'static [&'static str]) -> Self {
        Self { preparing: Arc::new(Preparing::on_host(&self.parts, preprocess)), names, ..self.clone() }
    }

    /// Side of the square input.
    pub(in crate::drivers) fn side(&self) -> usize {
        self.parts.info().default_size
    }

    /// Runs it on pictures f32 [batch, 3, height, width]. What is kept of them may stay on the device.
    pub(in crate::drivers) fn run(&self, pictures: Input, call: &Call) -> Result<(Outputs, Stages)> {
        self.lanes.run_staying(vec![(self.parts.info().input.as_str(), pictures)], self.names, Stage::ImageEncode, call)
    }

    /// Runs it on values f32 [batch, 3, side, side].
    pub(in crate::drivers) fn run_values(&self, values: Vec<f32>, call: &Call) -> Result<(Outputs, Stages)> {
        let side = self.side();
        self.run(Tensor::new([values.len() / (3 * side * side), 3, side, side], values)?.into(), call)
    }

    /// Runs it on a picture.
    ///
    /// # Errors
    /// As [`Preparing::prepare`].
    pub(in crate::drivers) fn run_on(&self, image: &Image, call: &Call) -> Result<(Outputs, Stages)> {
        let slowed = call.slowed(self.parts.delays().network);
        self.preparing.prepare(image.pixels(), call, &|picture| self.run(picture, &slowed))
    }

    /// What is kept of a picture, with the picture where a device has it.
    ///
    /// # Errors
    /// As [`Preparing::prepare`].
    pub(in crate::drivers) fn see(&self, image: &Image, call: &Call) -> Result<(Tensors, Stages)> {
        let (tensors, stages) = self.tensors(image, call)?;
        let (encoder, picture) = (self.clone(), image.held());
        Ok((Tensors::new(tensors).or_again(picture.bytes(), move |call| encoder.tensors(&picture, call)), stages))
    }

    fn tensors(&self, image: &Image, call: &Call) -> Result<(Vec<SharedTensor>, Stages)> {
        let (outputs, stages) = self.run_on(image, call)?;
        Ok((self.take(outputs)?, stages))
    }

    /// What is kept of the outputs for one picture.
    pub(in crate::drivers) fn take(&self, mut outputs: Outputs) -> Result<Vec<SharedTensor>> {
        Tensors::take(&mut outputs, self.names)
    }
}
