//! Providers that are not here, their options, and `maskline runtime`.
#![allow(clippy::unwrap_used)]

mod common;

use std::process::{Command, Stdio};

use assert_cmd::cargo::CommandCargoExt;
use common::{Outcome, Place};
use serde_json::Value;

/// The command where no ONNX Runtime is named and none was fetched.
fn bare(place: &Place, arguments: &[&str]) -> Outcome {
    let mut command = Command::cargo_bin("maskline").unwrap();
    command.current_dir(place.folder.path()).args(arguments).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("MASKLINE_HOME", place.path("home"));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn a_provider_that_is_not_here_is_an_error_with_the_command_that_brings_it() {
    let place = Place::new();
    for provider in ["cuda", "tensorrt"] {
        let run = ["run", "photo.png", "--box", "1,1,50,50", "--provider", provider];
        // A build without it is named.
        place.maskline(&run).fails(4, &["has no", provider, "maskline runtime install cuda13"]);
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            // None is there: it is large, and never fetched unasked.
            bare(&place, &run).fails(4, &["not installed", "help: maskline runtime install cuda1", "MB"]);
            assert!(!place.path("home/runtime").exists());
        }
    }
    place.maskline(&["run", "photo.png", "--box", "1,1,50,50", "--provider", "openvino"]).fails(4, &["maskline runtime install openvino"]);
    place
        .maskline(&["serve", "--provider", "cuda", "--http", "127.0.0.1:0", "--grpc", "off"])
        .fails(4, &["maskline runtime install cuda13"]);
}

#[test]
fn options_of_a_card_are_refused_where_the_provider_has_none() {
    let place = Place::new();
    for (option, cases) in [
        (&["--device", "1"][..], &["cpu", "openvino"][..]),
        (&["--gpu-memory-limit", "6GB"], &["cpu", "openvino", "tensorrt"]),
        (&["--tf32"], &["cpu", "openvino", "tensorrt"]),
        (&["--cuda-graph"], &["cpu", "openvino", "tensorrt"]),
    ] {
        for provider in cases {
            let words = [&format!("{} does not apply to the {provider} provider", option[0]), "--provider cuda"];
            let run = [&["run", "photo.png", "--box", "1,1,50,50", "-o", "out", "--provider", provider], option].concat();
            place.maskline(&run).fails(2, &words);
            place.maskline(&[&["serve", "--check", "--provider", provider], option].concat()).fails(2, &words);
        }
    }
    place.maskline(&["bench", "nano", "--tf32"]).fails(2, &["--tf32 does not apply to the cpu provider"]);
    place.maskline(&["run", "photo.png", "--provider", "cuda", "--gpu-memory-limit", "much"]).fails(2, &["expected a size such as 6GB"]);
    // Of its own provider they are not refused: what fails is that it is not here.
    place.maskline(&["run", "photo.png", "--box", "1,1,50,50", "--provider", "cuda", "--tf32", "--device", "1"]).fails(4, &["cuda"]);
    assert!(!place.path("out").exists());
}

#[test]
fn variants_are_listed_with_what_they_can_do() {
    let place = Place::new();
    let list = bare(&place, &["runtime", "list", "--json"]);
    assert_eq!(list.code, 0, "{}", list.stderr);
    let all = list.json_lines().remove(0);
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|variant| variant["variant"].as_str().unwrap()).collect();
    assert_eq!(names, ["cpu", "openvino", "cuda12", "cuda13"]);
    assert_eq!((&all[0]["installed"], &all[0]["providers"][0]), (&Value::Bool(false), &"cpu".into()));
    assert!(all[0]["download_bytes"].as_u64() > Some(10_000_000) && all[3]["providers"].as_array().unwrap().len() == 3, "{all}");
    let text = bare(&place, &["runtime", "list"]).stdout;
    assert!(names.iter().all(|name| text.contains(name)) && text.contains("MB"), "{text}");
    assert!(!place.path("home").exists(), "looking leaves nothing behind");
}

#[test]
fn a_fetch_is_only_made_by_who_says_yes() {
    let place = Place::new();
    let refused = bare(&place, &["runtime", "install", "cpu"]);
    refused.fails(2, &["to be fetched: ONNX Runtime", "MB", "no terminal to ask", "--yes"]);
    assert!(!place.path("home").exists());
    bare(&place, &["runtime", "install", "rocm"]).fails(2, &["rocm", "cuda12"]);
    assert_eq!(bare(&place, &["runtime", "remove", "cpu"]).code, 0);
}

#[test]
fn doctor_says_of_each_provider_what_is_missing_and_what_mends_it() {
    let place = Place::new();
    let report = place.maskline(&["doctor", "--json"]).json_lines().remove(0);
    for provider in ["openvino", "cuda", "tensorrt"] {
        let told = &report[provider];
        let state = told["state"].as_str().unwrap();
        assert!(["works", "fails", "missing", "not tried"].contains(&state), "{told}");
        assert!(told["runtime"].is_string(), "{told}");
        assert_eq!(state == "missing", told["mend"].is_string(), "{told}");
    }
    assert!(report["cuda"]["driver"].is_string() && report["tensorrt"]["tensorrt"].is_string(), "{report}");
    let text = place.maskline(&["doctor"]).stdout;
    for line in ["openvino ", "cuda ", "tensorrt ", "runtime: ", "libraries: "] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // A build that is not here is told, and never fetched.
    let bare = bare(&place, &["doctor", "--provider", "cuda", "--json"]).json_lines().remove(0);
    let missing = bare["runtime"]["missing"].as_str().unwrap();
    assert!(cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) || missing.contains("maskline runtime install cuda1"), "{missing}");
}
