//! The Python files that the program carries, written to its folder before they are run.

use std::path::{Path, PathBuf};

use maskline::runtime::{Cache, Entry, hash_key};

use super::error::{Error, Result};

macro_rules! carried {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../peers/", $name)))),*]
    };
}

/// Name and text of each file.
const FILES: [(&str, &str); 21] = carried![
    "efficient_vit.py",
    "facts.py",
    "names.py",
    "onnx_detector.py",
    "onnx_owl.py",
    "onnx_promptable.py",
    "onnx_session.py",
    "pictures.py",
    "promptable.py",
    "sam2_sizes.py",
    "sam3_names.py",
    "tiny_vit.py",
    "torch_owl.py",
    "torch_sam.py",
    "torch_sam2.py",
    "torch_sam3.py",
    "ultralytics_detector.py",
    "video.py",
    "weights.py",
    "words.py",
    "worker.py",
];

/// Lines of a module's file that are neither blank nor a comment; 0 of one that is not carried.
pub(super) fn lines(module: &str) -> usize {
    let file = format!("{module}.py");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    FILES.iter().find(|(name, _)| *name == file).map_or(0, |(_, text)| text.lines().filter(is_code).count())
}

/// The files on disk, which nobody removes while this lives.
#[derive(Debug, Clone)]
pub(super) struct Scripts {
    entry: Entry,
}

impl Scripts {
    /// Writes the files below a folder, unless this version's are there.
    pub(super) fn write(folder: &Path) -> Result<Self> {
        let key = hash_key(FILES.iter().flat_map(|(name, text)| [*name, *text]));
        let cache = Cache::new(folder.join("scripts"));
        let entry = cache.get_or_build(&key, |directory| {
            FILES.iter().try_for_each(|(name, text)| {
                let path = directory.join(name);
                std::fs::write(&path, text).map_err(|error| Error::io(&path, &error))
            })
        })?;
        Ok(Self { entry })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.entry.path.join(name)
    }
}
