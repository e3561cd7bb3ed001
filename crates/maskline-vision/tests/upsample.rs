//! Masks made lazily from logits, against the full upsampling and PyTorch.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use maskline_vision::mask::{self, Frame, Logits, StabilityCut, Upsampler};
use maskline_vision::{ErrorKind, Mask};
use proptest::prelude::*;
use safetensors::SafeTensors;

fn golden(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens").join(path);
    if !path.exists() {
        maskline_testing::skip(format_args!("{} is missing", path.display()));
        return None;
    }
    Some(path)
}

fn halves(tensors: &SafeTensors, name: &str) -> Vec<f32> {
    let bytes = tensors.tensor(name).unwrap();
    bytes.data().chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
}

#[test]
fn masks_of_pytorch() {
    let Some(folder) = golden("postprocess/all") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (inputs, outputs, case) = (read("upsample_inputs.safetensors"), read("upsample_outputs.safetensors"), read("case.json"));
    let (inputs, outputs) = (SafeTensors::deserialize(&inputs).unwrap(), SafeTensors::deserialize(&outputs).unwrap());
    let case: serde_json::Value = serde_json::from_slice(&case).unwrap();
    let size = |value: &serde_json::Value| [0, 1].map(|i| value[i].as_u64().unwrap() as usize);
    let cases = case["upsample"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for facts in cases {
        let name = facts["name"].as_str().unwrap();
        let logits = Logits::new(halves(&inputs, &format!("{name}.low_res")), [256, 256]).unwrap();
        let picture = size(&facts["original"]);
        let padded = Frame::Padded { side: 1024, kept: size(&facts["sam1_input_size"]) };
        for (form, frame) in [("sam1", padded), ("sam2", Frame::Whole)] {
            let expected = halves(&outputs, &format!("{name}.{form}"));
            let values = mask::upsample(&logits, &frame, picture).unwrap();
            assert_eq!(values.len(), expected.len());
            for (i, (found, expected)) in values.iter().zip(&expected).enumerate() {
                let rounding = expected.abs().max(6.2e-5) / 2048.0 + 1e-5;
                assert!((found - expected).abs() <= rounding, "{name} {form} {i}: {found}, expected {expected}");
            }
            let rows = mask::threshold(&logits, &frame, picture, 0.0).unwrap().to_rows(1);
            let expected = outputs.tensor(&format!("{name}.{form}_mask")).unwrap();
            for (i, (found, expected)) in rows.iter().zip(expected.data()).enumerate() {
                // Summed in another order, a logit this close to 0 can have another sign.
                assert!(found == expected || values[i].abs() < 1e-5, "{name} {form} {i}: {} {expected}", values[i]);
            }
        }
        let expected: Vec<f32> = bytemuck::pod_collect_to_vec(outputs.tensor(&format!("{name}.stability")).unwrap().data());
        for (offset, expected) in [1.0, 0.5].into_iter().zip(expected) {
            // Stored for the logits before upsampling.
            assert_eq!(logits.stability(StabilityCut { threshold: 0.0, offset }), expected, "{name} {offset}");
        }
    }
}

/// The definition: every pixel of the full upsampling.
fn plain(logits: &Logits, frame: &Frame, (size, threshold): ([usize; 2], f32)) -> Mask {
    let values = mask::upsample(logits, frame, size).unwrap();
    Mask::from_fn(size[1], size[0], |x, y| values[y * size[1] + x] > threshold).unwrap()
}

fn agrees(logits: &Logits, frame: &Frame, (size, threshold): ([usize; 2], f32)) -> Mask {
    let expected = plain(logits, frame, (size, threshold));
    let found = mask::threshold(logits, frame, size, threshold).unwrap();
    assert_eq!(found, expected, "{frame:?} {size:?} {threshold}");
    assert_eq!(mask::above(logits, frame, size, threshold).unwrap(), expected.area());
    found
}

/// What logits look like: how rough they are, and what lies exactly on the threshold.
#[derive(Debug, Clone, Copy)]
enum Texture {
    Smooth,
    Noisy,
    /// Few values, of which one is the threshold.
    Levels,
    /// One value and its two neighbours among floats.
    Neighbours,
    /// Among small numbers NaN, infinities, the largest and the smallest.
    Wild,
}

fn texture(kind: Texture, size: [usize; 2], (seed, threshold): (u64, f32)) -> Logits {
    let random = |i: usize| (i as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::from_bits(1), -0.0, 1.0, -1.0];
    let value = |i: usize| {
        let (y, x) = ((i / size[1]) as f32, (i % size[1]) as f32);
        let (noise, phase) = (random(i) as f32 / 8_388_608.0 - 1.0, (seed % 97) as f32);
        match kind {
            Texture::Smooth => threshold + 3.0 * (x * 0.31 + phase).sin() + 2.0 * (y * 0.23 + 0.1 * x).cos(),
            Texture::Noisy => threshold + 10.0 * noise,
            Texture::Levels => threshold + (random(i) % 3) as f32 - 1.0,
            Texture::Neighbours => [threshold.next_down(), threshold, threshold.next_up()][random(i) as usize % 3],
            Texture::Wild => wild.get(random(i) as usize % 40).copied().unwrap_or(noise),
        }
    };
    Logits::new((0..size[0] * size[1]).map(value).collect(), size).unwrap()
}

fn textures() -> impl Strategy<Value = Texture> {
    prop_oneof![Just(Texture::Smooth), Just(Texture::Noisy), Just(Texture::Levels), Just(Texture::Neighbours), Just(Texture::Wild)]
}

fn thresholds() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.0_f32), -2.0_f32..2.0, Just(1e-40), Just(-1e-45), Just(1e37), Just(f32::NAN), Just(f32::INFINITY)]
}

fn sizes(most: usize) -> impl Strategy<Value = [usize; 2]> {
    [1..most, 1..most]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_bit_differs_when_all_logits_are_used(
        (kind, low, size) in (textures(), sizes(40), sizes(90)), seed in any::<u64>(), threshold in thresholds()
    ) {
        agrees(&texture(kind, low, (seed, threshold)), &Frame::Whole, (size, threshold));
    }

    #[test]
    fn no_bit_differs_when_a_corner_is_used(
        (kind, low, size) in (textures(), sizes(40), sizes(90)), seed in any::<u64>(), threshold in thresholds(),
        (side, kept) in (1_usize..120).prop_flat_map(|side| (Just(side), [1..=side, 1..=side]))
    ) {
        agrees(&texture(kind, low, (seed, threshold)), &Frame::Padded { side, kept }, (size, threshold));
    }

    #[test]
    fn no_bit_differs_in_a_window(
        (kind, low, size) in (textures(), sizes(40), sizes(90)), seed in any::<u64>(), threshold in thresholds(),
        (at, half) in ([0.0_f64..1.0, 0.0..1.0], [1.0_f64..70.0, 1.0..70.0])
    ) {
        // Its middle lies in the picture, as that of a box does.
        let low_corner = [0, 1].map(|axis| at[axis] * size[axis] as f64 - half[axis]);
        let frame = Frame::Window { low: low_corner, length: half.map(|half| 2.0 * half) };
        agrees(&texture(kind, low, (seed, threshold)), &frame, (size, threshold));
    }

    #[test]
    fn higher_cuts_give_smaller_masks(kind in textures(), seed in any::<u64>(), offset in 0.0_f32..3.0) {
        let logits = texture(kind, [20, 30], (seed, 0.0));
        let cut = StabilityCut { threshold: 0.5, offset };
        let score = mask::stability(&logits, &Frame::Whole, [50, 41], cut).unwrap();
        prop_assert!((0.0..=1.0).contains(&score));
        prop_assert!((0.0..=1.0).contains(&logits.stability(cut)));
    }
}

#[test]
fn no_bit_differs_at_the_sizes_of_sam() {
    let cut = |kind, threshold| (texture(kind, [256, 256], (12345, threshold)), threshold);
    for (logits, threshold) in [cut(Texture::Smooth, 0.0), cut(Texture::Noisy, 0.37), cut(Texture::Levels, -1.5)] {
        for (size, kept) in [([1200, 1800], [683, 1024]), ([333, 777], [439, 1024]), ([2000, 31], [1024, 16])] {
            let mask = agrees(&logits, &Frame::Whole, (size, threshold));
            assert!(mask.area() > 1000);
            agrees(&logits, &Frame::Padded { side: 1024, kept }, (size, threshold));
        }
    }
}

#[test]
fn stability_of_nothing_and_of_everything() {
    let (nothing, everything) = (Logits::new(vec![-9.0; 12], [3, 4]).unwrap(), Logits::new(vec![9.0; 12], [3, 4]).unwrap());
    let cut = StabilityCut::default();
    assert_eq!((nothing.stability(cut), everything.stability(cut)), (1.0, 1.0));
    let at_size = |logits: &Logits| mask::stability(logits, &Frame::Whole, [7, 5], cut).unwrap();
    assert_eq!((at_size(&nothing), at_size(&everything)), (0.0, 1.0));
    let half = Logits::new(vec![0.5, 2.0, -2.0, -0.5], [2, 2]).unwrap();
    assert_eq!(half.stability(cut), 1.0 / 3.0);
}

#[test]
fn a_window_that_is_the_picture_is_the_whole() {
    let logits = texture(Texture::Smooth, [48, 48], (7, 0.0));
    let window = Frame::Window { low: [0.0; 2], length: [60.0, 120.0] };
    let (found, whole) = (mask::upsample(&logits, &window, [60, 120]).unwrap(), mask::upsample(&logits, &Frame::Whole, [60, 120]).unwrap());
    assert!(found.iter().zip(&whole).all(|(found, whole)| (found - whole).abs() < 1e-4));
    let half = Frame::Window { low: [0.0, 60.0], length: [60.0, 60.0] };
    let mask = mask::threshold(&Logits::new(vec![1.0; 4], [2, 2]).unwrap(), &half, [60, 120], 0.0).unwrap();
    assert_eq!(mask.bounds(), Some([60, 0, 120, 60]), "nothing outside the window");
    for (low, length) in [([0.0, 500.0], [60.0, 60.0]), ([0.0, 0.0], [0.0, 60.0]), ([f64::NAN, 0.0], [60.0, 60.0])] {
        let error = Upsampler::new([48; 2], &Frame::Window { low, length }, [60, 120]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
}

#[test]
fn impossible_sizes_are_errors() {
    let logits = Logits::new(vec![1.0; 12], [3, 4]).unwrap();
    let way = Upsampler::new([4, 3], &Frame::Whole, [9, 9]).unwrap();
    let padded = |side, kept| Frame::Padded { side, kept };
    let errors = [
        Logits::new(vec![1.0; 11], [3, 4]).unwrap_err(),
        Logits::new(vec![], [0, 4]).unwrap_err(),
        Logits::new(vec![1.0], [usize::MAX, 2]).unwrap_err(),
        way.threshold(&logits, 0.0).unwrap_err(),
        way.upsample(&logits).unwrap_err(),
        mask::upsample(&logits, &Frame::Whole, [0, 4]).unwrap_err(),
        mask::above(&logits, &padded(8, [9, 8]), [4, 4], 0.0).unwrap_err(),
        mask::above(&logits, &padded(8, [8, 0]), [4, 4], 0.0).unwrap_err(),
        Upsampler::new([0, 3], &Frame::Whole, [9, 9]).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    for frame in [Frame::Whole, padded(1 << 17, [1 << 17, 1])] {
        let error = mask::threshold(&logits, &frame, [1 << 16, 1 << 17], 0.0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    assert_eq!(mask::threshold(&logits, &padded(1 << 17, [1, 1]), [4, 4], 0.0).unwrap_err().kind(), ErrorKind::TooLarge);
}
