//! The thread that owns a session: takes jobs from the queue, runs them, and answers.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Outputs;
use super::job::{Answer, Input, Payload, Reply, closed, late};
use super::joiner::concatenate;
use super::queue::{Entry, Queue, Turn};
use super::runner::{Bound, Runner};
use super::tally::Tally;
use crate::compute::Values;
use crate::error::{Error, ErrorKind, Result};
use crate::port::Ports;

pub(super) struct Owner {
    pub(super) runner: Runner,
    pub(super) model: Arc<str>,
    pub(super) ports: Ports,
    pub(super) queue: Arc<Queue<Payload>>,
    pub(super) tally: Arc<Tally>,
}

impl Owner {
    pub(super) fn serve(mut self) {
        while let Some(turn) = self.queue.next() {
            match turn {
                Turn::Late(entries) => {
                    for entry in entries {
                        answer(entry.payload.reply, Err(late(&self.model, entry.asked)));
                    }
                }
                Turn::Run(entries) => self.run(entries),
            }
        }
    }

    fn run(&mut self, entries: Vec<Entry<Payload>>) {
        let mut entries = entries;
        if entries.len() > 1 {
            entries = match self.run_together(entries) {
                Ok(()) => return,
                // Nobody fails for what a neighbour asked.
                Err(entries) => entries,
            };
        }
        for entry in entries {
            self.run_alone(entry);
        }
    }

    fn run_alone(&mut self, entry: Entry<Payload>) {
        let start = Instant::now();
        let Entry { description, asked, payload: Payload { inputs, staying, pace, reply }, .. } = entry;
        let outcome = if entry.deadline.is_some_and(|deadline| deadline <= start) {
            Err(late(&self.model, asked))
        } else {
            self.guarded(|owner| owner.compute(inputs, staying)).map(|values| {
                std::thread::sleep(pace);
                let (queue, run) = (start.saturating_duration_since(asked), start.elapsed());
                self.tally.add(description.rows, run);
                Outputs { values, part: None, queue, run, rows_together: description.rows }
            })
        };
        answer(reply, outcome);
    }

    /// Runs several jobs as one; gives them back, to be run one by one, if that fails.
    fn run_together(&mut self, entries: Vec<Entry<Payload>>) -> Result<(), Vec<Entry<Payload>>> {
        let start = Instant::now();
        let parts = parts(&entries);
        let rows = parts.last().map_or(0, |part| part.end);
        let joined = self.guarded(|owner| {
            let values = owner.compute_together(owner.joined_inputs(&entries)?)?;
            // A model whose rows are no rows would fail so every time.
            check_rows(&values, rows).inspect_err(|_| owner.queue.never_join()).map(|()| values)
        });
        let Ok(values) = joined else { return Err(entries) };
        std::thread::sleep(entries.iter().map(|entry| entry.payload.pace).max().unwrap_or(Duration::ZERO));
        let run = start.elapsed();
        self.tally.add(rows, run);
        for (entry, part) in entries.into_iter().zip(parts) {
            let queue = start.saturating_duration_since(entry.asked);
            let outputs = Outputs { values: values.clone(), part: Some(part), queue, run, rows_together: rows };
            answer(entry.payload.reply, Ok(outputs));
        }
        Ok(())
    }

    /// The inputs of all jobs as those of one: rows under each other, and what they share.
    fn joined_inputs(&self, entries: &[Entry<Payload>]) -> Result<Vec<Input>> {
        let ports = self.ports.inputs.iter().enumerate();
        let joined = ports.map(|(at, port)| {
            let inputs: Vec<&Input> = entries.iter().filter_map(|entry| entry.payload.inputs.get(at)).collect();
            match inputs.first() {
                Some(first) if !port.is_free() => Ok((*first).clone()),
                _ => concatenate(&inputs).map(Input::Owned),
            }
        });
        joined.collect()
    }

    /// A panic in a run is an error of that run.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<Values>) -> Result<Values> {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self)));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::new(ErrorKind::RunFailed, "the run panicked").at(&self.model)));
        outcome.inspect_err(|_| self.tally.add_failure())
    }

    fn compute(&mut self, inputs: Vec<Input>, staying: Vec<String>) -> Result<Values> {
        let values = bound(&self.ports, inputs).and_then(|bound| self.runner.run(&bound.staying(staying), &self.ports));
        values.map_err(|error| error.at(&self.model))
    }

    fn compute_together(&mut self, inputs: Vec<Input>) -> Result<Values> {
        bound(&self.ports, inputs).and_then(|bound| self.runner.run_together(&bound))
    }
}

/// Inputs in the order of the ports, as ONNX Runtime takes them.
fn bound(ports: &Ports, inputs: Vec<Input>) -> Result<Bound<'_>> {
    Bound::of(ports.inputs.iter().map(|port| port.name.as_str()).zip(inputs))
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Also where the thread ends by a panic: nobody waits for ever.
        for entry in self.queue.close() {
            answer(entry.payload.reply, Err(closed(&self.model)));
        }
    }
}

/// Tells the answer; what the caller's own code does with it is nothing to the lane.
pub(super) fn answer(reply: Reply, outcome: Answer) {
    // The panic was reported where it happened.
    let _ = catch_unwind(AssertUnwindSafe(|| reply(outcome)));
}

/// The rows of each job among those of all.
fn parts(entries: &[Entry<Payload>]) -> Vec<Range<usize>> {
    let mut end = 0;
    let mut part = |entry: &Entry<Payload>| {
        let start = end;
        end += entry.description.rows;
        start..end
    };
    entries.iter().map(&mut part).collect()
}

/// Fails where an output has not a row for each that went in.
fn check_rows(values: &Values, rows: usize) -> Result<()> {
    match values.iter().find(|(_, value)| value.shape().first() != Some(&rows)) {
        Some((name, _)) => Err(Error::new(ErrorKind::RunFailed, format!("output `{name}` has not {rows} rows"))),
        None => Ok(()),
    }
}
