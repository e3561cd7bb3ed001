//! The samples of a run over time: warm-up and steady apart, nothing left out.

use std::collections::BTreeSet;

use super::plot::{Axis, Plot, Title, colour};
use crate::percentile::Estimate;
use crate::samples::{Sample, Series, milliseconds};

const HEIGHT: f64 = 250.0;
const WARM_UP: usize = 1;
const STEADY: usize = 0;

/// Draws all samples, with lines at the percentiles given by name.
pub(super) fn samples(page: &mut String, title: &Title<'_>, series: &Series, levels: &[(&str, Option<Estimate>)]) {
    let all = || series.warm_up().iter().chain(series.steady());
    let end = all().map(|sample| milliseconds(sample.end()) / 1e3).fold(0.0, f64::max);
    let mut plot =
        Plot::new(Axis::until("start of the call (s)", end), Some(Axis::spanning("latency (ms)", all().map(Sample::milliseconds))), HEIGHT);
    let warm_up_end = series.steady().first().map_or(0.0, |first| milliseconds(first.start) / 1e3);
    if !series.warm_up().is_empty() {
        let [left, _, top, bottom] = plot.frame();
        let (width, height) = (plot.at_x(warm_up_end) - left, bottom - top);
        plot.draw(format_args!(
            "<rect class=\"shade {}\" x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"/>",
            colour(WARM_UP)
        ));
    }
    for (part, colour_index) in [(series.warm_up(), WARM_UP), (series.steady(), STEADY)] {
        let path = dots(&plot, part);
        plot.draw(format_args!("<path class=\"dots {}\" d=\"{path}\"/>", colour(colour_index)));
    }
    let [left, right, ..] = plot.frame();
    let mut last = f64::INFINITY;
    for (name, level) in levels {
        let Some(level) = level else { continue };
        let y = plot.at_y(level.value);
        plot.draw(format_args!("<line class=\"level\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>"));
        // Names of levels that nearly touch would cover each other.
        if last - y >= 13.0 {
            plot.draw(format_args!(
                "<text class=\"strong\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                right - 4.0,
                y - 4.0
            ));
            last = y;
        }
    }
    let sign = |index: usize| format!("<path class=\"dots {}\" d=\"M6 6h0M13 6h0M20 6h0\"/>", colour(index));
    let names = [(WARM_UP, "warm-up", series.warm_up().len()), (STEADY, "steady", series.steady().len())];
    let present = names.into_iter().filter(|(_, _, count)| *count > 0);
    let legend: Vec<(String, String)> = present.map(|(index, name, count)| (sign(index), format!("{name} ({count})"))).collect();
    plot.figure(page, title, &legend);
}

/// A dot per sample. Those at the same place are one dot.
fn dots(plot: &Plot, samples: &[Sample]) -> String {
    let place = |sample: &Sample| {
        let (x, y) = (plot.at_x(milliseconds(sample.start) / 1e3), plot.at_y(sample.milliseconds()));
        [(x * 2.0).round() as i64, (y * 2.0).round() as i64]
    };
    let places: BTreeSet<[i64; 2]> = samples.iter().map(place).collect();
    places.into_iter().map(|[x, y]| format!("M{} {}h0", x as f64 / 2.0, y as f64 / 2.0)).collect()
}
