//! Attention with one head, a block of keys at a time: scores never leave the processor's caches.

use crate::rows::{Rows, Sums, TILE, TILES, add_products};
use crate::scratch::{parts, with_scratch};
use crate::simd::{Kernel, Processor, Simd};
use crate::softmax::Softmax;

/// Keys whose scores are weighed together.
const KEYS: usize = 192;

/// One head's queries [n, width], keys [m, width] and values [m, value width], by rows.
#[derive(Debug, Clone, Copy)]
pub struct Looking<'a> {
    /// [n, width].
    pub queries: &'a [f32],
    /// [m, width].
    pub keys: &'a [f32],
    /// [m, value_width].
    pub values: &'a [f32],
    /// Numbers of a query and of a key.
    pub width: usize,
    /// Numbers of a value.
    pub value_width: usize,
    /// Factor of the scores.
    pub scale: f32,
}

impl Looking<'_> {
    /// Shares of the queries: each can be done by another thread.
    pub fn shares(&self) -> usize {
        (self.queries.len() / self.width.max(1)).div_ceil(TILES * TILE)
    }

    /// The rows of the output [n, value_width] that a share fills.
    pub fn rows(&self, share: usize) -> std::ops::Range<usize> {
        share * TILES * TILE..((share + 1) * TILES * TILE).min(self.queries.len() / self.width.max(1))
    }

    /// What one share of the queries sees, into its rows of the output, which are given alone. Without keys, NaN.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn attend(&self, processor: Processor, share: usize, out: &mut [f32]) {
        let Self { queries, keys, values, width, value_width, .. } = *self;
        assert!(width > 0 && queries.len().is_multiple_of(width) && keys.len().is_multiple_of(width), "rows are as wide as is said");
        assert_eq!(values.len(), keys.len() / width * value_width, "each key has a value");
        assert_eq!(out.len(), self.rows(share).len() * value_width, "the output is the share's rows");
        with_scratch(|scratch| processor.run(Share { of: self, first: self.rows(share).start, scratch, out }));
    }
}

struct Share<'a> {
    of: &'a Looking<'a>,
    /// Index of the first query.
    first: usize,
    scratch: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

impl Kernel for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { of: &Looking { queries, keys, values, width, value_width, scale }, first, scratch, out } = self;
        let count = out.len().div_ceil(value_width * TILE);
        let [scores, lanes, seen] = parts(scratch, [KEYS, count * width, count * value_width].map(|rows| rows * TILE));
        seen.fill(0.0);
        let last = queries.len() / width - 1;
        for (tile, lanes) in lanes.chunks_exact_mut(width * TILE).enumerate() {
            for lane in 0..TILE {
                // Beyond the last query there is the last one again.
                let query = &queries[(first + tile * TILE + lane).min(last) * width..][..width];
                for (channel, number) in query.iter().enumerate() {
                    lanes[channel * TILE + lane] = scale * number;
                }
            }
        }
        let mut softmax = [const { Softmax::new() }; TILES];
        for (keys, values) in keys.chunks(KEYS * width).zip(values.chunks(KEYS * value_width)) {
            let count = keys.len() / width;
            let scores = &mut scores[..count * TILE];
            let tiles = lanes.chunks_exact(width * TILE).zip(seen.chunks_exact_mut(value_width * TILE)).zip(&mut softmax);
            for ((lanes, seen), softmax) in tiles {
                scores.fill(0.0);
                let keys = Rows { numbers: keys, start: 0, stride: width, step: 1 };
                add_products(simd, [lanes], keys, Sums { numbers: scores, stride: TILE, count });
                softmax.weigh(simd, scores, seen);
                let values = Rows { numbers: values, start: 0, stride: 1, step: value_width };
                add_products(simd, [scores], values, Sums { numbers: seen, stride: TILE, count: value_width });
            }
        }
        for ((softmax, seen), out) in softmax.iter().zip(seen.chunks_exact(value_width * TILE)).zip(out.chunks_mut(value_width * TILE)) {
            softmax.finish(seen, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_attention_as_it_is_written() {
        for (n, m, width, value_width) in [(133, 500, 12, 7), (1, 1, 1, 1), (16, 192, 8, 8), (40, 193, 20, 3)] {
            let numbers = |count: usize, step: usize| (0..count).map(|at| ((at * step) % 101) as f32 / 50.0 - 1.0).collect::<Vec<f32>>();
            let [queries, keys, values] =
                [(n * width, 7919), (m * width, 6007), (m * value_width, 4999)].map(|(count, step)| numbers(count, step));
            let of = Looking { queries: &queries, keys: &keys, values: &values, width, value_width, scale: 0.7 };
            for processor in Processor::all() {
                let mut found = vec![f32::NAN; n * value_width];
                for share in 0..of.shares() {
                    let rows = of.rows(share);
                    of.attend(processor, share, &mut found[rows.start * value_width..rows.end * value_width]);
                }
                for (query, found) in queries.chunks_exact(width).zip(found.chunks_exact(value_width)) {
                    let score = |key: &[f32]| key.iter().zip(query).map(|(k, q)| f64::from(k * q)).sum::<f64>() * 0.7;
                    let weights: Vec<f64> = keys.chunks_exact(width).map(|key| score(key).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    for (channel, found) in found.iter().enumerate() {
                        let value = |row: usize| f64::from(values[row * value_width + channel]);
                        let expected: f64 = weights.iter().enumerate().map(|(row, weight)| weight * value(row)).sum::<f64>() / sum;
                        assert!((f64::from(*found) - expected).abs() < 2e-6, "{processor:?}, {n} × {m}: {found}, {expected}");
                    }
                }
            }
        }
    }
}
