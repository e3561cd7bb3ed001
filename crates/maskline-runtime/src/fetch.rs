//! Fetching pinned wheels (ONNX Runtime, CUDA's libraries) with pip, into maskline's own folder.
//!
//! `pip download` installs nothing: the user's Python environment stays as it is. The wheel's hash is pinned here and checked
//! here; only its shared libraries and licences are unpacked. What lies there is looked at again whenever it is to be loaded.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::disk::{check_room, disk_full};
use crate::error::{Error, ErrorKind, Result};
use crate::library::{LibraryOptions, Located, Source};
use crate::pip::{Attempt, Download, pythons};
use crate::staging::{Lock, Staging, create_file, lock_path};
use crate::wheel::Wheel;
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
        let message = format!("{} is not there and fetching is switched off (offline)", wheel.title);
        return Err(Error::new(ErrorKind::Offline, message).at(target.display()).with_help(wheel.way_out));
    }
    let start = Instant::now();
    let _lock = lock(wheel, options)?;
    if let Some(path) = cached(wheel, options)? {
        return Ok(Located { path, source: Source::Cache, fetch: start.elapsed() });
    }
    // pip keeps the wheel twice for a moment: in its temporary folder and where it is to go.
    let needed = 2 * wheel.bytes + wheel.unpacked;
    let what = format!("fetching {}", wheel.title);
    check_room(&target, needed, &what)?;
    let staging = Staging::beside(&target)?;
    let filled = fill(&staging, wheel, options).and_then(|()| staging.commit());
    filled.map_err(|error| match error.kind() {
        ErrorKind::DiskFull => disk_full(&target, needed, &what).with_source(error),
        _ => error,
    })?;
    options.tell(&format!("{wheel} is in {}", target.display()));
    // Its place must be as safe as that of one that was there.
    trust::check(&target, &options.home)?;
    Ok(Located { path: target.join(wheel.library), source: Source::Fetched, fetch: start.elapsed() })
}

/// Where the libraries of a wheel are, or would be.
pub(crate) fn folder(wheel: &Wheel, options: &LibraryOptions) -> PathBuf {
    options.home.join("runtime").join(format!("{}-{}", wheel.package, wheel.version))
}

/// The library from an earlier fetch, if nobody else can have put it there or changed it; `None` if there is none.
///
/// # Errors
/// `HashMismatch` and `Untrusted` for one that is not to be loaded.
pub(crate) fn cached(wheel: &Wheel, options: &LibraryOptions) -> Result<Option<PathBuf>> {
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
pub(crate) fn lock(wheel: &Wheel, options: &LibraryOptions) -> Result<Lock> {
    let path = lock_path(&folder(wheel, options));
    let mut told = false;
    loop {
        if let Some(lock) = Lock::try_exclusive(&path)? {
            return Ok(lock);
        }
        if !std::mem::replace(&mut told, true) {
            options.tell(&format!("another process is fetching {}: waiting for it", wheel.title));
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
        return Err(Error::new(ErrorKind::FetchFailed, message).with_help(wheel.way_out));
    }
    std::fs::remove_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
    contents::check(staging.path(), wheel)
}

/// Tries every Python at hand until one's pip works.
fn download_wheel(download: &Download<'_>) -> Result<PathBuf> {
    let Download { wheel, options, folder } = download;
    let megabytes = wheel.bytes as f64 / 1e6;
    options.tell(&format!("fetching {wheel} ({megabytes:.0} MB) with pip, once"));
    let requirement = folder.join("requirements.txt");
    let line = format!("{}=={} --hash=sha256:{}\n", wheel.package, wheel.version, wheel.sha256);
    std::fs::write(&requirement, line).map_err(|error| Error::io(&requirement, error))?;
    let pythons = pythons(options);
    for python in &pythons {
        match download.run(python)? {
            Attempt::Done => return only_file(wheel, folder),
            Attempt::NoPip => {}
            Attempt::DiskFull => return Err(Error::new(ErrorKind::DiskFull, "pip found no room on the disk")),
            Attempt::Failed(log) => {
                let message = format!("pip could not download {} {}:\n{log}", wheel.package, wheel.version);
                return Err(Error::new(ErrorKind::FetchFailed, message).with_help(wheel.way_out));
            }
        }
    }
    let tried: Vec<String> = pythons.iter().map(|p| p.display().to_string()).collect();
    let message = format!("no Python with pip was found (tried {}) to fetch {} with", tried.join(", "), wheel.title);
    Err(Error::new(ErrorKind::FetchFailed, message).with_help(wheel.way_out))
}

fn only_file(wheel: &Wheel, folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let file = entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    file.ok_or_else(|| Error::new(ErrorKind::FetchFailed, "pip reported success but left no wheel").with_help(wheel.way_out))
}

fn check_hash(file: &Path, wheel: &Wheel) -> Result<()> {
    let found = contents::sha256_of(file).map_err(|error| Error::io(file, error))?.hash;
    if found == wheel.sha256 {
        return Ok(());
    }
    let error = Error::new(ErrorKind::HashMismatch, "the sha256 of what was fetched").at(format!("{} {}", wheel.package, wheel.version));
    Err(error.expecting(wheel.sha256).finding(found).with_help("the package index or a proxy serves another file; nothing was kept"))
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
    contents::is_library(name) || ["LICENSE", "License.txt", "ThirdPartyNotices"].iter().any(|start| name.starts_with(start))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::wheel::Contents;

    const LIBRARY: &[u8] = b"code";

    /// A wheel as NVIDIA's are: libraries, what they are linked with, and a licence.
    fn pack(file: &Path) {
        let mut writer = zip::ZipWriter::new(File::create(file).expect("file"));
        let files: [(&str, &[u8]); 3] = [
            ("nvidia/cu13/lib/libx.so.13", LIBRARY),
            ("nvidia/cu13/lib/libx_static.a", b"more code"),
            ("nvidia_x-1.dist-info/licenses/License.txt", b"terms"),
        ];
        for (name, bytes) in files {
            writer.start_file(name, zip::write::SimpleFileOptions::default()).expect("entry");
            writer.write_all(bytes).expect("entry");
        }
        writer.finish().expect("a wheel");
    }

    #[test]
    fn a_wheel_that_is_pinned_by_its_record_is_fetched_and_checked_whenever_it_is_used() {
        let place = tempfile::tempdir().expect("folder");
        let (home, file, script) = (place.path().join("home"), place.path().join("x.whl"), place.path().join("python"));
        pack(&file);
        std::fs::write(&script, format!("#!/bin/sh\ncat requirements.txt >> '{0}/asked'; cp '{0}/x.whl' .\n", place.path().display()))
            .expect("a script");
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("a script");
        let sum = |bytes: &[u8]| {
            let copy = place.path().join("copy");
            std::fs::write(&copy, bytes).expect("file");
            contents::sha256_of(&copy).expect("read").hash
        };
        let hash = sum(&std::fs::read(&file).expect("the wheel"));
        let list = format!("libx.so.13 {} {}\n", LIBRARY.len(), sum(LIBRARY));
        let wheel = Wheel {
            title: "cuX",
            package: "nvidia-x",
            version: "1",
            platform: "any",
            sha256: hash.leak(),
            bytes: 1000,
            library: "libx.so.13",
            contents: Contents::Sha256(sum(list.as_bytes()).into()),
            unpacked: 9,
            way_out: "install it yourself",
        };
        let options = LibraryOptions { home: home.clone(), python: Some(script), ..LibraryOptions::default() };
        let fetched = cached_or_fetched(&wheel, &options).expect("fetched");
        assert_eq!((fetched.source, fetched.path), (Source::Fetched, home.join("runtime/nvidia-x-1/libx.so.13")));
        let folder = home.join("runtime/nvidia-x-1");
        assert!(folder.join("License.txt").is_file() && !folder.join("libx_static.a").exists());
        assert_eq!(cached_or_fetched(&wheel, &options).expect("there").source, Source::Cache);
        let asked = std::fs::read_to_string(place.path().join("asked")).expect("once");
        assert_eq!(asked, format!("nvidia-x==1 --hash=sha256:{}\n", wheel.sha256));
        std::fs::write(folder.join("libx.so.13"), b"evil").expect("file");
        assert_eq!(cached_or_fetched(&wheel, &options).expect_err("changed").kind(), ErrorKind::HashMismatch);
        let other = Wheel { version: "2", sha256: "0", ..wheel };
        let error = cached_or_fetched(&other, &options).expect_err("another file");
        assert_eq!(error.kind(), ErrorKind::HashMismatch);
        let offline = cached_or_fetched(&other, &LibraryOptions { offline: true, ..options }).expect_err("offline");
        assert!(offline.to_string().contains("cuX is not there") && offline.help() == Some("install it yourself"), "{offline}");
    }
}
