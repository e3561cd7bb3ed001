//! Jobs that run together: each gets the rows that it would get alone.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{Hold, double, look_up, open, open_model, sum, unique};
use maskline_runtime::{ErrorKind, Input, Job, Lane, LaneOptions, Outputs, Pending, SharedTensor, Tensor, device_key};

fn joining(max_rows: usize) -> LaneOptions {
    LaneOptions { max_rows, ..LaneOptions::default() }
}

/// `rows` rows of f32 [rows, 3] that count from `first`.
fn rows(first: usize, rows: usize) -> Tensor {
    Tensor::new([rows, 3], (0..rows * 3).map(|i| (first + i) as f32).collect::<Vec<_>>()).unwrap()
}

fn doubled(first: usize, rows: usize) -> Vec<f32> {
    (0..rows * 3).map(|i| 2.0 * (first + i) as f32).collect()
}

/// Starts these jobs while the lane is busy with another one, and gives what they were answered.
fn together(lane: &Lane, held: Job, jobs: impl IntoIterator<Item = Job>) -> Vec<maskline_runtime::Result<Outputs>> {
    let hold = Hold::new(lane, held);
    let pending: Vec<Pending> = jobs.into_iter().map(|job| lane.start(job).unwrap()).collect();
    assert_eq!(lane.queued(), pending.len());
    drop(hold);
    pending.into_iter().map(Pending::wait).collect()
}

#[test]
fn jobs_that_wait_run_as_one_and_get_their_own_rows() {
    let lane = open(&joining(8));
    assert!(lane.is_joinable());
    let sizes = [(10, 1), (20, 2), (30, 3)];
    let job = |first, count| {
        let tensor = rows(first, count);
        // Rows may be lent, too.
        if count == 2 { Job::new([("x", SharedTensor::new(tensor).unwrap())]) } else { Job::new([("x", tensor)]) }
    };
    let answers = together(&lane, job(0, 1), sizes.map(|(first, count)| job(first, count)));
    for ((first, count), outputs) in sizes.into_iter().zip(answers) {
        let mut outputs = outputs.unwrap();
        assert_eq!(outputs.rows_together, 6);
        let y = outputs.f32("y").unwrap();
        assert_eq!((y.shape.as_slice(), y.data), (&[count, 3][..], &*doubled(first, count)));
        assert_eq!(outputs.view::<i64>("y").unwrap_err().kind(), ErrorKind::InvalidOutput);
        // What is taken is this job's alone, and goes into other runs.
        let taken = outputs.take("y").unwrap();
        assert_eq!((taken.shape(), taken.view::<f32>().unwrap().data), (&[count, 3][..], &*doubled(first, count)));
        assert_eq!(lane.run(Job::new([("x", taken)])).unwrap().f32("y").unwrap().shape, [count, 3]);
        assert_eq!(outputs.f32("y").unwrap_err().kind(), ErrorKind::InvalidOutput, "it was taken out");
    }
}

#[test]
fn no_more_rows_run_together_than_are_allowed() {
    let jobs = || (0..4).map(|first| Job::new([("x", rows(first, 2))]));
    let of = |lane: &Lane| -> Vec<usize> {
        together(lane, Job::new([("x", rows(0, 1))]), jobs()).into_iter().map(|outputs| outputs.unwrap().rows_together).collect()
    };
    let lane = open(&LaneOptions::default());
    assert_eq!(of(&lane), [2, 2, 2, 2], "nothing is joined unasked");
    lane.set_max_rows(6);
    assert_eq!(of(&lane), [6, 6, 6, 2]);
    lane.set_max_rows(1);
    assert_eq!(of(&lane), [2, 2, 2, 2], "more rows than are allowed run alone");
}

#[test]
fn only_jobs_that_share_their_other_inputs_run_together() {
    let lane = open_model(&sum(), &joining(8));
    let picture = |value: f32| SharedTensor::new(Tensor::new([1, 3], vec![value; 3]).unwrap()).unwrap();
    let (one, equal, two) = (picture(100.0), picture(100.0), picture(200.0));
    let job = |s: Input| Job::new([("x", Input::from(rows(0, 1))), ("s", s)]);
    let own = Tensor::new([1, 3], vec![100f32; 3]).unwrap();
    let jobs = [job(one.clone().into()), job(two.clone().into()), job(one.clone().into()), job(equal.into()), job(own.into())];
    let answers = together(&lane, job(two.clone().into()), jobs);
    for ((value, count), outputs) in [(100.0, 2), (200.0, 1), (100.0, 2), (100.0, 1), (100.0, 1)].into_iter().zip(answers) {
        let outputs = outputs.unwrap();
        assert_eq!(outputs.f32("y").unwrap().data, [value, value + 1.0, value + 2.0]);
        assert_eq!(outputs.rows_together, count);
    }
    assert!(one.is_same(&one.clone()) && !one.is_same(&two));
}

#[test]
fn nobody_fails_for_his_neighbour() {
    let lane = open_model(&look_up(), &joining(8));
    let table = SharedTensor::new(Tensor::new([4, 2], (0..8).map(|i| i as f32).collect::<Vec<_>>()).unwrap()).unwrap();
    let job = |at: i64| Job::new([("x", Input::from(Tensor::new([1], vec![at]).unwrap())), ("table", table.clone().into())]);
    let answers = together(&lane, job(0), [job(1), job(99), job(3)]);
    let [first, bad, last] = answers.try_into().unwrap();
    assert_eq!(
        (first.as_ref().unwrap().f32("y").unwrap().data, last.as_ref().unwrap().f32("y").unwrap().data),
        (&[2.0, 3.0][..], &[6.0, 7.0][..])
    );
    assert_eq!(bad.unwrap_err().kind(), ErrorKind::RunFailed);
    assert_eq!(first.unwrap().rows_together, 1, "they ran one by one");
    // That says nothing about the next ones.
    let answers = together(&lane, job(0), [job(1), job(2)]);
    assert!(answers.into_iter().all(|outputs| outputs.unwrap().rows_together == 2));
}

#[test]
fn rows_that_are_none_are_found_out_and_not_joined_again() {
    let lane = open_model(&unique(), &joining(8));
    assert!(lane.is_joinable(), "as far as the model says");
    let job = |numbers: &[i64]| Job::new([("x", Tensor::new([numbers.len()], numbers.to_vec()).unwrap())]);
    for _ in 0..2 {
        let answers = together(&lane, job(&[0]), [job(&[2, 1]), job(&[2, 2, 3])]);
        for (expected, outputs) in [&[1, 2][..], &[2, 3]].into_iter().zip(answers) {
            assert_eq!(outputs.unwrap().view::<i64>("y").unwrap().data, expected);
        }
    }
    // All different: rows by chance, but nobody tries any more.
    let answers = together(&lane, job(&[0]), [job(&[1]), job(&[2])]);
    assert!(answers.into_iter().all(|outputs| outputs.unwrap().rows_together == 1));
}

#[test]
fn who_goes_before_his_turn_does_not_disturb_the_others() {
    let lane = open(&joining(8));
    let job = |first| Job::new([("x", rows(first, 1))]);
    let hold = Hold::new(&lane, job(0));
    let mut pending: Vec<Pending> = (1..5).map(|first| lane.start(job(first)).unwrap()).collect();
    assert!(pending[1].is_queued());
    drop(pending.remove(1));
    assert_eq!(lane.queued(), 3);
    drop(hold);
    for (first, pending) in [1, 3, 4].into_iter().zip(pending) {
        let outputs = pending.wait().unwrap();
        assert_eq!((outputs.rows_together, outputs.f32("y").unwrap().data), (3, &*doubled(first, 1)));
    }
}

#[test]
fn a_job_waits_for_others_as_long_as_it_may() {
    // Alone, the first would wait for an hour.
    let lane = open(&LaneOptions { max_wait: Duration::from_secs(3600), ..joining(2) });
    let first = lane.start(Job::new([("x", rows(1, 1))])).unwrap();
    assert!(first.wait_for(Duration::from_millis(1)).is_none());
    let second = lane.start(Job::new([("x", rows(2, 1))])).unwrap();
    assert_eq!((first.wait().unwrap().rows_together, second.wait().unwrap().rows_together), (2, 2));
    // Who has as many rows as may run waits for nobody; who ends the lane neither.
    assert_eq!(lane.run(Job::new([("x", rows(3, 2))])).unwrap().rows_together, 2);
    let last = lane.start(Job::new([("x", rows(4, 1))])).unwrap();
    drop(lane);
    assert_eq!(last.wait().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn the_slowest_pace_counts_for_all_that_run_together() {
    let lane = open(&joining(8));
    let job = |pace: u64| Job::new([("x", rows(0, 1))]).with_pace(Duration::from_millis(pace));
    let answers = together(&lane, job(0), [job(0), job(30), job(10)]);
    assert!(answers.into_iter().all(|outputs| outputs.unwrap().run >= Duration::from_millis(30)));
    assert!(lane.run(job(30)).unwrap().run >= Duration::from_millis(30));
}

#[test]
fn an_optimised_graph_has_rows_as_the_model_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("double.{}.onnx", device_key(&maskline_runtime::Provider::Cpu, &common::LIBRARY)));
    let options = LaneOptions { optimised: Some(path), ..joining(8) };
    let first = open_model(&double(), &options);
    let second = open_model(&double(), &options);
    assert!(second.cold().from_optimised && second.is_joinable());
    assert_eq!((first.inputs(), first.outputs()), (second.inputs(), second.outputs()));
}
