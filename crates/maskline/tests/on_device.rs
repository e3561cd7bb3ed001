//! What is kept of a picture stays in the memory of the device that made it, leaves when the device needs the room, and is made again where it
//! is lost: whoever asks gets the same answer. The device is ordinary memory that is used as one ([`Faults::memory`]).
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::LazyLock;
use std::time::Duration;

use asking::{SIDE, SIZE, picture};
use maskline::{
    BundleOptions, Concept, Embedding, Engine, EngineOptions, Faults, LoadOptions, Model, ModelSource, PredictOptions, Preprocessing,
    Prompt, SegmentOptions, Stage, TrackerOptions,
};
use maskline_testing::{TinySam3, kept_folder};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let cache = kept_folder(env!("CARGO_TARGET_TMPDIR"), env!("CARGO_CRATE_NAME"));
    Engine::new(EngineOptions { cache, ..EngineOptions::default() }).unwrap()
});

/// A device that does not fail.
const SOUND: Faults = Faults { memory: true, ..Faults::NONE };
/// Longer than a test takes.
const NEVER: Option<Duration> = Some(Duration::from_secs(3600));

fn options(faults: Faults) -> LoadOptions {
    let bundle = BundleOptions { image_size: Some(SIDE), ..BundleOptions::default() };
    LoadOptions { faults, together: Some(1), bundle, warm_up: false, ..LoadOptions::default() }
}

/// A SAM 2.1 with generated weights.
fn load(options: LoadOptions) -> Model {
    ENGINE.load(ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 3 }, &options).unwrap()
}

/// Runs of the decoder for [`ask`].
const RUNS: u64 = 6;

/// Logits of the first answers to a few prompts, bit by bit, and what encoding took in that call.
fn ask(embedding: &Embedding) -> (Vec<u32>, Duration) {
    let prompts: Vec<Prompt> = (0..RUNS).map(|at| Prompt::click(10.0 * at as f32, 9.0 * at as f32)).collect();
    let segments = embedding.segment(&prompts, &SegmentOptions { chunk: Some(1), ..SegmentOptions::default() }).unwrap();
    let bits = |masks: &Vec<maskline::PromptMask>| masks[0].logits.data().iter().map(|logit| logit.to_bits()).collect::<Vec<_>>();
    let bits = segments.answers.iter().flat_map(|masks| bits(masks.as_ref().unwrap())).collect();
    (bits, segments.timings.get(Stage::ImageEncode))
}

/// What a model on the host answers for the picture of a seed.
fn expected(seed: u64) -> Vec<u32> {
    static HOST: LazyLock<Model> = LazyLock::new(|| load(options(Faults::default())));
    ask(&HOST.embed(&picture(seed, SIZE)).unwrap()).0
}

fn on_device(model: &Model) -> usize {
    model.usage().embeddings.device_bytes
}

/// Without a wall of numbers where they differ.
fn assert_same(found: &[u32], expected: &[u32]) {
    assert!(found == expected, "{} of {} numbers differ", found.iter().zip(expected).filter(|(a, b)| a != b).count(), expected.len());
}

#[test]
fn embeddings_stay_on_the_device_and_answer_there() {
    let model = load(options(SOUND));
    let (image, host) = (picture(1, SIZE), load(options(Faults::default())));
    let (embedding, plain) = (model.embed(&image).unwrap(), host.embed(&image).unwrap());
    assert_eq!((on_device(&host), on_device(&model)), (0, plain.bytes()));
    assert_eq!(embedding.bytes(), plain.bytes() + image.bytes(), "the picture stays with it");
    let (found, encoding) = ask(&embedding);
    assert_same(&found, &ask(&plain).0);
    assert_eq!((on_device(&model), encoding), (plain.bytes(), Duration::ZERO));
    let folder = tempfile::tempdir().unwrap();
    for (name, embedding) in [("device", &embedding), ("host", &plain)] {
        let file = folder.path().join(name);
        embedding.save(&file).unwrap();
        assert_same(&ask(&model.load_embedding(file).unwrap()).0, &found);
    }
    drop(embedding);
    assert_eq!(model.usage().embeddings.entries, 1, "the cache has it still");
}

#[test]
fn the_device_holds_no_more_than_it_may() {
    let bytes = load(options(Faults::default())).embed(&picture(1, SIZE)).unwrap().bytes();
    let model = load(LoadOptions { device_embeddings: 2 * bytes + bytes / 2, ..options(SOUND) });
    let embeddings: Vec<Embedding> = (1..=4).map(|seed| model.embed(&picture(seed, SIZE)).unwrap()).collect();
    let held = on_device(&model);
    assert!(held > bytes && held <= 2 * bytes + bytes / 2, "{held} of {}", 4 * bytes);
    for (seed, embedding) in (1..).zip(&embeddings) {
        let (found, encoding) = ask(embedding);
        assert_same(&found, &expected(seed));
        assert_eq!(encoding, Duration::ZERO, "what left the device was moved, not lost");
    }
    let none = load(LoadOptions { device_embeddings: 0, ..options(SOUND) });
    assert_same(&ask(&none.embed(&picture(1, SIZE)).unwrap()).0, &expected(1));
    assert_eq!(on_device(&none), 0);
}

#[test]
fn a_run_that_lacks_memory_gets_what_embeddings_hold() {
    // Each network's, but the encoder has not so many.
    let model = load(options(Faults { after: RUNS - 2, count: 1, ..SOUND }));
    let embeddings = [1, 2].map(|seed| model.embed(&picture(seed, SIZE)).unwrap());
    assert!(on_device(&model) > 0);
    let (found, encoding) = ask(&embeddings[0]);
    assert_same(&found, &expected(1));
    assert_eq!((on_device(&model), encoding, model.degraded()), (0, Duration::ZERO, None));
    assert_same(&ask(&embeddings[1]).0, &expected(2));
}

#[test]
fn a_lost_embedding_is_made_again() {
    let model = load(options(Faults { after: RUNS - 2, count: 1, loses: true, ..SOUND }));
    let embeddings = [1, 2].map(|seed| model.embed(&picture(seed, SIZE)).unwrap());
    let (found, encoding) = ask(&embeddings[0]);
    assert_same(&found, &expected(1));
    assert!(encoding > Duration::ZERO, "it was lost on the way");
    let (found, encoding) = ask(&embeddings[0]);
    assert_same(&found, &expected(1));
    assert_eq!(encoding, Duration::ZERO, "it is there again");
    let (found, encoding) = ask(&embeddings[1]);
    assert_same(&found, &expected(2));
    assert!(encoding > Duration::ZERO, "it was lost with the other one");
}

#[test]
fn a_device_that_is_gone_leaves_the_answers_to_the_cpu() {
    let gone = Faults { after: 3, count: u64::MAX, pause: NEVER, loses: true, ..SOUND };
    let model = load(LoadOptions { degrade: true, ..options(gone) });
    let embeddings = [1, 2, 3].map(|seed| model.embed(&picture(seed, SIZE)).unwrap());
    for (seed, embedding) in (1..).zip(&embeddings) {
        assert_same(&ask(embedding).0, &expected(seed));
    }
    assert!(model.degraded().is_some());
    assert_same(&ask(&model.embed(&picture(4, SIZE)).unwrap()).0, &expected(4));
    assert_eq!(on_device(&model), 0);
}

#[test]
fn a_lost_picture_on_its_way_to_the_encoder_is_prepared_again() {
    let answer = |faults| {
        let model = load(LoadOptions { preprocessing: Preprocessing::Device, degrade: true, ..options(faults) });
        (1..=3).map(|seed| ask(&model.embed_uncached(&picture(seed, SIZE)).unwrap()).0).collect::<Vec<_>>().concat()
    };
    let host = answer(Faults::default());
    assert_same(&answer(SOUND), &host);
    assert_same(&answer(Faults { after: 1, count: 1, pause: NEVER, loses: true, ..SOUND }), &host);
}

#[test]
fn a_frame_that_is_lost_is_encoded_again() {
    let follow = |faults| {
        let mut tracker = load(LoadOptions { degrade: true, ..options(faults) }).tracker(TrackerOptions::default()).unwrap();
        tracker.push(&picture(1, SIZE)).unwrap();
        tracker.add(1, &Prompt::click(40.0, 30.0)).unwrap();
        let mut bits = Vec::new();
        for seed in 2..8 {
            let answer = tracker.push(&picture(seed, SIZE)).unwrap();
            bits.extend(answer.objects[0].logits().data().iter().map(|logit| logit.to_bits()));
        }
        bits
    };
    let host = follow(Faults::default());
    assert_same(&follow(SOUND), &host);
    for after in 1..5 {
        assert_same(&follow(Faults { after, count: 1, pause: NEVER, loses: true, ..SOUND }), &host);
    }
}

#[test]
fn words_and_clicks_of_sam_3_share_a_picture_on_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sam3");
    TinySam3::new().write(&path);
    let ask_all = |faults| {
        let model =
            ENGINE.load(path.as_path(), &LoadOptions { degrade: true, bundle: BundleOptions::default(), ..options(faults) }).unwrap();
        let mut told = Vec::new();
        for seed in 1..=3 {
            let image = picture(seed, SIZE);
            for _ in 0..2 {
                let all = PredictOptions { conf: Some(0.0), ..PredictOptions::default() };
                let found = model.find_concepts(&image, &[Concept::text("red cat")], &all).unwrap();
                told.extend(found.objects.iter().map(|object| object.score.to_bits()));
                let masks = model.embed(&image).unwrap().segment(&[Prompt::click(40.0, 30.0)], &SegmentOptions::default()).unwrap();
                told.extend(masks.answers[0].as_ref().unwrap()[0].logits.data().iter().map(|logit| logit.to_bits()));
            }
        }
        (told, on_device(&model))
    };
    let (host, none) = ask_all(Faults::default());
    let (found, held) = ask_all(SOUND);
    assert_same(&found, &host);
    assert!(none == 0 && held > 0);
    for after in 1..4 {
        assert_same(&ask_all(Faults { after, count: 1, pause: NEVER, loses: true, ..SOUND }).0, &host);
    }
}
