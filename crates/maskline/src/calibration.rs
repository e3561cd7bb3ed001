//! Where the numbers of a model's tensors lie, as pictures of the user's show it: what int8 is made from.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use maskline_onnx::{IntegerOptions, Model as Graph, Range, SEEN};
use maskline_runtime::Outputs;
use serde::{Deserialize, Serialize};

use crate::{BundleOptions, Engine, Error, ErrorKind, LoadOptions, Model, ModelSource, Numbers, Result};

/// Numbers of a tensor that are kept of all pictures together, for percentiles.
const MOST_SAMPLES: usize = 1 << 17;
/// The ranges of a model's tensors, part by part. It holds for the model that it was made with, as it was built there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Name of the bundle in f32 that was looked into.
    pub bundle: String,
    /// Runs that were seen of the part that ran most.
    pub calls: usize,
    /// Least and largest number of each tensor of each part.
    pub ranges: BTreeMap<String, BTreeMap<String, [f32; 2]>>,
}

// Ranges are finite.
impl Eq for Calibration {}

/// Options of [`Engine::calibrate`].
#[derive(Debug, Clone, Copy)]
pub struct CalibrationOptions {
    /// Share of a tensor's numbers that lie within its range; what lies outside counts as its border. 1 for all of them: a single large
    /// number then makes the steps of all others coarse.
    pub kept: f64,
}

impl Default for CalibrationOptions {
    fn default() -> Self {
        Self { kept: 0.9999 }
    }
}

impl Calibration {
    /// # Errors
    /// `Io` if it cannot be read, `BadInput` if it is no calibration.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let found: Self = serde_json::from_slice(&text).map_err(|error| {
            let error = Error::new(ErrorKind::BadInput, format!("no calibration: {error}")).at(path);
            error.with_help("make one: `maskline quantise MODEL photos/`")
        })?;
        Ok(found)
    }

    /// Writes it; the file appears whole or not at all.
    ///
    /// # Errors
    /// `Io` if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        let aside = path.with_extension(format!("partial-{}", std::process::id()));
        let written = std::fs::write(&aside, text).and_then(|()| std::fs::rename(&aside, path));
        written.map_err(|error| {
            // Not there, where it could not be made.
            let _ = std::fs::remove_file(&aside);
            Error::io(path, error)
        })
    }

    /// What tells one from another.
    pub(crate) fn identity(&self) -> String {
        serde_json::to_vec(self).map_or_else(|_| String::new(), |text| blake3::hash(&text).to_string())
    }

    /// A part's graph on integers; as it is, where nothing is known of it.
    pub(crate) fn quantise<'w>(&self, part: &str, graph: Graph<'w>) -> Result<Graph<'w>> {
        let Some(ranges) = self.ranges.get(part) else { return Ok(graph) };
        let ranges = ranges.iter().map(|(tensor, [low, high])| (tensor.clone(), Range { low: *low, high: *high })).collect();
        let weight_bits = if maskline_runtime::has_byte_products() { 8 } else { 7 };
        Ok(graph.in_integers(&IntegerOptions { ranges: &ranges, weight_bits }).map_err(maskline_models::Error::from)?)
    }
}

/// Hears what observed networks see ([`Numbers::Observed`]).
#[derive(Debug, Default)]
pub struct Observer {
    seen: Mutex<BTreeMap<String, Part>>,
}

#[derive(Debug, Default)]
struct Part {
    calls: usize,
    tensors: BTreeMap<String, Seen>,
}

/// What was seen of one tensor.
#[derive(Debug)]
struct Seen {
    low: f32,
    high: f32,
    samples: Vec<f32>,
    /// Every so manieth number is kept from here on.
    every: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { low: f32::INFINITY, high: f32::NEG_INFINITY, samples: Vec::new(), every: 1 }
    }
}

impl Observer {
    /// A run of a part.
    pub(crate) fn see(&self, part: &str, outputs: &Outputs) -> Result<()> {
        let mut parts = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let part = parts.entry(part.to_owned()).or_default();
        part.calls += 1;
        for name in outputs.names() {
            if let Some(tensor) = name.strip_prefix(SEEN) {
                part.tensors.entry(tensor.to_owned()).or_default().add(outputs.f32(name)?.data);
            }
        }
        Ok(())
    }

    /// What was seen so far. Parts that never ran, or of which nothing is asked, are not in it.
    pub(crate) fn calibration(&self, bundle: &str, options: CalibrationOptions) -> Calibration {
        let parts = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = |part: &Part| part.tensors.iter().filter_map(|(name, seen)| Some((name.clone(), seen.range(options.kept)?))).collect();
        Calibration {
            bundle: bundle.to_owned(),
            calls: parts.values().map(|part| part.calls).max().unwrap_or(0),
            ranges: parts.iter().filter(|(_, part)| !part.tensors.is_empty()).map(|(name, part)| (name.clone(), ranges(part))).collect(),
        }
    }
}

impl Seen {
    /// Least, largest, and numbers between.
    fn add(&mut self, told: &[f32]) {
        let [low, high, samples @ ..] = told else { return };
        (self.low, self.high) = (self.low.min(*low), self.high.max(*high));
        self.samples.extend(samples.iter().step_by(self.every));
        while self.samples.len() > MOST_SAMPLES {
            self.samples = self.samples.iter().copied().step_by(2).collect();
            self.every *= 2;
        }
    }

    /// Within which this share of the numbers lies; `None` where they are not finite.
    fn range(&self, kept: f64) -> Option<[f32; 2]> {
        if !(self.low.is_finite() && self.high.is_finite()) {
            return None;
        }
        let mut sorted = self.samples.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        if kept >= 1.0 || sorted.is_empty() {
            return Some([self.low, self.high]);
        }
        let left_out = (1.0 - kept) / 2.0;
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        Some([at(left_out).max(self.low), at(1.0 - left_out).min(self.high)])
    }
}

impl Engine {
    /// Finds the ranges of a model's tensors. `ask` asks the model what it will be asked, on pictures as it will see them: some dozens.
    ///
    /// # Errors
    /// As [`Engine::load`]; what `ask` fails with.
    pub fn calibrate(
        &self,
        source: &ModelSource,
        calibrating: &Calibrating<'_>,
        ask: &mut dyn FnMut(&Model) -> Result<()>,
    ) -> Result<Calibration> {
        let observer = Arc::new(Observer::default());
        let mut options = calibrating.load.clone();
        options.observer = Some(Arc::clone(&observer));
        options.bundle.numbers = Some(Numbers::Observed);
        let model = self.load(source.clone(), &options)?;
        ask(&model)?;
        let plain = BundleOptions { numbers: Some(Numbers::F32), ..options.bundle(source) };
        let bundle = self.bundle_name(source, &plain)?;
        Ok(observer.calibration(&bundle, calibrating.options))
    }
}

/// How a model is looked into.
#[derive(Debug, Clone)]
pub struct Calibrating<'a> {
    /// How it is loaded; of its bundle all but the numbers.
    pub load: &'a LoadOptions,
    /// How ranges are chosen.
    pub options: CalibrationOptions,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_out_what_is_rare() {
        let mut seen = Seen::default();
        let numbers: Vec<f32> = (0..10_000).map(|at| at as f32 / 10_000.0).collect();
        seen.add(&[&[-50.0, 9.0][..], &numbers].concat());
        assert_eq!(seen.range(1.0), Some([-50.0, 9.0]));
        let [low, high] = seen.range(0.99).unwrap_or_default();
        assert!((low - 0.005).abs() < 1e-3 && (high - 0.995).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn samples_are_bounded_and_spread_over_all_pictures() {
        let mut seen = Seen::default();
        for picture in 0..300 {
            let numbers = vec![picture as f32; 4096];
            seen.add(&[&[picture as f32, picture as f32][..], &numbers].concat());
        }
        assert!(seen.samples.len() <= MOST_SAMPLES);
        let late = seen.samples.iter().filter(|value| **value >= 150.0).count();
        assert!(late * 3 > seen.samples.len(), "{late} of {}", seen.samples.len());
        seen.add(&[f32::NAN, f32::INFINITY]);
        assert_eq!(seen.range(0.99), None);
    }
}
