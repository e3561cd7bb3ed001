//! The benchmark judged by itself: what is put in must come out, and nothing else.

use std::cell::RefCell;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use maskline::runtime::GpuOptions;
use maskline::{Delays, Error, ErrorKind, Kernels, ModelSource, Result};

use super::assemble::Calls;
use super::inputs::Inputs;
use super::lanes::{Lane, take_turns, wrapped};
use super::plan::{Pictures, Process};
use super::process::{Launcher, Worker};
use super::{Progress, Running, inputs};
use crate::load::{Arrivals, ClosedLoop, Limit, OpenLoop, RealClock, VirtualClock, run_closed, run_open, schedule};
use crate::percentile::median;
use crate::random::Random;
use crate::report::{EmbeddingState, Precision, PromptKind, Prompts, StageRow};
use crate::samples::{Sample, Summary, milliseconds};
use crate::steadiness::{Options, Status, judge};
use crate::worker::{Assignment, Compute, Place, Track, Wording};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What.
    pub name: String,
    /// What should come out.
    pub expected: String,
    /// What came out.
    pub found: String,
    /// Whether that is it.
    pub is_passed: bool,
}

/// What is slept.
const SLEEP: Duration = Duration::from_millis(5);
/// Within this much of it, and of nothing elsewhere, in milliseconds: sleeping is never exact, and machines are noisy.
const TOLERANCE: f64 = 1.0;

/// Tries the clock of the engine, the loads and the judge, with the small model that maskline carries. Takes half a minute.
///
/// # Errors
/// If the model cannot be run.
pub fn self_test(place: &Place, launcher: &Launcher, tell: Progress<'_>) -> Result<Vec<Check>> {
    let folder = tempfile::tempdir().map_err(|error| inputs::io(&std::env::temp_dir(), &error))?;
    let inputs = Inputs::gather(&Pictures::Generated, folder.path())?;
    let rows = delayed(&inputs, place, launcher, tell)?;
    let mut checks: Vec<Check> = STAGES.iter().zip(&rows[1..]).map(|((stage, _), row)| sleep_is_seen(stage, &rows[0], row)).collect();
    tell("loads", 0.0);
    checks.extend(stall_is_seen()?);
    checks.push(two_modes_are_told()?);
    checks.push(clock_is_cheap(&rows[0]));
    Ok(checks)
}

type Delay = fn(Duration) -> Delays;

/// Stages of a carried model's call that can be made to sleep.
const STAGES: [(&str, Delay); 3] = [
    ("preprocess", |preprocess| Delays { preprocess, ..Delays::default() }),
    ("mask_decode", |mask_decode| Delays { mask_decode, ..Delays::default() }),
    ("postprocess", |postprocess| Delays { postprocess, ..Delays::default() }),
];

/// The stages of calls without a sleep, and with one in each of [`STAGES`], taken in turns.
fn delayed(inputs: &Inputs, place: &Place, launcher: &Launcher, tell: Progress<'_>) -> Result<Vec<StageRow>> {
    let first = Prompts { kind: PromptKind::Box, count: 1 };
    let compute = Compute {
        provider: "cpu".to_owned(),
        gpu: GpuOptions::default(),
        precision: Precision::F32,
        threads: 1,
        size: None,
        decoder: None,
        kernels: Kernels::Auto,
        head: None,
    };
    let start = |delays: Delays| {
        let (source, pictures) = (ModelSource::Nano, inputs.files.clone());
        let (place, wording) = (place.clone(), Wording::default());
        let assignment = Assignment { source, compute: compute.clone(), place, pictures, first, wording, delays };
        let (worker, started) = Worker::start(launcher, &assignment)?;
        Ok(Running { process: Process { model: 0, compute: compute.clone() }, worker: RefCell::new(worker), started })
    };
    let delays = std::iter::once(Delays::default()).chain(STAGES.iter().map(|(_, delay)| delay(SLEEP)));
    let running = delays.map(start).collect::<Result<Vec<_>>>()?;
    let track = Track { batch: 1, asked: Some((first, EmbeddingState::Miss)), sought: None };
    let mut lanes: Vec<Lane<'_>> = running.iter().map(|running| Lane::new("nano", "nano", Box::new(Calls { running, track }))).collect();
    take_turns(&mut lanes, 4.0, 0, |done| tell("calls with a sleep in a stage", done))?;
    let row = |lane: Lane<'_>| {
        let found = lane.found()?;
        let why = || Error::new(ErrorKind::Failed, format!("no call was answered: {}", found.errors.join("; ")));
        found.figures.as_ref().map(|figures| figures.stages.clone()).ok_or_else(why)
    };
    lanes.into_iter().map(row).collect()
}

/// Whether a sleep is in its own stage and in no other.
fn sleep_is_seen(slept: &str, without: &StageRow, with: &StageRow) -> Check {
    let asked = milliseconds(SLEEP);
    let mut found = Vec::new();
    let mut is_passed = true;
    for stage in &without.stages {
        let Some((before, after)) = without.stage_ms(&stage.name).zip(with.stage_ms(&stage.name)) else { continue };
        let more = after - before;
        let expected = if stage.name == slept { asked } else { 0.0 };
        is_passed &= (more - expected).abs() <= TOLERANCE;
        found.push(format!("{} {more:+.2}", stage.name));
    }
    let unaccounted = with.unaccounted_ms - without.unaccounted_ms;
    is_passed &= unaccounted.abs() <= TOLERANCE && found.len() >= 3;
    found.push(format!("unaccounted {unaccounted:+.2}"));
    Check {
        name: format!("{asked} ms slept in {slept}"),
        expected: format!("{slept} +{asked} ms, all others 0, within {TOLERANCE} ms"),
        found: found.join(", "),
        is_passed,
    }
}

/// A target that answers in 2 ms, but for one stall of half a second: in real time.
fn stall_is_seen() -> Result<[Check; 2]> {
    const CALLS: usize = 800;
    let p99 = |samples: &[Sample]| wrapped(Summary::of(samples)).map(|summary| summary.p99_ms.map_or(f64::NAN, |p99| p99.value));
    let target = || {
        let calls = AtomicUsize::new(0);
        move |_: usize| {
            let is_stalled = calls.fetch_add(1, Ordering::Relaxed) == CALLS / 4;
            std::thread::sleep(Duration::from_millis(if is_stalled { 500 } else { 2 }));
            Ok::<(), Infallible>(())
        }
    };
    let closed = ClosedLoop { concurrency: 1, limit: Limit::Calls(CALLS) };
    let closed = p99(&wrapped(run_closed(&target(), &RealClock::default(), &closed))?.samples())?;
    let arrivals = wrapped(schedule(Arrivals::Constant, 200.0, CALLS))?;
    let open = p99(&wrapped(run_open(&target(), &RealClock::default(), &OpenLoop { arrivals, workers: 1 }))?.samples())?;
    let check = |name: &str, expected: &str, found: f64, is_passed: bool| Check {
        name: name.to_owned(),
        expected: expected.to_owned(),
        found: format!("{found:.1} ms"),
        is_passed,
    };
    Ok([
        check("p99 of a closed loop over one stall of 500 ms", "below 100 ms: its caller waits, and asks nothing", closed, closed < 100.0),
        check("p99 of an open loop over the same stall", "above 300 ms: requests came meanwhile", open, open > 300.0),
    ])
}

/// A target that answers in 10 ms or in 14, by chance: in simulated time.
fn two_modes_are_told() -> Result<Check> {
    let clock = VirtualClock::default();
    let target = |index: usize| {
        let is_slow = Random::new(index as u64).below(2) == 1;
        clock.pass(Duration::from_millis(if is_slow { 14 } else { 10 }));
        Ok::<(), Infallible>(())
    };
    let closed = ClosedLoop { concurrency: 1, limit: Limit::Time(Duration::from_secs(60)) };
    let record = wrapped(run_closed(&target, &clock, &closed))?;
    let verdict = wrapped(judge(&record.samples(), &Options::default()))?.verdict;
    Ok(Check {
        name: "calls of 10 and of 14 ms, mixed by chance".to_owned(),
        expected: "UNSTABLE".to_owned(),
        found: format!("{}: {}", verdict.status.name(), verdict.reason),
        is_passed: verdict.status == Status::Unstable,
    })
}

/// Readings of the clock in a call, rather too many than too few.
const READINGS: f64 = 24.0;

/// What reading the clock takes of a carried model's call: no other is quicker.
fn clock_is_cheap(row: &StageRow) -> Check {
    const TRIES: u32 = 100_000;
    let once = || {
        let start = Instant::now();
        for _ in 0..TRIES {
            black_box(Instant::now());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(TRIES)
    };
    let nanoseconds = median(&mut (0..11).map(|_| once()).collect::<Vec<_>>());
    let call_ms = row.end_to_end.p50_ms.map_or(row.end_to_end.mean_ms, |p50| p50.value);
    let share = READINGS * nanoseconds / 1e6 / call_ms;
    Check {
        name: "cost of the clock".to_owned(),
        expected: "below 0.1 % of a call".to_owned(),
        found: format!("{nanoseconds:.0} ns a reading, {READINGS} readings in a call of {call_ms:.2} ms: {:.4} %", share * 100.0),
        is_passed: share < 1e-3,
    }
}
