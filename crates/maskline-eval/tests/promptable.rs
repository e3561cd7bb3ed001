//! A promptable model and a detector with generated weights on a small data set.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;

use maskline::vision::write::{PictureFormat, save_picture};
use maskline::{
    BundleOptions, Engine, EngineOptions, ErrorKind, Image, InputSize, LoadOptions, Mask, MaskPrompt, Model, ModelSource, Multimask,
    Prompt, RgbImage, SegmentOptions,
};
use maskline_eval::{DetectorOptions, LeftOut, PromptableOptions, Truth, detector, promptable};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A published architecture with generated weights, whose bundle lies in a folder.
fn load(architecture: &str, folder: &Path, image_size: Option<usize>) -> Model {
    let engine = Engine::new(EngineOptions { cache: folder.join("cache"), ..EngineOptions::default() }).unwrap();
    let source = ModelSource::Synthetic { architecture: architecture.into(), seed: 3 };
    let bundle = BundleOptions { image_size, ..BundleOptions::default() };
    engine.load(source, &LoadOptions { bundle, warm_up: false, ..LoadOptions::default() }).unwrap()
}

/// A SAM 2.1 at its real width for small pictures. Its bundle is gone: both decoders are open and need it no more.
static MODEL: LazyLock<Model> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let model = load("sam2.1-tiny", folder.path(), Some(64));
    let mask = MaskPrompt::Picture(Mask::from_fn(97, 61, |x, _| x < 50).unwrap());
    let picture = Image::from_pixels(RgbImage::new(97, 61, vec![9; 97 * 61 * 3]).unwrap());
    let segments = model.embed(&picture).unwrap().segment(&[Prompt::default().with_mask(mask)], &SegmentOptions::default()).unwrap();
    assert!(segments.answers[0].is_ok());
    model
});

/// Three pictures of 97 × 61 with two objects each, a crowd, a small one and one without a mask.
struct Data {
    folder: TempDir,
    truth: Value,
}

impl Data {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("images")).unwrap();
        let mut annotations = Vec::new();
        for id in 1..4_u8 {
            let pixels = (0..97 * 61 * 3).map(|at: usize| (at * usize::from(id) % 251) as u8).collect();
            let picture = RgbImage::new(97, 61, pixels).unwrap();
            save_picture(&folder.path().join(format!("images/{id}.png")), &picture, PictureFormat::Png).unwrap();
            for (number, [x1, y1, x2, y2]) in [[5, 5, 45, 40], [50, 10, 90, 55]].into_iter().enumerate() {
                let mask = Mask::from_fn(97, 61, |x, y| (x1..x2).contains(&x) && (y1..y2).contains(&y) && x + y > 20).unwrap();
                let annotation = json!({
                    "id": annotations.len() + 1, "image_id": id, "category_id": number + 1, "segmentation": mask.to_rle(),
                    "isthing": usize::from(number == 0),
                });
                annotations.push(annotation);
            }
        }
        let small = Mask::from_fn(97, 61, |x, y| x < 10 && y < 10).unwrap().to_rle();
        annotations.push(json!({"id": 50, "image_id": 1, "category_id": 1, "segmentation": small}));
        annotations.push(json!({"id": 51, "image_id": 1, "category_id": 1, "segmentation": small, "iscrowd": 1}));
        annotations.push(json!({"id": 52, "image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]}));
        let images: Vec<Value> = (1..4).map(|id| json!({"id": id, "file_name": format!("{id}.png"), "width": 97, "height": 61})).collect();
        let categories = json!([{"id": 1, "name": "person"}, {"id": 2, "name": "never heard of"}]);
        Self { folder, truth: json!({"images": images, "annotations": annotations, "categories": categories}) }
    }

    fn open(&self) -> Truth {
        let path = self.folder.path().join("instances.json");
        std::fs::write(&path, self.truth.to_string()).unwrap();
        Truth::open(path).unwrap()
    }
}

fn options() -> PromptableOptions {
    PromptableOptions { min_area: 101, resamples: 100, ..PromptableOptions::default() }
}

#[test]
fn every_object_is_asked_for_by_box_and_clicks() {
    let data = Data::new();
    let truth = data.open();
    let mut heard = Vec::new();
    let report = promptable(&MODEL, &truth, &options(), |done, all| heard.push((done, all))).unwrap();
    assert_eq!(heard, [(0, 6), (2, 6), (4, 6), (6, 6)]);
    assert_eq!((report.images, report.objects), (3, 6));
    assert_eq!(report.left_out, LeftOut { crowds: 1, small: 1, without_mask: 1, not_chosen: 0 });
    assert_eq!((report.prompts.len(), report.per_object.len()), (8, 6));
    for (number, row) in report.prompts.iter().enumerate() {
        let mean = report.per_object.iter().map(|object| object.ious[number]).sum::<f64>() / 6.0;
        assert!((row.all.mean_iou - mean).abs() < 1e-12 && (0.0..=1.0).contains(&mean), "{row:?}");
        assert_eq!((row.things.unwrap().objects, row.stuff.unwrap().objects, row.all.images), (3, 3, 3));
        assert!(row.small.is_none() && row.large.is_none() && row.medium.unwrap().mean_iou == row.all.mean_iou);
    }
    // What the report says of the box prompt is what the model says when it is asked by hand.
    for object in &report.per_object {
        let annotation = truth.annotations().iter().find(|annotation| annotation.id == object.annotation_id).unwrap();
        let mask = annotation.mask.as_ref().unwrap();
        let picture = Image::open(data.folder.path().join(format!("images/{}.png", object.image_id))).unwrap();
        let asked = [Prompt::bounds(mask.bounds().unwrap().map(|side| side as f32))];
        let answer = MODEL.embed(&picture).unwrap().segment(&asked, &SegmentOptions::default()).unwrap();
        let iou = answer.answers[0].as_ref().unwrap()[0].mask().unwrap().iou(mask).unwrap();
        assert!((object.ious[0] - iou).abs() < 0.01, "{object:?}: {iou}");
        assert_eq!(object.area, mask.area());
    }
}

#[test]
fn options_change_what_they_say() {
    let data = Data::new();
    let truth = data.open();
    let ask = |options: PromptableOptions| promptable(&MODEL, &truth, &options, |_, _| {}).unwrap();
    let all = ask(options());
    assert_eq!(all, ask(options()), "the same again");
    let feedback = ask(PromptableOptions { mask_feedback: true, ..options() });
    let ious = |report: &maskline_eval::PromptableReport, number: usize| -> Vec<f64> {
        report.per_object.iter().map(|object| object.ious[number]).collect()
    };
    assert_eq!((ious(&all, 0), ious(&all, 1)), (ious(&feedback, 0), ious(&feedback, 1)), "the first click has nothing to go on");
    assert_ne!(ious(&all, 2), ious(&feedback, 2));
    let single = ask(PromptableOptions { multimask: Multimask::Off, ..options() });
    assert_ne!(ious(&all, 1), ious(&single, 1));
    let some = ask(PromptableOptions { max_images: Some(2), max_objects: Some(3), clicks: 2, seed: 5, ..options() });
    assert_eq!((some.objects, some.left_out.not_chosen, some.prompts.len()), (3, 3, 5));
    assert!(some.images <= 2);
    assert!(some.per_object.iter().all(|object| all.per_object.iter().any(|other| other.annotation_id == object.annotation_id)));
}

#[test]
fn what_cannot_be_asked_is_one_clear_error() {
    let mut data = Data::new();
    let fails = |truth: &Truth, options: &PromptableOptions, kind: ErrorKind, words: &[&str]| {
        let error = promptable(&MODEL, truth, options, |_, _| {}).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "`{word}` is not in: {error}"));
    };
    let truth = data.open();
    fails(
        &truth,
        &PromptableOptions { min_area: 5000, ..options() },
        ErrorKind::BadInput,
        &["9 annotations", "7 have less than 5000", "--min-area"],
    );
    fails(&truth, &PromptableOptions { max_objects: Some(0), ..options() }, ErrorKind::BadInput, &["6 were not chosen"]);
    fails(&truth, &PromptableOptions { multimask: Multimask::On, ..options() }, ErrorKind::InvalidOption, &["multimask"]);
    fails(&truth, &PromptableOptions { clicks: 1000, ..options() }, ErrorKind::InvalidOption, &["clicks", "1000"]);
    fails(&truth.with_pictures("elsewhere"), &options(), ErrorKind::BadInput, &["3 of 3 pictures are missing", "elsewhere", "--images"]);
    data.truth["images"][2].as_object_mut().unwrap().remove("file_name");
    fails(&data.open(), &options(), ErrorKind::BadInput, &["picture 3", "file_name"]);
    let mut data = Data::new();
    let other = RgbImage::new(61, 98, vec![9; 61 * 98 * 3]).unwrap();
    save_picture(&data.folder.path().join("images/1.png"), &other, PictureFormat::Png).unwrap();
    fails(&data.open(), &options(), ErrorKind::BadInput, &["picture 1", "97 × 61", "61 × 98", "1.png"]);
    data.truth["annotations"] = json!([]);
    fails(&data.open(), &options(), ErrorKind::BadInput, &["of 0 annotations"]);
}

#[test]
fn a_detector_is_judged_by_the_classes_that_it_shares_with_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let load = |architecture: &str| load(architecture, folder.path(), None);
    let mut data = Data::new();
    data.truth["annotations"].as_array_mut().unwrap().retain(|annotation| annotation["id"] != 52);
    let mut options = DetectorOptions::default();
    options.predict.size = InputSize::Square(64);
    options.predict.conf = Some(0.0);
    let model = load("yolov8n-seg");
    let report = detector(&model, &data.open(), &options, |_, _| {}).unwrap();
    assert_eq!((report.images, report.categories, report.objects, report.crowds), (3, 1, 4, 1));
    assert_eq!((report.labels_without_category.len(), &report.categories_without_label[..]), (79, &["never heard of".to_string()][..]));
    assert!(report.bbox.ap.is_some() && report.left_out == 0, "{report:?}");
    assert_eq!(promptable(&model, &data.open(), &self::options(), |_, _| {}).unwrap_err().kind(), ErrorKind::InvalidOption);
    assert_eq!(detector(&MODEL, &data.open(), &options, |_, _| {}).unwrap_err().kind(), ErrorKind::InvalidOption);
    data.truth["categories"][0]["name"] = json!("Person");
    let error = detector(&model, &data.open(), &options, |_, _| {}).unwrap_err().to_string();
    for word in ["person, bicycle", "Person, never heard of", "help: rename"] {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}
