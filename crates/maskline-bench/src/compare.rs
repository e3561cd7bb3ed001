//! Two reports: what became slower, what became faster, what nobody can say.
//!
//! Per row of `steady`, by name: the ratio of medians, later over earlier, with a 95 % interval. From samples it is a
//! [bootstrap](crate::bootstrap) interval; where a report has none, the worst quotients of both intervals of p50, which is wider.
//!
//! A row is a **regression** only if the whole interval lies above 1 + threshold. Intervals know the scatter within a run; that
//! between runs (another layout of memory, another temperature) is larger, and is what the threshold is for.

mod differences;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Resampling, median_ratio};
use crate::error::{Error, Result};
use crate::percentile::Estimate;
use crate::report::{Report, Steady};
use crate::samples::Sample;
use crate::steadiness::Status;

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Share by which medians may differ without being called different.
    pub threshold: f64,
    /// Of the intervals.
    pub resampling: Resampling,
}

impl Default for Options {
    /// 5 %.
    fn default() -> Self {
        Self { threshold: 0.05, resampling: Resampling::default() }
    }
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Surely slower by more than the threshold.
    Regression,
    /// Surely faster by more than the threshold.
    Improvement,
    /// Surely within the threshold.
    Same,
    /// The interval allows more than one of the others.
    Unclear,
    /// There is nothing to compare: see the reason.
    NotComparable,
}

/// One row of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Name of the row.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// Later median over the earlier; `None` where it is not comparable.
    pub ratio: Option<Estimate>,
    /// Why, in words.
    pub reason: String,
}

/// Two reports compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Share by which medians may differ without being called different.
    pub threshold: f64,
    /// What the reports' identities differ in, in words, besides the tool and what changes by itself: such ratios tell of that too.
    pub differences: Vec<String>,
    /// The rows of either report, in the later's order.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Whether a row is a regression: what a check fails on.
    pub fn has_regression(&self) -> bool {
        self.rows.iter().any(|row| row.change == Change::Regression)
    }

    /// Whether every row was judged, and there is one: without that, no regression means little.
    pub fn is_conclusive(&self) -> bool {
        let is_judged = |row: &Row| !matches!(row.change, Change::Unclear | Change::NotComparable);
        !self.rows.is_empty() && self.rows.iter().all(is_judged)
    }

    /// Machine-readable form.
    ///
    /// # Errors
    /// If a number is not finite, which [`compare`] never gives.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| Error::argument("comparison", "finite numbers", error))
    }
}

/// Compares the steady rows of two reports by name.
///
/// # Errors
/// If the threshold is not between 0 and 1 or the resampling is refused.
pub fn compare(before: &Report, after: &Report, options: &Options) -> Result<Comparison> {
    if !(options.threshold > 0.0 && options.threshold < 1.0) {
        return Err(Error::argument("threshold", "a share between 0 and 1", options.threshold));
    }
    let mut rows = Vec::new();
    for new in &after.steady {
        let old = before.steady.iter().find(|row| row.name == new.name);
        rows.push(match old {
            Some(old) => compare_rows(old, new, options)?,
            None => not_comparable(&new.name, "only in the later report"),
        });
    }
    let is_gone = |old: &&Steady| after.steady.iter().all(|row| row.name != old.name);
    rows.extend(before.steady.iter().filter(is_gone).map(|old| not_comparable(&old.name, "only in the earlier report")));
    Ok(Comparison { threshold: options.threshold, differences: differences::differences(before, after)?, rows })
}

fn not_comparable(name: &str, reason: &str) -> Row {
    Row { name: name.to_owned(), change: Change::NotComparable, ratio: None, reason: reason.to_owned() }
}

fn compare_rows(old: &Steady, new: &Steady, options: &Options) -> Result<Row> {
    for (row, which) in [(old, "earlier"), (new, "later")] {
        if row.verdict.status != Status::Valid {
            return Ok(not_comparable(&new.name, &format!("the {which} is {}: {}", row.verdict.status.name(), row.verdict.reason)));
        }
    }
    if (&old.load, &old.embedding) != (&new.load, &new.embedding) {
        return Ok(not_comparable(&new.name, "the calls were made in different ways"));
    }
    let Some(ratio) = ratio(old, new, options)? else {
        return Ok(not_comparable(&new.name, "a median is n/a or 0"));
    };
    let change = classify(&ratio, options.threshold);
    let [low, high] = [ratio.low, ratio.high].map(|end| (end - 1.0) * 100.0);
    let reason = format!("the median changes by {low:+.1} to {high:+.1} %; the threshold is {:.1} %", options.threshold * 100.0);
    Ok(Row { name: new.name.clone(), change, ratio: Some(ratio), reason })
}

fn ratio(old: &Steady, new: &Steady, options: &Options) -> Result<Option<Estimate>> {
    let (Some(old_median), Some(new_median)) = (old.summary.p50_ms, new.summary.p50_ms) else { return Ok(None) };
    if old_median.low <= 0.0 {
        return Ok(None);
    }
    let times = |row: &Steady| Some(row.samples.as_ref()?.steady().iter().map(Sample::milliseconds).collect::<Vec<_>>());
    if let (Some(old), Some(new)) = (times(old), times(new)) {
        return median_ratio(&new, &old, &options.resampling).map(Some);
    }
    let [value, low, high] =
        [(new_median.value, old_median.value), (new_median.low, old_median.high), (new_median.high, old_median.low)].map(|(a, b)| a / b);
    Ok(Some(Estimate { value, low, high }))
}

fn classify(ratio: &Estimate, threshold: f64) -> Change {
    // Symmetric in what is called earlier and later.
    let [slower, faster] = [1.0 + threshold, 1.0 / (1.0 + threshold)];
    if ratio.low > slower {
        Change::Regression
    } else if ratio.high < faster {
        Change::Improvement
    } else if ratio.low >= faster && ratio.high <= slower {
        Change::Same
    } else {
        Change::Unclear
    }
}
