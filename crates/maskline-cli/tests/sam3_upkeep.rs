//! SAM 3 on the command line beside `run`: judged, measured, built, verified and listed.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{Outcome, Place};
use maskline_bench::Report;
use maskline_testing::TinySam3;
use serde_json::{Value, json};

/// A place with the model in the folder `tiny`.
fn place() -> Place {
    let place = Place::new();
    TinySam3::new().write(&place.path("tiny"));
    place
}

fn first(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json_lines().remove(0)
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../maskline/tests/cases/tiny").join(name)
}

/// Ground truth for the picture: a square.
fn write_truth(place: &Place) {
    let square = json!({
        "id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1600, "bbox": [30, 20, 40, 40],
        "segmentation": [[30, 20, 70, 20, 70, 60, 30, 60]],
    });
    let truth = json!({
        "images": [{"id": 1, "file_name": "photo.png", "width": 120, "height": 80}], "annotations": [square],
        "categories": [{"id": 1, "name": "cat"}],
    });
    std::fs::write(place.path("coco.json"), truth.to_string()).unwrap();
}

#[test]
fn what_it_finds_is_judged_by_boxes_and_masks() {
    let place = place();
    let asked = ["run", "tiny", "photo.png", "--json", "--text", "cat", "--text", "red car", "--conf", "0", "-f", "coco", "-o", "out"];
    let line = first(&place.maskline(&asked));
    // In the file a box is around its mask, which generated weights do not see to.
    let mut truth: Value = serde_json::from_slice(&std::fs::read(place.path("out/coco.json")).unwrap()).unwrap();
    for (annotation, object) in truth["annotations"].as_array_mut().unwrap().iter_mut().zip(line["objects"].as_array().unwrap()) {
        let side = |index: usize| object["box"][index].as_f64().unwrap();
        annotation["bbox"] = json!([side(0), side(1), side(2) - side(0), side(3) - side(1)]);
    }
    std::fs::write(place.path("truth.json"), truth.to_string()).unwrap();
    // What it found is the truth: it finds all of that again.
    let data = ["--data", "truth.json", "--conf", "0"];
    let eval = |arguments: &[&str]| place.maskline(&[&["eval", "tiny"], &data[..], arguments].concat());
    let found = first(&eval(&["--json"]));
    assert_eq!((&found["task"], &found["phrases"]["asked"], &found["images"]), (&json!("concepts"), &json!(2), &json!(1)));
    assert!(found["detections"] == found["objects"] && found["objects"].as_u64() > Some(1), "{found}");
    for kind in ["bbox", "segm"] {
        assert!(found[kind]["ap_50"].as_f64() > Some(0.999) && found[kind]["ap"].as_f64() > Some(0.8), "{kind}: {found}");
    }
    // Of fewer there is less.
    let few = first(&eval(&["--json", "--max-detections", "1"]));
    assert!(["bbox", "segm"].iter().all(|kind| few[kind]["ap"].as_f64() < found[kind]["ap"].as_f64()), "{few}");
    let table = eval(&[]);
    assert!(["boxes", "masks", "AP 50–95"].iter().all(|word| table.stdout.contains(word)), "{}", table.stdout);
}

#[test]
fn its_click_head_is_judged_where_options_speak_of_prompts() {
    let place = place();
    write_truth(&place);
    let eval = |arguments: &[&str]| place.maskline(&[&["eval", "tiny", "--data", "coco.json"], arguments].concat());
    let clicked = first(&eval(&["--clicks", "2", "--json"]));
    let prompts: Vec<&str> = clicked["prompts"].as_array().unwrap().iter().map(|row| row["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["box", "clicks_1", "clicks_2", "filled_box", "filled_ellipse"]);
    assert_eq!((&clicked["objects"], &clicked["task"]), (&json!(1), &json!("promptable")));
    eval(&["--clicks", "2", "--conf", "0.2"]).fails(2, &["--conf does not apply"]);
}

#[test]
fn it_is_measured_by_words_or_by_clicks() {
    let place = place();
    let bench = |arguments: &[&str]| {
        let short = ["bench", "tiny", "--time", "0.2", "--cold", "0", "--no-ceiling", "--images", "photo.png", "-f", "json"];
        let outcome = place.maskline(&[&short[..], arguments].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        Report::from_json(outcome.stdout.as_bytes()).unwrap()
    };
    let words = bench(&["--text", "cat", "--text", "dog", "--embedding", "miss,held"]);
    let has = |report: &Report, row: usize, stage: &str| report.stages[row].stages.iter().any(|one| one.name == stage);
    assert_eq!((words.identity.subjects[0].texts.unwrap().count, words.steady.len()), (2, 2));
    assert!(has(&words, 0, "image_encode") && !has(&words, 1, "image_encode"), "{:?}", words.stages);
    // Masks are made and written: that is what is asked for.
    for row in 0..2 {
        assert!(["concept_decode", "mask_decode", "mask_encode"].iter().all(|stage| has(&words, row, stage)), "{:?}", words.stages);
        assert!(!has(&words, row, "text_encode"));
    }
    let clicks = bench(&["--prompts", "2", "--embedding", "held"]);
    assert_eq!(clicks.identity.subjects[0].prompts.unwrap().count, 2);
    assert!(has(&clicks, 0, "mask_decode") && !has(&clicks, 0, "concept_decode"), "{:?}", clicks.stages);
}

#[test]
fn it_is_built_and_listed() {
    let place = place();
    let built = place.maskline(&["build", "tiny", "--json"]);
    let built = first(&built);
    let folder = PathBuf::from(built["directory"].as_str().unwrap());
    for part in ["image_encoder", "text_encoder", "exemplar_encoder", "concept_decoder", "mask_head"] {
        assert!(std::fs::read_dir(&folder).unwrap().flatten().any(|file| file.file_name().to_str().unwrap().contains(part)), "{part}");
    }
    let portable = first(&place.maskline(&["build", "tiny", "--portable", "--json", "-o", "copy"]));
    assert_ne!(portable["directory"], built["directory"]);
    for file in ["mask_head.onnx", "text_encoder.weights", "assets/vocab.json", "assets/merges.txt"] {
        assert!(place.path("copy").join(file).is_file(), "{file}");
    }
    // What a run leaves beside the bundle is this machine's.
    assert_eq!(place.maskline(&["run", "tiny", "photo.png", "--text", "cat", "--json"]).code, 0);
    assert_eq!(place.maskline(&["build", "tiny", "-o", "used"]).code, 0);
    let used: Vec<String> =
        std::fs::read_dir(place.path("used")).unwrap().flatten().map(|file| file.file_name().to_str().unwrap().to_owned()).collect();
    assert!(used.iter().all(|name| !name.contains("optimised") && name != "words"), "{used:?}");
    place.maskline(&["build", "tiny", "--size", "31"]).fails(2, &["image size", "30 and 36"]);
    let list = first(&place.maskline(&["list", "--json"]));
    let family = list.as_array().unwrap().iter().find(|family| family["family"] == "sam3").unwrap().clone();
    assert_eq!((&family["runnable"], &family["licence"]), (&json!(true), &json!("SAM License")));
    let names: Vec<&str> = family["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["sam3", "sam3.1"]);
    let show = place.maskline(&["show", "sam3"]).stdout;
    assert!(["SAM License", "accept the licence", "maskline pull sam3"].iter().all(|word| show.contains(word)), "{show}");
}

#[test]
fn golden_cases_of_both_heads_pass_in_both_dialects() {
    let place = Place::new();
    for dialect in [&[][..], &["--portable"]] {
        let cases = ["sam3", "sam3_clicks"].map(|name| case(name).to_str().unwrap().to_owned());
        let outcome = place.maskline(&[&["verify", &cases[0], &cases[1], "--json"], dialect].concat());
        assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.json_lines().iter().all(|report| report["rows"].as_array().unwrap().len() > 3));
    }
}
