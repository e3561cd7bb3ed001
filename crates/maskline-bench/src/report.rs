//! What is kept of a run: everything that a reader needs to believe it, repeat it and compare it.
//!
//! Times are in milliseconds and say so in their names; a figure that too few samples support is `null`. The JSON form is described by
//! `schema/report.schema.json` ([`SCHEMA`]).

mod identity;
mod names;
mod rows;
mod server_side;

use serde::{Deserialize, Serialize};

pub use identity::{
    Card, CardState, Effort, Identity, Inputs, Machine, ModelIdentity, Precision, PromptKind, Prompts, Provider, Run, Server, Subject,
    TextKind, Texts, Tool,
};
pub use rows::{
    CacheState, Ceiling, CeilingUnit, Cold, ColdStage, Curve, CurvePoint, EmbeddingState, LoadCurve, LoadKind, LoadPoint, Parity, Peer,
    Stage, StageRow, Steady, Sweep, TextState, Unit,
};
pub use server_side::{ServerSide, Told};

use crate::error::{Error, Result};

/// The JSON schema (draft 2020-12) of a report.
pub const SCHEMA: &str = include_str!("../schema/report.schema.json");
/// Name and version of the format.
pub const FORMAT: &str = "maskline-bench/1";

/// A benchmark report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`FORMAT`].
    pub format: String,
    /// What was measured, on what, with what.
    pub identity: Identity,
    /// Starts of fresh processes.
    #[serde(default)]
    pub cold: Vec<Cold>,
    /// Repeated calls of one kind.
    #[serde(default)]
    pub steady: Vec<Steady>,
    /// Where the time of a call goes.
    #[serde(default)]
    pub stages: Vec<StageRow>,
    /// Figures over a parameter, such as the number of threads.
    #[serde(default)]
    pub sweeps: Vec<Sweep>,
    /// Latency over the rate of requests, or over concurrency.
    #[serde(default)]
    pub loads: Vec<LoadCurve>,
    /// Other programs on the same inputs.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// How near the hardware's limits the network comes.
    #[serde(default)]
    pub ceilings: Vec<Ceiling>,
    /// What a reader should know besides.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Report {
    /// A report without rows.
    pub fn new(identity: Identity) -> Self {
        Self {
            format: FORMAT.to_owned(),
            identity,
            cold: Vec::new(),
            steady: Vec::new(),
            stages: Vec::new(),
            sweeps: Vec::new(),
            loads: Vec::new(),
            peers: Vec::new(),
            ceilings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Reads a report.
    ///
    /// # Errors
    /// If the bytes are not JSON, of another format or version, or have figures that cannot be (see [`check`](Self::check)).
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let not_a_report = |message: String| Error::NotAReport { message };
        let value: serde_json::Value = serde_json::from_slice(json).map_err(|error| not_a_report(error.to_string()))?;
        let format = value.get("format").and_then(serde_json::Value::as_str).unwrap_or("none");
        if format != FORMAT {
            return Err(not_a_report(format!("format: expected {FORMAT}, found {format}")));
        }
        let report: Self = serde_json::from_value(value).map_err(|error| not_a_report(error.to_string()))?;
        report.check()?;
        Ok(report)
    }

    /// Whether all figures can be: finite, not negative, intervals in order around their value; and whether the names hold together:
    /// those of subjects and of rows within their table are unique (comparison goes by name), every row's subject is one of the identity's,
    /// a peer is compared with a row of `steady`, and a sweep over places stays within them.
    ///
    /// # Errors
    /// For the first figure or name that cannot be.
    pub fn check(&self) -> Result<()> {
        let value = serde_json::to_value(self).map_err(|error| Error::NotAReport { message: error.to_string() })?;
        check_value("report", &value)?;
        // Numbers that are not finite are null in JSON, which only optional figures may be.
        serde_json::from_value::<Self>(value).map_err(|error| Error::argument("report", "finite numbers", error))?;
        names::check(self)
    }
}

/// Figures that may be below 0.
const SIGNED: [&str; 2] = ["change", "unaccounted_ms"];
fn check_value(place: &str, value: &serde_json::Value) -> Result<()> {
    use serde_json::Value;
    match value {
        Value::Number(number) if number.as_f64().is_some_and(|x| x < 0.0) && !place.split('.').any(|part| SIGNED.contains(&part)) => {
            Err(Error::argument(place, "at least 0", number))
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(i, item)| check_value(&format!("{place}[{i}]"), item)),
        Value::Object(fields) => {
            let [value, low, high] = ["value", "low", "high"].map(|name| fields.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN));
            // What is not finite is null by now, and no comparison with NaN holds.
            if fields.contains_key("low") && !(low <= value && value <= high) {
                return Err(Error::argument(place, "an interval around its value", format!("{value} [{low}, {high}]")));
            }
            fields.iter().try_for_each(|(name, field)| check_value(&format!("{place}.{name}"), field))
        }
        _ => Ok(()),
    }
}
