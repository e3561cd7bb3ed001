//! COCO's segmentations as JSON.
#![allow(clippy::unwrap_used)]

use maskline_vision::mask::Polygon;
use maskline_vision::{ErrorKind, Mask};
use serde_json::{Value, json};

fn square() -> Mask {
    Mask::from_fn(10, 8, |x, y| (2..6).contains(&x) && (3..7).contains(&y)).unwrap()
}

fn read(segmentation: &Value) -> maskline_vision::Result<Mask> {
    Mask::from_coco_segmentation(segmentation, [10, 8])
}

#[test]
fn polygons_and_run_lengths_of_both_kinds_are_read() {
    assert_eq!(read(&json!([[2, 3, 6, 3, 6, 7, 2, 7]])).unwrap(), square());
    assert_eq!(read(&json!([[2.0, 3.0, 4.0, 3.0, 4.0, 7.0, 2.0, 7.0], [4.0, 3.0, 6.0, 3.0, 6.0, 7.0, 4.0, 7.0]])).unwrap(), square());
    let rle = square().to_rle();
    assert_eq!(read(&json!(rle)).unwrap(), square());
    assert_eq!(read(&json!({"size": [8, 10], "counts": rle.counts})).unwrap(), square());
    assert_eq!(read(&json!({"counts": rle.counts})).unwrap(), square());
    assert!(read(&json!([])).unwrap().is_empty());
}

#[test]
fn what_is_no_segmentation_of_this_picture_says_why() {
    let cases = [
        (json!("text"), "found \"text\""),
        (json!(null), "found null"),
        (json!([1, 2, 3, 4, 5, 6]), "[[x, y, x, y, …]]"),
        (json!([["1", "2"]]), "found \"1\""),
        (json!([[1, 2, 3, 4]]), "at least 3 vertices"),
        (json!([[1, 2, 3, 4, 5, 6, 7]]), "found 7 numbers"),
        (json!([[1e300, 2, 3, 4, 5, 6]]), "polygon 0"),
        (json!([{"x": 1}]), "found an object"),
        (json!({"size": [8, 10]}), "found no counts"),
        (json!({"size": [10, 8], "counts": [80]}), "[8, 10] (height, width), found [10,8]"),
        (json!({"size": [8, 10], "counts": [79]}), "found 79"),
        (json!({"size": [8, 10], "counts": [-1, 81]}), "count 0, found -1"),
        (json!({"size": [8, 10], "counts": [4_294_967_296_u64]}), "count 0"),
        (json!({"size": [8, 10], "counts": [0.5]}), "found 0.5"),
        (json!({"size": [8, 10], "counts": "é"}), "RLE counts"),
        (json!({"size": [8, 10], "counts": 80}), "found 80"),
    ];
    for (segmentation, expected) in cases {
        let error = read(&segmentation).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(expected), "{segmentation}: {error}");
    }
}

#[test]
fn sizes_and_lengths_are_checked_before_memory_is_asked_for() {
    let huge = Mask::from_coco_segmentation(&json!({"counts": [1]}), [1 << 40, 1 << 40]).unwrap_err();
    assert_eq!(huge.kind(), ErrorKind::TooLarge);
    // A thousand walks across a million pixels each.
    let zigzag: Vec<i64> = (0..1000).flat_map(|index| [if index % 2 == 0 { -999_999 } else { 999_999 }, index]).collect();
    assert_eq!(read(&json!([zigzag])).unwrap_err().kind(), ErrorKind::TooLarge);
    let wide: Polygon = (0..60_000).map(|index| [if index % 2 == 0 { 0.0 } else { 60_000.0 }, index as f32]).collect();
    assert_eq!(Mask::from_polygons(60_000, 60_000, [&wide]).unwrap_err().kind(), ErrorKind::TooLarge);
}
