//! Horizontal bars: one row each, with its name above and its figure at the right end; or several bars to a name.

use super::super::shorten;
use super::plot::{Axis, Plot, Title, colour, escape};

/// Height of a row, and of its bar.
const ROW: [f64; 2] = [46.0, 16.0];
/// The same where there are many rows.
const LOW_ROW: [f64; 2] = [36.0, 9.0];
const MANY: usize = 10;
const TEXT: f64 = 15.0;
/// Letters that fit beside the figure.
const LONGEST_NAME: usize = 80;
/// Height of a bar in a group, with the gap after it, and the gap after a group.
const IN_GROUP: [f64; 3] = [14.0, 4.0, 14.0];

/// One bar.
#[derive(Debug, Clone, Default)]
pub(super) struct Bar {
    pub(super) name: String,
    /// What stands at the right end.
    pub(super) figure: String,
    /// Length and colour of each part, from the left.
    pub(super) parts: Vec<(f64, usize)>,
    /// Ends of a thin line over the bar.
    pub(super) whisker: Option<[f64; 2]>,
    /// Place of an upright line across the bar.
    pub(super) mark: Option<f64>,
}

/// A sign and its meaning.
pub(super) type Legend = [(String, String)];

/// Bars below each other, with what their colours mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) bars: &'a [Bar],
    pub(super) legend: &'a Legend,
}

/// Several bars to a name, with what their colours mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) groups: &'a [(String, Vec<Bar>)],
    pub(super) legend: &'a Legend,
}

/// The sign of a bar.
pub(super) fn swatch(index: usize) -> String {
    format!("<rect class=\"bar {}\" x=\"5\" y=\"0\" width=\"16\" height=\"12\"/>", colour(index))
}

/// The sign of the upright line.
pub(super) const MARK: &str = "<path class=\"upright\" d=\"M13 0V12\"/>";

/// How far the longest bar and its whisker reach.
pub(super) fn longest<'a>(bars: impl IntoIterator<Item = &'a Bar>) -> f64 {
    let length = |row: &Bar| row.parts.iter().map(|part| part.0).sum::<f64>().max(row.whisker.map_or(0.0, |[_, high]| high));
    bars.into_iter().map(length).fold(0.0, f64::max)
}

/// Draws rows over an axis that begins with 0.
pub(super) fn bars(page: &mut String, title: &Title<'_>, axis: Axis, rows: &Rows<'_>) {
    let Rows { bars: rows, legend } = *rows;
    let [row_height, bar_height] = if rows.len() > MANY { LOW_ROW } else { ROW };
    let mut plot = Plot::new(axis, None, 14.0 + row_height * rows.len() as f64 + 50.0);
    let [left, right, top, _] = plot.frame();
    for (i, row) in rows.iter().enumerate() {
        let text = top + row_height * i as f64 + TEXT;
        let (name, figure) = (escape(&shorten(&row.name, LONGEST_NAME)), escape(&row.figure));
        plot.draw(format_args!("<text class=\"name\" x=\"{:.1}\" y=\"{text:.1}\">{name}</text>", left + 2.0));
        plot.draw(format_args!("<text class=\"strong\" x=\"{right:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{figure}</text>"));
        bar(&mut plot, row, [text + 6.0, bar_height]);
    }
    plot.figure(page, title, legend);
}

/// Draws groups of bars, each group with a name, over an axis that begins with 0 and has room for figures after the longest bar.
pub(super) fn groups(page: &mut String, title: &Title<'_>, label: &str, rows: &Groups<'_>) {
    /// What the figure after the longest bar takes of the width.
    const ROOM: f64 = 1.2;
    let Groups { groups, legend } = *rows;
    let [height, gap, after] = IN_GROUP;
    let of_group = |bars: &[Bar]| TEXT + 6.0 + (height + gap) * bars.len() as f64 + after;
    let all: f64 = groups.iter().map(|(_, bars)| of_group(bars)).sum();
    let most = longest(groups.iter().flat_map(|(_, bars)| bars));
    let mut plot = Plot::new(Axis::from_zero(label, most * ROOM), None, 14.0 + all + 46.0);
    let [left, _, mut top, _] = plot.frame();
    for (name, bars) in groups {
        let text = top + TEXT;
        let name = escape(&shorten(name, LONGEST_NAME));
        plot.draw(format_args!("<text class=\"name\" x=\"{:.1}\" y=\"{text:.1}\">{name}</text>", left + 2.0));
        for (i, own) in bars.iter().enumerate() {
            let y = text + 6.0 + (height + gap) * i as f64;
            bar(&mut plot, own, [y, height]);
            let (end, figure) = (plot.at_x(longest([own])) + 7.0, escape(&own.figure));
            plot.draw(format_args!("<text class=\"strong\" x=\"{end:.1}\" y=\"{:.1}\">{figure}</text>", y + height - 3.0));
        }
        top += of_group(bars);
    }
    plot.figure(page, title, legend);
}

fn bar(plot: &mut Plot, bar: &Bar, [y, height]: [f64; 2]) {
    let mut from = 0.0;
    for (length, colour_index) in &bar.parts {
        let to = from + length.max(0.0);
        let (x, width) = (plot.at_x(from), plot.at_x(to) - plot.at_x(from));
        let class = colour(*colour_index);
        plot.draw(format_args!("<rect class=\"bar {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\"/>"));
        from = to;
    }
    if let Some(ends) = bar.whisker {
        whisker(plot, ends, [y + height / 2.0, height / 2.0 - 3.0]);
    }
    if let Some(mark) = bar.mark {
        let (x, above, below) = (plot.at_x(mark), y - 2.0, y + height + 2.0);
        plot.draw(format_args!("<path class=\"upright\" d=\"M{x:.1} {above:.1}V{below:.1}\"/>"));
    }
}

/// A level line from low to high, with ends that reach so far up and down.
pub(super) fn whisker(plot: &mut Plot, ends: [f64; 2], [middle, reach]: [f64; 2]) {
    let [low, high] = ends.map(|end| plot.at_x(end));
    let (upper, lower) = (middle - reach, middle + reach);
    let path = format!("M{low:.1} {middle:.1}H{high:.1}M{low:.1} {upper:.1}V{lower:.1}M{high:.1} {upper:.1}V{lower:.1}");
    plot.draw(format_args!("<path class=\"whisker\" d=\"{path}\"/>"));
}
