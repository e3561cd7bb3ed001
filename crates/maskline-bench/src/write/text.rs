//! A report in a terminal: aligned columns, as wide as there is room for.

mod layout;
mod wrap;

use std::fmt::Write as _;

use super::overview;
use super::table::{Kind, Table};
use super::tables::{Section, facts, tables};
use crate::report::Report;
use layout::table;
pub(super) use wrap::wrapped;

/// Less room than this is taken for this much: no table fits.
pub(super) const LEAST_WIDTH: usize = 40;
/// Of more rows than this the stages are shown side by side.
const MOST_STAGES: usize = 2;

/// The report for a terminal so many columns wide, 40 at least: overview, cold and steady calls, stages, sweeps, loads, ceilings, notes.
/// Where there is too little room, the less important columns are left out; all are in the other forms.
pub fn text(report: &Report, width: usize) -> String {
    let width = width.max(LEAST_WIDTH);
    let mut text = String::new();
    for line in [facts::title(report), facts::place(report)] {
        push(&mut text, &wrapped(&line, [width, 0]));
    }
    for warning in facts::warnings(report) {
        push(&mut text, &wrapped(&format!("warning: {warning}"), [width, 2]));
    }
    let compared = overview::entries(report).iter().filter(|entry| entry.program.is_some()).count();
    for (section, own) in tables(report) {
        let is_shown = match section {
            Section::Identity | Section::Subjects => false,
            // Either each by itself, or all together.
            Section::Stages(_) => report.stages.len() <= MOST_STAGES,
            Section::StageMeans => report.stages.len() > MOST_STAGES,
            // Those that the overview has.
            Section::Peers => compared < report.peers.len(),
            _ => true,
        };
        if is_shown {
            part(&mut text, &own, width);
        }
    }
    notes(&mut text, &report.notes, width);
    text
}

/// A table under its title, and below it the reasons of all verdicts that have one.
pub(super) fn part(text: &mut String, own: &Table, width: usize) {
    push(text, &[String::new()]);
    push(text, &wrapped(&own.title, [width, 0]));
    push(text, &table(own, width));
    for line in reasons(own) {
        push(text, &wrapped(&line, [width, 4]));
    }
}

/// Of more rows than this with one reason the number is said.
const MOST_NAMES: usize = 3;

/// Each reason once, with the rows that have it.
fn reasons(table: &Table) -> Vec<String> {
    let Some(status) = table.columns.iter().position(|column| column.kind == Kind::Status) else { return Vec::new() };
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for row in &table.rows {
        let Some(verdict) = row.get(status).filter(|verdict| verdict.contains(": ")) else { continue };
        let name = row.iter().take(table.keys).map(String::as_str).collect::<Vec<_>>().join(", ");
        match reasons.iter_mut().find(|(reason, _)| reason == verdict) {
            Some((_, names)) => names.push(name),
            None => reasons.push((verdict, vec![name])),
        }
    }
    let line = |reason: &str, names: &[String]| match names.len() {
        1..=MOST_NAMES => format!("  {}: {reason}", names.join("; ")),
        count => format!("  {count} rows: {reason}"),
    };
    reasons.iter().map(|(reason, names)| line(reason, names)).collect()
}

/// Lines with a dash before each.
pub(super) fn notes(text: &mut String, notes: &[String], width: usize) {
    if !notes.is_empty() {
        push(text, &[String::new()]);
    }
    notes.iter().for_each(|note| push(text, &wrapped(&format!("- {note}"), [width, 2])));
}

pub(super) fn push(text: &mut String, lines: &[String]) {
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
