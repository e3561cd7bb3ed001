//! Facts about an architecture that no tensor tells: head counts, window sizes, the picture's size.

use std::path::Path;

use maskline_weights::Checkpoint;
use serde_json::Value;

use crate::{BuildOptions, Error, ErrorKind, Result};

/// The configuration that is given with the options, else the `config.json` beside the checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    json: Value,
}

impl Facts {
    /// Of a checkpoint.
    ///
    /// # Errors
    /// `Configuration` if there is a `config.json` that cannot be read.
    pub fn of(checkpoint: &Checkpoint, options: &BuildOptions) -> Result<Self> {
        if let Some(json) = &options.config {
            return Ok(Self { json: json.clone() });
        }
        let beside = checkpoint.path().and_then(Path::parent).map(|folder| folder.join("config.json"));
        let Some(path) = beside.filter(|path| path.is_file()) else { return Ok(Self::default()) };
        let broken = |why: String| Error::new(ErrorKind::Configuration, format!("config.json cannot be read: {why}")).at(Some(&path));
        let text = std::fs::read(&path).map_err(|e| broken(e.to_string()))?;
        Ok(Self { json: serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))? })
    }

    /// The facts below a key; nothing where it is missing.
    #[must_use]
    pub fn under(&self, key: &str) -> Self {
        Self { json: self.json[key].clone() }
    }

    /// A whole number; of a list, its first entry (`image_size: [1024, 1024]`).
    pub fn number(&self, key: &str) -> Option<usize> {
        let value = &self.json[key];
        value.as_u64().or_else(|| value[0].as_u64()).map(|n| n as usize)
    }

    /// A list of whole numbers.
    pub fn numbers(&self, key: &str) -> Option<Vec<usize>> {
        self.json[key].as_array()?.iter().map(|v| v.as_u64().map(|n| n as usize)).collect()
    }

    /// A fraction.
    pub fn fraction(&self, key: &str) -> Option<f64> {
        self.json[key].as_f64()
    }

    /// A yes or no.
    pub fn is_set(&self, key: &str) -> Option<bool> {
        self.json[key].as_bool()
    }

    /// A word.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.json[key].as_str()
    }
}
