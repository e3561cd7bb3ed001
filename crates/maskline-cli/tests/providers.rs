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
        (&["--tensorrt-level", "4"], &["cpu", "openvino", "cuda"]),
        (&["--tensorrt-workspace", "4GB"], &["cpu", "openvino", "cuda"]),
    ] {
        for provider in cases {
            let words = [&format!("{} does not apply to the {provider} provider", option[0]), "or choose --provider"];
            let run = [&["run", "photo.png", "--box", "1,1,50,50", "-o", "out", "--provider", provider], option].concat();
            place.maskline(&run).fails(2, &words);
            place.maskline(&[&["serve", "--check", "--provider", provider], option].concat()).fails(2, &words);
        }
    }
    for provider in ["cpu", "openvino"] {
        let serve = place.maskline(&["serve", "--check", "--provider", provider, "--gpu-embeddings", "4GB"]);
        serve.fails(2, &[&format!("--gpu-embeddings does not apply to the {provider} provider"), "--provider cuda"]);
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

/// Where a bright disc lies in it says the number.
fn draw(place: &Place, number: u32) -> String {
    let (cx, cy) = (30 + 12 * number as i32, 40);
    let picture = image::RgbImage::from_fn(120, 80, |x, y| {
        let (dx, dy) = (x as i32 - cx, y as i32 - cy);
        if dx * dx + dy * dy < 500 { image::Rgb([220, 200, 60]) } else { image::Rgb([40, (60 + (x + y) % 20) as u8, 90]) }
    });
    let name = format!("disc{number}.png");
    picture.save(place.path(&name)).unwrap();
    name
}

#[test]
fn int8_is_made_of_pictures_judged_and_kept_or_not() {
    let place = Place::new();
    let pictures: Vec<String> = (0..5).map(|number| draw(&place, number)).collect();
    let quantise = |more: &[&str]| {
        let pictures = pictures.iter().map(String::as_str);
        place.maskline(&["quantise", "nano"].into_iter().chain(pictures).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let run = || place.maskline(&["run", "disc0.png", "--point", "30,40", "--precision", "int8", "--json", "-o", "out", "--overwrite"]);
    run().fails(2, &["int8", "maskline quantise MODEL photos/"]);
    quantise(&["--anyway", "--limit", "1.5"]).fails(2, &["limit", "1.5"]);
    quantise(&["nowhere.png"]).fails(3, &["no such picture", "nowhere.png"]);
    quantise(&["--anyway", "--precision", "f16"]).fails(2, &["precision", "f16"]);
    // No answer on integers is equal to the last pixel of sixteen masks.
    quantise(&["--anyway", "--limit", "1"]).fails(1, &["agrees with f32", "nothing was kept"]);
    run().fails(2, &["maskline quantise"]);
    place.maskline(&["quantise", "nano", "disc0.png", "--anyway"]).fails(3, &["two or more"]);
    let kept = quantise(&["--anyway", "--limit", "0.1", "--json"]);
    assert_eq!(kept.code, 0, "{}", kept.stderr);
    let told = &kept.json_lines()[0];
    assert!(told["agreement"].as_f64() > Some(0.1) && told["int8"]["ms"].as_f64() > Some(0.0), "{told}");
    assert!(told["int8"]["weights_mb"].as_f64().unwrap() * 2.5 < told["f32"]["weights_mb"].as_f64().unwrap(), "{told}");
    let answered = run();
    assert_eq!(answered.code, 0, "{}", answered.stderr);
    assert_eq!(answered.json_lines()[0]["objects"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_model_is_built_for_a_provider_by_running_there() {
    let place = Place::new();
    let built = place.maskline(&["build", "--synthetic", "yolov8n", "--provider", "cpu", "--precision", "f16"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(built.stderr.contains("detector: opening and running on cpu"), "{}", built.stderr);
    place.maskline(&["build", "--synthetic", "yolov8n", "--provider", "cpu", "--portable"]).fails(2, &["--portable", "--provider"]);
    place.maskline(&["build", "--synthetic", "yolov8n", "--provider", "tensorrt"]).fails(4, &["tensorrt"]);
    place.run_small(&["--precision", "f8", "photo.png"]).fails(2, &["f16-emulated"]);
    place.run_small(&["--preprocess", "device", "photo.png"]).fails(2, &["prepared by the host"]);
}
