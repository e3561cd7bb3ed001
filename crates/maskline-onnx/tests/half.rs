//! Half precision: what becomes f16, what stays, and that it is computed so.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use maskline_onnx::{Constant, ConvOptions, DType, Dialect, Dim, GeluForm, Graph, Half, Model, Value};
use maskline_runtime::{Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, Tensor, load};

static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

/// Values between about -1 and 1 that no short fraction is equal to.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 37 + seed * 101) % 97) as f32 - 48.0) / 48.7).collect()
}

fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|value| half::f16::from_f32(*value).to_f32()).collect()
}

/// `x` [n, ..] to `y`.
fn model(shape: &[usize], build: impl Fn(&mut Graph<'static>, &Value) -> Value) -> Model<'static> {
    let mut g = Graph::new("test", Dialect::Portable);
    let dims = [Dim::symbol("n")].into_iter().chain(shape.iter().map(|size| Dim::fixed(*size)));
    let x = g.input("x", DType::F32, dims.collect::<Vec<_>>()).unwrap();
    let y = build(&mut g, &x);
    g.output("y", &y).unwrap();
    g.finish().unwrap()
}

fn run(model: &Model<'_>, shape: &[usize], x: Vec<f32>) -> Vec<f32> {
    let bytes = model.to_bytes().unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::Bytes(&bytes), &LaneOptions { threads: 1, ..LaneOptions::default() }).unwrap();
    let shape: Vec<usize> = [1].into_iter().chain(shape.iter().copied()).collect();
    lane.run(Job::new([("x", Tensor::new(shape, x).unwrap())])).unwrap().f32("y").unwrap().data.to_vec()
}

fn weight(g: &mut Graph<'static>, shape: &[usize], values: Vec<f32>) -> Value {
    g.constant(Constant::f32(shape, values).unwrap())
}

/// A layer, its activation, and a second one: 40 rows of 48.
fn perceptron(scale: f32) -> Model<'static> {
    model(&[40, 48], move |g, x| {
        let [first, second] = [1, 2].map(|seed| weight(g, &[48, 48], values(48 * 48, seed)));
        let bias = weight(g, &[48], values(48, 3));
        let x = g.linear(x, &first, Some(&bias)).unwrap();
        let factor = g.scalar(scale);
        let x = g.mul(&x, &factor).unwrap();
        let x = g.gelu(&x, GeluForm::Tanh).unwrap();
        g.linear(&x, &second, None).unwrap()
    })
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |worst, apart| if apart.is_nan() { f32::INFINITY } else { worst.max(apart) })
}

#[test]
fn weights_alone_give_what_rounded_weights_give_and_half_the_bytes() {
    let x = values(40 * 48, 9);
    let plain = perceptron(0.1);
    let half = perceptron(0.1).in_half(Half::Weights).unwrap();
    assert!(half.weight_bytes() * 10 < plain.weight_bytes() * 6, "{} of {}", half.weight_bytes(), plain.weight_bytes());
    let expected = run(
        &model(&[40, 48], |g, x| {
            let [first, second] = [1, 2].map(|seed| weight(g, &[48, 48], rounded(&values(48 * 48, seed))));
            let bias = weight(g, &[48], values(48, 3));
            let x = g.linear(x, &first, Some(&bias)).unwrap();
            let factor = g.scalar(0.1);
            let x = g.mul(&x, &factor).unwrap();
            let x = g.gelu(&x, GeluForm::Tanh).unwrap();
            g.linear(&x, &second, None).unwrap()
        }),
        &[40, 48],
        x.clone(),
    );
    assert!(run(&half, &[40, 48], x) == expected);
}

#[test]
fn arithmetic_is_rounded_between_operators_and_its_ports_stay_f32() {
    let x = values(40 * 48, 9);
    let plain = run(&perceptron(0.1), &[40, 48], x.clone());
    let half = run(&perceptron(0.1).in_half(Half::Emulated).unwrap(), &[40, 48], x.clone());
    let apart = largest_difference(&plain, &half);
    let largest = plain.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    assert!(apart > 1e-5 * largest && apart < 5e-3 * largest, "{apart} of {largest}");
    // All that is f16 at the end was rounded to it.
    assert!(rounded(&half) == half);
    let weights = run(&perceptron(0.1).in_half(Half::Weights).unwrap(), &[40, 48], x);
    assert!(rounded(&weights) != weights);
}

#[test]
fn what_f16_has_no_room_for_stays_f32() {
    let x = values(40 * 48, 9);
    // A factor that is infinite in f16, and one that is 0.
    for scale in [1e6, 1e-15] {
        let plain = run(&perceptron(scale), &[40, 48], x.clone());
        let weights = run(&perceptron(scale).in_half(Half::Weights).unwrap(), &[40, 48], x.clone());
        let largest = plain.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert!(largest_difference(&plain, &weights) < 5e-3 * largest, "{scale}");
    }
    let epsilon = |g: &mut Graph<'static>, x: &Value| {
        let layer = weight(g, &[48, 48], values(48 * 48, 1));
        let x = g.linear(x, &layer, None).unwrap();
        let x = g.relu(&x).unwrap();
        let least = g.scalar(1e-15);
        let x = g.add(&x, &least).unwrap();
        g.div(&x, &x).unwrap()
    };
    let half = model(&[40, 48], epsilon).in_half(Half::Emulated).unwrap();
    assert!(run(&half, &[40, 48], x).iter().all(|value| *value == 1.0), "0 / 0 where the epsilon is lost");
}

#[test]
fn a_familys_full_precision_and_sums_stay_f32() {
    let build = |is_full: bool| {
        model(&[40, 48], move |g, x| {
            let build = |g: &mut Graph<'static>| {
                let layer = weight(g, &[48, 48], values(48 * 48, 1));
                g.linear(x, &layer, None)
            };
            let y = if is_full { g.full_precision(build) } else { build(g) }.unwrap();
            g.mul(&y, &y).unwrap()
        })
    };
    let x = values(40 * 48, 9);
    let plain = run(&build(false), &[40, 48], x.clone());
    for half in [Half::Weights, Half::Emulated] {
        assert!(run(&build(true).in_half(half).unwrap(), &[40, 48], x.clone()) == plain, "{half:?}");
        assert!(run(&build(false).in_half(half).unwrap(), &[40, 48], x.clone()) != plain, "{half:?}");
    }
    let normed = model(&[40, 48], |g, x| {
        let layer = weight(g, &[48, 48], values(48 * 48, 1));
        let x = g.linear(x, &layer, None).unwrap();
        let x = g.softmax(&x, -1).unwrap();
        let x = g.reduce_sum(&x, &[-1], true).unwrap();
        g.exp(&x).unwrap()
    });
    let half = normed.in_half(Half::Arithmetic).unwrap();
    // Into the product, out of it into the softmax, and nothing more: what follows is f32.
    assert_eq!(half.count_of("Cast"), 2);
}

#[test]
fn pictures_of_any_size_are_resized_in_f16() {
    let resized = || {
        model(&[3, 8, 8], |g, x| {
            let kernel = weight(g, &[4, 3, 3, 3], values(108, 1));
            let x = g.conv(x, &kernel, None, &ConvOptions::same(3, 1)).unwrap();
            let x = g.upsample(&x, 2, maskline_onnx::Interpolation::Nearest).unwrap();
            g.max_pool(&x, &maskline_onnx::PoolOptions { kernel: [2, 2], stride: [2, 2], padding: [0; 4] }).unwrap()
        })
    };
    let plain = run(&resized(), &[3, 8, 8], values(192, 5));
    let found = run(&resized().in_half(Half::Emulated).unwrap(), &[3, 8, 8], values(192, 5));
    assert!(largest_difference(&plain, &found) < 2e-2 && found != plain);
    let half = resized().in_half(Half::Arithmetic).unwrap();
    assert_eq!(half.count_of("Cast"), 2, "one in, one out");
    assert!(largest_difference(&plain, &run(&half, &[3, 8, 8], values(192, 5))) < 2e-2);
}

#[test]
fn weights_that_are_stored_in_f16_are_used_as_they_lie() {
    let bytes: Vec<u8> = values(48 * 48, 1).iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
    let build = || {
        let bytes = bytes.clone();
        model(&[40, 48], move |g, x| {
            let layer = g.widened(Constant::new(DType::F16, &[48, 48], bytes.clone()).unwrap());
            g.matmul(x, &layer).unwrap()
        })
    };
    let x = values(40 * 48, 9);
    let plain = run(&build(), &[40, 48], x.clone());
    let weights = build().in_half(Half::Weights).unwrap();
    assert_eq!(weights.weight_bytes(), build().weight_bytes());
    assert!(run(&weights, &[40, 48], x.clone()) == plain);
    let half = build().in_half(Half::Arithmetic).unwrap();
    assert_eq!((half.weight_bytes(), half.count_of("Cast")), (build().weight_bytes(), 2));
    assert!(run(&build().in_half(Half::Emulated).unwrap(), &[40, 48], x) != plain);
}
