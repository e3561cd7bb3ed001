//! `maskline serve` from start to end, `ps` and `stop`, as a shell meets them.
#![allow(clippy::unwrap_used)]

mod common;

use common::Place;
use common::served::Served;
use serde_json::Value;

#[test]
fn a_server_answers_a_picture_and_a_box_and_is_looked_at_and_stopped() {
    let place = Place::new();
    let mut served = Served::start(&place, &[]);
    assert_eq!(served.status("/v2/health/live"), 200, "alive before it is warm");
    served.hear(&format!("in a browser: {}/", served.url()));
    assert_eq!(served.status("/"), 200);
    served.wait_ready();
    let (status, answer) = served.segment(&place);
    assert_eq!(status, 200, "{answer}");
    assert_eq!((answer["model"].as_str(), answer["provider"].as_str()), (Some("nano"), Some("cpu")));
    assert!(answer["objects"][0]["segmentation"]["counts"].is_string(), "{answer}");
    let url = served.url();
    let ps = place.maskline(&["ps", "--url", &url]);
    assert_eq!(ps.code, 0, "{}", ps.stderr);
    assert!(ps.stdout.contains("nano") && ps.stdout.contains("ready") && ps.stdout.contains("cpu"), "{}", ps.stdout);
    assert_eq!(place.maskline(&["ps", "--ready", "--url", &url]).code, 0);
    let told: Value = serde_json::from_str(&place.maskline(&["ps", "--json", "--url", &url]).stdout).unwrap();
    assert_eq!((told["pid"].as_u64(), told["models"][0]["state"].as_str()), (Some(u64::from(served.process.id())), Some("ready")));
    // One model goes, and the server is there.
    let unloaded = place.maskline(&["stop", "nano", "--url", &url]);
    assert_eq!(unloaded.code, 0, "{}", unloaded.stderr);
    assert!(served.segment(&place).0 >= 400, "nobody is there to answer");
    assert_eq!(served.status("/v2/health/live"), 200);
    place.maskline(&["stop", "nobody", "--url", &url]).fails(1, &["404", "nobody", "nano"]);
    let stopped = place.maskline(&["stop", "--url", &url]);
    assert_eq!(stopped.code, 0, "{}", stopped.stderr);
    assert_eq!(served.ended().code(), Some(0));
    place.maskline(&["ps", "--url", &url]).fails(4, &["no server answers", "maskline serve"]);
}

#[test]
fn the_first_signal_ends_in_order_and_the_second_at_once() {
    let place = Place::new();
    let mut served = Served::start(&place, &["--notice", "2s", "--no-page"]);
    served.wait_ready();
    assert_eq!(served.status("/"), 404);
    served.signal("-TERM");
    served.hear("ending: what was accepted");
    // Not ready, and still there.
    assert_eq!(served.status("/v2/health/ready"), 400);
    assert_eq!(served.segment(&place).0, 200);
    assert_eq!(served.ended().code(), Some(0));
    let mut served = Served::start(&place, &["--notice", "1h"]);
    served.wait_ready();
    served.signal("-TERM");
    served.hear("ending: what was accepted");
    served.signal("-TERM");
    assert_eq!(served.ended().code(), Some(1));
    // A person does not want to wait.
    let mut served = Served::start(&place, &["--notice", "1h"]);
    served.wait_ready();
    served.signal("-INT");
    assert_eq!(served.ended().code(), Some(0));
}

#[test]
fn a_provider_that_fails_is_told_and_comes_back() {
    let place = Place::new();
    let faults = r#"{"after": 6, "count": 1, "pause": {"secs": 0, "nanos": 100000000}}"#;
    let served = Served::start(&place, &["--faults", faults, "--embedding-cache", "0"]);
    served.wait_ready();
    let mut degraded = Value::Null;
    served.wait_until("degraded", || {
        let (status, answer) = served.segment(&place);
        assert_eq!(status, 200, "{answer}");
        degraded = answer;
        degraded["degraded"] == true
    });
    assert!(degraded["provider"].as_str().is_some_and(|provider| provider.contains("cpu")), "{degraded}");
    served.wait_until("back", || served.segment(&place).1["degraded"] != true);
    // Without it, the failure is the answer.
    let served = Served::start(&place, &["--faults", r#"{"after": 6, "count": 1000}"#, "--no-degrade", "--embedding-cache", "0"]);
    served.wait_ready();
    served.wait_until("failed", || served.segment(&place).0 == 500);
}

#[test]
fn what_holds_is_told_with_where_it_comes_from() {
    let place = Place::new();
    std::fs::write(place.path("serve.toml"), "models = ['small=nano']\nqueue = 7\ndrain = '5s'\nhttp = '127.0.0.1:9999'\n").unwrap();
    let told = place.maskline(&["serve", "--config", "serve.toml", "--check", "--drain", "9s"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let line = |name: &str| told.stdout.lines().find(|line| line.trim().starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("models").contains("small"), "{}", told.stdout);
    assert!(line("queue").contains('7') && line("queue").contains("serve.toml"), "{}", told.stdout);
    assert!(line("drain").contains("9s") && line("drain").contains("flag"), "{}", told.stdout);
    assert!(line("notice").contains("3s") && line("notice").contains("default"), "{}", told.stdout);
}

#[test]
fn what_cannot_be_served_is_refused_before_a_port_is_open() {
    let place = Place::new();
    std::fs::write(place.path("broken.toml"), "quue = 7\n").unwrap();
    std::fs::write(place.path("broken.pt"), "no checkpoint").unwrap();
    place.maskline(&["serve", "--http", "0.0.0.0:0"]).fails(2, &["--api-key-file", "--open"]);
    place.maskline(&["serve", "no-such-model"]).fails(3, &["no-such-model", "maskline list"]);
    place.maskline(&["serve", "--graph", "absent.onnx"]).fails(3, &["absent.onnx"]);
    place.maskline(&["serve", "nano", "nano"]).fails(2, &["two models", "NAME=MODEL"]);
    place.maskline(&["serve", "a/b=nano"]).fails(2, &["a/b", "NAME=MODEL"]);
    place.maskline(&["serve", "--config", "broken.toml"]).fails(3, &["quue", "broken.toml"]);
    place.maskline(&["serve", "--config", "absent.toml"]).fails(3, &["absent.toml"]);
    place.maskline(&["serve", "--tls-key", "key.pem"]).fails(2, &["--tls-certificate"]);
    place.maskline(&["serve", "--http", "off"]).fails(2, &["--http off"]);
    place.maskline(&["serve", "--max-wait", "soon"]).fails(2, &["soon", "500ms"]);
    place.maskline(&["serve", "--label-studio-token-file", "token.txt"]).fails(2, &["--label-studio-url"]);
    place.maskline(&["serve", "--label-studio-url", "label.example.org"]).fails(2, &["Label Studio's address", "https://HOST"]);
    let absent = ["serve", "--label-studio-url", "https://label.example.org", "--label-studio-token-file", "absent.txt"];
    place.maskline(&absent).fails(3, &["absent.txt"]);
    // A model that turns out to be none ends the server, unless it is to go on.
    place.maskline(&["serve", "broken.pt", "--http", "127.0.0.1:0", "--grpc", "off"]).fails(3, &["broken"]);
    let mut served = Served::start(&place, &["broken.pt", "--keep-going"]);
    served.hear("could not be loaded");
    assert_eq!((served.status("/v2/health/live"), served.status("/v2/health/ready")), (200, 400));
}
