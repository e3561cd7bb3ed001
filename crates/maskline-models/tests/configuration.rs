//! What the configuration beside a checkpoint says is what its tensors say and what is built, or it is refused by its key.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_models::{BuildOptions, recognise};
use maskline_weights::Source;
use serde_json::{Value, json};

/// Builds a case with one value of its configuration changed.
fn build(case: &Path, pointer: &str, value: &Value) -> Result<(), String> {
    let mut config: Value = serde_json::from_slice(&std::fs::read(case.join("config.json")).unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[key] = value.clone();
    let (source, family) = recognise(Source::open(&case.join("model.safetensors")).unwrap()).unwrap();
    let options = BuildOptions { config: Some(config), ..BuildOptions::default() };
    family.build(&source, &options).map(drop).map_err(|error| error.to_string())
}

fn refuses(case: &Path, changes: &[(&str, Value)]) {
    for (pointer, value) in changes {
        let error = build(case, pointer, value).expect_err(&format!("{pointer} {value}"));
        let key = pointer.rsplit('/').next().unwrap();
        assert!(error.contains(key) && error.contains("expected"), "{pointer} {value}: {error}");
    }
}

fn takes(case: &Path, changes: &[(&str, Value)]) {
    for (pointer, value) in changes {
        build(case, pointer, value).unwrap_or_else(|error| panic!("{pointer} {value}: {error}"));
    }
}

#[test]
fn of_a_segment_anything() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../maskline/tests/cases/sam_vit/tiny96_hf");
    refuses(
        &case,
        &[
            ("/vision_config/hidden_act", json!("relu")),
            ("/vision_config/hidden_act", json!(5)),
            ("/vision_config/mlp_dim", json!(191)),
            ("/vision_config/num_hidden_layers", json!(5)),
            ("/vision_config/qkv_bias", json!(false)),
            ("/vision_config/use_rel_pos", json!(false)),
            ("/vision_config/window_size", json!("5")),
            ("/vision_config/layer_norm_eps", json!("1e-6")),
            ("/prompt_encoder_config/hidden_act", json!("relu")),
            ("/prompt_encoder_config/layer_norm_eps", json!(0.5)),
            ("/mask_decoder_config/hidden_act", json!("gelu")),
            ("/mask_decoder_config/attention_downsample_rate", json!(4)),
            ("/mask_decoder_config/num_hidden_layers", json!(3)),
        ],
    );
    takes(&case, &[("/vision_config/mlp_dim", Value::Null), ("/vision_config/layer_norm_eps", json!(1e-5)), ("/unknown", json!("x"))]);
}

#[test]
fn of_an_owl() {
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../maskline/tests/cases/tiny");
    for case in [tiny.join("owlvit"), tiny.join("owlv2")] {
        refuses(
            &case,
            &[
                ("/projection_dim", json!(23)),
                ("/vision_config/hidden_act", json!("relu")),
                ("/vision_config/hidden_act", json!(5)),
                ("/vision_config/hidden_size", json!(21)),
                ("/vision_config/intermediate_size", json!(1)),
                ("/vision_config/num_hidden_layers", json!(3)),
                ("/vision_config/num_attention_heads", json!(7)),
                ("/vision_config/num_attention_heads", json!(0)),
                ("/vision_config/num_attention_heads", json!("4")),
                ("/vision_config/patch_size", json!(7)),
                ("/vision_config/image_size", json!(80)),
                ("/vision_config/num_channels", json!(1)),
                ("/vision_config/layer_norm_eps", json!("1e-5")),
                ("/text_config/hidden_act", json!("gelu_new")),
                ("/text_config/vocab_size", json!(49408)),
                ("/text_config/max_position_embeddings", json!(77)),
                ("/text_config/num_hidden_layers", json!(12)),
            ],
        );
        takes(
            &case,
            &[
                ("/vision_config/image_size", Value::Null),
                ("/text_config/hidden_act", json!("gelu")),
                // As published, and wrong there: nothing is read at these.
                ("/text_config/eos_token_id", json!(2)),
                ("/text_config/pad_token_id", json!(1)),
            ],
        );
    }
}

#[test]
fn of_a_sam_2() {
    let case = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/goldens/sam2_image/tiny128"));
    if !case.exists() {
        maskline_testing::skip(format_args!("{} is missing", case.display()));
        return;
    }
    let trunk = |key: &str| format!("/vision_config/backbone_config/{key}");
    for (key, value) in [
        ("hidden_act", json!("gelu_pytorch_tanh")),
        ("layer_norm_eps", json!("1e-6")),
        ("layer_norm_eps", json!(1e300)),
        ("window_size_per_stage", json!(8)),
        ("window_size_per_stage", json!([8, 4, 14, "7"])),
        ("num_attention_heads_per_stage", json!({"0": 1})),
        ("global_attention_blocks", json!("4")),
        ("image_size", json!("128")),
        ("image_size", json!([128, 256])),
        ("blocks_per_stage", json!([1, 1, 3, 1])),
        ("embed_dim_per_stage", json!([16, 32, 48, 65])),
        ("query_stride", json!([4, 4])),
        ("patch_stride", json!([8, 8])),
        ("patch_padding", json!([1, 1])),
        ("mlp_ratio", json!(2.0)),
        ("window_positional_embedding_background_size", json!([14, 14])),
    ] {
        refuses(&case, &[(&trunk(key), value)]);
    }
    refuses(
        &case,
        &[
            ("/vision_config/fpn_top_down_levels", json!([2])),
            ("/vision_config/fpn_hidden_size", json!(49)),
            ("/prompt_encoder_config/hidden_act", json!("relu")),
            ("/prompt_encoder_config/image_size", json!(256)),
            ("/mask_decoder_config/mlp_dim", json!(64)),
            ("/mask_decoder_config/num_multimask_outputs", json!(4)),
            ("/mask_decoder_config/dynamic_multimask_via_stability", json!("no")),
            ("/mask_decoder_config/dynamic_multimask_stability_delta", json!("x")),
        ],
    );
    takes(
        &case,
        &[
            ("/vision_config/backbone_config/query_stride", json!(2)),
            ("/vision_config/backbone_config/image_size", json!(128)),
            ("/vision_config/backbone_config/patch_stride", Value::Null),
            ("/vision_config/backbone_config/mlp_ratio", json!(4)),
            ("/mask_decoder_config/hidden_act", json!("relu")),
        ],
    );
}

/// Builds a published layout of Meta's beside which there is no configuration but this one.
fn build_with(case: &str, config: Value) -> Option<Result<(), String>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/goldens")).join(case);
    if !path.exists() {
        maskline_testing::skip(format_args!("{} is missing", path.display()));
        return None;
    }
    let (source, family) = recognise(Source::open(&path).unwrap()).unwrap();
    let options = BuildOptions { config: Some(config), ..BuildOptions::default() };
    Some(family.build(&source, &options).map(drop).map_err(|error| error.to_string()))
}

#[test]
fn of_files_without_one_of_their_own() {
    for space in [0, 1, 193] {
        let config = json!({"img": 192, "prompt_space": space});
        let Some(built) = build_with("mobile_sam/tiny192/mobile_sam.pt", config) else { return };
        let error = built.expect_err("a prompt square that the grid does not divide");
        assert!(error.contains("prompt square") && error.contains(&space.to_string()), "{error}");
    }
    let layout = |heads: Value| json!({"img": 128, "heads": heads, "win": [8, 4, 14, 7], "glob": [4]});
    let build = |heads: Value| build_with("sam2_official/meta128/sam2.1_tiny.pt", layout(heads));
    assert!(build(json!(1)).is_none_or(|built| built.is_ok()) && build(json!([1, 2, 4, 8])).is_none_or(|built| built.is_ok()));
    // A list is not the number that it begins with.
    assert!(build(json!([1, 3, 4, 8])).is_none_or(|built| built.unwrap_err().contains("3 heads")));
}
