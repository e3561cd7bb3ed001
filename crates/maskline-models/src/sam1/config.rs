//! Sizes of the image encoder.

use maskline_weights::{Checkpoint, Scope};

use super::names::{self, EncoderNames};
use crate::sam::{DecoderConfig, Frame, Generation, first};
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

/// Names of the published sizes.
pub(super) const ARCHITECTURES: &[&str] = &["sam-vit-base", "sam-vit-large", "sam-vit-huge"];

/// Sizes of a Segment Anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Published name, or a description.
    pub architecture: String,
    /// Side of the square input.
    pub image_size: usize,
    /// Side of a patch.
    pub patch: usize,
    /// Width.
    pub width: usize,
    /// Hidden width of the MLPs.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of each block's attention windows; 0 looks at the whole picture.
    pub windows: Vec<usize>,
    /// Rows of each block's tables of relative positions, two per cell and one less; 0 where there are none.
    pub relative: Vec<usize>,
    /// Side of the absolute position embedding; 0 if there is none.
    pub positions: usize,
    /// Epsilon of the blocks' layer norms.
    pub epsilon: f32,
    /// Prompt encoder and mask decoder.
    pub decoder: DecoderConfig,
    /// Layout of the checkpoint.
    pub(super) names: &'static EncoderNames,
}

/// A published size: suffix, width, heads, global blocks, the last of which is the last block.
type Published = (&'static str, usize, usize, [usize; 4]);

const PUBLISHED: [Published; 3] =
    [("base", 768, 12, [2, 5, 8, 11]), ("large", 1024, 16, [5, 11, 17, 23]), ("huge", 1280, 16, [7, 15, 23, 31])];

const PATCH: usize = 16;
const WINDOW: usize = 14;
const EPSILON: f32 = 1e-6;

impl Config {
    /// Cells per side of the picture.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch
    }

    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` for a size that the architecture cannot take.
    pub fn published(architecture: &str, options: &BuildOptions) -> Result<Self> {
        let suffix = architecture.strip_prefix("sam-vit-").unwrap_or_default();
        let Some((_, width, heads, global_blocks)) = PUBLISHED.iter().find(|p| p.0 == suffix) else {
            return Err(Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published Segment Anything")));
        };
        let image_size = first::check_image_size(options.image_size.unwrap_or(first::PUBLISHED_SPACE), PATCH)?;
        let grid = image_size / PATCH;
        let windows: Vec<usize> = (0..=global_blocks[3]).map(|i| if global_blocks.contains(&i) { 0 } else { WINDOW }).collect();
        Ok(Self {
            architecture: architecture.into(),
            image_size,
            patch: PATCH,
            width: *width,
            hidden: 4 * width,
            heads: *heads,
            relative: windows.iter().map(|window| 2 * if *window == 0 { grid } else { *window } - 1).collect(),
            windows,
            positions: grid,
            epsilon: EPSILON,
            decoder: DecoderConfig::published(Frame { generation: Generation::One, grid, space: image_size }),
            names: &names::HUGGING_FACE,
        })
    }

    /// The sizes of a checkpoint: from tensor shapes, and from its configuration where it has no position embeddings.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing or contradicts another, `Configuration` if a fact is not known or is not
    /// built.
    pub fn of_checkpoint(checkpoint: &Checkpoint, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        let names = names::of(&checkpoint.root()).unwrap_or(&names::OFFICIAL);
        let told = Told::of(facts);
        let scope = checkpoint.root().push(names.encoder);
        let (width, patch) = match scope.shape(&format!("{}.weight", names.patches))? {
            &[width, 3, patch, other] if patch == other && width > 0 && patch > 0 => (width, patch),
            other => {
                let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.{}.weight", names.encoder, names.patches));
                return Err(misfit.expecting("[width, 3, side, side]").finding(format!("{other:?}")).at(checkpoint.path()));
            }
        };
        let positions = if scope.contains("pos_embed") { scope.shape("pos_embed")?.get(1).copied().unwrap_or(0) } else { 0 };
        let trained = if positions > 0 { positions * patch } else { told.image_size.unwrap_or(first::PUBLISHED_SPACE) };
        let image_size = first::check_image_size(options.image_size.unwrap_or(trained), patch)?;
        let blocks = blocks(&scope.push(names.blocks), &told, trained / patch)?;
        let heads = blocks.heads(width, &told).map_err(|e| e.at(checkpoint.path()))?;
        let frame = Frame { generation: Generation::One, grid: image_size / patch, space: image_size };
        let depth = blocks.windows.len();
        let known = PUBLISHED.iter().find(|p| p.1 == width && p.3[3] + 1 == depth);
        let config = Self {
            architecture: known.map_or_else(|| format!("sam (width {width}, {depth} blocks)"), |p| format!("sam-vit-{}", p.0)),
            image_size,
            patch,
            width,
            hidden: scope.push(names.blocks).push(0).shape("mlp.lin1.weight")?.first().copied().unwrap_or(0),
            heads,
            windows: blocks.windows,
            relative: blocks.relative,
            positions,
            epsilon: told.epsilon.map_or(EPSILON, |epsilon| epsilon as f32),
            decoder: DecoderConfig::of_checkpoint(checkpoint, names.decoder, facts, frame)?,
            names,
        };
        config.check_facts(facts).map_err(|error| error.at(checkpoint.path()))?;
        Ok(config)
    }

    /// What Hugging Face's configuration says of the encoder must be what the tensors say, or what is built.
    fn check_facts(&self, facts: &Facts) -> Result<()> {
        let vision = facts.under("vision_config");
        vision.expect("hidden_act", "gelu")?;
        vision.expect("hidden_size", self.width)?;
        vision.expect("mlp_dim", self.hidden)?;
        vision.expect("num_hidden_layers", self.windows.len())?;
        vision.expect("patch_size", self.patch)?;
        vision.expect("num_channels", 3)?;
        vision.expect("output_channels", self.decoder.width)?;
        vision.expect("qkv_bias", true)?;
        vision.expect("use_abs_pos", self.positions > 0)?;
        vision.expect("use_rel_pos", self.relative.iter().any(|rows| *rows > 0))
    }
}

/// What a configuration tells: Hugging Face's keys, or short ones.
struct Told {
    image_size: Option<usize>,
    heads: Option<usize>,
    window: Option<usize>,
    global_blocks: Option<Vec<usize>>,
    epsilon: Option<f64>,
}

impl Told {
    fn of(facts: &Facts) -> Self {
        let vision = facts.under("vision_config");
        Self {
            image_size: vision.number("image_size").or_else(|| facts.number("img")),
            heads: vision.number("num_attention_heads").or_else(|| facts.number("heads")),
            window: vision.number("window_size").or_else(|| facts.number("win")),
            global_blocks: vision.numbers("global_attn_indexes").or_else(|| facts.numbers("glob")),
            epsilon: vision.fraction("layer_norm_eps"),
        }
    }
}

/// What the blocks' tables of relative positions tell.
struct Blocks {
    windows: Vec<usize>,
    relative: Vec<usize>,
    /// Width of a head; 0 if there are no tables.
    head: usize,
}

/// A block's tables have two rows per cell of its window's side and one less; a side as that of the picture is the whole picture.
fn blocks(scope: &Scope<'_>, told: &Told, grid: usize) -> Result<Blocks> {
    let mut blocks = Blocks { windows: vec![], relative: vec![], head: 0 };
    for index in 0..scope.children().len() {
        let attention = scope.push(index).push("attn");
        let is_global = told.global_blocks.as_ref().map(|list| list.contains(&index));
        if !attention.contains("rel_pos_h") {
            let (Some(window), Some(is_global)) = (told.window, is_global) else {
                let message = format!("{}: without relative positions no tensor tells its window", attention.name());
                let error = Error::new(ErrorKind::Configuration, message).at(scope.checkpoint().path());
                return Err(error.with_help("put its config.json beside it"));
            };
            blocks.windows.push(if is_global { 0 } else { window });
            blocks.relative.push(0);
            continue;
        }
        let &[rows, head] = attention.shape("rel_pos_h")? else { return Err(bad_table(&attention)) };
        if rows % 2 == 0 || head == 0 || (blocks.head > 0 && head != blocks.head) {
            return Err(bad_table(&attention));
        }
        let side = rows.div_ceil(2);
        blocks.windows.push(if is_global.unwrap_or(side == grid) { 0 } else { side });
        blocks.relative.push(rows);
        blocks.head = head;
    }
    if blocks.windows.is_empty() {
        return Err(Error::new(ErrorKind::Checkpoint, format!("{}: there are no blocks", scope.name())).at(scope.checkpoint().path()));
    }
    Ok(blocks)
}

fn bad_table(attention: &Scope<'_>) -> Error {
    let found = attention.shape("rel_pos_h").unwrap_or_default();
    let misfit = Error::new(ErrorKind::Checkpoint, format!("{}.rel_pos_h", attention.name()));
    misfit.expecting("[2 side - 1, width of a head]").finding(format!("{found:?}")).at(attention.checkpoint().path())
}

impl Blocks {
    fn heads(&self, width: usize, told: &Told) -> Result<usize> {
        let heads = width.checked_div(self.head).or(told.heads);
        match heads {
            Some(heads) if heads > 0 && width.is_multiple_of(heads) && (self.head == 0 || heads * self.head == width) => Ok(heads),
            Some(heads) => {
                let message = format!("the width {width} is no multiple of {heads} heads of width {}", self.head);
                Err(Error::new(ErrorKind::Checkpoint, message))
            }
            None => {
                let error = Error::new(ErrorKind::Configuration, "the checkpoint does not tell its attention heads");
                Err(error.with_help("put its config.json beside it"))
            }
        }
    }
}
