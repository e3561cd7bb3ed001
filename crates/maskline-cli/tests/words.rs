//! Finding what words and examples say.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod common;
#[path = "common/finder.rs"]
mod finder;

use common::{Outcome, Place};
use serde_json::{Value, json};

/// A place with a small finder in the folder `finder`.
fn place() -> Place {
    let place = Place::new();
    finder::write(&place.path("finder"));
    place
}

fn find(place: &Place, arguments: &[&str]) -> Outcome {
    place.maskline(&[&["run", "finder", "photo.png"], arguments].concat())
}

fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(name)).unwrap()
}

fn first(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json_lines().remove(0)
}

/// Labels with class numbers.
fn classes(line: &Value) -> Vec<(String, u64)> {
    let objects = line["objects"].as_array().unwrap();
    let mut classes: Vec<_> =
        objects.iter().map(|object| (object["label"].as_str().unwrap().into(), object["class_id"].as_u64().unwrap())).collect();
    classes.sort();
    classes.dedup();
    classes
}

#[test]
fn phrases_are_the_classes_in_every_format_in_their_order() {
    let place = place();
    std::fs::copy(place.path("photo.png"), place.path("second.png")).unwrap();
    std::fs::write(place.path("words.txt"), "# kinds\ntree\n\n a house \n").unwrap();
    let formats = "jpg,json,coco,coco-results,yolo,labelme,label-studio";
    let words = ["--text", "a red car", "--texts", "words.txt", "--text", "person", "--text", "tree"];
    let outcome = find(&place, &[&["second.png", "--conf", "0", "-f", formats, "-o", "out"], &words[..]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("looked for once: 1"), "{}", outcome.stderr);
    let names = ["a red car", "tree", "a house", "person"];
    assert_eq!(read(&place, "out/classes.txt").lines().collect::<Vec<_>>(), names);
    let coco: Value = serde_json::from_str(&read(&place, "out/coco.json")).unwrap();
    let categories: Vec<&str> = coco["categories"].as_array().unwrap().iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(categories, names);
    let lines: Vec<Value> = read(&place, "out/results.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let objects = line["objects"].as_array().unwrap();
        assert!(!objects.is_empty());
        assert!(objects.iter().all(|object| object["label"] == names[object["class_id"].as_u64().unwrap() as usize]));
        for name in ["jpg", "txt", "json"] {
            assert!(place.path(&format!("out/{}.{name}", line["image"].as_str().unwrap().trim_end_matches(".png"))).is_file());
        }
    }
    assert_eq!(read(&place, "out/photo.txt").lines().count(), lines[0]["objects"].as_array().unwrap().len());
    assert!(read(&place, "out/label-studio.json").contains("\"rectanglelabels\""));
}

#[test]
fn examples_are_called_as_their_files() {
    let place = place();
    std::fs::copy(place.path("photo.png"), place.path("mug#1.png")).unwrap();
    let whole = ["--like", "mug#1.png", "--like", "photo.png#0,0,120,80", "--like", "photo.png#-9,-9,130,99", "--text", "tree"];
    let line = first(&find(&place, &[&["--json", "--conf", "0,0,0,1"], &whole[..]].concat()));
    assert_eq!(classes(&line), [("mug#1".into(), 0), ("photo".into(), 1), ("photo-2".into(), 2)]);
    assert_eq!(line["timings_ms"]["phrases"], json!({"encoded": 1, "from_disk": 0, "cached": 0}));
    // An example without its own file in the output: it is no picture of the run.
    let outcome = find(&place, &["--like", "mug#1.png", "--conf", "0", "-o", "out"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(place.path("out/photo.jpg").is_file() && !place.path("out/mug#1.jpg").exists());
}

#[test]
fn boxes_on_the_picture_show_one_thing_or_say_more_of_a_phrase() {
    let place = place();
    let visual = first(&find(&place, &["--json", "--like-box", "0,0,60,80", "--like-box", "60,0,120,80", "--conf", "0"]));
    assert_eq!(classes(&visual), [("visual".into(), 0)]);
    let told = json!([
        {"label": "visual", "box": [0.0, 0.0, 60.0, 80.0], "is_negative": false},
        {"label": "visual", "box": [60.0, 0.0, 120.0, 80.0], "is_negative": false},
    ]);
    assert_eq!(visual["examples"], told);
    // Beside an example on another picture it is a concept of its own, where it stands.
    let beside = ["--json", "--like", "photo.png", "--like-box", "0,0,60,80", "--like", "photo.png#0,0,120,80", "--conf", "0"];
    let beside = first(&find(&place, &beside));
    assert_eq!(classes(&beside), [("photo".into(), 0), ("photo-2".into(), 2), ("visual".into(), 1)]);
    let phrases =
        ["--json", "--text", "tree", "--unlike-box", "-5,0,60,80", "--text", "house", "--like-box", "20,9,110,75", "--text", "tree"];
    let worded = first(&find(&place, &[&phrases[..], &["--like-box", "1,1,60,60", "--conf", "0"]].concat()));
    let told = json!([
        {"label": "tree", "box": [-5.0, 0.0, 60.0, 80.0], "is_negative": true},
        {"label": "tree", "box": [1.0, 1.0, 60.0, 60.0], "is_negative": false},
        {"label": "house", "box": [20.0, 9.0, 110.0, 75.0], "is_negative": false},
    ]);
    assert_eq!(worded["examples"], told);
    assert!(classes(&worded).iter().all(|(label, class)| [("tree", 0), ("house", 1)].contains(&(label.as_str(), *class))));
    assert!(first(&find(&place, &["--json", "--text", "tree"])).get("examples").is_none());
}

#[test]
fn what_is_not_wanted_is_not_found() {
    let place = place();
    let count = |arguments: &[&str]| {
        let line = first(&find(&place, &[&["--json", "--conf", "0", "--iou", "1", "--like-box", "0,0,120,80"], arguments].concat()));
        line["objects"].as_array().unwrap().len()
    };
    let all = count(&[]);
    // No patch is more like the same example than like itself, and then some are more like another one.
    assert_eq!(count(&["--unlike-box", "0,0,120,80"]), all);
    assert!(count(&["--unlike-box", "60,40,90,70"]) < all);
}

#[test]
fn boxes_that_show_nothing_are_told() {
    let place = place();
    let refused = |arguments: &[&str], words: &[&str]| {
        let outcome = find(&place, &[arguments, &["-o", "out"]].concat());
        outcome.fails(3, words);
        assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty() && !place.path("out/photo.jpg").exists(), "{}", outcome.stdout);
    };
    for flag in ["--like-box", "--unlike-box"] {
        for bounds in ["5,5,5,9", "9,5,5,9", "nan,0,9,9", "0,0,inf,9"] {
            refused(&["--text", "tree", flag, bounds], &[&format!("{flag}: example"), "x1 < x2"]);
        }
        find(&place, &[flag, "1,2,3"]).fails(2, &[flag, "expected x1,y1,x2,y2"]);
    }
    refused(&["--unlike-box", "0,0,9,9"], &["--unlike-box: concept", "only what is not wanted", "--like-box"]);
    refused(&["--like-box", "200,5,210,9"], &["photo.png", "`visual`: example", "120 × 80"]);
    find(&place, &["--like-box", "0,0,9,9", "--templates"]).fails(2, &["--templates does not apply where there are no words"]);
}

#[test]
fn a_box_beside_one_picture_is_that_pictures_failure() {
    let place = place();
    let pixels = image::RgbImage::from_fn(300, 200, |x, y| image::Rgb([x as u8, y as u8, 90]));
    pixels.save(place.path("wide.png")).unwrap();
    let outcome = find(&place, &["wide.png", "--text", "tree", "--like-box", "130,90,290,190", "--conf", "0", "--json"]);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let lines = outcome.json_lines();
    assert!(lines[0]["error"]["message"].as_str().unwrap().contains("`tree`: example"), "{}", lines[0]);
    assert_eq!(lines[0]["error"]["kind"], "bad_input");
    assert!(lines[1]["objects"].is_array() && lines[1]["image"] == "wide.png", "{}", lines[1]);
}

#[test]
fn a_thousand_boxes_are_taken_together() {
    let place = place();
    let boxes: Vec<String> =
        (0..1000).map(|index| format!("{},{},{},{}", index % 40, index % 25, 60 + index % 50, 50 + index % 30)).collect();
    let arguments: Vec<&str> =
        boxes.iter().enumerate().flat_map(|(index, bounds)| [["--like-box", "--unlike-box"][index % 2], bounds]).collect();
    let line = first(&find(&place, &[&["--json", "--text", "tree", "--conf", "0"], &arguments[..]].concat()));
    assert_eq!(line["examples"].as_array().unwrap().len(), 1000);
}

#[test]
fn scores_are_one_for_all_or_one_for_each() {
    let place = place();
    let run = |conf: &str| find(&place, &["--text", "tree", "--text", "house", "--json", "--conf", conf]);
    let all = first(&run("0"));
    assert!(!all["objects"].as_array().unwrap().is_empty());
    let (label, index) = classes(&all).remove(0);
    let conf = if index == 0 { "0,1" } else { "1,0" };
    assert_eq!(classes(&first(&run(conf))), [(label, index)]);
    run("0,0,0").fails(2, &["--conf", "expected one score, or 2", "found 3"]);
    run("0,7").fails(2, &["--conf", "from 0 to 1", "found 7"]);
    run("high").fails(2, &["`high` is no number"]);
}

#[test]
fn what_found_nothing_is_told_and_where_words_came_from() {
    let place = place();
    let words = ["--text", "tree", "--text", "a\u{202e}b", "--conf", "1"];
    let cold = find(&place, &words);
    assert_eq!(cold.code, 0, "{}", cold.stderr);
    assert!(cold.stdout.contains("nothing above 1 for `tree`, `a\\u{202e}b`\n"), "{}", cold.stdout);
    assert!(cold.stdout.contains(" + text encode ") && !cold.stdout.contains("from disk"), "{}", cold.stdout);
    assert!(find(&place, &words).stdout.contains("(from disk)"));
    let again = find(&place, &[&["--json", "--repeat", "2"], &words[..]].concat()).json_lines();
    let phrases: Vec<&Value> = again.iter().map(|line| &line["timings_ms"]["phrases"]).collect();
    assert_eq!(phrases, [&json!({"encoded": 0, "from_disk": 2, "cached": 0}), &json!({"encoded": 0, "from_disk": 0, "cached": 2})]);
}

#[test]
fn words_get_masks_from_a_second_model() {
    let place = place();
    let joined = |arguments: &[&str]| place.maskline(&[&["run", "finder+nano", "photo.png", "--json", "--conf", "0"], arguments].concat());
    let line = first(&joined(&["--text", "tree", "--max-detections", "2", "--box", "10,10,60,60", "--label", "mug"]));
    let objects = line["objects"].as_array().unwrap();
    let labels: Vec<&str> = objects.iter().map(|object| object["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["tree", "tree", "mug"]);
    assert!(objects[..2].iter().all(|object| object["mask_score"].is_number() && object["class_id"] == 0));
    assert!(["detect", "text_encode", "mask_decode", "total"].iter().all(|stage| line["timings_ms"][stage].is_number()), "{line}");
    assert_eq!(line["timings_ms"]["phrases"]["encoded"], 1);
    joined(&[]).fails(2, &["finder: expected words or examples, found none", "--text"]);
    joined(&["--text", "tree", "--batch", "2"]).fails(2, &["--batch"]);
    let detector = ["run", "--synthetic", "yolov8n+sam2.1-tiny", "--size", "64", "photo.png", "--text", "dog"];
    place.maskline(&detector).fails(2, &["--text does not apply to yolov8n", "takes no words"]);
}

#[test]
fn another_phrase_and_another_example_are_another_question() {
    let place = place();
    std::fs::copy(place.path("photo.png"), place.path("mug.png")).unwrap();
    let run = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let outcome = find(&place, &[&["--conf", "0", "-o", "out", "-f", "json", "--resume", "--json"], &arguments[..]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.json_lines().len()
    };
    for words in [
        "--text tree",
        "--text house",
        "--text house --truncate",
        "--text house --truncate --templates",
        "--like mug.png",
        "--like mug.png#0,0,120,80",
        "--like-box 0,0,120,80",
        "--like-box 0,0,120,79",
        "--like-box 0,0,120,80 --unlike-box 0,0,60,80",
        "--text house --like-box 0,0,120,80",
        "--text house --unlike-box 0,0,120,80",
    ] {
        assert_eq!((run(words), run(words)), (1, 0), "{words}");
    }
    let pixels = image::RgbImage::from_pixel(50, 40, image::Rgb([9, 99, 200]));
    pixels.save(place.path("mug.png")).unwrap();
    assert_eq!(run("--like mug.png"), 1, "the example is another one");
    std::fs::write(place.path("words.txt"), "tree\n").unwrap();
    assert_eq!((run("--texts words.txt"), run("--texts words.txt")), (1, 0));
    std::fs::write(place.path("words.txt"), "house\n").unwrap();
    assert_eq!(run("--texts words.txt"), 1, "the list is another one");
}

#[test]
fn ten_thousand_phrases_are_looked_for_together() {
    let place = place();
    std::fs::write(place.path("many.txt"), finder::phrases(10_000)).unwrap();
    let outcome = find(&place, &["--texts", "many.txt", "--conf", "0", "-f", "yolo", "-o", "out"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stdout.contains(" more\n"), "{}", outcome.stdout);
    assert_eq!(read(&place, "out/classes.txt").lines().count(), 10_000);
}

#[test]
fn words_that_mean_nothing_are_one_error_and_write_nothing() {
    let place = place();
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let outcome = find(&place, &[arguments, &["photo.png", "-o", "out"]].concat());
        outcome.fails(code, words);
        assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
        assert!(outcome.stdout.is_empty() && !place.path("out").exists(), "{}", outcome.stdout);
    };
    refused(&["--text", ""], 3, &["phrase", "an empty text"]);
    refused(&["--text", " \u{a0}\t"], 3, &["phrase", "only spaces"]);
    refused(&["--text", "a\u{1b}[31mb"], 3, &["control characters", "\\u{1b}"]);
    refused(&["--texts", "missing.txt"], 3, &["--texts", "missing.txt"]);
    std::fs::write(place.path("empty.txt"), "# nothing\n").unwrap();
    refused(&["--texts", "empty.txt"], 3, &["no phrases", "empty.txt"]);
    refused(&["--like", "photo.png#5,5,5,9"], 3, &["--like", "x1 < x2", "photo.png"]);
    refused(&["--like", "photo.png#200,5,210,9"], 3, &["--like", "120 × 80", "photo.png"]);
    refused(&["--like", "photo.png#1,2"], 3, &["PICTURE#x1,y1,x2,y2"]);
    refused(&["--like", "foto.png"], 3, &["--like", "no such picture", "`photo.png` is there"]);
    std::fs::write(place.path("broken.png"), "no picture").unwrap();
    refused(&["--like", "broken.png"], 3, &["--like", "broken.png"]);
    refused(&["--like", "photo.png", "--max-pixels", "100"], 5, &["--like", "photo.png"]);
}

#[test]
fn an_example_that_nothing_stands_for_is_told_once() {
    let place = place();
    std::fs::copy(place.path("photo.png"), place.path("mug.png")).unwrap();
    // A corner that no box of the network reaches.
    let outcome = find(&place, &["mug.png", "--like", "mug.png#0,0,1,1", "-f", "json", "-o", "out"]);
    outcome.fails(3, &["`mug`: example", "nothing on its picture can stand for it"]);
    assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty() && !place.path("out/results.jsonl").exists());
}

#[test]
fn a_phrase_that_is_too_long_is_told_with_its_length_or_cut() {
    let place = place();
    let long = "word ".repeat(2000);
    let outcome = find(&place, &["photo.png", "--text", &long, "-o", "out"]);
    outcome.fails(3, &["word word", "at most 16 tokens", "found 8002"]);
    assert_eq!(outcome.stderr.matches("error:").count(), 1, "{}", outcome.stderr);
    assert!(outcome.stderr.len() < 600 && outcome.stdout.is_empty() && !place.path("out/photo.jpg").exists(), "{}", outcome.stderr);
    let cut = find(&place, &["--text", &long, "--truncate", "-o", "out", "--conf", "0"]);
    assert_eq!(cut.code, 0, "{}", cut.stderr);
    assert!(place.path("out/photo.jpg").is_file());
}

#[test]
fn a_model_without_its_tokenizer_takes_examples_and_one_with_anothers_is_told() {
    let place = Place::new();
    finder::write_without_tokenizer(&place.path("bare"), finder::VOCABULARY);
    let bare = |arguments: &[&str]| place.maskline(&[&["run", "bare", "photo.png", "-o", "out"], arguments].concat());
    bare(&["--text", "tree"]).fails(3, &["bare", "tokenizer.json, or vocab.json and merges.txt", "found none of them"]);
    assert_eq!(bare(&["--like", "photo.png", "--conf", "0"]).code, 0);
    finder::write(&place.path("other"));
    finder::write_without_tokenizer(&place.path("other"), finder::VOCABULARY + 6);
    let other = place.maskline(&["run", "other", "photo.png", "-o", "none", "--text", "tree"]);
    other.fails(3, &["tokenizer is of another model", "expected 520 tokens", "found 514"]);
    assert!(!place.path("none/photo.jpg").exists());
}

#[test]
fn options_of_words_are_for_models_that_take_them() {
    let place = place();
    for options in [
        &["--text", "dog"][..],
        &["--like", "photo.png"],
        &["--text", "dog", "--templates"],
        &["--text", "dog", "--truncate"],
        &["--like-box", "1,1,9,9"],
        &["--unlike-box", "1,1,9,9", "--text", "dog"],
    ] {
        let words = [options[0], "to yolov8n (generated weights) (a detector)", "takes no words and no examples", "owlv2-base"];
        place.run_small(&[&["photo.png"], options].concat()).fails(2, &words);
        place.maskline(&[&["run", "photo.png"], options].concat()).fails(2, &[options[0], "nano (a promptable model)"]);
    }
    for options in [
        &["--rect"][..],
        &["--classes", "0"],
        &["--batch", "2"],
        &["--box", "1,1,9,9"],
        &["--fill-holes", "3"],
        &["--no-overlap"],
        &["-f", "masks"],
    ] {
        find(&place, &[&["--text", "tree"], options].concat()).fails(2, &[options[0], "does not apply to finder"]);
    }
    std::fs::write(place.path("names.txt"), "tree\n").unwrap();
    find(&place, &["--text", "tree", "--names", "names.txt"]).fails(2, &["names of classes", "has no classes"]);
    find(&place, &["--like", "photo.png", "--templates"]).fails(2, &["--templates does not apply where there are no words"]);
    find(&place, &[]).fails(2, &["finder: expected words or examples, found none", "--text", "--like"]);
    find(&place, &["--everything"]).fails(2, &["--everything"]);
    place.run_small(&["photo.png", "--conf", "0.1,0.2"]).fails(2, &["--conf", "expected one score, found 2"]);
    assert_eq!(find(&place, &["--text", "tree", "--agnostic-nms", "--iou", "0.5", "--embedding-cache", "1"]).code, 0);
}
