//! Running again into a folder that holds answers: what an earlier run wrote stays right, or stays as it was.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Outcome, Place};
use serde_json::Value;

/// Three objects of generated weights in every picture.
fn detect(place: &Place, arguments: &[&str]) -> Outcome {
    place.run_small(&[&["--conf", "0", "--max-detections", "3"], arguments].concat())
}

fn copy(place: &Place, to: &str) {
    std::fs::create_dir_all(place.path(to).parent().unwrap()).unwrap();
    std::fs::copy(place.path("photo.png"), place.path(to)).unwrap();
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// `id` and `file_name` of a data set's pictures.
fn images(place: &Place) -> Vec<(i64, String)> {
    let data = json(&place.path("out/coco.json"));
    let images = data["images"].as_array().unwrap();
    images.iter().map(|image| (image["id"].as_i64().unwrap(), image["file_name"].as_str().unwrap().into())).collect()
}

#[test]
fn a_run_that_fails_before_its_first_answer_leaves_the_old_ones() {
    let place = Place::new();
    let files = ["out/results.jsonl", "out/coco.json"].map(|name| place.path(name));
    assert_eq!(detect(&place, &["photo.png", "-f", "json,coco", "-o", "out"]).code, 0);
    let before = files.each_ref().map(|file| std::fs::read(file).unwrap());
    std::fs::write(place.path("broken.safetensors"), "nothing").unwrap();
    let broken = place.maskline(&["run", "broken.safetensors", "photo.png", "-f", "json,coco", "-o", "out"]);
    let wrong = detect(&place, &["photo.png", "--iou", "7", "-f", "json,coco", "-o", "out"]);
    assert!(broken.code != 0 && wrong.code == 2, "{} {}", broken.stderr, wrong.stderr);
    assert!(files.each_ref().map(|file| std::fs::read(file).unwrap()) == before);
}

#[test]
fn pictures_keep_numbers_of_their_own_when_others_come_and_go() {
    let place = Place::new();
    ["in/2.png", "in/x.png"].iter().for_each(|name| copy(&place, name));
    detect(&place, &["in", "-f", "coco", "-o", "out"]);
    std::fs::rename(place.path("in/x.png"), place.path("in/1.png")).unwrap();
    assert_eq!(detect(&place, &["in", "-f", "coco", "-o", "out", "--resume"]).code, 0);
    assert_eq!(images(&place), [(1, "2.png".into()), (2, "1.png".into())]);
}

#[test]
fn pictures_of_two_folders_have_names_of_their_own_also_when_one_came_later() {
    let place = Place::new();
    ["x/a.png", "y/b.png", "y/a.png"].iter().for_each(|name| copy(&place, name));
    let run = |more: &[&str]| assert_eq!(detect(&place, &[&["-f", "coco,coco-results", "-o", "out"], more].concat()).code, 0);
    run(&["y/b.png"]);
    assert_eq!(images(&place), [(1, "b.png".into())]);
    run(&["y/b.png", "x/a.png", "y/a.png", "--resume"]);
    assert_eq!(images(&place), [(1, "y/b.png".into()), (2, "x/a.png".into()), (3, "y/a.png".into())]);
    let results = json(&place.path("out/coco-results.json"));
    let named = results.as_array().unwrap().iter().map(|result| result["file_name"].as_str().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), [["y/b.png"; 3], ["x/a.png"; 3], ["y/a.png"; 3]].concat());
}

#[test]
fn other_objects_are_another_question() {
    let place = Place::new();
    let run = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let outcome = place.maskline(&[&["run", "photo.png", "-f", "json", "-o", "out", "--resume", "--json"], &words[..]].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome.json_lines().len()
    };
    assert_eq!(run("--point 10,10 --point 20,20 --object --point 40,30"), 1);
    assert_eq!(run("--point 10,10 --point 20,20 --object --point 40,30"), 0);
    assert_eq!(run("--point 10,10 --object --point 20,20 --point 40,30"), 1, "the same words, of other objects");
    let mask = |side: u32| {
        let inside = |x: u32, y: u32| image::Luma([if x < side && y < side { 255 } else { 0 }]);
        let size = image::open(place.path("photo.png")).unwrap().into_rgb8().dimensions();
        image::GrayImage::from_fn(size.0, size.1, inside).save(place.path("mask.png")).unwrap();
    };
    std::fs::write(place.path("prompts.json"), r#"[{"mask": "mask.png"}]"#).unwrap();
    mask(30);
    assert_eq!((run("--prompts prompts.json"), run("--prompts prompts.json")), (1, 0));
    mask(20);
    assert_eq!(run("--prompts prompts.json"), 1, "a mask of a prompt file that changed");
}

#[test]
fn a_journal_speaks_only_of_its_folder() {
    let place = Place::new();
    std::fs::write(place.path("victim.txt"), "mine").unwrap();
    std::fs::create_dir_all(place.path("out/.maskline")).unwrap();
    let absolute = place.path("victim.txt").to_string_lossy().replace('\\', "/");
    let line = |name: &str| format!("{{\"file\":{{\"name\":\"{name}\",\"stem\":\"photo\",\"format\":\"yolo\"}}}}\n");
    std::fs::write(place.path("out/.maskline/journal.jsonl"), line("../victim.txt") + &line(&absolute)).unwrap();
    assert_eq!(detect(&place, &["photo.png", "-f", "yolo", "-o", "out"]).code, 0);
    assert_eq!(std::fs::read_to_string(place.path("victim.txt")).unwrap(), "mine");
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_an_answer_is_not_waited_for() {
    let place = Place::new();
    let run = || detect(&place, &["photo.png", "-f", "yolo", "-o", "out"]);
    assert_eq!(run().code, 0);
    std::fs::remove_file(place.path("out/photo.txt")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.path("out/photo.txt")).status().unwrap().success());
    let outcome = run();
    assert!(outcome.code == 1 && outcome.stderr.contains("maskline did not write it"), "{}", outcome.stderr);
}

#[test]
fn answers_beside_their_pictures_are_no_pictures_of_the_next_run() {
    let place = Place::new();
    ["in/a.png", "in/sub/b.png"].iter().for_each(|name| copy(&place, name));
    let run = |arguments: &[&str]| {
        let outcome = detect(&place, &[arguments, &["-r", "-f", "png", "-o", "in", "--json"]].concat());
        let named = |line: &Value| line["image"].as_str().unwrap().to_string();
        (outcome.json_lines().iter().map(named).collect::<Vec<_>>(), outcome.stderr)
    };
    let pictures = ["in/a.png", "in/sub/b.png"];
    assert_eq!(run(&["in"]).0, pictures);
    assert!(place.path("in/a-2.png").exists() && place.path("in/sub/b-2.png").exists());
    let (named, said) = run(&["in"]);
    assert!(named == pictures && said.contains("2 pictures that maskline wrote"), "{named:?} {said}");
    assert_eq!(run(&["in/*.png", "in/sub"]).0, pictures);
    assert_eq!(run(&["in/a.png", "in/a-2.png"]).0, ["in/a.png"], "as a shell writes in/*.png");
    // One that a person has changed is his, and one that is named is meant.
    copy(&place, "in/a-2.png");
    assert_eq!(run(&["in"]).0, ["in/a-2.png", "in/a.png", "in/sub/b.png"]);
    assert_eq!(run(&["in/sub/b-2.png"]).0, ["in/sub/b-2.png"]);
}

#[test]
fn a_namesake_that_comes_later_changes_no_name() {
    let place = Place::new();
    ["in/a.png", "in/b.png"].iter().for_each(|name| copy(&place, name));
    let run = |more: &[&str]| {
        let outcome = detect(&place, &[&["in", "-f", "yolo", "-o", "out", "--json"], more].concat());
        outcome.json_lines().iter().map(|line| line["files"][0].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(run(&[]), ["out/a.txt", "out/b.txt"]);
    image::RgbImage::from_pixel(50, 40, image::Rgb([9, 9, 9])).save(place.path("in/a.jpg")).unwrap();
    assert_eq!(run(&["--resume"]), ["out/a.jpg.txt"]);
    assert_eq!(run(&[]), ["out/a.jpg.txt", "out/a.txt", "out/b.txt"]);
}

#[test]
fn answers_are_those_of_their_pictures_wherever_both_are() {
    let place = Place::new();
    copy(&place, "one/in/a.png");
    let run = |base: &str, output: &str| {
        let (pictures, output) = (format!("{base}/in"), format!("{base}/{output}"));
        let outcome = detect(&place, &[&pictures, "-f", "labelme,label-studio,json", "-o", &output, "--json", "--resume"]);
        outcome.json_lines().iter().map(|line| line["files"][0].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(run("one", "out"), ["one/out/a.json"]);
    // The answers alone are moved: they say where their picture is.
    std::fs::create_dir(place.path("one/deep")).unwrap();
    std::fs::rename(place.path("one/out"), place.path("one/deep/out")).unwrap();
    assert_eq!(run("one", "deep/out"), ["one/deep/out/a.json"]);
    assert_eq!(json(&place.path("one/deep/out/a.json"))["imagePath"], "../../in/a.png");
    assert_eq!(json(&place.path("one/deep/out/label-studio.json"))[0]["data"]["image"], "../../in/a.png");
    assert!(run("one", "deep/out").is_empty());
    // Both are copied.
    for name in ["in/a.png", "deep/out/a.json", "deep/out/.maskline/journal.jsonl"] {
        std::fs::create_dir_all(place.path("two").join(name).parent().unwrap()).unwrap();
        std::fs::copy(place.path("one").join(name), place.path("two").join(name)).unwrap();
    }
    assert_eq!(run("two", "deep/out"), ["two/deep/out/a.json"]);
    let lines = std::fs::read_to_string(place.path("two/deep/out/results.jsonl")).unwrap();
    assert!(lines.lines().count() == 1 && lines.contains("two/deep/out/a.json"), "{lines}");
}

#[test]
fn labels_that_are_numbered_by_other_classes_are_told() {
    let place = Place::new();
    copy(&place, "other.png");
    assert_eq!(detect(&place, &["photo.png", "-f", "yolo", "-o", "out"]).code, 0);
    let run = |picture: &str| place.maskline(&["run", picture, "--box", "5,10,25,60", "--label", "mug", "-f", "yolo", "-o", "out"]).stderr;
    let (other, same) = (run("other.png"), run("photo.png"));
    assert!(other.contains("the labels of 1 picture of an earlier run") && !same.contains("numbered by"), "{other} {same}");
}

#[test]
fn what_took_the_place_of_a_file_that_never_became_whole_stays() {
    let place = Place::new();
    let run = || detect(&place, &["photo.png", "-f", "json", "-o", "out"]);
    assert_eq!(run().code, 0);
    let whole = std::fs::read_to_string(place.path("out/results.jsonl")).unwrap();
    let journal = std::fs::read_to_string(place.path("out/.maskline/journal.jsonl")).unwrap()
        + "{\"file\":{\"name\":\"results.jsonl\",\"format\":\"json\"}}\n";
    for (content, code) in [("my notes\n", 1), ("{\"mine\":1}\n", 1), ("", 0), (&whole[..40], 0), (&*whole, 0)] {
        std::fs::write(place.path("out/.maskline/journal.jsonl"), &journal).unwrap();
        std::fs::write(place.path("out/results.jsonl"), content).unwrap();
        let outcome = run();
        assert_eq!(outcome.code, code, "{content}: {}", outcome.stderr);
        assert_eq!(std::fs::read_to_string(place.path("out/results.jsonl")).unwrap() == content, code == 1, "{content}");
    }
}

#[test]
fn pictures_that_leave_the_files_about_all_are_told() {
    let place = Place::new();
    ["in/a.png", "in/b.png"].iter().for_each(|name| copy(&place, name));
    let run = |more: &[&str]| detect(&place, &[&["-f", "json,coco,yolo", "-o", "out"], more].concat()).stderr;
    let words = "of an earlier run left out";
    assert!(!run(&["in"]).contains(words) && !run(&["./in/a.png", "in", "--resume"]).contains(words));
    let said = run(&["in/b.png", "photo.png"]);
    assert!(said.contains("results.jsonl, coco.json: 1 picture of an earlier run left out"), "{said}");
    assert!(!run(&["in/b.png", "photo.png"]).contains(words));
}

#[test]
fn a_file_that_was_about_to_be_replaced_is_still_ours() {
    let place = Place::new();
    let run = |conf: &str| place.run_small(&["photo.png", "--conf", conf, "--max-detections", "3", "-f", "yolo", "-o", "out"]);
    assert_eq!(run("0").code, 0);
    let journal = place.path("out/.maskline/journal.jsonl");
    // What a run leaves that is killed after the note and before the file.
    let noted = r#"{"file":{"name":"photo.txt","stem":"photo","format":"yolo","blake3":"00"}}"#;
    std::fs::write(&journal, std::fs::read_to_string(&journal).unwrap() + noted + "\n").unwrap();
    assert_eq!(run("1").code, 0);
    assert_eq!(std::fs::read_to_string(place.path("out/photo.txt")).unwrap(), "");
}
