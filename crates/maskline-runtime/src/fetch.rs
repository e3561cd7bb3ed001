//! Fetching the pinned wheel of ONNX Runtime with pip, into maskline's own folder.
//!
//! `pip download` installs nothing: the user's Python environment stays as it is. The wheel's hash is pinned here and checked
//! here; only its shared libraries and licences are unpacked.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::library::{LibraryOptions, Located, Source};
use crate::staging::{Lock, Staging, lock_path};
use crate::variant::Wheel;

/// How often a running download is looked at.
const POLL: Duration = Duration::from_millis(250);

/// The library from maskline's folder, fetched first where it is not there yet. Parallel processes fetch once.
pub(crate) fn cached_or_fetched(wheel: &Wheel, options: &LibraryOptions) -> Result<Located> {
    let target = options.home.join("runtime").join(format!("{}-{}", wheel.package, wheel.version));
    let library = target.join(wheel.library);
    let cached = || Located { path: library.clone(), source: Source::Cache, fetch: Duration::ZERO };
    if library.is_file() {
        return Ok(cached());
    }
    if options.offline {
        let message = format!("ONNX Runtime is not in {} and fetching is switched off (offline)", target.display());
        return Err(Error::new(ErrorKind::Offline, message).with_help(WAY_OUT));
    }
    let start = Instant::now();
    let _lock = Lock::exclusive(&lock_path(&target))?;
    if library.is_file() {
        return Ok(cached());
    }
    let staging = Staging::beside(&target)?;
    let download = staging.path().join("download");
    std::fs::create_dir(&download).map_err(|error| Error::io(&download, error))?;
    let file = download_wheel(wheel, options, &download)?;
    check_hash(&file, wheel)?;
    unpack(&file, staging.path())?;
    if !staging.path().join(wheel.library).is_file() {
        return Err(
            Error::new(ErrorKind::FetchFailed, format!("the wheel of {} holds no {}", wheel.package, wheel.library)).with_help(WAY_OUT)
        );
    }
    std::fs::remove_dir_all(&download).map_err(|error| Error::io(&download, error))?;
    staging.commit()?;
    options.tell(&format!("ONNX Runtime {} is in {}", wheel.version, target.display()));
    Ok(Located { path: library, source: Source::Fetched, fetch: start.elapsed() })
}

const WAY_OUT: &str = "run once with Python's pip and network access, or install ONNX Runtime 1.24 or newer yourself \
                       and name its library in MASKLINE_ONNXRUNTIME";

/// Tries every Python at hand until one's pip works.
fn download_wheel(wheel: &Wheel, options: &LibraryOptions, folder: &Path) -> Result<PathBuf> {
    let megabytes = wheel.bytes as f64 / 1e6;
    options.tell(&format!("fetching ONNX Runtime {} ({megabytes:.0} MB) with pip, once", wheel.version));
    let requirement = folder.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256);
    std::fs::write(&requirement, line).map_err(|error| Error::io(&requirement, error))?;
    let pythons: Vec<PathBuf> = match &options.python {
        Some(python) => vec![python.clone()],
        None => ["python3", "python", "py"].map(PathBuf::from).to_vec(),
    };
    for python in &pythons {
        match run_pip(python, (wheel, options), folder)? {
            Attempt::Done => return only_wheel(folder),
            Attempt::NoPip => {}
            Attempt::Failed(log) => {
                let message = format!("pip could not download {} {}:\n{log}", wheel.package, wheel.version);
                return Err(Error::new(ErrorKind::FetchFailed, message).with_help(WAY_OUT));
            }
        }
    }
    let tried: Vec<String> = pythons.iter().map(|p| p.display().to_string()).collect();
    let message = format!("no Python with pip was found (tried {}) to fetch ONNX Runtime with", tried.join(", "));
    Err(Error::new(ErrorKind::FetchFailed, message).with_help(WAY_OUT))
}

enum Attempt {
    Done,
    NoPip,
    Failed(String),
}

fn run_pip(python: &Path, (wheel, options): (&Wheel, &LibraryOptions), folder: &Path) -> Result<Attempt> {
    let log_path = folder.join("pip.log");
    let log = || File::create(&log_path).map_err(|error| Error::io(&log_path, error));
    let log_file = log()?;
    let log_copy = log_file.try_clone().map_err(|error| Error::io(&log_path, error))?;
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]);
    command.args(["--disable-pip-version-check", "--progress-bar=off", "--require-hashes", "--implementation=cp"]);
    command.args(["--python-version=3.11", "--platform", wheel.platform, "--requirement"]).arg(folder.join("requirements.txt"));
    command.arg("--dest").arg(folder);
    // pip downloads to its temporary folder first: inside ours, its growth can be watched and a crash leaves nothing behind.
    command.env("TMPDIR", folder).stdin(Stdio::null()).stdout(log_file).stderr(log_copy);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Attempt::NoPip),
        Err(error) => return Err(Error::io(python, error)),
    };
    let start = Instant::now();
    let mut told = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| Error::io(python, error))? {
            break status;
        }
        std::thread::sleep(POLL);
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            let megabytes = largest_file(folder) as f64 / 1e6;
            options.tell(&format!("  {megabytes:.0} of {:.0} MB after {} s", wheel.bytes as f64 / 1e6, start.elapsed().as_secs()));
        }
    };
    if status.success() {
        return Ok(Attempt::Done);
    }
    let text = std::fs::read_to_string(&log_path).unwrap_or_default();
    if text.contains("No module named pip") {
        return Ok(Attempt::NoPip);
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last: Vec<String> = lines[lines.len().saturating_sub(6)..].iter().map(|line| format!("  | {line}")).collect();
    Ok(Attempt::Failed(format!("{}\n  | ({status})", last.join("\n"))))
}

/// Bytes of the largest file below a folder: the download, wherever pip keeps it.
fn largest_file(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => largest_file(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).max().unwrap_or(0)
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let wheel = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    wheel.ok_or_else(|| Error::new(ErrorKind::FetchFailed, "pip reported success but left no wheel").with_help(WAY_OUT))
}

fn check_hash(file: &Path, wheel: &Wheel) -> Result<()> {
    let mut reader = File::open(file).map_err(|error| Error::io(file, error))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buffer).map_err(|error| Error::io(file, error))? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == wheel.sha256 {
        return Ok(());
    }
    let message = format!("{} {}: expected sha256 {}, found {found}", wheel.package, wheel.version, wheel.sha256);
    Err(Error::new(ErrorKind::HashMismatch, message).with_help("the package index or a proxy serves another file; nothing was kept"))
}

/// Unpacks shared libraries and licences, flat, into `folder`.
fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let broken =
        |error: zip::result::ZipError| Error::new(ErrorKind::FetchFailed, format!("{}: {error}", wheel.display())).with_source(error);
    let file = File::open(wheel).map_err(|error| Error::io(wheel, error))?;
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let path = PathBuf::from(entry.name().map_err(broken)?.as_ref());
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_wanted(name)) else { continue };
        let target = folder.join(name);
        let mut out = File::create(&target).map_err(|error| Error::io(&target, error))?;
        std::io::copy(&mut entry, &mut out).and_then(|_| out.flush()).map_err(|error| Error::io(&target, error))?;
    }
    Ok(())
}

/// Libraries that a process without Python needs, and the licence texts.
fn is_wanted(name: &str) -> bool {
    let is_library = name.ends_with(".so") || name.contains(".so.") || name.ends_with(".dylib") || name.ends_with(".dll");
    (is_library && !name.contains("pybind")) || name.starts_with("LICENSE") || name.starts_with("ThirdPartyNotices")
}
