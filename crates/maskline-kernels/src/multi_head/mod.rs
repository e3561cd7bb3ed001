//! Attention with many heads, which reads queries, keys and values where their projections left them, and writes what the next projection
//! reads: nothing is transposed, padded or cut to windows on the way.
//!
//! Keys are looked at a block at a time, with an online softmax (Milakov and Gimelshein 2018): scores never leave the processor's caches. The
//! tokens of each entry of the batch may be any rows of the input, so that the windows of a picture are a batch.

mod keys;
mod scores;
mod share;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

use self::keys::{Blocks, PackBlock};
use self::share::{Keys, Query, Share};
use crate::scratch::with_scratch;
use crate::simd::Processor;
use crate::workers::{Workers, own};

/// A token that is no row of the input, see [`Projected::tokens`].
pub const PADDING: u32 = u32::MAX;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionSizes {
    /// Entries that do not see each other (pictures, windows), B.
    pub batch: usize,
    /// Heads, H.
    pub heads: usize,
    /// Numbers of a head, D.
    pub head_width: usize,
    /// Queries of an entry, Tq.
    pub queries: usize,
    /// Keys of an entry, Tk.
    pub keys: usize,
}

/// Rows of tokens with the numbers of every head somewhere in them.
#[derive(Debug, Clone, Copy)]
pub struct Projected<'a> {
    /// [rows, stride].
    pub numbers: &'a [f32],
    /// From a row to the next one.
    pub stride: usize,
    /// Where in a row the first head begins.
    pub offset: usize,
    /// From a head to the next one: D where the heads of a query, key or value follow each other.
    pub head_stride: usize,
    /// [B, T]: the row of each token, or [`PADDING`]. Without it, they are all rows in their order.
    pub tokens: Option<&'a [u32]>,
    /// `[stride]`: the row of a token that is padding; may be empty where none is. A padded picture's is the bias of the projection.
    pub padding: &'a [f32],
}

impl<'a> Projected<'a> {
    /// Queries, keys and values of one projection: rows [3, H, D].
    pub fn packed(numbers: &'a [f32], sizes: AttentionSizes) -> [Self; 3] {
        let inner = sizes.heads * sizes.head_width;
        let all = Self { numbers, stride: 3 * inner, offset: 0, head_stride: sizes.head_width, tokens: None, padding: &[] };
        [all, Self { offset: inner, ..all }, Self { offset: 2 * inner, ..all }]
    }

    /// Rows [H, D] of a projection of their own.
    pub fn alone(numbers: &'a [f32], sizes: AttentionSizes) -> Self {
        let head_stride = sizes.head_width;
        Self { numbers, stride: sizes.heads * head_stride, offset: 0, head_stride, tokens: None, padding: &[] }
    }

    /// With the rows of tokens, and the row of those that are padding.
    #[must_use]
    pub fn at(self, tokens: &'a [u32], padding: &'a [f32]) -> Self {
        Self { tokens: Some(tokens), padding, ..self }
    }

    fn rows(&self) -> usize {
        self.numbers.len() / self.stride.max(1)
    }

    /// The row of a token, counted through all entries; none if it is padding.
    fn row(&self, token: usize) -> Option<usize> {
        match self.tokens {
            None => Some(token),
            Some(tokens) => (tokens[token] != PADDING).then_some(tokens[token] as usize),
        }
    }

    /// From a head of a token on.
    #[inline(always)]
    fn head(&self, token: usize, head: usize, width: usize) -> &'a [f32] {
        let row = match self.row(token) {
            Some(row) => &self.numbers[row * self.stride..],
            None => self.padding,
        };
        &row[self.offset + head * self.head_stride..][..width]
    }

    fn check(&self, tokens: usize, sizes: AttentionSizes) {
        let AttentionSizes { heads, head_width, .. } = sizes;
        assert!(self.stride > 0 && self.numbers.len().is_multiple_of(self.stride), "there are whole rows");
        let end = self.offset + heads.saturating_sub(1) * self.head_stride + head_width;
        assert!(end <= self.stride, "all heads are in a row");
        match self.tokens {
            None => assert_eq!(self.rows(), tokens, "every token has a row"),
            Some(all) => {
                assert_eq!(all.len(), tokens, "every token has a row, or is padding");
                let is_row = |token: &u32| (*token as usize) < self.rows();
                let is_there = |token: &u32| if *token == PADDING { self.padding.len() == self.stride } else { is_row(token) };
                assert!(all.iter().all(is_there), "tokens are rows of the input, or padding where its row is given");
            }
        }
    }
}

/// What is added to scores: rows of Tk numbers.
#[derive(Debug, Clone, Copy)]
pub struct ScoreBias<'a> {
    /// All rows.
    pub numbers: &'a [f32],
    /// From an entry of the batch to the next one; 0 where all have the same.
    pub batch_stride: usize,
    /// From a head to the next one; 0 where all have the same.
    pub head_stride: usize,
    /// From a query to the next one; 0 where all have the same.
    pub query_stride: usize,
}

/// What is added to scores for the place of a key on a grid: a number for its row and one for its column (Li et al. 2022, "MViTv2"; SAM).
#[derive(Debug, Clone, Copy)]
pub struct RelativePositions<'a> {
    /// [B, H, Tq, height].
    pub rows: &'a [f32],
    /// [B, H, Tq, width].
    pub columns: &'a [f32],
    /// Rows of the grid of keys.
    pub height: usize,
    /// Columns of the grid of keys.
    pub width: usize,
}

/// Rotary position embedding (Su et al. 2021): every two numbers `(a, b)` of a query and of a key become `(a cos - b sin, b cos + a sin)`.
#[derive(Debug, Clone, Copy)]
pub struct Rotary<'a> {
    /// [T, D], of every token of an entry, with T at least as large as Tq and Tk.
    pub cos: &'a [f32],
    /// [T, D].
    pub sin: &'a [f32],
}

/// An attention: what each query sees, `softmax(scale · q kᵀ + bias) v`.
#[derive(Debug, Clone, Copy)]
pub struct MultiHeadAttention<'a> {
    /// Its sizes.
    pub sizes: AttentionSizes,
    /// Tq tokens of each entry.
    pub queries: Projected<'a>,
    /// Tk tokens of each entry.
    pub keys: Projected<'a>,
    /// Tk tokens of each entry.
    pub values: Projected<'a>,
    /// Factor of the scores.
    pub scale: f32,
    /// Added to the scores.
    pub bias: Option<ScoreBias<'a>>,
    /// Added to the scores.
    pub positions: Option<RelativePositions<'a>>,
    /// Turns queries and keys when they are read.
    pub rotary: Option<Rotary<'a>>,
}

impl<'a> MultiHeadAttention<'a> {
    /// With queries, keys and values `[3, H, D]` of one projection, and the usual scale `1 / √D`.
    pub fn packed(numbers: &'a [f32], sizes: AttentionSizes) -> Self {
        let [queries, keys, values] = Projected::packed(numbers, sizes);
        let scale = 1.0 / (sizes.head_width as f32).sqrt();
        Self { sizes, queries, keys, values, scale, bias: None, positions: None, rotary: None }
    }

    /// What every query sees, into the rows [H, D] of `out`: one for each row of the queries' input. Rows that are no token's are left as they
    /// are. A query all of whose scores are -∞ (or less than -10³⁰) sees NaN.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says, a token is a row that is not there, a row is the token of two queries, or there
    /// are no keys.
    pub fn attend(&self, processor: Processor, workers: &dyn Workers, out: &mut [f32]) {
        self.check(out.len());
        let AttentionSizes { batch, heads, head_width, keys, queries } = self.sizes;
        if out.is_empty() || batch * queries == 0 {
            return;
        }
        let blocks = Blocks::of(keys, head_width);
        // Few keys are packed by whoever looks at them, many once for all queries.
        let is_shared = keys * head_width > 64 * 1024 || batch * heads < 8;
        let shares = self.shares(if is_shared { 2 * share::QUERIES } else { queries }, out);
        let packed = if is_shared { self.pack(blocks, processor, workers) } else { Vec::new() };
        workers.each(shares.len(), &|index| {
            let OfShare { entry, head, queries } = std::mem::take(&mut *own(&shares[index]));
            let length = blocks.count() * blocks.length();
            let keys = if is_shared { Keys::Packed(&packed[(entry * heads + head) * length..][..length]) } else { Keys::ToBePacked };
            with_scratch(|scratch| processor.run(Share { of: self, entry, head, queries, blocks, keys, scratch }));
        });
    }

    /// All queries with where they write, so many of a head together.
    fn shares<'o>(&self, together: usize, out: &'o mut [f32]) -> Vec<Mutex<OfShare<'o>>> {
        let AttentionSizes { batch, heads, head_width, queries, .. } = self.sizes;
        let mut rows: Vec<_> = out.chunks_exact_mut(head_width).map(Some).collect();
        let mut shares = Vec::with_capacity(batch * heads * queries.div_ceil(together));
        for entry in 0..batch {
            for head in 0..heads {
                for first in (0..queries).step_by(together) {
                    let tokens = first..(first + together).min(queries);
                    let mut queries_of = Vec::with_capacity(tokens.len());
                    for token in tokens {
                        // Padding asks for nothing.
                        let Some(row) = self.queries.row(entry * queries + token) else { continue };
                        let Some(out) = rows[row * heads + head].take() else { panic!("row {row} is the token of two queries") };
                        queries_of.push(Query { token, out });
                    }
                    shares.push(Mutex::new(OfShare { entry, head, queries: queries_of }));
                }
            }
        }
        shares
    }

    /// Keys and values of all heads.
    fn pack(&self, blocks: Blocks, processor: Processor, workers: &dyn Workers) -> Vec<f32> {
        let AttentionSizes { batch, heads, .. } = self.sizes;
        let mut packed = vec![0.0; batch * heads * blocks.count() * blocks.length()];
        let parts: Vec<_> = packed.chunks_exact_mut(blocks.length()).map(Mutex::new).collect();
        workers.each(parts.len(), &|index| {
            let (of_head, block) = (index / blocks.count(), blocks.block(index % blocks.count()));
            let (entry, head) = (of_head / heads, of_head % heads);
            with_scratch(|scratch| processor.run(PackBlock { of: self, entry, head, block, scratch, out: &mut own(&parts[index]) }));
        });
        drop(parts);
        packed
    }

    fn check(&self, out: usize) {
        let AttentionSizes { batch, heads, head_width, queries, keys } = self.sizes;
        assert!(head_width > 0 && keys > 0, "heads have a width, and there are keys");
        self.queries.check(batch * queries, self.sizes);
        self.keys.check(batch * keys, self.sizes);
        self.values.check(batch * keys, self.sizes);
        assert_eq!(out, self.queries.rows() * heads * head_width, "the output is [rows of the queries, H, D]");
        if let Some(ScoreBias { numbers, batch_stride, head_stride, query_stride }) = self.bias {
            let before = |count: usize, stride: usize| count.saturating_sub(1) * stride;
            let end = before(batch, batch_stride) + before(heads, head_stride) + before(queries, query_stride) + keys;
            assert!(numbers.len() >= end, "the bias has a row of every query");
        }
        if let Some(RelativePositions { rows, columns, height, width }) = self.positions {
            assert_eq!(height * width, keys, "the keys are a grid");
            assert_eq!(rows.len(), batch * heads * queries * height, "positions of rows are [B, H, Tq, height]");
            assert_eq!(columns.len(), batch * heads * queries * width, "positions of columns are [B, H, Tq, width]");
        }
        if let Some(Rotary { cos, sin }) = self.rotary {
            assert!(head_width.is_multiple_of(2), "pairs are turned");
            assert!(cos.len() == sin.len() && cos.len() >= queries.max(keys) * head_width, "cosines and sines are [T, D]");
        }
    }
}

/// Queries of one head that are done by one thread.
#[derive(Default)]
struct OfShare<'a> {
    entry: usize,
    head: usize,
    queries: Vec<Query<'a>>,
}
