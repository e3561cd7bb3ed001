//! `maskline doctor` and `version`.

use maskline::runtime::{Cache, LibraryOptions, home_dir, load, peak_rss};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::pictures::shown;
use crate::terminal;

/// The version, alone or with what belongs to it.
pub(crate) fn version(as_json: bool) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        return terminal::print(&format!("{}\n", json!({"maskline": version, "os": std::env::consts::OS, "arch": std::env::consts::ARCH})));
    }
    terminal::print(&format!("maskline {version}\n"))
}

/// What a bug report needs. Nothing is fetched.
pub(crate) fn doctor(as_json: bool) -> Result<(), Failure> {
    let options = LibraryOptions { offline: true, ..LibraryOptions::from_env() };
    let home = home_dir();
    let cache = Cache::new(home.join("bundles"));
    let threads = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let variables: Vec<String> = [
        "MASKLINE_HOME",
        "MASKLINE_ONNXRUNTIME",
        "MASKLINE_OFFLINE",
        "MASKLINE_PROVIDER",
        "MASKLINE_PYTHON",
        "ORT_DYLIB_PATH",
        "MASKLINE_HUB",
        "HF_ENDPOINT",
    ]
    .iter()
    .filter_map(|name| std::env::var_os(name).map(|value| format!("{name}={}", value.to_string_lossy())))
    .collect();
    let runtime = match load(&options) {
        Ok(library) => json!({
            "version": library.version(), "path": shown(library.path()), "source": library.source().to_string(),
            "providers": library.providers(), "load_ms": library.load_time().as_secs_f64() * 1e3,
        }),
        Err(error) => json!({"missing": error.to_string()}),
    };
    let bytes: u64 = cache.entries()?.iter().map(|entry| entry.bytes).sum();
    let report = json!({
        "maskline": env!("CARGO_PKG_VERSION"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "processor": processor(),
        "threads": threads,
        "runtime": runtime,
        "home": shown(&home),
        "cache_mb": bytes as f64 / 1e6,
        "variables": variables,
        "peak_rss_mb": peak_rss().map(|bytes| bytes as f64 / 1e6),
    });
    if as_json {
        return terminal::print(&format!("{report}\n"));
    }
    let mut text = String::new();
    for (key, value) in report.as_object().into_iter().flatten() {
        match value {
            Value::Object(facts) => {
                facts.iter().for_each(|(name, fact)| text += &format!("{:16} {}\n", format!("{key} {name}"), plain(fact)))
            }
            value => text += &format!("{key:16} {}\n", plain(value)),
        }
    }
    terminal::print(&text)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('\n', "\n                 "),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |n| format!("{}", (n * 10.0).round() / 10.0)),
        other => other.to_string(),
    }
}

/// The processor's name, where the system tells it without asking.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        text.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_string());
    name.unwrap_or_else(|| "unknown".into())
}
