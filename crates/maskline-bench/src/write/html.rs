//! A report, or a comparison, as one page of HTML: its style and its charts are within, and it runs no script.

mod axis;
mod bars;
mod charts;
mod comparison;
mod lines;
mod page;
mod plot;
mod ratios;
mod scatter;

use std::fmt::Write as _;

use super::overview;
use super::table::Table;
use super::tables::{Section, facts, tables};
use crate::format::{optional, significant};
use crate::report::{Report, Steady};
pub(super) use comparison::comparison;
use plot::escape;

/// More rows than this are no cards any more.
const MOST_CARDS: usize = 6;
/// What repeats itself for more rows than this is folded away.
const MOST_OPEN: usize = 4;

/// The report as a page that needs no other file, no script and no network.
pub fn html(report: &Report) -> String {
    let mut body = String::new();
    header(&mut body, report);
    let tables = tables(report);
    // Tables of a kind, such as all sweeps, share a section.
    for own in tables.chunk_by(|(a, _), (b, _)| kind(*a) == kind(*b)) {
        section(&mut body, own, report);
    }
    page::list(&mut body, "notes", "Notes", &report.notes);
    page::page(&facts::title(report), &body)
}

fn header(body: &mut String, report: &Report) {
    // Writing to a string does not fail.
    let [title, place] = [facts::title(report), facts::place(report)].map(|text| escape(&text));
    let _ = write!(body, "<header>\n<h1>{title}</h1>\n<p>{place}</p>\n");
    for warning in facts::warnings(report) {
        let _ = writeln!(body, "<p class=\"warning\">{}</p>", escape(&warning));
    }
    // The overview says it better.
    if (1..=MOST_CARDS).contains(&report.steady.len()) && overview::entries(report).is_empty() {
        body.push_str("<ul class=\"cards\">\n");
        report.steady.iter().for_each(|row| card(body, row));
        body.push_str("</ul>\n");
    }
    body.push_str("</header>\n");
}

fn card(body: &mut String, row: &Steady) {
    let median = row.summary.p50_ms.map_or_else(|| "n/a".to_owned(), |p50| format!("{} <small>ms</small>", significant(p50.value)));
    let _ = writeln!(
        body,
        "<li><b>{}</b><span class=\"figure\">{median}</span><span class=\"detail\">p50 {}<br>p99 {}</span>{}</li>",
        escape(&row.name),
        optional(row.summary.p50_ms.as_ref()),
        optional(row.summary.p99_ms.as_ref()),
        page::badge(row.verdict.status.name())
    );
}

/// Identifier and title of the section that a table stands in.
fn kind(section: Section) -> (&'static str, &'static str) {
    match section {
        Section::Overview | Section::Efforts => ("overview", "Overview"),
        Section::Identity => ("identity", "What was measured"),
        Section::Subjects => ("subjects", "Subjects"),
        Section::Servers => ("servers", "Servers"),
        Section::Cold | Section::ColdStages => ("cold", "Cold start"),
        Section::Steady => ("steady", "Steady calls"),
        Section::StageMeans | Section::Stages(_) => ("stages", "Where a call's time goes"),
        Section::Sweep(_) => ("sweeps", "Sweeps"),
        Section::Loads | Section::ServerSides => ("loads", "Latency under load"),
        Section::Peers => ("peers", "Other programs"),
        Section::Ceilings => ("ceilings", "Against the hardware's limits"),
    }
}

fn section(body: &mut String, tables: &[(Section, Table)], report: &Report) {
    let Some((first, _)) = tables.first() else { return };
    let (id, title) = kind(*first);
    let _ = write!(body, "<section id=\"{id}\">\n<h2>{title}</h2>\n");
    for (section, table) in tables {
        let open = |body: &mut String| {
            // Many charts: the table is found more easily before them.
            let is_first = *section == Section::Steady;
            if is_first {
                page::table(body, table, title);
            }
            charts::of(body, *section, report);
            if !is_first {
                page::table(body, table, title);
            }
        };
        match section {
            Section::Stages(i) if *i >= MOST_OPEN => page::folded(body, &table.title, open),
            _ => open(body),
        }
    }
    body.push_str("</section>\n");
}
