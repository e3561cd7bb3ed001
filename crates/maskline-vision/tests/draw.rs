//! What is drawn, where, and what is not.
#![allow(clippy::unwrap_used)]

use maskline_vision::draw::{DrawOptions, Marks, annotate, annotate_classes, annotate_prompted};
use maskline_vision::{Keypoint, Mask, Object, RgbImage, RotatedBox};

const GRAY: [u8; 3] = [90, 90, 90];

fn picture(width: usize, height: usize) -> RgbImage {
    RgbImage::new(width, height, GRAY.repeat(width * height)).unwrap()
}

fn person(bounds: [f32; 4]) -> Object {
    Object { label: Some("person".into()), class_id: Some(0), score: 0.89, bounds, ..Object::default() }
}

fn pixel(image: &RgbImage, x: usize, y: usize) -> [u8; 3] {
    image.row(y)[x * 3..x * 3 + 3].try_into().unwrap()
}

/// `[x1, y1, x2, y2]` around the pixels that are no longer gray.
fn changed(image: &RgbImage) -> Option<[usize; 4]> {
    let places = (0..image.height()).flat_map(|y| (0..image.width()).map(move |x| (x, y)));
    places.filter(|&(x, y)| pixel(image, x, y) != GRAY).fold(None, |bounds: Option<[usize; 4]>, (x, y)| {
        let [x1, y1, x2, y2] = bounds.unwrap_or([x, y, x, y]);
        Some([x1.min(x), y1.min(y), x2.max(x), y2.max(y)])
    })
}

fn without_text() -> DrawOptions {
    DrawOptions { labels: false, scores: false, ..DrawOptions::default() }
}

#[test]
fn a_box_is_a_frame_in_the_colour_of_its_class() {
    let drawn = annotate(&picture(200, 100), &[person([50.0, 20.0, 150.0, 80.0])], &without_text());
    assert_eq!(changed(&drawn), Some([49, 19, 150, 80]));
    for (x, y) in [(49, 50), (50, 50), (150, 50), (100, 19), (100, 80)] {
        assert_eq!(pixel(&drawn, x, y), [0xe6, 0x9f, 0x00], "{x}, {y}");
    }
    assert_eq!(pixel(&drawn, 52, 22), GRAY);
}

#[test]
fn a_tag_stands_above_its_box_and_shows_letters() {
    let drawn = annotate(&picture(200, 100), &[person([50.0, 40.0, 150.0, 80.0])], &DrawOptions::default());
    let [x1, y1, x2, y2] = changed(&drawn).unwrap();
    assert_eq!([x1, x2, y2], [49, 150, 80]);
    assert!((20..30).contains(&y1), "{y1}");
    let letters = (y1..39).flat_map(|y| (x1..x2).map(move |x| (x, y))).filter(|&(x, y)| pixel(&drawn, x, y)[0] < 80);
    assert!(letters.count() > 20);
}

#[test]
fn tags_stay_inside_and_apart() {
    let objects = [person([-50.0, -50.0, 60.0, 40.0]), person([0.0, 0.0, 62.0, 42.0]), person([170.0, 90.0, 900.0, 700.0])];
    let options = DrawOptions { boxes: false, ..DrawOptions::default() };
    let drawn = |objects: &[Object]| {
        let image = annotate(&picture(200, 100), objects, &options);
        (0..100 * 200).filter(|at| pixel(&image, at % 200, at / 200) != GRAY).count()
    };
    let alone: Vec<usize> = objects.iter().map(|object| drawn(std::slice::from_ref(object))).collect();
    assert!(alone.iter().all(|&pixels| pixels == alone[0] && pixels > 500), "a tag was cut off: {alone:?}");
    assert_eq!(drawn(&objects), alone.iter().sum::<usize>(), "tags overlap");
}

#[test]
fn long_tags_end_in_the_picture() {
    let mut object = person([10.0, 40.0, 30.0, 60.0]);
    object.label = Some("a very long label that no picture of this width can hold\nat all".repeat(4));
    let drawn = annotate(&picture(120, 80), &[object], &DrawOptions::default());
    let [x1, _, x2, _] = changed(&drawn).unwrap();
    assert!(x2 - x1 > 80 && x2 <= 119);
}

#[test]
fn an_empty_label_leaves_the_score_and_no_text_leaves_no_tag() {
    let mut object = person([50.0, 40.0, 150.0, 80.0]);
    object.label = Some(String::new());
    let options = DrawOptions { labels: false, ..DrawOptions::default() };
    let image = picture(200, 100);
    let empty = annotate(&image, std::slice::from_ref(&object), &DrawOptions::default());
    assert_eq!(empty, annotate(&image, &[person(object.bounds)], &options));
    assert_ne!(empty, annotate(&image, &[person(object.bounds)], &DrawOptions::default()));
    object.score = f32::NAN;
    assert_eq!(annotate(&image, std::slice::from_ref(&object), &DrawOptions::default()), annotate(&image, &[object], &without_text()));
}

#[test]
fn what_is_not_finite_or_outside_is_not_drawn() {
    let image = picture(100, 80);
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let bounds = [
        [nan, 10.0, 20.0, 20.0],
        [10.0, 10.0, nan, 20.0],
        [0.0, 0.0, infinity, infinity],
        [-infinity, 0.0, 10.0, 10.0],
        [200.0, 10.0, 300.0, 20.0],
        [-90.0, -90.0, -10.0, -10.0],
        [20.0, 20.0, 10.0, 10.0],
    ];
    for bounds in bounds {
        assert_eq!(annotate(&image, &[person(bounds)], &DrawOptions::default()), image, "{bounds:?}");
    }
    let mut object = person([nan; 4]);
    object.rotated = Some(RotatedBox { center: [nan, 3.0], size: [infinity, 1.0], angle: 1.0 });
    object.keypoints = Some(vec![Keypoint { x: nan, y: 1.0, score: None }; 17]);
    assert_eq!(annotate(&image, &[object], &DrawOptions::default()), image);
}

#[test]
fn huge_coordinates_are_cut_off() {
    let image = picture(64, 48);
    let mut object = person([-1e30, -1e30, 1e30, 1e30]);
    object.keypoints = Some(vec![Keypoint { x: 1e30, y: -1e30, score: None }; 17]);
    object.mask = Some(Mask::from_fn(200, 200, |_, _| true).unwrap());
    let drawn = annotate(&image, &[object.clone()], &DrawOptions::default());
    assert_eq!(changed(&drawn), Some([0, 0, 63, 47]));
    object.rotated = Some(RotatedBox { center: [1e30, 0.0], size: [1e30, 1e-30], angle: 0.3 });
    assert_eq!(annotate(&image, &[object], &DrawOptions::default()).pixels().len(), 64 * 48 * 3);
    let tiny = picture(1, 1);
    assert_eq!(annotate(&tiny, &[person([0.0, 0.0, 1.0, 1.0])], &DrawOptions::default()).pixels(), [0xe6, 0x9f, 0x00]);
}

#[test]
fn masks_are_blended_and_outlined() {
    let mask = Mask::from_fn(100, 80, |x, y| (20..60).contains(&x) && (20..60).contains(&y)).unwrap();
    let object = Object { class_id: Some(0), score: 0.9, bounds: [20.0, 20.0, 60.0, 60.0], mask: Some(mask), ..Object::default() };
    let half = DrawOptions { mask_opacity: 0.5, ..DrawOptions::default() };
    let drawn = annotate(&picture(100, 80), std::slice::from_ref(&object), &half);
    // 128/255 of (230, 159, 0) over (90, 90, 90).
    assert_eq!(pixel(&drawn, 40, 40), [160, 125, 45]);
    assert_eq!(pixel(&drawn, 15, 40), GRAY);
    let contour = pixel(&drawn, 20, 40);
    assert!(contour[0] > 200, "{contour:?}");
    assert_eq!(changed(&drawn), Some([19, 19, 60, 60]), "a mask without a class has neither box nor tag");
}

#[test]
fn rotated_boxes_are_drawn_turned() {
    let rotated = RotatedBox { center: [50.0, 50.0], size: [40.0, 40.0], angle: std::f32::consts::FRAC_PI_4 };
    let object = Object { rotated: Some(rotated), ..person(rotated.bounds()) };
    let drawn = annotate(&picture(100, 100), &[object], &without_text());
    // The corners point up, down, left and right, 28.28 pixels from the centre.
    for (x, y) in [(50, 22), (50, 77), (22, 50), (77, 50), (36, 36)] {
        assert_ne!(pixel(&drawn, x, y), GRAY, "{x}, {y}");
    }
    for (x, y) in [(50, 50), (25, 25), (75, 25)] {
        assert_eq!(pixel(&drawn, x, y), GRAY, "{x}, {y}");
    }
}

#[test]
fn seventeen_keypoints_have_limbs_and_others_none() {
    let keypoint = |x: f32, score: f32| Keypoint { x, y: 50.0, score: Some(score) };
    // Shoulders (5, 6) at x = 20 and 80; the rest is not seen.
    let mut keypoints = vec![keypoint(5.0, 0.0); 17];
    keypoints[5] = keypoint(20.5, 0.9);
    keypoints[6] = keypoint(80.5, 0.9);
    let object = |keypoints: &[Keypoint]| Object { keypoints: Some(keypoints.to_vec()), ..person([f32::NAN; 4]) };
    let pose = annotate(&picture(100, 100), &[object(&keypoints)], &DrawOptions::default());
    assert_eq!(pixel(&pose, 20, 50), [255, 255, 255]);
    assert_eq!(pixel(&pose, 50, 50), [0xe6, 0x9f, 0x00]);
    assert_eq!(pixel(&pose, 5, 50), GRAY);
    let points = annotate(&picture(100, 100), &[object(&keypoints[..7])], &DrawOptions::default());
    assert_eq!(pixel(&points, 20, 50), [255, 255, 255]);
    assert_eq!(pixel(&points, 50, 50), GRAY);
}

#[test]
fn drawing_is_deterministic_and_better_scores_lie_on_top() {
    let image = picture(120, 120);
    let mut other = person([20.0, 20.0, 100.0, 100.0]);
    (other.class_id, other.score) = (Some(1), 0.3);
    let objects = [person([20.0, 20.0, 80.0, 80.0]), other];
    let drawn = annotate(&image, &objects, &DrawOptions::default());
    assert_eq!(pixel(&drawn, 20, 60), [0xe6, 0x9f, 0x00]);
    let reversed = [objects[1].clone(), objects[0].clone()];
    assert_eq!(drawn, annotate(&image, &reversed, &DrawOptions::default()));
    assert_eq!(annotate(&image, &[], &DrawOptions::default()), image);
}

#[test]
fn class_lists_fill_the_corner() {
    let image = picture(400, 300);
    let classes = [("tabby cat".to_owned(), 0.7), ("lynx".to_owned(), f32::NAN)];
    let [x1, y1, x2, y2] = changed(&annotate_classes(&image, &classes)).unwrap();
    assert_eq!([x1, y1], [0, 0]);
    assert!(x2 < 200 && y2 < 80, "{x2}, {y2}");
    assert_eq!(annotate_classes(&image, &[]), image);
    let many = vec![("a label too long for such a picture".repeat(9), 0.5); 100];
    assert_eq!(annotate_classes(&picture(90, 70), &many).pixels().len(), 90 * 70 * 3);
    assert_eq!(annotate_classes(&picture(3, 2), &many), picture(3, 2));
}

#[test]
fn prompts_are_signs_and_dashes() {
    let image = picture(200, 150);
    let points = [(40.5, 40.5, true), (120.5, 100.5, false)];
    let boxes = [[60.0, 20.0, 180.0, 80.0]];
    let drawn = annotate_prompted(&image, &[], &Marks { points: &points, boxes: &boxes, ..Marks::default() }, &DrawOptions::default());
    let white = [255, 255, 255];
    let (green, red) = (pixel(&drawn, 36, 36), pixel(&drawn, 116, 96));
    assert!(green[1] > 2 * green[0] && red[0] > 2 * red[1], "{green:?} {red:?}");
    // A plus has an upright, a minus has not.
    for (x, y, colour) in [(40, 40, white), (43, 40, white), (40, 43, white), (120, 100, white), (123, 100, white), (120, 104, red)] {
        assert_eq!(pixel(&drawn, x, y), colour, "{x}, {y}");
    }
    let edge: Vec<u8> = (64..176).map(|x| pixel(&drawn, x, 20)[0]).collect();
    assert!(edge.iter().any(|&value| value > 200) && edge.iter().any(|&value| value < 60), "{edge:?}");
    assert_eq!(pixel(&drawn, 100, 50), GRAY);

    let (nan, far) = (f32::NAN, 1e30);
    let outside = [(nan, 3.0, true), (-50.0, 10.0, false), (far, far, true)];
    let nowhere = [[nan, 0.0, 10.0, 10.0], [300.0, 10.0, 400.0, 20.0], [20.0, 20.0, 10.0, 10.0]];
    let marks = Marks { points: &outside, boxes: &nowhere, ..Marks::default() };
    assert_eq!(annotate_prompted(&image, &[], &marks, &DrawOptions::default()), image);
    let huge = Marks { boxes: &[[-far, -far, far, far]], ..Marks::default() };
    assert_eq!(changed(&annotate_prompted(&image, &[], &huge, &DrawOptions::default())), Some([0, 0, 199, 149]));
}

#[test]
fn masks_without_a_class_are_tagged_where_they_begin() {
    let mask = Mask::from_fn(200, 150, |x, y| (x as f32 - 100.0).hypot(y as f32 - 90.0) < 40.0).unwrap();
    let object = Object { score: 0.97, bounds: [61.0, 51.0, 140.0, 130.0], mask: Some(mask), ..Object::default() };
    let tagged = DrawOptions { mask_tags: true, ..DrawOptions::default() };
    let [plain, tag] =
        [DrawOptions::default(), tagged].map(|options| annotate(&picture(200, 150), std::slice::from_ref(&object), &options));
    let [x1, y1, x2, y2] = changed(&plain).unwrap();
    let [_, tag_top, _, _] = changed(&tag).unwrap();
    assert_eq!(tag_top, 36, "above the disc, which begins at 51");
    assert_eq!(changed(&tag), Some([x1, tag_top, x2, y2]));
    assert!(y1 > 45);
    let row: Vec<usize> = (0..200).filter(|&x| pixel(&tag, x, tag_top) != GRAY).collect();
    let middle = (row[0] + row[row.len() - 1]).div_ceil(2);
    assert!(middle.abs_diff(100) <= 1 && row.len() < 40, "{row:?}");
}

/// Joints of a contour are blended once: a straight line of many pieces looks like one piece.
#[test]
fn contours_of_slopes_are_straight() {
    let mask = Mask::from_fn(200, 200, |x, y| y > x).unwrap();
    let object = Object { score: 0.9, mask: Some(mask), ..Object::default() };
    let drawn = annotate(&picture(200, 200), &[object], &DrawOptions { mask_opacity: 0.0, ..DrawOptions::default() });
    for offset in -3i32..=4 {
        let along: Vec<[u8; 3]> = (50..150).map(|x| pixel(&drawn, x, (x as i32 + offset) as usize)).collect();
        assert!(along.iter().all(|&colour| colour == along[0]), "{offset}: {along:?}");
    }
    assert_eq!(pixel(&drawn, 100, 101), [0xe6, 0x9f, 0x00]);
    assert_eq!([pixel(&drawn, 100, 96), pixel(&drawn, 100, 105)], [GRAY; 2]);
}
