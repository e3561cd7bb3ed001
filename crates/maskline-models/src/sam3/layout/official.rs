//! The names of SAM 3's own files, `sam3.pt` (`detector.*`, `tracker.*`) and `sam3.1_multiplex.pt` (`detector.*`, `tracker.model.*`),
//! beside those that the graphs read.
//!
//! Source: the modules of `facebookresearch/sam3` (`sam3/model`, `sam3/sam`).

use std::collections::HashSet;

use maskline_weights::Renaming;

/// A module and those in it. `#` stands for a number, the same on both sides.
struct Group {
    file: &'static str,
    here: &'static str,
    rows: &'static [Row],
}

/// A module, or one tensor, of a group.
struct Row {
    file: &'static str,
    here: &'static str,
    form: Form,
}

/// How both layouts hold what a row names.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Alike.
    Same,
    /// PyTorch's attention: the file fuses the three projections. Its last projection is called this here.
    Attention(&'static str),
    /// The three projections in one layer.
    Fused,
    /// Layers `layers.0`, `layers.1` … in the file, `layer1`, `layer2` … here.
    Counted,
    /// Layers `layers.0` … in the file; here `proj_in`, `layers.0` … and `proj_out`.
    Head,
    /// One row in the file (`point_embeddings.0.weight`), a table here.
    TableRow,
    /// A matrix, transposed.
    Transposed,
    /// Positions, in the file with that of a class token in front.
    Positions,
}

const fn same(file: &'static str, here: &'static str) -> Row {
    Row { file, here, form: Form::Same }
}

const fn kept(name: &'static str) -> Row {
    same(name, name)
}

/// An attention whose last projection is `o_proj` here.
const fn attention(file: &'static str, here: &'static str) -> Row {
    Row { file, here, form: Form::Attention("o_proj") }
}

const fn counted(file: &'static str, here: &'static str) -> Row {
    Row { file, here, form: Form::Counted }
}

const fn head(name: &'static str) -> Row {
    Row { file: name, here: name, form: Form::Head }
}

/// The detector; in the file also under `detector.`.
static DETECTOR: [Group; 15] = [
    Group { file: "backbone.vision_backbone.trunk", here: "detector_model.vision_encoder.backbone", rows: &VIT },
    Group { file: "backbone.vision_backbone.convs.#", here: "detector_model.vision_encoder.neck.fpn_layers.#", rows: &PYRAMID },
    // The click head's pyramid, in SAM 3 and in SAM 3.1.
    Group { file: "backbone.vision_backbone.sam2_convs.#", here: "tracker_neck.fpn_layers.#", rows: &PYRAMID },
    Group { file: "backbone.vision_backbone.interactive_convs.#", here: "tracker_neck.fpn_layers.#", rows: &PYRAMID },
    Group { file: "backbone.language_backbone", here: "detector_model", rows: &LITE_WORDS },
    Group {
        file: "backbone.language_backbone.encoder.transformer.#",
        here: "detector_model.text_encoder.layers.#",
        rows: &LITE_WORDS_BLOCK,
    },
    Group { file: "backbone.language_backbone", here: "detector_model", rows: &WORDS },
    Group {
        file: "backbone.language_backbone.encoder.transformer.resblocks.#",
        here: "detector_model.text_encoder.text_model.encoder.layers.#",
        rows: &WORDS_BLOCK,
    },
    Group { file: "geometry_encoder", here: "detector_model.geometry_encoder", rows: &EXEMPLARS },
    Group { file: "geometry_encoder.encode.#", here: "detector_model.geometry_encoder.layers.#", rows: &ENCODER_LAYER },
    Group { file: "transformer.encoder.layers.#", here: "detector_model.detr_encoder.layers.#", rows: &ENCODER_LAYER },
    Group { file: "transformer.decoder.layers.#", here: "detector_model.detr_decoder.layers.#", rows: &DECODER_LAYER },
    Group { file: "transformer.decoder", here: "detector_model.detr_decoder", rows: &DECODER },
    Group { file: "dot_prod_scoring", here: "detector_model.dot_product_scoring", rows: &SCORING },
    Group { file: "segmentation_head", here: "detector_model.mask_decoder", rows: &MASKS },
];

static VIT: [Row; 9] = [
    Row { file: "pos_embed", here: "embeddings.position_embeddings", form: Form::Positions },
    same("patch_embed.proj", "embeddings.patch_embeddings.projection"),
    same("ln_pre", "layer_norm"),
    same("blocks.#.norm1", "layers.#.layer_norm1"),
    Row { file: "blocks.#.attn.qkv", here: "layers.#.attention", form: Form::Fused },
    same("blocks.#.attn.proj", "layers.#.attention.o_proj"),
    same("blocks.#.norm2", "layers.#.layer_norm2"),
    same("blocks.#.mlp.fc1", "layers.#.mlp.fc1"),
    same("blocks.#.mlp.fc2", "layers.#.mlp.fc2"),
];

static PYRAMID: [Row; 5] = [
    same("dconv_2x2_0", "scale_layers.0"),
    same("dconv_2x2_1", "scale_layers.2"),
    same("dconv_2x2", "scale_layers.0"),
    same("conv_1x1", "proj1"),
    same("conv_3x3", "proj2"),
];

static WORDS: [Row; 5] = [
    same("encoder.token_embedding", "text_encoder.text_model.embeddings.token_embedding"),
    same("encoder.positional_embedding", "text_encoder.text_model.embeddings.position_embedding.weight"),
    same("encoder.ln_final", "text_encoder.text_model.final_layer_norm"),
    Row { file: "encoder.text_projection", here: "text_encoder.text_projection.weight", form: Form::Transposed },
    same("resizer", "text_projection"),
];

static WORDS_BLOCK: [Row; 5] = [
    Row { file: "attn", here: "self_attn", form: Form::Attention("out_proj") },
    same("ln_1", "layer_norm1"),
    same("ln_2", "layer_norm2"),
    same("mlp.c_fc", "mlp.fc1"),
    same("mlp.c_proj", "mlp.fc2"),
];

/// The text encoder of SAM3-LiteText. No published file of it was read: these are the names that its converter to Hugging Face's knows.
static LITE_WORDS: [Row; 5] = [
    same("encoder.embedding_layer", "text_encoder.embeddings.token_embedding"),
    same("encoder.positional_embedding.pos_embed.pos_embed", "text_encoder.embeddings.position_embedding.position_embedding"),
    same("encoder.final_layer_norm", "text_encoder.final_layer_norm"),
    same("encoder.projection_layer", "text_encoder.projection.weight"),
    same("projector", "text_projection"),
];

static LITE_WORDS_BLOCK: [Row; 15] = [
    same("pre_norm_mha.0", "layer_norm1"),
    Row { file: "pre_norm_mha.1.qkv_proj", here: "self_attn", form: Form::Fused },
    same("pre_norm_mha.1.out_proj", "self_attn.out_proj"),
    same("pre_norm_ffn.0", "layer_norm2"),
    same("pre_norm_ffn.1", "mlp.fc1"),
    same("pre_norm_ffn.4", "mlp.fc2"),
    same("token_mixer.norm.rbr_skip", "token_mixer.reference_batchnorm"),
    same("token_mixer.mixer.rbr_skip", "token_mixer.mixer.batchnorm_skip"),
    same("token_mixer.mixer.rbr_conv.0.conv", "token_mixer.mixer.conv"),
    same("token_mixer.mixer.rbr_conv.0.bn", "token_mixer.mixer.batchnorm_conv"),
    kept("token_mixer.layer_scale"),
    same("convffn.conv.conv", "conv_feed_forward.depthwise_conv"),
    same("convffn.conv.bn", "conv_feed_forward.depthwise_batchnorm"),
    same("convffn", "conv_feed_forward.mlp"),
    kept("layer_scale"),
];

static EXEMPLARS: [Row; 12] = [
    kept("label_embed"),
    kept("cls_embed"),
    kept("boxes_direct_project"),
    kept("boxes_pool_project"),
    kept("boxes_pos_enc_project"),
    kept("points_direct_project"),
    kept("points_pool_project"),
    kept("points_pos_enc_project"),
    kept("final_proj"),
    same("norm", "prompt_layer_norm"),
    same("img_pre_norm", "vision_layer_norm"),
    same("encode_norm", "output_layer_norm"),
];

static ENCODER_LAYER: [Row; 7] = [
    attention("self_attn", "self_attn"),
    attention("cross_attn_image", "cross_attn"),
    same("linear1", "mlp.fc1"),
    same("linear2", "mlp.fc2"),
    same("norm1", "layer_norm1"),
    same("norm2", "layer_norm2"),
    same("norm3", "layer_norm3"),
];

static DECODER_LAYER: [Row; 9] = [
    attention("self_attn", "self_attn"),
    attention("ca_text", "text_cross_attn"),
    attention("cross_attn", "vision_cross_attn"),
    same("linear1", "mlp.fc1"),
    same("linear2", "mlp.fc2"),
    same("norm1", "vision_cross_attn_layer_norm"),
    same("norm2", "self_attn_layer_norm"),
    same("norm3", "mlp_layer_norm"),
    same("catext_norm", "text_cross_attn_layer_norm"),
];

static DECODER: [Row; 10] = [
    kept("query_embed"),
    kept("reference_points"),
    kept("presence_token"),
    counted("presence_token_head", "presence_head"),
    same("presence_token_out_norm", "presence_layer_norm"),
    same("norm", "output_layer_norm"),
    counted("bbox_embed", "box_head"),
    counted("ref_point_head", "ref_point_head"),
    counted("boxRPB_embed_x", "box_rpb_embed_x"),
    counted("boxRPB_embed_y", "box_rpb_embed_y"),
];

static SCORING: [Row; 4] = [
    same("prompt_mlp.out_norm", "text_mlp_out_norm"),
    counted("prompt_mlp", "text_mlp"),
    same("prompt_proj", "text_proj"),
    same("hs_proj", "query_proj"),
];

static MASKS: [Row; 6] = [
    kept("pixel_decoder"),
    same("mask_predictor.mask_embed", "mask_embedder"),
    same("instance_seg_head", "instance_projection"),
    same("semantic_seg_head", "semantic_projection"),
    attention("cross_attend_prompt", "prompt_cross_attn"),
    same("cross_attn_norm", "prompt_cross_attn_norm"),
];

/// In front of the click head's names where the detector carries it.
const CARRIED: &str = "inst_interactive_predictor.model.";
/// In front of the click head's names: in SAM 3.1's file, there, in SAM 3's.
const CLICK_PREFIXES: [&str; 4] = ["tracker.model.interactive_", "tracker.model.interactivity_", CARRIED, "tracker."];

/// The click head, without the prefix.
static CLICK_HEAD: [Group; 4] = [
    Group { file: "sam_prompt_encoder", here: "tracker_model.prompt_encoder", rows: &PROMPTS },
    Group { file: "sam_mask_decoder.transformer.layers.#", here: "tracker_model.mask_decoder.transformer.layers.#", rows: &TWO_WAY_BLOCK },
    Group { file: "sam_mask_decoder", here: "tracker_model.mask_decoder", rows: &CLICK_DECODER },
    Group { file: "no_mem_embed", here: "tracker_model.no_memory_embedding", rows: &[] },
];

static PROMPTS: [Row; 9] = [
    Row { file: "point_embeddings", here: "point_embed", form: Form::TableRow },
    kept("not_a_point_embed"),
    kept("no_mask_embed"),
    same("pe_layer.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    same("mask_downscaling.0", "mask_embed.conv1"),
    same("mask_downscaling.1", "mask_embed.layer_norm1"),
    same("mask_downscaling.3", "mask_embed.conv2"),
    same("mask_downscaling.4", "mask_embed.layer_norm2"),
    same("mask_downscaling.6", "mask_embed.conv3"),
];

static TWO_WAY_BLOCK: [Row; 9] = [
    attention("self_attn", "self_attn"),
    attention("cross_attn_token_to_image", "cross_attn_token_to_image"),
    attention("cross_attn_image_to_token", "cross_attn_image_to_token"),
    same("mlp.lin1", "mlp.proj_in"),
    same("mlp.lin2", "mlp.proj_out"),
    same("norm1", "layer_norm1"),
    same("norm2", "layer_norm2"),
    same("norm3", "layer_norm3"),
    same("norm4", "layer_norm4"),
];

static CLICK_DECODER: [Row; 13] = [
    kept("iou_token"),
    kept("mask_tokens"),
    kept("obj_score_token"),
    kept("conv_s0"),
    kept("conv_s1"),
    same("output_upscaling.0", "upscale_conv1"),
    same("output_upscaling.1", "upscale_layer_norm"),
    same("output_upscaling.3", "upscale_conv2"),
    head("output_hypernetworks_mlps.#"),
    head("iou_prediction_head"),
    head("pred_obj_score_head"),
    attention("transformer.final_attn_token_to_image", "transformer.final_attn_token_to_image"),
    same("transformer.norm_final_attn", "transformer.layer_norm_final_attn"),
];

/// What a tensor of an official file is here. Names that the tables do not hold are kept, and so are left over. `names` are all
/// names of the file: they tell which layer of a head is its last.
pub(super) fn canonical(name: &str, names: &HashSet<String>) -> Renaming {
    let detector = name.strip_prefix("detector.").unwrap_or(name);
    let found = looked_up(&DETECTOR, detector).or_else(|| {
        let inner = CLICK_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
        looked_up(&CLICK_HEAD, inner)
    });
    found.and_then(|found| found.renaming(name, names)).unwrap_or_else(|| match name.strip_prefix(CARRIED) {
        // Left over, under the names that SAM 3's file has for it.
        Some(inner) => Renaming::To(format!("tracker.{inner}")),
        None => Renaming::Kept,
    })
}

/// Where a name stands in the tables.
struct Found<'n> {
    /// The module here.
    here: String,
    form: Form,
    /// What follows the module in the file: `weight`, `layers.0.bias`; empty for a tensor.
    rest: &'n str,
}

fn looked_up<'n>(groups: &'static [Group], name: &'n str) -> Option<Found<'n>> {
    groups.iter().find_map(|group| {
        let mut numbers = Vec::new();
        let inner = after(group.file, name, &mut numbers)?;
        if group.rows.is_empty() {
            return inner.is_empty().then(|| Found { here: group.here.into(), form: Form::Same, rest: "" });
        }
        group.rows.iter().find_map(|row| {
            let mut numbers = numbers.clone();
            let rest = after(row.file, inner, &mut numbers)?;
            let here = numbered(&format!("{}.{}", group.here, row.here), &numbers);
            Some(Found { here, form: row.form, rest })
        })
    })
}

/// What of `name` follows the segments of `pattern`; the numbers that stand for `#` are added.
fn after<'n>(pattern: &str, name: &'n str, numbers: &mut Vec<&'n str>) -> Option<&'n str> {
    pattern.split('.').try_fold(name, |rest, expected| {
        let (segment, rest) = rest.split_once('.').unwrap_or((rest, ""));
        if expected == "#" {
            is_number(segment).then(|| numbers.push(segment))?;
            return Some(rest);
        }
        (segment == expected).then_some(rest)
    })
}

fn is_number(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit())
}

/// The pattern with these numbers in the place of `#`.
fn numbered(pattern: &str, numbers: &[&str]) -> String {
    numbers.iter().fold(pattern.to_owned(), |name, number| name.replacen('#', number, 1))
}

impl Found<'_> {
    /// `None` for what the module cannot hold.
    fn renaming(&self, name: &str, names: &HashSet<String>) -> Option<Renaming> {
        let Self { here, rest, .. } = self;
        let to = |inner: &str| Renaming::To(if inner.is_empty() { here.clone() } else { format!("{here}.{inner}") });
        Some(match self.form {
            Form::Same => to(rest),
            Form::Transposed if rest.is_empty() => Renaming::Transposed(here.clone()),
            Form::Positions if rest.is_empty() => Renaming::WithoutFirst(here.clone()),
            Form::Transposed | Form::Positions => return None,
            Form::Fused => self.projections(rest),
            Form::Attention(out) => match rest.strip_prefix("in_proj_") {
                Some(kind) => self.projections(kind),
                None => match rest.strip_prefix("out_proj.") {
                    Some(kind) => to(&format!("{out}.{kind}")),
                    None => to(rest),
                },
            },
            Form::Counted => {
                let (index, kind) = layer(rest)?;
                to(&format!("layer{}.{kind}", index + 1))
            }
            Form::Head => {
                let (index, kind) = layer(rest)?;
                let next = format!("{}layers.{}.weight", name.strip_suffix(rest)?, index + 1);
                match index {
                    0 => to(&format!("proj_in.{kind}")),
                    _ if !names.contains(&next) => to(&format!("proj_out.{kind}")),
                    _ => to(&format!("layers.{}.{kind}", index - 1)),
                }
            }
            Form::TableRow => {
                let (index, kind) = rest.split_once('.')?;
                Renaming::PartOf { whole: format!("{here}.{kind}"), index: index.parse().ok()? }
            }
        })
    }

    /// The parts of a fused `weight` or `bias`.
    fn projections(&self, kind: &str) -> Renaming {
        Renaming::Parts(["q_proj", "k_proj", "v_proj"].map(|projection| format!("{}.{projection}.{kind}", self.here)).into())
    }
}

/// Index and rest of `layers.0.weight`. The indices of real heads have one digit; more than four are none.
fn layer(rest: &str) -> Option<(usize, &str)> {
    let (index, kind) = rest.strip_prefix("layers.")?.split_once('.')?;
    Some((index.parse().ok().filter(|index| *index < 10_000)?, kind))
}
