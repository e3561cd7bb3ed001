//! Videos, as the tool asks about them: all pictures of its folder at first, points on one, then the others.

use std::net::SocketAddr;

use base64::Engine;
use maskline::{Click, Prompt, TrackerOptions};
use serde_json::{Value, json};

use super::client::{Answer, get};
use super::clip::{SIZE, frame, frame_of, image, model, shared};
use super::tool::Tool;

fn tool() -> Tool {
    Tool { server: shared(), token: "" }
}

fn uri(file: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(file))
}

fn begun(tool: &Tool, count: usize) -> String {
    let frames: Vec<String> = (0..count).map(|number| uri(&frame(number))).collect();
    let init = json!({"model": "film@video", "frames": frames, "start_frame_index": 0});
    let answer = tool.post("/v1/video/init", &init).expect(200).json();
    assert_eq!((&answer["success"], &answer["data"]["total_frames"]), (&json!(true), &json!(count)));
    answer["data"]["session_id"].as_str().unwrap().to_owned()
}

/// The tool's points, in shares of the picture's size.
fn prompt(session: &str, index: usize) -> Value {
    json!({
        "session_id": session, "model": "film@video", "frame_index": index, "points": [[0.25, 0.5], [0.9, 0.1]], "point_labels": [1, 0],
        "obj_id": 10000, "params": {"conf_threshold": 0.0, "epsilon_factor": 0.001, "output_mode": "polygon"},
    })
}

/// What it reads of a stream.
fn events(answer: &Answer) -> Vec<Value> {
    assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")), "{:?}", answer.headers);
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|event| serde_json::from_str(event).unwrap()).collect()
}

fn sessions(to: SocketAddr) -> Vec<String> {
    let listed = get("/v1/video").answer(to).expect(200).json();
    listed["sessions"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_model_that_follows_objects_stands_there_a_second_time_for_videos() {
    let models = tool().models();
    let mode = |model: &str| models[model]["batch_processing_mode"].clone();
    assert_eq!([mode("film"), mode("film@video"), mode("nano")], [Value::Null, json!("video"), Value::Null]);
    assert_eq!(models["film@video"]["display_name"], "film (video)");
    assert!(!models.contains_key("nano@video"));
    let info = tool().get("/v1/models/film@video/info").expect(200).json();
    assert_eq!((&info["data"]["model_id"], &info["data"]["batch_processing_mode"]), (&json!("film@video"), &json!("video")));
}

#[test]
fn points_on_one_frame_become_shapes_on_all_that_follow() {
    let tool = tool();
    let session = begun(&tool, 5);
    let on_first = tool.post("/v1/video/prompt", &prompt(&session, 1)).expect(200).json();
    // The library's own answers.
    let mut tracker = model().tracker(TrackerOptions { length: Some(5), ..TrackerOptions::default() }).unwrap();
    tracker.look(1, &image(1)).unwrap();
    let place = |x: f32, y: f32| (x * SIZE.0 as f32, y * SIZE.1 as f32);
    let click = |(x, y): (f32, f32), is_positive| Click { x, y, is_positive };
    let clicks = vec![click(place(0.25, 0.5), true), click(place(0.9, 0.1), false)];
    let said = tracker.add(10000, &Prompt { clicks, ..Prompt::default() }).unwrap();
    let is_seen = |tracked: &maskline::Tracked| !tracked.objects[0].mask().unwrap().is_empty();
    let masks = on_first["data"]["masks"].as_array().unwrap();
    assert_eq!((masks.is_empty(), &on_first["data"]["frame_index"]), (!is_seen(&said), &json!(1)));
    for shape in masks {
        assert_eq!((&shape["label"], &shape["shape_type"]), (&json!("AUTOLABEL_OBJECT"), &json!("polygon")));
    }
    let run = json!({"session_id": session, "model": "film@video", "start_frame": 1});
    let told = events(&tool.post("/v1/video/propagate/stream", &run).expect(200));
    let kinds: Vec<&str> = told.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "progress", "progress", "progress", "progress", "completed"]);
    assert_eq!((&told[0]["total_frames"], &told[0]["start_frame_index"], &told[4]["current_frame"]), (&json!(5), &json!(1), &json!(4)));
    let results = told[5]["results"].as_object().unwrap();
    assert_eq!(results.keys().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    tracker.track(maskline::Direction::Forward).unwrap();
    for number in 2..5 {
        let tracked = tracker.push(&image(number)).unwrap();
        let masks = results[&number.to_string()]["masks"].as_array().unwrap();
        assert_eq!(masks.is_empty(), !is_seen(&tracked), "frame {number}");
    }
    // Another object in place of the first.
    let mut anew = prompt(&session, 3);
    (anew["obj_id"], anew["params"]["reset_tracker"]) = (json!(7), json!(true));
    tool.post("/v1/video/prompt", &anew).expect(200);
    let state = get(&format!("/v1/video/{session}")).answer(tool.server).expect(200).json();
    assert_eq!((&state["objects"], &state["frame"]), (&json!([7]), &json!(3)));
    tool.post(&format!("/v1/video/cleanup/{session}?model=film"), &json!({})).expect(200);
    assert!(!sessions(tool.server).contains(&session));
    tool.post("/v1/video/prompt", &prompt(&session, 1)).expect(404);
}

#[test]
fn what_cannot_be_followed_has_a_status_and_a_message() {
    let tool = tool();
    let told = |path: &str, body: &Value, status: u16| {
        let answer = tool.post(path, body).expect(status).json();
        assert_eq!(answer["success"], false, "{answer}");
        answer["error"]["message"].as_str().unwrap().to_owned()
    };
    let init = |frames: Value, model: &str| json!({"model": model, "frames": frames});
    let (first, other) = (uri(&frame(0)), uri(&frame_of((64, 96), 0)));
    told("/v1/video/init", &init(json!([first]), "nothing"), 404);
    told("/v1/video/init", &init(json!([first]), "nano"), 400);
    told("/v1/video/init", &init(json!([]), "film"), 400);
    assert!(told("/v1/video/init", &init(json!([first, "no picture"]), "film"), 400).contains("frames[1]"));
    assert!(told("/v1/video/init", &init(json!([first, other]), "film"), 400).contains("96 × 64"));
    let session = begun(&tool, 2);
    let wrong = |change: Value| {
        let mut body = prompt(&session, 0);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for change in [
        json!({"frame_index": 2}),
        json!({"points": []}),
        json!({"points": [[1.5, 0.5], [0.5, 0.5]]}),
        json!({"point_labels": [1]}),
        json!({"point_labels": [1, 3]}),
        json!({"params": {"epsilon_factor": 7}}),
    ] {
        told("/v1/video/prompt", &wrong(change), 400);
    }
    assert!(told("/v1/video/prompt", &wrong(json!({"points": [], "text_prompt": "a cat"})), 400).contains("text_prompt"));
    // Nothing was marked.
    told("/v1/video/propagate/stream", &json!({"session_id": session}), 400);
    told("/v1/video/propagate/stream", &json!({"session_id": "nothing"}), 404);
    tool.post("/v1/video/prompt", &prompt(&session, 0)).expect(200);
    told("/v1/video/propagate/stream", &json!({"session_id": session, "end_frame": 2}), 400);
    told("/v1/video/propagate", &json!({"session_id": session}), 501);
    tool.post(&format!("/v1/video/cleanup/{session}?model=film"), &json!({})).expect(200);
    told(&format!("/v1/video/cleanup/{session}?model=film"), &json!({}), 404);
}
