//! Lanes share their compute threads. In a file of its own, as it counts the threads of the process.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::{LIBRARY, input, open, threads};
use maskline_runtime::{Job, LaneOptions, usable_threads};

/// A thread that has ended is counted for another moment.
fn fall_to(count: usize) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        threads() == count
    })
}

#[test]
fn a_lane_adds_one_thread_and_those_that_it_wants_for_itself() {
    assert_eq!(LIBRARY.threads(), usable_threads(0));
    let before = threads();
    let lanes: Vec<_> = (0..8).map(|_| open(&LaneOptions::default())).collect();
    for lane in &lanes {
        assert_eq!(lane.threads(), LIBRARY.threads());
        lane.run(Job::new([("x", input(1 << 16))])).unwrap();
    }
    assert_eq!(threads(), before + 8);
    drop(lanes);
    assert!(fall_to(before), "{} threads", threads());
    // Its owner is one of those that compute.
    let all = usable_threads(0).count;
    for options in [LaneOptions { threads: all, ..LaneOptions::default() }, LaneOptions { spinning: false, ..LaneOptions::default() }] {
        let own = open(&options);
        own.run(Job::new([("x", input(1 << 16))])).unwrap();
        assert_eq!((own.threads(), threads()), (usable_threads(0), before + all));
        drop(own);
        assert!(fall_to(before), "{} threads", threads());
    }
}
