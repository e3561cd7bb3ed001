//! Promptable models on the command line.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{Outcome, Place};
use maskline::Mask;
use maskline::vision::mask::Rle;
use serde_json::{Value, json};

/// Runs generated weights at a small size on `photo.png` (120 × 80).
fn ask(place: &Place, arguments: &[&str]) -> Outcome {
    place.maskline(&[&["run", "--synthetic", "sam2.1-tiny", "--size", "64", "photo.png"], arguments].concat())
}

/// The objects of the only picture.
fn objects(outcome: &Outcome) -> Vec<Value> {
    assert!(!outcome.stdout.is_empty(), "{}", outcome.stderr);
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 1);
    lines[0]["objects"].as_array().unwrap().clone()
}

fn good(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let outcome = ask(place, &[arguments, &["--json"]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    objects(&outcome)
}

/// The same without the place in the list, which is all that may differ.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove("prompt").unwrap();
    object
}

fn mask_of(object: &Value) -> Mask {
    let segmentation = &object["segmentation"];
    let size = [0, 1].map(|i| segmentation["size"][i].as_u64().unwrap() as usize);
    Mask::from_rle(&Rle::from_coco_string(size, segmentation["counts"].as_str().unwrap()).unwrap()).unwrap()
}

fn save_json(place: &Place, name: &str, value: &Value) {
    std::fs::write(place.path(name), value.to_string()).unwrap();
}

const BOX: &str = "10,10,60,60";
const OTHER: &str = "50,20,110,70";

#[test]
fn words_are_grouped_into_objects() {
    let place = Place::new();
    let boxed = good(&place, &["--box", BOX]);
    assert_eq!(boxed.len(), 1);
    let mask = mask_of(&boxed[0]);
    assert_eq!((mask.width(), mask.height()), (120, 80));
    assert_eq!(boxed[0]["area"].as_u64().unwrap(), mask.area());
    assert_eq!((&boxed[0]["prompt"], boxed[0].get("label")), (&json!(0), None));

    // A click after a box is about the box's object, whatever comes in between; another box begins the next.
    let both = good(&place, &["--box", BOX, "--point", "30,40", "--label", "cat", "--box", OTHER, "--label", "dog"]);
    assert_eq!(both.len(), 2);
    assert_eq!((&both[0]["label"], &both[1]["label"], &both[1]["prompt"]), (&json!("cat"), &json!("dog"), &json!(1)));
    assert_ne!(both[0]["segmentation"], boxed[0]["segmentation"], "the click counts");

    // Clicks are one object unless told otherwise.
    let together = good(&place, &["--point", "30,40", "--point", "90,20,0"]);
    let apart = good(&place, &["--point", "30,40", "--object", "--point", "90,20"]);
    assert_eq!((together.len(), apart.len()), (1, 2));
    assert_eq!(content(&good(&place, &["--point", "30,40"])[0]), content(&apart[0]));
    assert_ne!(content(&together[0]), content(&apart[0]));
    let split = good(&place, &["--box", BOX, "--object", "--point", "30,40"]);
    assert_eq!((content(&split[0]), content(&split[1])), (content(&boxed[0]), content(&apart[0])));
}

#[test]
fn masks_per_prompt() {
    let place = Place::new();
    let count = |arguments: &[&str]| good(&place, &[&["--point", "30,40"], arguments].concat()).len();
    assert_eq!((count(&[]), count(&["--multimask", "off"]), count(&["--multimask", "on"])), (1, 1, 3));
    let three = good(&place, &["--box", BOX, "--point", "30,40", "--object", "--point", "5,6", "--multimask", "on"]);
    let prompts: Vec<u64> = three.iter().map(|object| object["prompt"].as_u64().unwrap()).collect();
    assert_eq!(prompts, [0, 0, 0, 1, 1, 1]);
}

#[test]
fn masks_that_must_not_overlap_do_not() {
    let place = Place::new();
    let arguments = ["--box", BOX, "--box", OTHER, "--box", "0,0,100,80", "--no-overlap"];
    let masks: Vec<Mask> = good(&place, &arguments).iter().map(mask_of).collect();
    let count = |x: usize, y: usize| masks.iter().filter(|mask| mask.get(x, y)).count();
    assert!((0..120).all(|x| (0..80).all(|y| count(x, y) <= 1)));
    let areas = |arguments: &[&str]| good(&place, arguments).iter().map(|object| object["area"].as_u64().unwrap()).sum::<u64>();
    assert!(areas(&arguments) < areas(&arguments[..6]), "without the wish they do");
}

#[test]
fn prompt_files_of_every_form() {
    let place = Place::new();
    let expected = good(&place, &["--box", BOX, "--box", OTHER]);
    let with_file = |value: &Value| {
        save_json(&place, "prompts.json", value);
        good(&place, &["--prompts", "prompts.json"])
    };
    let (first, second) = (json!([10, 10, 60, 60]), json!([50.0, 20.0, 110.0, 70.0]));
    assert_eq!(with_file(&json!([first, second])), expected, "a list of boxes");
    assert_eq!(with_file(&json!([{"box": first}, second])), expected, "objects and boxes");
    assert_eq!(with_file(&json!({"prompts": [{"box": first}, {"box": second}]})), expected, "an object with the list");
    let by_name = json!({"images": {"photo.png": [first], "other.png": [second]}, "prompts": [second]});
    assert_eq!(with_file(&by_name), expected, "a picture's own prompts and those for all");

    let found = with_file(&json!([{"box": first, "points": [[30, 40], [90, 20, 0], [31, 41, 1]], "label": "cat", "class_id": 15}]));
    assert_eq!((&found[0]["label"], &found[0]["class_id"]), (&json!("cat"), &json!(15)));
    let arguments = ["--box", BOX, "--point", "30,40", "--point", "90,20,0", "--point", "31,41", "--label", "cat"];
    assert_eq!(good(&place, &arguments)[0]["segmentation"], found[0]["segmentation"]);
    // The command's own prompts follow those of the file.
    save_json(&place, "prompts.json", &json!([first]));
    assert_eq!(good(&place, &["--prompts", "prompts.json", "--box", OTHER]), expected);
}

#[test]
fn masks_as_files_and_as_run_lengths() {
    let place = Place::new();
    let mask = Mask::from_fn(120, 80, |x, y| (20..70).contains(&x) && (10..60).contains(&y)).unwrap();
    std::fs::create_dir(place.path("asked")).unwrap();
    let picture = image::GrayImage::from_raw(120, 80, mask.to_rows(255)).unwrap();
    picture.save(place.path("asked/mask.png")).unwrap();
    let expected = good(&place, &["--mask", "asked/mask.png"]);
    assert_eq!(expected.len(), 1);
    // A file's name is seen from the folder of the prompts.
    for value in [json!("mask.png"), json!({"size": [80, 120], "counts": mask.to_rle().to_coco_string()})] {
        save_json(&place, "asked/prompts.json", &json!([{"mask": value}]));
        assert_eq!(good(&place, &["--prompts", "asked/prompts.json"]), expected, "{value}");
    }
    // An answer is a good prompt.
    save_json(&place, "again.json", &json!([{"box": [10, 10, 60, 60], "mask": expected[0]["segmentation"]}]));
    assert_eq!(good(&place, &["--prompts", "again.json"]).len(), 1);
}

#[test]
fn prompts_files_that_are_none() {
    let place = Place::new();
    for (text, words) in [
        ("", vec!["EOF"]),
        ("[[1, 2, 3, 4]", vec!["EOF"]),
        ("hello", vec!["expected"]),
        ("[[1, 2, 3]]", vec!["prompt 0", "expected a box", "length 3"]),
        ("[[1, 2, 3, 4], {\"boxx\": [1, 2, 3, 4]}]", vec!["prompt 1", "unknown field `boxx`", "`box`"]),
        ("{\"prompt\": []}", vec!["unknown field `prompt`", "`prompts` or `images`"]),
        ("[{\"points\": [[1, 2]], \"labels\": [1, 0]}]", vec!["prompt 0", "a label for each"]),
        ("{\"prompts\": 5}", vec!["5", "expected a sequence"]),
        ("[{\"points\": [[1, 2, 7]]}]", vec!["prompt 0", "0 or 1", "7"]),
        ("[[1, 2, 3, 4], {\"points\": [[1]]}]", vec!["prompt 1", "expected a point"]),
        ("[{\"mask\": {\"size\": [80, 120], \"counts\": \"~~\"}}]", vec!["prompt 0", "counts"]),
    ] {
        std::fs::write(place.path("bad.json"), text).unwrap();
        let outcome = ask(&place, &["--prompts", "bad.json", "--json"]);
        outcome.fails(3, &[&["bad.json"][..], &words].concat());
        assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    }
    ask(&place, &["--prompts", "none.json"]).fails(3, &["none.json"]);
    assert!(!place.path("home/bundles").exists() && !place.path("maskline-out").exists(), "nothing is done for what cannot be read");
}

#[test]
fn a_bad_prompt_leaves_the_others_alone() {
    let place = Place::new();
    let expected = good(&place, &["--box", BOX, "--box", OTHER]);
    image::GrayImage::new(50, 50).save(place.path("small.png")).unwrap();
    let (first, second) = (json!([10, 10, 60, 60]), json!([50, 20, 110, 70]));
    for (bad, words) in [
        (json!([300, 10, 400, 20]), vec!["box that meets the picture"]),
        (json!([60, 10, 10, 60]), vec!["x1 < x2"]),
        (json!({"points": [[500, 5]]}), vec!["click inside the picture"]),
        (json!({"label": "nothing"}), vec!["a click, a box or a mask"]),
        (json!({"mask": "small.png"}), vec!["120 × 80", "50 × 50", "small.png"]),
        (json!({"mask": "missing.png"}), vec!["missing.png"]),
        (json!({"mask": {"size": [80, 120], "counts": "5"}}), vec!["expected a sum of 120 x 80"]),
        (json!({"mask": {"size": [40, 60], "counts": "P[2"}}), vec!["120 × 80", "60 × 40"]),
    ] {
        save_json(&place, "prompts.json", &json!([first, bad, second]));
        let outcome = ask(&place, &["--prompts", "prompts.json", "--json"]);
        outcome.fails(3, &[&["photo.png", "prompt 1"][..], &words].concat());
        let found = objects(&outcome);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((&found[1]["prompt"], &found[1]["error"]["kind"]), (&json!(1), &json!("bad_input")));
        let message = found[1]["error"]["message"].as_str().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert_eq!((&found[0]["prompt"], &found[2]["prompt"]), (&json!(0), &json!(2)));
        assert_eq!((content(&found[0]), content(&found[2])), (content(&expected[0]), content(&expected[1])), "{bad}");
    }
    // For people too: the answers are shown and written, and the code tells.
    let outcome = ask(&place, &["--box", BOX, "--box", "5,5,1,1", "-o", "out"]);
    outcome.fails(3, &["prompt 1"]);
    assert!(outcome.stdout.contains("pixels") && place.path("out/photo.jpg").exists());
}

#[test]
fn a_picture_without_prompts_is_told_and_the_others_are_done() {
    let place = Place::new();
    std::fs::copy(place.path("photo.png"), place.path("other.png")).unwrap();
    save_json(&place, "prompts.json", &json!({"images": {"photo.png": [[10, 10, 60, 60]]}}));
    let outcome = ask(&place, &["other.png", "missing.png", "--prompts", "prompts.json", "--json"]);
    outcome.fails(3, &["other.png", "no prompt is meant", "missing.png"]);
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["objects"].as_array().unwrap().len(), 1);
    assert!(lines[1]["error"]["kind"] == "bad_input" && lines[2]["error"]["kind"] == "bad_input");
}

#[test]
fn usage_errors() {
    let place = Place::new();
    ask(&place, &[]).fails(2, &["expected prompts", "--point", "--prompts", "yolov8n+"]);
    ask(&place, &["--box", "1,2,3"]).fails(2, &["x1,y1,x2,y2"]);
    ask(&place, &["--point", "1,2,9"]).fails(2, &["x,y"]);
    ask(&place, &["--point", "a,b"]).fails(2, &["is no number"]);
    ask(&place, &["--box", BOX, "--chunk", "0"]).fails(2, &["chunk"]);
    ask(&place, &["--box", BOX, "--mask-threshold", "NaN"]).fails(2, &["threshold"]);
    ask(&place, &["--box", BOX, "--multimask", "some"]).fails(2, &["some"]);
    place.run_small(&["photo.png", "--box", BOX]).fails(2, &["takes no prompts", "yolov8n+sam2.1-tiny"]);
    let joined = |models: &str| place.maskline(&["run", "--synthetic", models, "--size", "64", "photo.png", "--box", BOX]);
    joined("sam2.1-tiny+yolov8n").fails(2, &["a detector and a promptable model"]);
    joined("yolov8n+yolov8n").fails(2, &["a detector and a promptable model"]);
    let sized = |size: &str| place.maskline(&["run", "--synthetic", "sam2.1-tiny", "--size", size, "photo.png", "--box", BOX]);
    sized("100").fails(2, &["multiple of 32", "found 100"]);
    sized("0").fails(2, &["multiple of 32", "found 0"]);
}

#[test]
fn a_detector_asks_the_segmenter() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let common =
            ["run", "--synthetic", "yolov8n+sam2.1-tiny", "--size", "64", "--conf", "0", "--max-detections", "3", "photo.png", "--json"];
        place.maskline(&[&common, arguments].concat())
    };
    let outcome = run(&[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let line = outcome.json_lines().remove(0);
    let found = objects(&outcome);
    assert_eq!(found.len(), 3);
    let detected = place.run_small(&["--conf", "0", "--max-detections", "3", "photo.png", "--json"]).json_lines().remove(0);
    for (index, (object, detection)) in found.iter().zip(detected["objects"].as_array().unwrap()).enumerate() {
        assert_eq!(object["prompt"], index);
        for fact in ["label", "class_id", "score"] {
            assert_eq!(object[fact], detection[fact], "the detector's {fact} stays");
        }
        let mask = mask_of(object);
        assert_eq!((mask.width(), mask.height()), (120, 80));
    }
    let timings = line["timings_ms"].as_object().unwrap();
    let parts: f64 = timings.iter().filter(|(name, _)| *name != "total").filter_map(|(_, ms)| ms.as_f64()).sum();
    assert!(timings["detect"].as_f64() > Some(0.0) && (parts - timings["total"].as_f64().unwrap()).abs() < 0.01, "{timings:?}");
    assert_eq!(line["model"], "yolov8n (generated weights)+sam2.1-tiny (generated weights)");
    // Prompts of one's own come after the detections, and are numbered so.
    let outcome = run(&["--box", BOX, "--box", "9,9,1,1"]);
    outcome.fails(3, &["prompt 4"]);
    assert_eq!(objects(&outcome).len(), 5);
    // Nothing found is an answer.
    let nothing = ["run", "--synthetic", "yolov8n+sam2.1-tiny", "--size", "64", "--conf", "1", "photo.png", "--json"];
    let outcome = place.maskline(&nothing);
    assert_eq!((outcome.code, objects(&outcome).len()), (0, 0), "{}", outcome.stderr);
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_mask_format_is_written_and_readable() {
    let place = Place::new();
    let formats = "coco-rle,png-index,masks,cutout,polygons,labelme,jpg,json,coco";
    let arguments = ["--box", BOX, "--label", "cat", "--box", OTHER, "-o", "out", "-f", formats];
    let found = good(&place, &arguments);
    let masks: Vec<Mask> = found.iter().map(mask_of).collect();
    assert!(masks.iter().all(|mask| !mask.is_empty()), "there must be something to write");
    let out = |name: &str| place.path("out").join(name);

    let rle = json_of(&out("photo.rle.json"));
    let read: Vec<Mask> = rle["objects"].as_array().unwrap().iter().map(mask_of).collect();
    assert_eq!(read, masks);
    let index = image::open(out("photo.index.png")).unwrap();
    assert_eq!((index.width(), index.height()), (120, 80));
    for (number, mask) in (1..).zip(&masks) {
        let picture = image::open(out(&format!("photo.mask-{number:03}.png"))).unwrap().into_luma8();
        assert_eq!(picture.into_raw(), mask.to_rows(255));
        let cutout = image::open(out(&format!("photo.cutout-{number:03}.png"))).unwrap().into_rgba8();
        let [x1, y1, x2, y2] = mask.bounds().unwrap();
        assert_eq!((cutout.width() as usize, cutout.height() as usize), (x2 - x1, y2 - y1));
        let opaque = cutout.pixels().filter(|pixel| pixel[3] == 255).count();
        assert_eq!(opaque as u64, mask.area());
    }
    assert!(!out("photo.mask-003.png").exists());
    assert_eq!(json_of(&out("photo.polygons.json"))["objects"].as_array().unwrap().len(), 2);
    let labelme = json_of(&out("photo.json"));
    assert_eq!((&labelme["imageWidth"], &labelme["imageHeight"]), (&json!(120), &json!(80)));
    assert!(labelme["shapes"].as_array().unwrap().iter().any(|shape| shape["label"] == "cat"));
    assert_eq!(image::open(out("photo.jpg")).unwrap().width(), 120);
    assert_eq!(json_of(&out("coco.json"))["annotations"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read_to_string(out("results.jsonl")).unwrap().lines().count(), 1);
    let left: Vec<_> = std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let hidden: Vec<_> = left.iter().filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert_eq!(hidden, [".maskline"], "nothing half-written stays: {left:?}");
    assert!(!out(".maskline/partial").exists());
}

#[test]
fn yolo_segments_are_polygons_within_the_picture() {
    let place = Place::new();
    save_json(&place, "prompts.json", &json!([{"box": [10, 10, 60, 60], "class_id": 7}]));
    let found = good(&place, &["--prompts", "prompts.json", "-o", "out", "-f", "yolo-seg"]);
    assert_eq!(found[0]["class_id"], 7);
    let text = std::fs::read_to_string(place.path("out/photo.txt")).unwrap();
    assert!(!text.is_empty());
    for line in text.lines() {
        let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        assert!(numbers[0] == 7.0 && numbers.len() >= 7 && numbers.len() % 2 == 1, "{line}");
        assert!(numbers[1..].iter().all(|number| (0.0..=1.0).contains(number)), "{line}");
    }
}

#[test]
fn the_same_picture_is_encoded_once_a_run() {
    let place = Place::new();
    std::fs::copy(place.path("photo.png"), place.path("copy.png")).unwrap();
    let outcome = ask(&place, &["copy.png", "--box", BOX, "--json"]);
    let lines = outcome.json_lines();
    assert_eq!((outcome.code, lines.len()), (0, 2), "{}", outcome.stderr);
    let timings = |i: usize| &lines[i]["timings_ms"];
    assert_eq!((&timings(0)["embedding"], &timings(1)["embedding"]), (&json!("miss"), &json!("hit")));
    assert_eq!(timings(1)["image_encode"], 0.0);
    assert_eq!(lines[0]["objects"], lines[1]["objects"]);
}
