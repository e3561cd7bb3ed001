//! Average precision: equal to pycocotools on made-up data (`benchmarks/peers/make_eval_cases.py`).
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use maskline::{ErrorKind, Mask};
use maskline_eval::{AveragePrecision, Detection, Judged, Truth, detections, read_predictions};
use serde_json::{Value, json};

fn case(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/coco").join(name)
}

fn json_of(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(case(name)).unwrap()).unwrap()
}

/// In pycocotools' order, with its -1.
fn figures(found: &AveragePrecision) -> [f64; 12] {
    let AveragePrecision { ap, ap_50, ap_75, ap_small, ap_medium, ap_large, ar_1, ar_10, ar_100, ar_small, ar_medium, ar_large } = *found;
    [ap, ap_50, ap_75, ap_small, ap_medium, ap_large, ar_1, ar_10, ar_100, ar_small, ar_medium, ar_large].map(|value| value.unwrap_or(-1.0))
}

fn assert_equal(what: &str, found: &AveragePrecision, expected: &Value) {
    for (index, (found, expected)) in figures(found).iter().zip(expected.as_array().unwrap()).enumerate() {
        let expected = expected.as_f64().unwrap();
        // Sums of the same numbers in another order.
        assert!((found - expected).abs() < 1e-12, "{what}, figure {index}: expected {expected}, found {found}");
    }
}

#[test]
fn figures_are_those_of_pycocotools() {
    let expected = json_of("expected.json");
    assert_eq!(expected.as_object().unwrap().len(), 4);
    for (name, expected) in expected.as_object().unwrap() {
        let truth = Truth::open(case(&format!("{name}.truth.json"))).unwrap();
        let mut found = read_predictions(case(&format!("{name}.found.json")), &truth).unwrap();
        let report = detections(&truth, &found, &Judged::default()).unwrap();
        assert_equal(name, &report.bbox, &expected["bbox"]);
        assert_eq!((report.detections, report.left_out), (found.len(), 0));
        assert_eq!(report.segm.is_some(), expected.get("segm").is_some());
        if let Some(segm) = &report.segm {
            assert_equal(name, segm, &expected["segm"]);
            // With boxes beside the masks, the masks are judged as without.
            for detection in &mut found {
                detection.bounds = Some([1.0, 2.0, 30.0, 40.0]);
            }
            let report = detections(&truth, &found, &Judged::default()).unwrap();
            assert_equal(name, &report.segm.unwrap(), &expected["segm"]);
            assert_ne!(figures(&report.bbox), figures(segm));
        }
    }
}

/// Ground truth of two pictures of 100 × 80, in a folder of its own.
struct Small {
    folder: tempfile::TempDir,
    truth: Value,
}

impl Small {
    fn new() -> Self {
        let image = |id: i64| json!({"id": id, "file_name": format!("{id}.png"), "width": 100, "height": 80});
        let annotation = |id: i64, image: i64, category: i64, bbox: [f64; 4]| json!({"id": id, "image_id": image, "category_id": category, "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0});
        let truth = json!({
            "images": [image(7), image(3)],
            "categories": [{"id": 2, "name": "cat", "isthing": 1}, {"id": 1, "name": "sky", "isthing": 0}, {"id": 9, "name": "dog"}],
            "annotations": [
                annotation(5, 7, 2, [10.0, 10.0, 40.0, 40.0]),
                annotation(6, 3, 1, [0.0, 0.0, 100.0, 40.0]),
                annotation(0, 3, 9, [20.0, 20.0, 40.0, 40.0]),
            ],
        });
        Self { folder: tempfile::tempdir().unwrap(), truth }
    }

    fn open(&self) -> maskline::Result<Truth> {
        let path = self.folder.path().join("instances.json");
        std::fs::write(&path, self.truth.to_string()).unwrap();
        Truth::open(path)
    }

    fn fails(&self, words: &[&str]) {
        let error = self.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        for word in words.iter().chain(&["instances.json"]) {
            assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
        }
    }
}

fn detection(image_id: i64, category_id: i64, bounds: [f64; 4]) -> Detection {
    Detection { image_id, category_id, score: 0.5, bounds: Some(bounds), mask: None }
}

#[test]
fn only_what_is_judged_counts() {
    let truth = Small::new().open().unwrap();
    let right = [
        detection(7, 2, [10.0, 10.0, 40.0, 40.0]),
        // An annotation of id 0 is as good as any.
        detection(3, 9, [20.0, 20.0, 40.0, 40.0]),
        // Stuff is not judged.
        detection(3, 1, [50.0, 50.0, 9.0, 9.0]),
    ];
    let report = detections(&truth, &right, &Judged::default()).unwrap();
    assert_eq!((report.images, report.categories, report.objects, report.detections, report.left_out), (2, 2, 2, 2, 1));
    assert!((report.bbox.ap.unwrap() - 1.0).abs() < 1e-9 && report.bbox.ap_small.is_none() && report.segm.is_none());
    let sky = Judged { categories: Some(vec![1]), images: None };
    assert_eq!(detections(&truth, &right, &sky).unwrap().bbox.ap, Some(0.0));
    let first = Judged { images: Some(vec![7]), categories: None };
    let report = detections(&truth, &right[..1], &first).unwrap();
    assert_eq!((report.images, report.objects, report.bbox.ap_50.map(f64::round)), (1, 1, Some(1.0)));
    assert_eq!(detections(&truth, &[], &first).unwrap().bbox.ap, Some(0.0));
    let message = detections(&truth, &[], &Judged { images: Some(vec![3]), categories: Some(vec![2]) }).unwrap_err().to_string();
    assert!(message.contains("found none") && message.contains("cat"), "{message}");
}

#[test]
fn detections_that_cannot_be_judged_are_refused() {
    let truth = Small::new().open().unwrap();
    let good = detection(7, 2, [10.0, 10.0, 40.0, 40.0]);
    let mask = |width, height| Some(Mask::from_fn(width, height, |x, _| x < 9).unwrap());
    let bad = [
        (Detection { image_id: 8, ..good.clone() }, "its image 8"),
        (Detection { category_id: 3, ..good.clone() }, "its category 3"),
        (Detection { score: f64::NAN, ..good.clone() }, "finite"),
        (Detection { bounds: Some([1.0, 1.0, f64::INFINITY, 1.0]), ..good.clone() }, "finite"),
        (Detection { bounds: None, ..good.clone() }, "a box or a mask"),
        (Detection { mask: mask(80, 100), ..good.clone() }, "80 × 100"),
    ];
    for (bad, word) in bad {
        let error = detections(&truth, &[bad.clone(), good.clone()], &Judged::default()).unwrap_err();
        assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains(word), "{bad:?}: {error}");
    }
    let with_mask = Detection { mask: mask(100, 80), ..good.clone() };
    let error = detections(&truth, &[with_mask.clone(), good], &Judged::default()).unwrap_err();
    assert!(error.to_string().contains("detection 1: expected a mask as others have"), "{error}");
    let error = detections(&truth, &[with_mask], &Judged::default()).unwrap_err();
    assert!(error.to_string().contains("annotation 5: expected a segmentation"), "{error}");
    for unknown in [Judged { images: Some(vec![4]), ..Judged::default() }, Judged { categories: Some(vec![4]), ..Judged::default() }] {
        assert!(detections(&truth, &[], &unknown).unwrap_err().to_string().contains("4 is to be judged"));
    }
}

#[test]
fn ground_truth_that_contradicts_itself_is_refused() {
    let changed = |path: &str, value: Value| {
        let mut small = Small::new();
        *small.truth.pointer_mut(path).unwrap() = value;
        small
    };
    let first = |key: &str, value: Value| {
        let mut small = Small::new();
        small.truth["annotations"][0][key] = value;
        small
    };
    changed("/images", json!([])).fails(&["images", "empty"]);
    changed("/images/1/id", json!(7)).fails(&["images", "7 occurs twice"]);
    changed("/categories/1/id", json!(2)).fails(&["categories", "2 occurs twice"]);
    changed("/annotations/1/id", json!(5)).fails(&["annotations", "5 occurs twice"]);
    changed("/annotations/0/image_id", json!(8)).fails(&["annotation 5", "image 8"]);
    changed("/annotations/0/category_id", json!(8)).fails(&["annotation 5", "category 8"]);
    changed("/annotations/0/bbox", json!([1, 2, 3])).fails(&["annotation 5", "bbox"]);
    changed("/annotations/0/bbox", json!([])).fails(&["annotation 5", "neither"]);
    changed("/annotations/0", json!({"id": [5]})).fails(&["expected an id: a whole number, or text", "COCO's instances"]);
    changed("/annotations/0", json!({"id": "five"})).fails(&["missing field `image_id`"]);
    changed("/images/0", json!({"id": 1})).fails(&["width", "COCO's instances"]);
    first("segmentation", json!({"size": [100, 80], "counts": [8000]})).fails(&["annotation 5", "[80, 100]", "[100, 80]"]);
    first("segmentation", json!({"size": [80, 100], "counts": [80, 100]})).fails(&["annotation 5", "8000", "found 180"]);
    first("segmentation", json!({"size": [80, 100], "counts": "~"})).fails(&["annotation 5", "compressed text"]);
    first("segmentation", json!({"size": [80, 100], "counts": [-1, 8001]})).fails(&["annotation 5", "list of polygons"]);
    first("segmentation", json!([[1, 2, 3, 4]])).fails(&["annotation 5", "3 vertices"]);
    let missing = Truth::open("no/such.json").unwrap_err();
    assert!(missing.kind() == ErrorKind::BadInput && missing.to_string().contains("such.json"), "{missing}");
}

#[test]
fn every_form_of_segmentation_is_read() {
    let mut small = Small::new();
    let expected = Mask::from_fn(100, 80, |x, y| (10..50).contains(&x) && (20..30).contains(&y)).unwrap();
    let rle = expected.to_rle();
    let forms = [
        json!([[10, 20, 50, 20, 50, 25, 10, 25], [10, 25, 50, 25, 50, 30, 10, 30]]),
        json!(rle),
        json!({"size": [80, 100], "counts": rle.counts}),
    ];
    for form in forms {
        small.truth["annotations"][0]["segmentation"] = form;
        small.truth["annotations"][0]["iscrowd"] = json!(true);
        small.truth["annotations"][0].as_object_mut().unwrap().remove("bbox");
        small.truth["annotations"][0].as_object_mut().unwrap().remove("area");
        let truth = small.open().unwrap();
        let annotation = &truth.annotations()[0];
        assert_eq!(annotation.mask.as_ref(), Some(&expected));
        assert_eq!((annotation.bounds, annotation.area, annotation.is_crowd), ([10.0, 20.0, 40.0, 10.0], 400.0, true));
        assert_eq!(
            (annotation.is_thing, truth.annotations()[1].is_thing, truth.annotations()[2].is_thing),
            (Some(true), Some(false), None)
        );
        assert_eq!(truth.pictures()[annotation.picture].id, 7);
    }
}
