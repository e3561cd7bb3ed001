//! Which charts stand in which section.

use super::bars::{Bar, bars};
use super::lines::{Line, Point, distributions, lines};
use super::plot::{Axis, COLOURS, Title};
use super::scatter;
use crate::format::{estimate, optional, percent, significant};
use crate::percentile::{Estimate, median_of_sorted, sorted};
use crate::report::{CeilingUnit, LoadKind, Report, StageRow, Sweep};
use crate::samples::Sample;
use crate::steadiness::Status;
use crate::write::tables::Section;

/// The charts of a table.
pub(super) fn of(page: &mut String, section: Section, report: &Report) {
    match section {
        Section::Identity | Section::Subjects => {}
        Section::Cold => cold(page, report),
        Section::Steady => steady(page, report),
        Section::Stages(i) => report.stages.get(i).into_iter().for_each(|row| stages(page, row)),
        Section::Sweep(i) => report.sweeps.get(i).into_iter().for_each(|row| sweep(page, row)),
        Section::Loads => {
            loads(page, report, |kind| kind != LoadKind::Closed);
            loads(page, report, |kind| kind == LoadKind::Closed);
        }
        Section::Peers => peers(page, report),
        Section::Ceilings => ceilings(page, report),
    }
}

fn cold(page: &mut String, report: &Report) {
    let mut names = Vec::<&str>::new();
    for stage in report.cold.iter().flat_map(|row| &row.stages) {
        if !names.contains(&stage.name.as_str()) {
            names.push(&stage.name);
        }
    }
    // More parts than colours: the rest share the last.
    let colour = |name: &str| names.iter().position(|own| *own == name).unwrap_or(0).min(COLOURS - 1);
    let row = |row: &crate::report::Cold| Bar {
        name: format!("{}, cache {}", row.name, row.cache.name()),
        figure: format!("{} ms, {} runs", significant(row.stages.iter().map(|stage| stage.mean_ms).sum()), row.runs),
        parts: row.stages.iter().map(|stage| (stage.mean_ms, colour(&stage.name))).collect(),
        whisker: None,
    };
    let rows: Vec<Bar> = report.cold.iter().map(row).collect();
    let mut legend: Vec<String> = names.iter().take(COLOURS).map(|&name| name.to_owned()).collect();
    if let (Some(last), true) = (legend.last_mut(), names.len() > COLOURS) {
        *last = format!("{} and later parts", names[COLOURS - 1]);
    }
    let legend: Vec<&str> = legend.iter().map(String::as_str).collect();
    let title = Title { heading: "Where the time of a start goes", detail: "Means over fresh processes, since means add up." };
    let axis = Axis::from_zero("time from the start of the process (ms)", longest(&rows));
    bars(page, &title, axis, (&rows, &legend));
}

fn longest(rows: &[Bar]) -> f64 {
    let length = |row: &Bar| row.parts.iter().map(|part| part.0).sum::<f64>().max(row.whisker.map_or(0.0, |[_, high]| high));
    rows.iter().map(length).fold(0.0, f64::max)
}

fn steady(page: &mut String, report: &Report) {
    /// Calls whose medians differ by more share no chart: both would be a vertical line.
    const FARTHEST: f64 = 3.0;
    let with_samples = || report.steady.iter().filter_map(|row| Some((row, row.samples.as_ref()?)));
    let times = |samples: &[Sample]| sorted(samples.iter().map(Sample::milliseconds));
    let mut series: Vec<(String, Vec<f64>)> = with_samples().map(|(row, own)| (row.name.clone(), times(own.steady()))).collect();
    series.retain(|(_, times)| !times.is_empty());
    series.sort_by(|(_, a), (_, b)| median_of_sorted(a).total_cmp(&median_of_sorted(b)));
    for alike in series.chunk_by(|(_, a), (_, b)| median_of_sorted(b) <= FARTHEST * median_of_sorted(a)) {
        let title = Title { heading: "Distribution of latencies", detail: "Share of the steady calls that took at most so long." };
        let axis = Axis::around("latency (ms)", alike.iter().flat_map(|(_, times)| times.iter().copied()));
        distributions(page, &title, axis, alike);
    }
    for (row, own) in with_samples() {
        let heading = format!("Every call of {}", row.name);
        let title = Title { heading: &heading, detail: &row.verdict.reason };
        scatter::samples(page, &title, (own, &[("p50", row.summary.p50_ms), ("p99", row.summary.p99_ms)]));
    }
}

fn stages(page: &mut String, row: &StageRow) {
    let bar = |stage: &crate::report::Stage, colour: usize| Bar {
        name: stage.name.clone(),
        figure: format!("p50 {}, p99 {} ms", optional(stage.p50_ms.as_ref()), optional(stage.p99_ms.as_ref())),
        parts: stage.p50_ms.iter().map(|p50| (p50.value, colour)).collect(),
        whisker: stage.p50_ms.zip(stage.p99_ms).map(|(p50, p99)| [p50.value, p99.value]),
    };
    let mut rows: Vec<Bar> = row.stages.iter().map(|stage| bar(stage, 0)).collect();
    rows.push(Bar {
        name: "unaccounted (mean)".to_owned(),
        figure: format!("{} ms", significant(row.unaccounted_ms)),
        parts: vec![(row.unaccounted_ms, 7)],
        whisker: None,
    });
    rows.push(bar(&row.end_to_end, 2));
    let heading = format!("Stages of {}", row.name);
    let title = Title { heading: &heading, detail: "Bars are medians; the thin line reaches to p99." };
    let axis = Axis::from_zero("time (ms)", longest(&rows));
    bars(page, &title, axis, (&rows, &[]));
}

fn sweep(page: &mut String, sweep: &Sweep) {
    let point = |point: &crate::report::CurvePoint| Point { x: point.at, y: point.figure, is_hollow: false };
    let curve = |(i, curve): (usize, &crate::report::Curve)| Line {
        name: curve.name.clone(),
        points: curve.points.iter().map(point).collect(),
        colour: i,
        is_dashed: i % 2 == 1,
    };
    let series: Vec<Line> = sweep.curves.iter().enumerate().map(curve).collect();
    let places: Vec<f64> = series.iter().flat_map(|line| line.points.iter().map(|point| point.x)).collect();
    let label = format!("{} ({})", sweep.unit.quantity(), sweep.unit.name());
    let axes = [Axis::at_values(&sweep.parameter, &places), Axis::spanning(label, ends(&series))];
    lines(page, &Title { heading: &sweep.name, detail: "Bars are 95 % intervals." }, axes, &series);
}

/// All that the vertical axis must show.
fn ends(series: &[Line]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|line| line.points.iter().flat_map(|point| [point.y.value, point.y.high]))
}

fn loads(page: &mut String, report: &Report, is_shown: impl Fn(LoadKind) -> bool) {
    let curves: Vec<_> = report.loads.iter().filter(|curve| is_shown(curve.kind)).collect();
    let Some(first) = curves.first() else { return };
    let line = |(i, curve): (usize, &&crate::report::LoadCurve), p99: bool| {
        let figure = |point: &crate::report::LoadPoint| if p99 { point.summary.p99_ms } else { point.summary.p50_ms };
        let point = |point: &crate::report::LoadPoint| {
            let is_hollow = point.verdict.status != Status::Valid;
            figure(point).map(|y: Estimate| Point { x: point.offered, y, is_hollow })
        };
        let name = format!("{}: {}", curve.name, if p99 { "p99" } else { "p50" });
        Line { name, points: curve.points.iter().filter_map(point).collect(), colour: i, is_dashed: p99 }
    };
    let series: Vec<Line> = curves.iter().enumerate().flat_map(|curve| [line(curve, false), line(curve, true)]).collect();
    let most = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.offered)).fold(0.0, f64::max);
    let is_open = first.kind != LoadKind::Closed;
    let heading = if is_open { "Latency over the rate of requests" } else { "Latency over the number of callers" };
    let from = if is_open { "Open loop: latency from the intended start." } else { "Closed loop: callers wait for their answers." };
    let detail = format!("{from} Hollow marks: not steady. p99 is left out where there are too few samples.");
    let axes = [Axis::from_zero(first.kind.load(), most), Axis::spanning("latency (ms)", ends(&series))];
    lines(page, &Title { heading, detail: &detail }, axes, &series);
}

fn peers(page: &mut String, report: &Report) {
    let bar = |name: &str, p50: &Estimate, (note, colour): (&str, usize)| Bar {
        name: format!("{name}{note}"),
        figure: format!("{} ms", estimate(p50)),
        parts: vec![(p50.value, colour)],
        whisker: Some([p50.low, p50.high]),
    };
    let mut rows = Vec::new();
    for own in &report.steady {
        let others: Vec<_> = report.peers.iter().filter(|peer| peer.compared_with == own.name).collect();
        if let (Some(p50), false) = (&own.summary.p50_ms, others.is_empty()) {
            rows.push(bar(&format!("maskline, {}", own.name), p50, ("", 0)));
        }
        for peer in others {
            let is_equal = peer.parity.as_ref().is_some_and(|parity| parity.is_equal());
            let note = if is_equal { "" } else { " – answers not shown to be the same" };
            rows.extend(peer.summary.p50_ms.as_ref().map(|p50| bar(&peer.name, p50, (note, if is_equal { 4 } else { 7 }))));
        }
    }
    if !rows.is_empty() {
        let title = Title { heading: "Median latency beside other programs", detail: "Thin lines are 95 % intervals. Shorter is better." };
        let axis = Axis::from_zero("median latency (ms)", longest(&rows));
        bars(page, &title, axis, (&rows, &[]));
    }
}

fn ceilings(page: &mut String, report: &Report) {
    let colour = |unit: CeilingUnit| if unit == CeilingUnit::Gigaflops { 0 } else { 1 };
    let bar = |row: &crate::report::Ceiling| {
        let share = row.share()?;
        let figure = format!("{} of {} {}, {}", significant(row.achieved), significant(row.limit), row.unit.name(), percent(share));
        Some(Bar { name: row.name.clone(), figure, parts: vec![(share * 100.0, colour(row.unit))], whisker: None })
    };
    let rows: Vec<Bar> = report.ceilings.iter().filter_map(bar).collect();
    if !rows.is_empty() {
        let title =
            Title { heading: "Share of the hardware's limits", detail: "Measured on the same machine by loops that do nothing else." };
        let axis = Axis::from_zero("share of the limit (%)", longest(&rows).max(100.0));
        bars(page, &title, axis, (&rows, &["arithmetic (GFLOP/s)", "memory (GB/s)"]));
    }
}
