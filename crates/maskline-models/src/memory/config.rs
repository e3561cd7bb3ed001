//! Sizes of the memory.

use maskline_weights::Scope;

use super::names::MemoryNames;
use crate::facts::Facts;
use crate::{Error, ErrorKind, Result};

/// Sizes of memory attention, memory encoder and object pointers.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryConfig {
    /// Width of the picture's features and of the pointers.
    pub width: usize,
    /// Width of a memory.
    pub memory_width: usize,
    /// Side of the picture's features.
    pub grid: usize,
    /// Side of the masks that are remembered.
    pub mask_side: usize,
    /// Layers of the memory attention.
    pub layers: usize,
    /// Heads of its attentions.
    pub heads: usize,
    /// Width inside of them.
    pub inner: usize,
    /// Hidden width of its MLPs.
    pub feed_forward: usize,
    /// Memories that are looked at: prompted frames, and so many less one of those before.
    pub memories: usize,
    /// Frames whose pointers are looked at.
    pub pointers: usize,
    /// Whether pointers tell how old they are.
    pub tells_pointer_ages: bool,
    /// Whether the memory of an object that is not seen says so.
    pub tells_occlusion: bool,
    /// Channels after each layer over masks.
    pub mask_channels: Vec<usize>,
    /// Blocks that join picture and mask.
    pub fuser_blocks: usize,
    /// Their hidden width.
    pub fuser_hidden: usize,
    /// Kernel of their depthwise convolution.
    pub fuser_kernel: usize,
    /// A remembered probability is multiplied by the first and the second is added.
    pub mask_scale: [f32; 2],
}

/// Side of a cell in pixels, and of the masks' cells that become one.
const STRIDE: usize = 16;

impl MemoryConfig {
    /// The sizes of the published SAM 2.1 for a grid of this side.
    pub fn published(grid: usize) -> Self {
        Self {
            width: 256,
            memory_width: 64,
            grid,
            mask_side: STRIDE * grid,
            layers: 4,
            heads: 1,
            inner: 256,
            feed_forward: 2048,
            memories: 7,
            pointers: 16,
            tells_pointer_ages: true,
            tells_occlusion: true,
            mask_channels: vec![4, 16, 64, 256],
            fuser_blocks: 2,
            fuser_hidden: 1024,
            fuser_kernel: 7,
            mask_scale: [20.0, -10.0],
        }
    }

    /// The sizes of a checkpoint's memory; `None` where it has none, as models of pictures alone.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing or they do not fit together, `Configuration` for a fact that is not built.
    pub fn of(scope: &Scope<'_>, names: &MemoryNames, facts: &Facts, grid: usize) -> Result<Option<Self>> {
        if scope.checkpoint().is_synthetic() {
            return Ok(Some(Self::published(grid)));
        }
        let attention = scope.push(names.attention);
        let layers = attention.push("layers");
        if !scope.contains(names.ages) || !layers.contains("0.linear1.weight") {
            return Ok(None);
        }
        let published = Self::published(grid);
        let encoder = scope.push(names.encoder);
        let first = layers.push(0);
        let mut mask_channels = Vec::new();
        while let [conv, norm] = names.mask_layers.layer(mask_channels.len())
            && encoder.contains(&format!("{norm}.weight"))
        {
            mask_channels.push(size(&encoder, &format!("{conv}.weight"), 0)?);
        }
        let fuser = encoder.push(names.fuser);
        let [depthwise, _, point, ..] = names.fuser_block;
        let fraction = |key: &str, usual: f32| facts.fraction(key).map_or(usual, |value| value as f32);
        let [scale, bias] = published.mask_scale;
        let config = Self {
            width: size(&first, "self_attn.q_proj.weight", 1)?,
            inner: size(&first, "self_attn.q_proj.weight", 0)?,
            memory_width: size(scope, names.ages, 3)?,
            memories: size(scope, names.ages, 0)?,
            layers: layers.children().len(),
            heads: facts.number("memory_attention_num_attention_heads").unwrap_or(published.heads),
            feed_forward: size(&first, "linear1.weight", 0)?,
            pointers: facts.number("max_object_pointers_in_encoder").unwrap_or(published.pointers),
            tells_pointer_ages: scope.contains(&format!("{}.weight", names.pointer_ages)),
            tells_occlusion: scope.contains(names.occlusion),
            fuser_blocks: fuser.children().len(),
            fuser_hidden: size(&fuser.push(0), &format!("{point}.weight"), 0)?,
            fuser_kernel: size(&fuser.push(0), &format!("{depthwise}.weight"), 3)?,
            mask_scale: [fraction("sigmoid_scale_for_mem_enc", scale), fraction("sigmoid_bias_for_mem_enc", bias)],
            mask_channels,
            ..published
        };
        config.check(scope)?;
        check_facts(facts).map_err(|error| error.at(scope.checkpoint().path()))?;
        Ok(Some(config))
    }

    fn check(&self, scope: &Scope<'_>) -> Result<()> {
        let Self { width, memory_width, heads, inner, mask_channels, .. } = self;
        let sizes = [*width, *memory_width, *heads, *inner, self.memories, self.pointers, self.layers, self.fuser_blocks, self.grid];
        let reaches_the_grid = self.mask_side == self.grid << mask_channels.len();
        let fits = sizes.iter().all(|size| *size > 0)
            && width.is_multiple_of(*memory_width)
            && memory_width.is_multiple_of(4)
            && inner.is_multiple_of(4 * heads)
            && self.fuser_kernel % 2 == 1
            && reaches_the_grid;
        if fits {
            return Ok(());
        }
        let message = format!("the memory's sizes do not fit together: {self:?}");
        Err(Error::new(ErrorKind::Checkpoint, message).at(scope.checkpoint().path()))
    }
}

/// What Hugging Face's configuration says must be what is built.
fn check_facts(facts: &Facts) -> Result<()> {
    facts.expect("memory_attention_feed_forward_hidden_act", "relu")?;
    facts.expect("memory_fuser_hidden_act", "gelu")?;
    facts.expect("mask_downsampler_hidden_act", "gelu")?;
    facts.expect("mask_downsampler_kernel_size", 3)?;
    facts.expect("mask_downsampler_stride", 2)?;
    facts.expect("mask_downsampler_padding", 1)?;
    facts.expect("multimask_output_in_sam", true)?;
    facts.expect("multimask_output_for_tracking", true)?;
    facts.expect("multimask_min_pt_num", 0)?;
    facts.expect("multimask_max_pt_num", 1)?;
    facts.under("rope_parameters").expect("rope_theta", 10_000.0)
}

/// A dimension of a tensor; 0 where it has none, which nothing fits.
fn size(scope: &Scope<'_>, name: &str, axis: usize) -> Result<usize> {
    Ok(scope.shape(name)?.get(axis).copied().unwrap_or(0))
}
