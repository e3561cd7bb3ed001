//! Sessions on a tiny model, and their artefacts.
#![allow(clippy::unwrap_used)]

mod common;

use common::{LIBRARY, double, input, open};
use maskline_runtime::{CudaOptions, ErrorKind, ModelSource, Provider, Session, SessionOptions, Tensor, device_key, usable_threads};

#[test]
fn a_model_runs_with_any_free_dimension() {
    let session = open(&SessionOptions::default());
    for rows in [1, 4] {
        let outputs = session.run(vec![("x", input(rows))]).unwrap();
        let y = outputs.f32("y").unwrap();
        assert_eq!(y.shape, [rows, 3]);
        assert!(y.data.iter().enumerate().all(|(i, value)| *value == 2.0 * i as f32));
        assert_eq!(outputs.view::<i64>("y").unwrap_err().kind(), ErrorKind::InvalidOutput);
        assert_eq!(outputs.f32("z").unwrap_err().kind(), ErrorKind::InvalidOutput);
    }
    assert_eq!((session.inputs()[0].name.as_str(), &session.inputs()[0].shape), ("x", &vec![None, Some(3)]));
    assert_eq!(session.providers()[0].name, "cpu");
}

#[test]
fn wrong_inputs_name_the_port() {
    let session = open(&SessionOptions::default());
    let wrong_shape = Tensor::new([1, 4], vec![0.0_f32; 4]).unwrap();
    let wrong_type = Tensor::new([1, 3], vec![0_i64; 3]).unwrap();
    for inputs in [vec![], vec![("x", wrong_shape)], vec![("x", wrong_type)], vec![("x", input(1)), ("more", input(1))]] {
        let error = session.run(inputs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("`x`") || error.to_string().contains("`more`"), "{error}");
    }
    assert!(Tensor::new([2, 2], vec![1.0_f32; 3]).is_err());
}

#[test]
fn a_provider_that_is_not_there_and_a_model_that_is_none() {
    let options = SessionOptions { provider: Provider::Cuda(CudaOptions::default()), ..SessionOptions::default() };
    let error = Session::open(&LIBRARY, ModelSource::Bytes(&double()), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
    assert!(error.to_string().contains("no cuda provider") && error.help().is_some(), "{error}");
    let error = Session::open(&LIBRARY, ModelSource::Bytes(b"no model"), &SessionOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidModel);
}

#[test]
fn the_second_start_takes_the_optimised_graph_and_a_damaged_one_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("double.{}.onnx", device_key(&Provider::Cpu, &LIBRARY)));
    let options = SessionOptions { optimised: Some(path.clone()), ..SessionOptions::default() };
    assert!(!open(&options).cold().from_optimised);
    assert!(open(&options).cold().from_optimised);
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [bytes[..bytes.len() / 2].to_vec(), vec![7; bytes.len()], vec![]] {
        std::fs::write(&path, damaged).unwrap();
        let session = open(&options);
        assert!(!session.cold().from_optimised);
        assert_eq!(session.run(vec![("x", input(1))]).unwrap().f32("y").unwrap().data, [0.0, 2.0, 4.0]);
        assert!(open(&options).cold().from_optimised);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half-written stays");
}

#[test]
fn requests_queue_and_are_answered_in_any_thread() {
    let session = open(&SessionOptions::default());
    std::thread::scope(|scope| {
        for rows in 1..5 {
            let session = &session;
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(session.run(vec![("x", input(rows))]).unwrap().f32("y").unwrap().shape, [rows, 3]);
                }
            });
        }
    });
    // A request whose caller has gone is dropped; the next is answered.
    drop(session.submit(vec![("x", input(2))]).unwrap());
    assert_eq!(session.run(vec![("x", input(1))]).unwrap().f32("y").unwrap().shape, [1, 3]);
}

#[test]
fn who_calls_when_the_queue_is_full_waits_for_room() {
    let session = open(&SessionOptions { queue: 1, threads: 1, ..SessionOptions::default() });
    // Long enough for the others to come meanwhile.
    let rows = 1 << 18;
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..100).map(|_| scope.spawn(|| session.run(vec![("x", input(rows))]).map(|outputs| outputs.queue))).collect();
        let waits: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect();
        assert!(waits.iter().any(|wait| !wait.is_zero()), "the wait for room is told");
    });
}

#[test]
fn a_request_that_does_not_wait_is_refused_when_the_queue_is_full() {
    let session = open(&SessionOptions { queue: 1, threads: 1, ..SessionOptions::default() });
    let pending: Vec<_> = (0..50).map(|_| session.submit(vec![("x", input(1 << 16))])).collect();
    assert!(pending.iter().any(|pending| pending.as_ref().is_err_and(|error| error.kind() == ErrorKind::QueueFull)));
}

#[test]
fn more_threads_than_cores_are_cut_with_a_word() {
    let session = open(&SessionOptions { threads: 100_000, ..SessionOptions::default() });
    assert_eq!(session.threads(), usable_threads(100_000));
    assert!(session.threads().remark().unwrap().contains("100000"));
    // Not only in word.
    if let Ok(tasks) = std::fs::read_dir("/proc/self/task") {
        assert!(tasks.count() < 1000);
    }
    assert_eq!(session.run(vec![("x", input(1))]).unwrap().f32("y").unwrap().shape, [1, 3]);
    let one = open(&SessionOptions { threads: 1, ..SessionOptions::default() });
    assert_eq!((one.threads().count, one.threads().remark()), (1, None));
}

#[test]
fn a_place_where_nothing_can_be_written_costs_only_the_optimised_graph() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    for place in [folder.path().join("absent/double.onnx"), file.join("double.onnx")] {
        let session = open(&SessionOptions { optimised: Some(place.clone()), ..SessionOptions::default() });
        assert!(session.unsaved().unwrap().contains(&*place.parent().unwrap().to_string_lossy()), "{:?}", session.unsaved());
        assert!(!session.cold().from_optimised);
        assert_eq!(session.run(vec![("x", input(1))]).unwrap().f32("y").unwrap().data, [0.0, 2.0, 4.0]);
    }
    let session = open(&SessionOptions { optimised: Some(folder.path().join("double.onnx")), ..SessionOptions::default() });
    assert_eq!(session.unsaved(), None);
}
