//! `manifest.json`: what is in a bundle, and what it refers to.

use std::collections::BTreeMap;
use std::io::ErrorKind as IoKind;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use maskline_models::{Asset, ModelInfo};
use serde::{Deserialize, Serialize};

use super::BUILDER_VERSION;
use crate::{Error, ErrorKind, Numbers, Result};

const FILE: &str = "manifest.json";
/// Folder of the assets.
const ASSETS: &str = "assets";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    builder_version: u32,
    maskline: String,
    pub(super) info: ModelInfo,
    pub(super) numbers: Numbers,
    /// Of every part of [`ModelInfo::parts`], by its name.
    pub(super) files: BTreeMap<String, PartFile>,
    /// Checkpoints that the parts read in place; they must be as they were.
    pub(super) links: Vec<Link>,
    pub(super) assets: Vec<AssetRecord>,
}

/// The file of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PartFile {
    /// A name in the bundle, or the absolute path of an existing export.
    pub(super) file: PathBuf,
    /// Bytes of its weights outside of that file.
    pub(super) weights_bytes: u64,
    /// Whether some of these are of half precision, and are converted when it is opened.
    #[serde(default)]
    pub(super) has_half: bool,
    /// Whether layers of it are operators of our own.
    #[serde(default)]
    pub(super) has_own_layers: bool,
}

impl Manifest {
    /// Of a bundle in which nothing lies yet.
    pub(super) fn new(info: ModelInfo, numbers: Numbers) -> Self {
        Self {
            builder_version: BUILDER_VERSION,
            maskline: env!("CARGO_PKG_VERSION").into(),
            info,
            numbers,
            files: BTreeMap::new(),
            links: Vec::new(),
            assets: Vec::new(),
        }
    }

    pub(super) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        serde_json::from_slice(&text).map_err(|e| Error::new(ErrorKind::Io, e.to_string()).at(&path))
    }

    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::new(ErrorKind::Failed, e.to_string()))?;
        let path = directory.join(FILE);
        std::fs::write(&path, text).map_err(|e| Error::io(&path, e))
    }

    /// Refuses a bundle that is no longer what was built.
    pub(super) fn check(&self, directory: &Path) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Io, message));
        if !self.info.parts.iter().map(|part| &part.name).all(|name| self.files.contains_key(name)) {
            return refuse(format!("{}: a part of the model has no file", directory.join(FILE).display()));
        }
        for link in &self.links {
            if Link::of(directory, &link.file)? != *link {
                return refuse(format!("the checkpoint behind {} was changed", directory.join(&link.file).display()));
            }
        }
        for asset in &self.assets {
            let path = asset.path(directory);
            if std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len() != asset.bytes {
                return Err(asset.changed(&path));
            }
        }
        Ok(self.info.check()?)
    }
}

/// A hard link to a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Link {
    file: PathBuf,
    bytes: u64,
    modified_nanos: u128,
}

impl Link {
    pub(super) fn of(directory: &Path, file: &Path) -> Result<Self> {
        let path = directory.join(file);
        let facts = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        let modified = facts.modified().ok().and_then(|m| m.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        Ok(Self { file: file.to_path_buf(), bytes: facts.len(), modified_nanos: modified.as_nanos() })
    }
}

/// An asset as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AssetRecord {
    pub(super) name: String,
    bytes: u64,
    blake3: String,
}

impl AssetRecord {
    /// Writes an asset into the bundle's folder of assets.
    pub(super) fn write(asset: &Asset, directory: &Path) -> Result<Self> {
        let mut parts = Path::new(&asset.name).components();
        let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        if !is_plain || asset.name.contains(['/', '\\', '\0']) {
            return Err(Error::new(ErrorKind::Failed, format!("an asset called {:?}", asset.name)).expecting("a plain file name"));
        }
        let record =
            Self { name: asset.name.clone(), bytes: asset.bytes.len() as u64, blake3: blake3::hash(&asset.bytes).to_hex().to_string() };
        let path = record.path(directory);
        let write = || {
            match std::fs::create_dir(directory.join(ASSETS)) {
                Err(error) if error.kind() != IoKind::AlreadyExists => return Err(error),
                _ => {}
            }
            std::io::Write::write_all(&mut std::fs::File::create_new(&path)?, &asset.bytes)
        };
        write().map_err(|e| Error::io(&path, e))?;
        Ok(record)
    }

    /// The content, which must be what was written.
    pub(super) fn read(&self, directory: &Path) -> Result<Vec<u8>> {
        let path = self.path(directory);
        let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        if blake3::hash(&bytes).to_hex().as_str() == self.blake3 {
            return Ok(bytes);
        }
        Err(self.changed(&path))
    }

    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(ASSETS).join(&self.name)
    }

    fn changed(&self, path: &Path) -> Error {
        let error = Error::new(ErrorKind::Io, format!("the asset `{}` of a bundle was changed", self.name));
        error.at(path).with_help("remove its folder; it is made again")
    }
}
