//! What answers carry goes into JSON and comes back.
#![allow(clippy::unwrap_used)]

use maskline_vision::mask::Rle;
use maskline_vision::{Keypoint, Mask, Object, RotatedBox};
use proptest::prelude::*;
use serde_json::{Value, from_str, from_value, json, to_string, to_value};

fn full() -> Object {
    Object {
        prompt: Some(2),
        label: Some("person".into()),
        class_id: Some(0),
        score: 0.75,
        stability: Some(0.5),
        bounds: [1.25, 2.0, 3.5, 4.0],
        rotated: Some(RotatedBox { center: [2.0, 3.0], size: [4.0, 2.0], angle: 0.0 }),
        keypoints: Some(vec![Keypoint { x: 1.0, y: 2.5, score: Some(0.25) }, Keypoint { x: 3.0, y: 0.0, score: None }]),
        mask: Some(Mask::from_fn(4, 3, |x, y| x == 1 && y > 0).unwrap()),
        mask_box: Some([1.0, 1.0, 2.0, 3.0]),
        mask_score: Some(0.125),
    }
}

#[test]
fn an_object_with_everything_keeps_its_words() {
    let written = to_value(full()).unwrap();
    let expected = json!({
        "prompt": 2,
        "label": "person",
        "class_id": 0,
        "score": 0.75,
        "box": [1.25, 2.0, 3.5, 4.0],
        "rotated_box": {"center": [2.0, 3.0], "size": [4.0, 2.0], "angle": 0.0, "corners": [[4.0, 4.0], [4.0, 2.0], [0.0, 2.0], [0.0, 4.0]]},
        "keypoints": [[1.0, 2.5, 0.25], [3.0, 0.0]],
        "stability": 0.5,
        "mask_box": [1.0, 1.0, 2.0, 3.0],
        "mask_score": 0.125,
        "segmentation": {"size": [3, 4], "counts": "426"},
        "area": 2,
    });
    assert_eq!(written, expected);
    assert_eq!(from_value::<Object>(written).unwrap(), full());
    assert_eq!(from_str::<Object>(&to_string(&full()).unwrap()).unwrap(), full());
}

#[test]
fn an_object_with_a_box_alone_has_no_other_word() {
    let object = Object { score: 0.5, bounds: [0.0, 1.0, 2.0, 3.0], ..Object::default() };
    let written = to_value(&object).unwrap();
    assert_eq!(written, json!({"score": 0.5, "box": [0.0, 1.0, 2.0, 3.0]}));
    assert_eq!(from_value::<Object>(written).unwrap(), object);
}

#[test]
fn what_was_not_finite_is_so_again() {
    let object = Object { score: f32::NAN, bounds: [0.0, f32::INFINITY, 1.0, 1.0], class_id: Some(3), ..Object::default() };
    let read: Object = from_value(to_value(&object).unwrap()).unwrap();
    assert!(read.score.is_nan() && read.bounds.iter().all(|side| side.is_nan()) && read.class_id == Some(3));
}

#[test]
fn masks_are_read_as_text_and_as_numbers() {
    let mask = Mask::from_fn(4, 3, |x, y| x == 1 && y > 0).unwrap();
    assert_eq!(to_value(&mask).unwrap(), to_value(mask.to_rle()).unwrap());
    for counts in [json!("426"), json!([4, 2, 6])] {
        assert_eq!(from_value::<Mask>(json!({"size": [3, 4], "counts": counts})).unwrap(), mask);
    }
}

#[test]
fn what_is_no_mask_or_keypoint_is_an_error() {
    let huge = u64::from(u32::MAX);
    let cases = [
        (json!({"size": [3, 4], "counts": "42"}), "expected a sum of 4 x 3 = 12, found 6"),
        (json!({"size": [3, 4], "counts": [13]}), "expected a sum of 4 x 3 = 12, found 13"),
        (json!({"size": [3, 4], "counts": "~"}), "a character outside"),
        (json!({"size": [3, 4], "counts": [-1]}), "a list of pixels below 2^32"),
        (json!({"size": [3, 4], "counts": 7}), "a list of pixels below 2^32"),
        (json!({"size": [huge, huge], "counts": []}), "mask: expected at most"),
        (json!({"size": [3, 4]}), "missing field `counts`"),
        (json!({"size": [3], "counts": "426"}), "length"),
    ];
    for (value, expected) in cases {
        let error = from_value::<Mask>(value.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{value}: {error}");
        let error = from_value::<Object>(json!({"score": 1.0, "segmentation": value})).unwrap_err().to_string();
        assert!(error.contains(expected), "{value}: {error}");
    }
    for value in [json!([]), json!([1.0]), json!([1.0, 2.0, 0.5, 9.0]), json!([1.0, null]), json!({"x": 1.0})] {
        let error = from_value::<Keypoint>(value.clone()).unwrap_err().to_string();
        assert!(error.contains("keypoint [x, y]") || error.contains("null"), "{value}: {error}");
    }
}

fn masks() -> impl Strategy<Value = Mask> {
    (1_usize..9, 1_usize..9, any::<u64>())
        .prop_map(|(width, height, seed)| Mask::from_fn(width, height, |x, y| seed.rotate_left((x * 11 + y * 5) as u32) & 1 == 1).unwrap())
}

proptest! {
    #[test]
    fn masks_come_back(mask in masks()) {
        prop_assert_eq!(&from_str::<Mask>(&to_string(&mask).unwrap()).unwrap(), &mask);
        prop_assert_eq!(from_value::<Rle>(to_value(mask.to_rle()).unwrap()).unwrap(), mask.to_rle());
    }

    /// JSON holds rounded numbers: what was read once is read again without another change.
    #[test]
    fn objects_come_back_rounded(
        score in 0.0_f32..1.0,
        sides in prop::array::uniform4(-10.0_f32..100_000.0),
        angle in -4.0_f32..4.0,
        points in prop::option::of(prop::collection::vec((-5.0_f32..9000.0, -5.0_f32..9000.0, prop::option::of(0.0_f32..1.0)), 0..4)),
        mask in prop::option::of(masks()),
    ) {
        let keypoints = points.map(|points| points.into_iter().map(|(x, y, score)| Keypoint { x, y, score }).collect());
        let rotated = Some(RotatedBox { center: [sides[0], sides[1]], size: [sides[2], sides[3]], angle });
        let object = Object { score, bounds: sides, rotated, keypoints, mask, ..Object::default() };
        let read: Object = from_str(&to_string(&object).unwrap()).unwrap();
        prop_assert!((read.score - score).abs() < 1e-5 && read.bounds.iter().zip(sides).all(|(a, b)| (a - b).abs() < 0.011));
        prop_assert_eq!(&read.mask, &object.mask);
        prop_assert_eq!(read.keypoints.as_ref().map(Vec::len), object.keypoints.as_ref().map(Vec::len));
        let again: Value = to_value(&read).unwrap();
        prop_assert_eq!(&from_value::<Object>(again).unwrap(), &read);
    }
}

proptest! {
    /// So that whoever has an answer's JSON can write the files that are written of the answer.
    #[test]
    fn rounded_objects_are_what_their_json_reads_as(
        values in proptest::array::uniform12(-20_000.0_f32..20_000.0),
        scores in proptest::array::uniform4(0.0_f32..1.0),
    ) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = values;
        let [score, stability, mask_score, visibility] = scores;
        let object = Object {
            score,
            stability: Some(stability),
            mask_score: Some(mask_score),
            bounds: [a, b, c, d],
            mask_box: Some([e, f, g, h]),
            rotated: Some(RotatedBox { center: [i, j], size: [k, l], angle: visibility }),
            keypoints: Some(vec![Keypoint { x: a, y: l, score: Some(visibility) }, Keypoint { x: b, y: c, score: None }]),
            ..full()
        };
        let read: Object = from_str(&to_string(&object).unwrap()).unwrap();
        prop_assert_eq!(&read, &object.rounded());
        prop_assert_eq!(read.rounded(), read);
    }
}
