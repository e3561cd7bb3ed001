//! Ratios with their intervals around 1.

use super::super::shorten;
use super::bars::whisker;
use super::lines::mark;
use super::plot::{Axis, GREY, Plot, Title, colour, escape};
use crate::compare::{Change, Comparison};

/// Height of a row: its text, its interval, a gap.
const ROW: f64 = 38.0;
const TEXT: f64 = 15.0;
const LONGEST_NAME: usize = 75;

/// Colour and mark of a row.
fn look(change: Change) -> [usize; 2] {
    match change {
        Change::Regression => [1, 2],
        Change::Improvement => [2, 3],
        Change::Same => [0, 0],
        Change::Unclear | Change::NotComparable => [GREY, 1],
    }
}

/// Draws a mark and an interval per row that has a ratio; nothing where none has.
pub(super) fn ratios(page: &mut String, comparison: &Comparison) {
    let rows: Vec<_> = comparison.rows.iter().filter_map(|row| Some((row, row.ratio?))).collect();
    if rows.is_empty() {
        return;
    }
    let threshold = 1.0 + comparison.threshold;
    // The band is never the whole width.
    let all = rows.iter().flat_map(|(_, ratio)| [ratio.low, ratio.high]).chain([threshold.powi(2)]);
    let axis = Axis::ratio("later median over earlier (ratio)", all);
    let mut plot = Plot::new(axis, None, 14.0 + ROW * rows.len() as f64 + 50.0);
    let [left, right, top, bottom] = plot.frame();
    let [from, one, to] = [1.0 / threshold, 1.0, threshold].map(|ratio| plot.at_x(ratio));
    plot.draw(format_args!(
        "<rect class=\"shade {}\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"/>",
        colour(0),
        to - from,
        bottom - top
    ));
    plot.draw(format_args!("<path class=\"level\" d=\"M{one:.1} {top}V{bottom:.1}\"/>"));
    for (i, (row, ratio)) in rows.iter().enumerate() {
        let text = top + ROW * i as f64 + TEXT;
        let name = escape(&shorten(&format!("{} · {}", row.name, row.measure.name()), LONGEST_NAME));
        plot.draw(format_args!("<text class=\"name\" x=\"{:.1}\" y=\"{text:.1}\">{name}</text>", left + 2.0));
        let figure = format!("{:+.1} % · {}", (ratio.value - 1.0) * 100.0, row.change.name());
        plot.draw(format_args!("<text class=\"strong\" x=\"{right:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{}</text>", escape(&figure)));
        let [colour_index, mark_index] = look(row.change);
        let middle = text + 12.0;
        plot.draw(format_args!("<g class=\"{}\">", colour(colour_index)));
        whisker(&mut plot, [ratio.low, ratio.high], [middle, 5.0]);
        let mark = mark(mark_index, [plot.at_x(ratio.value), middle]);
        plot.draw(format_args!("<path class=\"mark\" d=\"{mark}\"/></g>"));
    }
    let detail = "Marks are ratios of medians, lines their 95 % intervals. To the right of 1 the later report is slower; in the shaded band the \
                  difference is below the threshold.";
    let legend = Change::ALL.into_iter().filter(|change| rows.iter().any(|(row, _)| row.change == *change)).map(|change| {
        let [colour_index, mark_index] = look(change);
        let sign = format!("<g class=\"{}\"><path class=\"mark\" d=\"{}\"/></g>", colour(colour_index), mark(mark_index, [13.0, 6.0]));
        (sign, change.name().to_owned())
    });
    plot.figure(page, &Title { heading: "What became slower, what became faster", detail }, &legend.collect::<Vec<_>>());
}
