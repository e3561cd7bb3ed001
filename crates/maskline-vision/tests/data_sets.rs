//! Whole data sets, and tasks for annotation tools.
#![allow(clippy::unwrap_used)]

use maskline_vision::draw::Marks;
use maskline_vision::write::{
    Answer, COCO_91, CocoAnnotations, CocoShapes, ImageObjects, LabelStudioNames, YoloDataSet, classes_txt, coco_annotations,
    coco_category, coco_image, data_yaml, label_studio, label_studio_config,
};
use maskline_vision::{Keypoint, Mask, Object, RotatedBox};
use serde_json::{Value, json};

const SIZE: [usize; 2] = [60, 40];

fn mask(is_set: impl FnMut(usize, usize) -> bool) -> Mask {
    Mask::from_fn(SIZE[0], SIZE[1], is_set).unwrap()
}

fn ring() -> Mask {
    mask(|x, y| (3.0..9.0).contains(&(x as f32 - 40.0).hypot(y as f32 - 20.0)))
}

/// Two parts, the larger with two holes.
fn holes() -> Mask {
    let is_hole = |x: usize, y: usize| (5..9).contains(&x) && (6..12).contains(&y) || (20..23).contains(&x) && (10..20).contains(&y);
    mask(|x, y| (2..30).contains(&x) && (3..25).contains(&y) && !is_hole(x, y) || (40..50).contains(&x) && (30..39).contains(&y))
}

fn boxed(class_id: usize) -> Object {
    Object { class_id: Some(class_id), score: 0.89, bounds: [10.0, 20.0, 30.0, 36.0], ..Object::default() }
}

fn found(objects: &[Object]) -> ImageObjects<'_> {
    ImageObjects { image_id: 7, width: SIZE[0], height: SIZE[1], objects }
}

fn keypoint(x: f32, y: f32, score: f32) -> Keypoint {
    Keypoint { x, y, score: Some(score) }
}

fn odd_objects() -> Vec<Object> {
    let nan = f32::NAN;
    vec![
        Object { score: nan, ..boxed(0) },
        Object { bounds: [nan; 4], ..boxed(0) },
        Object { bounds: [70.0, 0.0, 90.0, 10.0], ..boxed(0) },
        Object { mask: Some(mask(|_, _| false)), ..boxed(0) },
        Object { rotated: Some(RotatedBox { center: [nan; 2], size: [1.0; 2], angle: 0.0 }), ..boxed(0) },
        Object { rotated: Some(RotatedBox { center: [-50.0; 2], size: [1.0; 2], angle: 0.3 }), ..boxed(0) },
        Object { keypoints: Some(vec![keypoint(nan, 1.0, 0.5)]), ..boxed(0) },
    ]
}

fn assert_whole(value: &Value) {
    match value {
        Value::Null => panic!("null"),
        Value::Array(values) => values.iter().for_each(assert_whole),
        Value::Object(values) => values.values().for_each(assert_whole),
        _ => {}
    }
}

#[test]
fn annotations_are_numbered_on_and_have_cocos_keys() {
    let objects = [boxed(2), Object { mask: Some(ring()), ..boxed(0) }, Object { bounds: [-5.0, -5.0, 6.0, 8.0], ..boxed(1) }];
    let options = CocoAnnotations { first_id: 11, ..CocoAnnotations::default() };
    let written = coco_annotations(&found(&objects), &options);
    let keys = |index: usize| written[index].as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(keys(0), ["area", "bbox", "category_id", "id", "image_id", "iscrowd", "score", "segmentation"]);
    let column = |key: &str| written.iter().map(|entry| entry[key].clone()).collect::<Vec<_>>();
    assert_eq!(column("id"), [11, 12, 13]);
    assert_eq!(column("category_id"), [3, 1, 2]);
    assert_eq!(column("image_id"), [7, 7, 7]);
    assert_eq!(
        [&written[0]["bbox"], &written[0]["area"], &written[0]["segmentation"]],
        [&json!([10.0, 20.0, 20.0, 16.0]), &json!(320.0), &json!([])]
    );
    assert_eq!(written[2]["bbox"], json!([0.0, 0.0, 6.0, 8.0]), "cut at the picture's edges");
    let [x1, y1, x2, y2] = ring().bounds().unwrap();
    assert_eq!([&written[1]["bbox"], &written[1]["area"]], [&json!([x1, y1, x2 - x1, y2 - y1]), &json!(ring().area())]);
    assert_eq!(coco_image(&found(&objects), "images/a.jpg"), json!({"id": 7, "file_name": "images/a.jpg", "width": 60, "height": 40}));
    let category = |class_id, table| coco_category(class_id, "x", table).map(|category| category["id"].clone());
    assert_eq!(
        [category(0, None), category(79, Some(&COCO_91[..])), category(80, Some(&COCO_91[..]))],
        [Some(json!(1)), Some(json!(90)), None]
    );
    let table = [5, 6];
    let written = coco_annotations(&found(&objects), &CocoAnnotations { category_ids: Some(&table), ..options });
    assert_eq!(written.iter().map(|entry| entry["category_id"].clone()).collect::<Vec<_>>(), [5, 6], "a class without an id is left out");
    assert_eq!(written[1]["id"], 12, "and leaves no gap");
}

#[test]
fn polygons_keep_holes_and_run_lengths_are_exact() {
    for own in [ring(), holes(), mask(|x, y| (x + y) % 2 == 0 && (4..16).contains(&x) && y < 12), mask(|x, y| x % 5 == 0 && y < 30)] {
        let objects = [Object { mask: Some(own.clone()), ..boxed(0) }];
        for shapes in [CocoShapes::Polygons, CocoShapes::Rle] {
            let options = CocoAnnotations { shapes, tolerance: 0.0, ..CocoAnnotations::default() };
            let segmentation = &coco_annotations(&found(&objects), &options)[0]["segmentation"];
            assert_eq!(segmentation.is_array(), shapes == CocoShapes::Polygons);
            assert!(Mask::from_coco_segmentation(segmentation, SIZE).unwrap() == own, "{shapes:?}");
        }
        let simple = &coco_annotations(&found(&objects), &CocoAnnotations::default())[0]["segmentation"];
        assert!(simple.as_array().unwrap().iter().all(|polygon| polygon.as_array().unwrap().len() >= 6));
    }
    let objects = [Object { mask: Some(holes()), ..boxed(0) }];
    assert_eq!(
        coco_annotations(&found(&objects), &CocoAnnotations::default())[0]["segmentation"].as_array().unwrap().len(),
        2,
        "a polygon per part"
    );
    for tolerance in [f32::NAN, -1.0, f32::INFINITY] {
        let options = CocoAnnotations { tolerance, ..CocoAnnotations::default() };
        let segmentation = &coco_annotations(&found(&objects), &options)[0]["segmentation"];
        assert_eq!(Mask::from_coco_segmentation(segmentation, SIZE).unwrap(), holes(), "{tolerance}");
    }
}

#[test]
fn keypoints_and_rotated_boxes() {
    let keypoints =
        vec![keypoint(12.25, 20.0, 0.9), keypoint(61.0, 20.0, 0.9), keypoint(12.0, 20.0, 0.1), Keypoint { x: 1.0, y: 2.0, score: None }];
    let rotated = RotatedBox { center: [30.0, 20.0], size: [20.0, 10.0], angle: std::f32::consts::FRAC_PI_2 };
    let objects =
        [Object { keypoints: Some(keypoints), ..boxed(0) }, Object { rotated: Some(rotated), bounds: rotated.bounds(), ..boxed(0) }];
    let written = coco_annotations(&found(&objects), &CocoAnnotations::default());
    assert_eq!(written[0]["keypoints"], json!([12.25, 20.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 2.0]));
    assert_eq!(written[0]["num_keypoints"], 2);
    assert_eq!([&written[1]["bbox"], &written[1]["area"]], [&json!([25.0, 10.0, 10.0, 20.0]), &json!(200.0)]);
    assert_eq!(written[1]["segmentation"][0].as_array().unwrap().len(), 8);
}

#[test]
fn what_has_no_place_is_left_out() {
    assert_eq!(coco_annotations(&found(&odd_objects()), &CocoAnnotations::default()), Vec::<Value>::new());
    let objects = odd_objects();
    let answer = Answer { found: found(&objects), file_name: "a.jpg", pixels: None, marks: Marks::default() };
    let task = label_studio(&answer, &LabelStudioNames::default()).unwrap();
    assert_whole(&task);
    assert_eq!(task, json!({"data": {"image": "a.jpg"}, "predictions": [{"model_version": "maskline", "score": 0.0, "result": []}]}));
}

#[test]
fn label_studio_tasks_have_brushes_rectangles_and_points() {
    let rotated = RotatedBox { center: [30.0, 20.0], size: [20.0, 10.0], angle: std::f32::consts::FRAC_PI_2 };
    let objects = [
        Object { mask: Some(ring()), label: Some("ring".into()), ..boxed(0) },
        Object { bounds: [-6.0, 10.0, 30.0, 30.0], score: 0.5, ..boxed(5) },
        Object { rotated: Some(rotated), bounds: rotated.bounds(), ..boxed(1) },
        Object { keypoints: Some(vec![keypoint(15.0, 10.0, 0.7), keypoint(-1.0, 10.0, 0.7)]), ..boxed(1) },
    ];
    let answer = Answer { found: found(&objects), file_name: "/data/local-files/?d=a.jpg", pixels: None, marks: Marks::default() };
    let task = label_studio(&answer, &LabelStudioNames { image: "img", ..LabelStudioNames::default() }).unwrap();
    assert_whole(&task);
    assert_eq!(task["data"], json!({"image": "/data/local-files/?d=a.jpg"}));
    let prediction = &task["predictions"][0];
    assert_eq!(prediction["score"], 0.7925);
    let result = prediction["result"].as_array().unwrap();
    let kinds: Vec<[&Value; 3]> = result.iter().map(|item| [&item["type"], &item["from_name"], &item["score"]]).collect();
    let expected = [
        [json!("brushlabels"), json!("brush"), json!(0.89)],
        [json!("rectanglelabels"), json!("rectangle"), json!(0.5)],
        [json!("rectanglelabels"), json!("rectangle"), json!(0.89)],
        [json!("rectanglelabels"), json!("rectangle"), json!(0.89)],
        [json!("keypointlabels"), json!("keypoint"), json!(0.7)],
    ];
    assert_eq!(kinds, expected.each_ref().map(|row| row.each_ref()));
    for item in result {
        assert_eq!(
            [&item["to_name"], &item["original_width"], &item["original_height"], &item["image_rotation"]],
            [&json!("img"), &json!(60), &json!(40), &json!(0)]
        );
        let kind = item["type"].as_str().unwrap();
        assert!(item["value"][kind].is_array() && item["id"].is_string(), "{item}");
    }
    assert_eq!(result[0]["value"]["brushlabels"], json!(["ring"]));
    assert_eq!(result[0]["value"]["rle"], json!(ring().to_label_studio_rle().unwrap()));
    assert_eq!(
        result[1]["value"],
        json!({"x": 0.0, "y": 25.0, "width": 50.0, "height": 50.0, "rotation": 0.0, "rectanglelabels": ["class_5"]})
    );
    // A quarter of a turn: the top left corner is at the top right.
    let turned = &result[2]["value"];
    assert_eq!([&turned["x"], &turned["y"], &turned["rotation"]], [&json!(58.33333), &json!(25.0), &json!(90.0)]);
    assert_eq!([&turned["width"], &turned["height"]], [&json!(33.33333), &json!(25.0)]);
    assert_eq!([&result[4]["value"]["x"], &result[4]["value"]["y"]], [&json!(25.0), &json!(25.0)]);
    let ids: std::collections::HashSet<&str> = result.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), result.len());
}

#[test]
fn label_studio_configurations_quote_their_labels() {
    let names = LabelStudioNames::default();
    let text = label_studio_config(&["a<b>\"&", "狗", "狗"], 2, &names);
    for part in [
        "<Image name=\"image\" value=\"$image\"/>",
        "<BrushLabels name=\"brush\" toName=\"image\">",
        "<RectangleLabels name=\"rectangle\" toName=\"image\">",
        "<KeyPointLabels name=\"keypoint\" toName=\"image\">",
        "<Label value=\"a&lt;b&gt;&quot;&amp;\"/>",
        "<Label value=\"keypoint 2\"/>",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("狗").count(), 2, "once in each tag");
    assert!(!label_studio_config(&["a"], 0, &names).contains("KeyPoint"));
}

const NAMES: [&str; 14] = [
    "person",
    "狗",
    "yes",
    "1.0",
    "a: b # c",
    "\"quoted\" 'twice'",
    "two\nlines\r\n",
    "back\\slash",
    " spaces ",
    "",
    "- dash",
    "{x}",
    "\u{85}\u{2028}\u{feff}\u{7f}",
    "🐕",
];

#[test]
fn class_lists_have_a_line_per_class() {
    let text = classes_txt(&NAMES);
    assert_eq!(text.matches('\n').count(), NAMES.len());
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!([lines[0], lines[1], lines[6], lines[9]], ["person", "狗", "two lines  ", ""]);
    assert_eq!(classes_txt(&[] as &[&str]), "");
}

#[test]
fn yaml_names_come_back_as_they_were() {
    let data_set = YoloDataSet { root: Some("C:/my data: set"), train: "images/train", validation: "images/val", keypoints: Some(17) };
    let text = data_yaml(&NAMES, &data_set);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..6],
        ["path: \"C:/my data: set\"", "train: \"images/train\"", "val: \"images/val\"", "kpt_shape: [17, 3]", "nc: 14", "names:"]
    );
    assert_eq!(lines.len(), 6 + NAMES.len());
    for (index, (line, name)) in lines[6..].iter().zip(NAMES).enumerate() {
        let quoted = line.strip_prefix(&format!("  {index}: ")).unwrap();
        // Of YAML's escapes those are used that JSON has too.
        assert_eq!(serde_json::from_str::<String>(quoted).unwrap(), name);
        assert!(quoted.chars().all(|letter| !letter.is_control() && letter != '\u{2028}' && letter != '\u{feff}'), "{quoted}");
    }
    assert_eq!(data_yaml(&[] as &[&str], &YoloDataSet::default()), "train: \"images\"\nval: \"images\"\nnc: 0\nnames: {}\n");
}
