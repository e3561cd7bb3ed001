//! Quantised models: ranges are told, answers stay near, weights take a quarter.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use maskline_onnx::{Constant, ConvOptions, DType, Dialect, Dim, Graph, IntegerOptions, Model, Range, SEEN, Value};
use maskline_runtime::{Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, Outputs, Tensor, load};

static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

/// Noise between -1 and 1.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn weight(g: &mut Graph<'static>, shape: &[usize], seed: u64) -> Value {
    g.constant(Constant::f32(shape, values(shape.iter().product(), seed)).unwrap())
}

/// Two convolutions with ReLU between them, then tokens through a layer, on pictures of any size.
fn network() -> Model<'static> {
    let mut g = Graph::new("test", Dialect::Portable);
    let x = g.input("x", DType::F32, [Dim::symbol("n"), 8.into(), Dim::symbol("rows"), 16.into()]).unwrap();
    let (first, second) = (weight(&mut g, &[24, 8, 3, 3], 1), weight(&mut g, &[32, 24, 3, 3], 2));
    let (bias, other) = (weight(&mut g, &[24], 3), weight(&mut g, &[32], 4));
    let y = g.conv(&x, &first, Some(&bias), &ConvOptions::same(3, 1)).unwrap();
    let y = g.relu(&y).unwrap();
    let y = g.conv(&y, &second, Some(&other), &ConvOptions::same(3, 1)).unwrap();
    let tokens = g.transpose(&y, &[0, 2, 3, 1]).unwrap();
    let layer = weight(&mut g, &[40, 32], 5);
    let y = g.linear(&tokens, &layer, None).unwrap();
    g.output("y", &y).unwrap();
    g.finish().unwrap()
}

fn run(model: &Model<'_>, x: &[f32]) -> Outputs {
    let bytes = model.to_bytes().unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::Bytes(&bytes), &LaneOptions { threads: 1, ..LaneOptions::default() }).unwrap();
    lane.run(Job::new([("x", Tensor::new(vec![1, 8, 16, 16], x.to_vec()).unwrap())])).unwrap()
}

fn ranges(x: &[f32]) -> BTreeMap<String, Range> {
    let outputs = run(&network().observed().unwrap(), x);
    let told = outputs.names().filter_map(|name| name.strip_prefix(SEEN));
    let range = |name: &str| {
        let view = outputs.f32(&format!("{SEEN}{name}")).unwrap();
        let [low, high, samples @ ..] = view.data else { panic!("{name} tells nothing") };
        assert!(samples.len() > 200 && samples.len() < 20_000, "{name}: {}", samples.len());
        assert!(samples.iter().all(|sample| (*low..=*high).contains(sample)));
        (name.to_owned(), Range { low: *low, high: *high })
    };
    told.map(range).collect()
}

/// The error's root mean square as a share of the answer's.
fn error(found: &[f32], expected: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>();
    let apart = square(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    (apart / square(&mut expected.iter().copied())).sqrt()
}

#[test]
fn answers_stay_near_and_weights_take_a_quarter() {
    let x = values(8 * 16 * 16, 9);
    let ranges = ranges(&x);
    // Into three operators and out of two; what the second convolution gives, turned, is what the layer takes.
    assert_eq!(ranges.len(), 5);
    let plain = run(&network(), &x);
    let plain = plain.f32("y").unwrap();
    let mut errors = Vec::new();
    for weight_bits in [8, 7] {
        let model = network().in_integers(&IntegerOptions { ranges: &ranges, weight_bits }).unwrap();
        assert!(model.weight_bytes() * 3 < network().weight_bytes(), "{} of {}", model.weight_bytes(), network().weight_bytes());
        let found = run(&model, &x);
        errors.push(error(found.f32("y").unwrap().data, plain.data));
    }
    assert!(errors[1] > 1e-4 && errors[1] < 0.03, "{errors:?}");
}

#[test]
fn what_nobody_knows_the_range_of_stays_f32() {
    let x = values(8 * 16 * 16, 9);
    let all = ranges(&x);
    let plain = run(&network(), &x);
    let none = network().in_integers(&IntegerOptions { ranges: &BTreeMap::new(), weight_bits: 8 }).unwrap();
    assert_eq!((none.count_of("QuantizeLinear"), none.weight_bytes()), (0, network().weight_bytes()));
    assert!(run(&none, &x).f32("y").unwrap().data == plain.f32("y").unwrap().data);
    // Ranges that are none.
    for bad in [Range { low: 0.0, high: 0.0 }, Range { low: f32::NAN, high: 1.0 }, Range { low: f32::NEG_INFINITY, high: 1.0 }] {
        let ranges = all.keys().map(|name| (name.clone(), bad)).collect();
        assert_eq!(
            network().in_integers(&IntegerOptions { ranges: &ranges, weight_bits: 8 }).unwrap().count_of("QuantizeLinear"),
            0,
            "{bad:?}"
        );
    }
}
