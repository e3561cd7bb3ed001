//! Embeddings as files: safetensors with the size of the picture and the bundle that made them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use maskline_runtime::{SharedTensor, Tensor};
use maskline_vision::write::write_atomically;
use maskline_weights::Checkpoint;
use safetensors::tensor::{Dtype, TensorView};

use super::embedding::Embedding;
use crate::timings::PromptTimings;
use crate::{Error, ErrorKind, Model, Result};

const BUNDLE: &str = "bundle";
const WIDTH: &str = "width";
const HEIGHT: &str = "height";

impl Embedding {
    /// Writes the embedding to a file, whole or not at all; [`Model::load_embedding`] reads it.
    ///
    /// # Errors
    /// `Io` if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |error: String| Error::new(ErrorKind::Io, format!("{error}\n  in   {}", path.display()));
        let names = self.decoders().head.embedding();
        let views = self.tensors().iter().map(|tensor| tensor.view::<f32>()).collect::<Result<Vec<_>, _>>()?;
        let tensors = names.iter().zip(&views).map(|(name, view)| {
            let bytes = bytemuck::cast_slice(view.data);
            Ok((*name, TensorView::new(Dtype::F32, view.shape.clone(), bytes).map_err(|e| failed(e.to_string()))?))
        });
        let (width, height) = self.size();
        let facts = [(BUNDLE, self.decoders().bundle().to_string()), (WIDTH, width.to_string()), (HEIGHT, height.to_string())];
        let facts: HashMap<String, String> = facts.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let bytes = safetensors::serialize(tensors.collect::<Result<Vec<_>>>()?, Some(facts)).map_err(|e| failed(e.to_string()))?;
        Ok(write_atomically(path, &bytes)?)
    }
}

impl Model {
    /// Reads an embedding that this model made.
    ///
    /// # Errors
    /// `BadInput` if the file is missing, broken, or was made by another model or for another input size; `InvalidOption` if the model
    /// takes no prompts.
    pub fn load_embedding(&self, path: impl AsRef<Path>) -> Result<Embedding> {
        let path = path.as_ref();
        let decoders = self.decoders()?;
        let bad = |message: String| Error::new(ErrorKind::BadInput, format!("{message}\n  in   {}", path.display()));
        let file = Checkpoint::open(path)?;
        let fact = |key: &str| {
            let value = file.attribute(&[key]).and_then(|value| value.as_str()).map(str::to_string);
            value.ok_or_else(|| bad(format!("no embedding: expected `{key}` in its metadata")))
        };
        let made_by = fact(BUNDLE)?;
        if made_by != decoders.bundle() {
            let message = format!("the embedding was made by another model or version: expected {}, found {made_by}", decoders.bundle());
            return Err(bad(message + "\n  help: encode the picture again"));
        }
        let side = |key: &str| fact(key)?.parse::<usize>().ok().filter(|side| *side > 0).ok_or_else(|| bad(format!("`{key}` is no size")));
        let size = (side(WIDTH)?, side(HEIGHT)?);
        let tensor = |name: &&str| {
            let expected = decoders.embedding_shape(name).ok_or_else(|| bad(format!("the decoder takes no `{name}`")))?;
            let tensor = file.root().f32(name, &expected)?;
            if tensor.data.iter().any(|value| !value.is_finite()) {
                return Err(bad(format!("{name}: expected finite values")));
            }
            Ok(SharedTensor::new(Tensor::new(expected, tensor.data.into_owned())?)?)
        };
        let tensors = decoders.head.embedding().iter().map(tensor).collect::<Result<Vec<_>>>()?;
        let timings = PromptTimings { was_cached: true, ..PromptTimings::default() };
        Embedding::new((Arc::new(tensors), Arc::clone(decoders)), (size, &self.info().preprocess), timings)
    }
}
