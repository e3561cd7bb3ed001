//! SAM 3 on the command line: what words, examples, clicks and nothing at all find, on a model small enough to be asked often.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Outcome, Place, shared};
use maskline_testing::TinySam3;
use serde_json::{Value, json};

/// A place with the model in the folder `tiny`.
fn place() -> Place {
    let place = Place::new();
    TinySam3::new().write(&place.path("tiny"));
    place
}

fn run(place: &Place, arguments: &[&str]) -> Outcome {
    place.maskline(&[&["run", "tiny", "photo.png"], arguments].concat())
}

/// The JSON line of a picture that was answered.
fn line(place: &Place, arguments: &[&str]) -> Value {
    first(&run(place, &[&["--json"], arguments].concat()))
}

fn first(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json_lines().remove(0)
}

fn objects(line: &Value) -> &[Value] {
    line["objects"].as_array().unwrap()
}

fn labels(line: &Value) -> Vec<&str> {
    objects(line).iter().map(|object| object["label"].as_str().unwrap()).collect()
}

fn scores(line: &Value) -> Vec<f64> {
    objects(line).iter().map(|object| object["score"].as_f64().unwrap()).collect()
}

fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap()
}

fn read_json(place: &Place, name: &str) -> Value {
    serde_json::from_str(&read(place, name)).unwrap()
}

#[test]
fn words_find_masks_boxes_and_scores_and_a_drawing_is_made() {
    let place = place();
    let found = line(&place, &["--text", "red cat", "--conf", "0", "-f", "png", "-o", "out"]);
    assert!(objects(&found).len() > 1 && scores(&found).is_sorted_by(|a, b| a >= b), "{found}");
    for object in objects(&found) {
        assert_eq!((&object["label"], &object["class_id"]), (&json!("red cat"), &json!(0)));
        assert_eq!(object["segmentation"]["size"], json!([80, 120]), "{object}");
        let side = |index: usize| object["box"][index].as_f64().unwrap();
        assert!(0.0 <= side(0) && side(0) < side(2) && side(2) <= 120.0 && 0.0 <= side(1) && side(1) < side(3) && side(3) <= 80.0);
    }
    for stage in ["image_encode", "text_encode", "concept_decode", "mask_decode"] {
        assert!(found["timings_ms"][stage].as_f64() > Some(0.0), "{stage}: {found}");
    }
    let (drawn, plain) = (image::open(place.path("out/photo.png")).unwrap(), image::open(place.path("photo.png")).unwrap());
    assert!(drawn.width() == plain.width() && drawn.to_rgb8() != plain.to_rgb8());
    // Without a word about scores it is SAM 3's own, and what is not there is told with it.
    assert!(scores(&line(&place, &["--text", "red cat"])).iter().all(|score| *score > 0.5));
    let table = run(&place, &["--text", "red cat", "--text", "dog", "--conf", "0,1"]);
    assert!(table.stdout.contains("pixels") && table.stdout.contains("nothing above 1 for `dog`"), "{}", table.stdout);
    let nothing = run(&place, &["--text", "red cat", "--conf", "0.999"]);
    assert!(nothing.code == 0 && nothing.stdout.contains("nothing above 0.999 for `red cat`"), "{}", nothing.stdout);
}

#[test]
fn several_phrases_are_classes_of_one_encoding() {
    let place = place();
    std::fs::copy(place.path("photo.png"), place.path("again.png")).unwrap();
    let words = ["--text", "red cat", "--text", "dog", "--text", "car", "--text", "train", "--text", "bird", "--conf", "0"];
    let lines = run(&place, &[&["again.png", "--json"], &words[..]].concat()).json_lines();
    let (one, again) = (&lines[0], &lines[1]);
    assert_eq!(one["timings_ms"]["phrases"], json!({"encoded": 5, "from_disk": 0, "cached": 0}));
    assert_eq!(again["timings_ms"]["phrases"], json!({"encoded": 0, "from_disk": 0, "cached": 5}));
    for (class, word) in ["red cat", "dog", "car", "train", "bird"].into_iter().enumerate() {
        assert!(objects(one).iter().any(|object| object["label"] == word && object["class_id"] == class), "{word}");
    }
    // The second picture is a copy: all that was made of the first one is there.
    assert_eq!(objects(one), objects(again));
    assert!(again["timings_ms"]["image_encode"].as_f64().is_none_or(|time| time == 0.0), "{again}");
    let kept = run(&place, &[&["--json"], &words[..]].concat()).json_lines();
    assert_eq!(kept[0]["timings_ms"]["phrases"], json!({"encoded": 0, "from_disk": 5, "cached": 0}));
    assert_eq!(objects(&kept[0]), objects(one));
}

#[test]
fn masks_are_in_every_format() {
    let place = place();
    let formats = "jpg,masks,json,coco,coco-results,yolo,labelme,label-studio";
    let found = line(&place, &["--text", "red cat", "--text", "dog", "--conf", "0", "-f", formats, "-o", "out"]);
    let count = objects(&found).len();
    assert_eq!(read(&place, "out/classes.txt").lines().collect::<Vec<_>>(), ["red cat", "dog"]);
    let coco = read_json(&place, "out/coco.json");
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!((annotations.len(), coco["categories"][1]["name"].as_str()), (count, Some("dog")));
    assert!(annotations.iter().all(|one| one["segmentation"].is_object() || one["segmentation"].is_array()), "{coco}");
    assert!(annotations.iter().any(|one| one["area"].as_f64() > Some(0.0)));
    // An outline of at least three corners behind each class.
    let segments = read(&place, "out/photo.txt");
    assert!(!segments.is_empty() && segments.lines().all(|line| line.split(' ').count() >= 7), "{segments}");
    let shapes = read_json(&place, "out/photo.json")["shapes"].clone();
    assert!(shapes.as_array().unwrap().iter().any(|shape| shape["shape_type"] == "mask"));
    for name in ["photo.jpg", "coco-results.json", "label-studio.json", "results.jsonl"] {
        assert!(place.path(&format!("out/{name}")).is_file(), "{name}");
    }
}

#[test]
fn examples_refine_words_and_stand_for_them() {
    let place = place();
    let (like, unlike) = (["--like-box", "10,10,60,60"], ["--unlike-box", "70,20,110,70"]);
    let of = |arguments: &[&[&str]]| line(&place, &[&arguments.concat()[..], &["--conf", "0"]].concat());
    let answers = [of(&[&["--text", "cat"]]), of(&[&["--text", "cat"], &like]), of(&[&["--text", "cat"], &like, &unlike]), of(&[&like])];
    for (index, answer) in answers.iter().enumerate() {
        assert!(!objects(answer).is_empty());
        assert!(answers[..index].iter().all(|other| scores(other) != scores(answer)), "every example counts");
    }
    assert!(labels(&answers[3]).iter().all(|label| *label == "visual"));
    let told = json!([
        {"label": "cat", "box": [10.0, 10.0, 60.0, 60.0], "is_negative": false},
        {"label": "cat", "box": [70.0, 20.0, 110.0, 70.0], "is_negative": true},
    ]);
    assert_eq!(answers[2]["examples"], told);
    // An example of another picture, which has the same pixels.
    std::fs::copy(place.path("photo.png"), place.path("mug.png")).unwrap();
    let there = of(&[&["--like", "mug.png#10,10,60,60"]]);
    assert_eq!((scores(&there), labels(&there)[0]), (scores(&answers[3]), "mug"));
}

#[test]
fn clicks_and_boxes_are_answered_by_the_click_head() {
    let place = place();
    let click = line(&place, &["--point", "30,30", "--point", "90,60,0"]);
    let object = &objects(&click)[0];
    assert!(object["stability"].is_number() && object["prompt"] == 0 && objects(&click).len() == 1, "{object}");
    assert!(click["timings_ms"].get("concept_decode").is_none() && click["timings_ms"].get("text_encode").is_none(), "{click}");
    let several = line(&place, &["--box", "10,10,60,60", "--label", "mug", "--object", "--point", "90,60", "--multimask", "on"]);
    assert_eq!(objects(&several).len(), 6, "three masks of each");
    // Both: what words find, then the prompts' objects.
    let both = line(&place, &["--text", "cat", "--conf", "0", "--point", "30,30", "--point", "90,60,0", "--label", "mug"]);
    let last = objects(&both).last().unwrap();
    assert_eq!((labels(&both)[0], labels(&both).pop()), ("cat", Some("mug")));
    assert_eq!(last["segmentation"], object["segmentation"]);
    assert_eq!(objects(&both)[..objects(&both).len() - 1], objects(&line(&place, &["--text", "cat", "--conf", "0"]))[..]);
}

#[test]
fn everything_is_found_without_words_and_prompts() {
    let place = place();
    let all = ["--everything", "--points-per-side", "4", "--pred-iou-thresh", "0", "--stability-thresh", "0", "--box-nms-thresh", "1"];
    let found = line(&place, &all);
    assert!(!objects(&found).is_empty() && objects(&found).iter().all(|object| object["point"].is_array()), "{found}");
    run(&place, &[]).fails(2, &["tiny: expected words, examples or prompts, found none", "--text", "--point", "--everything"]);
    run(&place, &["--everything", "--text", "cat"]).fails(2, &["--everything"]);
}

#[test]
fn masks_keep_apart_and_boxes_suppress_each_other_where_it_is_wished() {
    let place = place();
    let of = |arguments: &[&str]| line(&place, &[&["--text", "cat", "--text", "dog", "--conf", "0"], arguments].concat());
    let plain = of(&[]);
    let apart = of(&["--no-overlap", "-f", "png-index", "-o", "out"]);
    assert_eq!(scores(&plain), scores(&apart));
    let area = |line: &Value| objects(line).iter().map(|object| object["area"].as_u64().unwrap()).sum::<u64>();
    assert!(area(&apart) <= 120 * 80 && area(&apart) < area(&plain), "{} {}", area(&apart), area(&plain));
    assert!(objects(&of(&["--iou", "0.1"])).len() < objects(&plain).len());
    assert_eq!(objects(&of(&["--iou", "0.1", "--agnostic-nms", "--max-detections", "1"])).len(), 1);
}

#[test]
fn it_finds_for_another_model_and_answers_for_a_detector() {
    let place = place();
    let found = |models: &str, arguments: &[&str]| first(&place.maskline(&[&["run", models, "photo.png", "--json"], arguments].concat()));
    let line = found("tiny+nano", &["--text", "cat", "--conf", "0", "--max-detections", "2"]);
    assert_eq!((labels(&line), &line["model"]), (vec!["cat"; 2], &json!("tiny+nano")));
    assert!(objects(&line).iter().all(|object| object["mask_score"].is_number() && object["prompt"].is_number()), "{line}");
    let itself = found("tiny+tiny", &["--text", "cat", "--conf", "0", "--max-detections", "1"]);
    assert!(objects(&itself)[0]["mask_score"].is_number(), "{itself}");
    let (Some(detector), Some(bus)) = (shared("data/yolov8n/yolov8n.safetensors"), shared("data/photos/bus.jpg")) else { return };
    std::fs::copy(detector, place.path("yolo.safetensors")).unwrap();
    std::fs::copy(bus, place.path("photo.png")).unwrap();
    let line = found("yolo.safetensors+tiny", &["--conf", "0.5"]);
    assert!(objects(&line).len() > 2 && objects(&line).iter().all(|object| object["segmentation"].is_object()), "{line}");
    place.maskline(&["run", "yolo.safetensors+tiny", "photo.png", "--text", "cat"]).fails(2, &["--text does not apply to yolo"]);
}

#[test]
fn another_size_is_built_or_told_with_its_nearest() {
    let place = place();
    assert!(!objects(&line(&place, &["--size", "36", "--text", "cat", "--conf", "0"])).is_empty());
    run(&place, &["--size", "31", "--text", "cat", "-o", "out"]).fails(2, &["image size", "found 31", "30 and 36", "24 and 36"]);
    run(&place, &["--size", "0", "--text", "cat", "-o", "out"]).fails(2, &["size"]);
    run(&place, &["--size", "90000", "--text", "cat", "-o", "out"]).fails(5, &["size", "8192"]);
    assert!(!place.path("out/photo.jpg").exists());
}

#[test]
fn examples_that_say_nothing_are_told() {
    let place = place();
    let refused = |arguments: &[&str], words: &[&str]| {
        let outcome = run(&place, &[arguments, &["-o", "out"]].concat());
        outcome.fails(3, words);
        assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty() && !place.path("out/photo.jpg").exists(), "{}", outcome.stdout);
    };
    refused(&["--like-box", "200,5,210,9"], &["photo.png", "`visual`: example", "120 × 80"]);
    refused(&["--text", "cat", "--like-box", "200,5,210,9"], &["photo.png", "`cat`: example", "120 × 80"]);
    refused(&["--unlike-box", "2,5,21,9"], &["--unlike-box", "only what is not wanted", "--text"]);
    let many = ["--like-box", "1,1,60,60"].repeat(1000);
    refused(&[&["--text", "cat"], &many[..]].concat(), &["`cat`: examples", "at most 256", "found 1000"]);
    refused(&["--text", &"o".repeat(20)], &["at most 8 tokens", "found 22"]);
    run(&place, &["--text", "cat", "--templates"]).fails(2, &["--templates does not apply", "one phrasing"]);
    run(&place, &["--point", "3,3", "--conf", "0.3"]).fails(2, &["--conf", "not told what to find"]);
}

#[test]
fn a_checkpoint_with_a_gap_is_told_by_the_tensor_that_it_lacks() {
    let place = place();
    let lacks = |prefix: &str, words: &[&str]| {
        TinySam3::new().without(prefix).write(&place.path("gap"));
        for asked in [["--text", "cat"], ["--point", "30,30"]] {
            let outcome = place.maskline(&[&["run", "gap", "photo.png", "-o", "out"], &asked[..]].concat());
            outcome.fails(3, &[words, &["gap/model.safetensors"]].concat());
        }
    };
    let mask_head = "detector_model.mask_decoder.pixel_decoder.norms.1.weight";
    lacks(mask_head, &[mask_head, "no such tensor"]);
    lacks("detector_model.text_encoder", &["detector_model.text_encoder", "no such tensor"]);
    lacks("tracker_model.mask_decoder.iou_token.weight", &["tracker_model.mask_decoder.iou_token.weight", "no such tensor"]);
    lacks("tracker_neck.fpn_layers.1", &["tracker_neck.fpn_layers.1", "no such tensor"]);
    assert!(!place.path("out/photo.jpg").exists());
}

#[test]
fn shards_are_one_checkpoint() {
    let place = place();
    TinySam3::new().write_in_two_files(&place.path("shards"));
    let asked = ["photo.png", "--json", "--text", "cat", "--conf", "0", "--point", "30,30"];
    let shards = first(&place.maskline(&[&["run", "shards"], &asked[..]].concat()));
    assert_eq!(objects(&shards), objects(&first(&place.maskline(&[&["run", "tiny"], &asked[..]].concat()))));
    std::fs::remove_file(place.path("shards/model-00002-of-00002.safetensors")).unwrap();
    place.maskline(&[&["run", "shards"], &asked[..]].concat()).fails(3, &["model-00002-of-00002.safetensors"]);
}

#[test]
fn without_its_tokenizer_it_takes_prompts_alone() {
    let place = place();
    TinySam3::new().write_without_tokenizer(&place.path("bare"));
    let bare = |arguments: &[&str]| place.maskline(&[&["run", "bare", "photo.png", "-o", "out"], arguments].concat());
    // An example without words is read as the word `visual`.
    for asked in [["--text", "cat"], ["--like-box", "10,10,60,60"]] {
        let outcome = bare(&asked);
        outcome.fails(3, &["bare", "tokenizer.json, or vocab.json and merges.txt", "found none of them", "beside the weights"]);
        assert!(!outcome.stderr.contains("show it an example"), "{}", outcome.stderr);
    }
    assert!(!place.path("out/photo.jpg").exists());
    for asked in [["--point", "30,30"], ["--box", "10,10,60,60"]] {
        // With many answers it is warmed up first, as far as it can be.
        let outcome = bare(&[&asked[..], &["--repeat", "9", "--overwrite"]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    }
}
