//! Golden entries against what was computed.

use serde_json::Value;

use super::{Computed, Row};
use crate::{Error, ErrorKind, Result};

/// A golden entry of a case.
pub(super) struct Entry {
    pub(super) name: String,
    /// Why it cannot be compared, or what is compared.
    pub(super) pair: Result<Pair>,
}

/// What the official implementation gave, and what ours does.
pub(super) enum Pair {
    Tensors {
        golden: Computed,
        found: Computed,
        /// What elements may differ by.
        tolerance: f64,
        /// Whether the golden elements were rounded to float16 when they were stored, which is allowed on top.
        is_rounded: bool,
    },
    /// Any JSON. All must be equal but numbers, which may differ by the tolerance, relative to those above 1.
    Facts { golden: Value, found: Value, tolerance: f64 },
}

impl Entry {
    pub(super) fn new(name: impl Into<String>, pair: Result<Pair>) -> Self {
        Self { name: name.into(), pair }
    }

    /// An entry that no code is there for.
    pub(super) fn unknown(name: impl Into<String>) -> Self {
        let name = name.into();
        let error = Error::new(ErrorKind::BadInput, format!("no check knows the entry `{name}`"));
        Self::new(name, Err(error))
    }
}

impl Pair {
    /// Facts of which nothing may differ.
    pub(super) fn exact(golden: Value, found: Value) -> Self {
        Self::Facts { golden, found, tolerance: 0.0 }
    }
}

impl Computed {
    /// The largest magnitude.
    pub(crate) fn magnitude(&self) -> f64 {
        self.data.iter().fold(0.0, |largest, value| largest.max(f64::from(value.abs())))
    }
}

/// An error of a step, for each entry that needed it.
pub(super) fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string())
}

/// The row of an entry.
pub(super) fn row(name: &str, pair: &Result<Pair>) -> Row {
    let mut row = Row { tensor: name.into(), max_abs: None, relative: None, tolerance: 0.0, iou: None, passed: false, failure: None };
    let compared = match pair {
        Err(error) => Err(error.to_string()),
        Ok(Pair::Tensors { golden, found, tolerance, is_rounded }) => {
            row.tolerance = *tolerance;
            row.iou = name.contains("mask").then(|| agreement(golden, found)).flatten();
            tensors(golden, found, *is_rounded).map(|max_abs| (max_abs, golden.magnitude()))
        }
        Ok(Pair::Facts { golden, found, tolerance }) => {
            row.tolerance = *tolerance;
            facts("", golden, found).map(|max_abs| (max_abs, 1.0))
        }
    };
    match compared {
        Ok((max_abs, magnitude)) => {
            row.passed = max_abs <= row.tolerance;
            row.max_abs = Some(max_abs);
            row.relative = Some(if magnitude > 0.0 { max_abs / magnitude } else { max_abs });
        }
        Err(failure) => row.failure = Some(failure),
    }
    row
}

/// The largest difference of two elements.
fn tensors(golden: &Computed, found: &Computed, is_rounded: bool) -> Result<f64, String> {
    if found.shape != golden.shape || found.data.len() != golden.data.len() {
        return Err(format!("expected shape {:?}, computed {:?}", golden.shape, found.shape));
    }
    let apart = |found: f32, golden: f32| {
        let difference = if found == golden { 0.0 } else { (f64::from(found) - f64::from(golden)).abs() };
        let beyond = if is_rounded { difference - half_rounding(golden) } else { difference };
        // Not by `max`, which hides NaN.
        if beyond < 0.0 { 0.0 } else { beyond }
    };
    Ok(found.data.iter().zip(&golden.data).map(|(found, golden)| apart(*found, *golden)).fold(0.0, worse))
}

/// How much of what is above 0 in either is so in both; `None` where nothing is, or everything: that is no mask.
fn agreement(golden: &Computed, found: &Computed) -> Option<f64> {
    let [mut both, mut either, mut without] = [0_usize; 3];
    for (golden, found) in golden.data.iter().zip(&found.data) {
        let (golden, found) = (*golden > 0.0, *found > 0.0);
        both += usize::from(golden && found);
        either += usize::from(golden || found);
        without += usize::from(!golden);
    }
    (either > 0 && without > 0).then(|| both as f64 / either as f64)
}

/// The larger difference; NaN is no small one.
fn worse(worst: f64, difference: f64) -> f64 {
    if difference.is_nan() { f64::INFINITY } else { worst.max(difference) }
}

/// Half the step of float16 at a value: what rounding to it can change.
fn half_rounding(value: f32) -> f64 {
    const SMALLEST_NORMAL: f64 = 1.0 / 16384.0;
    const FRACTION_BITS: i32 = 10;
    let exponent = f64::from(value).abs().max(SMALLEST_NORMAL).log2().floor() as i32;
    2.0_f64.powi(exponent - FRACTION_BITS - 1)
}

/// The largest difference of two numbers, or where something else differs.
fn facts(place: &str, golden: &Value, found: &Value) -> Result<f64, String> {
    let inside = |key: &str| if place.is_empty() { key.to_string() } else { format!("{place}.{key}") };
    match (golden, found) {
        (Value::Object(golden), Value::Object(found)) => {
            if let Some(extra) = found.keys().find(|key| !golden.contains_key(*key)) {
                return Err(format!("{}: computed, but not in the case", inside(extra)));
            }
            let each = golden.iter().map(|(key, value)| match found.get(key) {
                Some(found) => facts(&inside(key), value, found),
                None => Err(format!("no check knows the fact `{}`", inside(key))),
            });
            each.collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().fold(0.0, worse))
        }
        (Value::Array(golden), Value::Array(found)) if golden.len() == found.len() => {
            let each = golden.iter().zip(found).enumerate().map(|(i, (golden, found))| facts(&inside(&i.to_string()), golden, found));
            each.collect::<Result<Vec<_>, _>>().map(|all| all.into_iter().fold(0.0, worse))
        }
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(golden), Some(found)) => Ok((golden - found).abs() / golden.abs().max(1.0)),
            _ => Err(format!("{place}: no numbers")),
        },
        _ if golden == found => Ok(0.0),
        _ => Err(format!("{place}: expected {}, computed {}", shortened(golden), shortened(found))),
    }
}

/// The beginning of some JSON.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).collect::<String>() + "…" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tensor(data: &[f32]) -> Computed {
        Computed { shape: vec![data.len()], data: data.to_vec() }
    }

    #[test]
    fn rounding_to_half_is_allowed_and_nan_is_not() {
        assert_eq!(tensors(&tensor(&[1.0]), &tensor(&[1.0 + 1.0 / 2048.0]), true), Ok(0.0));
        assert!(tensors(&tensor(&[1.0]), &tensor(&[1.001]), true).is_ok_and(|worst| worst > 1e-4));
        assert_eq!(tensors(&tensor(&[1.0, 2.0]), &tensor(&[1.5, 2.0]), false), Ok(0.5));
        for is_rounded in [true, false] {
            assert_eq!(tensors(&tensor(&[1.0, 2.0]), &tensor(&[f32::NAN, 2.0]), is_rounded), Ok(f64::INFINITY));
        }
        assert!(tensors(&tensor(&[1.0]), &tensor(&[1.0, 2.0]), false).is_err());
    }

    #[test]
    fn facts_must_have_the_same_form() {
        let golden = json!({ "a": [1, 2.5, "x"], "b": true });
        assert_eq!(facts("", &golden, &json!({ "a": [1.0, 2.5, "x"], "b": true })), Ok(0.0));
        assert_eq!(facts("", &golden, &json!({ "a": [1, 5.0, "x"], "b": true })), Ok(1.0));
        let different = [
            json!({ "a": [1, 2.5, "x"] }),
            json!({ "a": [1, 2.5], "b": true }),
            json!({ "a": [1, 2.5, "y"], "b": true }),
            json!({ "a": [1, 2.5, "x"], "b": 1 }),
            json!({ "a": [1, 2.5, "x"], "b": true, "c": 1 }),
        ];
        assert!(different.iter().all(|found| facts("", &golden, found).is_err()));
    }
}
