//! Sizes of an EfficientViT and its neck.

use crate::sam::{DecoderConfig, Frame, Generation, first};
use crate::{BuildOptions, Error, ErrorKind, Result};

/// Names of the published sizes.
pub(super) const ARCHITECTURES: &[&str] =
    &["efficientvit-sam-l0", "efficientvit-sam-l1", "efficientvit-sam-l2", "efficientvit-sam-xl0", "efficientvit-sam-xl1"];

/// What a block is, with its hidden width and the side of its spatial kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Two spatial convolutions.
    Residual {
        /// Width between them.
        hidden: usize,
        /// Kernel of both.
        kernel: usize,
    },
    /// A spatial convolution, which widens, and a 1×1 convolution (Tan & Le 2021).
    Fused {
        /// Width between them.
        hidden: usize,
        /// Kernel of the first.
        kernel: usize,
    },
    /// A 1×1 convolution, which widens, a depthwise one, and a 1×1 convolution (Sandler et al. 2018).
    Inverted {
        /// Width between them.
        hidden: usize,
        /// Kernel of the depthwise one.
        kernel: usize,
    },
    /// Linear attention over several scales, then an inverted bottleneck.
    Attention(Attention),
}

/// Linear attention over several scales, and the inverted bottleneck that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// Number of heads at each scale.
    pub heads: usize,
    /// Width of a head.
    pub size: usize,
    /// Kernels that gather queries, keys and values at further scales.
    pub scales: Vec<usize>,
    /// Hidden width of the inverted bottleneck.
    pub hidden: usize,
    /// Kernel of the inverted bottleneck.
    pub kernel: usize,
}

/// A stage: blocks of one width and resolution, the first of which halves the resolution of the stage before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Width.
    pub width: usize,
    /// Blocks; before those of the first stage comes the stem, a convolution that halves the resolution.
    pub blocks: Vec<Block>,
}

/// Sizes of an EfficientViT-SAM.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Published name, or a description.
    pub architecture: String,
    /// Side of the square input.
    pub image_size: usize,
    /// Kernel of the stem.
    pub stem_kernel: usize,
    /// Stages of the backbone, each at half the resolution of the one before.
    pub stages: Vec<Stage>,
    /// Stages that feed the neck, in its order.
    pub fed: Vec<usize>,
    /// Width of the neck.
    pub neck_width: usize,
    /// Blocks of the neck.
    pub neck: Vec<Block>,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
}

/// A published size: suffix, blocks per stage behind the first, blocks and expansion of the neck.
pub(super) struct Published {
    pub(super) suffix: &'static str,
    pub(super) blocks: &'static [usize],
    pub(super) neck: (usize, usize),
}

pub(super) const PUBLISHED: [Published; 5] = [
    Published { suffix: "l0", blocks: &[1, 1, 1, 4, 4], neck: (4, 1) },
    Published { suffix: "l1", blocks: &[1, 1, 1, 6, 6], neck: (8, 1) },
    Published { suffix: "l2", blocks: &[1, 2, 2, 8, 8], neck: (12, 1) },
    Published { suffix: "xl0", blocks: &[0, 1, 1, 2, 3, 3], neck: (6, 4) },
    Published { suffix: "xl1", blocks: &[1, 2, 2, 4, 6, 6], neck: (12, 4) },
];

impl Published {
    /// The XL sizes have six stages.
    fn is_extra_large(&self) -> bool {
        self.blocks.len() == 6
    }

    /// Blocks of a stage, the one that halves the resolution first.
    fn stage(&self, index: usize) -> Vec<Block> {
        let stages = if self.is_extra_large() {
            [('r', 1), ('f', 4), ('f', 4), ('f', 4), ('a', 4), ('a', 6)].as_slice()
        } else {
            [('r', 1), ('f', 4), ('f', 4), ('m', 4), ('a', 6)].as_slice()
        };
        let (kind, expansion) = stages[index];
        let width = published_width(index);
        let scale = if self.is_extra_large() { 3 } else { 5 };
        let block = |kind: char, hidden: usize| match kind {
            'r' => Block::Residual { hidden, kernel: 3 },
            'f' => Block::Fused { hidden, kernel: 3 },
            'm' => Block::Inverted { hidden, kernel: 3 },
            _ => Block::Attention(Attention { heads: width / 32, size: 32, scales: vec![scale], hidden, kernel: 3 }),
        };
        let halving = (index > 0).then(|| block(if kind == 'f' { 'f' } else { 'm' }, 4 * expansion * published_width(index - 1)));
        halving.into_iter().chain((0..self.blocks[index]).map(|_| block(kind, expansion * width))).collect()
    }
}

/// Width of a published stage: 32, 64, … 1024.
pub(super) fn published_width(stage: usize) -> usize {
    32 << stage
}

/// Epsilon of all norms, of which no file tells.
pub(super) const EPSILON: f32 = 1e-6;

/// Pixels of the prompt square per cell of the embedding.
pub(super) const PROMPT_STRIDE: usize = 16;

impl Config {
    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` for a size that the architecture cannot take.
    pub fn published(architecture: &str, options: &BuildOptions) -> Result<Self> {
        let suffix = architecture.strip_prefix("efficientvit-sam-").unwrap_or_default();
        let Some(published) = PUBLISHED.iter().find(|p| p.suffix == suffix) else {
            return Err(Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published EfficientViT-SAM")));
        };
        let count = published.blocks.len();
        let space = first::PUBLISHED_SPACE;
        let image_size = first::check_image_size(options.image_size.unwrap_or(published_image_size(count, space)), 1 << count)?;
        let decoder = with_own_epsilon(DecoderConfig::published(Frame { generation: Generation::One, grid: space / PROMPT_STRIDE, space }));
        let (neck_width, (depth, expansion)) = (decoder.width, published.neck);
        Ok(Self {
            architecture: architecture.into(),
            image_size,
            stem_kernel: 3,
            stages: (0..count).map(|i| Stage { width: published_width(i), blocks: published.stage(i) }).collect(),
            fed: fed_stages(count),
            neck_width,
            neck: vec![Block::Fused { hidden: expansion * neck_width, kernel: 3 }; depth],
            decoder,
        })
    }
}

/// The official code sets the epsilon of the encoder's norms in the decoder's layers too.
pub(super) fn with_own_epsilon(decoder: DecoderConfig) -> DecoderConfig {
    DecoderConfig { epsilon: EPSILON, final_epsilon: EPSILON, ..decoder }
}

/// The last three stages feed the neck, the last one first.
pub(super) fn fed_stages(count: usize) -> Vec<usize> {
    (count.saturating_sub(3)..count).rev().collect()
}

/// Side of the picture that goes with a prompt square: half of it with five stages, the same with six.
pub(super) fn published_image_size(stages: usize, space: usize) -> usize {
    if stages < 6 { space / 2 } else { space }
}
