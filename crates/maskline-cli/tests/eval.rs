//! `maskline eval` as a user meets it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, shared};
use serde_json::{Value, json};

/// Ground truth for the picture: a square of 40 × 40 and a crowd.
fn truth(place: &Place) -> Value {
    let annotation = |id: usize, is_crowd: usize| {
        json!({
            "id": id, "image_id": 1, "category_id": 1, "iscrowd": is_crowd, "area": 1600, "bbox": [30, 20, 40, 40],
            "segmentation": [[30, 20, 70, 20, 70, 60, 30, 60]],
        })
    };
    let truth = json!({
        "images": [{"id": 1, "file_name": "photo.png", "width": 120, "height": 80}],
        "annotations": [annotation(1, 0), annotation(2, 1)],
        "categories": [{"id": 1, "name": "person"}],
    });
    std::fs::write(place.path("coco.json"), truth.to_string()).unwrap();
    truth
}

fn read(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap()
}

#[test]
fn a_promptable_model_is_asked_by_boxes_and_clicks() {
    let place = Place::new();
    let Some(checkpoint) = shared("goldens/sam2_image/tiny128/model.safetensors") else { return };
    truth(&place);
    let eval = ["eval", checkpoint.to_str().unwrap(), "--data", "coco.json"];
    let outcome = place.maskline(&eval);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    for words in ["1 objects in 1 pictures: 1 medium", "ellipse", "5 clicks", "left out: 1 crowds", "95 %"] {
        assert!(outcome.stdout.contains(words), "{}", outcome.stdout);
    }
    let outcome =
        place.maskline(&[&eval[..], &["--json", "--per-object", "--clicks", "2", "--mask-feedback", "-o", "report.json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let report = outcome.json_lines().remove(0);
    assert_eq!(report, read(&place, "report.json"));
    assert_eq!((&report["task"], &report["options"]["clicks"], &report["objects"]), (&"promptable".into(), &2.into(), &1.into()));
    let prompts: Vec<&str> = report["prompts"].as_array().unwrap().iter().map(|row| row["prompt"].as_str().unwrap()).collect();
    assert_eq!(prompts, ["box", "clicks_1", "clicks_2", "filled_box", "filled_ellipse"]);
    assert_eq!(report["prompts"][3]["all"]["mean_iou"], 1.0, "the object is its box");
    assert_eq!(report["per_object"][0]["ious"].as_array().unwrap().len(), 5);
    assert_eq!(report["per_object"][0]["ious"][3], 1.0);
}

#[test]
fn a_detector_and_its_written_detections_get_the_same_figures() {
    let place = Place::new();
    truth(&place);
    let small = ["--size", "64", "--conf", "0", "--max-detections", "30"];
    let eval = |arguments: &[&str]| place.maskline(&[&["eval", "--data", "coco.json"], arguments].concat());
    let outcome = eval(&[&["--synthetic", "yolov8n", "--json"], &small[..]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let model = outcome.json_lines().remove(0);
    assert_eq!((&model["objects"], &model["crowds"], &model["categories"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!(model["labels_without_category"].as_array().unwrap().len(), 79);

    // Pictures are numbered from 1 where their names are no numbers.
    let run = ["run", "--synthetic", "yolov8n", "photo.png", "--json", "-o", "out", "-f", "coco91"];
    assert_eq!(place.maskline(&[&run[..], &small[..]].concat()).code, 0);
    let mut found = read(&place, "out/coco91-results.json");
    found.as_array_mut().unwrap().retain(|detection| detection["category_id"] == 1);
    std::fs::write(place.path("found.json"), found.to_string()).unwrap();
    let outcome = eval(&["--predictions", "found.json", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let written = outcome.json_lines().remove(0);
    assert_eq!((&written["detections"], &written["bbox"]), (&model["detections"], &model["bbox"]));
    assert_eq!(written["detections"], found.as_array().unwrap().len());
    let outcome = eval(&["--predictions", "found.json"]);
    assert!(outcome.stdout.contains("AP 50–95") && outcome.stdout.contains("1 objects of 1 categories"), "{}", outcome.stdout);
}

#[test]
fn categories_are_asked_for_by_their_names_and_each_is_encoded_once() {
    let place = Place::new();
    let mut truth = truth(&place);
    truth["categories"] = json!([{"id": 1, "name": "person"}, {"id": 4, "name": "bow_(weapon)"}]);
    let second = json!({"id": 2, "file_name": "again.png", "width": 120, "height": 80, "neg_category_ids": [4]});
    truth["images"].as_array_mut().unwrap().push(second);
    std::fs::copy(place.path("photo.png"), place.path("again.png")).unwrap();
    std::fs::write(place.path("coco.json"), truth.to_string()).unwrap();
    let owl = ["eval", "owlv2-base", "--synthetic", "--size", "240", "--data", "coco.json"];
    // One home for all: the model is large, and built once.
    let eval = |arguments: &[&str]| place.maskline_at(&maskline::runtime::home_dir(), &[&owl[..], arguments].concat());
    let outcome = eval(&["--json", "--templates"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let report = outcome.json_lines().remove(0);
    assert_eq!((&report["task"], &report["images"], &report["categories"]), (&"find".into(), &2.into(), &2.into()));
    let phrases = &report["phrases"];
    let read = phrases["encoded"].as_u64().unwrap() + phrases["from_disk"].as_u64().unwrap();
    assert_eq!((&phrases["asked"], read, &phrases["templates"]), (&2.into(), 2, &true.into()), "{report}");
    assert_eq!((&report["is_federated"], &report["options"]["iou"]), (&true.into(), &Value::Null), "words suppress nothing");
    let outcome = eval(&["--conf", "0.2", "--max-detections", "3"]);
    for words in ["asked for 2 phrases in every picture", "below LVIS's own", "AP 50–95"] {
        assert!(outcome.stdout.contains(words), "`{words}`: {}{}", outcome.stdout, outcome.stderr);
    }
    eval(&["--batch", "2"]).fails(2, &["--batch does not apply", "owlv2-base"]);
    eval(&["--clicks", "2"]).fails(2, &["--clicks", "takes no prompts"]);
    place.maskline(&["eval", "nano", "--data", "coco.json", "--templates"]).fails(2, &["--templates", "takes no words"]);
}

#[test]
fn right_detections_are_perfect() {
    let place = Place::new();
    let truth = truth(&place);
    let exact = json!([{"image_id": 1, "category_id": 1, "score": 0.9, "segmentation": truth["annotations"][0]["segmentation"]}]);
    std::fs::write(place.path("found.json"), exact.to_string()).unwrap();
    let outcome = place.maskline(&["eval", "--data", "coco.json", "--predictions", "found.json", "--json"]);
    let report = outcome.json_lines().remove(0);
    for kind in ["bbox", "segm"] {
        // Both are means of ten numbers, whose sum is rounded.
        for figure in ["ap", "ar_1"] {
            assert!((report[kind][figure].as_f64().unwrap() - 1.0).abs() < 1e-9, "{figure}: {report}");
        }
        assert_eq!(&report[kind]["ap_small"], &Value::Null);
    }
}

#[test]
fn what_cannot_be_judged_is_told() {
    let place = Place::new();
    let good = truth(&place);
    let eval = |arguments: &[&str]| place.maskline(&[&["eval", "--synthetic", "yolov8n", "--size", "64"], arguments].concat());
    eval(&[]).fails(2, &["--data"]);
    place.maskline(&["eval", "--data", "coco.json"]).fails(2, &["MODEL"]);
    eval(&["--data", "coco.json", "--predictions", "found.json"]).fails(2, &["cannot be used with"]);
    eval(&["--data", "missing.json"]).fails(3, &["missing.json"]);
    eval(&["--data", "photo.png"]).fails(3, &["photo.png", "COCO's instances"]);
    eval(&["--data", "coco.json", "--images", "nowhere"]).fails(3, &["1 of 1 pictures are missing", "nowhere", "--images DIR"]);
    eval(&["--data", "coco.json", "-o", "no/such/folder.json"]).fails(1, &["cannot be written", "no/such"]);
    eval(&["--data", "coco.json", "--conf", "7"]).fails(2, &["conf"]);
    let nano = |arguments: &[&str]| place.maskline(&[&["eval", "nano", "--data", "coco.json"], arguments].concat());
    nano(&["--per-object"]).fails(2, &["--per-object", "--json"]);
    nano(&["--clicks", "1", "--mask-feedback"]).fails(2, &["--mask-feedback", "--clicks"]);
    let refused = eval(&["--data", "coco.json", "--clicks", "2"]);
    refused.fails(2, &["--clicks", "takes no prompts", "leave it out"]);
    assert!(!refused.stderr.contains("join it"), "models are judged alone: {}", refused.stderr);
    let mut other = good.clone();
    other["categories"][0]["name"] = "Mensch".into();
    std::fs::write(place.path("other.json"), other.to_string()).unwrap();
    eval(&["--data", "other.json", "-o", "report.json"]).fails(3, &["no class of the model", "Mensch", "help:"]);
    std::fs::write(place.path("found.json"), json!([{"image_id": 5, "category_id": 1, "score": 1, "bbox": [1, 2, 3, 4]}]).to_string())
        .unwrap();
    place.maskline(&["eval", "--data", "coco.json", "--predictions", "found.json"]).fails(3, &["detection 0", "image 5"]);
    std::fs::write(place.path("found.json"), json!([{"image_id": 1, "category_id": 2, "score": 1, "bbox": [1, 2, 3, 4]}]).to_string())
        .unwrap();
    place.maskline(&["eval", "--data", "coco.json", "--predictions", "found.json"]).fails(3, &["detection 0", "category 2"]);
    place.maskline(&["eval", "a+b", "--synthetic", "--data", "coco.json"]).fails(2, &["expected one model"]);
    assert!(!place.path("report.json").exists());
}

#[test]
fn ids_are_numbers_or_text() {
    let place = Place::new();
    let truth = truth(&place);
    let exact = json!([{"image_id": 1, "category_id": 1, "score": 0.9, "bbox": [30, 20, 40, 40]}]);
    let judged = |truth: &Value, found: &Value| {
        std::fs::write(place.path("coco.json"), [b"\xef\xbb\xbf", truth.to_string().as_bytes()].concat()).unwrap();
        std::fs::write(place.path("found.json"), [b"\xef\xbb\xbf", found.to_string().as_bytes()].concat()).unwrap();
        place.maskline(&["eval", "--data", "coco.json", "--predictions", "found.json", "--json"])
    };
    let with = |image: &Value, category: &Value| {
        let (mut truth, mut found) = (truth.clone(), exact.clone());
        truth["images"][0]["id"] = image.clone();
        truth["categories"][0]["id"] = category.clone();
        for annotation in truth["annotations"].as_array_mut().unwrap() {
            (annotation["image_id"], annotation["category_id"]) = (image.clone(), category.clone());
        }
        (found[0]["image_id"], found[0]["category_id"]) = (image.clone(), category.clone());
        (truth, found)
    };
    for (image, category) in
        [(json!("000139"), json!("18")), (json!(139.0), json!(18.0)), (json!("img_a"), json!("cat")), (json!(0), json!(-1))]
    {
        let (truth, found) = with(&image, &category);
        let outcome = judged(&truth, &found);
        assert_eq!(outcome.code, 0, "{image}: {}", outcome.stderr);
        assert!((outcome.json_lines()[0]["bbox"]["ap"].as_f64().unwrap() - 1.0).abs() < 1e-9, "{image}: {}", outcome.stdout);
    }
    // One number in several forms.
    let (truth, _) = with(&json!("000139"), &json!("18"));
    let (_, found) = with(&json!(139), &json!(18.0));
    assert_eq!(judged(&truth, &found).code, 0);
    let (truth, _) = with(&json!("img_a"), &json!("cat"));
    let (_, mut found) = with(&json!("img_b"), &json!("cat"));
    judged(&truth, &found).fails(3, &["detection 0", "image \"img_b\" is not among"]);
    found[0]["image_id"] = json!(-1);
    judged(&truth, &found).fails(3, &["detection 0", "image -1 is not among"]);
    found[0]["image_id"] = json!(1.5);
    judged(&truth, &found).fails(3, &["found.json", "whole number"]);
    // The report names objects as the file does.
    std::fs::write(place.path("coco.json"), truth.to_string()).unwrap();
    let outcome = place.maskline(&["eval", "nano", "--data", "coco.json", "--clicks", "1", "--per-object", "--json"]);
    assert_eq!(outcome.json_lines().remove(0)["per_object"][0]["image_text_id"], "img_a", "{}", outcome.stderr);
    std::fs::write(place.path("coco.json"), truth.to_string().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    place.maskline(&["eval", "nano", "--data", "coco.json"]).fails(3, &["coco.json", "UTF-16"]);
}
