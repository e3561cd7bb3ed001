//! Requests of the Open Inference Protocol: bodies of HTTP with tensors behind their JSON, and messages of gRPC.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maskline_server::oip::grpc::proto::ModelInferRequest;
use maskline_server::oip::{AnswerOutput, InferAnswer, InferRequest, grpc, http};
use prost::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = ModelInferRequest::decode(bytes)
        && let Ok(request) = grpc::read(message)
    {
        answer(request);
    }
    let [low, high, rest @ ..] = bytes else { return };
    let body = rest.to_vec().into();
    let length = u16::from_le_bytes([*low, *high]).to_string();
    for length in [None, Some(length.as_str())] {
        if let Ok(http::Body::Request(request)) = http::read(&body, length) {
            answer(*request);
        }
    }
});

/// What was read can be written, and is read again as it was: an answer's outputs look like a request's inputs.
fn answer(request: InferRequest) {
    for is_binary in [true, false] {
        let outputs = request.inputs.iter().map(|tensor| AnswerOutput { tensor: tensor.clone(), is_binary });
        let answer = InferAnswer { outputs: outputs.collect(), ..InferAnswer::default() };
        let Ok(http::Written { json, tensors }) = http::write(&answer) else {
            assert!(!is_binary, "bytes carry anything");
            continue;
        };
        let json = std::str::from_utf8(&json).expect("JSON").replacen("\"outputs\":", "\"inputs\":", 1);
        let body = [json.as_bytes(), &tensors.concat()].concat();
        match http::read(&body.into(), Some(&json.len().to_string())) {
            Ok(http::Body::Request(again)) => assert_eq!(again.inputs, request.inputs),
            other => panic!("what was written is not read: {other:?}"),
        }
        grpc::write(answer);
    }
}
