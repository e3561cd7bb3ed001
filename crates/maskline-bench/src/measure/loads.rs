//! Calls at once: closed loops with several callers, open loops at given rates.

use std::time::Duration;

use maskline::{Error, ErrorKind, Result};

use super::lanes::wrapped;
use super::plan::Load;
use super::process::Watched;
use super::subjects::Subjects;
use super::{Room, Running};
use crate::load::{Arrivals, schedule};
use crate::report::{LoadCurve, LoadKind, LoadPoint, Report};
use crate::samples::{Sample, Summary, milliseconds};
use crate::steadiness::{Options, judge};
use crate::worker::{LoadCall, Message, Order, Track};

/// Threads that make the calls of an open loop: a model that is this far behind is beyond its limit.
const WORKERS: usize = 64;

impl Room<'_> {
    pub(super) fn loads(&self, running: &[Running], subjects: &Subjects, report: &mut Report) -> Result<()> {
        let rows: Vec<_> = subjects.all.iter().flat_map(|one| one.tracks.iter().map(move |track| (one, track))).collect();
        let total = (rows.len() * self.plan.loads.len()).max(1) as f64;
        let mut done = 0.0;
        for (one, (name, track)) in rows {
            for load in &self.plan.loads {
                (self.tell)("loads", done / total);
                done += 1.0;
                let (kind, point) = self.point(&running[one.process], *track, *load)?;
                let name = format!("{name}, {}", kind.name());
                match report.loads.iter_mut().find(|curve| curve.name == name) {
                    Some(curve) => curve.points.push(point),
                    None => report.loads.push(LoadCurve { name, subject: one.subject.name.clone(), kind, points: vec![point] }),
                }
            }
        }
        report.loads.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.offered.total_cmp(&b.offered)));
        Ok(())
    }

    fn point(&self, running: &Running, track: Track, load: Load) -> Result<(LoadKind, LoadPoint)> {
        let seconds = self.plan.seconds.max(1.0);
        let (kind, offered, order) = match load {
            Load::Closed { callers } => (LoadKind::Closed, callers as f64, Order::Closed { track, callers, seconds }),
            Load::Open { rate, arrivals } => {
                let kind = match arrivals {
                    Arrivals::Constant => LoadKind::Constant,
                    Arrivals::Poisson { .. } => LoadKind::Poisson,
                };
                let count = ((rate * seconds).ceil() as usize).max(1);
                let arrivals = wrapped(schedule(arrivals, rate, count))?;
                (kind, rate, Order::Open { track, arrivals, workers: WORKERS })
            }
        };
        let Watched { message, threads } = running.worker.borrow_mut().order_watched(&order)?;
        let Message::Load { calls, errors } = message else { return Err(running.worker.borrow().unexpected()) };
        let samples: Vec<Sample> = calls.iter().filter(|call| call.is_ok).map(sample).collect();
        if samples.is_empty() {
            let why = errors.first().map_or("there were no calls", String::as_str);
            return Err(Error::new(ErrorKind::Failed, format!("no call of the load was answered: {why}")));
        }
        // Arrivals at random have no steady rate to be judged by.
        let options = Options { is_rate_judged: kind == LoadKind::Closed, ..Options::default() };
        let judgement = wrapped(judge(&samples, &options))?;
        let steady = judgement.series.steady();
        // As the latencies are: without what was warm-up.
        let since = steady.first().map_or(Duration::ZERO, |first| first.start);
        let counted = || calls.iter().filter(|call| call.is_ok && call.intended >= since);
        let point = LoadPoint {
            offered,
            achieved_per_second: achieved(&calls),
            summary: wrapped(Summary::of(steady))?,
            queue_ms: mean(counted().filter_map(|call| call.queue).map(milliseconds)),
            rows_together: mean(counted().filter_map(|call| call.rows_together).map(|rows| rows as f64)),
            threads,
            errors: calls.len() - samples.len(),
            verdict: judgement.verdict,
            server: None,
        };
        Ok((kind, point))
    }
}

fn sample(call: &LoadCall) -> Sample {
    Sample { start: call.intended, duration: call.end.saturating_sub(call.intended), input: call.input }
}

/// Answers per second, from the first intended start to the last end.
fn achieved(calls: &[LoadCall]) -> f64 {
    let first = calls.iter().map(|call| call.intended).min().unwrap_or_default();
    let last = calls.iter().map(|call| call.end).max().unwrap_or_default();
    let time: Duration = last.saturating_sub(first);
    let answers = calls.iter().filter(|call| call.is_ok).count() as f64;
    if time.is_zero() { 0.0 } else { answers / time.as_secs_f64() }
}

/// `None` of nothing.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
