//! Generated weights as a file: it is a checkpoint of its family like any published one, and makes the same model.
#![allow(clippy::unwrap_used)]

use maskline::{BundleOptions, ErrorKind, write_generated_weights};
use maskline_models::{BuildOptions, family_of, family_of_architecture};
use maskline_weights::Source;

/// One architecture per family that other programs run, the smallest.
const ARCHITECTURES: [&str; 5] = ["yolov8n", "sam2.1-tiny", "mobile-sam", "efficientvit-sam-l0", "sam-vit-base"];

#[test]
fn a_written_file_is_read_as_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    for architecture in ARCHITECTURES {
        let path = folder.path().join("weights.safetensors");
        write_generated_weights(architecture, 5, &BundleOptions::default(), &path).unwrap();
        let file = Source::open(&path).unwrap();
        let family = family_of(file.checkpoint()).unwrap();
        // A tensor of the file without a place in the graphs would be an error.
        let built = family.build(&file, &BuildOptions::default()).unwrap();
        let generated = Source::generated(5);
        let options = BuildOptions { architecture: Some(architecture.into()), ..BuildOptions::default() };
        let wanted = family_of_architecture(architecture).unwrap().build(&generated, &options).unwrap();
        assert_eq!(built.info().architecture, architecture);
        assert_eq!((&built.info().preprocess, &built.info().output), (&wanted.info().preprocess, &wanted.info().output), "{architecture}");
        assert_eq!(built.info().parts, wanted.info().parts);
        assert_eq!(file.checkpoint().unused(), Vec::<String>::new(), "{architecture}");
    }
}

#[test]
fn an_unknown_architecture_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let error = write_generated_weights("yolov9000", 0, &BundleOptions::default(), &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadInput);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
