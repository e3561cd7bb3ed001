//! Files that answers are written to.
#![allow(clippy::unwrap_used)]

use std::fs;

use maskline_vision::decode::{DecodeOptions, decode_file};
use maskline_vision::write::{COCO_91, ImageObjects, PictureFormat, coco_results, save_picture, write_atomically, yolo_txt};
use maskline_vision::{ErrorKind, Keypoint, Mask, Object, RgbImage, RotatedBox};
use serde_json::json;

fn boxed(class_id: usize) -> Object {
    Object { class_id: Some(class_id), score: 0.89, bounds: [10.0, 20.0, 30.0, 60.0], ..Object::default() }
}

fn square() -> Mask {
    Mask::from_fn(100, 80, |x, y| (20..40).contains(&x) && (20..40).contains(&y)).unwrap()
}

fn found(objects: &[Object]) -> ImageObjects<'_> {
    ImageObjects { image_id: 139, width: 100, height: 80, objects }
}

fn gradient() -> RgbImage {
    RgbImage::new(16, 8, (0..16 * 8 * 3).map(|value| (value / 2) as u8).collect()).unwrap()
}

#[test]
fn pictures_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let image = gradient();
    let png = folder.path().join("a.png");
    save_picture(&png, &image, PictureFormat::Png).unwrap();
    assert_eq!(decode_file(&png, &DecodeOptions::default()).unwrap(), image);
    let jpeg = folder.path().join("a.jpg");
    save_picture(&jpeg, &image, PictureFormat::Jpeg { quality: 95 }).unwrap();
    let decoded = decode_file(&jpeg, &DecodeOptions::default()).unwrap();
    let worst = decoded.pixels().iter().zip(image.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.unwrap() < 24, "{worst:?}");
}

#[test]
fn pictures_that_cannot_be_encoded_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    let too_wide = RgbImage::new(70_000, 1, vec![0; 210_000]).unwrap();
    for (image, quality) in [(&gradient(), 0), (&gradient(), 101), (&too_wide, 90)] {
        let error = save_picture(&path, image, PictureFormat::Jpeg { quality }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(error.path(), Some(path.as_path()));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn files_are_replaced_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    write_atomically(&path, b"a longer first content").unwrap();
    write_atomically(&path, b"second").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn files_have_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
    write_atomically(&ours, b"").unwrap();
    fs::write(&plain, b"").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&ours), mode(&plain));
}

#[test]
fn folders_that_cannot_be_written_to_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let cases = [("missing/a.txt", "create the folder"), ("file/a.txt", "create the folder"), ("folder", "a folder has this name")];
    for (name, help) in cases {
        let path = folder.path().join(name);
        let error = write_atomically(&path, b"text").unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::Io, Some(path.as_path())));
        assert!(error.to_string().contains(help), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn coco_results_are_boxes_masks_and_keypoints() {
    let keypoints = vec![Keypoint { x: 1.25, y: 2.0, score: Some(0.5) }, Keypoint { x: 3.0, y: 4.0, score: None }];
    let objects = [
        boxed(79),
        Object { mask: Some(Mask::from_fn(2, 2, |x, y| x == 1 && y == 1).unwrap()), ..boxed(0) },
        Object { keypoints: Some(keypoints), ..boxed(0) },
        Object { prompt: Some(3), class_id: None, ..boxed(0) },
    ];
    let common = |category: i64| json!({"image_id": 139, "category_id": category, "score": 0.89});
    let with = |mut value: serde_json::Value, key: &str, extra: serde_json::Value| {
        value[key] = extra;
        value
    };
    let bbox = json!([10.0, 20.0, 20.0, 40.0]);
    let expected = json!([
        with(common(90), "bbox", bbox.clone()),
        with(common(1), "segmentation", json!({"size": [2, 2], "counts": "31"})),
        with(with(common(1), "bbox", bbox.clone()), "keypoints", json!([1.25, 2.0, 0.5, 3.0, 4.0, 1.0])),
        with(common(3), "bbox", bbox),
    ]);
    assert_eq!(coco_results(&[found(&objects)], Some(&COCO_91)), expected);
    assert_eq!(coco_results(&[found(&objects), found(&objects)], None).as_array().unwrap().len(), 8);
    assert_eq!(coco_results(&[found(&objects)], None)[0]["category_id"], 79);
}

#[test]
fn coco_results_leave_out_what_has_no_category_or_place() {
    let objects = [
        boxed(80),
        Object { score: f32::NAN, ..boxed(0) },
        Object { bounds: [f32::INFINITY; 4], ..boxed(0) },
        Object { keypoints: Some(vec![Keypoint { x: f32::NAN, y: 0.0, score: None }]), ..boxed(0) },
    ];
    assert_eq!(coco_results(&[found(&objects)], Some(&COCO_91)), json!([]));
    assert_eq!(coco_results(&[], None), json!([]));
}

#[test]
fn the_coco_table_skips_ten_ids() {
    let missing: Vec<i64> = (1..=90).filter(|id| !COCO_91.contains(id)).collect();
    assert_eq!(missing, [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]);
    assert!(COCO_91.is_sorted());
}

#[test]
fn yolo_lines() {
    let line = |object: Object, with_score| yolo_txt(&found(&[object]), with_score);
    assert_eq!(line(boxed(5), false), "5 0.200000 0.500000 0.200000 0.500000\n");
    assert_eq!(line(boxed(5), true), "5 0.200000 0.500000 0.200000 0.500000 0.890000\n");

    let keypoints = vec![Keypoint { x: 25.0, y: 20.0, score: Some(0.5) }, Keypoint { x: 50.0, y: 60.0, score: None }];
    let pose = Object { keypoints: Some(keypoints), ..boxed(0) };
    let expected = "0 0.200000 0.500000 0.200000 0.500000 0.250000 0.250000 0.500000 0.500000 0.750000 1.000000 0.890000\n";
    assert_eq!(line(pose, true), expected);

    let rotated = RotatedBox { center: [50.0, 40.0], size: [20.0, 40.0], angle: 0.0 };
    let expected = "2 0.600000 0.750000 0.600000 0.250000 0.400000 0.250000 0.400000 0.750000\n";
    assert_eq!(line(Object { rotated: Some(rotated), ..boxed(2) }, false), expected);

    let outline = line(Object { mask: Some(square()), ..boxed(7) }, false);
    let mut corners: Vec<&str> = outline.trim_end().strip_prefix("7 ").unwrap().split(' ').collect();
    let top_left = corners.chunks(2).position(|corner| corner == ["0.200000", "0.250000"]).unwrap();
    corners.rotate_left(top_left * 2);
    assert_eq!(corners.join(" "), "0.200000 0.250000 0.400000 0.250000 0.400000 0.500000 0.200000 0.500000");
}

#[test]
fn yolo_leaves_out_what_has_no_place() {
    let objects = [
        Object { mask: Some(Mask::from_fn(100, 80, |_, _| false).unwrap()), ..boxed(0) },
        Object { bounds: [f32::NAN; 4], ..boxed(0) },
        Object { rotated: Some(RotatedBox { center: [f32::NAN; 2], size: [1.0; 2], angle: 0.0 }), ..boxed(0) },
    ];
    assert_eq!(yolo_txt(&found(&objects), true), "");
    assert_eq!(yolo_txt(&found(&[]), true), "");
}

#[test]
fn yolo_values_lie_in_the_picture() {
    let line = |object: Object| yolo_txt(&found(&[object]), false);
    assert_eq!(line(Object { bounds: [-10.0, 20.0, 30.0, 90.0], ..boxed(1) }), "1 0.150000 0.625000 0.300000 0.750000\n");
    for outside in [[-9.0, 0.0, 0.0, 5.0], [100.0, 0.0, 120.0, 5.0], [0.0, -9.0, 9.0, -1.0], [30.0, 30.0, 20.0, 40.0]] {
        assert_eq!(line(Object { bounds: outside, ..boxed(1) }), "", "{outside:?}");
    }
    let point = |x: f32, y: f32| Keypoint { x, y, score: Some(0.75) };
    let keypoints = vec![point(-1.0, 20.0), point(50.0, 80.5), point(100.0, 80.0), point(50.0, 40.0)];
    let pose = line(Object { keypoints: Some(keypoints), ..boxed(0) });
    assert!(
        pose.ends_with("0.000000 0.000000 0.000000 0.000000 0.000000 0.000000 1.000000 1.000000 0.750000 0.500000 0.500000 0.750000\n"),
        "{pose}"
    );
}

#[test]
fn rotated_boxes_over_the_edge_keep_four_corners() {
    let corners = |center: [f32; 2], size: [f32; 2], angle: f32| {
        let rotated = RotatedBox { center, size, angle };
        let text = yolo_txt(&found(&[Object { rotated: Some(rotated), bounds: rotated.bounds(), ..boxed(2) }]), false);
        let values: Vec<f32> = text.split_whitespace().skip(1).map(|value| value.parse().unwrap()).collect();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "{text}");
        values.chunks(2).map(|corner| [corner[0] * 100.0, corner[1] * 80.0]).collect::<Vec<[f32; 2]>>()
    };
    let mut upright = corners([0.0, 40.0], [40.0, 20.0], 0.0);
    upright.iter_mut().flatten().for_each(|value| *value = value.round());
    upright.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(upright, [[0.0, 30.0], [0.0, 50.0], [20.0, 30.0], [20.0, 50.0]]);
    for turn in 0..24 {
        let angle = turn as f32 * 0.27;
        for center in [[2.0, 2.0], [98.0, 40.0], [50.0, 79.0], [-3.0, 40.0], [50.0, 40.0]] {
            let found = corners(center, [60.0, 30.0], angle);
            assert_eq!(found.len(), 4, "{center:?} {angle}");
            // What is written covers most of what is in the picture.
            let whole = RotatedBox { center, size: [60.0, 30.0], angle }.corners().to_vec();
            let [whole, found] = [whole, found].map(|corners| Mask::from_polygons(100, 80, [&corners]).unwrap());
            assert!(found.iou(&whole).unwrap() > 0.6, "{center:?} {angle}: {}", found.iou(&whole).unwrap());
        }
    }
    assert_eq!(corners([-40.0, 40.0], [20.0, 20.0], 0.4), Vec::<[f32; 2]>::new());
    assert_eq!(corners([50.0, 40.0], [1e30, 1e30], 0.4).len(), 4, "larger than the picture");
    // A triangle is left of a corner.
    assert_eq!(corners([-13.0, 40.0], [20.0, 20.0], std::f32::consts::FRAC_PI_4).len(), 4);
}

#[test]
fn a_segmenters_mask_beside_a_detectors_box() {
    let object = Object { mask: Some(square()), mask_box: Some([20.0, 20.0, 40.0, 40.0]), mask_score: Some(0.123_456_7), ..boxed(3) };
    let value = serde_json::to_value(&object).unwrap();
    assert_eq!([&value["box"], &value["score"]], [&json!([10.0, 20.0, 30.0, 60.0]), &json!(0.89)]);
    assert_eq!([&value["mask_box"], &value["mask_score"]], [&json!([20.0, 20.0, 40.0, 40.0]), &json!(0.12346)]);
    let value = serde_json::to_value(boxed(3)).unwrap();
    assert!(value.get("mask_box").is_none() && value.get("mask_score").is_none());
}

#[test]
fn json_has_no_null_where_a_number_should_be() {
    let nan = f32::NAN;
    let object = Object {
        score: nan,
        bounds: [nan, 0.0, f32::INFINITY, 1.0],
        stability: Some(nan),
        rotated: Some(RotatedBox { center: [0.0; 2], size: [1.0; 2], angle: nan }),
        keypoints: Some(vec![Keypoint { x: 1.0, y: nan, score: None }]),
        mask: Some(square()),
        mask_box: Some([nan; 4]),
        mask_score: Some(f32::NEG_INFINITY),
        ..Object::default()
    };
    let value = serde_json::to_value(&object).unwrap();
    assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["area", "segmentation"]);
}
