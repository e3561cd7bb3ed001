//! Tensors of every type and shape pass, and are read as bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::mpsc::channel;

use common::{Hold, double, identity, input, open, open_model};
use maskline_runtime::{ElementType, ErrorKind, Job, Lane, LaneOptions, Outputs, Tensor, TensorData};

/// Every type with its number in ONNX.
const TYPES: [(ElementType, u8); 13] = [
    (ElementType::F32, 1),
    (ElementType::U8, 2),
    (ElementType::I8, 3),
    (ElementType::U16, 4),
    (ElementType::I16, 5),
    (ElementType::I32, 6),
    (ElementType::I64, 7),
    (ElementType::Bool, 9),
    (ElementType::F16, 10),
    (ElementType::F64, 11),
    (ElementType::U32, 12),
    (ElementType::U64, 13),
    (ElementType::BF16, 16),
];

fn run(lane: &Lane, element_type: ElementType, shape: &[usize], bytes: &[u8]) -> Outputs {
    let tensor = Tensor::new(shape, TensorData::from_bytes(element_type, bytes).unwrap()).unwrap();
    lane.run(Job::new([("x", tensor)])).unwrap()
}

#[test]
fn elements_of_every_type_come_out_as_they_went_in_also_where_there_is_none() {
    for (element_type, number) in TYPES {
        let lane = open_model(&identity(number, &["n", "2"]), &LaneOptions::default());
        assert_eq!(lane.inputs()[0].element_type, Some(element_type));
        for rows in [3, 0] {
            let count = rows * 2 * element_type.size();
            let bytes: Vec<u8> = (0..count).map(|i| if element_type == ElementType::Bool { i as u8 % 2 } else { i as u8 }).collect();
            let outputs = run(&lane, element_type, &[rows, 2], &bytes);
            let y = outputs.raw("y").unwrap();
            assert_eq!((y.element_type, y.shape, y.bytes), (element_type, vec![rows, 2], bytes.as_slice()));
        }
        assert_eq!(
            Tensor::zeros(element_type, [2]).unwrap().data(),
            &TensorData::from_bytes(element_type, &vec![0; 2 * element_type.size()]).unwrap()
        );
    }
}

#[test]
fn a_scalar_is_a_tensor() {
    let lane = open_model(&identity(7, &[]), &LaneOptions::default());
    let outputs = lane.run(Job::new([("x", Tensor::scalar(-7i64))])).unwrap();
    let y = outputs.raw("y").unwrap();
    assert_eq!((y.shape, y.bytes), (vec![], (-7i64).to_ne_bytes().as_slice()));
    assert_eq!(outputs.raw("z").unwrap_err().kind(), ErrorKind::InvalidOutput);
}

#[test]
fn bytes_that_are_no_elements_are_refused() {
    for (element_type, bytes, found) in [(ElementType::I32, &[0u8; 6][..], "6"), (ElementType::Bool, &[0, 1, 2], "others")] {
        let error = TensorData::from_bytes(element_type, bytes).unwrap_err();
        assert_eq!((error.kind(), error.found()), (ErrorKind::InvalidInput, Some(found)));
    }
    for shape in [vec![usize::MAX / 2], vec![1 << 40, 1 << 40], vec![usize::MAX, 2]] {
        assert_eq!(Tensor::zeros(ElementType::F64, shape).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn text_is_no_element_type_and_comes_out_as_none() {
    let lane = open_model(&identity(8, &["n"]), &LaneOptions::default());
    assert_eq!((lane.inputs()[0].element_type, lane.outputs()[0].element_type), (None, None));
    lane.warm_up().unwrap();
    assert!(!lane.has_run(), "there are no zeros of it");
}

#[test]
fn bytes_of_jobs_that_ran_together_are_each_ones_own() {
    let lane = open(&LaneOptions { max_rows: 8, ..LaneOptions::default() });
    let hold = Hold::new(&lane, Job::new([("x", input(1))]));
    let pending: Vec<_> = [2, 3].map(|rows| lane.start(Job::new([("x", input(rows))])).unwrap()).into_iter().collect();
    drop(hold);
    for (rows, pending) in [2, 3].into_iter().zip(pending) {
        let outputs = pending.wait().unwrap();
        let expected: Vec<u8> = (0..3 * rows).flat_map(|i| (2.0 * i as f32).to_ne_bytes()).collect();
        let y = outputs.raw("y").unwrap();
        assert_eq!((outputs.rows_together, y.shape, y.bytes), (5, vec![rows, 3], expected.as_slice()));
    }
}

#[test]
fn a_lane_is_warmed_in_sizes_that_it_takes() {
    let lane = open_model(&double(), &LaneOptions::default());
    assert!(!lane.has_run());
    lane.warm_up().unwrap();
    assert!(lane.has_run());
    let (sender, answer) = channel();
    lane.submit(Job::new([("x", input(2))]), move |outcome| sender.send(outcome.map(drop)).unwrap()).unwrap().detach();
    answer.recv().unwrap().unwrap();
    // Larger than anybody means.
    let vast = open_model(&identity(1, &["100", "100", "100", "100", "100", "100"]), &LaneOptions::default());
    vast.warm_up().unwrap();
    assert!(!vast.has_run());
}
