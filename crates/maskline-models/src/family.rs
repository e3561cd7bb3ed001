//! The seam between families and the engine.

use maskline_onnx::{Dialect, Model, ModelHeader};
use maskline_weights::Checkpoint;

use crate::{Error, ErrorKind, ModelInfo, Result, Task};

/// What a family is, for lists and help.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Stable name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What its models answer.
    pub tasks: &'static [Task],
    /// Published architectures, each of which can be run with generated weights.
    pub architectures: &'static [&'static str],
    /// Licence of the published weights.
    pub licence: &'static str,
    /// Where the family comes from.
    pub source: &'static str,
}

/// How a checkpoint is built into graphs.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Operators that the graphs may use.
    pub dialect: Dialect,
    /// Published architecture; needed for generated weights, else read off the checkpoint.
    pub architecture: Option<String>,
    /// `[count, dims]` of keypoints, where the checkpoint does not tell them apart.
    pub keypoint_shape: Option<[usize; 2]>,
    /// Side of the square picture input, where the architecture leaves it free; else what the model was trained at.
    pub image_size: Option<usize>,
    /// Facts that neither tensors nor a `config.json` beside them tell, by the family's own keys.
    pub config: Option<serde_json::Value>,
    /// Also output the inner tensors that the golden cases hold.
    pub taps: bool,
}

/// One graph of a model.
#[derive(Debug)]
pub struct Part<'w> {
    /// Stable name, also the file name: `detector`, `image_encoder`, …
    pub name: &'static str,
    /// The graph.
    pub model: Model<'w>,
}

/// A built model.
#[derive(Debug)]
pub struct Built<'w> {
    /// What the engine must know of it.
    pub info: ModelInfo,
    /// Its graphs.
    pub parts: Vec<Part<'w>>,
}

/// A model family.
pub trait Family: Sync {
    /// What it is.
    fn description(&self) -> &Description;

    /// Whether the checkpoint's tensor names are this family's.
    fn recognises(&self, checkpoint: &Checkpoint) -> bool;

    /// Emits the graphs of a checkpoint.
    ///
    /// # Errors
    /// `Checkpoint` for missing, misshapen or left-over tensors; `Configuration` for what cannot be built.
    fn build<'w>(&self, checkpoint: &'w Checkpoint, options: &BuildOptions) -> Result<Built<'w>>;

    /// Describes an existing ONNX export of this family, or `None` if it is not one.
    fn import(&self, header: &ModelHeader) -> Option<Result<ModelInfo>>;
}

/// All families.
pub fn families() -> &'static [&'static dyn Family] {
    &[
        &crate::yolov8::YoloV8,
        &crate::sam2::Sam2,
        &crate::mobile_sam::MobileSam,
        &crate::efficientvit_sam::EfficientVitSam,
        &crate::sam1::Sam1,
        &crate::nano::Nano,
    ]
}

/// The family of a checkpoint.
///
/// # Errors
/// `UnknownModel` with what the checkpoint looks like.
pub fn family_of(checkpoint: &Checkpoint) -> Result<&'static dyn Family> {
    families().iter().copied().find(|f| f.recognises(checkpoint)).ok_or_else(|| {
        let mut names: Vec<&str> = checkpoint.names().collect();
        let count = names.len();
        names.truncate(4);
        let message = format!("no family knows this checkpoint: {count} tensors such as `{}`", names.join("`, `"));
        Error::new(ErrorKind::UnknownModel, message).at(checkpoint.path()).help(known_families())
    })
}

/// The family of a published architecture.
///
/// # Errors
/// `UnknownModel` with the known names.
pub fn family_of_architecture(architecture: &str) -> Result<&'static dyn Family> {
    families().iter().copied().find(|f| f.description().architectures.contains(&architecture)).ok_or_else(|| {
        let known: Vec<&str> = families().iter().flat_map(|f| f.description().architectures).copied().collect();
        Error::new(ErrorKind::UnknownModel, format!("no architecture is called `{architecture}`"))
            .help(format!("known are {}", known.join(", ")))
    })
}

/// The family and description of an existing ONNX export.
///
/// # Errors
/// `UnknownModel` if no family knows it, or the family's own complaint.
pub fn family_of_onnx(header: &ModelHeader) -> Result<ModelInfo> {
    families().iter().find_map(|f| f.import(header)).unwrap_or_else(|| {
        let inputs: Vec<&str> = header.inputs.iter().map(|(name, ..)| name.as_str()).collect();
        let message = format!("no family knows this ONNX file (producer `{}`, inputs {})", header.producer, inputs.join(", "));
        Err(Error::new(ErrorKind::UnknownModel, message).help(known_families()))
    })
}

/// Refuses a checkpoint of which tensors were not used, except those whose names contain one of `known`.
pub(crate) fn refuse_left_over(checkpoint: &Checkpoint, title: &str, known: &[&str]) -> Result<()> {
    let mut left = checkpoint.unused();
    left.retain(|name| !known.iter().any(|part| name.contains(part)));
    if left.is_empty() {
        return Ok(());
    }
    let count = left.len();
    left.truncate(3);
    let message = format!("{count} tensors have no place in {title}, such as `{}`", left.join("`, `"));
    let help = "the checkpoint is of a variant that this family does not build; a result without them would be wrong";
    Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()).help(help))
}

fn known_families() -> String {
    let names: Vec<&str> = families().iter().map(|f| f.description().name).collect();
    format!("known families: {}; see `maskline list`", names.join(", "))
}
