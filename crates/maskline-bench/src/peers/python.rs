//! Pythons: which one makes environments, and what one has.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use maskline::runtime::TELEMETRY_VARIABLE;
use serde::Deserialize;

use super::error::{Error, ErrorKind, Result};
use super::program::Program;
use super::scripts::Scripts;

/// The oldest version that the pinned packages support.
const OLDEST: (u32, u32) = (3, 11);
/// Lines of a failed command's output that an error shows.
const LAST_LINES: usize = 8;

/// What `facts.py` tells.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Facts {
    pub(super) python: String,
    pub(super) missing: Vec<String>,
    pub(super) versions: Vec<(String, String)>,
    /// On disk, of the packages and of all that they require.
    #[serde(default)]
    pub(super) bytes: Option<u64>,
}

/// A Python that sees nothing but itself: no `PYTHON…` variables, no packages of the user, no current folder.
pub(super) fn isolated(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg("-I").stdin(Stdio::null()).env("PYTHONNOUSERSITE", "1");
    // A peer that uses ONNX Runtime sends as little of what it does as maskline itself.
    if std::env::var_os(TELEMETRY_VARIABLE).is_none() {
        command.env(TELEMETRY_VARIABLE, "1");
    }
    command
}

/// Runs a command; its output, or the end of what it wrote.
pub(super) fn output_of(command: &mut Command) -> Result<String, Vec<String>> {
    let output = command.output().map_err(|error| vec![error.to_string()])?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut last: Vec<String> = lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|&line| line.to_owned()).collect();
    last.push(format!("({})", output.status));
    Err(last)
}

/// What a Python has of the modules that a program needs.
pub(super) fn facts(python: &Path, program: Program, scripts: &Scripts) -> Result<Facts, Vec<String>> {
    facts_of(python, program.core(), scripts)
}

/// What a Python has of these modules.
pub(super) fn facts_of(python: &Path, modules: &[&str], scripts: &Scripts) -> Result<Facts, Vec<String>> {
    let text = output_of(isolated(python).arg(scripts.file("facts.py")).args(modules))?;
    serde_json::from_str(&text).map_err(|error| vec![format!("{} gave no facts: {error}", python.display())])
}

/// A Python that can make environments: the one that was named, else the first of `python3` and `python`.
pub(super) fn maker(named: Option<&Path>) -> Result<PathBuf> {
    let candidates: Vec<PathBuf> =
        named.map_or_else(|| ["python3", "python"].map(PathBuf::from).to_vec(), |python| vec![python.to_path_buf()]);
    let mut found = Vec::new();
    for python in candidates {
        match check_maker(&python) {
            Ok(()) => return Ok(python),
            Err(reason) => found.push(format!("{}: {reason}", python.display())),
        }
    }
    let (major, minor) = OLDEST;
    let message = format!("no Python {major}.{minor} or newer that can make virtual environments was found");
    Err(Error::new(ErrorKind::NoPython, message).log(&found).help(
        "install Python 3.11 or newer with its venv module (on Debian: python3-venv), or name a Python that has the packages with \
         --peer-python",
    ))
}

fn check_maker(python: &Path) -> Result<(), String> {
    let code = "import sys, venv, ensurepip; print(*sys.version_info[:2])";
    let text = output_of(isolated(python).args(["-c", code])).map_err(|lines| lines.join(" "))?;
    let version: Vec<u32> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match *version.as_slice() {
        [major, minor] if (major, minor) >= OLDEST => Ok(()),
        [major, minor] => Err(format!("version {major}.{minor}")),
        _ => Err("does not tell its version".into()),
    }
}

/// The interpreter of a virtual environment.
pub(super) fn of_environment(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_send_no_telemetry_unless_the_user_says_so() {
        let command = isolated(Path::new("python3"));
        let given = command.get_envs().find(|(name, _)| *name == TELEMETRY_VARIABLE).and_then(|(_, value)| value);
        // What the user set is inherited as it is.
        let expected = if std::env::var_os(TELEMETRY_VARIABLE).is_some() { None } else { Some(std::ffi::OsStr::new("1")) };
        assert_eq!(given, expected);
    }
}
