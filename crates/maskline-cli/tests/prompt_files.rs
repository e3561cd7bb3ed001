//! Prompt files: masks of every form, annotations, keys of pictures, byte order marks.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Outcome, Place, shared};
use maskline::Mask;
use serde_json::{Value, json};

/// Asks nano, which needs nothing to be built, about `photo.png` (120 × 80).
fn ask(place: &Place, prompts: &Value) -> Outcome {
    std::fs::write(place.path("prompts.json"), prompts.to_string()).unwrap();
    place.maskline(&["run", "photo.png", "--json", "--prompts", "prompts.json"])
}

/// The objects of the only picture.
fn objects(outcome: &Outcome) -> Vec<Value> {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json_lines().remove(0)["objects"].as_array().unwrap().clone()
}

/// A rectangle from 20, 10 to 70, 60.
fn rectangle() -> Mask {
    Mask::from_fn(120, 80, |x, y| (20..70).contains(&x) && (10..60).contains(&y)).unwrap()
}

fn save_mask(place: &Place, name: &str, value: u8) {
    image::GrayImage::from_raw(120, 80, rectangle().to_rows(value)).unwrap().save(place.path(name)).unwrap();
}

#[test]
fn a_mask_means_the_same_in_every_form() {
    let place = Place::new();
    save_mask(&place, "mask.png", 255);
    save_mask(&place, "ones.png", 1);
    let rle = rectangle().to_rle();
    let expected = objects(&ask(&place, &json!([{"mask": "mask.png"}])));
    assert!(expected[0]["area"].as_u64() > Some(0));
    for mask in [
        json!("ones.png"),
        json!([[20, 10, 70, 10, 70, 60, 20, 60]]),
        json!([[20, 10, 50, 10, 50, 60, 20, 60], [50.0, 10, 70, 10, 70, 60, 50.0, 60]]),
        json!({"size": [80, 120], "counts": rle.counts}),
        json!({"size": [80, 120], "counts": rle.to_coco_string()}),
    ] {
        assert_eq!(objects(&ask(&place, &json!([{"mask": mask}]))), expected, "{mask}");
        assert_eq!(objects(&ask(&place, &json!([{"segmentation": mask}]))), expected, "{mask}");
    }
    let words = ["run", "photo.png", "--json", "--mask", "ones.png"];
    assert_eq!(objects(&place.maskline(&words)), expected, "on the command line too");
}

#[test]
fn ones_are_a_mask_for_encoders_too() {
    let place = Place::new();
    save_mask(&place, "mask.png", 255);
    save_mask(&place, "ones.png", 1);
    let sam = |mask: &str| {
        objects(&place.maskline(&[
            "run",
            "--synthetic",
            "sam2.1-tiny",
            "--size",
            "64",
            "photo.png",
            "--json",
            "--mask",
            mask,
            "--box",
            "9,9,80,70",
        ]))
    };
    assert_eq!(sam("ones.png"), sam("mask.png"));
}

#[test]
fn an_empty_mask_is_refused_everywhere() {
    let place = Place::new();
    image::GrayImage::new(120, 80).save(place.path("black.png")).unwrap();
    // Which of several small numbers are meant is not to be guessed.
    image::GrayImage::from_fn(120, 80, |x, _| image::Luma([(x / 40) as u8])).save(place.path("dark.png")).unwrap();
    let models = [&["run", "photo.png"][..], &["run", "--synthetic", "sam2.1-tiny", "--size", "64", "photo.png"]];
    for (mask, file) in [
        (json!("black.png"), "black.png"),
        (json!("dark.png"), "several values up to 2"),
        (json!({"size": [80, 120], "counts": [9600]}), "prompts.json"),
        (json!({"size": [80, 120], "counts": "P\\9"}), "prompts.json"),
        (json!([[500, 500, 600, 500, 600, 600]]), "prompts.json"),
    ] {
        // A box beside it is no excuse.
        std::fs::write(place.path("prompts.json"), json!([[1, 1, 50, 50], {"mask": mask, "box": [1, 1, 50, 50]}]).to_string()).unwrap();
        for model in models {
            let outcome = place.maskline(&[model, &["--json", "--prompts", "prompts.json"]].concat());
            outcome.fails(3, &["prompt 1", file]);
            let found = outcome.json_lines().remove(0)["objects"].clone();
            assert!(found[0]["area"].is_u64() && found[1]["error"]["kind"] == "bad_input", "the other prompt is answered: {found}");
        }
    }
    place.maskline(&["run", "photo.png", "--mask", "black.png"]).fails(3, &["prompt 0", "at least one pixel", "black.png"]);
}

#[test]
fn annotations_of_coco_can_be_pasted() {
    let place = Place::new();
    let boxed = objects(&ask(&place, &json!([{"box": [20, 10, 70, 60], "class_id": 18}])));
    let annotation = |segmentation: Value| json!({"id": 7, "image_id": 139, "category_id": 18, "iscrowd": 0, "area": 2500.0, "bbox": [20, 10, 50, 50], "segmentation": segmentation});
    assert_eq!(objects(&ask(&place, &json!([annotation(json!([]))]))), boxed, "x, y, width and height");
    let polygons = json!([[20, 10, 70, 10, 70, 60, 20, 60]]);
    let both = objects(&ask(&place, &json!([{"box": [20, 10, 70, 60], "class_id": 18, "mask": polygons}])));
    assert_eq!(objects(&ask(&place, &json!([annotation(polygons)]))), both);
    // What maskline found is a prompt as it stands.
    let again = ask(&place, &json!(both));
    assert_eq!(objects(&again).len(), 1);
    for (prompt, words) in [
        (json!({"box": [1, 1, 5, 5], "bbox": [1, 1, 5, 5]}), "`box` or `bbox`"),
        (json!({"mask": "a.png", "segmentation": [[1, 1, 5, 1, 5, 5]]}), "`mask` or `segmentation`"),
        (json!({"segmentation": [[1, 1, 5, 1, 5]]}), "polygon 0: expected x, y of at least 3 points, found 5 numbers"),
        (json!({"mask": 5}), "COCO's polygons"),
        (json!({"mask": []}), "at least one"),
        (json!({"mask": {"size": [80, 120], "counts": [-1]}}), "run lengths"),
        (json!({"mask": {"size": [80, 120]}}), "expected counts"),
        (json!({"mask": {"size": [80], "counts": [1]}}), "expected its size"),
        (json!({"bboxes": []}), "unknown field `bboxes`"),
    ] {
        ask(&place, &json!([prompt])).fails(3, &["prompt 0", words, "prompts.json"]);
    }
}

#[test]
fn keys_name_pictures_as_paths_do() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("in/sub")).unwrap();
    for name in ["in/photo.png", "in/sub/other.png", "in/sub/photo.png"] {
        std::fs::copy(place.path("photo.png"), place.path(name)).unwrap();
    }
    let absolute = place.path("photo.png").display().to_string();
    for key in ["./photo.png", "in/../photo.png", r".\photo.png", &absolute] {
        let outcome = ask(&place, &json!({"images": {key: [[10, 10, 60, 60]]}}));
        assert_eq!(objects(&outcome).len(), 1, "{key}");
        assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    }
    let run = |keys: Value, pictures: &[&str]| {
        std::fs::write(place.path("prompts.json"), json!({"images": keys}).to_string()).unwrap();
        place.maskline(&[&["run", "--json", "--prompts", "prompts.json"], pictures].concat())
    };
    let prompt = json!([[10, 10, 60, 60]]);
    let outcome = run(json!({"other.png": prompt, r"sub\photo.png": prompt}), &["in/sub/other.png", "in/sub/photo.png"]);
    assert_eq!((outcome.code, outcome.json_lines().len()), (0, 2), "{}", outcome.stderr);
    // A name that two pictures have is none of them.
    let outcome = run(json!({"photo.png": prompt, "./in/photo.png": prompt}), &["in/photo.png", "in/sub/photo.png"]);
    outcome.fails(3, &["`photo.png` could be in/photo.png or in/sub/photo.png", "in/sub/photo.png: no prompt is meant"]);
    // What names nothing is said, and the others are done.
    let outcome = run(json!({"phtoo.png": prompt, "photo.png": prompt}), &["photo.png"]);
    assert_eq!(objects(&outcome).len(), 1);
    assert!(outcome.stderr.contains("warning: prompts.json: `phtoo.png` names none of the pictures (is `photo.png` meant?)"));
    std::fs::write(place.path("prompts.json"), r#"{"images": {"a.png": [], "a.png": []}}"#).unwrap();
    place.maskline(&["run", "photo.png", "--prompts", "prompts.json"]).fails(3, &["the key `a.png` is there twice"]);
}

#[test]
fn byte_order_marks() {
    let place = Place::new();
    let read = |bytes: &[u8]| {
        std::fs::write(place.path("prompts.json"), bytes).unwrap();
        place.maskline(&["run", "photo.png", "--json", "--prompts", "prompts.json"])
    };
    for text in ["[[10, 10, 60, 60]]", " {\"prompts\": [[10, 10, 60, 60]]}"] {
        assert_eq!(objects(&read(&[b"\xef\xbb\xbf", text.as_bytes()].concat())), objects(&read(text.as_bytes())));
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        read(&wide).fails(3, &["prompts.json", "UTF-8", "UTF-16"]);
        read(&[b"\xff\xfe", &wide[..]].concat()).fails(3, &["prompts.json", "UTF-16"]);
    }
    let Some(case) = shared("cases/prompts_bom.json") else { return };
    let outcome = read(&std::fs::read(case).unwrap());
    assert!(!outcome.stderr.contains("cannot be read"), "{}", outcome.stderr);
}

#[test]
fn what_any_model_found_and_annotations_of_keypoints_are_prompts_as_they_stand() {
    let place = Place::new();
    let bounds = objects(&ask(&place, &json!([{"box": [20, 10, 70, 60]}])));
    let found = json!({
        "box": [20, 10, 70, 60], "class_id": 3, "label": "cat", "score": 0.5, "area": 9, "mask_box": [1, 1, 2, 2], "mask_score": 0.2,
        "keypoints": [[1, 2, 0.5]], "rotated_box": {"center": [1, 2]}, "stability": 0.5, "prompt": 0,
    });
    let annotation = json!({
        "id": 7, "image_id": 1, "category_id": 3, "bbox": [20, 10, 50, 50], "iscrowd": 0, "area": 9, "num_keypoints": 1, "keypoints": [1, 2, 2],
    });
    for prompt in [found, annotation] {
        let object = &objects(&ask(&place, &json!([prompt])))[0];
        assert_eq!((&object["segmentation"], &object["class_id"]), (&bounds[0]["segmentation"], &json!(3)));
    }
    // What everything mode found, and what looks like it.
    let all = place.maskline(&["run", "photo.png", "--everything", "--points-per-side", "2", "--pred-iou-thresh", "0", "--json"]);
    let found = objects(&all);
    assert!(found[0]["crop_box"].is_array(), "{}", found[0]);
    assert_eq!(objects(&ask(&place, &json!(found))).len(), found.len());
    ask(&place, &json!([{"point": [30, 20], "box": [20, 10, 70, 60]}])).fails(3, &["unknown field `point`", "`points`"]);
    place.maskline(&["run", "photo.png", "--prompts", "absent.json"]).fails(3, &["absent.json", "No such file"]);
}
