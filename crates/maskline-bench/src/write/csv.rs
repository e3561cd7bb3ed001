//! A report, or a comparison, as CSV (RFC 4180), one figure per line: spreadsheets pivot it, programs filter it.

use std::fmt::Write as _;

use super::tables::place_name;
use crate::compare::Comparison;
use crate::percentile::{Estimate, Percentile};
use crate::report::{ColdStage, Effort, EmbeddingState, Parity, Report, Server, ServerSide, Stage, Subject};
use crate::samples::Summary;
use crate::steadiness::Verdict;

/// The report as CSV with the columns `section, row, item, metric, unit, value, low, high`: all digits, empty where a figure is not
/// available. Identity, subjects and status are lines too, with text as their value.
pub fn csv(report: &Report) -> String {
    let mut lines = Lines("section,row,item,metric,unit,value,low,high\r\n".to_owned());
    for (name, value) in super::tables::facts::lines(&report.identity) {
        lines.text(["identity", "", ""], name, &value);
    }
    report.identity.subjects.iter().for_each(|own| subject(&mut lines, own));
    cold(&mut lines, report);
    steady(&mut lines, report);
    stages(&mut lines, report);
    sweeps_and_loads(&mut lines, report);
    peers(&mut lines, report);
    for ceiling in &report.ceilings {
        let at = ["ceilings", ceiling.name.as_str(), ceiling.subject.as_str()];
        lines.figure(at, ["work", ceiling.unit.name().trim_end_matches("/s")], Some(ceiling.work / 1e9));
        lines.figure(at, ["achieved", ceiling.unit.name()], Some(ceiling.achieved));
        lines.figure(at, ["limit", ceiling.unit.name()], Some(ceiling.limit));
        lines.figure(at, ["share", ""], ceiling.share());
    }
    lines.0
}

/// The comparison as CSV.
pub(super) fn comparison(comparison: &Comparison) -> String {
    let mut lines = Lines("measure,row,change,metric,unit,value,low,high\r\n".to_owned());
    for row in &comparison.rows {
        let at = [row.measure.name(), row.name.as_str(), row.change.name()];
        lines.estimate(at, ["before p50", "ms"], row.before_ms.as_ref());
        lines.estimate(at, ["after p50", "ms"], row.after_ms.as_ref());
        lines.estimate(at, ["ratio", ""], row.ratio.as_ref());
        lines.text(at, "reason", &row.reason);
    }
    lines.0
}

/// Name and unit of a figure.
type Metric<'a> = [&'a str; 2];

/// Section, row and item.
type Place<'a> = [&'a str; 3];

struct Lines(String);

impl Lines {
    fn push(&mut self, place: Place<'_>, metric: Metric<'_>, values: [String; 3]) {
        let [section, row, item] = place.map(escape);
        let [metric, unit] = metric.map(escape);
        let [value, low, high] = values;
        // Writing to a string does not fail.
        let _ = write!(self.0, "{section},{row},{item},{metric},{unit},{value},{low},{high}\r\n");
    }

    fn text(&mut self, place: Place<'_>, metric: &str, value: &str) {
        self.push(place, [metric, ""], [escape(value), String::new(), String::new()]);
    }

    fn figure(&mut self, place: Place<'_>, metric: Metric<'_>, value: Option<f64>) {
        let value = value.map_or_else(String::new, |value| value.to_string());
        self.push(place, metric, [value, String::new(), String::new()]);
    }

    fn count(&mut self, place: Place<'_>, metric: &str, value: usize) {
        self.push(place, [metric, ""], [value.to_string(), String::new(), String::new()]);
    }

    fn estimate(&mut self, place: Place<'_>, metric: Metric<'_>, value: Option<&Estimate>) {
        match value {
            Some(Estimate { value, low, high }) => self.push(place, metric, [value, low, high].map(ToString::to_string)),
            None => self.figure(place, metric, None),
        }
    }

    fn summary(&mut self, place: Place<'_>, summary: &Summary) {
        self.count(place, "n", summary.n);
        self.figure(place, ["time", "s"], Some(summary.seconds));
        self.estimate(place, ["mean", "ms"], Some(&summary.mean_ms));
        self.figure(place, ["standard deviation", "ms"], Some(summary.deviation_ms));
        self.figure(place, ["coefficient of variation", ""], Some(summary.variation));
        self.figure(place, ["min", "ms"], Some(summary.min_ms));
        for percentile in Percentile::ALL {
            self.estimate(place, [percentile.name(), "ms"], summary.percentile(percentile).as_ref());
        }
        self.figure(place, ["max", "ms"], Some(summary.max_ms));
    }

    fn cold_stage(&mut self, place: Place<'_>, stage: &ColdStage) {
        self.figure(place, ["mean", "ms"], Some(stage.mean_ms));
        self.estimate(place, ["p50", "ms"], stage.p50_ms.as_ref());
        self.figure(place, ["max", "ms"], Some(stage.max_ms));
    }

    fn verdict(&mut self, place: Place<'_>, verdict: &Verdict) {
        self.text(place, "status", verdict.status.name());
        self.text(place, "reason", &verdict.reason);
        self.estimate(place, ["drift", ""], verdict.drift.as_ref().map(|drift| &drift.change));
    }

    /// Where it is known.
    fn effort(&mut self, place: Place<'_>, effort: Option<&Effort>) {
        if let Some(Effort { installed_bytes, steps }) = effort {
            self.figure(place, ["installed", "bytes"], installed_bytes.map(|bytes| bytes as f64));
            self.count(place, "steps", steps.len());
            self.text(place, "until the first answer", &steps.join("; "));
        }
    }

    /// Where a card held any.
    fn device_memory(&mut self, place: Place<'_>, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.figure(place, ["device memory", "bytes"], Some(bytes as f64));
        }
    }

    /// Two lines where answers were compared, none where not.
    fn parity(&mut self, place: Place<'_>, parity: Option<&Parity>) {
        if let Some(parity) = parity {
            self.text(place, "same answers", if parity.is_equal() { "yes" } else { "no" });
            self.figure(place, [&parity.metric, ""], Some(parity.value));
        }
    }
}

fn subject(lines: &mut Lines, subject: &Subject) {
    let at = ["subjects", subject.name.as_str(), ""];
    let model = &subject.model;
    let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    let facts = [
        ("model", model.name.clone()),
        ("family", model.family.clone()),
        ("architecture", model.architecture.clone()),
        ("weights (SHA-256)", model.sha256.clone().unwrap_or_default()),
        ("generated from seed", count(model.generated_from_seed)),
        ("bundle", model.bundle.clone()),
        ("precision", model.precision.map_or_else(String::new, |precision| precision.name().to_owned())),
        ("encoder layers", model.kernels.clone().unwrap_or_default()),
        ("provider asked for", subject.provider.asked.clone()),
        ("provider", subject.provider.actual.clone()),
        ("threads", count(subject.threads.map(|threads| threads as u64))),
        ("batch", subject.batch.to_string()),
        ("image size", count(subject.image_size.map(|side| side as u64))),
        ("kind of prompts", subject.prompts.map_or_else(String::new, |prompts| prompts.kind.name().to_owned())),
        ("prompts", count(subject.prompts.map(|prompts| prompts.count as u64))),
    ];
    facts.iter().for_each(|(name, value)| lines.text(at, name, value));
    if let Some(texts) = subject.texts {
        lines.text(at, "kind of texts", texts.kind.name());
        lines.count(at, "texts", texts.count);
    }
    lines.figure(at, ["nodes that fell back", ""], subject.provider.fallback_share);
    lines.effort(at, subject.effort.as_ref());
    if let Some(server) = &subject.server {
        let Server { url, protocol, name, version, platform, state, inputs } = server;
        let [platform, state] = [platform, state].map(|text| text.clone().unwrap_or_default());
        let inputs = inputs.join(", ");
        let facts = [("url", url), ("protocol", protocol), ("server", name), ("server version", version), ("platform", &platform)];
        facts.into_iter().chain([("state", &state), ("requests", &inputs)]).for_each(|(name, value)| lines.text(at, name, value));
    }
}

fn cold(lines: &mut Lines, report: &Report) {
    for row in &report.cold {
        let start = format!("{}, cache {}", row.name, row.cache.name());
        let own = ["cold", start.as_str(), ""];
        lines.text(own, "subject", &row.subject);
        lines.text(own, "cache", row.cache.name());
        lines.count(own, "runs", row.runs);
        lines.figure(own, ["peak memory", "bytes"], row.peak_memory_bytes.map(|bytes| bytes as f64));
        lines.device_memory(own, row.device_memory_bytes);
        let mut part = |name: &str, stage: &ColdStage| lines.cold_stage(["cold", &start, name], stage);
        row.stages.iter().for_each(|stage| part(&stage.name, stage));
        part("ready", &row.ready);
        part("first result", &row.first_result);
    }
}

fn steady(lines: &mut Lines, report: &Report) {
    for row in &report.steady {
        let at = ["steady", row.name.as_str(), ""];
        lines.text(at, "subject", &row.subject);
        lines.text(at, "load", &row.load);
        lines.text(at, "embedding", row.embedding.map_or("", EmbeddingState::name));
        if let Some(state) = row.text {
            lines.text(at, "text", state.name());
        }
        lines.verdict(at, &row.verdict);
        lines.parity(at, row.parity.as_ref());
        lines.device_memory(at, row.device_memory_bytes);
        lines.count(at, "errors", row.errors);
        lines.figure(at, ["rate", "1/s"], Some(row.summary.rate()));
        lines.summary(at, &row.summary);
    }
}

fn stages(lines: &mut Lines, report: &Report) {
    for row in &report.stages {
        lines.text(["stages", &row.name, ""], "subject", &row.subject);
        let mut part = |name: &str, stage: &Stage| {
            let at = ["stages", row.name.as_str(), name];
            lines.figure(at, ["mean", "ms"], Some(stage.mean_ms));
            lines.estimate(at, ["p50", "ms"], stage.p50_ms.as_ref());
            lines.estimate(at, ["p99", "ms"], stage.p99_ms.as_ref());
        };
        row.stages.iter().for_each(|stage| part(&stage.name, stage));
        part("end to end", &row.end_to_end);
        lines.figure(["stages", &row.name, "unaccounted"], ["mean", "ms"], Some(row.unaccounted_ms));
    }
}

fn sweeps_and_loads(lines: &mut Lines, report: &Report) {
    for sweep in &report.sweeps {
        for curve in &sweep.curves {
            for point in &curve.points {
                let at = format!("{} {}", sweep.parameter, place_name(sweep, point.at));
                lines.estimate(["sweeps", &sweep.name, &curve.name], [&at, sweep.unit.name()], Some(&point.figure));
            }
        }
    }
    for curve in &report.loads {
        lines.text(["loads", &curve.name, ""], "subject", &curve.subject);
        for point in &curve.points {
            let item = format!("{} {}", curve.kind.load(), point.offered);
            let at = ["loads", curve.name.as_str(), item.as_str()];
            lines.figure(at, ["achieved", "1/s"], Some(point.achieved_per_second));
            lines.figure(at, ["mean time in the queue", "ms"], point.queue_ms);
            lines.figure(at, ["rows together", ""], point.rows_together);
            lines.figure(at, ["threads", ""], point.threads.map(|threads| threads as f64));
            lines.count(at, "errors", point.errors);
            lines.verdict(at, &point.verdict);
            lines.summary(at, &point.summary);
            point.server.iter().for_each(|side| server_side(lines, at, side));
        }
    }
}

fn server_side(lines: &mut Lines, at: Place<'_>, side: &ServerSide) {
    side.unanswered.iter().for_each(|(what, count)| lines.count(at, &format!("not answered: {what}"), *count));
    lines.figure(at, ["mean call", "ms"], Some(side.call_ms));
    lines.figure(at, ["overhead", "ms"], side.overhead_ms());
    let Some(told) = side.told else { return };
    let parts = [
        ("server: queue", told.queue_ms),
        ("server: input", told.compute_input_ms),
        ("server: infer", told.compute_infer_ms),
        ("server: output", told.compute_output_ms),
    ];
    parts.into_iter().for_each(|(name, value)| lines.figure(at, [name, "ms"], Some(value)));
    lines.figure(at, ["server: rows per run", ""], told.rows_per_run);
    lines.figure(at, ["server: requests", ""], Some(told.requests as f64));
    lines.figure(at, ["server: failures", ""], Some(told.failures as f64));
}

fn peers(lines: &mut Lines, report: &Report) {
    for peer in &report.peers {
        let at = ["peers", peer.name.as_str(), peer.compared_with.as_str()];
        lines.text(at, "program", &peer.program);
        lines.text(at, "interleaved", if peer.is_interleaved { "yes" } else { "no" });
        lines.verdict(at, &peer.verdict);
        lines.parity(at, peer.parity.as_ref());
        lines.summary(at, &peer.summary);
        lines.estimate(at, ["ratio", ""], Some(&peer.ratio));
        lines.figure(at, ["peak memory", "bytes"], peer.peak_memory_bytes.map(|bytes| bytes as f64));
        lines.effort(at, peer.effort.as_ref());
        for (name, stage) in [("ready", &peer.ready), ("first result", &peer.first_result)] {
            let item = format!("{}: {name}", peer.compared_with);
            stage.iter().for_each(|stage| lines.cold_stage(["peers", &peer.name, &item], stage));
        }
    }
}

/// A field: in quotes where it needs them, with its quotes doubled.
fn escape(field: &str) -> String {
    let needs_quotes = field.contains(['"', ',', '\r', '\n']) || field.starts_with(' ') || field.ends_with(' ');
    if needs_quotes { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}
