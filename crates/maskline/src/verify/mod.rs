//! Golden cases: the official implementation's tensors against ours, number by number.
//!
//! A case is a directory with `case.json`, `inputs.safetensors`, `outputs.safetensors` and a checkpoint. Every tensor of the
//! outputs must be computed and compared; one that cannot be is a failure, never skipped.

mod case;
mod sam;
mod upscale;
mod yolov8;

use std::path::Path;

use serde::Serialize;

use crate::verify::case::Case;
use crate::{Engine, Error, ErrorKind, Result};

/// Relative tolerance where a case suggests none for a tensor.
const RELATIVE_TOLERANCE: f64 = 1e-3;

/// The comparison of one case on one checkpoint.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Directory name of the case.
    pub case: String,
    /// The checkpoint that was loaded.
    pub checkpoint: String,
    /// One row per golden tensor.
    pub rows: Vec<Row>,
    /// The tensors that were computed, by golden name.
    #[serde(skip)]
    pub computed: Vec<(String, Computed)>,
}

/// The comparison of one tensor.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Call and tensor, e.g. `x0.pred`.
    pub tensor: String,
    /// Largest absolute difference.
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

/// Runs a case on each of its checkpoints.
///
/// # Errors
/// `BadInput` if the directory is no case, or of a family that has no check. What fails inside a case is in the report.
pub fn verify(engine: &Engine, directory: &Path) -> Result<Vec<Report>> {
    let case = Case::open(directory)?;
    let load: Load<'_> = match case.family() {
        "yolov8" => |engine, case, checkpoint| Ok(Box::new(yolov8::Check::load(engine, case, checkpoint)?)),
        family if sam::FAMILIES.contains(&family) => |engine, case, checkpoint| Ok(Box::new(sam::Check::load(engine, case, checkpoint)?)),
        family => {
            let message = format!("cases of the family `{family}` cannot be verified\n  in   {}", directory.display());
            let help = format!("\n  help: families with a check: yolov8, {}", sam::FAMILIES.join(", "));
            return Err(Error::new(ErrorKind::BadInput, message + &help));
        }
    };
    let checkpoints = case.checkpoints()?;
    let report = |checkpoint: &std::path::PathBuf| {
        let computed = load(engine, &case, checkpoint);
        let mut report = Report { case: case.name(), checkpoint: checkpoint.display().to_string(), rows: Vec::new(), computed: Vec::new() };
        for name in case.tensors() {
            let result = match &computed {
                Ok(check) => check.compute(&name),
                Err(error) => Err(Error::new(error.kind(), format!("the model could not be loaded: {error}"))),
            };
            report.rows.push(compare(&case, &name, result.as_ref()));
            report.computed.extend(result.ok().map(|computed| (name, computed)));
        }
        report
    };
    Ok(checkpoints.iter().map(report).collect())
}

/// A family's way from golden names to computed tensors.
trait Check {
    fn compute(&self, name: &str) -> Result<Computed>;
}

type Load<'c> = fn(&Engine, &'c Case, &Path) -> Result<Box<dyn Check + 'c>>;

fn compare(case: &Case, name: &str, computed: Result<&Computed, &Error>) -> Row {
    let mut row = Row { tensor: name.into(), max_abs: None, relative: None, tolerance: 0.0, passed: false, failure: None };
    let (computed, golden) = match (computed, case.output(name)) {
        (Ok(computed), Ok(golden)) => (computed, golden),
        (Err(error), _) => return Row { failure: Some(error.to_string()), ..row },
        (_, Err(error)) => return Row { failure: Some(error.to_string()), ..row },
    };
    if computed.shape != golden.shape {
        return Row { failure: Some(format!("expected shape {:?}, computed {:?}", golden.shape, computed.shape)), ..row };
    }
    let (mut max_abs, mut magnitude) = (0.0_f64, 0.0_f64);
    for (a, b) in computed.data.iter().zip(&golden.data) {
        let difference = if a == b { 0.0 } else { (f64::from(*a) - f64::from(*b)).abs() };
        // NaN is no small difference.
        max_abs = if difference.is_nan() { f64::INFINITY } else { max_abs.max(difference) };
        magnitude = magnitude.max(f64::from(*b).abs());
    }
    row.tolerance = case.tolerance(name, magnitude).unwrap_or(RELATIVE_TOLERANCE * magnitude);
    row.passed = max_abs <= row.tolerance;
    row.max_abs = Some(max_abs);
    row.relative = Some(if magnitude > 0.0 { max_abs / magnitude } else { max_abs });
    row
}
