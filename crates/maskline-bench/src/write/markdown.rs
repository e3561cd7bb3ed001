//! Markdown tables.

use std::fmt::Write as _;

use super::table::Table;
use super::tables::{facts, tables};
use crate::report::Report;

/// The report as GitHub-flavoured Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n{}\n", escape(&facts::title(report)), escape(&facts::place(report)));
    for warning in facts::warnings(report) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n**{}**\n", escape(&warning));
    }
    tables(report).iter().for_each(|(_, own)| table(&mut text, own));
    list(&mut text, "Notes", &report.notes);
    text
}

/// A table under its title.
pub(super) fn table(text: &mut String, table: &Table) {
    let _ = write!(text, "\n## {}\n\n", escape(&table.title));
    if !table.note.is_empty() {
        let _ = write!(text, "{}\n\n", escape(&table.note));
    }
    line(text, table.columns.iter().map(|column| column.name.as_str()));
    let dashes: Vec<&str> = table.columns.iter().map(|column| if column.is_number() { "---:" } else { "---" }).collect();
    let _ = writeln!(text, "| {} |", dashes.join(" | "));
    table.rows.iter().for_each(|row| line(text, row.iter().map(String::as_str)));
}

/// Lines under a title; nothing where there are none.
pub(super) fn list(text: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = write!(text, "\n## {title}\n\n");
        lines.iter().for_each(|line| {
            let _ = writeln!(text, "- {}", escape(line));
        });
    }
}

fn line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>) {
    let cells: Vec<String> = cells.map(escape).collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// Text that Markdown shows as it is, on one line.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '~' | '#' => safe.extend(['\\', letter]),
            // Brackets alone are no link without a parenthesis right after.
            '(' if safe.ends_with(']') => safe.push_str("\\("),
            _ if letter.is_control() => safe.push(' '),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn hostile_text_is_shown_as_it_is() {
        assert_eq!(escape("a|b\n<script>"), "a\\|b &lt;script&gt;");
        assert_eq!(escape("[x](javascript:1)"), "[x]\\(javascript:1)");
        assert_eq!(escape("**b** `c` _d_"), "\\*\\*b\\*\\* \\`c\\` \\_d\\_");
    }
}
