//! `maskline bench --url`: that a server's figures are told, and what cannot be measured is said.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../maskline-bench/tests/server/mod.rs"]
mod server;

use std::time::Duration;

use assert_cmd::Command;
use common::Place;
use maskline_bench::Report;
use server::{Manner, Server};

#[test]
fn loads_of_two_servers_are_told_and_written() {
    let [quick, slow] = [1, 10].map(|ms| Server::start(Manner { takes: Duration::from_millis(ms), ..Manner::default() }));
    let place = Place::new();
    let loads = ["--time", "0.3", "--concurrency", "1,2", "--rate", "30", "--arrivals", "constant"];
    let outcome = place.maskline(&[&["bench", "echo", "--url", &quick.url, "--url", &slow.url, "-o", "out"], &loads[..]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    for words in ["Latency under load", "What the servers say", "overhead", "Other programs"] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    let report = Report::from_json(&std::fs::read(place.path("out/report.json")).unwrap()).unwrap();
    let urls: Vec<&str> = report.identity.subjects.iter().map(|subject| subject.server.as_ref().unwrap().url.as_str()).collect();
    assert_eq!(urls, [&quick.url, &slow.url]);
    assert_eq!((report.steady.len(), report.peers.len(), report.loads.len()), (3, 3, 4));
    assert!(report.steady.iter().all(|row| row.errors == 0));
}

#[test]
fn what_cannot_be_measured_is_said() {
    let server = Server::start(Manner::default());
    let place = Place::new();
    let bench = |more: &[&str]| place.maskline(&[&["bench", "--time", "0.1", "--url", &server.url], more].concat());
    bench(&["ecco"]).fails(3, &["no model ecco", "it has: echo"]);
    let others = [
        (["--provider", "cpu"], "the server decides that"),
        (["--size", "640"], "the server decides that"),
        (["--sweep", "threads=1,2"], "measured as they are"),
        (["--text-cache", "hit"], "measured as they are"),
        (["--cold", "3"], "a server is warm"),
        (["--against", "pytorch"], "a server is warm"),
    ];
    for (option, why) in others {
        bench(&[&["echo"], &option[..]].concat()).fails(2, &[&format!("{} does not apply beside --url", option[0]), why]);
    }
    bench(&["echo", "--embedding", "held"]).fails(2, &["hit or miss"]);
    bench(&["echo", "--prompts", "3"]).fails(2, &["--prompts does not apply to echo"]);
    bench(&["echo", "--input", "y:1,4"]).fails(2, &["one of x", "found"]);
    bench(&["echo", "--input", "x"]).fails(2, &["INPUT0:1,16"]);
    let alone = |arguments: &[&str]| place.maskline(&[&["bench", "echo"], arguments].concat());
    alone(&["--url", "127.0.0.1:8000"]).fails(2, &["http://127.0.0.1:8000"]);
    alone(&["--protocol", "oip"]).fails(2, &["--url"]);
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    alone(&["--url", &format!("http://{unused}")]).fails(4, &["no server answers", "maskline serve"]);
    let loading = Server::start(Manner { is_ready: false, ..Manner::default() });
    alone(&["--url", &loading.url]).fails(4, &["echo is LOADING"]);
}

#[test]
fn a_key_comes_from_the_environment_and_is_never_told() {
    const KEY: &str = "sixteen-letters-and-more";
    let server = Server::start(Manner { key: Some(KEY), ..Manner::default() });
    let place = Place::new();
    let arguments = ["bench", "echo", "--time", "0.1", "--url", &server.url, "-f", "json"];
    place.maskline(&arguments).fails(4, &["401", "MASKLINE_API_KEY"]);
    let mut command = Command::cargo_bin("maskline").unwrap();
    let output = command.args(arguments).envs(place.environment()).env("MASKLINE_API_KEY", KEY).output().unwrap();
    let told = [output.stdout.clone(), output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
    assert!(!String::from_utf8_lossy(&told).contains(KEY));
    Report::from_json(&output.stdout).unwrap();
}
