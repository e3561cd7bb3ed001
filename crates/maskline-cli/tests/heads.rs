//! `--head`: which of a detector's two heads answers.
#![allow(clippy::unwrap_used)]

mod common;

use common::Place;

#[test]
fn the_head_is_chosen_and_named_where_there_is_none() {
    let place = Place::new();
    let run = |model: &str, options: &[&str]| {
        let least = ["--size", "64", "--conf", "0", "--json", "photo.png"];
        place.maskline(&[&["run", "--synthetic", model], &least[..], options].concat())
    };
    let objects = |options: &[&str]| {
        let outcome = run("yolo26n", options);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.json_lines()[0]["objects"].as_array().unwrap().clone()
    };
    let (usual, many, one) = (objects(&[]), objects(&["--head", "one2many"]), objects(&["--head", "one2one"]));
    assert_eq!(usual, many, "as the reference predicts by default");
    assert_ne!(many, one);
    // 64 + 16 + 4 anchors: as many are chosen, and none is suppressed.
    assert_eq!(one.len(), 84);
    let scores: Vec<f64> = one.iter().map(|object| object["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b));
    // Suppression on top, where it is asked for.
    assert!(objects(&["--head", "one2one", "--iou", "0"]).len() < 84);
    for model in ["yolov8n", "yolo11n-seg", "yolo26n-cls"] {
        run(model, &["--head", "one2one"]).fails(2, &["head", "one2one", "leave it out"]);
    }
    assert_eq!(run("yolov8n", &["--head", "one2many"]).code, 0, "it is the only one");
    run("yolo26n", &["--head", "both"]).fails(2, &["expected one2many or one2one"]);
    place.maskline(&["run", "photo.png", "--box", "1,1,50,50", "--head", "one2one"]).fails(2, &["head", "nano", "leave it out"]);
}
