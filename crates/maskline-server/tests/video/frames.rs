//! Frames one by one and several at once: what the library answers.

use maskline::{Direction, Prompt, TrackerOptions};
use serde_json::{Value, json};

use super::client::{Answer, Form, get, post};
use super::clip::{Session, delete, frame, image, model, objects, shared, told};

const BOX: [f32; 4] = [8.0, 18.0, 32.0, 42.0];

fn lines(answer: Answer) -> Vec<Value> {
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    std::str::from_utf8(&answer.body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn frames_given_one_by_one_are_answered_as_the_library_answers_them() {
    let session = Session::new(shared());
    let mut tracker = model().tracker(TrackerOptions::default()).unwrap();
    // Nothing is followed yet.
    let first = session.give(0, "").expect(200);
    assert!(first.header("server-timing").is_some_and(|timing| timing.contains("image_encode")), "{:?}", first.headers);
    assert_eq!((&first.json()["frame"], &first.json()["size"], &first.json()["objects"]), (&json!(0), &json!([96, 64]), &json!([])));
    tracker.push(&image(0)).unwrap();
    let said = session.say(&json!({"object": 7, "box": BOX, "label": "disc"}));
    let mut expected = told(&tracker.add(7, &Prompt::bounds(BOX)).unwrap());
    expected[0]["label"] = json!("disc");
    assert_eq!(objects(said), expected);
    for number in 1..6 {
        let answer = session.give(number, "").expect(200);
        assert_eq!(answer.json()["frame"], number);
        let mut expected = told(&tracker.push(&image(number)).unwrap());
        expected[0]["label"] = json!("disc");
        assert_eq!(objects(answer), expected, "frame {number}");
    }
    let state = session.state();
    assert_eq!((&state["frame"], &state["frames"], &state["objects"]), (&json!(5), &json!(6), &json!([7])));
    assert!(state["bytes"].as_u64().is_some_and(|bytes| bytes >= tracker.state_bytes() as u64), "{state}");
}

#[test]
fn frames_come_in_every_form_that_pictures_do_and_masks_can_be_left_out() {
    use base64::Engine;
    let session = Session::new(shared());
    session.give(0, "?track=false").expect(200);
    let held = objects(session.say(&json!({"object": 1, "points": [[20, 30, 1]]})));
    assert_eq!((&held[0]["prompted"], &held[0]["segmentation"]["size"]), (&json!(true), &json!([64, 96])));
    let base64 = base64::engine::general_purpose::STANDARD.encode(frame(1));
    let path = session.path("/frames");
    let plain = objects(session.give(1, "?index=1"));
    let reference = maskline_hash(&frame(1));
    for call in [
        post(&path).json(&json!({"image": {"base64": base64}, "index": 1})),
        post(&path).json(&json!({"image": format!("data:image/png;base64,{base64}"), "index": 1, "track": true})),
        post(&path).json(&json!({"image": {"ref": reference}, "index": 1})),
        post(&path).form(Form::default().file("image", &frame(1)).text("index", "1")),
        post(&format!("{path}?index=1&image={reference}")),
    ] {
        assert_eq!(objects(call.answer(session.to)), plain);
    }
    let short = objects(session.give(1, "?index=1&masks=false"));
    assert!(short[0].get("segmentation").is_none(), "{short}");
    assert_eq!((&short[0]["area"], &short[0]["score"], &short[0]["box"]), (&plain[0]["area"], &plain[0]["score"], &plain[0]["box"]));
}

fn maskline_hash(file: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn several_frames_are_answered_a_line_each_as_they_are_one_by_one() {
    let (single, several) = (Session::new(shared()), Session::new(shared()));
    for session in [&single, &several] {
        session.give(0, "").expect(200);
        objects(session.say(&json!({"object": 1, "box": BOX})));
    }
    let one_by_one: Vec<Value> = (1..5).map(|number| objects(single.give(number, ""))).collect();
    let form = (1..5).fold(Form::default(), |form, number| form.file("image", &frame(number)));
    let told = lines(post(&several.path("/frames")).form(form).answer(several.to));
    let frames: Vec<&Value> = told.iter().map(|line| &line["frame"]).collect();
    assert_eq!(frames, [1, 2, 3, 4]);
    assert_eq!(told.iter().map(|line| line["objects"].clone()).collect::<Vec<_>>(), one_by_one);
    // A frame that fails is the last.
    let form = Form::default().file("image", &frame(5)).file("image", b"no picture").file("image", &frame(6));
    let told = lines(post(&several.path("/frames")).form(form).answer(several.to));
    assert_eq!((told.len(), &told[0]["frame"], &told[1]["error"]["status"]), (2, &json!(5), &json!(400)));
    assert_eq!(several.state()["frame"], 5);
    // One frame is a line where that is wished.
    let call = post(&several.path("/frames")).header("accept", "application/jsonl").body("image/png", frame(6));
    assert_eq!(lines(call.answer(several.to)).len(), 1);
}

#[test]
fn a_clip_is_gone_through_backwards_and_frames_are_gone_back_to() {
    let session = Session::open(shared(), &json!({"model": "film", "history": 10, "length": 6}));
    let options = TrackerOptions { history: 10, length: Some(6), ..TrackerOptions::default() };
    let mut tracker = model().tracker(options).unwrap();
    session.give(5, "?index=5&track=false").expect(200);
    tracker.look(5, &image(5)).unwrap();
    let bounds = [38.0, 18.0, 62.0, 42.0];
    assert_eq!(objects(session.say(&json!({"object": 1, "box": bounds}))), told(&tracker.add(1, &Prompt::bounds(bounds)).unwrap()));
    for number in (3..5).rev() {
        let answer = session.give(number, "?direction=backward").expect(200);
        assert_eq!(answer.json()["frame"], number);
        tracker.look(number, &image(number)).unwrap();
        assert_eq!(objects(answer), told(&tracker.track(Direction::Backward).unwrap()));
    }
    // A correction where it was tracked before.
    session.give(4, "?index=4&track=false").expect(200);
    tracker.look(4, &image(4)).unwrap();
    let click = maskline::Click { x: 44.0, y: 30.0, is_positive: true };
    let refined = session.say(&json!({"object": 1, "points": [[44, 30]], "refine": true}));
    assert_eq!(objects(refined), told(&tracker.refine(1, &[click]).unwrap()));
    let far = session.give(0, "?index=6").problem(400);
    assert!(far["expected"].as_str().is_some_and(|expected| expected.contains('6')), "{far}");
    // Behind the first there is none.
    session.give(0, "?index=0&track=false").expect(200);
    assert_eq!(session.give(0, "?direction=backward").problem(400)["found"], "the first frame");
}

#[test]
fn two_clients_on_one_session_wait_for_each_other_and_no_frame_is_lost() {
    let session = Session::new(shared());
    session.give(0, "").expect(200);
    objects(session.say(&json!({"object": 1, "box": BOX})));
    let give = |from: usize| {
        (0..8).map(|number| session.give((from + number) % 10, "?masks=false").expect(200).json()["frame"].as_u64().unwrap()).collect()
    };
    let mut frames: Vec<u64> = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(|| give(1)), scope.spawn(|| give(4)));
        let both: [Vec<u64>; 2] = [one.join().unwrap(), other.join().unwrap()];
        assert!(both.iter().all(|frames| frames.is_sorted()), "{both:?}");
        both.concat()
    });
    frames.sort_unstable();
    assert_eq!(frames, (1..17).collect::<Vec<u64>>());
    assert_eq!(session.state()["frames"], 17);
}

#[test]
fn more_than_may_wait_is_refused_and_who_goes_away_leaves_the_session_as_it_is() {
    let session = Session::new(shared());
    session.give(0, "").expect(200);
    objects(session.say(&json!({"object": 1, "box": BOX})));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..30)
            .map(|number| {
                scope.spawn({
                    let session = &session;
                    move || session.give(number % 10, "?masks=false")
                })
            })
            .collect();
        calls.into_iter().map(|call| call.join().unwrap().status).collect()
    });
    let answered = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429)) && answered >= 9, "{statuses:?}");
    assert_eq!(session.state()["frames"].as_u64(), Some(answered as u64 + 1));
    // A stream whose reader goes.
    let form = (0..40).fold(Form::default(), |form, number| form.file("image", &frame(number % 10)));
    drop(post(&session.path("/frames")).form(form).sent(session.to));
    for _ in 0..2000 {
        if get("/v1/models/film").answer(session.to).json()["under_way"] == 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let before = session.state()["frames"].as_u64();
    session.give(1, "").expect(200);
    assert_eq!(session.state()["frames"].as_u64(), before.map(|frames| frames + 1));
    delete(&session.path("")).answer(session.to).expect(204);
}
