//! How a project is connected.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maskline_server::Key;
use serde_json::{Value, json};

use super::client::{get, post};
use super::requests::{BRUSH, config, predict, setup};
use super::running::{Running, shared};

#[test]
fn the_server_says_what_label_studio_asks_before_it_sends_tasks() {
    let to = shared();
    for base in ["/label-studio", "/label-studio/nano"] {
        let health = get(&format!("{base}/health")).answer(to).expect(200).json();
        assert_eq!((health["status"].as_str(), health["model_class"].is_string()), (Some("UP"), true));
        let versions = get(&format!("{base}/versions")).answer(to).expect(200).json();
        assert!(versions["versions"].as_array().unwrap().contains(&version("nano")), "{versions}");
        post(&format!("{base}/webhook")).json(&json!({"action": "ANNOTATION_CREATED"})).answer(to).expect(201);
        post(&format!("{base}/train")).json(&json!({})).answer(to).problem(501);
    }
    let connect = |path: &str, body: &Value| post(path).json(body).answer(to);
    let told = setup("http://localhost:8080", "a-token");
    assert_eq!(connect("/label-studio/nano/setup", &told).expect(200).json()["model_version"], version("nano"));
    // What pre-annotates, where nothing is chosen.
    assert_eq!(connect("/label-studio/setup", &told).expect(200).json()["model_version"], version("words"));
    for chosen in [json!({"model": "nano"}), json!("{\"model\": \"nano\"}")] {
        let told = json!({"project": "9.1", "schema": BRUSH, "extra_params": chosen});
        assert_eq!(connect("/label-studio/setup", &told).expect(200).json()["model_version"], version("nano"));
    }
    let in_config = BRUSH.replace("<BrushLabels", "<BrushLabels model=\"nano\"");
    assert_eq!(connect("/label-studio/setup", &json!({"schema": in_config})).expect(200).json()["model_version"], version("nano"));
}

fn version(model: &str) -> Value {
    json!(format!("{model}@maskline-{}", env!("CARGO_PKG_VERSION")))
}

#[test]
fn what_cannot_work_is_refused_when_it_is_connected() {
    let to = shared();
    let text = r#"<View><Text name="t" value="$t"/></View>"#;
    for (path, body, status, told) in [
        ("/label-studio/setup", json!({"schema": text}), 400, "a picture"),
        ("/label-studio/setup", json!({"schema": "<View"}), 400, "XML"),
        ("/label-studio/setup", json!({"schema": config("Choices", "")}), 400, "BrushLabels"),
        ("/label-studio/nothing/setup", json!({"schema": BRUSH}), 404, "served are"),
        ("/label-studio/setup", json!({"schema": BRUSH, "extra_params": {"model": "nothing"}}), 404, "served are"),
        ("/label-studio/setup", json!({"schema": 3}), 400, "schema"),
        ("/label-studio/setup", json!("setup"), 400, "body"),
        ("/label-studio/nowhere/at/all", json!({}), 404, "/label-studio/MODEL"),
    ] {
        let problem = post(path).json(&body).answer(to).problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
        assert!(problem["instance"].is_string());
    }
    get("/label-studio/predict").answer(to).problem(405);
    post("/label-studio/nothing/predict").json(&predict(&[], BRUSH, Value::Null)).answer(to).problem(404);
}

#[test]
fn where_the_server_has_keys_the_basic_password_is_one() {
    const KEY: &str = "0123456789abcdef";
    let server = Running::with_nano(|options| options.access.keys = vec![Key::new(KEY).unwrap()]);
    let to = server.address;
    get("/label-studio/health").answer(to).expect(200);
    get("/label-studio/nano/health").answer(to).expect(200);
    let connect = || post("/label-studio/setup").json(&setup("http://localhost:8080", "a-token"));
    connect().answer(to).expect(401);
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    connect().header("authorization", basic(&format!("maskline:{KEY}"))).answer(to).expect(200);
    for wrong in [basic("maskline:0123456789abcdeX"), basic(&format!("{KEY}:maskline")), basic(KEY), "Basic !".to_owned()] {
        connect().header("authorization", wrong).answer(to).expect(401);
    }
}
