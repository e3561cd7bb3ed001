//! The `maskline` command: arguments, progress and exit codes. Everything else is the engine's.

mod applies;
mod args;
mod bench;
mod cache;
mod concepts;
mod eval;
mod failure;
mod gpu;
mod hub;
mod inspect;
mod interrupt;
mod model;
mod nearest;
mod output;
mod pictures;
mod prompts;
mod provider;
mod ps;
mod quantise;
mod run;
mod runtimes;
mod serve;
mod terminal;
mod track;
mod verify;

use clap::{CommandFactory, FromArgMatches};

use args::{Arguments, Command};

fn main() -> std::process::ExitCode {
    // First of all, while there is no other thread.
    maskline::runtime::switch_off_telemetry();
    let began = std::time::Instant::now();
    // The order of prompts counts, which only the matches know.
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match (&arguments.command, matches.subcommand()) {
        (Command::Run(run), Some((_, matches))) => run::run(run, matches),
        (Command::Track(arguments), Some((_, matches))) => track::track(arguments, matches),
        (Command::Eval(arguments), Some((_, matches))) => eval::eval(arguments, matches),
        (Command::Build(arguments), Some((_, matches))) => model::build(arguments, matches),
        (Command::Serve(arguments), Some((_, matches))) => serve::serve(arguments, matches),
        (Command::Bench(arguments), Some((_, matches))) => bench::bench(arguments, matches),
        (Command::BenchWorker(options), _) => bench::worker(began, options),
        (command, _) => other(command),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn other(command: &Command) -> Result<(), failure::Failure> {
    match command {
        Command::Run(_) | Command::Track(_) | Command::Build(_) | Command::Eval(_) => Ok(()),
        Command::Serve(_) | Command::Bench(_) | Command::BenchWorker(_) => Ok(()),
        Command::Verify(verify) => verify::verify(verify),
        Command::Quantise(arguments) => quantise::quantise(arguments),
        Command::Pull(pull) => hub::pull(pull),
        Command::List(list) => hub::list(list),
        Command::Show(named) => hub::show(named),
        Command::Ps(arguments) => ps::ps(arguments),
        Command::Stop(arguments) => ps::stop(arguments),
        Command::Rm(named) => hub::remove(named),
        Command::Doctor(doctor) => inspect::doctor(doctor),
        Command::Runtime(command) => runtimes::runtime(command),
        Command::Version(version) => inspect::version(version.json),
        Command::Cache(command) => cache::cache(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "maskline", &mut script);
            terminal::print(&String::from_utf8_lossy(&script))
        }
    }
}
