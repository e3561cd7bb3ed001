//! Prints a report of made-up figures, to see what the forms look like:
//! `cargo run -p maskline-bench --example page -- html > page.html` (or `md`, `csv`, `json`).

mod report;

use maskline_bench::write::{Format, render};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked = std::env::args().nth(1).unwrap_or_else(|| "html".to_owned());
    let format = Format::ALL.into_iter().find(|format| format.extension() == asked);
    let format = format.ok_or_else(|| format!("expected html, md, csv or json, found {asked}"))?;
    print!("{}", render(&report::example()?, format)?);
    Ok(())
}
