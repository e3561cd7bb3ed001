//! How sessions begin and end, and what they take.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{get, post};
use super::clip::{Session, delete, server, shared};

#[test]
fn a_session_is_told_listed_and_closed() {
    let session = Session::new(shared());
    let state = session.state();
    assert_eq!(
        (&state["model"], &state["frame"], &state["frames"], &state["size"]),
        (&json!("film"), &Value::Null, &json!(0), &Value::Null)
    );
    assert!(state["expires_in_s"].as_f64().is_some_and(|seconds| (290.0..=300.0).contains(&seconds)), "{state}");
    let listed = get("/v1/video").answer(session.to).expect(200).json();
    assert!(listed["sessions"].as_array().unwrap().iter().any(|other| other["id"] == session.id.as_str()));
    delete(&session.path("")).answer(session.to).expect(204);
    for answer in [get(&session.path("")).answer(session.to), delete(&session.path("")).answer(session.to), session.give(0, "")] {
        let gone = answer.problem(404);
        assert!(gone["help"].as_str().is_some_and(|help| help.contains("300 s")), "{gone}");
    }
    // Without a body too, and without a model's name.
    let opened = post("/v1/video").answer(session.to).expect(201).json();
    assert_eq!(opened["model"], "film");
    delete(&format!("/v1/video/{}", opened["id"].as_str().unwrap())).answer(session.to).expect(204);
}

#[test]
fn a_session_that_nobody_asks_is_closed_and_makes_room() {
    let server = server(|options| {
        options.video.idle = Duration::from_millis(600);
        options.video.sessions = 2;
    });
    let to = server.address;
    let (one, other) = (Session::new(to), Session::new(to));
    let full = post("/v1/video").json(&json!({"model": "film"})).answer(to);
    assert!(full.header("retry-after").is_some_and(|seconds| seconds == "1"), "{:?}", full.headers);
    assert!(full.problem(429)["help"].as_str().is_some_and(|help| help.contains("--video-sessions")));
    for number in 0..5 {
        std::thread::sleep(Duration::from_millis(300));
        one.give(number, "").expect(200);
    }
    assert!(other.give(0, "").problem(404)["help"].as_str().is_some_and(|help| help.contains("0.6 s")));
    assert_eq!(get("/v1/video").answer(to).expect(200).json()["sessions"].as_array().unwrap().len(), 1);
    drop(Session::new(to));
    drop(one);
    server.stop.end();
    server.end().unwrap();
}

#[test]
fn unloading_a_model_closes_its_sessions() {
    let server = server(|options| options.times.keep_alive = Some(Duration::from_millis(500)));
    let session = Session::new(server.address);
    session.give(0, "").expect(200);
    // One that follows objects is not idle.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(get("/v1/models/film").answer(server.address).expect(200).json()["state"], "ready");
    assert_eq!(post("/v1/models/film/unload").answer(server.address).expect(200).json()["state"], "unloaded");
    session.give(1, "").problem(404);
    assert_eq!(get("/v1/video").answer(server.address).expect(200).json()["sessions"], json!([]));
    post("/v1/video").json(&json!({"model": "film"})).answer(server.address).problem(503);
    drop(session);
    server.stop.end();
    server.end().unwrap();
}

#[test]
fn where_sessions_are_switched_off_none_is_opened() {
    let server = server(|options| options.video.sessions = 0);
    let refused = post("/v1/video").json(&json!({"model": "film"})).answer(server.address).problem(501);
    assert!(refused["help"].as_str().is_some_and(|help| help.contains("--video-sessions")), "{refused}");
    server.stop.end();
    server.end().unwrap();
}

#[test]
fn models_and_metrics_tell_of_videos() {
    let session = Session::new(shared());
    session.give(0, "").expect(200);
    let takes = |model: &str| get(&format!("/v1/models/{model}")).answer(session.to).expect(200).json()["takes"]["video"].clone();
    assert_eq!([takes("film"), takes("nano")], [json!(true), json!(false)]);
    let metrics = String::from_utf8(get("/metrics").answer(session.to).expect(200).body).unwrap();
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{model=\"film\"}}")));
        line.unwrap_or_else(|| panic!("{name}: {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value("maskline_video_sessions") >= 1.0 && value("maskline_video_bytes") > 1e4);
    assert!(value("maskline_video_frames_total") >= 1.0);
    let document = get("/openapi.json").answer(session.to).expect(200).json();
    for path in ["", "/{id}", "/{id}/frames", "/{id}/objects", "/{id}/objects/{object}", "/{id}/objects/{object}/prompts", "/{id}/reset"] {
        assert!(document["paths"].get(format!("/v1/video{path}")).is_some(), "{path}");
    }
}
