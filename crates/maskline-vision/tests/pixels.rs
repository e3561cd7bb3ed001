//! Letterbox, suppression and decoding against the official implementations.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat};
use maskline_vision::decode::{DecodeOptions, decode, decode_file, exif_orientation, turn};
use maskline_vision::letterbox::Letterbox;
use maskline_vision::nms::{batched_nms, nms};
use maskline_vision::{ErrorKind, RgbImage};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};

/// A folder of the golden cases, or `None` (said aloud) where it is missing.
fn golden(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(path);
    if folder.exists() {
        return Some(folder);
    }
    maskline_testing::skip(format_args!("{} is missing", folder.display()));
    None
}

fn numbers(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let view = tensors.tensor(name).unwrap();
    let data = view.data();
    match view.dtype() {
        Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
        Dtype::F32 => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn letterboxes_are_exact() {
    let Some(folder) = golden("preprocess/images") else { return };
    let bytes = std::fs::read(folder.join("outputs.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let case: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (name, facts) in case["images"].as_object().unwrap() {
        let file = facts["decoded_png"].as_str().or(facts["file"].as_str()).unwrap();
        // EXIF orientation is applied in one entry only, and only by our own decoder.
        let (file, apply_exif) = if name == "exif_applied" { ("exif.jpg", true) } else { (file, false) };
        let picture = decode_file(&folder.join(file), &DecodeOptions { apply_exif, ..DecodeOptions::default() }).unwrap();
        let size = (picture.width(), picture.height());
        for (method, letterbox) in
            [("yolov8_letterbox_640", Letterbox::square(size, 640)), ("yolov8_letterbox_rect", Letterbox::rect(size, 640, 32))]
        {
            let letterbox = letterbox.unwrap();
            let (width, height) = letterbox.target();
            assert_eq!(facts[method]["shape"], serde_json::json!([3, height, width]), "{name} {method}");
            let mut planes = vec![f32::NAN; 3 * width * height];
            letterbox.to_planar_f32(&picture, &mut planes);
            let step = facts[method]["step"].as_u64().unwrap() as usize;
            let rgb = letterbox.to_rgb(&picture);
            for (part, rows, columns) in [
                ("sub", (0..height).step_by(step).collect::<Vec<_>>(), (0..width).step_by(step).collect::<Vec<_>>()),
                ("corner", (0..32.min(height)).collect(), (0..32.min(width)).collect()),
            ] {
                let expected = numbers(&tensors, &format!("{name}.{method}.{part}"));
                let mut i = 0;
                for channel in 0..3 {
                    for y in &rows {
                        for x in &columns {
                            let level = (expected[i] * 255.0).round();
                            let found = planes[(channel * height + y) * width + x];
                            // Only our JPEG decoder stands between; it may differ by a few levels.
                            let allowed = if apply_exif { 6.0 } else { 0.0 };
                            assert!(
                                (f64::from(found * 255.0).round() - level).abs() <= allowed,
                                "{name} {method} {part} {channel} {y} {x}"
                            );
                            assert_eq!(f32::from(rgb.pixels()[(y * width + x) * 3 + channel]) / 255.0, found);
                            i += 1;
                        }
                    }
                }
                compared += i;
                assert_eq!(i, expected.len());
            }
        }
    }
    assert!(compared > 100_000);
}

#[test]
fn suppression_equals_torchvision() {
    let Some(folder) = golden("postprocess/all") else { return };
    let (inputs, outputs) =
        (std::fs::read(folder.join("nms_inputs.safetensors")).unwrap(), std::fs::read(folder.join("nms_outputs.safetensors")).unwrap());
    let (inputs, outputs) = (SafeTensors::deserialize(&inputs).unwrap(), SafeTensors::deserialize(&outputs).unwrap());
    let case: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let keys = outputs.names().into_iter().map(str::to_string).collect::<Vec<_>>();
    let mut compared = 0;
    for entry in case["nms"].as_array().unwrap() {
        let (name, threshold) = (entry["name"].as_str().unwrap(), entry["iou"].as_f64().unwrap());
        let boxes: Vec<[f32; 4]> =
            numbers(&inputs, &format!("{name}.boxes")).chunks_exact(4).map(|b| [0, 1, 2, 3].map(|i| b[i] as f32)).collect();
        let scores: Vec<f32> = numbers(&inputs, &format!("{name}.scores")).into_iter().map(|s| s as f32).collect();
        let close = |key: &&String| {
            key.strip_prefix(&format!("{name}.iou")).and_then(|t| t.parse::<f64>().ok()).is_some_and(|t| (t - threshold).abs() < 0.01)
        };
        let key = keys.iter().find(close).unwrap_or_else(|| panic!("{name} {threshold}: {keys:?}"));
        let expected: Vec<usize> = numbers(&outputs, key).into_iter().map(|i| i as usize).collect();
        let found = if entry["batched"] == true {
            let names = ["classes", "idxs", "labels"].map(|n| format!("{name}.{n}"));
            let classes = names.iter().find(|n| inputs.tensor(n).is_ok()).unwrap_or_else(|| panic!("{:?}", inputs.names()));
            let classes: Vec<i64> = numbers(&inputs, classes).into_iter().map(|c| c as i64).collect();
            batched_nms(&boxes, &scores, &classes, threshold)
        } else {
            nms(&boxes, &scores, threshold)
        };
        assert_eq!(found, expected, "{name} {threshold}");
        compared += 1;
    }
    assert_eq!(compared, 42);
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn gradient() -> DynamicImage {
    DynamicImage::ImageRgba16(image::ImageBuffer::from_fn(31, 17, |x, y| image::Rgba([x as u16 * 2000, y as u16 * 3000, 12345, 40000])))
}

#[test]
fn every_pixel_format_becomes_rgb() {
    let source = gradient();
    let expected = |x: usize, y: usize| [(x * 2000) >> 8, (y * 3000) >> 8, 12345 >> 8].map(|v| v as u8);
    let decoded = decode(&encoded(&source, ImageFormat::Png), &DecodeOptions::default()).unwrap();
    for (x, y) in [(0, 0), (30, 16), (7, 3)] {
        assert_eq!(decoded.row(y)[x * 3..x * 3 + 3], expected(x, y), "16 bits keep their high byte, alpha is dropped");
    }
    let eight = DynamicImage::ImageRgba8(source.to_rgba8());
    let (rgb, grey) = (eight.to_rgb8(), eight.to_luma8());
    for (picture, format) in
        [(eight.clone(), ImageFormat::Png), (eight.clone(), ImageFormat::WebP), (DynamicImage::ImageRgb8(rgb.clone()), ImageFormat::Png)]
    {
        assert_eq!(decode(&encoded(&picture, format), &DecodeOptions::default()).unwrap().pixels(), *rgb.as_raw());
    }
    for picture in [DynamicImage::ImageLuma8(grey.clone()), DynamicImage::ImageLumaA8(eight.to_luma_alpha8())] {
        let decoded = decode(&encoded(&picture, ImageFormat::Png), &DecodeOptions::default()).unwrap();
        assert_eq!(decoded.row(5)[9..12], [grey.get_pixel(3, 5).0[0]; 3]);
    }
    let jpeg = decode(&encoded(&DynamicImage::ImageLuma8(grey), ImageFormat::Jpeg), &DecodeOptions::default()).unwrap();
    assert_eq!((jpeg.width(), jpeg.height()), (31, 17));
}

#[test]
fn the_jpeg_decoder_stays_close_to_libjpeg() {
    let Some(folder) = golden("preprocess/images") else { return };
    let options = DecodeOptions { apply_exif: false, ..DecodeOptions::default() };
    for name in ["photo.jpg", "exif.jpg"] {
        let ours = decode_file(&folder.join(name), &options).unwrap();
        let theirs = decode_file(&folder.join(format!("{name}.decoded.png")), &options).unwrap();
        let worst = ours.pixels().iter().zip(theirs.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 6, "{name}: {worst} levels");
    }
}

#[test]
fn turning_is_what_decoding_does() {
    let upright = RgbImage::new(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    let turned = turn(upright.clone(), 6).unwrap();
    assert_eq!((turned.width(), turned.height(), turned.pixels()), (1, 2, &[1, 2, 3, 4, 5, 6][..]));
    assert_eq!(turn(turned, 8).unwrap(), upright);
    for orientation in [0, 9] {
        assert_eq!(turn(upright.clone(), orientation).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(exif_orientation(&encoded(&gradient(), ImageFormat::Png)).unwrap(), 1);
    let Some(folder) = golden("preprocess/images") else { return };
    let bytes = std::fs::read(folder.join("exif.jpg")).unwrap();
    let orientation = exif_orientation(&bytes).unwrap();
    assert_ne!(orientation, 1);
    let options = DecodeOptions { apply_exif: false, ..DecodeOptions::default() };
    assert_eq!(turn(decode(&bytes, &options).unwrap(), orientation).unwrap(), decode(&bytes, &DecodeOptions::default()).unwrap());
}

#[test]
fn cut_pictures_are_errors_at_every_length() {
    let rgb = DynamicImage::ImageRgb8(gradient().to_rgb8());
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let bytes = encoded(&rgb, format);
        // The last bytes of a PNG hold no pixels.
        for length in 0..bytes.len() - 16 {
            let error = decode(&bytes[..length], &DecodeOptions::default()).expect_err("cut");
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::UnknownFormat), "{format:?} {length}: {error}");
        }
    }
}

#[test]
fn limits_and_foreign_files() {
    let png = encoded(&gradient(), ImageFormat::Png);
    let error = decode(&png, &DecodeOptions { max_pixels: 500, ..DecodeOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    for (bytes, word) in [(&b"\0\0\0\x20ftypavif"[..], "AVIF"), (b"%PDF-1.7", "PDF"), (b"", "empty"), (b"words, words", "text")] {
        let error = decode(bytes, &DecodeOptions::default()).unwrap_err();
        assert!(error.kind() == ErrorKind::UnknownFormat && error.to_string().contains(word), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(decode_file(folder.path(), &DecodeOptions::default()).unwrap_err().kind(), ErrorKind::Io);
}

fn boxes() -> impl Strategy<Value = Vec<([f32; 4], f32)>> {
    let side = || 0.0_f32..100.0;
    proptest::collection::vec(((side(), side(), side(), side()), 0.0_f32..1.0), 0..60)
        .prop_map(|all| all.into_iter().map(|((x, y, w, h), s)| ([x, y, x + w, y + h], s)).collect())
}

fn iou(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let overlap = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0) * (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |r: &[f32; 4]| (r[2] - r[0]) * (r[3] - r[1]);
    overlap / (area(a) + area(b) - overlap)
}

proptest! {
    #[test]
    fn what_is_kept_is_apart_and_what_is_dropped_has_a_better_neighbour(all in boxes()) {
        let (boxes, scores): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let kept = nms(&boxes, &scores, 0.5);
        prop_assert!(kept.windows(2).all(|pair| scores[pair[0]] >= scores[pair[1]]));
        for (i, own) in boxes.iter().enumerate() {
            let better = kept.iter().any(|k| *k != i && scores[*k] >= scores[i] && iou(own, &boxes[*k]) > 0.5);
            prop_assert!(kept.contains(&i) != better);
        }
    }

    #[test]
    fn damaged_pictures_never_panic(at in 0_usize..2000, with in any::<[u8; 8]>(), format in 0..3) {
        let format = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP][format as usize];
        let mut bytes = encoded(&DynamicImage::ImageRgb8(gradient().to_rgb8()), format);
        let at = at % (bytes.len() - 8);
        bytes[at..at + 8].copy_from_slice(&with);
        let _ = decode(&bytes, &DecodeOptions { max_pixels: 1 << 20, ..DecodeOptions::default() });
    }

    #[test]
    fn unmapping_undoes_the_letterbox(width in 1_usize..3000, height in 1_usize..3000, x in 0.0_f32..1.0, y in 0.0_f32..1.0) {
        let letterbox = Letterbox::square((width, height), 640).unwrap();
        let [left, top] = letterbox.unmap_point([0.0, 0.0]);
        let [gain_x, gain_y] = letterbox.gain();
        let point = [x * width as f32, y * height as f32];
        let mapped = [(point[0] - left) * gain_x, (point[1] - top) * gain_y];
        let back = letterbox.unmap_point(mapped);
        prop_assert!((back[0] - point[0]).abs() < 0.01 * width as f32 + 0.1 && (back[1] - point[1]).abs() < 0.01 * height as f32 + 0.1);
        prop_assert!(mapped.iter().all(|v| (-0.5..=640.5).contains(v)));
    }
}

#[test]
fn pictures_need_matching_bytes() {
    assert!(RgbImage::new(2, 2, vec![0; 12]).is_ok());
    assert_eq!(RgbImage::new(2, 2, vec![0; 11]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(Letterbox::square((0, 5), 640).is_err() && Letterbox::rect((5, 5), 100, 32).is_err());
}
