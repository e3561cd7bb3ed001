//! Memory stays bounded. Each case is measured in a process of its own, so that no other test's peak hides its own.
#![allow(clippy::unwrap_used)]

mod asking;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use asking::{Place, Random, picture};
use maskline::runtime::{current_rss, peak_rss};
use maskline::{EmbeddingSource, LoadOptions, Prompt, SegmentOptions};

const MB: u64 = 1 << 20;

/// What `work` gives, and how much larger than before this process was meanwhile. Loading a model takes more than what follows, so
/// the system's own figure of the peak is no measure alone; it is asked as well, for what passes between two looks.
fn growth<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let (before, peak) = (current_rss().unwrap(), peak_rss().unwrap());
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = before;
            while !is_done.load(Ordering::Relaxed) {
                most = most.max(current_rss().unwrap());
                std::thread::sleep(Duration::from_millis(1));
            }
            most
        });
        let result = work();
        let after = current_rss().unwrap();
        is_done.store(true, Ordering::Relaxed);
        let most = watch.join().unwrap().max(after);
        (result, (most - before).max(peak_rss().unwrap() - peak))
    })
}

/// Runs one of the measurements below.
fn in_its_own_process(name: &str) {
    if peak_rss().is_none() {
        maskline_testing::skip("this system does not tell the peak of a process");
        return;
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprint!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{name} failed");
}

#[test]
fn a_thousand_boxes_cost_their_answers_and_one_chunk() {
    in_its_own_process("measure_a_thousand_boxes");
}

#[test]
fn two_hundred_pictures_cost_no_more_than_the_cache_may_hold() {
    in_its_own_process("measure_two_hundred_pictures");
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn measure_a_thousand_boxes() {
    let size = (2592, 1944);
    let place = Place::new();
    let embedding = place.synthetic(LoadOptions::default()).embed(&picture(1, size)).unwrap();
    let mut random = Random(9);
    let mut boxes = |count: usize| -> Vec<Prompt> {
        let mut one = || {
            let (x, y) = (random.up_to(2000.0), random.up_to(1500.0));
            Prompt::bounds([x, y, x + 20.0 + random.up_to(900.0), y + 20.0 + random.up_to(700.0)])
        };
        (0..count).map(|_| one()).collect()
    };
    // What a chunk needs in the decoder, and the masks that are enlarged together, is there already.
    let few = embedding.find(&boxes(64), &SegmentOptions::default()).unwrap().into_objects();
    assert_eq!(few.len(), 64);

    let prompts = boxes(1000);
    let (objects, growth) = growth(|| embedding.find(&prompts, &SegmentOptions::default()).unwrap().into_objects());

    assert!(objects.len() == 1000 && objects.iter().all(|object| object.mask.as_ref().unwrap().width() == size.0));
    // Four bytes a run.
    let runs: usize = objects.iter().map(|object| object.mask.as_ref().unwrap().to_rle().counts.len()).sum();
    let result = 4 * runs as u64;
    // For lists with room to grow, and the allocator's arenas of the threads that enlarge masks. Four masks of this picture as floats,
    // a chunk that is enlarged the plain way, are 80 MB; a thousand as bytes 5 GB.
    let spare = 32 * MB;
    eprintln!("1000 boxes: {} MB more, their lists {} MB", growth / MB, result / MB);
    assert!(growth <= result + spare, "peak grew by {} MB; the result is {} MB", growth / MB, result / MB);
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn measure_two_hundred_pictures() {
    let place = Place::new();
    let options = LoadOptions { embedding_cache: MB as usize, ..LoadOptions::default() };
    let model = place.synthetic(options);
    let mut ask = |seed: u64| {
        let embedding = model.embed(&picture(seed, (320, 240))).unwrap();
        assert!(embedding.timings().embedding() == Some(EmbeddingSource::Miss));
        assert!(model.cached_embedding_bytes() <= MB as usize, "{} bytes are kept", model.cached_embedding_bytes());
        let objects = embedding.segment(&[Prompt::click(100.0, 100.0)], &SegmentOptions::default()).unwrap().objects().unwrap();
        assert_eq!(objects.len(), 1);
        embedding.bytes() as u64
    };
    // The cache is full, and what the network needs has been seen.
    let bytes = (0..20).map(&mut ask).max().unwrap();
    let (all, growth) = growth(|| (20..200).map(&mut ask).sum::<u64>());
    // What an allocator may keep of it.
    let spare = 6 * MB;
    eprintln!("180 pictures: {} MB more, their embeddings are {} MB", growth / MB, all / MB);
    assert!(all > 2 * spare, "embeddings of {bytes} bytes are too small to be noticed");
    assert!(growth <= spare, "peak grew by {} MB", growth / MB);
}
