//! Golden cases: the official implementation's tensors against ours, number by number.
//!
//! A case is a directory with `case.json` and a checkpoint with `inputs.safetensors` and `outputs.safetensors`, or files of the
//! preparation of pictures (`preprocess`), of answers (`postprocess`) or of texts (`tokenizer`), which need no model. Every golden entry must be
//! computed by the code that ships, and compared; one that cannot be is a failure, never skipped.

mod case;
mod compare;
mod postprocess;
mod preprocess;
mod tokenizer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use maskline_models::HeadBranch;
use serde::Serialize;

use crate::drivers::{self, Driver};
pub(crate) use crate::verify::case::{Case, CaseCall};
use crate::verify::compare::{Entry, Pair};
use crate::{
    BundleOptions, CalibrationOptions, Dialect, Engine, Error, ErrorKind, Kernels, LoadOptions, MaskDecoder, Numbers, Observer, Precision,
    Provider, Result,
};

/// Relative tolerance where a case suggests none for a tensor.
const RELATIVE_TOLERANCE: f64 = 1e-3;
/// Relative tolerance of models of half precision, and on integers, whose goldens are those of f32.
const HALF_TOLERANCE: f64 = 2e-2;
const INTEGER_TOLERANCE: f64 = 1e-1;

/// Options of [`verify`].
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// What runs the networks.
    pub provider: Provider,
    /// Operators of the graphs that are checked, as far as the provider has them.
    pub dialect: Dialect,
    /// Mask decoder that is checked, see [`BundleOptions`].
    pub decoder: Option<MaskDecoder>,
    /// Layers of image encoders that are checked.
    pub kernels: Kernels,
    /// Numbers of the model that is checked. Of half precision, more may differ: see [`Row::tolerance`].
    pub precision: Precision,
}

/// The comparison of one case on one checkpoint.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Directory name of the case.
    pub case: String,
    /// The checkpoint that was loaded; none for cases that need no model.
    pub checkpoint: Option<String>,
    /// One row per golden tensor or group of facts.
    pub rows: Vec<Row>,
    /// The tensors that were computed, by golden name.
    #[serde(skip)]
    pub computed: Vec<(String, Computed)>,
}

/// The comparison of one tensor, or of a group of facts (JSON).
#[derive(Debug, Serialize)]
pub struct Row {
    /// Call and tensor, e.g. `x0.pred`.
    pub tensor: String,
    /// Largest absolute difference; for goldens that were rounded to float16 on purpose, beyond that rounding, and for facts
    /// of more than 1, relative to them.
    pub max_abs: Option<f64>,
    /// That, relative to the largest golden magnitude.
    pub relative: Option<f64>,
    /// What `max_abs` may be. With numbers of half precision at least 2 % of the largest golden magnitude, on integers 10 %.
    pub tolerance: f64,
    /// Of tensors that are logits of masks, how much of what is above 0 in either is so in both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<f64>,
    /// Whether the tensor was computed and is within the tolerance.
    pub passed: bool,
    /// Why it could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A computed tensor.
#[derive(Debug, Clone)]
pub struct Computed {
    /// Shape.
    pub shape: Vec<usize>,
    /// Elements, row-major.
    pub data: Vec<f32>,
}

impl Report {
    /// Whether every tensor passed; a case without tensors has not.
    pub fn passed(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.passed)
    }
}

/// Runs a case on each of its checkpoints, or once where it needs no model.
///
/// # Errors
/// `BadInput` if the directory is no case, or of a family that has no check. What fails inside a case is in the report.
pub fn verify(engine: &Engine, directory: &Path, options: &VerifyOptions) -> Result<Vec<Report>> {
    let case = Case::open(directory, options.clone())?;
    match case.family() {
        "preprocess" => return Ok(vec![report(&case, None, preprocess::entries(&case)?)]),
        "postprocess" => return Ok(vec![report(&case, None, postprocess::entries(&case)?)]),
        "tokenizer" => return Ok(vec![report(&case, None, tokenizer::entries(&case)?)]),
        family if drivers::case_families().contains(&family) => {}
        family => {
            let error = Error::new(ErrorKind::BadInput, format!("cases of the family `{family}` cannot be verified")).at(directory);
            let known = drivers::case_families().join(", ");
            return Err(error.with_help(format!("families with a check: preprocess, postprocess, tokenizer, {known}")));
        }
    }
    let names = case.outputs()?.names();
    let run = |checkpoint: &std::path::PathBuf| {
        let check = load(engine, &case, checkpoint);
        let entries = names.iter().map(|name| Entry { name: name.clone(), pair: pair(&case, check.as_deref(), name) }).collect();
        report(&case, Some(checkpoint), entries)
    };
    Ok(case.checkpoints()?.iter().map(run).collect())
}

/// A family's way from golden names to computed tensors.
pub(crate) trait Check {
    fn compute(&self, name: &str) -> Result<Computed>;
}

/// What a model is built for and a call tells; what it does not tell is the model's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sizes {
    /// Side of the picture.
    pub(crate) image: Option<usize>,
    /// Tokens of a text.
    pub(crate) context: Option<usize>,
    /// Which of a detector's two heads answers.
    pub(crate) head: Option<HeadBranch>,
}

/// The drivers of a case's model for other sizes: as it ships, and with its inner tensors.
pub(crate) type AtSize<'a> = &'a dyn Fn(Sizes) -> Result<[Arc<dyn Driver>; 2]>;

/// Loads the model of a case, as it ships and with its inner tensors.
fn load<'c>(engine: &Engine, case: &'c Case, checkpoint: &Path) -> Result<Box<dyn Check + 'c>> {
    let loading = Loading { engine, case, checkpoint };
    if case.numbers() != Numbers::Int8 {
        return loading.check(&|_, options| options);
    }
    // The case's own pictures tell where numbers lie.
    let observers = Observers::default();
    let observed = loading.check(&|built, options| observers.observe(built, options))?;
    for name in case.outputs()?.names() {
        // What cannot be computed says so when it is compared.
        let _ = observed.compute(&name);
    }
    loading.check(&|built, options| observers.quantise(built, options))
}

/// What a model of a case is built as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Variant {
    has_taps: bool,
    sizes: Sizes,
}

/// How a case's models are loaded: options of one of them, changed.
type Change<'a> = &'a dyn Fn(Variant, LoadOptions) -> LoadOptions;

/// A model of a case that is to be loaded.
struct Loading<'a, 'c> {
    engine: &'a Engine,
    case: &'c Case,
    checkpoint: &'a Path,
}

impl<'c> Loading<'_, 'c> {
    fn check(&self, change: Change<'_>) -> Result<Box<dyn Check + 'c>> {
        let models =
            |sizes| Ok([self.driver(Variant { has_taps: false, sizes }, change)?, self.driver(Variant { has_taps: true, sizes }, change)?]);
        let [shipped, tapped] = models(Sizes::default())?;
        shipped.golden(self.case, tapped, &models)
    }

    fn driver(&self, variant: Variant, change: Change<'_>) -> Result<Arc<dyn Driver>> {
        let Self { engine, case, checkpoint } = *self;
        let bundle = BundleOptions {
            config: case.own_config(),
            keypoint_shape: case.keypoint_shape(),
            taps: variant.has_taps,
            image_size: variant.sizes.image,
            context: variant.sizes.context,
            head: variant.sizes.head,
            dialect: case.options().dialect,
            decoder: case.options().decoder,
            kernels: case.options().kernels,
            numbers: Some(case.numbers()),
            ..BundleOptions::default()
        };
        let options =
            change(variant, LoadOptions { provider: case.options().provider.clone(), warm_up: false, bundle, ..LoadOptions::default() });
        Ok(Arc::clone(engine.load(checkpoint, &options)?.driver()))
    }
}

/// What hears each of a case's models.
#[derive(Default)]
struct Observers(Mutex<HashMap<Variant, Arc<Observer>>>);

impl Observers {
    fn of(&self, variant: Variant) -> Arc<Observer> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(variant).or_default())
    }

    fn observe(&self, variant: Variant, mut options: LoadOptions) -> LoadOptions {
        options.bundle.numbers = Some(Numbers::Observed);
        LoadOptions { observer: Some(self.of(variant)), ..options }
    }

    fn quantise(&self, variant: Variant, mut options: LoadOptions) -> LoadOptions {
        let calibration = self.of(variant).calibration("", CalibrationOptions::default());
        options.bundle.calibration = Some(Arc::new(calibration));
        options
    }
}

fn pair(case: &Case, check: Result<&dyn Check, &Error>, name: &str) -> Result<Pair> {
    let check = check.map_err(|error| Error::new(error.kind(), format!("the model could not be loaded: {error}")))?;
    let (golden, found) = (case.output(name)?, check.compute(name)?);
    let magnitude = golden.magnitude();
    let of_case = case.tolerance(name, magnitude).unwrap_or(RELATIVE_TOLERANCE * magnitude);
    let tolerance = match case.numbers() {
        Numbers::F32 => of_case,
        Numbers::Int8 | Numbers::Observed => of_case.max(INTEGER_TOLERANCE * magnitude),
        _ => of_case.max(HALF_TOLERANCE * magnitude),
    };
    Ok(Pair::Tensors { golden, found, tolerance, is_rounded: false })
}

fn report(case: &Case, checkpoint: Option<&Path>, entries: Vec<Entry>) -> Report {
    let checkpoint = checkpoint.map(|path| path.display().to_string());
    let mut report = Report { case: case.name(), checkpoint, rows: Vec::new(), computed: Vec::new() };
    for Entry { name, pair } in entries {
        report.rows.push(compare::row(&name, &pair));
        if let Ok(Pair::Tensors { found, .. }) = pair {
            report.computed.push((name, found));
        }
    }
    report
}
