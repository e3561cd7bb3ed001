//! Which charts stand in which section.

mod starts;
mod sweep;

use super::super::overview::{Entry, entries};
use super::super::tables::Section;
use super::bars::{Bar, Rows, bars, longest, swatch};
use super::lines::{Line, Point, distributions, lines};
use super::page::folded;
use super::plot::{Axis, GREY, Title};
use super::{MOST_OPEN, scatter};
use crate::format::{estimate, optional, percent, significant};
use crate::percentile::{Estimate, median_of_sorted, sorted};
use crate::report::{CeilingUnit, LoadKind, Report, StageRow};
use crate::samples::Sample;
use crate::steadiness::Status;

/// Colours of a subject, and of a peer with the same answers.
const SUBJECT: usize = 0;
const PEER: usize = 4;

/// The charts of a table.
pub(super) fn of(page: &mut String, section: Section, report: &Report) {
    match section {
        Section::Overview => overview(page, &entries(report)),
        Section::Efforts
        | Section::Identity
        | Section::Subjects
        | Section::Servers
        | Section::ColdStages
        | Section::StageMeans
        | Section::ServerSides => {}
        Section::Cold => starts::cold(page, &report.cold),
        Section::Steady => steady(page, report),
        Section::Stages(i) => report.stages.get(i).into_iter().for_each(|row| stages(page, row)),
        Section::Sweep(i) => report.sweeps.get(i).into_iter().for_each(|row| sweep::sweep(page, row)),
        Section::Loads => {
            loads(page, report, |kind| kind != LoadKind::Closed);
            loads(page, report, |kind| kind == LoadKind::Closed);
        }
        Section::Peers => peers(page, report),
        Section::Ceilings => ceilings(page, report),
    }
}

fn overview(page: &mut String, entries: &[Entry<'_>]) {
    let colour = |entry: &Entry<'_>| match (entry.program, entry.parity.is_some_and(|parity| parity.is_equal())) {
        (None, _) => SUBJECT,
        (Some(_), true) => PEER,
        (Some(_), false) => GREY,
    };
    let bar = |entry: &Entry<'_>| {
        let p50 = entry.p50_ms?;
        let status = entry.verdict.status;
        let note = if status == Status::Valid { String::new() } else { format!(" · {}", status.name()) };
        Some(median_bar(format!("{}{note}", entry.name), &p50, colour(entry)))
    };
    let rows: Vec<Bar> = entries.iter().filter_map(bar).collect();
    let own = if entries.iter().any(|entry| entry.subject.server.is_some()) { "the first server" } else { "maskline" };
    let kinds = [(SUBJECT, own), (PEER, "other programs, same answers"), (GREY, "other programs, answers not shown to be the same")];
    let present = kinds.into_iter().filter(|(index, _)| entries.iter().any(|entry| colour(entry) == *index));
    let legend: Vec<(String, String)> = present.map(|(index, name)| (swatch(index), name.to_owned())).collect();
    medians(page, "Median latency of a call", &Rows { bars: &rows, legend: &legend });
}

fn median_bar(name: String, p50: &Estimate, colour: usize) -> Bar {
    let (figure, whisker) = (format!("{} ms", estimate(p50)), Some([p50.low, p50.high]));
    Bar { name, figure, parts: vec![(p50.value, colour)], whisker, mark: None }
}

fn medians(page: &mut String, heading: &str, rows: &Rows<'_>) {
    if !rows.bars.is_empty() {
        let title = Title { heading, detail: "Thin lines are 95 % intervals. Shorter is better." };
        bars(page, &title, Axis::from_zero("median latency (ms)", longest(rows.bars)), rows);
    }
}

fn steady(page: &mut String, report: &Report) {
    /// Calls whose medians differ by more share no chart: both would be a vertical line.
    const FARTHEST: f64 = 3.0;
    /// More lines than this cannot be told apart.
    const MOST: usize = 6;
    let with_samples = || report.steady.iter().filter_map(|row| Some((row, row.samples.as_ref()?)));
    let times = |samples: &[Sample]| sorted(samples.iter().map(Sample::milliseconds));
    let mut series: Vec<(String, Vec<f64>)> = with_samples().map(|(row, own)| (row.name.clone(), times(own.steady()))).collect();
    series.retain(|(_, times)| !times.is_empty());
    series.sort_by(|(_, a), (_, b)| median_of_sorted(a).total_cmp(&median_of_sorted(b)));
    for alike in
        series.chunk_by(|(_, a), (_, b)| median_of_sorted(b) <= FARTHEST * median_of_sorted(a)).flat_map(|alike| alike.chunks(MOST))
    {
        let title = Title { heading: "Distribution of latencies", detail: "Share of the steady calls that took at most so long." };
        let axis = Axis::around("latency (ms)", alike.iter().flat_map(|(_, times)| times.iter().copied()));
        distributions(page, &title, axis, alike);
    }
    for (i, (row, own)) in with_samples().enumerate() {
        let heading = format!("Every call of {}", row.name);
        let title = Title { heading: &heading, detail: &row.verdict.reason };
        let draw = |page: &mut String| scatter::samples(page, &title, own, &[("p50", row.summary.p50_ms), ("p99", row.summary.p99_ms)]);
        if i < MOST_OPEN { draw(page) } else { folded(page, &heading, draw) }
    }
}

fn stages(page: &mut String, row: &StageRow) {
    let bar = |stage: &crate::report::Stage, colour: usize| Bar {
        name: stage.name.clone(),
        figure: format!("p50 {}, p99 {} ms", optional(stage.p50_ms.as_ref()), optional(stage.p99_ms.as_ref())),
        parts: stage.p50_ms.iter().map(|p50| (p50.value, colour)).collect(),
        whisker: stage.p50_ms.zip(stage.p99_ms).map(|(p50, p99)| [p50.value, p99.value]),
        mark: None,
    };
    let mut rows: Vec<Bar> = row.stages.iter().map(|stage| bar(stage, 0)).collect();
    rows.push(Bar {
        name: "unaccounted (mean)".to_owned(),
        figure: format!("{} ms", significant(row.unaccounted_ms)),
        parts: vec![(row.unaccounted_ms, GREY)],
        ..Bar::default()
    });
    rows.push(bar(&row.end_to_end, 2));
    let heading = format!("Stages of {}", row.name);
    let title = Title { heading: &heading, detail: "Bars are medians; the thin line reaches to p99." };
    let axis = Axis::from_zero("time (ms)", longest(&rows));
    bars(page, &title, axis, &Rows { bars: &rows, legend: &[] });
}

/// All that the vertical axis must show.
fn ends(series: &[Line]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|line| line.points.iter().flat_map(|point| [point.y.value, point.y.high]))
}

fn loads(page: &mut String, report: &Report, is_shown: impl Fn(LoadKind) -> bool) {
    let curves: Vec<_> = report.loads.iter().filter(|curve| is_shown(curve.kind)).collect();
    let Some(first) = curves.first() else { return };
    let line = |colour: usize, curve: &crate::report::LoadCurve, p99: bool| {
        let figure = |point: &crate::report::LoadPoint| if p99 { point.summary.p99_ms } else { point.summary.p50_ms };
        let point = |point: &crate::report::LoadPoint| {
            let is_hollow = point.verdict.status != Status::Valid;
            figure(point).map(|y: Estimate| Point { x: point.offered, y, is_hollow })
        };
        let name = format!("{}: {}", curve.name, if p99 { "p99" } else { "p50" });
        Line { name, points: curve.points.iter().filter_map(point).collect(), colour, is_dashed: p99 }
    };
    let series: Vec<Line> = curves.iter().enumerate().flat_map(|(i, curve)| [line(i, curve, false), line(i, curve, true)]).collect();
    let most = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.offered)).fold(0.0, f64::max);
    let is_open = first.kind != LoadKind::Closed;
    let heading = if is_open { "Latency over the rate of requests" } else { "Latency over the number of callers" };
    let from = if is_open { "Open loop: latency from the intended start." } else { "Closed loop: callers wait for their answers." };
    let detail = format!("{from} Hollow marks: not steady. p99 is left out where there are too few samples.");
    let axes = [Axis::from_zero(first.kind.load(), most), Axis::spanning("latency (ms)", ends(&series))];
    lines(page, &Title { heading, detail: &detail }, axes, &series);
}

/// Peers that the overview does not show.
fn peers(page: &mut String, report: &Report) {
    let entries = entries(report);
    let shown: Vec<&str> = entries.iter().filter(|entry| entry.program.is_some()).map(|entry| entry.name).collect();
    let mut rows = Vec::new();
    for own in &report.steady {
        let is_own = |peer: &&crate::report::Peer| peer.compared_with == own.name && !shown.contains(&peer.name.as_str());
        let others: Vec<_> = report.peers.iter().filter(is_own).collect();
        if let (Some(p50), false) = (&own.summary.p50_ms, others.is_empty()) {
            let is_served = report.identity.subjects.iter().any(|subject| subject.name == own.subject && subject.server.is_some());
            rows.push(median_bar(if is_served { own.name.clone() } else { format!("maskline, {}", own.name) }, p50, SUBJECT));
        }
        for peer in others {
            let is_equal = peer.parity.as_ref().is_some_and(|parity| parity.is_equal());
            let note = if is_equal { "" } else { " – answers not shown to be the same" };
            let bar = |p50: &Estimate| median_bar(format!("{}{note}", peer.name), p50, if is_equal { PEER } else { GREY });
            rows.extend(peer.summary.p50_ms.as_ref().map(bar));
        }
    }
    medians(page, "Median latency beside other programs", &Rows { bars: &rows, legend: &[] });
}

fn ceilings(page: &mut String, report: &Report) {
    let colour = |unit: CeilingUnit| if unit == CeilingUnit::Gigaflops { 0 } else { 1 };
    let bar = |row: &crate::report::Ceiling| {
        let share = row.share()?;
        let figure = format!("{} of {} {}, {}", significant(row.achieved), significant(row.limit), row.unit.name(), percent(share));
        let name = format!("{} · {}", row.name, row.subject);
        Some(Bar { name, figure, parts: vec![(share * 100.0, colour(row.unit))], ..Bar::default() })
    };
    let rows: Vec<Bar> = report.ceilings.iter().filter_map(bar).collect();
    if !rows.is_empty() {
        let title =
            Title { heading: "Share of the hardware's limits", detail: "Measured on the same machine by loops that do nothing else." };
        let axis = Axis::from_zero("share of the limit (%)", longest(&rows).max(100.0));
        let legend = [(0, "arithmetic (GFLOP/s)"), (1, "memory (GB/s)")].map(|(index, name)| (swatch(index), name.to_owned()));
        bars(page, &title, axis, &Rows { bars: &rows, legend: &legend });
    }
}
