//! Embeddings as files: safetensors with the size of the picture and the bundle that made them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use maskline_runtime::{SharedTensor, Tensor};
use maskline_vision::RgbImage;
use maskline_vision::look::Pyramid;
use maskline_vision::write::write_atomically;
use maskline_weights::Checkpoint;
use safetensors::tensor::{Dtype, TensorView};

use super::Answerer;
use super::embedding::{Embedding, Kept, Source};
use crate::timings::PromptTimings;
use crate::{Concern, Error, ErrorKind, Model, Result};

/// Tensor of models that look at the picture itself: u8 [height, width, 3].
const PICTURE: &str = "picture";
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
        let (names, views) = match self.source() {
            Source::Encoded(encoded) => {
                let views = encoded.tensors.iter().map(|tensor| tensor.view::<f32>()).collect::<Result<Vec<_>, _>>()?;
                (
                    encoded.decoders.head.embedding(),
                    views.iter().map(|v| (Dtype::F32, v.shape.clone(), bytemuck::cast_slice(v.data))).collect(),
                )
            }
            Source::Looks(looks) => {
                let picture =
                    looks.pyramid.levels().first().map(|level| (Dtype::U8, vec![level.height, level.width, 3], level.pixels.as_slice()));
                (&[PICTURE][..], picture.into_iter().collect::<Vec<_>>())
            }
        };
        let tensors = names
            .iter()
            .zip(views)
            .map(|(name, (dtype, shape, bytes))| Ok((*name, TensorView::new(dtype, shape, bytes).map_err(|e| failed(e.to_string()))?)));
        let (width, height) = self.size();
        let facts = [(BUNDLE, self.bundle().to_string()), (WIDTH, width.to_string()), (HEIGHT, height.to_string())];
        let facts: HashMap<String, String> = facts.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let bytes = safetensors::serialize(tensors.collect::<Result<Vec<_>>>()?, Some(facts)).map_err(|e| failed(e.to_string()))?;
        Ok(write_atomically(path, &bytes)?)
    }
}

impl Embedding {
    fn bundle(&self) -> &str {
        match self.source() {
            Source::Encoded(encoded) => encoded.decoders.bundle(),
            Source::Looks(looks) => looks.viewer.bundle(),
        }
    }
}

impl Model {
    /// Reads an embedding that this model made.
    ///
    /// # Errors
    /// `BadInput` if the file is missing, broken, or was made by another model or for another input size; `InvalidOption` if the model
    /// takes no prompts.
    pub fn load_embedding(&self, path: impl AsRef<Path>) -> Result<Embedding> {
        let (path, start) = (path.as_ref(), Instant::now());
        let answerer = self.answerer()?;
        let bad = |message: String| Error::new(ErrorKind::BadInput, format!("{message}\n  in   {}", path.display()));
        let file = Checkpoint::open(path).map_err(of_file)?;
        let fact = |key: &str| {
            let value = file.attribute(&[key]).and_then(|value| value.as_str()).map(str::to_string);
            value.ok_or_else(|| bad(format!("no embedding: expected `{key}` in its metadata")))
        };
        let made_by = fact(BUNDLE)?;
        if made_by != answerer.bundle() {
            let message = format!("the embedding was made by another model or version: expected {}, found {made_by}", answerer.bundle());
            return Err(bad(message + "\n  help: encode the picture again"));
        }
        let side = |key: &str| fact(key)?.parse::<usize>().ok().filter(|side| *side > 0).ok_or_else(|| bad(format!("`{key}` is no size")));
        let size = (side(WIDTH)?, side(HEIGHT)?);
        let kept = match answerer {
            Answerer::Decoders(decoders) => {
                let tensor = |name: &&str| {
                    let expected = decoders.embedding_shape(name).ok_or_else(|| bad(format!("the decoder takes no `{name}`")))?;
                    let tensor = file.root().f32(name, &expected).map_err(of_file)?;
                    if tensor.data.iter().any(|value| !value.is_finite()) {
                        return Err(bad(format!("{name}: expected finite values")));
                    }
                    Ok(SharedTensor::new(Tensor::new(expected, tensor.data.into_owned())?)?)
                };
                Kept::Tensors(Arc::new(decoders.head.embedding().iter().map(tensor).collect::<Result<Vec<_>>>()?))
            }
            Answerer::Viewer(viewer) => {
                let picture = file.root().raw(PICTURE, &[size.1, size.0, 3]).map_err(of_file)?;
                let picture = RgbImage::new(size.0, size.1, picture.bytes.into_owned())?;
                Kept::Pyramid(Arc::new(Pyramid::new(&picture, viewer.optics().input)))
            }
        };
        let timings = PromptTimings { other: start.elapsed(), ..PromptTimings::default() };
        self.embedding(kept, size, timings)
    }
}

/// An embedding stands for a picture: another file may be a good one.
fn of_file(error: maskline_weights::Error) -> Error {
    Error::from(error).about(Concern::Picture)
}
