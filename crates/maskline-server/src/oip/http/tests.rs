//! Bodies made by hand, and round trips of all tensors.

use proptest::prelude::*;

use super::super::message::{AnswerOutput, InferAnswer, InferRequest, Parameter, WantedOutput};
use super::super::tests::any_tensor;
use super::super::{Datatype, Tensor};
use super::*;
use bytes::Bytes;
use maskline::{Error, ErrorKind};

/// A body of JSON and what follows it.
fn body(json: &str, tensors: &[&[u8]]) -> Bytes {
    [json.as_bytes(), &tensors.concat()].concat().into()
}

fn request(json: &str, tensors: &[&[u8]]) -> maskline::Result<InferRequest> {
    let length = json.len().to_string();
    let header = if tensors.is_empty() { None } else { Some(length.as_str()) };
    match read(&body(json, tensors), header)? {
        Body::Request(request) => Ok(*request),
        Body::Raw(_) => panic!("{json} is not raw"),
    }
}

fn refused(json: &str, tensors: &[&[u8]]) -> Error {
    request(json, tensors).expect_err(json)
}

#[test]
fn json_and_bytes_may_be_mixed() {
    let json = r#"{"id":"42","parameters":{"binary_data_output":true,"priority":1,"conf":0.25},
        "inputs":[{"name":"a","shape":[2,2],"datatype":"UINT32","parameters":{"binary_data_size":16}},
                  {"name":"b","shape":[3],"datatype":"BOOL","data":[true,false,true]},
                  {"data":[["one"],["tw\u00f6"]],"datatype":"BYTES","shape":[2,1],"name":"c"},
                  {"name":"d","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":7}}],
        "outputs":[{"name":"y"},{"name":"z","parameters":{"binary_data":false,"classification":0}}]}"#;
    let numbers: Vec<u8> = [1u32, 2, 3, 4].iter().flat_map(|number| number.to_le_bytes()).collect();
    let read = request(json, &[&numbers, b"\x03\0\0\0abc"]).expect("a request");
    let names: Vec<&str> = read.inputs.iter().map(Tensor::name).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!((read.inputs[0].content().as_ref(), read.inputs[0].shape()), (numbers.as_slice(), &[2, 2][..]));
    assert_eq!(read.inputs[1].content().as_ref(), [1, 0, 1]);
    assert_eq!(read.inputs[2].elements().collect::<Vec<_>>(), ["one", "twö"]);
    assert_eq!(read.inputs[3].elements().collect::<Vec<_>>(), ["abc"]);
    assert_eq!((read.id.as_deref(), read.binary_by_default, read.parameters.priority), (Some("42"), true, 1));
    assert_eq!(read.parameters.others.get("conf"), Some(&Parameter::Float(0.25)));
    let wanted = |name: &str, is_binary| WantedOutput { name: name.into(), is_binary };
    assert_eq!(read.outputs, Some(vec![wanted("y", None), wanted("z", Some(false))]));
}

#[test]
fn tensors_are_slices_of_the_body() {
    let json = r#"{"inputs":[{"name":"a","shape":[4],"datatype":"UINT8","parameters":{"binary_data_size":4}}]}"#;
    let body = body(json, &[b"abcd"]);
    let Body::Request(request) = read(&body, Some(&json.len().to_string())).expect("a request") else { panic!("raw") };
    assert_eq!(request.inputs[0].content().as_ptr(), body[json.len()..].as_ptr());
}

#[test]
fn what_clients_leave_empty_is_not_said() {
    let read = request(r#"{"id":"","inputs":[],"model_name":"x","more":[[[]]]}"#, &[]).expect("a request");
    assert_eq!((read.id, read.outputs, read.binary_by_default), (None, None, false));
    assert_eq!(request(r#"{"inputs":[],"outputs":[]}"#, &[]).expect("a request").outputs, Some(vec![]));
}

#[test]
fn a_header_of_zero_means_raw_content() {
    assert_eq!(read(&Bytes::from_static(b"{}"), Some("0")).expect("raw"), Body::Raw(Bytes::from_static(b"{}")));
    assert_eq!(read(&Bytes::new(), Some("0")).expect("raw"), Body::Raw(Bytes::new()));
    let error = read(&Bytes::new(), None).expect_err("no JSON");
    assert_eq!(error.kind(), ErrorKind::BadInput);
}

#[test]
fn header_lengths_that_are_none_are_refused() {
    let body = body(r#"{"inputs":[]}"#, &[]);
    for length in ["-1", "14", "99999999999999999999999999", "", "1.0", "0x1", "12a", "18446744073709551615"] {
        let error = read(&body, Some(length)).expect_err(length);
        assert_eq!((error.kind(), error.place()), (ErrorKind::BadInput, Some("header Inference-Header-Content-Length")), "{length}");
        assert!(error.found().is_some_and(|found| found.contains(length)), "{error}");
    }
    read(&body, Some("13")).expect("all of it");
}

#[test]
fn broken_json_says_where() {
    let cases =
        ["", "{", "[]", "{}", r#"{"inputs":{}}"#, r#"{"inputs":[{}]}"#, "\u{feff}{}", r#"{"inputs":[]} x"#, r#"{"inputs":[],"inputs":[]}"#];
    for json in cases {
        let error = refused(json, &[]);
        assert_eq!(error.kind(), ErrorKind::BadInput, "{json}: {error}");
        assert!(error.place().is_some_and(|place| place.starts_with("the request's JSON, line ")), "{json}: {error}");
    }
    let error = read(&Bytes::from_static(b"{\"inputs\":[\xff]}"), None).expect_err("no UTF-8");
    assert_eq!(error.kind(), ErrorKind::BadInput);
    let deep = format!("{{\"inputs\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused(&deep, &[]).kind(), ErrorKind::BadInput);
}

#[test]
fn shapes_that_none_is_are_refused() {
    let with = |shape: &str| format!(r#"{{"inputs":[{{"name":"a","shape":{shape},"datatype":"FP32","data":[]}}]}}"#);
    let many = format!("[{}1]", "1,".repeat(64));
    for shape in [
        "[-1]",
        "[1.5]",
        "[1e2]",
        "[18446744073709551616]",
        "[4294967296,4294967296]",
        "[9223372036854775808]",
        "[0,9223372036854775807,2]",
        &many,
    ] {
        let error = refused(&with(shape), &[]);
        assert!(error.kind() == ErrorKind::BadInput && error.message().contains("tensor `a`: shape"), "{shape}: {error}");
    }
    let endless = format!("[{}1]", "1,".repeat(100_000));
    for shape in ["[\"1\"]", "3", "[null]", "[[1]]", &endless] {
        assert_eq!(refused(&with(shape), &[]).kind(), ErrorKind::BadInput, "{shape}");
    }
    for shape in ["[0]", "[0,4]", "[4,0,9223372036854775]"] {
        request(&with(shape), &[]).expect(shape);
    }
}

#[test]
fn bytes_must_be_those_that_are_told() {
    let with = |shape: &str, datatype: &str, parameters: &str| {
        format!(r#"{{"inputs":[{{"name":"a","shape":{shape},"datatype":"{datatype}","parameters":{{{parameters}}}}}]}}"#)
    };
    let cases = [
        // Short, long, and sizes that are not the tensor's.
        (with("[2]", "FP32", r#""binary_data_size":8"#), &b"1234567"[..]),
        (with("[2]", "FP32", r#""binary_data_size":8"#), b"123456789"),
        (with("[2]", "FP32", r#""binary_data_size":7"#), b"1234567"),
        (with("[2]", "FP32", r#""binary_data_size":-1"#), b"12345678"),
        (with("[2]", "FP32", r#""binary_data_size":18446744073709551615"#), b"12345678"),
        (with("[2]", "FP32", r#""binary_data_size":"8""#), b"12345678"),
        (with("[2]", "FP32", ""), b"12345678"),
        // A length without its bytes, half a length, too few elements and too many.
        (with("[1]", "BYTES", r#""binary_data_size":6"#), b"\x03\0\0\0ab"),
        (with("[1]", "BYTES", r#""binary_data_size":3"#), b"\0\0\0"),
        (with("[1]", "BYTES", r#""binary_data_size":4"#), b"\xff\xff\xff\xff"),
        (with("[2]", "BYTES", r#""binary_data_size":4"#), b"\0\0\0\0"),
        (with("[0]", "BYTES", r#""binary_data_size":4"#), b"\0\0\0\0"),
        (with("[2]", "BOOL", r#""binary_data_size":2"#), b"\x01\x02"),
        (with("[1]", "FP8", r#""binary_data_size":1"#), b"1"),
    ];
    for (json, tensors) in cases {
        let error = refused(&json, &[tensors]);
        assert!(matches!(error.kind(), ErrorKind::BadInput | ErrorKind::InvalidOption), "{json}: {error}");
    }
    let both = r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1},"data":[1]}]}"#;
    assert_eq!(refused(both, &[b"1"]).found(), Some("both"));
    let neither = r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT8"}]}"#;
    assert_eq!(refused(neither, &[]).found(), Some("neither"));
    let without_header = with("[1]", "INT8", r#""binary_data_size":1"#);
    assert!(refused(&without_header, &[]).help().is_some_and(|help| help.contains(HEADER_LENGTH)));
}

#[test]
fn parameters_are_plain_values() {
    for parameters in ["[]", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":null}", "{\"binary_data_output\":1}", "{\"timeout\":-1}"] {
        let json = format!(r#"{{"inputs":[],"parameters":{parameters}}}"#);
        assert!(matches!(refused(&json, &[]).kind(), ErrorKind::BadInput | ErrorKind::InvalidOption), "{parameters}");
    }
    let many: Vec<String> = (0..1000).map(|index| format!("\"{index}\":1")).collect();
    let json = format!(r#"{{"inputs":[],"parameters":{{{}}}}}"#, many.join(","));
    assert!(refused(&json, &[]).message().contains("at most 256 parameters"));
}

fn output(tensor: Tensor, is_binary: bool) -> AnswerOutput {
    AnswerOutput { tensor, is_binary }
}

#[test]
fn answers_are_what_clients_read() {
    let numbers = Tensor::new(
        crate::oip::Description { name: "y".into(), datatype: Datatype::Fp32, shape: vec![2] },
        [1f32, -0.5].iter().flat_map(|number| number.to_le_bytes()).collect(),
    );
    let numbers = numbers.expect("two numbers");
    let answer = InferAnswer {
        model: "m".into(),
        version: "1".into(),
        outputs: vec![output(numbers.clone(), false), output(Tensor::of_elements("z", &["a\"b", ""]), false)],
        ..InferAnswer::default()
    };
    let told = write(&answer).expect("JSON");
    let json = r#"{"model_name":"m","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0,-0.5]},{"name":"z","datatype":"BYTES","shape":[2],"data":["a\"b",""]}]}"#;
    assert_eq!((std::str::from_utf8(&told.json).expect("text"), told.tensors.len()), (json, 0));
    let answer = InferAnswer { id: Some("7".into()), outputs: vec![output(numbers.clone(), true)], ..answer };
    let told = write(&answer).expect("bytes");
    let json = r#"{"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"y","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]}"#;
    assert_eq!(std::str::from_utf8(&told.json).expect("text"), json);
    assert_eq!(told.tensors[0].as_ptr(), numbers.content().as_ptr(), "not copied");
}

#[test]
fn json_tells_no_infinities_and_no_strange_bytes() {
    let description = crate::oip::Description { name: "y".into(), datatype: Datatype::Fp16, shape: vec![2] };
    let infinite = Tensor::new(description, Bytes::from_static(&[0, 0, 0, 0x7c])).expect("two numbers");
    for tensor in [infinite, Tensor::of_elements("y", &[&b"ok"[..], &[0xff]])] {
        let mut answer = InferAnswer { outputs: vec![output(tensor, false)], ..InferAnswer::default() };
        let error = write(&answer).expect_err("not JSON");
        assert!(error.message().contains("`y`") && error.found().is_some_and(|found| found.starts_with("element 1 ")), "{error}");
        assert!(error.help().is_some_and(|help| help.contains("binary_data")), "{error}");
        answer.outputs[0].is_binary = true;
        write(&answer).expect("bytes");
    }
}

proptest! {
    /// An answer's outputs are written as a request's inputs are read.
    #[test]
    fn tensors_survive(tensors in proptest::collection::vec((any_tensor(), any::<bool>()), 0..4)) {
        let outputs: Vec<AnswerOutput> = tensors.into_iter().map(|(tensor, is_binary)| output(tensor, is_binary)).collect();
        let answer = InferAnswer { outputs: outputs.clone(), ..InferAnswer::default() };
        let told = write(&answer).expect("what JSON can tell");
        let json = std::str::from_utf8(&told.json).expect("text").replacen("\"outputs\":", "\"inputs\":", 1);
        let length = json.len().to_string();
        let bytes: Vec<&[u8]> = told.tensors.iter().map(AsRef::as_ref).collect();
        let Body::Request(request) = read(&body(&json, &bytes), Some(&length)).expect("what was written") else { panic!("raw") };
        let sent: Vec<Tensor> = outputs.into_iter().map(|output| output.tensor).collect();
        prop_assert_eq!(request.inputs, sent);
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in proptest::option::of("-?[0-9]{1,3}")) {
        let _ = read(&bytes.into(), length.as_deref());
    }

    #[test]
    fn no_change_of_a_body_is_too_strange(at in 0usize..200, byte in any::<u8>(), cut in 0usize..300) {
        let json = br#"{"inputs":[{"name":"a","shape":[2,2],"datatype":"BYTES","parameters":{"binary_data_size":20}},{"name":"b","shape":[1],"datatype":"FP16","data":[[1]]}]}"#;
        let mut bytes = [&json[..], &[0u8; 20]].concat();
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        bytes.truncate(cut);
        let _ = read(&bytes.into(), Some(&json.len().to_string()));
    }
}
