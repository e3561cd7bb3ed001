//! How many threads a process has does not depend on how many callers it serves.
#![allow(clippy::unwrap_used)]

mod asking;

use std::sync::Barrier;

use asking::{Place, SIZE, picture};
use maskline::{InputSize, LoadOptions, ModelSource, PredictOptions, Prompt, SegmentOptions};

/// Threads of this process; `None` where the system does not tell.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// The harness's own: the main thread and the one of this test.
const HARNESS: usize = 2;

#[test]
fn callers_share_the_threads_of_the_process() {
    if threads().is_none() {
        return maskline_testing::skip("this system does not tell the threads of a process");
    }
    let place = Place::new();
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    let detector = place.engine.load(source, &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    let embedding = place.synthetic(LoadOptions::default()).embed(&picture(1, SIZE)).unwrap();
    // The detector's, the encoder's and the decoder's.
    let lanes = 3;
    let cores = std::thread::available_parallelism().unwrap().get();
    let (predict, image) = (PredictOptions { size: InputSize::Square(64), ..PredictOptions::default() }, picture(1, SIZE));
    for callers in [1, 12] {
        let barrier = Barrier::new(callers);
        let caller = |index: usize| {
            barrier.wait();
            for _ in 0..4 {
                detector.predict(&image, &predict).unwrap();
                // Enough masks for the host's own pool.
                let prompts = vec![Prompt::click(5.0 + index as f32, 5.0); 16];
                embedding.find(&prompts, &SegmentOptions::default()).unwrap();
            }
            threads().unwrap()
        };
        let caller = &caller;
        let counted = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..callers).map(|index| scope.spawn(move || caller(index))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).max().unwrap()
        });
        let own = counted - callers - HARNESS;
        let most = (cores - 1) + (cores.min(8) - 1) + lanes;
        assert!(own <= most, "{callers} callers: {own} threads beside theirs, expected at most {most}");
    }
}
