//! From loads to the rows of a report.

use std::cell::RefCell;

use maskline::{Error, ErrorKind, Result};

use super::Plan;
use super::subject::Row;
use super::turns::{Kind, Loader, Tally, kind};
use crate::bootstrap::{Resampling, median_ratio};
use crate::measure::Load;
use crate::measure::lanes::{Figures, Lane, take_turns, wrapped};
use crate::report::{EmbeddingState, LoadCurve, LoadPoint, Peer, Report, Steady};
use crate::samples::{Sample, Series};

/// All rows so far.
#[derive(Default)]
pub(super) struct Rows {
    done: Vec<Done>,
    notes: Vec<String>,
}

/// A row that was measured.
struct Done {
    /// Without the load.
    name: String,
    subject: String,
    model: String,
    /// The server, with its version.
    program: String,
    state: Option<EmbeddingState>,
    load: Kind,
    figures: Figures,
    tally: Tally,
}

impl Done {
    fn row(&self) -> String {
        format!("{}, {}", self.name, self.load.name())
    }
}

impl Rows {
    /// One load of models that take turns.
    pub(super) fn measure(&mut self, plan: &Plan, load: Load, rows: &[Row<'_>], tell: &dyn Fn(f64)) -> Result<()> {
        let tallies: Vec<RefCell<Tally>> = rows.iter().map(|_| RefCell::default()).collect();
        let mut lanes = Vec::new();
        for (row, tally) in rows.iter().zip(&tallies) {
            let is_alone = rows.len() == 1;
            let loader = Loader { target: &row.target, model: row.subject.model, load, seconds: plan.seconds, is_alone, tally, turns: 0 };
            let lane = Lane::new(&row.name(), &row.subject.described.name, Box::new(loader));
            lanes.push(match load {
                Load::Closed { callers } => lane.of_callers(callers),
                // Arrivals at random have no steady rate to be judged by.
                Load::Open { .. } => lane.without_judging_rates(),
            });
        }
        take_turns(&mut lanes, plan.seconds, plan.seed, tell)?;
        let found: Vec<_> = lanes.into_iter().map(Lane::found).collect::<Result<_>>()?;
        for ((row, found), tally) in rows.iter().zip(found).zip(tallies) {
            self.add(row, kind(load), Outcome { figures: found.figures, tally: tally.into_inner() });
        }
        Ok(())
    }

    fn add(&mut self, row: &Row<'_>, load: Kind, outcome: Outcome) {
        let Outcome { figures, tally } = outcome;
        let subject = &row.subject.described;
        let name = format!("{}, {}", row.name(), load.name());
        if tally.errors() > 0 {
            let side = tally.side();
            let said = tally.message.as_deref().unwrap_or("no reason");
            let none = if figures.is_none() { " No call was answered: there is no row." } else { "" };
            self.notes.push(format!("{name}: not answered: {}; the first: {said}.{none}", side.unanswered()));
        }
        if row.state == Some(EmbeddingState::Miss) && tally.cache_hits() > 0 {
            let hits = tally.cache_hits();
            self.notes.push(format!(
                "{name}: the server found {hits} embeddings in its cache: it was asked by others too, or these were no misses."
            ));
        }
        let Some(figures) = figures else { return };
        let server = &row.subject.server;
        let program = format!("{} {}", server.name, server.version).trim_end().to_owned();
        let (model, state) = (row.subject.model.to_owned(), row.state);
        self.done.push(Done { name: row.name(), subject: subject.name.clone(), model, program, state, load, figures, tally });
    }

    /// Adds all rows to a report: those of the first server that answered as steady calls, those of others as compared with them.
    ///
    /// # Errors
    /// `Failed` if there are none.
    pub(super) fn write(self, report: &mut Report) -> Result<()> {
        if self.done.is_empty() {
            let why = self.notes.first().map_or("there were no calls", String::as_str);
            return Err(Error::new(ErrorKind::Failed, format!("no call was answered: {why}")));
        }
        report.notes.extend(self.notes);
        for done in &self.done {
            add_point(report, done);
        }
        report.loads.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.offered.total_cmp(&b.offered)));
        let question = |done: &Done| (done.model.clone(), done.state, done.load.name());
        let mut firsts: Vec<First> = Vec::new();
        for done in self.done {
            let own = question(&done);
            match firsts.iter().find(|first| first.question == own) {
                Some(first) => report.peers.push(first.compared(done)?),
                None => {
                    firsts.push(First { question: own, row: done.row(), series: done.figures.series.clone() });
                    report.steady.push(steady(done));
                }
            }
        }
        Ok(())
    }
}

/// What a row's lane and its callers found.
struct Outcome {
    figures: Option<Figures>,
    tally: Tally,
}

/// The row that others are compared with.
struct First {
    question: (String, Option<EmbeddingState>, String),
    row: String,
    series: Series,
}

impl First {
    fn compared(&self, done: Done) -> Result<Peer> {
        let times = |series: &Series| series.steady().iter().map(Sample::milliseconds).collect::<Vec<_>>();
        let ratio = wrapped(median_ratio(&times(&done.figures.series), &times(&self.series), &Resampling::default()))?;
        Ok(Peer {
            name: done.row(),
            program: done.program,
            compared_with: self.row.clone(),
            is_interleaved: true,
            summary: done.figures.summary,
            verdict: done.figures.verdict,
            ratio,
            ready: None,
            first_result: None,
            peak_memory_bytes: None,
            parity: None,
            effort: None,
        })
    }
}

fn steady(done: Done) -> Steady {
    Steady {
        name: done.row(),
        load: done.load.name(),
        subject: done.subject,
        embedding: done.state,
        text: None,
        errors: done.tally.errors(),
        summary: done.figures.summary,
        device_memory_bytes: None,
        verdict: done.figures.verdict,
        parity: None,
        samples: Some(done.figures.series),
    }
}

fn add_point(report: &mut Report, done: &Done) {
    let side = done.tally.side();
    let point = LoadPoint {
        offered: done.load.offered,
        achieved_per_second: done.tally.achieved_per_second(),
        summary: done.figures.summary.clone(),
        queue_ms: side.told.map(|told| told.queue_ms),
        rows_together: None,
        threads: None,
        errors: done.tally.errors(),
        verdict: done.figures.verdict.clone(),
        server: Some(side),
    };
    let (subject, kind) = (done.subject.clone(), done.load.kind);
    let name = format!("{}, {}", done.name, kind.name());
    match report.loads.iter_mut().find(|curve| curve.name == name) {
        Some(curve) => curve.points.push(point),
        None => report.loads.push(LoadCurve { name, subject, kind, points: vec![point] }),
    }
}
