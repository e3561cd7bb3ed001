//! A report as one page of HTML: its style and its charts are within, and it runs no script.

mod bars;
mod charts;
mod lines;
mod plot;
mod scatter;

use std::fmt::Write as _;

use super::tables::{self, Section, Table};
use crate::format::{optional, significant};
use crate::report::{Report, Steady, Subject};
use crate::steadiness::Status;
use plot::escape;

/// The report as a page that needs no other file, no script and no network.
pub fn html(report: &Report) -> String {
    const STYLE: &str = include_str!("html/style.css");
    let title = escape(&tables::title(report));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
    );
    header(&mut page, report);
    let tables = tables::tables(report);
    let mut rest = tables.as_slice();
    while let [first, ..] = rest {
        // Tables of a kind, such as all sweeps, share a section.
        let same = rest.iter().take_while(|table| kind(table.section) == kind(first.section)).count();
        let (own, others) = rest.split_at(same);
        section(&mut page, own, report);
        rest = others;
    }
    notes(&mut page, report);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn header(page: &mut String, report: &Report) {
    let identity = &report.identity;
    let place = [&identity.machine.cpu, &identity.machine.os, &identity.created].map(|text| escape(text));
    // Writing to a string does not fail.
    let _ = write!(page, "<header>\n<h1>{}</h1>\n<p>{}</p>\n", escape(&tables::title(report)), place.join(" · "));
    for Subject { name, provider, .. } in identity.subjects.iter().filter(|subject| subject.provider.asked != subject.provider.actual) {
        let [name, asked, actual] = [name, &provider.asked, &provider.actual].map(|text| escape(text));
        let _ = writeln!(page, "<p class=\"warning\">{name}: the provider {asked} was asked for, but {actual} ran.</p>");
    }
    if !report.steady.is_empty() {
        page.push_str("<ul class=\"cards\">\n");
        report.steady.iter().for_each(|row| card(page, row));
        page.push_str("</ul>\n");
    }
    page.push_str("</header>\n");
}

fn card(page: &mut String, row: &Steady) {
    let status = row.verdict.status;
    let median = row.summary.p50_ms.map_or_else(|| "n/a".to_owned(), |p50| format!("{} <small>ms</small>", significant(p50.value)));
    let _ = writeln!(
        page,
        "<li><b>{}</b><span class=\"figure\">{median}</span><span class=\"detail\">p50 {}<br>p99 {}</span>{}</li>",
        escape(&row.name),
        optional(row.summary.p50_ms.as_ref()),
        optional(row.summary.p99_ms.as_ref()),
        badge(status)
    );
}

fn badge(status: Status) -> String {
    // The sign tells it without colour.
    let (class, sign) = match status {
        Status::Valid => ("valid", '✓'),
        Status::Unstable => ("unstable", '≈'),
        Status::Insufficient => ("insufficient", '…'),
    };
    format!("<span class=\"badge {class}\">{sign} {}</span>", status.name())
}

fn kind(section: Section) -> (&'static str, &'static str) {
    match section {
        Section::Identity => ("identity", "What was measured"),
        Section::Subjects => ("subjects", "Subjects"),
        Section::Cold => ("cold", "Cold start"),
        Section::Steady => ("steady", "Steady calls"),
        Section::Stages(_) => ("stages", "Where a call's time goes"),
        Section::Sweep(_) => ("sweeps", "Sweeps"),
        Section::Loads => ("loads", "Latency under load"),
        Section::Peers => ("peers", "Other programs"),
        Section::Ceilings => ("ceilings", "Against the hardware's limits"),
    }
}

fn section(page: &mut String, tables: &[Table], report: &Report) {
    let Some(first) = tables.first() else { return };
    let (id, title) = kind(first.section);
    let _ = write!(page, "<section id=\"{id}\">\n<h2>{title}</h2>\n");
    for table in tables {
        charts::of(page, table.section, report);
        self::table(page, table, title);
    }
    page.push_str("</section>\n");
}

fn table(page: &mut String, table: &Table, section: &str) {
    page.push_str("<div class=\"table\"><table>\n");
    if table.title != section {
        let _ = writeln!(page, "<caption>{}</caption>", escape(&table.title));
    }
    let class = |column: usize| if table.is_text(column) { "" } else { " class=\"number\"" };
    if table.head.iter().any(|cell| !cell.is_empty()) {
        page.push_str("<thead><tr>");
        table.head.iter().enumerate().for_each(|(i, cell)| {
            let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(i), escape(cell));
        });
        page.push_str("</tr></thead>\n");
    }
    page.push_str("<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (i, cell) in row.iter().enumerate() {
            let _ = match i {
                0 => write!(page, "<th scope=\"row\">{}</th>", escape(cell)),
                _ => write!(page, "<td{}>{}</td>", class(i), figure(cell, table.is_text(i))),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    if !table.note.is_empty() {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape(&table.note));
    }
}

/// A cell; the interval of a figure stands below it.
fn figure(cell: &str, is_text: bool) -> String {
    match cell.split_once(" [") {
        Some((value, interval)) if !is_text => format!("{}<small>[{}</small>", escape(value), escape(interval)),
        _ => escape(cell),
    }
}

fn notes(page: &mut String, report: &Report) {
    if report.notes.is_empty() {
        return;
    }
    page.push_str("<section id=\"notes\">\n<h2>Notes</h2>\n<ul>\n");
    report.notes.iter().for_each(|note| {
        let _ = writeln!(page, "<li>{}</li>", escape(note));
    });
    page.push_str("</ul>\n</section>\n");
}
