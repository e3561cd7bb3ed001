//! Where the time of a start goes.

use super::super::super::tables::parts;
use super::super::bars::{Bar, MARK, Rows, bars, longest, swatch};
use super::super::plot::{Axis, COLOURS, GREY, Title};
use crate::format::{optional, significant};
use crate::report::{Cold, ColdStage};

/// A bar per start, made of its parts. Rows whose parts are not known are one part.
pub(super) fn cold(page: &mut String, rows: &[Cold]) {
    let names = parts(rows);
    let bars_of = |row: &Cold| Bar {
        name: format!("{}, cache {}", row.name, row.cache.name()),
        figure: figure(row),
        parts: row.stages.iter().map(|stage| (stage.mean_ms, colour(&names, &stage.name))).collect(),
        whisker: None,
        mark: Some(row.ready.mean_ms),
    };
    let rows: Vec<Bar> = rows.iter().map(bars_of).collect();
    let mut legend: Vec<(String, String)> = Vec::new();
    for name in &names {
        let sign = swatch(colour(&names, name));
        match legend.iter_mut().find(|(known, _)| *known == sign) {
            Some((_, known)) => known.push_str(&format!(", {name}")),
            None => legend.push((sign, (*name).to_owned())),
        }
    }
    legend.push((MARK.to_owned(), "ready for calls".to_owned()));
    let title = Title { heading: "Where the time of a start goes", detail: "Means over fresh processes, since means add up." };
    let axis = Axis::from_zero("time from the start of the process (ms)", longest(&rows));
    bars(page, &title, axis, &Rows { bars: &rows, legend: &legend });
}

fn figure(row: &Cold) -> String {
    let total = row.stages.iter().map(|stage: &ColdStage| stage.mean_ms).sum();
    format!("{} ms in all, first result p50 {} ms, {} runs", significant(total), optional(row.first_result.p50_ms.as_ref()), row.runs)
}

/// `other` is grey. With more parts than colours the later ones are grey too.
fn colour(names: &[&str], name: &str) -> usize {
    let own = names.iter().filter(|own| **own != "other").position(|own| *own == name);
    // One colour is grey itself.
    match own {
        Some(index) if index < GREY => index,
        Some(index) if index + 1 < COLOURS => index + 1,
        _ => GREY,
    }
}
