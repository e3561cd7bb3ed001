//! Sleeps within stages are seen in the stage that sleeps; what goes past the cache leaves nothing there.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use maskline::{
    Delays, EmbeddingSource, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Model, ModelSource, PredictOptions, Prompt, RgbImage,
    Stage,
};

const SLEEP: Duration = Duration::from_millis(60);

fn load(source: ModelSource, delays: Delays) -> Model {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    engine.load(source, &LoadOptions { warm_up: true, delays, ..LoadOptions::default() }).unwrap()
}

fn picture() -> Image {
    let pixels = (0..120 * 80 * 3).map(|i| (i * 7 % 251) as u8).collect();
    Image::from_pixels(RgbImage::new(120, 80, pixels).unwrap())
}

/// The fastest of a few: a stage that does not sleep is fast at least once.
fn fastest<const N: usize>(times: impl Fn() -> [Duration; N]) -> [Duration; N] {
    (0..5).map(|_| times()).reduce(|a, b| std::array::from_fn(|i| a[i].min(b[i]))).unwrap()
}

fn sleeps_only<const N: usize>(times: [Duration; N], slept: usize) {
    for (stage, time) in times.into_iter().enumerate() {
        assert_eq!(time >= SLEEP, stage == slept, "stage {stage}: {time:?}, where {slept} sleeps");
    }
}

#[test]
fn a_sleep_is_in_its_stage_of_prompts_and_nowhere_else() {
    let cases = [
        Delays { preprocess: SLEEP, ..Delays::default() },
        Delays { mask_decode: SLEEP, ..Delays::default() },
        Delays { postprocess: SLEEP, ..Delays::default() },
    ];
    let prompts = [Prompt::bounds([10.0, 10.0, 90.0, 60.0])];
    for (slept, delays) in cases.into_iter().enumerate() {
        let model = load(ModelSource::Nano, delays);
        let times = fastest(|| {
            let embedding = model.embed_uncached(&picture()).unwrap();
            let timings = *embedding.timings() + embedding.find(&prompts, &Default::default()).unwrap().timings;
            [timings.get(Stage::Preprocess), timings.get(Stage::MaskDecode), timings.get(Stage::Postprocess)]
        });
        sleeps_only(times, slept);
    }
}

#[test]
fn a_sleep_is_in_its_stage_of_detection_and_nowhere_else() {
    let cases = [
        Delays { preprocess: SLEEP, ..Delays::default() },
        Delays { network: SLEEP, ..Delays::default() },
        Delays { postprocess: SLEEP, ..Delays::default() },
    ];
    let options = PredictOptions { size: maskline::InputSize::Square(64), ..PredictOptions::default() };
    for (slept, delays) in cases.into_iter().enumerate() {
        let model = load(ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 0 }, delays);
        let times = fastest(|| {
            let timings = model.predict(&picture(), &options).unwrap().timings;
            [timings.get(Stage::Preprocess), timings.get(Stage::Network), timings.get(Stage::Postprocess)]
        });
        sleeps_only(times, slept);
    }
}

#[test]
fn past_the_cache_nothing_is_kept() {
    let model = load(ModelSource::Nano, Delays::default());
    let embedding = model.embed_uncached(&picture()).unwrap();
    assert!(embedding.timings().embedding() == Some(EmbeddingSource::Miss) && model.cached_embedding_bytes() == 0);
    assert!(model.embed(&picture()).unwrap().timings().embedding() == Some(EmbeddingSource::Miss), "it was not kept");
    assert!(model.embed(&picture()).unwrap().timings().embedding() == Some(EmbeddingSource::Hit) && model.cached_embedding_bytes() > 0);
    assert!(model.embed_uncached(&picture()).unwrap().timings().embedding() == Some(EmbeddingSource::Miss), "the cache is not asked");
    assert!(model.tune(&embedding).is_ok());
}

#[test]
fn a_detector_has_no_embedding() {
    let model = load(ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 0 }, Delays::default());
    assert_eq!(model.embed_uncached(&picture()).unwrap_err().kind(), ErrorKind::InvalidOption);
}
