//! What servers say of the calls that were made of them.

use super::super::table::{Column, Table};
use super::NONE;
use crate::format::{NOT_AVAILABLE, significant};
use crate::report::{LoadCurve, LoadPoint, ServerSide, Told};

/// One row per load of a server; none of models that no server ran.
pub(super) fn sides(curves: &[LoadCurve]) -> Table {
    let columns = vec![
        Column::words("curve", 0),
        Column::number("offered", 0),
        Column::number("call (ms)", 0),
        Column::number("queue", 2),
        Column::number("input", 3),
        Column::number("infer", 2),
        Column::number("output", 3),
        Column::number("overhead (ms)", 0),
        Column::number("rows per run", 1),
        Column::words("not answered", 1),
    ];
    let rows = curves.iter().flat_map(|curve| curve.points.iter().filter_map(move |point| cells(curve, point)));
    let note = "Means per call, warm-up too. Call: from sending to the whole answer, without waiting for a free connection. Queue, input, infer \
                and output are what the server says; overhead is what it does not: the network, HTTP, reading and writing of messages. Not \
                answered, by status: such calls have no latency.";
    Table::new("What the servers say", note, columns).keyed(2).rows(rows)
}

fn cells(curve: &LoadCurve, point: &LoadPoint) -> Option<Vec<String>> {
    let side: &ServerSide = point.server.as_ref()?;
    let figure = |value: Option<f64>| value.map_or_else(|| NOT_AVAILABLE.to_owned(), significant);
    let told = |of: fn(&Told) -> f64| figure(side.told.as_ref().map(of));
    let unanswered = Some(side.unanswered()).filter(|text| !text.is_empty());
    Some(vec![
        curve.name.clone(),
        significant(point.offered),
        significant(side.call_ms),
        told(|told| told.queue_ms),
        told(|told| told.compute_input_ms),
        told(|told| told.compute_infer_ms),
        told(|told| told.compute_output_ms),
        figure(side.overhead_ms()),
        figure(side.told.and_then(|told| told.rows_per_run)),
        unanswered.unwrap_or_else(|| NONE.to_owned()),
    ])
}
