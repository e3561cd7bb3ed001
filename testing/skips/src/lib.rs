//! What tests of several crates share: [`TinySam3`], a model, [`kept_folder`] and [`skip`].
//!
//! Tests that cannot run where they are: said where they are seen, counted, and refused where nothing may be missing.
//!
//! The test harness knows no skipped test, and swallows what a passing one prints. So [`skip`] writes past it to the standard error
//! stream, and adds a line to [`record`], which `.ci/run` reads at the end.

mod sam3;

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

pub use sam3::TinySam3;

/// Set to `1`, it makes every skipped test a failed one.
pub const NO_SKIPS: &str = "MASKLINE_NO_SKIPS";

/// Name of the file in the folder of what Cargo builds.
const RECORD: &str = "skipped-tests.txt";

/// Says that the test that runs, or a part of it, does nothing here, and why; the test returns behind it.
///
/// # Panics
/// Where the environment's [`NO_SKIPS`] is `1`.
#[track_caller]
pub fn skip(why: impl Display) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {why}\n");
    assert!(std::env::var_os(NO_SKIPS).is_none_or(|value| value != "1"), "skipped, and {NO_SKIPS} is set: {why}");
    // One write per line: tests of several processes share the stream and the file. Saying it must not fail the test.
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(path) = record() {
        let _ = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// An empty folder for what a whole test program shares. Nothing drops what is static, so a temporary folder would stay for ever; this one
/// is emptied when the program runs again. `within` is `env!("CARGO_TARGET_TMPDIR")`, `name` is `env!("CARGO_CRATE_NAME")`.
///
/// # Panics
/// Where it cannot be emptied and made.
pub fn kept_folder(within: &str, name: &str) -> PathBuf {
    let folder = Path::new(within).join(name);
    let emptied = if folder.exists() { std::fs::remove_dir_all(&folder) } else { Ok(()) };
    emptied.and_then(|()| std::fs::create_dir_all(&folder)).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    folder
}

/// The file with a line per skipped test: grows until someone removes it. `None` outside of what Cargo builds.
pub fn record() -> Option<PathBuf> {
    record_beside(&std::env::current_exe().ok()?)
}

/// Test programs lie in `target/<profile>/deps`.
fn record_beside(program: &Path) -> Option<PathBuf> {
    let deps = program.parent().filter(|folder| folder.ends_with("deps"))?;
    Some(deps.parent()?.parent()?.join(RECORD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_folder_is_emptied_when_it_is_taken_again() {
        let place = tempfile::tempdir().expect("a folder");
        let within = place.path().to_str().expect("text");
        std::fs::write(kept_folder(within, "a").join("file"), "x").expect("written");
        let again = kept_folder(within, "a");
        assert_eq!(std::fs::read_dir(again).expect("a folder").count(), 0);
    }

    #[test]
    fn the_record_lies_in_the_folder_of_what_is_built() {
        let path = record_beside(Path::new("/x/target/debug/deps/golden-0123"));
        assert_eq!(path.as_deref(), Some(Path::new("/x/target/skipped-tests.txt")));
        assert_eq!(record_beside(Path::new("/usr/bin/golden")), None);
    }

    /// The environment of a process is not this test's to change: another process skips.
    #[test]
    fn a_skipped_test_is_seen_and_counted_or_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let deps = folder.path().join("debug/deps");
        std::fs::create_dir_all(&deps).expect("a folder");
        let program = deps.join("skips");
        std::fs::copy(std::env::current_exe().expect("a program"), &program).expect("a copy");
        let run = |value: &str| {
            let mut command = std::process::Command::new(&program);
            command.args(["--exact", "--ignored", "tests::nothing_can_be_done_here"]).env(NO_SKIPS, value);
            command.output().expect("it starts")
        };
        let seen = run("0");
        let text = String::from_utf8_lossy(&seen.stderr);
        assert!(seen.status.success() && text.contains("skipped: tests::nothing_can_be_done_here: no luck"), "{text}");
        let record = std::fs::read_to_string(folder.path().join(RECORD)).expect("a record");
        assert_eq!(record, "tests::nothing_can_be_done_here: no luck\n");
        let refused = run("1");
        assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    }

    #[test]
    #[ignore = "run by the test above, in a process of its own"]
    fn nothing_can_be_done_here() {
        skip("no luck");
    }
}
