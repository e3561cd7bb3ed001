//! What cannot be answered is told with its fields.

use serde_json::{Value, json};

use super::client::{Call, Form, get, post};
use super::running::{BOX, BOX_TEXT, Running, picture, picture_of, shared, small_limits};

fn segment(request: Value) -> Value {
    post("/v1/segment").json(&request).answer(shared()).problem(400)
}

#[test]
fn a_misspelt_field_is_told_with_the_one_that_may_be_meant() {
    let reference = "0".repeat(64);
    let top = segment(json!({"image": reference, "promts": []}));
    assert_eq!(
        (top["message"].as_str(), top["help"].as_str()),
        (Some("unknown field `promts` of /v1/segment"), Some("is `prompts` meant?"))
    );
    let within = segment(json!({"image": reference, "prompts": [{"bxo": BOX}]}));
    assert!(within["message"].as_str().is_some_and(|message| message.contains("prompts[0]") && message.contains("bxo")), "{within}");
    let elsewhere = segment(json!({"image": reference, "texts": ["a"]}));
    assert_eq!(elsewhere["help"], "`texts` belongs to /v1/detect");
    let of_form = post("/v1/segment").form(Form::default().text("bx", BOX_TEXT)).answer(shared()).problem(400);
    assert_eq!(of_form["help"], "is `box` meant?");
    let twice = post("/v1/segment?model=nano").json(&json!({"model": "nano"})).answer(shared()).problem(400);
    assert_eq!(twice["found"], "it twice");
}

#[test]
fn wrong_values_are_told_with_their_place() {
    let reference = "0".repeat(64);
    for (request, place) in [
        (json!({"image": reference, "prompts": [{"box": [1, 2, 3]}]}), "prompts[0]"),
        (json!({"image": reference, "mask_threshold": "much"}), "mask_threshold"),
        (json!({"image": {"base46": ""}}), "base64"),
        (json!({"image": reference, "multimask": "perhaps"}), "multimask"),
        (json!({"image": reference, "everything": 3}), "everything"),
    ] {
        let problem = segment(request);
        assert!(problem["message"].as_str().is_some_and(|message| message.contains(place)), "{place}: {problem}");
    }
    let none = post("/v1/segment").json(&json!({"prompts": [BOX]})).answer(shared()).problem(400);
    assert_eq!((none["message"].as_str(), none["found"].as_str()), (Some("image"), Some("none")));
    let nothing = post("/v1/segment?model=nano").body("image/png", picture(30)).answer(shared()).problem(400);
    assert_eq!(nothing["expected"], "prompts, or everything");
    post("/v1/segment").body("application/json", b"{".to_vec()).answer(shared()).problem(400);
    post("/v1/segment").body("application/json", b"[1]".to_vec()).answer(shared()).problem(400);
}

#[test]
fn one_bad_prompt_costs_no_other_its_answer() {
    let ask = |prompts: Value| {
        let request = json!({"prompts": prompts, "model": "nano"}).to_string();
        post("/v1/segment").form(Form::default().file("image", &picture(31)).text("request", &request)).answer(shared())
    };
    let answer = ask(json!([{"points": [[900, 30]]}, {"box": BOX}, {"points": [[1, 2, 7]]}])).expect(200).json();
    assert_eq!(
        answer["objects"].as_array().map(|objects| objects.iter().map(|object| object["prompt"].clone()).collect()),
        Some(vec![json!(1)])
    );
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| error["prompt"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(2)]);
    assert_eq!((errors[0]["kind"].as_str(), errors[0]["found"].as_str()), (Some("bad_input"), Some("900, 30")));
    assert!(errors[0]["expected"].as_str().is_some_and(|expected| expected.contains("97 × 61")));
    let none = ask(json!([{"points": [[900, 30]]}, {"points": [[1, 2, 7]]}])).problem(400);
    assert_eq!(none["message"], "prompt 0");
}

#[test]
fn what_is_not_there_is_told_by_its_name() {
    let to = shared();
    let model = post("/v1/segment?model=nanoo&box=0,0,5,5").body("image/png", picture(32)).answer(to).problem(404);
    assert!(model["help"].as_str().is_some_and(|help| help.contains("nano")), "{model}");
    let held = post("/v1/segment").json(&json!({"image": {"ref": "ab".repeat(32)}, "prompts": [BOX]})).answer(to).problem(404);
    assert_eq!(held["type"], "/problems/not_found");
    assert!(held["help"].is_string());
    let named = get("/v1/nothing").header("x-request-id", "a-7").answer(to).problem(404);
    assert_eq!(named["instance"], "a-7");
    get("/v1/models/nothing").answer(to).problem(404);
    let method = get("/v1/segment").answer(to);
    assert_eq!(method.header("allow"), Some("POST"));
    method.problem(405);
    post("/v1/segment").body("text/html", b"<p>".to_vec()).answer(to).problem(415);
    post("/v1/segment?box=0,0,5,5").body("image/png", b"no picture".to_vec()).answer(to).problem(400);
    post("/v1/segment?model=classes&box=0,0,5,5").body("image/png", picture(32)).answer(to).problem(400);
    post("/v1/classify?model=nano").body("image/png", picture(32)).answer(to).problem(400);
    let address = post("/v1/segment").json(&json!({"image": {"url": "http://127.0.0.1/a.png"}, "prompts": [BOX]})).answer(to);
    assert_eq!(address.problem(403)["type"], "/problems/forbidden");
}

#[test]
fn limits_hold_before_anything_is_computed() {
    let server = Running::with_nano(|options| options.limits = small_limits());
    let to = server.address;
    let over = |call: Call| call.answer(to).problem(413);
    let prompts: Vec<[f32; 4]> = vec![BOX; 5];
    let many = over(post("/v1/segment").json(&json!({"image": "0".repeat(64), "prompts": prompts})));
    assert_eq!((many["expected"].as_str(), many["found"].as_str()), (Some("at most 4"), Some("5")));
    let pictures: Vec<String> = vec!["0".repeat(64); 5];
    over(post("/v1/segment").json(&json!({"images": pictures, "prompts": [BOX]})));
    over(post("/v1/detect").json(&json!({"image": "0".repeat(64), "texts": ["a", "b", "c", "d", "e"]})));
    let mut form = Form::default();
    for _ in 0..5 {
        form = form.text("box", BOX_TEXT);
    }
    over(post("/v1/segment").form(form));
    over(post("/v1/segment?box=0,0,5,5").body("image/png", picture_of((300, 200), 1)));
    over(post("/v1/segment?box=0,0,5,5").body("image/png", vec![0; 50_000]));
    over(post("/v1/segment").form(Form::default().file("image", &vec![0; 50_000])));
    over(post("/v1/segment").body("application/json", vec![b' '; 50_000]));
    post("/v1/segment?box=20,12,77,49").body("image/png", picture(33)).answer(to).expect(200);
    server.stop.end();
    server.end().unwrap();
}

#[test]
fn no_time_is_too_little() {
    let late = post("/v1/segment?model=nano&box=0,0,5,5&timeout=0").body("image/png", picture(34)).answer(shared()).problem(504);
    assert_eq!((late["kind"].as_str(), late["type"].as_str()), (Some("timed_out"), Some("/problems/timed_out")));
    let urgent = post("/v1/segment?model=nano&box=20,12,77,49&priority=high").body("image/png", picture(34)).answer(shared());
    urgent.expect(200);
}
