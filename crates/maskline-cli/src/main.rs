//! The `maskline` command: arguments, progress and exit codes. Everything else is the engine's.

mod args;
mod cache;
mod failure;
mod hub;
mod inspect;
mod model;
mod outputs;
mod pictures;
mod run;
mod terminal;
mod verify;

use clap::{CommandFactory, Parser};

use args::{Arguments, Command};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Command::Run(run) => run::run(run),
        Command::Build(build) => model::build(build),
        Command::Verify(verify) => verify::verify(verify),
        Command::Pull(pull) => hub::pull(pull),
        Command::List(list) => hub::list(list),
        Command::Show(named) => hub::show(named),
        Command::Rm(named) => hub::remove(named),
        Command::Doctor(doctor) => inspect::doctor(doctor.json),
        Command::Version(version) => inspect::version(version.json),
        Command::Cache(command) => cache::cache(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "maskline", &mut script);
            terminal::print(&String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
