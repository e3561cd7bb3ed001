//! Options that mean nothing to a model are refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::Place;
use serde_json::json;

#[test]
fn a_promptable_model_takes_no_options_of_detectors() {
    let place = Place::new();
    let nano = |options: &[&str]| place.maskline(&[&["run", "photo.png", "--box", "10,10,60,60", "--json"], options].concat());
    for options in [
        &["--rect"][..],
        &["--conf", "0.25"],
        &["--iou", "0.5"],
        &["--max-detections", "300"],
        &["--classes", "0"],
        &["--agnostic-nms"],
        &["--batch", "1"],
        &["--size", "640"],
        &["--keypoints", "17x3"],
        &["--multimask", "on"],
    ] {
        let outcome = nano(options);
        outcome.fails(2, &[options[0], "does not apply to nano (a promptable model)", "help: leave it out"]);
        assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    }
    nano(&["--rect", "--conf", "0.3"]).fails(2, &["--rect and --conf do not apply", "leave them out; they are for detectors"]);
    assert_eq!(nano(&["--mask-threshold", "1", "--chunk", "2", "--fill-holes", "3", "--embedding-cache", "0"]).code, 0);
    // What is not said is no wish.
    assert_eq!(nano(&["--provider", "cpu", "--threads", "1"]).code, 0);
}

#[test]
fn models_without_prompts_take_no_options_of_prompts() {
    let place = Place::new();
    for options in [
        &["--multimask", "auto"][..],
        &["--mask-threshold", "0"],
        &["--fill-holes", "5"],
        &["--remove-spots", "5"],
        &["--no-overlap"],
        &["--chunk", "4"],
        &["--embedding-cache", "256"],
        &["--kernels", "own"],
        &["--label", "cat"],
        &["--object"],
    ] {
        let words =
            [options[0], "does not apply to yolov8n (generated weights) (a detector), which takes no prompts", "yolov8n+sam2.1-tiny"];
        place.run_small(&[&["photo.png"], options].concat()).fails(2, &words);
    }
    let classifier = |options: &[&str]| {
        place.maskline(&[&["run", "--synthetic", "yolov8n-cls", "--size", "64", "photo.png", "--json"], options].concat())
    };
    for options in [&["--conf", "0.5"][..], &["--iou", "0.5"], &["--rect"], &["--classes", "1"], &["--keypoints", "17x3"]] {
        classifier(options).fails(2, &[options[0], "(a classifier)"]);
    }
    assert_eq!(classifier(&["--batch", "2"]).code, 0);
}

#[test]
fn joined_models_take_the_options_of_both() {
    let place = Place::new();
    let joined = ["run", "--synthetic", "yolov8n+sam2.1-tiny", "--size", "64", "photo.png", "--json", "--max-detections", "2"];
    let outcome = place.maskline(&[&joined[..], &["--conf", "0", "--iou", "0.9", "--classes", "0,bus", "--multimask", "on"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    place
        .maskline(&[&joined[..], &["--keypoints", "17x3"]].concat())
        .fails(2, &["--keypoints does not apply to yolov8n", " and sam2.1-tiny"]);
}

#[test]
fn a_detectors_pictures_are_segmented_one_by_one() {
    let place = Place::new();
    let both = ["run", "--synthetic", "yolov8n+sam2.1-tiny", "--size", "64", "photo.png", "--json"];
    place.maskline(&[&both[..], &["--batch", "2"]].concat()).fails(2, &["--batch", "one by one"]);
}

#[test]
fn classes_by_index_and_by_name() {
    let place = Place::new();
    let found = |classes: &str| {
        let outcome = place.run_small(&["photo.png", "--json", "--conf", "0", "--max-detections", "20", "--classes", classes]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.json_lines().remove(0)["objects"].clone()
    };
    let all = place.run_small(&["photo.png", "--json", "--conf", "0", "--max-detections", "20"]).json_lines().remove(0);
    let (index, name) = (&all["objects"][0]["class_id"], all["objects"][0]["label"].as_str().unwrap());
    let other = if index == 7 { "8" } else { "7" };
    let by_index = found(&format!("{other},{index}"));
    assert!(!by_index.as_array().unwrap().is_empty());
    assert!(by_index.as_array().unwrap().iter().all(|object| [index, &json!(other.parse::<u8>().unwrap())].contains(&&object["class_id"])));
    assert_eq!(found(&format!("{name},{other}")), by_index);
    assert_eq!(found(&format!("{}, {other}", name.to_uppercase())), by_index);
    assert_ne!(found("78"), by_index, "other classes are another answer");
    let refused = |classes: &str, words: &[&str]| place.run_small(&["photo.png", "--classes", classes]).fails(2, words);
    refused("999", &["--classes", "expected an index below 80, found 999", "0 to 79"]);
    refused("person,zbra", &["no class `zbra`", "is `zebra` meant?"]);
    refused("", &["--classes"]);
}

#[test]
fn eval_takes_the_options_of_its_model() {
    let place = Place::new();
    let data = json!({
        "images": [{"id": 1, "file_name": "photo.png", "width": 120, "height": 80}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [30, 20, 40, 40],
            "segmentation": [[30, 20, 70, 20, 70, 60, 30, 60]]}],
        "categories": [{"id": 1, "name": "person"}],
    });
    std::fs::write(place.path("coco.json"), data.to_string()).unwrap();
    std::fs::write(place.path("found.json"), json!([{"image_id": 1, "category_id": 1, "score": 1, "bbox": [30, 20, 40, 40]}]).to_string())
        .unwrap();
    let eval = |arguments: &[&str]| place.maskline(&[&["eval", "--data", "coco.json"], arguments].concat());
    for options in [&["--conf", "0.5"][..], &["--rect"], &["--batch", "2"], &["--size", "64"]] {
        eval(&[&["nano"], options].concat()).fails(2, &[options[0], "does not apply to nano"]);
    }
    for options in [&["--clicks", "3"][..], &["--mask-feedback"], &["--min-area", "5"], &["--per-object"]] {
        eval(&[&["--synthetic", "yolov8n", "--size", "64"], options].concat()).fails(2, &[options[0], "(a detector)"]);
    }
    for options in [&["--conf", "0.5"][..], &["--clicks", "3"], &["--images", "."], &["--threads", "1"]] {
        eval(&[&["--predictions", "found.json"], options].concat()).fails(2, &[options[0], "--predictions"]);
    }
    assert_eq!(eval(&["--predictions", "found.json"]).code, 0);
    assert_eq!(eval(&["nano", "--clicks", "1"]).code, 0);
}

#[test]
fn build_takes_the_options_of_its_model() {
    let place = Place::new();
    let build = |model: &str, options: &[&str]| place.maskline(&[&["build", "--synthetic", model, "-o", "built"], options].concat());
    build("yolov8n", &["--size", "64"]).fails(2, &["--size does not apply to yolov8n", "built for every size"]);
    build("yolov8n", &["--keypoints", "17x3"]).fails(2, &["--keypoints does not apply to yolov8n"]);
    assert!(!place.path("built").exists());
    assert_eq!(build("sam2.1-tiny", &["--size", "64"]).code, 0);
}

#[test]
fn options_of_everything_mode_are_refused_beside_prompts_and_those_of_crops_without_crops() {
    let place = Place::new();
    let run = |options: &[&str]| place.maskline(&[&["run", "photo.png"], options].concat());
    for option in [
        &["--points-per-side", "4"][..],
        &["--pred-iou-thresh", "0.5"],
        &["--stability-thresh", "0.5"],
        &["--stability-offset", "2"],
        &["--box-nms-thresh", "0.5"],
        &["--crop-layers", "1"],
        &["--crop-overlap", "0.2"],
        &["--min-area", "3"],
        &["--m2m"],
    ] {
        let words = [option[0], "does not apply where prompts are asked", "--everything"];
        run(&[&["--box", "10,10,60,60"], option].concat()).fails(2, &words);
    }
    for option in [["--crop-nms-thresh", "0.5"], ["--crop-overlap", "0.2"], ["--crop-points-downscale", "2"]] {
        run(&[&["--everything"], &option[..]].concat()).fails(2, &[option[0], "where there are no crops", "--crop-layers 1"]);
    }
    let all = ["--everything", "--points-per-side", "2", "--crop-layers", "1", "--crop-overlap", "0.2", "--json"];
    assert_eq!(run(&all).code, 0);
}

#[test]
fn formats_that_hold_nothing_of_what_a_model_finds_are_refused() {
    let place = Place::new();
    for format in ["masks", "cutout", "png-index", "polygons", "coco-rle"] {
        let words = [format, "does not apply to yolov8n", "no masks", "yolov8n+nano"];
        place.run_small(&["photo.png", "-o", "out", "-f", &format!("jpg,{format}")]).fails(2, &words);
    }
    let classifier = ["run", "--synthetic", "yolov8n-cls", "--size", "64", "photo.png", "-o", "classes", "-f"];
    for format in ["yolo", "coco", "coco91", "labelme", "label-studio", "masks"] {
        let refused = place.maskline(&[&classifier[..], &[format]].concat());
        refused.fails(2, &[format, "(a classifier)", "finds no objects", "-f json"]);
    }
    assert_eq!(place.maskline(&[&classifier[..], &["json,jpg"]].concat()).code, 0);
    // Another class than COCO's would get the number of one of COCO's.
    let coco91 = |model: &[&str]| place.maskline(&[&["run", "photo.png", "-o", "coco91", "-f", "coco91"], model].concat());
    coco91(&["--box", "1,1,50,50"]).fails(2, &["-f coco91 does not apply to nano", "not the 80 of COCO", "coco-results"]);
    for (model, code) in [("yolov8n-obb", 2), ("yolov8n-pose", 0), ("yolov8n", 0)] {
        let run = ["run", "--synthetic", model, "--size", "64", "photo.png", "-o", model, "-f", "coco91"];
        assert_eq!(place.maskline(&run).code, code, "{model}");
    }
    let joined = ["run", "--synthetic", "yolov8n+sam2.1-tiny", "--size", "64", "photo.png", "-o", "joined", "-f", "masks,coco,yolo"];
    assert_eq!(place.maskline(&joined).code, 0);
}

#[test]
fn what_cannot_be_meant_is_told_as_it_was_written() {
    let place = Place::new();
    for (option, words) in
        [("--conf", "expected a number from 0 to 1, found -1"), ("--threads", "'-1' for '--threads"), ("--iou", "found -1")]
    {
        place.run_small(&["photo.png", option, "-1"]).fails(2, &[words]);
    }
    place.maskline(&["run", "photo.png", "--everything", "--stability-offset", "-1"]).fails(2, &["found -1"]);
    let several = ["run", "--synthetic", "sam2.1-tiny", "photo.png", "--box", "1,1,50,50", "--no-overlap", "--multimask", "on"];
    place.maskline(&several).fails(2, &["--no-overlap", "--multimask on", "leave one of them out"]);
    place.run_small(&["photo.png", "--repeat", "0"]).fails(2, &["--repeat", "found 0"]);
    place.maskline(&["run", "yolov8n+", "photo.png"]).fails(2, &["yolov8n+", "nothing on one side", "yolov8n+nano"]);
}
