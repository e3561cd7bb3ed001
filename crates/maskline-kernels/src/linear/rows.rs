//! Rows of x as products read them: by blocks of inputs, and normalised on the way if need be.

use super::Norm;
use super::pack::{Block, DEPTH, Packed};
use crate::simd::{Kernel, LANES, Simd, load_some, sum};

/// From a row of a block to the next one: not a power of two, which would lie in the same places of a cache.
pub(super) const PITCH: usize = DEPTH + LANES;

/// Copies rows of x to [K / depth, rows, [`PITCH`]]. What is beyond the rows, and beyond a block's inputs, may be anything.
pub(super) struct PackRows<'a> {
    pub(super) packed: &'a Packed,
    pub(super) norm: Option<&'a Norm>,
    /// [M, K].
    pub(super) x: &'a [f32],
    /// Rows of a block of `out`: M, or more.
    pub(super) count: usize,
    pub(super) out: &'a mut [f32],
}

impl Kernel for PackRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { packed, norm, x, count, out } = self;
        for (at, row) in x.chunks_exact(packed.inputs).enumerate() {
            let normalised = norm.map(|norm| Normalised::of(simd, norm, row));
            for (index, block) in packed.blocks().enumerate() {
                let out = &mut out[(index * count + at) * PITCH..][..PITCH];
                let numbers = &row[block.first..][..block.depth];
                match &normalised {
                    Some(normalised) => normalised.write(simd, block, numbers, out),
                    None => out[..block.depth].copy_from_slice(numbers),
                }
            }
        }
    }
}

/// Layer normalisation of a row.
struct Normalised<'a> {
    norm: &'a Norm,
    mean: f32,
    /// One over the standard deviation.
    factor: f32,
}

impl<'a> Normalised<'a> {
    /// In two passes: the second one sums squares of what is left without the mean.
    #[inline(always)]
    fn of<S: Simd>(simd: S, norm: &'a Norm, row: &[f32]) -> Self {
        let (vectors, rest) = row.as_chunks::<LANES>();
        let count = row.len() as f32;
        let mut all = load_some(simd, rest);
        for vector in vectors {
            all = simd.add(all, simd.load(vector));
        }
        let mean = sum(simd, all) / count;
        let mut squares = simd.splat(0.0);
        for vector in vectors {
            let off = simd.sub(simd.load(vector), simd.splat(mean));
            squares = simd.mul_add(off, off, squares);
        }
        let of_rest: f32 = rest.iter().map(|number| (number - mean) * (number - mean)).sum();
        let factor = 1.0 / ((sum(simd, squares) + of_rest) / count + norm.epsilon).sqrt();
        Self { norm, mean, factor }
    }

    /// A block of the row.
    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, block: Block, numbers: &[f32], out: &mut [f32]) {
        let Norm { gamma, beta, .. } = self.norm;
        let (gamma, beta) = (&gamma[block.first..], &beta[block.first..]);
        let (mean, factor) = (simd.splat(self.mean), simd.splat(self.factor));
        for k in (0..numbers.len()).step_by(LANES) {
            let normalised = simd.mul(simd.sub(load_some(simd, &numbers[k..]), mean), factor);
            simd.store(simd.mul_add(normalised, load_some(simd, &gamma[k..]), load_some(simd, &beta[k..])), &mut out[k..]);
        }
    }
}
