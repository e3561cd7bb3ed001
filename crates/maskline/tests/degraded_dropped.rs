//! A degraded model that is dropped seeks no return. Alone in its process, whose threads are counted by their names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use maskline::{Engine, EngineOptions, Faults, LoadOptions, ModelSource};

fn seekers() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|name| name.trim() == "maskline-back").count()
}

#[test]
fn a_model_that_is_dropped_seeks_no_return() {
    let engine = Engine::new(EngineOptions::default()).unwrap();
    let faults = Faults { count: 1, pause: Some(Duration::from_secs(3600)), ..Faults::default() };
    let model = engine.load(ModelSource::Nano, &LoadOptions { faults, degrade: true, ..LoadOptions::default() }).unwrap();
    assert!(model.degraded().is_some());
    assert_eq!(seekers(), 1);
    drop(model);
    // The system forgets an ended thread a moment later.
    let start = Instant::now();
    while seekers() > 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "it waits for an hour");
        std::thread::sleep(Duration::from_millis(1));
    }
}
