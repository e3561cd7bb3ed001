//! The threads that lanes share are as many as whoever loads ONNX Runtime says. In a file of its own, as a process loads it once.
#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod common;

use common::{double, input, threads};
use maskline_runtime::{Job, Lane, LaneOptions, LibraryOptions, ModelSource, Threads, load};

#[test]
fn the_first_to_load_says_how_many_threads_there_are() {
    let before = threads();
    let library = load(&LibraryOptions { threads: 1, ..LibraryOptions::from_env() }).unwrap();
    let one = Threads { count: 1, cut_from: None };
    assert_eq!(load(&LibraryOptions { threads: 2, ..LibraryOptions::from_env() }).unwrap().threads(), one);
    let lane = Lane::open(&library, ModelSource::Bytes(&double()), &LaneOptions::default()).unwrap();
    lane.run(Job::new([("x", input(1 << 16))])).unwrap();
    // The lane's own thread is the one that computes.
    assert_eq!((lane.threads(), threads()), (one, before + 1));
}
