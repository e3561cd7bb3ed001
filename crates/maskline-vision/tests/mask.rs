//! Masks against pycocotools and ultralytics, and their properties.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_vision::mask::{Prototypes, Rle};
use maskline_vision::{ErrorKind, Mask};
use safetensors::SafeTensors;

fn golden(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(path);
    if !path.exists() {
        eprintln!("skipped: {} is missing", path.display());
        return None;
    }
    Some(path)
}

fn floats(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    bytemuck::pod_collect_to_vec(tensors.tensor(name).unwrap().data())
}

fn rle(size: [usize; 2], counts: &[u32]) -> Rle {
    Rle { size, counts: counts.to_vec() }
}

#[test]
fn compressed_text_vectors() {
    for (counts, text) in [(&[5u32, 2, 2, 2, 5][..], "52203"), (&[0, 16][..], "0`0"), (&[0, 3, 1000, 100000, 5, 7][..], "03Xo0mdQ3mPOW[nL")]
    {
        let sum: u32 = counts.iter().sum();
        let expected = rle([1, sum as usize], counts);
        assert_eq!(expected.to_coco_string(), text);
        assert_eq!(Rle::from_coco_string([1, sum as usize], text).unwrap(), expected);
    }
}

#[test]
fn masks_of_pycocotools() {
    let (Some(rows), Some(masks)) = (golden("postprocess/all/rle.json"), golden("postprocess/all/rle_masks.safetensors")) else { return };
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(rows).unwrap()).unwrap();
    let bytes = std::fs::read(masks).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() >= 33);
    for row in rows {
        let name = row["name"].as_str().unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let [height, width] = tensor.shape() else { panic!("{name}: {:?}", tensor.shape()) };
        let mask = Mask::from_rows(*width, *height, tensor.data()).unwrap();
        let text = row["counts"].as_str().unwrap();
        assert_eq!(mask.to_rle().counts.len() as u64, row["runs"].as_u64().unwrap(), "{name}");
        // Long lists are stored in their compressed form only.
        if let Some(counts) = row["uncompressed"].as_array() {
            let counts: Vec<u32> = counts.iter().map(|n| n.as_u64().unwrap() as u32).collect();
            assert_eq!(mask.to_rle().counts, counts, "{name}");
        }
        assert_eq!(mask.to_rle().to_coco_string(), text, "{name}");
        let read = Mask::from_rle(&Rle::from_coco_string([*height, *width], text).unwrap()).unwrap();
        assert_eq!(read, mask, "{name}");
        assert_eq!(read.to_rows(1), tensor.data(), "{name}");
        assert_eq!(mask.area(), row["area"].as_u64().unwrap(), "{name}");
        let [x1, y1, x2, y2] = mask.bounds().unwrap_or_default();
        let xywh: Vec<f64> = row["bbox_xywh"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
        assert_eq!([x1, y1, x2 - x1, y2 - y1].map(|n| n as f64).to_vec(), xywh, "{name}");
    }
    let mask = |name: &serde_json::Value| {
        let tensor = tensors.tensor(name.as_str().unwrap()).unwrap();
        Mask::from_rows(tensor.shape()[1], tensor.shape()[0], tensor.data()).unwrap()
    };
    let names = golden["iou"]["names"].as_array().unwrap();
    for (i, a) in names.iter().enumerate() {
        for (j, b) in names.iter().enumerate() {
            let expected = golden["iou"]["iou"][i][j].as_f64().unwrap();
            match mask(a).iou(&mask(b)) {
                Ok(iou) => assert!((iou - expected).abs() < 1e-12, "{a} {b}: {iou} {expected}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
                    assert!(mask(a).width() != mask(b).width(), "{a} {b}");
                }
            }
        }
    }
}

/// Bit for bit: no pixel of these eight masks differs, at the network's input size and at the picture's.
#[test]
fn prototype_masks_of_ultralytics() {
    let Some(path) = golden("yolov8/segment_narrow/outputs.safetensors") else { return };
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for call in ["x0", "x1"] {
        let values = floats(&tensors, &format!("{call}.proto"));
        let &[_, channels, height, width] = tensors.tensor(&format!("{call}.proto")).unwrap().shape() else { panic!("shape") };
        let prototypes = Prototypes::new(&values[..channels * height * width], [channels, height, width]).unwrap();
        let detections = floats(&tensors, &format!("{call}.nms_default.b0.dets"));
        let native_boxes = floats(&tensors, &format!("{call}.native_boxes"));
        for form in ["masks", "masks_native"] {
            let expected = tensors.tensor(&format!("{call}.{form}")).unwrap();
            let &[count, rows, columns] = expected.shape() else { panic!("shape") };
            assert_eq!(count, 4);
            for index in 0..count {
                let detection = &detections[index * (6 + channels)..][..6 + channels];
                let (bounds, coefficients) = (&detection[..4], &detection[6..]);
                let mask = if form == "masks" {
                    prototypes.input_mask(coefficients, bounds.try_into().unwrap(), [columns, rows])
                } else {
                    prototypes.native_mask(coefficients, native_boxes[index * 4..][..4].try_into().unwrap(), [columns, rows])
                };
                let found = mask.unwrap().to_rows(1);
                let expected = &expected.data()[index * rows * columns..][..rows * columns];
                let different = found.iter().zip(expected).filter(|(a, b)| a != b).count();
                let set = expected.iter().filter(|&&pixel| pixel != 0).count();
                assert_eq!(different, 0, "{call}.{form} {index}: {different} pixels differ, {set} are set");
            }
        }
    }
}
