//! Which providers this machine has.

use std::path::Path;

use maskline::runtime::{Examination, Fact, LibraryOptions, Variant, examine, is_installed};
use maskline::{Error, Provider, Result};

use super::Launcher;
use super::process::Trial;

/// All that there are, in the order in which they are measured: what others are compared with first.
const ALL: [&str; 4] = ["cpu", "openvino", "cuda", "tensorrt"];

/// The providers, each either here or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Providers {
    /// Those that compute here.
    pub here: Vec<String>,
    /// Those that do not.
    pub absent: Vec<Absent>,
}

/// A provider that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Its name.
    pub provider: String,
    /// What is missing, or what failed.
    pub reason: String,
    /// What to do about it; `None` where nobody knows.
    pub help: Option<String>,
}

impl std::fmt::Display for Absent {
    /// One line: what is missing, and the command that brings it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not here: {}", self.provider, self.reason)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; to have it: {help}"))
    }
}

impl Providers {
    /// Looks for all of them, and has each that is here compute something, in a process of its own as each loads a build of ONNX Runtime of
    /// its own. Nothing is fetched. `runtime` is the library that the user names, which then is the only one.
    pub fn find(launcher: &Launcher, runtime: Option<&Path>) -> Self {
        let options = LibraryOptions { path: runtime.map(Path::to_path_buf), ..LibraryOptions::from_env() };
        let is_named = options.path.is_some() || options.environment_path.is_some();
        // What a named library has, it says itself.
        let look = |provider: &str| if is_named { Ok(None) } else { missing(provider, &options) };
        let compute = |provider: &str| launcher.compute(&Trial { provider, runtime });
        Self::of(look, compute)
    }

    fn of(look: impl Fn(&str) -> Result<Option<Absent>>, compute: impl Fn(&str) -> Result<()>) -> Self {
        let mut found = Self { here: Vec::new(), absent: Vec::new() };
        for provider in ALL {
            let absent = look(provider).and_then(|missing| match missing {
                Some(absent) => Ok(Some(absent)),
                None => compute(provider).map(|()| None),
            });
            match absent {
                Ok(None) => found.here.push(provider.to_owned()),
                Ok(Some(absent)) => found.absent.push(absent),
                Err(error) => found.absent.push(Absent::of_error(provider, &error)),
            }
        }
        found
    }
}

impl Absent {
    /// That it was tried, and what it said.
    fn of_error(provider: &str, error: &Error) -> Self {
        let text = error.to_string();
        let (reason, help) = match text.split_once("\n  help: ") {
            Some((reason, help)) => (reason, Some(one_line(help))),
            None => (text.as_str(), None),
        };
        Self { provider: provider.to_owned(), reason: one_line(reason), help }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What of a provider is not in maskline's folder, or nowhere on the machine.
fn missing(provider: &str, options: &LibraryOptions) -> Result<Option<Absent>> {
    let parsed: Provider = provider.parse()?;
    let absent = |reason: String, help: Option<String>| Some(Absent { provider: provider.to_owned(), reason, help });
    // Every build can compute on the processor; what would run is this one, which the first run fetches.
    if parsed.is_cpu() && !is_installed(&LibraryOptions { variant: Variant::Cpu, ..options.clone() }) {
        return Ok(absent("the variant cpu is not installed".to_owned(), Some("maskline runtime install cpu".to_owned())));
    }
    let Examination { facts, mend } = examine(&parsed, options, None);
    let lacks: Vec<&Fact> = facts.iter().filter(|fact| fact.is_missing).collect();
    Ok(match lacks.as_slice() {
        [] => None,
        [fact] => absent(fact.found.clone(), mend),
        // In one line there is no room for more: `maskline doctor` has it.
        several => absent(format!("{} are missing", several.iter().map(|fact| fact.what).collect::<Vec<_>>().join(", ")), mend),
    })
}

#[cfg(test)]
mod tests {
    use maskline::ErrorKind;

    use super::*;

    #[test]
    fn what_is_missing_is_not_tried_and_what_fails_is_not_here() {
        let look = |provider: &str| {
            let absent =
                Absent { provider: provider.into(), reason: "the variant is not installed".into(), help: Some("install it".into()) };
            Ok((provider == "openvino").then_some(absent))
        };
        let compute = |provider: &str| match provider {
            "cpu" => Ok(()),
            "openvino" => panic!("it is missing"),
            "cuda" => Err(Error::new(ErrorKind::Unavailable, "the card is too old").with_help("take another card")),
            _ => Err(Error::new(ErrorKind::Unavailable, "no libraries\n  in   /somewhere")),
        };
        let found = Providers::of(look, compute);
        assert_eq!(found.here, ["cpu"]);
        let lines: Vec<String> = found.absent.iter().map(ToString::to_string).collect();
        let expected = [
            "openvino is not here: the variant is not installed; to have it: install it",
            "cuda is not here: the card is too old; to have it: take another card",
            "tensorrt is not here: no libraries in /somewhere",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_bare_folder_has_none_and_each_says_what_brings_it() {
        let home = tempfile::tempdir().expect("a folder");
        let options = LibraryOptions { home: home.path().to_owned(), ..LibraryOptions::default() };
        for provider in ALL {
            let absent = missing(provider, &options).expect("a name").expect("nothing is there");
            assert!(!absent.to_string().contains('\n') && !absent.reason.is_empty(), "{absent}");
            if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
                assert!(absent.help.as_ref().is_some_and(|help| help.contains("maskline runtime install")), "{absent}");
            }
        }
        assert_eq!(std::fs::read_dir(home.path()).expect("the folder").count(), 0, "nothing is fetched");
    }
}
