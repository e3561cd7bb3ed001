//! A provider that fails while a model runs: the CPU answers in its place, and every caller gets his answer.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::channel;
use std::sync::{Barrier, LazyLock};
use std::time::{Duration, Instant};

use maskline::runtime::{Job, Tensor};
use maskline::{Engine, EngineOptions, ErrorKind, Faults, Image, LoadOptions, Model, ModelSource, Prompt, RgbImage};
use maskline_models::LookHead;

/// Longer than anything here takes; nothing waits so long unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);
/// Of a model that is not to come back within a test.
const NEVER: Option<Duration> = Some(Duration::from_secs(3600));
const FOR_GOOD: Faults = Faults { count: u64::MAX, pause: NEVER, ..Faults::NONE };

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineOptions::default()).unwrap());

fn load(faults: Faults, degrade: bool) -> Model {
    // Alone, a question gets the same bits whoever else asks.
    let options = LoadOptions { warm_up: false, together: Some(1), faults, degrade, ..LoadOptions::default() };
    ENGINE.load(ModelSource::Nano, &options).unwrap()
}

fn picture(seed: u8) -> Image {
    let pixels = (0..120 * 80 * 3).map(|i| ((i * 7 + i / 360 * usize::from(seed)) % 251) as u8).collect();
    Image::from_pixels(RgbImage::new(120, 80, pixels).unwrap())
}

/// What a model finds in a picture, whole.
fn answer(model: &Model, seed: u8) -> maskline::Result<String> {
    let prompts = [Prompt::bounds([10.0, 10.0, 90.0, 60.0]), Prompt::click(60.0, 40.0)];
    let found = model.embed_uncached(&picture(seed))?.find(&prompts, &Default::default())?;
    let answers = found.answers.into_iter().collect::<maskline::Result<Vec<_>>>()?;
    Ok(serde_json::to_string(&answers).unwrap())
}

fn expected(seed: u8) -> String {
    answer(&load(Faults::default(), false), seed).unwrap()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_caller_gets_his_answer_and_the_model_says_what_gave_it() {
    let model = load(Faults { after: 1, ..FOR_GOOD }, true);
    assert_eq!((model.provider().as_str(), model.degraded()), ("faulty", None));
    for _ in 0..2 {
        assert_eq!(answer(&model, 1).unwrap(), expected(1));
    }
    assert_eq!((model.provider().as_str(), model.provider_shares()[0].name.as_str()), ("cpu", "cpu"));
    let degraded = model.degraded().unwrap();
    assert_eq!((degraded.part.as_str(), degraded.wished.as_str(), degraded.attempts), (LookHead::SEGMENTER, "faulty", 0));
    assert!(degraded.reason.contains("out of memory") && degraded.next_attempt > degraded.since, "{degraded:?}");
    let json = serde_json::to_value(&degraded).unwrap();
    assert_eq!((json["wished"].as_str(), json["attempts"].as_u64()), (Some("faulty"), Some(0)));
}

#[test]
fn of_many_callers_none_is_lost() {
    let model = load(Faults { after: 3, ..FOR_GOOD }, true);
    let together = Barrier::new(8);
    let answers: Vec<String> = std::thread::scope(|scope| {
        let ask = |seed| {
            let (model, together) = (&model, &together);
            scope.spawn(move || {
                together.wait();
                answer(model, seed).unwrap()
            })
        };
        let asked: Vec<_> = (0..8).map(ask).collect();
        asked.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(model.degraded().is_some());
    for (seed, answer) in (0..8).zip(answers) {
        assert_eq!(answer, expected(seed), "{seed}");
    }
}

#[test]
fn it_comes_back_and_fails_again_with_a_longer_pause() {
    let first = Duration::from_millis(200);
    let model = load(Faults { after: 2, count: 1, pause: Some(first), ..Faults::NONE }, true);
    let expected = expected(1);
    let pause_of_a_failure = || {
        let start = Instant::now();
        // On a busy machine it may be back before anybody looks.
        let degraded = loop {
            assert!(start.elapsed() < LIMIT, "it fails");
            assert_eq!(answer(&model, 1).unwrap(), expected);
            if let Some(degraded) = model.degraded() {
                break degraded;
            }
        };
        wait_until("it comes back", || model.degraded().is_none());
        assert_eq!(model.provider(), "faulty");
        (degraded.attempts, degraded.next_attempt.duration_since(degraded.since).unwrap())
    };
    let [(attempts, earlier), (_, later)] = [pause_of_a_failure(), pause_of_a_failure()];
    assert!(attempts == 0 && later >= 2 * earlier && earlier >= first, "{earlier:?} {later:?}");
    assert!([earlier, later].iter().all(|pause| (0..10).any(|doubled| first * 2u32.pow(doubled) == *pause)), "{earlier:?} {later:?}");
}

#[test]
fn without_it_the_failure_is_the_answer() {
    let model = load(Faults { after: 1, count: 1, ..Faults::default() }, false);
    let error = answer(&model, 1).unwrap_err();
    assert!(error.kind() == ErrorKind::Failed && error.message().contains("out of memory"), "{error}");
    assert_eq!((model.provider().as_str(), model.degraded()), ("faulty", None));
    assert_eq!(answer(&model, 1).unwrap(), expected(1));
}

#[test]
fn a_raw_part_degrades_with_its_model() {
    let run = |model: &Model| {
        let part = model.part(LookHead::SEGMENTER).unwrap();
        let shape: Vec<usize> = part.inputs()[0].shape.iter().map(|size| size.unwrap_or(2)).collect();
        let planes = Tensor::new(shape.clone(), (0..shape.iter().product()).map(|i| (i % 17) as f32 / 17.0).collect::<Vec<f32>>()).unwrap();
        let (sender, answer) = channel();
        let reply = move |outcome: maskline::Result<_>| drop(sender.send(outcome));
        part.submit(Job::new([(LookHead::PLANES, planes)]), reply).unwrap().detach();
        let outputs = answer.recv().unwrap().unwrap();
        (outputs.f32(LookHead::LOGITS).unwrap().data.to_vec(), part)
    };
    let model = load(FOR_GOOD, true);
    let (logits, part) = run(&model);
    assert_eq!(logits, run(&load(Faults::default(), false)).0);
    assert_eq!((part.provider().as_str(), model.provider().as_str()), ("cpu", "cpu"));
    assert_eq!((part.degraded(), part.degraded().is_some()), (model.degraded(), true));
}

#[test]
fn a_model_that_cannot_be_warmed_is_loaded_on_the_cpu() {
    let options = |degrade| LoadOptions { faults: FOR_GOOD, degrade, ..LoadOptions::default() };
    assert_eq!(ENGINE.load(ModelSource::Nano, &options(true)).unwrap().provider(), "cpu");
    assert_eq!(ENGINE.load(ModelSource::Nano, &options(false)).unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn faults_are_told_in_a_line() {
    let faults: Faults = serde_json::from_str(r#"{"after": 3, "count": 1}"#).unwrap();
    assert_eq!(faults, Faults { after: 3, count: 1, ..Faults::NONE });
    assert!(serde_json::from_str::<Faults>(r#"{"before": 3}"#).is_err());
}
