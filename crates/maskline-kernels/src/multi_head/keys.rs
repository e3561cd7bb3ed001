//! Keys and values, packed by blocks.

use super::{AttentionSizes, MultiHeadAttention, Projected, Rotary};
use crate::scratch::parts;
use crate::simd::{Kernel, LANES, Simd, load_some};
use crate::tile::{Unchanged, interleave};

/// Keys whose scores are weighed together, at most.
pub(super) const KEYS: usize = 512;

/// How the keys of a head are cut: into blocks of equal size, but for the last one. A block is its keys `[⌈size / 16⌉, D, 16]` and behind them its
/// values `[⌈D / 16⌉, size, 16]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks {
    keys: usize,
    width: usize,
    /// Keys of a block, whole vectors.
    size: usize,
}

/// A block: from its first key on so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) blocks: Blocks,
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Blocks {
    pub(super) fn of(keys: usize, width: usize) -> Self {
        let size = keys.div_ceil(keys.div_ceil(KEYS).max(1)).next_multiple_of(LANES);
        Self { keys, width, size }
    }

    pub(super) fn count(self) -> usize {
        self.keys.div_ceil(self.size)
    }

    pub(super) fn block(self, index: usize) -> Block {
        let first = index * self.size;
        Block { blocks: self, first, count: self.size.min(self.keys - first) }
    }

    /// Numbers of a packed block.
    pub(super) fn length(self) -> usize {
        self.size * (self.width + self.width.next_multiple_of(LANES))
    }
}

impl Block {
    /// The panel [D, 16] of sixteen keys.
    #[inline(always)]
    pub(super) fn keys(self, packed: &[f32], panel: usize) -> &[f32] {
        let length = self.blocks.width * LANES;
        &packed[panel * length..][..length]
    }

    /// The panel [count, 16] of sixteen channels of the values.
    #[inline(always)]
    pub(super) fn values(self, packed: &[f32], panel: usize) -> &[f32] {
        let Blocks { width, size, .. } = self.blocks;
        &packed[size * (width + panel * LANES)..][..self.count * LANES]
    }
}

/// Packs a block of a head's keys and values.
pub(super) struct PackBlock<'a> {
    pub(super) of: &'a MultiHeadAttention<'a>,
    pub(super) entry: usize,
    pub(super) head: usize,
    pub(super) block: Block,
    pub(super) scratch: &'a mut Vec<f32>,
    /// All of the block.
    pub(super) out: &'a mut [f32],
}

impl Kernel for PackBlock<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { of, entry, head, block, scratch, out } = self;
        let [turned] = parts(scratch, [LANES * of.sizes.head_width]);
        pack_block(simd, &Head { of, entry, head }, block, Packing { turned, out });
    }
}

/// A head of an entry.
pub(super) struct Head<'a> {
    pub(super) of: &'a MultiHeadAttention<'a>,
    pub(super) entry: usize,
    pub(super) head: usize,
}

impl<'a> Head<'a> {
    /// A token's numbers, turned into `turned` if they are to be.
    #[inline(always)]
    pub(super) fn turned<'t>(&self, numbers: &'t [f32], token: usize, turned: &'t mut [f32]) -> &'t [f32] {
        let Some(Rotary { cos, sin }) = self.of.rotary else { return numbers };
        let width = numbers.len();
        let (numbers, turned) = (numbers.as_chunks::<2>().0, &mut turned[..width]);
        let (cos, sin) = (&cos[token * width..][..width], &sin[token * width..][..width]);
        let factors = cos.as_chunks::<2>().0.iter().zip(sin.as_chunks::<2>().0);
        for ((out, [a, b]), (cos, sin)) in turned.as_chunks_mut::<2>().0.iter_mut().zip(numbers).zip(factors) {
            *out = [a * cos[0] - b * sin[0], b * cos[1] + a * sin[1]];
        }
        turned
    }

    /// Numbers of a token, of so many in an entry.
    #[inline(always)]
    pub(super) fn numbers(&self, of: &Projected<'a>, token: usize, count: usize) -> &'a [f32] {
        of.head(self.entry * count + token, self.head, self.of.sizes.head_width)
    }
}

/// Where a block is packed, with place for sixteen keys that are turned.
pub(super) struct Packing<'a> {
    pub(super) turned: &'a mut [f32],
    pub(super) out: &'a mut [f32],
}

#[inline(always)]
pub(super) fn pack_block<S: Simd>(simd: S, head: &Head<'_>, block: Block, packing: Packing<'_>) {
    let AttentionSizes { head_width: width, keys: all, .. } = head.of.sizes;
    let Packing { turned, out } = packing;
    let (keys, values) = out.split_at_mut(block.blocks.size * width);
    for (panel, out) in keys.chunks_exact_mut(width * LANES).enumerate().take(block.count.div_ceil(LANES)) {
        let mut rows: [&[f32]; LANES] = [&[]; LANES];
        for ((lane, row), turned) in rows.iter_mut().enumerate().zip(turned.chunks_exact_mut(width)) {
            // The last key stands for those that are not there.
            let token = block.first + (panel * LANES + lane).min(block.count - 1);
            *row = head.turned(head.numbers(&head.of.keys, token, all), token, turned);
        }
        simd.apart(Interleave { rows, out });
    }
    for (at, token) in (block.first..block.first + block.count).enumerate() {
        let numbers = head.numbers(&head.of.values, token, all);
        for (channels, out) in numbers.chunks(LANES).zip(values.chunks_exact_mut(block.blocks.size * LANES)) {
            simd.store(load_some(simd, channels), &mut out[at * LANES..]);
        }
    }
}

struct Interleave<'a> {
    rows: [&'a [f32]; LANES],
    out: &'a mut [f32],
}

impl Kernel for Interleave<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        interleave(simd, self.rows, &Unchanged, self.out);
    }
}
