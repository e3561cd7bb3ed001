//! `maskline run --everything` as a user meets it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Place, shared};

#[test]
fn everything_finds_objects_without_prompts() {
    let place = Place::new();
    let Some(checkpoint) = shared("goldens/sam2_image/tiny128/model.safetensors") else { return };
    let checkpoint = checkpoint.to_str().unwrap();
    // Generated weights: nothing is asked of the masks but to be no duplicates.
    let all = ["--everything", "--points-per-side", "5", "--pred-iou-thresh", "0", "--stability-thresh", "0", "--box-nms-thresh", "1"];
    let outcome = place.maskline(&[&["run", checkpoint, "photo.png", "--json", "-o", "out", "-f", "png,coco-rle"], &all[..]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let line = &outcome.json_lines()[0];
    let objects = line["objects"].as_array().unwrap();
    assert_eq!(objects.len(), 75, "three masks at each of 25 points");
    for object in objects {
        assert_eq!(object["crop_box"], serde_json::json!([0, 0, 120, 80]));
        assert!(object["point"][0].as_f64().unwrap() % 24.0 == 12.0 && object["stability"].is_number(), "{object}");
        assert!(object.get("segmentation").is_some() && object.get("prompt").is_none(), "{object}");
    }
    assert!(line["timings_ms"]["mask_decode"].as_f64() > Some(0.0));
    assert_eq!(image::open(place.path("out/photo.png")).unwrap().width(), 120);
    assert!(place.path("out/photo.rle.json").exists());
    let outcome = place.maskline(&[&["run", checkpoint, "photo.png", "--crop-layers", "1", "--min-area", "3"], &all[..]].concat());
    assert!(outcome.code == 0 && outcome.stdout.contains("mask decode"), "{}", outcome.stderr);
    place.maskline(&["run", checkpoint, "photo.png", "--everything", "--points-per-side", "0"]).fails(2, &["at least 1 a side"]);
    place.maskline(&["run", checkpoint, "photo.png", "--everything", "--points-per-side", "9000"]).fails(5, &["100000", "help:"]);
    place.maskline(&["run", checkpoint, "photo.png"]).fails(2, &["expected prompts", "--everything"]);
}

#[test]
fn everything_and_prompts_exclude_each_other() {
    let place = Place::new();
    let run = |arguments: &[&str]| place.maskline(&[&["run", "any.safetensors", "photo.png"], arguments].concat());
    for prompt in [["--point", "3,4"], ["--box", "1,2,3,4"], ["--prompts", "p.json"], ["--fill-holes", "3"]] {
        run(&[&["--everything"], &prompt[..]].concat()).fails(2, &["--everything", prompt[0], "cannot be used with"]);
    }
    run(&["--crop-layers", "1"]).fails(2, &["--everything"]);
    place.run_small(&["--everything", "photo.png"]).fails(2, &["--everything", "promptable", "yolov8n"]);
}
