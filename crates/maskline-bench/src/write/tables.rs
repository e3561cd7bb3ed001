//! The tables that Markdown, HTML and the terminal show.

mod cold;
pub(super) mod facts;
mod overview;
mod rest;
mod servers;
mod steady;

pub(super) use cold::parts;
pub(super) use rest::{place_name, places};

use super::table::Table;
use crate::format::{NOT_AVAILABLE, bytes, percent};
use crate::report::{Parity, Report};
use crate::steadiness::{Status, Verdict};

/// What is printed for what was not measured, or makes no sense.
const NONE: &str = "–";
const FIGURES: &str = "95 % intervals in brackets; n/a: too few samples.";

/// Which part of a report a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Efforts,
    Identity,
    Subjects,
    Servers,
    Cold,
    ColdStages,
    Steady,
    StageMeans,
    Stages(usize),
    Sweep(usize),
    Loads,
    ServerSides,
    Peers,
    Ceilings,
}

/// All tables of a report that have rows.
pub(super) fn tables(report: &Report) -> Vec<(Section, Table)> {
    let mut tables = vec![
        (Section::Overview, overview::overview(report)),
        (Section::Efforts, overview::efforts(report)),
        (Section::Identity, facts::identity(&report.identity)),
        (Section::Subjects, facts::subjects(&report.identity.subjects)),
        (Section::Servers, facts::servers(&report.identity.subjects)),
        (Section::Cold, cold::cold(&report.cold)),
        (Section::ColdStages, cold::stages(&report.cold)),
        (Section::Steady, steady::steady(&report.steady)),
        (Section::StageMeans, steady::stage_means(&report.stages)),
    ];
    tables.extend(report.stages.iter().enumerate().map(|(i, row)| (Section::Stages(i), steady::stages(row))));
    tables.extend(report.sweeps.iter().enumerate().map(|(i, sweep)| (Section::Sweep(i), rest::sweep(sweep))));
    tables.push((Section::Loads, steady::loads(&report.loads)));
    tables.push((Section::ServerSides, servers::sides(&report.loads)));
    tables.push((Section::Peers, rest::peers(&report.peers)));
    tables.push((Section::Ceilings, rest::ceilings(&report.ceilings)));
    tables.retain(|(_, table)| !table.rows.is_empty());
    tables
}

fn status(verdict: &Verdict) -> String {
    match verdict.status {
        Status::Valid => verdict.status.name().to_owned(),
        Status::Unstable | Status::Insufficient => format!("{}: {}", verdict.status.name(), verdict.reason),
    }
}

/// Whether answers are the same, and what was found.
fn parity(parity: &Parity) -> String {
    let Parity { metric, value, least } = parity;
    format!("{}: {metric} {value:.4}, at least {least}", is_same(parity))
}

/// In capitals where it must not be overlooked.
fn is_same(parity: &Parity) -> &'static str {
    if parity.is_equal() { "yes" } else { "NO" }
}

fn bytes_or_none(count: Option<u64>) -> String {
    count.map_or_else(|| NONE.to_owned(), bytes)
}

fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 { percent(part / whole) } else { NOT_AVAILABLE.to_owned() }
}
