//! maskline's own operators for layers, run against graphs of standard ones; weights of sixteen bits against the same numbers in f32.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use half::{bf16, f16};
use maskline_onnx::{Constant, DType, Dialect, GeluForm, Graph, LayerActivation, LayerNorm, LayerOptions, MlpLayers, Value};
use maskline_runtime::{Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, Tensor, load};

static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

const ROWS: usize = 300;
const WIDTH: usize = 40;
const HIDDEN: usize = 72;
const EPSILON: f32 = 1e-5;

/// Values between about -1 and 1 that differ from each other, exact in bfloat16.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| (((i * 37 + seed * 101) % 97) as f32 - 48.0) / 64.0).collect()
}

/// A constant of a type that holds the values exactly.
fn constant(g: &mut Graph<'static>, shape: &[usize], seed: usize, dtype: DType) -> Value {
    let values = values(shape.iter().product(), seed);
    let constant = match dtype {
        DType::F16 => Constant::new(dtype, shape, values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect::<Vec<_>>()),
        DType::BF16 => Constant::new(dtype, shape, values.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect::<Vec<_>>()),
        _ => Constant::f32(shape, values),
    };
    g.constant(constant.unwrap())
}

/// What a graph on `x` [2, 150, 40] gives.
fn run(mut g: Graph<'static>, threads: usize, build: impl FnOnce(&mut Graph<'static>, &Value) -> maskline_onnx::Result<Value>) -> Vec<f32> {
    let shape = [2, ROWS / 2, WIDTH];
    let x = g.input("x", DType::F32, shape).unwrap();
    let y = build(&mut g, &x).unwrap();
    g.output("y", &y).unwrap();
    let bytes = g.finish().unwrap().to_bytes().unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::Bytes(&bytes), &LaneOptions { threads, ..LaneOptions::default() }).unwrap();
    let outputs = lane.run(Job::new([("x", Tensor::new(shape, values(ROWS * WIDTH, 0)).unwrap())])).unwrap();
    outputs.f32("y").unwrap().data.to_vec()
}

fn own() -> Graph<'static> {
    Graph::new("own", Dialect::Native).with_own_layers(true)
}

/// The layer normalisation of both.
fn norm(g: &mut Graph<'static>) -> [Value; 2] {
    [1, 2].map(|seed| constant(g, &[WIDTH], seed, DType::F32))
}

/// An MLP of our own with weights of a type, or of standard operators.
fn mlp(g: &mut Graph<'static>, x: &Value, dtype: DType) -> maskline_onnx::Result<Value> {
    let [gain, shift] = norm(g);
    let weights = [constant(g, &[HIDDEN, WIDTH], 3, dtype), constant(g, &[WIDTH, HIDDEN], 4, dtype)];
    let biases = [constant(g, &[HIDDEN], 5, DType::F32), constant(g, &[WIDTH], 6, DType::F32)];
    if g.has_own_layers() {
        let norm = LayerNorm { weight: &gain, bias: &shift, epsilon: EPSILON };
        return g.mlp(x, MlpLayers { norm, weights: weights.each_ref(), biases: biases.each_ref(), activation: LayerActivation::Gelu });
    }
    let y = g.layer_norm(x, &gain, Some(&shift), EPSILON)?;
    let y = g.linear(&y, &weights[0], Some(&biases[0]))?;
    let y = g.gelu(&y, GeluForm::Exact)?;
    let y = g.linear(&y, &weights[1], Some(&biases[1]))?;
    g.add(x, &y)
}

/// A layer with all that goes with it.
fn layer(g: &mut Graph<'static>, x: &Value, dtype: DType) -> maskline_onnx::Result<Value> {
    let [gain, shift] = norm(g);
    let (weight, bias) = (constant(g, &[WIDTH, WIDTH], 7, dtype), constant(g, &[WIDTH], 8, DType::F32));
    if g.has_own_layers() {
        let norm = Some(LayerNorm { weight: &gain, bias: &shift, epsilon: EPSILON });
        return g.layer(x, &weight, LayerOptions { norm, bias: Some(&bias), activation: LayerActivation::Relu, residual: Some(x) });
    }
    let y = g.layer_norm(x, &gain, Some(&shift), EPSILON)?;
    let y = g.linear(&y, &weight, Some(&bias))?;
    let y = g.relu(&y)?;
    g.add(x, &y)
}

#[test]
fn layers_of_our_own_are_those_of_standard_operators() {
    for build in [mlp, layer] {
        let expected = run(Graph::new("standard", Dialect::Portable), 1, |g, x| build(g, x, DType::F32));
        for threads in [1, 3] {
            let found = run(own(), threads, |g, x| build(g, x, DType::F32));
            let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max);
            assert!(found.len() == expected.len() && worst < 1e-5, "{threads} threads: wrong by {worst}");
        }
    }
}

#[test]
fn weights_of_sixteen_bits_are_taken_as_they_are() {
    for build in [mlp, layer] {
        let wide = run(own(), 2, |g, x| build(g, x, DType::F32));
        for dtype in [DType::F16, DType::BF16] {
            let found = run(own(), 2, |g, x| build(g, x, dtype));
            assert!(found.iter().zip(&wide).all(|(a, b)| a.to_bits() == b.to_bits()), "{dtype}");
        }
    }
}

#[test]
fn weights_of_other_types_are_refused() {
    let mut g = own();
    let x = g.input("x", DType::F32, [ROWS, WIDTH]).unwrap();
    let weight = g.constant(Constant::i64s(&vec![1; WIDTH * WIDTH]));
    let weight = g.reshape(&weight, [WIDTH, WIDTH]).unwrap();
    let error = g.layer(&x, &weight, LayerOptions::default()).unwrap_err();
    assert!(error.to_string().contains("i64"), "{error}");
}
