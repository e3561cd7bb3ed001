//! Finding and loading libonnxruntime.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ort::environment::GlobalThreadPoolOptions;
use ort::ep::ExecutionProvider;

use crate::cuda::Toolkit;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch;
use crate::home::{home_dir, platform_home};
use crate::pip::FetchLimits;
use crate::telemetry::switch_off_telemetry;
use crate::threads::{Threads, usable_threads};
use crate::variant::Variant;

/// Called with a line of text whenever there is something to tell about a fetch.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Where to find ONNX Runtime and whether it may be fetched.
///
/// The search order is [`path`](Self::path), [`environment_path`](Self::environment_path), the cache in
/// [`home`](Self::home), then a download with pip.
#[derive(Clone)]
pub struct LibraryOptions {
    /// The library's file, or the folder it is in.
    pub path: Option<PathBuf>,
    /// The name of an environment variable and the file or folder in it; see [`Self::from_env`].
    pub environment_path: Option<(String, PathBuf)>,
    /// Never use the network.
    pub offline: bool,
    /// The build to look for in the cache, or to fetch.
    pub variant: Variant,
    /// maskline's cache folder; see [`home_dir`].
    pub home: PathBuf,
    /// The only Python or pip to use for a download; `None`: the first of python3, python, pip3, pip that works.
    pub python: Option<PathBuf>,
    /// How long a download may take.
    pub limits: FetchLimits,
    /// Told what happens during a download.
    pub progress: Option<Progress>,
    /// Threads that all lanes without threads of their own compute with; 0 for one per core that this process may use, and never more
    /// ([`usable_threads`](crate::usable_threads)). What the first [`load`] of a process says counts.
    pub threads: usize,
}

impl Default for LibraryOptions {
    /// The CPU build, in the platform's cache folder, fetched when it is not there. Reads no `MASKLINE_*` variables.
    fn default() -> Self {
        Self {
            path: None,
            environment_path: None,
            offline: false,
            variant: Variant::Cpu,
            home: platform_home(),
            python: None,
            limits: FetchLimits::default(),
            progress: None,
            threads: 0,
        }
    }
}

impl LibraryOptions {
    /// The default with what the environment says:
    /// - `MASKLINE_ONNXRUNTIME`, else `ORT_DYLIB_PATH`: the library's file or folder
    /// - `MASKLINE_HOME`: maskline's cache folder
    /// - `MASKLINE_OFFLINE`: never use the network, when set to anything but `0` or nothing
    /// - `MASKLINE_PYTHON`: the Python or pip for a download
    pub fn from_env() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(|value| (name.to_owned(), PathBuf::from(value)));
        Self {
            environment_path: path("MASKLINE_ONNXRUNTIME").or_else(|| path("ORT_DYLIB_PATH")),
            offline: variable("MASKLINE_OFFLINE").is_some_and(|value| value != "0"),
            home: home_dir(),
            python: variable("MASKLINE_PYTHON").map(PathBuf::from),
            ..Self::default()
        }
    }

    pub(crate) fn tell(&self, message: &str) {
        if let Some(progress) = &self.progress {
            progress(message);
        }
    }
}

impl fmt::Debug for LibraryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("LibraryOptions");
        debug.field("path", &self.path).field("environment_path", &self.environment_path).field("offline", &self.offline);
        debug.field("variant", &self.variant).field("home", &self.home).field("python", &self.python);
        debug.field("threads", &self.threads).finish_non_exhaustive()
    }
}

/// How a library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The path in the options.
    Explicit,
    /// The path in an environment variable.
    Environment,
    /// An earlier download.
    Cache,
    /// Downloaded now.
    Fetched,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "explicit",
            Self::Environment => "environment",
            Self::Cache => "cache",
            Self::Fetched => "fetched",
        })
    }
}

/// A library on disk that is not loaded yet.
#[derive(Debug, Clone)]
pub struct Located {
    /// The library's file.
    pub path: PathBuf,
    /// How it was found.
    pub source: Source,
    /// Time spent on the download, or on waiting for another process's download.
    pub fetch: Duration,
}

/// Finds the library, downloading it when it is nowhere and that is allowed. Loads nothing.
///
/// # Errors
/// [`ErrorKind::LibraryNotFound`] when a named path has no library, or the platform has no such variant;
/// [`ErrorKind::Offline`], [`ErrorKind::FetchFailed`], [`ErrorKind::DiskFull`] and [`ErrorKind::HashMismatch`] from the download;
/// [`ErrorKind::HashMismatch`] and [`ErrorKind::Untrusted`] where what an earlier one left was changed, or others may change it;
/// [`ErrorKind::Cache`] for a user without a home folder.
pub fn locate(options: &LibraryOptions) -> Result<Located> {
    let found = |path, source| Located { path, source, fetch: Duration::ZERO };
    if let Some(path) = &options.path {
        return library_at(path, "the given path").map(|path| found(path, Source::Explicit));
    }
    if let Some((variable, path)) = &options.environment_path {
        return library_at(path, variable).map(|path| found(path, Source::Environment));
    }
    let wheel = options.variant.wheel()?;
    fetch::cached_or_fetched(wheel, options)
}

/// ONNX Runtime, loaded into this process, with its environment.
pub struct Library {
    path: PathBuf,
    version: String,
    source: Source,
    fetch: Duration,
    load: Duration,
    providers: Vec<&'static str>,
    threads: Threads,
    toolkit: Toolkit,
    pub(crate) environment: ort::environment::Environment,
}

impl Library {
    /// The library's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// ONNX Runtime's version, e.g. `1.31.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How the library was found.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Time spent on the download; zero when there was none.
    pub fn fetch_time(&self) -> Duration {
        self.fetch
    }

    /// Time to load the library and to create its environment.
    pub fn load_time(&self) -> Duration {
        self.load
    }

    /// The threads that lanes without threads of their own share.
    pub fn threads(&self) -> Threads {
        self.threads
    }

    /// NVIDIA's libraries, as this process finds them.
    pub(crate) fn toolkit(&self) -> &Toolkit {
        &self.toolkit
    }

    /// The [providers](crate::Provider) that this build has, by their short names. Whether one can start here, only a session shows.
    pub fn providers(&self) -> &[&'static str] {
        &self.providers
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, version, providers, .. } = self;
        write!(f, "ONNX Runtime {version} ({}, providers: {})", path.display(), providers.join(", "))
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The library of this process: ONNX Runtime allows one per process, with one environment.
static LOADED: Mutex<Option<Arc<Library>>> = Mutex::new(None);

fn loaded() -> MutexGuard<'static, Option<Arc<Library>>> {
    // A panic while loading leaves `None`, which is a valid state.
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails where ONNX Runtime is not in the process yet. Its bindings would look for some library on their own.
///
/// # Errors
/// [`ErrorKind::LibraryNotFound`].
pub(crate) fn check_loaded() -> Result<()> {
    match *loaded() {
        Some(_) => Ok(()),
        None => Err(Error::new(ErrorKind::LibraryNotFound, "ONNX Runtime is not loaded yet").with_help("call `load` first")),
    }
}

/// Finds ONNX Runtime, fetches it when needed and loads it into this process; later calls return the same library. Its telemetry is
/// off ([`switch_off_telemetry`]).
///
/// # Errors
/// Those of [`locate`]; [`ErrorKind::LibraryInvalid`] and [`ErrorKind::VersionTooOld`] when the file cannot be used;
/// [`ErrorKind::AlreadyLoaded`] when another file is already loaded.
pub fn load(options: &LibraryOptions) -> Result<Arc<Library>> {
    // Before the lock: while one thread fetches a library, others may load theirs.
    let located = locate(options)?;
    let mut loaded = loaded();
    if let Some(library) = loaded.as_ref() {
        return if same_file(library.path(), &located.path) {
            Ok(Arc::clone(library))
        } else {
            let message = format!("it cannot be loaded: this process already runs {library}");
            let error = Error::new(ErrorKind::AlreadyLoaded, message).at(located.path.display());
            Err(error.with_help("one process has one runtime; use another process for another one"))
        };
    }
    let library = Arc::new(open(located, options)?);
    *loaded = Some(Arc::clone(&library));
    Ok(library)
}

fn open(located: Located, options: &LibraryOptions) -> Result<Library> {
    let (start, threads) = (Instant::now(), usable_threads(options.threads));
    let Located { path, source, fetch } = located;
    let path = std::path::absolute(&path).map_err(|error| Error::io(&path, error))?;
    switch_off_telemetry();
    let builder = ort::init_from(&path).map_err(|error| load_error(&path, &error))?;
    let invalid = |error: ort::Error| Error::new(ErrorKind::LibraryInvalid, error.to_string()).at(path.display()).with_source(error);
    let pool = thread_pool(threads).map_err(invalid)?;
    let builder = builder.with_name("maskline").with_telemetry(false).with_global_thread_pool(pool);
    let environment = builder.build().map_err(invalid)?;
    environment.set_log_level(ort::logging::LogLevel::Warning);
    let providers = available_providers().map_err(invalid)?;
    let version = build_version(&path);
    let toolkit = Toolkit::new(options);
    Ok(Library { path, version, source, fetch, load: start.elapsed(), providers, threads, toolkit, environment })
}

/// The threads that lanes share. They spin, as those of a session do by default: faster runs, busy cores. Numbers below 1e-38, which steep
/// attention is full of, count as zero: processors take a hundred times as long for them.
fn thread_pool(threads: Threads) -> ort::Result<GlobalThreadPoolOptions> {
    GlobalThreadPoolOptions::default()
        .with_intra_threads(threads.count)?
        .with_inter_threads(1)?
        .with_spin_control(true)?
        .with_flush_to_zero()
}

fn available_providers() -> ort::Result<Vec<&'static str>> {
    let all = [
        ("cpu", ort::ep::CPU::is_available()?),
        ("openvino", ort::ep::OpenVINO::is_available()?),
        ("cuda", ort::ep::CUDA::is_available()?),
        ("tensorrt", ort::ep::TensorRT::is_available()?),
    ];
    Ok(all.into_iter().filter_map(|(name, available)| available.then_some(name)).collect())
}

fn load_error(path: &Path, error: &ort::LoadDynamicError) -> Error {
    match error {
        ort::LoadDynamicError::BadVersion { version_str, .. } => {
            Error::new(ErrorKind::VersionTooOld, format!("ONNX Runtime {version_str} is too old"))
                .at(path.display())
                .expecting(format!("1.{} or newer", ort::MINOR_VERSION))
                .with_help("name a newer library, or none: then a suitable one is fetched")
        }
        other => Error::new(ErrorKind::LibraryInvalid, other.to_string())
            .with_help("name the libonnxruntime of this platform, or none: then a suitable one is fetched"),
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The library that `path` names: the file itself, or the newest in a folder or in the `capi` folder of a Python package.
fn library_at(path: &Path, named_by: &str) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let folders = [path.to_owned(), path.join("lib"), path.join("capi"), path.join("onnxruntime").join("capi")];
    let found = folders.iter().find_map(|folder| newest_library(folder));
    found.ok_or_else(|| {
        let what = if path.is_dir() { "there is no libonnxruntime in it" } else { "there is no such file or folder" };
        Error::new(ErrorKind::LibraryNotFound, what).at(format!("{} (from {named_by})", path.display())).with_help(
            "name the file libonnxruntime.so, libonnxruntime.dylib or onnxruntime.dll, or its folder; or none: then it is fetched",
        )
    })
}

pub(crate) fn newest_library(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let libraries = entries.flatten().filter(|entry| is_library(&entry.file_name().to_string_lossy())).map(|entry| entry.path());
    libraries.filter(|path| path.is_file()).max_by_key(|path| version_numbers(&path.to_string_lossy()))
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.31.1`, `libonnxruntime.dylib`, `libonnxruntime.1.31.1.dylib`, `onnxruntime.dll`.
fn is_library(name: &str) -> bool {
    let versioned = |middle: &str| middle.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit());
    if let Some(version) = name.strip_prefix("libonnxruntime.so") {
        return versioned(version);
    }
    let dylib = name.strip_prefix("libonnxruntime").and_then(|rest| rest.strip_suffix(".dylib"));
    dylib.is_some_and(versioned) || name == "onnxruntime.dll"
}

fn version_numbers(name: &str) -> Vec<u64> {
    name.rsplit(['/', '\\']).next().unwrap_or(name).split('.').filter_map(|part| part.parse().ok()).collect()
}

/// The version in the library's file name or, where that has none, in the runtime's build description.
fn build_version(path: &Path) -> String {
    let join = |numbers: Vec<u64>| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let named = version_numbers(&resolved.to_string_lossy());
    if named.len() >= 2 {
        return join(named);
    }
    let branch = ort::info().split("git-branch=").nth(1).and_then(|rest| rest.split([',', ' ']).next());
    branch.map(|branch| branch.trim_start_matches("rel-").to_owned()).unwrap_or_else(|| "of unknown version".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_their_companions() {
        for name in
            ["libonnxruntime.so", "libonnxruntime.so.1.31.1", "libonnxruntime.dylib", "libonnxruntime.1.31.1.dylib", "onnxruntime.dll"]
        {
            assert!(is_library(name), "{name}");
        }
        for name in ["libonnxruntime_providers_shared.so", "libonnxruntime.so.txt", "onnxruntime_pybind11_state.so", "LICENSE"] {
            assert!(!is_library(name), "{name}");
        }
    }

    #[test]
    fn the_newest_library_of_a_folder_is_taken() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let package = folder.path().join("capi");
        std::fs::create_dir(&package).expect("folder");
        for name in ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.31.1", "libonnxruntime_providers_shared.so"] {
            std::fs::write(package.join(name), b"").expect("file");
        }
        assert_eq!(library_at(folder.path(), "test").expect("library"), package.join("libonnxruntime.so.1.31.1"));
        let error = library_at(&folder.path().join("absent"), "MASKLINE_ONNXRUNTIME").expect_err("absent");
        assert_eq!(error.kind(), ErrorKind::LibraryNotFound);
        assert!(error.to_string().contains("MASKLINE_ONNXRUNTIME"), "{error}");
    }
}
