//! Embeddings as files: safetensors with the size of the picture and the bundle that made them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use maskline_runtime::{SharedTensor, View};
use maskline_vision::write::write_atomically;
use maskline_weights::Checkpoint;
use safetensors::tensor::{Dtype, TensorView};

use super::embedding::Embedding;
use crate::{Concern, Error, ErrorKind, Model, Result, Stage, Stages};

const BUNDLE: &str = "bundle";
const WIDTH: &str = "width";
const HEIGHT: &str = "height";

/// A tensor of an embedding's file.
pub(crate) struct Stored<'a> {
    name: &'static str,
    content: Content<'a>,
}

enum Content<'a> {
    /// f32.
    Tensor(SharedTensor),
    Bytes {
        shape: Vec<usize>,
        bytes: &'a [u8],
    },
}

impl<'a> Stored<'a> {
    /// A tensor of f32.
    pub(crate) fn tensor(name: &'static str, tensor: SharedTensor) -> Self {
        Self { name, content: Content::Tensor(tensor) }
    }

    pub(crate) fn bytes(name: &'static str, shape: Vec<usize>, bytes: &'a [u8]) -> Self {
        Self { name, content: Content::Bytes { shape, bytes } }
    }

    fn view(&self) -> Result<TensorView<'_>> {
        let view = match &self.content {
            Content::Tensor(tensor) => {
                let View { shape, data } = tensor.view::<f32>()?;
                TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(data))
            }
            Content::Bytes { shape, bytes } => TensorView::new(Dtype::U8, shape.clone(), bytes),
        };
        view.map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))
    }
}

impl Embedding {
    /// Writes the embedding to a file, whole or not at all; [`Model::load_embedding`] reads it.
    ///
    /// # Errors
    /// `Io` if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |error: safetensors::SafeTensorError| Error::new(ErrorKind::Io, error.to_string()).at(path);
        let stored = self.encoded().stored()?;
        let tensors = stored.iter().map(|stored| Ok((stored.name, stored.view()?)));
        let (width, height) = self.size();
        let facts = [(BUNDLE, self.bundle().to_string()), (WIDTH, width.to_string()), (HEIGHT, height.to_string())];
        let facts: HashMap<String, String> = facts.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let bytes = safetensors::serialize(tensors.collect::<Result<Vec<_>>>()?, Some(facts)).map_err(failed)?;
        Ok(write_atomically(path, &bytes)?)
    }
}

/// A file with an embedding.
pub(crate) struct EmbeddingFile {
    path: PathBuf,
    file: Checkpoint,
    /// Width and height of the picture.
    size: (usize, usize),
}

impl EmbeddingFile {
    /// Opens a file that the bundle of this name made.
    fn open(path: &Path, bundle: &str) -> Result<Self> {
        let file = Checkpoint::open(path).map_err(of_file)?;
        let mut new = Self { path: path.to_path_buf(), file, size: (0, 0) };
        let made_by = new.fact(BUNDLE)?;
        if made_by != bundle {
            let error = new.bad("the embedding was made by another model or version").expecting(bundle).but_found(made_by);
            return Err(error.with_help("encode the picture again"));
        }
        let side = |key: &str| new.fact(key)?.parse().ok().filter(|side| *side > 0).ok_or_else(|| new.bad(format!("`{key}` is no size")));
        new.size = (side(WIDTH)?, side(HEIGHT)?);
        Ok(new)
    }

    fn fact(&self, key: &str) -> Result<String> {
        let value = self.file.attribute(&[key]).and_then(|value| value.as_str()).map(str::to_string);
        value.ok_or_else(|| self.bad("no embedding").expecting(format!("`{key}` in its metadata")))
    }

    /// An error about the file.
    pub(crate) fn bad(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::BadInput, message).at(&self.path)
    }

    /// Width and height of the picture.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// A tensor of finite numbers.
    pub(crate) fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.file.root().f32(name, shape).map_err(of_file)?;
        if tensor.data.iter().any(|value| !value.is_finite()) {
            return Err(self.bad(name).expecting("finite values"));
        }
        Ok(tensor.data.into_owned())
    }

    /// A tensor of bytes.
    pub(crate) fn bytes(&self, name: &str, shape: &[usize]) -> Result<Vec<u8>> {
        Ok(self.file.root().raw(name, shape).map_err(of_file)?.bytes.into_owned())
    }
}

impl Model {
    /// Reads an embedding that this model made.
    ///
    /// # Errors
    /// `BadInput` if the file is missing, broken, or was made by another model or for another input size; `InvalidOption` if the model
    /// is not asked about encoded pictures.
    pub fn load_embedding(&self, path: impl AsRef<Path>) -> Result<Embedding> {
        let start = Instant::now();
        let file = EmbeddingFile::open(path.as_ref(), &self.bundle_name())?;
        let encoded = self.driver().restore(&file)?;
        let stages = Stages::of_prompts().rest(Stage::Other, start);
        Ok(Embedding::new(self.driver().clone(), encoded, file.size()).told(stages, self))
    }
}

/// An embedding stands for a picture: another file may be a good one.
fn of_file(error: maskline_weights::Error) -> Error {
    Error::from(error).about(Concern::Picture)
}
