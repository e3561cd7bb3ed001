//! Embeddings: found again by the content of the picture, made once, bounded in bytes, and good for any thread.
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::Barrier;
use std::time::Duration;

use asking::{MASK_SIDE, MODEL, Place, Random, SIDE, SIZE, picture};
use maskline::{
    BundleOptions, Embedding, EmbeddingSource, ErrorKind, Image, LoadOptions, Model, ModelSource, Prompt, RgbImage, SegmentOptions, Stage,
};

/// Logits of the first answers to a few prompts.
fn logits(embedding: &Embedding) -> Vec<Vec<f32>> {
    let mut random = Random(2);
    let prompts: Vec<Prompt> = (0..6).map(|_| random.prompt(SIZE, MASK_SIDE)).collect();
    let segments = embedding.segment(&prompts, &SegmentOptions::default()).unwrap();
    segments.answers.iter().map(|masks| masks.as_ref().unwrap()[0].logits.data().to_vec()).collect()
}

fn with_cache(bytes: usize) -> (Place, Model) {
    let place = Place::new();
    let model = place.synthetic(LoadOptions { embedding_cache: bytes, ..LoadOptions::default() });
    (place, model)
}

#[test]
fn the_same_content_is_encoded_once() {
    let (_place, model) = with_cache(64 << 20);
    let first = model.embed(&picture(1, SIZE)).unwrap();
    assert!(first.timings().embedding() == Some(EmbeddingSource::Miss) && first.timings().get(Stage::ImageEncode) > Duration::ZERO);
    assert_eq!(model.cached_embedding_bytes(), first.bytes());
    // Another value with the same pixels.
    let second = model.embed(&picture(1, SIZE)).unwrap();
    assert_eq!(second.timings().embedding(), Some(EmbeddingSource::Hit));
    assert_eq!((second.timings().get(Stage::ImageEncode), second.timings().get(Stage::Preprocess)), (Duration::ZERO, Duration::ZERO));
    assert_eq!(model.cached_embedding_bytes(), first.bytes());
    assert_eq!(logits(&first), logits(&second));
    // What prompts took is told apart from what encoding took.
    let timings = second.segment(&[Prompt::click(5.0, 5.0)], &SegmentOptions::default()).unwrap().timings;
    assert!(
        timings.embedding() == Some(EmbeddingSource::Held)
            && timings.get(Stage::ImageEncode) == Duration::ZERO
            && timings.get(Stage::MaskDecode) > Duration::ZERO
    );
}

#[test]
fn one_changed_pixel_is_another_picture() {
    let (_place, model) = with_cache(64 << 20);
    model.embed(&picture(1, SIZE)).unwrap();
    let pixels = picture(1, SIZE).pixels().pixels().to_vec();
    for place in [0, pixels.len() / 2, pixels.len() - 1] {
        let mut changed = pixels.clone();
        changed[place] ^= 1;
        let embedding = model.embed(&Image::from_pixels(RgbImage::new(SIZE.0, SIZE.1, changed).unwrap())).unwrap();
        assert!(embedding.timings().embedding() == Some(EmbeddingSource::Miss), "byte {place}");
    }
    // The same bytes in another size are another picture too.
    let turned = Image::from_pixels(RgbImage::new(SIZE.1, SIZE.0, pixels).unwrap());
    let embedding = model.embed(&turned).unwrap();
    assert!(embedding.timings().embedding() == Some(EmbeddingSource::Miss) && embedding.size() == (SIZE.1, SIZE.0));
    assert_eq!(model.embed(&picture(1, SIZE)).unwrap().timings().embedding(), Some(EmbeddingSource::Hit));
}

#[test]
fn threads_that_ask_for_one_picture_encode_it_once() {
    let (_place, model) = with_cache(64 << 20);
    for round in 0..5 {
        let image = picture(100 + round, SIZE);
        let barrier = Barrier::new(8);
        let embeddings: Vec<Embedding> = std::thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                model.embed(&image).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let encoded: Vec<&Embedding> =
            embeddings.iter().filter(|embedding| embedding.timings().embedding() == Some(EmbeddingSource::Miss)).collect();
        assert_eq!(encoded.len(), 1, "round {round}");
        for embedding in embeddings.iter().filter(|embedding| embedding.timings().embedding() != Some(EmbeddingSource::Miss)) {
            assert_eq!(embedding.timings().get(Stage::ImageEncode), Duration::ZERO, "who waits has not encoded");
        }
        assert_eq!(model.cached_embedding_bytes(), encoded[0].bytes() * (round as usize + 1));
    }
}

#[test]
fn the_least_recently_used_embeddings_go_first() {
    let bytes = MODEL.embed(&picture(1, SIZE)).unwrap().bytes();
    let (_place, model) = with_cache(3 * bytes + bytes / 2);
    for seed in 0..20 {
        model.embed(&picture(seed, SIZE)).unwrap();
        assert!(model.cached_embedding_bytes() <= 3 * bytes + bytes / 2);
        assert_eq!(model.cached_embedding_bytes(), bytes * (seed as usize + 1).min(3));
    }
    let was_cached = |seed| model.embed(&picture(seed, SIZE)).unwrap().timings().embedding() != Some(EmbeddingSource::Miss);
    // 17, 18 and 19 are there; 17 is used, so 18 makes room for the new one.
    assert!(was_cached(17) && !was_cached(50));
    assert!(was_cached(17) && was_cached(19) && was_cached(50) && !was_cached(18));
}

#[test]
fn a_cache_of_nothing_keeps_nothing() {
    let bytes = MODEL.embed(&picture(1, SIZE)).unwrap().bytes();
    for limit in [0, bytes - 1] {
        let (_place, model) = with_cache(limit);
        for _ in 0..2 {
            let embedding = model.embed(&picture(1, SIZE)).unwrap();
            assert!(embedding.timings().embedding() == Some(EmbeddingSource::Miss) && !logits(&embedding).is_empty());
            assert_eq!(model.cached_embedding_bytes(), 0);
        }
        // Those who wait for a picture that is not kept make it themselves.
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| model.embed(&picture(2, SIZE)).unwrap())));
        });
        assert_eq!(model.cached_embedding_bytes(), 0);
    }
}

#[test]
fn an_encoding_that_fails_leaves_nobody_waiting() {
    let place = Place::new();
    let bundle = BundleOptions { image_size: Some(SIDE), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "mobile-sam".into(), seed: 1 };
    let model = place.engine.load(source, &LoadOptions { bundle, warm_up: false, ..LoadOptions::default() }).unwrap();
    // Scaled to the network's input, it would be thinner than half a pixel.
    let thin = picture(1, (40 * SIDE, 1));
    let barrier = Barrier::new(8);
    std::thread::scope(|scope| {
        let ask = || {
            barrier.wait();
            model.embed(&thin).unwrap_err().kind()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), ErrorKind::BadInput);
        }
    });
    assert_eq!(model.cached_embedding_bytes(), 0);
    assert!(model.embed(&picture(1, SIZE)).unwrap().timings().embedding() == Some(EmbeddingSource::Miss), "the model is as good as before");
}

#[test]
fn an_embedding_outlives_its_place_in_the_cache_and_its_model() {
    let bytes = MODEL.embed(&picture(1, SIZE)).unwrap().bytes();
    let (_place, model) = with_cache(bytes);
    let kept = model.embed(&picture(1, SIZE)).unwrap();
    let before = logits(&kept);
    model.embed(&picture(2, SIZE)).unwrap();
    assert_eq!(logits(&kept), before);
    assert!(model.embed(&picture(1, SIZE)).unwrap().timings().embedding() == Some(EmbeddingSource::Miss), "it was evicted");
    drop(model);
    assert_eq!(logits(&kept), before);
}

#[test]
fn threads_get_equal_answers() {
    let embedding = MODEL.embed(&picture(1, SIZE)).unwrap();
    let expected = logits(&embedding);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| (0..5).map(|_| logits(&embedding.clone())).collect::<Vec<_>>())).collect();
        for thread in threads {
            thread.join().unwrap().iter().for_each(|found| assert_eq!(*found, expected));
        }
    });
}
