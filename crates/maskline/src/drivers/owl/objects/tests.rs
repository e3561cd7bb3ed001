//! What transformers makes of boxes and logits (`benchmarks/peers/make_owl_answers.py`), and what there is beyond it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use maskline_models::{ModelInfo, Vocabulary, WordHead};
use maskline_runtime::{SharedTensor, Tensor};
use serde_json::Value;

use super::super::sight::Sight;
use super::super::words::Words;
use super::{extent, find};
use crate::drivers::{Call, Encoded, Inquiry, Shown, Wanted};
use crate::{Engine, EngineOptions, LoadOptions, Object, PredictOptions, Result, Stages};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

fn info(engine: &Engine, family: &str) -> ModelInfo {
    let folder = Path::new(CASES).join("tiny").join(family);
    let model = engine.load(folder.as_path(), &LoadOptions { warm_up: false, ..LoadOptions::default() });
    model.unwrap().info().clone()
}

fn engine(folder: &Path) -> Engine {
    Engine::new(EngineOptions { cache: folder.to_path_buf(), ..EngineOptions::default() }).unwrap()
}

fn numbers(value: &Value) -> Vec<Vec<f32>> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A picture whose patches have these boxes, and these logits for the queries of [`word`].
fn sight(boxes: &[Vec<f32>], logits: &[Vec<f32>]) -> Encoded {
    let (patches, width) = (boxes.len(), logits[0].len());
    let head =
        WordHead { grid: patches.isqrt(), width, context: 16, vocabulary: 60, tokenizer: Vocabulary::Missing, has_objectness: false };
    let tensor = |shape: Vec<usize>, values: Vec<f32>| SharedTensor::new(Tensor::new(shape, values).unwrap()).unwrap();
    let lengths = logits.iter().map(|row| row.iter().map(|value| value * value).sum::<f32>().sqrt() + 1e-6).collect();
    let tensors = vec![
        tensor(vec![1, patches, 4], boxes.concat()),
        tensor(vec![1, patches, width], logits.concat()),
        tensor(vec![1, patches], vec![0.0; patches]),
        // What a patch's embedding is divided by.
        tensor(vec![1, patches], lengths),
    ];
    Arc::new(Sight::of_tensors(&head, tensors).unwrap())
}

/// The query that has a patch's logit of this index.
fn word(index: usize, width: usize) -> Encoded {
    Arc::new(Words::of((0..width).map(|place| f32::from(u8::from(place == index))).collect()))
}

fn words(index: usize, width: usize) -> Wanted {
    Wanted { label: Some(format!("word {index}")), words: Some(word(index, width)), examples: Vec::new(), threshold: None }
}

/// An example that looks like [`word`] of index 0.
fn example(width: usize, is_positive: bool) -> Shown {
    let class = (0..width).map(|place| if (place == 0) == is_positive { 1.0 } else { 0.0 }).collect();
    Shown { picture: sight(&[vec![0.5, 0.5, 1.0, 1.0]], &[class]), size: (10, 10), bounds: None, is_positive }
}

fn found(info: &ModelInfo, picture: &Encoded, concepts: &[Wanted], options: &PredictOptions) -> Vec<Result<Vec<Object>>> {
    let inquiry = Inquiry { picture, size: (640, 480), concepts, options, call: &Call::default() };
    find(info, &inquiry, &mut Stages::default()).unwrap()
}

#[test]
fn answers_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let cases: Value = serde_json::from_slice(&std::fs::read(Path::new(CASES).join("owl_answers.json")).unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    for case in cases {
        let info = info(&engine, case["family"].as_str().unwrap());
        let logits = numbers(&case["logits"]);
        let queries = logits[0].len();
        let is_example = case["kind"] == "example";
        let options = PredictOptions {
            conf: case["threshold"].as_f64().map(|least| least as f32),
            iou: case["overlap"].as_f64().map(|overlap| overlap as f32),
            ..PredictOptions::default()
        };
        // An example of one logit: its embedding is that logit's direction.
        let concepts = match is_example {
            true => vec![Wanted { label: None, words: None, examples: vec![example(1, true)], threshold: None }],
            false => (0..queries).map(|index| words(index, queries)).collect(),
        };
        let size = [0, 1].map(|axis| case["size"][axis].as_u64().unwrap() as usize);
        let picture = sight(&numbers(&case["boxes"]), &logits);
        let inquiry =
            Inquiry { picture: &picture, size: (size[0], size[1]), concepts: &concepts, options: &options, call: &Call::default() };
        let mut objects: Vec<Object> = Vec::new();
        for answer in find(&info, &inquiry, &mut Stages::default()).unwrap() {
            objects.extend(answer.unwrap());
        }
        objects.sort_by(|a, b| b.score.total_cmp(&a.score));
        compare(&objects, &case["expected"], size);
    }
    assert_eq!(cases.len(), 10);
}

/// The reference neither sorts nor cuts boxes at the picture's border.
fn compare(objects: &[Object], expected: &Value, [width, height]: [usize; 2]) {
    let sides = [width as f32, height as f32, width as f32, height as f32];
    let cut = |row: &Vec<f32>| -> [f32; 4] { [0, 1, 2, 3].map(|side| row[side].clamp(0.0, sides[side])) };
    let scores: Vec<f32> = serde_json::from_value(expected["scores"].clone()).unwrap();
    let labels: Option<Vec<usize>> = serde_json::from_value(expected["labels"].clone()).unwrap();
    let boxes: Vec<[f32; 4]> = numbers(&expected["boxes"]).iter().map(cut).collect();
    let mut order: Vec<usize> =
        (0..scores.len()).filter(|row| boxes[*row][0] < boxes[*row][2] && boxes[*row][1] < boxes[*row][3]).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    assert_eq!(objects.len(), order.len());
    for (object, row) in objects.iter().zip(order) {
        assert!((object.score - scores[row]).abs() < 2e-6, "{object:?}: {}", scores[row]);
        assert!(object.bounds.iter().zip(boxes[row]).all(|(ours, theirs)| (ours - theirs).abs() < 2e-3), "{object:?}: {:?}", boxes[row]);
        if let Some(labels) = &labels {
            assert_eq!((object.class_id, object.label.as_deref()), (Some(labels[row]), Some(&*format!("word {}", labels[row]))));
        }
    }
}

#[test]
fn thresholds_are_each_concepts_own_and_overlaps_are_dropped_on_wish() {
    let folder = tempfile::tempdir().unwrap();
    let info = info(&engine(folder.path()), "owlvit");
    // Two boxes in the same place for the first word, a third one that is nearly there for the second word, and one elsewhere.
    let boxes = [[0.3, 0.3, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2], [0.31, 0.3, 0.2, 0.2], [0.8, 0.8, 0.1, 0.1]].map(Vec::from);
    let logits = [[2.0, -9.0], [1.0, -9.0], [-9.0, 0.5], [-0.5, -9.0]].map(Vec::from);
    let picture = sight(&boxes, &logits);
    let count = |concepts: &[Wanted], options: &PredictOptions| -> Vec<usize> {
        found(&info, &picture, concepts, options).into_iter().map(|objects| objects.unwrap().len()).collect()
    };
    let both = [words(0, 2), words(1, 2)];
    let usual = PredictOptions::default();
    assert_eq!(count(&both, &usual), [3, 1], "words suppress nothing");
    assert_eq!(count(&both, &PredictOptions { iou: Some(0.5), ..usual.clone() }), [2, 1], "within a word");
    assert_eq!(count(&both, &PredictOptions { iou: Some(0.5), agnostic_nms: true, ..usual.clone() }), [2, 0], "across words");
    assert_eq!(count(&both, &PredictOptions { max_detections: 2, ..usual.clone() }), [2, 0], "the best of all words");
    assert_eq!(count(&both, &PredictOptions { conf: Some(0.7), ..usual.clone() }), [2, 0]);
    let own = [Wanted { threshold: Some(0.8), ..words(0, 2) }, Wanted { threshold: Some(0.1), ..words(1, 2) }];
    assert_eq!(count(&own, &PredictOptions { conf: Some(0.7), ..usual.clone() }), [1, 1], "a concept's own comes first");
    // Each patch answers the word that it is most like, so a word alone finds what others took.
    assert_eq!(count(&both[1..], &PredictOptions { conf: Some(0.0), ..usual }), [4]);
}

#[test]
fn what_is_more_like_an_example_of_what_is_not_wanted_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let info = info(&engine(folder.path()), "owlv2");
    let boxes = [[0.2, 0.2, 0.1, 0.1], [0.5, 0.5, 0.1, 0.1], [0.8, 0.6, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1]].map(Vec::from);
    let picture = sight(&boxes, &[[3.0, 1.0], [2.0, 2.5], [1.0, 0.0], [-5.0, 0.0]].map(Vec::from));
    let concept = |examples| [Wanted { label: None, words: None, examples, threshold: None }];
    let options = PredictOptions::default();
    let centres = |concepts: &[Wanted]| -> Vec<f32> {
        let objects = found(&info, &picture, concepts, &options).pop().unwrap().unwrap();
        objects.iter().map(|object| ((object.bounds[0] + object.bounds[2]) / 2.0 / 640.0 * 10.0).round() / 10.0).collect()
    };
    assert_eq!(centres(&concept(vec![example(2, true)])), [0.2, 0.5, 0.8]);
    assert_eq!(centres(&concept(vec![example(2, true), example(2, false)])), [0.2, 0.8]);
}

#[test]
fn an_example_beside_its_picture_is_refused_alone() {
    let folder = tempfile::tempdir().unwrap();
    let info = info(&engine(folder.path()), "owlv2");
    let picture = sight(&[vec![0.5, 0.5, 0.5, 0.5]], &[vec![2.0]]);
    let beside = Shown { bounds: Some([11.0, 0.0, 20.0, 5.0]), ..example(1, true) };
    let concepts = [words(0, 1), Wanted { words: None, examples: vec![beside], ..words(0, 1) }];
    let answers = found(&info, &picture, &concepts, &PredictOptions::default());
    let error = answers[1].as_ref().unwrap_err().to_string();
    assert!(answers[0].as_ref().unwrap().len() == 1 && error.contains("10 × 10") && error.contains("11.0"), "{error}");
}

#[test]
fn boxes_are_stretched_with_the_picture_or_padded_to_a_square() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    assert_eq!(extent(&info(&engine, "owlvit"), (640, 480)), [640.0, 480.0]);
    assert_eq!(extent(&info(&engine, "owlv2"), (480, 640)), [640.0, 640.0]);
}
