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

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::drivers::{self, Driver};
pub(crate) use crate::verify::case::{Case, CaseCall};
use crate::verify::compare::{Entry, Pair};
use crate::{BundleOptions, Dialect, Engine, Error, ErrorKind, LoadOptions, MaskDecoder, Provider, Result};

/// Relative tolerance where a case suggests none for a tensor.
const RELATIVE_TOLERANCE: f64 = 1e-3;

/// Options of [`verify`].
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// What runs the networks.
    pub provider: Provider,
    /// Operators of the graphs that are checked, as far as the provider has them.
    pub dialect: Dialect,
    /// Mask decoder that is checked, see [`BundleOptions`].
    pub decoder: Option<MaskDecoder>,
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
    /// What `max_abs` may be.
    pub tolerance: f64,
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
}

/// The drivers of a case's model for other sizes: as it ships, and with its inner tensors.
pub(crate) type AtSize<'a> = &'a dyn Fn(Sizes) -> Result<[Arc<dyn Driver>; 2]>;

/// Loads the model of a case, as it ships and with its inner tensors.
fn load<'c>(engine: &Engine, case: &'c Case, checkpoint: &Path) -> Result<Box<dyn Check + 'c>> {
    let driver = |taps: bool, sizes: Sizes| {
        let bundle = BundleOptions {
            config: case.own_config(),
            keypoint_shape: case.keypoint_shape(),
            taps,
            image_size: sizes.image,
            context: sizes.context,
            dialect: case.options().dialect,
            decoder: case.options().decoder,
            ..BundleOptions::default()
        };
        let options = LoadOptions { provider: case.options().provider.clone(), warm_up: false, bundle, ..LoadOptions::default() };
        Ok::<_, Error>(Arc::clone(engine.load(checkpoint, &options)?.driver()))
    };
    let models = |sizes| Ok([driver(false, sizes)?, driver(true, sizes)?]);
    let [shipped, tapped] = models(Sizes::default())?;
    shipped.golden(case, tapped, &models)
}

fn pair(case: &Case, check: Result<&dyn Check, &Error>, name: &str) -> Result<Pair> {
    let check = check.map_err(|error| Error::new(error.kind(), format!("the model could not be loaded: {error}")))?;
    let (golden, found) = (case.output(name)?, check.compute(name)?);
    let magnitude = golden.magnitude();
    let tolerance = case.tolerance(name, magnitude).unwrap_or(RELATIVE_TOLERANCE * magnitude);
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
