//! What cannot be answered is told with its fields, and leaves the session as it was.

use serde_json::{Value, json};

use super::client::{Form, post};
use super::clip::{Session, frame, frame_of, objects, server, shared};

const BOX: [f32; 4] = [8.0, 18.0, 32.0, 42.0];

#[test]
fn a_model_that_remembers_nothing_is_told_with_one_that_does() {
    let refused = post("/v1/video").json(&json!({"model": "nano"})).answer(shared()).problem(400);
    assert_eq!((&refused["message"], &refused["help"]), (&json!("`nano`"), &json!("these do: `film`")));
    post("/v1/video").json(&json!({"model": "nothing"})).answer(shared()).problem(404);
}

#[test]
fn wrong_options_are_told_with_their_names() {
    let open = |options: Value, status: u16| post("/v1/video").json(&options).answer(shared()).problem(status);
    assert_eq!(open(json!({"histroy": 3}), 400)["help"], "is `history` meant?");
    for (options, told) in [
        (json!({"memory": "half"}), "memory"),
        (json!({"history": -1}), "history"),
        (json!({"length": 0}), "length"),
        (json!({"conditioning_frames": 1}), "conditioning"),
    ] {
        let problem = open(options, 400);
        assert!(problem["message"].as_str().is_some_and(|message| message.contains(told)), "{told}: {problem}");
    }
    assert_eq!(open(json!({"history": 301}), 413)["expected"], "at most 300 frames");
    post("/v1/video").body("application/json", b"{".to_vec()).answer(shared()).problem(400);
    post("/v1/video").body("text/plain", b"{}".to_vec()).answer(shared()).problem(415);
}

#[test]
fn objects_need_a_frame_and_a_prompt_within_it() {
    let session = Session::new(shared());
    assert_eq!(session.say(&json!({"object": 1, "box": BOX})).problem(409)["type"], "/problems/conflict");
    session.forget("/objects/1/prompts").problem(409);
    session.give(0, "").expect(200);
    for (said, told) in [
        (json!({"object": 1}), "object 1"),
        (json!({"box": BOX}), "object"),
        (json!({"object": "one", "box": BOX}), "object"),
        (json!({"object": 1, "points": [[900, 30]]}), "object 1"),
        (json!({"object": 1, "points": [[9, 30, 5]]}), "object 1"),
        (json!({"object": 1, "box": [3, 4, 1, 2]}), "object 1"),
        (json!({"object": 1, "bxo": BOX}), "bxo"),
        (json!({"object": 1, "points": [[9, 30]], "refine": true}), "object"),
        (json!({"object": 1, "box": BOX, "refine": true}), "refine"),
        (json!({"object": 1, "points": vec![[9, 30]; 257]}), "object 1"),
        (json!({"object": 1, "mask": {"size": [2, 2], "counts": [0, 4]}}), "object 1"),
    ] {
        let problem = session.say(&said).problem(400);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{said}: {problem}");
    }
    session.say(&json!({"object": 1, "box": BOX, "label": "x".repeat(1025)})).problem(413);
    assert_eq!(session.state()["objects"], json!([]));
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let session = Session::new(shared());
    session.give(0, "").expect(200);
    objects(session.say(&json!({"object": 1, "box": BOX})));
    let other = session.give_file(frame_of((64, 96), 1), "").problem(400);
    assert_eq!((&other["expected"], &other["found"]), (&json!("the size of the frames before, 96 × 64"), &json!("64 × 96")));
    session.give_file(b"no picture".to_vec(), "").problem(400);
    assert_eq!(session.give(1, "?trak=false").problem(400)["help"], "is `track` meant?");
    session.give(1, "?track=perhaps").problem(400);
    session.give(1, "?index=-1").problem(400);
    session.give(1, "?index=4294967296").problem(400);
    session.give(1, "?direction=up").problem(400);
    session.give(1, "?index=1&index=2").problem(400);
    let path = session.path("/frames");
    assert_eq!(post(&path).answer(session.to).problem(400)["found"], "none");
    post(&path).json(&json!({"image": "0".repeat(64)})).answer(session.to).problem(404);
    post(&path).body("text/plain", b"frame".to_vec()).answer(session.to).problem(415);
    post(&path).header("accept", "image/png").body("image/png", frame(1)).answer(session.to).problem(406);
    post(&path).form(Form::default().text("index", "1")).answer(session.to).problem(400);
    // All of that is as if it had never been.
    assert_eq!((&session.state()["frame"], &session.state()["frames"]), (&json!(0), &json!(1)));
    objects(session.give(1, ""));
}

#[test]
fn objects_and_memory_are_bounded() {
    let server = server(|options| (options.video.objects, options.video.memory) = (2, 1 << 20));
    let session = Session::open(server.address, &json!({"model": "film", "history": 300}));
    session.give(0, "").expect(200);
    for object in 0..2 {
        objects(session.say(&json!({"object": object, "box": BOX})));
    }
    let third = session.say(&json!({"object": 2, "box": BOX})).problem(413);
    assert_eq!((&third["kind"], &third["expected"]), (&json!("over_limit"), &json!("at most 2")));
    // What is kept for going back grows, until it may not.
    let answers = (1..300).map(|number| session.give(number % 10, "?masks=false"));
    let refused = answers.into_iter().find(|answer| answer.status != 200).map(|answer| answer.problem(413));
    let refused = refused.unwrap();
    assert!(refused["help"].as_str().is_some_and(|help| help.contains("--video-memory")), "{refused}");
    let held = session.state()["bytes"].as_u64().unwrap();
    assert!((1 << 20..(1 << 20) + (64 << 10)).contains(&held), "{held}");
    // Others have to wait.
    let other = Session::new(server.address);
    other.give(0, "").problem(429);
    post(&session.path("/reset")).answer(server.address).expect(204);
    other.give(0, "").expect(200);
    drop((session, other));
    server.stop.end();
    server.end().unwrap();
}
