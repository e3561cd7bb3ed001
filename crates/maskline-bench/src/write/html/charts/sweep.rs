//! A figure over a parameter: lines over numbers, bars over names.

use super::super::super::tables::{place_name, places};
use super::super::bars::{Bar, Groups, groups, swatch};
use super::super::lines::{Line, Point, lines};
use super::super::plot::{Axis, Title};
use super::ends;
use crate::format::estimate;
use crate::report::{Curve, CurvePoint, Sweep};

pub(super) fn sweep(page: &mut String, sweep: &Sweep) {
    if sweep.places.is_some() { bars_over_names(page, sweep) } else { lines_over_numbers(page, sweep) }
}

fn label(sweep: &Sweep) -> String {
    format!("{} ({})", sweep.unit.quantity(), sweep.unit.name())
}

fn lines_over_numbers(page: &mut String, sweep: &Sweep) {
    let point = |point: &CurvePoint| Point { x: point.at, y: point.figure, is_hollow: false };
    let line = |colour: usize, curve: &Curve| Line {
        name: curve.name.clone(),
        points: curve.points.iter().map(point).collect(),
        colour,
        is_dashed: colour % 2 == 1,
    };
    let series: Vec<Line> = sweep.curves.iter().enumerate().map(|(i, curve)| line(i, curve)).collect();
    let axes = [Axis::at_values(&sweep.parameter, &places(sweep)), Axis::spanning(label(sweep), ends(&series))];
    lines(page, &Title { heading: &sweep.name, detail: "Upright lines are 95 % intervals." }, axes, &series);
}

fn bars_over_names(page: &mut String, sweep: &Sweep) {
    let bar = |at: f64, i: usize, curve: &Curve| {
        let CurvePoint { figure, .. } = curve.points.iter().find(|point| point.at == at)?;
        let parts = vec![(figure.value, i)];
        Some(Bar { figure: estimate(figure), parts, whisker: Some([figure.low, figure.high]), ..Bar::default() })
    };
    let group = |at: f64| {
        let bars = sweep.curves.iter().enumerate().filter_map(|(i, curve)| bar(at, i, curve)).collect();
        (place_name(sweep, at), bars)
    };
    let all: Vec<(String, Vec<Bar>)> = places(sweep).into_iter().map(group).collect();
    let legend: Vec<(String, String)> = sweep.curves.iter().enumerate().map(|(i, curve)| (swatch(i), curve.name.clone())).collect();
    let detail = format!("By {}. Thin lines are 95 % intervals.", sweep.parameter);
    groups(page, &Title { heading: &sweep.name, detail: &detail }, &label(sweep), &Groups { groups: &all, legend: &legend });
}
