//! The first command that a newcomer types: no model named.
#![allow(clippy::unwrap_used)]

mod common;

use common::Place;
use serde_json::json;

#[test]
fn a_picture_and_a_box_are_enough() {
    let place = Place::new();
    let outcome = place.maskline(&["run", "photo.png", "--box", "20,10,90,70"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    for word in ["photo.png  120 × 80", "mask decode", "= "] {
        assert!(outcome.stdout.contains(word), "`{word}` is not in: {}", outcome.stdout);
    }
    assert!(outcome.stderr.contains("maskline pull sam2.1-tiny"), "how to get a larger model: {}", outcome.stderr);
    let mask = image::open(place.path("maskline-out/photo.mask-001.png")).unwrap().to_luma8();
    assert_eq!(mask.dimensions(), (120, 80));
    assert!(mask.pixels().all(|pixel| pixel.0 == [0] || pixel.0 == [255]));
    assert_eq!(image::open(place.path("maskline-out/photo.jpg")).unwrap().to_rgb8().dimensions(), (120, 80));
}

#[test]
fn its_name_means_the_same_and_options_go_anywhere() {
    let place = Place::new();
    let objects = |arguments: &[&str]| {
        let outcome = place.maskline(arguments);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("maskline pull"), "who names a model or wants JSON knows: {}", outcome.stderr);
        let line = outcome.json_lines().remove(0);
        assert_eq!((&line["model"], &line["width"]), (&json!("nano"), &json!(120)));
        line["objects"].clone()
    };
    let unnamed = objects(&["run", "photo.png", "--json", "--point", "60,40", "--object", "--box", "5,5,50,60"]);
    assert_eq!(unnamed.as_array().unwrap().len(), 2);
    assert_eq!(unnamed, objects(&["run", "nano", "photo.png", "--json", "--point", "60,40", "--object", "--box", "5,5,50,60"]));
    assert_eq!(unnamed, objects(&["run", "--point", "60,40", "--object", "--box", "5,5,50,60", "--json", "photo.png"]));
}

#[test]
fn what_is_missing_is_said() {
    let place = Place::new();
    place.maskline(&["run", "nosuch.png"]).fails(3, &["nosuch.png"]);
    place.maskline(&["run", "photo.png"]).fails(2, &["nano", "expected prompts", "--box"]);
    place.maskline(&["run", "nano"]).fails(2, &["expected pictures", "`nano`", "[MODEL] IMAGES"]);
    place.maskline(&["run"]).fails(2, &["Usage: maskline run"]);
    place.maskline(&["run", "no-such.jpg", "--box", "1,1,5,5"]).fails(3, &["no-such.jpg"]);
    place.maskline(&["run", "no-such-model", "photo.png", "--box", "1,1,5,5"]).fails(3, &["no-such-model"]);
    place.maskline(&["run", "photo.png", "--box", "200,1,300,5"]).fails(3, &["meets the picture"]);
}

#[test]
fn it_is_listed_and_can_be_verified() {
    let place = Place::new();
    let outcome = place.maskline(&["verify", concat!(env!("CARGO_MANIFEST_DIR"), "/../maskline/tests/cases/nano")]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let list = place.maskline(&["list"]);
    assert!(list.stdout.contains("nano"), "{}", list.stdout);
}

#[test]
fn it_needs_no_pull_and_cannot_be_removed() {
    let place = Place::new();
    let pulled = place.maskline(&["pull", "nano", "--offline"]);
    assert!(pulled.code == 0 && pulled.stderr.contains("nothing to pull"), "{}", pulled.stderr);
    let shown = place.maskline(&["show", "nano"]);
    assert!(shown.code == 0 && shown.stdout.contains("carried by maskline"), "{}", shown.stdout);
    let json = place.maskline(&["show", "nano", "--json"]).json_lines().remove(0);
    assert_eq!((&json["name"], &json["state"]), (&json!("nano"), &json!("carried")));
    place.maskline(&["rm", "nano"]).fails(2, &["cannot be removed"]);
}

#[test]
fn it_is_judged_on_the_picture_of_the_readme() {
    let place = Place::new();
    let truth = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/still-life.json");
    let outcome = place.maskline(&["eval", "nano", "--data", truth, "--clicks", "2", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let report = outcome.json_lines().remove(0);
    let prompts = report["prompts"].as_array().unwrap();
    let iou = |name: &str| prompts.iter().find(|row| row["prompt"] == name).unwrap()["all"]["mean_iou"].as_f64().unwrap();
    assert!(iou("box") > 0.8 && iou("box") > iou("filled_ellipse"), "{prompts:?}");
    assert!(iou("clicks_2") > 0.5, "{prompts:?}");
}
