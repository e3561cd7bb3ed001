//! Softmax over keys that come in blocks (Milakov and Gimelshein 2018): with the largest score so far, what was summed before is brought to
//! the scale of what follows.

use crate::rows::TILE;
use crate::simd::{LANES, Simd, exp};

/// The softmax so far of a tile's queries, in lanes.
pub(crate) struct Softmax {
    /// Largest score.
    largest: [f32; TILE],
    /// Sum of the weights.
    sum: [f32; TILE],
}

impl Softmax {
    /// Of queries that have seen nothing.
    pub(crate) const fn new() -> Self {
        Self { largest: [f32::NEG_INFINITY; TILE], sum: [0.0; TILE] }
    }

    /// Scores [keys, TILE] become weights; what was seen so far is brought to the same scale.
    #[inline(always)]
    pub(crate) fn weigh<S: Simd>(&mut self, simd: S, scores: &mut [f32], seen: &mut [f32]) {
        for lane in (0..TILE).step_by(LANES) {
            let before = simd.load(&self.largest[lane..]);
            let mut largest = before;
            for score in scores.chunks_exact(TILE) {
                largest = simd.max(simd.load(&score[lane..]), largest);
            }
            simd.store(largest, &mut self.largest[lane..]);
            let shrink = exp(simd, simd.sub(before, largest));
            let mut sum = simd.mul(simd.load(&self.sum[lane..]), shrink);
            for score in scores.chunks_exact_mut(TILE) {
                let weight = exp(simd, simd.sub(simd.load(&score[lane..]), largest));
                simd.store(weight, &mut score[lane..]);
                sum = simd.add(sum, weight);
            }
            simd.store(sum, &mut self.sum[lane..]);
            for seen in seen.chunks_exact_mut(TILE) {
                let shrunk = simd.mul(simd.load(&seen[lane..]), shrink);
                simd.store(shrunk, &mut seen[lane..]);
            }
        }
    }

    /// What was seen [M, TILE] over the sum of the weights, as rows [up to TILE, M].
    #[inline(always)]
    pub(crate) fn finish(&self, seen: &[f32], out: &mut [f32]) {
        let width = seen.len() / TILE;
        for (lane, row) in out.chunks_exact_mut(width).enumerate() {
            row.iter_mut().zip(seen.chunks_exact(TILE)).for_each(|(out, seen)| *out = seen[lane] / self.sum[lane]);
        }
    }
}
