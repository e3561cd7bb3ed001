//! Several pictures in one request: lines, in order, as soon as they are there.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Form, get, post};
use super::running::{BOX, BOX_TEXT, picture, shared};

fn lines(answer: Answer) -> Vec<Value> {
    let answer = answer.expect(200);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    let text = String::from_utf8(answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_can_be_packed() {
    let call = || post(&format!("/v1/segment?model=nano&box={BOX_TEXT}&stream=true")).body("image/png", picture(44));
    let packed = call().header("accept-encoding", "gzip").answer(shared()).expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).unwrap();
    let told: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(told["objects"], lines(call().answer(shared()))[0]["objects"]);
}

#[test]
fn lines_come_in_the_order_of_the_pictures_with_errors_in_their_place() {
    let to = shared();
    let form = Form::default()
        .text("model", "nano")
        .text("box", BOX_TEXT)
        .file("image", &picture(40))
        .file("image", b"no picture")
        .text("image", &"ab".repeat(32))
        .file("image", &picture(41));
    let told = lines(post("/v1/segment").form(form).answer(to));
    assert_eq!(told.len(), 4);
    let single = |seed: u8| post(&format!("/v1/segment?model=nano&box={BOX_TEXT}")).body("image/png", picture(seed)).answer(to).json();
    for (line, seed) in [(&told[0], 40), (&told[3], 41)] {
        let single = single(seed);
        assert_eq!((&line["image"], &line["objects"]), (&single["image"], &single["objects"]));
        assert!(line["timings_ms"]["total"].is_number());
    }
    assert_eq!((told[1]["index"].as_u64(), told[1]["error"]["status"].as_u64()), (Some(1), Some(400)));
    assert_eq!((told[2]["index"].as_u64(), told[2]["error"]["type"].as_str()), (Some(2), Some("/problems/not_found")));
}

#[test]
fn one_picture_is_a_line_where_that_is_wished() {
    let one = lines(post(&format!("/v1/segment?stream=true&model=nano&box={BOX_TEXT}")).body("image/png", picture(42)).answer(shared()));
    assert_eq!(one.len(), 1);
    let refused = post(&format!("/v1/segment?stream=true&format=png&box={BOX_TEXT}")).body("image/png", picture(42)).answer(shared());
    refused.problem(406);
}

/// Requests that are under way at nano.
fn under_way() -> u64 {
    get("/v1/models/nano").answer(shared()).expect(200).json()["under_way"].as_u64().unwrap()
}

#[test]
fn who_goes_away_leaves_nothing_behind() {
    let to = shared();
    let reference = post("/v1/embed?model=nano").body("image/png", picture(43)).answer(to).expect(200).json()["image"]["ref"].clone();
    let pictures: Vec<Value> = vec![reference.clone(); 200];
    let prompts = vec![json!({"box": BOX}); 8];
    let many = json!({"model": "nano", "images": pictures, "prompts": prompts});
    let everything = json!({"model": "nano", "image": reference, "everything": true});
    for request in [many, everything] {
        let mut stream = post("/v1/segment").json(&request).sent(to);
        // Once something came, or a moment later where nothing does before the end.
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let _ = stream.read(&mut [0; 64]);
        drop(stream);
    }
    // Others wait for at most as long as what runs takes.
    for _ in 0..3000 {
        if under_way() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} requests are still under way", under_way());
}
