//! A comparison as one page.

use std::fmt::Write as _;

use super::super::comparison::{DIFFERENCES, TITLE, counts, sides, table};
use super::page;
use super::plot::escape;
use super::ratios::ratios;
use crate::compare::Comparison;

/// The comparison as a page that needs no other file, no script and no network.
pub(in crate::write) fn comparison(comparison: &Comparison) -> String {
    let mut body = format!("<header>\n<h1>{TITLE}</h1>\n");
    for side in sides(comparison) {
        // Writing to a string does not fail.
        let _ = writeln!(body, "<p>{}</p>", escape(&side));
    }
    let class = if comparison.has_regression() { "warning" } else { "verdict" };
    let _ = write!(body, "<p class=\"{class}\">{}</p>\n</header>\n", escape(&counts(comparison)));
    page::list(&mut body, "differences", DIFFERENCES, &comparison.differences);
    let rows = table(comparison);
    let _ = write!(body, "<section id=\"rows\">\n<h2>{}</h2>\n", escape(&rows.title));
    ratios(&mut body, comparison);
    page::table(&mut body, &rows, &rows.title);
    body.push_str("</section>\n");
    page::page(TITLE, &body)
}
