//! Two layers after each other, as a transformer's block ends: what is between them stays in a near cache.

use std::sync::Mutex;

use super::rows::{PITCH, PackRows};
use super::share::{Part, Sums, tiles_of};
use super::{Linear, MOST_OF_TILE, most_rows};
use crate::scratch::{parts, with_scratch};
use crate::simd::{Kernel, LANES, Processor, Simd};
use crate::tile::with_tile;
use crate::workers::{Workers, own};

/// Two fully connected layers, `y = residual + second(first(x))`.
///
/// The rows between both are never written to memory: a share of the rows makes some of their columns, which the second layer multiplies at once.
/// Its sums are those of the layers one after the other, bit for bit.
#[derive(Debug)]
pub struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    /// `None` if the second layer does not take what the first one gives, or one of them has what goes between them: a normalisation, factors.
    pub fn new(first: Linear, second: Linear) -> Option<Self> {
        let fits = first.outputs() == second.inputs() && second.norm.is_none() && first.layer_scale.is_none();
        fits.then_some(Self { first, second })
    }

    /// With these instructions instead of the best.
    #[must_use]
    pub fn on(self, processor: Processor) -> Self {
        Self { first: self.first.on(processor), second: self.second.on(processor) }
    }

    /// K.
    pub fn inputs(&self) -> usize {
        self.first.inputs()
    }

    /// N.
    pub fn outputs(&self) -> usize {
        self.second.outputs()
    }

    /// `x` [M, K] → `out` [M, N], to which `residual` [M, N] is added if there is one.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn apply(&self, x: &[f32], residual: Option<&[f32]>, workers: &dyn Workers, out: &mut [f32]) {
        let Self { first, second } = self;
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let rows = out.len() / outputs;
        assert!(out.len().is_multiple_of(outputs) && x.len() == rows * inputs, "x is [M, K], and the output [M, N]");
        assert!(residual.is_none_or(|residual| residual.len() == out.len()), "the residual is [M, N]");
        let Some(of_share) = self.rows_of_share(rows) else {
            let mut hidden = vec![0.0; rows * first.outputs()];
            first.apply(x, None, workers, &mut hidden);
            return second.apply(&hidden, residual, workers, out);
        };
        let pieces: Vec<_> = out.chunks_mut(of_share * outputs).map(Mutex::new).collect();
        workers.each(pieces.len(), &|index| {
            let out = std::mem::take(&mut *own(&pieces[index]));
            let (before, count) = (index * of_share, out.len() / outputs);
            let x = &x[before * inputs..][..count * inputs];
            let residual = residual.map(|all| &all[before * outputs..]);
            with_scratch(|scratch| second.processor.run(Share { mlp: self, x, residual, out, scratch }));
        });
    }

    /// Rows of a share: as many as stay in the second cache with what is made of them. `None` where the layers are better one after the other: few
    /// rows are divided by columns, and then all that is between the layers is small.
    fn rows_of_share(&self, rows: usize) -> Option<usize> {
        /// Shares that there should be at least.
        const SHARES: usize = 8;
        let Self { first, second } = self;
        let most = most_rows(first.inputs() + second.outputs() + PITCH);
        let of_share = rows.div_ceil(rows.div_ceil(most).max(1)).next_multiple_of(MOST_OF_TILE);
        // What the second layer takes at once are whole vectors of the first one's columns.
        let is_aligned = second.packed.blocks().all(|block| block.first.is_multiple_of(LANES));
        (is_aligned && rows > (SHARES - 1) * of_share).then_some(of_share)
    }
}

/// Some rows of the answer, by one thread.
struct Share<'a> {
    mlp: &'a Mlp,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    out: &'a mut [f32],
    scratch: &'a mut Vec<f32>,
}

impl Kernel for Share<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        with_tile!(S, R, V => self.tiles::<S, R, V>(simd));
    }
}

impl Share<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        let Self { mlp: Mlp { first, second }, x, residual, out, scratch } = self;
        let width = second.outputs();
        let count = out.len() / width;
        let padded = count.next_multiple_of(R);
        let of_block = padded * PITCH;
        let widest = first.packed.largest().max(second.packed.largest());
        let lengths = [first.packed.blocks().count() * of_block, of_block, V * widest, R * width.next_multiple_of(LANES)];
        let [packed, hidden, wide, aside] = parts(scratch, lengths);
        simd.apart(PackRows { packed: &first.packed, norm: first.norm.as_ref(), x, count: padded, out: packed });
        let mut rows = tiles_of::<R>(out.chunks_exact_mut(width), aside.chunks_exact_mut(width));
        for between in second.packed.blocks() {
            let mut hidden_rows = tiles_of::<R>(hidden.chunks_exact_mut(PITCH), std::iter::empty());
            for (block, x) in first.packed.blocks().zip(packed.chunks_exact(of_block)) {
                let part = Part { linear: first, block, x, count, column: between.first, residual: None };
                part.products::<S, R, V>(simd, 0..between.depth, Sums { rows: &mut hidden_rows, wide });
            }
            let part = Part { linear: second, block: between, x: hidden, count, column: 0, residual };
            part.products::<S, R, V>(simd, 0..width, Sums { rows: &mut rows, wide });
        }
    }
}
