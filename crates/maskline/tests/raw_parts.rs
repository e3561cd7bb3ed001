//! Networks asked with tensors: parts of models, and plain ONNX graphs.
#![allow(clippy::unwrap_used)]

mod asking;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use asking::{Place, SIZE, picture};
use maskline::runtime::{Job, Outputs, SharedTensor, Tensor};
use maskline::{ErrorKind, LoadOptions, Mask, MaskPrompt, Model, ModelSource, Part, Prompt, Result, SegmentOptions, Stage};
use maskline_models::{LookHead, PromptHead};
use maskline_onnx::proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use prost::Message;

const FLOAT: i32 = 1;
const TEXT: i32 = 8;

/// `y = x` of [n, 3] in a file `same.onnx`.
fn graph(folder: &Path, element: i32) -> PathBuf {
    let free = DimensionProto { dim_param: Some("n".into()), ..Default::default() };
    let shape = TensorShapeProto { dim: vec![free, DimensionProto { dim_value: Some(3), ..Default::default() }] };
    let r#type = TypeProto { tensor_type: Some(TensorTypeProto { elem_type: element, shape: Some(shape) }) };
    let port = |name: &str| ValueInfoProto { name: name.into(), r#type: Some(r#type.clone()) };
    let node = NodeProto { op_type: "Identity".into(), input: vec!["x".into()], output: vec!["y".into()], ..Default::default() };
    let graph = GraphProto { name: "same".into(), node: vec![node], input: vec![port("x")], output: vec![port("y")], ..Default::default() };
    let opset = OperatorSetIdProto { version: 21, ..Default::default() };
    let model = ModelProto { ir_version: 10, graph: Some(graph), opset_import: vec![opset], ..Default::default() };
    let path = folder.join("same.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

fn rows(count: usize) -> Tensor {
    Tensor::new([count, 3], vec![1.5f32; 3 * count]).unwrap()
}

fn submit(part: &Part, job: Job) -> Receiver<Result<Outputs>> {
    let (sender, answer) = channel();
    // Nobody waits any more where a test has failed.
    part.submit(job, move |outcome| drop(sender.send(outcome))).unwrap().detach();
    answer
}

#[test]
fn a_graph_is_one_network_named_by_its_file() {
    let place = Place::new();
    let part = place.engine.graph(&graph(place.folder.path(), FLOAT), &LoadOptions::default()).unwrap();
    assert_eq!((part.name(), part.inputs().len(), part.outputs()[0].name.as_str()), ("same", 1, "y"));
    assert_eq!((part.is_joinable(), part.provider().as_str(), part.degraded()), (true, "cpu", None));
    part.warm_up().unwrap();
    for count in [2, 0] {
        let outputs = submit(&part, Job::new([("x", rows(count))])).recv().unwrap().unwrap();
        assert_eq!((outputs.raw("y").unwrap().shape, outputs.f32("y").unwrap().data), (vec![count, 3], &vec![1.5; 3 * count][..]));
    }
    let files: Vec<_> = std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["same.onnx"], "nothing is kept of it");
    let wrong = part.submit(Job::new([("z", rows(1))]), |_| {}).unwrap_err();
    assert!(wrong.kind() == ErrorKind::BadInput && wrong.to_string().contains("`z`"), "{wrong}");
}

#[test]
fn what_is_no_network_of_numbers_is_refused() {
    let place = Place::new();
    let options = LoadOptions::default();
    let text = place.engine.graph(&graph(place.folder.path(), TEXT), &options).unwrap_err();
    assert_eq!((text.kind(), text.message()), (ErrorKind::BadInput, "input `x` of same"));
    assert_eq!(text.expected(), Some("a tensor of numbers"));
    let absent = place.engine.graph(&place.folder.path().join("absent.onnx"), &options).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::BadInput);
    let broken = place.folder.path().join("broken.onnx");
    std::fs::write(&broken, b"no graph").unwrap();
    assert_eq!(place.engine.graph(&broken, &options).unwrap_err().kind(), ErrorKind::BadInput);
}

#[test]
fn jobs_wait_for_each_other_as_long_as_the_options_say() {
    let place = Place::new();
    // For an hour, unless as many rows come as may run together.
    let options = LoadOptions { together: Some(2), wait: Duration::from_secs(3600), ..LoadOptions::default() };
    let part = place.engine.graph(&graph(place.folder.path(), FLOAT), &options).unwrap();
    let answers = [(); 2].map(|()| submit(&part, Job::new([("x", rows(1))])));
    for answer in answers {
        assert_eq!(answer.recv().unwrap().unwrap().rows_together, 2);
    }
}

#[test]
fn more_rows_run_together_than_the_options_say_for_nobody() {
    let place = Place::new();
    let options = LoadOptions { together: Some(1), wait: Duration::from_secs(3600), ..LoadOptions::default() };
    let part = place.engine.graph(&graph(place.folder.path(), FLOAT), &options).unwrap();
    part.set_max_rows(64);
    assert_eq!(submit(&part, Job::new([("x", rows(1))])).recv().unwrap().unwrap().rows_together, 1);
}

#[test]
fn a_part_shares_its_queue_with_the_model() {
    let place = Place::new();
    let model = place.engine.load(ModelSource::Nano, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    assert_eq!(model.part_names(), [LookHead::SEGMENTER]);
    let part = model.part(LookHead::SEGMENTER).unwrap();
    let shape: Vec<usize> = part.inputs()[0].shape.iter().map(|size| size.unwrap_or(1)).collect();
    let job = || {
        Job::new([(
            LookHead::PLANES,
            SharedTensor::new(Tensor::new(shape.clone(), vec![0.0f32; shape.iter().product()]).unwrap()).unwrap(),
        )])
    };
    let (release, released) = channel::<()>();
    let (tell, begun) = channel();
    let held = part.submit(job(), move |outcome| {
        tell.send(outcome.map(drop)).unwrap();
        // Ends when the other side is dropped.
        let _ = released.recv();
    });
    held.unwrap().detach();
    begun.recv().unwrap().unwrap();
    let waits = submit(&part, job());
    assert_eq!((part.queued(), model.queued()), (1, 1));
    drop(release);
    let outputs = waits.recv().unwrap().unwrap();
    assert_eq!(outputs.names().collect::<Vec<_>>(), part.outputs().iter().map(|port| port.name.as_str()).collect::<Vec<_>>());
    let error = model.part("mask_decoder").unwrap_err();
    assert_eq!((error.kind(), error.found()), (ErrorKind::InvalidOption, Some("mask_decoder")));
    drop(model);
    assert!(submit(&part, job()).recv().unwrap().is_ok(), "it outlives its model");
}

/// What of a question with a mask was spent on opening networks.
fn opening(model: &Model) -> Duration {
    let mask = MaskPrompt::Picture(Mask::from_fn(SIZE.0, SIZE.1, |x, _| x < 50).unwrap());
    let segments =
        model.embed(&picture(1, SIZE)).unwrap().segment(&[Prompt::default().with_mask(mask)], &SegmentOptions::default()).unwrap();
    assert!(segments.answers[0].is_ok());
    segments.timings.get(Stage::Open)
}

#[test]
fn a_model_that_is_warm_all_over_opens_nothing_for_any_question() {
    let place = Place::new();
    let load = || place.synthetic(LoadOptions { sessions: 2, ..LoadOptions::default() });
    let warm = load();
    warm.warm_all().unwrap();
    assert!(warm.part_names().contains(&PromptHead::MASKED_DECODER));
    assert_eq!(opening(&warm), Duration::ZERO);
    assert!(opening(&load()) > Duration::ZERO, "it is opened when it is first needed");
}
