//! What a bundle is built from: opened, hashed, built.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use maskline_models::{Family, MaskDecoder, family_of, family_of_architecture, family_of_onnx, recognise};
use maskline_onnx::Export;
use maskline_runtime::{Key, hash_key};
use maskline_weights::{FileRole, Source, files_of};
use sha2::{Digest, Sha256};

use super::manifest::{Manifest, PartFile};
use super::{BUILDER_VERSION, BundleOptions, build_options, save};
use crate::source::{ModelSource, carried_weights};
use crate::{Calibration, Error, ErrorKind, Numbers, Result};

/// What a bundle is built from, opened: all that building reads, and all that decides about the bundle's name.
pub(super) enum Origin<'a> {
    Export { export: Export, named: &'a Path },
    Checkpoint { source: Source, family: &'static dyn Family },
    Carried { source: Source, family: &'static dyn Family },
    Generated { source: Source, family: &'static dyn Family, architecture: &'a str, seed: u64 },
}

impl<'a> Origin<'a> {
    pub(super) fn open(source: &'a ModelSource) -> Result<Self> {
        Ok(match source {
            ModelSource::Onnx(path) => Self::Export { export: Export::find(path)?, named: path },
            ModelSource::Checkpoint(path) => {
                let (source, family) = recognise(Source::open(path)?)?;
                Self::Checkpoint { source, family }
            }
            ModelSource::Nano => {
                let source = Source::carried(carried()?)?;
                Self::Carried { family: family_of(source.checkpoint())?, source }
            }
            ModelSource::Synthetic { architecture, seed } => {
                let family = family_of_architecture(architecture)?;
                Self::Generated { source: Source::generated(*seed), family, architecture, seed: *seed }
            }
        })
    }

    /// The name of the bundle in the cache.
    pub(super) fn key(&self, options: &BundleOptions) -> Result<Key> {
        let BundleOptions {
            dialect, decoder, numbers, calibration, keypoint_shape, head, labels, image_size, context, config, taps, ..
        } = options;
        // A graph for any size is built once, whatever size is wished.
        let image_size = if self.takes_any_size() { None } else { *image_size };
        let options = format!(
            "{} {} {:?} {} {} {keypoint_shape:?} {head:?} {labels:?} {image_size:?} {context:?} {config:?} {taps}",
            dialect.name(),
            decoder.map_or("", MaskDecoder::name),
            options.own_layers(),
            numbers.unwrap_or_default().name(),
            calibration.as_deref().map_or_else(String::new, Calibration::identity),
        );
        let version = format!("{BUILDER_VERSION} {}", env!("CARGO_PKG_VERSION"));
        Ok(hash_key(["bundle", &version, &self.identity()?, &options]))
    }

    fn takes_any_size(&self) -> bool {
        match self {
            // Its graphs are as they are.
            Self::Export { .. } => true,
            Self::Checkpoint { family, .. } | Self::Carried { family, .. } | Self::Generated { family, .. } => family.takes_any_size(),
        }
    }

    /// What decides about the weights: the content of all files that the model consists of, or architecture and seed.
    ///
    /// Contents are hashed at every load, not sizes and times: a download or `cp -p` may leave both as they were, and a stale bundle is a
    /// wrong answer that nobody notices. It costs little beside what loading does with the same bytes: BLAKE3 on one core of a busy machine
    /// went through 0.8 GB a second, and the largest published model that is built here has 2.6 GB.
    fn identity(&self) -> Result<String> {
        match self {
            Self::Generated { architecture, seed, .. } => Ok(format!("synthetic {architecture} {seed}")),
            Self::Carried { .. } => Ok(format!("carried {}", blake3::hash(carried()?))),
            Self::Checkpoint { source, .. } => {
                let mut identity = "checkpoint".to_owned();
                for file in source.files() {
                    // Of a companion what was read of it: a family sees no other content. Weights may be called as one likes.
                    let hash = file.content().map_or_else(|| content_hash(file.path()), |content| Ok(blake3::hash(content)))?;
                    let name = if file.role() == FileRole::Companion { file.name() } else { "" };
                    identity += &format!(" {name} {hash}");
                }
                Ok(identity)
            }
            // The place counts too: the bundle refers to the file where it lies.
            Self::Export { export, .. } => {
                let mut identity = "onnx".to_owned();
                for file in export.files() {
                    identity += &format!(" {} {}", file.display(), content_hash(file)?);
                }
                Ok(identity)
            }
        }
    }

    /// Builds the bundle in an empty directory.
    pub(super) fn build(&self, options: &BundleOptions, directory: &Path) -> Result<()> {
        match self {
            Self::Export { export, named } => {
                if let Some(numbers) = options.numbers.filter(|numbers| *numbers != Numbers::F32) {
                    let message = format!("precision: found {}, and an ONNX export is run as it is", numbers.name());
                    let error = Error::new(ErrorKind::InvalidOption, message).at(named);
                    return Err(error.with_help("run the checkpoint that it was made of, or leave the precision out"));
                }
                let at = |error: maskline_models::Error| Error::from(error).of_kind(ErrorKind::BadInput).at(named);
                let info = family_of_onnx(&export.header()?, &build_options(options, None)).map_err(at)?;
                refer_to(export, Manifest::new(info, Numbers::F32), directory)
            }
            Self::Checkpoint { source, family } => {
                let built = family.build(source, &build_options(options, None))?;
                save(built.with_weights_notes(source.checkpoint().choice_notes()), options, directory)
            }
            Self::Carried { source, family } => save(family.build(source, &build_options(options, None))?, options, directory),
            Self::Generated { source, family, architecture, .. } => {
                save(family.build(source, &build_options(options, Some((*architecture).to_owned())))?, options, directory)
            }
        }
    }
}

/// Writes the manifest of an export, which stays where it lies.
fn refer_to(export: &Export, mut manifest: Manifest, directory: &Path) -> Result<()> {
    let mut weights_bytes = 0;
    for file in export.files().skip(1) {
        weights_bytes += std::fs::metadata(file).map_err(|e| Error::io(file, e))?.len();
    }
    let names: Vec<String> = manifest.info.parts.iter().map(|part| part.name.clone()).collect();
    let file = PartFile { file: export.file().to_path_buf(), weights_bytes, has_half: false, has_own_layers: false };
    manifest.files = names.into_iter().map(|name| (name, file.clone())).collect();
    manifest.write(directory)
}

/// The weights that the program carries.
fn carried() -> Result<&'static [u8]> {
    carried_weights().ok_or_else(|| {
        let error = Error::new(ErrorKind::Unavailable, "this build carries no model");
        error.with_help("build it with the feature `nano`, or name a model (`maskline list`)")
    })
}

/// Writes the weights that a bundle of this architecture with generated weights has to a safetensors file, f32, in the names of the
/// published checkpoints that maskline reads: for other programs, which then run the same network. The file appears whole or not
/// at all.
///
/// Tensors that no graph holds are not in it, such as counters of training and copies of a tensor under a second name.
///
/// # Errors
/// `BadInput` for an architecture that no family knows, `Io` if the file cannot be written.
pub fn write_generated_weights(architecture: &str, seed: u64, options: &BundleOptions, path: &Path) -> Result<()> {
    options.check()?;
    let source = Source::generated(seed);
    family_of_architecture(architecture)?.build(&source, &build_options(options, Some(architecture.to_owned())))?;
    Ok(source.checkpoint().write_generated(path)?)
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
            Self::Onnx(path) => Export::find(path)?.files().map(Path::to_path_buf).collect(),
        };
        for file in files {
            read(&file, |bytes| hasher.update(bytes))?;
        }
        Ok(Some(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}
