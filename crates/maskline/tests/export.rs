//! Existing ONNX exports: names and task from the metadata, boxes from the decoded output.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline::{Engine, EngineOptions, ErrorKind, Image, InputSize, LoadOptions, PredictOptions, RgbImage, Task};
use maskline_onnx::{Constant, DType, Dialect, Dim, Graph};

/// A file in the layout of `yolo export format=onnx` at 64 × 64 (84 anchors) with two classes: one box of each, and a duplicate.
fn save_export(path: &Path, metadata: &[(&str, &str)]) {
    let anchors = 84;
    let mut rows = vec![0.0_f32; 6 * anchors];
    for (anchor, row) in
        [(3, [32.0, 16.0, 20.0, 10.0, 0.9, 0.1]), (4, [32.5, 16.0, 20.0, 10.0, 0.8, 0.1]), (50, [10.0, 40.0, 8.0, 8.0, 0.2, 0.6])]
    {
        row.into_iter().enumerate().for_each(|(channel, value)| rows[channel * anchors + anchor] = value);
    }
    let mut g = Graph::new("export", Dialect::Portable);
    let images = g.input("images", DType::F32, [Dim::fixed(1), 3.into(), 64.into(), 64.into()]).unwrap();
    let predictions = g.constant(Constant::f32(&[1, 6, anchors], rows).unwrap());
    // The answer must hang on the picture, whatever it is.
    let zero = g.reduce_min(&images, &[0, 1, 2, 3], false).unwrap();
    let zero = g.sub(&zero, &zero).unwrap();
    let output = g.add(&predictions, &zero).unwrap();
    g.output("output0", &output).unwrap();
    metadata.iter().for_each(|(key, value)| g.metadata(key, value));
    std::fs::write(path, g.finish().unwrap().to_bytes().unwrap()).unwrap();
}

#[test]
fn an_export_is_run_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
    let path = folder.path().join("model.onnx");
    let facts = [("task", "detect"), ("names", "{0: 'cat', 1: \"dog's bone\"}"), ("stride", "32"), ("imgsz", "[64, 64]")];
    save_export(&path, &facts);
    let model = engine.load(&path, &LoadOptions::default()).unwrap();
    assert_eq!((model.info().task, model.info().fixed_size), (Task::Detect, Some([64, 64])));
    // Twice as wide as high: scaled by a half, 16 pixels of grey above and below.
    let image = Image::from_pixels(RgbImage::new(128, 64, vec![9; 128 * 64 * 3]).unwrap());
    let found = model.predict_batch(&[&image, &image], &PredictOptions::default()).unwrap();
    assert_eq!(found.len(), 2, "a fixed batch of one is run twice");
    let objects: Vec<_> = found[1].objects.iter().map(|o| (o.label.as_deref().unwrap(), o.score, o.bounds)).collect();
    assert_eq!(objects, [("cat", 0.9, [44.0, 0.0, 84.0, 10.0]), ("dog's bone", 0.6, [12.0, 40.0, 28.0, 56.0])]);
    let other_size = PredictOptions { size: InputSize::Square(96), ..PredictOptions::default() };
    assert_eq!(model.predict(&image, &other_size).unwrap_err().kind(), ErrorKind::InvalidOption);
}

#[test]
fn exports_that_cannot_be_right_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
    let path = folder.path().join("model.onnx");
    let names = ("names", "{0: 'cat', 1: 'dog'}");
    for (facts, word) in [
        (vec![], "no family knows"),
        (vec![("task", "detect"), ("names", "{0: 'cat'}"), ("stride", "32")], "6 channels"),
        (vec![("task", "detect"), names, ("stride", "32"), ("args", "{'nms': True}")], "chooses its objects"),
        (vec![("task", "segment"), names, ("stride", "32")], "unexpected outputs"),
        (vec![("task", "sing"), names, ("stride", "32")], "sing"),
    ] {
        save_export(&path, &facts);
        let error = engine.load(&path, &LoadOptions::default()).unwrap_err();
        assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains(word), "{word}: {error}");
    }
}

/// An export of this task at 64 × 64 whose every anchor gives `row`.
fn save_extreme(path: &Path, task: &str, row: &[f32]) {
    let anchors = 84;
    let rows: Vec<f32> = row.iter().flat_map(|value| std::iter::repeat_n(*value, anchors)).collect();
    let mut g = Graph::new("export", Dialect::Portable);
    let images = g.input("images", DType::F32, [Dim::fixed(1), 3.into(), 64.into(), 64.into()]).unwrap();
    let predictions = g.constant(Constant::f32(&[1, row.len(), anchors], rows).unwrap());
    // Zero without folding: the answer must hang on the picture.
    let zero = g.reduce_min(&images, &[0, 1, 2, 3], false).unwrap();
    let zero = g.sub(&zero, &zero).unwrap();
    let output = g.add(&predictions, &zero).unwrap();
    g.output("output0", &output).unwrap();
    for (key, value) in [("task", task), ("names", "{0: 'cat'}"), ("stride", "32"), ("kpt_shape", "[1, 2]")] {
        g.metadata(key, value);
    }
    std::fs::write(path, g.finish().unwrap().to_bytes().unwrap()).unwrap();
}

#[test]
fn extreme_answers_are_objects_or_errors() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
    let path = folder.path().join("model.onnx");
    let image = Image::from_pixels(RgbImage::new(128, 64, vec![9; 128 * 64 * 3]).unwrap());
    let far = f32::MAX;
    for (task, rows) in [
        (
            "detect",
            vec![
                [far, far, far, far, 0.9].to_vec(),
                vec![-far, far, -far, -far, 0.9],
                vec![0.0, 0.0, 0.0, 0.0, 0.9],
                vec![1.0, 1.0, -5.0, -5.0, 0.9],
            ],
        ),
        ("obb", vec![vec![far, far, far, far, 0.9, far], vec![1.0, 1.0, -3.0, 0.0, 0.9, -far], vec![1e20, 1e20, 1e20, 1e20, 0.9, 1e20]]),
        ("pose", vec![vec![8.0, 8.0, 4.0, 4.0, 0.9, far, -far]]),
    ] {
        for row in rows {
            save_extreme(&path, task, &row);
            let model = engine.load(&path, &LoadOptions::default()).unwrap();
            match model.predict(&image, &PredictOptions::default()) {
                Ok(found) => assert!(found.objects.iter().all(|o| !o.bounds.iter().any(|side| side.is_nan())), "{task} {row:?}: {found:?}"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::BadAnswer, "{task} {row:?}: {error}"),
            }
        }
        for bad in [f32::NAN, f32::INFINITY] {
            let mut row = vec![
                8.0;
                if task == "detect" {
                    5
                } else if task == "obb" {
                    6
                } else {
                    7
                }
            ];
            row[4] = 0.9;
            let last = row.len() - 1;
            row[if task == "detect" { 0 } else { last }] = bad;
            save_extreme(&path, task, &row);
            let model = engine.load(&path, &LoadOptions::default()).unwrap();
            assert_eq!(model.predict(&image, &PredictOptions::default()).unwrap_err().kind(), ErrorKind::BadAnswer, "{task} {bad}");
        }
    }
}
