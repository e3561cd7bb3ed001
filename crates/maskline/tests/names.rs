//! Models by name: the one that is carried, those that were pulled, and names that nothing is known of.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline::runtime::LibraryOptions;
use maskline::{Concern, Engine, EngineOptions, Error, ErrorKind, LoadOptions, ModelSource, write_generated_weights};
use tempfile::TempDir;

/// A home of its own.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder as a pull leaves it; the files have no content that counts.
    fn pulled(&self, name: &str, record: &str, files: &[&str]) -> PathBuf {
        let folder = self.path().join("models").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pulled.json"), record).unwrap();
        files.iter().for_each(|file| std::fs::write(folder.join(file), b"{}").unwrap());
        folder
    }

    fn named(&self, word: &str) -> Result<ModelSource, Error> {
        ModelSource::named(word, self.path())
    }

    fn fails(&self, word: &str, kind: ErrorKind, words: &[&str]) {
        let error = self.named(word).unwrap_err();
        assert_eq!((error.kind(), error.concerns()), (kind, Concern::Model), "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
        }
    }

    /// An engine that finds its pulled models here, and ONNX Runtime where all tests do.
    fn engine(&self) -> Engine {
        let found = maskline::runtime::load(&LibraryOptions::from_env()).unwrap();
        let library = LibraryOptions { home: self.path().into(), path: Some(found.path().to_path_buf()), ..LibraryOptions::from_env() };
        Engine::new(EngineOptions { library, cache: self.path().join("bundles"), ..EngineOptions::default() }).unwrap()
    }
}

const WHOLE: &str = r#"{"checkpoint": "sam2.1-tiny.safetensors", "companions": ["config.json"]}"#;

#[test]
fn the_carried_model_has_its_name() {
    let home = Home::new();
    let carried = ModelSource::carried("nano");
    assert_eq!(ModelSource::find("nano", home.path()).unwrap(), carried);
    // It goes before a pulled one.
    home.pulled("nano", r#"{"checkpoint": "nano.safetensors"}"#, &["nano.safetensors"]);
    if carried.is_some() {
        assert_eq!(home.named("nano").unwrap(), ModelSource::Nano);
        let engine = home.engine();
        let model = engine.load("nano", &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
        assert_eq!((model.name(), model.info().architecture.as_str()), ("nano", "nano"));
        assert!(!engine.build("nano", &Default::default()).unwrap().built, "it is the same bundle");
    }
}

#[test]
fn a_pulled_model_is_what_its_record_says() {
    let home = Home::new();
    let files = ["sam2.1-tiny.safetensors", "config.json", "another.safetensors"];
    let folder = home.pulled("sam2.1-tiny", WHOLE, &files);
    assert_eq!(home.named("sam2.1-tiny").unwrap(), ModelSource::Checkpoint(folder.join("sam2.1-tiny.safetensors")));
    home.fails("sam2.1-small", ErrorKind::BadInput, &["no such model"]);
    std::fs::remove_file(folder.join("config.json")).unwrap();
    home.fails("sam2.1-tiny", ErrorKind::Unavailable, &["not whole", "config.json is missing", "maskline pull sam2.1-tiny"]);
}

#[test]
fn older_records_do_not_name_the_checkpoint() {
    let home = Home::new();
    let old = r#"{"repository": "owner/name", "licence": "", "commit": null, "files": {}}"#;
    let folder = home.pulled("one", old, &["one.pt", "config.json"]);
    assert_eq!(home.named("one").unwrap(), ModelSource::Checkpoint(folder.join("one.pt")));
    std::fs::write(folder.join("two.pt"), b"").unwrap();
    home.fails("one", ErrorKind::Unavailable, &["names no checkpoint", "maskline pull one"]);
    home.pulled("begun", old, &["config.json", "begun.safetensors.partial"]);
    home.fails("begun", ErrorKind::Unavailable, &["not whole", "maskline pull begun"]);
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"#;
    let folder = home.pulled("sharded", old, &["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]);
    std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    assert_eq!(home.named("sharded").unwrap(), ModelSource::Checkpoint(folder.join("model.safetensors.index.json")));
}

#[test]
fn records_that_are_none_lead_nowhere() {
    let home = Home::new();
    std::fs::write(home.path().join("secret.pt"), b"").unwrap();
    home.pulled("up", r#"{"checkpoint": "../../secret.pt"}"#, &[]);
    home.fails("up", ErrorKind::Unavailable, &["names of files", "../../secret.pt"]);
    home.pulled("broken", "not JSON", &["broken.pt"]);
    home.fails("broken", ErrorKind::Unavailable, &["pulled.json", "maskline pull broken"]);
    // What a removal that was cut off leaves.
    home.pulled(".gone.removed", r#"{"checkpoint": "gone.pt"}"#, &["gone.pt"]);
    home.fails(".gone.removed", ErrorKind::BadInput, &["no such model"]);
}

#[test]
fn unknown_names_are_told_from_missing_files() {
    let home = Home::new();
    for word in ["yolo8n", "sam9.1-huge", &"x".repeat(5000)] {
        home.fails(word, ErrorKind::BadInput, &["no such model", word, "`maskline list` names all", ".safetensors"]);
        assert_eq!(ModelSource::find(word, home.path()).unwrap(), None);
    }
    home.pulled("dir", r#"{"checkpoint": "x.pt"}"#, &["x.pt"]);
    for path in ["none.pt", "./nano", "models/dir", "../dir", "NONE.ONNX", "dir/", ""] {
        assert_eq!(home.named(path).unwrap(), ModelSource::of_path(Path::new(path)), "{path}: paths are no names");
    }
    let error = home.engine().build("yolo8n", &Default::default()).unwrap_err();
    assert_eq!(error.to_string(), home.named("yolo8n").unwrap_err().to_string());
    let error = home.engine().build("none.pt", &Default::default()).unwrap_err();
    assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains("give the path"), "{error}");
}

/// The working directory is that of the package.
#[test]
fn a_file_goes_before_a_model_of_its_name() {
    let home = Home::new();
    home.pulled("Cargo.toml", r#"{"checkpoint": "x.pt"}"#, &["x.pt"]);
    assert!(Path::new("Cargo.toml").is_file());
    assert_eq!(home.named("Cargo.toml").unwrap(), ModelSource::Checkpoint("Cargo.toml".into()));
}

#[test]
fn the_engine_loads_what_was_pulled() {
    let home = Home::new();
    let folder = home.pulled("mine.v1", r#"{"checkpoint": "mine.v1.safetensors"}"#, &[]);
    write_generated_weights("yolov8n", 1, &Default::default(), &folder.join("mine.v1.safetensors")).unwrap();
    let model = home.engine().load("mine.v1", &LoadOptions { warm_up: false, ..LoadOptions::default() }).unwrap();
    assert_eq!((model.name(), model.info().architecture.as_str()), ("mine.v1", "yolov8n"));
}
