//! Attention to what is remembered of an object, at the sizes of SAM 2.1: one share of the queries on one thread.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use maskline_kernels::{MemoryAttention, MemorySizes, Processor, Remembered};

fn memory(c: &mut Criterion) {
    let sizes = MemorySizes { grid: 64, width: 256, memory_width: 64, theta: 10_000.0 };
    let numbers = |count: usize| (0..count).map(|index| ((index * 7919) % 1009) as f32 / 504.5 - 1.0).collect::<Vec<f32>>();
    let (weight, bias, queries) = (numbers(256 * 64), numbers(256), numbers(4096 * 256));
    let mut group = c.benchmark_group("memory attention, a share");
    for memories in [1, 4, 7] {
        let (keys, values) = (numbers(memories * 4096 * 64), numbers(memories * 4096 * 64));
        let (pointer_keys, pointer_values) = (numbers(64 * 64), numbers(64 * 64));
        let of = Remembered {
            queries: &queries,
            memory_keys: &keys,
            memory_values: &values,
            pointer_keys: &pointer_keys,
            pointer_values: &pointer_values,
        };
        // Of a share of all queries: absorbed queries, scores, values.
        let products = 2 * 64 * 128 * 64 + 2 * (memories * 4096 + 64) * 64;
        for processor in [Processor::Any, Processor::best()] {
            let attention = MemoryAttention::new(sizes, &weight, &bias).expect("they fit").on(processor);
            let mut out = vec![0.0; attention.rows(0).len() * 64];
            group.throughput(Throughput::Elements((products * attention.rows(0).len()) as u64));
            group.bench_function(format!("{memories} memories, {}", processor.name()), |b| {
                b.iter(|| attention.attend(of, 0, &mut out));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, memory);
criterion_main!(benches);
