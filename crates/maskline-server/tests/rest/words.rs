//! Words and examples: of a small SAM 3, whose vocabulary are letters.

use serde_json::{Value, json};

use super::client::{Answer, Form, post};
use super::running::{BOX, BOX_TEXT, picture, shared};

fn objects(answer: Answer) -> Vec<Value> {
    let found = answer.expect(200).json();
    assert_eq!(found["model"], "words");
    found["objects"].as_array().unwrap().clone()
}

#[test]
fn words_find_objects_with_masks_in_forms_and_in_json() {
    let to = shared();
    let form = Form::default().file("image", &picture(70)).text("text", "cat").text("text", "a b").text("conf", "0");
    let found = objects(post("/v1/detect").form(form).answer(to));
    assert!(!found.is_empty());
    let scores: Vec<f64> = found.iter().filter_map(|object| object["score"].as_f64()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.len() == found.len());
    for object in &found {
        assert!(object["segmentation"]["counts"].is_string() && object.get("prompt").is_none(), "{object}");
        assert_eq!(object["label"], ["cat", "a b"][object["class_id"].as_u64().unwrap() as usize]);
    }
    let reference = post("/v1/embed?model=words").body("image/png", picture(70)).answer(to).expect(200).json()["image"]["ref"].clone();
    let request = json!({"image": reference, "texts": ["cat", {"text": "a b", "conf": 0}], "conf": 0});
    assert_eq!(objects(post("/v1/detect").json(&request).answer(to)), found);
}

#[test]
fn boxes_on_the_picture_and_other_pictures_show_what_is_looked_for() {
    let to = shared();
    let form = Form::default().file("image", &picture(71)).text("like_box", BOX_TEXT).text("conf", "0");
    let found = objects(post("/v1/detect").form(form).answer(to));
    assert!(found.iter().all(|object| object["label"] == "visual") && !found.is_empty());
    let form = Form::default().file("image", &picture(71)).text("unlike_box", BOX_TEXT);
    post("/v1/detect").form(form).answer(to).problem(400);
    let boxes = json!({"image": "0".repeat(64), "texts": ["a", "b"], "like_boxes": [BOX]});
    let refused = post("/v1/detect").json(&boxes).answer(to).problem(400);
    assert_eq!((refused["message"].as_str(), refused["found"].as_str()), (Some("like_boxes"), Some("2 texts")));
}

#[test]
fn what_is_wrong_with_one_text_is_told_beside_what_the_others_found() {
    let to = shared();
    let ask = |texts: &[&str]| {
        let request = json!({"texts": texts, "conf": 0}).to_string();
        post("/v1/detect").form(Form::default().file("image", &picture(72)).text("request", &request)).answer(to)
    };
    let answer = ask(&["cat", " "]).expect(200).json();
    assert_eq!((answer["errors"][0]["text"].as_u64(), answer["errors"][0]["kind"].as_str()), (Some(1), Some("bad_input")));
    assert!(answer["objects"].as_array().is_some_and(|objects| objects.iter().all(|object| object["class_id"] == 0)));
    ask(&[" "]).problem(400);
    let untold = post("/v1/detect?model=words").body("image/png", picture(72)).answer(to).problem(400);
    assert!(untold["help"].as_str().is_some_and(|help| help.contains("texts")), "{untold}");
}
