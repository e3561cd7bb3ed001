//! Sizes of SAM 3: trunk, text encoder, concept decoder, click head.

use maskline_onnx::GeluForm;
use maskline_weights::{Checkpoint, Scope};

use super::layout::has_click_head_of_3_1;
use super::names::{DETECTOR, NECKS, TEXT, TRUNK};
use super::text::TextConfig;
use crate::blocks::Activation;
use crate::facts::Facts;
use crate::info::MOST_SIDE;
use crate::sam::{DecoderConfig, Frame, Generation, names};
use crate::{BuildOptions, Error, ErrorKind, Result};

/// Names of the published models, each of which can be run with generated weights.
pub(super) const ARCHITECTURES: &[&str] = &["sam3", "sam3-litetext-s0", "sam3-litetext-s1", "sam3-litetext-l"];

/// Epsilon of the norms outside trunk and text encoder, whatever a configuration says: no reference reads another.
pub(super) const EPSILON: f32 = 1e-5;

/// Most cells a side: four times those of the published size. Each looks at all others, and has a position for each size.
const MOST_CELLS: usize = 288;

/// The published trunk's blocks that look at the whole picture.
const GLOBAL_BLOCKS: [usize; 4] = [7, 15, 23, 31];

/// The windowed ViT.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrunkConfig {
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    /// Side of the attention windows, in cells.
    pub(super) window: usize,
    /// Blocks that look at the whole picture.
    pub(super) global_blocks: Vec<usize>,
    /// Pixels of a cell a side.
    pub(super) patch: usize,
    /// Side of the position embedding, which is laid over the picture as tiles.
    pub(super) tile: usize,
    pub(super) epsilon: f32,
    /// Base of the rotary frequencies.
    pub(super) theta: f32,
    pub(super) activation: Activation,
}

/// A stack of transformer layers over prompts, cells or queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StackConfig {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) hidden: usize,
    pub(super) activation: Activation,
}

/// What answers words and examples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConceptConfig {
    pub(super) text: TextConfig,
    pub(super) exemplars: StackConfig,
    /// Cells a side of what is pooled of an example's box.
    pub(super) pooled: usize,
    pub(super) encoder: StackConfig,
    pub(super) decoder: StackConfig,
    pub(super) queries: usize,
    /// Hidden width of the MLP that prepares prompts for scoring.
    pub(super) scoring_hidden: usize,
    /// Heads of the attention from cells to prompts that comes before the masks.
    pub(super) mask_heads: usize,
}

/// Sizes of a SAM 3.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Published name, or a description.
    pub architecture: String,
    /// Side of the square input.
    pub image_size: usize,
    /// Width of words, examples, queries and of the first neck's maps.
    pub width: usize,
    pub(super) trunk: TrunkConfig,
    /// `None` of a click head alone.
    pub(super) concepts: Option<ConceptConfig>,
    /// `None` of a detector alone.
    pub(super) clicks: Option<DecoderConfig>,
    /// Whether the embedding of a picture without a past is added for the click head.
    pub(super) adds_no_memory: bool,
}

impl Config {
    /// Cells a side.
    pub fn grid(&self) -> usize {
        self.image_size / self.trunk.patch
    }

    /// The sizes of a published architecture.
    ///
    /// # Errors
    /// `UnknownModel` for another name, `Configuration` for a size that it cannot take.
    pub fn published(architecture: &str, options: &BuildOptions) -> Result<Self> {
        let Some(text) = TextConfig::published(architecture, options)? else {
            return Err(Error::new(ErrorKind::UnknownModel, format!("`{architecture}` is no published SAM 3")));
        };
        let trunk = TrunkConfig {
            width: 1024,
            hidden: 4736,
            heads: 16,
            layers: 32,
            window: 24,
            global_blocks: GLOBAL_BLOCKS.to_vec(),
            patch: 14,
            tile: 24,
            epsilon: 1e-6,
            theta: 10_000.0,
            activation: Activation::Gelu(GeluForm::Exact),
        };
        let image_size = check_image_size(options.image_size.unwrap_or(1008), &trunk)?;
        let stack = |layers| StackConfig { layers, heads: 8, hidden: 2048, activation: Activation::Relu };
        Ok(Self {
            architecture: architecture.into(),
            image_size,
            width: 256,
            clicks: Some(DecoderConfig::published(frame(image_size, &trunk))),
            trunk,
            concepts: Some(ConceptConfig {
                text,
                exemplars: stack(3),
                pooled: 7,
                encoder: stack(6),
                decoder: stack(6),
                queries: 200,
                scoring_hidden: 2048,
                mask_heads: 8,
            }),
            adds_no_memory: true,
        })
    }

    /// The sizes of a checkpoint: from tensor shapes, and what these do not tell from its configuration; without one the published models'.
    ///
    /// # Errors
    /// `Checkpoint` if a tensor that tells a size is missing, `Configuration` if a fact contradicts it or is not built.
    pub fn of_checkpoint(checkpoint: &Checkpoint, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        Self::read(checkpoint, options, facts).map_err(|error| error.at(checkpoint.path()))
    }

    fn read(checkpoint: &Checkpoint, options: &BuildOptions, facts: &Facts) -> Result<Self> {
        let root = checkpoint.root();
        // One file may hold both heads, with a configuration for each.
        let told = |key: &str| Some(facts.under(key)).filter(Facts::is_told).unwrap_or_else(|| facts.clone());
        let (detector_facts, click_facts) = (told("detector_config"), told("tracker_config"));
        let detector = root.push(DETECTOR);
        let has_concepts = !detector.push("detr_decoder").children().is_empty();
        let has_clicks = !root.push("tracker_model.mask_decoder").children().is_empty();
        let vision = if has_concepts { &detector_facts } else { &click_facts }.under("vision_config");
        let (trunk, trained) = trunk(&root.push(TRUNK), &vision.under("backbone_config"), facts)?;
        let neck = root.push(if has_concepts { NECKS[0] } else { NECKS[1] });
        let width = rows(&neck.push("fpn_layers.2"), "proj1.weight")?;
        vision.expect("fpn_hidden_size", width)?;
        if let Some(factors) = vision.said("scale_factors") {
            let expected = [4.0, 2.0, 1.0];
            let told: Vec<f64> = factors.as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect();
            if !told.starts_with(&expected) {
                let error = Error::new(ErrorKind::Configuration, format!("config.json: {}", vision.key("scale_factors")));
                return Err(error.expecting("4, 2, 1 at its start").finding(factors));
            }
        }
        let image_size = check_image_size(options.image_size.unwrap_or(trained), &trunk)?;
        let concepts = has_concepts.then(|| concepts(&detector, &detector_facts, options, width)).transpose()?;
        let clicks = has_clicks.then(|| {
            let config = DecoderConfig::of_checkpoint(checkpoint, &names::SAM_3, &click_facts, frame(image_size, &trunk))?;
            Ok::<_, Error>(DecoderConfig { score_is_logit: !has_click_head_of_3_1(checkpoint), ..config })
        });
        let is_published = trunk.width == 1024 && trunk.layers == 32 && width == 256;
        let text_name = concepts.as_ref().and_then(|concepts| concepts.text.name());
        Ok(Self {
            architecture: match text_name.filter(|_| is_published) {
                Some(name) => name.into(),
                None if is_published => "sam3".into(),
                None => format!("sam3 (width {}, {} blocks)", trunk.width, trunk.layers),
            },
            image_size,
            width,
            trunk,
            concepts,
            clicks: clicks.transpose()?,
            // Cases of a reference that does not say so.
            adds_no_memory: facts.is_set("adds_no_memory").unwrap_or(true),
        })
    }
}

/// What the trunk decides of the click head.
fn frame(image_size: usize, trunk: &TrunkConfig) -> Frame {
    Frame { generation: Generation::Two, grid: image_size / trunk.patch, space: image_size }
}

/// The trunk, and the side of the pictures that it was trained with. What Hugging Face's configuration does not say, `own` may by the short
/// keys of Meta's layout.
fn trunk(scope: &Scope<'_>, facts: &Facts, own: &Facts) -> Result<(TrunkConfig, usize)> {
    let embeddings = scope.push("embeddings");
    let patches = embeddings.shape("patch_embeddings.projection.weight")?;
    let &[width, 3, patch, other] = patches else {
        return Err(misshapen("patch_embeddings.projection.weight", "[width, 3, side, side]", patches));
    };
    let positions = embeddings.shape("position_embeddings")?;
    let tile = positions.get(1).map_or(0, |cells| cells.isqrt());
    if patch != other || patch == 0 || positions != [1, tile * tile, width] || tile == 0 {
        return Err(misshapen("position_embeddings", "[1, a square number, width]", positions));
    }
    let layers = scope.push("layers");
    let hidden = rows(&layers.push(0).push("mlp"), "fc1.weight")?;
    let count = layers.children().len();
    let global_blocks = facts.numbers("global_attn_indexes").or_else(|| own.numbers("glob")).unwrap_or_else(|| GLOBAL_BLOCKS.to_vec());
    let rope = facts.under("rope_parameters");
    rope.expect("rope_type", "axial")?;
    facts.expect("hidden_size", width)?;
    facts.expect("intermediate_size", hidden)?;
    facts.expect("num_hidden_layers", count)?;
    facts.expect("patch_size", patch)?;
    facts.expect("num_channels", 3)?;
    let trained = facts.number("image_size").or_else(|| own.number("img")).unwrap_or(72 * patch);
    let trunk = TrunkConfig {
        width,
        hidden,
        heads: facts.number("num_attention_heads").or_else(|| own.number("heads")).unwrap_or(16),
        layers: count,
        window: facts.number("window_size").or_else(|| own.number("win")).unwrap_or(24),
        global_blocks,
        patch,
        tile,
        // Without a configuration it is Meta's own file, whose code has another epsilon than Hugging Face's.
        epsilon: facts.fraction("layer_norm_eps").map_or(if facts.is_told() { 1e-6 } else { 1e-5 }, |epsilon| epsilon as f32),
        theta: rope.fraction("rope_theta").unwrap_or(10_000.0) as f32,
        activation: Activation::of(facts, Activation::Gelu(GeluForm::Exact))?,
    };
    let heads_fit = trunk.heads > 0 && width.is_multiple_of(4 * trunk.heads);
    if heads_fit && trunk.window > 0 && count > 0 {
        return Ok((trunk, trained));
    }
    let message = format!("a trunk of {count} blocks, width {width} in {} heads, windows of {}", trunk.heads, trunk.window);
    Err(Error::new(ErrorKind::Configuration, message).with_help("put the model's config.json beside it"))
}

fn concepts(detector: &Scope<'_>, facts: &Facts, options: &BuildOptions, width: usize) -> Result<ConceptConfig> {
    let own = facts.number("dh");
    let stack = |name: &str, key: &str| {
        let (layers, facts) = (detector.push(name).push("layers"), facts.under(key));
        let hidden = rows(&layers.push(0).push("mlp"), "fc1.weight")?;
        let config = StackConfig {
            layers: layers.children().len(),
            heads: heads(&facts, own, width)?,
            hidden,
            activation: Activation::of(&facts, Activation::Relu)?,
        };
        facts.expect("hidden_size", width)?;
        facts.expect("intermediate_size", hidden)?;
        facts.expect("num_layers", config.layers)?;
        Ok::<_, Error>(config)
    };
    let pooling = detector.push("geometry_encoder").shape("boxes_pool_project.weight")?;
    let &[_, _, pooled, other] = pooling else { return Err(misshapen("boxes_pool_project.weight", "[width, width, r, r]", pooling)) };
    if pooled != other {
        return Err(misshapen("boxes_pool_project.weight", "[width, width, r, r]", pooling));
    }
    let queries = rows(&detector.push("detr_decoder"), "query_embed.weight")?;
    facts.under("detr_decoder_config").expect("num_queries", queries)?;
    if !width.is_multiple_of(8) {
        return Err(misshapen("the maps' width", "a multiple of 8, the groups of its norms", &[width]));
    }
    Ok(ConceptConfig {
        text: TextConfig::of_checkpoint(detector, facts, options)?,
        exemplars: stack("geometry_encoder", "geometry_encoder_config")?,
        pooled,
        encoder: stack("detr_encoder", "detr_encoder_config")?,
        decoder: stack("detr_decoder", "detr_decoder_config")?,
        queries,
        scoring_hidden: rows(&detector.push("dot_product_scoring.text_mlp"), "layer1.weight")?,
        mask_heads: heads(&facts.under("mask_decoder_config"), own, width)?,
    })
}

/// Heads of a stack: what is said, by the short key of Meta's layout too, else the published number.
fn heads(facts: &Facts, own: Option<usize>, width: usize) -> Result<usize> {
    let heads = facts.number("num_attention_heads").or(own).unwrap_or(8);
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(heads);
    }
    let error = Error::new(ErrorKind::Configuration, format!("config.json: {}", facts.key("num_attention_heads")));
    Err(error.expecting(format!("a divisor of the width {width}")).finding(heads))
}

/// First dimension of a weight.
pub(super) fn rows(scope: &Scope<'_>, name: &str) -> Result<usize> {
    match scope.shape(name)? {
        [rows, ..] if *rows > 0 => Ok(*rows),
        other => Err(misshapen(&format!("{}.{name}", scope.name()), "some rows", other)),
    }
}

pub(super) fn misshapen(name: &str, expected: &str, found: &[usize]) -> Error {
    Error::new(ErrorKind::Checkpoint, name).expecting(expected).finding(format!("{found:?}"))
}

/// Checks the side of the square picture: whole cells, of which a window need not be full.
fn check_image_size(size: usize, trunk: &TrunkConfig) -> Result<usize> {
    let TrunkConfig { patch, window, .. } = *trunk;
    let most = (MOST_CELLS * patch).min(MOST_SIDE);
    if size > 0 && size.is_multiple_of(patch) && size <= most {
        return Ok(size);
    }
    let nearest = |step: usize| {
        let below = (size.min(most) / step * step).max(step);
        if below < size && below + step <= most { format!("{below} and {}", below + step) } else { below.to_string() }
    };
    let error = Error::new(ErrorKind::Configuration, "image size").expecting(format!("a multiple of {patch} up to {most}"));
    let full = patch * window;
    let help = format!("the nearest are {}; multiples of {full} leave no window half empty: {}", nearest(patch), nearest(full));
    Err(error.finding(size).with_help(help))
}

/// Where the text encoder lies.
pub(super) fn text_scope<'w>(detector: &Scope<'w>) -> Scope<'w> {
    detector.push(TEXT)
}
