//! Two reports: what became slower, what became faster, what nobody can say.
//!
//! Per row of `steady` and `cold`, by name: the ratio of medians, later over earlier, with a 95 % interval. From samples it is a
//! [bootstrap](crate::bootstrap) interval; where there are none, as for cold starts, the worst quotients of both intervals of p50, which
//! is wider.
//!
//! A row is a **regression** only if the whole interval lies above 1 + threshold. Intervals know the scatter within a run; that
//! between runs (another layout of memory, another temperature) is larger, and is what the threshold is for.

mod differences;
mod rows;

use serde::{Deserialize, Serialize};

use crate::bootstrap::Resampling;
use crate::error::{Error, Result};
use crate::percentile::Estimate;
use crate::report::{Report, Tool};

pub(crate) use rows::quotient;

/// Name and version of a comparison's JSON form.
pub const FORMAT: &str = "maskline-bench-comparison/1";
/// The JSON schema (draft 2020-12) of a comparison.
pub const SCHEMA: &str = include_str!("../schema/comparison.schema.json");

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

impl Change {
    /// All of them, the worst first.
    pub const ALL: [Self; 5] = [Self::Regression, Self::Improvement, Self::Same, Self::Unclear, Self::NotComparable];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Improvement => "improvement",
            Self::Same => "same",
            Self::Unclear => "unclear",
            Self::NotComparable => "not comparable",
        }
    }
}

/// What of a report a row compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Measure {
    /// The median latency of a row of `steady`.
    #[serde(rename = "steady")]
    Steady,
    /// The median time of a row of `cold` until a process is ready for calls.
    #[serde(rename = "cold: ready")]
    ColdReady,
    /// The median time of a row of `cold` until a process gives its first answer.
    #[serde(rename = "cold: first result")]
    ColdFirstResult,
}

impl Measure {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::ColdReady => "cold: ready",
            Self::ColdFirstResult => "cold: first result",
        }
    }
}

/// One row of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What is compared.
    pub measure: Measure,
    /// Name of the row, of a cold start with what was in its caches; with `measure`, unique in the comparison.
    pub name: String,
    /// What became of it.
    pub change: Change,
    /// Median of the earlier report; `None` where it has none.
    pub before_ms: Option<Estimate>,
    /// Median of the later report.
    pub after_ms: Option<Estimate>,
    /// Later median over the earlier; `None` where it is not comparable.
    pub ratio: Option<Estimate>,
    /// Why, in words.
    pub reason: String,
}

/// Which report was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// When it was measured (RFC 3339).
    pub created: String,
    /// What measured it.
    pub tool: Tool,
}

/// Two reports compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// [`FORMAT`].
    pub format: String,
    /// The earlier report.
    pub before: Side,
    /// The later report.
    pub after: Side,
    /// Share by which medians may differ without being called different.
    pub threshold: f64,
    /// What the reports' identities differ in, in words, besides the tool and what changes by itself: such ratios tell of that too.
    pub differences: Vec<String>,
    /// The rows of either report, steady before cold, in the later's order.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Whether a row is a regression: what a check fails on.
    pub fn has_regression(&self) -> bool {
        self.count(Change::Regression) > 0
    }

    /// Whether every row was judged, and there is one: without that, no regression means little.
    pub fn is_conclusive(&self) -> bool {
        !self.rows.is_empty() && self.count(Change::Unclear) + self.count(Change::NotComparable) == 0
    }

    /// How many rows became so.
    pub fn count(&self, change: Change) -> usize {
        self.rows.iter().filter(|row| row.change == change).count()
    }

    /// Machine-readable form; see [`SCHEMA`].
    ///
    /// # Errors
    /// If a number is not finite, which [`compare`] never gives.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| Error::argument("comparison", "finite numbers", error))
    }
}

/// Compares the steady rows and the cold starts of two reports by name.
///
/// # Errors
/// If the threshold is not between 0 and 1 or the resampling is refused.
pub fn compare(before: &Report, after: &Report, options: &Options) -> Result<Comparison> {
    if !(options.threshold > 0.0 && options.threshold < 1.0) {
        return Err(Error::argument("threshold", "a share between 0 and 1", options.threshold));
    }
    let mut rows = rows::steady(before, after, options)?;
    rows.extend(rows::cold(before, after, options.threshold));
    let side = |report: &Report| Side { created: report.identity.created.clone(), tool: report.identity.tool.clone() };
    Ok(Comparison {
        format: FORMAT.to_owned(),
        before: side(before),
        after: side(after),
        threshold: options.threshold,
        differences: differences::differences(before, after)?,
        rows,
    })
}
