//! What decides about a bundle: every file that it is made from, and no wish that changes nothing.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use maskline::{
    BundleOptions, Engine, EngineOptions, ErrorKind, LabelSource, ModelSource, SizeSource, read_names, write_generated_weights,
};
use maskline_onnx::proto::{ModelProto, StringStringEntryProto, TensorProto};
use maskline_onnx::{Constant, DType, Dialect, Dim, Graph};
use prost::Message;

fn engine(folder: &Path) -> Engine {
    Engine::new(EngineOptions { cache: folder.join("cache"), ..EngineOptions::default() }).unwrap()
}

/// An export whose one weight lies in `weights.bin` beside it, with the location that `locate` makes of that name.
fn save_export(folder: &Path, locate: &dyn Fn(&str) -> String) -> PathBuf {
    let values: Vec<f32> = (0..6 * 84).map(|i| i as f32 / 1024.0).collect();
    let mut g = Graph::new("export", Dialect::Portable);
    let images = g.input("images", DType::F32, [Dim::fixed(1), 3.into(), 64.into(), 64.into()]).unwrap();
    let weight = g.constant(Constant::f32(&[1, 6, 84], values.clone()).unwrap());
    let zero = g.reduce_min(&images, &[0, 1, 2, 3], false).unwrap();
    let zero = g.sub(&zero, &zero).unwrap();
    let output = g.add(&weight, &zero).unwrap();
    g.output("output0", &output).unwrap();
    let facts = [("task", "detect"), ("names", "{0: 'cat', 1: 'dog'}"), ("stride", "32"), ("imgsz", "[64, 64]")];
    facts.iter().for_each(|(key, value)| g.metadata(key, value));
    let mut model = ModelProto::decode(g.finish().unwrap().to_bytes().unwrap().as_slice()).unwrap();
    let is_weight = |tensor: &&mut TensorProto| tensor.dims == [1, 6, 84];
    let tensor = model.graph.as_mut().unwrap().initializer.iter_mut().find(is_weight).unwrap();
    std::fs::write(folder.join("weights.bin"), tensor.raw_data.take().unwrap()).unwrap();
    let location = locate("weights.bin");
    tensor.external_data = vec![StringStringEntryProto { key: "location".into(), value: location }];
    tensor.data_location = Some(1);
    let path = folder.join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

#[test]
fn another_weight_beside_an_export_is_another_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let path = save_export(folder.path(), &str::to_owned);
    let build = || engine.build(&path, &BundleOptions::default()).unwrap();
    let first = build();
    assert!(first.built && !build().built);
    let weights = folder.path().join("weights.bin");
    let before = std::fs::metadata(&weights).unwrap().modified().unwrap();
    let sha = ModelSource::of_path(&path).weights_sha256().unwrap();
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[5] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    // Same length and same time, as `cp -p` leaves them: the content decides.
    std::fs::OpenOptions::new().append(true).open(&weights).unwrap().set_modified(before).unwrap();
    let second = build();
    assert!(second.built && second.directory != first.directory, "an optimised graph of the old weights would be used");
    assert_ne!(ModelSource::of_path(&path).weights_sha256().unwrap(), sha);
}

#[test]
fn weights_that_are_missing_or_elsewhere_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let error = |path: &Path| {
        let error = engine.build(path, &BundleOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        error.to_string()
    };
    let path = save_export(&inner, &str::to_owned);
    std::fs::remove_file(inner.join("weights.bin")).unwrap();
    assert!(error(&path).contains("`weights.bin`, which is missing"));
    let outside = folder.path().join("weights.bin").display().to_string();
    for location in ["../weights.bin".to_owned(), outside] {
        let path = save_export(&inner, &|_| location.clone());
        std::fs::copy(inner.join("weights.bin"), folder.path().join("weights.bin")).unwrap();
        assert!(error(&path).contains("outside of the model's folder"), "{location}");
    }
}

#[cfg(unix)]
#[test]
fn a_link_finds_its_weights_beside_itself_or_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let store = folder.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let path = save_export(&store, &str::to_owned);
    let beside_target = folder.path().join("link.onnx");
    std::os::unix::fs::symlink(&path, &beside_target).unwrap();
    assert!(engine.load(&beside_target, &Default::default()).is_ok(), "the weights lie beside the target");
    // As stores of download tools: both files are links with names, to contents without.
    let view = folder.path().join("view");
    std::fs::create_dir(&view).unwrap();
    for (name, content) in [("model.onnx", "0a"), ("weights.bin", "0b")] {
        std::fs::rename(store.join(name), store.join(content)).unwrap();
        std::os::unix::fs::symlink(store.join(content), view.join(name)).unwrap();
    }
    assert!(engine.load(&view.join("model.onnx"), &Default::default()).is_ok(), "the weights lie beside the link");
}

/// Weights of the smallest architecture, in two shards.
fn save_shards(folder: &Path) {
    let whole = folder.join("whole.safetensors");
    write_generated_weights("yolov8n", 3, &BundleOptions::default(), &whole).unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut places = serde_json::Map::new();
    for (shard, start) in [(1, true), (2, false)] {
        let name = format!("model-0000{shard}-of-00002.safetensors");
        let tensors: Vec<_> = file.tensors().into_iter().filter(|(tensor, _)| tensor.starts_with("model.1") == start).collect();
        tensors.iter().for_each(|(tensor, _)| drop(places.insert(tensor.clone(), name.clone().into())));
        safetensors::serialize_to_file(tensors, None, &folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("model.safetensors.index.json"), serde_json::json!({ "weight_map": places }).to_string()).unwrap();
    std::fs::remove_file(whole).unwrap();
}

#[test]
fn every_shard_decides_about_the_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let checkpoint = folder.path().join("checkpoint");
    std::fs::create_dir(&checkpoint).unwrap();
    save_shards(&checkpoint);
    let build = |name: &str| engine.build(&checkpoint.join(name), &BundleOptions::default()).unwrap();
    assert!(build("").built && !build("").built);
    assert!(!build("model.safetensors.index.json").built && !build("model-00002-of-00002.safetensors").built, "one and the same");
    let second = checkpoint.join("model-00002-of-00002.safetensors");
    let mut bytes = std::fs::read(&second).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&second, bytes).unwrap();
    assert!(build("").built, "the second shard changed");
    std::fs::remove_file(&second).unwrap();
    let error = engine.build(&checkpoint, &BundleOptions::default()).unwrap_err().to_string();
    assert!(error.contains("model-00002-of-00002.safetensors"), "{error}");
}

#[test]
fn a_size_makes_no_bundle_of_its_own_where_the_graph_takes_any() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let path = folder.path().join("model.safetensors");
    write_generated_weights("yolov8n", 3, &BundleOptions::default(), &path).unwrap();
    let sized = |size: Option<usize>| BundleOptions { image_size: size, ..BundleOptions::default() };
    let synthetic = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    let nano = ModelSource::carried("nano");
    for source in [Some(ModelSource::of_path(&path)), Some(synthetic), nano].into_iter().flatten() {
        let usual = engine.build(source.clone(), &sized(None)).unwrap();
        let other = engine.build(source.clone(), &sized(Some(320))).unwrap();
        assert_eq!(usual.directory, other.directory, "{source:?}");
        assert!(!other.built);
        if source != ModelSource::Nano {
            assert_eq!((usual.info().default_size, usual.info().size_from), (640, SizeSource::Published));
            assert_eq!((other.info().default_size, other.info().size_from), (320, SizeSource::Given), "the wish counts all the same");
        }
    }
    let fixed = ModelSource::Synthetic { architecture: "mobile-sam".into(), seed: 1 };
    assert_ne!(
        engine.build(fixed.clone(), &sized(Some(256))).unwrap().directory,
        engine.build(fixed, &sized(Some(512))).unwrap().directory
    );
    for (bad, kind) in
        [(0, ErrorKind::InvalidOption), (100, ErrorKind::InvalidOption), (8224, ErrorKind::OverLimit), (usize::MAX, ErrorKind::OverLimit)]
    {
        let error = engine.build(&path, &sized(Some(bad))).unwrap_err();
        assert_eq!(error.kind(), kind, "{bad}: {error}");
    }
    let export = save_export(folder.path(), &str::to_owned);
    assert_eq!(engine.build(&export, &sized(Some(64))).unwrap().info().default_size, 64);
    assert_eq!(engine.build(&export, &sized(Some(96))).unwrap_err().kind(), ErrorKind::InvalidOption);
}

#[test]
fn given_names_are_counted_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let named =
        |count: usize| BundleOptions { labels: Some((0..count).map(|i| format!("part {i}")).collect()), ..BundleOptions::default() };
    let source = ModelSource::Synthetic { architecture: "yolov8n".into(), seed: 1 };
    let usual = engine.build(source.clone(), &BundleOptions::default()).unwrap();
    assert_eq!(usual.info().labels_from, LabelSource::Assumed { data_set: "COCO".into() });
    let bundle = engine.build(source.clone(), &named(80)).unwrap();
    assert_eq!((bundle.info().labels[7].as_str(), &bundle.info().labels_from), ("part 7", &LabelSource::Given));
    assert_eq!(engine.build(source.clone(), &BundleOptions::default()).unwrap().info().labels[0], "person");
    assert_eq!(engine.build(source, &named(3)).unwrap_err().kind(), ErrorKind::InvalidOption);
    let export = save_export(folder.path(), &str::to_owned);
    assert_eq!(engine.build(&export, &named(2)).unwrap().info().labels, ["part 0", "part 1"]);
    assert_eq!(engine.build(&export, &named(3)).unwrap_err().kind(), ErrorKind::BadInput);
    let promptable = ModelSource::Synthetic { architecture: "mobile-sam".into(), seed: 1 };
    let options = BundleOptions { image_size: Some(256), ..named(1) };
    assert_eq!(engine.build(promptable, &options).unwrap_err().kind(), ErrorKind::InvalidOption);
    let huge = BundleOptions { keypoint_shape: Some([usize::MAX, 3]), ..BundleOptions::default() };
    assert_eq!(engine.build(&export, &huge).unwrap_err().kind(), ErrorKind::InvalidOption);
}

#[test]
fn names_are_read_from_files_of_any_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names");
    for text in ["\u{feff}a\r\nb c\r\n", "nc: 2\nnames:\n  1: b c\n  0: a\n", "{\"names\": [\"a\", \"b c\"]}"] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(read_names(&path).unwrap(), ["a", "b c"], "{text}");
    }
    for bad in [&b""[..], b"a\n\nb", b"\xff\xfea\0", b"{\"names\": 3}"] {
        std::fs::write(&path, bad).unwrap();
        let error = read_names(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::BadInput && error.to_string().contains(&path.display().to_string()), "{error}");
    }
    assert_eq!(read_names(folder.path()).unwrap_err().kind(), ErrorKind::BadInput);
    assert_eq!(read_names(&folder.path().join("absent")).unwrap_err().kind(), ErrorKind::BadInput);
}

#[test]
fn the_configuration_beside_a_checkpoint_decides_too() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let path = folder.path().join("best.safetensors");
    write_generated_weights("yolov8n", 3, &BundleOptions::default(), &path).unwrap();
    let build = || engine.build(&path, &BundleOptions::default()).unwrap().directory;
    let mut seen = vec![build()];
    for (name, text) in [("config.json", "{}"), ("config.json", "\u{feff}{\"a\": 1}"), ("best.config.json", "{\"b\": 2}")] {
        std::fs::write(folder.path().join(name), text).unwrap();
        let directory = build();
        assert!(!seen.contains(&directory), "{name}: {text}");
        seen.push(directory);
    }
}

/// Bytes of a folder's files, by name.
fn sizes(folder: &Path) -> BTreeMap<String, u64> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect()
}

#[test]
fn weights_lie_once_in_a_bundle_however_many_parts_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let path = folder.path().join("model.safetensors");
    let options = BundleOptions::default();
    write_generated_weights("sam2.1-tiny", 1, &options, &path).unwrap();
    let weights = std::fs::metadata(&path).unwrap().len();
    // What is worked out from little, for this picture size: for each cell its positions in the embedding, in the memory attention and in a
    // memory, and the angles by which the memory attention turns it, and what the folded decoder's last two keys and last queries are of
    // its positions. (The trunk's are worked out when the graph is opened.)
    let positions = 4 * 64 * 64 * (256 + 256 + 64 + 2 * 128 + 3 * 128);
    // What the folded decoder has of weights multiplied by each other: for the picture, and for prompts with masks and without.
    let products = 4 * (256 * (8 * 128 + 145 + 274 + 256) + 2 * 274 * (3 * 128 + 256 + 274));
    let tables = positions + products;
    // Generated weights are written, …
    let generated = engine.build(ModelSource::Synthetic { architecture: "sam2.1-tiny".into(), seed: 1 }, &options).unwrap();
    let bytes: u64 = sizes(&generated.directory).values().sum();
    assert!(bytes * 100 <= (weights + tables) * 102, "{bytes} bytes for {weights} of weights and {tables} of tables");
    // … those of a file have a link, and beside it lies what was computed from them.
    let read = engine.build(&path, &options).unwrap();
    let files = sizes(&read.directory);
    assert_eq!(files.iter().filter(|(_, bytes)| **bytes >= weights).map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["checkpoint-0"]);
    let beside = files.values().sum::<u64>() - weights;
    assert!(beside < bytes, "{beside} bytes beside the checkpoint, {bytes} without one");
    // The decoders read nearly the same.
    let bytes = |part: &str| read.weights_bytes(part).unwrap();
    assert!(bytes("mask_decoder_with_mask") > bytes("mask_decoder") && files["mask_decoder_with_mask.weights"] < bytes("mask_decoder") / 2);
}

#[test]
fn what_lies_beside_a_checkpoint_decides_where_a_family_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let path = folder.path().join("model.safetensors");
    write_generated_weights("yolov8n", 3, &BundleOptions::default(), &path).unwrap();
    let build = || engine.build(&path, &BundleOptions::default()).unwrap().directory;
    let mut seen = vec![build()];
    for (name, text) in [("tokenizer.json", "{}"), ("merges.txt", "{}"), ("merges.txt", "a"), ("preprocessor_config.json", "a")] {
        std::fs::write(folder.path().join(name), text).unwrap();
        let directory = build();
        assert!(!seen.contains(&directory), "{name}: {text}");
        seen.push(directory);
    }
    std::fs::write(folder.path().join("README.md"), "which no family reads").unwrap();
    assert_eq!(build(), seen[4]);
}
