//! Tracing, filling, writing and painting masks of a picture of 1800 × 1200: `cargo bench -p maskline-vision --bench writers`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use maskline_vision::draw::Marks;
use maskline_vision::mask::Part;
use maskline_vision::write::{Answer, ImageObjects, MaskFormat, MaskOptions, encode_masks};
use maskline_vision::{Mask, Object, RgbImage};

const SIZE: [usize; 2] = [1800, 1200];

/// Half of the picture, with a wavy edge, a hole and a part in the hole.
fn wavy() -> Mask {
    let is_set = |x: usize, y: usize| {
        let (dx, dy) = (x as f32 - 900.0, y as f32 - 600.0);
        let distance = dx.hypot(1.5 * dy) * (1.0 + 0.1 * (9.0 * dy.atan2(dx)).sin());
        distance < 120.0 || (300.0..780.0).contains(&distance)
    };
    Mask::from_fn(SIZE[0], SIZE[1], is_set).unwrap()
}

/// Every fourth pixel or so, at random: the worst that a mask can be.
fn noise() -> Mask {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 30 == 0
    };
    Mask::from_fn(SIZE[0], SIZE[1], |_, _| next()).unwrap()
}

fn outlines(c: &mut Criterion) {
    for (name, mask) in [("wavy", wavy()), ("noise", noise())] {
        let parts = mask.parts(0.0);
        c.bench_function(&format!("trace {name}"), |b| b.iter(|| black_box(&mask).parts(0.0)));
        c.bench_function(&format!("trace and simplify {name}"), |b| b.iter(|| black_box(&mask).parts(1.0)));
        c.bench_function(&format!("fill {name}"), |b| {
            b.iter(|| Mask::from_polygons(SIZE[0], SIZE[1], black_box(&parts).iter().flat_map(Part::rings)).unwrap());
        });
    }
}

fn formats(c: &mut Criterion) {
    let pixels = (0..SIZE[0] * SIZE[1] * 3).map(|at| (at / 97) as u8).collect();
    let image = RgbImage::new(SIZE[0], SIZE[1], pixels).unwrap();
    let mask = wavy();
    let bounds = mask.bounds().unwrap().map(|side| side as f32);
    let objects = [Object { score: 0.9, bounds, mask: Some(mask), ..Object::default() }];
    let found = ImageObjects { image_id: 1, width: SIZE[0], height: SIZE[1], objects: &objects };
    let answer = Answer { found, file_name: "picture.jpg", pixels: Some(&image), marks: Marks::default() };
    for format in MaskFormat::ALL {
        c.bench_function(&format!("encode {format}"), |b| {
            b.iter(|| encode_masks(format, black_box(&answer), &MaskOptions::default()).unwrap())
        });
    }
}

criterion_group!(benches, outlines, formats);
criterion_main!(benches);
