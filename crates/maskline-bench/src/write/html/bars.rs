//! Horizontal bars: one row each, with its name above and its figure at the right end.

use super::plot::{Axis, Plot, Title, colour, escape, shorten};

/// Height of a row: its text, its bar, a gap.
const ROW: f64 = 46.0;
const TEXT: f64 = 15.0;
const BAR: f64 = 16.0;
/// Letters that fit beside the figure.
const LONGEST_NAME: usize = 70;

/// One row.
#[derive(Debug, Clone, Default)]
pub(super) struct Bar {
    pub(super) name: String,
    /// What stands at the right end.
    pub(super) figure: String,
    /// Length and colour of each part, from the left.
    pub(super) parts: Vec<(f64, usize)>,
    /// Ends of a thin line over the bar.
    pub(super) whisker: Option<[f64; 2]>,
}

/// Draws rows over an axis that begins with 0.
pub(super) fn bars(page: &mut String, title: &Title<'_>, axis: Axis, (rows, legend): (&[Bar], &[&str])) {
    let mut plot = Plot::new(axis, None, 14.0 + ROW * rows.len() as f64 + 50.0);
    for (i, row) in rows.iter().enumerate() {
        draw(&mut plot, row, i);
    }
    let swatch = |i: usize| format!("<rect class=\"bar {}\" x=\"5\" y=\"0\" width=\"16\" height=\"12\"/>", colour(i));
    let legend: Vec<(String, String)> = legend.iter().enumerate().map(|(i, &name)| (swatch(i), name.to_owned())).collect();
    plot.figure(page, title, &legend);
}

fn draw(plot: &mut Plot, row: &Bar, index: usize) {
    let [left, right, top, _] = plot.frame();
    let text = top + ROW * index as f64 + TEXT;
    let bar = text + 6.0;
    let (name, figure) = (escape(&shorten(&row.name, LONGEST_NAME)), escape(&row.figure));
    plot.draw(format_args!("<text class=\"name\" x=\"{:.1}\" y=\"{text:.1}\">{name}</text>", left + 2.0));
    plot.draw(format_args!("<text class=\"strong\" x=\"{right:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{figure}</text>"));
    let mut from = 0.0;
    for (length, colour_index) in &row.parts {
        let to = from + length.max(0.0);
        let (x, width) = (plot.at_x(from), plot.at_x(to) - plot.at_x(from));
        let class = colour(*colour_index);
        plot.draw(format_args!("<rect class=\"bar {class}\" x=\"{x:.1}\" y=\"{bar:.1}\" width=\"{width:.1}\" height=\"{BAR}\"/>"));
        from = to;
    }
    if let Some([low, high]) = row.whisker {
        let [low, high] = [low, high].map(|end| plot.at_x(end));
        let (middle, upper, lower) = (bar + BAR / 2.0, bar + 3.0, bar + BAR - 3.0);
        let path = format!("M{low:.1} {middle:.1}H{high:.1}M{low:.1} {upper:.1}V{lower:.1}M{high:.1} {upper:.1}V{lower:.1}");
        plot.draw(format_args!("<path class=\"whisker\" d=\"{path}\"/>"));
    }
}
