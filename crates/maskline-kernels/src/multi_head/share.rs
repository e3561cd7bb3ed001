//! What some queries of a head see.

use super::keys::{Block, Blocks, Head, KEYS, Packing, pack_block};
use super::scores::{Added, Fill, LEAST, PITCH, Scores, Values, Weigh};
use super::{AttentionSizes, MultiHeadAttention};
use crate::scratch::{cut, parts};
use crate::simd::{Kernel, LANES, Simd};
use crate::tile::{Scaled, interleave, interleaved, with_tile};

/// Queries that look at a block of keys together: their scores stay in the second cache. Whole tiles of every processor.
pub(super) const QUERIES: usize = 96;

/// A query that asks.
pub(super) struct Query<'a> {
    /// Which of the entry.
    pub(super) token: usize,
    /// Where what it sees is written, `[D]`.
    pub(super) out: &'a mut [f32],
}

/// Keys and values of a head.
pub(super) enum Keys<'a> {
    /// All blocks.
    Packed(&'a [f32]),
    ToBePacked,
}

pub(super) struct Share<'a, 'q> {
    pub(super) of: &'a MultiHeadAttention<'a>,
    pub(super) entry: usize,
    pub(super) head: usize,
    pub(super) queries: Vec<Query<'q>>,
    pub(super) blocks: Blocks,
    pub(super) keys: Keys<'a>,
    pub(super) scratch: &'a mut Vec<f32>,
}

impl Kernel for Share<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_tile!(S, R, V => self.tiles::<S, R, V>(simd));
    }
}

impl Share<'_, '_> {
    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        let Self { of, entry, head, mut queries, blocks, keys, scratch } = self;
        if queries.is_empty() {
            return;
        }
        let width = of.sizes.head_width;
        let tiles = QUERIES / R;
        let to_be_packed = if matches!(keys, Keys::ToBePacked) { blocks.count() * blocks.length() } else { 0 };
        let lengths = [to_be_packed, LANES * width, tiles * pitch::<R>(width), QUERIES * PITCH, QUERIES * width.next_multiple_of(LANES)];
        let of_columns = of.positions.map_or(0, |positions| positions.width.next_multiple_of(LANES) + LANES);
        let lengths = lengths.into_iter().chain([3 * QUERIES, of_columns]).sum::<usize>();
        let [all] = parts(scratch, [lengths.next_multiple_of(LANES)]);
        let mut rest = all;
        let [packed, turned] = cut(&mut rest, [to_be_packed, LANES * width]);
        let head = Head { of, entry, head };
        let packed = match keys {
            Keys::Packed(packed) => packed,
            Keys::ToBePacked => {
                for (index, out) in packed.chunks_exact_mut(blocks.length()).enumerate() {
                    pack_block(simd, &head, blocks.block(index), Packing { turned, out });
                }
                &*packed
            }
        };
        let [columns, seen, scores, softmax, lanes] =
            cut(&mut rest, [of_columns, QUERIES * width.next_multiple_of(LANES), QUERIES * PITCH, 3 * QUERIES, tiles * pitch::<R>(width)]);
        for queries in queries.chunks_mut(QUERIES) {
            let mut group = Group { head: &head, queries, lanes, scores, seen, columns, softmax };
            group.read::<S, R>(simd, turned);
            for index in 0..blocks.count() {
                group.look::<S, R, V>(simd, blocks.block(index), &packed[index * blocks.length()..][..blocks.length()]);
            }
            group.write(simd);
        }
    }
}

/// Numbers of a tile's queries, side by side.
const fn pitch<const R: usize>(width: usize) -> usize {
    interleaved(width, R).next_multiple_of(LANES)
}

/// Queries that are done together.
struct Group<'a, 'q> {
    head: &'a Head<'a>,
    queries: &'a mut [Query<'q>],
    /// The queries by tiles, side by side.
    lanes: &'a mut [f32],
    /// [queries, PITCH].
    scores: &'a mut [f32],
    /// [queries, D], padded to vectors.
    seen: &'a mut [f32],
    /// Place for positions of columns.
    columns: &'a mut [f32],
    /// Largest scores, sums of the weights, and by what is multiplied that was seen before: [3, queries].
    softmax: &'a mut [f32],
}

impl Group<'_, '_> {
    /// Packs the queries.
    #[inline(always)]
    fn read<S: Simd, const R: usize>(&mut self, simd: S, turned: &mut [f32]) {
        let Self { head, queries, lanes, softmax, .. } = self;
        let AttentionSizes { head_width: width, queries: all, .. } = head.of.sizes;
        // Scores are powers of two, which cost less than those of e.
        let scale = head.of.scale * std::f32::consts::LOG2_E;
        for (tile, out) in lanes.chunks_exact_mut(pitch::<R>(width)).enumerate().take(queries.len().div_ceil(R)) {
            let mut rows: [&[f32]; R] = [&[]; R];
            for ((at, row), turned) in rows.iter_mut().enumerate().zip(turned.chunks_exact_mut(width)) {
                // The last query stands for those that are not there.
                let token = queries[(tile * R + at).min(queries.len() - 1)].token;
                *row = head.turned(head.numbers(&head.of.queries, token, all), token, turned);
            }
            simd.apart(ReadTile { rows, scale, out });
        }
        let (largest, rest) = softmax.split_at_mut(QUERIES);
        largest.fill(LEAST);
        rest.fill(0.0);
    }

    /// Looks at a block of keys.
    #[inline(always)]
    fn look<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, block: Block, packed: &[f32]) {
        let Self { head, queries, lanes, scores, seen, columns, softmax } = self;
        let width = head.of.sizes.head_width;
        let tiles = queries.len().div_ceil(R);
        let added = Added::of(head, block);
        if let Some(added) = &added {
            for (query, scores) in queries.iter().zip(scores.chunks_exact_mut(PITCH)) {
                simd.apart(Fill { added, token: query.token, columns, scores });
            }
        }
        let panels = block.count.div_ceil(LANES);
        let of_scores = OfScores { block, packed, lanes, is_added: added.is_some(), tiles };
        let mut panel = 0;
        while panel + V <= panels {
            of_scores.panels::<S, R, V>(simd, panel, scores);
            panel += V;
        }
        while panel < panels {
            of_scores.panels::<S, R, 1>(simd, panel, scores);
            panel += 1;
        }
        simd.apart(Weigh { count: block.count, rows: queries.len(), scores, softmax });
        let shrink = (block.first > 0).then_some(&softmax[2 * QUERIES..]);
        let padded = width.next_multiple_of(LANES);
        let of_values = OfValues { block, packed, scores, shrink, tiles, padded };
        let mut panel = 0;
        while panel + V <= padded / LANES {
            of_values.panels::<S, R, V>(simd, panel, seen);
            panel += V;
        }
        while panel < padded / LANES {
            of_values.panels::<S, R, 1>(simd, panel, seen);
            panel += 1;
        }
    }

    /// Writes what was seen.
    #[inline(always)]
    fn write<S: Simd>(&mut self, _: S) {
        let padded = self.head.of.sizes.head_width.next_multiple_of(LANES);
        let (largest, sums) = self.softmax.split_at(QUERIES);
        for ((query, seen), (largest, sum)) in self.queries.iter_mut().zip(self.seen.chunks_exact(padded)).zip(largest.iter().zip(sums)) {
            let factor = if *largest > LEAST { 1.0 / sum } else { f32::NAN };
            query.out.iter_mut().zip(seen).for_each(|(out, seen)| *out = seen * factor);
        }
    }
}

struct ReadTile<'a, const R: usize> {
    rows: [&'a [f32]; R],
    scale: f32,
    out: &'a mut [f32],
}

impl<const R: usize> Kernel for ReadTile<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        interleave(simd, self.rows, &Scaled(self.scale), self.out);
    }
}

/// Scores of all queries.
struct OfScores<'a> {
    block: Block,
    packed: &'a [f32],
    lanes: &'a [f32],
    /// Whether there is already what is added to them.
    is_added: bool,
    tiles: usize,
}

impl OfScores<'_> {
    /// With `V` panels of keys.
    #[inline(always)]
    fn panels<S: Simd, const R: usize, const V: usize>(&self, simd: S, panel: usize, scores: &mut [f32]) {
        let Self { block, packed, lanes, is_added, tiles } = *self;
        let mut panels: [&[f32]; V] = [&[]; V];
        for (at, keys) in panels.iter_mut().enumerate() {
            *keys = block.keys(packed, panel + at);
        }
        let there = block.count - panel * LANES;
        let queries = lanes.chunks_exact(pitch::<R>(panels[0].len() / LANES));
        for (queries, scores) in queries.zip(scores.chunks_exact_mut(R * PITCH)).take(tiles) {
            simd.apart(Scores::<'_, R, V> { queries, panels, there, is_added, scores: &mut scores[panel * LANES..] });
        }
    }
}

/// Weighted values of all queries.
struct OfValues<'a> {
    block: Block,
    packed: &'a [f32],
    scores: &'a [f32],
    /// Of each query, where something was seen before.
    shrink: Option<&'a [f32]>,
    tiles: usize,
    /// D, padded to vectors.
    padded: usize,
}

impl OfValues<'_> {
    /// Of `V` panels of channels.
    #[inline(always)]
    fn panels<S: Simd, const R: usize, const V: usize>(&self, simd: S, panel: usize, seen: &mut [f32]) {
        let Self { block, packed, scores, shrink, tiles, padded } = *self;
        let mut panels: [&[f32]; V] = [&[]; V];
        for (at, values) in panels.iter_mut().enumerate() {
            *values = block.values(packed, panel + at);
        }
        let weights = scores.chunks_exact(R * PITCH).zip(seen.chunks_exact_mut(R * padded)).take(tiles);
        for (tile, (weights, seen)) in weights.enumerate() {
            let shrink = shrink.map(|shrink| &shrink[tile * R..][..R]);
            simd.apart(Values::<'_, R, V> { weights, panels, shrink, seen: &mut seen[panel * LANES..], stride: padded });
        }
    }
}

const _: () = assert!(QUERIES.is_multiple_of(12) && KEYS.is_multiple_of(LANES), "whole tiles");
