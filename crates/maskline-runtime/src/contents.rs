//! Whether the libraries in a folder are those of the pinned wheel, byte for byte.
//!
//! Hashing them at every start would take a good part of its tens of milliseconds (they are 29 MB, with CUDA 314 MB and its own 1.4 GB). It is done when
//! they come, and again whenever one was written to since: the system notes the time of every change, and who writes to a file cannot
//! choose it.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::staging::create_file;
use crate::wheel::{Contents, Wheel};

/// Beside the libraries: their sizes and times when they were last found to be right.
const STAMP: &str = ".checked";

/// Fails unless the libraries in `folder` are those of the wheel, and no more.
///
/// # Errors
/// `HashMismatch` for other ones, `Io`.
pub(crate) fn check(folder: &Path, wheel: &Wheel) -> Result<()> {
    let libraries = libraries(folder)?;
    let stamp = stamp(&libraries, wheel)?;
    let stamp_path = folder.join(STAMP);
    if std::fs::read_to_string(&stamp_path).is_ok_and(|stored| stored == stamp) {
        return Ok(());
    }
    let found = fingerprint(&libraries, &wheel.contents)?;
    if found != wheel.contents.hash() {
        let message =
            format!("the libraries are not those of {} {} that were fetched: they were changed or damaged", wheel.package, wheel.version);
        let help = "remove that folder: the next run fetches it anew; or name a library that you trust in MASKLINE_ONNXRUNTIME";
        let error = Error::new(ErrorKind::HashMismatch, message).at(folder.display());
        return Err(error.expecting(wheel.contents.hash()).finding(found).with_help(help));
    }
    // On a read-only disk there is no stamp: then they are hashed at every start.
    let _ = create_file(&stamp_path).map(|mut file| file.write_all(stamp.as_bytes()));
    Ok(())
}

/// Whether a file of a wheel is a library that a process without Python needs.
pub(crate) fn is_library(name: &str) -> bool {
    let is_library = name.ends_with(".so") || name.contains(".so.") || name.ends_with(".dylib") || name.ends_with(".dll");
    is_library && !name.contains("pybind")
}

/// Sorted by name.
fn libraries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let named = entries.flatten().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
    let mut libraries: Vec<_> = named.filter(|(name, _)| is_library(name)).collect();
    libraries.sort();
    Ok(libraries)
}

/// The hash of the list of the libraries, made as `like` was.
fn fingerprint(libraries: &[(String, PathBuf)], like: &Contents) -> Result<String> {
    let mut list = String::new();
    for (name, path) in libraries {
        let read = match like {
            Contents::Blake3(_) => blake3_of(path),
            Contents::Sha256(_) => sha256_of(path),
        };
        let Hashed { bytes, hash } = read.map_err(|error| Error::io(path, error))?;
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{name} {bytes} {hash}");
    }
    Ok(match like {
        Contents::Blake3(_) => blake3::hash(list.as_bytes()).to_string(),
        Contents::Sha256(_) => hexadecimal(&Sha256::digest(list.as_bytes())),
    })
}

/// A file's length, and its hash in hexadecimal.
pub(crate) struct Hashed {
    pub(crate) bytes: u64,
    pub(crate) hash: String,
}

fn blake3_of(path: &Path) -> std::io::Result<Hashed> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(Hashed { bytes: hasher.count(), hash: hasher.finalize().to_string() })
}

pub(crate) fn sha256_of(path: &Path) -> std::io::Result<Hashed> {
    let (mut file, mut hasher, mut bytes) = (std::fs::File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Hashed { bytes, hash: hexadecimal(&hasher.finalize()) }),
            count => {
                bytes += count as u64;
                hasher.update(&buffer[..count]);
            }
        }
    }
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stamp(libraries: &[(String, PathBuf)], wheel: &Wheel) -> Result<String> {
    let mut stamp = format!("{}\n", wheel.contents.hash());
    for (name, path) in libraries {
        let facts = path.metadata().map_err(|error| Error::io(path, error))?;
        let modified = facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        let _ = writeln!(stamp, "{name} {} {} {}", facts.len(), modified.as_nanos(), change(&facts));
    }
    Ok(stamp)
}

/// The file's number and the time of its last change of any kind.
#[cfg(unix)]
fn change(facts: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{} {} {}.{:09}", facts.dev(), facts.ino(), facts.ctime(), facts.ctime_nsec())
}

#[cfg(not(unix))]
fn change(facts: &Metadata) -> String {
    facts.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default().as_nanos().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wheel(contents: Contents) -> Wheel {
        let text = "test";
        let (title, package, version, platform, sha256, way_out) = (text, text, "1", text, text, text);
        Wheel { title, package, version, platform, sha256, bytes: 0, library: "libx.so", contents, unpacked: 0, way_out }
    }

    #[test]
    fn the_list_is_hashed_as_the_pin_was() {
        let folder = tempfile::tempdir().expect("folder");
        for (name, bytes) in [("liba.so.1", "a"), ("libb.so", "bb")] {
            std::fs::write(folder.path().join(name), bytes).expect("file");
        }
        // printf 'liba.so.1 1 %s\nlibb.so 2 %s\n' $(printf a | sha256sum | cut -c-64) $(printf bb | sha256sum | cut -c-64) | sha256sum
        let pinned = Contents::Sha256("a6ada59305c6cb1a68a1d3e8ef9b64829e4ff899e5fc6f3a90cd3ce0ab67c3f7".into());
        let other = Contents::Blake3("a6ada59305c6cb1a68a1d3e8ef9b64829e4ff899e5fc6f3a90cd3ce0ab67c3f7".into());
        assert_eq!(check(folder.path(), &wheel(other)).expect_err("another hash").kind(), ErrorKind::HashMismatch);
        check(folder.path(), &wheel(pinned)).expect("as pinned");
    }

    #[test]
    fn a_changed_added_or_missing_library_is_noticed_and_an_unchanged_one_is_not_read_again() {
        let folder = tempfile::tempdir().expect("folder");
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("file");
        write("libx.so", b"code");
        write("LICENSE", b"text");
        let none = Contents::Blake3("".into());
        let contents = fingerprint(&libraries(folder.path()).expect("libraries"), &none).expect("fingerprint");
        let wheel = wheel(Contents::Blake3(contents.into()));
        check(folder.path(), &wheel).expect("unchanged");
        let stamp = std::fs::read_to_string(folder.path().join(STAMP)).expect("a stamp");
        check(folder.path(), &wheel).expect("unchanged");
        assert_eq!(std::fs::read_to_string(folder.path().join(STAMP)).expect("a stamp"), stamp);
        let fails = || assert_eq!(check(folder.path(), &wheel).expect_err("changed").kind(), ErrorKind::HashMismatch);
        // The same size and, set back by hand, the same time of modification.
        let path = folder.path().join("libx.so");
        let modified = path.metadata().and_then(|facts| facts.modified()).expect("time");
        write("libx.so", b"evil");
        std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("time");
        fails();
        write("libx.so", b"code");
        check(folder.path(), &wheel).expect("as it was");
        write("liby.so.2", b"more");
        fails();
        std::fs::remove_file(folder.path().join("liby.so.2")).expect("removed");
        check(folder.path(), &wheel).expect("as it was");
        std::fs::remove_file(path).expect("removed");
        fails();
    }
}
