//! Masks against pycocotools and ultralytics, and their properties.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_vision::mask::{Prototypes, Rle};
use maskline_vision::{ErrorKind, Mask};
use safetensors::SafeTensors;

fn golden(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(path);
    if !path.exists() {
        maskline_testing::skip(format_args!("{} is missing", path.display()));
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

/// What a reader of packed run lengths makes of them.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut at = 0;
    let mut take = |width: usize| {
        let value = (at..at + width).fold(0_usize, |value, i| value << 1 | usize::from(bytes[i / 8] >> (7 - i % 8) & 1));
        at += width;
        value
    };
    let (length, word) = (take(32), take(5) + 1);
    let lengths = [(); 4].map(|()| take(4) + 1);
    let mut values = Vec::new();
    while values.len() < length {
        assert_eq!(take(1), 1, "a run");
        let count = lengths[take(2)];
        let count = take(count) + 1;
        let value = take(word) as u8;
        values.extend(std::iter::repeat_n(value, count));
    }
    values
}

#[test]
fn brush_masks_of_label_studio() {
    let (Some(rows), Some(masks)) = (golden("postprocess/all/label_studio.json"), golden("postprocess/all/rle_masks.safetensors")) else {
        return;
    };
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(rows).unwrap()).unwrap();
    let bytes = std::fs::read(masks).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let rows = golden["rows"].as_array().unwrap();
    assert!(rows.len() >= 31);
    for row in rows {
        let tensor = tensors.tensor(row["name"].as_str().unwrap()).unwrap();
        let mask = Mask::from_rows(tensor.shape()[1], tensor.shape()[0], tensor.data()).unwrap();
        assert_eq!(serde_json::json!(mask.to_label_studio_rle().unwrap()), row["rle"], "{}", row["name"]);
    }
}

#[test]
fn brush_masks_with_long_runs_come_back() {
    let mask = Mask::from_fn(300, 200, |x, y| y > 3 && y < 120 || x == 5).unwrap();
    let expected: Vec<u8> = mask.to_rows(255).iter().flat_map(|value| [*value; 4]).collect();
    assert_eq!(unpacked(&mask.to_label_studio_rle().unwrap()), expected);
    let large = Mask::from_fn(1, 0, |_, _| true).unwrap().placed([0, 0], [1 << 16, 1 << 14]).unwrap();
    assert_eq!(large.to_label_studio_rle().unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn masks_are_combined_pixel_by_pixel() {
    let size = (23, 17);
    let all: Vec<Mask> = (0..40_u64)
        .map(|seed| {
            let random =
                |x: usize, y: usize| ((x * 31 + y * 17 + 7) as u64).wrapping_mul(seed * 2 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60;
            Mask::from_fn(size.0, size.1, |x, y| random(x / 2, y / 3) < seed % 18).unwrap()
        })
        .collect();
    for (a, b) in all.iter().zip(all.iter().rev()) {
        let by = |is_set: fn(bool, bool) -> bool| Mask::from_fn(size.0, size.1, |x, y| is_set(a.get(x, y), b.get(x, y))).unwrap();
        let (both, either) = (by(|a, b| a && b), by(|a, b| a || b));
        assert_eq!((a.intersection(b).unwrap(), a.union(b).unwrap()), (both.clone(), either.clone()));
        assert_eq!(a.overlap(b).unwrap(), both.area());
        assert_eq!(a.iou(b).unwrap(), if either.is_empty() { 0.0 } else { both.area() as f64 / either.area() as f64 });
    }
    let other = Mask::from_fn(17, 23, |_, _| true).unwrap();
    assert_eq!(all[0].union(&other).unwrap_err().kind(), ErrorKind::InvalidArgument);
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
