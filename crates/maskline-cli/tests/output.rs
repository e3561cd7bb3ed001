//! What `run` writes: nothing of the user's is lost, and every file belongs to its picture.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::{Outcome, Place};
use serde_json::Value;

/// All files below a folder with their contents, maskline's own folder left out.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
            if name.starts_with(".maskline") || name.starts_with("home") {
                continue;
            }
            if path.is_dir() { folders.push(path) } else { drop(found.insert(name, std::fs::read(path).unwrap())) }
        }
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    contents(folder).into_keys().collect()
}

fn json(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap()
}

fn copy(place: &Place, from: &str, to: &str) {
    std::fs::create_dir_all(place.path(to).parent().unwrap()).unwrap();
    std::fs::copy(place.path(from), place.path(to)).unwrap();
}

/// Three objects of generated weights in every picture.
fn detect(place: &Place, arguments: &[&str]) -> Outcome {
    place.run_small(&[&["--conf", "0", "--max-detections", "3"], arguments].concat())
}

/// `nano` with as many boxes.
fn masks(place: &Place, boxes: usize, arguments: &[&str]) -> Outcome {
    let boxes: Vec<String> = (0..boxes).map(|index| format!("{},10,{},60", 5 + 20 * index, 25 + 20 * index)).collect();
    let boxes: Vec<&str> = boxes.iter().flat_map(|bounds| ["--box", bounds]).collect();
    place.maskline(&[&["run", "photo.png"], &boxes[..], arguments].concat())
}

#[test]
fn pictures_beside_the_overlays_stay() {
    let place = Place::new();
    for name in ["IMG.png", "IMG-2.png", "IMG-3.jpg", "a.png"] {
        copy(&place, "photo.png", name);
    }
    image::open(place.path("photo.png")).unwrap().save(place.path("a.jpg")).unwrap();
    let before = contents(place.folder.path());
    for _ in 0..2 {
        assert_eq!(detect(&place, &["IMG.png", "IMG-2.png", "-f", "png,jpg", "-o", "."]).code, 0);
        assert_eq!(detect(&place, &["a.jpg", "a.png", "-f", "jpg,png", "-o", "."]).code, 0);
        // Even if it is wished, a picture that is read is not replaced.
        assert_eq!(detect(&place, &["IMG.png", "IMG-2.png", "-f", "png", "-o", ".", "--overwrite"]).code, 0);
    }
    let after = contents(place.folder.path());
    for (name, content) in &before {
        assert!(after[name] == *content, "{name} was changed");
    }
    let new: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert_eq!(new, ["IMG-2-2.png", "IMG-2.jpg", "IMG-3.png", "IMG.jpg", "a.jpg.jpg", "a.jpg.png", "a.png.jpg", "a.png.png"], "{new:?}");
}

#[test]
fn links_to_a_picture_are_the_picture() {
    let place = Place::new();
    copy(&place, "photo.png", "in/photo.png");
    std::fs::create_dir(place.path("out")).unwrap();
    std::fs::hard_link(place.path("in/photo.png"), place.path("out/photo.png")).unwrap();
    let outcome = detect(&place, &["in/photo.png", "-f", "png", "-o", "out", "--overwrite"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(names(&place.path("out")), ["photo-2.png", "photo.png"]);
}

#[test]
fn annotations_made_by_hand_stay_unless_it_is_wished() {
    let place = Place::new();
    copy(&place, "photo.png", "b.png");
    for name in ["photo.txt", "photo.json", "photo.mask-001.png"] {
        std::fs::write(place.path(name), "by hand").unwrap();
    }
    for (format, file) in [("yolo-seg", "photo.txt"), ("labelme", "photo.json")] {
        let outcome = detect(&place, &["photo.png", "b.png", "-f", format, "-o", ".", "--json"]);
        outcome.fails(1, &[file, "--overwrite"]);
        let lines = outcome.json_lines();
        assert!(lines[0]["error"]["message"].as_str().unwrap().contains(file) && lines[0]["files"] == serde_json::json!([]));
        assert!(lines[1]["objects"].is_array(), "the other picture is done");
        assert_eq!(std::fs::read_to_string(place.path(file)).unwrap(), "by hand");
    }
    masks(&place, 2, &["-f", "masks,png-index", "-o", "."]).fails(1, &["photo.mask-001.png", "--overwrite"]);
    assert!(!place.path("photo.mask-002.png").exists() && !place.path("photo.index.png").exists(), "all or nothing");
    assert_eq!(detect(&place, &["photo.png", "-f", "yolo-seg,labelme", "-o", ".", "--overwrite"]).code, 0);
    assert_ne!(std::fs::read_to_string(place.path("photo.txt")).unwrap(), "by hand");
}

#[test]
fn own_files_are_replaced_until_somebody_changes_them() {
    let place = Place::new();
    let write = |place: &Place, more: &[&str]| detect(place, &[&["photo.png", "-f", "yolo,coco,json", "-o", "out"], more].concat());
    assert_eq!(write(&place, &[]).code, 0);
    std::fs::rename(place.path("out"), place.path("moved")).unwrap();
    std::fs::rename(place.path("moved"), place.path("out")).unwrap();
    assert_eq!(write(&place, &["--iou", "0.5"]).code, 0, "the folder remembers what is maskline's");
    let corrected = std::fs::read_to_string(place.path("out/photo.txt")).unwrap() + "0 0.5 0.5 0.1 0.1\n";
    std::fs::write(place.path("out/photo.txt"), &corrected).unwrap();
    write(&place, &[]).fails(1, &["photo.txt", "--overwrite"]);
    assert_eq!(std::fs::read_to_string(place.path("out/photo.txt")).unwrap(), corrected);
    std::fs::write(place.path("out/coco.json"), "{}").unwrap();
    write(&place, &[]).fails(1, &["coco.json", "--overwrite"]);
    assert_eq!(std::fs::read_to_string(place.path("out/coco.json")).unwrap(), "{}");
    // A journal that cannot be read makes nothing maskline's.
    std::fs::write(place.path("out/.maskline/journal.jsonl"), "no journal\n").unwrap();
    write(&place, &[]).fails(1, &["--overwrite"]);
}

#[test]
fn inputs_other_than_pictures_stay_too() {
    let place = Place::new();
    std::fs::write(place.path("photo.json"), r#"[[10, 10, 60, 60]]"#).unwrap();
    let outcome = place.maskline(&["run", "photo.png", "--prompts", "photo.json", "-f", "labelme", "-o", ".", "--overwrite"]);
    outcome.fails(1, &["photo.json", "input"]);
    assert_eq!(std::fs::read_to_string(place.path("photo.json")).unwrap(), r#"[[10, 10, 60, 60]]"#);
}

#[test]
fn what_says_how_a_model_is_built_is_an_input() {
    let place = Place::new();
    let Some(checkpoint) = common::shared("goldens/sam2_image/tiny128/model.safetensors") else { return };
    std::fs::copy(&checkpoint, place.path("model.safetensors")).unwrap();
    std::fs::copy(checkpoint.with_file_name("config.json"), place.path("config.json")).unwrap();
    copy(&place, "photo.png", "config.png");
    let before = std::fs::read(place.path("config.json")).unwrap();
    let arguments = ["run", "model.safetensors", "config.png", "--box", "5,10,25,60", "-f", "labelme", "-o", ".", "--overwrite"];
    place.maskline(&arguments).fails(1, &["config.json", "input"]);
    assert_eq!(std::fs::read(place.path("config.json")).unwrap(), before);
}

#[test]
fn masks_of_an_earlier_answer_with_more_objects_go() {
    let place = Place::new();
    assert_eq!(masks(&place, 4, &["-f", "masks,cutout", "-o", "out"]).code, 0);
    std::fs::write(place.path("out/photo.mask-004.png"), "changed").unwrap();
    std::fs::write(place.path("out/photo.mask-009.png"), "mine").unwrap();
    assert_eq!(masks(&place, 2, &["-f", "masks", "-o", "out"]).code, 0);
    let masks: Vec<String> = names(&place.path("out")).into_iter().filter(|name| name.contains("mask-")).collect();
    assert_eq!(masks, ["photo.mask-001.png", "photo.mask-002.png", "photo.mask-004.png", "photo.mask-009.png"]);
    assert_eq!(names(&place.path("out")).iter().filter(|name| name.contains("cutout")).count(), 4, "of a format that was not asked for");
}

#[test]
fn equal_names_stay_apart_and_folders_are_mirrored() {
    let place = Place::new();
    for name in ["x/a.png", "y/a.png", "deep/one/b.png", "deep/two/b.png", "deep/c.png"] {
        copy(&place, "photo.png", name);
    }
    image::open(place.path("photo.png")).unwrap().save(place.path("x/a.jpg")).unwrap();
    let outcome = detect(&place, &["x/a.png", "x/a.jpg", "y/a.png", "-f", "yolo,labelme", "-o", "out", "--json"]);
    let files: Vec<Value> = outcome.json_lines().iter().map(|line| line["files"].clone()).collect();
    assert_eq!(files[0], serde_json::json!(["out/x/a.png.txt", "out/x/a.png.json"]), "{}", outcome.stderr);
    assert_eq!(files[1], serde_json::json!(["out/x/a.jpg.txt", "out/x/a.jpg.json"]));
    assert_eq!(files[2], serde_json::json!(["out/y/a.txt", "out/y/a.json"]));
    let labelme = json(&place, "out/y/a.json");
    assert_eq!(labelme["imagePath"], "../../y/a.png", "as seen from the file");
    let outcome = detect(&place, &["-r", "deep", "-f", "yolo", "-o", "mirror", "--json"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let txt: Vec<String> = names(&place.path("mirror")).into_iter().filter(|name| name.contains("b.") || name.contains("c.")).collect();
    assert_eq!(txt, ["c.txt", "one/b.txt", "two/b.txt"]);
}

#[test]
fn files_of_pictures_and_of_the_whole_run_do_not_collide() {
    let place = Place::new();
    copy(&place, "photo.png", "coco.png");
    copy(&place, "photo.png", "classes.png");
    let outcome = detect(&place, &["coco.png", "classes.png", "-f", "coco,labelme,yolo", "-o", "out", "--json"]);
    let lines = outcome.json_lines();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(json(&place, "out/coco.json")["annotations"].is_array());
    let files: BTreeSet<String> =
        lines.iter().flat_map(|line| line["files"].as_array().unwrap()).map(|f| f.as_str().unwrap().into()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(!files.contains("out/coco.json") && !files.contains("out/classes.txt"), "{files:?}");
    assert!(files.iter().all(|file| place.path(file).exists()));
}

#[test]
fn another_picture_of_the_name_in_the_next_run_gets_another_name() {
    let place = Place::new();
    copy(&place, "photo.png", "x/a.png");
    image::RgbImage::from_pixel(50, 40, image::Rgb([9, 9, 9])).save(place.path("x/b.png")).unwrap();
    std::fs::create_dir(place.path("y")).unwrap();
    std::fs::rename(place.path("x/b.png"), place.path("y/a.png")).unwrap();
    let files = |outcome: &Outcome| outcome.json_lines()[0]["files"].clone();
    let run = |picture: &str| detect(&place, &[picture, "-f", "yolo", "-o", "out", "--json"]);
    assert_eq!(files(&run("x/a.png")), serde_json::json!(["out/a.txt"]));
    assert_eq!(files(&run("y/a.png")), serde_json::json!(["out/a-2.txt"]));
    assert_eq!(files(&run("x/a.png")), serde_json::json!(["out/a.txt"]));
    assert_eq!(files(&run("y/a.png")), serde_json::json!(["out/a-2.txt"]));
    // Moved together, pictures and answers still belong together.
    std::fs::create_dir(place.path("z")).unwrap();
    std::fs::rename(place.path("x/a.png"), place.path("z/a.png")).unwrap();
    assert_eq!(files(&run("z/a.png")), serde_json::json!(["out/a.txt"]));
}

#[test]
fn coco_numbers_pictures_once_and_names_them() {
    let place = Place::new();
    for name in ["x/0139.png", "y/139.png", "y/7.png"] {
        copy(&place, "photo.png", name);
    }
    let outcome = detect(&place, &["x", "y", "-f", "coco,coco-results", "-o", "out"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let (data, results) = (json(&place, "out/coco.json"), json(&place, "out/coco-results.json"));
    let images = data["images"].as_array().unwrap();
    let ids: BTreeSet<i64> = images.iter().map(|image| image["id"].as_i64().unwrap()).collect();
    assert_eq!((images.len(), ids.len()), (3, 3));
    let annotations = data["annotations"].as_array().unwrap();
    let numbers: BTreeSet<i64> = annotations.iter().map(|annotation| annotation["id"].as_i64().unwrap()).collect();
    assert_eq!((annotations.len(), numbers.len()), (9, 9));
    let categories: BTreeSet<i64> = data["categories"].as_array().unwrap().iter().map(|c| c["id"].as_i64().unwrap()).collect();
    assert!(
        annotations
            .iter()
            .all(|a| ids.contains(&a["image_id"].as_i64().unwrap()) && categories.contains(&a["category_id"].as_i64().unwrap()))
    );
    for result in results.as_array().unwrap() {
        let image = images.iter().find(|image| image["id"] == result["image_id"]).unwrap();
        assert_eq!(image["file_name"], result["file_name"]);
        let is_same = |annotation: &&Value| annotation["image_id"] == result["image_id"] && annotation["score"] == result["score"];
        let annotation = annotations.iter().find(is_same).unwrap();
        assert_eq!(annotation["category_id"], result["category_id"], "results are judged by the data set beside them");
    }
    // Where all pictures are called by numbers, as COCO's are, these are their numbers.
    detect(&place, &["y", "-f", "coco", "-o", "numbers"]);
    let ids: Vec<i64> = json(&place, "numbers/coco.json")["images"].as_array().unwrap().iter().map(|i| i["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [139, 7]);
}

#[test]
fn what_is_wrong_with_one_picture_is_its_line() {
    let place = Place::new();
    let wide = image::RgbImage::from_pixel(70_000, 4, image::Rgb([90, 120, 30]));
    wide.save(place.path("wide.png")).unwrap();
    image::RgbImage::from_pixel(1, 54, image::Rgb([1, 2, 3])).save(place.path("thin.png")).unwrap();
    std::fs::write(place.path("broken.png"), b"\x89PNG\r\n\x1a\n").unwrap();
    let long = format!("{}.png", "n".repeat(251));
    copy(&place, "photo.png", &long);
    let pictures = ["wide.png", "thin.png", "broken.png", &long, "missing.png", "photo.png"];
    let outcome = detect(&place, &[&pictures[..], &["-f", "jpg,labelme,json,coco", "-o", "out", "--json"]].concat());
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 6, "{}", outcome.stderr);
    for (place, is_wrong) in [true, false, true, true, true, false].into_iter().enumerate() {
        assert_eq!(lines[place].get("error").is_some(), is_wrong, "{}", lines[place]);
        assert!(lines[place]["files"].is_array());
    }
    outcome.fails(5, &["wide.png", "help: write it as PNG instead"]);
    assert_eq!(lines[0]["error"]["kind"], "over_limit", "of the first picture that fails");
    let kept: Vec<Value> =
        std::fs::read_to_string(place.path("out/results.jsonl")).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(kept, lines, "results.jsonl has the same lines");
    assert_eq!(json(&place, "out/coco.json")["images"].as_array().unwrap().len(), 2, "gathered files are written after failures too");
}

#[test]
fn promptable_models_pass_over_bad_pictures_too() {
    let place = Place::new();
    image::RgbImage::from_pixel(1, 54, image::Rgb([1, 2, 3])).save(place.path("thin.png")).unwrap();
    let many: Vec<[i32; 4]> = vec![[5, 5, 60, 60]; 10_001];
    let prompts = serde_json::json!({"images": {"photo.png": many, "thin.png": [[0, 0, 1, 50]], "b.png": [[5, 5, 60, 60]]}});
    std::fs::write(place.path("many.json"), prompts.to_string()).unwrap();
    copy(&place, "photo.png", "b.png");
    let outcome = place.maskline(&["run", "photo.png", "thin.png", "b.png", "--prompts", "many.json", "--json"]);
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 3, "{}", outcome.stderr);
    assert_eq!(lines[0]["error"]["kind"], "over_limit", "{}", lines[0]);
    assert!(lines[2]["objects"][0]["area"].is_u64(), "{}", lines[2]);
    outcome.fails(5, &["10"]);
}

#[test]
fn repeating_measures_and_writes_once() {
    let place = Place::new();
    let outcome = detect(&place, &["photo.png", "--repeat", "3", "-f", "jpg,coco,json,yolo", "-o", "out", "--json"]);
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 3, "{}", outcome.stderr);
    assert_eq!(lines[0]["files"].as_array().unwrap().len(), 2);
    assert_eq!((&lines[2]["repeat"], &lines[2]["files"]), (&serde_json::json!(2), &serde_json::json!([])));
    assert_eq!(names(&place.path("out")), ["classes.txt", "coco.json", "data.yaml", "photo.jpg", "photo.txt", "results.jsonl"]);
    assert_eq!(json(&place, "out/coco.json")["annotations"].as_array().unwrap().len(), 3);
    assert_eq!(std::fs::read_to_string(place.path("out/results.jsonl")).unwrap().lines().count(), 1);
}

#[test]
fn labels_are_for_training() {
    let place = Place::new();
    assert_eq!(detect(&place, &["photo.png", "-f", "yolo", "-o", "out"]).code, 0);
    let columns =
        |name: &str| std::fs::read_to_string(place.path(name)).unwrap().lines().map(|l| l.split(' ').count()).collect::<BTreeSet<_>>();
    assert_eq!(columns("out/photo.txt"), BTreeSet::from([5]), "class and box, no score");
    assert_eq!(std::fs::read_to_string(place.path("out/classes.txt")).unwrap().lines().nth(5), Some("bus"));
    assert!(std::fs::read_to_string(place.path("out/data.yaml")).unwrap().contains("5: \"bus\""));
    detect(&place, &["photo.png", "-f", "yolo", "-o", "scores", "--save-conf"]);
    assert_eq!(columns("scores/photo.txt"), BTreeSet::from([6]));
    detect(&place, &["photo.png", "-f", "yolo,yolo-seg"]).fails(2, &["yolo-seg", "same files"]);
    // Objects that nobody has named are of one class, named ones of theirs.
    assert_eq!(masks(&place, 2, &["-f", "yolo-seg,coco", "-o", "unnamed"]).code, 0);
    assert_eq!(std::fs::read_to_string(place.path("unnamed/classes.txt")).unwrap(), "object\n");
    let text = std::fs::read_to_string(place.path("unnamed/photo.txt")).unwrap();
    assert!(text.lines().count() > 0 && text.lines().all(|line| line.starts_with("0 ")), "{text}");
    let two = ["--box", "5,10,40,60", "--label", "mug", "--box", "50,10,90,60", "--label", "cup"];
    assert_eq!(place.maskline(&[&["run", "photo.png", "-f", "coco", "-o", "named"], &two[..]].concat()).code, 0);
    let data = json(&place, "named/coco.json");
    assert_eq!(data["categories"][1]["name"], "cup");
    assert_eq!(data["annotations"][1]["category_id"], data["categories"][1]["id"]);
}

#[test]
fn quiet_is_quiet_and_many_pictures_get_a_line_each() {
    let place = Place::new();
    let quiet = detect(&place, &["photo.png", "-q", "-o", "out"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str(), quiet.code), ("", "", 0));
    detect(&place, &["missing.png", "-q"]).fails(3, &["missing.png"]);
    for index in 0..12 {
        copy(&place, "photo.png", &format!("many/{index}.png"));
    }
    let many = detect(&place, &["many", "-o", "out"]);
    assert_eq!(many.stdout.lines().count(), 12, "{}", many.stdout);
    assert!(many.stdout.lines().all(|line| line.contains("120 × 80  3 objects") && line.ends_with(" ms")), "{}", many.stdout);
    assert!(many.stderr.lines().count() <= 3, "{}", many.stderr);
    let masks = masks(&place, 5, &["-f", "masks", "-o", "masks"]);
    assert!(masks.stderr.contains("and 1 more"), "{}", masks.stderr);
    assert!(masks.stdout.lines().filter(|line| !line.ends_with(" ms")).all(|line| line.chars().count() <= 80), "{}", masks.stdout);
}

#[test]
fn pictures_that_are_called_like_files_of_another_one_make_way() {
    let place = Place::new();
    let named = ["photo.mask-001.png", "photo.index.png", "photo.polygons.png", "photo.png"];
    named[..3].iter().for_each(|name| copy(&place, "photo.png", name));
    let boxes = ["--box", "5,10,25,60", "--box", "25,10,45,60"];
    let formats = ["-f", "png,masks,png-index,polygons,labelme,json", "-o", "out"];
    let outcome = place.maskline(&[&["run"][..], &named, &boxes, &formats, &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let lines = outcome.json_lines();
    let files: Vec<&str> = lines.iter().flat_map(|line| line["files"].as_array().unwrap()).map(|file| file.as_str().unwrap()).collect();
    assert_eq!((files.len(), files.iter().collect::<BTreeSet<_>>().len()), (24, 24), "{files:?}");
    assert!(files.contains(&"out/photo.index.png") && files.iter().all(|file| place.path(file).exists()), "{files:?}");
}

#[test]
fn labels_are_called_like_their_pictures_wherever_they_can() {
    let place = Place::new();
    let named = ["data.png", "coco.png", "photo.mask-001.png", "classes.png"];
    named.iter().for_each(|name| copy(&place, "photo.png", name));
    assert_eq!(detect(&place, &[&named[..], &["photo.png", "-f", "yolo,coco", "-o", "out"]].concat()).code, 0);
    let files = ["classes.png.txt", "classes.txt", "coco.json", "coco.txt", "data.txt", "data.yaml", "photo.mask-001.txt", "photo.txt"];
    assert_eq!(names(&place.path("out")), files);
}

#[cfg(unix)]
#[test]
fn an_answer_without_room_in_one_format_leaves_nothing_behind() {
    let place = Place::new();
    let long = format!("{}.png", "n".repeat(250));
    copy(&place, "photo.png", &long);
    let formats = ["-f", "jpg,cutout,yolo", "-o", "out", "--json"];
    let outcome = place.maskline(&[&["run", &long, "photo.png", "--box", "5,10,25,60"], &formats[..]].concat());
    assert_eq!(outcome.json_lines()[0]["files"], serde_json::json!([]), "{}", outcome.stderr);
    assert!(outcome.code == 1 && outcome.stderr.contains("too long"), "{}", outcome.stderr);
    assert!(names(&place.path("out")).iter().all(|name| !name.starts_with('n')), "{:?}", names(&place.path("out")));
    assert!(place.path("out/photo.txt").exists());
}

#[cfg(unix)]
#[test]
fn a_name_with_a_line_break_is_one_line() {
    let place = Place::new();
    let pictures: Vec<String> = (0..9).map(|index| format!("a\n\x1b[31m{index}.png")).collect();
    pictures.iter().for_each(|name| copy(&place, "photo.png", name));
    let outcome = detect(&place, &[&pictures.iter().map(String::as_str).collect::<Vec<_>>()[..], &["-o", "out"]].concat());
    assert_eq!((outcome.code, outcome.stdout.lines().count()), (0, 9), "{}", outcome.stdout);
    assert!(outcome.stdout.starts_with(r"a\n\u{1b}[31m0.png  120"), "{}", outcome.stdout);
}

#[test]
fn other_commands_replace_nothing_that_they_read() {
    let place = Place::new();
    let truth = r#"{"images": [], "annotations": [], "categories": []}"#;
    for (name, text) in [("truth.json", truth), ("found.json", "[]")] {
        std::fs::write(place.path(name), text).unwrap();
        let eval = ["eval", "--data", "truth.json", "--predictions", "found.json", "--overwrite", "-o"];
        place.maskline(&[&eval[..], &[&format!("./{name}")]].concat()).fails(1, &["input of this run"]);
        assert_eq!(std::fs::read_to_string(place.path(name)).unwrap(), text);
    }
    std::fs::create_dir(place.path("case")).unwrap();
    std::fs::write(place.path("case/model.safetensors"), "weights").unwrap();
    place.maskline(&["verify", "case", "--dump", "case/model.safetensors", "--overwrite"]).fails(1, &["input of this run"]);
    assert_eq!(std::fs::read_to_string(place.path("case/model.safetensors")).unwrap(), "weights");
}

#[test]
fn no_object_gets_the_number_of_another_class() {
    let place = Place::new();
    let outcome = place.maskline(&["run", "photo.png", "--box", "5,10,25,60", "--label", "mug", "-f", "coco91", "-o", "out"]);
    outcome.fails(2, &["coco91", "does not apply to nano", "coco-results"]);
    assert!(!place.path("out/coco91-results.json").exists());
}
