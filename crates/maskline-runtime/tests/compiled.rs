//! What OpenVINO compiles of a model, on disk. A program of its own, as a process has one ONNX Runtime.
#![allow(clippy::unwrap_used)]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::double;
use maskline_runtime::{
    Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, OpenVinoOptions, Provider, Tensor, Variant, load, locate,
};

/// OpenVINO in a folder that seems to have what reads compiled models: it writes them, and then cannot read them.
fn library(folder: &Path) -> Arc<Library> {
    let usual = LibraryOptions { environment_path: None, variant: Variant::OpenVino, ..LibraryOptions::from_env() };
    let fetched = locate(&usual).unwrap().path;
    for file in std::fs::read_dir(fetched.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        std::os::unix::fs::symlink(file.path(), folder.join(file.file_name())).unwrap();
    }
    std::fs::write(folder.join("libopenvino_ir_frontend.txt"), "no library").unwrap();
    let path = folder.join(fetched.file_name().unwrap());
    load(&LibraryOptions { path: Some(path), ..usual }).unwrap()
}

#[test]
fn what_cannot_be_read_back_is_compiled_anew_and_never_taken_for_a_warm_start() {
    let (place, libraries) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let library = library(libraries.path());
    let kept = place.path().join("double.key.optimised.onnx");
    let open = |optimised: Option<&Path>| {
        let provider = Provider::OpenVino(OpenVinoOptions::default());
        let options = LaneOptions { provider, optimised: optimised.map(Path::to_path_buf), ..LaneOptions::default() };
        let lane = Lane::open(&library, ModelSource::Bytes(&double()), &options).unwrap();
        let input = Tensor::new([2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let answer = lane.run(Job::new([("x", input)])).unwrap();
        assert_eq!(answer.f32("y").unwrap().data, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        lane
    };
    let first = open(Some(&kept));
    assert!(first.cold().is_kept && !first.cold().from_optimised && first.unsaved().is_none(), "{:?} {:?}", first.cold(), first.unsaved());
    assert!(std::fs::read_dir(&kept).unwrap().count() > 0, "the first start leaves it behind");
    let second = open(Some(&kept));
    assert!(!second.cold().from_optimised && !kept.exists(), "what could not be read is gone");
    let third = open(Some(&kept));
    assert!(!third.cold().from_optimised && kept.exists());
    // Damaged: made anew without being looked at.
    let blob = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "damaged").unwrap();
    assert!(!open(Some(&kept)).cold().from_optimised);
    assert_ne!(std::fs::read(blob).ok(), Some(b"damaged".to_vec()));
    assert!(!open(None).cold().is_kept);
}
