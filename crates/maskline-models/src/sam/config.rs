//! Sizes of prompt encoder and mask decoder.

use maskline_onnx::Dialect;
use maskline_weights::{Checkpoint, Scope};

use super::folded;
use super::names::Names;
use crate::facts::Facts;
use crate::info::MaskDecoder;
use crate::{BuildOptions, Error, ErrorKind, Result};

/// Which generation of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Segment Anything (Kirillov et al. 2023), MobileSAM, EfficientViT-SAM.
    One,
    /// SAM 2 (Ravi et al. 2024): high-resolution features, an object score.
    Two,
}

/// What the image encoder decides of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Which generation.
    pub generation: Generation,
    /// Side of the image embedding.
    pub grid: usize,
    /// Side of the square in which prompt coordinates are given.
    pub space: usize,
}

/// Sizes of prompt encoder and mask decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Which generation.
    pub generation: Generation,
    /// Width of tokens and of the image embedding.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width inside the attentions between tokens and image.
    pub inner: usize,
    /// Two-way blocks.
    pub depth: usize,
    /// Hidden width of the MLPs.
    pub mlp: usize,
    /// Mask tokens: one for a single answer, the others for ambiguous prompts.
    pub masks: usize,
    /// Channels of a mask prompt before its last convolution.
    pub mask_channels: usize,
    /// Hidden width of the head that predicts the IoU.
    pub score_hidden: usize,
    /// Layers of the prediction heads.
    pub score_depth: usize,
    /// Whether that head gives a logit.
    pub score_is_logit: bool,
    /// Side of the image embedding.
    pub grid: usize,
    /// Side of the square in which prompt coordinates are given.
    pub space: usize,
    /// Epsilon of the two-way blocks' layer norms.
    pub epsilon: f32,
    /// Which form the decoder is built in.
    pub form: MaskDecoder,
    /// Epsilon of the layer norm after the last attention; the one of Hugging Face's configuration is not for it.
    pub final_epsilon: f32,
}

/// Epsilon of the layer norms over channels of maps.
pub(super) const MAP_EPSILON: f32 = 1e-6;

impl DecoderConfig {
    /// The sizes that all published models share.
    pub fn published(frame: Frame) -> Self {
        let Frame { generation, grid, space } = frame;
        Self {
            generation,
            width: 256,
            heads: 8,
            inner: 128,
            depth: 2,
            mlp: 2048,
            masks: 4,
            mask_channels: 16,
            score_hidden: 256,
            score_depth: 3,
            score_is_logit: generation == Generation::Two,
            grid,
            space,
            epsilon: 1e-5,
            final_epsilon: 1e-5,
            form: MaskDecoder::Graph,
        }
    }

    /// The sizes of a checkpoint's decoder; the number of heads is a fact that no tensor tells.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing.
    pub fn of_checkpoint(checkpoint: &Checkpoint, names: &Names, facts: &Facts, frame: Frame) -> Result<Self> {
        let published = Self::published(frame);
        if checkpoint.is_synthetic() {
            return Ok(published);
        }
        let decoder = checkpoint.root().push(names.mask_decoder);
        let prompt = checkpoint.root().push(names.prompt_encoder);
        let [masks, width] = rows_columns(&decoder, "mask_tokens.weight")?;
        let layers = decoder.push("transformer.layers");
        let depth = layers.children().len();
        let block = layers.push(0);
        let mut score_depth = 0;
        let head = decoder.push("iou_prediction_head");
        while score_depth < 16 && has_layer(&head, names, score_depth) {
            score_depth += 1;
        }
        let heads = facts.under("mask_decoder_config").number("num_attention_heads").or_else(|| facts.number("dheads"));
        let epsilon = facts.under("mask_decoder_config").fraction("layer_norm_eps");
        let config = Self {
            width,
            masks,
            depth,
            score_depth,
            heads: heads.unwrap_or(published.heads),
            inner: rows_columns(&block, "cross_attn_token_to_image.q_proj.weight")?[0],
            mlp: rows_columns(&block, &format!("{}.weight", names.mlp[0]))?[0],
            mask_channels: prompt.shape(&format!("{}.weight", names.mask[4]))?.get(1).copied().unwrap_or(0),
            score_hidden: rows_columns(&head, &format!("{}.weight", names.head_layer(0, score_depth)))?[0],
            epsilon: epsilon.map_or(published.epsilon, |e| e as f32),
            ..published
        };
        config.check(checkpoint)?;
        config.check_facts(facts).map_err(|error| error.at(checkpoint.path()))?;
        Ok(config)
    }

    /// What Hugging Face's configuration says of prompt encoder and mask decoder must be what the tensors say, or what is built.
    fn check_facts(&self, facts: &Facts) -> Result<()> {
        let prompt = facts.under("prompt_encoder_config");
        prompt.expect("hidden_act", "gelu")?;
        prompt.expect("layer_norm_eps", MAP_EPSILON)?;
        prompt.expect("hidden_size", self.width)?;
        prompt.expect("mask_input_channels", self.mask_channels)?;
        prompt.expect("num_point_embeddings", 4)?;
        let decoder = facts.under("mask_decoder_config");
        // That of SAM 2 has an activation in its configuration which its code does not read.
        if self.generation == Generation::One {
            decoder.expect("hidden_act", "relu")?;
        }
        decoder.expect("hidden_size", self.width)?;
        decoder.expect("mlp_dim", self.mlp)?;
        decoder.expect("num_hidden_layers", self.depth)?;
        decoder.expect("num_multimask_outputs", self.masks - 1)?;
        decoder.expect("iou_head_depth", self.score_depth)?;
        decoder.expect("iou_head_hidden_dim", self.score_hidden)?;
        decoder.expect("attention_downsample_rate", self.width / self.inner)
    }

    fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        let fits = self.heads > 0
            && self.width.is_multiple_of(8)
            && self.width.is_multiple_of(self.heads)
            && self.inner.is_multiple_of(self.heads)
            && self.mask_channels.is_multiple_of(4)
            && [self.width, self.inner, self.depth, self.masks, self.mask_channels].iter().all(|n| *n > 0);
        if fits && self.score_depth >= 2 {
            return Ok(());
        }
        let message = format!("the mask decoder's sizes do not fit together: {self:?}");
        Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()))
    }

    /// In the form that is wished, where its operators are to be had.
    #[must_use]
    pub fn built_as(self, options: &BuildOptions) -> Self {
        let folds = options.decoder == MaskDecoder::Native && options.dialect == Dialect::Native && self.depth == folded::BLOCKS;
        Self { form: if folds { MaskDecoder::Native } else { MaskDecoder::Graph }, ..self }
    }

    /// Side of the low-resolution masks, given out and taken as prompts.
    pub fn mask_side(&self) -> usize {
        4 * self.grid
    }
}

fn has_layer(head: &Scope<'_>, names: &Names, index: usize) -> bool {
    use super::names::Head;
    // Layers are counted before their number is known: the last one of `InOut` comes after the numbered ones.
    match names.head {
        Head::Numbered => head.contains(&format!("layers.{index}.weight")),
        Head::InOut => match index {
            0 => head.contains("proj_in.weight"),
            _ => index <= head.push("layers").children().len() + usize::from(head.contains("proj_out.weight")),
        },
    }
}

fn rows_columns(scope: &Scope<'_>, name: &str) -> Result<[usize; 2]> {
    match scope.shape(name)? {
        &[rows, columns] => Ok([rows, columns]),
        other => {
            let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.{name}", scope.name()));
            Err(misfit.expecting("a matrix").finding(format!("{other:?}")).at(scope.checkpoint().path()))
        }
    }
}
