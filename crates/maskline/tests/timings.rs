//! Times are those of the call that tells them: nothing that another call did, and waiting is told apart from work.
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use asking::{Place, SIZE, picture};
use maskline::{
    Delays, EmbeddingSource, InputSize, LoadOptions, Mask, MaskPrompt, Model, ModelSource, PredictOptions, Prompt, SegmentOptions, Stage,
    Stages,
};

const PROMPT: [f32; 4] = [10.0, 8.0, 60.0, 50.0];
const THREADS: usize = 6;

fn prompts() -> [Prompt; 2] {
    [Prompt::bounds(PROMPT), Prompt::click(40.0, 30.0)]
}

fn slow_to_encode(place: &Place) -> Model {
    place.synthetic(LoadOptions { delays: Delays { network: Duration::from_millis(250), ..Delays::default() }, ..LoadOptions::default() })
}

/// Runs `ask` in some threads at once; their answers, and the time until all had theirs.
fn at_once<T: Send>(ask: impl Fn(usize) -> T + Sync) -> (Vec<T>, Duration) {
    let barrier = Barrier::new(THREADS);
    let start = Instant::now();
    let answers = std::thread::scope(|scope| {
        let one = |index| {
            barrier.wait();
            ask(index)
        };
        let threads: Vec<_> = (0..THREADS).map(|index| scope.spawn(move || one(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (answers, start.elapsed())
}

#[test]
fn a_held_embedding_costs_nothing_again() {
    let place = Place::new();
    let model = slow_to_encode(&place);
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let encoding = *embedding.timings();
    assert!(encoding.get(Stage::ImageEncode) >= Duration::from_millis(250) && encoding.embedding() == Some(EmbeddingSource::Miss));
    assert_eq!((encoding.get(Stage::MaskDecode), encoding.get(Stage::Postprocess)), (Duration::ZERO, Duration::ZERO));
    for _ in 0..3 {
        let start = Instant::now();
        let found = embedding.find(&prompts(), &SegmentOptions::default()).unwrap();
        let wall = start.elapsed();
        let segmented = embedding.segment(&prompts(), &SegmentOptions::default()).unwrap();
        for timings in [found.timings, segmented.timings] {
            assert_eq!(
                (timings.get(Stage::Decode), timings.get(Stage::Preprocess), timings.get(Stage::ImageEncode)),
                Default::default(),
                "{timings:?}"
            );
            assert!(timings.embedding() == Some(EmbeddingSource::Held) && timings.get(Stage::MaskDecode) > Duration::ZERO, "{timings:?}");
        }
        assert!(found.timings.total() <= wall && 2 * found.timings.total() > wall, "{:?} of {wall:?}", found.timings);
        let both = encoding + found.timings;
        assert_eq!(both.total(), encoding.total() + found.timings.total());
        assert_eq!((both.get(Stage::ImageEncode), both.embedding()), (encoding.get(Stage::ImageEncode), Some(EmbeddingSource::Miss)));
    }
    // In one call, the first answer about a picture carries its encoding, and the second does not.
    let sources = [0, 1].map(|_| {
        let start = Instant::now();
        let found = model.find(&picture(2, SIZE), &prompts(), &SegmentOptions::default()).unwrap();
        assert!(found.timings.total() <= start.elapsed(), "{:?}", found.timings);
        (found.timings.embedding(), found.timings.get(Stage::ImageEncode) >= Duration::from_millis(250))
    });
    assert_eq!(sources, [(Some(EmbeddingSource::Miss), true), (Some(EmbeddingSource::Hit), false)]);
}

#[test]
fn waiting_for_the_encoder_is_not_encoding() {
    let place = Place::new();
    let model = place.synthetic(LoadOptions::default());
    let (embeddings, wall) = at_once(|index| *model.embed(&picture(index as u64, SIZE)).unwrap().timings());
    let sum = |stage: fn(&Stages) -> Duration| embeddings.iter().map(stage).sum::<Duration>();
    // A session answers one caller at a time.
    assert!(sum(|timings| timings.get(Stage::ImageEncode)) <= wall, "{embeddings:?}");
    assert!(sum(|timings| timings.get(Stage::Queue)) > Duration::ZERO);
    assert!(embeddings.iter().all(|timings| timings.total() <= wall));
    let embedding = model.embed(&picture(0, SIZE)).unwrap();
    let (found, wall) = at_once(|_| embedding.find(&prompts(), &SegmentOptions::default()).unwrap().timings);
    assert!(found.iter().map(|timings| timings.get(Stage::MaskDecode)).sum::<Duration>() <= wall, "{found:?} of {wall:?}");
}

#[test]
fn waiting_for_a_detector_is_not_its_network() {
    let place = Place::new();
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 0 };
    let model = place.engine.load(source, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    let options = PredictOptions { size: InputSize::Square(256), ..PredictOptions::default() };
    let image = picture(1, SIZE);
    let (answers, wall) = at_once(|_| model.predict(&image, &options).unwrap().timings);
    let sum = |stage: fn(&Stages) -> Duration| answers.iter().map(stage).sum::<Duration>();
    assert!(sum(|timings| timings.get(Stage::Network)) <= wall, "{answers:?} of {wall:?}");
    assert!(sum(|timings| timings.get(Stage::Queue)) > Duration::ZERO && answers.iter().all(|timings| timings.total() <= wall));
    // A batch shares its time, and what its pictures tell adds up to it.
    let start = Instant::now();
    let together = model.predict_batch(&[&image, &image, &image], &options).unwrap();
    let (told, wall) = (together.iter().map(|answer| answer.timings.total()).sum::<Duration>(), start.elapsed());
    assert!(told <= wall && 2 * told > wall, "{told:?} of {wall:?}");
    let json = serde_json::to_value(together[0].timings).unwrap();
    let parts: f64 = json.as_object().unwrap().iter().filter(|(name, _)| *name != "total").map(|(_, time)| time.as_f64().unwrap()).sum();
    assert!(json.get("queue").is_some() && (parts - json["total"].as_f64().unwrap()).abs() < 0.01, "{json}");
}

#[test]
fn who_waits_for_another_threads_encoding_says_so() {
    let place = Place::new();
    let model = slow_to_encode(&place);
    let (timings, _) = at_once(|_| *model.embed(&picture(1, SIZE)).unwrap().timings());
    let (encoded, waited): (Vec<_>, Vec<_>) = timings.into_iter().partition(|timings| timings.embedding() == Some(EmbeddingSource::Miss));
    assert_eq!((encoded.len(), waited.len()), (1, THREADS - 1));
    for timings in waited {
        assert_eq!((timings.embedding(), timings.get(Stage::ImageEncode)), (Some(EmbeddingSource::Waited), Duration::ZERO));
        assert!(2 * timings.get(Stage::Queue) > timings.total() && timings.get(Stage::Queue) > timings.get(Stage::Other), "{timings:?}");
        assert_eq!(serde_json::to_value(timings).unwrap()["embedding"], "waited");
    }
    let again = *model.embed(&picture(1, SIZE)).unwrap().timings();
    assert_eq!((again.embedding(), again.get(Stage::Queue)), (Some(EmbeddingSource::Hit), Duration::ZERO), "nobody had to wait");
}

#[test]
fn opening_the_decoder_for_masks_is_not_decoding() {
    let place = Place::new();
    let model = place.synthetic(LoadOptions::default());
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let mask = MaskPrompt::Picture(Mask::from_fn(SIZE.0, SIZE.1, |x, _| x < 50).unwrap());
    let ask = |prompt: &Prompt| embedding.find(std::slice::from_ref(prompt), &SegmentOptions::default()).unwrap().timings;
    assert_eq!(ask(&Prompt::bounds(PROMPT)).get(Stage::Open), Duration::ZERO);
    let masked = Prompt::default().with_mask(mask);
    let start = Instant::now();
    let (first, wall) = (ask(&masked), start.elapsed());
    assert!(first.get(Stage::Open) > Duration::ZERO && first.total() <= wall, "{first:?} of {wall:?}");
    assert_eq!(ask(&masked).get(Stage::Open), Duration::ZERO);
}
