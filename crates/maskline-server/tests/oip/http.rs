//! HTTP: what the server says of itself, all forms of requests and answers, and wrong ones.

use serde_json::{Value, json};

use crate::server::shared;
use crate::wire::{Post, floats};

const ROW: [f32; 16] = [0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11., 12., 13., 14., 15.];

fn as_bytes(name: &str, rows: usize) -> Value {
    json!({"name": name, "datatype": "FP32", "shape": [rows, 16], "parameters": {"binary_data_size": rows * 64}})
}

fn as_json(name: &str, data: Value) -> Value {
    json!({"name": name, "datatype": "FP32", "shape": [1, 16], "data": data})
}

#[test]
fn the_server_tells_what_it_is() {
    let mut connection = shared().connect();
    assert_eq!(connection.get("/v2/health/live").ok(), json!({"live": true}));
    assert_eq!(connection.get("/v2/health/ready").ok(), json!({"ready": true}));
    let server = connection.get("/v2").ok();
    let extensions = server["extensions"].as_array().unwrap();
    for extension in ["binary_tensor_data", "statistics", "model_repository", "model_configuration"] {
        assert!(extensions.contains(&json!(extension)), "{extension}");
    }
    assert_eq!(server["name"], "maskline");
}

#[test]
fn models_are_described() {
    let mut connection = shared().connect();
    let tensor = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [-1, 16]});
    for path in ["/v2/models/add_sub", "/v2/models/add_sub/versions/1"] {
        let metadata = connection.get(path).ok();
        assert_eq!(metadata["inputs"], json!([tensor("INPUT0"), tensor("INPUT1")]));
        assert_eq!(metadata["outputs"], json!([tensor("OUTPUT0"), tensor("OUTPUT1")]));
        assert_eq!((&metadata["name"], &metadata["versions"]), (&json!("add_sub"), &json!(["1"])));
        let config = connection.get(&format!("{path}/config")).ok();
        assert_eq!((&config["max_batch_size"], &config["input"][0]["dims"]), (&json!(1024), &json!([16])));
        assert_eq!(config["input"][0]["data_type"], "TYPE_FP32");
        assert_eq!(connection.get(&format!("{path}/ready")).status, 200);
    }
}

#[test]
fn what_there_is_not_is_not_found() {
    let mut connection = shared().connect();
    let cases = [
        ("GET", "/v2/models/none", 404),
        ("GET", "/v2/models/none/config", 404),
        ("GET", "/v2/models/none/stats", 404),
        ("GET", "/v2/models/none/ready", 400),
        ("POST", "/v2/models/none/infer", 404),
        ("GET", "/v2/models/nano.none", 404),
        ("GET", "/v2/models/add_sub/versions/2", 404),
        ("GET", "/v2/models/add_sub/versions/x", 404),
        ("GET", "/v2/models/add_sub/versions/2/ready", 400),
        ("POST", "/v2/models/add_sub/versions/2/infer", 404),
        ("POST", "/v2/repository/models/none/load", 404),
        ("POST", "/v2/repository/models/none/unload", 404),
        ("GET", "/v2/nonsense", 404),
        ("GET", "/v2/models/add_sub/nonsense", 404),
        ("GET", "/v2/models/add_sub/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("DELETE", "/v2/models/add_sub", 405),
        ("POST", "/v2/systemsharedmemory/region/a/register", 501),
    ];
    for (method, path, status) in cases {
        let reply = connection.request(method, &Post { path: path.into(), ..Post::default() });
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(!reply.error().is_empty(), "{method} {path}");
    }
    assert_eq!(connection.get("/v2/cudasharedmemory/status").ok(), json!([]));
}

#[test]
fn json_is_answered_with_json() {
    let mut connection = shared().connect();
    let nested = json!([[ROW[..8]], [ROW[8..]]]);
    for data in [json!(ROW), json!([ROW]), nested] {
        let inputs = json!([as_json("INPUT1", json!(ROW)), as_json("INPUT0", data)]);
        let reply = connection.send(&Post::json("/v2/models/add_sub/infer", &json!({"id": "", "inputs": inputs})));
        let answer = reply.ok();
        let sum: Vec<f32> = ROW.iter().map(|value| 2. * value).collect();
        let output = |name: &str, data: Value| json!({"name": name, "datatype": "FP32", "shape": [1, 16], "data": data});
        let outputs = json!([output("OUTPUT0", json!(sum)), output("OUTPUT1", json!([0f32; 16].as_slice()))]);
        assert_eq!(answer, json!({"model_name": "add_sub", "model_version": "1", "outputs": outputs}));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

#[test]
fn bytes_and_json_are_mixed_as_asked() {
    let mut connection = shared().connect();
    let output = |name: &str, is_binary: bool| json!({"name": name, "parameters": {"binary_data": is_binary}});
    for (first, second) in [(true, false), (false, true), (true, true), (false, false)] {
        let json = json!({
            "id": "seven 7",
            "inputs": [as_bytes("INPUT0", 1), as_json("INPUT1", json!(ROW))],
            "outputs": [output("OUTPUT1", first), output("OUTPUT0", second)],
        });
        let reply = connection.send(&Post::infer("add_sub", &json, &[&floats(&ROW)]));
        let answer = reply.ok();
        assert_eq!((&answer["id"], &answer["outputs"][0]["name"]), (&json!("seven 7"), &json!("OUTPUT1")));
        for (index, name, is_binary) in [(0, "OUTPUT1", first), (1, "OUTPUT0", second)] {
            let output = &answer["outputs"][index];
            assert_eq!((output.get("data").is_some(), output.get("parameters").is_some()), (!is_binary, is_binary), "{output}");
            let expected = ROW.map(|value| if name == "OUTPUT0" { 2. * value } else { 0. });
            match is_binary {
                true => assert_eq!(reply.bytes(name), floats(&expected)),
                false => assert_eq!(output["data"], json!(expected)),
            }
        }
    }
}

#[test]
fn all_outputs_may_travel_as_bytes() {
    let json = json!({
        "parameters": {"binary_data_output": true},
        "inputs": [as_bytes("INPUT0", 2), as_bytes("INPUT1", 2)],
        "outputs": [{"name": "OUTPUT0"}],
    });
    let rows = floats(&[ROW, ROW].concat());
    let reply = shared().connect().send(&Post::infer("add_sub", &json, &[&rows, &rows]));
    assert_eq!(reply.bytes("OUTPUT0"), floats(&[ROW, ROW].concat().iter().map(|value| 2. * value).collect::<Vec<_>>()));
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert_eq!(reply.json()["outputs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_body_may_be_the_only_input() {
    let mut connection = shared().connect();
    let post = |model: &str, body: &[u8]| {
        Post { path: format!("/v2/models/{model}/infer"), body: body.to_vec(), ..Post::default() }.with_length("0")
    };
    let reply = connection.send(&post("twice_f32", &floats(&ROW)));
    assert_eq!(reply.ok()["outputs"][0]["shape"], json!([1, 16]));
    assert_eq!(reply.bytes("OUTPUT"), floats(&ROW.map(|value| 2. * value)));
    assert!(connection.send(&post("add_sub", &floats(&ROW))).error().contains("2 inputs"));
    let ragged = connection.send(&post("twice_f32", b"12345"));
    assert_eq!(ragged.status, 400, "{}", ragged.error());
}

#[test]
fn half_floats_and_large_numbers_arrive_whole() {
    let mut connection = shared().connect();
    let largest = i64::MAX / 2;
    let input = json!({"name": "INPUT", "datatype": "INT64", "shape": [1, 2], "data": [largest, -largest]});
    let answer = connection.send(&Post::json("/v2/models/twice_i64/infer", &json!({"inputs": [input]}))).ok();
    assert_eq!(answer["outputs"][0]["data"], json!([2 * largest, -2 * largest]));
    // 1 and 65504, the largest, which becomes infinite.
    let input = json!({"name": "INPUT", "datatype": "FP16", "shape": [1, 2], "parameters": {"binary_data_size": 4}});
    let post = |is_binary: bool| {
        let json = json!({"inputs": [input], "parameters": {"binary_data_output": is_binary}});
        Post::infer("twice_f16", &json, &[&[0, 0x3c, 0xff, 0x7b]])
    };
    assert_eq!(connection.send(&post(true)).bytes("OUTPUT"), [0, 0x40, 0, 0x7c]);
    let told = connection.send(&post(false));
    assert!(told.status == 400 && told.error().contains("binary_data"), "{}", told.error());
}

#[test]
fn nothing_may_be_asked_about() {
    let mut connection = shared().connect();
    for shape in [json!([0, 16]), json!([1, 0])] {
        let input = json!({"name": "INPUT", "datatype": "FP32", "shape": shape, "data": []});
        let answer = connection.send(&Post::json("/v2/models/twice_f32/infer", &json!({"inputs": [input]}))).ok();
        assert_eq!((&answer["outputs"][0]["shape"], &answer["outputs"][0]["data"]), (&shape, &json!([])));
    }
}

#[test]
fn inputs_that_are_not_the_models_are_refused() {
    let mut connection = shared().connect();
    let input = |name: &str, datatype: &str, shape: Value| {
        let count: u64 = shape.as_array().unwrap().iter().map(|size| size.as_u64().unwrap()).product();
        json!({"name": name, "datatype": datatype, "shape": shape, "data": vec![1; count as usize]})
    };
    let good = || input("INPUT0", "FP32", json!([1, 16]));
    let other = |shape: Value| input("INPUT1", "FP32", shape);
    let text = json!({"name": "INPUT1", "datatype": "BYTES", "shape": [1], "data": ["a"]});
    let cases = [
        ("missing", json!({"inputs": [good()]}), "INPUT1"),
        ("none", json!({"inputs": []}), "INPUT0"),
        ("unknown", json!({"inputs": [good(), other(json!([1, 16])), input("X", "FP32", json!([1]))]}), "X"),
        ("twice", json!({"inputs": [good(), other(json!([1, 16])), good()]}), "twice"),
        ("of another type", json!({"inputs": [good(), input("INPUT1", "INT32", json!([1, 16]))]}), "INPUT1"),
        ("a text", json!({"inputs": [good(), text]}), "BYTES"),
        ("of another rank", json!({"inputs": [good(), other(json!([16]))]}), "INPUT1"),
        ("of another size", json!({"inputs": [good(), other(json!([1, 17]))]}), "INPUT1"),
        ("of other rows", json!({"inputs": [good(), other(json!([2, 16]))]}), "INPUT1"),
        ("too many rows", json!({"inputs": [input("INPUT0", "FP32", json!([1025, 16])), other(json!([1025, 16]))]}), "1025"),
        ("an unknown output", json!({"inputs": [good(), other(json!([1, 16]))], "outputs": [{"name": "Y"}]}), "Y"),
        (
            "an output twice",
            json!({"inputs": [good(), other(json!([1, 16]))], "outputs": [{"name": "OUTPUT0"}, {"name": "OUTPUT0"}]}),
            "OUTPUT0",
        ),
    ];
    for (what, json, word) in cases {
        let reply = connection.send(&Post::json("/v2/models/add_sub/infer", &json));
        assert!(reply.status == 400 && reply.error().contains(word), "{what}: {} {}", reply.status, reply.error());
    }
    shared().is_well();
}

#[test]
fn wrong_bodies_are_refused_and_the_connection_goes_on() {
    let mut connection = shared().connect();
    let row = floats(&ROW);
    let input = |shape: Value| json!({"inputs": [{"name": "INPUT", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": row.len()}}]});
    let post = |shape: Value| Post::infer("twice_f32", &input(shape), &[&row]);
    for length in ["-1", "99999", "10000000000000000000000000000", "abc", "1 2", "", "12"] {
        let reply = connection.send(&post(json!([1, 16])).with_length(length));
        assert_eq!(reply.status, 400, "{length:?}: {}", reply.error());
    }
    for shape in [json!([-1, 16]), json!([1.5]), json!([4294967296u64, 4294967296u64]), json!([1, 15]), json!([1u64 << 63])] {
        let reply = connection.send(&post(shape.clone()));
        assert_eq!(reply.status, 400, "{shape}: {}", reply.error());
    }
    let deep = "[".repeat(100_000);
    for body in ["", "{", "[1, 2]", "{}", r#"{"inputs": 7}"#, &deep] {
        let reply = connection.send(&Post { path: "/v2/models/twice_f32/infer".into(), body: body.into(), ..Post::default() });
        assert_eq!(reply.status, 400, "{}", reply.error());
    }
    assert_eq!(connection.send(&post(json!([1, 16]))).status, 200);
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length() {
    let mut connection = shared().connect();
    let length = (64 << 20) + 1;
    connection
        .write_raw(format!("POST /v2/models/twice_f32/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n").as_bytes());
    let reply = connection.read();
    assert_eq!(reply.status, 413, "nothing of the body was sent: {}", reply.error());
    shared().is_well();
}
