//! An encoded picture as a value.

use std::sync::Arc;

use maskline_models::Preprocess;
use maskline_runtime::SharedTensor;

use super::decoders::Decoders;
use super::frame::View;
use crate::Result;
use crate::timings::PromptTimings;

/// An encoded picture: it answers any number of prompts ([`Embedding::segment`]), from any number of threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedding {
    tensors: Arc<Vec<SharedTensor>>,
    decoders: Arc<Decoders>,
    view: View,
    timings: PromptTimings,
}

impl Embedding {
    /// Of the encoder's outputs, in the order of the head's `embedding`; `size` is width and height of the picture.
    pub(super) fn new(
        (tensors, decoders): (Arc<Vec<SharedTensor>>, Arc<Decoders>),
        (size, preprocess): ((usize, usize), &Preprocess),
        timings: PromptTimings,
    ) -> Result<Self> {
        let view = View::new(size, (preprocess, &decoders.head))?;
        Ok(Self { tensors, decoders, view, timings })
    }

    /// Width and height of the picture in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.view.size
    }

    /// What encoding took, and whether the embedding was in the cache.
    pub fn timings(&self) -> &PromptTimings {
        &self.timings
    }

    /// Bytes of the tensors.
    pub fn bytes(&self) -> usize {
        bytes(&self.tensors)
    }

    pub(super) fn decoders(&self) -> &Decoders {
        &self.decoders
    }

    pub(super) fn tensors(&self) -> &[SharedTensor] {
        &self.tensors
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }
}

pub(super) fn bytes(tensors: &[SharedTensor]) -> usize {
    tensors.iter().map(SharedTensor::bytes).sum()
}
