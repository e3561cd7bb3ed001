//! What a model file says about itself, and what nobody said: used, or told.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, shared};
use serde_json::Value;

fn first(place: &Place, arguments: &[&str]) -> Value {
    let outcome = place.maskline(arguments);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json_lines().remove(0)
}

#[test]
fn names_that_are_assumed_are_told() {
    let place = Place::new();
    let synthetic = ["run", "--synthetic", "yolov8n", "--size", "64", "--conf", "0", "--max-detections", "1", "photo.png"];
    let line = first(&place, &[&synthetic[..], &["--json"]].concat());
    assert!(line["notes"][0].as_str().unwrap().contains("COCO's, assumed"), "{line}");
    let said = place.maskline(&synthetic);
    assert!(said.stderr.contains("COCO's, assumed"), "{}", said.stderr);
}

#[test]
fn names_can_be_given() {
    let place = Place::new();
    let names: Vec<String> = (0..80).map(|index| format!("thing {index}")).collect();
    std::fs::write(place.path("names.txt"), names.join("\n")).unwrap();
    let run = ["run", "--synthetic", "yolov8n", "--size", "64", "--conf", "0", "photo.png", "--names", "names.txt"];
    let line = first(&place, &[&run[..], &["--json", "--max-detections", "3", "-f", "yolo,coco", "-o", "out"]].concat());
    assert!(line["objects"][0]["label"].as_str().unwrap().starts_with("thing ") && line.get("notes").is_none(), "{line}");
    assert_eq!(std::fs::read_to_string(place.path("out/classes.txt")).unwrap().lines().nth(79), Some("thing 79"));
    let named = first(&place, &[&run[..], &["--json", "--classes", "thing 5,7"]].concat());
    assert!(named["objects"].as_array().unwrap().iter().all(|object| [5, 7].contains(&object["class_id"].as_u64().unwrap())));
    std::fs::write(place.path("names.txt"), "one\ntwo\n").unwrap();
    place.maskline(&run).fails(2, &["80", "2"]);
    place.maskline(&["run", "photo.png", "--box", "1,1,50,50", "--names", "names.txt"]).fails(2, &["names"]);
}

/// A safetensors file with a prefix in front of each name, and one more tensor beside them.
fn wrapped(file: &[u8], prefix: &str) -> Vec<u8> {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let data = &file[8 + length..];
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    let mut renamed: serde_json::Map<String, Value> = tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect();
    let loss = serde_json::json!({"dtype": "F32", "shape": [1], "data_offsets": [data.len(), data.len() + 4]});
    renamed.insert("criterion.weight".into(), loss);
    let header = Value::Object(renamed).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data, &[0; 4]].concat()
}

#[test]
fn a_model_beside_a_loss_gives_the_same_answers_and_says_what_is_left_out() {
    let Some(plain) = shared("goldens/yolov8/detect_narrow/model.safetensors") else { return };
    let place = Place::new();
    std::fs::write(place.path("trained.safetensors"), wrapped(&std::fs::read(&plain).unwrap(), "model.")).unwrap();
    let run = |model: &str| first(&place, &["run", model, "photo.png", "--json", "--conf", "0.0001"]);
    let (trained, plain) = (run("trained.safetensors"), run(plain.to_str().unwrap()));
    assert_eq!(trained["objects"], plain["objects"]);
    assert_eq!(trained["notes"][0], "weights: those under `model`; left out: `criterion`");
}

#[test]
fn a_checkpoint_runs_at_its_own_size_with_its_own_activation() {
    let (Some(size), Some(relu)) = (shared("cases/det_imgsz480.pt"), shared("cases/det_relu.pt")) else { return };
    let place = Place::new();
    let objects = |model: &str, more: &[&str]| first(&place, &[&["run", model, "photo.png", "--json", "--conf", "0.0001"], more].concat());
    let size = size.to_str().unwrap();
    let own = objects(size, &[]);
    assert!(own["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("480")), "{own}");
    assert_eq!(own["objects"], objects(size, &["--size", "480"])["objects"]);
    assert_ne!(own["objects"], objects(size, &["--size", "640"])["objects"]);
    assert_ne!(objects(relu.to_str().unwrap(), &["--size", "480"])["objects"], own["objects"], "the same weights, another activation");
}

#[test]
fn sizes_beyond_all_memory_are_refused() {
    let place = Place::new();
    for model in ["yolov8n", "sam2.1-tiny"] {
        for size in ["3200000", "99999999999999999"] {
            let outcome = place.maskline(&["run", "--synthetic", model, "--size", size, "photo.png", "--box", "1,1,50,50"]);
            assert!([2, 5].contains(&outcome.code) && outcome.stderr.contains("size"), "{}", outcome.stderr);
        }
    }
}

#[test]
fn more_threads_than_cores_are_cut_with_a_word() {
    let place = Place::new();
    let outcome = place.run_small(&["photo.png", "--json", "--threads", "256"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("256 threads were asked for"), "{}", outcome.stderr);
}

#[test]
fn a_detectors_object_stays_what_it_is() {
    let place = Place::new();
    let detect = ["--size", "64", "--conf", "0", "--max-detections", "3", "photo.png", "--json"];
    let alone = first(&place, &[&["run", "--synthetic", "yolov8n"], &detect[..]].concat());
    let outcome = place.maskline(&[&["run", "--synthetic", "yolov8n+sam2.1-tiny", "--box", "5,5,60,60"], &detect[..]].concat());
    assert!(outcome.stderr.contains("objects of their own"), "{}", outcome.stderr);
    let both = outcome.json_lines().remove(0);
    let (found, masked) = (alone["objects"].as_array().unwrap(), both["objects"].as_array().unwrap());
    assert_eq!(masked.len(), found.len() + 1);
    for (object, masked) in found.iter().zip(masked) {
        for key in ["box", "score", "class_id", "label"] {
            assert_eq!(object[key], masked[key], "{key}");
        }
        assert!(masked["mask_score"].is_f64() && (masked["area"] == 0 || masked["mask_box"].is_array()), "{masked}");
    }
    assert!(masked[3].get("mask_box").is_none(), "what was asked for by a box has one box and one score");
    // In label files it is of a class of its own, not of the detector's class of the same number.
    let labels = place
        .maskline(&[&["run", "--synthetic", "yolov8n+sam2.1-tiny", "--point", "30,30", "-o", "out", "-f", "yolo"], &detect[..]].concat());
    assert_eq!(labels.code, 0, "{}", labels.stderr);
    assert_eq!(std::fs::read_to_string(place.path("out/classes.txt")).unwrap().lines().nth(80), Some("object"));
    let text = std::fs::read_to_string(place.path("out/photo.txt")).unwrap();
    assert!(text.lines().all(|line| !line.starts_with("3 ")), "{text}");
}
