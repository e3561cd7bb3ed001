//! A detector's objects get masks, and stay what the detector found.
#![allow(clippy::unwrap_used)]

mod asking;

use asking::{SIZE, embedding};
use maskline::{ErrorKind, Keypoint, Object, Prompt, SegmentOptions};

fn detections() -> Vec<Object> {
    let keypoints = Some(vec![Keypoint { x: 12.0, y: 9.0, score: Some(0.5) }]);
    vec![
        Object {
            label: Some("cat".into()),
            class_id: Some(15),
            score: 0.875,
            bounds: [10.0, 8.0, 60.0, 50.0],
            keypoints,
            ..Object::default()
        },
        // A box without an area, as of an object in the border of a letterbox.
        Object { label: Some("line".into()), class_id: Some(3), score: 0.75, bounds: [20.0, 30.0, 20.0, 40.0], ..Object::default() },
        Object { label: Some("dog".into()), class_id: Some(16), score: 0.5, bounds: [40.0, 20.0, 96.5, 60.5], ..Object::default() },
    ]
}

#[test]
fn boxes_scores_and_classes_stay_the_detectors() {
    let (embedding, options, detections) = (embedding(), SegmentOptions::default(), detections());
    let found = embedding.segment_detections(&detections, &[], &options).unwrap();
    let alone = embedding.find(&detections.iter().map(Prompt::of_object).collect::<Vec<_>>(), &options).unwrap();
    assert_eq!(found.objects.len(), 3, "none is lost");
    for index in [0, 2] {
        let (object, detection) = (&found.objects[index], &detections[index]);
        let answer = alone.objects().find(|object| object.prompt == Some(index)).unwrap();
        let plain = Object { prompt: None, stability: None, mask: None, mask_box: None, mask_score: None, ..object.clone() };
        assert_eq!(plain, *detection, "all that the detector said stays");
        assert_eq!((&object.mask, object.stability, object.prompt), (&answer.mask, answer.stability, Some(index)));
        assert_eq!((object.mask_box, object.mask_score), (Some(answer.bounds), Some(answer.score)));
        let json = serde_json::to_value(object).unwrap();
        assert!(json["score"] == detection.score && json["mask_score"] != json["score"] && json["mask_box"] != json["box"], "{json}");
    }
    // What has no mask is told, and stays a detection.
    assert_eq!(found.objects[1], Object { prompt: Some(1), ..detections[1].clone() });
    let errors: Vec<(usize, ErrorKind)> = found.errors.iter().map(|(index, error)| (*index, error.kind())).collect();
    assert_eq!(errors, [(1, ErrorKind::BadInput)]);
    assert!(serde_json::to_value(alone.objects().next()).unwrap().get("mask_score").is_none(), "one model has one score");
}

#[test]
fn other_prompts_follow_the_detections() {
    let (embedding, detections) = (embedding(), detections());
    let more = [Prompt { label: Some("mine".into()), ..Prompt::click(40.0, 30.0) }, Prompt::click(SIZE.0 as f32 + 5.0, 0.0)];
    for non_overlapping in [false, true] {
        let options = SegmentOptions { non_overlapping, ..SegmentOptions::default() };
        let found = embedding.segment_detections(&detections, &more, &options).unwrap();
        let prompts: Vec<Option<usize>> = found.objects.iter().map(|object| object.prompt).collect();
        assert_eq!(prompts, [Some(0), Some(1), Some(2), Some(3)]);
        let own = &found.objects[3];
        assert_eq!((own.label.as_deref(), own.mask_score, own.mask_box), (Some("mine"), None, None));
        assert_eq!(own.bounds, own.mask.as_ref().unwrap().bounds().unwrap_or_default().map(|side| side as f32));
        assert_eq!(found.errors.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 4]);
    }
}

#[test]
fn nothing_detected_is_an_answer() {
    let found = embedding().segment_detections(&[], &[], &SegmentOptions::default()).unwrap();
    assert!(found.objects.is_empty() && found.errors.is_empty() && found.timings.total().is_zero());
    let options = SegmentOptions { threshold: f32::NAN, ..SegmentOptions::default() };
    assert_eq!(embedding().segment_detections(&[], &[], &options).unwrap_err().kind(), ErrorKind::InvalidOption);
}
