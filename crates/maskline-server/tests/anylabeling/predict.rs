//! Every way of asking, and every failure.

use maskline_server::{Access, Key};
use serde_json::{Value, json};

use super::running::{BOX, Running, SIZE};
use super::tool::{Tool, data_uri};

/// Of a server that wants one.
const KEY: &str = "0123456789abcdef";

fn bounds(shape: &Value) -> [f64; 4] {
    let points = shape["points"].as_array().unwrap();
    let side = |axis: usize, pick: fn(f64, f64) -> f64| points.iter().map(|point| point[axis].as_f64().unwrap()).reduce(pick).unwrap();
    [side(0, f64::min), side(1, f64::min), side(0, f64::max), side(1, f64::max)]
}

#[test]
fn models_say_which_parts_of_the_window_they_need() {
    let models = Tool::new().models();
    let widgets = |model: &str| {
        let widgets = models[model]["widgets"].as_array().unwrap().iter();
        widgets
            .map(|widget| (widget["name"].as_str().unwrap().to_owned(), widget["value"].clone()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    for (model, names) in [
        ("yolov8n", &["button_run", "input_conf", "edit_conf", "input_iou", "edit_iou", "toggle_preserve_existing_annotations"][..]),
        ("yolov8n-cls", &["button_run"]),
        (
            "nano",
            &["button_add_point", "button_remove_point", "button_add_rect", "button_clear", "button_finish_object", "mask_fineness_slider"],
        ),
        ("words", &["edit_text", "button_send", "add_pos_rect", "add_neg_rect", "button_run_rect", "button_clear", "edit_conf"]),
    ] {
        let has = widgets(model);
        assert!(names.iter().all(|name| has.contains_key(*name)), "{model}: {has:?}");
    }
    // Sliders must have a value, or the tool shows none.
    assert_eq!((&widgets("yolov8n")["edit_conf"], &widgets("yolov8n")["edit_iou"]), (&json!(0.25), &json!(0.7)));
    assert!(!widgets("nano").contains_key("edit_text") && !widgets("nano").contains_key("button_run"));
    let batch = |model: &str| models[model]["batch_processing_mode"].clone();
    assert_eq!([batch("yolov8n"), batch("words"), batch("nano")], [json!("default"), json!("text_prompt"), Value::Null]);
    assert_eq!((&models["nano"]["display_name"], &models["nano"]["capabilities"]["prompts"]), (&json!("nano"), &json!(true)));
    let info = Tool::new().get("/v1/models/nano/info").expect(200).json();
    assert_eq!(info["data"]["model_id"], "nano");
    Tool::new().get("/v1/models/nothing/info").expect(404);
    let health = Tool::new().get("/health").expect(200).json();
    assert_eq!((health["status"].as_str(), health["models_loaded"].as_u64()), (Some("healthy"), Some(7)));
}

#[test]
fn points_and_a_rectangle_give_the_outline_of_what_they_mean() {
    let tool = Tool::new();
    let rectangle = json!({"type": "rectangle", "data": BOX, "label": 1});
    for marks in [json!([{"type": "point", "data": [48, 30], "label": 1}]), json!([rectangle]), {
        json!([rectangle, {"type": "point", "data": [48, 30], "label": 1}, {"type": "point", "data": [2, 2], "label": 0}])
    }] {
        let answer = tool.predict("nano", json!({"marks": marks})).expect(200).json();
        assert_eq!(answer["data"]["replace"], false, "one object more, beside those that there are");
        let shapes = tool.shapes("nano", json!({"marks": marks}));
        assert!(!shapes.is_empty(), "{marks}");
        let shape = &shapes[0];
        assert_eq!((shape["label"].as_str(), shape["shape_type"].as_str()), (Some("AUTOLABEL_OBJECT"), Some("polygon")));
        assert!(shape["points"].as_array().unwrap().len() >= 3 && shape["score"].is_f64() && shape["group_id"].is_null(), "{shape}");
        let [x1, y1, x2, y2] = bounds(shape);
        assert!(x1 >= 0.0 && y1 >= 0.0 && x2 <= f64::from(SIZE.0) && y2 <= f64::from(SIZE.1), "{shape}");
    }
    let corners = |fineness: f64| {
        let shapes = tool.shapes("nano", json!({"marks": [rectangle], "epsilon_factor": fineness}));
        shapes[0]["points"].as_array().unwrap().len()
    };
    let counts = [0.0, 0.001, 0.02, 0.1].map(corners);
    assert!(counts.windows(2).all(|pair| pair[0] >= pair[1]) && counts[0] > counts[3], "{counts:?}");
    // After all marks are taken away, the tool asks once more.
    assert!(tool.shapes("nano", json!({})).is_empty());
}

#[test]
fn words_are_looked_for_one_by_one_and_rectangles_show_what_is_meant() {
    let tool = Tool::new();
    // The tool cuts the last full stop off.
    let labels = |text: &str| {
        let shapes = tool.shapes("words", json!({"text_prompt": text, "conf_threshold": 1e-6}));
        shapes.iter().map(|shape| shape["label"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
    };
    for text in ["a cat, a dog", "a cat.a dog", "a dog. a cat. a dog"] {
        assert_eq!(labels(text), ["a cat", "a dog"].map(String::from).into(), "{text}");
    }
    let rectangles = json!([{"type": "rectangle", "data": BOX, "label": 1}, {"type": "rectangle", "data": [0, 0, 9, 9], "label": 0}]);
    let shapes = tool.shapes("words", json!({"marks": rectangles, "conf_threshold": 1e-6}));
    assert!(!shapes.is_empty() && shapes.iter().all(|shape| shape["label"] == "AUTOLABEL_OBJECT"), "{shapes:?}");
    assert!(tool.shapes("words", json!({})).is_empty());
}

#[test]
fn detectors_answer_without_marks_each_in_its_shapes() {
    let tool = Tool::new();
    let kinds = |model: &str| {
        let shapes = tool.shapes(model, json!({"conf_threshold": 1e-6, "iou_threshold": 0.5}));
        assert!(!shapes.is_empty(), "{model}");
        shapes.into_iter().map(|shape| (shape["shape_type"].as_str().unwrap().to_owned(), shape)).collect::<Vec<_>>()
    };
    for (kind, shape) in kinds("yolov8n") {
        assert_eq!((kind.as_str(), shape["points"].as_array().unwrap().len()), ("rectangle", 4));
    }
    assert!(kinds("yolov8n-seg").iter().all(|(kind, _)| kind == "polygon"));
    for (kind, shape) in kinds("yolov8n-obb") {
        assert_eq!((kind.as_str(), shape["points"].as_array().unwrap().len()), ("rotation", 4));
        assert!((0.0..std::f64::consts::TAU + 1e-9).contains(&shape["direction"].as_f64().unwrap()), "{shape}");
    }
    let poses = kinds("yolov8n-pose");
    assert!(poses.iter().all(|(kind, shape)| (kind == "rectangle" || kind == "point") && shape["group_id"].is_u64()), "{poses:?}");
    // The switch in the tool's window decides whether they come in place of others.
    let answer = tool.predict("yolov8n", json!({"conf_threshold": 1e-6})).expect(200).json();
    assert!(answer["data"].get("replace").is_none());
    let classes = tool.predict("yolov8n-cls", json!({})).expect(200).json();
    assert_eq!(classes["data"]["shapes"], json!([]));
    assert!(classes["data"]["description"].as_str().is_some_and(|text| text.contains("0.")), "{classes}");
}

#[test]
fn a_failure_has_a_status_for_the_tool_looks_at_nothing_else() {
    let tool = Tool::new();
    let told = |answer: super::client::Answer, status: u16| {
        let answer = answer.expect(status).json();
        assert!(answer["success"] == false && answer["error"]["code"].is_string() && answer["error"]["message"].is_string(), "{answer}");
        answer["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(tool.predict("nothing", json!({})), 404), "MODEL_NOT_FOUND");
    told(tool.predict("nano", json!({"text_prompt": "a cat"})), 400);
    told(tool.predict("yolov8n", json!({"marks": [{"type": "point", "data": [1, 2], "label": 1}]})), 400);
    told(tool.predict("nano", json!({"marks": [{"type": "point", "data": [900, 2], "label": 1}]})), 400);
    told(tool.predict("nano", json!({"marks": [{"type": "point", "data": [1, 2], "label": 7}]})), 400);
    told(tool.predict("yolov8n", json!({"conf_threshold": 7})), 400);
    let marks = json!({"marks": [{"type": "point", "data": [48, 30], "label": 1}]});
    for image in ["no picture", "data:image/png;base64,AAAA", "data:image/png,AAAA", "http://127.0.0.1/a.png"] {
        told(tool.post("/v1/predict", &json!({"model": "nano", "image": image, "params": marks})), 400);
    }
    for body in [json!({}), json!([]), json!({"model": "nano"}), json!({"model": "nano", "image": 3})] {
        told(tool.post("/v1/predict", &body), 400);
    }
    // Fields of later versions are no failure.
    let more = json!({"marks": marks["marks"], "current_task": "a", "reset_tracker": true, "output_mode": "polygon"});
    assert!(!tool.shapes("nano", more).is_empty());
    told(tool.get("/v1/predict"), 405);
    told(tool.get("/v1/nothing"), 404);
}

#[test]
fn the_token_is_the_servers_key_and_an_unloaded_model_is_not_ready() {
    let server = Running::with_nano(|options| {
        options.access = Access { keys: vec![Key::new(KEY).unwrap()], ..Access::default() };
    });
    let (tool, stranger) = (Tool { server: server.address, token: KEY }, Tool { server: server.address, token: "" });
    assert_eq!(stranger.get("/health").expect(200).json()["status"], "healthy");
    assert_eq!(stranger.get("/v1/models").expect(401).json()["error"]["code"], "UNAUTHORIZED");
    assert!(tool.models().contains_key("nano"));
    let marks = json!({"marks": [{"type": "point", "data": [48, 30], "label": 1}]});
    stranger.predict("nano", marks.clone()).expect(401);
    assert!(!tool.shapes("nano", marks.clone()).is_empty());
    super::client::post("/v1/models/nano/unload").header("x-api-key", KEY).answer(server.address).expect(200);
    assert!(!tool.models().contains_key("nano"));
    let away = tool.predict("nano", marks).expect(503);
    assert_eq!((away.header("retry-after"), away.json()["error"]["code"].as_str()), (Some("1"), Some("NOT_READY")));
    // The image is not even looked at.
    tool.post("/v1/predict", &json!({"model": "nano", "image": data_uri(), "params": {}})).expect(503);
    server.stop.end();
    server.end().unwrap();
}
