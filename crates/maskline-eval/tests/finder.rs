//! Models that are told by words what to find: asked by the names of the categories, judged as any detections are.
#![allow(clippy::unwrap_used)]

use maskline::vision::write::{PictureFormat, save_picture};
use maskline::{BundleOptions, Concept, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Model, ModelSource, RgbImage};
use maskline_eval::{DetectorOptions, Judged, Truth, detections, finder, phrase, read_predictions};
use serde_json::{Value, json};

const NAMES: [(i64, &str); 4] = [(3, "traffic_light"), (7, "bow_(weapon)"), (20, "mug"), (90, "sky")];

/// Generated weights at a small size.
fn model() -> Model {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let bundle = BundleOptions { image_size: Some(240), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "owlv2-base".into(), seed: 0 };
    engine.load(source, &LoadOptions { bundle, embedding_cache: 0, ..LoadOptions::default() }).unwrap()
}

/// Three pictures; their true objects are some of what the model finds itself, so that figures are neither 0 nor 1.
struct Place {
    folder: tempfile::TempDir,
    truth: Value,
}

impl Place {
    fn new(model: &Model, options: &DetectorOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut images, mut annotations) = (Vec::new(), Vec::new());
        for id in 1..=3 {
            let pixel = |at: usize| ((at * 37 * id) % 251) as u8;
            let picture = RgbImage::new(90 + id, 70, (0..(90 + id) * 70 * 3).map(pixel).collect()).unwrap();
            save_picture(&folder.path().join(format!("{id}.png")), &picture, PictureFormat::Png).unwrap();
            images.push(json!({"id": id, "file_name": format!("{id}.png"), "width": 90 + id, "height": 70}));
            let found = model.find_concepts(&Image::from_pixels(picture), &concepts(), &options.predict).unwrap();
            for object in found.objects.iter().step_by(5) {
                let [x1, y1, x2, y2] = object.bounds;
                let (category, number) = (NAMES[object.class_id.unwrap()].0, annotations.len() + 1);
                annotations.push(json!({"id": number, "image_id": id, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1]}));
            }
        }
        assert!(annotations.len() > 10, "{}", annotations.len());
        let category = |(id, name): &(i64, &str)| json!({"id": id, "name": name, "isthing": i32::from(*name != "sky")});
        let categories: Vec<Value> = NAMES.iter().rev().map(category).collect();
        Self { folder, truth: json!({"images": images, "annotations": annotations, "categories": categories}) }
    }

    fn open(&self) -> Truth {
        let path = self.folder.path().join("instances.json");
        std::fs::write(&path, self.truth.to_string()).unwrap();
        Truth::open(path).unwrap()
    }
}

/// All but the sky, which is no thing.
fn concepts() -> Vec<Concept> {
    ["traffic light", "bow weapon", "mug"].map(Concept::text).to_vec()
}

#[test]
fn a_finder_gets_the_figures_of_its_written_detections_and_reads_each_name_once() {
    let model = model();
    let options = DetectorOptions::default();
    let place = Place::new(&model, &options);
    let truth = place.open();
    let mut heard = Vec::new();
    let report = finder(&model, &truth, &options, |done, all| heard.push((done, all))).unwrap();
    assert_eq!(heard.last(), Some(&(3, 3)));
    assert_eq!((report.images, report.categories, report.is_federated), (3, 3, false));

    // Independently: what the engine finds, in COCO's results format, which is judged as pycocotools does.
    let mut written = Vec::new();
    for id in 1..=3 {
        let image = Image::open(place.folder.path().join(format!("{id}.png"))).unwrap();
        for object in model.find_concepts(&image, &concepts(), &options.predict).unwrap().objects {
            let [x1, y1, x2, y2] = object.bounds.map(f64::from);
            let category = NAMES[object.class_id.unwrap()].0;
            written.push(json!({"image_id": id, "category_id": category, "score": object.score, "bbox": [x1, y1, x2 - x1, y2 - y1]}));
        }
    }
    let path = place.folder.path().join("found.json");
    std::fs::write(&path, json!(written).to_string()).unwrap();
    let found = read_predictions(&path, &truth).unwrap();
    let expected = detections(&truth, &found, &Judged::default()).unwrap();
    assert_eq!((report.bbox, report.detections, report.objects), (expected.bbox, written.len(), expected.objects));
    let ap = report.bbox.ap.unwrap();
    assert!(ap > 0.0 && ap < 1.0, "{ap}");

    // Nothing but the first question of all, in `Place::new`, was encoded or read from disk.
    let phrases = report.phrases.unwrap();
    assert_eq!((phrases.asked, phrases.encoded + phrases.from_disk, phrases.has_templates), (3, 0, false));
    let again = self::model();
    let phrases = finder(&again, &truth, &options, |_, _| ()).unwrap().phrases.unwrap();
    assert_eq!(phrases.encoded + phrases.from_disk, 3, "another process reads each name once, for three pictures: {phrases:?}");
}

#[test]
fn templates_are_asked_for_once_too_and_give_other_figures() {
    let model = model();
    let mut options = DetectorOptions::default();
    let place = Place::new(&model, &options);
    let truth = place.open();
    let plain = finder(&model, &truth, &options, |_, _| ()).unwrap();
    options.predict.words.templates = true;
    let report = finder(&model, &truth, &options, |_, _| ()).unwrap();
    let phrases = report.phrases.unwrap();
    assert_eq!((phrases.asked, phrases.encoded + phrases.from_disk, phrases.has_templates), (3, 3, true));
    assert_ne!(report.bbox, plain.bbox);
}

#[test]
fn lvis_has_pictures_by_address_and_is_told_apart() {
    let model = model();
    let options = DetectorOptions::default();
    let mut place = Place::new(&model, &options);
    let plain = finder(&model, &place.open(), &options, |_, _| ()).unwrap();
    for (index, split) in ["val2017", "train2017", "val2017"].into_iter().enumerate() {
        let name = format!("{}.png", index + 1);
        std::fs::create_dir_all(place.folder.path().join(split)).unwrap();
        std::fs::rename(place.folder.path().join(&name), place.folder.path().join(split).join(&name)).unwrap();
        let image = place.truth["images"][index].as_object_mut().unwrap();
        image.remove("file_name");
        image.insert("coco_url".into(), format!("http://images.example.org/{split}/{name}").into());
        image.insert("neg_category_ids".into(), json!([3]));
        image.insert("not_exhaustive_category_ids".into(), json!([]));
    }
    let report = finder(&model, &place.open(), &options, |_, _| ()).unwrap();
    assert!(report.is_federated);
    assert_eq!(report.bbox, plain.bbox, "the figures are COCO's");
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let model = model();
    let options = DetectorOptions::default();
    let mut place = Place::new(&model, &options);
    let wrong = DetectorOptions { predict: maskline::PredictOptions { conf: Some(7.0), ..options.predict.clone() }, ..options.clone() };
    assert_eq!(finder(&model, &place.open(), &wrong, |_, _| ()).unwrap_err().kind(), ErrorKind::InvalidOption);
    place.truth["categories"][0]["isthing"] = json!(1);
    place.truth["categories"][0]["name"] = json!("(?)");
    let error = finder(&model, &place.open(), &options, |_, _| ()).unwrap_err();
    assert_eq!((error.kind(), error.found()), (ErrorKind::BadInput, Some("\"(?)\"")));
    assert!(error.to_string().contains("category 90") && error.to_string().contains("instances.json"), "{error}");
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 0 };
    let detector = Engine::new(EngineOptions::default()).unwrap().load(source, &LoadOptions::default()).unwrap();
    let error = finder(&detector, &place.open(), &options, |_, _| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.to_string().contains("finds what words say"), "{error}");
    assert_eq!(phrase("bow_(weapon)"), "bow weapon");
}
