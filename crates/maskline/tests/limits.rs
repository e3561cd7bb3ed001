//! Sizes and counts beyond all memory are refused by name, before there is memory for them.
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::LazyLock;

use asking::{MODEL, Place, SIZE, picture};
use maskline::{
    Concern, Error, ErrorKind, EverythingOptions, InputSize, LoadOptions, Model, ModelSource, Multimask, PredictOptions, Prompt,
    SegmentOptions,
};

static DETECTOR: LazyLock<Model> = LazyLock::new(|| {
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 0 };
    Place::new().engine.load(source, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap()
});

/// What a detector says to so many pictures.
fn refused(options: &PredictOptions, pictures: usize) -> Error {
    let image = picture(1, SIZE);
    DETECTOR.predict_each(&vec![&image; pictures], options).unwrap_err()
}

fn says(error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!((error.kind(), error.concerns()), (kind, Concern::Options), "{error}");
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "`{word}` is not in: {error}"));
}

#[test]
fn input_sizes() {
    for side in [3_200_000, 8224, usize::MAX, usize::MAX / 32 * 32, 1 << 40] {
        for size in [InputSize::Square(side), InputSize::Rect(side)] {
            let error = refused(&PredictOptions { size, ..PredictOptions::default() }, 1);
            says(&error, ErrorKind::OverLimit, &["from 32 to 8192", &side.to_string()]);
        }
    }
    for side in [1, 31, 33, 641] {
        let error = refused(&PredictOptions { size: InputSize::Square(side), ..PredictOptions::default() }, 1);
        says(&error, ErrorKind::InvalidOption, &["multiple of 32", &format!("found {side}")]);
    }
    let error = refused(&PredictOptions { size: InputSize::Square(0), ..PredictOptions::default() }, 1);
    says(&error, ErrorKind::InvalidOption, &["found 0"]);
}

#[test]
fn sizes_and_batches_together() {
    let options = |side, batch| PredictOptions { size: InputSize::Square(side), batch, ..PredictOptions::default() };
    says(&refused(&options(8192, 2), 2), ErrorKind::OverLimit, &["1024 MiB", "2 × 3 × 8192 × 8192", "smaller batch"]);
    says(&refused(&options(4096, 1000), 500), ErrorKind::OverLimit, &["500 × 3 × 4096 × 4096"]);
    for batch in [1025, usize::MAX] {
        says(&refused(&options(64, batch), 1), ErrorKind::OverLimit, &["batch: expected 1 to 1024", &batch.to_string()]);
    }
    says(&refused(&options(64, 0), 1), ErrorKind::InvalidOption, &["batch", "found 0"]);
    // So many are allowed where so many are not there.
    let image = picture(1, SIZE);
    assert_eq!(DETECTOR.predict_each(&[&image; 3], &options(64, 1024)).unwrap().len(), 3);
}

#[test]
fn counts_of_detectors() {
    let standard = PredictOptions::default;
    says(&refused(&PredictOptions { top: 0, ..standard() }, 1), ErrorKind::InvalidOption, &["top", "found 0"]);
    says(&refused(&PredictOptions { max_detections: 0, ..standard() }, 1), ErrorKind::InvalidOption, &["max_detections", "found 0"]);
    for classes in [vec![80], vec![0, 3, usize::MAX]] {
        let unknown = classes.last().unwrap().to_string();
        let error = refused(&PredictOptions { classes: Some(classes), ..standard() }, 1);
        says(&error, ErrorKind::InvalidOption, &["classes", "below 80", &unknown]);
    }
    says(&refused(&PredictOptions { classes: Some(vec![]), ..standard() }, 1), ErrorKind::InvalidOption, &["classes", "empty list"]);
    let most = PredictOptions { top: usize::MAX, max_detections: usize::MAX, size: InputSize::Square(64), ..standard() };
    assert!(DETECTOR.predict(&picture(1, SIZE), &most).is_ok(), "there are no more than there are");
}

#[test]
fn threads() {
    let place = Place::new();
    for threads in [1025, usize::MAX] {
        let options = LoadOptions { threads, warm_up: false, ..LoadOptions::default() };
        says(&place.engine.load(ModelSource::Nano, &options).unwrap_err(), ErrorKind::OverLimit, &["threads: expected 1 to 1024"]);
    }
    let options = LoadOptions { threads: 2, embedding_cache: usize::MAX, warm_up: false, ..LoadOptions::default() };
    let model = place.engine.load(ModelSource::Nano, &options).unwrap();
    (0..3).for_each(|seed| drop(model.embed(&picture(seed, SIZE)).unwrap()));
    assert!(model.cached_embedding_bytes() > 0);
}

#[test]
fn prompts_and_chunks() {
    let embedding = MODEL.embed(&picture(1, SIZE)).unwrap();
    let click = [Prompt::click(5.0, 5.0)];
    for chunk in [65, 1_000_000, usize::MAX] {
        let options = SegmentOptions { chunk: Some(chunk), ..SegmentOptions::default() };
        says(&embedding.find(&click, &options).unwrap_err(), ErrorKind::OverLimit, &["chunk: expected 1 to 64", &chunk.to_string()]);
        let options = EverythingOptions { chunk: Some(chunk), ..EverythingOptions::default() };
        says(&MODEL.everything(&picture(1, SIZE), &options).unwrap_err(), ErrorKind::OverLimit, &["chunk"]);
    }
    // Three masks each of 16 × 16 logits: 4 GiB are 1 398 101 prompts.
    let options = SegmentOptions { multimask: Multimask::On, max_prompts: usize::MAX, ..SegmentOptions::default() };
    let error = embedding.segment(&vec![Prompt::default(); 1_398_102], &options).unwrap_err();
    assert_eq!((error.kind(), error.concerns()), (ErrorKind::OverLimit, Concern::Picture));
    assert!(error.to_string().contains("4194306 masks of 16 × 16") && error.to_string().contains("several requests"), "{error}");
}

#[test]
fn grids_of_everything() {
    let image = picture(1, SIZE);
    let refused = |options: EverythingOptions| MODEL.everything(&image, &options).unwrap_err();
    let standard = EverythingOptions::default;
    for side in [317, 1_000_000, usize::MAX] {
        says(&refused(EverythingOptions { points_per_side: Some(side), ..standard() }), ErrorKind::OverLimit, &["at most 100000 points"]);
    }
    let layers = |crop_n_layers, points_per_side| EverythingOptions { crop_n_layers, points_per_side: Some(points_per_side), ..standard() };
    says(&refused(layers(8, 32)), ErrorKind::OverLimit, &["points in all crops"]);
    says(&refused(layers(usize::MAX, 1)), ErrorKind::InvalidOption, &["crop_n_layers"]);
    for max_points in [10_000_001, usize::MAX] {
        let options = EverythingOptions { points_per_side: Some(1 << 30), max_points, ..standard() };
        says(&refused(options), ErrorKind::OverLimit, &["max_points: expected 1 to 10000000"]);
    }
}
