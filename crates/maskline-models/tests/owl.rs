//! OWL-ViT and OWLv2: published sizes, other picture sizes, and what is refused.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_models::owl::Config;
use maskline_models::{
    BuildOptions, ErrorKind, Output, PartRole, Preprocess, Task, Vocabulary, WordHead, family_of_architecture, recognise,
};
use maskline_weights::Source;

fn case(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../maskline/tests/cases/tiny").join(family)
}

/// A folder with a checkpoint and its configuration.
fn copy(family: &str, names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(case(family).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn published_sizes_are_those_of_the_published_configurations() {
    // Picture, patch, width and layers of the picture's tower; width, layers and heads of the words'.
    let sizes = [
        ("owlvit-base-patch32", [768, 32, 768, 12], [512, 12, 8]),
        ("owlvit-base-patch16", [768, 16, 768, 12], [512, 12, 8]),
        ("owlvit-large-patch14", [840, 14, 1024, 24], [768, 12, 16]),
        ("owlv2-base", [960, 16, 768, 12], [512, 12, 8]),
        ("owlv2-large", [1008, 14, 1024, 24], [768, 12, 12]),
    ];
    for (name, picture, words) in sizes {
        let Config { image_size, patch, vision, text, vocabulary, context, .. } =
            Config::published(name, &BuildOptions::default()).unwrap();
        assert_eq!([image_size, patch, vision.width, vision.layers], picture, "{name}");
        assert_eq!([text.width, text.layers, text.heads], words, "{name}");
        assert_eq!((vision.width / vision.heads, vision.hidden, vocabulary, context), (64, 4 * vision.width, 49_408, 16), "{name}");
    }
    assert_eq!(Config::published("owlv2-huge", &BuildOptions::default()).unwrap_err().kind(), ErrorKind::UnknownModel);
}

#[test]
fn a_published_size_builds_with_generated_weights_for_any_picture() {
    let source = Source::generated(0);
    let options = BuildOptions { architecture: Some("owlv2-base".into()), image_size: Some(100), ..BuildOptions::default() };
    let built = family_of_architecture("owlv2-base").unwrap().build(&source, &options).unwrap();
    let info = built.info();
    assert_eq!((info.family.as_str(), info.task, info.fixed_size, info.takes_words()), ("owlv2", Task::Find, Some([100, 100]), true));
    assert!(matches!(info.preprocess, Preprocess::PaddedSquare(_)));
    let roles: Vec<(PartRole, bool)> = info.parts.iter().map(|part| (part.role, part.eager)).collect();
    assert_eq!(roles, [(PartRole::ImageEncoder, true), (PartRole::TextEncoder, false)]);
    let Output::Words(head) = &info.output else { panic!("{:?}", info.output) };
    let expected = WordHead { grid: 6, width: 512, context: 16, vocabulary: 49_408, tokenizer: Vocabulary::StandIn, has_objectness: true };
    assert_eq!(*head, expected, "what does not fill a patch is not looked at");
    for size in [0, 15, 8193] {
        let options = BuildOptions { image_size: Some(size), ..options.clone() };
        assert_eq!(family_of_architecture("owlv2-base").unwrap().build(&source, &options).unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[test]
fn a_tokenizer_beside_the_checkpoint_travels_with_the_model() {
    let vocabulary = |folder: &Path| {
        let (source, family) = recognise(Source::open(folder).unwrap()).unwrap();
        let built = family.build(&source, &BuildOptions::default()).unwrap();
        let names: Vec<String> = built.assets().iter().map(|asset| asset.name.clone()).collect();
        let Output::Words(head) = &built.info().output else { panic!("{:?}", built.info().output) };
        (head.tokenizer, names)
    };
    let folder = copy("owlvit", &["config.json", "model.safetensors"]);
    assert_eq!(vocabulary(folder.path()), (Vocabulary::Missing, vec![]));
    for name in ["vocab.json", "merges.txt", "preprocessor_config.json"] {
        std::fs::write(folder.path().join(name), "{}").unwrap();
    }
    assert_eq!(vocabulary(folder.path()), (Vocabulary::Files, vec!["vocab.json".into(), "merges.txt".into()]));
}

#[test]
fn heads_that_nothing_tells_are_not_guessed() {
    // Its widths are those of no published model.
    let folder = copy("owlv2", &["model.safetensors"]);
    let (source, family) = recognise(Source::open(folder.path()).unwrap()).unwrap();
    let error = family.build(&source, &BuildOptions::default()).unwrap_err();
    let told = error.to_string();
    assert!(error.kind() == ErrorKind::Configuration && told.contains("num_attention_heads") && told.contains("config.json"), "{told}");
}
