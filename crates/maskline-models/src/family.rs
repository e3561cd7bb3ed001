//! The seam between families and the engine.

use maskline_onnx::{Dialect, GeluForm, Graph, Model, ModelHeader};
use maskline_weights::{Attribute, Checkpoint, Module, Scope, Source};

use crate::unsupported::Unsupported;
use crate::{Error, ErrorKind, HeadBranch, MaskDecoder, ModelInfo, PartInfo, PartRole, PromptHead, Result, Task, branch, unsupported};

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
    /// Which form of a mask decoder is wished; ours needs the operators of [`Dialect::Native`].
    pub decoder: MaskDecoder,
    /// Whether layers of image encoders are to be operators of our own, where the dialect has them. `None`: in families that gain a tenth by
    /// it.
    pub own_layers: Option<bool>,
    /// Published architecture; needed for generated weights, else read off the checkpoint.
    pub architecture: Option<String>,
    /// `[count, dims]` of keypoints, where the checkpoint does not tell them apart.
    pub keypoint_shape: Option<[usize; 2]>,
    /// Which of a detector's two heads answers, where it has two; `None` for the one that the reference predicts with.
    pub head: Option<HeadBranch>,
    /// Class names in the order of the classes, instead of those of the checkpoint.
    pub labels: Option<Vec<String>>,
    /// Side of the square picture input, where the architecture leaves it free; else what the model was trained at.
    pub image_size: Option<usize>,
    /// Tokens of a text, padding among them, where the text encoder leaves it free; else as many as the reference's processor gives.
    pub context: Option<usize>,
    /// Facts that neither tensors nor a `config.json` beside them tell, by the family's own keys.
    pub config: Option<serde_json::Value>,
    /// Also output the inner tensors that the golden cases hold.
    pub taps: bool,
}

impl BuildOptions {
    /// An empty graph of an image encoder, of a family that gains by layers of our own or does not (measured: `docs/encoders.md`).
    pub(crate) fn encoder<'w>(&self, name: &str, gains: bool) -> Graph<'w> {
        Graph::new(name, self.dialect).with_own_layers(self.own_layers.unwrap_or(gains))
    }
}

/// One graph of a model.
#[derive(Debug)]
pub struct Part<'w> {
    /// Stable name, also the file name: `detector`, `image_encoder`, …
    pub name: &'static str,
    /// What it does in the model.
    pub role: PartRole,
    /// Whether it is opened when the model is loaded, not when it is first needed.
    pub eager: bool,
    /// The graph.
    pub model: Model<'w>,
}

impl<'w> Part<'w> {
    /// The image encoder of a promptable model.
    pub(crate) fn encoder(model: Model<'w>) -> Self {
        Self { name: PromptHead::ENCODER, role: PartRole::ImageEncoder, eager: true, model }
    }

    /// What is stored of it with the bundle.
    fn info(&self) -> PartInfo {
        PartInfo { name: self.name.into(), role: self.role, eager: self.eager }
    }
}

/// A file that is no graph and that answering needs: a tokenizer, say. It travels with the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its file name in the bundle's `assets`.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A built model. [`ModelInfo::parts`] always lists its parts.
#[derive(Debug)]
pub struct Built<'w> {
    info: ModelInfo,
    parts: Vec<Part<'w>>,
    assets: Vec<Asset>,
}

impl<'w> Built<'w> {
    /// A model of these graphs, those that answer pictures first. [`ModelInfo::parts`] is made from them, whatever `info` says.
    pub fn new(mut info: ModelInfo, parts: Vec<Part<'w>>) -> Self {
        info.parts = parts.iter().map(Part::info).collect();
        Self { info, parts, assets: Vec::new() }
    }

    /// The same with files that answering needs.
    #[must_use]
    pub fn with_assets(mut self, assets: Vec<Asset>) -> Self {
        self.assets = assets;
        self
    }

    /// The same with what people should know about the choice of weights, see [`Checkpoint::choice_notes`].
    #[must_use]
    pub fn with_weights_notes(mut self, notes: Vec<String>) -> Self {
        self.info.weights_notes = notes;
        self
    }

    /// The same with other graphs, each made from a part's name and graph.
    ///
    /// # Errors
    /// Those of `rewrite`.
    pub fn rewritten<E>(mut self, mut rewrite: impl FnMut(&str, Model<'w>) -> Result<Model<'w>, E>) -> Result<Self, E> {
        let rewritten = |part: Part<'w>| Ok(Part { model: rewrite(part.name, part.model)?, ..part });
        self.parts = self.parts.into_iter().map(rewritten).collect::<Result<_, E>>()?;
        Ok(self)
    }

    /// What the engine must know of it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Its graphs.
    pub fn parts(&self) -> &[Part<'w>] {
        &self.parts
    }

    /// Files that answering needs.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }
}

/// A model family.
pub trait Family: Sync {
    /// What it is.
    fn description(&self) -> &Description;

    /// Whether one build serves every picture size: [`BuildOptions::image_size`] changes nothing.
    fn takes_any_size(&self) -> bool {
        false
    }

    /// Whether the names of the tensors in a scope are this family's.
    fn recognises(&self, names: &Scope<'_>) -> bool;

    /// Gives the tensors of a recognised checkpoint the names that the family reads, where it is published in other layouts.
    ///
    /// # Errors
    /// `Checkpoint` if two tensors of the file are the same one.
    fn prepare(&self, _: &mut Checkpoint) -> Result<()> {
        Ok(())
    }

    /// Emits the graphs of a checkpoint. A family reads what the source holds and nothing else: that is what a bundle's key covers.
    ///
    /// # Errors
    /// `Checkpoint` for missing, misshapen or left-over tensors; `Configuration` for what cannot be built.
    fn build<'w>(&self, source: &'w Source, options: &BuildOptions) -> Result<Built<'w>>;

    /// Describes an existing ONNX export of this family, or `None` if it is not one.
    fn import(&self, header: &ModelHeader, options: &BuildOptions) -> Option<Result<ModelInfo>>;
}

/// All families.
pub fn families() -> &'static [&'static dyn Family] {
    static FAMILIES: [&dyn Family; 11] = [
        &crate::yolo::YOLO_V8,
        &crate::yolo::YOLO11,
        &crate::yolo::YOLO26,
        &crate::sam2::Sam2,
        &crate::sam3::Sam3,
        &crate::mobile_sam::MobileSam,
        &crate::efficientvit_sam::EfficientVitSam,
        &crate::sam1::Sam1,
        &crate::owl::OWL_VIT,
        &crate::owl::OWL_V2,
        &crate::nano::Nano,
    ];
    &FAMILIES
}

/// The family of a checkpoint whose names are as the family publishes them; [`recognise`] also looks under prefixes.
///
/// # Errors
/// `UnknownModel` with what the checkpoint looks like.
pub fn family_of(checkpoint: &Checkpoint) -> Result<&'static dyn Family> {
    family_in(&checkpoint.root()).ok_or_else(|| unknown(checkpoint))
}

pub(crate) fn family_in(names: &Scope<'_>) -> Option<&'static dyn Family> {
    families().iter().copied().find(|family| family.recognises(names))
}

/// The family of a source. A prefix that all names have in common (`model.`, `module.`, `ema.model.` …: what a trainer put the
/// model under) is taken off, segment by segment, if a family knows what is left.
///
/// Where the model is one branch of several (beside it a loss, averaged weights, a teacher), that branch is taken alone, and
/// [`Checkpoint::choice_notes`] says so: averaged weights rather than those of the last step, a teacher only where there is nothing else.
///
/// # Errors
/// `UnknownModel` with what the checkpoint looks like, or with the branches between which it leaves the choice open.
pub fn recognise(source: Source) -> Result<(Source, &'static dyn Family)> {
    let (mut source, family) = find(source)?;
    family.prepare(source.checkpoint_mut())?;
    Ok((source, family))
}

/// The family, with the names that lead to the model taken off.
fn find(mut source: Source) -> Result<(Source, &'static dyn Family)> {
    // Of the names as they are in the file, so that the error shows those.
    let error = match family_of(source.checkpoint()) {
        Ok(family) => return Ok((source, family)),
        Err(error) => error,
    };
    while source.checkpoint_mut().strip_common_prefix() {
        if let Ok(family) = family_of(source.checkpoint()) {
            return Ok((source, family));
        }
    }
    if unsupported::what(source.checkpoint()).is_some() {
        return Err(error);
    }
    match branch::choose(source.checkpoint())? {
        Some((prefix, family)) => {
            source.checkpoint_mut().keep_under(&prefix);
            Ok((source, family))
        }
        None => Err(error),
    }
}

/// What a checkpoint is that no family knows, as far as its names tell.
fn unknown(checkpoint: &Checkpoint) -> Error {
    let mut names: Vec<&str> = checkpoint.names().collect();
    let count = names.len();
    names.truncate(4);
    let what = match unsupported::what(checkpoint) {
        Some(Unsupported { what, lacks: Some(lacks), sign }) => {
            format!("this is {what}, which maskline does not run; it would need {lacks}; told by {sign}")
        }
        Some(Unsupported { what, lacks: None, .. }) => format!("this is {what}, which maskline does not run"),
        None => format!("no family knows this checkpoint: {count} tensors such as `{}`", names.join("`, `")),
    };
    Error::new(ErrorKind::UnknownModel, what).at(checkpoint.path()).with_help(known_families())
}

/// The family of a published architecture.
///
/// # Errors
/// `UnknownModel` with the known names.
pub fn family_of_architecture(architecture: &str) -> Result<&'static dyn Family> {
    families().iter().copied().find(|f| f.description().architectures.contains(&architecture)).ok_or_else(|| {
        let known: Vec<&str> = families().iter().flat_map(|f| f.description().architectures).copied().collect();
        Error::new(ErrorKind::UnknownModel, format!("no architecture is called `{architecture}`"))
            .with_help(format!("known are {}", known.join(", ")))
    })
}

/// The family and description of an existing ONNX export.
///
/// # Errors
/// `UnknownModel` if no family knows it, or the family's own complaint.
pub fn family_of_onnx(header: &ModelHeader, options: &BuildOptions) -> Result<ModelInfo> {
    families().iter().find_map(|f| f.import(header, options)).unwrap_or_else(|| {
        let inputs: Vec<&str> = header.inputs.iter().map(|(name, ..)| name.as_str()).collect();
        let message = format!("no family knows this ONNX file (producer `{}`, inputs {})", header.producer, inputs.join(", "));
        Err(Error::new(ErrorKind::UnknownModel, message).with_help(known_families()))
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
    let told = |name: String| match checkpoint.name_in_file(&name) {
        Some(file) => format!("`{file}` (here `{name}`)"),
        None => format!("`{name}`"),
    };
    let left: Vec<String> = left.into_iter().map(told).collect();
    let message = format!("{count} tensors have no place in {title}, such as {}", left.join(", "));
    let help = "the checkpoint is of a variant that this family does not build; a result without them would be wrong";
    Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()).with_help(help))
}

/// Refuses a pickle of modules whose activations are not those of promptable models: ReLU in the decoder's transformer and in the
/// prediction heads, GELU everywhere else, in the encoder in this form.
pub(crate) fn refuse_other_activations(checkpoint: &Checkpoint, encoder: GeluForm) -> Result<()> {
    const RELU_PLACES: [&str; 5] = ["transformer.", "hypernetworks", "iou_prediction", "pred_obj_score", "kernel_func"];
    let form = |module: &Module| match module.attributes.get("approximate").and_then(Attribute::as_str) {
        Some("tanh") => GeluForm::Tanh,
        _ => GeluForm::Exact,
    };
    let fits = |name: &str, module: &Module| match module.class_name() {
        "ReLU" => RELU_PLACES.iter().any(|place| name.contains(place)),
        "GELU" if RELU_PLACES.iter().any(|place| name.contains(place)) => false,
        "GELU" => form(module) == if name.starts_with("image_encoder") { encoder } else { GeluForm::Exact },
        // What Hugging Face calls the exact one.
        "GELUActivation" => encoder == GeluForm::Exact,
        class => ["MultiheadAttention", "Softmax"].contains(&class),
    };
    let is_activation = |class: &str| ["torch.nn.modules.activation.", "transformers.activations."].iter().any(|at| class.starts_with(at));
    match checkpoint.modules().find(|(name, module)| is_activation(&module.class) && !fits(name, module)) {
        Some((name, module)) => {
            let options = module.attributes.get("approximate").and_then(Attribute::as_str);
            let options = options.map_or(String::new(), |form| format!(" (approximate `{form:.20}`)"));
            let message = format!("{name}: the activation `{}`{options} is not built here", module.class);
            Err(Error::new(ErrorKind::Checkpoint, message).at(checkpoint.path()))
        }
        None => Ok(()),
    }
}

fn known_families() -> String {
    let names: Vec<&str> = families().iter().map(|f| f.description().name).collect();
    format!("known families: {}; see `maskline list`", names.join(", "))
}
