//! From checkpoint to bundle: built once, kept in the cache, plain ONNX.

mod identity;

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use maskline_models::{
    BuildOptions, Built, ModelInfo, Output, Preprocess, SizeSource, family_of, family_of_architecture, family_of_onnx, recognise,
};
use maskline_onnx::{Dialect, ModelHeader, SaveOptions};
use maskline_runtime::{Cache, Entry, Key, hash_key};
use maskline_weights::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::engine::{ModelSource, carried_weights};
use crate::{Error, ErrorKind, Result};

/// Raised whenever the same checkpoint and options give another bundle, so that nothing stale is ever loaded.
const BUILDER_VERSION: u32 = 12;
const MANIFEST: &str = "manifest.json";
/// Most pixels a side of the picture input.
const MOST_SIDE: usize = 8192;

/// What a bundle is built for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BundleOptions {
    /// Operators that the graphs may use.
    pub dialect: Dialect,
    /// `[count, dims]` of keypoints, where a checkpoint does not tell them apart.
    pub keypoint_shape: Option<[usize; 2]>,
    /// Class names in the order of the classes, instead of those of the checkpoint; see [`parse_names`](crate::parse_names).
    pub labels: Option<Vec<String>>,
    /// Side of the picture input: what models that are built for one size are built for, and the default size of the others. `None` for
    /// what they were trained at.
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
        options.check()?;
        let key = identity::key(source, options)?;
        let mut bundle = Self::at(cache, key, &|directory| build(source, options, directory))?;
        if let Some(side) = options.image_size {
            give_size(&mut bundle.manifest.info, side)?;
        }
        Ok(bundle)
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
        if let Output::Detector(head) = &manifest.info.output {
            head.check()?;
        }
        Ok(Self { directory: directory.to_path_buf(), built: entry.built, manifest, _in_use: entry })
    }
}

impl BundleOptions {
    /// Refuses numbers that no model can have, before memory is asked for them.
    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidOption, message));
        if let Some(side) = self.image_size.filter(|side| *side > MOST_SIDE) {
            let message = format!("size: found {side}, the limit is {MOST_SIDE} pixels a side");
            return Err(Error::new(ErrorKind::OverLimit, message));
        }
        match self.keypoint_shape {
            Some([count, dims]) if !(1..=1 << 16).contains(&count) || !(2..=3).contains(&dims) => {
                invalid(format!("keypoint shape: expected [count, 2] or [count, 3], found [{count}, {dims}]"))
            }
            _ => Ok(()),
        }
    }
}

/// The size that the caller wishes as the default one, where the graph takes any.
fn give_size(info: &mut ModelInfo, side: usize) -> Result<()> {
    match (info.fixed_size, &info.output) {
        // It looks at pictures of every size.
        (_, Output::Looks(_)) => return Ok(()),
        (Some(fixed), Output::Detector(_) | Output::Classifier { .. }) if fixed != [side; 2] => {
            let message = format!("size: this export takes {} × {} only, found {side}", fixed[1], fixed[0]);
            let help = "\n  help: export it with `dynamic=True`, or use its checkpoint";
            return Err(Error::new(ErrorKind::InvalidOption, message + help));
        }
        _ => {}
    }
    let multiple = match info.preprocess {
        Preprocess::Letterbox { stride } => stride,
        _ => 32,
    };
    if info.fixed_size.is_none() && (side == 0 || !side.is_multiple_of(multiple)) {
        let message = format!("size: expected a multiple of {multiple} from {multiple} up, found {side}");
        return Err(Error::new(ErrorKind::InvalidOption, message));
    }
    (info.default_size, info.size_from) = (side, SizeSource::Given);
    Ok(())
}

impl Link {
    fn of(directory: &Path, file: &Path) -> Result<Self> {
        let path = directory.join(file);
        let facts = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        let modified = facts.modified().ok().and_then(|m| m.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Ok(Self { file: file.to_path_buf(), bytes: facts.len(), modified_nanos: modified.as_nanos() })
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
            let (file, _) = identity::onnx_files(path)?;
            let at = |error: maskline_models::Error| Error::new(ErrorKind::BadInput, format!("{error}\n  in   {}", path.display()));
            let info = family_of_onnx(&ModelHeader::read(&file)?, &build_options(options, None)).map_err(at)?;
            write_manifest(directory, info, (vec![("network".into(), file)], vec![]))
        }
        ModelSource::Checkpoint(path) => {
            let (checkpoint, family) = recognise(Checkpoint::open(path)?)?;
            let mut built = family.build(&checkpoint, &build_options(options, None))?;
            built.info.weights_notes = checkpoint.choice_notes();
            save(&built, options, directory)
        }
        ModelSource::Nano => {
            let checkpoint = Checkpoint::from_static(carried()?)?;
            save(&family_of(&checkpoint)?.build(&checkpoint, &build_options(options, None))?, options, directory)
        }
        ModelSource::Synthetic { architecture, seed } => {
            let checkpoint = Checkpoint::synthetic(*seed);
            let family = family_of_architecture(architecture)?;
            save(&family.build(&checkpoint, &build_options(options, Some(architecture.clone())))?, options, directory)
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
    options.check()?;
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
        labels: options.labels.clone(),
        image_size: options.image_size,
        config: options.config.clone(),
        taps: options.taps,
    }
}

fn save(built: &Built<'_>, options: &BundleOptions, directory: &Path) -> Result<()> {
    if options.labels.is_some() && matches!(built.info.output, Output::Promptable(_) | Output::Looks(_)) {
        let message = format!("names of classes: a {} has no classes", built.info.architecture);
        return Err(Error::new(ErrorKind::InvalidOption, message + "\n  help: leave them out"));
    }
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
