//! Products and attentions of transformer encoders, at the shapes of SAM 2.1-tiny (1024²) and of ViT-L. Elements are floating-point
//! operations: `Gelem/s` are GFLOP/s. The first line is what the processor can do at most, measured as the others are.
//!
//! `MASKLINE_BENCH_THREADS` threads, all of the machine without it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use maskline_kernels::{
    Activation, AttentionSizes, LayerNorm, Linear, LinearOptions, MultiHeadAttention, Numbers, Order, Processor, Weights, Workers,
};

/// So many threads, which take what is next.
struct Threads(usize);

impl Threads {
    fn new() -> Self {
        let asked = std::env::var("MASKLINE_BENCH_THREADS").ok().and_then(|count| count.parse().ok());
        Self(asked.unwrap_or_else(|| available_parallelism().map_or(1, |count| count.get())))
    }
}

impl Workers for Threads {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync + Send)) {
        let next = AtomicUsize::new(0);
        let run = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                work(index);
            }
        };
        std::thread::scope(|scope| {
            (1..self.0).for_each(|_| drop(scope.spawn(run)));
            run();
        });
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7919) % 1009) as f32 / 5045.0 - 0.1).collect()
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

/// Multiplications and additions that wait for nothing: the peak of all threads. So many that starting them does not count.
fn peak(group: &mut Group<'_>, threads: &Threads) {
    const REPEATS: usize = 5_000_000;
    let processor = Processor::best();
    group.throughput(Throughput::Elements(processor.multiply_and_add(REPEATS) as u64 * threads.0 as u64));
    let work = |_| {
        std::hint::black_box(processor.multiply_and_add(REPEATS));
    };
    group.bench_function("peak", |b| b.iter(|| threads.each(threads.0, &work)));
}

/// A layer with M rows, K inputs and N outputs.
struct Layer {
    shape: [usize; 3],
    activation: Activation,
    has_residual: bool,
    has_norm: bool,
    is_half: bool,
}

impl Layer {
    fn of(shape: [usize; 3]) -> Self {
        Self { shape, activation: Activation::Identity, has_residual: false, has_norm: false, is_half: false }
    }

    fn gelu(shape: [usize; 3]) -> Self {
        Self { activation: Activation::Gelu, ..Self::of(shape) }
    }

    fn residual(shape: [usize; 3]) -> Self {
        Self { has_residual: true, ..Self::of(shape) }
    }

    fn name(&self) -> String {
        let [rows, inputs, outputs] = self.shape;
        let norm = if self.has_norm { "norm, " } else { "" };
        let half = if self.is_half { " of f16" } else { "" };
        let activation = if self.activation == Activation::Gelu { " + GELU" } else { "" };
        let residual = if self.has_residual { " + residual" } else { "" };
        format!("{norm}{rows} × {inputs} × {outputs}{half}{activation}{residual}")
    }

    fn bench(&self, group: &mut Group<'_>, threads: &Threads) {
        let [rows, inputs, outputs] = self.shape;
        let (x, weight, bias, residual) = (numbers(rows * inputs), numbers(inputs * outputs), numbers(outputs), numbers(rows * outputs));
        // As bits these are small numbers of half precision.
        let bits: Vec<u16> = (0..inputs * outputs).map(|index| 0x2c00 + (index * 7919 % 1009) as u16).collect();
        let numbers = if self.is_half { Numbers::F16(&bits) } else { Numbers::F32(&weight) };
        let weights = Weights { numbers, order: Order::InputsFirst, inputs, outputs };
        let norm = self.has_norm.then_some(LayerNorm { gamma: &x[..inputs], beta: &x[..inputs], epsilon: 1e-6 });
        let options = LinearOptions { norm, bias: Some(&bias), activation: self.activation, ..Default::default() };
        let linear = Linear::new(weights, options).expect("it fits");
        let residual = self.has_residual.then_some(&residual[..]);
        let mut out = vec![0.0; rows * outputs];
        group.throughput(Throughput::Elements((2 * rows * inputs * outputs) as u64));
        group.bench_function(self.name(), |b| b.iter(|| linear.apply(&x, residual, threads, &mut out)));
    }
}

fn layers(c: &mut Criterion) {
    let threads = Threads::new();
    let mut group = c.benchmark_group("encoder: linear");
    group.sample_size(10);
    peak(&mut group, &threads);
    let layers = [
        Layer::gelu([65536, 96, 384]),
        Layer::residual([65536, 384, 96]),
        Layer::gelu([16384, 192, 768]),
        Layer::residual([16384, 768, 192]),
        Layer::of([4096, 384, 1152]),
        Layer::gelu([4096, 384, 1536]),
        Layer { has_norm: true, ..Layer::gelu([4096, 384, 1536]) },
        Layer::residual([4096, 1536, 384]),
        Layer::gelu([1024, 768, 3072]),
        Layer::residual([1024, 3072, 768]),
        Layer::gelu([5184, 1024, 4096]),
        Layer { is_half: true, ..Layer::gelu([5184, 1024, 4096]) },
        Layer::residual([5184, 4096, 1024]),
    ];
    layers.iter().for_each(|layer| layer.bench(&mut group, &threads));
    group.finish();
}

fn attentions(c: &mut Criterion) {
    let threads = Threads::new();
    let mut group = c.benchmark_group("encoder: attention");
    group.sample_size(10);
    peak(&mut group, &threads);
    for [batch, tokens, heads, head_width] in [[1, 4096, 4, 96], [25, 196, 4, 96], [1, 5184, 16, 64], [9, 576, 16, 64]] {
        let sizes = AttentionSizes { batch, heads, head_width, queries: tokens, keys: tokens };
        let projected = numbers(batch * tokens * 3 * heads * head_width);
        let attention = MultiHeadAttention::packed(&projected, sizes);
        let mut out = vec![0.0; batch * tokens * heads * head_width];
        group.throughput(Throughput::Elements((4 * batch * heads * tokens * tokens * head_width) as u64));
        group.bench_function(format!("{batch} × {tokens} tokens, {heads} × {head_width}"), |b| {
            b.iter(|| attention.attend(Processor::best(), &threads, &mut out));
        });
    }
    group.finish();
}

criterion_group!(benches, layers, attentions);
criterion_main!(benches);
