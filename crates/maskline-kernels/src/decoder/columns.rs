//! What the columns of a prompt's cells stand for.

use super::panels::Stripes;
use super::{Sizes, vectors};
use crate::rows::{Rows, Sums, add_products};
use crate::simd::{LANES, Simd};

/// The cells of a prompt: `X[t] = s[t] · x[t] + Σ_r a[t, r] · m[r] + constant`.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    /// The scale `s` and behind it the columns `a` of every cell, [stripes, 1 + K, 16].
    pub numbers: &'a [f32],
}

impl<'a> Cells<'a> {
    /// Where there are so many columns.
    pub(super) fn columns(self, count: usize) -> Stripes<'a> {
        Stripes::new(self.numbers, 1 + count).rows(1, count)
    }

    /// The scales where there are so many columns: one row of every stripe.
    pub(super) fn scales(self, count: usize) -> Stripes<'a> {
        Stripes::new(self.numbers, 1 + count).rows(0, 1)
    }

    pub(super) fn check(&self, columns: &Columns<'_>) {
        let stripes = columns.sizes.stripes();
        let block = columns.sizes.tokens * columns.sizes.inner();
        assert!(columns.values.len().is_multiple_of(block.max(1)), "values are [blocks, N, I]");
        assert_eq!(self.numbers.len(), stripes * (1 + columns.count()) * LANES, "cells are [stripes, 1 + K, 16]");
    }
}

/// Where the rows `m` of a prompt's columns come from.
///
/// A mask prompt has columns of its own in front. Then every block has, for each head and each token but the last, the cells' weights of that
/// token, and one more column. The weights of a head add up to 1, so that of the last token is left out: with what the others see less what
/// the last one sees, `Σ_j w_j v_j = Σ_{j < N} w_j (v_j - v_N) + v_N`. That is the one column more: `v_N` of all heads, and in
/// all blocks but the first what the block adds to all cells.
///
/// A matrix through which the rows go, `[sources, n]`, has a row for each column of a mask, and for every block one for each channel of the
/// values and, but for the first, one of what it adds to all cells; it is kept by sixteen of its columns, `[n / 16, sources, 16]`.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Sizes of the decoder.
    pub sizes: Sizes,
    /// Columns of a mask prompt.
    pub mask: usize,
    /// Values of the tokens in each block so far, [blocks, N, I].
    pub values: &'a [f32],
}

/// Columns that are made of the same sources.
#[derive(Debug)]
pub(super) struct Run {
    /// The first column, and how many there are.
    pub(super) column: usize,
    pub(super) count: usize,
    /// The first source.
    pub(super) source: usize,
    /// By what the sources are multiplied, [count, channels]; nothing where each source is the row of one column.
    pub(super) values: Vec<f32>,
}

impl Run {
    /// Sources of each column.
    pub(super) fn channels(&self) -> usize {
        self.values.len() / self.count.max(1)
    }
}

impl Columns<'_> {
    /// Blocks so far.
    pub(super) fn blocks(&self) -> usize {
        self.values.len() / (self.sizes.tokens * self.sizes.inner()).max(1)
    }

    /// Columns, K.
    pub fn count(&self) -> usize {
        self.mask + self.blocks() * self.sizes.columns()
    }

    /// Rows of a matrix through which they go.
    pub fn sources(&self) -> usize {
        self.mask + self.blocks() * self.sizes.inner() + self.blocks().saturating_sub(1)
    }

    /// All columns in their order.
    pub(super) fn runs(&self) -> Vec<Run> {
        let Sizes { heads, head_width, tokens, .. } = self.sizes;
        let inner = self.sizes.inner();
        let mut runs = vec![Run { column: 0, count: self.mask, source: 0, values: vec![] }];
        let (mut column, mut source) = (self.mask, self.mask);
        for (block, values) in self.values.chunks_exact((tokens * inner).max(1)).enumerate() {
            let (others, last) = values.split_at((tokens - 1) * inner);
            for head in 0..heads {
                let channels = head * head_width..(head + 1) * head_width;
                let of_token = |token: &[f32]| channels.clone().map(|channel| token[channel] - last[channel]).collect::<Vec<_>>();
                let values = others.chunks_exact(inner).flat_map(of_token).collect();
                runs.push(Run { column: column + head * (tokens - 1), count: tokens - 1, source: source + channels.start, values });
            }
            column += heads * (tokens - 1);
            let added = if block > 0 { &[1.0][..] } else { &[] };
            let values = [last, added].concat();
            let sources = values.len();
            runs.push(Run { column, count: 1, source, values });
            (column, source) = (column + 1, source + sources);
        }
        runs.retain(|run| run.count > 0);
        runs
    }

    /// All rows `m` after a matrix: [n / 16, sources, 16] → [n / 16, K, 16].
    #[inline(always)]
    pub(super) fn through<S: Simd>(&self, simd: S, runs: &[Run], matrix: &[f32]) -> Vec<f32> {
        let (sources, count) = (self.sources() * LANES, self.count() * LANES);
        let mut out = vec![0.0; matrix.len() / sources.max(1) * count];
        for (matrix, out) in matrix.chunks_exact(sources.max(1)).zip(out.chunks_exact_mut(count.max(1))) {
            for run in runs {
                let (from, out) = (&matrix[run.source * LANES..], &mut out[run.column * LANES..][..run.count * LANES]);
                if run.values.is_empty() {
                    out.copy_from_slice(&from[..run.count * LANES]);
                    continue;
                }
                let rows = Rows { numbers: &run.values, start: 0, stride: run.channels(), step: 1 };
                add_products(simd, [&from[..run.channels() * LANES]], rows, Sums { numbers: out, stride: LANES, count: run.count });
            }
        }
        out
    }
}

/// Dot products of tokens with every row `m` after a matrix → panels [tokens / 16, K, 16].
#[inline(always)]
pub(super) fn dots<S: Simd>(simd: S, of: Dots<'_>, out: &mut [f32]) {
    let Dots { rows, count, channels, tokens, width, first } = of;
    let panel = count * LANES;
    out.fill(0.0);
    for (tokens, out) in tokens.chunks_exact(width * LANES).zip(out.chunks_exact_mut(panel.max(1))) {
        // The channels may lie in several vectors of rows, or in a part of one.
        for vector in channels.start / LANES..channels.end.div_ceil(LANES) {
            let here = (vector * LANES).max(channels.start)..((vector + 1) * LANES).min(channels.end);
            let factors = Rows { numbers: &rows[vector * panel..][..panel], start: here.start % LANES, stride: LANES, step: 1 };
            let lanes = &tokens[(first + here.start - channels.start) * LANES..(first + here.end - channels.start) * LANES];
            add_products(simd, [lanes], factors, Sums { numbers: out, stride: LANES, count });
        }
    }
}

/// What [`dots`] multiplies.
pub(super) struct Dots<'a> {
    /// [n / 16, K, 16].
    pub(super) rows: &'a [f32],
    /// K.
    pub(super) count: usize,
    /// Those of the rows' channels that count.
    pub(super) channels: std::ops::Range<usize>,
    /// [tokens / 16, width, 16].
    pub(super) tokens: &'a [f32],
    /// Numbers of a token, and which of them is the first that counts.
    pub(super) width: usize,
    pub(super) first: usize,
}

/// Panels of a matrix with so many columns.
pub(super) fn matrix_length(columns: &Columns<'_>, width: usize) -> usize {
    vectors(width) * columns.sources() * LANES
}
