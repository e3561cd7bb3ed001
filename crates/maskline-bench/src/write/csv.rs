//! A report as CSV (RFC 4180), one figure per line: spreadsheets pivot it, programs filter it.

use std::fmt::Write as _;

use crate::percentile::{Estimate, Percentile};
use crate::report::{ColdStage, EmbeddingState, Report, Stage};
use crate::samples::Summary;

/// The report as CSV with the columns `section, row, item, metric, unit, value, low, high`: all digits, empty where a figure is not
/// available. Identity and status are lines too, with text as their value.
pub fn csv(report: &Report) -> String {
    let mut lines = Lines("section,row,item,metric,unit,value,low,high\r\n".to_owned());
    identity(&mut lines, report);
    cold(&mut lines, report);
    steady(&mut lines, report);
    stages(&mut lines, report);
    sweeps_and_loads(&mut lines, report);
    for peer in &report.peers {
        let at = ["peers", &peer.name, &peer.compared_with];
        lines.summary(at, &peer.summary);
        lines.estimate(at, ("ratio", ""), Some(&peer.ratio));
        lines.text(at, "interleaved", if peer.is_interleaved { "yes" } else { "no" });
        let parity = peer.parity.as_ref();
        lines.figure(at, (parity.map_or("parity", |parity| &parity.metric), ""), parity.map(|parity| parity.value));
    }
    for ceiling in &report.ceilings {
        let at = ["ceilings", &ceiling.name, ""];
        lines.figure(at, ("achieved", ceiling.unit.name()), Some(ceiling.achieved));
        lines.figure(at, ("limit", ceiling.unit.name()), Some(ceiling.limit));
        lines.figure(at, ("share", ""), ceiling.share());
    }
    lines.0
}

/// Section, row and item.
type Place<'a> = [&'a str; 3];

struct Lines(String);

impl Lines {
    fn push(&mut self, place: Place<'_>, (metric, unit): (&str, &str), values: [String; 3]) {
        let [section, row, item] = place.map(escape);
        let [value, low, high] = values;
        // Writing to a string does not fail.
        let _ = write!(self.0, "{section},{row},{item},{},{},{value},{low},{high}\r\n", escape(metric), escape(unit));
    }

    fn text(&mut self, place: Place<'_>, metric: &str, value: &str) {
        self.push(place, (metric, ""), [escape(value), String::new(), String::new()]);
    }

    fn figure(&mut self, place: Place<'_>, metric: (&str, &str), value: Option<f64>) {
        let value = value.map_or_else(String::new, |value| value.to_string());
        self.push(place, metric, [value, String::new(), String::new()]);
    }

    fn count(&mut self, place: Place<'_>, metric: &str, value: usize) {
        self.push(place, (metric, ""), [value.to_string(), String::new(), String::new()]);
    }

    fn estimate(&mut self, place: Place<'_>, metric: (&str, &str), value: Option<&Estimate>) {
        match value {
            Some(Estimate { value, low, high }) => self.push(place, metric, [value, low, high].map(ToString::to_string)),
            None => self.figure(place, metric, None),
        }
    }

    fn summary(&mut self, place: Place<'_>, summary: &Summary) {
        self.count(place, "n", summary.n);
        self.figure(place, ("time", "s"), Some(summary.seconds));
        self.estimate(place, ("mean", "ms"), Some(&summary.mean_ms));
        self.figure(place, ("standard deviation", "ms"), Some(summary.deviation_ms));
        self.figure(place, ("coefficient of variation", ""), Some(summary.variation));
        self.figure(place, ("min", "ms"), Some(summary.min_ms));
        for percentile in Percentile::ALL {
            self.estimate(place, (percentile.name(), "ms"), summary.percentile(percentile).as_ref());
        }
        self.figure(place, ("max", "ms"), Some(summary.max_ms));
    }
}

fn identity(lines: &mut Lines, report: &Report) {
    for (name, value) in super::tables::identity_lines(&report.identity) {
        lines.text(["identity", "", ""], name, &value);
    }
}

fn cold(lines: &mut Lines, report: &Report) {
    for row in &report.cold {
        let own = ["cold", row.name.as_str(), ""];
        lines.text(own, "cache", row.cache.name());
        lines.count(own, "runs", row.runs);
        lines.figure(own, ("peak memory", "bytes"), row.peak_memory_bytes.map(|bytes| bytes as f64));
        let mut part = |name: &str, stage: &ColdStage| {
            let at = ["cold", row.name.as_str(), name];
            lines.figure(at, ("mean", "ms"), Some(stage.mean_ms));
            lines.estimate(at, ("p50", "ms"), stage.p50_ms.as_ref());
            lines.figure(at, ("max", "ms"), Some(stage.max_ms));
        };
        row.stages.iter().for_each(|stage| part(&stage.name, stage));
        part("ready", &row.ready);
        part("first result", &row.first_result);
    }
}

fn steady(lines: &mut Lines, report: &Report) {
    for row in &report.steady {
        let at = ["steady", row.name.as_str(), ""];
        lines.text(at, "load", &row.load);
        lines.text(at, "embedding", row.embedding.map_or("", EmbeddingState::name));
        lines.text(at, "status", row.verdict.status.name());
        lines.text(at, "reason", &row.verdict.reason);
        lines.count(at, "errors", row.errors);
        lines.figure(at, ("rate", "1/s"), Some(row.summary.rate()));
        lines.estimate(at, ("drift", ""), row.verdict.drift.as_ref().map(|drift| &drift.change));
        lines.summary(at, &row.summary);
    }
}

fn stages(lines: &mut Lines, report: &Report) {
    for row in &report.stages {
        let mut part = |name: &str, stage: &Stage| {
            let at = ["stages", row.name.as_str(), name];
            lines.figure(at, ("mean", "ms"), Some(stage.mean_ms));
            lines.estimate(at, ("p50", "ms"), stage.p50_ms.as_ref());
            lines.estimate(at, ("p99", "ms"), stage.p99_ms.as_ref());
        };
        row.stages.iter().for_each(|stage| part(&stage.name, stage));
        part("end to end", &row.end_to_end);
        lines.figure(["stages", &row.name, "unaccounted"], ("mean", "ms"), Some(row.unaccounted_ms));
    }
}

fn sweeps_and_loads(lines: &mut Lines, report: &Report) {
    for sweep in &report.sweeps {
        for curve in &sweep.curves {
            for point in &curve.points {
                let at = format!("{} {}", sweep.parameter, point.at);
                lines.estimate(["sweeps", &sweep.name, &curve.name], (&at, sweep.unit.name()), Some(&point.figure));
            }
        }
    }
    for curve in &report.loads {
        for point in &curve.points {
            let item = format!("{} {}", curve.kind.load(), point.offered);
            let at = ["loads", curve.name.as_str(), item.as_str()];
            lines.figure(at, ("achieved", "1/s"), Some(point.achieved_per_second));
            lines.count(at, "errors", point.errors);
            lines.text(at, "status", point.verdict.status.name());
            lines.summary(at, &point.summary);
        }
    }
}

/// A field: in quotes where it needs them, with its quotes doubled.
fn escape(field: &str) -> String {
    let needs_quotes = field.contains(['"', ',', '\r', '\n']) || field.starts_with(' ') || field.ends_with(' ');
    if needs_quotes { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}
