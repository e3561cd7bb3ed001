//! Segment Anything's first generation: published sizes with generated weights, and what is refused.
#![allow(clippy::unwrap_used)]

use maskline_models::{BuildOptions, Built, ErrorKind, Output, Preprocess, PromptHead, family_of_architecture};
use maskline_onnx::Dialect;
use maskline_weights::Source;

fn build<'w>(source: &'w Source, architecture: &str, options: &BuildOptions) -> maskline_models::Result<Built<'w>> {
    let options = BuildOptions { architecture: Some(architecture.into()), ..options.clone() };
    family_of_architecture(architecture)?.build(source, &options)
}

fn head(built: &Built<'_>) -> PromptHead {
    match &built.info().output {
        Output::Promptable(head) => head.clone(),
        other => panic!("no promptable model: {other:?}"),
    }
}

#[test]
fn published_sizes_build() {
    let source = Source::generated(0);
    for (architecture, size, grid, space) in [
        ("mobile-sam", 1024, 64, 1024),
        ("efficientvit-sam-l0", 512, 64, 1024),
        ("efficientvit-sam-xl0", 1024, 64, 1024),
        ("sam-vit-base", 1024, 64, 1024),
    ] {
        let built = build(&source, architecture, &BuildOptions::default()).unwrap();
        let names: Vec<&str> = built.parts().iter().map(|part| part.name).collect();
        assert_eq!(names, [PromptHead::ENCODER, PromptHead::DECODER, PromptHead::MASKED_DECODER], "{architecture}");
        let head = head(&built);
        assert_eq!((built.info().fixed_size, head.grid, head.space), (Some([size, size]), grid, space), "{architecture}");
        assert!(matches!(built.info().preprocess, Preprocess::LongestSide(_)) && !head.high_resolution && !head.object_score);
    }
}

#[test]
fn another_picture_size_moves_the_grid_but_not_that_of_efficientvit() {
    let source = Source::generated(0);
    let options = BuildOptions { image_size: Some(256), dialect: Dialect::Portable, ..BuildOptions::default() };
    for (architecture, grid, space) in [("mobile-sam", 16, 256), ("sam-vit-base", 16, 256), ("efficientvit-sam-l0", 64, 1024)] {
        let built = build(&source, architecture, &options).unwrap();
        let head = head(&built);
        assert_eq!((built.info().default_size, head.grid, head.space), (256, grid, space), "{architecture}");
    }
}

#[test]
fn sizes_that_do_not_divide_are_refused() {
    let source = Source::generated(0);
    for (architecture, size) in [("mobile-sam", 1000), ("sam-vit-base", 0), ("sam-vit-base", 1023), ("efficientvit-sam-xl1", 992)] {
        let options = BuildOptions { image_size: Some(size), ..BuildOptions::default() };
        let error = build(&source, architecture, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{architecture} {size}: {error}");
    }
}
