//! OpenVINO as the provider: the same numbers as the official implementations, whole graphs, and what it leaves on disk.
//!
//! A process has one ONNX Runtime, so these tests are a program of their own. Its build is fetched on first use, as the usual one is.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use maskline::runtime::{InferencePrecision, OpenVinoOptions, Variant};
use maskline::verify::{VerifyOptions, verify};
use maskline::{
    BundleOptions, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Model, ModelSource, Prompt, Provider, RgbImage, SegmentOptions,
};

/// `None` where there is no such build to fetch.
static ENGINE: LazyLock<Option<Engine>> = LazyLock::new(|| {
    Variant::OpenVino.version()?;
    let cache = maskline_testing::kept_folder(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_CRATE_NAME"));
    let mut options = EngineOptions { cache, ..EngineOptions::default() };
    options.library.variant = Variant::OpenVino;
    // What the environment names is the usual one, for all other tests.
    options.library.environment_path = None;
    Some(Engine::new(options).unwrap())
});

/// The engine, or nothing, said aloud.
fn engine() -> Option<&'static Engine> {
    if ENGINE.is_none() {
        maskline_testing::skip("there is no OpenVINO for this platform");
    }
    ENGINE.as_ref()
}

fn openvino() -> Provider {
    Provider::OpenVino(OpenVinoOptions::default())
}

/// Checks cases of the repository; fewer tensors than `least` mean that some went missing.
fn check(cases: &[&str], least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    check_at(&cases.iter().map(|case| folder.join(case)).collect::<Vec<_>>(), least);
}

fn check_at(folders: &[PathBuf], least: usize) {
    let Some(engine) = engine() else { return };
    let mut checked = 0;
    for folder in folders {
        for report in verify(engine, folder, &VerifyOptions { provider: openvino(), ..VerifyOptions::default() }).unwrap() {
            for row in &report.rows {
                assert!(row.passed, "{} on {:?}: {row:?}", report.case, report.checkpoint);
                checked += 1;
            }
        }
    }
    assert!(checked >= least, "only {checked} tensors were checked");
}

#[test]
fn detectors_are_our_reference() {
    check(&["tiny/yolov8_detect", "tiny/yolov8_segment", "tiny/yolov8_pose", "tiny/yolov8_obb", "tiny/yolov8_classify"], 48);
}

#[test]
fn segmenters_are_our_reference() {
    check(&["tiny/mobile_sam", "tiny/efficientvit_sam", "tiny/sam2", "nano"], 103);
    check(&["sam_vit/tiny96_official"], 62);
}

#[test]
fn finders_by_words_are_our_reference() {
    check(&["tiny/owlvit", "tiny/owlv2", "tiny/sam3", "tiny/sam3_clicks"], 139);
}

/// Several objects in one run, whose number changes from frame to frame.
#[test]
fn objects_in_a_video_are_the_official_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens");
    if !folder.exists() {
        return maskline_testing::skip(format_args!("{} is missing", folder.display()));
    }
    check_at(&["sam2_video/multi96", "sam2_video_official/multi_meta128"].map(|case| folder.join(case)), 222);
}

/// A model with generated weights.
fn synthetic(architecture: &str, options: LoadOptions) -> Option<Model> {
    let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 3 };
    Some(engine()?.load(source, &LoadOptions { warm_up: false, ..options }).unwrap())
}

fn picture() -> Image {
    let pixels = (0..3 * 97 * 61).map(|at| ((at * 31 + at / 97 * 17) % 251) as u8).collect();
    Image::from_pixels(RgbImage::new(97, 61, pixels).unwrap())
}

/// Each number of prompts and each kind of them is another shape.
#[test]
fn any_number_of_prompts_gives_the_masks_of_the_cpu_and_no_part_of_a_graph_is_left_to_it() {
    let small = || BundleOptions { image_size: Some(64), ..BundleOptions::default() };
    let on = |provider| synthetic("sam2.1-tiny", LoadOptions { provider, bundle: small(), ..LoadOptions::default() });
    let (Some(openvino), Some(cpu)) = (on(openvino()), on(Provider::Cpu)) else { return };
    let asked: Vec<Prompt> = (0..9)
        .map(|at| match at % 3 {
            0 => Prompt::click(10.0 * at as f32, 20.0),
            1 => Prompt::bounds([5.0, 5.0, 30.0 + 5.0 * at as f32, 50.0]),
            _ => Prompt::bounds([5.0, 5.0, 60.0, 50.0]).with_click(10.0, 4.0 * at as f32, false),
        })
        .collect();
    let answers = |model: &Model, prompts: &[Prompt]| {
        let found = model.embed(&picture()).unwrap().find(prompts, &SegmentOptions::default()).unwrap();
        assert!(found.errors().next().is_none(), "{:?}", found.answers);
        found.into_objects()
    };
    for count in [1, 2, 9, 3] {
        let found = answers(&openvino, &asked[..count]);
        let wanted = answers(&cpu, &asked[..count]);
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found.score - wanted.score).abs() < 1e-4, "{count} prompts: {} for {}", found.score, wanted.score);
            let (found, wanted) = (found.mask.as_ref().unwrap(), wanted.mask.as_ref().unwrap());
            // Masks of generated weights are noise around 0; a pixel of a hundred may lie on the edge.
            assert!(found.iou(wanted).unwrap() > 0.99, "{count} prompts: {}", found.iou(wanted).unwrap());
        }
    }
    assert_eq!(openvino.provider(), "openvino");
}

#[test]
fn nothing_is_kept_that_cannot_be_read_back_and_the_second_start_is_one_from_the_cache() {
    let load = || synthetic("yolov8n", LoadOptions { provider: openvino(), ..LoadOptions::default() });
    let Some(first) = load() else { return };
    let directory = first.bundle().directory.clone();
    drop(first);
    let second = load().unwrap();
    assert!(second.was_cached(), "what is kept of it is the bundle");
    let compiled = std::fs::read_dir(directory).unwrap().flatten().filter(|file| file.file_name().to_string_lossy().contains("optimised"));
    assert_eq!(compiled.count(), 0);
}

#[test]
fn arithmetic_that_the_processor_has_not_is_refused() {
    let options = OpenVinoOptions { precision: InferencePrecision::F16, ..OpenVinoOptions::default() };
    if engine().is_none() || std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("avx512_fp16")) {
        return;
    }
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 3 };
    let error =
        engine().unwrap().load(source, &LoadOptions { provider: Provider::OpenVino(options), ..LoadOptions::default() }).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("f16"), "{error}");
}
