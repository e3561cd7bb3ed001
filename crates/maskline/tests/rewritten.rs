//! A checkpoint that was written again: its bundle is built again.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, SystemTime};

use maskline::runtime::LibraryOptions;
use maskline::{BundleOptions, Engine, EngineOptions};

#[test]
fn a_checkpoint_of_the_same_content_and_another_time_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    // Large enough that the bundle reads the weights where they lie.
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/yolov8n/yolov8n_fused.safetensors");
    if !weights.exists() {
        eprintln!("skipped: {} is missing", weights.display());
        return;
    }
    let checkpoint = folder.path().join("model.safetensors");
    std::fs::write(&checkpoint, std::fs::read(weights).unwrap()).unwrap();
    let engine = Engine::new(EngineOptions { library: LibraryOptions::from_env(), cache: folder.path().join("cache") }).unwrap();
    let build = || engine.build(&checkpoint, &BundleOptions::default()).unwrap().built;
    assert!(build());
    assert!(!build());
    let file = std::fs::OpenOptions::new().append(true).open(&checkpoint).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
    drop(file);
    assert!(build(), "the bundle reads a file that has changed");
    assert!(!build());
}
