//! Prints a report of made-up figures, to see what the forms look like:
//! `cargo run -p maskline-bench --example page -- html > page.html` (or `md`, `csv`, `json`, or `text` with the width of the terminal).
//! With `compare` before the form, two reports compared.

mod report;

use maskline_bench::compare::{Options, compare};
use maskline_bench::write::{Format, comparison_text, render, render_comparison, text};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let is_comparison = arguments.next_if_eq("compare").is_some();
    let asked = arguments.next().unwrap_or_else(|| "html".to_owned());
    let width = arguments.next().map_or(Ok(120), |width| width.parse())?;
    let format = Format::ALL.into_iter().find(|format| format.extension() == asked);
    let report = report::example()?;
    let printed = match (format, is_comparison) {
        (Some(format), false) => render(&report, format)?,
        (Some(format), true) => render_comparison(&compare(&report, &report::later()?, &Options::default())?, format)?,
        (None, false) if asked == "text" => text(&report, width),
        (None, true) if asked == "text" => comparison_text(&compare(&report, &report::later()?, &Options::default())?, width),
        _ => return Err(format!("expected html, md, csv, json or text, found {asked}").into()),
    };
    print!("{printed}");
    Ok(())
}
