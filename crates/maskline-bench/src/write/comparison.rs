//! A comparison as files and for a terminal. All of them show one table.

use std::fmt::Write as _;

use super::markdown::{self, escape};
use super::table::{Column, Kind, Table, Terminal};
use super::{csv, html, text};
use crate::compare::{Change, Comparison, Row, Side};
use crate::format::{NOT_AVAILABLE, estimate, optional, percent};
use crate::percentile::Estimate;

/// Title of the page and of the text.
pub(super) const TITLE: &str = "Two benchmarks compared";

/// The rows of a comparison.
pub(super) fn table(comparison: &Comparison) -> Table {
    let columns = vec![
        Column::words("row", 0),
        Column::words("of", 0),
        Column::bare("before p50 (ms)", 1),
        Column::bare("after p50 (ms)", 1),
        Column::number("after / before", 0),
        Column::new("change", Kind::Status, Terminal::Whole(0)),
    ];
    let cells = |row: &Row| {
        let [before, after] = [&row.before_ms, &row.after_ms].map(|median| optional(median.as_ref()));
        let ratio = row.ratio.as_ref().map_or_else(|| NOT_AVAILABLE.to_owned(), precise);
        vec![row.name.clone(), row.measure.name().to_owned(), before, after, ratio, change(row)]
    };
    let note = format!(
        "Ratio of medians, later over earlier: above 1, the later is slower. 95 % intervals in brackets. A row is a regression or an improvement \
         only if its whole interval is more than {} off.",
        percent(comparison.threshold)
    );
    Table::new("Rows", note, columns).keyed(2).rows(comparison.rows.iter().map(cells))
}

/// A ratio to three decimals: near 1, three significant digits would hide a half percent.
fn precise(ratio: &Estimate) -> String {
    let Estimate { value, low, high } = ratio;
    let is_near = (0.5..10.0).contains(low) && (0.5..10.0).contains(high);
    if is_near { format!("{value:.3} [{low:.3}, {high:.3}]") } else { estimate(ratio) }
}

/// What became of a row, with the reason where it is no ratio.
fn change(row: &Row) -> String {
    match row.change {
        Change::NotComparable => format!("{}: {}", row.change.name(), row.reason),
        Change::Regression | Change::Improvement | Change::Same | Change::Unclear => row.change.name().to_owned(),
    }
}

/// How many rows became what, in words.
pub(super) fn counts(comparison: &Comparison) -> String {
    let all = Change::ALL.map(|change| (change, comparison.count(change)));
    let words = |change: Change, count: usize| {
        // These two are counted; the others describe.
        let end = if count != 1 && matches!(change, Change::Regression | Change::Improvement) { "s" } else { "" };
        format!("{count} {}{end}", change.name())
    };
    let told = all.into_iter().filter(|(change, count)| *count > 0 || *change == Change::Regression);
    let parts: Vec<String> = told.map(|(change, count)| words(change, count)).collect();
    format!("{}; the threshold is {}.", parts.join(", "), percent(comparison.threshold))
}

/// Which reports.
pub(super) fn sides(comparison: &Comparison) -> [String; 2] {
    [("before", &comparison.before), ("after", &comparison.after)].map(|(which, Side { created, tool })| {
        let commit = tool.commit.as_deref().unwrap_or("unknown");
        format!("{which}: {created}, maskline {}, commit {commit}, ONNX Runtime {}", tool.version, tool.onnx_runtime)
    })
}

/// Title of the list of differences.
pub(super) const DIFFERENCES: &str = "What else differs";

/// The comparison as GitHub-flavoured Markdown.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let mut text = format!("# {TITLE}\n\n");
    sides(comparison).iter().for_each(|side| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "- {}", escape(side));
    });
    let _ = write!(text, "\n**{}**\n", escape(&counts(comparison)));
    markdown::list(&mut text, DIFFERENCES, &comparison.differences);
    markdown::table(&mut text, &table(comparison));
    text
}

/// The comparison for a terminal so many columns wide, 40 at least.
pub fn comparison_text(comparison: &Comparison, width: usize) -> String {
    let width = width.max(text::LEAST_WIDTH);
    let mut lines = String::new();
    let [before, after] = sides(comparison);
    for line in [TITLE, &before, &after] {
        text::push(&mut lines, &text::wrapped(line, [width, 2]));
    }
    if !comparison.differences.is_empty() {
        text::push(&mut lines, &[String::new(), format!("{DIFFERENCES}:")]);
        comparison.differences.iter().for_each(|line| text::push(&mut lines, &text::wrapped(&format!("- {line}"), [width, 2])));
    }
    text::part(&mut lines, &table(comparison), width);
    text::push(&mut lines, &[String::new()]);
    text::push(&mut lines, &text::wrapped(&counts(comparison), [width, 0]));
    lines
}

/// The comparison as one page of HTML that needs nothing else, with a chart of the ratios.
pub fn comparison_html(comparison: &Comparison) -> String {
    html::comparison(comparison)
}

/// The comparison as CSV with the columns `measure, row, change, metric, unit, value, low, high`.
pub fn comparison_csv(comparison: &Comparison) -> String {
    csv::comparison(comparison)
}
