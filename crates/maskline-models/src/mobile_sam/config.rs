//! Sizes of a TinyViT.

use maskline_weights::{Checkpoint, Scope};

use crate::sam::{DecoderConfig, Frame, Generation, first, names};
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

/// The published size.
pub(super) const ARCHITECTURE: &str = "mobile-sam";

/// One stage: blocks of one width and resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Number of blocks.
    pub blocks: usize,
    /// Width.
    pub width: usize,
    /// Width inside the blocks: of the convolutions in the first stage, of the MLPs in the others.
    pub hidden: usize,
    /// Attention heads; 0 in the first stage, which has none.
    pub heads: usize,
    /// Side of the attention windows; 0 in the first stage.
    pub window: usize,
    /// Side of the depthwise convolution's kernel.
    pub kernel: usize,
}

/// Sizes of a MobileSAM.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Published name, or a description.
    pub architecture: String,
    /// Side of the square input.
    pub image_size: usize,
    /// Width of the first convolution.
    pub stem: usize,
    /// The four stages.
    pub stages: [Stage; 4],
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
}

const WIDTHS: [usize; 4] = [64, 128, 160, 320];
const BLOCKS: [usize; 4] = [2, 2, 6, 2];
const HEADS: [usize; 4] = [0, 4, 5, 10];
const WINDOWS: [usize; 4] = [0, 7, 14, 7];
/// Hidden width over width, in all blocks.
const EXPANSION: usize = 4;
const KERNEL: usize = 3;

/// Pixels per cell of the embedding: four halvings, as the last of the three merges keeps the resolution.
pub(super) const STRIDE: usize = 16;

impl Config {
    /// The published sizes.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` for a size that the architecture cannot take.
    pub fn published(architecture: &str, options: &BuildOptions) -> Result<Self> {
        if architecture != ARCHITECTURE {
            return Err(Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published MobileSAM")));
        }
        let image_size = first::check_image_size(options.image_size.unwrap_or(first::PUBLISHED_SPACE), STRIDE)?;
        let stage = |i: usize| Stage {
            blocks: BLOCKS[i],
            width: WIDTHS[i],
            hidden: EXPANSION * WIDTHS[i],
            heads: HEADS[i],
            window: WINDOWS[i],
            kernel: KERNEL,
        };
        Ok(Self {
            architecture: architecture.into(),
            image_size,
            stem: WIDTHS[0] / 2,
            stages: [0, 1, 2, 3].map(stage),
            decoder: DecoderConfig::published(Frame { generation: Generation::One, grid: image_size / STRIDE, space: image_size }),
        })
    }

    /// The sizes of a checkpoint, from tensor shapes; only the picture's side is a fact that no tensor tells.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing or contradicts another, `Configuration` for a bad picture size.
    pub fn of_checkpoint(checkpoint: &Checkpoint, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        let encoder = checkpoint.root().push("image_encoder");
        let layers = encoder.push("layers");
        let count = layers.children().len();
        if count != 4 {
            let misfit = Error::new(ErrorKind::Checkpoint, "image_encoder.layers");
            return Err(misfit.expecting("a TinyViT of 4 stages").finding(count).at(checkpoint.path()));
        }
        let image_size = options.image_size.or(facts.number("img")).unwrap_or(first::PUBLISHED_SPACE);
        let image_size = first::check_image_size(image_size, STRIDE)?;
        let space = first::check_space(facts.number("prompt_space").unwrap_or(image_size), STRIDE)?;
        let patches = encoder.push("patch_embed.seq");
        let mut stages = [Stage { blocks: 0, width: size(&patches, "2.c.weight", 0)?, hidden: 0, heads: 0, window: 0, kernel: KERNEL }; 4];
        for (i, stage) in stages.iter_mut().enumerate() {
            let layer = layers.push(i);
            stage.blocks = layer.push("blocks").children().len();
            if i > 0 {
                stage.width = size(&layers.push(i - 1), "downsample.conv3.c.weight", 0)?;
            }
            match (i, stage.blocks) {
                (_, 0) => {}
                (0, _) => read_convolutions(&layer.push("blocks.0"), stage)?,
                _ => read_attention(&layer.push("blocks.0"), stage)?,
            }
        }
        let frame = Frame { generation: Generation::One, grid: image_size / STRIDE, space };
        let is_published = (0..4).all(|i| stages[i].width == WIDTHS[i] && stages[i].blocks == BLOCKS[i]);
        let widths = stages.map(|stage| stage.width);
        Ok(Self {
            architecture: if is_published { ARCHITECTURE.into() } else { format!("mobile_sam (widths {widths:?})") },
            image_size,
            stem: size(&patches, "0.c.weight", 0)?,
            stages,
            decoder: DecoderConfig::of_checkpoint(checkpoint, &names::OFFICIAL_1, facts, frame)?,
        })
    }
}

/// Size of one axis of a tensor; 0 where it has no such axis, which no weight fits.
fn size(scope: &Scope<'_>, name: &str, axis: usize) -> Result<usize> {
    Ok(scope.shape(name)?.get(axis).copied().unwrap_or(0))
}

fn read_convolutions(block: &Scope<'_>, stage: &mut Stage) -> Result<()> {
    stage.hidden = size(block, "conv1.c.weight", 0)?;
    stage.kernel = size(block, "conv2.c.weight", 2)?;
    Ok(())
}

/// There is one bias per head and distance in rows and columns, of which a window has as many as cells.
fn read_attention(block: &Scope<'_>, stage: &mut Stage) -> Result<()> {
    stage.hidden = size(block, "mlp.fc1.weight", 0)?;
    stage.kernel = size(block, "local_conv.c.weight", 2)?;
    let biases = block.shape("attn.attention_biases")?;
    if let &[heads, cells] = biases
        && heads > 0
        && stage.width.is_multiple_of(heads)
        && cells.isqrt() * cells.isqrt() == cells
        && cells > 0
    {
        (stage.heads, stage.window) = (heads, cells.isqrt());
        return Ok(());
    }
    let name = format!("{}.attn.attention_biases", block.name());
    let expected = format!("[heads, window²] with heads that divide the width {}", stage.width);
    let misfit = Error::new(ErrorKind::Checkpoint, name).expecting(expected).finding(format!("{biases:?}"));
    Err(misfit.at(block.checkpoint().path()))
}
