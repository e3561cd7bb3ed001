//! COCO's polygons, against the run lengths that pycocotools makes of them (`benchmarks/peers/make_eval_cases.py`).
#![allow(clippy::unwrap_used)]

use maskline_vision::mask::{Polygon, Rle};
use maskline_vision::{ErrorKind, Mask};

#[test]
fn polygons_are_the_pixels_of_pycocotools() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/polygons.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut exact_ones = 0;
    for case in &cases {
        let side = |name: &str| case[name].as_u64().unwrap() as usize;
        let polygons: Vec<Vec<f64>> = serde_json::from_value(case["polygons"].clone()).unwrap();
        let mask = Mask::from_coco_polygons(side("width"), side("height"), polygons.iter().map(Vec::as_slice)).unwrap();
        let rle = Rle::from_coco_string([side("height"), side("width")], case["counts"].as_str().unwrap()).unwrap();
        assert_eq!(mask, Mask::from_rle(&rle).unwrap(), "{case}");
        let exact: Vec<Polygon> =
            polygons.iter().map(|flat| flat.chunks_exact(2).map(|vertex| [vertex[0] as f32, vertex[1] as f32]).collect()).collect();
        exact_ones += usize::from(Mask::from_polygons(side("width"), side("height"), &exact).unwrap() == mask);
    }
    assert_eq!(cases.len(), 60);
    assert!(exact_ones < 60, "were both rules the same, one would do");
}

#[test]
fn what_is_no_polygon_is_refused() {
    let refused = |polygon: &[f64]| Mask::from_coco_polygons(9, 9, [&[1.0, 1.0, 5.0, 1.0, 5.0, 5.0][..], polygon]).unwrap_err();
    for polygon in [&[][..], &[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &[1.0, 2.0, 3.0, f64::NAN, 5.0, 6.0]] {
        let error = refused(polygon);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().starts_with("polygon 1: expected"), "{error}");
    }
    assert!(refused(&[1e300, 2.0, 3.0, 4.0, 5.0, 6.0]).to_string().contains("found 1000000000000"));
    assert_eq!(Mask::from_coco_polygons(1 << 20, 1 << 20, []).unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(Mask::from_coco_polygons(9, 9, []).unwrap().is_empty());
}

#[test]
fn many_small_polygons_are_united_at_once() {
    // A file of 10 MB may hold as many: squares of two pixels, a pixel apart.
    const SIDE: usize = 450;
    let square = |i: usize| {
        let [x, y] = [i % SIDE, i / SIDE].map(|at| 3.0 * at as f64);
        [x, y, x + 2.0, y, x + 2.0, y + 2.0, x, y + 2.0]
    };
    let squares: Vec<[f64; 8]> = (0..SIDE * SIDE).map(square).collect();
    let start = std::time::Instant::now();
    let mask = Mask::from_coco_polygons(3 * SIDE, 3 * SIDE, squares.iter().map(<[f64; 8]>::as_slice)).unwrap();
    assert!(start.elapsed() < std::time::Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!(mask, Mask::from_fn(3 * SIDE, 3 * SIDE, |x, y| x % 3 < 2 && y % 3 < 2).unwrap());
}
