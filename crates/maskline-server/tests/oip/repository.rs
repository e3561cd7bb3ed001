//! Models that come and go, and what is counted of them.

use maskline::LoadOptions;
use maskline_server::Limits;
use maskline_server::oip::grpc::proto;
use serde_json::{Value, json};

use crate::grpc::client;
use crate::server::{TestServer, nano, runtime, shared};
use crate::wire::{Connection, Post, floats};

fn state(connection: &mut Connection, name: &str) -> Value {
    let index = connection.send(&Post { path: "/v2/repository/index".into(), ..Post::default() }).ok();
    index.as_array().unwrap().iter().find(|entry| entry["name"] == name).map_or(Value::Null, |entry| entry["state"].clone())
}

fn control(connection: &mut Connection, name: &str, what: &str) -> u16 {
    connection
        .send(&Post::json(&format!("/v2/repository/models/{name}/{what}"), &json!({"parameters": {"unload_dependents": false}})))
        .status
}

fn ask(connection: &mut Connection, model: &str) -> crate::wire::Reply {
    let input = |name: &str| json!({"name": name, "datatype": "FP32", "shape": [2, 16], "parameters": {"binary_data_size": 128}});
    let row = floats(&[1.; 32]);
    connection.send(&Post::infer(model, &json!({"inputs": [input("INPUT0"), input("INPUT1")]}), &[&row, &row]))
}

#[test]
fn a_model_is_unloaded_and_loaded_while_others_answer() {
    let server = TestServer::start(vec![nano("nano", LoadOptions::default())], Limits::default());
    let mut connection = server.connect();
    assert_eq!(state(&mut connection, "add_sub"), "READY");
    assert_eq!(control(&mut connection, "add_sub", "unload"), 200);
    assert_eq!(state(&mut connection, "add_sub"), "UNAVAILABLE");
    assert_eq!(connection.get("/v2/models/add_sub/ready").status, 400);
    assert_eq!(ask(&mut connection, "add_sub").status, 503);
    // It was unloaded on purpose.
    server.is_well();
    assert_eq!(control(&mut connection, "add_sub", "load"), 200);
    ask(&mut connection, "add_sub").ok();
    assert_eq!(state(&mut connection, "add_sub"), "READY");
    // A model that was not named at the start.
    assert_eq!(state(&mut connection, "spare"), Value::Null);
    assert_eq!(ask(&mut connection, "spare").status, 404);
    assert_eq!(control(&mut connection, "spare", "load"), 200);
    ask(&mut connection, "spare").ok();
    // A network is no model of its own.
    let part = server.connect().send(&Post::json("/v2/repository/index", &json!({}))).ok();
    let part = part.as_array().unwrap().iter().find_map(|entry| entry["name"].as_str().filter(|name| name.starts_with("nano.")));
    assert_eq!(control(&mut connection, part.unwrap(), "unload"), 400);
    runtime().block_on(async {
        let mut client = client(&server).await;
        let name = |model_name: &str| proto::RepositoryModelUnloadRequest { model_name: model_name.into(), ..Default::default() };
        client.repository_model_unload(name("spare")).await.unwrap();
        let index = client.repository_index(proto::RepositoryIndexRequest { ready: true, ..Default::default() }).await.unwrap();
        let models = &index.get_ref().models;
        assert!(models.iter().all(|model| model.state == "READY" && model.name != "spare"), "{models:?}");
        assert!(models.iter().any(|model| model.name == "nano"));
        let name = |model_name: &str| proto::RepositoryModelLoadRequest { model_name: model_name.into(), ..Default::default() };
        client.repository_model_load(name("spare")).await.unwrap();
        assert_eq!(client.repository_model_load(name("none")).await.unwrap_err().code(), tonic::Code::NotFound);
    });
    ask(&mut connection, "spare").ok();
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    let server = TestServer::start(Vec::new(), Limits::default());
    let mut connection = server.connect();
    for _ in 0..3 {
        ask(&mut connection, "add_sub").ok();
    }
    connection.send(&Post::json("/v2/models/add_sub/infer", &json!({"inputs": []}))).error();
    let counts = connection.get("/v2/models/add_sub/stats").ok()["model_stats"][0].clone();
    assert_eq!((&counts["name"], &counts["version"], &counts["inference_count"]), (&json!("add_sub"), &json!("1"), &json!(6)));
    assert_eq!(counts["execution_count"], 3);
    let stats = &counts["inference_stats"];
    for (part, count) in [("success", 3), ("fail", 1), ("queue", 3), ("compute_input", 3), ("compute_infer", 3), ("compute_output", 3)] {
        assert_eq!(stats[part]["count"], count, "{part}");
    }
    let time = |part: &str| stats[part]["ns"].as_u64().unwrap();
    let parts: u64 = ["queue", "compute_input", "compute_infer", "compute_output"].into_iter().map(time).sum();
    assert!(time("success") >= parts && time("compute_infer") > 0, "{stats}");
    assert!(counts["last_inference"].as_u64().unwrap() > 0);
    let all = connection.get("/v2/models/stats").ok();
    assert_eq!(all["model_stats"].as_array().map(Vec::len), Some(4));
    runtime().block_on(async {
        let mut client = client(&server).await;
        let name = |name: &str| proto::ModelStatisticsRequest { name: name.into(), ..Default::default() };
        let told = client.model_statistics(name("add_sub")).await.unwrap().into_inner();
        let success = told.model_stats[0].inference_stats.unwrap().success.unwrap();
        assert_eq!((success.count, success.ns), (3, time("success")));
        assert_eq!(client.model_statistics(name("none")).await.unwrap_err().code(), tonic::Code::NotFound);
        assert_eq!(client.model_statistics(name("")).await.unwrap().into_inner().model_stats.len(), 4);
    });
    shared().is_well();
}
