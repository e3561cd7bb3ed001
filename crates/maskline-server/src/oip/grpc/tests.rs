//! Messages made by hand, and round trips of all tensors.

use proptest::prelude::*;
use prost::Message;

use super::super::message::{AnswerOutput, InferAnswer, Parameter};
use super::super::tests::any_tensor;
use super::super::{Datatype, Tensor};
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use super::*;
use bytes::Bytes;
use maskline::ErrorKind;

fn input(datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor { name: "x".into(), datatype: datatype.into(), shape: shape.to_vec(), ..InferInputTensor::default() }
}

fn raw(input: InferInputTensor, content: &[u8]) -> ModelInferRequest {
    let raw_input_contents = vec![Bytes::copy_from_slice(content)];
    ModelInferRequest { inputs: vec![input], raw_input_contents, ..ModelInferRequest::default() }
}

fn typed(datatype: &str, contents: InferTensorContents) -> ModelInferRequest {
    let input = InferInputTensor { contents: Some(contents), ..input(datatype, &[2]) };
    ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() }
}

#[test]
fn numbers_of_fields_are_the_protocols() {
    // `m`, version `1`, input `x` of BOOL [1], output `y`, one raw content: by hand, as the protocol numbers them.
    let bytes = b"\x0a\x01m\x12\x011\x2a\x0c\x0a\x01x\x12\x04BOOL\x1a\x01\x01\x32\x03\x0a\x01y\x3a\x01\x01";
    let message = ModelInferRequest::decode(&bytes[..]).expect("a message");
    let request = read(message).expect("a request");
    assert_eq!((request.model.as_str(), request.version.as_deref(), request.id.as_deref()), ("m", Some("1"), None));
    assert_eq!((request.inputs[0].datatype(), request.inputs[0].content().as_ref()), (Datatype::Bool, &[1][..]));
    assert_eq!(request.outputs.map(|outputs| outputs[0].name.clone()).as_deref(), Some("y"));
}

#[test]
fn raw_contents_are_slices_of_the_message() {
    let message: Bytes = raw(input("UINT8", &[4]), b"abcd").encode_to_vec().into();
    let read = read(ModelInferRequest::decode(message.clone()).expect("a message")).expect("a request");
    let at = message.windows(4).position(|window| window == b"abcd").expect("it is there");
    assert_eq!(read.inputs[0].content().as_ptr(), message[at..].as_ptr());
}

#[test]
fn every_list_is_read() {
    let one = InferTensorContents::default;
    let cases: [(&str, InferTensorContents, &[u8]); 12] = [
        ("BOOL", InferTensorContents { bool_contents: vec![true, false], ..one() }, &[1, 0]),
        ("INT8", InferTensorContents { int_contents: vec![-1, 2], ..one() }, &[255, 2]),
        ("INT16", InferTensorContents { int_contents: vec![-1, 2], ..one() }, &[255, 255, 2, 0]),
        ("INT32", InferTensorContents { int_contents: vec![-1, 2], ..one() }, &[255, 255, 255, 255, 2, 0, 0, 0]),
        ("INT64", InferTensorContents { int64_contents: vec![0, 2], ..one() }, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
        ("UINT8", InferTensorContents { uint_contents: vec![255, 2], ..one() }, &[255, 2]),
        ("UINT16", InferTensorContents { uint_contents: vec![255, 2], ..one() }, &[255, 0, 2, 0]),
        ("UINT32", InferTensorContents { uint_contents: vec![255, 2], ..one() }, &[255, 0, 0, 0, 2, 0, 0, 0]),
        ("UINT64", InferTensorContents { uint64_contents: vec![0, 2], ..one() }, &[0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
        ("FP32", InferTensorContents { fp32_contents: vec![0., 1.], ..one() }, &[0, 0, 0, 0, 0, 0, 0x80, 0x3f]),
        ("FP64", InferTensorContents { fp64_contents: vec![0., 1.], ..one() }, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f]),
        ("BYTES", InferTensorContents { bytes_contents: vec!["a".into(), Bytes::new()], ..one() }, &[1, 0, 0, 0, b'a', 0, 0, 0, 0]),
    ];
    for (datatype, contents, bytes) in cases {
        let request = read(typed(datatype, contents)).expect(datatype);
        assert_eq!((request.inputs[0].datatype().name(), request.inputs[0].content().as_ref()), (datatype, bytes));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let one = InferTensorContents::default;
    let ints = |values: &[i32]| InferTensorContents { int_contents: values.to_vec(), ..one() };
    let mut both = raw(input("INT32", &[2]), &[0; 8]);
    both.inputs[0].contents = Some(ints(&[1, 2]));
    let mut missing = raw(input("UINT8", &[1]), &[0]);
    missing.inputs.push(input("UINT8", &[1]));
    let mut shared = raw(input("UINT8", &[1]), &[0]);
    shared.inputs[0].parameters.insert("shared_memory_region".into(), answer::parameter(Parameter::Text("r".into())));
    let mut classes = raw(input("UINT8", &[1]), &[0]);
    let parameters = [("classification".to_owned(), answer::parameter(Parameter::Int(1)))].into();
    classes.outputs.push(InferRequestedOutputTensor { name: "y".into(), parameters });
    let cases = [
        ("a narrow number", typed("INT8", ints(&[128, 0]))),
        ("too few", typed("INT32", ints(&[1]))),
        ("too many", typed("INT32", ints(&[1, 2, 3]))),
        ("the wrong list", typed("FP32", ints(&[1, 2]))),
        ("no list", typed("FP16", ints(&[1, 2]))),
        ("nothing", ModelInferRequest { inputs: vec![input("FP32", &[1])], ..ModelInferRequest::default() }),
        ("both", both),
        ("a raw content for each", missing),
        ("a short content", raw(input("FP32", &[2]), &[0; 7])),
        ("a negative size", raw(input("FP32", &[-1]), &[0; 4])),
        ("an overflow", raw(input("FP32", &[1 << 32, 1 << 32]), &[])),
        ("no length", raw(input("BYTES", &[1]), b"\x05\0\0\0abc")),
        ("an unknown type", raw(input("FP8", &[1]), &[0])),
        ("shared memory", shared),
        ("classes", classes),
    ];
    for (what, message) in cases {
        let error = read(message).expect_err(what);
        assert!(matches!(error.kind(), ErrorKind::BadInput | ErrorKind::InvalidOption), "{what}: {error}");
    }
    read(raw(input("FP32", &[0, 4]), &[])).expect("nothing to send");
    read(typed("FP16", one()).clone()).expect_err("two numbers");
}

proptest! {
    #[test]
    fn tensors_survive(tensors in proptest::collection::vec(any_tensor(), 0..4)) {
        let outputs = tensors.iter().map(|tensor| AnswerOutput { tensor: tensor.clone(), is_binary: false }).collect();
        let told = write(InferAnswer { model: "m".into(), outputs, ..InferAnswer::default() });
        let told = ModelInferResponse::decode(told.encode_to_vec().as_slice()).expect("a message");
        let inputs = told.outputs.into_iter().map(|output| InferInputTensor {
            name: output.name, datatype: output.datatype, shape: output.shape, ..InferInputTensor::default()
        }).collect();
        let message = ModelInferRequest { inputs, raw_input_contents: told.raw_output_contents, ..ModelInferRequest::default() };
        let read: Vec<Tensor> = read(message).expect("what was written").inputs;
        prop_assert_eq!(read, tensors);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = ModelInferRequest::decode(bytes.as_slice()) {
            let _ = read(message);
        }
    }
}
