//! Optimised graphs and compiled models on disk: what was made of a model the first time, so that the second start need not.
//!
//! An artefact is a file, or where a provider writes several, a folder of files. It counts only together with its sum file (length and blake3
//! of each content); one that was cut off, damaged or half written is made anew.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::staging::{create_file, create_folder};
use crate::{Library, Provider};

/// What an optimised graph and the numbers that come out of it depend on besides the model: runtime, provider with its options, and
/// processor (the layout of convolution weights follows its vector width); with NVIDIA's providers also cards and driver, of an engine of TensorRT's also TensorRT and its options.
pub fn device_key(provider: &Provider, library: &Library) -> String {
    let processor = processor();
    let card = library.toolkit().key(provider, library.path());
    let provider_key = provider.key();
    let parts = [library.version(), &provider_key, std::env::consts::ARCH, &processor];
    crate::hash_key(parts.into_iter().chain(card.as_deref())).to_string()[..16].to_string()
}

/// Where TensorRT's engines for a session belong: where the user says, in a folder for this very device, driver and TensorRT, else where its
/// other artefacts do. `None` with other providers, and where one of those is not known: an engine that may be another machine's is never
/// loaded.
pub(crate) fn engines(provider: &Provider, library: &Library, optimised: Option<&Path>) -> Option<PathBuf> {
    let Provider::TensorRt(options) = provider else { return None };
    library.toolkit().key(provider, library.path())?;
    match &options.engine_cache {
        Some(folder) => Some(folder.join(device_key(provider, library))),
        None => optimised.map(Path::to_path_buf),
    }
}

fn processor() -> String {
    let Ok(text) = std::fs::read_to_string("/proc/cpuinfo") else { return detected_features() };
    let field = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
    [field("model name"), field("flags"), field("Features")].join(" ")
}

#[cfg(target_arch = "x86_64")]
fn detected_features() -> String {
    let found = [
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    found.into_iter().filter_map(|(name, there)| there.then_some(name)).collect::<Vec<_>>().join(" ")
}

#[cfg(not(target_arch = "x86_64"))]
fn detected_features() -> String {
    String::new()
}

/// Whether a complete artefact lies at `path`.
pub(crate) fn is_complete(path: &Path) -> bool {
    let (Ok(expected), Ok(found)) = (std::fs::read_to_string(sum_path(path)), sum(path)) else { return false };
    expected == found
}

/// When the files of a folder were last written to, by name: what only reads it leaves that as it was.
pub(crate) fn written(folder: &Path) -> Vec<(OsString, Option<SystemTime>)> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|file| (file.file_name(), file.metadata().and_then(|facts| facts.modified()).ok())).collect();
    files.sort();
    files
}

/// A new artefact where it does not count yet; removed when dropped before it does.
pub(crate) struct Aside<'a> {
    aside: PathBuf,
    target: &'a Path,
}

impl<'a> Aside<'a> {
    /// An empty file.
    pub(crate) fn file(target: &'a Path) -> Result<Self> {
        let new = Self::beside(target);
        create_file(&new.aside)?;
        Ok(new)
    }

    /// An empty folder.
    pub(crate) fn folder(target: &'a Path) -> Result<Self> {
        let new = Self::beside(target);
        create_folder(&new.aside)?;
        Ok(new)
    }

    /// Of its own each time, as several threads may make the same artefact.
    fn beside(target: &'a Path) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let aside = with_suffix(target, &format!(".partial-{}-{}.onnx", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        Self { aside, target }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.aside
    }

    /// Makes the artefact that was written count.
    pub(crate) fn commit(self) -> Result<()> {
        let text = sum(&self.aside).map_err(|error| Error::io(&self.aside, error))?;
        let sum_aside = with_suffix(&self.aside, ".sum");
        std::fs::write(&sum_aside, text).map_err(|error| Error::io(&sum_aside, error))?;
        if self.aside.is_dir() {
            // A folder takes the place of none but an empty one.
            discard(self.target);
        }
        std::fs::rename(&self.aside, self.target).map_err(|error| Error::io(self.target, error))?;
        std::fs::rename(&sum_aside, sum_path(self.target)).map_err(|error| Error::io(self.target, error))
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // Once committed it is not there any more.
        discard(&self.aside);
    }
}

/// Removes an artefact that could not be loaded, and its sum.
pub(crate) fn discard(path: &Path) {
    // What cannot be removed is overwritten by the next commit.
    let _ = std::fs::remove_file(sum_path(path));
    let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
}

/// Of a folder with nothing in it there is none: it is no artefact.
fn sum(path: &Path) -> std::io::Result<String> {
    if !path.is_dir() {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(path)?)?;
        return Ok(format!("{} {}\n", hasher.count(), hasher.finalize()));
    }
    let mut lines = Vec::new();
    for file in std::fs::read_dir(path)? {
        let file = file?;
        lines.push(format!("{} {}", file.file_name().to_string_lossy(), sum(&file.path())?));
    }
    if lines.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the provider wrote nothing"));
    }
    lines.sort();
    Ok(lines.concat())
}

fn sum_path(path: &Path) -> PathBuf {
    with_suffix(path, ".sum")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_counts_while_every_file_in_it_is_as_it_was_written() {
        let place = tempfile::tempdir().expect("folder");
        let target = place.path().join("part.key.optimised.onnx");
        let made = |content: &[u8]| {
            let aside = Aside::folder(&target).expect("aside");
            for name in ["1.blob", "2.blob"] {
                std::fs::write(aside.path().join(name), content).expect("file");
            }
            aside.commit().expect("committed");
        };
        assert!(!is_complete(&target));
        made(b"one");
        assert!(is_complete(&target));
        let harm: [&dyn Fn(); 4] = [
            &|| std::fs::write(target.join("1.blob"), b"two").expect("changed"),
            &|| std::fs::write(target.join("2.blob"), b"").expect("cut"),
            &|| std::fs::remove_file(target.join("2.blob")).expect("removed"),
            &|| std::fs::write(target.join("3.blob"), b"foreign").expect("added"),
        ];
        for harm in harm {
            harm();
            assert!(!is_complete(&target));
            made(b"three");
            assert!(is_complete(&target), "made anew");
        }
        discard(&target);
        assert_eq!(std::fs::read_dir(place.path()).expect("folder").count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_folder_without_files_is_no_artefact() {
        let place = tempfile::tempdir().expect("folder");
        let target = place.path().join("part.key.optimised.onnx");
        Aside::folder(&target).expect("aside").commit().expect_err("nothing in it");
        assert!(!target.exists() && std::fs::read_dir(place.path()).expect("folder").count() == 0);
    }
}
