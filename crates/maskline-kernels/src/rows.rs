//! The product that all kernels are made of: a tile of queries, in lanes, times a few rows.

use crate::simd::{Kernel, LANES, Simd};

/// Runs an expression with a constant number of rows, from 1 to as many as any processor sums at once.
macro_rules! by_rows {
    ($rows:expr, $R:ident => $run:expr) => {
        by_rows!(@ $rows, $R, $run, 1 2 3 4 5 6 7 8 9 10 11 12)
    };
    (@ $rows:expr, $R:ident, $run:expr, $($number:literal)+) => {
        match $rows {
            $($number => { const $R: usize = $number; $run })+
            _ => unreachable!("more rows than registers"),
        }
    };
}
pub(crate) use by_rows;

/// Queries of a tile: one in each lane.
pub(crate) const TILE: usize = LANES;
/// Tiles that are done together: keys and values are read from far away once for all of them.
pub(crate) const TILES: usize = 4;

/// Rows of numbers: row `r` begins at `starts[r]`, and its numbers are `step` apart.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) numbers: &'a [f32],
    /// Where the first row begins, and how far the next ones are.
    pub(crate) start: usize,
    pub(crate) stride: usize,
    /// From one number of a row to the next one.
    pub(crate) step: usize,
}

/// Where sums go: row `r` is the tile at `r` times `stride`.
pub(crate) struct Sums<'a> {
    pub(crate) numbers: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// `sums[r][i] += Σ_k x[k][i] · rows[r][k]`: `x` is [depth, TILE], the sum of all that are given.
#[inline(always)]
pub(crate) fn add_products<S: Simd, const X: usize>(simd: S, x: [&[f32]; X], rows: Rows<'_>, sums: Sums<'_>) {
    let Sums { numbers, stride, count } = sums;
    // Groups of equal size: one row alone would wait for its own sums.
    let together = count.div_ceil(count.div_ceil(S::SUMS).max(1)).max(1);
    for at in (0..count).step_by(together) {
        let (rows, sums) = (rows.from(at), &mut numbers[at * stride..]);
        by_rows!(together.min(count - at), R => simd.apart(Few::<'_, X, R> { x, rows, sums, stride }));
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn from(self, row: usize) -> Self {
        Self { start: self.start + row * self.stride, ..self }
    }
}

/// [`add_products`] for `R` rows. On its own in every processor's code: inlined, its sums compete with everything else for registers.
struct Few<'a, const X: usize, const R: usize> {
    x: [&'a [f32]; X],
    rows: Rows<'a>,
    sums: &'a mut [f32],
    stride: usize,
}

impl<const X: usize, const R: usize> Kernel for Few<'_, X, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, rows: Rows { numbers: factors, start, stride, step }, sums: numbers, stride: apart } = self;
        let depth = x.iter().map(|x| x.len() / TILE).min().unwrap_or(0);
        if depth == 0 {
            return;
        }
        assert!(start + (R - 1) * stride + (depth - 1) * step < factors.len(), "the last number of the last row is there");
        let x = x.map(|x| &x[..depth * TILE]);
        let mut sums: [S::Vector; R] = std::array::from_fn(|row| simd.load(&numbers[row * apart..]));
        for k in 0..depth {
            let mut lanes = simd.load(&x[0][k * TILE..]);
            for x in &x[1..] {
                lanes = simd.add(lanes, simd.load(&x[k * TILE..]));
            }
            for (row, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the largest index was checked above.
                #[allow(unsafe_code, reason = "this loop is most of the work")]
                let factor = simd.splat(unsafe { *factors.get_unchecked(start + row * stride + k * step) });
                *sum = simd.mul_add(lanes, factor, *sum);
            }
        }
        for (row, sum) in sums.iter().enumerate() {
            simd.store(*sum, &mut numbers[row * apart..]);
        }
    }
}
