//! Pictures in and masks out at the sizes of SAM: `cargo bench -p maskline-vision --bench masks`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use maskline_vision::RgbImage;
use maskline_vision::fit::{Normalise, longest_side, stretch};

const WIDTH: usize = 1800;
const HEIGHT: usize = 1200;

fn fit(criterion: &mut Criterion) {
    let pixels = (0..WIDTH * HEIGHT * 3).map(|i| (i.wrapping_mul(0x9E37_79B1) >> 16) as u8).collect();
    let picture = RgbImage::new(WIDTH, HEIGHT, pixels).unwrap();
    let (frame, normalise) = ([1024, 1024], Normalise::IMAGENET);
    let mut out = vec![0.0; 3 * 1024 * 1024];
    criterion.bench_function("stretch 1800x1200 to 1024x1024", |bencher| {
        bencher.iter(|| stretch(black_box(&picture), frame, &normalise, &mut out).unwrap());
    });
    criterion.bench_function("longest side of 1800x1200 to 1024", |bencher| {
        bencher.iter(|| longest_side(black_box(&picture), 1024, (frame, &normalise), &mut out).unwrap());
    });
}

criterion_group!(benches, fit);
criterion_main!(benches);
