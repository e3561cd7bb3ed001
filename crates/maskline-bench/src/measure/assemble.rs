//! From running processes to the rows of a report.

use maskline::Result;
use maskline::runtime::multiply_add_peak;

use super::against::Opponent;
use super::lanes::{Caller, Lane, Turn, take_turns};
use super::networks::networks;
use super::parity::objects;
use super::subjects::{One, Subjects};
use super::{Room, Running};
use crate::machine::bandwidth;
use crate::report::{Ceiling, CeilingUnit, Parity, Report, StageRow, Steady};
use crate::worker::{Compute, Message, Order, Track};

/// A kind of call of a process.
pub(super) struct Calls<'a> {
    pub(super) running: &'a Running,
    pub(super) track: Track,
}

impl Caller for Calls<'_> {
    fn turn(&mut self, first: usize, seconds: f64) -> Result<Turn> {
        let order = Order::Turn { track: self.track, first, seconds, calls: 1 };
        let answer = self.running.worker.borrow_mut().order(&order)?;
        let Message::Turn { stages, calls, elapsed_ms, errors } = answer else { return Err(self.running.worker.borrow().unexpected()) };
        Ok(Turn { stages, calls, elapsed_ms, errors })
    }
}

/// All that takes part in the steady calls.
pub(super) struct Entrants<'a> {
    pub(super) running: &'a [Running],
    pub(super) subjects: &'a Subjects,
    /// By subject.
    pub(super) parities: &'a [Option<Parity>],
    pub(super) opponents: &'a [Opponent],
}

/// What a lane is a row of.
enum Row<'a> {
    Own(Own<'a>),
    /// Of a program, beside our row of this name.
    Other(&'a Opponent, &'a str, Parity),
}

/// A kind of call of ours.
struct Own<'a> {
    one: &'a One,
    track: Track,
    parity: &'a Option<Parity>,
    /// Of its process.
    device_memory_bytes: Option<u64>,
}

/// Adds what a lane found to the report. Rows of others come after the row of ours that they are compared with.
fn add(report: &mut Report, row: Row<'_>, lane: Lane<'_>) -> Result<()> {
    let name = lane.name.clone();
    let found = lane.found()?;
    if let Some(error) = found.errors.first() {
        report.notes.push(format!("{name}: {} calls failed: {error}", found.errors.len()));
    }
    let Some(figures) = found.figures else { return Ok(()) };
    match row {
        Row::Own(Own { one, track, parity, device_memory_bytes }) => {
            report.stages.push(figures.stages);
            report.steady.push(Steady {
                name,
                subject: one.subject.name.clone(),
                load: "closed loop, 1 caller".to_owned(),
                embedding: track.embedding(),
                text: track.sought.map(|sought| sought.text),
                summary: figures.summary,
                device_memory_bytes,
                errors: found.errors.len(),
                verdict: figures.verdict,
                parity: parity.clone(),
                samples: Some(figures.series),
            });
        }
        Row::Other(opponent, ours, agreement) => {
            let row = report.steady.iter().find(|row| row.name == *ours);
            if let Some(samples) = row.and_then(|row| row.samples.as_ref()) {
                report.stages.push(figures.stages.clone());
                let peer = opponent.described(ours, samples.steady(), figures, agreement)?;
                report.peers.push(peer);
            }
        }
    }
    Ok(())
}

impl Room<'_> {
    /// The rate of matrix products of each process, and the memory's.
    pub(super) fn limits(&self, running: &[Running], report: &mut Report) -> Result<Vec<Option<f64>>> {
        let mut limits: Vec<Option<f64>> = vec![None; running.len()];
        if !self.plan.ceilings {
            return Ok(limits);
        }
        let machine = &mut report.identity.machine;
        machine.bandwidth_gbs = Some(bandwidth(machine.logical_cpus));
        machine.multiply_add_gflops = Some(multiply_add_peak(machine.logical_cpus));
        for index in 0..running.len() {
            (self.tell)("the machine's limits", index as f64 / running.len() as f64);
            let alike = |one: &Running| {
                let Compute { provider, precision, threads, .. } = &one.process.compute;
                (provider.clone(), *precision, *threads)
            };
            let own = alike(&running[index]);
            let known = running[..index].iter().position(|one| alike(one) == own);
            limits[index] = match known {
                Some(known) => limits[known],
                None => match running[index].worker.borrow_mut().order(&Order::Gemm)? {
                    Message::Gemm(rate) => Some(rate),
                    _ => return Err(running[index].worker.borrow().unexpected()),
                },
            };
        }
        Ok(limits)
    }

    /// Whether each subject answers as the first of the same question does.
    pub(super) fn parities(&self, running: &[Running], subjects: &Subjects) -> Result<Vec<Option<Parity>>> {
        let answer = |one: &One| {
            let Some((_, track)) = one.tracks.first() else { return Ok(None) };
            let order = Order::Answer { track: Track { batch: 1, ..*track }, picture: self.inputs.files[0].clone() };
            match running[one.process].worker.borrow_mut().order(&order)? {
                Message::Objects(objects) => Ok(Some(objects)),
                _ => Err(running[one.process].worker.borrow().unexpected()),
            }
        };
        (0..subjects.all.len())
            .map(|index| {
                let Some(reference) = subjects.reference(index) else { return Ok(None) };
                (self.tell)("comparing answers", index as f64 / subjects.all.len() as f64);
                let pair = (answer(&subjects.all[reference])?, answer(&subjects.all[index])?);
                let (Some(reference), Some(own)) = pair else { return Ok(None) };
                Ok(Some(crate::peers::parity(&objects(&reference)?, &objects(&own)?)))
            })
            .collect()
    }

    /// Rows of repeated calls, ours and others' in turns, and where the time of ours goes.
    pub(super) fn steady(&self, entrants: &Entrants<'_>, report: &mut Report) -> Result<()> {
        let Entrants { running, subjects, parities, opponents } = *entrants;
        if self.plan.seconds <= 0.0 {
            return Ok(());
        }
        let (mut rows, mut lanes) = (Vec::new(), Vec::new());
        for (one, parity) in subjects.all.iter().zip(parities) {
            for (name, track) in &one.tracks {
                rows.push(Row::Own(Own { one, track: *track, parity, device_memory_bytes: None }));
                lanes.push(Lane::new(name, &one.subject.name, Box::new(Calls { running: &running[one.process], track: *track })));
                for opponent in opponents {
                    let Some(rival) = self.rival(opponent, one, *track)? else { continue };
                    let agreement = self.agreement(&rival, one, &running[one.process], *track)?;
                    rows.push(Row::Other(opponent, name, agreement));
                    lanes.push(Lane::new(&opponent.row(name), &one.subject.name, Box::new(rival)));
                }
            }
        }
        take_turns(&mut lanes, self.plan.seconds, self.plan.seed, |done| (self.tell)("steady calls", done))?;
        for (mut row, lane) in rows.into_iter().zip(lanes) {
            if let Row::Own(own) = &mut row {
                own.device_memory_bytes = self.device_memory_of(&running[own.one.process].worker.borrow());
            }
            add(report, row, lane)?;
        }
        Ok(())
    }

    /// How near each network comes to the machine's limit: operations counted from its graph, time from the steady rows.
    pub(super) fn ceilings(&self, running: &[Running], subjects: &Subjects, limits: &[Option<f64>], report: &mut Report) -> Result<()> {
        for one in &subjects.all {
            let Some(limit) = limits[one.process] else { continue };
            for network in networks(one, &running[one.process].started.facts) {
                let is_own = |row: &StageRow| report.steady.iter().any(|own| own.subject == one.subject.name && own.name == row.name);
                let row = report.stages.iter().find(|row| is_own(row) && row.stage_ms(network.stage).is_some());
                let Some(milliseconds) = row.and_then(|row| row.stage_ms(network.stage)) else { continue };
                match network.operations() {
                    Ok(work) => report.ceilings.push(Ceiling {
                        name: network.part.clone(),
                        subject: one.subject.name.clone(),
                        unit: CeilingUnit::Gigaflops,
                        work,
                        achieved: work / milliseconds / 1e6,
                        limit,
                    }),
                    Err(error) => report.notes.push(format!("{}: operations not counted: {error}", network.part)),
                }
            }
        }
        Ok(())
    }
}
