//! What decides about a bundle: the content of every file that it is made from, and the options that change it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use maskline_models::{config_file, family_of_architecture, recognise};
use maskline_onnx::external_files;
use maskline_runtime::{Key, hash_key};
use maskline_weights::{Checkpoint, files_of};
use sha2::{Digest, Sha256};

use super::{BUILDER_VERSION, BundleOptions, carried};
use crate::engine::ModelSource;
use crate::{Error, Result};

/// The name of a bundle in the cache.
pub(super) fn key(source: &ModelSource, options: &BundleOptions) -> Result<Key> {
    let BundleOptions { dialect, keypoint_shape, labels, image_size, config, taps } = options;
    // A graph for any size is built once, whatever size is wished.
    let image_size = if image_size.is_some() && takes_any_size(source)? { None } else { *image_size };
    let options = format!("{} {keypoint_shape:?} {labels:?} {image_size:?} {config:?} {taps}", dialect.name());
    let version = format!("{BUILDER_VERSION} {}", env!("CARGO_PKG_VERSION"));
    Ok(hash_key(["bundle", &version, &identity(source)?, &options]))
}

fn takes_any_size(source: &ModelSource) -> Result<bool> {
    Ok(match source {
        ModelSource::Nano | ModelSource::Onnx(_) => true,
        ModelSource::Synthetic { architecture, .. } => family_of_architecture(architecture)?.takes_any_size(),
        ModelSource::Checkpoint(path) => recognise(Checkpoint::open(path)?)?.1.takes_any_size(),
    })
}

/// What decides about the weights: the content of all files, or architecture and seed.
///
/// Contents are hashed at every load, not sizes and times: a download or `cp -p` may leave both as they were, and a stale bundle is a
/// wrong answer that nobody notices. It costs little beside what loading does with the same bytes: BLAKE3 on one core of a busy machine
/// went through 0.8 GB a second, and the largest published model that is built here has 2.6 GB.
fn identity(source: &ModelSource) -> Result<String> {
    match source {
        ModelSource::Synthetic { architecture, seed } => Ok(format!("synthetic {architecture} {seed}")),
        ModelSource::Nano => Ok(format!("carried {}", blake3::hash(carried()?))),
        ModelSource::Checkpoint(path) => {
            let mut identity = "checkpoint".to_owned();
            for file in files_of(path)? {
                identity += &format!(" {}", content_hash(&file)?);
            }
            // Families read it too. It lies beside the file or index that the path stands for.
            if let Some(config) = files_of(path)?.first().and_then(|file| config_file(file)) {
                identity += &format!(" config {}", content_hash(&config)?);
            }
            Ok(identity)
        }
        // The place counts too: the bundle refers to the file where it lies.
        ModelSource::Onnx(path) => {
            let (place, external) = onnx_files(path)?;
            let mut identity = format!("onnx {} {}", place.display(), content_hash(&place)?);
            for file in external {
                identity += &format!(" {} {}", file.display(), content_hash(&file)?);
            }
            Ok(identity)
        }
    }
}

/// The absolute path of an export, and the files beside it that hold its weights.
///
/// A path that is a symbolic link may have them beside the link (the stores of download tools) or beside what it points to.
pub(super) fn onnx_files(path: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    let target = path.canonicalize().map_err(|e| Error::io(path, e))?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let beside = folder.canonicalize().map_err(|e| Error::io(path, e))?.join(path.file_name().unwrap_or_default());
    match external_files(&beside) {
        Ok(external) => Ok((beside, external)),
        Err(_) if beside != target => Ok((target.clone(), external_files(&target)?)),
        Err(error) => Err(error.into()),
    }
}

fn content_hash(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    read(path, |bytes| {
        hasher.update(bytes);
    })?;
    Ok(hasher.finalize())
}

/// Hands the content of a file to `take`, piece by piece.
fn read(path: &Path, mut take: impl FnMut(&[u8])) -> Result<()> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => return Ok(()),
            n => take(&buffer[..n]),
        }
    }
}

impl ModelSource {
    /// SHA-256 of the model file in hexadecimal; of a model in several files (an index and its shards, an export and the data beside it),
    /// of all of them one after the other. `None` for generated weights.
    ///
    /// # Errors
    /// `BadInput` or `Io` if a file cannot be read.
    pub fn weights_sha256(&self) -> Result<Option<String>> {
        let mut hasher = Sha256::new();
        let files = match self {
            Self::Synthetic { .. } => return Ok(None),
            Self::Nano => {
                hasher.update(carried()?);
                vec![]
            }
            Self::Checkpoint(path) => files_of(path)?,
            Self::Onnx(path) => {
                let (place, external) = onnx_files(path)?;
                std::iter::once(place).chain(external).collect()
            }
        };
        for file in files {
            read(&file, |bytes| hasher.update(bytes))?;
        }
        Ok(Some(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}
