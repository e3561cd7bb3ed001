//! A cache that was built elsewhere and cannot be written to: it is used as it is.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use maskline_runtime::{Cache, Error, ErrorKind, Job, Lane, LaneOptions, LibraryOptions, ModelSource, Source, hash_key, load, locate};

/// The folder, in the process that the test starts: the test again, as a program of its own.
const CHILD: &str = "MASKLINE_TEST_READ_ONLY";
/// A user that is not the owner of anything.
const NOBODY: u32 = 54_321;

fn set_modes(folder: &Path, [folders, files]: [u32; 2]) {
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    // Open it first: what is in it has its turn before it is closed again.
    std::fs::set_permissions(folder, mode(0o755)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { set_modes(&path, [folders, files]) } else { std::fs::set_permissions(&path, mode(files)).unwrap() }
    }
    std::fs::set_permissions(folder, mode(folders)).unwrap();
}

/// Library, bundle and optimised graph, as a first run leaves them.
fn build(home: &Path) {
    let fetched = locate(&LibraryOptions::default()).unwrap().path;
    let runtime = home.join("runtime").join(fetched.parent().unwrap().file_name().unwrap());
    maskline_runtime::create_folder(&runtime).unwrap();
    for entry in std::fs::read_dir(fetched.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), runtime.join(entry.file_name())).unwrap();
    }
    let entry = Cache::new(home.join("bundles")).get_or_build::<Error>(&hash_key(["model"]), |folder| {
        std::fs::write(folder.join("double.onnx"), common::double()).unwrap();
        Ok(())
    });
    let entry = entry.unwrap();
    Lane::open(&common::LIBRARY, ModelSource::File(&entry.path.join("double.onnx")), &options(&entry.path)).unwrap();
}

fn options(folder: &Path) -> LaneOptions {
    LaneOptions { optimised: Some(folder.join("optimised.onnx")), ..LaneOptions::default() }
}

fn use_it(home: &Path) {
    let library = load(&LibraryOptions { home: home.to_path_buf(), offline: true, ..LibraryOptions::default() }).unwrap();
    assert_eq!(library.source(), Source::Cache);
    let cache = Cache::new(home.join("bundles"));
    let entry = cache.get_or_build::<Error>(&hash_key(["model"]), |_| panic!("it is there")).unwrap();
    assert!(std::fs::write(entry.path.join("more"), b"").is_err(), "the test's folder can be written to");
    let open = |options: &LaneOptions| Lane::open(&library, ModelSource::File(&entry.path.join("double.onnx")), options).unwrap();
    let session = open(&options(&entry.path));
    assert!(session.cold().from_optimised && session.unsaved().is_none());
    assert_eq!(session.run(Job::new([("x", common::input(1))])).unwrap().f32("y").unwrap().data, [0.0, 2.0, 4.0]);
    // An optimised graph for another processor is not there: the model runs all the same.
    let other = LaneOptions { optimised: Some(entry.path.join("other.onnx")), ..LaneOptions::default() };
    assert!(open(&other).unsaved().is_some());
    let error = cache.get_or_build::<Error>(&hash_key(["another"]), |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert!(error.to_string().contains("MASKLINE_HOME"), "{error}");
}

#[test]
fn a_prebuilt_cache_works_where_it_cannot_be_written_to() {
    if let Some(home) = std::env::var_os(CHILD) {
        return use_it(&PathBuf::from(home));
    }
    let home = tempfile::tempdir().unwrap();
    build(home.path());
    // The test itself, where another user may run it.
    let program = home.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let locks = home.path().join("bundles/.locks");
    for keep_locks in [true, false] {
        if !keep_locks {
            std::fs::remove_dir_all(&locks).unwrap();
        }
        set_modes(home.path(), [0o555, 0o444]);
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o555)).unwrap();
        let mut command = Command::new(&program);
        command.args(["--exact", "a_prebuilt_cache_works_where_it_cannot_be_written_to", "--nocapture"]);
        command.env(CHILD, home.path()).current_dir("/");
        // Permissions do not bind the system's own user.
        if home.path().metadata().unwrap().uid() == 0 {
            command.uid(NOBODY);
        }
        let output = command.output().unwrap();
        set_modes(home.path(), [0o755, 0o644]);
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}
