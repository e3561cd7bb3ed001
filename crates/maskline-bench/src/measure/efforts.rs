//! What it takes to come to a first answer: with us, with each provider, and with other programs.

use std::collections::BTreeMap;

use maskline::runtime::{LibraryOptions, Needs, needs};
use maskline::{ModelInfo, Provider};

use super::{Room, Running};
use crate::peers::{Environment, Program, Step};
use crate::report::Effort;

impl Room<'_> {
    /// Of each process of ours.
    pub(super) fn efforts(&self, running: &[Running]) -> Vec<Option<Effort>> {
        // Looking for CUDA's libraries starts other programs: once for each provider.
        let mut known: BTreeMap<&str, Option<Effort>> = BTreeMap::new();
        let providers = running.iter().map(|one| one.process.compute.provider.as_str());
        providers.map(|provider| known.entry(provider).or_insert_with(|| self.effort(provider)).clone()).collect()
    }

    /// With a provider; `None` where the user names a library of ONNX Runtime, since nobody knows what belongs to that, and how it came.
    fn effort(&self, provider: &str) -> Option<Effort> {
        let options = LibraryOptions { path: self.plan.place.runtime.clone(), ..LibraryOptions::from_env() };
        if options.path.is_some() || options.environment_path.is_some() {
            return None;
        }
        let program = self.launcher.program.metadata().ok()?.len();
        Some(ours(program, needs(&provider.parse::<Provider>().ok()?, &options).ok()?))
    }
}

/// `program` are the bytes of maskline itself.
fn ours(program: u64, needs: Needs) -> Effort {
    let first = ["install maskline".to_owned()];
    let steps = first.into_iter().chain(needs.commands).chain(["maskline run".to_owned()]);
    Effort { installed_bytes: needs.bytes.map(|bytes| bytes + program), steps: steps.collect() }
}

/// Of another program with a model; `None` where its Python does not tell, or where it does not run the model.
pub(super) fn of_program(program: Program, environment: &Environment, info: &ModelInfo) -> Option<Effort> {
    let installed = environment.installed(program, info).ok()?;
    let described = |step: &Step| match step {
        Step::Install => format!("pip install {}", installed.packages.join(" ")),
        Step::Export => "export the model's graphs".to_owned(),
        Step::Script { lines } => format!("write a script (ours has {lines} lines of Python)"),
        Step::Run(command) => (*command).to_owned(),
    };
    let steps = program.steps(info).ok()?.iter().map(described).collect();
    Some(Effort { installed_bytes: installed.bytes, steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_begin_with_maskline_and_end_with_an_answer() {
        let bare = ours(7, Needs { bytes: Some(100), commands: vec![] });
        assert_eq!((bare.installed_bytes, bare.steps), (Some(107), vec!["install maskline".to_owned(), "maskline run".to_owned()]));
        let cuda = ours(7, Needs { bytes: None, commands: vec!["maskline runtime install cuda13".into()] });
        assert_eq!((cuda.installed_bytes, cuda.steps.len()), (None, 3));
        assert_eq!(cuda.steps[1], "maskline runtime install cuda13");
    }
}
