//! ONNX Runtime collects and sends nothing, though its official builds do so by default.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use maskline_runtime::{Job, LaneOptions, LibraryOptions, TELEMETRY_VARIABLE, Tensor, is_telemetry_off, load, locate};

/// Set in the process that the test starts: this test again, as a program of its own.
const CHILD: &str = "MASKLINE_TEST_CHILD";

/// This test in a process of its own, in a home of its own, as a user has it: build machines' `CI` would hide what it does.
fn child(test: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, "1").current_dir(home);
    command.env("HOME", home).env("XDG_CACHE_HOME", home.join("cache")).env("TMPDIR", home);
    command.env("MASKLINE_ONNXRUNTIME", locate(&LibraryOptions::from_env()).unwrap().path);
    for name in ["CI", "GITHUB_ACTIONS", TELEMETRY_VARIABLE] {
        command.env_remove(name);
    }
    command
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    std::fs::read_dir(folder).unwrap().flat_map(|entry| below(entry.unwrap().path())).collect()
}

#[test]
fn a_session_leaves_no_file_and_opens_no_socket() {
    if std::env::var_os(CHILD).is_none() {
        let home = tempfile::tempdir().unwrap();
        succeeds(&child("a_session_leaves_no_file_and_opens_no_socket", home.path()).output().unwrap());
        assert_eq!(files(home.path()), [] as [PathBuf; 0]);
        return;
    }
    let session = common::open(&LaneOptions::default());
    for _ in 0..20 {
        session.run(Job::new([("x", Tensor::new([1, 3], vec![1f32; 3]).unwrap())])).unwrap();
        let descriptors = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let sockets: Vec<PathBuf> = targets.filter(|target| target.to_string_lossy().starts_with("socket:")).collect();
        assert!(sockets.is_empty(), "{sockets:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(is_telemetry_off());
}

#[test]
fn the_users_own_word_on_telemetry_counts() {
    if std::env::var_os(CHILD).is_none() {
        let home = tempfile::tempdir().unwrap();
        succeeds(&child("the_users_own_word_on_telemetry_counts", home.path()).env(TELEMETRY_VARIABLE, "0").output().unwrap());
        return;
    }
    load(&LibraryOptions::from_env()).unwrap();
    assert_eq!(std::env::var(TELEMETRY_VARIABLE).unwrap(), "0");
    assert!(!is_telemetry_off());
}
