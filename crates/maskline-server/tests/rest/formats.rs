//! Every form of an answer holds the same masks.

use std::io::Cursor;

use maskline::Mask;
use maskline::vision::decode::{DecodeOptions, decode, mask_of_picture};
use serde_json::{Value, json};

use super::client::{Answer, Form, post};
use super::running::{BOX_TEXT, SIZE, picture, shared};

fn ask(format: &str) -> Answer {
    let form = Form::default().file("image", &picture(20)).text("model", "nano").text("box", BOX_TEXT).text("label", "egg");
    post("/v1/segment").form(form.text("format", format)).answer(shared())
}

fn size() -> [usize; 2] {
    [SIZE.0 as usize, SIZE.1 as usize]
}

fn mask_of(json: &Value) -> Mask {
    Mask::from_coco_segmentation(json, size()).unwrap()
}

/// The one mask, by JSON.
fn mask() -> Mask {
    let found = ask("json").expect(200).json();
    mask_of(&found["objects"][0]["segmentation"])
}

#[test]
fn run_lengths_pictures_and_zips_decode_to_the_same_mask() {
    let mask = mask();
    assert_eq!(mask_of(&ask("coco-rle").expect(200).json()["objects"][0]["segmentation"]), mask);
    let index = ask("png-index").expect(200);
    assert_eq!(index.header("content-type"), Some("image/png"));
    assert_eq!(mask_of_picture(&index.body, &DecodeOptions::default()).unwrap(), mask);
    for (format, name) in [("masks", "mask-001.png"), ("cutout", "cutout-001.png")] {
        let answer = ask(format).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/zip"));
        let mut zip = zip::ZipArchive::new(Cursor::new(answer.body)).unwrap();
        assert_eq!(zip.len(), 1);
        let mut file = Vec::new();
        std::io::Read::read_to_end(&mut zip.by_name(name).unwrap(), &mut file).unwrap();
        if format == "masks" {
            assert_eq!(mask_of_picture(&file, &DecodeOptions::default()).unwrap(), mask);
        }
    }
}

#[test]
fn outlines_lie_along_the_mask() {
    let mask = mask();
    let document = ask("coco").expect(200).json();
    assert_eq!((document["images"][0]["width"].as_u64(), document["categories"][0]["name"].as_str()), (Some(97), Some("egg")));
    let annotation = &document["annotations"][0];
    assert_eq!((annotation["area"].as_u64(), annotation["category_id"].as_u64()), (Some(mask.area()), Some(1)));
    let outlined = mask_of(&annotation["segmentation"]);
    assert!(outlined.iou(&mask).unwrap() > 0.9);
    let polygons = ask("polygons").expect(200).json();
    assert!(polygons["objects"][0].is_object(), "{polygons}");
    let labelme = ask("labelme").expect(200).json();
    assert_eq!((labelme["imageWidth"].as_u64(), labelme["shapes"][0]["label"].as_str()), (Some(97), Some("egg")));
    let task = ask("label-studio").expect(200).json();
    assert_eq!(task["predictions"][0]["result"][0]["type"], "brushlabels");
    for format in ["yolo", "yolo-seg"] {
        let answer = ask(format).expect(200);
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.starts_with("0 0.") && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn overlays_are_pictures_of_the_same_size() {
    for (format, kind) in [("png", "image/png"), ("jpg", "image/jpeg")] {
        let answer = ask(format).expect(200);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert!(answer.header("server-timing").is_some());
        let pixels = decode(&answer.body, &DecodeOptions::default()).unwrap();
        assert_eq!([pixels.width(), pixels.height()], size());
    }
}

#[test]
fn what_is_accepted_decides_where_no_format_is_named() {
    let ask = |accept: &str| {
        let path = format!("/v1/segment?model=nano&box={BOX_TEXT}");
        post(&path).header("accept", accept).body("image/png", picture(20)).answer(shared())
    };
    for (accept, kind) in [
        ("image/jpeg", "image/jpeg"),
        ("application/json, image/png;q=0.5", "application/json"),
        ("application/zip", "application/zip"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("*/*", "application/json"),
    ] {
        assert_eq!(ask(accept).expect(200).header("content-type"), Some(kind), "{accept}");
    }
    let refused = ask("text/html").problem(406);
    assert!(refused["expected"].as_str().is_some_and(|formats| formats.contains("label-studio")), "{refused}");
}

#[test]
fn a_format_without_masks_or_of_no_name_is_refused_with_those_that_there_are() {
    let refused = ask("pgn").problem(406);
    assert!(refused["expected"].as_str().is_some_and(|formats| formats.starts_with("one of json, coco-rle")), "{refused}");
    let classes = post("/v1/classify?format=masks").body("image/png", picture(20)).answer(shared()).problem(406);
    assert_eq!(classes["expected"], "one of json, png, jpg");
    assert_eq!(json!(classes["type"]), "/problems/not_acceptable");
}
