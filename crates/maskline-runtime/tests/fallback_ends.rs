//! A lane that is dropped seeks no return. Alone in its process, whose threads are counted by their names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{double, input, open_model};
use maskline_runtime::{Fallback, Faults, Job, LaneOptions};

fn seekers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| name.trim() == "maskline-back").count()
}

#[test]
fn a_lane_that_is_dropped_seeks_no_return() {
    let faults = Faults { count: 1, pause: Some(Duration::from_secs(3600)), ..Faults::default() };
    let lane = open_model(&double(), &LaneOptions { fallback: Some(Fallback::default()), faults, ..LaneOptions::default() });
    assert_eq!(seekers(), 0);
    lane.run(Job::new([("x", input(1))])).unwrap();
    assert!(lane.degraded().is_some());
    // A new thread gets its name, and the system forgets an ended one, a moment later.
    wait_for_seekers(1);
    drop(lane);
    wait_for_seekers(0);
}

fn wait_for_seekers(count: usize) {
    let start = Instant::now();
    while seekers() != count {
        assert!(start.elapsed() < Duration::from_secs(60), "{} seek a return, not {count}", seekers());
        std::thread::sleep(Duration::from_millis(1));
    }
}
