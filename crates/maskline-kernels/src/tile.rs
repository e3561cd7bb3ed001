//! Products of a few rows, whose numbers meet vectors of columns one by one: all sums of such a tile stay in registers.
//!
//! Columns lie in *panels* [depth, 16]. Rows lie side by side, `[depth, R]`, or one after the other.

use crate::simd::{LANES, Simd, load_some};

/// Runs an expression with the rows and the vectors of columns of a processor's tile as constants.
macro_rules! with_tile {
    ($S:ident, $R:ident, $V:ident => $run:expr) => {
        with_tile!(@ $S, $R, $V, $run, 3 1, 6 1, 12 2)
    };
    (@ $S:ident, $R:ident, $V:ident, $run:expr, $($rows:literal $columns:literal),+) => {
        match ($S::SUMS, $S::COLUMNS) {
            $(($rows, $columns) => { const $R: usize = $rows; const $V: usize = $columns; $run })+
            _ => unreachable!("a tile of some processor"),
        }
    };
}
pub(crate) use with_tile;

/// Steps that are done without asking whether there are more. With twice as many, LLVM loads ahead and runs out of registers on AVX2.
const STEPS: usize = 4;

/// `Σ_k rows[r·ROW + k·STEP] · panels[v][k]` for `R` rows and `V` panels of the same depth.
#[inline(always)]
pub(crate) fn products<S: Simd, const R: usize, const V: usize, const ROW: usize, const STEP: usize>(
    simd: S,
    rows: &[f32],
    panels: [&[f32]; V],
) -> [[S::Vector; V]; R] {
    let mut sums = [[simd.splat(0.0); V]; R];
    let depth = panels[0].len() / LANES;
    if depth == 0 {
        return sums;
    }
    assert!((R - 1) * ROW + (depth - 1) * STEP < rows.len(), "the last number of the last row is there");
    for panel in panels {
        assert!(panel.len() >= depth * LANES, "all panels are as deep");
    }
    let whole = depth / STEPS * STEPS;
    for first in (0..whole).step_by(STEPS) {
        for step in 0..STEPS {
            // SAFETY: the step is one of the depth, for which rows and panels were checked above.
            #[allow(unsafe_code, reason = "this is most of the work")]
            unsafe {
                add_step::<S, R, V, ROW, STEP>(simd, rows, panels, first + step, &mut sums);
            }
        }
    }
    for k in whole..depth {
        // SAFETY: as above.
        #[allow(unsafe_code, reason = "this is most of the work")]
        unsafe {
            add_step::<S, R, V, ROW, STEP>(simd, rows, panels, k, &mut sums);
        }
    }
    sums
}

/// Adds the `k`th step of all sums. A function, not a closure: that would be compiled without the processor's instructions.
///
/// # Safety
/// Every panel has more than `k` vectors, and all rows have the number.
#[inline(always)]
#[allow(unsafe_code, reason = "this is most of the work")]
unsafe fn add_step<S: Simd, const R: usize, const V: usize, const ROW: usize, const STEP: usize>(
    simd: S,
    rows: &[f32],
    panels: [&[f32]; V],
    k: usize,
    sums: &mut [[S::Vector; V]; R],
) {
    let mut columns = [simd.splat(0.0); V];
    for (columns, panel) in columns.iter_mut().zip(panels) {
        // SAFETY: the panel has more than k vectors.
        *columns = simd.load(unsafe { panel.get_unchecked(k * LANES..(k + 1) * LANES) });
    }
    for (row, sums) in sums.iter_mut().enumerate() {
        // SAFETY: all rows have the number.
        let factor = simd.splat(unsafe { *rows.get_unchecked(row * ROW + k * STEP) });
        for (sum, columns) in sums.iter_mut().zip(columns) {
            *sum = simd.mul_add(factor, columns, *sum);
        }
    }
}

/// Changes the numbers of rows before they are multiplied.
pub(crate) trait Change {
    /// Numbers of a row from the `k`th on; zeros stand where the row ends.
    fn change<S: Simd>(&self, simd: S, row: usize, k: usize, numbers: S::Vector) -> S::Vector;
}

/// All numbers times the same.
pub(crate) struct Scaled(pub(crate) f32);

impl Change for Scaled {
    #[inline(always)]
    fn change<S: Simd>(&self, simd: S, _: usize, _: usize, numbers: S::Vector) -> S::Vector {
        simd.mul(numbers, simd.splat(self.0))
    }
}

/// As they are.
pub(crate) struct Unchanged;

impl Change for Unchanged {
    #[inline(always)]
    fn change<S: Simd>(&self, _: S, _: usize, _: usize, numbers: S::Vector) -> S::Vector {
        numbers
    }
}

/// Numbers that [`interleave`] needs for rows of a depth; what is beyond `depth · R` it writes over.
pub(crate) const fn interleaved(depth: usize, rows: usize) -> usize {
    depth * rows + LANES - rows
}

/// Rows of one length side by side: `out[k·R + r] = rows[r][k]`.
#[inline(always)]
pub(crate) fn interleave<S: Simd, C: Change, const R: usize>(simd: S, rows: [&[f32]; R], change: &C, out: &mut [f32]) {
    let depth = rows[0].len();
    for k in (0..depth).step_by(LANES) {
        let mut vectors = [simd.splat(0.0); LANES];
        for row in 0..R {
            vectors[row] = change.change(simd, row, k, load_some(simd, &rows[row][k..]));
        }
        let vectors = simd.transpose(vectors);
        let out = &mut out[k * R..];
        if k + LANES <= depth {
            let out = &mut out[..(LANES - 1) * R + LANES];
            for lane in 0..LANES {
                simd.store(vectors[lane], &mut out[lane * R..]);
            }
        } else {
            for (lane, vector) in vectors.iter().enumerate().take(depth - k) {
                simd.store(*vector, &mut out[lane * R..]);
            }
        }
    }
}
