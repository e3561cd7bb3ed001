//! Starts of fresh processes.

use super::super::table::{Column, Table};
use super::{FIGURES, NONE, bytes_or_none};
use crate::format::{optional, significant};
use crate::report::{Cold, ColdStage};

pub(super) fn cold(rows: &[Cold]) -> Table {
    let has_device_memory = rows.iter().any(|row| row.device_memory_bytes.is_some());
    let mut columns = vec![
        Column::words("start", 0),
        Column::words("cache", 0),
        Column::number("runs", 2),
        Column::number("ready p50 (ms)", 0),
        Column::number("ready max (ms)", 3),
        Column::number("first result p50 (ms)", 0),
        Column::number("first result max (ms)", 3),
        Column::number("peak memory", 1),
    ];
    columns.extend(has_device_memory.then(|| Column::number("device memory", 1)));
    let cells = |row: &Cold| {
        let [ready, first] = [&row.ready, &row.first_result].map(|stage| [optional(stage.p50_ms.as_ref()), significant(stage.max_ms)]);
        let mut cells = vec![row.name.clone(), row.cache.name().to_owned(), row.runs.to_string()];
        cells.extend(ready.into_iter().chain(first));
        cells.push(bytes_or_none(row.peak_memory_bytes));
        cells.extend(has_device_memory.then(|| bytes_or_none(row.device_memory_bytes)));
        cells
    };
    let note = format!("Fresh processes, from the command to the first answer. {FIGURES}");
    Table::new("Cold start", note, columns).keyed(2).rows(rows.iter().map(cells))
}

/// The parts of all starts by name, in the order in which they are first seen; what no start did is none.
pub(in crate::write) fn parts(rows: &[Cold]) -> Vec<&str> {
    let mut names = Vec::<&str>::new();
    for stage in rows.iter().flat_map(|row| &row.stages).filter(|stage| stage.max_ms > 0.0) {
        if !names.contains(&stage.name.as_str()) {
            names.push(&stage.name);
        }
    }
    names
}

/// The means of the parts, which add up: a column each.
pub(super) fn stages(rows: &[Cold]) -> Table {
    let parts = parts(rows);
    let mut columns = vec![Column::words("start", 0), Column::words("cache", 0)];
    columns.extend(parts.iter().map(|part| Column::bare(*part, 0)));
    columns.push(Column::number("ready", 0));
    let mean =
        |stage: Option<&ColdStage>| stage.filter(|stage| stage.max_ms > 0.0).map_or_else(|| NONE.to_owned(), |s| significant(s.mean_ms));
    let cells = |row: &Cold| {
        let mut cells = vec![row.name.clone(), row.cache.name().to_owned()];
        cells.extend(parts.iter().map(|part| mean(row.stages.iter().find(|stage| stage.name == *part))));
        cells.push(significant(row.ready.mean_ms));
        cells
    };
    let note = "The means of the parts add up to that of readiness.";
    let rows = rows.iter().filter(|row| !row.stages.is_empty()).map(cells);
    Table::new("Parts of a start, mean (ms)", note, columns).keyed(2).rows(rows)
}
