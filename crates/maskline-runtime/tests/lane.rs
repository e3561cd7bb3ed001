//! Lanes on a tiny model, and their artefacts.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{Hold, LIBRARY, double, input, open};
use maskline_runtime::{
    CudaOptions, ErrorKind, Job, Lane, LaneOptions, ModelSource, Priority, Provider, Tally, Tensor, device_key, usable_threads,
};

#[test]
fn a_model_runs_with_any_free_dimension() {
    let lane = open(&LaneOptions::default());
    for rows in [1, 4] {
        let outputs = lane.run(Job::new([("x", input(rows))])).unwrap();
        let y = outputs.f32("y").unwrap();
        assert_eq!(y.shape, [rows, 3]);
        assert!(y.data.iter().enumerate().all(|(i, value)| *value == 2.0 * i as f32));
        assert_eq!(outputs.view::<i64>("y").unwrap_err().kind(), ErrorKind::InvalidOutput);
        assert_eq!(outputs.f32("z").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
    assert_eq!((lane.inputs()[0].name.as_str(), &lane.inputs()[0].shape), ("x", &vec![None, Some(3)]));
    assert_eq!(lane.providers()[0].name, "cpu");
}

#[test]
fn wrong_inputs_name_the_port() {
    let lane = open(&LaneOptions::default());
    let wrong_shape = Tensor::new([1, 4], vec![0.0_f32; 4]).unwrap();
    let wrong_type = Tensor::new([1, 3], vec![0_i64; 3]).unwrap();
    for inputs in [vec![], vec![("x", wrong_shape)], vec![("x", wrong_type)], vec![("x", input(1)), ("more", input(1))]] {
        let error = lane.run(Job::new(inputs)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`x`") || error.to_string().contains("`more`"), "{error}");
    }
    assert!(Tensor::new([2, 2], vec![1.0_f32; 3]).is_err());
}

#[test]
fn a_provider_that_is_not_there_and_a_model_that_is_none() {
    let options = LaneOptions { provider: Provider::Cuda(CudaOptions::default()), ..LaneOptions::default() };
    let error = Lane::open(&LIBRARY, ModelSource::Bytes(&double()), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
    assert!(error.to_string().contains("no cuda provider") && error.help().is_some(), "{error}");
    let error = Lane::open(&LIBRARY, ModelSource::Bytes(b"no model"), &LaneOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
}

#[test]
fn the_second_start_takes_the_optimised_graph_and_a_damaged_one_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("double.{}.onnx", device_key(&Provider::Cpu, &LIBRARY)));
    let options = LaneOptions { optimised: Some(path.clone()), ..LaneOptions::default() };
    assert!(!open(&options).cold().from_optimised);
    assert!(open(&options).cold().from_optimised);
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [bytes[..bytes.len() / 2].to_vec(), vec![7; bytes.len()], vec![]] {
        std::fs::write(&path, damaged).unwrap();
        let lane = open(&options);
        assert!(!lane.cold().from_optimised);
        assert_eq!(lane.run(Job::new([("x", input(1))])).unwrap().f32("y").unwrap().data, [0.0, 2.0, 4.0]);
        assert!(open(&options).cold().from_optimised);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written stays");
}

#[test]
fn requests_queue_and_are_answered_in_any_thread() {
    let lane = open(&LaneOptions::default());
    std::thread::scope(|scope| {
        for rows in 1..5 {
            let lane = &lane;
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(lane.run(Job::new([("x", input(rows))])).unwrap().f32("y").unwrap().shape, [rows, 3]);
                }
            });
        }
    });
    // A request whose caller has gone is dropped; the next is answered.
    drop(lane.start(Job::new([("x", input(2))])).unwrap());
    assert_eq!(lane.run(Job::new([("x", input(1))])).unwrap().f32("y").unwrap().shape, [1, 3]);
}

#[test]
fn who_calls_when_the_queue_is_full_waits_for_room() {
    let lane = open(&LaneOptions { queue: 1, threads: 1, ..LaneOptions::default() });
    // Long enough for the others to come meanwhile.
    let rows = 1 << 18;
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..100).map(|_| scope.spawn(|| lane.run(Job::new([("x", input(rows))])).map(|outputs| outputs.queue))).collect();
        let waits: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect();
        assert!(waits.iter().any(|wait| !wait.is_zero()), "the wait for room is told");
    });
}

#[test]
fn a_request_that_does_not_wait_is_refused_when_the_queue_is_full() {
    let lane = open(&LaneOptions { queue: 1, threads: 1, ..LaneOptions::default() });
    let pending: Vec<_> = (0..50).map(|_| lane.start(Job::new([("x", input(1 << 16))]))).collect();
    assert!(pending.iter().any(|pending| pending.as_ref().is_err_and(|error| error.kind() == ErrorKind::Busy)));
}

#[test]
fn more_threads_than_cores_are_cut_with_a_word() {
    let lane = open(&LaneOptions { threads: 100_000, ..LaneOptions::default() });
    assert_eq!(lane.threads(), usable_threads(100_000));
    assert!(lane.threads().remark().unwrap().contains("100000"));
    // Not only in word.
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        assert!(tasks.count() < 1000);
    }
    assert_eq!(lane.run(Job::new([("x", input(1))])).unwrap().f32("y").unwrap().shape, [1, 3]);
    let one = open(&LaneOptions { threads: 1, ..LaneOptions::default() });
    assert_eq!((one.threads().count, one.threads().remark()), (1, None));
}

#[test]
fn a_place_where_nothing_can_be_written_costs_only_the_optimised_graph() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    for place in [folder.path().join("absent/double.onnx"), file.join("double.onnx")] {
        let lane = open(&LaneOptions { optimised: Some(place.clone()), ..LaneOptions::default() });
        assert!(lane.unsaved().unwrap().contains(&*place.parent().unwrap().to_string_lossy()), "{:?}", lane.unsaved());
        assert!(!lane.cold().from_optimised);
        assert_eq!(lane.run(Job::new([("x", input(1))])).unwrap().f32("y").unwrap().data, [0.0, 2.0, 4.0]);
    }
    let lane = open(&LaneOptions { optimised: Some(folder.path().join("double.onnx")), ..LaneOptions::default() });
    assert_eq!(lane.unsaved(), None);
}

#[test]
fn a_reply_is_called_once_and_its_panic_harms_nobody() {
    let lane = open(&LaneOptions::default());
    let job = || Job::new([("x", input(1))]);
    let (tell, told) = channel();
    for _ in 0..3 {
        let tell = tell.clone();
        lane.submit(job(), move |outcome| tell.send(outcome.map(|outputs| outputs.rows_together)).unwrap()).unwrap().detach();
    }
    lane.submit(job(), |_| panic!("the reply of a test")).unwrap().detach();
    drop(tell);
    assert_eq!(lane.run(job()).unwrap().f32("y").unwrap().shape, [1, 3]);
    assert_eq!(told.iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn dropping_a_ticket_takes_its_job_out_and_never_calls_its_reply() {
    let lane = open(&LaneOptions { queue: 1, ..LaneOptions::default() });
    let job = || Job::new([("x", input(1))]);
    let hold = Hold::new(&lane, job());
    let (tell, told) = channel::<()>();
    let ticket = lane.submit(job(), move |_| tell.send(()).unwrap()).unwrap();
    assert!(ticket.is_queued());
    assert_eq!(lane.start(job()).unwrap_err().kind(), ErrorKind::Busy);
    drop(ticket);
    assert!(told.recv().is_err(), "the reply went uncalled");
    assert_eq!(lane.queued(), 0);
    let next = lane.start(job()).unwrap();
    drop(hold);
    assert!(next.wait().is_ok());
}

#[test]
fn a_job_whose_deadline_passed_is_told_so_and_a_later_one_runs() {
    let lane = open(&LaneOptions { name: Some("net".into()), ..LaneOptions::default() });
    let job = |deadline| Job::new([("x", input(1))]).with_deadline(deadline);
    let hold = Hold::new(&lane, job(None));
    let late = lane.start(job(Some(Instant::now()))).unwrap();
    let early = lane.start(job(Some(Instant::now() + Duration::from_secs(3600)))).unwrap();
    drop(hold);
    let error = late.wait().unwrap_err();
    assert_eq!((error.kind(), error.place()), (ErrorKind::TimedOut, Some("net")));
    assert!(early.wait().is_ok());
    // Who waits for room leaves in time.
    let full = open(&LaneOptions { queue: 1, ..LaneOptions::default() });
    let _hold = Hold::new(&full, job(None));
    let _waits = full.start(job(None)).unwrap();
    assert_eq!(full.run(job(Some(Instant::now()))).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn who_waits_is_told_at_the_deadline_however_long_the_run_before_takes() {
    let lane = open(&LaneOptions::default());
    let job = || Job::new([("x", input(1))]);
    let hold = Hold::new(&lane, job());
    // The lane is held until this has been answered.
    let late = lane.run(job().with_deadline(Instant::now() + Duration::from_millis(5))).unwrap_err();
    assert_eq!((late.kind(), lane.queued()), (ErrorKind::TimedOut, 0));
    drop(hold);
    assert!(lane.run(job().with_deadline(Instant::now() + Duration::from_secs(3600))).is_ok());
}

#[test]
fn the_most_urgent_job_runs_next_and_runs_are_counted() {
    let tally = Arc::new(Tally::default());
    let lane = open(&LaneOptions { tally: Arc::clone(&tally), ..LaneOptions::default() });
    let hold = Hold::new(&lane, Job::new([("x", input(1))]));
    let (tell, told) = channel();
    let tickets = [Priority::Low, Priority::Normal, Priority::High].map(|priority| {
        let tell = tell.clone();
        lane.submit(Job::new([("x", input(2))]).with_priority(priority), move |_| tell.send(priority).unwrap()).unwrap()
    });
    drop((hold, tell));
    assert_eq!(told.iter().collect::<Vec<_>>(), Priority::ALL);
    drop(tickets);
    let count = tally.count();
    assert_eq!((count.runs, count.rows, count.failed), (4, 7, 0));
    assert!(count.time > Duration::ZERO);
}

#[test]
fn errors_call_a_model_by_its_short_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.onnx");
    std::fs::write(&path, double()).unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::File(&path), &LaneOptions { queue: 1, ..LaneOptions::default() }).unwrap();
    let job = || Job::new([("x", input(1))]);
    let _hold = Hold::new(&lane, job());
    let _waits = lane.start(job()).unwrap();
    let busy = lane.start(job()).unwrap_err();
    assert_eq!((busy.kind(), busy.to_string()), (ErrorKind::Busy, "tiny: too many requests wait".into()));
    let error = lane.run(Job::new([("x", Tensor::new([1, 3], vec![0i64; 3]).unwrap())])).unwrap_err();
    assert_eq!((error.place(), error.message(), error.expected(), error.found()), (Some("tiny"), "input `x`", Some("f32"), Some("i64")));
    assert_eq!(error.to_string(), "tiny: input `x`: expected f32, found i64");
    // What cannot be opened has to be found.
    std::fs::write(&path, b"no model").unwrap();
    let error = Lane::open(&LIBRARY, ModelSource::File(&path), &LaneOptions::default()).unwrap_err();
    assert_eq!(error.place(), Some(&*path.to_string_lossy()));
}

#[test]
fn the_end_of_a_lane_answers_those_that_wait() {
    let lane = open(&LaneOptions::default());
    let job = || Job::new([("x", input(1))]);
    let hold = Hold::new(&lane, job());
    let waits = lane.start(job()).unwrap();
    std::thread::scope(|scope| {
        // It waits for the reply that is held.
        scope.spawn(move || drop(lane));
        assert_eq!(waits.wait().unwrap_err().kind(), ErrorKind::Closed);
        drop(hold);
    });
}

#[test]
fn a_reply_may_drop_its_lane_but_not_wait_for_it() {
    let lane = Arc::new(open(&LaneOptions::default()));
    let (tell, told) = channel();
    let own = Arc::clone(&lane);
    let hold = Hold::new(&lane, Job::new([("x", input(1))]));
    let reply = move |_| {
        let again = own.run(Job::new([("x", input(1))])).map(drop);
        // The last one: the test has let go of its own.
        assert_eq!(Arc::strong_count(&own), 1);
        drop(own);
        tell.send(again).unwrap();
    };
    lane.submit(Job::new([("x", input(1))]), reply).unwrap().detach();
    // What Hold keeps is no lane.
    drop(Arc::try_unwrap(lane).map(|_| panic!("the reply has one")));
    drop(hold);
    assert_eq!(told.recv().unwrap().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn an_input_that_is_given_twice_is_refused() {
    let lane = open(&LaneOptions::default());
    let error = lane.run(Job::new([("x", input(1)), ("x", input(1))])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("`x` is there twice"), "{error}");
}

#[test]
fn only_what_the_model_weighs_keeps_its_optimised_graph_off_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("double.onnx");
    std::fs::write(&model, double()).unwrap();
    // Takes no room, and is none of this model's weights.
    std::fs::File::create(folder.path().join("other.bin")).unwrap().set_len(5_000_000_000).unwrap();
    let optimised = folder.path().join("double.optimised.onnx");
    let open = |weights_bytes| {
        let options = LaneOptions { optimised: Some(optimised.clone()), weights_bytes, ..LaneOptions::default() };
        Lane::open(&LIBRARY, ModelSource::File(&model), &options).unwrap()
    };
    let heavy = open(Some(5_000_000_000));
    assert!(!optimised.exists() && heavy.unsaved().is_none());
    open(None);
    assert!(optimised.exists());
}
