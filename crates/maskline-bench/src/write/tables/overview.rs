//! The first table: all subjects and other programs beside each other.

use super::super::overview::{Entry, entries};
use super::super::table::{Column, Table};
use super::facts::{precision, threads};
use super::{NONE, is_same, status};
use crate::format::{bytes, estimate, optional, significant};
use crate::percentile::Estimate;
use crate::report::Report;

pub(super) fn overview(report: &Report) -> Table {
    let columns = vec![
        Column::words("subject or program", 0),
        Column::words("provider", 4),
        Column::words("precision", 6),
        Column::number("threads", 5),
        Column::number("p50 (ms)", 0),
        Column::bare("ratio to first", 0),
        Column::bare("images/s", 2),
        Column::bare("ready p50 (ms)", 3),
        Column::bare("first result p50 (ms)", 1),
        Column::number("peak memory", 1),
        Column::answer("same answers", 0),
        Column::status(),
    ];
    let note = "Calls that encode a picture, or find things in one. Ready and first result are from the start of a fresh process, whose bundle \
                was built before. A ratio above 1 is slower than the first; without the same answers it compares nothing.";
    Table::new("Overview", note, columns).rows(entries(report).iter().map(cells))
}

fn cells(entry: &Entry<'_>) -> Vec<String> {
    let Entry { name, subject, p50_ms, ratio, images_per_second, peak_memory_bytes, verdict, .. } = entry;
    let or_none = |figure: &Option<Estimate>| figure.as_ref().map_or_else(|| NONE.to_owned(), estimate);
    let unknown = if entry.program.is_some() { "not checked" } else { NONE };
    vec![
        title(entry, name),
        entry.provider.clone().unwrap_or_else(|| NONE.to_owned()),
        precision(subject),
        threads(subject),
        optional(p50_ms.as_ref()),
        or_none(ratio),
        significant(*images_per_second),
        or_none(&entry.ready_ms),
        or_none(&entry.first_result_ms),
        peak_memory_bytes.map_or_else(|| NONE.to_owned(), bytes),
        entry.parity.map_or(unknown, is_same).to_owned(),
        status(verdict),
    ]
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
