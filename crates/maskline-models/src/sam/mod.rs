//! Prompt encoder and mask decoder of Segment Anything (Kirillov et al. 2023), which SAM 1, MobileSAM, EfficientViT-SAM and SAM 2
//! share.
//!
//! The work is cut in two: [`Decoder::image_side`] is done once per image, at the end of the image encoder, and its outputs are
//! the embedding; [`Decoder::parts`] answer prompts. What lies where:
//!
//! - `prompt`: clicks, boxes and masks to tokens and maps;
//! - `folding`, `folded`: the cells as operators of our own keep them, and the graphs with these operators;
//! - `attention`: the cheap and exact forms of attention between tokens and cells;
//! - `transformer`: the two-way blocks;
//! - `masks`: upscaling and heads;
//! - `objects`: the decoder of objects in a video;
//! - `names`: the published layouts;
//! - `first`: what surrounds the image encoders of the first generation.

mod attention;
mod config;
pub(crate) mod first;
mod folded;
mod folding;
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

use self::folded::{Folder, Start};
use self::masks::MaskHead;
use self::names::Names;
use self::prompt::PromptEncoder;
use self::transformer::{Image, Tokens, TwoWay};
use crate::blocks::parameter;
use crate::info::{MaskDecoder, PromptHead, embedding};
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

    fn folder(&self) -> Folder<'a, 'w> {
        let transformer = self.decoder_scope().push("transformer");
        Folder { transformer, names: self.names, config: self.config, prompt: self.prompt_encoder(), head: self.mask_head() }
    }

    fn is_folded(&self) -> bool {
        self.config.form == MaskDecoder::Native
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
        let no_mask = prompt.no_mask(g)?;
        let cells = g.add(cells, &no_mask)?;
        if self.is_folded() {
            self.folder().image_side(g, &cells)?;
        } else {
            let positions = prompt.dense_positions(g)?;
            let [keys, values, queries] = self.transformer().shared_projections(g, &cells, &positions)?;
            g.output(embedding::CELLS, &cells)?;
            g.output(embedding::KEYS, &keys)?;
            g.output(embedding::VALUES, &values)?;
            g.output(embedding::QUERIES, &queries)?;
        }
        if let Some(HighResolution { middle, fine }) = high_resolution {
            let middle = masks::block(g, middle, self.config.grid, 2)?;
            let fine = masks::block(g, fine, self.config.grid, 4)?;
            let head = self.mask_head();
            let (mut middle, mut fine) = (head.with_bias(g, &middle, 0)?, head.with_bias(g, &fine, 1)?);
            if self.is_folded() {
                (middle, fine) = (folded::pixels_in_stripes(g, &middle, 4)?, folded::pixels_in_stripes(g, &fine, 16)?);
            }
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
        let name = if with_mask { PromptHead::MASKED_DECODER } else { PromptHead::DECODER };
        let g = &mut Graph::new(name, dialect);
        let (prompts, points) = (Dim::symbol("prompts"), Dim::symbol("points"));
        let coords = g.input(PromptHead::COORDS, DType::F32, [prompts.clone(), points.clone(), 2.into()])?;
        let kinds = g.input(PromptHead::KINDS, DType::I64, [prompts.clone(), points])?;
        let mask = if with_mask {
            let side = self.config.mask_side();
            Some(g.input(PromptHead::MASK, DType::F32, [prompts, 1.into(), side.into(), side.into()])?)
        } else {
            None
        };

        let encoder = self.prompt_encoder();
        let sparse = encoder.tokens(g, &coords, &kinds)?;
        if taps {
            g.output("sparse", &sparse)?;
            if let Some(mask) = &mask {
                self.dense_tap(g, mask)?;
            }
        }
        let positions = encoder.dense_positions(g)?;
        let folder = self.folder();
        let folded = if self.is_folded() { Some(folder.fold()?) } else { None };
        let image = match &folded {
            Some(folded) => {
                let image = folded::Cells::inputs(g, self.config)?;
                let mask = mask.map(|mask| encoder.mask_channels(g, &mask)).transpose()?;
                Image::Folded(folded::Cells::new(g, &folder, Start { folded, image, mask })?)
            }
            None => self.plain_image(g, mask.as_ref(), &positions)?,
        };
        let (tokens, outputs) = self.all_tokens(g, &sparse)?;
        let (tokens, image) = self.transformer().run(g, Tokens { all: &tokens, outputs }, image, &positions)?;
        self.answers(g, &tokens, &image)?;
        Ok(std::mem::replace(g, Graph::new("", dialect)))
    }

    /// The image as the two-way blocks take it where cells are not folded, from the embedding.
    fn plain_image(&self, g: &mut Graph<'w>, mask: Option<&Value>, positions: &Value) -> Result<Image<'static>> {
        let DecoderConfig { width, inner, heads, grid, .. } = *self.config;
        let area = grid * grid;
        let cells = g.input(embedding::CELLS, DType::F32, [1, area, width])?;
        let Some(mask) = mask else {
            let keys = g.input(embedding::KEYS, DType::F32, [1, heads, inner / heads, area])?;
            let values = g.input(embedding::VALUES, DType::F32, [1, heads, area, inner / heads])?;
            let queries = g.input(embedding::QUERIES, DType::F32, [1, area, inner])?;
            return Ok(Image::Shared { cells, projections: [keys, values, queries] });
        };
        let dense = self.prompt_encoder().dense(g, mask)?;
        let no_mask = self.prompt_encoder().no_mask(g)?;
        let bare = g.sub(&cells, &no_mask)?;
        let own = g.add(&dense, &bare)?;
        Image::own(g, own, positions)
    }

    /// A mask prompt as it is added to the cells.
    fn dense_tap(&self, g: &mut Graph<'w>, mask: &Value) -> Result<()> {
        let DecoderConfig { width, grid, .. } = *self.config;
        let dense = self.prompt_encoder().dense(g, mask)?;
        let map = g.transpose(&dense, &[0, 2, 1])?;
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

    /// Features of higher resolution, as they are upscaled where cells are not folded.
    fn high_resolution(&self, g: &mut Graph<'w>) -> Result<Option<[Value; 2]>> {
        let DecoderConfig { width, grid, generation, .. } = *self.config;
        let area = grid * grid;
        if generation == Generation::One {
            return Ok(None);
        }
        if self.is_folded() {
            // Objects in a video are decoded from features of their own, which are not folded.
            let maps = folded::pixel_inputs(g, self.config)?;
            return Ok(Some([
                folded::pixels_out_of_stripes(g, &maps[0], [area, 4])?,
                folded::pixels_out_of_stripes(g, &maps[1], [area, 16])?,
            ]));
        }
        let middle = g.input(embedding::MIDDLE, DType::F32, [1, 4 * area, width / 4])?;
        Ok(Some([middle, g.input(embedding::FINE, DType::F32, [1, 16 * area, width / 8])?]))
    }

    fn answers(&self, g: &mut Graph<'w>, tokens: &Value, image: &Image<'_>) -> Result<()> {
        let masks = self.config.masks as i64;
        let head = self.mask_head();
        let first = i64::from(self.config.generation == Generation::Two);
        let mask_tokens = g.slice(tokens, 1, first + 1..first + 1 + masks)?;
        let weights = head.hypernetworks(g, &mask_tokens)?;
        let logits = match image {
            Image::Folded(cells) => cells.masks(g, &head, &weights)?,
            Image::Own { plain, .. } | Image::Shared { cells: plain, .. } => {
                let high_resolution = self.high_resolution(g)?;
                head.masks(g, &weights, plain, high_resolution.as_ref())?
            }
        };
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
