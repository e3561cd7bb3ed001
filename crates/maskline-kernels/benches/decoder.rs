//! The mask decoder's passes over a prompt's cells, at the sizes of SAM 2.1 and a box: 9 tokens, 4,096 cells, one thread. Throughput is in
//! multiplications of the form that `docs/decoder.md` counts.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use maskline_kernels::Processor;
use maskline_kernels::decoder::{Cells, Columns, ImageToToken, InStripes, Projection, Sizes, TokenToImage, Upscale, Workers};

const SIZES: Sizes = Sizes { cells: 4096, heads: 8, head_width: 16, tokens: 9 };
const INNER: usize = 128;
const WIDTH: usize = 256;
const LANES: usize = 16;

/// This thread alone.
struct Alone;

impl Workers for Alone {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync + Send)) {
        (0..count).for_each(work);
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7919) % 1009) as f32 / 5045.0 - 0.1).collect()
}

/// What cells and columns are after so many blocks.
struct Stage {
    values: Vec<f32>,
    cells: Vec<f32>,
}

impl Stage {
    fn after(blocks: usize) -> Self {
        let values = numbers(blocks * SIZES.tokens * INNER);
        let count = Columns { sizes: SIZES, mask: 0, values: &values }.count();
        Self { cells: numbers(SIZES.cells * (1 + count)), values }
    }

    fn columns(&self) -> Columns<'_> {
        Columns { sizes: SIZES, mask: 0, values: &self.values }
    }

    fn cells(&self) -> Cells<'_> {
        Cells { numbers: &self.cells }
    }
}

fn passes(c: &mut Criterion) {
    let mut group = c.benchmark_group("mask decoder");
    for processor in Processor::all() {
        products(&mut group, processor);
        token_to_image(&mut group, processor);
        image_to_token(&mut group, processor);
        upscale(&mut group, processor);
    }
    group.finish();
}

/// Products alone, of a few cells that stay in the first cache: what the others can hope for.
fn products(group: &mut Group<'_>, processor: Processor) {
    let (cells, weight, bias) = (numbers(2 * LANES * WIDTH / 4), numbers(96 * WIDTH / 4), numbers(96));
    let projection = Some(Projection { weight: &weight, bias: &bias });
    let of = InStripes { cells: &cells, width: WIDTH / 4, projection };
    let mut out = vec![0.0; 2 * LANES * 96];
    group.throughput(Throughput::Elements((cells.len() * 96) as u64));
    group.bench_function(format!("products alone, {}", processor.name()), |b| b.iter(|| of.write(processor, &Alone, &mut out)));
}

type Group<'a> = criterion::BenchmarkGroup<'a, criterion::measurement::WallTime>;

fn token_to_image(group: &mut Group<'_>, processor: Processor) {
    let (keys, positions, values) = (numbers(SIZES.cells * INNER), numbers(SIZES.cells * INNER), numbers(SIZES.cells * INNER));
    // The last attention has the queries of the six tokens that are answers.
    for (blocks, tokens) in [(0, SIZES.tokens), (1, SIZES.tokens), (2, 6)] {
        let stage = Stage::after(blocks);
        let count = stage.columns().count();
        let matrix = numbers(stage.columns().sources() * INNER);
        let queries = numbers(tokens * INNER);
        let of = TokenToImage {
            queries: &queries,
            cells: stage.cells(),
            columns: stage.columns(),
            keys: &keys,
            positions: if blocks == 0 { &[] } else { &positions },
            values: &values,
            to_keys: &matrix,
            to_values: &matrix,
        };
        let rows = 8 * tokens;
        let products = rows * (if blocks == 0 { 2 } else { 3 } * 16 + 2 * count);
        group.throughput(Throughput::Elements((products * SIZES.cells) as u64));
        let mut out = vec![0.0; tokens * INNER];
        group.bench_function(format!("token to image, block {blocks}, {}", processor.name()), |b| {
            b.iter(|| TokenToImage::attend(&[of], processor, &Alone, &mut out));
        });
    }
}

fn image_to_token(group: &mut Group<'_>, processor: Processor) {
    let (queries, positions) = (numbers(SIZES.cells * INNER), numbers(SIZES.cells * INNER));
    for block in 0..2 {
        let (before, after) = (Stage::after(block), Stage::after(block + 1));
        let sources = after.columns().sources();
        let (to_queries, products) = (numbers(before.columns().sources() * INNER), numbers(sources * sources.div_ceil(LANES) * LANES));
        let (image, squares, keys) = (numbers(SIZES.cells * sources), vec![300.0; SIZES.cells], numbers(SIZES.tokens * INNER));
        let of = ImageToToken {
            keys: &keys,
            cells: before.cells(),
            columns: after.columns(),
            queries: &queries,
            positions: if block == 0 { &[] } else { &positions },
            to_queries: &to_queries,
            image: &image,
            squares: &squares,
            products: &products,
            width: WIDTH,
            epsilon: 1e-5,
        };
        let (old, count) = (before.columns().count(), after.columns().count());
        let multiplications = 8 * SIZES.tokens * (16 * (block + 1) + old) + count * (16 + count / 2);
        group.throughput(Throughput::Elements((multiplications * SIZES.cells) as u64));
        let mut out = vec![0.0; SIZES.cells * (1 + count)];
        group.bench_function(format!("image to token, block {block}, {}", processor.name()), |b| {
            b.iter(|| ImageToToken::update(&[of], processor, &Alone, &mut out));
        });
    }
}

fn upscale(group: &mut Group<'_>, processor: Processor) {
    let stage = Stage::after(2);
    let (masks, channels, last) = (4, 64, 32);
    let (image, middle, fine) = (numbers(SIZES.cells * WIDTH), numbers(SIZES.cells * WIDTH), numbers(SIZES.cells * 16 * last));
    let (to_middle, norm) = (numbers(stage.columns().sources() * WIDTH), numbers(2 * channels));
    let (convolution, weights) = (numbers(channels * 4 * last), numbers(masks * last));
    let of = Upscale {
        masks,
        weights: &weights,
        cells: stage.cells(),
        columns: stage.columns(),
        image: &image,
        bias: &middle[..WIDTH],
        middle: &middle,
        to_middle: &to_middle,
        norm: &norm,
        convolution: &convolution,
        fine: &fine,
        epsilon: 1e-6,
    };
    let products = WIDTH * (stage.columns().count() + 1) + 4 * channels * 4 * last + 16 * last * masks;
    group.throughput(Throughput::Elements((products * SIZES.cells) as u64));
    let mut out = vec![0.0; masks * SIZES.cells * 16];
    group.bench_function(format!("upscale, {}", processor.name()), |b| {
        b.iter(|| Upscale::masks_of(&[of], processor, &Alone, &mut out));
    });
}

criterion_group!(benches, passes);
criterion_main!(benches);
