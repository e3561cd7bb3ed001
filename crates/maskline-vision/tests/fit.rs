//! The preprocessing of SAM-like models against the official transforms.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_vision::decode::{DecodeOptions, decode_file};
use maskline_vision::fit::{Normalise, SquareFilter, Target, longest_side, longest_side_size, padded_square, stretch, stretch_levels};
use maskline_vision::resize::{Resampling, resize};
use maskline_vision::{ErrorKind, RgbImage};
use proptest::prelude::*;
use safetensors::SafeTensors;

/// A folder of the golden cases, or `None` (said aloud) where it is missing.
fn golden(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(path);
    if folder.exists() {
        return Some(folder);
    }
    maskline_testing::skip(format_args!("{} is missing", folder.display()));
    None
}

fn halves(tensors: &SafeTensors<'_>, name: &str) -> Vec<half::f16> {
    tensors.tensor(name).unwrap().data().chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]])).collect()
}

/// Half the step of float16 at this value.
fn half_rounding(value: half::f16) -> f32 {
    let magnitude = value.to_f32().abs().max(6.2e-5);
    2.0_f32.powi(magnitude.log2().floor() as i32 - 11)
}

/// A method of the golden case: fills planes and says what of them the picture fills.
type Method = fn(&RgbImage, [usize; 2], &mut [f32]) -> [usize; 2];

fn stretched(image: &RgbImage, frame: [usize; 2], out: &mut [f32]) -> [usize; 2] {
    stretch(image, Target { frame, normalise: Normalise::IMAGENET }, out).unwrap();
    frame
}

fn in_levels(image: &RgbImage, (frame, normalise): ([usize; 2], Normalise), how: Resampling, out: &mut [f32]) -> [usize; 2] {
    stretch_levels(image, Target { frame, normalise }, how, out).unwrap();
    frame
}

fn squared(image: &RgbImage, frame: [usize; 2], filter: SquareFilter, out: &mut [f32]) -> [usize; 2] {
    padded_square(image, Target { frame: [frame[0]; 2], normalise: Normalise::CLIP }, filter, out).unwrap();
    frame
}

fn longest(image: &RgbImage, frame: [usize; 2], out: &mut [f32]) -> [usize; 2] {
    longest_side(image, frame[0], Target { frame, normalise: Normalise::IMAGENET }, out).unwrap()
}

#[test]
fn frames_of_the_official_transforms() {
    let Some(folder) = golden("preprocess/images") else { return };
    let bytes = std::fs::read(folder.join("outputs.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let case: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap();
    let methods = [
        ("sam2_official_1024", stretched as Method),
        ("sam1_longest_1024", longest),
        ("efficientvit_sam_512", longest),
        ("efficientvit_sam_1024", longest),
        ("sam2_hf_1024", |image, frame, out| in_levels(image, (frame, Normalise::IMAGENET), Resampling::TORCH_BILINEAR, out)),
        ("sam3_official_1008", |image, frame, out| in_levels(image, (frame, Normalise::SIGNED), Resampling::TORCH_BILINEAR, out)),
        ("owlvit_hf_768", |image, frame, out| in_levels(image, (frame, Normalise::CLIP), Resampling::TORCH_BICUBIC, out)),
        ("owlvit_hf_768_pil", |image, frame, out| in_levels(image, (frame, Normalise::CLIP), Resampling::PILLOW_BICUBIC, out)),
        ("owlv2_hf_960", |image, frame, out| squared(image, frame, SquareFilter::Torchvision, out)),
        ("owlv2_hf_960_pil", |image, frame, out| squared(image, frame, SquareFilter::Scipy, out)),
    ];
    let mut compared = 0;
    for (name, facts) in case["images"].as_object().unwrap() {
        // The orientation of this entry needs our own JPEG decoder, whose levels differ by a few.
        if name == "exif_applied" {
            continue;
        }
        let file = facts["decoded_png"].as_str().or(facts["file"].as_str()).unwrap();
        let options = DecodeOptions { apply_exif: false, ..DecodeOptions::default() };
        let picture = decode_file(&folder.join(file), &options).unwrap();
        for (method, fill) in methods {
            let facts = &facts[method];
            let Some(shape) = facts["shape"].as_array() else { continue };
            let frame = [1, 2].map(|axis| shape[axis].as_u64().unwrap() as usize);
            let mut out = vec![f32::NAN; 3 * frame[0] * frame[1]];
            fill(&picture, frame, &mut out);
            let sum: f64 = out.iter().map(|value| f64::from(value.abs())).sum();
            let expected = facts["sum_abs"].as_f64().unwrap();
            assert!((sum - expected).abs() < 1e-6 * expected, "{name} {method}: |sum| {sum}, expected {expected}");
            let step = facts["step"].as_u64().unwrap() as usize;
            for (part, step, end) in [("sub", step, usize::MAX), ("corner", 1, 32)] {
                let expected = halves(&tensors, &format!("{name}.{method}.{part}"));
                let positions = |size: usize| (0..size.min(end)).step_by(step);
                let found = (0..3).flat_map(|channel| {
                    let out = &out;
                    positions(frame[0]).flat_map(move |y| positions(frame[1]).map(move |x| out[(channel * frame[0] + y) * frame[1] + x]))
                });
                let found: Vec<f32> = found.collect();
                assert_eq!(found.len(), expected.len());
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let apart = (found - expected.to_f32()).abs();
                    assert!(apart <= half_rounding(*expected) + 2e-6, "{name} {method} {part} {i}: {found}, expected {expected}");
                }
                compared += found.len();
            }
        }
    }
    assert!(compared > 100_000, "{compared}");
}

#[test]
fn what_the_picture_does_not_fill_is_zero() {
    let picture = RgbImage::new(40, 10, vec![200; 1200]).unwrap();
    let mut out = vec![f32::NAN; 3 * 40 * 32];
    let kept = longest_side(&picture, 30, Target { frame: [40, 32], normalise: Normalise::SIGNED }, &mut out).unwrap();
    assert_eq!(kept, [8, 30]);
    for (i, value) in out.iter().enumerate() {
        let (y, x) = (i / 32 % 40, i % 32);
        assert_eq!(*value, if y < 8 && x < 30 { (200.0 / 255.0 - 0.5) / 0.5 } else { 0.0 }, "{y} {x}");
    }
}

#[test]
fn sizes_are_rounded_as_the_official_code_does() {
    for (size, side, expected) in [
        ([540, 405], 1024, [1024, 768]),
        ([40, 1500], 1024, [27, 1024]),
        ([3, 5], 512, [307, 512]),
        ([97, 131], 1024, [758, 1024]),
        ([300, 40], 1024, [1024, 137]),
        ([31, 411], 1024, [77, 1024]),
    ] {
        assert_eq!(longest_side_size(size, side).unwrap(), expected);
    }
}

#[test]
fn impossible_frames_are_errors() {
    let picture = RgbImage::new(4, 3, vec![1; 36]).unwrap();
    let thin = RgbImage::new(3000, 1, vec![1; 9000]).unwrap();
    let normalise = Normalise::IMAGENET;
    let mut out = vec![0.0; 3 * 8 * 8];
    let errors = [
        stretch_levels(&picture, Target { frame: [8, 9], normalise }, Resampling::TORCH_BILINEAR, &mut out).unwrap_err(),
        padded_square(&picture, Target { frame: [9; 2], normalise }, SquareFilter::Scipy, &mut out).unwrap_err(),
        resize(&picture, Resampling::PILLOW_BICUBIC, (0, 4)).unwrap_err(),
        stretch(&picture, Target { frame: [8, 9], normalise }, &mut out).unwrap_err(),
        stretch(&picture, Target { frame: [0, 8], normalise }, &mut []).unwrap_err(),
        stretch(&picture, Target { frame: [usize::MAX, 8], normalise }, &mut out).unwrap_err(),
        stretch(&picture, Target { frame: [8, 8], normalise: Normalise { std: [1.0, 0.0, 1.0], ..normalise } }, &mut out).unwrap_err(),
        padded_square(&picture, Target { frame: [8, 4], normalise }, SquareFilter::Scipy, &mut out[..96]).unwrap_err(),
        longest_side(&picture, 9, Target { frame: [8, 8], normalise }, &mut out).unwrap_err(),
        longest_side(&picture, 0, Target { frame: [8, 8], normalise }, &mut out).unwrap_err(),
        longest_side(&picture, usize::MAX, Target { frame: [8, 8], normalise }, &mut out).unwrap_err(),
        longest_side(&thin, 8, Target { frame: [8, 8], normalise }, &mut out).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
}

/// The definition, pixel by pixel: the mean of the source under a triangle, in double precision.
fn stretched_pixel(image: &RgbImage, [height, width]: [usize; 2], [y, x]: [usize; 2]) -> [f64; 3] {
    let weights = |source: usize, target: usize, at: usize| {
        let scale = source as f64 / target as f64;
        let center = (at as f64 + 0.5) * scale;
        let weight = |i: usize| (1.0 - ((i as f64 + 0.5 - center) / scale.max(1.0)).abs()).max(0.0);
        let total: f64 = (0..source).map(weight).sum();
        (0..source).map(|i| weight(i) / total).collect::<Vec<f64>>()
    };
    let (columns, rows) = (weights(image.width(), width, x), weights(image.height(), height, y));
    let mut sums = [0.0; 3];
    for (row, by_row) in rows.iter().enumerate() {
        for (pixel, by_column) in image.row(row).chunks_exact(3).zip(&columns) {
            (0..3).for_each(|c| sums[c] += by_row * by_column * f64::from(pixel[c]) / 255.0);
        }
    }
    sums
}

#[test]
fn squares_of_one_pixel_and_far_too_large_pictures() {
    let normalise = Normalise { mean: [0.0; 3], std: [1.0; 3] };
    for (size, side) in [((1, 1), 1), ((1, 1), 7), ((40, 3), 1), ((3, 40), 2), ((2, 1), 5)] {
        let picture = RgbImage::new(size.0, size.1, vec![255; size.0 * size.1 * 3]).unwrap();
        for filter in [SquareFilter::Torchvision, SquareFilter::Scipy] {
            let mut out = vec![f32::NAN; 3 * side * side];
            padded_square(&picture, Target { frame: [side; 2], normalise }, filter, &mut out).unwrap();
            assert!(out.iter().all(|value| (-1e-6..=1.0 + 1e-6).contains(value)), "{size:?} {side}: {out:?}");
            if size.0 == size.1 {
                assert!(out.iter().all(|value| (value - 1.0).abs() < 1e-6), "{size:?} {side}: {out:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn resizing_keeps_what_is_plain(
        size in (1_usize..30, 1_usize..30), target in (1_usize..30, 1_usize..30), level in any::<u8>(), way in 0_usize..4
    ) {
        let ways = [Resampling::PILLOW_BILINEAR, Resampling::PILLOW_BICUBIC, Resampling::TORCH_BILINEAR, Resampling::TORCH_BICUBIC];
        let picture = RgbImage::new(size.0, size.1, vec![level; size.0 * size.1 * 3]).unwrap();
        let resized = resize(&picture, ways[way], target).unwrap();
        prop_assert_eq!((resized.width(), resized.height()), target);
        // Weights of 16 bits need not sum to exactly 1.
        prop_assert!(resized.pixels().iter().all(|found| found.abs_diff(level) <= u8::from(way > 1)));
    }

    #[test]
    fn stretching_is_the_weighted_mean(
        size in (1_usize..40, 1_usize..40), frame in (1_usize..40, 1_usize..40), seed in any::<u64>()
    ) {
        let noise = |i: usize| ((i as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
        let picture = RgbImage::new(size.0, size.1, (0..size.0 * size.1 * 3).map(noise).collect()).unwrap();
        let normalise = Normalise { mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 1.0] };
        let (height, width) = frame;
        let mut out = vec![f32::NAN; 3 * height * width];
        stretch(&picture, Target { frame: [height, width], normalise }, &mut out).unwrap();
        for y in 0..height {
            for x in 0..width {
                let expected = stretched_pixel(&picture, [height, width], [y, x]);
                for c in 0..3 {
                    let expected = (expected[c] - f64::from(normalise.mean[c])) / f64::from(normalise.std[c]);
                    let found = f64::from(out[(c * height + y) * width + x]);
                    prop_assert!((found - expected).abs() < 1e-4, "{c} {y} {x}: {found}, expected {expected}");
                }
            }
        }
    }
}
