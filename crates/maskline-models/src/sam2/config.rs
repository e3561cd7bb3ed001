//! Sizes of the Hiera trunk and its neck.

use maskline_weights::{Checkpoint, Scope, Source};

use super::names::{HUGGING_FACE, OFFICIAL, TrunkNames};
use crate::facts::Facts;
use crate::memory::{self, MemoryConfig, MemoryNames};
use crate::sam::{DecoderConfig, Frame, Generation, names};
use crate::{BuildOptions, Error, ErrorKind, Result, SingleMask};

/// Names of the published sizes.
pub(super) const ARCHITECTURES: &[&str] = &["sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large"];

/// One stage of the trunk: blocks of one width and resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Number of blocks.
    pub blocks: usize,
    /// Width.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of the attention windows.
    pub window: usize,
}

/// Sizes of a SAM 2.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Published name, or a description.
    pub architecture: String,
    /// Side of the square input.
    pub image_size: usize,
    /// The four stages of the trunk.
    pub stages: Vec<Stage>,
    /// Blocks that look at the whole picture, counted over all stages.
    pub global_blocks: Vec<usize>,
    /// Side of the position embedding that is stretched over the picture, and of the one that is repeated.
    pub position_sides: [usize; 2],
    /// Hidden width of the MLPs over their width.
    pub mlp_ratio: usize,
    /// Epsilon of the trunk's layer norms.
    pub epsilon: f32,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
    /// Choice of a single mask.
    pub single: SingleMask,
    /// Memory of what is followed through time; `None` in models of pictures alone.
    pub memory: Option<MemoryConfig>,
    /// Layout of the checkpoint.
    pub(super) trunk_names: &'static TrunkNames,
    pub(super) decoder_names: &'static names::Names,
    pub(super) memory_names: &'static MemoryNames,
}

/// A published trunk: suffix, width and heads of the first stage, blocks per stage, global blocks, windows, stretched embedding.
type Published = (&'static str, usize, usize, [usize; 4], &'static [usize], [usize; 4], usize);

const PUBLISHED: [Published; 4] = [
    ("tiny", 96, 1, [1, 2, 7, 2], &[5, 7, 9], [8, 4, 14, 7], 7),
    ("small", 96, 1, [1, 2, 11, 2], &[7, 10, 13], [8, 4, 14, 7], 7),
    ("base-plus", 112, 2, [2, 3, 16, 3], &[12, 16, 20], [8, 4, 14, 7], 14),
    ("large", 144, 2, [2, 6, 36, 4], &[23, 33, 43], [8, 4, 16, 8], 7),
];

const IMAGE_SIZE: usize = 1024;
/// Pixels per cell of the last stage: the picture's side is a multiple of it.
pub(super) const LARGEST_STRIDE: usize = 32;

impl Config {
    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` for a size that the architecture cannot take.
    pub fn published(architecture: &str, options: &BuildOptions) -> Result<Self> {
        let suffix = architecture.strip_prefix("sam2.1-").unwrap_or_default();
        let Some(published) = PUBLISHED.iter().find(|p| p.0 == suffix) else {
            return Err(Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published SAM 2.1")));
        };
        let (_, width, heads, blocks, global_blocks, windows, stretched) = *published;
        let image_size = image_size(options.image_size, IMAGE_SIZE)?;
        let stage = |i: usize| Stage { blocks: blocks[i], width: width << i, heads: heads << i, window: windows[i] };
        Ok(Self {
            architecture: architecture.into(),
            image_size,
            stages: (0..4).map(stage).collect(),
            global_blocks: global_blocks.to_vec(),
            position_sides: [stretched, windows[0]],
            mlp_ratio: 4,
            epsilon: 1e-6,
            decoder: DecoderConfig::published(Frame { generation: Generation::Two, grid: image_size / 16, space: image_size }),
            single: single_mask(&Facts::default()),
            memory: Some(MemoryConfig::published(image_size / 16)),
            trunk_names: &HUGGING_FACE,
            decoder_names: &names::HUGGING_FACE_2,
            memory_names: &memory::names::HUGGING_FACE,
        })
    }

    /// The sizes of a checkpoint: from tensor shapes, the `config.json` beside it, and for what neither tells (heads, windows and
    /// global blocks of Meta's files) the published trunk of its widths and depths.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing, `Configuration` if a fact is not known.
    pub fn of_source(source: &Source, options: &BuildOptions) -> Result<Self> {
        let (checkpoint, facts) = (source.checkpoint(), Facts::of(source, options)?);
        let is_official = checkpoint.info("image_encoder.trunk.pos_embed").is_some();
        let (trunk_names, decoder_names) =
            if is_official { (&OFFICIAL, &names::OFFICIAL_2) } else { (&HUGGING_FACE, &names::HUGGING_FACE_2) };
        let memory_names = if is_official { &memory::names::OFFICIAL } else { &memory::names::HUGGING_FACE };
        let trunk = checkpoint.root().push(trunk_names.trunk);
        let (blocks, widths) = stages(&trunk)?;
        let known = PUBLISHED.iter().find(|p| p.1 == widths[0] && p.3.as_slice() == blocks);
        let told = Told::of(&facts, blocks.len());
        let missing = |what: &str| {
            let message = format!(
                "the checkpoint does not tell its {what}, and its trunk (width {}, blocks {blocks:?}) is no published one",
                widths[0]
            );
            Error::new(ErrorKind::Configuration, message).at(checkpoint.path()).with_help("put its config.json beside it")
        };
        let heads = told.heads.or_else(|| known.map(|p| (0..4).map(|i| p.2 << i).collect())).ok_or_else(|| missing("attention heads"))?;
        let windows = told.windows.or_else(|| known.map(|p| p.5.to_vec())).ok_or_else(|| missing("window sizes"))?;
        let global_blocks = told.global_blocks.or_else(|| known.map(|p| p.4.to_vec())).ok_or_else(|| missing("global blocks"))?;
        if [&heads, &windows].iter().any(|list| list.len() != blocks.len()) {
            let misfit = Error::new(ErrorKind::Configuration, "config.json");
            let misfit = misfit.expecting(format!("{} heads and windows, one per stage", blocks.len()));
            return Err(misfit.finding(format!("{heads:?} and {windows:?}")).at(checkpoint.path()));
        }
        let image_size = image_size(options.image_size.or(told.image_size), IMAGE_SIZE)?;
        let side = |name: &str| Ok::<_, Error>(trunk.shape(name)?.last().copied().unwrap_or(0));
        let hidden = rows(&trunk.push("blocks.0"), &format!("{}.weight", trunk_names.mlp[0]))?;
        let frame = Frame { generation: Generation::Two, grid: image_size / 16, space: image_size };
        let stage = |i: usize| Stage { blocks: blocks[i], width: widths[i], heads: heads[i], window: windows[i] };
        let config = Self {
            architecture: known.map_or_else(|| format!("sam2 (width {}, blocks {blocks:?})", widths[0]), |p| format!("sam2.1-{}", p.0)),
            image_size,
            stages: (0..blocks.len()).map(stage).collect(),
            global_blocks,
            position_sides: [side("pos_embed")?, side("pos_embed_window")?],
            mlp_ratio: hidden / widths[0].max(1),
            epsilon: told.epsilon.unwrap_or(1e-6) as f32,
            single: single_mask(&facts),
            decoder: DecoderConfig::of_checkpoint(checkpoint, decoder_names, &facts, frame)?,
            memory: MemoryConfig::of(&checkpoint.root(), memory_names, &facts, frame.grid)?,
            trunk_names,
            decoder_names,
            memory_names,
        };
        config.check(checkpoint)?;
        config.check_facts(&facts, told.image_size).map_err(|error| error.at(checkpoint.path()))?;
        Ok(config)
    }

    /// What Hugging Face's configuration says of the image encoder must be what the tensors say, or what is built.
    fn check_facts(&self, facts: &Facts, image_size: Option<usize>) -> Result<()> {
        let vision = facts.under("vision_config");
        vision.expect("fpn_hidden_size", self.decoder.width)?;
        vision.expect("fpn_kernel_size", 1)?;
        vision.expect("fpn_stride", 1)?;
        vision.expect("fpn_padding", 0)?;
        vision.expect("fpn_top_down_levels", vec![2, 3])?;
        vision.expect("num_feature_levels", 3)?;
        let trunk = vision.under("backbone_config");
        trunk.expect("hidden_act", "gelu")?;
        trunk.expect("blocks_per_stage", self.stages.iter().map(|stage| stage.blocks).collect::<Vec<_>>())?;
        trunk.expect("embed_dim_per_stage", self.stages.iter().map(|stage| stage.width).collect::<Vec<_>>())?;
        trunk.expect("num_query_pool_stages", 3)?;
        trunk.expect("query_stride", 2)?;
        trunk.expect("patch_kernel_size", 7)?;
        trunk.expect("patch_stride", 4)?;
        trunk.expect("patch_padding", 3)?;
        trunk.expect("mlp_ratio", self.mlp_ratio)?;
        trunk.expect("window_positional_embedding_background_size", self.position_sides[0])?;
        // Pictures are square, and prompts are given in them.
        if let Some(side) = image_size {
            trunk.expect("image_size", side)?;
            facts.under("prompt_encoder_config").expect("image_size", side)?;
            facts.under("prompt_encoder_config").expect("patch_size", 16)?;
        }
        Ok(())
    }

    fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        let fail = |message: String| Err(Error::new(ErrorKind::Configuration, message).at(checkpoint.path()));
        if self.stages.len() != 4 {
            return fail(format!("expected a trunk of 4 stages, found {}", self.stages.len()));
        }
        for (i, stage) in self.stages.iter().enumerate() {
            if stage.heads == 0 || stage.width % stage.heads != 0 || stage.window == 0 {
                return fail(format!("stage {}: width {} with {} heads and windows of {}", i + 1, stage.width, stage.heads, stage.window));
            }
            let pools_windows = i < 3 && stage.window % 2 != 0;
            if pools_windows {
                return fail(format!("stage {}: windows of {} cannot be halved for the next stage", i + 1, stage.window));
            }
        }
        let mut first = 0;
        for stage in &self.stages {
            if first > 0 && self.global_blocks.contains(&first) {
                return fail(format!("block {first} is the first of its stage and cannot be global"));
            }
            first += stage.blocks;
        }
        Ok(())
    }
}

/// What a configuration tells: Hugging Face's keys, or the short ones of Meta's layout.
struct Told {
    image_size: Option<usize>,
    heads: Option<Vec<usize>>,
    windows: Option<Vec<usize>>,
    global_blocks: Option<Vec<usize>>,
    epsilon: Option<f64>,
}

impl Told {
    fn of(facts: &Facts, stages: usize) -> Self {
        let trunk = facts.under("vision_config").under("backbone_config");
        let (own, same) = (|key: &str| facts.numbers(key), |size: usize| vec![size; stages]);
        let doubled = |heads: usize| (0..stages).map(|i| heads << i).collect();
        Self {
            image_size: trunk.number("image_size").or_else(|| facts.number("img")),
            heads: trunk.numbers("num_attention_heads_per_stage").or_else(|| own("heads")).or_else(|| facts.number("heads").map(doubled)),
            windows: trunk.numbers("window_size_per_stage").or_else(|| own("win")).or_else(|| facts.number("win").map(same)),
            global_blocks: trunk.numbers("global_attention_blocks").or_else(|| facts.numbers("glob")),
            epsilon: trunk.fraction("layer_norm_eps"),
        }
    }
}

/// By stability, unless a Hugging Face configuration says otherwise.
fn single_mask(facts: &Facts) -> SingleMask {
    let facts = facts.under("mask_decoder_config");
    if !facts.is_set("dynamic_multimask_via_stability").unwrap_or(true) {
        return SingleMask::First;
    }
    let number = |key: &str, published: f32| facts.fraction(key).map_or(published, |value| value as f32);
    SingleMask::Stable {
        delta: number("dynamic_multimask_stability_delta", 0.05),
        threshold: number("dynamic_multimask_stability_thresh", 0.98),
    }
}

fn image_size(wished: Option<usize>, default: usize) -> Result<usize> {
    let size = wished.unwrap_or(default);
    if size > 0 && size.is_multiple_of(LARGEST_STRIDE) && size <= 8192 {
        return Ok(size);
    }
    let expected = format!("a multiple of {LARGEST_STRIDE} from {LARGEST_STRIDE} to 8192");
    Err(Error::new(ErrorKind::Configuration, "image size").expecting(expected).finding(size))
}

/// First dimension of a weight; 0 where it has none, which nothing fits.
fn rows(scope: &Scope<'_>, name: &str) -> Result<usize> {
    Ok(scope.shape(name)?.first().copied().unwrap_or(0))
}

/// Blocks and width of each stage. A stage begins where a block has a projection for its shortcut.
fn stages(trunk: &Scope<'_>) -> Result<(Vec<usize>, Vec<usize>)> {
    let count = trunk.push("blocks").children().len();
    let (mut blocks, mut widths) = (Vec::new(), Vec::<usize>::new());
    for index in 0..count {
        let block = trunk.push("blocks").push(index);
        if index == 0 || block.contains("proj.weight") {
            widths.push(rows(&block, "attn.proj.weight")?);
            blocks.push(0);
        }
        if let Some(last) = blocks.last_mut() {
            *last += 1;
        }
    }
    if blocks.is_empty() {
        return Err(Error::new(ErrorKind::Checkpoint, "the trunk has no blocks").at(trunk.checkpoint().path()));
    }
    Ok((blocks, widths))
}
