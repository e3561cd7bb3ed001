//! Labels and texts as words, for models that take them.

use serde_json::{Value, json};

use super::client::post;
use super::requests::{config, data_uri, drawn, predict, rectangle, task};
use super::running::{BOX, picture, shared};

fn regions(config: &str, context: Value, seed: u8) -> Vec<Value> {
    let request = predict(&[task(1, &data_uri(&picture(seed)))], config, context);
    let answer = post("/label-studio/words/predict").json(&request).answer(shared()).expect(200).json();
    answer["results"][0]["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[test]
fn the_labels_of_a_project_are_looked_for_and_found_under_their_names() {
    let labels = r#"<Label value="Mug" predicted_values="cup"/><Label value="Plate" alias="p"/>"#;
    let threshold = |tag: &str| config(tag, labels).replace(" toName", " model_score_threshold=\"0\" toName");
    let brushes = regions(&threshold("BrushLabels"), Value::Null, 111);
    assert!(!brushes.is_empty());
    for region in &brushes {
        assert_eq!(region["type"], "brushlabels");
        assert!(["Mug", "Plate"].contains(&region["value"]["brushlabels"][0].as_str().unwrap()), "{region}");
    }
    let boxes = regions(&threshold("RectangleLabels"), Value::Null, 111);
    assert_eq!(boxes.len(), brushes.len());
    assert!(boxes.iter().all(|region| region["type"] == "rectanglelabels" && region["value"]["width"].as_f64().unwrap() > 0.0));
    let none = regions(&threshold("BrushLabels").replace("\"0\"", "\"1\""), Value::Null, 111);
    assert!(none.is_empty(), "the least score of the configuration holds");
}

#[test]
fn a_text_is_looked_for_and_called_by_the_label_that_was_chosen() {
    let labels = r#"<Label value="Mug"/><Label value="Plate"/>"#;
    let config = config("BrushLabels", labels).replace(" toName", " model_score_threshold=\"0\" toName");
    let text = |text: &str| json!({"type": "textarea", "from_name": "t", "to_name": "img", "value": {"text": [text]}});
    for (items, label) in
        [(vec![text("plate")], "Plate"), (vec![text("red")], "Mug"), (vec![text("red"), rectangle(BOX, "Plate")], "Plate")]
    {
        let found = regions(&config, drawn(&items), 112);
        assert!(!found.is_empty() && found.iter().all(|region| region["value"]["brushlabels"] == json!([label])), "{label}");
    }
}

#[test]
fn a_detector_of_boxes_wants_a_place_for_them() {
    let request = |config: &str| predict(&[task(1, &data_uri(&picture(113)))], config, Value::Null);
    let server = super::running::Running::with_nano(|options| {
        let detector = maskline::ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
        options.models.push(super::running::spec("detector", detector));
    });
    let ask = |config: &str| post("/label-studio/predict").json(&request(config)).answer(server.address);
    // Generated weights find nothing by themselves: with the least score 0 they find what nobody sees.
    let labels = r#"<Label value="Thing" predicted_values="person,car,dog,bus,cup,chair,book,vase"/>"#;
    let any = |tag: &str| config(tag, labels).replace(" toName", " model_score_threshold=\"0\" toName");
    let found = ask(&any("RectangleLabels")).expect(200).json();
    assert!(found["results"][0]["model_version"].as_str().is_some_and(|version| version.starts_with("detector@")), "{found}");
    assert!(found["results"][0]["result"].is_array());
    let problem = ask(&any("BrushLabels")).problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("RectangleLabels"), "{problem}");
}
