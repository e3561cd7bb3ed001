//! Fetching the pinned wheel of ONNX Runtime with pip, into maskline's own folder.
//!
//! `pip download` installs nothing: the user's Python environment stays as it is. The wheel's hash is pinned here and checked
//! here; only its shared libraries and licences are unpacked. What lies there is looked at again whenever it is to be loaded.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::disk::{check_room, disk_full};
use crate::error::{Error, ErrorKind, Result};
use crate::library::{LibraryOptions, Located, Source};
use crate::pip::{Attempt, Download, pythons};
use crate::staging::{Lock, Staging, create_file, lock_path};
use crate::variant::Wheel;
use crate::{contents, home, trust};

/// Between two looks whether another process has fetched.
const WAIT: Duration = Duration::from_millis(100);

/// The library from maskline's folder, fetched first where it is not there yet. Parallel processes fetch once.
pub(crate) fn cached_or_fetched(wheel: &Wheel, options: &LibraryOptions) -> Result<Located> {
    home::check_home(&options.home)?;
    let target = folder(wheel, options);
    if let Some(path) = cached(wheel, options)? {
        return Ok(Located { path, source: Source::Cache, fetch: Duration::ZERO });
    }
    if options.offline {
        let message = "ONNX Runtime is not there and fetching is switched off (offline)";
        return Err(Error::new(ErrorKind::Offline, message).at(target.display()).with_help(WAY_OUT));
    }
    let start = Instant::now();
    let _lock = lock(&target, options)?;
    if let Some(path) = cached(wheel, options)? {
        return Ok(Located { path, source: Source::Cache, fetch: start.elapsed() });
    }
    // pip keeps the wheel twice for a moment: in its temporary folder and where it is to go.
    let needed = 2 * wheel.bytes + wheel.unpacked;
    check_room(&target, needed, WHAT)?;
    let staging = Staging::beside(&target)?;
    let filled = fill(&staging, wheel, options).and_then(|()| staging.commit());
    filled.map_err(|error| match error.kind() {
        ErrorKind::DiskFull => disk_full(&target, needed, WHAT).with_source(error),
        _ => error,
    })?;
    options.tell(&format!("ONNX Runtime {} is in {}", wheel.version, target.display()));
    // Its place must be as safe as that of one that was there.
    trust::check(&target, &options.home)?;
    Ok(Located { path: target.join(wheel.library), source: Source::Fetched, fetch: start.elapsed() })
}

const WHAT: &str = "fetching ONNX Runtime";
const WAY_OUT: &str = "run once with Python's pip and network access, or install ONNX Runtime 1.24 or newer yourself \
                       and name its library in MASKLINE_ONNXRUNTIME";

/// Where the libraries of a wheel are, or would be.
pub(crate) fn folder(wheel: &Wheel, options: &LibraryOptions) -> PathBuf {
    options.home.join("runtime").join(format!("{}-{}", wheel.package, wheel.version))
}

/// The library from an earlier fetch, if nobody else can have put it there or changed it; `None` if there is none.
fn cached(wheel: &Wheel, options: &LibraryOptions) -> Result<Option<PathBuf>> {
    let target = folder(wheel, options);
    let library = target.join(wheel.library);
    // A link that leads nowhere is no reason to fetch to where it points.
    if library.symlink_metadata().is_err() {
        return Ok(None);
    }
    trust::check(&target, &options.home)?;
    contents::check(&target, wheel)?;
    Ok(Some(library))
}

/// Waits until no other process fetches the same.
fn lock(target: &Path, options: &LibraryOptions) -> Result<Lock> {
    let path = lock_path(target);
    let mut told = false;
    loop {
        if let Some(lock) = Lock::try_exclusive(&path)? {
            return Ok(lock);
        }
        if !std::mem::replace(&mut told, true) {
            options.tell("another process is fetching ONNX Runtime: waiting for it");
        }
        std::thread::sleep(WAIT);
    }
}

/// Fetches the wheel and unpacks it.
fn fill(staging: &Staging, wheel: &Wheel, options: &LibraryOptions) -> Result<()> {
    let folder = staging.path().join("download");
    std::fs::create_dir(&folder).map_err(|error| Error::io(&folder, error))?;
    let file = download_wheel(&Download { wheel, options, folder: &folder })?;
    check_hash(&file, wheel)?;
    unpack(&file, staging.path())?;
    if !staging.path().join(wheel.library).is_file() {
        let message = format!("the wheel of {} holds no {}", wheel.package, wheel.library);
        return Err(Error::new(ErrorKind::FetchFailed, message).with_help(WAY_OUT));
    }
    std::fs::remove_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
    contents::check(staging.path(), wheel)
}

/// Tries every Python at hand until one's pip works.
fn download_wheel(download: &Download<'_>) -> Result<PathBuf> {
    let Download { wheel, options, folder } = download;
    let megabytes = wheel.bytes as f64 / 1e6;
    options.tell(&format!("fetching ONNX Runtime {} ({megabytes:.0} MB) with pip, once", wheel.version));
    let requirement = folder.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256);
    std::fs::write(&requirement, line).map_err(|error| Error::io(&requirement, error))?;
    let pythons = pythons(options);
    for python in &pythons {
        match download.run(python)? {
            Attempt::Done => return only_wheel(folder),
            Attempt::NoPip => {}
            Attempt::DiskFull => return Err(Error::new(ErrorKind::DiskFull, "pip found no room on the disk")),
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
    let error = Error::new(ErrorKind::HashMismatch, "the sha256 of what was fetched").at(format!("{} {}", wheel.package, wheel.version));
    Err(error.expecting(&wheel.sha256).finding(found).with_help("the package index or a proxy serves another file; nothing was kept"))
}

/// Unpacks shared libraries and licences, flat, into `folder`.
fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let broken =
        |error: zip::result::ZipError| Error::new(ErrorKind::FetchFailed, error.to_string()).at(wheel.display()).with_source(error);
    let file = File::open(wheel).map_err(|error| Error::io(wheel, error))?;
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let path = PathBuf::from(entry.name().map_err(broken)?.as_ref());
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|name| is_wanted(name)) else { continue };
        let target = folder.join(name);
        let mut out = create_file(&target)?;
        std::io::copy(&mut entry, &mut out).and_then(|_| out.flush()).map_err(|error| Error::io(&target, error))?;
    }
    Ok(())
}

/// Libraries that a process without Python needs, and the licence texts.
fn is_wanted(name: &str) -> bool {
    contents::is_library(name) || name.starts_with("LICENSE") || name.starts_with("ThirdPartyNotices")
}
