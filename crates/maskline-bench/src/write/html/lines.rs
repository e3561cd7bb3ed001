//! Lines over two axes, with error bars, and empirical distributions.

use super::plot::{Axis, Plot, Title, colour};
use crate::percentile::Estimate;

const HEIGHT: f64 = 330.0;

/// One series.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
    pub(super) colour: usize,
    pub(super) is_dashed: bool,
}

/// One point; hollow where its figure may not be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: Estimate,
    pub(super) is_hollow: bool,
}

/// Draws lines with their points and error bars.
pub(super) fn lines(page: &mut String, title: &Title<'_>, axes: [Axis; 2], series: &[Line]) {
    let [x, y] = axes;
    let mut plot = Plot::new(x, Some(y), HEIGHT);
    series.iter().for_each(|line| draw(&mut plot, line));
    let legend: Vec<(String, String)> = series.iter().map(|line| (sign(line), line.name.clone())).collect();
    plot.figure(page, title, &legend);
}

fn dashes(line: &Line) -> &'static str {
    if line.is_dashed { " dashed" } else { "" }
}

fn sign(line: &Line) -> String {
    let class = colour(line.colour);
    let mark = mark(line.colour, [13.0, 6.0]);
    format!("<g class=\"{class}\"><path class=\"series{}\" d=\"M0 6H26\"/><path class=\"mark\" d=\"{mark}\"/></g>", dashes(line))
}

fn draw(plot: &mut Plot, line: &Line) {
    let places: Vec<[f64; 2]> = line.points.iter().map(|point| [plot.at_x(point.x), plot.at_y(point.y.value)]).collect();
    let path: Vec<String> = places.iter().map(|[x, y]| format!("{x:.1} {y:.1}")).collect();
    plot.draw(format_args!("<g class=\"{}\">", colour(line.colour)));
    if !path.is_empty() {
        plot.draw(format_args!("<path class=\"series{}\" d=\"M{}\"/>", dashes(line), path.join("L")));
    }
    for (point, [x, y]) in line.points.iter().zip(places) {
        let [low, high] = [point.y.low, point.y.high].map(|end| plot.at_y(end));
        let [left, right] = [x - 4.0, x + 4.0];
        plot.draw(format_args!(
            "<path class=\"error\" d=\"M{x:.1} {low:.1}V{high:.1}M{left:.1} {low:.1}H{right:.1}M{left:.1} {high:.1}H{right:.1}\"/>"
        ));
        let class = if point.is_hollow { "hollow" } else { "mark" };
        plot.draw(format_args!("<path class=\"{class}\" d=\"{}\"/>", mark(line.colour, [x, y])));
    }
    plot.draw(format_args!("</g>"));
}

/// The outline of a mark; series differ in it as in colour.
pub(super) fn mark(index: usize, [x, y]: [f64; 2]) -> String {
    match index % 4 {
        0 => format!("M{:.1} {y:.1}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z", x - 4.5),
        1 => format!("M{:.1} {:.1}h8v8h-8z", x - 4.0, y - 4.0),
        2 => format!("M{x:.1} {:.1}l5 9h-10z", y - 5.5),
        _ => format!("M{x:.1} {:.1}l5.5 5.5l-5.5 5.5l-5.5 -5.5z", y - 5.5),
    }
}

/// Draws the share of samples at or below each time, per series of sorted times.
pub(super) fn distributions(page: &mut String, title: &Title<'_>, axis: Axis, series: &[(String, Vec<f64>)]) {
    let mut plot = Plot::new(axis, Some(Axis::from_zero("share of calls (%)", 100.0)), HEIGHT);
    for (i, (_, sorted)) in series.iter().enumerate() {
        let path = steps(&plot, sorted);
        plot.draw(format_args!("<path class=\"series {}{}\" d=\"{path}\"/>", colour(i), if i % 2 == 1 { " dashed" } else { "" }));
    }
    let sign = |i: usize| format!("<path class=\"series {}{}\" d=\"M0 6H26\"/>", colour(i), if i % 2 == 1 { " dashed" } else { "" });
    let legend: Vec<(String, String)> = series.iter().enumerate().map(|(i, (name, _))| (sign(i), name.clone())).collect();
    plot.figure(page, title, &legend);
}

/// The steps of an empirical distribution. Steps narrower than half a unit are drawn as one: nobody could see them apart.
fn steps(plot: &Plot, sorted: &[f64]) -> String {
    const NARROWEST: f64 = 0.5;
    let mut path = String::new();
    let mut last = f64::NEG_INFINITY;
    for (i, time) in sorted.iter().enumerate() {
        let (x, y) = (plot.at_x(*time), plot.at_y((i + 1) as f64 * 100.0 / sorted.len() as f64));
        if path.is_empty() {
            path = format!("M{x:.1} {:.1}V{y:.1}", plot.at_y(0.0));
            last = x;
        } else if x - last >= NARROWEST || i + 1 == sorted.len() {
            path.push_str(&format!("H{x:.1}V{y:.1}"));
            last = x;
        }
    }
    path
}
