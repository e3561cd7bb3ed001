//! What is in use stays on disk.
#![allow(clippy::unwrap_used)]

use maskline::runtime::{Cache, PruneOptions};
use maskline::{Engine, EngineOptions, LoadOptions, ModelSource};

#[test]
fn the_bundle_of_a_loaded_model_is_not_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions { cache: folder.path().into(), ..EngineOptions::default() }).unwrap();
    let source = || ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    let options = LoadOptions { warm_up: false, ..LoadOptions::default() };
    // As another process has it: only the files on disk are shared.
    let prune = || Cache::new(folder.path()).prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    // The first one built the bundle, the second one found it: both are users of it.
    let built = engine.load(source(), &options).unwrap();
    let found = engine.load(source(), &options).unwrap();
    assert!(built.bundle().built && !found.bundle().built);
    drop(built);
    let pruned = prune();
    assert_eq!((pruned.entries, pruned.in_use), (0, 1));
    assert!(found.bundle().parts().all(|(_, file)| file.is_file()));
    // A bundle outlives its model.
    let bundle = found.bundle().clone();
    drop(found);
    assert_eq!(prune().in_use, 1);
    drop(bundle);
    assert_eq!(prune().entries, 1);
}
