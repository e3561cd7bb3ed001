//! Golden cases of the official implementation and its detections on real photographs.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline::verify::{VerifyOptions, verify};
use maskline::{Dialect, Engine, EngineOptions, Image, InputSize, Kernels, LoadOptions, PredictOptions};

/// A folder of the shared test material, or `None` (said aloud) where it is missing.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(path);
    if folder.exists() {
        return Some(folder);
    }
    maskline_testing::skip(format_args!("{} is missing", folder.display()));
    None
}

fn engine(cache: &Path) -> Engine {
    Engine::new(EngineOptions { cache: cache.to_path_buf(), ..EngineOptions::default() }).unwrap()
}

/// Verifies every case of a family's folder; fewer than `least` compared tensors mean that cases went missing.
fn check_family(folder: &str, least: usize) {
    if let Some(cases) = shared(folder) {
        check_folder(&cases, least);
    }
}

fn check_folder(cases: &Path, least: usize) {
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(cache.path());
    let mut checked = 0;
    for entry in std::fs::read_dir(cases).unwrap() {
        checked += check_case(&engine, &entry.unwrap().path());
    }
    assert!(checked > least, "only {checked} tensors were checked");
}

/// Verifies a case in both dialects that other programs run; gives the number of tensors that were compared.
fn check_case(engine: &Engine, case: &Path) -> usize {
    check_case_in(engine, case, &[Dialect::Ort, Dialect::Portable])
}

fn check_case_in(engine: &Engine, case: &Path, dialects: &[Dialect]) -> usize {
    let options = |dialect| VerifyOptions { dialect, ..VerifyOptions::default() };
    dialects.iter().map(|dialect| check_case_with(engine, case, &options(*dialect))).sum()
}

fn check_case_with(engine: &Engine, case: &Path, options: &VerifyOptions) -> usize {
    let mut checked = 0;
    for report in verify(engine, case, options).unwrap() {
        for row in &report.rows {
            assert!(row.passed, "{} on {:?}: {row:?}", report.case, report.checkpoint);
            checked += 1;
        }
    }
    checked
}

#[test]
fn yolov8_cases_are_within_their_tolerances() {
    check_family("goldens/yolov8", 50);
}

#[test]
fn yolo11_cases_are_within_their_tolerances() {
    check_family("goldens/yolo11", 130);
}

#[test]
fn yolo26_cases_are_within_their_tolerances() {
    check_family("goldens/yolo26", 250);
}

#[test]
fn sam2_cases_are_within_their_tolerances() {
    check_family("goldens/sam2_image", 120);
    check_family("goldens/sam2_official", 25);
}

#[test]
fn sam2_video_cases_are_within_their_tolerances() {
    check_family("goldens/sam2_video", 370);
    check_family("goldens/sam2_video_official", 270);
    // With our own attention, whatever processor this is.
    let cases = ["sam2_video/tiny128", "sam2_video/multi96", "sam2_video_official/multi_meta128"];
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(cache.path());
    for case in cases.iter().filter_map(|case| shared(&format!("goldens/{case}"))) {
        assert!(check_case_in(&engine, &case, &[Dialect::Native]) > 80);
    }
}

#[test]
fn cases_with_the_native_mask_decoder_are_within_their_tolerances() {
    // With operators of our own, whatever processor this is: all that clicks and boxes are answered by.
    let folders = ["sam2_image", "sam2_official", "mobile_sam", "efficientvit_sam", "sam3_tracker"];
    let folders = folders.iter().filter_map(|folder| shared(&format!("goldens/{folder}")));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/sam_vit");
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(cache.path());
    for folder in folders.chain([own]) {
        for entry in std::fs::read_dir(folder).unwrap() {
            assert!(check_case_in(&engine, &entry.unwrap().path(), &[Dialect::Native]) > 15);
        }
    }
}

#[test]
fn cases_with_layers_of_our_own_are_within_their_tolerances() {
    // Of all families with transformers, whichever gain by them on this processor.
    let folders = ["sam2_image", "sam2_official", "mobile_sam", "owlvit", "owlv2", "sam3_image", "sam3_tracker"];
    let folders = folders.iter().filter_map(|folder| shared(&format!("goldens/{folder}")));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/sam_vit");
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(cache.path());
    for kernels in [Kernels::Own, Kernels::Ort] {
        let options = VerifyOptions { dialect: Dialect::Native, kernels, ..VerifyOptions::default() };
        for folder in folders.clone().chain([own.clone()]) {
            for entry in std::fs::read_dir(folder).unwrap() {
                assert!(check_case_with(&engine, &entry.unwrap().path(), &options) > 15);
            }
        }
    }
}

#[test]
fn mobile_sam_cases_are_within_their_tolerances() {
    check_family("goldens/mobile_sam", 40);
}

#[test]
fn efficientvit_sam_cases_are_within_their_tolerances() {
    check_family("goldens/efficientvit_sam", 100);
}

#[test]
fn sam3_cases_are_within_their_tolerances() {
    check_family("goldens/sam3_image", 190);
    check_family("goldens/sam3_tracker", 85);
}

#[test]
fn owl_cases_are_within_their_tolerances() {
    check_family("goldens/owlvit", 40);
    check_family("goldens/owlv2", 45);
}

#[test]
fn sam_vit_cases_are_within_their_tolerances() {
    // Made by `benchmarks/peers/make_golden_sam.py`, in both published layouts.
    check_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/sam_vit"), 100);
}

/// The small cases of the repository: random weights, and a reference of our own (`testing/golden`).
fn check_tiny(cases: &[&str], least: usize) {
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(cache.path());
    for case in cases {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tiny").join(case);
        let checked = check_case(&engine, &folder);
        assert!(checked >= least, "{case}: only {checked} tensors were checked");
    }
}

#[test]
fn tiny_yolov8_is_our_reference() {
    check_tiny(&["yolov8_detect", "yolov8_segment", "yolov8_pose", "yolov8_obb"], 16);
    check_tiny(&["yolov8_classify"], 4);
}

#[test]
fn tiny_yolo11_and_yolo26_are_our_reference() {
    check_tiny(&["yolo11_detect", "yolo26_detect"], 38);
    check_tiny(&["yolo11_pose", "yolo26_segment", "yolo26_pose", "yolo26_obb"], 18);
    check_tiny(&["yolo11_classify"], 6);
}

#[test]
fn tiny_mobile_sam_is_our_reference() {
    check_tiny(&["mobile_sam"], 44);
}

#[test]
fn tiny_efficientvit_sam_is_our_reference() {
    check_tiny(&["efficientvit_sam"], 40);
}

#[test]
fn tiny_owl_is_our_reference() {
    check_tiny(&["owlvit", "owlv2"], 58);
}

#[test]
fn tiny_sam2_is_our_reference() {
    check_tiny(&["sam2"], 50);
}

#[test]
fn sam3_lite_text_cases_are_within_their_tolerances() {
    check_family("goldens/sam3_lite_text", 81);
}

#[test]
fn pictures_are_prepared_as_official_code_does() {
    check_family("goldens/preprocess", 200);
}

#[test]
fn answers_are_made_as_official_code_does() {
    check_family("goldens/postprocess", 150);
}

#[test]
fn texts_are_cut_as_both_references_do() {
    let Some(case) = shared("goldens/tokenizer/clip_bpe") else { return };
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    // Where nothing has the vocabulary.
    let bare = folder.path().join("case");
    std::fs::create_dir(&bare).unwrap();
    for name in ["case.json", "tokens.json"] {
        std::fs::copy(case.join(name), bare.join(name)).unwrap();
    }
    if std::env::var_os("MASKLINE_VOCABULARY").is_none() {
        let error = verify(&engine, &bare, &VerifyOptions::default()).unwrap_err();
        assert!(error.help().is_some_and(|help| help.contains("bpe_simple_vocab_16e6.txt.gz")), "{error}");
    }
    if shared("data/clip").is_some() {
        let checked = check_case(&engine, &case);
        assert!(checked >= 2 * 88, "only {checked} texts were checked");
    }
}

#[derive(Debug)]
struct Reference {
    class: u64,
    score: f64,
    bounds: [f64; 4],
}

fn references(json: &serde_json::Value) -> Vec<Reference> {
    let reference = |entry: &serde_json::Value| Reference {
        class: entry["cls"].as_u64().unwrap(),
        score: entry["conf"].as_f64().unwrap(),
        bounds: [0, 1, 2, 3].map(|i| entry["xyxy"][i].as_f64().unwrap()),
    };
    json.as_array().unwrap().iter().map(reference).collect()
}

fn iou(a: [f64; 4], b: [f64; 4]) -> f64 {
    let overlap = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0) * (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |r: [f64; 4]| (r[2] - r[0]) * (r[3] - r[1]);
    overlap / (area(a) + area(b) - overlap)
}

#[test]
fn photographs_give_the_official_detections() {
    let Some(data) = shared("data") else { return };
    let cache = tempfile::tempdir().unwrap();
    let engine = engine(cache.path());
    let text = std::fs::read(data.join("yolov8n/reference_detections.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let model = engine.load(&data.join("yolov8n/yolov8n_fused.safetensors"), &LoadOptions::default()).unwrap();
    let mut compared = 0;
    for (photo, expected) in json["detections"].as_object().unwrap() {
        let image = Image::open(data.join("photos").join(photo)).unwrap();
        for (mode, size) in [("square640", InputSize::Square(640)), ("rect", InputSize::Rect(640))] {
            let found = model.predict(&image, &PredictOptions { size, ..PredictOptions::default() }).unwrap();
            let wanted = references(&expected[mode]);
            let matches = |reference: &Reference, object: &maskline::Object| {
                object.class_id == Some(reference.class as usize)
                    && iou(reference.bounds, object.bounds.map(f64::from)) >= 0.97
                    && (f64::from(object.score) - reference.score).abs() <= 0.02
            };
            for reference in wanted.iter().filter(|r| r.score >= 0.3) {
                assert!(found.objects.iter().any(|o| matches(reference, o)), "{photo} {mode}: {reference:?} in {:#?}", found.objects);
                compared += 1;
            }
            for object in found.objects.iter().filter(|o| o.score >= 0.3) {
                assert!(wanted.iter().any(|r| matches(r, object)), "{photo} {mode}: {object:?} is no reference");
            }
        }
    }
    assert!(compared > 50, "only {compared} detections were compared");
}
