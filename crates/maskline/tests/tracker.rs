//! Objects followed through time, on the networks of SAM 2.1-tiny at a small size with generated weights: masks mean nothing, equality does.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use maskline::{
    BundleOptions, Click, Direction, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Mask, MaskPrompt, Model, ModelSource, Prompt,
    RgbImage, Tracked, Tracker, TrackerOptions,
};
use maskline_testing::kept_folder;

const SIZE: (usize, usize) = (90, 60);

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let cache = kept_folder(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_CRATE_NAME"));
    let engine = Engine::new(EngineOptions { cache, ..EngineOptions::default() }).unwrap();
    let bundle = BundleOptions { image_size: Some(64), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 3 };
    engine.load(source, &LoadOptions { bundle, warm_up: false, ..LoadOptions::default() }).unwrap()
});

fn tracker(options: TrackerOptions) -> Tracker {
    MODEL.tracker(options).unwrap()
}

/// Frames that differ, and come again after eleven.
fn frame(index: usize) -> Image {
    let (width, height) = SIZE;
    let level = |at: usize| (((at * 31 + (index % 11) * 977) * 2_654_435_761) >> 7) as u8;
    Image::from_pixels(RgbImage::new(width, height, (0..width * height * 3).map(level).collect()).unwrap())
}

/// What is known of an object, bit by bit.
fn bits(answer: &Tracked, id: i64) -> (u32, Vec<u32>) {
    let object = answer.objects.iter().find(|object| object.id == id).unwrap();
    (object.score.to_bits(), object.logits().data().iter().map(|logit| logit.to_bits()).collect())
}

#[test]
fn a_clicked_object_is_answered_at_once_and_on_every_frame_that_follows() {
    let mut tracker = tracker(TrackerOptions::default());
    assert!(tracker.push(&frame(0)).unwrap().objects.is_empty());
    let clicked = tracker.add(7, &Prompt::click(40.0, 30.0)).unwrap();
    assert_eq!((clicked.frame, clicked.size, clicked.objects[0].id, clicked.objects[0].is_prompted), (0, SIZE, 7, true));
    for index in 1..4 {
        let answer = tracker.push(&frame(index)).unwrap();
        let object = &answer.objects[0];
        assert_eq!((answer.frame, answer.objects.len(), object.id, object.is_prompted), (index, 1, 7, false));
        let mask = object.mask().unwrap();
        assert_eq!((mask.width(), mask.height()), SIZE);
        assert!((0.0..=1.0).contains(&object.score));
        assert!(answer.timings.total() > std::time::Duration::ZERO);
    }
}

#[test]
fn an_object_that_is_added_or_removed_later_changes_no_other_one() {
    let run = |has_second: bool| -> Vec<(u32, Vec<u32>)> {
        let mut tracker = tracker(TrackerOptions::default());
        tracker.push(&frame(0)).unwrap();
        tracker.add(1, &Prompt::bounds([10.0, 10.0, 50.0, 40.0])).unwrap();
        let mut seen = Vec::new();
        for index in 1..24 {
            let answer = tracker.push(&frame(index)).unwrap();
            seen.push(bits(&answer, 1));
            if has_second && index == 9 {
                tracker.add(2, &Prompt::click(70.0, 20.0)).unwrap();
            }
            if has_second && index == 17 {
                assert!(tracker.remove(2) && !tracker.remove(2));
            }
        }
        seen
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn pushing_is_looking_and_tracking_and_encoding_ahead_changes_nothing() {
    let mut pushed = tracker(TrackerOptions::default());
    let mut looked = pushed.clone();
    let encoder = pushed.encoder();
    pushed.push(&frame(0)).unwrap();
    looked.look_encoded(0, std::thread::spawn(move || encoder.encode(&frame(0))).join().unwrap().unwrap()).unwrap();
    for tracker in [&mut pushed, &mut looked] {
        tracker.add(1, &Prompt::click(20.0, 20.0)).unwrap();
        tracker.refine(1, &[Click { x: 60.0, y: 50.0, is_positive: false }]).unwrap();
    }
    for index in 1..10 {
        let answer = pushed.push(&frame(index)).unwrap();
        looked.look(index, &frame(index)).unwrap();
        assert_eq!(bits(&answer, 1), bits(&looked.track(Direction::Forward).unwrap(), 1));
    }
    // A clone goes on alone.
    let mut alone = pushed.clone();
    alone.reset();
    assert_eq!((alone.objects(), alone.frame(), pushed.objects(), pushed.frame()), (vec![], None, vec![1], Some(9)));
}

#[test]
fn what_is_kept_does_not_grow_with_the_frames() {
    let mut tracker = tracker(TrackerOptions { conditioning_frames: Some(3), corrections_condition: true, ..TrackerOptions::default() });
    tracker.push(&frame(0)).unwrap();
    let empty = tracker.state_bytes();
    tracker.add(1, &Prompt::click(20.0, 20.0)).unwrap();
    tracker.add(2, &Prompt::click(70.0, 40.0)).unwrap();
    let mut bytes = Vec::new();
    for index in 1..120 {
        tracker.push(&frame(index)).unwrap();
        if index % 20 == 0 {
            // Prompted anew, and so for ever looked at, were it not for the bound.
            tracker.look(index, &frame(index)).unwrap();
            tracker.add(2, &Prompt::click(60.0, 30.0)).unwrap();
        }
        bytes.push(tracker.state_bytes());
    }
    let (early, late) = (bytes[30..60].iter().max().unwrap(), bytes[60..].iter().max().unwrap());
    assert!(late <= early, "{early} bytes, and later {late}");
    assert!(bytes[60] > empty);
}

#[test]
fn a_corrected_frame_is_answered_otherwise_and_so_are_those_that_follow() {
    let run = |correct: bool| {
        let mut tracker = tracker(TrackerOptions { corrections_condition: true, ..TrackerOptions::default() });
        tracker.push(&frame(0)).unwrap();
        tracker.add(1, &Prompt::click(20.0, 20.0)).unwrap();
        tracker.push(&frame(1)).unwrap();
        let corrected = correct.then(|| bits(&tracker.refine(1, &[Click { x: 70.0, y: 50.0, is_positive: true }]).unwrap(), 1));
        (corrected, bits(&tracker.push(&frame(2)).unwrap(), 1))
    };
    let ((_, plain), (corrected, after)) = (run(false), run(true));
    assert_ne!(plain, after);
    assert!(corrected.is_some());
}

#[test]
fn masks_are_believed_and_objects_can_be_kept_apart() {
    let mask = Mask::from_fn(SIZE.0, SIZE.1, |x, y| (20..60).contains(&x) && (10..40).contains(&y)).unwrap();
    let mut tracker = tracker(TrackerOptions { non_overlapping: true, ..TrackerOptions::default() });
    tracker.push(&frame(0)).unwrap();
    let answer = tracker.add(1, &Prompt::default().with_mask(MaskPrompt::Picture(mask.clone()))).unwrap();
    let found = answer.objects[0].mask().unwrap();
    let both = (0..SIZE.0 * SIZE.1).filter(|at| mask.get(at % SIZE.0, at / SIZE.0) && found.get(at % SIZE.0, at / SIZE.0)).count();
    assert!(
        both as f64 > 0.8 * mask.area() as f64 && found.area() < 2 * mask.area(),
        "{} of {} pixels, {both} shared",
        found.area(),
        mask.area()
    );
    tracker.add(2, &Prompt::default().with_mask(MaskPrompt::Picture(mask))).unwrap();
    let answer = tracker.push(&frame(1)).unwrap();
    let [one, two] = [0, 1].map(|index| answer.objects[index].mask().unwrap());
    assert!((0..SIZE.0 * SIZE.1).all(|at| !(one.get(at % SIZE.0, at / SIZE.0) && two.get(at % SIZE.0, at / SIZE.0))));
}

#[test]
fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let mut tracker = tracker(TrackerOptions { most_objects: 2, ..TrackerOptions::default() });
    let click = Prompt::click(10.0, 10.0);
    let kind = |result: maskline::Result<Tracked>| result.unwrap_err().kind();
    assert_eq!(kind(tracker.add(1, &click)), ErrorKind::InvalidOption, "there is no frame yet");
    assert_eq!(kind(tracker.track(Direction::Forward)), ErrorKind::InvalidOption);
    tracker.push(&frame(0)).unwrap();
    assert_eq!(kind(tracker.add(1, &Prompt::click(10.0, 61.0))), ErrorKind::BadInput);
    assert_eq!(kind(tracker.add(1, &Prompt::default())), ErrorKind::BadInput);
    assert_eq!(kind(tracker.refine(1, &[])), ErrorKind::BadInput, "nobody is followed");
    let small = Mask::from_fn(8, 8, |_, _| true).unwrap();
    assert_eq!(kind(tracker.add(1, &Prompt::default().with_mask(MaskPrompt::Picture(small)))), ErrorKind::BadInput);
    let mask = Mask::from_fn(SIZE.0, SIZE.1, |x, _| x < 9).unwrap();
    let with_click = click.clone().with_mask(MaskPrompt::Picture(mask));
    assert_eq!(kind(tracker.add(1, &with_click)), ErrorKind::BadInput);
    assert!(tracker.objects().is_empty(), "a prompt that is refused makes no object");
    tracker.add(1, &click).unwrap();
    tracker.add(2, &click).unwrap();
    assert_eq!(kind(tracker.add(3, &click)), ErrorKind::OverLimit);
    tracker.clear(1).unwrap();
    let error = tracker.push(&frame(1)).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("object 1"), "{error}");
    tracker.remove(1);
    assert_eq!(tracker.track(Direction::Forward).unwrap().objects.len(), 1);
    let error = MODEL.tracker(TrackerOptions { conditioning_frames: Some(1), ..TrackerOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
}

#[test]
fn a_clip_of_known_length_has_no_frame_beyond_it() {
    let mut tracker = tracker(TrackerOptions { length: Some(1), ..TrackerOptions::default() });
    tracker.push(&frame(0)).unwrap();
    tracker.add(1, &Prompt::click(10.0, 10.0)).unwrap();
    assert_eq!(tracker.push(&frame(1)).unwrap_err().kind(), ErrorKind::InvalidOption);
}

#[test]
fn models_without_a_memory_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().to_path_buf(), ..EngineOptions::default() }).unwrap();
    let model = engine.load("nano", &LoadOptions::default()).unwrap();
    let error = model.tracker(TrackerOptions::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidOption && error.to_string().contains("through time"), "{error}");
}
