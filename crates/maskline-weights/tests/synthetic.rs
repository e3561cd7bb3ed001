//! Generated weights: determinism, distributions, and deep stacks that neither vanish nor explode.
#![allow(clippy::unwrap_used)]

use maskline_weights::{Checkpoint, ErrorKind, Init, Scope};

const POSITIONS: usize = 48;

fn mean_and_std(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[test]
fn values_depend_on_seed_and_full_name_alone() {
    let (one, other) = (Checkpoint::synthetic(7), Checkpoint::synthetic(8));
    let first = one.root().f32("a.b.weight", &[4, 5]).unwrap();
    one.root().f32("something.else", &[100]).unwrap();
    let again = one.root().push("a").push("b").f32("weight", &[4, 5]).unwrap();
    assert_eq!(first.data, again.data);
    assert_eq!(first.shape, [4, 5]);
    assert!(first.span.is_none());
    assert_ne!(first.data, other.root().f32("a.b.weight", &[4, 5]).unwrap().data);
    assert_ne!(first.data, one.root().f32("a.c.weight", &[4, 5]).unwrap().data);
    // Pinned: generated weights are the same in every release and on every machine.
    let zero = Checkpoint::synthetic(0);
    let pinned = zero.root().f32_init("x", &[3], Init::Normal { mean: 0.0, std: 1.0 }).unwrap();
    assert_eq!(pinned.data[..], [1.1546564, 0.14409089, -0.8719455]);
}

#[test]
fn distributions_are_what_they_say() {
    let checkpoint = Checkpoint::synthetic(1);
    let sample = |init| checkpoint.root().f32_init("t", &[100, 1000], init).unwrap().data.into_owned();
    let (mean, std) = mean_and_std(&sample(Init::Normal { mean: 2.0, std: 0.5 }));
    assert!((mean - 2.0).abs() < 0.01 && (std - 0.5).abs() < 0.005, "{mean} {std}");
    let (mean, std) = mean_and_std(&sample(Init::FanIn { gain: 1.0 }));
    assert!(mean.abs() < 0.001 && (std * 1000f64.sqrt() - 1.0).abs() < 0.01, "{mean} {std}");
    let uniform = sample(Init::Uniform { low: -1.0, high: 3.0 });
    assert!(uniform.iter().all(|value| (-1.0..3.0).contains(value)));
    let (mean, std) = mean_and_std(&uniform);
    assert!((mean - 1.0).abs() < 0.02 && (std - 4.0 / 12f64.sqrt()).abs() < 0.01, "{mean} {std}");
    assert!(sample(Init::Constant(3.0)).iter().all(|value| *value == 3.0));
}

#[test]
fn names_and_shapes_choose_the_distribution() {
    let checkpoint = Checkpoint::synthetic(2);
    let stats = |name: &str, shape: &[usize]| mean_and_std(&checkpoint.root().f32(name, shape).unwrap().data);
    let near = |(mean, std): (f64, f64), (m, s): (f64, f64)| (mean - m).abs() < 0.02 + s * 0.1 && (std - s).abs() < s * 0.1 + 1e-9;
    assert!(near(stats("bn.running_var", &[4096]), (1.0, 0.4 / 12f64.sqrt())));
    assert!(stats("bn.running_mean", &[4096]).1 < 0.2);
    assert!(near(stats("norm.weight", &[4096]), (1.0, 0.1)));
    assert!(stats("conv.bias", &[4096]).1 < 0.3);
    assert!(near(stats("bn.num_batches_tracked", &[]), (0.0, 0.0)));
    let (wide, narrow) = (stats("conv.weight", &[64, 64, 3, 3]).1, stats("conv.weight", &[64, 16, 3, 3]).1);
    assert!((narrow / wide - 2.0).abs() < 0.05, "{narrow} {wide}");
    let variances = checkpoint.root().f32("bn.running_var", &[4096]).unwrap();
    assert!(variances.data.iter().all(|value| *value > 0.0));
}

#[test]
fn any_tensor_exists_and_none_has_a_shape_of_its_own() {
    let checkpoint = Checkpoint::synthetic(3);
    let scope = checkpoint.root().push("model");
    assert!(checkpoint.is_synthetic() && checkpoint.path().is_none() && checkpoint.bytes().is_empty());
    assert!(scope.contains("anything") && scope.children().is_empty());
    assert_eq!(checkpoint.names().count(), 0);
    assert!(checkpoint.unused().is_empty());
    assert_eq!(scope.shape("anything").unwrap_err().kind(), ErrorKind::Missing);
    let raw = scope.raw("w", &[2, 2]).unwrap();
    let values = scope.f32("w", &[2, 2]).unwrap();
    let bytes: Vec<u8> = values.data.iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(raw.bytes[..], bytes[..]);
    for shape in [&[usize::MAX, 2][..], &[1 << 40], &[1 << 16, 1 << 16, 2]] {
        assert_eq!(scope.f32("w", shape).unwrap_err().kind(), ErrorKind::Limit, "no memory is asked for {shape:?}");
    }
}

/// `rows` [N, inputs] times the transpose of `weight` [outputs, inputs], plus bias.
fn linear(scope: &Scope<'_>, rows: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = rows.len() / POSITIONS;
    let (weight, bias) = (scope.f32("weight", &[outputs, inputs]).unwrap(), scope.f32("bias", &[outputs]).unwrap());
    let row = |row: &[f32]| -> Vec<f32> {
        let dot = |kernel: &[f32]| kernel.iter().zip(row).map(|(w, x)| w * x).sum::<f32>();
        weight.data.chunks(inputs).zip(bias.data.iter()).map(|(kernel, bias)| dot(kernel) + bias).collect()
    };
    rows.chunks(inputs).flat_map(row).collect()
}

fn layer_norm(scope: &Scope<'_>, rows: &[f32], width: usize) -> Vec<f32> {
    let (weight, bias) = (scope.f32("weight", &[width]).unwrap(), scope.f32("bias", &[width]).unwrap());
    let row = |row: &[f32]| -> Vec<f32> {
        let (mean, std) = mean_and_std(row);
        let affine = weight.data.iter().zip(bias.data.iter());
        row.iter().zip(affine).map(|(x, (w, b))| ((f64::from(*x) - mean) / (std + 1e-6)) as f32 * w + b).collect()
    };
    rows.chunks(width).flat_map(row).collect()
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

fn input(checkpoint: &Checkpoint, name: &str, width: usize) -> Vec<f32> {
    let init = Init::Normal { mean: 0.0, std: 1.0 };
    checkpoint.root().f32_init(name, &[POSITIONS, width], init).unwrap().data.into_owned()
}

#[test]
fn deep_convolution_stacks_stay_in_range_and_keep_inputs_apart() {
    for (seed, width) in [(0, 32), (1, 64), (2, 64), (3, 64), (4, 128), (5, 128), (6, 256)] {
        let checkpoint = Checkpoint::synthetic(seed);
        let mut rows = input(&checkpoint, "image", width);
        for layer in 0..30 {
            let scope = checkpoint.root().push("layers").push(layer).push("conv");
            rows = linear(&scope, &rows, width).into_iter().map(silu).collect();
        }
        let (_, std) = mean_and_std(&rows);
        let channel = |channel| rows.iter().skip(channel).step_by(width).copied().collect::<Vec<f32>>();
        let over_positions = (0..width).map(|index| mean_and_std(&channel(index)).1).sum::<f64>() / width as f64;
        assert!((0.05..20.0).contains(&std), "seed {seed}, width {width}: std {std}");
        assert!(over_positions > 0.05 * std, "seed {seed}, width {width}: std {std}, but {over_positions} over positions");
    }
}

#[test]
fn deep_pre_norm_transformers_stay_in_range() {
    for (seed, width) in [(0, 32), (1, 64), (2, 96)] {
        let checkpoint = Checkpoint::synthetic(seed);
        let mut rows = input(&checkpoint, "tokens", width);
        for layer in 0..30 {
            let scope = checkpoint.root().push("blocks").push(layer);
            let hidden = layer_norm(&scope.push("norm"), &rows, width);
            let hidden: Vec<f32> = linear(&scope.push("fc1"), &hidden, 4 * width).into_iter().map(silu).collect();
            let update = linear(&scope.push("fc2"), &hidden, width);
            rows.iter_mut().zip(update).for_each(|(x, update)| *x += update);
        }
        let (_, std) = mean_and_std(&rows);
        assert!((0.05..20.0).contains(&std), "seed {seed}, width {width}: std {std}");
    }
}

#[test]
#[ignore = "a timing: run it in release, on a quiet machine"]
fn generates_68_million_values_in_a_second_and_a_half() {
    let start = std::time::Instant::now();
    let tensor = Checkpoint::synthetic(0).root().f32("weight", &[68_000, 1_000]).unwrap().data.into_owned();
    let elapsed = start.elapsed();
    println!("{} values in {elapsed:?}", tensor.len());
    assert!(elapsed.as_secs_f64() < 1.5, "{elapsed:?}");
}

#[test]
fn what_was_asked_for_is_written_in_its_names_and_read_back_alike() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generated.safetensors");
    let generated = Checkpoint::synthetic(3);
    let root = generated.root();
    let weight = root.push("encoder.0").f32("weight", &[8, 32]).unwrap();
    let gaussian = root.f32_init("gaussian", &[2, 5], Init::Normal { mean: 0.0, std: 1.0 }).unwrap();
    let scalar = root.f32("scale", &[]).unwrap();
    root.push("encoder.0").f32("weight", &[8, 32]).unwrap();
    generated.write_generated(&path).unwrap();

    let file = Checkpoint::open(&path).unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["encoder.0.weight", "gaussian", "scale"]);
    assert_eq!(file.root().f32("encoder.0.weight", &[8, 32]).unwrap().data, weight.data);
    assert_eq!(file.root().f32("gaussian", &[2, 5]).unwrap().data, gaussian.data);
    assert_eq!(file.root().f32("scale", &[]).unwrap().data, scalar.data);
    assert_eq!(file.write_generated(&path).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(generated.write_generated(&folder.path().join("no/such/folder")).unwrap_err().kind(), ErrorKind::Io);

    // A file cannot hold two tensors of one name.
    root.push("encoder.0").f32("weight", &[4, 64]).unwrap();
    let other = folder.path().join("other.safetensors");
    let error = generated.write_generated(&other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Shape);
    assert!(error.message().contains("encoder.0.weight"), "{error}");
    assert!(!other.exists());
}
