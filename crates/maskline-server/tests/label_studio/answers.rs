//! What is answered to what somebody has drawn.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::{Answer, post};
use super::requests::{BRUSH, click, config, data_uri, drawn, predict, rectangle, task};
use super::running::{BOX, BOX_TEXT, SIZE, picture, shared};

const MUG: &str = r#"<Label value="Mug"/>"#;

fn ask(to: SocketAddr, body: &Value) -> Answer {
    post("/label-studio/nano/predict").json(body).answer(to)
}

/// The only prediction of an answer.
fn prediction(answer: Answer) -> Value {
    let answered = answer.expect(200).json();
    assert_eq!(answered["results"].as_array().map(Vec::len), Some(1), "{answered}");
    answered["results"][0].clone()
}

/// What the native interface answers as a file for Label Studio.
fn native(query: &str, file: Vec<u8>) -> Value {
    let path = format!("/v1/segment?model=nano&format=label-studio&{query}");
    post(&path).body("image/png", file).answer(shared()).expect(200).json()
}

#[test]
fn clicks_and_boxes_become_the_brush_that_the_native_interface_answers() {
    let (to, file) = (shared(), picture(101));
    let image = data_uri(&file);
    let mut ids = BTreeSet::new();
    for (items, query, label) in [
        (vec![click(48.0, 30.0, true)], "point=48,30".to_owned(), "Mug"),
        (vec![click(48.0, 30.0, true), click(3.0, 3.0, false)], "point=48,30&point=3,3,0".to_owned(), "Mug"),
        (vec![rectangle(BOX, "Plate")], format!("box={BOX_TEXT}"), "Plate"),
        (vec![rectangle([1.0, 1.0, 5.0, 5.0], "Mug"), rectangle(BOX, "Plate")], format!("box={BOX_TEXT}"), "Plate"),
        (vec![rectangle(BOX, "Plate"), click(48.0, 30.0, true)], format!("box={BOX_TEXT}&point=48,30"), "Mug"),
    ] {
        let found = prediction(ask(to, &predict(&[task(1, &image)], BRUSH, drawn(&items))));
        assert_eq!(found["model_version"], format!("nano@maskline-{}", env!("CARGO_PKG_VERSION")));
        let region = &found["result"][0];
        let expected = &native(&query, file.clone())["predictions"][0]["result"][0];
        assert_eq!(region["value"]["rle"], expected["value"]["rle"], "{query}");
        assert_eq!((&region["score"], &found["score"]), (&expected["score"], &expected["score"]));
        assert_eq!(region["value"]["brushlabels"], json!([label]));
        for (field, value) in [
            ("type", json!("brushlabels")),
            ("from_name", json!("brush")),
            ("to_name", json!("img")),
            ("original_width", json!(SIZE.0)),
            ("original_height", json!(SIZE.1)),
            ("image_rotation", json!(0)),
        ] {
            assert_eq!(region[field], value, "{field}");
        }
        assert_eq!(region["value"]["format"], "rle");
        ids.insert(region["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 5, "they come to stand beside each other");
}

#[test]
fn a_project_without_brush_gets_outlines_or_boxes() {
    let (to, image) = (shared(), data_uri(&picture(102)));
    let ask = |tag: &str| {
        let request = predict(&[task(1, &image)], &config(tag, MUG), drawn(&[rectangle(BOX, "Mug")]));
        prediction(ask(to, &request))["result"][0].clone()
    };
    let outline = ask("PolygonLabels");
    assert_eq!((&outline["type"], &outline["from_name"]), (&json!("polygonlabels"), &json!("only")));
    assert_eq!((&outline["value"]["polygonlabels"], &outline["value"]["closed"]), (&json!(["Mug"]), &json!(true)));
    let points = outline["value"]["points"].as_array().unwrap();
    let side = |point: &Value, at: usize| point[at].as_f64().unwrap();
    assert!(
        points.len() > 5 && points.iter().all(|point| (0.0..=100.0).contains(&side(point, 0)) && (0.0..=100.0).contains(&side(point, 1)))
    );
    let rectangle = ask("RectangleLabels");
    assert_eq!((&rectangle["type"], &rectangle["value"]["rectanglelabels"]), (&json!("rectanglelabels"), &json!(["Mug"])));
    // Both lie around the same mask.
    let reach =
        |at: usize| points.iter().map(|point| side(point, at)).fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
    for (at, corner, length) in [(0, "x", "width"), (1, "y", "height")] {
        let (low, high) = reach(at);
        let (corner, length) = (rectangle["value"][corner].as_f64().unwrap(), rectangle["value"][length].as_f64().unwrap());
        assert!((low - corner).abs() < 3.0 && (high - corner - length).abs() < 3.0, "{low} {high} {corner} {length}");
    }
}

#[test]
fn a_model_that_waits_for_somebody_to_draw_predicts_nothing_before_and_after() {
    let (to, image) = (shared(), data_uri(&picture(103)));
    let tasks = [task(1, &image), task(2, &image)];
    // Nothing that Label Studio would keep.
    assert_eq!(ask(to, &predict(&tasks, BRUSH, Value::Null)).expect(200).json(), json!({"results": [[], []]}));
    let mut without = predict(&tasks, BRUSH, Value::Null);
    without.as_object_mut().unwrap().remove("params");
    assert_eq!(ask(to, &without).expect(200).json(), json!({"results": [[], []]}));
    for context in [drawn(&[]), json!({"event": "prewarm"})] {
        let found = prediction(ask(to, &predict(&tasks[..1], BRUSH, context)));
        assert_eq!((&found["result"], found["score"].as_f64()), (&json!([]), Some(0.0)));
    }
    assert_eq!(ask(to, &predict(&[], BRUSH, drawn(&[]))).expect(200).json(), json!({"results": []}));
}

#[test]
fn a_task_that_fails_leaves_the_others_and_the_only_one_is_a_problem() {
    let (to, image) = (shared(), data_uri(&picture(104)));
    let context = || drawn(&[click(48.0, 30.0, true)]);
    let no_picture = data_uri(b"no picture");
    let tasks = [task(1, &image), task(2, &no_picture), json!({"id": 3, "data": {"text": "none"}}), task(4, &image)];
    let results = ask(to, &predict(&tasks, BRUSH, context())).expect(200).json()["results"].clone();
    assert_eq!(results.as_array().map(Vec::len), Some(4));
    for (index, is_fine) in [true, false, false, true].into_iter().enumerate() {
        assert_eq!(results[index].get("result").is_some(), is_fine, "{index}");
        assert_eq!(results[index]["error"]["status"] == 400, !is_fine, "{index}: {}", results[index]);
    }
    assert!(results[2]["error"]["detail"].as_str().unwrap().contains("data.image"), "{}", results[2]);
    ask(to, &predict(&tasks[1..3], BRUSH, context())).problem(400);
    let outside = ask(to, &predict(&tasks[..1], BRUSH, drawn(&[click(9000.0, 30.0, true)]))).problem(400);
    assert!(outside["detail"].as_str().unwrap().contains("click"), "{outside}");
}

#[test]
fn what_is_wrong_with_a_request_is_told_with_its_place() {
    let (to, image) = (shared(), data_uri(&picture(105)));
    let one = || [task(1, &image)];
    let many: Vec<Value> = (0..1001).map(|id| task(id, "")).collect();
    let clicks: Vec<Value> = (0..1025).map(|_| click(1.0, 1.0, true)).collect();
    for (body, status, told) in [
        (json!({"label_config": BRUSH}), 400, "tasks"),
        (json!({"tasks": [{"id": 1}], "label_config": BRUSH}), 400, "data"),
        (json!({"tasks": [{"data": {}}], "label_config": 1}), 400, "label_config"),
        (predict(&many, BRUSH, Value::Null), 400, "1000"),
        (predict(&one(), "", drawn(&[])), 400, "XML"),
        (predict(&one(), &" ".repeat((1 << 20) + 1), drawn(&[])), 413, "label_config"),
        (predict(&one(), BRUSH, drawn(&clicks)), 413, "1024"),
        (predict(&one(), BRUSH, drawn(&[json!({"type": "ellipselabels", "value": {}})])), 400, "ellipselabels"),
        (predict(&one(), BRUSH, drawn(&[json!({"type": "keypointlabels", "value": {"x": "a"}})])), 400, "result[0].value.x"),
        (predict(&[json!({"data": {"image": ["a"]}})], BRUSH, drawn(&[click(1.0, 1.0, true)])), 400, "data.image"),
    ] {
        let problem = ask(to, &body).problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
    }
    post("/label-studio/predict").body("application/json", b"{".to_vec()).answer(to).problem(400);
    post("/label-studio/predict").body("application/json", vec![b'['; 100_000]).answer(to).problem(400);
}

#[test]
fn requests_are_counted_for_their_model() {
    let (to, image) = (shared(), data_uri(&picture(106)));
    ask(to, &predict(&[task(1, &image)], BRUSH, drawn(&[click(48.0, 30.0, true)]))).expect(200);
    let statistics = super::client::get("/v2/models/nano/stats").answer(to).expect(200).json();
    assert!(statistics["model_stats"][0]["inference_count"].as_u64().is_some_and(|count| count > 0), "{statistics}");
}

/// A picture as a JPEG whose camera was held upright: browsers show it turned by a quarter.
fn turned(size: (u32, u32)) -> Vec<u8> {
    let mut file = Vec::new();
    let pixels = vec![90; (size.0 * size.1) as usize];
    image::codecs::jpeg::JpegEncoder::new(&mut file).encode(&pixels, size.0, size.1, image::ExtendedColorType::L8).unwrap();
    // One entry: orientation (0x112), a short, 6.
    let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut segment = vec![0xff, 0xe1];
    segment.extend((exif.len() as u16 + 2).to_be_bytes());
    segment.extend(exif);
    file.splice(2..2, segment);
    file
}

#[test]
fn a_picture_that_is_shown_turned_is_answered_as_it_is_shown() {
    let image = data_uri(&turned((80, 40)));
    let whole = json!({"type": "rectanglelabels", "value": {"x": 10, "y": 10, "width": 80, "height": 80, "rectanglelabels": ["Mug"]}});
    let found = prediction(ask(shared(), &predict(&[task(1, &image)], BRUSH, drawn(&[whole]))));
    let region = &found["result"][0];
    assert_eq!((&region["original_width"], &region["original_height"], &region["image_rotation"]), (&json!(40), &json!(80), &json!(0)));
}
