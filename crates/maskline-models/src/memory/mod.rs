//! The memory of models that follow objects through time (SAM 2, Ravi et al. 2024, §4 and appendix C): what is seen of an object becomes
//! a memory and a pointer, and the features of later pictures are conditioned on them.
//!
//! `attention` is the memory attention, `encoder` the memory encoder, `names` the published layouts. Decoding masks of objects from
//! conditioned features is the work of [`crate::sam`].
//!
//! Source: `facebookresearch/sam2` (`modeling/memory_attention.py`, `modeling/memory_encoder.py`, `modeling/sam2_base.py`).

mod attention;
mod config;
mod encoder;
pub mod names;

pub use config::MemoryConfig;
use maskline_onnx::{Dialect, Graph};
use maskline_weights::Scope;
pub use names::MemoryNames;

use crate::info::{MemoryHead, PartRole};
use crate::{Part, Result};

/// The memory of a checkpoint.
#[derive(Debug)]
pub struct Memory<'a, 'w> {
    /// What all names of `names` are under.
    pub(crate) scope: Scope<'w>,
    pub(crate) names: &'a MemoryNames,
    pub(crate) config: &'a MemoryConfig,
}

impl<'w> Memory<'_, 'w> {
    /// Cells of the picture's features.
    fn area(&self) -> usize {
        self.config.grid * self.config.grid
    }

    /// Its graphs; none of them is opened before an object is followed.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn parts(&self, dialect: Dialect, taps: bool) -> Result<Vec<Part<'w>>> {
        let part = |name: &'static str, role: PartRole, graph: Graph<'w>| {
            Ok::<_, crate::Error>(Part { name, role, eager: false, model: graph.finish()? })
        };
        let mut attention = Graph::new(MemoryHead::ATTENTION, dialect);
        self.attention(&mut attention)?;
        let mut encoder = Graph::new(MemoryHead::ENCODER, dialect);
        self.encoder(&mut encoder, taps)?;
        let mut reader = Graph::new(MemoryHead::MASK_READER, dialect);
        self.mask_reader(&mut reader)?;
        Ok(vec![
            part(MemoryHead::ATTENTION, PartRole::MemoryAttention, attention)?,
            part(MemoryHead::ENCODER, PartRole::MemoryEncoder, encoder)?,
            part(MemoryHead::MASK_READER, PartRole::MaskReader, reader)?,
        ])
    }

    /// What the engine must know of it.
    pub fn head(&self) -> MemoryHead {
        let MemoryConfig { width, memory_width, memories, pointers, .. } = *self.config;
        MemoryHead { width, memory_width, memories, pointers }
    }
}
