//! What is wrong with one picture is told of that picture, and costs no other one its answer.
#![allow(clippy::unwrap_used)]

mod asking;

use std::path::Path;

use asking::{MODEL, Place, SIZE, picture, shared};
use maskline::{
    BundleOptions, Concern, ErrorKind, EverythingOptions, Image, InputSize, LoadOptions, Model, ModelSource, PredictOptions, Prompt,
    RgbImage, SegmentOptions,
};
use maskline_onnx::{DType, Dialect, Dim, Graph};

/// Pictures that some networks cannot take: one pixel wide, one high, and a thread.
const THIN: [(usize, usize); 4] = [(1, 540), (540, 1), (1, 1), (70_000, 4)];

fn load(place: &Place, architecture: &str, side: Option<usize>) -> Model {
    let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 1 };
    let bundle = BundleOptions { image_size: side, ..BundleOptions::default() };
    place.engine.load(source, &LoadOptions { bundle, warm_up: false, ..LoadOptions::default() }).unwrap()
}

/// A classifier whose probabilities are the roots of a picture's brightness less a tenth: not a number for a dark one.
fn save_roots(path: &Path) {
    let mut g = Graph::new("roots", Dialect::Portable);
    let images = g.input("images", DType::F32, [Dim::symbol("batch"), 3.into(), 64.into(), 64.into()]).unwrap();
    let mean = g.reduce_mean(&images, &[2, 3], false).unwrap();
    let tenth = g.scalar(0.1);
    let less = g.sub(&mean, &tenth).unwrap();
    let roots = g.sqrt(&less).unwrap();
    g.output("output0", &roots).unwrap();
    for (key, value) in [("task", "classify"), ("names", "{0: 'red', 1: 'green', 2: 'blue'}"), ("stride", "1")] {
        g.metadata(key, value);
    }
    std::fs::write(path, g.finish().unwrap().to_bytes().unwrap()).unwrap();
}

fn plain(level: u8) -> Image {
    Image::from_pixels(RgbImage::new(80, 60, vec![level; 3 * 80 * 60]).unwrap())
}

#[test]
fn an_answer_that_is_no_number_takes_no_other_away() {
    let place = Place::new();
    let path = place.folder.path().join("roots.onnx");
    save_roots(&path);
    let model = place.engine.load(&path, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    let images = [plain(200), plain(0), plain(120), plain(90)];
    let images: Vec<&Image> = images.iter().collect();
    for batch in [1, 3, 4] {
        let options = PredictOptions { batch, ..PredictOptions::default() };
        let answers = model.predict_each(&images, &options).unwrap();
        let kinds: Vec<Option<ErrorKind>> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.kind())).collect();
        assert_eq!(kinds, [None, Some(ErrorKind::BadAnswer), None, None], "batch {batch}");
        assert_eq!(answers[1].as_ref().unwrap_err().concerns(), Concern::Picture);
        let scores = answers.iter().flatten().map(|answer| answer.classes.as_ref().unwrap()[0].score);
        assert!(scores.zip([200.0_f32, 120.0, 90.0]).all(|(score, level)| (score - (level / 255.0 - 0.1).sqrt()).abs() < 1e-4));
        assert_eq!(model.predict_batch(&images, &options).unwrap_err().kind(), ErrorKind::BadAnswer);
    }
}

/// No question about a picture can be asked of them: the same cases were refused by every question before.
#[test]
fn pixels_that_are_no_picture_are_refused_before_any_question() {
    for (width, height, bytes) in [(0, 0, 0), (9, 0, 0), (9, 9, 12), (usize::MAX, 2, 12)] {
        let error = RgbImage::new(width, height, vec![7; bytes]).unwrap_err();
        assert_eq!(error.kind(), maskline::vision::ErrorKind::InvalidArgument);
        assert!(error.expected().is_some() && error.found().is_some(), "{error}");
    }
}

#[test]
fn thin_pictures_are_answered_or_refused_as_pictures() {
    let place = Place::new();
    let nano = place.engine.load(ModelSource::Nano, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    let promptable = [load(&place, "sam2.1-tiny", Some(64)), load(&place, "mobile-sam", Some(64)), nano];
    let mut refused = 0;
    for size in THIN {
        let image = picture(1, size);
        let (width, height) = (size.0 as f32, size.1 as f32);
        let prompts = [Prompt::bounds([0.0, 0.0, width, height]), Prompt::click(width / 2.0, height / 2.0)];
        for model in &promptable {
            let found = model.find(&image, &prompts, &SegmentOptions::default());
            let options = EverythingOptions { points_per_side: Some(2), ..EverythingOptions::default() };
            let everything = model.everything(&image, &options);
            assert_eq!(found.is_ok(), everything.is_ok(), "{} on {size:?}", model.name());
            for error in found.as_ref().err().into_iter().chain(everything.as_ref().err()) {
                assert_eq!(
                    (error.kind(), error.concerns()),
                    (ErrorKind::BadInput, Concern::Picture),
                    "{} on {size:?}: {error}",
                    model.name()
                );
                refused += 1;
            }
            if let Ok(found) = found {
                assert!(
                    found.answers.len() == 2 && found.objects().count() == 2 && found.errors().count() == 0,
                    "{} on {size:?}: {:?}",
                    model.name(),
                    found.errors().collect::<Vec<_>>()
                );
            }
        }
    }
    assert!(refused > 0, "some of these cannot be scaled to the input of the first generation");
    for architecture in ["yolov8n-seg", "yolov8n-cls"] {
        let model = load(&place, architecture, None);
        let images: Vec<Image> = THIN.into_iter().map(|size| picture(1, size)).collect();
        for size in [InputSize::Square(64), InputSize::Rect(64)] {
            let options = PredictOptions { size, conf: Some(0.0), max_detections: 3, ..PredictOptions::default() };
            let answers = model.predict_each(&images.iter().collect::<Vec<_>>(), &options).unwrap();
            assert!(answers.iter().all(Result::is_ok), "{architecture}: {answers:?}");
        }
    }
}

#[test]
fn a_picture_over_a_limit_is_one_picture() {
    if let Some(path) = shared("cases/size_70000x4.png") {
        let error =
            Image::open_with(&path, &maskline::vision::decode::DecodeOptions { max_pixels: 1000, ..Default::default() }).unwrap_err();
        assert_eq!((error.kind(), error.concerns()), (ErrorKind::OverLimit, Concern::Picture), "{error}");
    }
    let error = Image::open("nowhere.png").unwrap_err();
    assert_eq!((error.kind(), error.concerns()), (ErrorKind::BadInput, Concern::Picture));
    let embedding = MODEL.embed(&picture(1, SIZE)).unwrap();
    let error = embedding.find(&vec![Prompt::click(5.0, 5.0); 10_001], &SegmentOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.concerns()), (ErrorKind::OverLimit, Concern::Picture), "{error}");
    let layers = EverythingOptions { crop_n_layers: 6, points_per_side: Some(1), ..EverythingOptions::default() };
    let error = MODEL.everything(&picture(1, (9, 9)), &layers).unwrap_err();
    assert_eq!((error.kind(), error.concerns()), (ErrorKind::BadInput, Concern::Picture), "{error}");
}

#[test]
fn what_every_picture_would_meet_is_no_pictures_fault() {
    let place = Place::new();
    let image = picture(1, SIZE);
    let error = MODEL.predict(&image, &PredictOptions::default()).unwrap_err();
    assert_eq!(error.concerns(), Concern::Options);
    let error = MODEL.everything(&image, &EverythingOptions { points_per_side: Some(5000), ..EverythingOptions::default() }).unwrap_err();
    assert_eq!((error.kind(), error.concerns()), (ErrorKind::OverLimit, Concern::Options), "{error}");
    let missing = place.engine.load("nowhere.safetensors", &LoadOptions::default()).unwrap_err();
    assert_eq!((missing.kind(), missing.concerns()), (ErrorKind::BadInput, Concern::Model));
    let no_model = place.folder.path().join("text.safetensors");
    std::fs::write(&no_model, "no model").unwrap();
    assert_eq!(place.engine.load(&no_model, &LoadOptions::default()).unwrap_err().concerns(), Concern::Model);
}

#[test]
fn a_hundred_threads_at_once_are_all_answered() {
    let place = Place::new();
    let detector = load(&place, "yolov8n", None);
    let embedding = MODEL.embed(&picture(1, SIZE)).unwrap();
    let image = picture(1, SIZE);
    let options = PredictOptions { size: InputSize::Square(320), ..PredictOptions::default() };
    let barrier = std::sync::Barrier::new(100);
    std::thread::scope(|scope| {
        let ask = |index: usize| {
            barrier.wait();
            match index % 8 {
                1.. => detector.predict(&image, &options).map(drop),
                0 => embedding.find(&[Prompt::click(5.0, 5.0)], &SegmentOptions::default()).map(drop),
            }
        };
        let threads: Vec<_> = (0..100).map(|index| scope.spawn(move || ask(index))).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    });
}
