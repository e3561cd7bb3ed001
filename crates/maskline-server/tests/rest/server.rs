//! The models and the server, as clients see them.

use serde_json::{Value, json};

use super::client::{get, post};
use super::running::{BOX_TEXT, Running, picture, shared};

fn model(name: &str) -> Value {
    get(&format!("/v1/models/{name}")).answer(shared()).expect(200).json()
}

#[test]
fn models_tell_what_a_form_for_them_needs() {
    let all = get("/v1/models").answer(shared()).expect(200).json();
    let names: Vec<&str> = all["models"].as_array().unwrap().iter().filter_map(|model| model["name"].as_str()).collect();
    assert_eq!(names, ["classes", "nano", "words"]);
    assert_eq!(all["available"], json!(["another-nano"]));
    let nano = model("nano");
    assert_eq!(
        (nano["state"].as_str(), nano["task"].as_str(), nano["provider"].as_str()),
        (Some("ready"), Some("promptable"), Some("cpu"))
    );
    assert!(nano["takes"]["prompts"] == true && nano["takes"]["everything"] == true && nano["takes"]["words"] == false);
    assert_eq!((&nano["defaults"]["points_per_side"], &nano["defaults"]["pred_iou_thresh"]), (&json!(16), &json!(0.6)));
    assert!(nano["defaults"].get("conf").is_none(), "what answers prompts leaves nothing out");
    assert!(nano["formats"]["segment"].as_array().is_some_and(|formats| formats.contains(&json!("png-index"))));
    assert!(nano["cold_ms"]["total"].is_number() && nano["limits"]["prompts"] == 1024);
    let words = model("words");
    assert!(words["takes"]["words"] == true && words["takes"]["exemplars"] == true && words["takes"]["masks"] == true);
    assert_eq!((&words["defaults"]["conf"], words["defaults"].get("iou")), (&json!(0.5), None));
    let classes = model("classes");
    assert!(classes["takes"]["classes"] == true && classes["label_count"] == 1000, "{classes}");
    assert_eq!(classes["formats"], json!({"classify": ["json", "png", "jpg"]}));
}

#[test]
fn the_document_is_served() {
    let document = get("/openapi.json").answer(shared()).expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    for path in
        ["/v1/segment", "/v1/detect", "/v1/classify", "/v1/embed", "/v1/models", "/v1/export", "/v1/images/{sha256}", "/v1/server/stop"]
    {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}

#[test]
fn a_server_tells_itself_loads_unloads_and_stops() {
    let server = Running::with_nano(|_| {});
    let to = server.address;
    let told = get("/v1/server").answer(to).expect(200).json();
    assert_eq!(
        (told["state"].as_str(), told["ready"].as_bool(), told["pid"].as_u64()),
        (Some("ready"), Some(true), Some(std::process::id().into()))
    );
    assert_eq!(told["models"][0]["name"], "nano");
    let ask = || post(&format!("/v1/segment?model=nano&box={BOX_TEXT}")).body("image/png", picture(60)).answer(to);
    assert_eq!(post("/v1/models/nano/unload").answer(to).expect(200).json()["state"], "unloaded");
    let problem = ask();
    assert_eq!(problem.header("retry-after"), Some("1"));
    problem.problem(503);
    assert_eq!(post("/v1/models/nano/load").answer(to).expect(200).json()["state"], "ready");
    ask().expect(200);
    assert_eq!(post("/v1/models/another-nano/load").answer(to).expect(200).json()["state"], "ready");
    post("/v1/models/nothing/load").answer(to).problem(404);
    // As a page could send it.
    post("/v1/server/stop").body("text/plain", b"{}".to_vec()).answer(to).problem(415);
    assert_eq!(post("/v1/server/stop").json(&json!({})).answer(to).expect(202).json()["state"], "ending");
    server.end().unwrap();
}

#[test]
fn where_models_are_not_controlled_by_requests_they_stay_as_they_are() {
    let server = Running::with_nano(|options| options.control = false);
    post("/v1/models/nano/unload").answer(server.address).problem(403);
    assert_eq!(get("/v1/models/nano").answer(server.address).expect(200).json()["state"], "ready");
    server.stop.end();
    server.end().unwrap();
}
