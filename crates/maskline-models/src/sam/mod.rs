//! Prompt encoder and mask decoder of Segment Anything (Kirillov et al. 2023), which SAM 1, MobileSAM, EfficientViT-SAM and SAM 2
//! share.
//!
//! The work is cut in two: [`Decoder::image_side`] is done once per image, at the end of the image encoder, and its outputs are
//! the embedding; [`Decoder::parts`] answer prompts. What lies where:
//!
//! - `prompt`: clicks, boxes and masks to tokens and maps;
//! - `attention`: the cheap and exact forms of attention between tokens and cells;
//! - `transformer`: the two-way blocks;
//! - `masks`: upscaling and heads;
//! - `objects`: the decoder of objects in a video;
//! - `names`: the published layouts;
//! - `first`: what surrounds the image encoders of the first generation.

mod attention;
mod config;
pub(crate) mod first;
mod masks;
pub mod names;
mod objects;
mod prompt;
mod transformer;

pub use config::{DecoderConfig, Frame, Generation};
use maskline_onnx::{DType, Dialect, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope};
pub use masks::unblock;
pub use prompt::kind;

use self::masks::MaskHead;
use self::names::Names;
use self::prompt::PromptEncoder;
use self::transformer::{Image, Tokens, TwoWay};
use crate::blocks::parameter;
use crate::info::{PromptHead, embedding};
use crate::{Error, Part, PartRole, Result};

/// Prompt encoder and mask decoder of a checkpoint.
#[derive(Debug)]
pub struct Decoder<'a, 'w> {
    checkpoint: &'w Checkpoint,
    names: &'a Names,
    config: &'a DecoderConfig,
}

/// The image's features at twice and four times the resolution of the embedding, channels last: [B, 2 grid, 2 grid, C/4] and
/// [B, 4 grid, 4 grid, C/8] (SAM 2).
#[derive(Debug, Clone, Copy)]
pub struct HighResolution<'a> {
    /// Twice the resolution.
    pub middle: &'a Value,
    /// Four times the resolution.
    pub fine: &'a Value,
}

impl<'a, 'w> Decoder<'a, 'w> {
    /// Of a checkpoint in the given layout.
    pub fn new(checkpoint: &'w Checkpoint, names: &'a Names, config: &'a DecoderConfig) -> Self {
        Self { checkpoint, names, config }
    }

    /// What it is read from.
    pub(crate) fn checkpoint(&self) -> &'w Checkpoint {
        self.checkpoint
    }

    fn prompt_encoder(&self) -> PromptEncoder<'a, 'w> {
        PromptEncoder { scope: self.checkpoint.root().push(self.names.prompt_encoder), names: self.names, config: self.config }
    }

    fn decoder_scope(&self) -> Scope<'w> {
        self.checkpoint.root().push(self.names.mask_decoder)
    }

    fn transformer(&self) -> TwoWay<'a, 'w> {
        TwoWay { scope: self.decoder_scope().push("transformer"), names: self.names, config: self.config }
    }

    fn mask_head(&self) -> MaskHead<'a, 'w> {
        MaskHead { scope: self.decoder_scope(), names: self.names, config: self.config }
    }

    /// Ends an image encoder: from its embedding [B, T, C] to the outputs that the decoder takes, see [`PromptHead`].
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn image_side(&self, g: &mut Graph<'w>, cells: &Value, high_resolution: Option<HighResolution<'_>>) -> Result<()> {
        let prompt = self.prompt_encoder();
        let positions = prompt.dense_positions(g)?;
        let no_mask = prompt.no_mask(g)?;
        let cells = g.add(cells, &no_mask)?;
        let [keys, values, queries] = self.transformer().shared_projections(g, &cells, &positions)?;
        g.output(embedding::CELLS, &cells)?;
        g.output(embedding::KEYS, &keys)?;
        g.output(embedding::VALUES, &values)?;
        g.output(embedding::QUERIES, &queries)?;
        if let Some(HighResolution { middle, fine }) = high_resolution {
            let middle = masks::block(g, middle, self.config.grid, 2)?;
            let fine = masks::block(g, fine, self.config.grid, 4)?;
            let head = self.mask_head();
            let (middle, fine) = (head.with_bias(g, &middle, 0)?, head.with_bias(g, &fine, 1)?);
            g.output(embedding::MIDDLE, &middle)?;
            g.output(embedding::FINE, &fine)?;
        }
        Ok(())
    }

    /// The position encoding of the cells, [1, C, grid, grid], as a tap of the image encoder.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn positions_tap(&self, g: &mut Graph<'w>, name: &str) -> Result<()> {
        let DecoderConfig { width, grid, .. } = *self.config;
        let positions = self.prompt_encoder().dense_positions(g)?;
        let map = g.transpose(&positions, &[0, 2, 1])?;
        let map = g.reshape(&map, [1, width, grid, grid])?;
        Ok(g.output(name, &map)?)
    }

    /// Both decoders: for prompts without a mask, and with one.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn parts(&self, dialect: Dialect, taps: bool) -> Result<[Part<'w>; 2]> {
        let plain = self.graph(dialect, taps, false)?.finish()?;
        let masked = self.graph(dialect, taps, true)?.finish()?;
        let plain = Part { name: PromptHead::DECODER, role: PartRole::MaskDecoder, eager: true, model: plain };
        let masked = Part { name: PromptHead::MASKED_DECODER, role: PartRole::RefiningDecoder, eager: false, model: masked };
        Ok([plain, masked])
    }

    /// The decoder as a graph; inputs and outputs as [`PromptHead`] says.
    fn graph(&self, dialect: Dialect, taps: bool, with_mask: bool) -> Result<Graph<'w>> {
        let DecoderConfig { width, inner, heads, grid, .. } = *self.config;
        let area = grid * grid;
        let name = if with_mask { PromptHead::MASKED_DECODER } else { PromptHead::DECODER };
        let g = &mut Graph::new(name, dialect);
        let cells = g.input(embedding::CELLS, DType::F32, [1, area, width])?;
        let high_resolution = match self.config.generation {
            Generation::One => None,
            Generation::Two => {
                let middle = g.input(embedding::MIDDLE, DType::F32, [1, 4 * area, width / 4])?;
                Some([middle, g.input(embedding::FINE, DType::F32, [1, 16 * area, width / 8])?])
            }
        };
        let (prompts, points) = (Dim::symbol("prompts"), Dim::symbol("points"));
        let coords = g.input(PromptHead::COORDS, DType::F32, [prompts.clone(), points.clone(), 2.into()])?;
        let kinds = g.input(PromptHead::KINDS, DType::I64, [prompts.clone(), points])?;

        let encoder = self.prompt_encoder();
        let sparse = encoder.tokens(g, &coords, &kinds)?;
        let positions = encoder.dense_positions(g)?;
        let image = if with_mask {
            let side = self.config.mask_side();
            let mask = g.input(PromptHead::MASK, DType::F32, [prompts, 1.into(), side.into(), side.into()])?;
            let dense = encoder.dense(g, &mask)?;
            if taps {
                self.dense_tap(g, &dense)?;
            }
            let no_mask = encoder.no_mask(g)?;
            let bare = g.sub(&cells, &no_mask)?;
            let own = g.add(&dense, &bare)?;
            Image::own(g, own, &positions)?
        } else {
            let keys = g.input(embedding::KEYS, DType::F32, [1, heads, inner / heads, area])?;
            let values = g.input(embedding::VALUES, DType::F32, [1, heads, area, inner / heads])?;
            let queries = g.input(embedding::QUERIES, DType::F32, [1, area, inner])?;
            Image::Shared { cells, projections: [keys, values, queries] }
        };
        if taps {
            g.output("sparse", &sparse)?;
        }
        let (tokens, outputs) = self.all_tokens(g, &sparse)?;
        let (tokens, cells) = self.transformer().run(g, Tokens { all: &tokens, outputs }, image, &positions)?;
        self.answers(g, &tokens, &cells, high_resolution.as_ref())?;
        Ok(std::mem::replace(g, Graph::new("", dialect)))
    }

    fn dense_tap(&self, g: &mut Graph<'w>, dense: &Value) -> Result<()> {
        let DecoderConfig { width, grid, .. } = *self.config;
        let map = g.transpose(dense, &[0, 2, 1])?;
        let map = g.reshape(&map, vec![dense.shape()[0].clone(), width.into(), grid.into(), grid.into()])?;
        Ok(g.output("dense", &map)?)
    }

    /// The learned output tokens in front of the prompt's: → [P, outputs + n, C] and the number of outputs.
    fn all_tokens(&self, g: &mut Graph<'w>, sparse: &Value) -> Result<(Value, usize)> {
        let DecoderConfig { width, masks, .. } = *self.config;
        let scope = self.decoder_scope();
        let mut learned = Vec::new();
        if self.config.generation == Generation::Two {
            learned.push(parameter(g, &scope, "obj_score_token.weight", &[1, width])?);
        }
        learned.push(parameter(g, &scope, "iou_token.weight", &[1, width])?);
        learned.push(parameter(g, &scope, "mask_tokens.weight", &[masks, width])?);
        let learned: Vec<&Value> = learned.iter().collect();
        let learned = g.concat(&learned, 0)?;
        let outputs = masks + 1 + usize::from(self.config.generation == Generation::Two);
        let learned = g.reshape(&learned, [1, outputs, width])?;
        let learned = g.repeat_leading(&learned, sparse)?;
        Ok((g.concat(&[&learned, sparse], 1)?, outputs))
    }

    fn answers(&self, g: &mut Graph<'w>, tokens: &Value, cells: &Value, high_resolution: Option<&[Value; 2]>) -> Result<()> {
        let masks = self.config.masks as i64;
        let head = self.mask_head();
        let first = i64::from(self.config.generation == Generation::Two);
        let mask_tokens = g.slice(tokens, 1, first + 1..first + 1 + masks)?;
        let logits = head.masks(g, &mask_tokens, cells, high_resolution)?;
        g.output(PromptHead::MASKS, &logits)?;
        let token = |g: &mut Graph<'w>, at: i64| -> Result<Value> {
            let token = g.slice(tokens, 1, at..at + 1)?;
            Ok::<_, Error>(g.squeeze(&token, 1)?)
        };
        let iou = token(g, first)?;
        let scores = head.scores(g, &iou)?;
        g.output(PromptHead::SCORES, &scores)?;
        if self.config.generation == Generation::Two {
            let object = token(g, 0)?;
            let present = head.object_score(g, &object)?;
            g.output(PromptHead::OBJECT, &present)?;
        }
        Ok(())
    }
}
