//! What is loaded as code from maskline's folder: only what was fetched, from where nobody else can have put it.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use maskline_runtime::{ErrorKind, LibraryOptions, Source, Variant, home_dir, locate};

/// Set in the process that a test starts: the test again, as a program of its own.
const CHILD: &str = "MASKLINE_TEST_CHILD";
/// A user that no system has in its list.
const NOBODY: u32 = 54_321;

fn offline(home: &Path) -> LibraryOptions {
    LibraryOptions { home: home.to_path_buf(), offline: true, ..LibraryOptions::default() }
}

/// The folder of the CPU libraries below a home.
fn runtime(home: &Path) -> PathBuf {
    home.join("runtime").join(format!("onnxruntime-{}", Variant::Cpu.version().unwrap()))
}

/// The name of the library, from an earlier fetch.
fn fetched() -> PathBuf {
    locate(&LibraryOptions::default()).unwrap().path
}

/// A home with a copy of what was fetched.
fn copied() -> (tempfile::TempDir, PathBuf) {
    let (home, library) = (tempfile::tempdir().unwrap(), fetched());
    let folder = runtime(home.path());
    maskline_runtime::create_folder(&folder).unwrap();
    for entry in std::fs::read_dir(library.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let target = folder.join(entry.file_name());
        std::fs::copy(entry.path(), &target).unwrap();
        std::fs::set_permissions(&target, PermissionsExt::from_mode(0o644)).unwrap();
    }
    let library = folder.join(library.file_name().unwrap());
    (home, library)
}

fn is_root() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|facts| std::os::unix::fs::MetadataExt::uid(&facts) == 0);
    if !is_root {
        maskline_testing::skip("only root can give files to others");
    }
    is_root
}

#[test]
fn a_library_that_was_not_fetched_is_not_loaded() {
    let home = tempfile::tempdir().unwrap();
    let folder = runtime(home.path());
    maskline_runtime::create_folder(&folder).unwrap();
    std::fs::write(folder.join(fetched().file_name().unwrap()), b"planted").unwrap();
    let error = locate(&offline(home.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HashMismatch, "{error}");
    assert!(error.to_string().contains("MASKLINE_ONNXRUNTIME"), "{error}");
}

#[test]
fn a_fetched_library_that_was_changed_since_is_not_loaded() {
    let (home, library) = copied();
    assert_eq!(locate(&offline(home.path())).unwrap().source, Source::Cache);
    let companion = library.with_file_name(if cfg!(target_os = "macos") { "libmore.dylib" } else { "libonnxruntime_providers_shared.so" });
    for file in [library, companion] {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let mut changed = bytes.clone();
        match changed.last_mut() {
            Some(byte) => *byte ^= 1,
            None => changed.push(1),
        }
        std::fs::write(&file, &changed).unwrap();
        assert_eq!(locate(&offline(home.path())).unwrap_err().kind(), ErrorKind::HashMismatch, "{}", file.display());
        if bytes.is_empty() {
            std::fs::remove_file(&file).unwrap()
        } else {
            std::fs::write(&file, bytes).unwrap()
        }
        locate(&offline(home.path())).unwrap();
    }
}

#[test]
fn a_place_that_others_may_write_to_is_not_loaded_from() {
    let (home, library) = copied();
    let folder = library.parent().unwrap();
    for (path, mode) in [(folder, 0o775), (folder, 0o777), (folder.parent().unwrap(), 0o777), (library.as_path(), 0o666)] {
        let before = path.metadata().unwrap().permissions();
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        let error = locate(&offline(home.path())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
        assert!(error.to_string().contains("MASKLINE_HOME") && error.place() == Some(&*path.to_string_lossy()), "{error}");
        std::fs::set_permissions(path, before).unwrap();
        locate(&offline(home.path())).unwrap();
    }
}

#[test]
fn what_belongs_to_another_user_is_not_loaded() {
    if !is_root() {
        return;
    }
    let (home, library) = copied();
    for path in [library.as_path(), library.parent().unwrap()] {
        chown(path, Some(NOBODY), None).unwrap();
        assert_eq!(locate(&offline(home.path())).unwrap_err().kind(), ErrorKind::Untrusted, "{}", path.display());
        chown(path, Some(0), None).unwrap();
        locate(&offline(home.path())).unwrap();
    }
    // A link of another user's, to what is ours: he may let it point elsewhere at any time.
    let aside = home.path().join("aside");
    std::fs::rename(library.parent().unwrap(), &aside).unwrap();
    symlink(&aside, library.parent().unwrap()).unwrap();
    locate(&offline(home.path())).unwrap();
    lchown(library.parent().unwrap(), Some(NOBODY), None).unwrap();
    assert_eq!(locate(&offline(home.path())).unwrap_err().kind(), ErrorKind::Untrusted);
}

#[test]
fn without_a_home_folder_nothing_comes_from_the_shared_temporary_one() {
    if std::env::var_os(CHILD).is_some() {
        assert!(!home_dir().starts_with(std::env::temp_dir()), "{}", home_dir().display());
        let error = locate(&LibraryOptions { offline: true, ..LibraryOptions::from_env() }).unwrap_err();
        assert!(error.to_string().contains("MASKLINE_HOME") || error.kind() == ErrorKind::Offline, "{error}");
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    let library = fetched();
    std::fs::set_permissions(shared.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let folder = runtime(&shared.path().join("maskline"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(library.file_name().unwrap()), b"planted").unwrap();
    // The test itself, where another user may run it.
    let program = shared.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "without_a_home_folder_nothing_comes_from_the_shared_temporary_one", "--nocapture"]);
    command.env(CHILD, "1").env("TMPDIR", shared.path()).current_dir("/");
    for name in ["HOME", "XDG_CACHE_HOME", "MASKLINE_HOME", "MASKLINE_ONNXRUNTIME", "ORT_DYLIB_PATH"] {
        command.env_remove(name);
    }
    if is_root() {
        command.uid(NOBODY);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
