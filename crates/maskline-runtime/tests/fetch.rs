//! Fetching with a pip that is not one: a script that does what the test needs.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use maskline_runtime::{ErrorKind, FetchLimits, LibraryOptions, load, locate};

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

fn limited(home: &Path, python: &str, limits: FetchLimits) -> LibraryOptions {
    LibraryOptions { limits, ..options(home, python) }
}

/// Whether a process is there and runs.
#[cfg(target_os = "linux")]
fn is_running(id: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
    state.is_ok_and(|state| !state.rsplit(") ").next().unwrap_or_default().starts_with('Z'))
}

#[test]
#[cfg(target_os = "linux")]
fn a_pip_that_hangs_is_ended_with_all_that_it_started() {
    let home = tempfile::tempdir().unwrap();
    let short = FetchLimits { stall: Duration::from_millis(500), ..FetchLimits::default() };
    let at = home.path().display();
    let error = locate(&limited(home.path(), &format!("sleep 600 & echo $! > {at}/started; wait"), short)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FetchFailed);
    assert!(error.to_string().contains("nothing came") && error.to_string().contains("MASKLINE_ONNXRUNTIME"), "{error}");
    let started = std::fs::read_to_string(home.path().join("started")).unwrap();
    assert!(!is_running(&started), "process {started}");
    assert!(!holds_library(home.path()));
}

#[test]
fn a_pip_that_never_comes_to_an_end_is_ended() {
    let home = tempfile::tempdir().unwrap();
    let limits = FetchLimits { stall: Duration::from_secs(600), total: Duration::from_millis(700) };
    let error = locate(&limited(home.path(), "while :; do echo still going; sleep 0.05; done", limits)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FetchFailed);
    assert!(error.to_string().contains("not done after") && error.to_string().contains("still going"), "{error}");
}

#[test]
fn while_one_thread_fetches_others_get_their_answer() {
    let home = tempfile::tempdir().unwrap();
    let at = home.path().display();
    let script = format!("touch {at}/begun; for i in $(seq 200); do [ -e {at}/go ] && break; sleep 0.05; done; exit 1");
    let options = options(home.path(), &script);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(load(&options).is_err());
            is_over.store(true, Ordering::Relaxed);
        });
        while !home.path().join("begun").exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let named = LibraryOptions { path: Some(home.path().join("absent")), ..LibraryOptions::default() };
        assert_eq!(load(&named).unwrap_err().kind(), ErrorKind::LibraryNotFound);
        assert!(!is_over.load(Ordering::Relaxed), "the answer waited for the fetch");
        std::fs::write(home.path().join("go"), b"").unwrap();
    });
}

#[test]
fn a_full_disk_is_called_so_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    for words in ["OSError: [Errno 28] No space left on device", "OSError: [Errno 122] Disk quota exceeded: 'wheel'"] {
        let script = format!("echo 'Traceback (most recent call last):' >&2; echo \"{words}\" >&2; exit 2");
        let error = locate(&options(home.path(), &script)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error}");
        let text = error.to_string();
        assert!(text.contains("MASKLINE_HOME") && text.contains("MB are free") && !text.contains("Traceback"), "{text}");
        assert!(text.contains(&*home.path().to_string_lossy()), "{text}");
    }
}

#[test]
fn python_is_not_started_where_the_user_is() {
    // There a file called pip.py would be taken for pip.
    let home = tempfile::tempdir().unwrap();
    let error = locate(&options(home.path(), "pwd > \"$(dirname \"$0\")/where\"; exit 1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FetchFailed);
    let folder = std::fs::read_to_string(home.path().join("where")).unwrap();
    assert!(Path::new(folder.trim()).starts_with(home.path().canonicalize().unwrap()), "{folder}");
}

#[test]
fn a_home_whose_name_is_no_text_is_fetched_to_and_pips_words_are_shown() {
    use std::os::unix::ffi::OsStrExt;
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::create_dir(&home).unwrap();
    // As Python does with what is no text among its arguments.
    let script =
        r#"printf '%s' "$*" | grep -q caf && { printf 'caf\351: surrogates not allowed\n'; exit 2; }; echo 'no index'; pwd; exit 1"#;
    let error = locate(&options(&home, script)).unwrap_err().to_string();
    assert!(error.contains("no index") && !error.contains("surrogates"), "{error}");
}

#[test]
fn a_file_in_the_place_of_the_home_is_told_with_the_way_out() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    for home in [file.clone(), file.join("below")] {
        let wished = LibraryOptions { home, ..options(place.path(), "exit 1") };
        let error = locate(&wished).unwrap_err();
        assert!(error.to_string().contains("found a file"), "{error}");
        assert!(error.help().is_some_and(|help| help.contains("MASKLINE_HOME")), "{error}");
    }
}
