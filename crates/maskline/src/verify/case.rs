//! The layout of a golden case.

use std::path::{Path, PathBuf};

use maskline_weights::Checkpoint;
use serde_json::Value;

use super::Computed;
use crate::{Error, ErrorKind, Result};

/// A case on disk.
pub(super) struct Case {
    directory: PathBuf,
    json: Value,
    inputs: Checkpoint,
    outputs: Checkpoint,
}

/// One call of the official implementation on prompts.
pub(super) struct Call {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) multimask: bool,
}

impl Case {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("case.json");
        let help = "\n  help: give a directory with case.json, inputs.safetensors and outputs.safetensors";
        let no_case = |why: String| Error::new(ErrorKind::BadInput, format!("{why}\n  in   {}{help}", path.display()));
        let text = std::fs::read(&path).map_err(|e| no_case(format!("not a golden case: {e}")))?;
        let json: Value = serde_json::from_slice(&text).map_err(|e| no_case(format!("case.json is broken: {e}")))?;
        let inputs = Checkpoint::open(&directory.join("inputs.safetensors"))?;
        let outputs = Checkpoint::open(&directory.join("outputs.safetensors"))?;
        Ok(Self { directory: directory.to_path_buf(), json, inputs, outputs })
    }

    pub(super) fn name(&self) -> String {
        self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(super) fn family(&self) -> &str {
        self.json["family"].as_str().unwrap_or("")
    }

    pub(super) fn config(&self) -> &Value {
        &self.json["config"]
    }

    /// Every checkpoint file of the case, or the one that it says lies elsewhere.
    pub(super) fn checkpoints(&self) -> Result<Vec<PathBuf>> {
        let listed = self.json["checkpoint"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let is_weights = |name: &&str| [".safetensors", ".pt", ".pth"].iter().any(|end| name.ends_with(end));
        let mut paths: Vec<PathBuf> = listed.filter(is_weights).map(|name| self.directory.join(name)).collect();
        paths.extend(self.json["external_checkpoint"]["path"].as_str().map(|path| self.directory.join(path)));
        if paths.is_empty() {
            let message = format!("the case names no checkpoint\n  in   {}", self.directory.display());
            return Err(Error::new(ErrorKind::BadInput, message));
        }
        Ok(paths)
    }

    /// Names of all golden tensors.
    pub(super) fn tensors(&self) -> Vec<String> {
        self.outputs.names().map(str::to_string).collect()
    }

    pub(super) fn output(&self, name: &str) -> Result<Computed> {
        tensor(&self.outputs, name)
    }

    pub(super) fn input(&self, name: &str) -> Result<Computed> {
        tensor(&self.inputs, name)
    }

    /// What a tensor may differ by: suggested for it, or from the case's `atol` and `rtol` and its largest magnitude.
    pub(super) fn tolerance(&self, name: &str, magnitude: f64) -> Option<f64> {
        let general = &self.json["tolerance"];
        let relative = |atol: f64| Some(atol + general["rtol"].as_f64()? * magnitude);
        self.json["suggested_atol_per_tensor"][name].as_f64().or_else(|| general["atol"].as_f64().and_then(relative))
    }

    /// The calls on the checkpoint.
    pub(super) fn calls(&self) -> Vec<Call> {
        let calls = self.json["calls"].as_array().into_iter().flatten();
        let call = |json: &Value| Call {
            name: json["name"].as_str().unwrap_or("").into(),
            image: json["image"].as_str().unwrap_or("image0").into(),
            multimask: json["multimask_output"].as_bool().unwrap_or(true),
        };
        calls.map(call).collect()
    }

    pub(super) fn has_input(&self, name: &str) -> bool {
        self.inputs.info(name).is_some()
    }

    /// Whether a file lies in the case.
    pub(super) fn has_file(&self, name: &str) -> bool {
        self.directory.join(name).is_file()
    }

    /// The description of how a call's masks are brought to the picture.
    pub(super) fn mask_postprocess(&self) -> &Value {
        &self.json["postprocess"]
    }

    /// The entry of `postprocess` for a call, e.g. `x0.nms_default`.
    pub(super) fn postprocess(&self, call: &str) -> Result<&Value> {
        let entries = self.json["postprocess"].as_array().into_iter().flatten();
        entries.into_iter().find(|entry| entry["call"] == call).ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("case.json describes no call `{call}`\n  in   {}", self.directory.display()))
        })
    }
}

/// A stored tensor of any number type, as f32.
fn tensor(file: &Checkpoint, name: &str) -> Result<Computed> {
    let missing = || Error::new(ErrorKind::BadInput, format!("the case has no tensor `{name}`"));
    let shape = file.info(name).ok_or_else(missing)?.shape.clone();
    let raw = file.root().raw(name, &shape)?;
    let data = match raw.dtype {
        maskline_weights::DType::U8 | maskline_weights::DType::Bool => raw.bytes.iter().map(|byte| f32::from(*byte)).collect(),
        maskline_weights::DType::I64 => raw.bytes.chunks_exact(8).map(|b| b.try_into().map_or(0, i64::from_le_bytes) as f32).collect(),
        maskline_weights::DType::I32 => raw.bytes.chunks_exact(4).map(|b| b.try_into().map_or(0, i32::from_le_bytes) as f32).collect(),
        _ => file.root().f32(name, &shape)?.data.into_owned(),
    };
    Ok(Computed { shape, data })
}
