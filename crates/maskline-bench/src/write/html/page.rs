//! The frame of a page, and tables in it.

use std::fmt::Write as _;

use super::super::table::{Column, Kind, Table};
use super::plot::escape;

/// A page that needs no other file, no script and no network.
pub(super) fn page(title: &str, body: &str) -> String {
    const STYLE: &str = include_str!("style.css");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// A table, with its title where the section does not say it.
pub(super) fn table(page: &mut String, table: &Table, section: &str) {
    page.push_str("<div class=\"table\"><table>\n");
    // Writing to a string does not fail.
    if table.title != section {
        let _ = writeln!(page, "<caption>{}</caption>", escape(&table.title));
    }
    if table.columns.iter().any(|column| !column.name.is_empty()) {
        page.push_str("<thead><tr>");
        table.columns.iter().for_each(|column| {
            let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(column), escape(&column.name));
        });
        page.push_str("</tr></thead>\n");
    }
    page.push_str("<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (i, (column, cell)) in table.columns.iter().zip(row).enumerate() {
            let _ = match i {
                0 => write!(page, "<th scope=\"row\">{}</th>", escape(cell)),
                _ => write!(page, "<td{}>{}</td>", class(column), shown(column.kind, cell)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    if !table.note.is_empty() {
        let _ = writeln!(page, "<p class=\"note\">{}</p>", escape(&table.note));
    }
}

fn class(column: &Column) -> &'static str {
    if column.is_number() { " class=\"number\"" } else { "" }
}

/// A cell; what stands after a figure or a verdict is smaller and below it.
fn shown(kind: Kind, cell: &str) -> String {
    match (kind, cell.split_once(" ["), cell.split_once(": ")) {
        (Kind::Number, Some((value, interval)), _) => format!("{}<small>[{}</small>", escape(value), escape(interval)),
        (Kind::Status, _, Some((verdict, reason))) => format!("{}<small>{}</small>", badge(verdict), escape(reason)),
        (Kind::Status, _, None) => badge(cell),
        (Kind::Answer, _, Some((answer, why))) => format!("{}<small class=\"why\">{}</small>", escape(answer), escape(why)),
        _ => escape(cell),
    }
}

/// A verdict. The sign tells it without colour.
pub(super) fn badge(verdict: &str) -> String {
    let (class, sign) = match verdict {
        "VALID" | "improvement" | "same" => ("valid", '✓'),
        "UNSTABLE" => ("unstable", '≈'),
        "regression" => ("unstable", '▲'),
        _ => ("insufficient", '…'),
    };
    format!("<span class=\"badge {class}\">{sign} {}</span>", escape(verdict))
}

/// Lines under a title; nothing where there are none.
pub(super) fn list(page: &mut String, id: &str, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(page, "<section id=\"{id}\">\n<h2>{title}</h2>\n<ul>\n");
    lines.iter().for_each(|line| {
        let _ = writeln!(page, "<li>{}</li>", escape(line));
    });
    page.push_str("</ul>\n</section>\n");
}

/// What is shown only on demand.
pub(super) fn folded(page: &mut String, summary: &str, inner: impl FnOnce(&mut String)) {
    let _ = write!(page, "<details>\n<summary>{}</summary>\n", escape(summary));
    inner(page);
    page.push_str("</details>\n");
}
