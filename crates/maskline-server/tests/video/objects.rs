//! Objects come and go, and leave the others as they are.

use maskline::{Mask, MaskPrompt, Prompt, TrackerOptions};
use serde_json::{Value, json};

use super::clip::{SIZE, Session, image, model, objects, shared, told};

const BOX: [f32; 4] = [8.0, 18.0, 32.0, 42.0];
const OTHER: [f32; 4] = [60.0, 10.0, 90.0, 50.0];

fn following(boxes: &[(i64, [f32; 4])]) -> Session {
    let session = Session::new(shared());
    session.give(0, "").expect(200);
    for (object, bounds) in boxes {
        objects(session.say(&json!({"object": object, "box": bounds})));
    }
    session
}

fn of(objects: &Value, id: i64) -> Option<&Value> {
    objects.as_array().unwrap().iter().find(|object| object["id"] == id)
}

#[test]
fn an_object_added_later_and_one_that_is_removed_leave_the_other_as_it_is() {
    let (alone, joined) = (following(&[(1, BOX)]), following(&[(1, BOX)]));
    for number in 1..9 {
        let (one, both) = (objects(alone.give(number, "")), objects(joined.give(number, "")));
        assert_eq!(of(&one, 1), of(&both, 1), "frame {number}");
        assert_eq!(of(&both, -5).is_some(), (4..7).contains(&number), "frame {number}");
        if number == 3 {
            let added = objects(joined.say(&json!({"object": -5, "box": OTHER, "label": "late"})));
            assert_eq!((added.as_array().unwrap().len(), &added[0]["label"]), (1, &json!("late")));
            assert_eq!(joined.state()["objects"], json!([1, -5]));
        }
        if number == 6 {
            joined.forget("/objects/-5").expect(204);
            assert!(joined.forget("/objects/-5").problem(404)["help"].as_str().is_some_and(|help| help.contains('1')));
        }
    }
    // A name that comes again has no past.
    assert!(objects(joined.say(&json!({"object": -5, "box": OTHER})))[0].get("label").is_none());
}

#[test]
fn what_was_said_is_forgotten_on_a_frame_and_in_all() {
    let session = following(&[(1, BOX), (2, OTHER)]);
    session.forget("/objects/2/prompts").expect(204);
    session.forget("/objects/9/prompts").problem(404);
    session.forget("/objects/nine").problem(400);
    // Nothing says any more where it is.
    let lost = session.give(1, "").problem(400);
    assert!(lost["message"].as_str().is_some_and(|message| message.contains("object 2")), "{lost}");
    session.forget("/objects/2").expect(204);
    assert_eq!(objects(session.give(2, "")).as_array().unwrap().len(), 1);
    let full = session.state();
    super::client::post(&session.path("/reset")).answer(session.to).expect(204);
    let empty = session.state();
    assert_eq!((&empty["objects"], &empty["frame"], &empty["frames"], &empty["size"]), (&json!([]), &Value::Null, &json!(0), &Value::Null));
    assert!(empty["bytes"].as_u64() < full["bytes"].as_u64());
    assert_eq!(session.give(0, "").expect(200).json()["frame"], 0);
}

#[test]
fn a_mask_is_the_object_itself_in_every_form_that_masks_come_in() {
    let session = following(&[]);
    let is_set = |x: usize, y: usize| (10..30).contains(&x) && (20..40).contains(&y);
    let mask = Mask::from_fn(SIZE.0 as usize, SIZE.1 as usize, is_set).unwrap();
    let mut tracker = model().tracker(TrackerOptions::default()).unwrap();
    tracker.push(&image(0)).unwrap();
    let prompt = Prompt { mask: Some(MaskPrompt::Picture(mask.clone())), ..Prompt::default() };
    assert_eq!(objects(session.say(&json!({"object": 1, "mask": mask}))), told(&tracker.add(1, &prompt).unwrap()));
    let polygon = json!([[10, 20, 30, 20, 30, 40, 10, 40]]);
    assert_eq!(objects(session.say(&json!({"object": 2, "mask": polygon}))), told(&tracker.add(2, &prompt).unwrap()));
    let both = session.say(&json!({"object": 3, "mask": mask, "points": [[20, 30]]})).problem(400);
    assert!(both["message"].as_str().is_some_and(|message| message.contains("object 3")), "{both}");
    session.say(&json!({"object": 1, "points": [[20, 30]], "refine": true})).problem(400);
    assert_eq!(session.state()["objects"], json!([1, 2]));
}

#[test]
fn pixels_belong_to_one_object_where_that_is_wished() {
    let session = Session::open(shared(), &json!({"model": "film", "non_overlapping": true, "memory": "full", "hole_area": 0}));
    session.give(0, "").expect(200);
    for object in 0..3 {
        objects(session.say(&json!({"object": object, "points": [[20 + object, 30, 1]]})));
    }
    let seen = objects(session.give(1, ""));
    let masks: Vec<Mask> =
        seen.as_array().unwrap().iter().map(|object| Mask::from_coco_segmentation(&object["segmentation"], [96, 64]).unwrap()).collect();
    assert!(masks.iter().any(|mask| !mask.is_empty()));
    for y in 0..64 {
        for x in 0..96 {
            assert!(masks.iter().filter(|mask| mask.get(x, y)).count() <= 1, "{x}, {y}");
        }
    }
}
