//! Facts about an architecture that no tensor tells: head counts, window sizes, the picture's size.

use maskline_weights::{CONFIG, Source};
use serde_json::Value;

use crate::{BuildOptions, Error, ErrorKind, Result};

/// The configuration that is given with the options, else the one beside the checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    json: Value,
    /// Keys that lead here, each with a dot after it.
    place: String,
}

/// No configuration of a model is as long.
const MAX_BYTES: usize = 16 << 20;

impl Facts {
    /// Of a source.
    ///
    /// # Errors
    /// `Configuration` if there is a configuration that cannot be read.
    pub fn of(source: &Source, options: &BuildOptions) -> Result<Self> {
        if let Some(json) = &options.config {
            check(json, "the configuration").map_err(|error| error.at(source.checkpoint().path()))?;
            return Ok(Self { json: json.clone(), place: String::new() });
        }
        let Some(file) = source.companion(CONFIG) else { return Ok(Self::default()) };
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let broken = |why: String| Error::new(ErrorKind::Configuration, format!("{name} cannot be read: {why}")).at(Some(file.path()));
        let Some(text) = file.content().filter(|text| text.len() <= MAX_BYTES) else {
            return Err(broken(format!("more than {MAX_BYTES} bytes")));
        };
        let json = serde_json::from_slice(without_mark(text)).map_err(|e| broken(e.to_string()))?;
        check(&json, &name).map_err(|error| error.at(Some(file.path())))?;
        Ok(Self { json, place: String::new() })
    }

    /// The facts below a key; nothing where it is missing.
    #[must_use]
    pub fn under(&self, key: &str) -> Self {
        Self { json: self.json[key].clone(), place: format!("{}{key}.", self.place) }
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

    /// Whether anything is said here.
    pub fn is_told(&self) -> bool {
        !self.json.is_null()
    }

    /// What is said, whatever it is.
    pub fn said(&self, key: &str) -> Option<&Value> {
        Some(&self.json[key]).filter(|value| !value.is_null())
    }

    /// A key with those that lead to it.
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.place)
    }

    /// A yes or no.
    pub fn is_set(&self, key: &str) -> Option<bool> {
        self.json[key].as_bool()
    }

    /// Refuses a fact that contradicts what is built: the sizes of the tensors, or what no model of the family does otherwise. Of lists,
    /// each entry must fit, or all of them one number.
    ///
    /// # Errors
    /// `Configuration`, which names the key.
    pub(crate) fn expect(&self, key: &str, built: impl Into<Value>) -> Result<()> {
        let (found, built) = (&self.json[key], built.into());
        if found.is_null() || fits(found, &built) {
            return Ok(());
        }
        let help = "it is not the configuration of this checkpoint, or of a variant that is not built";
        let misfit = Error::new(ErrorKind::Configuration, format!("config.json: {}", self.key(key)));
        Err(misfit.expecting(format!("{built}, as is built")).finding(found).with_help(help))
    }
}

fn fits(found: &Value, built: &Value) -> bool {
    match (found, built) {
        (Value::Array(found), Value::Array(built)) => {
            found.len() == built.len() && found.iter().zip(built).all(|(found, built)| fits(found, built))
        }
        (Value::Array(found), built) => !found.is_empty() && found.iter().all(|found| fits(found, built)),
        // Graphs compute in f32.
        (Value::Number(_), Value::Number(_)) => found.as_f64().map(|number| number as f32) == built.as_f64().map(|number| number as f32),
        _ => found == built,
    }
}

/// The most that a size may be, by its key: memory is asked for them.
const BOUNDS: [(&str, u64); 15] = [
    ("image_size", 8192),
    ("img", 8192),
    ("prompt_space", 8192),
    ("num_attention_heads", 4096),
    ("num_attention_heads_per_stage", 4096),
    ("heads", 4096),
    ("dheads", 4096),
    ("window_size", 512),
    ("window_size_per_stage", 512),
    ("win", 512),
    ("glob", 4096),
    ("global_attn_indexes", 4096),
    ("global_attention_blocks", 4096),
    ("memory_attention_num_attention_heads", 4096),
    ("max_object_pointers_in_encoder", 4096),
];

/// Those of them that are lists.
const LISTS: [&str; 5] =
    ["num_attention_heads_per_stage", "window_size_per_stage", "global_attn_indexes", "global_attention_blocks", "glob"];

/// Refuses what cannot be meant, wherever it is in the configuration: sizes that no model has, and values of another type, which would
/// otherwise count as not being there.
fn check(json: &Value, name: &str) -> Result<()> {
    for (key, value) in json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        if let Some(expected) = expectation(key, value) {
            let misfit = Error::new(ErrorKind::Configuration, format!("{name}: {key}"));
            return Err(misfit.expecting(expected).finding(value));
        }
        check(value, name)?;
    }
    Ok(())
}

/// What is expected of a value that is something else.
fn expectation(key: &str, value: &Value) -> Option<String> {
    if let Some((_, most)) = BOUNDS.iter().find(|(known, _)| *known == key) {
        let numbers = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let is_right = !LISTS.contains(&key) || value.is_array();
        let fits = is_right && numbers.iter().all(|number| number.as_u64().is_some_and(|number| number <= *most));
        if ["image_size", "img"].contains(&key) && numbers.windows(2).any(|pair| pair[0] != pair[1]) {
            return Some("the one side of square pictures".into());
        }
        return (!fits).then(|| format!("{}whole numbers up to {most}", if is_right { "" } else { "a list of " }));
    }
    let number = value.as_f64().filter(|number| (*number as f32).is_finite());
    match key {
        "layer_norm_eps" if number.is_none_or(|epsilon| epsilon < 0.0) => Some("a number of 0 or more".into()),
        "dynamic_multimask_stability_delta" | "dynamic_multimask_stability_thresh" if number.is_none() => Some("a number".into()),
        "sigmoid_scale_for_mem_enc" | "sigmoid_bias_for_mem_enc" if number.is_none() => Some("a number".into()),
        "dynamic_multimask_via_stability" if !value.is_boolean() => Some("true or false".into()),
        _ => None,
    }
}

/// A text without the byte order mark that some editors write in front of it.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
