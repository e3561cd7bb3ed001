//! Checkpoints and configurations that are not taken: named for what they are.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use maskline_models::{BuildOptions, Facts, family_of, recognise};
use maskline_weights::Source;
use support::{Module, Value, detector, save_pickle, save_tensors};
use tempfile::TempDir;

mod support;

fn with_tensors(names: &[&str]) -> Module {
    let tensors = names.iter().map(|name| ((*name).to_owned(), vec![2])).collect();
    Module { tensors, ..Module::new("my.Net") }
}

fn error_of(path: &Path) -> String {
    recognise(Source::open(path).unwrap()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn well_known_models_that_are_not_built_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    for (names, what) in [
        (["model.0.conv.weight", "model.10.m.0.attn.qkv.conv.weight"], "a YOLO11 or YOLO26 without its head"),
        (["model.2.cv3.conv.weight", "model.24.m.0.weight"], "a YOLOv5"),
        (["model.10.attn.qkv.conv.weight", "model.23.one2one_cv2.0.0.conv.weight"], "a YOLOv10"),
        (["model.0.conv.weight", "model.23.savpe.cv1.0.0.conv.weight"], "a YOLOE"),
        (["model.0.conv.weight", "model.22.cv4.0.logit_scale"], "a YOLO-World"),
        (["model.0.conv.weight", "model.29.cv2.3.0.conv.weight"], "a YOLO of four levels"),
        (["heads.head1.bbox_stem.weight", "backbone.stem.conv.weight"], "a YOLO-NAS"),
        (["base_model.model.q.lora_A.default.weight", "base_model.model.q.lora_B.default.weight"], "a LoRA adapter"),
        (["mask_decoder.hf_token.weight", "mask_decoder.iou_token.weight"], "an HQ-SAM"),
        (["model.0.conv.weight", "model.105.m.0.weight"], "a YOLOv7"),
        (["model.0.conv.weight", "model.6.m.0.0.attn.qkv.conv.weight"], "a YOLO12"),
        (["model.0.conv.weight", "model.2.cv2.0.cv1.conv.weight"], "a YOLOv9"),
        (["model.0.conv.weight", "model.28.decoder.layers.0.weight"], "an RT-DETR"),
    ] {
        save_tensors(&path, &with_tensors(&names), ("", &[]));
        let error = error_of(&path);
        let is_told = names.iter().any(|name| error.contains(&format!("`{name}`")));
        assert!(error.contains(what) && error.contains("it would need") && is_told && error.contains("known families"), "{error}");
    }
    save_tensors(&path, &with_tensors(&["a.weight", "b.weight"]), ("", &[]));
    assert!(error_of(&path).contains("2 tensors such as `a.weight`"));
    let path = folder.path().join("model.pt");
    save_pickle(&path, &with_tensors(&["w"]).set("yaml_file", "some/where/yolov7-w6.yaml"), &[("epoch", Value::Int(3))]);
    assert!(error_of(&path).contains("yolov7-w6.yaml"));
}

#[test]
fn tensors_beside_the_model_are_never_dropped_in_silence() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut both = detector(3);
    both.tensors.push(("criterion.weight".into(), vec![2]));
    save_tensors(&path, &both, ("", &[]));
    let source = Source::open(&path).unwrap();
    let error = family_of(source.checkpoint()).unwrap().build(&source, &BuildOptions::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("criterion.weight"), "{error}");
    // Counters of a profiler are nothing of a network's.
    let mut counted = detector(3);
    counted.tensors.push(("total_ops".into(), vec![1]));
    counted.at("model.4").tensors.push(("total_params".into(), vec![1]));
    save_tensors(&path, &counted, ("net.", &[]));
    let (source, family) = recognise(Source::open(&path).unwrap()).unwrap();
    assert!(family.build(&source, &BuildOptions::default()).is_ok());
}

#[test]
fn a_configuration_is_read_with_its_byte_order_mark_and_its_sizes_are_bounded() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("best.safetensors");
    save_tensors(&path, &detector(3), ("", &[]));
    let facts = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Facts::of(&Source::open(&path).unwrap(), &BuildOptions::default())
    };
    assert_eq!(facts("config.json", "\u{feff}{\"img\": 512}").unwrap().number("img"), Some(512));
    assert_eq!(facts("best.config.json", "{\"img\": 256}").unwrap().number("img"), Some(256), "its own comes first");
    for bad in [
        "{\"img\": 99999}",
        "{\"vision_config\": {\"backbone_config\": {\"window_size_per_stage\": [8, 4, 1000000, 7]}}}",
        "{\"heads\": -1}",
        "{\"heads\": \"8\"}",
        "{\"glob\": 4}",
        "{\"img\": [192, 200]}",
        "{\"vision_config\": {\"image_size\": [1024, 1e30]}}",
        "{\"mask_decoder_config\": {\"layer_norm_eps\": -0.5}}",
        "{\"win\": [1.5]}",
        "{",
    ] {
        let error = facts("best.config.json", bad).unwrap_err().to_string();
        assert!(error.contains("best.config.json"), "{bad}: {error}");
        let given = serde_json::from_str(bad).map(|config| BuildOptions { config: Some(config), ..BuildOptions::default() });
        assert!(given.is_err() || Facts::of(&Source::open(&path).unwrap(), &given.unwrap()).is_err());
    }
}
