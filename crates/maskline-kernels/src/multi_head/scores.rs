//! Scores of a tile of queries, their softmax, and the values that they weigh.

use super::keys::{Block, Head, KEYS};
use super::share::QUERIES;
use super::{RelativePositions, ScoreBias};
use crate::simd::{Kernel, LANES, Simd, exp2, largest, load_some, numbers, sum};
use crate::tile::products;

/// From the scores of a query to those of the next one: not a power of two, which would lie in the same places of a cache.
pub(super) const PITCH: usize = KEYS + LANES;

/// Less than any score that counts, and finite: -∞ less it is -∞ again.
pub(super) const LEAST: f32 = -1e30;

const LOG2_E: f32 = std::f32::consts::LOG2_E;

/// What is added to the scores of a block.
pub(super) struct Added<'a> {
    bias: Option<ScoreBias<'a>>,
    positions: Option<RelativePositions<'a>>,
    /// Numbers of the bias before those of the first query.
    start: usize,
    /// Queries before the first one.
    before: usize,
    block: Block,
}

impl<'a> Added<'a> {
    pub(super) fn of(head: &Head<'a>, block: Block) -> Option<Self> {
        let Head { of, entry, head } = *head;
        let start = of.bias.map_or(0, |bias| entry * bias.batch_stride + head * bias.head_stride);
        let before = (entry * of.sizes.heads + head) * of.sizes.queries;
        let is_added = of.bias.is_some() || of.positions.is_some();
        is_added.then_some(Self { bias: of.bias, positions: of.positions, start, before, block })
    }
}

/// Writes what is added to the scores of a query in their place.
pub(super) struct Fill<'a> {
    pub(super) added: &'a Added<'a>,
    pub(super) token: usize,
    /// Place for a row of positions, with a vector more.
    pub(super) columns: &'a mut [f32],
    /// From those of the query on: the block's, up to a whole vector, and a vector more are written.
    pub(super) scores: &'a mut [f32],
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { added, token, columns, scores } = self;
        let Added { bias, positions, start, before, block } = *added;
        let factor = simd.splat(LOG2_E);
        simd.store(simd.splat(0.0), &mut scores[(block.count - 1) / LANES * LANES..]);
        if let Some(positions) = positions {
            fill_positions(simd, Positions { positions, query: before + token, block, columns }, scores);
        }
        let Some(bias) = bias else { return };
        let bias = &bias.numbers[start + token * bias.query_stride + block.first..][..block.count];
        for (bias, scores) in bias.chunks(LANES).zip(scores.chunks_exact_mut(LANES)) {
            let before = if positions.is_some() { simd.load(scores) } else { simd.splat(0.0) };
            simd.store(simd.mul_add(load_some(simd, bias), factor, before), scores);
        }
    }
}

struct Positions<'a> {
    positions: RelativePositions<'a>,
    /// Counted through all entries and heads.
    query: usize,
    block: Block,
    columns: &'a mut [f32],
}

/// A row of the grid after the other: what is written beyond its end belongs to the next one.
#[inline(always)]
fn fill_positions<S: Simd>(simd: S, of: Positions<'_>, scores: &mut [f32]) {
    let Positions { positions: RelativePositions { rows, columns: all, height, width }, query, block, columns } = of;
    for (numbers, out) in all[query * width..][..width].chunks(LANES).zip(columns.chunks_exact_mut(LANES)) {
        simd.store(simd.mul(load_some(simd, numbers), simd.splat(LOG2_E)), out);
    }
    let rows = &rows[query * height..][..height];
    let end = block.first + block.count;
    for row in block.first / width..end.div_ceil(width) {
        let (first, last) = ((row * width).max(block.first), ((row + 1) * width).min(end));
        let of_row = simd.splat(rows[row] * LOG2_E);
        for key in (first..last).step_by(LANES) {
            let column = simd.load(&columns[key - row * width..]);
            simd.store(simd.add(column, of_row), &mut scores[key - block.first..]);
        }
    }
}

/// Scores of a tile with `V` panels of keys.
pub(super) struct Scores<'a, const R: usize, const V: usize> {
    /// Side by side.
    pub(super) queries: &'a [f32],
    pub(super) panels: [&'a [f32]; V],
    /// Keys of the panels that are there.
    pub(super) there: usize,
    /// Whether there is already what is added to them.
    pub(super) is_added: bool,
    /// From the first one on.
    pub(super) scores: &'a mut [f32],
}

impl<const R: usize, const V: usize> Kernel for Scores<'_, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { queries, panels, there, is_added, scores } = self;
        let mut sums = products::<S, R, V, 1, R>(simd, queries, panels);
        if is_added {
            for row in 0..R {
                for vector in 0..V {
                    sums[row][vector] = simd.add(sums[row][vector], simd.load(&scores[row * PITCH + vector * LANES..]));
                }
            }
        }
        if there < V * LANES {
            let mut beyond = [[0.0; LANES]; V];
            beyond.as_flattened_mut()[there..].fill(f32::NEG_INFINITY);
            for row in &mut sums {
                for (sum, beyond) in row.iter_mut().zip(&beyond) {
                    *sum = simd.add(*sum, simd.load(beyond));
                }
            }
        }
        for row in 0..R {
            for vector in 0..V {
                simd.store(sums[row][vector], &mut scores[row * PITCH + vector * LANES..]);
            }
        }
    }
}

/// Scores of all queries become weights.
pub(super) struct Weigh<'a> {
    /// Keys.
    pub(super) count: usize,
    /// Queries.
    pub(super) rows: usize,
    pub(super) scores: &'a mut [f32],
    /// Largest scores, sums, and by what is multiplied that was seen before: [3, queries].
    pub(super) softmax: &'a mut [f32],
}

impl Kernel for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { count, rows, scores, softmax } = self;
        let (most, rest) = softmax.split_at_mut(QUERIES);
        let (sums, shrink) = rest.split_at_mut(QUERIES);
        let states = most.iter_mut().zip(sums).zip(shrink).take(rows);
        for (scores, ((most, all), shrink)) in scores.chunks_exact_mut(PITCH).zip(states) {
            let (vectors, _) = scores[..count.next_multiple_of(LANES)].as_chunks_mut::<LANES>();
            let mut lanes = simd.splat(*most);
            for scores in &*vectors {
                lanes = simd.max(simd.load(scores), lanes);
            }
            let before = *most;
            *most = largest(simd, lanes);
            let (mut total, least) = (simd.splat(0.0), simd.splat(*most));
            for scores in vectors {
                let weight = exp2(simd, simd.sub(simd.load(scores), least));
                simd.store(weight, scores);
                total = simd.add(total, weight);
            }
            *shrink = numbers(simd, exp2(simd, simd.splat(before - *most)))[0];
            *all = *all * *shrink + sum(simd, total);
        }
    }
}

/// What a tile of queries sees in `V` panels of channels.
pub(super) struct Values<'a, const R: usize, const V: usize> {
    /// [R, PITCH].
    pub(super) weights: &'a [f32],
    pub(super) panels: [&'a [f32]; V],
    /// Of each query, where something was seen before.
    pub(super) shrink: Option<&'a [f32]>,
    /// From the first channel on.
    pub(super) seen: &'a mut [f32],
    /// From a query to the next one.
    pub(super) stride: usize,
}

impl<const R: usize, const V: usize> Kernel for Values<'_, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { weights, panels, shrink, seen, stride } = self;
        let mut sums = products::<S, R, V, PITCH, 1>(simd, weights, panels);
        if let Some(shrink) = shrink {
            for row in 0..R {
                let shrink = simd.splat(shrink[row]);
                for vector in 0..V {
                    let before = simd.load(&seen[row * stride + vector * LANES..]);
                    sums[row][vector] = simd.mul_add(before, shrink, sums[row][vector]);
                }
            }
        }
        for row in 0..R {
            for vector in 0..V {
                simd.store(sums[row][vector], &mut seen[row * stride + vector * LANES..]);
            }
        }
    }
}
