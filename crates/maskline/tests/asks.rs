//! Questions of one form for all models, answered on the caller's thread or by ticket.
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use asking::{MODEL, Place, SIZE, picture};
use maskline::{
    Answerer, Ask, Concept, Delays, Embedding, Engine, EngineOptions, ErrorKind, EverythingOptions, Exemplar, LoadOptions, Model,
    ModelSource, Object, Pair, PairOptions, PredictOptions, Prompt, Request, SegmentOptions, Stage,
};

fn detector(place: &Place) -> Model {
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    place.engine.load(source, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap()
}

/// A decoder whose every run takes so long.
fn slow(place: &Place, decode: Duration) -> Model {
    place.synthetic(LoadOptions { delays: Delays { mask_decode: decode, ..Delays::default() }, ..LoadOptions::default() })
}

fn click(x: f32) -> Ask {
    Ask::Object(Prompt::click(x, 30.0))
}

fn objects(embedding: &Embedding, prompts: &[Prompt]) -> Vec<Object> {
    embedding.find(prompts, &SegmentOptions::default()).unwrap().into_objects()
}

#[test]
fn asks_are_answered_as_the_old_ways_answer() {
    let place = Place::new();
    let (model, image) = (place.synthetic(LoadOptions::default()), picture(1, SIZE));
    let options =
        EverythingOptions { points_per_side: Some(2), stability_score_thresh: Some(0.0), pred_iou_thresh: Some(0.0), ..Default::default() };
    let request =
        Request::new(image.clone(), [click(40.0), Ask::Everything(options.clone()), Ask::Object(Prompt::bounds([5.0, 5.0, 60.0, 50.0]))]);
    let answers = model.answer(&request).unwrap();
    assert_eq!((answers.answers.len(), answers.size), (3, SIZE));
    let found = objects(&model.embed(&image).unwrap(), &[Prompt::click(40.0, 30.0), Prompt::bounds([5.0, 5.0, 60.0, 50.0])]);
    let all = model.everything(&image, &options).unwrap();
    let answer = |index: usize| answers.answers[index].as_ref().unwrap();
    assert_eq!((&answer(0).objects[..], &answer(2).objects[..]), (&found[..1], &found[1..]));
    assert_eq!((&answer(1).objects, &answer(1).origins), (&all.objects, &all.origins));
    assert!(answers.timings.get(Stage::ImageEncode) > Duration::ZERO && answers.timings.rows_together() >= 1);

    let detector = detector(&place);
    let predict = PredictOptions { conf: Some(0.001), ..PredictOptions::default() };
    let request = Request { predict: predict.clone(), ..Request::new(image.clone(), [Ask::Detect, Ask::Detect]) };
    let answers = detector.answer(&request).unwrap();
    let expected = detector.predict(&image, &predict).unwrap().objects;
    assert!(!expected.is_empty() && answers.answers.iter().all(|answer| answer.as_ref().unwrap().objects == expected));
}

#[test]
fn what_a_model_cannot_answer_is_refused_by_name_and_costs_no_other_ask_its_answer() {
    let place = Place::new();
    let words = Ask::Concept(Concept::text("a red car"));
    let examples = Ask::Concept(Concept::like(Exemplar::here([1.0, 1.0, 9.0, 9.0])));
    let nothing = Ask::Concept(Concept::default());
    let nano = place.engine.load("nano", &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    for model in [&*MODEL, &nano, &detector(&place)] {
        let finds = model.info().task.finds_boxes();
        let other = if finds { Ask::Detect } else { click(40.0) };
        let unasked = if finds { click(40.0) } else { Ask::Detect };
        let asks = [words.clone(), other, examples.clone(), nothing.clone(), unasked];
        let answers = model.answer(&Request::new(picture(1, SIZE), asks)).unwrap().answers;
        let errors: Vec<_> = answers.iter().map(|answer| answer.as_ref().err().map(|error| error.kind())).collect();
        let refused = Some(ErrorKind::InvalidOption);
        assert_eq!(errors, [refused, None, refused, Some(ErrorKind::BadInput), refused], "{}", model.name());
        let error = answers[0].as_ref().unwrap_err();
        assert!(error.to_string().contains(model.name()) && error.message().contains("no words") && error.help().is_some(), "{error}");
    }
}

#[test]
fn nothing_asked_is_nothing_answered() {
    let image = picture(1, SIZE);
    let embedding = MODEL.embed(&image).unwrap();
    assert!(embedding.find(&[], &SegmentOptions::default()).unwrap().answers.is_empty());
    assert!(embedding.segment(&[], &SegmentOptions::default()).unwrap().answers.is_empty());
    assert!(MODEL.answer(&Request::new(image, [])).unwrap().answers.is_empty());
    let options = SegmentOptions { threshold: f32::NAN, ..SegmentOptions::default() };
    assert_eq!(embedding.find(&[], &options).unwrap_err().kind(), ErrorKind::InvalidOption, "wrong options are wrong all the same");
}

#[test]
fn an_answer_belongs_to_its_prompt() {
    let embedding = MODEL.embed(&picture(1, SIZE)).unwrap();
    let prompts = [Prompt::click(40.0, 30.0), Prompt::click(4000.0, 30.0), Prompt::bounds([5.0, 5.0, 60.0, 50.0])];
    let found = embedding.find(&prompts, &SegmentOptions::default()).unwrap();
    assert!(found.answers[0].is_ok() && found.answers[2].is_ok());
    let error = found.answers[1].as_ref().unwrap_err();
    assert_eq!((error.message(), error.found()), ("prompt 1", Some("4000, 30")));
    assert!(error.expected().unwrap().contains("97 × 61"), "{error}");
    assert_eq!(found.errors().map(|(index, _)| index).collect::<Vec<_>>(), [1]);
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["answers"][1]["error"]["kind"], "bad_input");
    assert!(json["answers"][0]["objects"][0]["segmentation"].is_object() && json["timings_ms"]["total"].is_number());
}

#[test]
fn a_ticket_is_waited_for_or_heard_of() {
    let embedding = MODEL.embed(&picture(1, SIZE)).unwrap();
    let expected = objects(&embedding, &[Prompt::click(40.0, 30.0)]);
    let request = || Request::new(embedding.clone(), [click(40.0)]);
    let waited = MODEL.ask(request()).unwrap().wait().unwrap();
    assert_eq!(waited.answers[0].as_ref().unwrap().objects, expected);
    let (sender, heard) = channel();
    let ticket = MODEL.ask(request()).unwrap();
    ticket.on_ready(move |answers| sender.send(answers).unwrap());
    assert_eq!(heard.recv_timeout(Duration::from_secs(60)).unwrap().unwrap().answers[0].as_ref().unwrap().objects, expected);
    assert!(ticket.wait_for(Duration::ZERO).is_none(), "it was taken");
    assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::Failed);
}

#[test]
fn a_ticket_that_is_dropped_before_its_turn_runs_nothing() {
    const DECODE: Duration = Duration::from_millis(300);
    let place = Place::new();
    let model = slow(&place, DECODE);
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let start = Instant::now();
    let first = model.ask(Request::new(embedding.clone(), [click(40.0)])).unwrap();
    // It has begun when nothing waits for the lane any more.
    std::thread::sleep(DECODE / 3);
    // Prompts of another token count, which cannot run together with each other or with the first one.
    let clicks = |count: usize| Ask::Object((0..count).fold(Prompt::default(), |prompt, i| prompt.with_click(i as f32, 9.0, true)));
    let dropped: Vec<_> = (2..6).map(|count| model.ask(Request::new(embedding.clone(), [clicks(count)])).unwrap()).collect();
    let waits = Instant::now();
    while model.queued() < dropped.len() && waits.elapsed() < DECODE {
        std::thread::yield_now();
    }
    drop(dropped);
    assert_eq!(model.queued(), 0, "they are taken out of the queue at once");
    let last = model.ask(Request::new(embedding.clone(), [clicks(7)])).unwrap();
    first.wait().unwrap();
    last.wait().unwrap();
    assert!(start.elapsed() < 4 * DECODE, "two runs, not six: {:?}", start.elapsed());
}

#[test]
fn neighbours_run_together_and_one_that_goes_disturbs_none() {
    const DECODE: Duration = Duration::from_millis(300);
    let place = Place::new();
    let model = slow(&place, DECODE);
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let place_of = |index: usize| 10.0 + 15.0 * index as f32;
    let alone: Vec<Vec<Object>> = (0..4).map(|index| objects(&embedding, &[Prompt::click(place_of(index), 30.0)])).collect();
    // While this one runs, the others gather.
    let first = model.ask(Request::new(embedding.clone(), [click(5.0)])).unwrap();
    std::thread::sleep(DECODE / 3);
    let mut tickets: Vec<_> =
        (0..4).map(|index| Some(model.ask(Request::new(embedding.clone(), [click(place_of(index))])).unwrap())).collect();
    let waits = Instant::now();
    while model.queued() < 4 && waits.elapsed() < DECODE {
        std::thread::yield_now();
    }
    drop(tickets[1].take());
    first.wait().unwrap();
    let mut together = 0;
    for (index, ticket) in tickets.into_iter().enumerate().filter_map(|(index, ticket)| Some((index, ticket?))) {
        let answers = ticket.wait().unwrap();
        together = together.max(answers.timings.rows_together());
        assert!(answers.timings.get(Stage::Queue) > Duration::ZERO);
        let found = &answers.answers[0].as_ref().unwrap().objects[0];
        let expected = &alone[index][0];
        assert!((found.score - expected.score).abs() < 1e-5);
        let overlap = found.mask.as_ref().unwrap().iou(expected.mask.as_ref().unwrap()).unwrap();
        assert!(overlap > 0.999, "click {index}: IoU {overlap} with the answer to it alone");
    }
    assert_eq!(together, 3, "the dropped one is not among them");
}

#[test]
fn a_deadline_ends_what_has_not_begun() {
    let place = Place::new();
    let model = slow(&place, Duration::from_millis(200));
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let late = Request { deadline: Some(Instant::now()), ..Request::new(embedding.clone(), [click(40.0)]) };
    assert_eq!(model.answer(&late).unwrap_err().kind(), ErrorKind::TimedOut);
    let first = model.ask(Request::new(embedding.clone(), [click(40.0)])).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    // In the lane's queue when its time comes.
    let second = model
        .ask(
            Request::new(embedding.clone(), [Ask::Object(Prompt::bounds([5.0, 5.0, 60.0, 50.0]).with_click(9.0, 9.0, true))])
                .within(Duration::from_millis(20)),
        )
        .unwrap();
    assert_eq!(second.wait().unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(first.wait().unwrap().answers[0].is_ok());
}

#[test]
fn a_full_queue_is_busy_and_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().into(), workers: 1, queue: 2, ..EngineOptions::default() }).unwrap();
    let delays = Delays { preprocess: Duration::from_millis(200), ..Delays::default() };
    let model = engine.load("nano", &LoadOptions { warm_up: false, delays, ..LoadOptions::default() }).unwrap();
    let tickets: Vec<_> = (0..8).map(|seed| model.ask(Request::new(picture(seed, SIZE), [click(40.0)]))).collect();
    let refused: Vec<_> = tickets.iter().filter_map(|ticket| ticket.as_ref().err()).collect();
    assert!(refused.len() >= 5, "one is worked on and two wait: {} were refused", refused.len());
    for error in refused {
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(!error.to_string().contains(&*folder.path().to_string_lossy()), "{error}");
    }
    assert!(tickets.into_iter().flatten().all(|ticket| ticket.wait().unwrap().answers[0].is_ok()));
}

#[test]
fn a_pair_gives_masks_to_what_a_detector_finds() {
    let place = Place::new();
    let (finder, image) = (detector(&place), picture(1, SIZE));
    let segmenter = place.synthetic(LoadOptions::default());
    assert_eq!(Pair::new(segmenter.clone(), finder.clone()).unwrap_err().kind(), ErrorKind::InvalidOption);
    let pair = Pair::new(finder.clone(), segmenter.clone()).unwrap();
    let options =
        PairOptions { predict: PredictOptions { conf: Some(0.001), max_detections: 3, ..Default::default() }, ..Default::default() };
    let found = pair.find_with(&image, &options, |detected| vec![Prompt::click(40.0, 30.0); detected.len().min(1)]).unwrap();
    let detected = finder.predict(&image, &options.predict).unwrap().objects;
    assert!(!detected.is_empty());
    let kept: Vec<_> = found.objects.iter().map(|object| (object.prompt, object.class_id, object.bounds)).take(detected.len()).collect();
    let expected: Vec<_> = detected.iter().enumerate().map(|(index, object)| (Some(index), object.class_id, object.bounds)).collect();
    assert_eq!(kept, expected, "they are the detector's, in its order");
    assert_eq!(found.objects.len() + found.errors.len(), detected.len() + 1 + found.errors.len());
    assert!(found.timings.get(Stage::Detect) > Duration::ZERO && found.timings.get(Stage::MaskDecode) > Duration::ZERO);
    let worded = PairOptions { concepts: vec![Concept::text("dog")], ..options };
    let refused = pair.find(&image, &worded).unwrap_err();
    assert!(refused.kind() == ErrorKind::InvalidOption && refused.to_string().contains("takes no words"), "{refused}");
}

#[test]
fn a_pair_answers_all_that_its_models_can() {
    let place = Place::new();
    let (finder, image) = (detector(&place), picture(1, SIZE));
    let segmenter = place.synthetic(LoadOptions { together: Some(1), ..LoadOptions::default() });
    let pair = Pair::new(finder.clone(), segmenter.clone()).unwrap();
    let predict = PredictOptions { conf: Some(0.001), max_detections: 3, ..PredictOptions::default() };
    let segment = SegmentOptions { chunk: Some(1), ..SegmentOptions::default() };
    let everything =
        EverythingOptions { points_per_side: Some(2), stability_score_thresh: Some(0.0), pred_iou_thresh: Some(0.0), ..Default::default() };
    let words = Ask::Concept(Concept::text("dog"));
    let asks = [click(40.0), Ask::Detect, words.clone(), click(4000.0), Ask::Everything(everything.clone()), Ask::Detect];
    let request = Request { predict: predict.clone(), segment: segment.clone(), ..Request::new(image.clone(), asks) };
    let answers = pair.ask(request.clone()).unwrap().wait().unwrap();
    let objects_of = |index: usize| &answers.answers[index].as_ref().unwrap().objects;

    let embedding = segmenter.embed(&image).unwrap();
    let clicked = embedding.find(&[Prompt::click(40.0, 30.0)], &segment).unwrap().into_objects();
    assert_eq!(objects_of(0), &clicked, "the segmenter's");
    let options = PairOptions { predict, segment, ..PairOptions::default() };
    let masked = pair.find(&image, &options).unwrap();
    let expected: Vec<Object> = masked.objects.into_iter().map(|object| Object { prompt: None, ..object }).collect();
    assert!(expected.len() == 3 && expected.iter().all(|object| object.mask.is_some()));
    assert_eq!((objects_of(1), objects_of(5)), (&expected, &expected), "asked twice, found once");
    assert_eq!(objects_of(4), &segmenter.everything(&image, &everything).unwrap().objects);
    let refused = answers.answers[2].as_ref().unwrap_err();
    assert!(refused.kind() == ErrorKind::InvalidOption && refused.to_string().contains(finder.name()), "{refused}");
    let beside = answers.answers[3].as_ref().unwrap_err();
    assert_eq!((beside.kind(), beside.message()), (ErrorKind::BadInput, "prompt 1"), "told by the prompts of the request");
    let took = |stage| answers.timings.get(stage) > Duration::ZERO;
    assert!(took(Stage::Detect) && took(Stage::ImageEncode) && took(Stage::MaskDecode));

    // An embedding is the segmenter's.
    let answers = pair.answer(&Request::new(embedding, [Ask::Detect, words, click(40.0)])).unwrap().answers;
    assert_eq!(answers[2].as_ref().unwrap().objects, clicked);
    for refused in [&answers[0], &answers[1]].map(|answer| answer.as_ref().unwrap_err()) {
        assert_eq!((refused.kind(), refused.expected()), (ErrorKind::InvalidOption, Some("a picture")));
    }
}

#[test]
fn a_pair_that_finds_nothing_encodes_nothing_for_it() {
    let place = Place::new();
    let pair = Answerer::from(Pair::new(detector(&place), place.synthetic(LoadOptions::default())).unwrap());
    let predict = PredictOptions { conf: Some(1.0), ..PredictOptions::default() };
    let request = Request { predict, ..Request::new(picture(1, SIZE), [Ask::Detect]) };
    assert!(pair.answer(&request).unwrap().answers[0].as_ref().unwrap().objects.is_empty());
    assert_eq!(pair.last().usage().embeddings.misses, 0);
    assert_eq!((pair.name(), pair.models().len()), (format!("{}+{}", pair.models()[0].name(), pair.last().name()), 2));
}

#[test]
fn a_deadline_and_going_end_a_pair_in_either_model() {
    const SLEEP: Duration = Duration::from_millis(400);
    let place = Place::new();
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    let delays = Delays { network: SLEEP, ..Delays::default() };
    let finder = place.engine.load(source, &LoadOptions { warm_up: false, delays, ..LoadOptions::default() }).unwrap();
    let segmenter = place.synthetic(LoadOptions::default());
    let pair = Pair::new(finder, segmenter.clone()).unwrap();
    let request =
        || Request { predict: PredictOptions { conf: Some(0.001), ..Default::default() }, ..Request::new(picture(1, SIZE), [Ask::Detect]) };
    assert_eq!(pair.answer(&request().within(Duration::ZERO)).unwrap_err().kind(), ErrorKind::TimedOut);
    // The finder's run outlasts the deadline, so that the segmenter does not begin.
    assert_eq!(pair.answer(&request().within(SLEEP / 2)).unwrap_err().kind(), ErrorKind::TimedOut);
    let ticket = pair.ask(request()).unwrap();
    std::thread::sleep(SLEEP / 4);
    drop(ticket);
    while segmenter.usage().running > 0 {
        std::thread::yield_now();
    }
    assert_eq!((segmenter.usage().runs.runs, segmenter.usage().waiting), (0, 0), "the segmenter ran for nobody");
}

#[test]
fn sessions_queues_and_joining_are_options() {
    let place = Place::new();
    let options = LoadOptions { sessions: 2, queue: 1, together: Some(1), ..LoadOptions::default() };
    let embedding = place.synthetic(options.clone()).embed(&picture(1, SIZE)).unwrap();
    let prompts = [Prompt::click(40.0, 30.0)];
    let expected = objects(&embedding, &prompts);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6).map(|_| scope.spawn(|| embedding.find(&prompts, &SegmentOptions::default()).unwrap())).collect();
        for found in callers.into_iter().map(|caller| caller.join().unwrap()) {
            assert_eq!(found.timings.rows_together(), 1);
            assert_eq!(found.into_objects(), expected, "the same bits, whichever session answered beside whom");
        }
    });
    let wrong = [
        LoadOptions { sessions: 0, ..options.clone() },
        LoadOptions { queue: 0, ..options.clone() },
        LoadOptions { together: Some(0), ..options },
    ];
    for options in wrong {
        assert_eq!(place.engine.load("nano", &options).unwrap_err().kind(), ErrorKind::InvalidOption);
    }
}
