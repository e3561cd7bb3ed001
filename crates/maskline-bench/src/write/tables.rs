//! The tables that Markdown and HTML show.

use crate::format::{NOT_AVAILABLE, bytes, estimate, optional, percent, significant};
use crate::percentile::Estimate;
use crate::report::{Cold, Identity, LoadCurve, ModelIdentity, Parity, Peer, Provider, Report, StageRow, Steady, Subject, Sweep};
use crate::samples::Summary;
use crate::steadiness::{Status, Verdict};

/// Which part of a report a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Identity,
    Subjects,
    Cold,
    Steady,
    Stages(usize),
    Sweep(usize),
    Loads,
    Peers,
    Ceilings,
}

/// A table as text. The first column names the row.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) section: Section,
    pub(super) title: String,
    pub(super) note: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    fn new(section: Section, title: &str, note: &str) -> Self {
        Self { section, title: title.to_owned(), note: note.to_owned(), head: Vec::new(), rows: Vec::new() }
    }

    fn head(mut self, head: &[&str]) -> Self {
        self.head = head.iter().map(|&cell| cell.to_owned()).collect();
        self
    }

    fn rows(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.rows = rows.into_iter().collect();
        self
    }

    /// Whether a column holds words, which stand to the left; numbers stand to the right.
    pub(super) fn is_text(&self, column: usize) -> bool {
        const WORDS: [&str; 9] = ["", "turns", "cache", "load", "status", "why", "compared with", "same answers", "curve"];
        column == 0
            || self.section == Section::Identity
            || self.section == Section::Subjects
            || self.head.get(column).is_some_and(|name| WORDS.contains(&name.as_str()))
    }
}

const FIGURES: &str = "95 % intervals in brackets; n/a: too few samples.";

/// All tables of a report that have rows.
pub(super) fn tables(report: &Report) -> Vec<Table> {
    let identity = identity_lines(&report.identity).into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    let mut tables = vec![Table::new(Section::Identity, "What was measured", "").head(&["", ""]).rows(identity)];
    tables.push(subjects(&report.identity.subjects));
    tables.push(cold(&report.cold));
    tables.push(steady(&report.steady));
    tables.extend(report.stages.iter().enumerate().map(|(i, row)| stages(i, row)));
    tables.extend(report.sweeps.iter().enumerate().map(|(i, sweep)| self::sweep(i, sweep)));
    tables.push(loads(&report.loads));
    tables.push(peers(&report.peers));
    tables.push(ceilings(report));
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// What the report is about, for its title: the models, the first of them by name.
pub(super) fn title(report: &Report) -> String {
    const MOST: usize = 3;
    let mut models = Vec::<&str>::new();
    for subject in &report.identity.subjects {
        if !models.contains(&subject.model.name.as_str()) {
            models.push(&subject.model.name);
        }
    }
    match models.len() {
        0 => "Benchmark".to_owned(),
        count if count <= MOST => format!("Benchmark of {}", models.join(", ")),
        count => format!("Benchmark of {} and {} other models", models[..MOST - 1].join(", "), count + 1 - MOST),
    }
}

/// Names and values of what all subjects share.
pub(super) fn identity_lines(identity: &Identity) -> Vec<(&'static str, String)> {
    let Identity { created, tool, machine, run, inputs, .. } = identity;
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let mut lines = vec![
        ("processor", format!("{}, {} logical", machine.cpu, machine.logical_cpus)),
        ("vector instructions", or_unknown(&machine.isa)),
        ("governor", or_unknown(&machine.governor)),
        ("system", machine.os.clone()),
        ("inputs", inputs_text(&inputs.name, inputs.count, inputs.is_synthetic)),
        ("inputs (SHA-256)", inputs.sha256.clone()),
        ("maskline", format!("{}, commit {}", tool.version, or_unknown(&tool.commit))),
        ("ONNX Runtime", tool.onnx_runtime.clone()),
        ("arguments", run.arguments.join(" ")),
        ("seed", run.seed.to_string()),
        ("measured", format!("{}, for {} s", created, significant(run.seconds))),
    ];
    let more = [
        ("memory", machine.memory_bytes.map(bytes)),
        ("memory bandwidth", machine.bandwidth_gbs.map(|bandwidth| format!("{} GB/s", significant(bandwidth)))),
        ("clock", machine.clock_mhz.map(|clock| format!("{clock:.0} MHz"))),
        ("temperature", machine.temperature_celsius.map(|degrees| format!("{degrees:.0} °C at most"))),
        ("load before", machine.load_before.map(|load| format!("{} busy processors", significant(load)))),
        ("device", machine.device.clone()),
        ("driver", machine.driver.clone()),
    ];
    lines.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    lines
}

fn subjects(subjects: &[Subject]) -> Table {
    let head = ["subject", "model", "weights", "bundle", "provider", "precision", "threads", "batch", "image size", "prompts"];
    let cells = |subject: &Subject| {
        let Subject { name, model, provider, threads, batch, .. } = subject;
        let model_text = format!("{}, {}", model.family, model.architecture);
        let mut cells = vec![name.clone(), model_text, weights(model), model.bundle.clone(), self::provider(provider)];
        cells.extend([model.precision.name().to_owned(), threads.to_string(), batch.to_string(), size(subject), prompts(subject)]);
        cells
    };
    Table::new(Section::Subjects, "Subjects", "").head(&head).rows(subjects.iter().map(cells))
}

fn weights(model: &ModelIdentity) -> String {
    match (&model.sha256, model.generated_from_seed) {
        (Some(sha256), _) => format!("SHA-256 {sha256}"),
        (None, Some(seed)) => format!("generated from seed {seed}: real speed, meaningless answers"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Side of the input, `–` where it is no square.
pub(super) fn size(subject: &Subject) -> String {
    subject.image_size.map_or_else(|| "–".to_owned(), |side| side.to_string())
}

/// Number and kind of the prompts, `–` for models without.
pub(super) fn prompts(subject: &Subject) -> String {
    subject.prompts.map_or_else(|| "–".to_owned(), |prompts| format!("{} × {}", prompts.count, prompts.kind.name()))
}

/// What ran, with what was asked for and what fell back.
pub(super) fn provider(provider: &Provider) -> String {
    let Provider { asked, actual, fallback_share } = provider;
    let text = if asked == actual { actual.clone() } else { format!("{actual} (asked for: {asked})") };
    match fallback_share {
        Some(share) if *share > 0.0 => format!("{text}; {} of the nodes fell back to the CPU", percent(*share)),
        _ => text,
    }
}

fn inputs_text(name: &str, count: usize, is_synthetic: bool) -> String {
    format!("{name}, {count} {}", if is_synthetic { "synthetic pictures" } else { "pictures" })
}

fn cold(rows: &[Cold]) -> Table {
    let note = "Fresh processes, from the command to the first answer.";
    let head =
        ["start", "cache", "runs", "ready p50 (ms)", "ready max (ms)", "first result p50 (ms)", "first result max (ms)", "peak memory"];
    let cells = |row: &Cold| {
        let memory = row.peak_memory_bytes.map_or_else(|| NOT_AVAILABLE.to_owned(), bytes);
        let [ready, first] = [&row.ready, &row.first_result].map(|stage| [optional(stage.p50_ms.as_ref()), significant(stage.max_ms)]);
        let mut cells = vec![row.name.clone(), row.cache.name().to_owned(), row.runs.to_string()];
        cells.extend(ready.into_iter().chain(first));
        cells.push(memory);
        cells
    };
    Table::new(Section::Cold, "Cold start", note).head(&head).rows(rows.iter().map(cells))
}

fn steady(rows: &[Steady]) -> Table {
    let head = [
        "call",
        "load",
        "status",
        "n",
        "p50 (ms)",
        "p90 (ms)",
        "p99 (ms)",
        "p99.9 (ms)",
        "max (ms)",
        "mean (ms)",
        "CV",
        "rate (1/s)",
        "errors",
        "drift",
    ];
    let cells = |row: &Steady| {
        let Summary { n, p50_ms, p90_ms, p99_ms, p999_ms, max_ms, mean_ms, variation, .. } = &row.summary;
        let name = match row.embedding {
            Some(embedding) => format!("{} (embedding: {})", row.name, embedding.name()),
            None => row.name.clone(),
        };
        let mut cells = vec![name, row.load.clone(), status(&row.verdict), n.to_string()];
        cells.extend([p50_ms, p90_ms, p99_ms, p999_ms].map(|figure| optional(figure.as_ref())));
        cells.extend([
            significant(*max_ms),
            estimate(mean_ms),
            percent(*variation),
            significant(row.summary.rate()),
            row.errors.to_string(),
        ]);
        let drift = row.verdict.drift.map(|drift| drift.change);
        cells.push(drift.map_or_else(|| NOT_AVAILABLE.to_owned(), |change| signed_percent(&change)));
        cells
    };
    let note = format!("Nothing is removed as an outlier. {FIGURES}");
    Table::new(Section::Steady, "Steady calls", &note).head(&head).rows(rows.iter().map(cells))
}

fn signed_percent(change: &Estimate) -> String {
    let [value, low, high] = [change.value, change.low, change.high].map(|share| format!("{:+.1}", share * 100.0));
    format!("{value} % [{low}, {high}]")
}

fn status(verdict: &Verdict) -> String {
    match verdict.status {
        Status::Valid => verdict.status.name().to_owned(),
        Status::Unstable | Status::Insufficient => format!("{}: {}", verdict.status.name(), verdict.reason),
    }
}

fn stages(index: usize, row: &StageRow) -> Table {
    let whole = row.end_to_end.mean_ms;
    let share = |mean: f64| if whole > 0.0 { percent(mean / whole) } else { NOT_AVAILABLE.to_owned() };
    let all = row.stages.iter().chain([&row.end_to_end]).map(|stage| {
        let [p50, p99] = [&stage.p50_ms, &stage.p99_ms].map(|figure| optional(figure.as_ref()));
        vec![stage.name.clone(), significant(stage.mean_ms), share(stage.mean_ms), p50, p99]
    });
    let mut rows: Vec<Vec<String>> = all.collect();
    let none = || NOT_AVAILABLE.to_owned();
    let unaccounted = vec!["unaccounted".to_owned(), significant(row.unaccounted_ms), share(row.unaccounted_ms), none(), none()];
    rows.insert(row.stages.len(), unaccounted);
    let note = format!("Means add up, percentiles do not: unaccounted is the mean of the whole less the means of its stages. {FIGURES}");
    let title = format!("Where a call's time goes: {}", row.name);
    Table::new(Section::Stages(index), &title, &note).head(&["stage", "mean (ms)", "share", "p50 (ms)", "p99 (ms)"]).rows(rows)
}

fn sweep(index: usize, sweep: &Sweep) -> Table {
    let mut places: Vec<f64> = sweep.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.at)).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup();
    let names = sweep.curves.iter().map(|curve| format!("{} ({})", curve.name, sweep.unit.name()));
    let rows = places.iter().map(|at| {
        let figure =
            |points: &[crate::report::CurvePoint]| points.iter().find(|point| point.at == *at).map(|point| estimate(&point.figure));
        let figures = sweep.curves.iter().map(|curve| figure(&curve.points).unwrap_or_else(|| "–".to_owned()));
        std::iter::once(at.to_string()).chain(figures).collect()
    });
    let mut table = Table::new(Section::Sweep(index), &sweep.name, "95 % intervals in brackets.").rows(rows);
    table.head = std::iter::once(sweep.parameter.clone()).chain(names).collect();
    table
}

fn loads(curves: &[LoadCurve]) -> Table {
    let head = ["curve", "load", "offered", "achieved (1/s)", "status", "n", "p50 (ms)", "p99 (ms)", "max (ms)", "errors"];
    let cells = curves.iter().flat_map(|curve| {
        curve.points.iter().map(|point| {
            let Summary { n, p50_ms, p99_ms, max_ms, .. } = &point.summary;
            let mut cells = vec![curve.name.clone(), curve.kind.name().to_owned(), significant(point.offered)];
            cells.extend([significant(point.achieved_per_second), status(&point.verdict), n.to_string()]);
            cells.extend([p50_ms, p99_ms].map(|figure| optional(figure.as_ref())));
            cells.extend([significant(*max_ms), point.errors.to_string()]);
            cells
        })
    });
    let note = "In an open loop requests come whatever the target does, and latency counts from the intended start. In a closed loop callers wait \
                for their answers: a stall is in one figure only.";
    Table::new(Section::Loads, "Latency under load", note).head(&head).rows(cells)
}

fn peers(rows: &[Peer]) -> Table {
    let head = ["program", "compared with", "turns", "n", "p50 (ms)", "p99 (ms)", "its median over ours", "same answers"];
    let cells = |row: &Peer| {
        let Summary { n, p50_ms, p99_ms, .. } = &row.summary;
        let turns = if row.is_interleaved { "taken" } else { "NOT taken" };
        let figures = [p50_ms, p99_ms].map(|figure| optional(figure.as_ref()));
        let mut cells = vec![row.name.clone(), row.compared_with.clone(), turns.to_owned(), n.to_string()];
        cells.extend(figures);
        cells.extend([estimate(&row.ratio), parity(row.parity.as_ref())]);
        cells
    };
    let note = format!(
        "The ratio is above 1 where maskline is faster. Where calls did not take turns, the machine may have changed in between. {FIGURES}"
    );
    Table::new(Section::Peers, "Other programs", &note).head(&head).rows(rows.iter().map(cells))
}

fn parity(parity: Option<&Parity>) -> String {
    let Some(parity) = parity else { return "not checked".to_owned() };
    let verdict = if parity.is_equal() { "yes" } else { "NO" };
    format!("{verdict}: {} {:.4}, at least {}", parity.metric, parity.value, parity.least)
}

fn ceilings(report: &Report) -> Table {
    let note = "The limit is what a loop that does nothing else reaches on this machine.";
    let rows = report.ceilings.iter().map(|row| {
        let share = row.share().map_or_else(|| NOT_AVAILABLE.to_owned(), percent);
        vec![
            row.name.clone(),
            format!("{} {}", significant(row.achieved), row.unit.name()),
            format!("{} {}", significant(row.limit), row.unit.name()),
            share,
        ]
    });
    Table::new(Section::Ceilings, "Against the hardware's limits", note).head(&["part", "achieved", "limit", "share"]).rows(rows)
}
