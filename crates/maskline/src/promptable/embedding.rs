//! An encoded picture as a value.

use std::sync::Arc;

use maskline_runtime::SharedTensor;
use maskline_vision::look::Pyramid;

use super::encoded::Encoded;
use super::looks::Looks;
use super::prompt::MaskSide;
use super::segment::Multimask;
use crate::timings::PromptTimings;
use crate::{Delays, Error, ErrorKind, Result};

/// An encoded picture: it answers any number of prompts ([`Embedding::segment`]), from any number of threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Embedding {
    source: Source,
    size: (usize, usize),
    timings: PromptTimings,
    delays: Delays,
}

/// What answers prompts.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// An encoder's tensors, read by decoders.
    Encoded(Encoded),
    /// The picture itself, looked at anew for every prompt.
    Looks(Looks),
}

/// What is kept of a picture.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// An encoder's tensors, in the order of the head's `embedding`.
    Tensors(Arc<Vec<SharedTensor>>),
    /// The picture and its halves.
    Pyramid(Arc<Pyramid>),
}

impl Kept {
    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Tensors(tensors) => tensors.iter().map(SharedTensor::bytes).sum(),
            Self::Pyramid(pyramid) => pyramid.bytes(),
        }
    }
}

impl Embedding {
    /// `size` is width and height of the picture.
    pub(super) fn new(source: Source, size: (usize, usize), (timings, delays): (PromptTimings, Delays)) -> Self {
        Self { source, size, timings, delays }
    }

    /// Width and height of the picture in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// What the call took that gave this embedding, and where it came from. What prompts take is told with their answers, and `+` of both
    /// is the whole.
    pub fn timings(&self) -> &PromptTimings {
        &self.timings
    }

    /// Bytes of what is kept of the picture.
    pub fn bytes(&self) -> usize {
        self.kept().bytes()
    }

    /// The picture and its halves, of models that look at them.
    pub(crate) fn pyramid(&self) -> Result<&Pyramid> {
        match &self.source {
            Source::Looks(looks) => Ok(&looks.pyramid),
            Source::Encoded(_) => Err(Error::new(ErrorKind::InvalidOption, "this embedding is of tensors, not of the picture")),
        }
    }

    pub(super) fn delays(&self) -> Delays {
        self.delays
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn kept(&self) -> Kept {
        match &self.source {
            Source::Encoded(encoded) => Kept::Tensors(Arc::clone(&encoded.tensors)),
            Source::Looks(looks) => Kept::Pyramid(Arc::clone(&looks.pyramid)),
        }
    }

    /// Masks that a prompt gets.
    pub(super) fn masks(&self, multimask: Multimask) -> usize {
        match &self.source {
            Source::Encoded(encoded) if multimask == Multimask::On => encoded.decoders.head.masks.saturating_sub(1).max(1),
            _ => 1,
        }
    }

    /// Mask logits that are taken as prompts.
    pub(super) fn mask_side(&self) -> MaskSide {
        match &self.source {
            Source::Encoded(encoded) => MaskSide { side: encoded.decoders.head.mask_side(), is_part: false },
            Source::Looks(looks) => MaskSide { side: looks.mask_side(), is_part: true },
        }
    }
}
