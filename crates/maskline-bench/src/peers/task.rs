//! What a program is given to run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use maskline::{Bundle, ModelInfo};
use serde_json::{Value, json};

use super::error::{Error, ErrorKind, Result};
use super::program::{Reads, Script};

/// A model as other programs take it.
#[derive(Debug, Clone)]
pub struct PeerModel {
    /// The checkpoint that maskline runs: a file, or a directory with `model.safetensors`. For generated weights, what
    /// [`maskline::write_generated_weights`] wrote.
    pub checkpoint: Option<PathBuf>,
    /// Name and file of each graph of the bundle in standard operators ([`maskline::Dialect::Portable`]), or of the existing export.
    pub parts: Vec<(String, PathBuf)>,
    /// What maskline knows of the model.
    pub info: ModelInfo,
}

impl PeerModel {
    /// The model of a bundle, which must be one in standard operators if ONNX Runtime in Python is to run it.
    pub fn of_bundle(bundle: &Bundle, checkpoint: Option<PathBuf>) -> Self {
        let parts = bundle.parts().map(|(name, file)| (name.to_owned(), file)).collect();
        Self { checkpoint, parts, info: bundle.info().clone() }
    }
}

/// Which objects a detector gives out; the defaults are those of ultralytics and of our YOLO.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectOptions {
    /// Least score.
    pub conf: f32,
    /// Overlap above which the worse of two boxes of a class goes.
    pub iou: f32,
    /// Most objects per picture.
    pub max_detections: usize,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self { conf: 0.25, iou: 0.7, max_detections: maskline::PredictOptions::default().max_detections }
    }
}

/// Longest waits. A program that takes longer is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the process to readiness.
    pub start: Duration,
    /// For one answer.
    pub call: Duration,
}

impl Default for Limits {
    /// Ten minutes to start, five for an answer.
    fn default() -> Self {
        Self { start: Duration::from_mins(10), call: Duration::from_mins(5) }
    }
}

/// A model and how it is to be run.
#[derive(Debug, Clone)]
pub struct Task {
    /// The model.
    pub model: PeerModel,
    /// Threads of the network; 0 for one per processor.
    pub threads: usize,
    /// Side of a detector's square input; `None` for the model's. Promptable models are built for one size.
    pub size: Option<usize>,
    /// Which objects a detector gives out.
    pub detect: DetectOptions,
    /// Longest waits.
    pub limits: Limits,
}

impl Task {
    /// The model with all else by default.
    pub fn new(model: PeerModel) -> Self {
        Self { model, threads: 0, size: None, detect: DetectOptions::default(), limits: Limits::default() }
    }

    /// The number of threads, counted where it is 0.
    pub(super) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        }
    }

    /// What the process is told first.
    pub(super) fn message(&self, script: &Script) -> Result<Value> {
        let PeerModel { checkpoint, parts, info } = &self.model;
        let export = match (script.reads, parts.as_slice()) {
            (Reads::CheckpointOrExport, [(_, file)]) => Some(file.as_path()),
            _ => None,
        };
        let checkpoint = checkpoint.as_deref().or(export);
        match script.reads {
            Reads::Checkpoint | Reads::CheckpointOrExport if checkpoint.is_none() => {
                let message = format!("{}: this program reads checkpoints, and the model has none", info.architecture);
                return Err(Error::new(ErrorKind::InvalidArgument, message)
                    .help("name a checkpoint instead of an ONNX export, or compare with onnxruntime-python"));
            }
            Reads::Graphs if parts.is_empty() => {
                let message = format!("{}: this program reads graphs, and the model has none", info.architecture);
                return Err(Error::new(ErrorKind::InvalidArgument, message).help("build the bundle in standard operators"));
            }
            _ => {}
        }
        let checkpoint = checkpoint.map(text_of).transpose()?;
        let files = parts.iter().map(|(name, file)| Ok((name.clone(), Value::from(text_of(file)?))));
        let parts = files.collect::<Result<serde_json::Map<_, _>>>()?;
        let info_value = serde_json::to_value(info).map_err(|error| Error::new(ErrorKind::InvalidArgument, error.to_string()))?;
        let DetectOptions { conf, iou, max_detections } = self.detect;
        Ok(json!({
            "module": script.module,
            "class": script.class,
            "needs": script.needs,
            "family": info.family,
            "architecture": info.architecture,
            "info": info_value,
            "checkpoint": checkpoint,
            "parts": parts,
            "threads": self.threads(),
            "size": self.size,
            "detect": {"conf": conf, "iou": iou, "max_detections": max_detections},
        }))
    }
}

/// A path as JSON can carry it.
pub(super) fn text_of(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let message = format!("{}: expected a path of Unicode characters", path.display());
        Error::new(ErrorKind::InvalidArgument, message).help("other programs are told paths as text: rename it")
    })
}
