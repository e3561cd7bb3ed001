//! Fetching with a pip that is not one: a script that does what the test needs.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use maskline_runtime::{ErrorKind, LibraryOptions, locate};

fn options(home: &Path, python: &str) -> LibraryOptions {
    let script = home.join("python");
    std::fs::write(&script, format!("#!/bin/sh\n{python}\n")).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    LibraryOptions { home: home.to_path_buf(), python: Some(script), ..LibraryOptions::default() }
}

/// Whether anything that could be loaded lies below.
fn holds_library(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let is_one = |path: PathBuf| if path.is_dir() { holds_library(&path) } else { path.to_string_lossy().contains("libonnxruntime") };
    entries.flatten().any(|entry| is_one(entry.path()))
}

#[test]
fn another_file_than_the_pinned_one_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let script = r#"while [ $# -gt 1 ]; do [ "$1" = --dest ] && to="$2"; shift; done; echo other > "$to/onnxruntime.whl""#;
    let error = locate(&options(home.path(), script)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HashMismatch, "{error}");
    assert!(!holds_library(&home.path().join("runtime")));
}

#[test]
fn what_pip_says_is_told_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let error = locate(&options(home.path(), "echo 'ERROR: could not reach the index' >&2; exit 1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FetchFailed);
    assert!(error.to_string().contains("could not reach the index") && error.to_string().contains("MASKLINE_ONNXRUNTIME"), "{error}");
}

#[test]
fn no_python_and_no_pip() {
    let home = tempfile::tempdir().unwrap();
    let none = LibraryOptions { python: Some(home.path().join("absent")), ..options(home.path(), "") };
    assert_eq!(locate(&none).unwrap_err().kind(), ErrorKind::FetchFailed);
    let without = options(home.path(), "echo 'No module named pip' >&2; exit 1");
    assert!(locate(&without).unwrap_err().to_string().contains("no Python with pip"));
}

#[test]
fn offline_never_starts_pip() {
    let home = tempfile::tempdir().unwrap();
    let options = LibraryOptions { offline: true, ..options(home.path(), &format!("touch {}/ran", home.path().display())) };
    let error = locate(&options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline);
    assert!(error.help().is_some() && !home.path().join("ran").exists());
}

#[test]
fn pip_is_asked_for_the_pinned_wheel_alone_and_installs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let error = locate(&options(home.path(), "echo \"$@\" > \"$(dirname \"$0\")/arguments\"; exit 1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FetchFailed);
    let arguments = std::fs::read_to_string(home.path().join("arguments")).unwrap();
    for wish in ["pip download", "--no-deps", "--require-hashes", "--only-binary=:all:"] {
        assert!(arguments.contains(wish), "{arguments}");
    }
}
