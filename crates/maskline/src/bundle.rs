//! From checkpoint to bundle: built once, kept in the cache, plain ONNX.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use maskline_models::{BuildOptions, Built, ModelInfo, family_of, family_of_architecture, family_of_onnx};
use maskline_onnx::{Dialect, ModelHeader, SaveOptions};
use maskline_runtime::{Cache, Entry, Key, hash_key};
use maskline_weights::Checkpoint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::{ModelSource, carried_weights};
use crate::{Error, ErrorKind, Result};

/// Raised whenever the same checkpoint and options give another bundle, so that nothing stale is ever loaded.
const BUILDER_VERSION: u32 = 10;
const MANIFEST: &str = "manifest.json";

/// What a bundle is built for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleOptions {
    /// Operators that the graphs may use.
    pub dialect: Dialect,
    /// `[count, dims]` of keypoints, where a checkpoint does not tell them apart.
    pub keypoint_shape: Option<[usize; 2]>,
    /// Side of the picture input of models that are built for one size; `None` for what they were trained at.
    pub image_size: Option<usize>,
    /// Facts that neither a checkpoint nor the `config.json` beside it tells, by the family's own keys.
    pub config: Option<serde_json::Value>,
    /// Also output the inner tensors that golden cases hold.
    pub taps: bool,
}

/// A built model on disk.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Directory of the bundle; provider artefacts lie in it too.
    pub directory: PathBuf,
    /// Whether it was built just now.
    pub built: bool,
    pub(crate) manifest: Manifest,
    /// Keeps everybody from pruning the directory while the bundle, or a model of it, lives.
    _in_use: Entry,
}

/// `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) builder_version: u32,
    pub(crate) maskline: String,
    pub(crate) info: ModelInfo,
    /// Part name → file: a name in the bundle, or the absolute path of an existing export.
    pub(crate) parts: Vec<(String, PathBuf)>,
    /// Checkpoints that the parts read in place; they must be as they were.
    links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Link {
    file: PathBuf,
    bytes: u64,
    modified_nanos: u128,
}

impl Bundle {
    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        &self.manifest.info
    }

    /// Files of the parts, by name.
    pub fn parts(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        self.manifest.parts.iter().map(|(name, file)| (name.as_str(), self.directory.join(file)))
    }

    /// The bundle of a model, from the cache or built now.
    pub(crate) fn open(cache: &Cache, source: &ModelSource, options: &BundleOptions) -> Result<Self> {
        let identity = identity(source)?;
        let BundleOptions { dialect, keypoint_shape, image_size, config, taps } = options;
        let options_text = format!("{} {keypoint_shape:?} {image_size:?} {config:?} {taps}", dialect.name());
        let version = format!("{BUILDER_VERSION} {}", env!("CARGO_PKG_VERSION"));
        let key = hash_key(["bundle", &version, &identity, &options_text]);
        Self::at(cache, key, &|directory| build(source, options, directory))
    }

    /// The bundle of a key, which is made again where somebody changed a linked checkpoint or damaged the directory.
    fn at(cache: &Cache, key: Key, make: &dyn Fn(&Path) -> Result<()>) -> Result<Self> {
        let entry = cache.get_or_build(&key, make)?;
        let was_built = entry.built;
        match Self::read(entry) {
            // What a loaded model still uses stays where it is, and the new one gets a place of its own.
            Err(_) if !was_built => {
                let is_free = cache.remove(&key).is_ok();
                let next = if is_free { key } else { hash_key(["beside", &key.to_string()]) };
                Self::at(cache, next, make)
            }
            answer => answer,
        }
    }

    fn read(entry: Entry) -> Result<Self> {
        let directory = entry.path.as_path();
        let path = directory.join(MANIFEST);
        let text = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|e| Error::new(ErrorKind::Io, format!("{e}\n  in   {}", path.display())))?;
        for link in &manifest.links {
            if Link::of(directory, &link.file)? != *link {
                let message = format!("the checkpoint behind {} was changed", directory.join(&link.file).display());
                return Err(Error::new(ErrorKind::Io, message));
            }
        }
        Ok(Self { directory: directory.to_path_buf(), built: entry.built, manifest, _in_use: entry })
    }
}

impl Link {
    fn of(directory: &Path, file: &Path) -> Result<Self> {
        let path = directory.join(file);
        let facts = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        let modified = facts.modified().ok().and_then(|m| m.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Ok(Self { file: file.to_path_buf(), bytes: facts.len(), modified_nanos: modified.as_nanos() })
    }
}

/// What decides about the weights: the content of the file, or architecture and seed.
fn identity(source: &ModelSource) -> Result<String> {
    match source {
        ModelSource::Synthetic { architecture, seed } => Ok(format!("synthetic {architecture} {seed}")),
        ModelSource::Nano => Ok(format!("carried {}", blake3::hash(carried()?))),
        ModelSource::Checkpoint(path) => Ok(format!("checkpoint {}{}", content_hash(path)?, config_beside(path)?)),
        // The place counts too: weights may lie beside the file.
        ModelSource::Onnx(path) => {
            let place = path.canonicalize().map_err(|e| Error::io(path, e))?;
            Ok(format!("onnx {} {}", place.display(), content_hash(path)?))
        }
    }
}

/// The hash of the `config.json` beside a checkpoint, where there is one: families read it too.
fn config_beside(path: &Path) -> Result<String> {
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    match folder.map(|folder| folder.join("config.json")).filter(|config| config.is_file()) {
        Some(config) => {
            let text = std::fs::read(&config).map_err(|e| Error::io(&config, e))?;
            Ok(format!(" {}", blake3::hash(&text)))
        }
        None => Ok(String::new()),
    }
}

fn content_hash(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    read_weights(path, |bytes| {
        hasher.update(bytes);
    })?;
    Ok(hasher.finalize())
}

/// Hands the content of a model file to `take`, piece by piece.
fn read_weights(path: &Path, mut take: impl FnMut(&[u8])) -> Result<()> {
    let path = if path.is_dir() { path.join("model.safetensors") } else { path.to_path_buf() };
    let mut file = File::open(&path).map_err(|e| Error::io(&path, e))?;
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(&path, e))? {
            0 => return Ok(()),
            n => take(&buffer[..n]),
        }
    }
}

impl ModelSource {
    /// SHA-256 of the model file in hexadecimal; `None` for generated weights.
    ///
    /// # Errors
    /// `BadInput` or `Io` if the file cannot be read.
    pub fn weights_sha256(&self) -> Result<Option<String>> {
        let mut hasher = Sha256::new();
        match self {
            Self::Synthetic { .. } => return Ok(None),
            Self::Nano => hasher.update(carried()?),
            Self::Checkpoint(path) | Self::Onnx(path) => read_weights(path, |bytes| hasher.update(bytes))?,
        }
        Ok(Some(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

/// The weights that the program carries.
fn carried() -> Result<&'static [u8]> {
    carried_weights().ok_or_else(|| {
        let message = "this build carries no model\n  help: build it with the feature `nano`, or name a model (`maskline list`)";
        Error::new(ErrorKind::Unavailable, message)
    })
}

fn build(source: &ModelSource, options: &BundleOptions, directory: &Path) -> Result<()> {
    match source {
        ModelSource::Onnx(path) => {
            let info = family_of_onnx(&ModelHeader::read(path)?)?;
            let file = path.canonicalize().map_err(|e| Error::io(path, e))?;
            write_manifest(directory, info, (vec![("network".into(), file)], vec![]))
        }
        ModelSource::Checkpoint(path) => {
            let checkpoint = Checkpoint::open(path)?;
            let family = family_of(&checkpoint)?;
            save(&family.build(&checkpoint, &build_options(options, None))?, directory)
        }
        ModelSource::Nano => {
            let checkpoint = Checkpoint::from_static(carried()?)?;
            save(&family_of(&checkpoint)?.build(&checkpoint, &build_options(options, None))?, directory)
        }
        ModelSource::Synthetic { architecture, seed } => {
            let checkpoint = Checkpoint::synthetic(*seed);
            let family = family_of_architecture(architecture)?;
            save(&family.build(&checkpoint, &build_options(options, Some(architecture.clone())))?, directory)
        }
    }
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
    let checkpoint = Checkpoint::synthetic(seed);
    let family = family_of_architecture(architecture)?;
    family.build(&checkpoint, &build_options(options, Some(architecture.to_owned())))?;
    Ok(checkpoint.write_generated(path)?)
}

fn build_options(options: &BundleOptions, architecture: Option<String>) -> BuildOptions {
    BuildOptions {
        dialect: options.dialect,
        architecture,
        keypoint_shape: options.keypoint_shape,
        image_size: options.image_size,
        config: options.config.clone(),
        taps: options.taps,
    }
}

fn save(built: &Built<'_>, directory: &Path) -> Result<()> {
    let (mut parts, mut links) = (Vec::new(), Vec::new());
    for part in &built.parts {
        let saved = part.model.save(directory, &SaveOptions::new(part.name))?;
        parts.push((part.name.to_string(), PathBuf::from(format!("{}.onnx", part.name))));
        for link in saved.links.iter().filter_map(|l| l.file_name()) {
            links.push(Link::of(directory, Path::new(link))?);
        }
    }
    write_manifest(directory, built.info.clone(), (parts, links))
}

fn write_manifest(directory: &Path, info: ModelInfo, (parts, links): (Vec<(String, PathBuf)>, Vec<Link>)) -> Result<()> {
    let manifest = Manifest { builder_version: BUILDER_VERSION, maskline: env!("CARGO_PKG_VERSION").into(), info, parts, links };
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::new(ErrorKind::Failed, e.to_string()))?;
    let path = directory.join(MANIFEST);
    std::fs::write(&path, text).map_err(|e| Error::io(&path, e))
}
