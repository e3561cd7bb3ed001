//! The choice of objects by a head that was trained to find each once.
#![allow(clippy::unwrap_used)]

use maskline::{
    BundleOptions, Engine, EngineOptions, HeadBranch, Image, InputSize, LoadOptions, ModelSource, Object, PredictOptions, RgbImage,
};

#[test]
fn the_best_pairs_of_anchor_and_class_are_objects() {
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: cache.path().to_path_buf(), ..EngineOptions::default() }).unwrap();
    let bundle = BundleOptions { head: Some(HeadBranch::OneToOne), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "yolo26n".into(), seed: 3 };
    let model = engine.load(source, &LoadOptions { bundle, warm_up: false, ..LoadOptions::default() }).unwrap();
    assert_eq!(model.usual().iou, None, "it suppresses nothing");
    let pixels = (0..96 * 160 * 3_usize).map(|i| (i * i % 251) as u8).collect();
    let image = Image::from_pixels(RgbImage::new(160, 96, pixels).unwrap());
    let all = PredictOptions { size: InputSize::Square(160), conf: Some(0.0), ..PredictOptions::default() };
    let find = |options: PredictOptions| model.predict(&image, &options).unwrap().objects;
    let objects = find(all.clone());
    // 20² + 10² + 5² anchors, of which the best 300 stay.
    assert_eq!(objects.len(), 300);
    assert!(objects.is_sorted_by(|a, b| a.score >= b.score));
    assert_eq!(find(PredictOptions { max_detections: 7, ..all.clone() }), objects[..7]);
    // More than that, where more is asked for.
    assert_eq!(find(PredictOptions { max_detections: 500, ..all.clone() }).len(), 500);
    // Classes are chosen among the best ones.
    let class = objects[250].class_id.unwrap();
    let of_class: Vec<Object> = objects.iter().filter(|object| object.class_id == Some(class)).cloned().collect();
    assert_eq!(find(PredictOptions { classes: Some(vec![class]), ..all.clone() }), of_class);
    // An anchor is of one class where classes do not count: then all of them together are worth less than the best pairs.
    let every = PredictOptions { max_detections: 525, ..all.clone() };
    let worth = |objects: Vec<Object>| objects.iter().map(|object| f64::from(object.score)).sum::<f64>();
    assert!(worth(find(PredictOptions { agnostic_nms: true, ..every.clone() })) < worth(find(every)));
    assert!(find(PredictOptions { iou: Some(0.5), ..all }).len() < 300);
}
