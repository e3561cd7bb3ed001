//! Bad input of every kind: one clear message, the right exit code, no panic, nothing half-written.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::io::Write;

use common::{Place, shared};
use safetensors::tensor::{Dtype, TensorView};

#[test]
fn broken_pictures_are_told_and_the_others_are_done() {
    let place = Place::new();
    let photo = std::fs::read(place.path("photo.png")).unwrap();
    std::fs::write(place.path("cut.png"), &photo[..photo.len() / 2]).unwrap();
    std::fs::write(place.path("empty.jpg"), b"").unwrap();
    std::fs::write(place.path("text.jpg"), b"this is no picture at all\n").unwrap();
    let mut corrupt = photo.clone();
    corrupt[60..90].fill(0x55);
    std::fs::write(place.path("corrupt.png"), corrupt).unwrap();
    let outcome = place.run_small(&["--json", "cut.png", "photo.png", "empty.jpg", "text.jpg", "corrupt.png", "missing.jpg"]);
    outcome.fails(3, &["cut.png", "empty.jpg", "text.jpg", "corrupt.png", "missing.jpg", "an empty file", "found text"]);
    let lines = outcome.json_lines();
    assert_eq!(lines.len(), 6);
    let failed: Vec<bool> = lines.iter().map(|line| line["error"]["kind"] == "bad_input").collect();
    assert_eq!(failed, [true, false, true, true, true, true]);
    assert!(lines[1]["objects"].is_array());
}

#[test]
fn a_truncated_jpeg_is_no_picture() {
    let place = Place::new();
    image::open(place.path("photo.png")).unwrap().save(place.path("photo.jpg")).unwrap();
    let bytes = std::fs::read(place.path("photo.jpg")).unwrap();
    std::fs::write(place.path("cut.jpg"), &bytes[..bytes.len() * 3 / 4]).unwrap();
    place.run_small(&["cut.jpg"]).fails(3, &["cut.jpg", "cut off"]);
}

#[test]
fn a_huge_header_is_refused_before_its_pixels_are_allocated() {
    let place = Place::new();
    let mut png = std::fs::read(place.path("photo.png")).unwrap();
    png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let sum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    std::fs::write(place.path("huge.png"), png).unwrap();
    place.run_small(&["huge.png"]).fails(5, &["60000 × 60000", "100000000", "--max-pixels"]);
}

/// The checksum of PNG chunks.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }))
}

#[test]
fn messages_about_files_stay_short() {
    let place = Place::new();
    let long = "x".repeat(100_000);
    for (name, text) in [("p.json", format!("[{{\"label\": [\"{long}\"], \"{long}\": 1}}]")), ("q.json", format!("{{\"{long}\": 1}}"))] {
        std::fs::write(place.path(name), text).unwrap();
        let outcome = place.maskline(&["run", "photo.png", "--prompts", name]);
        outcome.fails(3, &[name, "help:"]);
        assert!(outcome.stderr.len() < 2000, "{} bytes", outcome.stderr.len());
    }
    std::fs::write(place.path("coco.json"), format!("{{\"images\": \"{long}\"}}")).unwrap();
    let outcome = place.maskline(&["eval", "nano", "--data", "coco.json"]);
    outcome.fails(3, &["coco.json", "help:"]);
    assert!(outcome.stderr.len() < 2000, "{} bytes", outcome.stderr.len());
}

#[test]
fn sizes_and_thresholds_outside_their_domain() {
    let place = Place::new();
    place.maskline(&["run", "--synthetic", "yolov8n", "--size", "0", "photo.png"]).fails(2, &["size", "multiple of 32", "found 0"]);
    place.maskline(&["run", "--synthetic", "yolov8n", "--size", "100", "photo.png"]).fails(2, &["found 100"]);
    place.maskline(&["run", "--synthetic", "yolov8n", "--size", "320000", "photo.png"]).fails(5, &["320000", "the limit is"]);
    let widest = (usize::MAX / 32 * 32).to_string();
    place.maskline(&["run", "--synthetic", "yolov8n", "--size", &widest, "photo.png"]).fails(5, &["the limit is"]);
    place.run_small(&["--conf", "1.5", "photo.png"]).fails(2, &["conf", "1.5"]);
    place.run_small(&["--iou", "NaN", "photo.png"]).fails(2, &["iou"]);
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let place = Place::new();
    std::fs::write(place.path("file"), b"").unwrap();
    place.run_small(&["-o", "file/out", "photo.png"]).fails(1, &["output folder", "file/out"]);
    assert!(!place.path("home/bundles").exists(), "nothing is built for an answer that cannot be written");
}

#[test]
fn models_that_are_none() {
    let place = Place::new();
    for (word, meant) in [("yolo8n", "`yolov8n`"), ("sam2.1-tny", "`sam2.1-tiny`"), ("sam2", "`sam2.1-tiny`"), ("nan0", "`nano`")] {
        place.maskline(&["run", word, "photo.png"]).fails(3, &["no such model", word, meant, "maskline list"]);
    }
    place.maskline(&["run", "photo.png", "--box", "1 2 3 4"]).fails(2, &["expected x1,y1,x2,y2", "`1 2 3 4`"]);
    place.maskline(&["run", "none.pt", "photo.png"]).fails(3, &["no such model", "none.pt"]);
    place.maskline(&["run", "yolov8n", "photo.png"]).fails(4, &["maskline pull yolov8n", "architecture", "--synthetic"]);
    place.maskline(&["run", "yolov8n-obb", "photo.png"]).fails(3, &["architecture", "--synthetic"]);
    place.maskline(&["run", "--synthetic", "yolov99", "photo.png"]).fails(3, &["yolov99", "yolov8n"]);
    std::fs::write(place.path("text.pt"), b"hello, this is text").unwrap();
    place.maskline(&["run", "text.pt", "photo.png"]).fails(3, &["text.pt"]);
    std::fs::write(place.path("text.onnx"), b"hello, this is text").unwrap();
    place.maskline(&["run", "text.onnx", "photo.png"]).fails(3, &["ONNX"]);
}

#[test]
fn a_provider_that_is_not_there_is_an_error() {
    let place = Place::new();
    place.run_small(&["--provider", "cuda", "photo.png"]).fails(4, &["cuda", "no cuda provider"]);
    // The runtime at hand is the usual one, which is not exchanged behind the user's back.
    let openvino = &["openvino", "no openvino provider", "maskline runtime install openvino"];
    place.run_small(&["--provider", "openvino", "photo.png"]).fails(4, openvino);
    place.run_small(&["--provider", "abacus", "photo.png"]).fails(2, &["abacus"]);
}

#[test]
fn options_of_openvino_are_refused_with_another_provider() {
    let place = Place::new();
    for option in [&["--hint", "latency"], &["--streams", "2"], &["--inference-precision", "bf16"]] {
        let [name, value] = *option;
        place.run_small(&[name, value, "photo.png"]).fails(2, &[name, "the provider cpu", "--provider openvino"]);
    }
    place.run_small(&["--provider", "openvino", "--hint", "fast", "photo.png"]).fails(2, &["--hint", "fast", "throughput"]);
    let streams = place.maskline(&["serve", "--streams", "2", "--check"]);
    streams.fails(2, &["--streams", "--provider openvino"]);
}

/// A safetensors file of f32 tensors.
fn save(path: &std::path::Path, tensors: &[(&str, &[usize], f32)]) {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, shape, value)| value.to_le_bytes().repeat(shape.iter().product())).collect();
    let views: HashMap<&str, TensorView<'_>> = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()))
        .collect();
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_checkpoint_of_another_family() {
    let place = Place::new();
    save(&place.path("other.safetensors"), &[("vision_encoder.neck.weight", &[4, 4], 1.0)]);
    place.maskline(&["run", "other.safetensors", "photo.png"]).fails(3, &["no family", "vision_encoder.neck.weight", "other.safetensors"]);
}

/// The real checkpoint, changed.
fn changed(place: &Place, name: &str, change: impl Fn(&str, &mut Vec<usize>, &mut Vec<u8>)) -> bool {
    let Some(path) = shared("data/yolov8n/yolov8n_fused.safetensors") else { return false };
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut changed: Vec<(String, Vec<usize>, Vec<u8>)> =
        tensors.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec())).collect();
    changed.iter_mut().for_each(|(name, shape, data)| change(name, shape, data));
    let views: HashMap<&str, TensorView<'_>> =
        changed.iter().map(|(name, shape, data)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap())).collect();
    std::fs::write(place.path(name), safetensors::serialize(views, None).unwrap()).unwrap();
    true
}

#[test]
fn weights_of_wrong_shape_name_the_tensor() {
    let place = Place::new();
    let there = changed(&place, "shape.safetensors", |name, shape, _| {
        if name == "model.4.cv1.conv.weight" {
            shape.swap(0, 2);
        }
    });
    if there {
        let words = ["model.4.cv1.conv.weight", "expected [64, 64, 1, 1]", "found [1, 64, 64, 1]", "shape.safetensors"];
        place.maskline(&["run", "shape.safetensors", "photo.png"]).fails(3, &words);
        assert_eq!(place.maskline(&["cache", "du", "--json"]).json_lines()[0]["bytes"], 0, "nothing half-built stays");
    }
}

#[test]
fn nan_weights_are_refused() {
    let place = Place::new();
    let there = changed(&place, "nan.safetensors", |name, _, data| {
        if name == "model.9.cv2.conv.weight" {
            data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        }
    });
    if there {
        place.maskline(&["run", "nan.safetensors", "photo.png"]).fails(3, &["model.9.cv2.conv.weight", "NaN"]);
        assert!(!place.path("maskline-out/photo.jpg").exists());
    }
}

#[test]
fn weights_whose_answers_overflow_are_refused() {
    let place = Place::new();
    let there = changed(&place, "large.safetensors", |name, _, data| {
        // The distance bins are checked while building.
        if name.contains("dfl") {
            return;
        }
        data.chunks_exact_mut(4).for_each(|value| {
            let large = f32::from_le_bytes(value.try_into().unwrap()) * 1e12;
            value.copy_from_slice(&large.to_le_bytes());
        });
    });
    if there {
        place.maskline(&["run", "large.safetensors", "photo.png"]).fails(1, &["not finite", "refused"]);
        assert!(!place.path("maskline-out/photo.jpg").exists());
    }
}

#[test]
fn a_truncated_checkpoint() {
    let Some(path) = shared("data/yolov8n/yolov8n.safetensors") else { return };
    let place = Place::new();
    let bytes = std::fs::read(path).unwrap();
    for (name, length) in [("half.safetensors", bytes.len() / 2), ("header.safetensors", 1000)] {
        std::fs::write(place.path(name), &bytes[..length]).unwrap();
        place.maskline(&["run", name, "photo.png"]).fails(3, &[name]);
    }
}

/// A PyTorch archive with this pickle.
fn torch_file(path: &std::path::Path, pickle: &[u8]) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("model/data.pkl", stored).unwrap();
    archive.write_all(pickle).unwrap();
    archive.finish().unwrap();
}

#[test]
fn a_pickle_that_would_execute_is_refused_and_executes_nothing() {
    let place = Place::new();
    let target = place.path("executed");
    let command = format!("touch {}", target.display());
    let mut bytes = b"\x80\x02cposix\nsystem\nX".to_vec();
    bytes.extend((command.len() as u32).to_le_bytes());
    bytes.extend(command.as_bytes());
    bytes.extend(b"\x85R.");
    torch_file(&place.path("evil.pt"), &bytes);
    place.maskline(&["run", "evil.pt", "photo.png"]).fails(3, &["system", "evil.pt"]);
    assert!(!target.exists());
}

#[test]
fn a_pickle_bomb_is_refused() {
    let place = Place::new();
    // Lists of ten times the list before, thirty times: 10³⁰ entries if they were copied.
    let mut bytes = b"\x80\x02]q\x00".to_vec();
    for level in 0_u8..30 {
        bytes.extend(b"](");
        (0..10).for_each(|_| bytes.extend([b'h', level]));
        bytes.extend([b'e', b'q', level + 1]);
    }
    bytes.push(b'.');
    torch_file(&place.path("bomb.pt"), &bytes);
    place.maskline(&["run", "bomb.pt", "photo.png"]).fails(3, &["bomb.pt"]);
}
