//! Folders and shards: which files a checkpoint is made of, and what is said where some are missing.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline_weights::{CONFIG, Checkpoint, ErrorKind, FileRole, Source, SourceFile, files_of};
use support::{Pickle, Storage, floats, safetensors};
use tempfile::TempDir;

mod support;

const FIRST: &str = "model-00001-of-00002.safetensors";
const SECOND: &str = "model-00002-of-00002.safetensors";
const INDEX: &str = "model.safetensors.index.json";

fn tensor(name: &str, value: f32) -> Vec<u8> {
    safetensors(&format!(r#"{{"{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}}}"#), &floats(&[value]))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

/// Two shards and their index, with a byte order mark in front as some editors leave it.
fn sharded() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(folder.path(), FIRST, &tensor("a", 1.0));
    write(folder.path(), SECOND, &tensor("b", 2.0));
    let index = format!(r#"{{"metadata": {{"total_size": 8}}, "weight_map": {{"a": "{FIRST}", "b": "{SECOND}"}}}}"#);
    write(folder.path(), INDEX, format!("\u{feff}{index}").as_bytes());
    folder
}

#[test]
fn shards_are_one_checkpoint_by_folder_index_or_any_of_them() {
    let folder = sharded();
    for name in ["", INDEX, FIRST, SECOND] {
        let path = folder.path().join(name);
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b"]);
        let second = checkpoint.root().f32("b", &[1]).unwrap();
        assert_eq!((second.data[0], second.span.unwrap().path), (2.0, folder.path().join(SECOND)), "it lies in its own file");
        assert_eq!(checkpoint.unused(), ["a"]);
        let files: Vec<_> = files_of(&path).unwrap().iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(files, [INDEX, FIRST, SECOND], "all of them decide about a cached result");
    }
}

#[test]
fn missing_and_wrong_shards_are_named() {
    let error = |folder: &TempDir, name: &str| {
        let error = Checkpoint::open(&folder.path().join(name)).unwrap_err();
        (error.kind(), error.to_string())
    };
    let folder = sharded();
    std::fs::remove_file(folder.path().join(SECOND)).unwrap();
    let (kind, text) = error(&folder, "");
    assert!(kind == ErrorKind::Missing && text.contains(SECOND) && !text.contains(FIRST), "{text}");
    let folder = sharded();
    std::fs::remove_file(folder.path().join(INDEX)).unwrap();
    for name in ["", FIRST] {
        let (kind, text) = error(&folder, name);
        assert!(kind == ErrorKind::Unsupported && text.contains(INDEX), "{text}");
    }
    let folder = sharded();
    write(folder.path(), SECOND, &tensor("c", 2.0));
    let (kind, text) = error(&folder, "");
    assert!(kind == ErrorKind::Corrupt && text.starts_with("b:") && text.contains(SECOND), "{text}");
    let folder = sharded();
    write(
        folder.path(),
        SECOND,
        &safetensors(
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            &[0; 8],
        ),
    );
    assert!(error(&folder, "").1.contains("two shards"), "neither copy may win");
}

#[test]
fn an_index_reaches_no_file_outside_of_its_folder() {
    for bad in ["../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", "", "a\\\\b"] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), INDEX, format!(r#"{{"weight_map": {{"a": "{bad}"}}}}"#).as_bytes());
        let error = Checkpoint::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{bad}: {error}");
    }
    for broken in ["{}", "{\"weight_map\": 3}", "{\"weight_map\": {}}", "nonsense", "{\"weight_map\": {\"a\": 1}}"] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), INDEX, broken.as_bytes());
        assert_eq!(Checkpoint::open(folder.path()).unwrap_err().kind(), ErrorKind::Corrupt, "{broken}");
    }
}

#[test]
fn a_folder_without_the_usual_name_opens_its_one_checkpoint() {
    let pickle = Pickle::new().op(b"}(").str("w").tensor(&Storage::floats(1), 0, &[1], &[1]).op(b"u");
    let archive = pickle.archive(&[("0", &floats(&[3.0]))]);
    for name in ["pytorch_model.bin", "best.pt", "weights.safetensors", "model-00001-of-00001.safetensors"] {
        let folder = TempDir::new().unwrap();
        write(folder.path(), "config.json", b"{}");
        write(folder.path(), name, &if name.ends_with("safetensors") { tensor("w", 3.0) } else { archive.clone() });
        let checkpoint = Checkpoint::open(folder.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(checkpoint.root().f32("w", &[1]).unwrap().data[..], [3.0], "{name}");
    }
    // What trainers keep beside it is none.
    let folder = TempDir::new().unwrap();
    for name in
        ["optimizer.pt", "training_args.bin", "scheduler.bin", "scaler.pt", "rng_state_0.pth", "random_states_12.pt", "optimizer_1.bin"]
    {
        write(folder.path(), name, b"none");
    }
    assert!(Checkpoint::open(folder.path()).unwrap_err().to_string().contains("without a checkpoint"));
    write(folder.path(), "finetuned.pt", &archive);
    assert_eq!(Checkpoint::open(folder.path()).unwrap().names().collect::<Vec<_>>(), ["w"]);
    let folder = TempDir::new().unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("model.safetensors"), "{error}");
    write(folder.path(), "last.pt", &archive);
    write(folder.path(), "best.pt", &archive);
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("best.pt, last.pt"), "{error}");
}

#[test]
fn a_source_is_its_weights_and_what_a_family_may_read_beside_them() {
    let folder = sharded();
    for (name, text) in [("config.json", "{}"), ("tokenizer.json", "{\"a\": 1}"), ("merges.txt", "a b"), ("notes.txt", "mine")] {
        write(folder.path(), name, text.as_bytes());
    }
    let source = Source::open(folder.path()).unwrap();
    let files: Vec<(&str, FileRole)> = source.files().iter().map(|file| (file.name(), file.role())).collect();
    let (index, weights, companion) = (FileRole::Index, FileRole::Weights, FileRole::Companion);
    let expected = [(INDEX, index), (FIRST, weights), (SECOND, weights), (CONFIG, companion), ("merges.txt", companion)];
    assert_eq!(files, [&expected[..], &[("tokenizer.json", companion)]].concat());
    let content = |name: &str| source.companion(name).and_then(SourceFile::content).map(<[u8]>::to_vec);
    assert_eq!(content("tokenizer.json").unwrap(), b"{\"a\": 1}");
    assert!(content("notes.txt").is_none() && content(FIRST).is_none());
    // What was read is what the source goes on to hold.
    write(folder.path(), "merges.txt", b"c d");
    assert_eq!(content("merges.txt").unwrap(), b"a b");
    assert!(Source::generated(1).files().is_empty());
}

#[test]
fn a_checkpoint_has_its_own_configuration_before_the_folders() {
    let folder = TempDir::new().unwrap();
    for name in ["best.safetensors", "last.safetensors"] {
        write(folder.path(), name, &tensor("a", 1.0));
    }
    write(folder.path(), "best.config.json", b"1");
    write(folder.path(), "config.json", b"2");
    let config = |name: &str| {
        let source = Source::open(&folder.path().join(name)).unwrap();
        let file = source.companion(CONFIG).unwrap();
        (file.name().to_owned(), file.content().unwrap().to_vec())
    };
    assert_eq!(config("best.safetensors"), (CONFIG.to_owned(), b"1".to_vec()));
    assert_eq!(config("last.safetensors"), (CONFIG.to_owned(), b"2".to_vec()));
}

#[test]
fn a_companion_that_nobody_can_mean_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    write(folder.path(), "model.safetensors", &tensor("a", 1.0));
    std::fs::File::create(folder.path().join("vocab.json")).unwrap().set_len((64 << 20) + 1).unwrap();
    let source = Source::open(&path).unwrap();
    let vocabulary = source.companion("vocab.json").unwrap();
    assert!(vocabulary.content().is_none() && vocabulary.path().is_file(), "it decides about what is cached all the same");
}
