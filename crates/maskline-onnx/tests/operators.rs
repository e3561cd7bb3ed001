//! Every operator, run in ONNX Runtime and compared with a plain reference; folding against running.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use maskline_onnx::{
    AttentionOptions, Constant, ConvOptions, DType, Dialect, Dim, GeluForm, Graph, Interpolation, PadMode, PoolOptions, Rotation, Value,
};
use maskline_runtime::{Job, Lane, LaneOptions, Library, LibraryOptions, ModelSource, Tensor, load};

static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| load(&LibraryOptions::from_env()).unwrap());

/// Values between about -2 and 2 that differ from each other.
fn values(shape: &[usize], seed: usize) -> Vec<f32> {
    (0..shape.iter().product::<usize>()).map(|i| (((i * 37 + seed * 101) % 97) as f32 - 48.0) / 24.0).collect()
}

type Build<'a> = &'a dyn Fn(&mut Graph<'static>, &[Value]) -> maskline_onnx::Result<Value>;

/// Builds with inputs of these shapes and runs; `free` makes the first dimension of all inputs unknown.
fn run(dialect: Dialect, shapes: &[&[usize]], free: bool, build: Build<'_>) -> (Vec<usize>, Vec<f32>) {
    let mut g = Graph::new("test", dialect);
    let inputs: Vec<Value> = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            let mut dims: Vec<Dim> = shape.iter().map(|size| Dim::fixed(*size)).collect();
            if free {
                dims[0] = Dim::symbol("batch");
            }
            g.input(&format!("x{i}"), DType::F32, dims).unwrap()
        })
        .collect();
    let y = build(&mut g, &inputs).unwrap();
    let y = if y.dtype() == DType::F32 { y } else { g.cast(&y, DType::F32).unwrap() };
    g.output("y", &y).unwrap();
    let bytes = g.finish().unwrap().to_bytes().unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::Bytes(&bytes), &LaneOptions { threads: 1, ..LaneOptions::default() }).unwrap();
    let names: Vec<String> = (0..shapes.len()).map(|i| format!("x{i}")).collect();
    let feed = |(i, shape): (usize, &&[usize])| (names[i].as_str(), Tensor::new(shape.to_vec(), values(shape, i)).unwrap());
    let outputs = lane.run(Job::new(shapes.iter().enumerate().map(feed))).unwrap();
    let view = outputs.f32("y").unwrap();
    let known = y.shape().0.iter().zip(&view.shape).all(|(dim, size)| dim.known().is_none_or(|known| known == *size));
    assert!(known, "inferred {}, found {:?}", y.shape(), view.shape);
    (view.shape.clone(), view.data.to_vec())
}

/// Builds on constants; the result must be a constant where `folds`, and equal to what running gave.
fn fold(shapes: &[&[usize]], build: Build<'_>, expected: &[f32]) {
    let mut g = Graph::new("folded", Dialect::Portable);
    let inputs: Vec<Value> =
        shapes.iter().enumerate().map(|(i, shape)| g.constant(Constant::f32(shape, values(shape, i)).unwrap())).collect();
    let y = build(&mut g, &inputs).unwrap();
    let y = if y.dtype() == DType::F32 { y } else { g.cast(&y, DType::F32).unwrap() };
    assert!(g.as_constant(&y).is_some(), "the result is not folded");
    g.output("y", &y).unwrap();
    let bytes = g.finish().unwrap().to_bytes().unwrap();
    let lane = Lane::open(&LIBRARY, ModelSource::Bytes(&bytes), &LaneOptions { threads: 1, ..LaneOptions::default() }).unwrap();
    close(lane.run(Job::new(Vec::<(&str, Tensor)>::new())).unwrap().f32("y").unwrap().data, expected, 2e-6);
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        let equal = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs().max(1.0);
        assert!(equal, "element {i}: found {a}, expected {b}");
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn unary_operators() {
    let shape: &[usize] = &[3, 40];
    type Case = (fn(&mut Graph<'static>, &Value) -> maskline_onnx::Result<Value>, fn(f32) -> f32, bool);
    // The error function by its series: enough terms for |x| ≤ 2.
    fn erf(x: f32) -> f32 {
        let x = f64::from(x);
        let mut term = x;
        let mut sum = x;
        for n in 1..60 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        (sum * 2.0 / std::f64::consts::PI.sqrt()) as f32
    }
    let cases: Vec<Case> = vec![
        (|g, x| g.neg(x), |x| -x, true),
        (|g, x| g.abs(x), f32::abs, true),
        (|g, x| g.exp(x), f32::exp, true),
        (|g, x| g.log(x), f32::ln, true),
        (|g, x| g.sqrt(x), f32::sqrt, true),
        (|g, x| g.reciprocal(x), |x| 1.0 / x, true),
        (|g, x| g.erf(x), erf, false),
        (|g, x| g.sigmoid(x), sigmoid, true),
        (|g, x| g.tanh(x), f32::tanh, true),
        (|g, x| g.relu(x), |x| x.max(0.0), true),
        (|g, x| g.sin(x), f32::sin, true),
        (|g, x| g.cos(x), f32::cos, true),
        (|g, x| g.floor(x), f32::floor, true),
        (|g, x| g.silu(x), |x| x * sigmoid(x), true),
        (|g, x| g.clip(x, -0.5, 1.0), |x| x.clamp(-0.5, 1.0), false),
        (|g, x| g.hard_swish(x), |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0), false),
        (|g, x| g.hard_sigmoid(x), |x| (x / 6.0 + 0.5).clamp(0.0, 1.0), false),
        (|g, x| g.mish(x), |x| x * (1.0 + x.exp()).ln().tanh(), false),
        (|g, x| g.softplus(x), |x| (1.0 + x.exp()).ln(), false),
        (|g, x| g.softsign(x), |x| x / (1.0 + x.abs()), false),
        (|g, x| g.selu(x), |x| 1.050_701 * if x > 0.0 { x } else { 1.673_263_2 * (x.exp() - 1.0) }, false),
        (|g, x| g.leaky_relu(x, 0.1), |x| if x > 0.0 { x } else { 0.1 * x }, false),
        (|g, x| g.elu(x, 0.7), |x| if x > 0.0 { x } else { 0.7 * (x.exp() - 1.0) }, false),
        (|g, x| g.celu(x, 0.7), |x| if x > 0.0 { x } else { 0.7 * ((x / 0.7).exp() - 1.0) }, false),
        (|g, x| g.quick_gelu(x), |x| x * sigmoid(1.702 * x), false),
        (|g, x| g.gelu(x, GeluForm::Exact), |x| 0.5 * x * (1.0 + erf(x / std::f32::consts::SQRT_2)), false),
        (|g, x| g.gelu(x, GeluForm::Tanh), |x| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh()), false),
    ];
    for (build, reference, folds) in cases {
        let expected: Vec<f32> = values(shape, 0).into_iter().map(reference).collect();
        for dialect in [Dialect::Ort, Dialect::Portable] {
            let (_, found) = run(dialect, &[shape], true, &|g, x| build(g, &x[0]));
            close(&found, &expected, 2e-5);
        }
        if folds {
            fold(&[shape], &|g, x| build(g, &x[0]), &expected);
        }
    }
}

#[test]
fn slopes_of_channels() {
    let slope = [0.5, -0.25, 2.0];
    let build: Build<'_> = &|g, x| {
        let slope = g.constant(Constant::f32(&[3, 1], slope.to_vec()).unwrap());
        g.prelu(&x[0], &slope)
    };
    let (_, found) = run(Dialect::Portable, &[&[2, 3, 4]], true, build);
    let expected: Vec<f32> =
        values(&[2, 3, 4], 0).into_iter().enumerate().map(|(i, x)| if x > 0.0 { x } else { slope[i / 4 % 3] * x }).collect();
    close(&found, &expected, 1e-6);
}

#[test]
fn binary_operators_broadcast() {
    let shapes: [&[usize]; 2] = [&[2, 3, 4], &[3, 1]];
    type Case = (fn(&mut Graph<'static>, &Value, &Value) -> maskline_onnx::Result<Value>, fn(f32, f32) -> f32);
    let cases: Vec<Case> = vec![
        (|g, a, b| g.add(a, b), |a, b| a + b),
        (|g, a, b| g.sub(a, b), |a, b| a - b),
        (|g, a, b| g.mul(a, b), |a, b| a * b),
        (|g, a, b| g.div(a, b), |a, b| a / b),
        (|g, a, b| g.minimum(a, b), f32::min),
        (|g, a, b| g.maximum(a, b), f32::max),
        (|g, a, b| g.equal(a, b), |a, b| f32::from(u8::from(a == b))),
        (|g, a, b| g.greater(a, b), |a, b| f32::from(u8::from(a > b))),
        (|g, a, b| g.less(a, b), |a, b| f32::from(u8::from(a < b))),
        (
            |g, a, b| {
                let a = g.exp(a)?;
                g.pow(&a, b)
            },
            |a, b| a.exp().powf(b),
        ),
        (
            |g, a, b| {
                let larger = g.greater(a, b)?;
                let not = g.not(&larger)?;
                g.select(&not, a, b)
            },
            |a, b| if a > b { b } else { a },
        ),
    ];
    let (a, b) = (values(shapes[0], 0), values(shapes[1], 1));
    for (build, reference) in cases {
        let expected: Vec<f32> = a.iter().enumerate().map(|(i, a)| reference(*a, b[i / 4 % 3])).collect();
        let (shape, found) = run(Dialect::Ort, &shapes, false, &|g, x| build(g, &x[0], &x[1]));
        assert_eq!(shape, [2, 3, 4]);
        close(&found, &expected, 1e-5);
    }
    let expected: Vec<f32> = a.iter().enumerate().map(|(i, a)| a * b[i / 4 % 3]).collect();
    fold(&shapes, &|g, x| g.mul(&x[0], &x[1]), &expected);
}

/// [N, C, H, W] convolved with [O, C/groups, kh, kw].
fn conv(x: (&[f32], [usize; 4]), w: (&[f32], [usize; 4]), bias: &[f32], o: &ConvOptions) -> Vec<f32> {
    let ([n, c, h, width], [out, group_channels, kh, kw]) = (x.1, w.1);
    let size = |side: usize, k: usize, axis: usize| {
        (side + o.padding[axis] + o.padding[axis + 2] - o.dilation[axis] * (k - 1) - 1) / o.stride[axis] + 1
    };
    let (rows, columns) = (size(h, kh, 0), size(width, kw, 1));
    let mut y = Vec::new();
    for (image, channel) in (0..n).flat_map(|i| (0..out).map(move |o| (i, o))) {
        let first = channel / (out / o.groups) * group_channels;
        for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
            let mut sum = f64::from(bias[channel]);
            for (i, ky, kx) in (0..group_channels).flat_map(|i| (0..kh).flat_map(move |y| (0..kw).map(move |x| (i, y, x)))) {
                let (py, px) = (row * o.stride[0] + ky * o.dilation[0], column * o.stride[1] + kx * o.dilation[1]);
                let (Some(py), Some(px)) = (py.checked_sub(o.padding[0]), px.checked_sub(o.padding[1])) else { continue };
                if py < h && px < width {
                    let weight = w.0[((channel * group_channels + i) * kh + ky) * kw + kx];
                    sum += f64::from(x.0[((image * c + first + i) * h + py) * width + px]) * f64::from(weight);
                }
            }
            y.push(sum as f32);
        }
    }
    y
}

#[test]
fn convolutions() {
    let cases = [
        ([2, 4, 9, 8], [6, 4, 3, 3], ConvOptions::same(3, 2)),
        ([1, 4, 9, 8], [8, 2, 3, 2], ConvOptions { stride: [1, 2], padding: [1, 0, 2, 1], dilation: [2, 1], groups: 2 }),
        ([1, 5, 6, 6], [5, 1, 5, 5], ConvOptions { groups: 5, ..ConvOptions::same(5, 1) }),
    ];
    for (x, w, options) in cases {
        let bias = [w[0]];
        let (_, found) = run(Dialect::Ort, &[&x, &w, &bias], false, &|g, v| g.conv(&v[0], &v[1], Some(&v[2]), &options));
        close(&found, &conv((&values(&x, 0), x), (&values(&w, 1), w), &values(&bias, 2), &options), 1e-5);
    }
}

#[test]
fn transposed_convolution_is_the_adjoint() {
    // For stride 2 and a 2×2 kernel without padding, every output pixel has one source pixel.
    let (x, w, bias): ([usize; 4], [usize; 4], [usize; 1]) = ([1, 3, 4, 5], [3, 2, 2, 2], [2]);
    let options = ConvOptions { stride: [2; 2], ..ConvOptions::default() };
    let (shape, found) = run(Dialect::Ort, &[&x, &w, &bias], false, &|g, v| g.conv_transpose(&v[0], &v[1], Some(&v[2]), &options));
    assert_eq!(shape, [1, 2, 8, 10]);
    let (xs, ws, bs) = (values(&x, 0), values(&w, 1), values(&bias, 2));
    let mut expected = Vec::new();
    for (o, row, column) in (0..2).flat_map(|o| (0..8).flat_map(move |r| (0..10).map(move |c| (o, r, c)))) {
        let products = (0..3).map(|i| xs[(i * 4 + row / 2) * 5 + column / 2] * ws[((i * 2 + o) * 2 + row % 2) * 2 + column % 2]);
        expected.push(products.sum::<f32>() + bs[o]);
    }
    close(&found, &expected, 1e-5);
}

#[test]
fn pooling() {
    let shape: [usize; 4] = [1, 2, 6, 7];
    let x = values(&shape, 0);
    let pool = PoolOptions { kernel: [3, 3], stride: [2, 1], padding: [1; 4] };
    for (is_max, rows, columns) in [(true, 3, 7), (false, 3, 7)] {
        let build = |g: &mut Graph<'static>, v: &[Value]| if is_max { g.max_pool(&v[0], &pool) } else { g.average_pool(&v[0], &pool) };
        let (found_shape, found) = run(Dialect::Ort, &[&shape], true, &build);
        assert_eq!(found_shape, [1, 2, rows, columns]);
        let mut expected = Vec::new();
        for (c, row, column) in (0..2).flat_map(|c| (0..rows).flat_map(move |r| (0..columns).map(move |k| (c, r, k)))) {
            let inside: Vec<f32> = (0..9)
                .filter_map(|k| {
                    let (y, x_at) = ((row * 2 + k / 3).checked_sub(1)?, (column + k % 3).checked_sub(1)?);
                    (y < 6 && x_at < 7).then(|| x[(c * 6 + y) * 7 + x_at])
                })
                .collect();
            let max = inside.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            expected.push(if is_max { max } else { inside.iter().sum::<f32>() / inside.len() as f32 });
        }
        close(&found, &expected, 1e-5);
    }
}

#[test]
fn products_norms_and_attention() {
    let (a, b): (&[usize], &[usize]) = (&[2, 3, 5], &[5, 4]);
    let (x, w) = (values(a, 0), values(b, 1));
    let expected: Vec<f32> = (0..24).map(|i| (0..5).map(|k| x[i / 4 * 5 + k] * w[k * 4 + i % 4]).sum()).collect();
    close(&run(Dialect::Ort, &[a, b], false, &|g, v| g.matmul(&v[0], &v[1])).1, &expected, 1e-5);
    fold(&[&[3, 5], b], &|g, v| g.matmul(&v[0], &v[1]), &expected[..12]);
    for rows in [vec![6, 5], vec![2, 3, 5]] {
        let bias = values(&[4], 2);
        let build = |g: &mut Graph<'static>, v: &[Value]| {
            let weight = g.transpose(&v[1], &[1, 0])?;
            g.linear(&v[0], &weight, Some(&v[2]))
        };
        let with_bias: Vec<f32> = expected.iter().enumerate().map(|(i, y)| y + bias[i % 4]).collect();
        close(&run(Dialect::Ort, &[&rows, b, &[4]], false, &build).1, &with_bias, 1e-5);
    }
    let rows: Vec<&[f32]> = x.chunks(5).collect();
    let softmax: Vec<f32> = rows
        .iter()
        .flat_map(|row| {
            let total: f32 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(move |v| v.exp() / total).collect::<Vec<_>>()
        })
        .collect();
    close(&run(Dialect::Ort, &[a], true, &|g, v| g.softmax(&v[0], -1)).1, &softmax, 1e-5);
    let (scale, shift) = (values(&[5], 1), values(&[5], 2));
    let normed: Vec<f32> = rows
        .iter()
        .flat_map(|row| {
            let mean = row.iter().sum::<f32>() / 5.0;
            let deviation = (row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 5.0 + 1e-5).sqrt();
            (0..5).map(|i| (row[i] - mean) / deviation * scale[i] + shift[i]).collect::<Vec<_>>()
        })
        .collect();
    close(&run(Dialect::Ort, &[a, &[5], &[5]], false, &|g, v| g.layer_norm(&v[0], &v[1], Some(&v[2]), 1e-5)).1, &normed, 1e-5);
    // Over channels: the same rows, laid out as [1, 5, 1, 6].
    let build = |g: &mut Graph<'static>, v: &[Value]| {
        let x = g.reshape(&v[0], vec![Dim::fixed(6), 5.into(), 1.into(), 1.into()])?;
        g.layer_norm_channels(&x, &v[1], &v[2], 1e-5)
    };
    close(&run(Dialect::Ort, &[a, &[5], &[5]], false, &build).1, &normed, 1e-5);
    let shapes: [&[usize]; 3] = [&[2, 3, 8], &[2, 5, 8], &[2, 5, 4]];
    let (q, k, v) = (values(shapes[0], 0), values(shapes[1], 1), values(shapes[2], 2));
    let mut expected = vec![0.0; 2 * 3 * 4];
    for (batch, head, n) in (0..2).flat_map(|b| (0..2).flat_map(move |h| (0..3).map(move |n| (b, h, n)))) {
        let score =
            |m: usize| (0..4).map(|c| q[(batch * 3 + n) * 8 + head * 4 + c] * k[(batch * 5 + m) * 8 + head * 4 + c]).sum::<f32>() * 0.3;
        let weights: Vec<f32> = (0..5).map(|m| score(m).exp()).collect();
        let total: f32 = weights.iter().sum();
        for c in 0..2 {
            expected[(batch * 3 + n) * 4 + head * 2 + c] = (0..5).map(|m| weights[m] / total * v[(batch * 5 + m) * 4 + head * 2 + c]).sum();
        }
    }
    for dialect in [Dialect::Ort, Dialect::Portable] {
        let options = AttentionOptions { heads: 2, scale: Some(0.3) };
        close(&run(dialect, &shapes, true, &|g, v| g.attention([&v[0], &v[1], &v[2]], &options)).1, &expected, 1e-5);
    }
}

#[test]
fn places_are_told_by_rotation_and_groups_are_normalised() {
    let (places, heads, pairs) = (3, 2, 8);
    let shape: &[usize] = &[2, places, heads * 2 * pairs];
    let (x, angles) = (values(shape, 0), values(&[places, pairs], 1));
    let mut expected = Vec::new();
    for (index, pair) in x.chunks_exact(2).enumerate() {
        let place = index / (heads * pairs) % places;
        let (sin, cos) = angles[place * pairs + index % pairs].sin_cos();
        expected.extend([pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin]);
    }
    let build = |g: &mut Graph<'static>, v: &[Value]| {
        let table =
            |of: fn(f32) -> f32| Constant::f32(&[places, pairs], angles.iter().map(|angle| of(*angle)).collect::<Vec<_>>()).unwrap();
        let rotation = Rotation { cos: g.constant(table(f32::cos)), sin: g.constant(table(f32::sin)) };
        assert!(g.rotary(&v[0], &rotation, 3).is_err(), "of other heads");
        g.rotary(&v[0], &rotation, heads)
    };
    for dialect in [Dialect::Ort, Dialect::Portable] {
        close(&run(dialect, &[shape], true, &build).1, &expected, 1e-5);
    }
    let map: &[usize] = &[2, 4, 3, 2];
    let (x, weight, bias) = (values(map, 0), values(&[4], 1), values(&[4], 2));
    let mut expected = Vec::new();
    for (group, values) in x.chunks_exact(12).enumerate() {
        let mean = values.iter().sum::<f32>() / 12.0;
        let deviation = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / 12.0 + 1e-5).sqrt();
        let channel = |at: usize| group % 2 * 2 + at / 6;
        expected.extend(values.iter().enumerate().map(|(at, v)| (v - mean) / deviation * weight[channel(at)] + bias[channel(at)]));
    }
    close(&run(Dialect::Ort, &[map, &[4], &[4]], false, &|g, v| g.group_norm(&v[0], 2, [&v[1], &v[2]], 1e-5)).1, &expected, 1e-5);
}

#[test]
fn weights_of_half_precision_are_used_as_f32() {
    let weight = values(&[4, 5], 1);
    let half: Vec<u8> = weight.iter().flat_map(|value| half::f16::from_f32(*value).to_le_bytes()).collect();
    let rounded: Vec<f32> = weight.iter().map(|value| half::f16::from_f32(*value).to_f32()).collect();
    let x = values(&[3, 5], 0);
    let expected: Vec<f32> = (0..12).map(|i| (0..5).map(|k| x[i / 4 * 5 + k] * rounded[i % 4 * 5 + k]).sum()).collect();
    let build = |g: &mut Graph<'static>, v: &[Value]| {
        let weight = g.widened(Constant::new(DType::F16, &[4, 5], half.clone()).unwrap());
        g.linear(&v[0], &weight, None)
    };
    close(&run(Dialect::Portable, &[&[3, 5]], false, &build).1, &expected, 1e-5);
}

#[test]
fn a_bias_of_all_queries_is_added_however_many_keys_there_are() {
    let shapes: [&[usize]; 4] = [&[1, 3, 8], &[1, 300, 8], &[1, 300, 8], &[1, 1, 1, 300]];
    let run = |dialect| {
        run(dialect, &shapes, true, &|g, v| {
            g.attention_with_bias([&v[0], &v[1], &v[2]], Some(&v[3]), &AttentionOptions { heads: 2, scale: None })
        })
        .1
    };
    close(&run(Dialect::Ort), &run(Dialect::Portable), 1e-5);
}

#[test]
fn reductions() {
    let shape: &[usize] = &[2, 3, 4];
    let x = values(shape, 0);
    let columns = |i: usize| (0..3).map(move |k| (i / 4 * 3 + k) * 4 + i % 4);
    let reduced = |f: &dyn Fn(Vec<f32>) -> f32| (0..8).map(|i| f(columns(i).map(|at| x[at]).collect())).collect::<Vec<f32>>();
    type Case<'a> = (fn(&mut Graph<'static>, &Value) -> maskline_onnx::Result<Value>, &'a dyn Fn(Vec<f32>) -> f32);
    let cases: Vec<Case<'_>> = vec![
        (|g, x| g.reduce_mean(x, &[1], false), &|v| v.iter().sum::<f32>() / 3.0),
        (|g, x| g.reduce_sum(x, &[-2], true), &|v| v.iter().sum()),
        (|g, x| g.reduce_max(x, &[1], false), &|v| v.into_iter().fold(f32::NEG_INFINITY, f32::max)),
        (|g, x| g.reduce_min(x, &[1], true), &|v| v.into_iter().fold(f32::INFINITY, f32::min)),
        (|g, x| g.reduce_l2(x, &[1], false), &|v| v.iter().map(|x| x * x).sum::<f32>().sqrt()),
    ];
    for (build, reference) in cases {
        let expected = reduced(reference);
        close(&run(Dialect::Ort, &[shape], true, &|g, v| build(g, &v[0])).1, &expected, 1e-5);
        fold(&[shape], &|g, v| build(g, &v[0]), &expected);
    }
    let best = reduced(&|v| (0..3).fold(0, |best, i| if v[i] > v[best] { i } else { best }) as f32);
    close(&run(Dialect::Ort, &[shape], true, &|g, v| g.arg_max(&v[0], 1)).1, &best, 0.0);
}

#[test]
fn resizing() {
    let shape: [usize; 4] = [1, 2, 3, 4];
    let x = values(&shape, 0);
    let nearest: Vec<f32> = (0..2 * 6 * 8).map(|i| x[(i / 48 * 3 + i % 48 / 8 / 2) * 4 + i % 8 / 2]).collect();
    close(&run(Dialect::Ort, &[&shape], true, &|g, v| g.upsample(&v[0], 2, Interpolation::Nearest)).1, &nearest, 0.0);
    // Linear on half-pixel centres.
    let axis = |source: usize, target: usize| -> Vec<Vec<f64>> {
        let scale = source as f64 / target as f64;
        let weights = |i: usize| {
            let center = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, source as f64 - 1.0);
            (0..source).map(|s| (1.0 - (s as f64 - center).abs()).max(0.0)).collect()
        };
        (0..target).map(weights).collect()
    };
    for (rows, columns) in [(5, 9), (2, 2)] {
        let (_, found) = run(Dialect::Ort, &[&shape], true, &|g, v| g.resize(&v[0], [rows, columns], Interpolation::Linear));
        let (wy, wx) = (axis(3, rows), axis(4, columns));
        let mut expected = Vec::new();
        for (c, r, k) in (0..2).flat_map(|c| (0..rows).flat_map(move |r| (0..columns).map(move |k| (c, r, k)))) {
            let sum: f64 = (0..12).map(|i| wy[r][i / 4] * wx[k][i % 4] * f64::from(x[c * 12 + i])).sum();
            expected.push(sum as f32);
        }
        close(&found, &expected, 1e-5);
    }
    // Cubic keeps a constant picture, and a lighter picture is a lighter result.
    let once = run(Dialect::Ort, &[&shape], false, &|g, v| g.resize(&v[0], [7, 5], Interpolation::Cubic)).1;
    let shifted = run(Dialect::Ort, &[&shape], false, &|g, v| {
        let one = g.scalar(1.0);
        let more = g.add(&v[0], &one)?;
        g.resize(&more, [7, 5], Interpolation::Cubic)
    });
    close(&shifted.1, &once.iter().map(|y| y + 1.0).collect::<Vec<_>>(), 1e-5);
}

#[test]
fn moving_elements() {
    let shape: &[usize] = &[2, 3, 4];
    let x = values(shape, 0);
    let pick = |count: usize, from: &dyn Fn(usize) -> usize| (0..count).map(|i| x[from(i)]).collect::<Vec<f32>>();
    type Case<'a> = (Build<'a>, Vec<f32>);
    let cases: Vec<Case<'_>> = vec![
        (&|g, v| g.transpose(&v[0], &[0, 2, 1]), pick(24, &|i| i / 12 * 12 + i % 3 * 4 + i % 12 / 3)),
        (&|g, v| g.slice(&v[0], 2, 1..3), pick(12, &|i| i / 2 * 4 + 1 + i % 2)),
        (&|g, v| g.slice(&v[0], 1, -2..i64::MAX), pick(16, &|i| i / 8 * 12 + 4 + i % 8)),
        (&|g, v| g.split(&v[0], 2, &[1, 3]).map(|mut parts| parts.remove(1)), pick(18, &|i| i / 3 * 4 + 1 + i % 3)),
        (&|g, v| g.concat(&[&v[0], &v[0]], 1), pick(48, &|i| i / 24 * 12 + i % 12)),
        (
            &|g, v| {
                let at = g.i64s(&[2, 0, -1]);
                g.gather(&v[0], &at, 1)
            },
            pick(24, &|i| i / 12 * 12 + [8, 0, 8][i % 12 / 4] + i % 4),
        ),
        (
            &|g, v| {
                let y = g.unsqueeze(&v[0], 1)?;
                let z = g.expand(&y, &[2, 2, 3, 4])?;
                g.slice(&z, 1, 1..2).and_then(|z| g.squeeze(&z, 1))
            },
            x.clone(),
        ),
        (
            &|g, v| {
                let dims = v[0].shape()[0].clone();
                g.reshape(&v[0], vec![dims, 12.into()])
            },
            x.clone(),
        ),
    ];
    for (i, (build, expected)) in cases.into_iter().enumerate() {
        close(&run(Dialect::Ort, &[shape], i != 6, build).1, &expected, 0.0);
        fold(&[shape], build, &expected);
    }
    let padded = |mode: PadMode, outside: &dyn Fn(i64, i64) -> f32| {
        let (_, found) = run(Dialect::Ort, &[&[3, 4]], true, &|g, v| g.pad(&v[0], &[(0, 0), (2, 1)], mode));
        let x = values(&[3, 4], 0);
        let at = |r: i64, c: i64| if (0..4).contains(&c) { x[(r * 4 + c) as usize] } else { outside(r, c) };
        close(&found, &(0..21).map(|i| at(i / 7, i % 7 - 2)).collect::<Vec<_>>(), 0.0);
    };
    let y = values(&[3, 4], 0);
    padded(PadMode::Constant(7.0), &|_, _| 7.0);
    padded(PadMode::Edge, &|r, c| y[(r * 4 + c.clamp(0, 3)) as usize]);
    padded(PadMode::Reflect, &|r, c| y[(r * 4 + if c < 0 { -c } else { 6 - c }) as usize]);
}

#[test]
fn casts_between_all_types() {
    for dtype in [DType::F16, DType::BF16, DType::I64, DType::I32, DType::U8, DType::Bool] {
        let (_, found) = run(Dialect::Portable, &[&[8]], true, &|g, v| {
            let x = g.abs(&v[0])?;
            g.cast(&x, dtype)
        });
        let exact = |x: f32| match dtype {
            DType::Bool => f32::from(u8::from(x != 0.0)),
            DType::F16 | DType::BF16 => x,
            _ => x.trunc(),
        };
        close(&found, &values(&[8], 0).into_iter().map(|x| exact(x.abs())).collect::<Vec<_>>(), 8e-3);
    }
}
