//! `maskline bench compare`.

use std::path::Path;

use maskline::{Error, ErrorKind};
use maskline_bench::{Report, compare as judge, write};

use super::arguments::{Compare, Format};
use crate::failure::Failure;
use crate::terminal;

/// Judges a later report by an earlier one. Exit code 1 for a regression.
pub(crate) fn compare(arguments: &Compare) -> Result<(), Failure> {
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let options = maskline_bench::compare::Options { threshold: arguments.fail_over, ..Default::default() };
    let comparison = judge(&before, &after, &options)?;
    if let Some(folder) = &arguments.output {
        let mut reports = super::open_reports(folder, "comparison", arguments.overwrite)?;
        for format in super::FORMATS {
            reports.write(&format!("comparison.{}", format.extension()), write::render_comparison(&comparison, format)?.as_bytes())?;
        }
        terminal::say(&format!("written: {}", folder.join("comparison.{md,csv,json,html}").display()));
    }
    terminal::print(&match arguments.format {
        Format::Text => write::comparison_text(&comparison, terminal::width()),
        Format::Md => write::render_comparison(&comparison, write::Format::Markdown)?,
        Format::Csv => write::render_comparison(&comparison, write::Format::Csv)?,
        Format::Json => write::render_comparison(&comparison, write::Format::Json)?,
        Format::Html => write::render_comparison(&comparison, write::Format::Html)?,
    })?;
    if comparison.has_regression() || (arguments.strict && !comparison.is_conclusive()) {
        return Err(Failure::Told(1));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Report, Failure> {
    let bad = |message: String| Error::new(ErrorKind::BadInput, message).at(path);
    let bytes = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
    Ok(Report::from_json(&bytes).map_err(|error| bad(error.to_string()))?)
}
