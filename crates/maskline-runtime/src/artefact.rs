//! Optimised graphs on disk: what ONNX Runtime made of a model the first time, so that the second start need not.
//!
//! An artefact counts only together with its sum file (length and blake3 of the content); one that was cut off, damaged or
//! half written is made anew.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::staging::create_file;
use crate::{Library, Provider};

/// What an optimised graph depends on besides the model: runtime, provider and processor (the layout of convolution weights
/// follows its vector width); with NVIDIA's providers also cards and driver, of an engine of TensorRT's also TensorRT and its options.
pub fn device_key(provider: &Provider, library: &Library) -> String {
    let processor = processor();
    let card = library.toolkit().key(provider, library.path());
    let parts = [library.version(), provider.name(), std::env::consts::ARCH, &processor];
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

/// A new artefact where it does not count yet; removed when dropped before it does.
pub(crate) struct Aside<'a> {
    aside: PathBuf,
    target: &'a Path,
}

impl<'a> Aside<'a> {
    /// An empty file of its own each time, as several threads may make the same artefact.
    pub(crate) fn new(target: &'a Path) -> Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let aside = with_suffix(target, &format!(".partial-{}-{}.onnx", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        create_file(&aside)?;
        Ok(Self { aside, target })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.aside
    }

    /// Makes the artefact that was written count.
    pub(crate) fn commit(self) -> Result<()> {
        let text = sum(&self.aside).map_err(|error| Error::io(&self.aside, error))?;
        let sum_aside = with_suffix(&self.aside, ".sum");
        std::fs::write(&sum_aside, text).map_err(|error| Error::io(&sum_aside, error))?;
        std::fs::rename(&self.aside, self.target).map_err(|error| Error::io(self.target, error))?;
        std::fs::rename(&sum_aside, sum_path(self.target)).map_err(|error| Error::io(self.target, error))
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // Once committed they are not there any more.
        let _ = std::fs::remove_file(&self.aside);
        let _ = std::fs::remove_file(with_suffix(&self.aside, ".sum"));
    }
}

/// Removes an artefact that could not be loaded, and its sum.
pub(crate) fn discard(path: &Path) {
    // What cannot be removed is overwritten by the next commit.
    let _ = std::fs::remove_file(sum_path(path));
    let _ = std::fs::remove_file(path);
}

fn sum(path: &Path) -> std::io::Result<String> {
    let bytes = std::fs::read(path)?;
    Ok(format!("{} {}\n", bytes.len(), blake3::hash(&bytes)))
}

fn sum_path(path: &Path) -> PathBuf {
    with_suffix(path, ".sum")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
