//! The first tables: all subjects and other programs beside each other, and what it takes to come to their first answers.

use super::super::overview::{Entry, entries};
use super::super::table::{Column, Table};
use super::facts::{precision, threads};
use super::{NONE, bytes_or_none, is_same, status};
use crate::format::{bytes, estimate, optional, significant};
use crate::percentile::Estimate;
use crate::report::{Effort, Report};

/// What the rows have to say; columns that say nothing in any of them are left out.
#[derive(Debug, Clone, Copy)]
struct Extent {
    has_device_memory: bool,
    has_effort: bool,
}

pub(super) fn overview(report: &Report) -> Table {
    let entries = entries(report);
    let has = |of: fn(&Entry<'_>) -> bool| entries.iter().any(of);
    let extent =
        Extent { has_device_memory: has(|entry| entry.device_memory_bytes.is_some()), has_effort: has(|entry| entry.effort.is_some()) };
    let note = "Calls that encode a picture, or find things in one. Ready and first result are from the start of a fresh process, whose bundle \
                was built before. A ratio above 1 is slower than the first; without the same answers it compares nothing.";
    let difficulty =
        if extent.has_effort { " Difficulty: what must be installed, on disk, and the steps until the first answer." } else { "" };
    let rows = entries.iter().map(|entry| cells(entry, extent));
    Table::new("Overview", format!("{note}{difficulty}"), columns(extent)).rows(rows)
}

fn columns(extent: Extent) -> Vec<Column> {
    let all = [
        (Column::words("subject or program", 0), true),
        (Column::words("provider", 4), true),
        (Column::words("precision", 6), true),
        (Column::number("threads", 5), true),
        (Column::number("p50 (ms)", 0), true),
        (Column::bare("ratio to first", 0), true),
        (Column::bare("images/s", 2), true),
        (Column::bare("ready p50 (ms)", 3), true),
        (Column::bare("first result p50 (ms)", 1), true),
        (Column::number("peak memory", 1), true),
        (Column::number("device memory", 1), extent.has_device_memory),
        (Column::words("difficulty", 2), extent.has_effort),
        (Column::answer("same answers", 0), true),
        (Column::status(), true),
    ];
    all.into_iter().filter_map(|(column, is_shown)| is_shown.then_some(column)).collect()
}

fn cells(entry: &Entry<'_>, extent: Extent) -> Vec<String> {
    let Entry { name, subject, p50_ms, ratio, images_per_second, verdict, .. } = entry;
    let or_none = |figure: &Option<Estimate>| figure.as_ref().map_or_else(|| NONE.to_owned(), estimate);
    let unknown = if entry.program.is_some() { "not checked" } else { NONE };
    let mut cells = vec![
        title(entry, name),
        entry.provider.clone().unwrap_or_else(|| NONE.to_owned()),
        precision(subject),
        threads(subject),
        optional(p50_ms.as_ref()),
        or_none(ratio),
        significant(*images_per_second),
        or_none(&entry.ready_ms),
        or_none(&entry.first_result_ms),
        bytes_or_none(entry.peak_memory_bytes),
    ];
    cells.extend(extent.has_device_memory.then(|| bytes_or_none(entry.device_memory_bytes)));
    cells.extend(extent.has_effort.then(|| entry.effort.map_or_else(|| NONE.to_owned(), difficulty)));
    cells.extend([entry.parity.map_or(unknown, is_same).to_owned(), status(verdict)]);
    cells
}

/// `92 MiB, 2 steps`.
fn difficulty(effort: &Effort) -> String {
    let Effort { installed_bytes, steps } = effort;
    let size = installed_bytes.map_or_else(|| "size unknown".to_owned(), bytes);
    format!("{size}, {} step{}", steps.len(), if steps.len() == 1 { "" } else { "s" })
}

/// The steps themselves, once for all that take the same; none where there is nothing to set side by side.
pub(super) fn efforts(report: &Report) -> Table {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for entry in entries(report) {
        let Some(effort) = entry.effort else { continue };
        let provider = || format!("maskline, {}", entry.subject.provider.asked);
        let program = entry.program.map_or_else(provider, |program| short(program).to_owned());
        let row = vec![program, bytes_or_none(effort.installed_bytes), effort.steps.len().to_string(), effort.steps.join("; ")];
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    let columns = vec![
        Column::words("with", 0),
        Column::number("installed", 0),
        Column::number("steps", 0),
        Column::words("until the first answer", 0),
    ];
    let note = "Installed: bytes on disk, without Python itself, drivers and checkpoints, which all take alike.";
    Table::new("Until the first answer", note, columns).rows(rows)
}

/// A program without its version.
fn short(program: &str) -> &str {
    program.split_whitespace().next().unwrap_or_default()
}

/// The name, with the program where the name does not say it.
fn title(entry: &Entry<'_>, name: &str) -> String {
    match entry.program {
        Some(program) if !name.contains(short(program)) => format!("{name} ({program})"),
        _ => name.to_owned(),
    }
}
