//! Repeated calls: their latencies, their stages, and what load does to them.

use super::super::table::{Column, Kind, Table, Terminal};
use super::{FIGURES, NONE, bytes_or_none, parity, share, status};
use crate::format::{NOT_AVAILABLE, estimate, optional, percent, significant};
use crate::percentile::Estimate;
use crate::report::{EmbeddingState, LoadCurve, LoadPoint, StageRow, Steady, TextState};
use crate::samples::Summary;

/// What the rows have to say; columns that say the same in all of them are left out.
#[derive(Debug, Clone, Copy)]
struct Extent {
    has_loads: bool,
    has_embeddings: bool,
    has_texts: bool,
    has_p999: bool,
    has_device_memory: bool,
    has_errors: bool,
    has_parity: bool,
}

pub(super) fn steady(rows: &[Steady]) -> Table {
    let has = |of: fn(&Steady) -> bool| rows.iter().any(of);
    let extent = Extent {
        has_loads: rows.windows(2).any(|pair| pair[0].load != pair[1].load),
        has_embeddings: has(|row| row.embedding.is_some()),
        has_texts: has(|row| row.text.is_some()),
        has_p999: has(|row| row.summary.p999_ms.is_some()),
        has_device_memory: has(|row| row.device_memory_bytes.is_some()),
        has_errors: has(|row| row.errors > 0),
        has_parity: has(|row| row.parity.is_some()),
    };
    let load = rows.first().filter(|_| !extent.has_loads).map_or_else(String::new, |row| format!("All calls: {}. ", row.load));
    let errors = if extent.has_errors { "" } else { "No call failed. " };
    let device = if extent.has_device_memory { "Device memory: the most that the row's process held on its card. " } else { "" };
    let note = format!("{load}{errors}{device}Nothing is removed as an outlier. {FIGURES}");
    Table::new("Steady calls", note, steady_columns(extent)).rows(rows.iter().map(|row| steady_cells(row, extent)))
}

fn steady_columns(extent: Extent) -> Vec<Column> {
    let all = [
        (Column::words("call", 0), true),
        (Column::words("load", 5), extent.has_loads),
        (Column::words("embedding", 4), extent.has_embeddings),
        (Column::words("text", 4), extent.has_texts),
        (Column::status(), true),
        (Column::number("n", 0), true),
        (Column::number("p50 (ms)", 0), true),
        (Column::bare("p90 (ms)", 2), true),
        (Column::bare("p99 (ms)", 1), true),
        (Column::paper("p99.9 (ms)"), extent.has_p999),
        (Column::paper("max (ms)"), true),
        (Column::paper("mean (ms)"), true),
        (Column::number("rate (1/s)", 1), true),
        (Column::number("CV", 3), true),
        (Column::paper("drift"), true),
        (Column::number("device memory", 3), extent.has_device_memory),
        (Column::number("errors", 0), extent.has_errors),
        (Column::new("same answers", Kind::Answer, Terminal::Never), extent.has_parity),
    ];
    all.into_iter().filter_map(|(column, is_shown)| is_shown.then_some(column)).collect()
}

fn steady_cells(row: &Steady, extent: Extent) -> Vec<String> {
    let Summary { n, p50_ms, p90_ms, p99_ms, p999_ms, max_ms, mean_ms, variation, .. } = &row.summary;
    let mut cells = vec![row.name.clone()];
    cells.extend(extent.has_loads.then(|| row.load.clone()));
    cells.extend(extent.has_embeddings.then(|| row.embedding.map_or(NONE, EmbeddingState::name).to_owned()));
    cells.extend(extent.has_texts.then(|| row.text.map_or(NONE, TextState::name).to_owned()));
    cells.extend([status(&row.verdict), n.to_string()]);
    cells.extend([p50_ms, p90_ms, p99_ms].map(|figure| optional(figure.as_ref())));
    cells.extend(extent.has_p999.then(|| optional(p999_ms.as_ref())));
    cells.extend([significant(*max_ms), estimate(mean_ms), significant(row.summary.rate()), percent(*variation)]);
    let drift = row.verdict.drift.map(|drift| drift.change);
    cells.push(drift.map_or_else(|| NOT_AVAILABLE.to_owned(), |change| signed_percent(&change)));
    cells.extend(extent.has_device_memory.then(|| bytes_or_none(row.device_memory_bytes)));
    cells.extend(extent.has_errors.then(|| row.errors.to_string()));
    cells.extend(extent.has_parity.then(|| row.parity.as_ref().map_or_else(|| NONE.to_owned(), parity)));
    cells
}

fn signed_percent(change: &Estimate) -> String {
    let [value, low, high] = [change.value, change.low, change.high].map(|share| format!("{:+.1}", share * 100.0));
    format!("{value} % [{low}, {high}]")
}

pub(super) fn stages(row: &StageRow) -> Table {
    let whole = row.end_to_end.mean_ms;
    let all = row.stages.iter().chain([&row.end_to_end]).map(|stage| {
        let [p50, p99] = [&stage.p50_ms, &stage.p99_ms].map(|figure| optional(figure.as_ref()));
        vec![stage.name.clone(), significant(stage.mean_ms), share(stage.mean_ms, whole), p50, p99]
    });
    let mut rows: Vec<Vec<String>> = all.collect();
    let none = || NONE.to_owned();
    let unaccounted = vec!["unaccounted".to_owned(), significant(row.unaccounted_ms), share(row.unaccounted_ms, whole), none(), none()];
    rows.insert(row.stages.len(), unaccounted);
    let columns = vec![
        Column::words("stage", 0),
        Column::number("mean (ms)", 0),
        Column::number("share", 1),
        Column::number("p50 (ms)", 2),
        Column::number("p99 (ms)", 3),
    ];
    let note = format!("Means add up, percentiles do not: unaccounted is the mean of the whole less the means of its stages. {FIGURES}");
    Table::new(format!("Stages of {}", row.name), note, columns).rows(rows)
}

/// The means of all rows' stages side by side; none where there is one row.
pub(super) fn stage_means(rows: &[StageRow]) -> Table {
    let mut parts = Vec::<&str>::new();
    for stage in rows.iter().flat_map(|row| &row.stages) {
        if !parts.contains(&stage.name.as_str()) {
            parts.push(&stage.name);
        }
    }
    let mut columns = vec![Column::words("call", 0)];
    columns.extend(parts.iter().map(|part| Column::number(*part, 0)));
    columns.extend([Column::number("unaccounted", 0), Column::number("end to end", 0)]);
    let mean = |row: &StageRow, part: &str| {
        let stage = row.stages.iter().find(|stage| stage.name == part);
        stage.map_or_else(|| NONE.to_owned(), |stage| significant(stage.mean_ms))
    };
    let cells = |row: &StageRow| {
        let mut cells = vec![row.name.clone()];
        cells.extend(parts.iter().map(|part| mean(row, part)));
        cells.extend([row.unaccounted_ms, row.end_to_end.mean_ms].map(significant));
        cells
    };
    let shown = if rows.len() > 1 { rows } else { &[] };
    Table::new("Stages, mean (ms)", "Unaccounted is the whole less its stages.", columns).rows(shown.iter().map(cells))
}

/// What the points of load curves have to say beside their latencies.
#[derive(Debug, Clone, Copy)]
struct Told {
    has_queue: bool,
    has_rows: bool,
    has_threads: bool,
}

pub(super) fn loads(curves: &[LoadCurve]) -> Table {
    let has = |of: fn(&LoadPoint) -> bool| curves.iter().flat_map(|curve| &curve.points).any(of);
    let told = Told {
        has_queue: has(|point| point.queue_ms.is_some()),
        has_rows: has(|point| point.rows_together.is_some()),
        has_threads: has(|point| point.threads.is_some()),
    };
    let rows = curves.iter().flat_map(|curve| curve.points.iter().map(move |point| load_cells(curve, point, told)));
    let note = format!(
        "Offered: requests per second, in a closed loop callers. In an open loop requests come whatever the target does, and latency \
         counts from the intended start. In a closed loop callers wait for their answers: a stall is in one figure only.{}{}{}",
        if told.has_queue { " Queue: mean time that a call waited for others." } else { "" },
        if told.has_rows { " Rows: how many ran together on average, an answer's own among them." } else { "" },
        if told.has_threads { " Threads: most that the process had at a time, those of the callers among them." } else { "" },
    );
    Table::new("Latency under load", note, load_columns(told)).keyed(2).rows(rows)
}

fn load_columns(told: Told) -> Vec<Column> {
    let all = [
        (Column::words("curve", 0), true),
        (Column::number("offered", 0), true),
        (Column::words("load", 5), true),
        (Column::number("achieved (1/s)", 0), true),
        (Column::status(), true),
        (Column::number("n", 4), true),
        (Column::number("p50 (ms)", 0), true),
        (Column::bare("p95 (ms)", 0), true),
        (Column::bare("p99 (ms)", 3), true),
        (Column::paper("max (ms)"), true),
        (Column::number("queue (ms)", 1), told.has_queue),
        (Column::number("rows", 1), told.has_rows),
        (Column::number("threads", 2), told.has_threads),
        (Column::paper("errors"), true),
    ];
    all.into_iter().filter_map(|(column, is_shown)| is_shown.then_some(column)).collect()
}

fn load_cells(curve: &LoadCurve, point: &LoadPoint, told: Told) -> Vec<String> {
    let Summary { n, p50_ms, p95_ms, p99_ms, max_ms, .. } = &point.summary;
    let figure = |value: Option<f64>| value.map_or_else(|| NOT_AVAILABLE.to_owned(), significant);
    let mut cells = vec![curve.name.clone(), significant(point.offered), curve.kind.name().to_owned()];
    cells.extend([significant(point.achieved_per_second), status(&point.verdict), n.to_string()]);
    cells.extend([p50_ms, p95_ms, p99_ms].map(|figure| optional(figure.as_ref())));
    cells.push(significant(*max_ms));
    cells.extend(told.has_queue.then(|| figure(point.queue_ms)));
    cells.extend(told.has_rows.then(|| figure(point.rows_together)));
    cells.extend(told.has_threads.then(|| point.threads.map_or_else(|| NOT_AVAILABLE.to_owned(), |threads| threads.to_string())));
    cells.push(point.errors.to_string());
    cells
}
