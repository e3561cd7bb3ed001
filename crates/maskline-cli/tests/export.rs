//! What the server writes of objects that it is sent is, bit for bit, what `maskline run` writes of the same question.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use common::Place;
use common::served::Served;
use serde_json::{Value, json};

/// Picture and answers in one folder: paths in the files are the picture's name then, which is all that the server knows of it.
const PICTURE: &str = "still-life.jpg";

fn place() -> Place {
    let place = Place::new();
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/still-life.jpg");
    std::fs::copy(picture, place.path(PICTURE)).unwrap();
    place
}

/// Runs the command, and gives all that it wrote by its name.
fn written(arguments: &[&str], formats: &str) -> BTreeMap<String, Vec<u8>> {
    let place = place();
    let outcome = place.maskline(&[&["run"], arguments, &[PICTURE, "-o", ".", "-f", formats]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(place.folder.path()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_file() && name != PICTURE && name != "photo.png" {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}

struct Asked<'a> {
    served: &'a Served,
    /// Of the export, but for the format.
    request: Value,
}

impl Asked<'_> {
    /// Asks for objects, which come back with the picture's hash.
    fn found(served: &Served, way: &str, request: Value) -> (Value, Value) {
        let head = format!("POST /v1/{way} HTTP/1.1\r\ncontent-type: application/json");
        let (status, body) = served.ask(&head, request.to_string().as_bytes());
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert!(!answer["objects"].as_array().unwrap().is_empty(), "{answer}");
        (answer["image"]["ref"].clone(), answer["objects"].clone())
    }

    /// The files of an export.
    fn exported(&self, format: &str) -> BTreeMap<String, Vec<u8>> {
        let mut request = self.request.clone();
        request["format"] = json!(format);
        let answer = self.served.answer("POST /v1/export HTTP/1.1\r\ncontent-type: application/json", request.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{format}: {}", String::from_utf8_lossy(&answer.body));
        let name = answer.head.split("filename=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        if !name.ends_with(".zip") {
            return BTreeMap::from([(name, answer.body)]);
        }
        assert_eq!(name, format!("still-life.{format}.zip"));
        let mut zip = zip::ZipArchive::new(Cursor::new(answer.body)).unwrap();
        let mut files = BTreeMap::new();
        for index in 0..zip.len() {
            let mut file = zip.by_index(index).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            files.insert(file.name().unwrap().into_owned(), bytes);
        }
        files
    }

    /// Compares the exports of formats with what the command wrote in all of them.
    fn compare(&self, formats: &str, mut written: BTreeMap<String, Vec<u8>>) {
        for format in formats.split(',') {
            for (name, bytes) in self.exported(format) {
                // The command keeps the overlay from the picture, whose name it has.
                let own = if name == PICTURE { "still-life-2.jpg" } else { &name };
                let expected = written.remove(own).unwrap_or_else(|| panic!("{format}: {name} is not among {:?}", written.keys()));
                if format == "json" {
                    assert_eq!(line(&bytes), line(&expected));
                } else {
                    assert!(bytes == expected, "{format}: {name}\n{}\n{}", shown(&bytes), shown(&expected));
                }
            }
        }
        assert!(written.is_empty(), "not exported: {:?}", written.keys());
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(2000).collect()
}

/// A line of results, without what only a run has.
fn line(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    let mut line: Value = serde_json::from_str(text).unwrap();
    for key in ["timings_ms", "cold_ms", "start", "rows_together", "notes", "files"] {
        line.as_object_mut().unwrap().remove(key);
    }
    // The command says of generated weights that they are.
    let model = line["model"].as_str().unwrap().trim_end_matches(" (generated weights)").to_owned();
    line["model"] = json!(model);
    line
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = (0..3).fold(0_u32, |bits, index| bits << 8 | u32::from(group.get(index).copied().unwrap_or(0)));
        (0..4).map(|at| if at <= group.len() { char::from(DIGITS[(bits >> (18 - 6 * at) & 63) as usize]) } else { '=' }).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

fn picture() -> Value {
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/still-life.jpg");
    json!({"base64": base64(&std::fs::read(picture).unwrap())})
}

#[test]
fn masks_of_prompts_are_exported_as_the_command_writes_them() {
    let formats = "jpg,png,json,masks,cutout,png-index,polygons,coco-rle,labelme,yolo,coco,coco-results,label-studio";
    let prompts =
        ["--box", "368,282,553,468", "--label", "mug", "--object", "--point", "200,300", "--point", "20,20,0", "--label", "pear \"1\""];
    let served = Served::start(&Place::new(), &["nano"]);
    served.wait_ready();
    let asked = json!([
        {"box": [368, 282, 553, 468], "label": "mug"},
        {"points": [[200, 300], [20, 20, 0]], "label": "pear \"1\""},
    ]);
    let (reference, objects) = Asked::found(&served, "segment", json!({"model": "nano", "image": picture(), "prompts": asked}));
    let request = json!({"image": {"ref": reference}, "name": PICTURE, "objects": objects, "prompts": asked, "model": "nano"});
    let asked = Asked { served: &served, request };
    asked.compare(formats, written(&[&["nano"], &prompts[..]].concat(), formats));
    asked.compare(
        "yolo-seg",
        written(&[&["nano", "--save-conf"], &prompts[..]].concat(), "yolo-seg").into_iter().map(without_scores).collect(),
    );
    let mut with_scores = asked.request.clone();
    with_scores["save_conf"] = json!(true);
    Asked { served: &served, request: with_scores }
        .compare("yolo-seg", written(&[&["nano", "--save-conf"], &prompts[..]].concat(), "yolo-seg"));
}

/// Labels whose lines do not end in the score.
fn without_scores((name, bytes): (String, Vec<u8>)) -> (String, Vec<u8>) {
    if name != "still-life.txt" {
        return (name, bytes);
    }
    let text = String::from_utf8(bytes).unwrap();
    let lines = text.lines().map(|line| format!("{}\n", line.rsplit_once(' ').unwrap().0));
    (name, lines.collect::<String>().into_bytes())
}

#[test]
fn everything_and_boxes_of_detectors_are_exported_as_the_command_writes_them() {
    let place = Place::new();
    for task in ["", "-seg", "-pose", "-obb"] {
        let model = format!("yolov8n{task}");
        let served = Served::start(&place, &["--synthetic", &model]);
        served.wait_ready();
        let question = json!({"image": picture(), "model": model, "conf": 0, "max_detections": 5, "size": 160});
        let (reference, objects) = Asked::found(&served, "detect", question);
        let request = json!({"image": {"ref": reference}, "name": PICTURE, "objects": objects, "model": model});
        let formats = match task {
            "" => "jpg,png,json,labelme,yolo,coco,coco-results,coco91,label-studio",
            "-seg" => "png,json,masks,cutout,png-index,polygons,coco-rle,labelme,yolo,coco,coco-results,coco91,label-studio",
            _ => "png,json,labelme,yolo,coco,coco-results,label-studio",
        };
        let run = ["--synthetic", &model, "--size", "160", "--conf", "0", "--max-detections", "5"];
        Asked { served: &served, request }.compare(formats, written(&run, formats));
    }
    let served = Served::start(&place, &["nano"]);
    served.wait_ready();
    let question = json!({"image": picture(), "everything": true, "points_per_side": 4});
    let (reference, objects) = Asked::found(&served, "segment", question);
    let request = json!({"image": {"ref": reference}, "name": PICTURE, "objects": objects, "model": "nano"});
    let formats = "jpg,json,png-index,coco,coco-rle";
    Asked { served: &served, request }.compare(formats, written(&["nano", "--everything", "--points-per-side", "4"], formats));
}

#[test]
fn a_data_set_of_an_answer_is_that_of_the_command() {
    let served = Served::start(&Place::new(), &["nano"]);
    served.wait_ready();
    let request = json!({
        "image": picture(), "format": "coco", "name": PICTURE, "prompts": [{"box": [368, 282, 553, 468], "label": "mug"}],
    });
    let answer = served.answer("POST /v1/segment HTTP/1.1\r\ncontent-type: application/json", request.to_string().as_bytes());
    let written = written(&["nano", "--box", "368,282,553,468", "--label", "mug"], "coco");
    assert_eq!((answer.status, shown(&answer.body)), (200, shown(&written["coco.json"])));
    assert!(answer.body == written["coco.json"]);
}
