//! Loads of servers in turns.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use maskline::Result;

use super::statistics::Counts;
use super::target::Target;
use crate::load::{Arrivals, ClosedLoop, Limit, OpenLoop, RealClock, Record, run_closed, run_open, schedule};
use crate::measure::Load;
use crate::measure::lanes::{Caller, MOST_ERRORS, Turn, wrapped};
use crate::report::{LoadKind, ServerSide};
use crate::samples::milliseconds;
use crate::worker::Call;

/// Connections of an open loop: a server that is this far behind is beyond its limit.
pub(super) const WORKERS: usize = 64;
/// Length of a turn in seconds, at least: each begins with an idle server and ends when all is answered.
const TURN: f64 = 2.0;
/// So many times as long as a call, so that beginning and end are little of it.
const CALLS: f64 = 10.0;

/// What became of the calls of a row.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    answered: usize,
    unanswered: BTreeMap<String, usize>,
    /// From sending to the answer, of all that were answered.
    call_time: Duration,
    /// Length of its turns.
    elapsed: Duration,
    counts: Option<Counts>,
    /// What the first failed call said.
    pub(super) message: Option<String>,
}

impl Tally {
    fn add(&mut self, record: &Record, unanswered: BTreeMap<String, usize>) {
        let answered = record.calls.iter().filter(|call| call.is_ok);
        self.call_time += answered.map(|call| call.end.saturating_sub(call.start)).sum::<Duration>();
        self.answered += record.calls.len() - record.errors();
        self.elapsed += length(record);
        for (what, count) in unanswered {
            *self.unanswered.entry(what).or_default() += count;
        }
        if self.message.is_none() {
            self.message = record.messages.first().cloned();
        }
    }

    /// Calls without an answer.
    pub(super) fn errors(&self) -> usize {
        self.unanswered.values().sum()
    }

    /// Answers per second of the row's own time.
    pub(super) fn achieved_per_second(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.answered as f64 / self.elapsed.as_secs_f64() }
    }

    fn mean_call(&self) -> Duration {
        self.call_time.checked_div(u32::try_from(self.answered).unwrap_or(u32::MAX)).unwrap_or_default()
    }

    /// Requests that found an embedding, as the server counts.
    pub(super) fn cache_hits(&self) -> u64 {
        self.counts.map_or(0, |counts| counts.cache_hits.max(0.0) as u64)
    }

    /// As a report has it.
    pub(super) fn side(&self) -> ServerSide {
        ServerSide {
            unanswered: self.unanswered.clone(),
            call_ms: milliseconds(self.mean_call()),
            told: self.counts.and_then(|counts| counts.told()),
        }
    }
}

/// From the start of a turn to the last answer.
fn length(record: &Record) -> Duration {
    record.calls.iter().map(|call| call.end).max().unwrap_or_default()
}

/// The load of a row.
pub(super) struct Loader<'a> {
    pub(super) target: &'a Target<'a>,
    pub(super) model: &'a str,
    pub(super) load: Load,
    /// Of the row, in seconds.
    pub(super) seconds: f64,
    /// Whether nobody else takes turns.
    pub(super) is_alone: bool,
    pub(super) tally: &'a RefCell<Tally>,
    /// How many turns there were.
    pub(super) turns: u64,
}

impl Loader<'_> {
    /// Of the next turn, in seconds. A row that is alone has one, so that the queue of an open loop grows as it does in earnest.
    fn length(&self) -> f64 {
        let seconds = self.seconds.max(0.01);
        let turn = TURN.max(CALLS * self.tally.borrow().mean_call().as_secs_f64());
        if self.is_alone { seconds } else { turn.min(seconds) }
    }

    fn run(&self, seconds: f64) -> Result<Record> {
        let clock = RealClock::default();
        match self.load {
            Load::Closed { callers } => {
                let limit = Limit::Time(Duration::from_secs_f64(seconds));
                wrapped(run_closed(self.target, &clock, &ClosedLoop { concurrency: callers, limit }))
            }
            Load::Open { rate, arrivals } => {
                let count = ((rate * seconds).ceil() as usize).max(1);
                // Another schedule in each turn, the same for all rows that take one.
                let arrivals = match arrivals {
                    Arrivals::Poisson { seed } => Arrivals::Poisson { seed: seed.wrapping_add(self.turns) },
                    Arrivals::Constant => Arrivals::Constant,
                };
                let arrivals = wrapped(schedule(arrivals, rate, count))?;
                wrapped(run_open(self.target, &clock, &OpenLoop { arrivals, workers: WORKERS }))
            }
        }
    }
}

impl Caller for Loader<'_> {
    fn turn(&mut self, _: usize, _: f64) -> Result<Turn> {
        let before = Counts::now(self.target.server, self.model);
        let record = self.run(self.length())?;
        let after = Counts::now(self.target.server, self.model);
        self.turns += 1;
        let mut tally = self.tally.borrow_mut();
        tally.add(&record, self.target.take_unanswered());
        if let (Some(before), Some(after)) = (before, after) {
            *tally.counts.get_or_insert_default() += after - before;
        }
        let mut calls: Vec<_> = record.calls.iter().filter(|call| call.is_ok).collect();
        calls.sort_by_key(|call| call.intended);
        let of_turn = |call: &&crate::load::Call| Call {
            start_ms: milliseconds(call.intended),
            total_ms: milliseconds(call.end.saturating_sub(call.intended)),
            picture: call.input,
            stages_ms: Vec::new(),
        };
        // Refusals are counted and end nothing; a turn without any answer is enough.
        let errors = if calls.is_empty() { vec![record.messages.join(", "); MOST_ERRORS] } else { Vec::new() };
        Ok(Turn { stages: Vec::new(), calls: calls.iter().map(of_turn).collect(), elapsed_ms: milliseconds(length(&record)), errors })
    }
}

/// Callers at once.
pub(super) fn callers(load: Load) -> usize {
    match load {
        Load::Closed { callers } => callers,
        Load::Open { .. } => WORKERS,
    }
}

/// Of a report, with the load as its number: callers, or requests per second.
pub(super) fn kind(load: Load) -> Kind {
    match load {
        Load::Closed { callers } => Kind { kind: LoadKind::Closed, offered: callers as f64 },
        Load::Open { rate, arrivals: Arrivals::Constant } => Kind { kind: LoadKind::Constant, offered: rate },
        Load::Open { rate, arrivals: Arrivals::Poisson { .. } } => Kind { kind: LoadKind::Poisson, offered: rate },
    }
}

/// A load as a report has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) kind: LoadKind,
    pub(super) offered: f64,
}

impl Kind {
    /// `closed loop, 4 callers`, or `open loop, Poisson, 50/s`.
    pub(super) fn name(self) -> String {
        match self.kind {
            LoadKind::Closed if self.offered == 1.0 => format!("{}, 1 caller", self.kind.name()),
            LoadKind::Closed => format!("{}, {} callers", self.kind.name(), self.offered),
            LoadKind::Poisson | LoadKind::Constant => format!("{}, {}/s", self.kind.name(), self.offered),
        }
    }
}
