//! A provider that fails while the model runs: the CPU in its place, and the way back.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{Hold, double, input, look_up, open_model};
use maskline_runtime::{Degraded, ErrorKind, Fallback, Faults, Job, Lane, LaneOptions, Tensor};

/// Longer than anything here takes; nothing waits so long unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
/// Of a lane that is not to come back within a test.
const NEVER: Option<Duration> = Some(Duration::from_secs(3600));

fn options(faults: Faults) -> LaneOptions {
    LaneOptions { fallback: Some(Fallback::default()), faults, ..LaneOptions::default() }
}

fn ask(lane: &Lane, rows: usize) -> maskline_runtime::Result<Vec<f32>> {
    Ok(lane.run(Job::new([("x", input(rows))]))?.f32("y")?.data.to_vec())
}

fn doubled(rows: usize) -> Vec<f32> {
    (0..3 * rows).map(|i| 2.0 * i as f32).collect()
}

fn provider(lane: &Lane) -> String {
    lane.providers()[0].name.clone()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn pause(degraded: &Degraded) -> Duration {
    degraded.next_attempt.duration_since(degraded.since).unwrap()
}

#[test]
fn without_a_fallback_the_failure_is_the_answer_and_the_next_run_works() {
    let lane = open_model(&double(), &LaneOptions { faults: Faults { after: 1, count: 1, ..Faults::default() }, ..LaneOptions::default() });
    assert_eq!(ask(&lane, 1).unwrap(), doubled(1));
    let error = ask(&lane, 1).unwrap_err();
    assert!(error.kind() == ErrorKind::RunFailed && error.message().contains("out of memory"), "{error}");
    assert_eq!(ask(&lane, 1).unwrap(), doubled(1));
    assert_eq!((provider(&lane).as_str(), lane.degraded()), ("faulty", None));
}

#[test]
fn without_a_fallback_a_provider_that_fails_its_first_run_is_not_there() {
    let lane = open_model(&double(), &LaneOptions { faults: Faults { count: 1, ..Faults::default() }, ..LaneOptions::default() });
    let error = ask(&lane, 1).unwrap_err();
    assert!(error.kind() == ErrorKind::ProviderUnavailable && error.message().contains("out of memory"), "{error}");
    assert!(error.help().is_some_and(|help| help.contains("maskline doctor")), "{error}");
    assert_eq!(ask(&lane, 1).unwrap(), doubled(1));
}

#[test]
fn the_job_that_failed_and_all_that_follow_are_answered_by_the_cpu() {
    let lane = open_model(&double(), &options(Faults { after: 1, count: u64::MAX, pause: NEVER, ..Faults::default() }));
    assert_eq!(ask(&lane, 1).unwrap(), doubled(1));
    assert_eq!((provider(&lane).as_str(), lane.degraded()), ("faulty", None));
    for rows in [2, 3] {
        assert_eq!(ask(&lane, rows).unwrap(), doubled(rows));
        assert_eq!(provider(&lane), "cpu");
    }
    let degraded = lane.degraded().unwrap();
    assert_eq!((degraded.wished.as_str(), degraded.attempts, pause(&degraded)), ("faulty", 0, NEVER.unwrap()));
    assert!(degraded.reason.contains("out of memory"), "{}", degraded.reason);
}

#[test]
fn jobs_that_wait_together_are_all_answered() {
    let lane =
        open_model(&double(), &LaneOptions { max_rows: 64, ..options(Faults { after: 1, count: 2, pause: NEVER, ..Faults::default() }) });
    let hold = Hold::new(&lane, Job::new([("x", input(1))]));
    let pending: Vec<_> = (1..=8).map(|rows| lane.start(Job::new([("x", input(rows))])).unwrap()).collect();
    assert!(lane.degraded().is_none() && lane.queued() == 8);
    drop(hold);
    for (rows, pending) in (1..=8).zip(pending) {
        assert_eq!(pending.wait().unwrap().f32("y").unwrap().data, doubled(rows));
    }
    assert_eq!(provider(&lane), "cpu");
}

/// Asks until the lane fails and somebody sees it before the first attempt: on a busy machine it may be further by then.
fn fail(lane: &Lane) -> Degraded {
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < LIMIT, "it fails");
        assert_eq!(ask(lane, 2).unwrap(), doubled(2));
        if let Some(degraded) = lane.degraded().filter(|degraded| degraded.attempts == 0) {
            return degraded;
        }
    }
}

#[test]
fn it_comes_back_after_attempts_in_vain_and_fails_again_with_a_longer_pause() {
    let lane = open_model(&double(), &options(Faults { after: 1, count: 1, refusals: 1, pause: Some(PAUSE), ..Faults::NONE }));
    let first = fail(&lane);
    assert!(pause(&first) >= PAUSE);
    wait_until("an attempt in vain", || lane.degraded().is_none_or(|degraded| degraded.attempts == 1));
    wait_until("it comes back", || lane.degraded().is_none());
    assert_eq!(provider(&lane), "faulty");
    // It counts anew: one run works.
    assert_eq!(ask(&lane, 2).unwrap(), doubled(2));
    assert_eq!((provider(&lane).as_str(), lane.degraded()), ("faulty", None));
    let again = fail(&lane);
    assert!(again.since > first.since);
    // An attempt in vain and a return, at least: doubled twice.
    assert!(pause(&again) >= 4 * pause(&first), "{first:?} {again:?}");
}

#[test]
fn a_job_that_the_cpu_cannot_run_either_was_at_fault_itself() {
    let job = |row: i64| {
        let table = Tensor::new([4, 2], (0..8).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
        Job::new([("x", Tensor::new([1], vec![row]).unwrap()), ("table", table)])
    };
    for faults in [Faults { after: 1000, count: 1, ..Faults::default() }, Faults { count: 1, pause: NEVER, ..Faults::default() }] {
        let lane = open_model(&look_up(), &options(faults));
        assert_eq!(lane.run(job(9)).unwrap_err().kind(), ErrorKind::RunFailed);
        assert_eq!((provider(&lane).as_str(), lane.degraded()), ("faulty", None));
        assert_eq!(lane.run(job(1)).unwrap().f32("y").unwrap().data, [2.0, 3.0]);
    }
}
