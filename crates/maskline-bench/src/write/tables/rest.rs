//! Sweeps, other programs, limits of the hardware.

use super::super::table::{Column, Table};
use super::{FIGURES, NONE, parity, status};
use crate::format::{NOT_AVAILABLE, estimate, optional, percent, significant};
use crate::report::{Ceiling, CeilingUnit, Curve, Peer, Sweep};

/// The places of a sweep, by rising parameter.
pub(in crate::write) fn places(sweep: &Sweep) -> Vec<f64> {
    let mut places: Vec<f64> = sweep.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.at)).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup();
    places
}

/// The parameter at a place, in words.
pub(in crate::write) fn place_name(sweep: &Sweep, at: f64) -> String {
    let named = sweep.places.as_ref().and_then(|names| names.get(at as usize));
    named.cloned().unwrap_or_else(|| at.to_string())
}

pub(super) fn sweep(sweep: &Sweep) -> Table {
    let figure = |curve: &Curve, at: f64| {
        let point = curve.points.iter().find(|point| point.at == at);
        point.map_or_else(|| NONE.to_owned(), |point| estimate(&point.figure))
    };
    let rows = places(sweep).into_iter().map(|at| {
        let figures = sweep.curves.iter().map(|curve| figure(curve, at));
        std::iter::once(place_name(sweep, at)).chain(figures).collect()
    });
    let mut columns = vec![Column::words(sweep.parameter.clone(), 0)];
    columns.extend(sweep.curves.iter().map(|curve| Column::bare(format!("{} ({})", curve.name, sweep.unit.name()), 0)));
    let note = format!("Figures are {} in {}. 95 % intervals in brackets.", sweep.unit.quantity(), sweep.unit.name());
    Table::new(sweep.name.clone(), note, columns).rows(rows)
}

pub(super) fn peers(rows: &[Peer]) -> Table {
    let columns = vec![
        Column::words("program", 0),
        Column::words("compared with", 1),
        Column::words("turns", 4),
        Column::status(),
        Column::number("n", 3),
        Column::number("p50 (ms)", 0),
        Column::bare("p99 (ms)", 2),
        Column::number("its median over ours", 0),
        Column::answer("same answers", 0),
    ];
    let cells = |row: &Peer| {
        let name = if row.name.contains(&row.program) { row.name.clone() } else { format!("{} ({})", row.name, row.program) };
        let turns = if row.is_interleaved { "taken" } else { "NOT taken" };
        let [p50, p99] = [row.summary.p50_ms, row.summary.p99_ms].map(|figure| optional(figure.as_ref()));
        let parity = row.parity.as_ref().map_or_else(|| "not checked".to_owned(), parity);
        let mut cells = vec![name, row.compared_with.clone(), turns.to_owned(), status(&row.verdict), row.summary.n.to_string()];
        cells.extend([p50, p99, estimate(&row.ratio), parity]);
        cells
    };
    let note = format!(
        "The ratio is above 1 where the row that it is compared with is faster. Where calls did not take turns, the machine may have changed in between. {FIGURES}"
    );
    Table::new("Other programs", note, columns).rows(rows.iter().map(cells))
}

pub(super) fn ceilings(rows: &[Ceiling]) -> Table {
    let columns = vec![
        Column::words("part", 0),
        Column::words("subject", 0),
        Column::number("work of one run", 1),
        Column::number("achieved", 0),
        Column::number("limit", 0),
        Column::number("share", 0),
    ];
    let cells = |row: &Ceiling| {
        let share = row.share().map_or_else(|| NOT_AVAILABLE.to_owned(), percent);
        let [achieved, limit] = [row.achieved, row.limit].map(|rate| format!("{} {}", significant(rate), row.unit.name()));
        vec![row.name.clone(), row.subject.clone(), work(row), achieved, limit, share]
    };
    let note = "The limit is what a loop that does nothing else reaches on this machine in the same run.";
    Table::new("Against the hardware's limits", note, columns).rows(rows.iter().map(cells))
}

/// Thousand millions of operations or bytes.
fn work(row: &Ceiling) -> String {
    let unit = match row.unit {
        CeilingUnit::Gigaflops => "GFLOP",
        CeilingUnit::Gigabytes => "GB",
    };
    format!("{} {unit}", significant(row.work / 1e9))
}
