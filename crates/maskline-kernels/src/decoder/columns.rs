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
}

/// Where the rows `m` of a prompt's columns come from: first those that no token has (of a mask prompt), then for every block those of its
/// tokens, by heads, and after all blocks but the first one that no token has (what the block adds to all cells).
///
/// A matrix through which they go, `[sources, n]`, has a row for each column that no token has, and for each channel of the tokens' values;
/// it is kept by sixteen of its columns, `[n / 16, sources, 16]`.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Sizes of the decoder.
    pub sizes: Sizes,
    /// Columns of a mask prompt.
    pub mask: usize,
    /// Values of the tokens in each block so far, [blocks, N, I].
    pub values: &'a [f32],
}

/// Columns that belong together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// The first column.
    pub(super) column: usize,
    /// The row of a matrix that is the first of them.
    pub(super) source: usize,
    /// Columns.
    pub(super) count: usize,
    /// Where the values lie, if they are of tokens: one row per channel of this head.
    pub(super) tokens: Option<OfTokens>,
}

/// One head of one block.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfTokens {
    pub(super) block: usize,
    pub(super) head: usize,
}

impl Columns<'_> {
    /// Blocks so far.
    pub(super) fn blocks(&self) -> usize {
        self.values.len() / (self.sizes.tokens * self.sizes.inner()).max(1)
    }

    /// Columns, K.
    pub fn count(&self) -> usize {
        self.mask + self.blocks() * self.sizes.heads * self.sizes.tokens + self.blocks().saturating_sub(1)
    }

    /// Rows of a matrix through which they go.
    pub fn sources(&self) -> usize {
        self.mask + self.blocks() * self.sizes.inner() + self.blocks().saturating_sub(1)
    }

    /// Values of a block, [N, I].
    pub(super) fn of_block(&self, block: usize) -> &[f32] {
        let length = self.sizes.tokens * self.sizes.inner();
        &self.values[block * length..][..length]
    }

    /// All columns in their order.
    pub(super) fn runs(&self) -> Vec<Run> {
        let Sizes { heads, head_width, tokens, .. } = self.sizes;
        let mut runs = Vec::with_capacity(1 + self.blocks() * (heads + 1));
        let (mut column, mut source) = (0, 0);
        let mut add = |count: usize, sources: usize, tokens: Option<OfTokens>| {
            if count > 0 {
                runs.push(Run { column, source, count, tokens });
            }
            (column, source) = (column + count, source + sources);
        };
        add(self.mask, self.mask, None);
        for block in 0..self.blocks() {
            for head in 0..heads {
                add(tokens, head_width, Some(OfTokens { block, head }));
            }
            if block > 0 {
                add(1, 1, None);
            }
        }
        runs
    }

    /// Sixteen numbers of every row `m`, after a matrix of which `matrix` [sources, 16] are sixteen columns: → [K, 16].
    #[inline(always)]
    pub(super) fn through<S: Simd>(&self, simd: S, matrix: &[f32], out: &mut [f32]) {
        let Sizes { head_width, .. } = self.sizes;
        let inner = self.sizes.inner();
        for run in self.runs() {
            let out = &mut out[run.column * LANES..][..run.count * LANES];
            let from = &matrix[run.source * LANES..];
            let Some(OfTokens { block, head }) = run.tokens else {
                out.copy_from_slice(&from[..run.count * LANES]);
                continue;
            };
            out.fill(0.0);
            let rows = Rows { numbers: self.of_block(block), start: head * head_width, stride: inner, step: 1 };
            add_products(simd, [&from[..head_width * LANES]], rows, Sums { numbers: out, stride: LANES, count: run.count });
        }
    }

    /// [`Columns::through`] for all columns of a matrix: [n / 16, sources, 16] → [n / 16, K, 16].
    #[inline(always)]
    pub(super) fn all_through<S: Simd>(&self, simd: S, matrix: &[f32]) -> Vec<f32> {
        let (sources, count) = (self.sources() * LANES, self.count() * LANES);
        let mut out = vec![0.0; matrix.len() / sources.max(1) * count];
        for (matrix, out) in matrix.chunks_exact(sources.max(1)).zip(out.chunks_exact_mut(count.max(1))) {
            self.through(simd, matrix, out);
        }
        out
    }
}

impl Cells<'_> {
    pub(super) fn check(&self, columns: &Columns<'_>) {
        let stripes = columns.sizes.stripes();
        let block = columns.sizes.tokens * columns.sizes.inner();
        assert!(columns.values.len().is_multiple_of(block.max(1)), "values are [blocks, N, I]");
        assert_eq!(self.numbers.len(), stripes * (1 + columns.count()) * LANES, "cells are [stripes, 1 + K, 16]");
    }
}

/// Dot products of a head's tokens with every row `m` after a matrix: `rows` [I / 16, K, 16] are these rows, `tokens` the panels
/// [N / 16, I, 16] → panels [N / 16, K, 16].
#[inline(always)]
pub(super) fn dots<S: Simd>(simd: S, of: Dots<'_>, out: &mut [f32]) {
    let Dots { rows, count, channels, tokens, width, first } = of;
    let panel = count * LANES;
    out.fill(0.0);
    for (tokens, out) in tokens.chunks_exact(width * LANES).zip(out.chunks_exact_mut(panel.max(1))) {
        // A head's channels may lie in several vectors of rows, or in a part of one.
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
    /// [I / 16, K, 16].
    pub(super) rows: &'a [f32],
    /// K.
    pub(super) count: usize,
    /// Those of the rows' channels that are the head's.
    pub(super) channels: std::ops::Range<usize>,
    /// [N / 16, width, 16].
    pub(super) tokens: &'a [f32],
    /// Numbers of a token, and which of them is the head's first.
    pub(super) width: usize,
    pub(super) first: usize,
}

/// Panels of a matrix with so many columns.
pub(super) fn matrix_length(columns: &Columns<'_>, width: usize) -> usize {
    vectors(width) * columns.sources() * LANES
}
