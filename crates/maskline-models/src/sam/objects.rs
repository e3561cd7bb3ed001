//! The decoder as objects in a video are decoded with it: each from features of its own, which its past has changed, and with a pointer
//! for each mask, by which the object is remembered.

use maskline_onnx::{DType, Dialect, Dim, Graph, Value};

use super::transformer::{Image, Tokens};
use super::{Decoder, DecoderConfig};
use crate::blocks::{linear, parameter};
use crate::info::{MemoryHead, PromptHead};
use crate::memory::Memory;
use crate::{Part, PartRole, Result};

impl<'w> Decoder<'_, 'w> {
    /// Both decoders of objects, for prompts without a mask and with one, as [`MemoryHead`] tells. Neither is opened before an object is
    /// followed.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn object_parts(&self, memory: &Memory<'_, 'w>, dialect: Dialect) -> Result<[Part<'w>; 2]> {
        let part = |name: &'static str, role: PartRole, with_mask: bool| {
            let mut graph = Graph::new(name, dialect);
            self.objects(&mut graph, memory, with_mask)?;
            Ok::<_, crate::Error>(Part { name, role, eager: false, model: graph.finish()? })
        };
        Ok([
            part(MemoryHead::DECODER, PartRole::ObjectDecoder, false)?,
            part(MemoryHead::MASKED_DECODER, PartRole::RefiningObjectDecoder, true)?,
        ])
    }

    fn objects(&self, g: &mut Graph<'w>, memory: &Memory<'_, 'w>, with_mask: bool) -> Result<()> {
        let DecoderConfig { width, grid, .. } = *self.config;
        let (area, objects, points) = (grid * grid, Dim::symbol("objects"), Dim::symbol("points"));
        let features = g.input(MemoryHead::FEATURES, DType::F32, [objects.clone(), area.into(), width.into()])?;
        let fresh = g.input(MemoryHead::FRESH, DType::F32, [objects.clone(), 1.into(), 1.into()])?;
        let coords = g.input(PromptHead::COORDS, DType::F32, [objects.clone(), points.clone(), 2.into()])?;
        let kinds = g.input(PromptHead::KINDS, DType::I64, [objects.clone(), points])?;

        let no_memory = parameter(g, &memory.scope, memory.names.no_memory, &[1, 1, width])?;
        let no_memory = g.mul(&fresh, &no_memory)?;
        let features = g.add(&features, &no_memory)?;
        let encoder = self.prompt_encoder();
        let dense = if with_mask {
            let side = self.config.mask_side();
            let mask = g.input(PromptHead::MASK, DType::F32, [objects, 1.into(), side.into(), side.into()])?;
            encoder.dense(g, &mask)?
        } else {
            encoder.no_mask(g)?
        };
        let cells = g.add(&features, &dense)?;
        let positions = encoder.dense_positions(g)?;
        let sparse = encoder.tokens(g, &coords, &kinds)?;
        let (tokens, outputs) = self.all_tokens(g, &sparse)?;
        let image = Image::own(g, cells, &positions)?;
        let (tokens, image) = self.transformer().run(g, Tokens { all: &tokens, outputs }, image, &positions)?;
        self.answers(g, &tokens, &image)?;
        self.pointers(g, &tokens, memory)
    }

    /// A pointer for each mask token of [O, outputs, C], or the one that says that the object is not seen: output [O, masks, C].
    fn pointers(&self, g: &mut Graph<'w>, tokens: &Value, memory: &Memory<'_, 'w>) -> Result<()> {
        const LAYERS: usize = 3;
        let (width, masks) = (self.config.width, self.config.masks as i64);
        let scope = memory.scope.push(memory.names.pointer);
        let mut pointers = g.slice(tokens, 1, 2..2 + masks)?;
        for index in 0..LAYERS {
            pointers = linear(g, &scope.push(memory.names.pointer_layers.layer(index, LAYERS)), &pointers, [width; 2])?;
            if index + 1 < LAYERS {
                pointers = g.relu(&pointers)?;
            }
        }
        let object = g.slice(tokens, 1, 0..1)?;
        let object = g.squeeze(&object, 1)?;
        let score = self.mask_head().object_score(g, &object)?;
        let zero = g.scalar(0.0);
        let is_seen = g.greater(&score, &zero)?;
        let is_seen = g.unsqueeze(&is_seen, 2)?;
        let no_pointer = parameter(g, &memory.scope, memory.names.no_pointer, &[1, width])?;
        let pointers = g.select(&is_seen, &pointers, &no_pointer)?;
        Ok(g.output(MemoryHead::POINTERS, &pointers)?)
    }
}
