//! What a model is loaded from, and what a word stands for that names one.

mod pulled;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Concern, Error, ErrorKind, Result};

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// An official checkpoint: safetensors, PyTorch, or a directory with `model.safetensors`. Where there is no such file and the path is
    /// a bare word, an [`Engine`](crate::Engine) takes it for the name of a model ([`ModelSource::named`]).
    Checkpoint(PathBuf),
    /// An existing ONNX export.
    Onnx(PathBuf),
    /// A published architecture at its real size, with generated weights.
    Synthetic {
        /// Name, as `maskline list` shows it.
        architecture: String,
        /// Seed of the weights.
        seed: u64,
    },
    /// The small segmenter that maskline itself carries (`nano`, see `training/MODEL_CARD.md`).
    Nano,
}

/// Name of the model that maskline carries.
const NANO: &str = "nano";

/// Its weights: safetensors, f16. `None` in builds without the feature `nano`.
pub(crate) fn carried_weights() -> Option<&'static [u8]> {
    #[cfg(feature = "nano")]
    return Some(include_bytes!("../weights/nano.safetensors"));
    #[cfg(not(feature = "nano"))]
    None
}

impl ModelSource {
    /// The model that a name stands for, of those that maskline carries.
    pub fn carried(name: &str) -> Option<Self> {
        (name == NANO && carried_weights().is_some()).then_some(Self::Nano)
    }

    /// What a word stands for, without any network: the file or folder of that path; where there is none, and the word is no path, the
    /// model of that name, which maskline carries or which was pulled to `home` (its folder `models`).
    ///
    /// # Errors
    /// `BadInput` for a name that nothing is known of; `Unavailable` for a model of which not all is there; `Io`.
    pub fn named(word: impl AsRef<Path>, home: &Path) -> Result<Self> {
        let word = word.as_ref();
        Self::find(word, home)?.ok_or_else(|| unknown(word))
    }

    /// As [`Self::named`], and `None` for a name that nothing is known of.
    ///
    /// # Errors
    /// `Unavailable` for a model of which not all is there; `Io`.
    pub fn find(word: impl AsRef<Path>, home: &Path) -> Result<Option<Self>> {
        let path = word.as_ref();
        let Some(name) = bare_name(path) else { return Ok(Some(Self::of_path(path))) };
        if let Some(carried) = Self::carried(name) {
            return Ok(Some(carried));
        }
        Ok(pulled::checkpoint(home, name)?.map(|checkpoint| Self::of_path(&checkpoint)))
    }

    /// The source with its file, where it may be a name.
    pub(crate) fn resolved(self, home: &Path) -> Result<Self> {
        match self {
            Self::Checkpoint(word) if bare_name(&word).is_some() => Self::named(word, home),
            other => Ok(other),
        }
    }

    /// The source that a path names: by extension `.onnx` an export, else a checkpoint.
    pub fn of_path(path: &Path) -> Self {
        let is_onnx = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
        if is_onnx { Self::Onnx(path.to_path_buf()) } else { Self::Checkpoint(path.to_path_buf()) }
    }

    /// A short name for people: file stem or architecture.
    pub fn name(&self) -> String {
        match self {
            Self::Checkpoint(path) | Self::Onnx(path) => {
                path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
            }
            Self::Synthetic { architecture, .. } => format!("{architecture} (generated weights)"),
            Self::Nano => NANO.into(),
        }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for ModelSource {
    fn from(path: &P) -> Self {
        Self::of_path(path.as_ref())
    }
}

/// The word, if it can only be a name: there is no such file, and it has neither folders nor the ending of a model file.
fn bare_name(path: &Path) -> Option<&str> {
    const ENDINGS: [&str; 4] = ["pt", "pth", "safetensors", "onnx"];
    let has_ending = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)));
    let is_word = path.file_name() == Some(path.as_os_str());
    path.to_str().filter(|_| is_word && !has_ending && !path.exists())
}

fn unknown(word: &Path) -> Error {
    let help = "`maskline list` names all; else give the path of a checkpoint (.safetensors, .pt) or an ONNX export";
    Error::new(ErrorKind::BadInput, format!("no such model: {}", word.display())).with_help(help).about(Concern::Model)
}
