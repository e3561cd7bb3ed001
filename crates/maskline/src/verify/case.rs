//! The layout of a golden case.

use std::path::{Path, PathBuf};

use maskline_models::without_mark;
use maskline_weights::{Checkpoint, DType};
use serde_json::Value;

use super::{Computed, VerifyOptions};
use crate::{Error, ErrorKind, Numbers, Provider, Result};

/// A case on disk.
pub(crate) struct Case {
    directory: PathBuf,
    options: VerifyOptions,
    json: Value,
    inputs: Option<Tensors>,
    outputs: Option<Tensors>,
}

/// Tensors of a case: one file of it.
pub(crate) struct Tensors {
    file: Checkpoint,
}

/// One call of the official implementation on prompts.
pub(crate) struct CaseCall {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) multimask: bool,
}

impl Case {
    pub(crate) fn open(directory: &Path, options: VerifyOptions) -> Result<Self> {
        let path = directory.join("case.json");
        let help = "give a directory with case.json and its tensors";
        let no_case = |why: String| Error::new(ErrorKind::BadInput, why).at(&path).with_help(help);
        let text = std::fs::read(&path).map_err(|e| no_case(format!("not a golden case: {e}")))?;
        let json: Value =
            serde_json::from_slice(&only_json(without_mark(&text))).map_err(|e| no_case(format!("case.json is broken: {e}")))?;
        let mut case = Self { directory: directory.to_path_buf(), options, json, inputs: None, outputs: None };
        // Families without a model spread their tensors over files of other names.
        let open = |name: &str| case.has_file(name).then(|| case.file(name)).transpose();
        (case.inputs, case.outputs) = (open("inputs.safetensors")?, open("outputs.safetensors")?);
        Ok(case)
    }

    /// The tensors of a file of the case.
    pub(crate) fn file(&self, name: &str) -> Result<Tensors> {
        Ok(Tensors { file: Checkpoint::open(&self.path(name))? })
    }

    /// A JSON file of the case.
    pub(crate) fn read_json(&self, name: &str) -> Result<Value> {
        let path = self.path(name);
        let text = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        serde_json::from_slice(without_mark(&text)).map_err(|e| Error::new(ErrorKind::BadInput, format!("broken JSON: {e}")).at(&path))
    }

    /// All of `case.json`.
    pub(crate) fn whole(&self) -> &Value {
        &self.json
    }

    /// An entry of `case.json`; null where it has none.
    pub(crate) fn entry(&self, key: &str) -> &Value {
        &self.json[key]
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What of its model is checked.
    pub(crate) fn options(&self) -> &VerifyOptions {
        &self.options
    }

    /// What its model is made of.
    pub(crate) fn numbers(&self) -> Numbers {
        self.options.precision.on(&Provider::Cpu)
    }

    pub(crate) fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn family(&self) -> &str {
        self.json["family"].as_str().unwrap_or("")
    }

    /// The configuration that belongs to the checkpoint, where no file beside it tells, or where the reference does something else than
    /// the model: Hugging Face's click head of SAM 3 adds the embedding of a picture without a past to the last level of its neck, which is
    /// not read where there are four. Meta's adds it to the cells, and so does maskline.
    pub(crate) fn own_config(&self) -> Option<Value> {
        if let Some(source) = self.json["config"]["src"].as_str() {
            // The model is another case's, which tells what it is.
            return self.read_json(&format!("{source}/case.json")).ok().map(|case| case["config"].clone());
        }
        if !self.has_file("config.json") {
            return self.json["config"].is_object().then(|| self.json["config"].clone());
        }
        let mut config = self.read_json("config.json").ok().filter(|_| self.family() == "sam3_tracker")?;
        let levels = config["vision_config"]["scale_factors"].as_array().map_or(4, Vec::len);
        config.as_object_mut()?.insert("adds_no_memory".into(), Value::Bool(levels == 3));
        Some(config)
    }

    /// `[count, dims]` of keypoints, which checkpoints without modules do not tell.
    pub(crate) fn keypoint_shape(&self) -> Option<[usize; 2]> {
        let shape: Vec<u64> = self.json["config"]["kpt_shape"].as_array()?.iter().filter_map(Value::as_u64).collect();
        match shape.as_slice() {
            &[count, dims] => Some([count as usize, dims as usize]),
            _ => None,
        }
    }

    /// Every checkpoint file of the case, or the one that it says lies elsewhere.
    pub(crate) fn checkpoints(&self) -> Result<Vec<PathBuf>> {
        let listed = self.json["checkpoint"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let is_tensors = |name: &str| ["inputs.safetensors", "outputs.safetensors"].contains(&name);
        let is_weights = |name: &&str| {
            !is_tensors(name) && [".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth"].iter().any(|end| name.ends_with(end))
        };
        let mut paths: Vec<PathBuf> = listed.filter(is_weights).map(|name| self.directory.join(name)).collect();
        paths.extend(self.json["external_checkpoint"]["path"].as_str().map(|path| self.directory.join(path)));
        if paths.is_empty() {
            return Err(self.bad("the case names no checkpoint"));
        }
        Ok(paths)
    }

    /// The golden tensors.
    pub(crate) fn outputs(&self) -> Result<&Tensors> {
        self.outputs.as_ref().ok_or_else(|| self.missing("outputs.safetensors"))
    }

    /// A golden tensor.
    pub(crate) fn output(&self, name: &str) -> Result<Computed> {
        self.outputs()?.get(name)
    }

    pub(crate) fn input(&self, name: &str) -> Result<Computed> {
        self.inputs.as_ref().ok_or_else(|| self.missing("inputs.safetensors"))?.get(name)
    }

    fn missing(&self, name: &str) -> Error {
        self.bad(format!("the case has no {name}"))
    }

    /// An error about the case.
    fn bad(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::BadInput, message).at(&self.directory)
    }

    /// What a tensor may differ by: suggested for it, or from the case's `atol` and `rtol` and its largest magnitude.
    pub(crate) fn tolerance(&self, name: &str, magnitude: f64) -> Option<f64> {
        let general = &self.json["tolerance"];
        let relative = |atol: f64| Some(atol + general["rtol"].as_f64()? * magnitude);
        self.json["suggested_atol_per_tensor"][name].as_f64().or_else(|| general["atol"].as_f64().and_then(relative))
    }

    /// The calls on the checkpoint.
    pub(crate) fn calls(&self) -> Vec<CaseCall> {
        let calls = self.json["calls"].as_array().into_iter().flatten();
        let call = |json: &Value| CaseCall {
            name: json["name"].as_str().unwrap_or("").into(),
            image: json["image"].as_str().unwrap_or("image0").into(),
            multimask: json["multimask_output"].as_bool().unwrap_or(true),
        };
        calls.map(call).collect()
    }

    pub(crate) fn has_input(&self, name: &str) -> bool {
        self.inputs.as_ref().is_some_and(|inputs| inputs.has(name))
    }

    /// Whether a file lies in the case.
    pub(crate) fn has_file(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// The description of how a call's masks are brought to the picture.
    pub(crate) fn mask_postprocess(&self) -> &Value {
        &self.json["postprocess"]
    }

    /// The entry of `postprocess` for a call, e.g. `x0.nms_default`.
    pub(crate) fn postprocess(&self, call: &str) -> Result<&Value> {
        let entries = self.json["postprocess"].as_array().into_iter().flatten();
        entries.into_iter().find(|entry| entry["call"] == call).ok_or_else(|| self.bad(format!("case.json describes no call `{call}`")))
    }
}

/// JSON as Python writes it, with numbers that JSON has no words for as null: they stand in statistics, which nobody compares.
fn only_json(text: &[u8]) -> Vec<u8> {
    const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let (mut out, mut place, mut is_string) = (Vec::with_capacity(text.len()), 0, false);
    while let Some(byte) = text.get(place) {
        let word = WORDS.into_iter().find(|word| !is_string && text[place..].starts_with(word));
        if let Some(word) = word {
            out.extend(b"null");
            place += word.len();
            continue;
        }
        // What follows a backslash ends no string.
        let length = if is_string && *byte == b'\\' { 2 } else { 1 };
        is_string ^= *byte == b'"';
        out.extend(&text[place..(place + length).min(text.len())]);
        place += length;
    }
    out
}

impl Tensors {
    /// Names of all tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        self.file.names().map(str::to_string).collect()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.file.info(name).is_some()
    }

    /// Whether a tensor is stored in float16, rounded.
    pub(crate) fn is_half(&self, name: &str) -> bool {
        self.file.info(name).is_some_and(|info| info.dtype == DType::F16)
    }

    /// A stored tensor of any number type, as f32.
    pub(crate) fn get(&self, name: &str) -> Result<Computed> {
        let missing = || Error::new(ErrorKind::BadInput, format!("the case has no tensor `{name}`"));
        let shape = self.file.info(name).ok_or_else(missing)?.shape.clone();
        let raw = self.file.root().raw(name, &shape)?;
        let data = match raw.dtype {
            DType::U8 | DType::Bool => raw.bytes.iter().map(|byte| f32::from(*byte)).collect(),
            DType::I64 => raw.bytes.chunks_exact(8).map(|b| b.try_into().map_or(0, i64::from_le_bytes) as f32).collect(),
            DType::I32 => raw.bytes.chunks_exact(4).map(|b| b.try_into().map_or(0, i32::from_le_bytes) as f32).collect(),
            _ => self.file.root().f32(name, &shape)?.data.into_owned(),
        };
        Ok(Computed { shape, data })
    }
}

#[cfg(test)]
mod tests {
    use super::only_json;

    #[test]
    fn numbers_that_json_does_not_have_are_null_and_texts_stay() {
        let text = br#"{"std": Infinity, "least": [-Infinity, NaN, -1], "note": "Infinity \" NaN", "path": "\\"}"#;
        let expected = r#"{"std": null, "least": [null, null, -1], "note": "Infinity \" NaN", "path": "\\"}"#;
        assert_eq!(String::from_utf8(only_json(text)).as_deref(), Ok(expected));
    }
}
