//! `maskline runtime`: which builds of ONNX Runtime there are, and bringing them here.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

use clap::Subcommand;
use maskline::runtime::{LibraryOptions, Package, PackageState, Provider, Variant, examine, install, packages, remove};
use maskline::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::args::Json;
use crate::failure::Failure;
use crate::pictures::shown;
use crate::terminal;

#[derive(Debug, Subcommand)]
pub(crate) enum Runtimes {
    /// List the variants: what each can do, what it takes, whether it is here.
    List(Json),
    /// Fetch a variant, and of CUDA's own libraries those that are nowhere on this machine, into maskline's folder.
    Install {
        /// cpu, openvino, cuda12 or cuda13 (cuda is another word for cuda13).
        variant: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
    /// Remove what was fetched of a variant.
    Remove {
        /// cpu, openvino, cuda12 or cuda13.
        variant: String,
    },
}

pub(crate) fn runtime(command: &Runtimes) -> Result<(), Failure> {
    match command {
        Runtimes::List(json) => list(json.json),
        Runtimes::Install { variant, yes } => bring(&options(variant)?, *yes),
        Runtimes::Remove { variant } => take_away(&options(variant)?),
    }
}

fn options(variant: &str) -> Result<LibraryOptions, Failure> {
    Ok(LibraryOptions { variant: variant.parse()?, progress: Some(Arc::new(terminal::say)), ..LibraryOptions::from_env() })
}

/// What is known of a variant on this machine.
struct Known {
    variant: Variant,
    /// None where it does not exist for this platform.
    packages: Vec<Package>,
}

impl Known {
    fn missing(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.state == PackageState::Missing)
    }

    fn is_installed(&self) -> bool {
        !self.packages.is_empty() && self.missing().next().is_none()
    }

    fn left_bytes(&self) -> u64 {
        self.missing().map(|package| package.download_bytes).sum()
    }

    fn state(&self) -> String {
        match self.packages.first() {
            None => "not for this platform".into(),
            Some(_) if self.is_installed() => "yes".into(),
            Some(runtime) if runtime.state == PackageState::Missing => "no".into(),
            Some(_) => format!("without {}", self.missing().map(|package| package.title).collect::<Vec<_>>().join(", ")),
        }
    }

    fn json(&self) -> Value {
        let packages: Vec<Value> = self.packages.iter().map(told).collect();
        json!({
            "variant": self.variant.name(), "version": self.variant.version(), "providers": self.variant.providers(),
            "installed": self.is_installed(), "download_bytes": self.left_bytes(), "packages": packages,
        })
    }
}

fn told(package: &Package) -> Value {
    let (state, path) = match &package.state {
        PackageState::Fetched(path) => ("fetched", Some(shown(path))),
        PackageState::Elsewhere(path) => ("elsewhere", Some(shown(path))),
        PackageState::Missing => ("missing", None),
    };
    let Package { name, version, download_bytes, .. } = package;
    json!({"name": name, "version": version, "download_bytes": download_bytes, "state": state, "path": path})
}

fn list(as_json: bool) -> Result<(), Failure> {
    let options = LibraryOptions::from_env();
    let known = |variant| Known { variant, packages: packages(&LibraryOptions { variant, ..options.clone() }).unwrap_or_default() };
    let all = Variant::ALL.map(known);
    if as_json {
        let all: Vec<Value> = all.iter().map(Known::json).collect();
        return terminal::print(&format!("{}\n", Value::from(all)));
    }
    let mut table = terminal::table(&["variant", "ONNX Runtime", "providers", "to fetch", "here"]);
    for known in &all {
        let to_fetch = if known.packages.is_empty() { String::new() } else { megabytes(known.left_bytes()) };
        let Known { variant, .. } = known;
        table.add_row([
            variant.name().to_owned(),
            variant.version().unwrap_or_default().to_owned(),
            variant.providers().join(", "),
            to_fetch,
            known.state(),
        ]);
    }
    terminal::print(&format!("{table}\nin {}\n", options.home.join("runtime").display()))
}

fn bring(options: &LibraryOptions, is_yes: bool) -> Result<(), Failure> {
    let variant = options.variant;
    let known = Known { variant, packages: packages(options)? };
    for package in &known.packages {
        if let PackageState::Elsewhere(path) = &package.state {
            terminal::say(&format!("{}: {} is used", package.title, path.display()));
        }
    }
    let titles: Vec<String> =
        known.missing().map(|package| format!("{} {} ({})", package.title, package.version, megabytes(package.download_bytes))).collect();
    say_driver(options)?;
    if !titles.is_empty() {
        terminal::say(&format!("to be fetched: {}", titles.join(", ")));
        if known.missing().any(|package| package.name.starts_with("nvidia-")) {
            terminal::say("CUDA's libraries come under NVIDIA's licence, which is put beside them (License.txt)");
        }
        let unpacked = known.missing().map(|package| package.unpacked_bytes).sum();
        let folder = options.home.join("runtime");
        let question = format!("fetch {} into {} ({} there)?", megabytes(known.left_bytes()), folder.display(), megabytes(unpacked));
        if !is_yes && !confirmed(&question)? {
            return Err(Failure::Told(1));
        }
    }
    install(options)?;
    let state = if titles.is_empty() { "was here already" } else { "is here" };
    terminal::say(&format!("{variant} {state}; --provider {} uses it", variant.providers().get(1).copied().unwrap_or("cpu")));
    if let Some((name, path)) = &options.environment_path {
        terminal::say(&format!("but {name} names another library, which goes first: {}", path.display()));
    }
    Ok(())
}

/// Says that what is large is of no use yet.
fn say_driver(options: &LibraryOptions) -> Result<(), Failure> {
    if options.variant.providers().contains(&"cuda") {
        let examined = examine(&"cuda".parse::<Provider>()?, options, None);
        let driver = examined.facts.iter().find(|fact| fact.what == "driver" && fact.is_missing);
        driver.into_iter().for_each(|driver| terminal::say(&format!("it will not work here yet: NVIDIA's driver: {}", driver.found)));
    }
    Ok(())
}

/// Asks the person at the terminal.
///
/// # Errors
/// `InvalidOption` where there is none.
fn confirmed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !terminal::is_talking() {
        let error = Error::new(ErrorKind::InvalidOption, format!("{question} there is no terminal to ask at"));
        return Err(error.with_help("add --yes").into());
    }
    terminal::say(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Failure::new(ErrorKind::Io, format!("standard input: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn take_away(options: &LibraryOptions) -> Result<(), Failure> {
    let freed = remove(options)?;
    let variant = options.variant;
    terminal::say(&match freed {
        0 => format!("{variant} was not here"),
        _ => format!("removed {variant}, {}", megabytes(freed)),
    });
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.0} MB", bytes as f64 / 1e6)
}
