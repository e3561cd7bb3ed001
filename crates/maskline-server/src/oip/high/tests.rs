//! What tensors ask.

use std::collections::BTreeMap;

use bytes::Bytes;
use maskline::{Answer, Answers, Ask, Concept, Multimask, Object, Prompt, Stages};

use super::super::message::{InferRequest, Parameter, Parameters};
use super::super::{Description, Tensor};
use super::answers::Found;
use super::question::{Limits, Read, read};
use super::*;
use crate::fault::{Fault, Reason};

const DETECTOR: Form = Form { prompts: false, words: false, finds: true, classifies: false, masks: false };
const CLASSIFIER: Form = Form { classifies: true, ..DETECTOR };
const SEGMENTER: Form = Form { prompts: true, words: false, finds: false, classifies: false, masks: true };
const FINDER: Form = Form { prompts: false, words: true, finds: false, classifies: false, masks: false };
const ALL: Form = Form { prompts: true, words: true, finds: true, classifies: false, masks: true };

fn floats(name: &str, rows: &[&[f32]]) -> Tensor {
    let shape = vec![rows.len(), rows.first().map_or(2, |row| row.len())];
    let content = rows.concat().iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor::new(Description { name: name.into(), datatype: Datatype::Fp32, shape }, content).expect("rows")
}

fn numbers(name: &str, values: &[i64]) -> Tensor {
    let content = values.iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor::new(Description { name: name.into(), datatype: Datatype::Int64, shape: vec![values.len()] }, content).expect("numbers")
}

fn picture() -> Tensor {
    Tensor::of_elements("image", &["a file"])
}

fn asked(form: Form, inputs: Vec<Tensor>) -> Result<Read, Fault> {
    read(form, &InferRequest { inputs, ..InferRequest::default() }, &Limits { prompts: 3 })
}

fn set(form: Form, name: &str, value: Parameter) -> Result<Read, Fault> {
    let mut inputs = vec![picture()];
    if form.prompts {
        inputs.push(floats("boxes", &[&[0., 0., 1., 1.]]));
    }
    let parameters = Parameters::new(BTreeMap::from([(name.to_owned(), value)])).expect("no parameter of the protocol");
    read(form, &InferRequest { inputs, parameters, ..InferRequest::default() }, &Limits { prompts: 3 })
}

#[test]
fn clicks_mean_one_object_unless_they_are_numbered() {
    let points = || floats("points", &[&[1., 2.], &[3., 4.], &[5., 6.]]);
    let one = Prompt::click(1., 2.).with_click(3., 4., true).with_click(5., 6., true);
    assert_eq!(asked(SEGMENTER, vec![picture(), points()]).expect("clicks").asks, [Ask::Object(one)]);
    let two = [Prompt::click(3., 4.), Prompt::click(1., 2.).with_click(5., 6., false)].map(Ask::Object);
    for labels in ["labels", "point_labels"] {
        let inputs = vec![points(), numbers(labels, &[1, 1, 0]), numbers("point_objects", &[7, -2, 7]), picture()];
        assert_eq!(asked(SEGMENTER, inputs).expect("clicks").asks, two);
    }
}

#[test]
fn asks_follow_each_other_as_prompts_are_counted() {
    let words = Tensor::of_elements("text", &["car"]);
    let inputs = vec![words, floats("boxes", &[&[1., 2., 3., 4.]]), floats("points", &[&[1., 2.]]), picture()];
    let read = asked(ALL, inputs).expect("all");
    let asks = [Ask::Object(Prompt::click(1., 2.)), Ask::Object(Prompt::bounds([1., 2., 3., 4.])), Ask::Concept(Concept::text("car"))];
    assert_eq!((read.asks.as_slice(), read.picture.as_ref()), (&asks[..], &b"a file"[..]));
}

#[test]
fn what_finds_by_itself_needs_no_prompts() {
    for form in [DETECTOR, CLASSIFIER, ALL] {
        assert_eq!(asked(form, vec![picture()]).expect("a picture").asks, [Ask::Detect]);
    }
    for (form, wanted) in [(SEGMENTER, "points or boxes"), (FINDER, "text")] {
        let fault = asked(form, vec![picture()]).expect_err("nothing asked");
        assert_eq!((fault.reason, fault.error.expected()), (Reason::BadRequest, Some(wanted)));
    }
}

#[test]
fn what_a_model_does_not_take_is_refused_by_name() {
    let point = || floats("points", &[&[1., 2.]]);
    let cases = [
        (DETECTOR, vec![picture(), point()], "points"),
        (SEGMENTER, vec![picture(), point(), Tensor::of_elements("text", &["car"])], "text"),
        (SEGMENTER, vec![picture(), point(), numbers("strange", &[])], "strange"),
        (SEGMENTER, vec![point()], "image"),
        (SEGMENTER, vec![Tensor::of_elements("image", &["a", "b"]), point()], "image"),
        (SEGMENTER, vec![Tensor::of_elements::<&str>("image", &[]), point()], "image"),
        (SEGMENTER, vec![picture(), picture(), point()], "image"),
        (SEGMENTER, vec![picture(), point(), numbers("labels", &[1]), numbers("point_labels", &[1])], "point_labels"),
        (SEGMENTER, vec![picture(), numbers("points", &[1, 2])], "points"),
        (SEGMENTER, vec![picture(), floats("points", &[&[1., 2., 1.]])], "points"),
        (SEGMENTER, vec![picture(), point(), numbers("labels", &[1, 0])], "point_labels"),
        (SEGMENTER, vec![picture(), point(), numbers("labels", &[2])], "point_labels"),
        (SEGMENTER, vec![picture(), point(), numbers("point_objects", &[])], "point_objects"),
        (FINDER, vec![picture(), Tensor::of_elements("text", &[[0xffu8]])], "text"),
    ];
    for (form, inputs, word) in cases {
        let fault = asked(form, inputs).expect_err(word);
        assert_eq!(fault.reason, Reason::BadRequest, "{word}");
        assert!(fault.line().contains(&format!("`{word}`")), "{word}: {}", fault.line());
    }
    let many = Tensor::of_elements("text", &["a", "b", "c", "d"]);
    assert_eq!(asked(FINDER, vec![picture(), many]).expect_err("four phrases").reason, Reason::TooLarge);
}

#[test]
fn parameters_are_those_that_matter_to_the_model() {
    let read = set(DETECTOR, "conf", Parameter::Float(0.5)).expect("a number");
    assert_eq!(read.predict.conf, Some(0.5));
    assert_eq!(set(DETECTOR, "iou", Parameter::Int(1)).expect("a number").predict.iou, Some(1.));
    assert_eq!(set(DETECTOR, "max_detections", Parameter::Int(7)).expect("a count").predict.max_detections, 7);
    assert_eq!(set(SEGMENTER, "multimask", Parameter::Bool(true)).expect("a truth").segment.multimask, Multimask::On);
    assert_eq!(set(SEGMENTER, "mask_threshold", Parameter::Float(-1.)).expect("a number").segment.threshold, -1.);
    let cases = [
        (SEGMENTER, "conf", Parameter::Float(0.5)),
        (DETECTOR, "multimask", Parameter::Bool(true)),
        (DETECTOR, "confidence", Parameter::Float(0.5)),
        (DETECTOR, "conf", Parameter::Text("0.5".into())),
        (DETECTOR, "max_detections", Parameter::Int(-1)),
        (SEGMENTER, "multimask", Parameter::Text("yes".into())),
        (SEGMENTER, "mask_threshold", Parameter::Float(f64::INFINITY)),
    ];
    for (form, name, value) in cases {
        let fault = set(form, name, value).expect_err(name);
        assert!(fault.reason == Reason::BadRequest && fault.line().contains(&format!("`{name}`")), "{}", fault.line());
    }
}

#[test]
fn signatures_tell_what_is_taken_and_given() {
    let names = |form: Form| {
        let signature = form.signature("m");
        let input = |input: &TensorSignature| format!("{}{}", input.name, if input.is_optional { "?" } else { "" });
        let inputs: Vec<String> = signature.inputs.iter().map(input).collect();
        (inputs.join(" "), form.outputs().join(" "))
    };
    let told = |inputs: &str, outputs: &str| (inputs.to_owned(), outputs.to_owned());
    assert_eq!(names(DETECTOR), told("image", "boxes scores labels class_ids"));
    assert_eq!(names(CLASSIFIER), told("image", "scores labels class_ids"));
    assert_eq!(names(SEGMENTER), told("image points? point_labels? point_objects? boxes?", "boxes scores prompts masks"));
    assert_eq!(names(FINDER), told("image text", "boxes scores labels class_ids prompts"));
}

#[test]
fn objects_become_rows() {
    let object = |label: &str, x: f32| Object {
        label: Some(label.into()),
        score: 0.5,
        bounds: [x, 0., x + 1., 1.],
        mask: Some(maskline::Mask::from_fn(2, 1, |x, _| x == 0).expect("two pixels")),
        ..Object::default()
    };
    let answer = |objects| Ok(Answer { objects, ..Answer::default() });
    let answers = Answers {
        answers: vec![answer(vec![object("a", 1.)]), answer(vec![]), answer(vec![object("b", 2.), Object::default()])],
        size: (2, 1),
        timings: Stages::default(),
    };
    let found = Found::of(answers, true).expect("answers");
    let tensor = |name| found.tensor(name).expect(name);
    assert_eq!((tensor("boxes").shape(), tensor("boxes").content().len()), (&[3, 4][..], 48));
    assert_eq!(tensor("labels").elements().collect::<Vec<Bytes>>(), ["a", "b", ""]);
    assert_eq!(tensor("prompts").content(), numbers("", &[0, 2, 2]).content());
    assert_eq!(tensor("class_ids").content(), numbers("", &[-1, -1, -1]).content());
    let masks: Vec<Bytes> = tensor("masks").elements().collect();
    assert_eq!((masks[0].as_ref(), masks[2].as_ref()), (&br#"{"size":[1,2],"counts":"011"}"#[..], &b""[..]));
    assert_eq!(found.rows(), 3);
}

#[test]
fn an_error_of_one_prompt_is_that_of_the_request() {
    let error = maskline::Error::new(maskline::ErrorKind::BadInput, "a click beside the picture");
    let answers = Answers { answers: vec![Ok(Answer::default()), Err(error)], size: (2, 1), timings: Stages::default() };
    let fault = Found::of(answers, true).err().expect("an error");
    assert!(fault.reason == Reason::BadRequest && fault.line().contains("prompt 1"), "{}", fault.line());
}
