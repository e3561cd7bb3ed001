//! SAM 3 and SAM3-LiteText: published sizes, pictures and texts of other sizes, and what is refused.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_models::sam3::Config;
use maskline_models::{BuildOptions, ConceptHead, Error, ErrorKind, Output, Task, family_of_architecture, recognise};
use maskline_weights::Source;
use serde_json::{Map, Value, json};

/// A folder of golden cases, or `None` (said aloud) where it is missing.
fn case(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/goldens")).join(name);
    if path.exists() {
        return Some(path);
    }
    maskline_testing::skip(format_args!("{} is missing", path.display()));
    None
}

/// Builds a checkpoint; what it answers concepts with.
fn build(path: &Path, options: &BuildOptions) -> Result<(String, ConceptHead), Error> {
    let (source, family) = recognise(Source::open(path).unwrap())?;
    let built = family.build(&source, options)?;
    match &built.info().output {
        Output::Concepts(head) => Ok((built.info().architecture.clone(), head.clone())),
        other => panic!("{other:?}"),
    }
}

/// A case's configuration with one value changed.
fn changed(case: &Path, pointer: &str, value: &Value) -> BuildOptions {
    let mut config: Value = serde_json::from_slice(&std::fs::read(case.join("config.json")).unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[key] = value.clone();
    BuildOptions { config: Some(config), ..BuildOptions::default() }
}

/// A case's checkpoint with its header changed, beside its configuration.
fn rewritten(case: &Path, change: impl Fn(&mut Map<String, Value>)) -> tempfile::TempDir {
    let bytes = std::fs::read(case.join("model.safetensors")).unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut tensors: Map<String, Value> = serde_json::from_slice(header).unwrap();
    tensors.remove("__metadata__");
    change(&mut tensors);
    let (mut header, mut kept) = (Map::new(), Vec::new());
    for (name, mut tensor) in tensors {
        let [start, end] = [0, 1].map(|index| tensor["data_offsets"][index].as_u64().unwrap() as usize);
        let place = kept.len();
        kept.extend_from_slice(&data[start..end]);
        tensor["data_offsets"] = json!([place, kept.len()]);
        header.insert(name, tensor);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &kept].concat();
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    std::fs::copy(case.join("config.json"), folder.path().join("config.json")).unwrap();
    folder
}

#[test]
fn published_sizes_are_those_of_the_published_configurations() {
    let family = family_of_architecture("sam3").unwrap();
    assert_eq!(family.description().architectures, ["sam3", "sam3-litetext-s0", "sam3-litetext-s1", "sam3-litetext-l"]);
    for name in family.description().architectures {
        let config = Config::published(name, &BuildOptions::default()).unwrap();
        assert_eq!((config.architecture.as_str(), config.image_size, config.grid(), config.width), (*name, 1008, 72, 256));
    }
    for size in [14, 336, 350, 672, 1344] {
        let options = BuildOptions { image_size: Some(size), ..BuildOptions::default() };
        let config = Config::published("sam3", &options).unwrap();
        assert_eq!((config.image_size, config.grid()), (size, size / 14));
    }
    assert_eq!(Config::published("sam3-huge", &BuildOptions::default()).unwrap_err().kind(), ErrorKind::UnknownModel);
}

#[test]
fn a_size_that_no_cells_fill_names_the_nearest_ones() {
    let error = |size| {
        let options = BuildOptions { image_size: Some(size), ..BuildOptions::default() };
        let error = Config::published("sam3", &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        error.to_string()
    };
    let told = error(500);
    assert!(told.contains("found 500") && told.contains("490 and 504") && told.contains("336 and 672"), "{told}");
    let told = error(0);
    assert!(told.contains("found 0") && told.contains("nearest are 14;") && told.contains("336"), "{told}");
    let told = error(1_000_000);
    assert!(told.contains("up to 4032") && told.contains("nearest are 4032;"), "{told}");
}

#[test]
fn texts_are_as_long_as_the_text_encoder_or_the_reference_has_them() {
    let context = |context| BuildOptions { context, ..BuildOptions::default() };
    if let Some(case) = case("sam3_lite_text/tiny112") {
        // It has 24 positions, whatever the texts' length is.
        for (wished, expected) in [(None, 32), (Some(16), 16), (Some(24), 24), (Some(77), 77)] {
            let (_, head) = build(&case, &context(wished)).unwrap();
            assert_eq!((head.context, head.vocabulary, head.width), (expected, 160, 24));
        }
        for wished in [0, 1, 1025] {
            let error = build(&case, &context(Some(wished))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(&format!("found {wished}")), "{error}");
        }
    }
    if let Some(case) = case("sam3_image/tiny112") {
        let own = build(&case, &context(None)).unwrap().1.context;
        assert_eq!(build(&case, &context(Some(own))).unwrap().1.context, own);
        let error = build(&case, &context(Some(own + 1))).unwrap_err();
        assert!(error.kind() == ErrorKind::Configuration && error.to_string().contains("texts of one length"), "{error}");
    }
}

#[test]
fn a_checkpoint_without_a_part_is_refused_by_a_tensor_of_it() {
    for (name, scope) in [
        ("sam3_image/tiny112", "text_encoder"),
        ("sam3_lite_text/tiny112", "text_encoder"),
        ("sam3_lite_text/tiny112", "text_encoder.layers.1.self_attn"),
        ("sam3_lite_text/tiny112", "text_encoder.layers.3.token_mixer.mixer"),
        ("sam3_lite_text/tiny112", "text_encoder.embeddings.position_embedding"),
        ("sam3_lite_text/tiny112", "text_projection"),
    ] {
        let Some(case) = case(name) else { return };
        let prefix = format!("{scope}.");
        let folder = rewritten(&case, |tensors| tensors.retain(|name, _| !name.contains(&prefix)));
        let error = build(folder.path(), &BuildOptions::default()).unwrap_err();
        assert!(error.kind() == ErrorKind::Checkpoint && error.to_string().contains(scope), "{scope}: {error}");
    }
}

#[test]
fn convolutions_that_have_no_middle_are_refused() {
    let Some(case) = case("sam3_lite_text/tiny112") else { return };
    let folder = rewritten(&case, |tensors| {
        let weight = tensors.get_mut("text_encoder.layers.0.token_mixer.mixer.conv.weight").unwrap();
        weight["shape"] = json!([32, 1, 1, 4]);
        let start = weight["data_offsets"][0].as_u64().unwrap();
        weight["data_offsets"] = json!([start, start + 32 * 4 * 2]);
    });
    let error = build(folder.path(), &BuildOptions::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::Checkpoint && error.to_string().contains("an odd number"), "{error}");
}

#[test]
fn a_configuration_of_another_model_is_refused_by_its_key() {
    let shared = [
        ("/text_config/hidden_size", json!(31)),
        ("/text_config/intermediate_size", json!(47)),
        ("/text_config/num_hidden_layers", json!(9)),
        ("/text_config/num_attention_heads", json!(5)),
        ("/text_config/num_attention_heads", json!(0)),
        ("/text_config/max_position_embeddings", json!(78)),
        ("/text_config/vocab_size", json!(49_408)),
        ("/text_config/hidden_act", json!("tanh")),
        ("/detr_decoder_config/num_queries", json!(7)),
        ("/detr_encoder_config/num_layers", json!(9)),
        ("/vision_config/fpn_hidden_size", json!(23)),
        ("/vision_config/backbone_config/patch_size", json!(16)),
        ("/vision_config/scale_factors", json!([2.0, 1.0])),
    ];
    let lite = [("/text_config/use_repmixer_blocks", json!(false)), ("/text_config/repmixer_kernel_size", json!(11))];
    for (name, extra) in [("sam3_image/tiny112", &lite[..0]), ("sam3_lite_text/tiny112", &lite[..])] {
        let Some(case) = case(name) else { return };
        for (pointer, value) in shared.iter().chain(extra) {
            let error = build(&case, &changed(&case, pointer, value)).expect_err(&format!("{name} {pointer} {value}"));
            let key = pointer.rsplit('/').next().unwrap();
            assert!(error.to_string().contains(key) && error.to_string().contains("expected"), "{pointer} {value}: {error}");
        }
    }
}

#[test]
fn what_a_checkpoint_answers_is_told() {
    for name in ["sam3_image/tiny112", "sam3_lite_text/tiny112"] {
        let Some(case) = case(name) else { return };
        let (source, family) = recognise(Source::open(&case).unwrap()).unwrap();
        let built = family.build(&source, &BuildOptions::default()).unwrap();
        let info = built.info();
        assert_eq!((info.family.as_str(), info.task, info.fixed_size), ("sam3", Task::Concepts, Some([112, 112])));
        assert!(info.takes_words() && info.architecture.starts_with("sam3 (width"), "{}", info.architecture);
        let parts: Vec<&str> = info.parts.iter().filter(|part| part.eager).map(|part| part.name.as_str()).collect();
        assert_eq!(parts, [ConceptHead::IMAGE_ENCODER], "what a request does not need is not opened");
    }
}
