//! A report as Markdown tables.

use std::fmt::Write as _;

use super::tables::{tables, title};
use crate::report::Report;

/// The report as GitHub-flavoured Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n", escape(&title(report)));
    for table in tables(report) {
        // Writing to a string does not fail.
        let _ = write!(text, "\n## {}\n\n", escape(&table.title));
        if !table.note.is_empty() {
            let _ = write!(text, "{}\n\n", escape(&table.note));
        }
        line(&mut text, &table.head);
        let dashes: Vec<&str> = table.head.iter().enumerate().map(|(i, _)| if table.is_text(i) { "---" } else { "---:" }).collect();
        let _ = writeln!(text, "| {} |", dashes.join(" | "));
        table.rows.iter().for_each(|row| line(&mut text, row));
    }
    if !report.notes.is_empty() {
        text.push_str("\n## Notes\n\n");
        for note in &report.notes {
            let _ = writeln!(text, "- {}", escape(note));
        }
    }
    text
}

fn line(text: &mut String, cells: &[String]) {
    let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// Text that Markdown shows as it is, on one line.
fn escape(text: &str) -> String {
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
