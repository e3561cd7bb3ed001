//! Attention from the cells of a picture to what is remembered of an object: memories on the same grid, turned by their places, and
//! pointers, which have none (SAM 2, Ravi et al. 2024; rotary position embedding by axes, Heo et al. 2024).
//!
//! As it is written, a score is `q̃ᵢ · Rⱼ(W mⱼ + b)`: the query of cell i, turned by its place, and a memory of cell j, projected from M to
//! C = 4 M numbers and turned by j's. That costs C per score. Turning by j is turning one half of the channels by its column x and the
//! other by its row y, so
//!
//! `q̃ᵢ · Rⱼ(W m + b) = (Aᵢₓ + Bᵢᵧ) · m`, with `Aᵢₓ = Wₓᵀ Rₓᵀ q̃ᵢ` for every column and `Bᵢᵧ = Wᵧᵀ Rᵧᵀ q̃ᵢ` for every row (and the same
//! with b for one number more).
//!
//! There are 2g of those vectors of M numbers for a query, not g², and all memories of a cell share their sum: a score costs M, and a share of the
//! sum. With seven memories on 64² cells that is 13 GMAC instead of 30. The rest is attention as ever, a block of keys at a time, with the
//! largest score so far known for each query (online softmax); queries are lanes, so nothing is ever summed across a vector.

use crate::rows::{Rows, Sums, TILE, TILES, add_products};
use crate::scratch::{cut, parts, with_scratch};
use crate::simd::{Kernel, LANES, Processor, Simd};
use crate::softmax::Softmax;

/// Sizes of the attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemorySizes {
    /// Side of the grid.
    pub grid: usize,
    /// Width of the queries, a multiple of 4.
    pub width: usize,
    /// Width of the memories.
    pub memory_width: usize,
    /// Base of the rotary frequencies.
    pub theta: f32,
}

impl MemorySizes {
    fn area(&self) -> usize {
        self.grid * self.grid
    }
}

/// The attention with its weights: those that project memories to keys.
#[derive(Debug)]
pub struct MemoryAttention {
    sizes: MemorySizes,
    processor: Processor,
    /// [width, M], rows of channels.
    weight: Vec<f32>,
    /// [width].
    bias: Vec<f32>,
    /// [grid, width / 4]: cosines and sines of each place and frequency.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

/// One object: its queries, before they are turned, and what is remembered of it.
#[derive(Debug, Clone, Copy)]
pub struct Remembered<'a> {
    /// [grid², width].
    pub queries: &'a [f32],
    /// [grid², n, M]: with what tells their place and age. All that is remembered of a cell lies together, as it is looked at together.
    pub memory_keys: &'a [f32],
    /// [grid², n, M]: as they are.
    pub memory_values: &'a [f32],
    /// [p, M]: with what tells their age.
    pub pointer_keys: &'a [f32],
    /// [p, M]: as they are.
    pub pointer_values: &'a [f32],
}

/// Columns of the grid that are looked at together, row by row: what is known of them stays in the processor's second cache, beside the keys
/// and values of a row.
const COLUMNS: usize = 16;

impl MemoryAttention {
    /// `weight` `[width, M]` and `bias` `[width]` of the projection from memories to keys, as a fully connected layer stores them.
    ///
    /// `None` if they do not have these sizes, or those are not ones of such an attention.
    pub fn new(sizes: MemorySizes, weight: &[f32], bias: &[f32]) -> Option<Self> {
        let MemorySizes { grid, width, memory_width, theta } = sizes;
        let fits = grid > 0 && width > 0 && width.is_multiple_of(4) && memory_width > 0 && theta > 0.0;
        if !fits || weight.len() != width * memory_width || bias.len() != width {
            return None;
        }
        let pairs = width / 4;
        let frequency = |pair: usize| 1.0 / theta.powf(2.0 * pair as f32 / (width / 2) as f32);
        let angles: Vec<f32> = (0..grid).flat_map(|place| (0..pairs).map(move |pair| place as f32 * frequency(pair))).collect();
        let (cos, sin) = (angles.iter().map(|angle| angle.cos()).collect(), angles.iter().map(|angle| angle.sin()).collect());
        Some(Self { sizes, processor: Processor::best(), weight: weight.to_vec(), bias: bias.to_vec(), cos, sin })
    }

    /// With these instructions instead of the best.
    #[must_use]
    pub fn on(self, processor: Processor) -> Self {
        Self { processor, ..self }
    }

    /// Shares of an object's queries: each can be done by another thread.
    pub fn shares(&self) -> usize {
        self.sizes.area().div_ceil(TILES * TILE)
    }

    /// What one share of the queries sees: into its rows of an output [grid², M], which are given alone ([`MemoryAttention::rows`]).
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn attend(&self, of: Remembered<'_>, share: usize, out: &mut [f32]) {
        let MemorySizes { width, memory_width, .. } = self.sizes;
        let (area, range) = (self.sizes.area(), self.rows(share));
        assert_eq!(of.queries.len(), area * width, "queries are [grid², width]");
        assert!(of.memory_keys.len().is_multiple_of(area * memory_width), "memories are [grid², n, M]");
        assert_eq!(of.memory_keys.len(), of.memory_values.len(), "each memory has keys and values");
        assert!(of.pointer_keys.len().is_multiple_of(memory_width), "pointers are [p, M]");
        assert_eq!(of.pointer_keys.len(), of.pointer_values.len(), "each pointer has a key and a value");
        assert_eq!(out.len(), range.len() * memory_width, "the output is the share's rows");
        with_scratch(|scratch| self.processor.run(Share { attention: self, of, first: range.start, scratch, out }));
    }

    /// The rows of the output that a share fills.
    pub fn rows(&self, share: usize) -> std::ops::Range<usize> {
        share * TILES * TILE..((share + 1) * TILES * TILE).min(self.sizes.area())
    }
}

/// The work of one share.
struct Share<'a> {
    attention: &'a MemoryAttention,
    of: Remembered<'a>,
    /// Index of the first query.
    first: usize,
    scratch: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

/// What is known of one tile of queries.
struct Tile<'a> {
    /// [width, TILE].
    queries: &'a mut [f32],
    /// Vectors [M + 1, TILE] of the columns that are looked at now, and of all rows.
    columns: &'a mut [f32],
    rows: &'a mut [f32],
    /// [M, TILE].
    seen: &'a mut [f32],
    softmax: Softmax,
}

impl Kernel for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { attention, of, first, scratch, out } = self;
        let MemorySizes { grid, width, memory_width, .. } = attention.sizes;
        let (area, half) = (grid * grid, width / 2);
        let memories = of.memory_keys.len() / (area * memory_width);
        // M numbers for a score, and one more for what the bias adds.
        let vector = (memory_width + 1) * TILE;
        let together = COLUMNS.min(grid);
        let count = out.len().div_ceil(memory_width * TILE);
        let lengths = [half * TILE, vector, together * memories.max(1) * TILE];
        let of_tile = [width * TILE, together * vector, grid * vector, memory_width * TILE];
        let [turned, absorbed, scores, rest] = parts(scratch, [lengths[0], lengths[1], lengths[2], count * of_tile.iter().sum::<usize>()]);
        let mut tiles: [Option<Tile<'_>>; TILES] = [const { None }; TILES];
        let mut rest = rest;
        for (number, tile) in tiles.iter_mut().take(count).enumerate() {
            let [queries, columns, rows, seen] = cut(&mut rest, of_tile);
            seen.fill(0.0);
            attention.load(of.queries, first + number * TILE, queries);
            *tile = Some(Tile { queries, columns, rows, seen, softmax: Softmax::new() });
        }
        for tile in tiles.iter_mut().flatten() {
            // Pointers have no place.
            attention.absorb(simd, tile.queries, 0, absorbed);
            let length = together * memory_width;
            for (keys, values) in of.pointer_keys.chunks(length).zip(of.pointer_values.chunks(length)) {
                let scores = &mut scores[..keys.len() / memory_width * TILE];
                let keys = Rows { numbers: keys, start: 0, stride: memory_width, step: 1 };
                score(simd, [absorbed], keys, Sums { count: scores.len() / TILE, numbers: scores, stride: TILE });
                tile.weigh(simd, scores, Rows { numbers: values, start: 0, stride: 1, step: memory_width });
            }
            if memories > 0 {
                for (row, vector) in tile.rows.chunks_exact_mut(vector).enumerate() {
                    attention.turn_back(simd, &tile.queries[half * TILE..], row, turned);
                    attention.absorb(simd, turned, half, vector);
                }
            }
        }
        for left in (0..if memories > 0 { grid } else { 0 }).step_by(together) {
            let here = together.min(grid - left);
            for tile in tiles.iter_mut().flatten() {
                for (column, vector) in tile.columns.chunks_exact_mut(vector).take(here).enumerate() {
                    attention.turn_back(simd, &tile.queries[..half * TILE], left + column, turned);
                    attention.absorb(simd, turned, 0, vector);
                }
            }
            let scores = &mut scores[..here * memories * TILE];
            for row in 0..grid {
                let start = (row * grid + left) * memories * memory_width;
                for tile in tiles.iter_mut().flatten() {
                    let of_row = &tile.rows[row * vector..(row + 1) * vector];
                    let columns = tile.columns.chunks_exact(vector).zip(scores.chunks_exact_mut(memories * TILE));
                    for (column, (of_column, scores)) in columns.enumerate() {
                        let start = start + column * memories * memory_width;
                        let keys = Rows { numbers: of.memory_keys, start, stride: memory_width, step: 1 };
                        score(simd, [of_column, of_row], keys, Sums { numbers: scores, stride: TILE, count: memories });
                    }
                    tile.weigh(simd, scores, Rows { numbers: of.memory_values, start, stride: 1, step: memory_width });
                }
            }
        }
        for (tile, out) in tiles.iter().flatten().zip(out.chunks_mut(memory_width * TILE)) {
            tile.softmax.finish(tile.seen, out);
        }
    }
}

impl Tile<'_> {
    /// Scores become weights, and what they weigh is seen.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, scores: &mut [f32], values: Rows<'_>) {
        self.softmax.weigh(simd, scores, self.seen);
        let count = self.seen.len() / TILE;
        add_products(simd, [scores], values, Sums { numbers: self.seen, stride: TILE, count });
    }
}

impl MemoryAttention {
    /// The tile's queries as [width, TILE], scaled and turned by their places. Beyond the last query there is the last one again.
    #[inline(always)]
    fn load(&self, from: &[f32], first: usize, queries: &mut [f32]) {
        let MemorySizes { grid, width, .. } = self.sizes;
        let (pairs, scale) = (width / 4, 1.0 / (width as f32).sqrt());
        for lane in 0..TILE {
            let cell = (first + lane).min(grid * grid - 1);
            let query = &from[cell * width..(cell + 1) * width];
            for (pair, turned) in query.chunks_exact(2).enumerate() {
                let place = if pair < pairs { cell % grid } else { cell / grid };
                let (cos, sin) = (self.cos[place * pairs + pair % pairs], self.sin[place * pairs + pair % pairs]);
                let (a, b) = (scale * turned[0], scale * turned[1]);
                queries[2 * pair * TILE + lane] = a * cos - b * sin;
                queries[(2 * pair + 1) * TILE + lane] = a * sin + b * cos;
            }
        }
    }

    /// Half of the channels of queries, turned back by a place on their axis: [width / 2, TILE] → the same.
    #[inline(always)]
    fn turn_back<S: Simd>(&self, simd: S, half: &[f32], place: usize, turned: &mut [f32]) {
        let pairs = self.sizes.width / 4;
        let turns = self.cos[place * pairs..].iter().zip(&self.sin[place * pairs..]);
        for ((pair, turned), (cos, sin)) in half.chunks_exact(2 * TILE).zip(turned.chunks_exact_mut(2 * TILE)).zip(turns) {
            let (cos, sin) = (simd.splat(*cos), simd.splat(*sin));
            let (first, second) = turned.split_at_mut(TILE);
            for lane in (0..TILE).step_by(LANES) {
                let (a, b) = (simd.load(&pair[lane..]), simd.load(&pair[TILE + lane..]));
                simd.store(simd.mul_add(a, cos, simd.mul(b, sin)), &mut first[lane..]);
                simd.store(simd.sub(simd.mul(b, cos), simd.mul(a, sin)), &mut second[lane..]);
            }
        }
    }

    /// Channels of queries from `channel` on, back through the projection of the keys: → [M + 1, TILE], the last one what the bias adds.
    #[inline(always)]
    fn absorb<S: Simd>(&self, simd: S, channels: &[f32], channel: usize, out: &mut [f32]) {
        let width = self.sizes.memory_width;
        out.fill(0.0);
        let rows = Rows { numbers: &self.weight, start: channel * width, stride: 1, step: width };
        add_products(simd, [channels], rows, Sums { numbers: out, stride: TILE, count: width });
        let rows = Rows { numbers: &self.bias, start: channel, stride: 0, step: 1 };
        add_products(simd, [channels], rows, Sums { numbers: &mut out[width * TILE..], stride: TILE, count: 1 });
    }
}

/// Scores of keys: vectors are [M + 1, TILE], of which the sum counts; the last row is what the bias adds.
#[inline(always)]
fn score<S: Simd, const X: usize>(simd: S, vectors: [&[f32]; X], keys: Rows<'_>, scores: Sums<'_>) {
    let last = vectors[0].len() - TILE;
    for key in 0..scores.count {
        let score = &mut scores.numbers[key * scores.stride..][..TILE];
        for lane in (0..TILE).step_by(LANES) {
            let mut bias = simd.load(&vectors[0][last + lane..]);
            for vector in &vectors[1..] {
                bias = simd.add(bias, simd.load(&vector[last + lane..]));
            }
            simd.store(bias, &mut score[lane..]);
        }
    }
    add_products(simd, vectors.map(|vector| &vector[..last]), keys, scores);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that repeat themselves after a long time, from -1 to 1.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    struct Case {
        sizes: MemorySizes,
        memories: usize,
        pointers: usize,
        magnitude: f32,
    }

    /// As the attention is written, in f64: every key projected, turned and multiplied.
    fn written(case: &Case, weights: [&[f32]; 2], of: Remembered<'_>) -> Vec<f64> {
        let MemorySizes { grid, width, memory_width, theta } = case.sizes;
        let pairs = width / 4;
        let turn = |vector: &mut [f64], cell: usize| {
            for (pair, two) in vector.chunks_exact_mut(2).enumerate() {
                let place = if pair < pairs { cell % grid } else { cell / grid };
                let frequency = 1.0 / f64::from(theta).powf(2.0 * (pair % pairs) as f64 / (width / 2) as f64);
                let (sin, cos) = (place as f64 * frequency).sin_cos();
                (two[0], two[1]) = (two[0] * cos - two[1] * sin, two[0] * sin + two[1] * cos);
            }
        };
        let project = |key: &[f32]| -> Vec<f64> {
            let dot = |row: &[f32]| row.iter().zip(key).map(|(w, m)| f64::from(*w) * f64::from(*m)).sum::<f64>();
            weights[0].chunks_exact(memory_width).zip(weights[1]).map(|(row, bias)| dot(row) + f64::from(*bias)).collect()
        };
        let mut keys: Vec<Vec<f64>> = Vec::new();
        for (index, key) in of.memory_keys.chunks_exact(memory_width).enumerate() {
            let mut key = project(key);
            turn(&mut key, index / case.memories);
            keys.push(key);
        }
        keys.extend(of.pointer_keys.chunks_exact(memory_width).map(project));
        let values: Vec<&[f32]> = of.memory_values.chunks_exact(memory_width).chain(of.pointer_values.chunks_exact(memory_width)).collect();
        let mut out = Vec::new();
        for (cell, query) in of.queries.chunks_exact(width).enumerate() {
            let mut query: Vec<f64> = query.iter().map(|q| f64::from(*q) / (width as f64).sqrt()).collect();
            turn(&mut query, cell);
            let scores: Vec<f64> = keys.iter().map(|key| key.iter().zip(&query).map(|(k, q)| k * q).sum()).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let of_channel = |channel: usize| weights.iter().zip(&values).map(|(w, v)| w * f64::from(v[channel])).sum::<f64>() / sum;
            out.extend((0..memory_width).map(of_channel));
        }
        out
    }

    fn check(case: &Case) {
        let MemorySizes { grid, width, memory_width, .. } = case.sizes;
        let area = grid * grid;
        let [weight, bias] = [numbers(width * memory_width, 1), numbers(width, 2)];
        let queries: Vec<f32> = numbers(area * width, 3).iter().map(|q| q * case.magnitude).collect();
        let [memory_keys, memory_values] = [4, 5].map(|seed| numbers(case.memories * area * memory_width, seed));
        let [pointer_keys, pointer_values] = [6, 7].map(|seed| numbers(case.pointers * memory_width, seed));
        let of = Remembered {
            queries: &queries,
            memory_keys: &memory_keys,
            memory_values: &memory_values,
            pointer_keys: &pointer_keys,
            pointer_values: &pointer_values,
        };
        let expected = written(case, [&weight, &bias], of);
        for processor in Processor::all() {
            let attention = MemoryAttention::new(case.sizes, &weight, &bias).expect("they fit").on(processor);
            let mut found = vec![f32::NAN; area * memory_width];
            for share in 0..attention.shares() {
                let rows = attention.rows(share);
                attention.attend(of, share, &mut found[rows.start * memory_width..rows.end * memory_width]);
            }
            let worst = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            // A score's rounding error grows with it, and a weight's with the score's.
            assert!(worst < 2e-6 * f64::from(case.magnitude.max(1.0)), "{processor:?}, {:?}: {worst}", case.sizes);
            assert!(found.iter().all(|number| number.is_finite()));
        }
    }

    #[test]
    fn it_is_the_attention_as_it_is_written() {
        let sizes = |grid, width, memory_width| MemorySizes { grid, width, memory_width, theta: 10_000.0 };
        check(&Case { sizes: sizes(8, 64, 16), memories: 7, pointers: 16, magnitude: 3.0 });
        check(&Case { sizes: sizes(6, 32, 16), memories: 4, pointers: 3, magnitude: 1.0 });
        check(&Case { sizes: sizes(5, 24, 7), memories: 1, pointers: 0, magnitude: 1.0 });
        check(&Case { sizes: sizes(3, 4, 1), memories: 9, pointers: 40, magnitude: 1.0 });
        check(&Case { sizes: sizes(1, 8, 4), memories: 2, pointers: 1, magnitude: 1.0 });
        // Scores that leave all but one key without weight.
        check(&Case { sizes: sizes(8, 32, 8), memories: 3, pointers: 5, magnitude: 300.0 });
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let sizes = MemorySizes { grid: 4, width: 8, memory_width: 2, theta: 10_000.0 };
        assert!(MemoryAttention::new(sizes, &[0.0; 16], &[0.0; 8]).is_some());
        assert!(MemoryAttention::new(sizes, &[0.0; 15], &[0.0; 8]).is_none());
        assert!(MemoryAttention::new(MemorySizes { width: 6, ..sizes }, &[0.0; 12], &[0.0; 6]).is_none());
        assert!(MemoryAttention::new(MemorySizes { grid: 0, ..sizes }, &[0.0; 16], &[0.0; 8]).is_none());
    }
}
