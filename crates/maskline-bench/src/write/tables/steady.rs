//! Repeated calls: their latencies, their stages, and what load does to them.

use super::super::table::{Column, Kind, Table, Terminal};
use super::{FIGURES, NONE, parity, share, status};
use crate::format::{NOT_AVAILABLE, estimate, optional, percent, significant};
use crate::percentile::Estimate;
use crate::report::{EmbeddingState, LoadCurve, LoadPoint, StageRow, Steady};
use crate::samples::Summary;

/// What the rows have to say; columns that say the same in all of them are left out.
#[derive(Debug, Clone, Copy)]
struct Extent {
    has_loads: bool,
    has_embeddings: bool,
    has_p999: bool,
    has_errors: bool,
    has_parity: bool,
}

pub(super) fn steady(rows: &[Steady]) -> Table {
    let has = |of: fn(&Steady) -> bool| rows.iter().any(of);
    let extent = Extent {
        has_loads: rows.windows(2).any(|pair| pair[0].load != pair[1].load),
        has_embeddings: has(|row| row.embedding.is_some()),
        has_p999: has(|row| row.summary.p999_ms.is_some()),
        has_errors: has(|row| row.errors > 0),
        has_parity: has(|row| row.parity.is_some()),
    };
    let load = rows.first().filter(|_| !extent.has_loads).map_or_else(String::new, |row| format!("All calls: {}. ", row.load));
    let errors = if extent.has_errors { "" } else { "No call failed. " };
    let note = format!("{load}{errors}Nothing is removed as an outlier. {FIGURES}");
    Table::new("Steady calls", note, steady_columns(extent)).rows(rows.iter().map(|row| steady_cells(row, extent)))
}

fn steady_columns(extent: Extent) -> Vec<Column> {
    let all = [
        (Column::words("call", 0), true),
        (Column::words("load", 5), extent.has_loads),
        (Column::words("embedding", 4), extent.has_embeddings),
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
    cells.extend([status(&row.verdict), n.to_string()]);
    cells.extend([p50_ms, p90_ms, p99_ms].map(|figure| optional(figure.as_ref())));
    cells.extend(extent.has_p999.then(|| optional(p999_ms.as_ref())));
    cells.extend([significant(*max_ms), estimate(mean_ms), significant(row.summary.rate()), percent(*variation)]);
    let drift = row.verdict.drift.map(|drift| drift.change);
    cells.push(drift.map_or_else(|| NOT_AVAILABLE.to_owned(), |change| signed_percent(&change)));
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

pub(super) fn loads(curves: &[LoadCurve]) -> Table {
    let columns = vec![
        Column::words("curve", 0),
        Column::number("offered", 0),
        Column::words("load", 3),
        Column::number("achieved (1/s)", 1),
        Column::status(),
        Column::number("n", 2),
        Column::number("p50 (ms)", 0),
        Column::number("p99 (ms)", 0),
        Column::paper("max (ms)"),
        Column::paper("errors"),
    ];
    let cells = |curve: &LoadCurve, point: &LoadPoint| {
        let Summary { n, p50_ms, p99_ms, max_ms, .. } = &point.summary;
        let mut cells = vec![curve.name.clone(), significant(point.offered), curve.kind.name().to_owned()];
        cells.extend([significant(point.achieved_per_second), status(&point.verdict), n.to_string()]);
        cells.extend([p50_ms, p99_ms].map(|figure| optional(figure.as_ref())));
        cells.extend([significant(*max_ms), point.errors.to_string()]);
        cells
    };
    let rows = curves.iter().flat_map(|curve| curve.points.iter().map(move |point| cells(curve, point)));
    let note = "Offered: requests per second, in a closed loop callers. In an open loop requests come whatever the target does, and latency \
                counts from the intended start. In a closed loop callers wait for their answers: a stall is in one figure only.";
    Table::new("Latency under load", note, columns).keyed(2).rows(rows)
}
