//! Reports and comparisons as files and for a terminal: JSON for programs, CSV for spreadsheets, Markdown for text, one HTML page to look
//! at.
//!
//! Markdown, HTML and terminal show the same tables: three significant digits, the 95 % interval in brackets, `n/a` below the floor of
//! samples, `–` for what was not measured. JSON and CSV have all digits.

mod comparison;
mod csv;
mod html;
mod markdown;
mod overview;
mod table;
mod tables;
mod text;

use std::io::Write as _;
use std::path::Path;

pub use comparison::{comparison_csv, comparison_html, comparison_markdown, comparison_text};
pub use csv::csv;
pub use html::html;
pub use markdown::markdown;
pub use text::text;

use crate::compare::Comparison;
use crate::error::{Error, Result};
use crate::report::Report;

/// A form of a report or of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The whole; see the schemas of a [report](crate::report::SCHEMA) and of a [comparison](crate::compare::SCHEMA).
    Json,
    /// One figure per line.
    Csv,
    /// Tables.
    Markdown,
    /// A page with tables and charts that needs nothing else.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Json, Self::Csv, Self::Markdown, Self::Html];

    /// The usual end of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Markdown => "md",
            Self::Html => "html",
        }
    }
}

/// The report as text.
///
/// # Errors
/// If the report has figures that cannot be (see [`Report::check`]).
pub fn render(report: &Report, format: Format) -> Result<String> {
    report.check()?;
    match format {
        Format::Json => json(report),
        Format::Csv => Ok(csv(report)),
        Format::Markdown => Ok(markdown(report)),
        Format::Html => Ok(html(report)),
    }
}

/// The comparison as text.
///
/// # Errors
/// If a number is not finite, which [`compare`](crate::compare()) never gives.
pub fn render_comparison(comparison: &Comparison, format: Format) -> Result<String> {
    match format {
        Format::Json => Ok(comparison.to_json()? + "\n"),
        Format::Csv => Ok(comparison_csv(comparison)),
        Format::Markdown => Ok(comparison_markdown(comparison)),
        Format::Html => Ok(comparison_html(comparison)),
    }
}

/// Writes the report to a file, which is there whole or not at all.
///
/// # Errors
/// If the report has figures that cannot be, or the file cannot be written.
pub fn write(report: &Report, format: Format, path: &Path) -> Result<()> {
    write_whole(&render(report, format)?, path)
}

/// Writes the comparison to a file, which is there whole or not at all.
///
/// # Errors
/// If the comparison cannot be rendered, or the file cannot be written.
pub fn write_comparison(comparison: &Comparison, format: Format, path: &Path) -> Result<()> {
    write_whole(&render_comparison(comparison, format)?, path)
}

fn write_whole(text: &str, path: &Path) -> Result<()> {
    let failed = |source| Error::Write { path: path.to_path_buf(), source };
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.part", std::process::id()));
    let written = write_synced(Path::new(&aside), text).and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        // The error that matters is the first.
        let _ = std::fs::remove_file(&aside);
    }
    written.map_err(failed)
}

fn write_synced(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn json(report: &Report) -> Result<String> {
    let mut text = serde_json::to_string_pretty(report).map_err(|error| Error::argument("report", "finite numbers", error))?;
    text.push('\n');
    Ok(text)
}

/// At most so many letters, the last of them `…` where some were cut off.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
