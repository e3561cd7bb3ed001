//! Many callers of models that are slow: who is urgent, who goes, who is late, and what the numbers say.
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use asking::{SIDE, SIZE, picture};
use maskline::{
    Ask, BundleOptions, Delays, Embedding, EmbeddingSource, Engine, EngineOptions, ErrorKind, Image, LoadOptions, Model, ModelSource,
    Priority, Prompt, Request, RgbImage, SegmentOptions,
};

/// So long a slow model takes: what happens meanwhile takes far less.
const SLOW: Duration = Duration::from_secs(3);
/// More than any machine takes.
const LONG: Duration = Duration::from_secs(120);

/// An engine whose models have one thread each for tickets.
fn engine(folder: &tempfile::TempDir) -> Engine {
    let options = EngineOptions { cache: folder.path().into(), workers: 1, queue: 1000, ..EngineOptions::default() };
    Engine::new(options).unwrap()
}

fn load(engine: &Engine, decode: Duration) -> Model {
    let source = ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 3 };
    let bundle = BundleOptions { image_size: Some(SIDE), ..BundleOptions::default() };
    let delays = Delays { mask_decode: decode, ..Delays::default() };
    engine.load(source, &LoadOptions { bundle, warm_up: false, delays, ..LoadOptions::default() }).unwrap()
}

fn click(embedding: &Embedding) -> Request {
    Request::new(embedding.clone(), [Ask::Object(Prompt::click(40.0, 30.0))])
}

/// Waits until the model has this to do.
fn until(model: &Model, is_so: impl Fn(&maskline::Usage) -> bool) {
    let start = Instant::now();
    while !is_so(&model.usage()) {
        assert!(start.elapsed() < LONG, "{:?}", model.usage());
        std::thread::yield_now();
    }
}

#[test]
fn a_slow_model_keeps_no_other_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(&folder);
    let (slow, fast) = (load(&engine, SLOW), load(&engine, Duration::ZERO));
    let slow_one = slow.ask(click(&slow.embed(&picture(1, SIZE)).unwrap())).unwrap();
    let embedding = fast.embed(&picture(1, SIZE)).unwrap();
    until(&slow, |usage| usage.running == 1);
    assert!(fast.ask(click(&embedding)).unwrap().wait().unwrap().answers[0].is_ok());
    assert!(slow_one.wait_for(Duration::ZERO).is_none(), "it has not been waited for");
    assert!(slow_one.wait().unwrap().answers[0].is_ok());
}

#[test]
fn a_thousand_dropped_tickets_leave_all_their_room_and_the_late_are_told_while_all_are_busy() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(&engine(&folder), SLOW);
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let first = model.ask(click(&embedding)).unwrap();
    until(&model, |usage| usage.running == 1);
    let ask = || (0..1000).map(|_| model.ask(click(&embedding)).unwrap()).collect::<Vec<_>>();
    let tickets = ask();
    assert_eq!(model.ask(click(&embedding)).unwrap_err().kind(), ErrorKind::Busy);
    let (tell, told) = channel();
    tickets[500].on_ready(move |answers| tell.send(answers).unwrap());
    drop(tickets);
    assert_eq!(model.usage().waiting, 0);
    assert_eq!(told.recv().unwrap().unwrap_err().kind(), ErrorKind::Cancelled, "who listens hears of it");
    drop(ask());
    let late = model.ask(click(&embedding).within(Duration::from_millis(20))).unwrap();
    assert_eq!(late.wait().unwrap_err().kind(), ErrorKind::TimedOut);
    let usage = model.usage();
    assert_eq!((usage.waiting, usage.running), (0, 1), "nobody has been free yet");
    assert!(first.wait().unwrap().answers[0].is_ok());
}

#[test]
fn the_most_urgent_request_is_answered_next() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(&engine(&folder), SLOW / 4);
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let first = model.ask(click(&embedding)).unwrap();
    until(&model, |usage| usage.running == 1);
    let (tell, told) = channel();
    let tickets = [Priority::Low, Priority::Normal, Priority::High].map(|priority| {
        let (ticket, tell) = (model.ask(Request { priority, ..click(&embedding) }).unwrap(), tell.clone());
        ticket.on_ready(move |answers| tell.send((priority, answers.is_ok())).unwrap());
        ticket
    });
    drop(tell);
    assert_eq!(told.iter().collect::<Vec<_>>(), Priority::ALL.map(|priority| (priority, true)));
    drop(tickets);
    assert!(first.wait().is_ok());
}

#[test]
fn who_waits_for_a_network_is_told_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { cache: folder.path().into(), ..EngineOptions::default() };
    let model = load(&Engine::new(options).unwrap(), SLOW);
    let embedding = model.embed(&picture(1, SIZE)).unwrap();
    let first = model.ask(click(&embedding)).unwrap();
    until(&model, |usage| usage.running == 1);
    // It has begun when nothing waits for the network any more.
    std::thread::sleep(SLOW / 6);
    // Of another form, so that it cannot run with the first one.
    let prompt = Prompt::bounds([5.0, 5.0, 60.0, 50.0]).with_click(9.0, 9.0, true);
    let late = Request::new(embedding.clone(), [Ask::Object(prompt)]).within(Duration::from_millis(20));
    assert_eq!(model.ask(late).unwrap().wait().unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(first.wait_for(Duration::ZERO).is_none() && model.queued() == 0, "the network was busy all the time");
    drop(first);
}

#[test]
fn the_numbers_say_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let model = load(&engine(&folder), Duration::ZERO);
    let image = picture(1, SIZE);
    assert_eq!(model.usage().runs.runs, 0);
    assert!(model.embedding_of(&image).is_none() && model.usage().embeddings.misses == 0, "it only looks");
    let made = model.embed(&image).unwrap();
    model.embed(&image).unwrap();
    let held = model.embedding_of(&picture(1, SIZE)).unwrap();
    assert_eq!((held.size(), held.timings().embedding()), (SIZE, Some(EmbeddingSource::Hit)));
    let prompts = [Prompt::click(40.0, 30.0), Prompt::click(20.0, 30.0)];
    let found = |embedding: &Embedding| embedding.find(&prompts, &SegmentOptions { chunk: Some(2), ..Default::default() }).unwrap();
    assert_eq!(found(&held).into_objects(), found(&made).into_objects());
    let usage = model.usage();
    assert_eq!((usage.embeddings.entries, usage.embeddings.hits, usage.embeddings.misses), (1, 1, 1));
    assert!(usage.embeddings.bytes > 0 && usage.embeddings.bytes <= usage.embeddings.limit);
    assert_eq!((usage.runs.runs, usage.runs.rows, usage.runs.failed), (3, 1 + 2 + 2, 0), "the encoder, and the decoder twice");
    assert!(usage.runs.time > Duration::ZERO);
    assert_eq!((usage.waiting, usage.running, usage.queued), (0, 0, 0));
}

#[test]
fn a_picture_is_known_by_its_size_and_pixels() {
    let of = |width, height, level| Image::from_pixels(RgbImage::new(width, height, vec![level; 3 * width * height]).unwrap());
    assert_eq!((of(6, 4, 9).id(), of(6, 4, 9).bytes()), (of(6, 4, 9).id(), 72));
    assert_eq!(of(6, 4, 9).id().len(), 64);
    assert_ne!(of(6, 4, 9).id(), of(4, 6, 9).id());
    assert_ne!(of(6, 4, 9).id(), of(6, 4, 8).id());
}
