//! More requests than can be answered, requests whose time is over, and callers who go.

use std::time::{Duration, Instant};

use maskline::{Delays, LoadOptions};
use maskline_server::Limits;
use maskline_server::oip::grpc::proto;
use serde_json::{Value, json};

use crate::grpc::client;
use crate::pictures::question;
use crate::server::{LIMIT, TestServer, nano, runtime};
use crate::wire::Post;

/// nano, whose decoder takes seconds, by a name that no other server of this process has: metrics are those of the process. With room for
/// so many requests.
fn slow(name: &str, queue: usize) -> TestServer {
    let delays = Delays { mask_decode: Duration::from_secs(2), ..Delays::default() };
    let load = LoadOptions { delays, ..LoadOptions::default() };
    TestServer::start(vec![nano(name, load)], Limits { queue, ..Limits::default() })
}

fn click(model: &str, more: &Value) -> Post {
    question(model, &[json!({"name": "points", "datatype": "FP32", "shape": [1, 2], "data": [80., 60.]})], more)
}

/// Waits until something is true.
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_true() {
        assert!(since.elapsed() < LIMIT, "{what}: not in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Requests of a model that were not answered.
fn failed(server: &TestServer, model: &str) -> u64 {
    let counts = server.connect().get(&format!("/v2/models/{model}/stats")).ok();
    counts["model_stats"][0]["inference_stats"]["fail"]["count"].as_u64().unwrap()
}

/// Requests of a model that are under way or wait.
fn under_way(server: &TestServer, model: &str) -> f64 {
    let metrics = String::from_utf8(server.connect().get("/metrics").body).unwrap();
    let line = metrics.lines().find(|line| line.starts_with(&format!("maskline_requests_under_way{{model=\"{model}\"}}")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

#[test]
fn a_full_queue_refuses_in_the_words_that_clients_know() {
    let server = slow("full", 1);
    let mut first = server.connect();
    first.write("POST", &click("full", &json!({})));
    wait_until("under way", || under_way(&server, "full") == 1.0);
    let refused = server.connect().send(&click("full", &json!({})));
    assert!(refused.status == 503 && refused.error().contains("Exceeds maximum queue size"), "{}", refused.error());
    assert!(refused.header("retry-after").is_some());
    first.read().ok();
    server.connect().send(&click("full", &json!({}))).ok();
}

#[test]
fn a_request_whose_time_is_over_is_not_begun() {
    let server = slow("late", 64);
    let reply = server.connect().send(&click("late", &json!({"parameters": {"timeout": 1}})));
    assert!(reply.status == 503 && reply.error().contains("Request timeout expired"), "{}", reply.error());
    server.connect().send(&click("late", &json!({}))).ok();
}

#[test]
fn callers_who_go_leave_their_places() {
    let server = slow("gone", 2);
    for round in 1..=2 {
        let connections: Vec<_> = (0..2)
            .map(|_| {
                let mut connection = server.connect();
                connection.write("POST", &click("gone", &json!({})));
                connection
            })
            .collect();
        wait_until("under way", || under_way(&server, "gone") == 2.0);
        drop(connections);
        wait_until("called off", || failed(&server, "gone") == 2 * round);
        server.connect().send(&click("gone", &json!({}))).ok();
    }
}

#[test]
fn calls_that_are_cancelled_leave_their_places() {
    let server = slow("cancelled", 2);
    let image = crate::pictures::picture();
    let request = || {
        let input = |name: &str, datatype: &str, shape: &[i64]| proto::model_infer_request::InferInputTensor {
            name: name.into(),
            datatype: datatype.into(),
            shape: shape.to_vec(),
            ..Default::default()
        };
        let image = [&(image.len() as u32).to_le_bytes(), image.as_slice()].concat();
        proto::ModelInferRequest {
            model_name: "cancelled".into(),
            inputs: vec![input("image", "BYTES", &[1]), input("points", "FP32", &[1, 2])],
            raw_input_contents: vec![image.into(), crate::wire::floats(&[80., 60.]).into()],
            ..Default::default()
        }
    };
    for round in 1..=2 {
        let mut client = runtime().block_on(client(&server));
        let (mut other, first, second) = (client.clone(), request(), request());
        let calls = runtime().spawn(async move { tokio::join!(client.model_infer(first), other.model_infer(second)).0.map(drop) });
        wait_until("under way", || under_way(&server, "cancelled") == 2.0);
        calls.abort();
        wait_until("called off", || failed(&server, "cancelled") == 2 * round);
        server.connect().send(&click("cancelled", &json!({}))).ok();
    }
}
