//! A model as it lies on disk: its checkpoint, and the files beside it that a family may read.

use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::files;

/// The name of the configuration among the [companions](Source::companion), also where the file is called after its checkpoint.
pub const CONFIG: &str = "config.json";
/// What publishers put beside a checkpoint and a family may need besides [`CONFIG`]: tokenizers, their vocabularies, the settings of
/// their processors.
const COMPANIONS: [&str; 11] = [
    "added_tokens.json",
    "bpe_simple_vocab_16e6.txt.gz",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];
/// The largest published tokenizer has 34 MB.
const MAX_COMPANION_BYTES: u64 = 64 << 20;

/// What a file of a [`Source`] is for.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileRole {
    /// It names the shards.
    Index,
    /// It holds tensors.
    Weights,
    /// It lies beside the weights: configuration, tokenizer.
    Companion,
}

/// A file that a model consists of.
#[derive(Debug, Clone)]
pub struct SourceFile {
    name: String,
    path: PathBuf,
    role: FileRole,
    content: Option<Vec<u8>>,
}

impl SourceFile {
    /// What it is asked for by: its name, and [`CONFIG`] for the configuration of one checkpoint among several (`best.config.json`).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is for.
    pub fn role(&self) -> FileRole {
        self.role
    }

    /// The content of a companion, as it was when the source was opened. `None` for weights and their index, and for a companion above
    /// 64 MiB, which no family reads.
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// A file that is read where it lies.
    fn on_disk(path: &Path, role: FileRole) -> Self {
        Self { name: name_of(path), path: path.to_owned(), role, content: None }
    }

    fn companion(name: &str, path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Error::io(path, &error);
        let length = std::fs::metadata(path).map_err(failed)?.len();
        let content = if length > MAX_COMPANION_BYTES { None } else { Some(std::fs::read(path).map_err(failed)?) };
        Ok(Self { name: name.into(), path: path.to_owned(), role: FileRole::Companion, content })
    }
}

/// All that a family may read of a model: a checkpoint and its companions.
///
/// Generated weights and those that the program carries are sources too, without files.
#[derive(Debug)]
pub struct Source {
    checkpoint: Checkpoint,
    files: Vec<SourceFile>,
}

impl Source {
    /// Opens what a path stands for, see [`files_of`](crate::files_of), and reads the companions beside it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`]; [`ErrorKind::Io`](crate::ErrorKind::Io) for a companion that cannot be read.
    pub fn open(path: &Path) -> Result<Self> {
        let found = files::resolve(path)?;
        let index = found.index.is_some().then(|| SourceFile::on_disk(&found.place, FileRole::Index));
        let weights = found.weights.iter().map(|path| SourceFile::on_disk(path, FileRole::Weights));
        let mut files: Vec<SourceFile> = index.into_iter().chain(weights).collect();
        files.extend(companions(&found.place)?);
        Ok(Self { checkpoint: Checkpoint::of_files(found)?, files })
    }

    /// Weights that the program carries: the content of a safetensors file.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if it is damaged.
    pub fn carried(bytes: &'static [u8]) -> Result<Self> {
        Ok(Self { checkpoint: Checkpoint::from_static(bytes)?, files: Vec::new() })
    }

    /// Generated weights, see [`Checkpoint::synthetic`].
    pub fn generated(seed: u64) -> Self {
        Self { checkpoint: Checkpoint::synthetic(seed), files: Vec::new() }
    }

    /// The weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The weights, to take a prefix off their names.
    pub fn checkpoint_mut(&mut self) -> &mut Checkpoint {
        &mut self.checkpoint
    }

    /// All files that the model consists of: the index of shards, the weights in the order of their names, the companions. Whoever
    /// caches what was made of a source must look at all of these, and need not look at others.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The file beside the weights that has this name, see [`SourceFile::name`].
    pub fn companion(&self, name: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.role == FileRole::Companion && file.name == name)
    }
}

impl Source {
    /// The companions among these names that could be read, with their content.
    pub fn companions_of<'a>(&'a self, names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        names.iter().filter_map(|name| Some((*name, self.companion(name)?.content()?)))
    }
}

/// The companions of a checkpoint: its own `<name>.config.json` or the folder's `config.json`, then the folder's others.
fn companions(checkpoint: &Path) -> Result<Vec<SourceFile>> {
    let beside = |name: &str| checkpoint.with_file_name(name);
    let configs = [checkpoint.with_extension(CONFIG), beside(CONFIG)];
    let config = configs.into_iter().find(|path| path.is_file()).map(|path| (CONFIG, path));
    let others = COMPANIONS.into_iter().map(|name| (name, beside(name))).filter(|(_, path)| path.is_file());
    config.into_iter().chain(others).map(|(name, path)| SourceFile::companion(name, &path)).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
