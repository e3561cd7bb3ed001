//! Models of pictures, and their networks one by one.

use std::io::Cursor;

use serde_json::{Value, json};

use crate::server::shared;
use crate::wire::{Post, Reply, floats};

/// A bright disc on a dark ground, as PNG.
pub(crate) fn picture() -> Vec<u8> {
    let mut pixels = image::RgbImage::new(160, 120);
    for (x, y, pixel) in pixels.enumerate_pixels_mut() {
        let (dx, dy) = (f64::from(x) - 80., f64::from(y) - 60.);
        *pixel = image::Rgb(if dx * dx + dy * dy < 900. { [220, 190, 60] } else { [40, 60, 90] });
    }
    let mut file = Cursor::new(Vec::new());
    pixels.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

/// Elements of BYTES behind their lengths.
fn packed(elements: &[&[u8]]) -> Vec<u8> {
    elements.iter().flat_map(|element| [&(element.len() as u32).to_le_bytes(), *element].concat()).collect()
}

fn unpacked(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (element, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        elements.push(element.to_vec());
        bytes = rest;
    }
    elements
}

/// A question about the picture, with more inputs as JSON.
pub(crate) fn question(model: &str, inputs: &[Value], more: &Value) -> Post {
    let file = packed(&[&picture()]);
    let image = json!({"name": "image", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": file.len()}});
    let inputs: Vec<&Value> = std::iter::once(&image).chain(inputs).collect();
    let mut json = json!({"inputs": inputs, "parameters": {"binary_data_output": true}});
    for (key, value) in more.as_object().unwrap() {
        json[key] = value.clone();
    }
    Post::infer(model, &json, &[&file])
}

fn points(points: &[[f32; 2]]) -> Value {
    json!({"name": "points", "datatype": "FP32", "shape": [points.len(), 2], "data": points})
}

/// Area of the mask of pixels that COCO's counts tell, told by their sizes alone.
fn masks(reply: &Reply) -> Vec<Value> {
    unpacked(&reply.bytes("masks")).iter().map(|mask| serde_json::from_slice(mask).unwrap()).collect()
}

#[test]
fn clicks_and_boxes_give_masks() {
    let mut connection = shared().connect();
    let boxes = json!({"name": "boxes", "datatype": "FP32", "shape": [1, 4], "data": [45., 25., 115., 95.]});
    let labels = json!({"name": "labels", "datatype": "INT64", "shape": [2], "data": [1, 0]});
    let inputs = [points(&[[80., 60.], [5., 5.]]), labels, boxes];
    let reply = connection.send(&question("nano", &inputs, &json!({})));
    let shapes: Vec<Value> =
        reply.ok()["outputs"].as_array().unwrap().iter().map(|output| json!([output["name"], output["shape"]])).collect();
    assert_eq!(json!(shapes), json!([["boxes", [2, 4]], ["scores", [2]], ["prompts", [2]], ["masks", [2]]]));
    let masks = masks(&reply);
    assert!(masks.iter().all(|mask| mask["size"] == json!([120, 160]) && mask["counts"].is_string()), "{masks:?}");
    assert_eq!(reply.bytes("prompts"), [0i64.to_le_bytes(), 1i64.to_le_bytes()].concat());
    // The box of the second object is about that which was asked for.
    let bounds: Vec<f32> = reply.bytes("boxes").chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    let [x1, y1, x2, y2] = bounds[4..] else { panic!("{bounds:?}") };
    assert!(x1 > 30. && y1 > 10. && x2 < 130. && y2 < 110., "{bounds:?}");
    assert_eq!(reply.ok()["model_name"], "nano");
}

#[test]
fn outputs_are_chosen_and_told_in_json_too() {
    let more = json!({"outputs": [{"name": "masks", "parameters": {"binary_data": false}}, {"name": "scores"}]});
    let answer = shared().connect().send(&question("nano", &[points(&[[80., 60.]])], &more)).ok();
    let names: Vec<&Value> = answer["outputs"].as_array().unwrap().iter().map(|output| &output["name"]).collect();
    assert_eq!(names, ["masks", "scores"]);
    let mask: Value = serde_json::from_str(answer["outputs"][0]["data"][0].as_str().unwrap()).unwrap();
    assert_eq!(mask["size"], json!([120, 160]));
}

#[test]
fn a_picture_is_encoded_once() {
    let mut connection = shared().connect();
    let statistics = |connection: &mut crate::wire::Connection| {
        let counts = connection.get("/v2/models/nano/stats").ok()["model_stats"][0]["inference_stats"].clone();
        let count = |name: &str| counts[name]["count"].as_u64().unwrap();
        (count("success"), count("cache_hit"), count("cache_miss"))
    };
    connection.send(&question("nano", &[points(&[[70., 60.]])], &json!({}))).ok();
    let before = statistics(&mut connection);
    connection.send(&question("nano", &[points(&[[80., 60.]])], &json!({}))).ok();
    let after = statistics(&mut connection);
    // Other tests ask too.
    assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");
}

#[test]
fn what_the_model_does_not_take_is_refused() {
    let mut connection = shared().connect();
    let text = json!({"name": "text", "datatype": "BYTES", "shape": [1], "data": ["car"]});
    let cases = [
        (vec![], json!({}), "points or boxes"),
        (vec![text], json!({}), "text"),
        (vec![points(&[[80., 60.]])], json!({"parameters": {"conf": 0.5}}), "conf"),
        (vec![points(&[[800., 60.]])], json!({}), "inside the picture"),
        (vec![points(&[[80., 60.]])], json!({"outputs": [{"name": "labels"}]}), "labels"),
    ];
    for (inputs, more, word) in cases {
        let reply = connection.send(&question("nano", &inputs, &more));
        assert!(reply.status == 400 && reply.error().contains(word), "{word}: {} {}", reply.status, reply.error());
    }
    for (shape, data) in [(1, json!(["no picture"])), (2, json!(["a", "b"])), (0, json!([]))] {
        let image = json!({"name": "image", "datatype": "BYTES", "shape": [shape], "data": data});
        let reply = connection.send(&Post::json("/v2/models/nano/infer", &json!({"inputs": [image, points(&[[8., 6.]])]})));
        assert_eq!(reply.status, 400, "{}", reply.error());
    }
}

#[test]
fn each_network_of_a_model_takes_tensors() {
    let mut connection = shared().connect();
    let index = connection.send(&Post::json("/v2/repository/index", &json!({"ready": true}))).ok();
    let names: Vec<&str> = index.as_array().unwrap().iter().filter_map(|entry| entry["name"].as_str()).collect();
    let parts: Vec<&&str> = names.iter().filter(|name| name.starts_with("nano.")).collect();
    assert!(!parts.is_empty(), "{names:?}");
    for part in parts {
        let metadata = connection.get(&format!("/v2/models/{part}")).ok();
        let (mut inputs, mut tensors) = (Vec::new(), Vec::new());
        for input in metadata["inputs"].as_array().unwrap() {
            assert_eq!(input["datatype"], "FP32", "{metadata}");
            let shape: Vec<usize> = input["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap_or(1) as usize).collect();
            let zeros = floats(&vec![0.; shape.iter().product()]);
            inputs
                .push(json!({"name": input["name"], "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": zeros.len()}}));
            tensors.push(zeros);
        }
        let tensors: Vec<&[u8]> = tensors.iter().map(Vec::as_slice).collect();
        let json = json!({"inputs": inputs, "parameters": {"binary_data_output": true}});
        let reply = connection.send(&Post::infer(part, &json, &tensors));
        assert_eq!(reply.ok()["outputs"].as_array().map(Vec::len), metadata["outputs"].as_array().map(Vec::len), "{part}");
        let counts = connection.get(&format!("/v2/models/{part}/stats")).ok();
        assert_eq!(counts["model_stats"][0]["inference_stats"]["success"]["count"], 1, "{part}");
    }
}
