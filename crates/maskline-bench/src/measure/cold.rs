//! Cold starts: fresh processes, one after another, while those of the steady rows sleep.

use maskline::Result;

use super::plan::Process;
use super::process::Started;
use super::subjects::Subjects;
use super::{Room, Running, inputs};
use crate::report::{CacheState, Cold, ColdStage};
use crate::worker::Assignment;

/// A row in the making.
struct Starts {
    process: usize,
    cache: CacheState,
    started: Vec<Started>,
}

impl Room<'_> {
    /// As many starts as the plan says of every process and for every state of the cache, in turns.
    pub(super) fn cold(&self, running: &[Running], subjects: &Subjects) -> Result<Vec<Cold>> {
        let plan = self.plan.cold;
        let states = [(plan.empty, CacheState::Empty), (plan.present, CacheState::Present)];
        let states = || states.iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, state)| *state);
        let row = |process: usize, cache| Starts { process, cache, started: known(cache, &running[process].started) };
        let mut rows: Vec<Starts> = (0..running.len()).flat_map(|process| states().map(move |cache| row(process, cache))).collect();
        if plan.runs == 0 {
            return Ok(Vec::new());
        }
        let total = plan.runs * rows.len();
        for run in 0..plan.runs {
            for index in 0..rows.len() {
                let row = &rows[index];
                if row.started.len() >= plan.runs {
                    continue;
                }
                (self.tell)("cold starts", (run * rows.len() + index) as f64 / total as f64);
                let started = self.start_cold(&running[row.process].process, row.cache)?;
                rows[index].started.push(started);
            }
        }
        rows.retain(|row| !row.started.is_empty());
        Ok(rows.iter().filter_map(|row| Some(described(row, &subjects.first_of(row.process)?.subject.name))).collect())
    }

    fn start_cold(&self, process: &Process, cache: CacheState) -> Result<Started> {
        let mut assignment: Assignment = self.assignment(process);
        // Gone with the start, so that thirty starts do not fill the disk.
        let empty = tempfile::tempdir_in(self.folder).map_err(|error| inputs::io(self.folder, &error))?;
        if cache == CacheState::Empty {
            assignment.place.bundles = Some(empty.path().join("bundles"));
        }
        let (worker, started) = self.started(&assignment)?;
        worker.kill();
        Ok(started)
    }
}

/// The start of the process that waits for the steady rows is one of those to be measured, if all was in the cache.
fn known(cache: CacheState, started: &Started) -> Vec<Started> {
    let is_one = cache == CacheState::Present && started.facts.was_cached;
    if is_one { vec![started.clone()] } else { Vec::new() }
}

fn described(row: &Starts, subject: &str) -> Cold {
    let names: Vec<&String> = row.started.first().map(|start| start.stages.iter().map(|stage| &stage.0).collect()).unwrap_or_default();
    let stage = |index: usize, name: &str| {
        ColdStage::of(name, &row.started.iter().filter_map(|start| Some(start.stages.get(index)?.1)).collect::<Vec<_>>())
    };
    let times = |of: fn(&Started) -> f64| row.started.iter().map(of).collect::<Vec<f64>>();
    Cold {
        name: subject.to_owned(),
        subject: subject.to_owned(),
        cache: row.cache,
        runs: row.started.len(),
        stages: names.iter().enumerate().map(|(index, name)| stage(index, name)).collect(),
        ready: ColdStage::of("ready", &times(|start| start.ready_ms)),
        first_result: ColdStage::of("first_result", &times(|start| start.first_result_ms)),
        peak_memory_bytes: row.started.iter().filter_map(|start| start.peak_memory_bytes).max(),
        device_memory_bytes: row.started.iter().filter_map(|start| start.device_memory_bytes).max(),
    }
}
