//! A checkpoint that was written again: its bundle is built again.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use maskline::{BundleOptions, Engine, EngineOptions};

#[test]
fn a_checkpoint_of_the_same_content_and_another_time_is_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(checkpoint) = copied(folder.path()) else { return };
    let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
    let build = || engine.build(&checkpoint, &BundleOptions::default()).unwrap().built;
    assert!(build());
    assert!(!build());
    touch(&checkpoint);
    assert!(build(), "the bundle reads a file that has changed");
    assert!(!build());
}

#[test]
fn while_a_bundle_is_in_use_the_new_one_is_built_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(checkpoint) = copied(folder.path()) else { return };
    let engine = Engine::new(EngineOptions { cache: folder.path().join("cache"), ..EngineOptions::default() }).unwrap();
    let build = || engine.build(&checkpoint, &BundleOptions::default()).unwrap();
    let used = build();
    touch(&checkpoint);
    let new = build();
    assert!(new.built && new.directory != used.directory && used.directory.is_dir());
    assert_eq!(build().directory, new.directory);
    drop((used, new));
    assert!(build().built, "it is back in its place");
}

/// A checkpoint that is large enough for its bundle to read the weights where they lie; `None` (said aloud) where there is none.
fn copied(folder: &Path) -> Option<PathBuf> {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/yolov8n/yolov8n_fused.safetensors");
    if !weights.exists() {
        maskline_testing::skip(format_args!("{} is missing", weights.display()));
        return None;
    }
    let checkpoint = folder.join("model.safetensors");
    std::fs::write(&checkpoint, std::fs::read(weights).unwrap()).unwrap();
    Some(checkpoint)
}

/// Gives the file another time.
fn touch(file: &Path) {
    let file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
}
