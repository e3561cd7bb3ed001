//! What maskline keeps on this machine, and what it says of it: `doctor`, `cache`, and files that nobody asked for.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_cmd::cargo::CommandCargoExt;
use common::{Outcome, Place};
use maskline::runtime::{LibraryOptions, locate};
use serde_json::Value;

/// The command in an environment of its own: no variable of the machine that tests run on speaks to it or to ONNX Runtime.
fn alone(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("maskline").unwrap();
    command.current_dir(place.folder.path()).args(arguments).env_clear().stdin(Stdio::null());
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", place.path("user"));
    command
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn library() -> PathBuf {
    locate(&LibraryOptions::from_env()).unwrap().path
}

fn doctor(command: &mut Command) -> Value {
    let outcome = outcome(command);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    outcome.json_lines().remove(0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_run_leaves_nothing_of_the_runtimes_own_in_the_users_folder() {
    let place = Place::new();
    let arguments = ["run", "--synthetic", "yolov8n", "--size", "64", "--json", "photo.png"];
    let run = outcome(alone(&place, &arguments).env("MASKLINE_ONNXRUNTIME", library()));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let kept = files(&place.path("user"));
    assert!(!kept.is_empty(), "the cache is there");
    let foreign: Vec<&PathBuf> = kept.iter().filter(|file| !file.components().any(|part| part.as_os_str() == "maskline")).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn doctor_says_whether_telemetry_is_off() {
    let place = Place::new();
    let says = |value: Option<&str>| {
        let mut command = alone(&place, &["doctor", "--json"]);
        command.env("MASKLINE_ONNXRUNTIME", library());
        value.map(|value| command.env("ORT_DISABLE_TELEMETRY", value));
        doctor(&mut command)["telemetry"].as_str().unwrap().to_string()
    };
    assert!(says(None).starts_with("off"), "{}", says(None));
    assert!(says(Some("0")).contains("left to ONNX Runtime"), "{}", says(Some("0")));
}

#[test]
fn doctor_before_the_first_fetch_says_what_the_first_run_does() {
    let place = Place::new();
    let report = doctor(&mut alone(&place, &["doctor", "--json"]));
    let missing = report["runtime"]["missing"].as_str().unwrap();
    assert!(missing.contains("the first run fetches it") && missing.contains("MB") && !missing.contains("offline"), "{missing}");
    assert!(report["pip"].is_string() && report["kept_mb"]["runtime"] == 0.0 && report["kept_mb"]["models"] == 0.0, "{report}");
    assert!(cfg!(windows) || report["disk_free_mb"].as_f64() > Some(0.0), "{report}");
    assert!(report["cache_limit_mb"].as_f64() > Some(0.0), "{report}");
    // Asked for, it is said.
    let asked = doctor(alone(&place, &["doctor", "--json"]).env("MASKLINE_OFFLINE", "1"));
    assert!(asked["runtime"]["missing"].as_str().unwrap().contains("offline"), "{asked}");
    let text = outcome(&mut alone(&place, &["doctor"])).stdout;
    assert!(text.contains("telemetry") && text.contains("not fetched yet"), "{text}");
    assert!(files(&place.path("user")).is_empty(), "looking leaves nothing behind");
}

#[test]
fn the_cache_keeps_to_its_limit_and_says_so() {
    let place = Place::new();
    let run = |limit: &str, seed: &str| {
        let arguments = ["run", "--synthetic", "yolov8n", "--seed", seed, "--size", "64", "--json", "photo.png"];
        outcome(alone(&place, &arguments).env("MASKLINE_ONNXRUNTIME", library()).env("MASKLINE_CACHE_MAX", limit))
    };
    let du = |limit: &str| outcome(alone(&place, &["cache", "du", "--json"]).env("MASKLINE_CACHE_MAX", limit)).json_lines().remove(0);
    for seed in ["1", "2"] {
        assert_eq!(run("1GB", seed).code, 0);
    }
    let both = du("1GB");
    assert_eq!((both["entries"].as_array().unwrap().len(), &both["limit"]), (2, &Value::from(1_000_000_000)));
    // A bundle has 13 MB, and as much again once its optimised graph lies beside it.
    assert_eq!(run("40MB", "3").code, 0);
    let one = du("none");
    assert_eq!((one["entries"].as_array().unwrap().len(), &one["limit"]), (1, &Value::Null));
    let text = outcome(alone(&place, &["cache", "du"]).env("MASKLINE_CACHE_MAX", "5GB")).stdout;
    assert!(text.contains("of at most 5000 MB"), "{text}");
    run("a lot", "1").fails(2, &["MASKLINE_CACHE_MAX", "a lot", "help:"]);
}

#[test]
#[cfg(unix)]
fn a_user_without_a_home_folder_is_asked_for_one() {
    use std::os::unix::process::CommandExt;
    let place = Place::new();
    if std::os::unix::fs::MetadataExt::uid(&place.folder.path().metadata().unwrap()) != 0 {
        maskline_testing::skip("only root can be a user that no list knows");
        return;
    }
    // Where a user that is in no list may run it.
    std::fs::set_permissions(place.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let program = place.path("maskline");
    std::fs::copy(assert_cmd::cargo::cargo_bin("maskline"), &program).unwrap();
    for arguments in [&["run", "photo.png"][..], &["cache", "du"], &["pull", "yolov8n"]] {
        // No home, one that is in no folder of its own, and one that cannot be made.
        for home in [None, Some("relative"), Some("/absent")] {
            if home == Some("/absent") && arguments[0] == "cache" {
                continue; // To look at what is not there needs no folder.
            }
            let mut command = Command::new(&program);
            command.args(arguments).env_clear().current_dir(place.folder.path()).env("TMPDIR", place.folder.path()).uid(54_321);
            home.map(|home| command.env("HOME", home));
            let refused = outcome(&mut command);
            assert!(refused.code != 0 && refused.stderr.contains("set MASKLINE_HOME"), "{arguments:?} {home:?}: {}", refused.stderr);
        }
    }
    assert!(!place.path("relative").exists());
    assert!(!place.path("maskline").is_dir() && !place.path("bundles").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_that_is_killed_while_it_fetches_leaves_no_pip_behind() {
    let place = Place::new();
    let (script, started) = (place.path("python"), place.path("started"));
    std::fs::write(&script, format!("#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; sleep 600; exit 1\n", started.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = alone(&place, &["run", "photo.png"]);
    let mut child = command.env("MASKLINE_PYTHON", &script).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wait_for = |what: &str, is_so: &dyn Fn() -> bool| {
        for _ in 0..1000 {
            if is_so() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("in vain: {what}");
    };
    wait_for("pip is started", &|| started.exists());
    let id = std::fs::read_to_string(&started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // A dead process that nobody has collected yet is as good as gone.
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    wait_for("pip ends", &|| state().map_or(true, |state| state.rsplit(") ").next().unwrap_or_default().starts_with('Z')));
}

#[test]
fn doctor_tells_what_keeps_the_first_run_from_fetching() {
    let place = Place::new();
    std::fs::write(place.path("file"), "").unwrap();
    let report = doctor(alone(&place, &["doctor", "--json"]).env("MASKLINE_HOME", "file/below"));
    let home = report["home"].as_str().unwrap();
    assert!(home.contains("found a file") && home.contains("MASKLINE_HOME"), "{home}");
    let report = doctor(alone(&place, &["doctor", "--json"]).env("MASKLINE_PYTHON", place.path("absent")));
    let missing = report["runtime"]["missing"].as_str().unwrap();
    assert!(missing.contains("no Python with pip") && !missing.contains("the first run fetches"), "{missing}");
    let run = ["run", "photo.png", "--box", "1,1,50,50"];
    outcome(alone(&place, &run).env("MASKLINE_HOME", "file").env("MASKLINE_ONNXRUNTIME", library()))
        .fails(1, &["file", "set MASKLINE_HOME"]);
}
