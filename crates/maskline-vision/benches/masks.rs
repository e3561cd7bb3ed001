//! Pictures in and masks out at the sizes of SAM: `cargo bench -p maskline-vision --bench masks`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use maskline_vision::RgbImage;
use maskline_vision::fit::{Normalise, Target, longest_side, stretch};
use maskline_vision::mask::{Frame, Logits, StabilityCut, Upsampler};

const WIDTH: usize = 1800;
const HEIGHT: usize = 1200;

fn fit(criterion: &mut Criterion) {
    let pixels = (0..WIDTH * HEIGHT * 3).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 16) as u8).collect();
    let picture = RgbImage::new(WIDTH, HEIGHT, pixels).unwrap();
    let target = Target { frame: [1024, 1024], normalise: Normalise::IMAGENET };
    let mut out = vec![0.0; 3 * 1024 * 1024];
    criterion.bench_function("stretch 1800x1200 to 1024x1024", |bencher| {
        bencher.iter(|| stretch(black_box(&picture), target, &mut out).unwrap());
    });
    criterion.bench_function("longest side of 1800x1200 to 1024", |bencher| {
        bencher.iter(|| longest_side(black_box(&picture), 1024, target, &mut out).unwrap());
    });
}

/// An object as mask decoders give it: a wobbly blob of 5 to 30 % of the side, steep at its outline, with a little noise.
fn object(seed: usize) -> Logits {
    let noise = |i: usize| (i.wrapping_mul(0x9E37_79B1).wrapping_add(seed.wrapping_mul(0x85EB_CA6B)) >> 8) as u8;
    let part = |i: usize| f32::from(noise(i * 7919 + 1)) / 255.0;
    let (center, radius) = ([40.0 + 176.0 * part(1), 40.0 + 176.0 * part(2)], 12.0 + 64.0 * part(3));
    let value = |i: usize| {
        let [dy, dx] = [(i / 256) as f32 - center[0], (i % 256) as f32 - center[1]];
        let wobble = 1.0 + 0.2 * (5.0 * dy.atan2(dx) + 6.0 * part(4)).sin();
        (radius * wobble - dy.hypot(dx)).clamp(-12.0, 12.0) + 0.3 * f32::from(noise(i)) / 255.0
    };
    Logits::new((0..256 * 256).map(value).collect(), [256, 256]).unwrap()
}

fn masks(criterion: &mut Criterion) {
    let objects: Vec<Logits> = (0..47).map(object).collect();
    for (name, frame) in [("whole", Frame::Whole), ("padded", Frame::Padded { side: 1024, kept: [683, 1024] })] {
        let way = || Upsampler::new([256, 256], &frame, [HEIGHT, WIDTH]).unwrap();
        criterion.bench_function(&format!("47 masks of 256x256 to 1800x1200, {name}"), |bencher| {
            bencher.iter(|| {
                let way = way();
                objects.iter().map(|object| way.threshold(black_box(object), 0.0).unwrap().area()).sum::<u64>()
            });
        });
        criterion.bench_function(&format!("47 stability scores of 256x256 at 1800x1200, {name}"), |bencher| {
            let way = way();
            bencher.iter(|| objects.iter().map(|object| way.stability(black_box(object), StabilityCut::default()).unwrap()).sum::<f32>());
        });
    }
    let way = Upsampler::new([256, 256], &Frame::Whole, [HEIGHT, WIDTH]).unwrap();
    criterion.bench_function("1 full upsampling of 256x256 to 1800x1200, whole", |bencher| {
        bencher.iter(|| way.upsample(black_box(&objects[0])).unwrap());
    });
}

criterion_group!(benches, fit, masks);
criterion_main!(benches);
