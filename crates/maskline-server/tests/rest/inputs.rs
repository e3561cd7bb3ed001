//! Whatever way a request comes, its answer is the same.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::client::{Answer, Form, post};
use super::running::{BOX, BOX_TEXT, SIZE, mask, picture, shared};

/// What does not depend on the time.
fn told(answer: Answer) -> Value {
    let mut json = answer.expect(200).json();
    assert!(json["timings_ms"]["total"].as_f64().is_some_and(|total| total > 0.0), "{json}");
    for field in ["timings_ms", "rows_together"] {
        json.as_object_mut().unwrap().remove(field);
    }
    json
}

#[test]
fn all_ways_give_the_same_answer() {
    let (to, file) = (shared(), picture(1));
    let base64 = BASE64_STANDARD.encode(&file);
    let form = Form::default().file("image", &file).text("model", "nano").text("box", BOX_TEXT);
    let first = told(post("/v1/segment").form(form).answer(to));
    let object = &first["objects"][0];
    assert_eq!((first["model"].as_str(), first["provider"].as_str()), (Some("nano"), Some("cpu")));
    assert_eq!((first["image"]["width"].as_u64(), first["image"]["height"].as_u64()), (Some(97), Some(61)));
    assert!(object["prompt"] == 0 && object["score"].is_number() && object["box"].as_array().is_some_and(|sides| sides.len() == 4));
    assert_eq!(object["segmentation"]["size"], json!([61, 97]));
    assert!(object["area"].as_u64().is_some_and(|area| area > 500), "{object}");
    let reference = first["image"]["ref"].as_str().unwrap();
    let prompts = json!([{"box": BOX}]);
    let json = |image: Value| post("/v1/segment").json(&json!({"model": "nano", "image": image, "prompts": prompts}));
    let query = format!("/v1/segment?model=nano&box={BOX_TEXT}");
    let request = json!({"model": "nano", "prompts": [BOX]}).to_string();
    let others = [
        post(&query).body("image/png", file.clone()),
        post(&query).body("application/octet-stream", file.clone()),
        post(&format!("{query}&image={reference}")),
        json(json!({"base64": base64})),
        json(json!({"base64": format!("data:image/png;base64,{base64}")})),
        json(json!(format!("data:image/png;base64,{base64}"))),
        json(json!({"ref": reference})),
        json(json!(reference)),
        post("/v1/segment").form(Form::default().text("request", &request).file("image", &file)),
        post("/v1/segment").form(Form::default().text("request", &request).text("image", reference)),
        post("/v1/segment?model=nano").form(Form::default().file("image", &file).text("box", BOX_TEXT)),
    ];
    for (number, call) in others.into_iter().enumerate() {
        assert_eq!(told(call.answer(to)), first, "way {number}");
    }
}

#[test]
fn a_picture_and_a_box_are_enough() {
    let answer = post("/v1/segment").form(Form::default().file("image", &picture(2)).text("box", BOX_TEXT)).answer(shared());
    // The first of the models that take prompts.
    assert_eq!(told(answer)["model"], "words");
}

#[test]
fn a_later_click_neither_sends_nor_decodes_nor_encodes_the_picture() {
    let to = shared();
    let embedded = post("/v1/embed?model=nano").body("image/png", picture(3)).answer(to).expect(200).json();
    assert_eq!(embedded["timings_ms"]["embedding"], "miss");
    assert!(embedded.get("objects").is_none() && embedded["image"]["width"] == SIZE.0);
    let reference = &embedded["image"]["ref"];
    let request = json!({"model": "nano", "image": {"ref": reference}, "prompts": [{"points": [[48, 30]]}]});
    let answer = post("/v1/segment").json(&request).answer(to).expect(200);
    let clicked = answer.json();
    let timings = clicked["timings_ms"].as_object().unwrap();
    assert_eq!((&timings["embedding"], timings["decode"].as_f64()), (&json!("hit"), Some(0.0)));
    let (total, parts) = timings
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_f64()?)))
        .fold((0.0, 0.0), |(total, parts), (name, value)| if name == "total" { (value, parts) } else { (total, parts + value) });
    assert!((total - parts).abs() < 0.05, "the parts add up: {timings:?}");
    let header = answer.header("server-timing").unwrap();
    assert!(header.contains("mask_decode;dur=") || header.contains("network;dur="), "{header}");
    assert!(header.contains("receive;dur=") && header.contains("encode;dur=") && header.contains("total;dur="), "{header}");
}

#[test]
fn several_objects_in_the_order_of_a_form_or_of_json() {
    let (to, file) = (shared(), picture(4));
    let form = Form::default()
        .file("image", &file)
        .text("model", "nano")
        .text("box", BOX_TEXT)
        .text("label", "whole")
        .text("point", "48,30")
        .text("object", "")
        .text("point", "48,30,1")
        .text("point", "3,3,0")
        .text("multimask", "off");
    let of_form = told(post("/v1/segment").form(form).answer(to));
    let prompts = json!([{"box": BOX, "label": "whole", "points": [[48, 30]]}, {"points": [[48, 30], [3, 3]], "labels": [1, 0]}]);
    let request = json!({"model": "nano", "image": of_form["image"]["ref"], "prompts": prompts, "multimask": "off"});
    assert_eq!(told(post("/v1/segment").json(&request).answer(to)), of_form);
    let objects = of_form["objects"].as_array().unwrap();
    assert_eq!(objects.iter().map(|object| object["prompt"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(1)]);
    assert_eq!(objects[0]["label"], "whole");
}

#[test]
fn rough_masks_come_as_a_file_as_run_lengths_and_as_base64() {
    let (to, file) = (shared(), picture(5));
    let form = Form::default().file("image", &file).text("model", "nano").file("mask", &mask(SIZE));
    let of_file = told(post("/v1/segment").form(form).answer(to));
    let ask = |mask: Value| {
        let request = json!({"model": "nano", "image": of_file["image"]["ref"], "prompts": [{"mask": mask}]});
        post("/v1/segment").json(&request).answer(to)
    };
    assert_eq!(told(ask(json!({"base64": BASE64_STANDARD.encode(mask(SIZE))}))), of_file);
    // An answer is a prompt again.
    let again = told(ask(of_file["objects"][0]["segmentation"].clone()));
    assert!(again["objects"][0]["area"].is_u64());
    let polygon = told(ask(json!([[20, 12, 77, 12, 77, 49, 20, 49]])));
    assert!(polygon["objects"][0]["area"].is_u64());
    let wrong = ask(json!({"base64": BASE64_STANDARD.encode(mask((10, 10)))})).problem(400);
    assert_eq!((wrong["message"].as_str(), wrong["expected"].as_str()), (Some("prompt 0: mask"), Some("the picture's size 97 × 61")));
    assert_eq!(wrong["found"], "10 × 10");
}

#[test]
fn everything_tells_where_its_objects_come_from() {
    let form = Form::default()
        .file("image", &picture(6))
        .text("model", "nano")
        .text("everything", "true")
        .text("points_per_side", "4")
        .text("pred_iou_thresh", "0")
        .text("stability_thresh", "0");
    let found = told(post("/v1/segment").form(form).answer(shared()));
    let objects = found["objects"].as_array().unwrap();
    assert!(!objects.is_empty());
    for object in objects {
        assert_eq!((object["point"].as_array().map(Vec::len), object["crop_box"].as_array().map(Vec::len)), (Some(2), Some(4)), "{object}");
    }
}

#[test]
fn a_classifier_answers_classes() {
    let found = told(post("/v1/classify?top=3").body("image/png", picture(7)).answer(shared()));
    assert_eq!((found["model"].as_str(), found["classes"].as_array().map(Vec::len)), (Some("classes"), Some(3)));
    assert!(found.get("objects").is_none() && found["classes"][0]["score"].is_number());
    let lines = post("/v1/classify?format=png").body("image/png", picture(7)).answer(shared()).expect(200);
    assert_eq!(lines.header("content-type"), Some("image/png"));
}
