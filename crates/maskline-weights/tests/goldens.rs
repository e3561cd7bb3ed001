//! Checkpoints as the official programs write them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_weights::{Attribute, Checkpoint, DType};

mod support;

/// All files with one of these extensions below a folder.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
                found.push(path);
            }
        }
    }
    found
}

/// Reads every tensor, in its stored type and (where it is a float) as f32.
fn read_all(checkpoint: &Checkpoint) -> usize {
    let root = checkpoint.root();
    let names: Vec<&str> = checkpoint.names().collect();
    for name in &names {
        let info = checkpoint.info(name).unwrap();
        let raw = root.raw(name, &info.shape).unwrap();
        assert_eq!(raw.bytes.len(), info.element_count() * info.dtype.size(), "{name}");
        if matches!(info.dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64) {
            assert_eq!(root.f32(name, &info.shape).unwrap().data.len(), info.element_count(), "{name}");
        }
    }
    assert!(checkpoint.unused().is_empty());
    names.len()
}

#[test]
fn every_reference_file_opens_and_reads() {
    let Some(goldens) = support::shared("goldens") else { return };
    for path in files(&goldens, &["pt", "pth", "safetensors"]) {
        let checkpoint = Checkpoint::open(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(read_all(&checkpoint) > 0, "{}", path.display());
    }
    let Some(data) = support::shared("data") else { return };
    for path in files(&data, &["pt", "pth", "safetensors"]) {
        read_all(&Checkpoint::open(&path).unwrap_or_else(|error| panic!("{error}")));
    }
}

/// The same weights as a pickle and as safetensors: same names, shapes and values.
fn assert_same(pickled: &Path, plain: &Path) {
    let (pickled, plain) = (Checkpoint::open(pickled).unwrap(), Checkpoint::open(plain).unwrap());
    // Counters of training batches are no weights; converters leave them out.
    let names = |checkpoint: &Checkpoint| -> Vec<String> {
        checkpoint.names().filter(|name| !name.ends_with("num_batches_tracked")).map(str::to_owned).collect()
    };
    assert_eq!(names(&pickled), names(&plain));
    for name in names(&plain) {
        let shape = plain.root().shape(&name).unwrap();
        let (left, right) = (pickled.root().f32(&name, shape).unwrap(), plain.root().f32(&name, shape).unwrap());
        assert_eq!(left.data, right.data, "{name}");
    }
}

#[test]
fn pickles_hold_the_same_tensors_as_their_safetensors() {
    let Some(goldens) = support::shared("goldens") else { return };
    for (folder, name) in [("yolov8/detect_narrow", "yolov8.pt"), ("efficientvit_sam/l_like64", "efficientvit_sam_l.pt")] {
        let folder = goldens.join(folder);
        assert_same(&folder.join(name), &folder.join("model.safetensors"));
    }
}

#[test]
fn yolo_pickles_keep_names_task_and_configuration() {
    let Some(goldens) = support::shared("goldens") else { return };
    for (case, head) in [("detect_narrow", "Detect"), ("segment_narrow", "Segment"), ("pose_narrow", "Pose")] {
        let checkpoint = Checkpoint::open(&goldens.join("yolov8").join(case).join("yolov8.pt")).unwrap();
        let names = checkpoint.attribute(&["names"]).and_then(Attribute::as_map).unwrap_or_else(|| panic!("{case}: no names"));
        let classes = checkpoint.attribute(&["yaml", "nc"]).and_then(Attribute::as_int).unwrap();
        assert_eq!(names.len() as i64, classes, "{case}");
        assert_eq!(names[0].0, Attribute::Int(0));
        assert!(checkpoint.attribute(&["names", "0"]).and_then(Attribute::as_str).is_some());
        let strides: Vec<f64> =
            checkpoint.attribute(&["stride"]).unwrap().as_list().unwrap().iter().filter_map(Attribute::as_float).collect();
        assert_eq!(strides, [8.0, 16.0, 32.0], "{case}");
        let layers = checkpoint.root().push("model").children();
        let last = layers.last().unwrap();
        assert_eq!(checkpoint.attribute(&["model", last, "nc"]).and_then(Attribute::as_int), Some(classes), "{case}");
        assert_eq!(
            checkpoint.attribute(&["kpt_shape"]).is_some() || checkpoint.attribute(&["model", last, "kpt_shape"]).is_some(),
            head == "Pose"
        );
        assert!(layers.iter().enumerate().all(|(index, name)| name.parse::<usize>().is_ok_and(|number| number >= index)));
        let kernel = checkpoint.info("model.0.conv.weight").unwrap();
        assert_eq!((kernel.dtype, &kernel.shape[1..]), (DType::F16, &[3, 3, 3][..]));
    }
}

#[test]
fn a_directory_opens_its_model() {
    let Some(goldens) = support::shared("goldens") else { return };
    let folder = goldens.join("sam2_image/tiny128");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!(checkpoint.path().unwrap(), folder.join("model.safetensors"));
    let length = std::fs::metadata(checkpoint.path().unwrap()).unwrap().len();
    assert_eq!(checkpoint.bytes()[0].len() as u64, length);
}
