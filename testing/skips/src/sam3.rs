//! A SAM 3 with both heads that is small enough to be asked often.
//!
//! Its tensors are those of two golden cases of the engine: a detector, and a click head on the same trunk. Together they are what
//! Hugging Face publishes as one checkpoint. It sees pictures at 30 pixels, has four queries, and reads phrases of eight tokens, which are
//! single letters: six letters beside start and end.
//!
//! What goes wrong here is a test's failure: everything panics.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// Letters of the model's vocabulary, alone and at the end of a word.
const LETTERS: &str = "acdeghilmnoprstuvbk";

#[derive(Debug, Clone)]
struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// A checkpoint that can be written in several ways.
#[derive(Debug, Clone)]
pub struct TinySam3 {
    tensors: BTreeMap<String, Tensor>,
}

impl Default for TinySam3 {
    fn default() -> Self {
        Self::new()
    }
}

impl TinySam3 {
    /// All of it.
    ///
    /// # Panics
    /// Where the golden cases are not beside this crate.
    pub fn new() -> Self {
        let detector = tensors(&case("sam3")).into_iter().map(|(name, tensor)| (format!("detector_model.{name}"), tensor));
        let clicks = tensors(&case("sam3_clicks")).into_iter().filter_map(|(name, tensor)| match name.strip_prefix("vision_encoder.") {
            // The trunk is the detector's.
            Some(vision) => vision.strip_prefix("neck.").map(|inner| (format!("tracker_neck.{inner}"), tensor)),
            None => Some((format!("tracker_model.{name}"), tensor)),
        });
        Self { tensors: detector.chain(clicks).collect() }
    }

    /// Without the tensors whose names begin so.
    ///
    /// # Panics
    /// Where there are none.
    #[must_use]
    pub fn without(mut self, prefix: &str) -> Self {
        let before = self.tensors.len();
        self.tensors.retain(|name, _| !name.starts_with(prefix));
        assert!(self.tensors.len() < before, "no tensor's name begins with `{prefix}`");
        self
    }

    /// Writes `model.safetensors`, `config.json` and the tokenizer into a folder, which is made.
    ///
    /// # Panics
    /// Where they cannot be written.
    pub fn write(&self, folder: &Path) {
        self.write_without_tokenizer(folder);
        write_tokenizer(folder);
    }

    /// The same without the tokenizer.
    ///
    /// # Panics
    /// As [`Self::write`].
    pub fn write_without_tokenizer(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        write_tensors(&folder.join("model.safetensors"), &self.tensors);
        write_config(folder);
    }

    /// As [`Self::write`], with the tensors in two files and an index of them.
    ///
    /// # Panics
    /// As [`Self::write`].
    pub fn write_in_two_files(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        let mut files = [("model-00001-of-00002.safetensors", BTreeMap::new()), ("model-00002-of-00002.safetensors", BTreeMap::new())];
        let mut map = serde_json::Map::new();
        for (index, (name, tensor)) in self.tensors.iter().enumerate() {
            let (file, tensors) = &mut files[index % 2];
            map.insert(name.clone(), json!(file));
            tensors.insert(name.clone(), tensor.clone());
        }
        for (file, tensors) in &files {
            write_tensors(&folder.join(file), tensors);
        }
        let index = json!({"metadata": {"total_size": 0}, "weight_map": map});
        std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
        write_config(folder);
        write_tokenizer(folder);
    }
}

/// The folder of a golden case of the engine.
fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/maskline/tests/cases/tiny").join(name)
}

fn tensors(case: &Path) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(case.join("model.safetensors")).unwrap();
    let tensor = |(name, view): (String, TensorView<'_>)| {
        (name, Tensor { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() })
    };
    SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter().map(tensor).collect()
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let views = tensors.iter().map(|(name, Tensor { dtype, shape, bytes })| (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn write_config(folder: &Path) {
    let config = |name: &str| serde_json::from_slice::<Value>(&std::fs::read(case(name).join("config.json")).unwrap()).unwrap();
    let config = json!({"model_type": "sam3_video", "detector_config": config("sam3"), "tracker_config": config("sam3_clicks")});
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

fn write_tokenizer(folder: &Path) {
    let letters = LETTERS.chars().map(String::from).chain(LETTERS.chars().map(|letter| format!("{letter}</w>")));
    let all = letters.chain(["<|startoftext|>", "<|endoftext|>"].map(str::to_owned));
    let vocabulary: Value = Value::Object(all.enumerate().map(|(id, token)| (token, json!(id))).collect());
    std::fs::write(folder.join("vocab.json"), vocabulary.to_string()).unwrap();
    std::fs::write(folder.join("merges.txt"), "#version: 0.2\n").unwrap();
}
