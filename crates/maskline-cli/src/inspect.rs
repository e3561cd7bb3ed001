//! `maskline doctor` and `version`.

use std::path::Path;
use std::sync::Arc;

use maskline::runtime::{
    ErrorKind, Library, LibraryOptions, Provider, TELEMETRY_VARIABLE, cache_limit, check_home, examine, fast_instructions, free_space,
    home_dir, is_home_writable, is_telemetry_off, load, peak_rss, pip_version, tree_size, try_provider, usable_threads,
};
use serde_json::{Value, json};

use crate::args::Doctor;
use crate::failure::Failure;
use crate::model::Runtime;
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
pub(crate) fn doctor(arguments: &Doctor) -> Result<(), Failure> {
    let options = Runtime { provider: &arguments.provider, ..Runtime::default() }.options().library;
    let home = home_dir();
    let bundles = folder_mb(&home.join("bundles"));
    let pip = pip_version(&options);
    let (loaded, runtime) = runtime(&options, pip.is_some());
    let report = json!({
        "maskline": env!("CARGO_PKG_VERSION"),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "processor": processor(),
        "mask_decoder": match fast_instructions() {
            Some(instructions) => format!("native ({instructions}); graph with other providers"),
            None => "graph; this processor has no instructions that the native one is made for".into(),
        },
        "encoder_layers": match fast_instructions() {
            Some(instructions) => format!("own ({instructions}) in families that gain by it, ONNX Runtime's in others; --kernels says otherwise"),
            None => "ONNX Runtime's; this processor has no instructions that our own are made for".into(),
        },
        "threads": usable_threads(0).count,
        "runtime": runtime,
        "openvino": told("openvino", &options, loaded.as_ref())?,
        "cuda": told("cuda", &options, loaded.as_ref())?,
        "tensorrt": told("tensorrt", &options, loaded.as_ref())?,
        "telemetry": telemetry(),
        "pip": pip.unwrap_or_else(|| "none found; only the first fetch of ONNX Runtime needs it".into()),
        "home": check_home(&home).map_or_else(|error| json!(error.to_string()), |()| json!(shown(&home))),
        "disk_free_mb": free_space(&home).map(|bytes| bytes as f64 / 1e6),
        "cache_mb": bundles,
        "cache_limit_mb": match cache_limit() {
            Ok(limit) => limit.map_or(json!("none"), |bytes| json!(bytes as f64 / 1e6)),
            Err(error) => json!(error.to_string()),
        },
        "kept_mb": {"bundles": bundles, "models": folder_mb(&home.join("models")), "runtime": folder_mb(&home.join("runtime"))},
        "variables": variables(),
        "peak_rss_mb": peak_rss().map(|bytes| bytes as f64 / 1e6),
    });
    if arguments.json {
        return terminal::print(&format!("{report}\n"));
    }
    let mut text = String::new();
    for (key, value) in report.as_object().into_iter().flatten() {
        match value {
            Value::Object(facts) if facts.contains_key(STATE) => text += &format!("{key:16} {}\n", plain(&json!(lines(facts)))),
            Value::Object(facts) => {
                facts.iter().for_each(|(name, fact)| text += &format!("{:16} {}\n", format!("{key} {name}"), plain(fact)))
            }
            value => text += &format!("{key:16} {}\n", plain(value)),
        }
    }
    terminal::print(&text)
}

/// ONNX Runtime as it is loaded, or why it is not.
fn runtime(options: &LibraryOptions, has_pip: bool) -> (Option<Arc<Library>>, Value) {
    let loaded = load(&LibraryOptions { offline: true, ..options.clone() });
    let told = match &loaded {
        Ok(library) => json!({
            "version": library.version(), "path": library.path(), "source": library.source().to_string(),
            "providers": library.providers(), "load_ms": library.load_time().as_secs_f64() * 1e3,
        }),
        // That nothing is fetched here is this command's own doing, not the user's.
        Err(error) if error.kind() == ErrorKind::Offline && !options.offline => {
            let size = options.variant.download_bytes().map_or_else(String::new, |bytes| format!(" ({:.0} MB)", bytes as f64 / 1e6));
            let missing = if options.variant.providers().contains(&"cuda") {
                format!("the variant {0} is not installed: maskline runtime install {0}", options.variant)
            } else if !is_home_writable(&options.home) {
                let message = format!("not fetched yet, and {} cannot be written to", shown(&options.home));
                let error = maskline::Error::new(maskline::ErrorKind::Unavailable, message);
                error.with_help("set MASKLINE_HOME to a folder that is yours alone").to_string()
            } else if !has_pip {
                format!("not fetched yet{size}, and there is no Python with pip to fetch it with")
            } else {
                format!("not fetched yet: the first run fetches it{size}")
            };
            json!({ "missing": missing })
        }
        Err(error) => json!({"missing": error.to_string()}),
    };
    (loaded.ok(), told)
}

/// In what is told of a provider: `works`, `fails`, `missing`, or `not tried` where all that it needs is here.
const STATE: &str = "state";

/// What of a provider is here and what is missing. Where the loaded library has it, it has to compute something.
fn told(name: &str, options: &LibraryOptions, loaded: Option<&Arc<Library>>) -> Result<Value, Failure> {
    let provider: Provider = name.parse()?;
    let examined = examine(&provider, options, loaded.map(Arc::as_ref));
    let mut told: serde_json::Map<String, Value> = examined.facts.iter().map(|fact| (fact.what.to_owned(), json!(fact.found))).collect();
    let has_it = loaded.filter(|library| library.providers().contains(&name));
    let (state, more) = match has_it.map(|library| try_provider(library, &provider)) {
        Some(Ok(())) => ("works", None),
        Some(Err(error)) if examined.is_complete() => ("fails", Some(("error", error.to_string()))),
        _ if !examined.is_complete() => ("missing", examined.mend.map(|mend| ("mend", mend))),
        _ => ("not tried", Some(("next", format!("maskline doctor --provider {name}")))),
    };
    told.insert(STATE.into(), json!(state));
    told.extend(more.map(|(key, text)| (key.to_owned(), json!(text))));
    Ok(told.into())
}

/// The state on a line, then a line for each fact, and what mends it last.
fn lines(told: &serde_json::Map<String, Value>) -> String {
    let of = |key: &str| told.get(key).map(plain);
    let facts = ["driver", "cards", "runtime", "libraries", "tensorrt", "error", "mend", "next"];
    let facts = facts.iter().filter_map(|key| Some(format!("\n{key}: {}", of(key)?)));
    of(STATE).into_iter().chain(facts).collect()
}

fn telemetry() -> String {
    match std::env::var(TELEMETRY_VARIABLE) {
        _ if is_telemetry_off() => format!("off ({TELEMETRY_VARIABLE}=1)"),
        Ok(value) => format!("left to ONNX Runtime, as {TELEMETRY_VARIABLE}={value} is set"),
        Err(_) => format!("left to ONNX Runtime, as {TELEMETRY_VARIABLE} is not set"),
    }
}

/// The variables that say something to maskline, as they are set.
fn variables() -> Vec<String> {
    let names = [
        "MASKLINE_HOME",
        "MASKLINE_ONNXRUNTIME",
        "MASKLINE_OFFLINE",
        "MASKLINE_PROVIDER",
        "MASKLINE_PYTHON",
        "MASKLINE_CACHE_MAX",
        "ORT_DYLIB_PATH",
        "LD_LIBRARY_PATH",
        "MASKLINE_HUB",
        "HF_ENDPOINT",
    ];
    let set = names.iter().filter_map(|name| std::env::var_os(name).map(|value| format!("{name}={}", value.to_string_lossy())));
    set.collect()
}

fn folder_mb(folder: &Path) -> f64 {
    tree_size(folder) as f64 / 1e6
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
