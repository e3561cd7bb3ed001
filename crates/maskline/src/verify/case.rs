//! The layout of a golden case.

use std::path::{Path, PathBuf};

use maskline_models::without_mark;
use maskline_weights::{Checkpoint, DType};
use serde_json::Value;

use super::Computed;
use crate::{Dialect, Error, ErrorKind, Result};

/// A case on disk.
pub(super) struct Case {
    directory: PathBuf,
    dialect: Dialect,
    json: Value,
    inputs: Option<Tensors>,
    outputs: Option<Tensors>,
}

/// Tensors of a case: one file of it.
pub(super) struct Tensors {
    file: Checkpoint,
}

/// One call of the official implementation on prompts.
pub(super) struct Call {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) multimask: bool,
}

impl Case {
    pub(super) fn open(directory: &Path, dialect: Dialect) -> Result<Self> {
        let path = directory.join("case.json");
        let help = "\n  help: give a directory with case.json and its tensors";
        let no_case = |why: String| Error::new(ErrorKind::BadInput, format!("{why}\n  in   {}{help}", path.display()));
        let text = std::fs::read(&path).map_err(|e| no_case(format!("not a golden case: {e}")))?;
        let json: Value = serde_json::from_slice(without_mark(&text)).map_err(|e| no_case(format!("case.json is broken: {e}")))?;
        let mut case = Self { directory: directory.to_path_buf(), dialect, json, inputs: None, outputs: None };
        // Families without a model spread their tensors over files of other names.
        let open = |name: &str| case.has_file(name).then(|| case.file(name)).transpose();
        (case.inputs, case.outputs) = (open("inputs.safetensors")?, open("outputs.safetensors")?);
        Ok(case)
    }

    /// The tensors of a file of the case.
    pub(super) fn file(&self, name: &str) -> Result<Tensors> {
        Ok(Tensors { file: Checkpoint::open(&self.path(name))? })
    }

    /// A JSON file of the case.
    pub(super) fn read_json(&self, name: &str) -> Result<Value> {
        let path = self.path(name);
        let text = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        serde_json::from_slice(without_mark(&text))
            .map_err(|e| Error::new(ErrorKind::BadInput, format!("broken JSON: {e}\n  in   {}", path.display())))
    }

    /// All of `case.json`.
    pub(super) fn whole(&self) -> &Value {
        &self.json
    }

    /// An entry of `case.json`; null where it has none.
    pub(super) fn entry(&self, key: &str) -> &Value {
        &self.json[key]
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Operators of the graphs that are checked.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
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

    /// The golden tensors.
    pub(super) fn outputs(&self) -> Result<&Tensors> {
        self.outputs.as_ref().ok_or_else(|| self.missing("outputs.safetensors"))
    }

    /// A golden tensor.
    pub(super) fn output(&self, name: &str) -> Result<Computed> {
        self.outputs()?.get(name)
    }

    pub(super) fn input(&self, name: &str) -> Result<Computed> {
        self.inputs.as_ref().ok_or_else(|| self.missing("inputs.safetensors"))?.get(name)
    }

    fn missing(&self, name: &str) -> Error {
        Error::new(ErrorKind::BadInput, format!("the case has no {name}\n  in   {}", self.directory.display()))
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
        self.inputs.as_ref().is_some_and(|inputs| inputs.has(name))
    }

    /// Whether a file lies in the case.
    pub(super) fn has_file(&self, name: &str) -> bool {
        self.path(name).is_file()
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

impl Tensors {
    /// Names of all tensors.
    pub(super) fn names(&self) -> Vec<String> {
        self.file.names().map(str::to_string).collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file.info(name).is_some()
    }

    /// Whether a tensor is stored in float16, rounded.
    pub(super) fn is_half(&self, name: &str) -> bool {
        self.file.info(name).is_some_and(|info| info.dtype == DType::F16)
    }

    /// A stored tensor of any number type, as f32.
    pub(super) fn get(&self, name: &str) -> Result<Computed> {
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
