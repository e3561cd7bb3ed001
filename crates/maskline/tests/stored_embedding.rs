//! Embeddings written to disk and read again.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline::{
    BundleOptions, EmbeddingSource, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Model, ModelSource, Prompt, RgbImage,
    SegmentOptions,
};

fn model(cache: &Path, seed: u64) -> Model {
    let engine = Engine::new(EngineOptions { cache: cache.to_path_buf(), ..EngineOptions::default() }).unwrap();
    let bundle = BundleOptions { image_size: Some(64), ..BundleOptions::default() };
    let options = LoadOptions { warm_up: false, bundle, ..LoadOptions::default() };
    engine.load(ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed }, &options).unwrap()
}

#[test]
fn a_stored_embedding_answers_as_the_fresh_one_and_only_its_own_model_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (model(folder.path(), 1), model(folder.path(), 2));
    let pixels = (0..90 * 60 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let image = Image::from_pixels(RgbImage::new(90, 60, pixels).unwrap());
    let embedding = first.embed(&image).unwrap();
    let path = folder.path().join("picture.embedding");
    embedding.save(&path).unwrap();

    let read = first.load_embedding(&path).unwrap();
    assert_eq!(read.size(), (90, 60));
    assert_eq!(read.timings().embedding(), Some(EmbeddingSource::Held));
    let prompts = [Prompt::click(40.0, 30.0), Prompt::bounds([5.0, 5.0, 70.0, 50.0])];
    let ask = |embedding: &maskline::Embedding| embedding.segment(&prompts, &SegmentOptions::default()).unwrap().objects().unwrap();
    assert_eq!(ask(&read), ask(&embedding));

    let error = other.load_embedding(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert!(error.to_string().contains("another model"), "{error}");

    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(first.load_embedding(&path).unwrap_err().kind(), ErrorKind::BadInput);
    assert_eq!(first.load_embedding(folder.path().join("missing")).unwrap_err().kind(), ErrorKind::BadInput);
}
