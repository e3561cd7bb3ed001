//! What a program takes until its first answer: packages with their size, and steps.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::program::Step;
use super::python::output_of;
use super::scripts::Scripts;
use super::tests::info;
use super::{ErrorKind, Program};

/// A package with a module of so many bytes, as pip installs it.
struct Installed<'a> {
    name: &'a str,
    bytes: usize,
    requires: &'a [&'a str],
}

impl Installed<'_> {
    fn write(&self, site: &Path) {
        let Self { name, bytes, requires } = self;
        std::fs::write(site.join(format!("{name}.py")), "#".repeat(*bytes)).unwrap();
        let about = site.join(format!("{name}-1.0.dist-info"));
        std::fs::create_dir(&about).unwrap();
        let requires: String = requires.iter().map(|one| format!("Requires-Dist: {one}\n")).collect();
        std::fs::write(about.join("METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")).unwrap();
        // Files that are gone count for nothing.
        std::fs::write(about.join("RECORD"), format!("{name}.py,,\ngone.py,,\n")).unwrap();
    }
}

#[test]
fn packages_are_as_large_as_their_files_with_all_that_they_require() {
    if output_of(Command::new("python3").arg("-V")).is_err() {
        return maskline_testing::skip("there is no python3");
    }
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let requires: &[&str] = &["second_package>=1; python_version > \"3\"", "absent", "optional; extra == \"all\""];
    Installed { name: "first", bytes: 1000, requires }.write(&site);
    // In turn, and in a circle.
    Installed { name: "second_package", bytes: 200, requires: &["Third (>=1)", "first"] }.write(&site);
    Installed { name: "third", bytes: 30, requires: &[] }.write(&site);
    Installed { name: "optional", bytes: 5, requires: &[] }.write(&site);
    std::fs::write(site.join("loose.py"), "").unwrap();
    let scripts = Scripts::write(folder.path()).unwrap();
    let code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')";
    let facts = |modules: &[&str]| -> Value {
        let mut command = Command::new("python3");
        command.args(["-I", "-c", code]).arg(&site).arg(scripts.file("facts.py")).args(modules);
        serde_json::from_str(&output_of(&mut command).unwrap()).unwrap()
    };
    assert_eq!((&facts(&["first"])["bytes"], &facts(&["third", "first"])["bytes"]), (&1230.into(), &1230.into()));
    assert_eq!(facts(&["third", "nowhere"])["bytes"], 30, "what is missing is told elsewhere");
    assert_eq!(facts(&["third", "loose"])["bytes"], Value::Null, "nobody knows how large that is");
}

#[test]
fn programs_that_are_libraries_need_a_script() {
    let lines = |program: Program, family: &str| {
        let steps = program.steps(&info(family)).unwrap();
        assert!(steps.first() == Some(&Step::Install) && matches!(steps.last(), Some(Step::Run(_))), "{steps:?}");
        steps.iter().find_map(|step| if let Step::Script { lines } = step { Some(*lines) } else { None })
    };
    assert!(lines(Program::PyTorch, "sam2").is_some_and(|lines| lines > 20));
    assert!(lines(Program::OnnxRuntimePython, "sam2").is_some_and(|lines| lines > 20));
    assert!(Program::OnnxRuntimePython.steps(&info("sam2")).unwrap().contains(&Step::Export));
    assert_eq!(Program::Ultralytics.steps(&info("sam2")).unwrap_err().kind(), ErrorKind::Unsupported);
}
