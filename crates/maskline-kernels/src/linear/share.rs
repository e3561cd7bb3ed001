//! Some rows and columns of the answer, by one thread.

use super::pack::Block;
use super::{Activation, Linear, Norm};
use crate::scratch::parts;
use crate::simd::{Kernel, LANES, Simd, gelu, gelu_tanh, load_some, silu, store_some, sum};
use crate::tile::{Change, Unchanged, interleave, interleaved, products, with_tile};

/// Columns whose sums stay in a near cache from one block of inputs to the next, beside the rows of x.
const COLUMNS: usize = 384;

/// What a share is made of.
pub(super) struct Piece<'a> {
    /// Its rows of x.
    pub(super) x: &'a [f32],
    /// From its first row on, at full width.
    pub(super) residual: Option<&'a [f32]>,
    /// The first column of its output.
    pub(super) column: usize,
}

pub(super) struct Share<'a> {
    pub(super) linear: &'a Linear,
    pub(super) piece: Piece<'a>,
    /// Of each row of the output the share's columns.
    pub(super) rows: Vec<&'a mut [f32]>,
    pub(super) scratch: &'a mut Vec<f32>,
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
        let Self { linear, piece, rows, scratch } = self;
        let packed = &linear.packed;
        let (count, width) = (rows.len(), rows.first().map_or(0, |row| row.len()));
        let tiles = count.div_ceil(R);
        let of_x: usize = packed.blocks().map(|block| tiles * pitch::<R>(block)).sum();
        // What rows beyond the last one would be is written aside.
        let [x, wide, aside] = parts(scratch, [of_x.next_multiple_of(LANES), V * packed.largest(), R * width.next_multiple_of(LANES)]);
        pack_rows::<S, R>(simd, linear, piece.x, x);
        let rest = tiles * R - count;
        let mut rows = rows.into_iter().chain(aside.chunks_exact_mut(width.max(1)).take(rest));
        let mut rows: Vec<[&mut [f32]; R]> = (0..tiles).map(|_| std::array::from_fn(|_| rows.next().unwrap_or_default())).collect();
        let together = width.div_ceil(width.div_ceil(COLUMNS).max(1)).next_multiple_of(V * LANES).max(1);
        for first in (0..width).step_by(together) {
            let last = (first + together).min(width);
            let mut x = &*x;
            for block in packed.blocks() {
                let part = Part { linear, piece: &piece, block, x };
                let mut column = first;
                while column + (V - 1) * LANES < last {
                    part.columns::<S, R, V>(simd, column, &mut rows, wide);
                    column += V * LANES;
                }
                while column < last {
                    part.columns::<S, R, 1>(simd, column, &mut rows, wide);
                    column += LANES;
                }
                x = &x[tiles * pitch::<R>(block)..];
            }
        }
    }
}

/// Numbers of a tile's rows in a block, side by side.
#[inline(always)]
fn pitch<const R: usize>(block: Block) -> usize {
    interleaved(block.depth, R)
}

/// Rows of x, normalised if need be, by blocks and tiles.
#[inline(always)]
fn pack_rows<S: Simd, const R: usize>(simd: S, linear: &Linear, x: &[f32], out: &mut [f32]) {
    let inputs = linear.inputs();
    if inputs == 0 {
        return;
    }
    let count = x.len() / inputs;
    // The last row stands for those that are not there.
    let row = |row: usize| &x[row.min(count - 1) * inputs..][..inputs];
    let tiles = count.div_ceil(R);
    for tile in 0..tiles {
        let rows: [&[f32]; R] = std::array::from_fn(|at| row(tile * R + at));
        match &linear.norm {
            Some(norm) => simd.apart(PackTile { linear, rows, change: Normalised::of(simd, norm, rows), tile, tiles, out }),
            None => simd.apart(PackTile { linear, rows, change: Unchanged, tile, tiles, out }),
        }
    }
}

/// The rows of one tile.
struct PackTile<'a, C, const R: usize> {
    linear: &'a Linear,
    rows: [&'a [f32]; R],
    change: C,
    tile: usize,
    tiles: usize,
    out: &'a mut [f32],
}

impl<C: Change, const R: usize> Kernel for PackTile<'_, C, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut start = 0;
        for block in self.linear.packed.blocks() {
            let Block { first, depth } = block;
            let rows = self.rows.map(|row| &row[first..first + depth]);
            let out = &mut self.out[start + self.tile * pitch::<R>(block)..][..pitch::<R>(block)];
            interleave(simd, rows, &From { change: &self.change, first }, out);
            start += self.tiles * pitch::<R>(block);
        }
    }
}

/// A change of rows of which the first numbers are left out.
struct From<'a, C> {
    change: &'a C,
    first: usize,
}

impl<C: Change> Change for From<'_, C> {
    #[inline(always)]
    fn change<S: Simd>(&self, simd: S, row: usize, k: usize, numbers: S::Vector) -> S::Vector {
        self.change.change(simd, row, self.first + k, numbers)
    }
}

/// Layer normalisation of a tile's rows.
struct Normalised<'a, const R: usize> {
    norm: &'a Norm,
    mean: [f32; R],
    /// One over the standard deviation.
    factor: [f32; R],
}

impl<'a, const R: usize> Normalised<'a, R> {
    #[inline(always)]
    fn of<S: Simd>(simd: S, norm: &'a Norm, rows: [&[f32]; R]) -> Self {
        let statistics = rows.map(|row| simd.apart(Statistics { row, epsilon: norm.epsilon }));
        Self { norm, mean: statistics.map(|[mean, _]| mean), factor: statistics.map(|[_, factor]| factor) }
    }
}

impl<const R: usize> Change for Normalised<'_, R> {
    #[inline(always)]
    fn change<S: Simd>(&self, simd: S, row: usize, k: usize, numbers: S::Vector) -> S::Vector {
        let Norm { gamma, beta, .. } = self.norm;
        let normalised = simd.mul(simd.sub(numbers, simd.splat(self.mean[row])), simd.splat(self.factor[row]));
        simd.mul_add(normalised, load_some(simd, &gamma[k..]), load_some(simd, &beta[k..]))
    }
}

/// Mean of a row, and one over its standard deviation, in two passes: the second one sums squares of what is left without the mean.
struct Statistics<'a> {
    row: &'a [f32],
    epsilon: f32,
}

impl Kernel for Statistics<'_> {
    type Output = [f32; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f32; 2] {
        let (vectors, rest) = self.row.as_chunks::<LANES>();
        let count = self.row.len() as f32;
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
        [mean, 1.0 / ((sum(simd, squares) + of_rest) / count + self.epsilon).sqrt()]
    }
}

/// The products of a block of inputs.
struct Part<'a> {
    linear: &'a Linear,
    piece: &'a Piece<'a>,
    block: Block,
    /// Rows of x from this block on.
    x: &'a [f32],
}

impl Part<'_> {
    /// Of `V` vectors of columns, for all rows.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const V: usize>(&self, simd: S, at: usize, rows: &mut [[&mut [f32]; R]], wide: &mut [f32]) {
        let Self { linear, piece, block, x } = *self;
        let packed = &linear.packed;
        let column = piece.column + at;
        let mut wide = wide.chunks_exact_mut(packed.largest().max(1));
        let mut panels: [&[f32]; V] = [&[]; V];
        for (vector, panel) in panels.iter_mut().enumerate() {
            *panel = packed.panel(simd, block, column + vector * LANES, wide.next().unwrap_or_default());
        }
        let finish = (block.first + block.depth == linear.inputs()).then_some(Finish { linear, column });
        let last = piece.x.len() / linear.inputs().max(1) - 1;
        // What is needed next is asked for bit by bit.
        let mut following = packed.following(block, column + (V - 1) * LANES).chunks(LANES);
        let lines = (V * block.depth).div_ceil(rows.len());
        for (tile, (rows, x)) in rows.iter_mut().zip(x.chunks_exact(pitch::<R>(block))).enumerate() {
            let residual = piece.residual.filter(|_| finish.is_some());
            let residual = residual.map(|all| std::array::from_fn(|row| &all[(tile * R + row).min(last) * linear.outputs() + column..]));
            for line in following.by_ref().take(lines) {
                simd.prefetch_far(line);
            }
            simd.apart(Tile { x, panels, is_first: block.first == 0, finish, residual, at, rows });
        }
    }
}

/// What is done when all inputs are in the sums.
#[derive(Clone, Copy)]
struct Finish<'a> {
    linear: &'a Linear,
    /// The first column.
    column: usize,
}

/// Sums that stay in registers.
struct Tile<'a, 'r, const R: usize, const V: usize> {
    x: &'a [f32],
    panels: [&'a [f32]; V],
    /// Whether there are no sums yet.
    is_first: bool,
    finish: Option<Finish<'a>>,
    /// From the first column on.
    residual: Option<[&'a [f32]; R]>,
    /// Where in the rows the sums are.
    at: usize,
    rows: &'a mut [&'r mut [f32]; R],
}

impl<const R: usize, const V: usize> Kernel for Tile<'_, '_, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, panels, is_first, finish, residual, at, rows } = self;
        for row in &*rows {
            simd.prefetch(&row[at..]);
        }
        let mut sums = products_of_tile::<S, R, V>(simd, x, panels);
        if !is_first {
            for row in 0..R {
                for vector in 0..V {
                    let before = load_some(simd, &rows[row][at + vector * LANES..]);
                    sums[row][vector] = simd.add(sums[row][vector], before);
                }
            }
        }
        if let Some(finish) = finish {
            finish.apply(simd, &mut sums);
            if let Some(residual) = residual {
                for row in 0..R {
                    for vector in 0..V {
                        let added = load_some(simd, &residual[row][vector * LANES..]);
                        sums[row][vector] = simd.add(sums[row][vector], added);
                    }
                }
            }
        }
        for row in 0..R {
            for vector in 0..V {
                store_some(simd, sums[row][vector], &mut rows[row][at + vector * LANES..]);
            }
        }
    }
}

/// [`products`] of rows side by side; the distance between their numbers must be a constant of its own.
#[inline(always)]
fn products_of_tile<S: Simd, const R: usize, const V: usize>(simd: S, x: &[f32], panels: [&[f32]; V]) -> [[S::Vector; V]; R] {
    products::<S, R, V, 1, R>(simd, x, panels)
}

impl Finish<'_> {
    #[inline(always)]
    fn apply<S: Simd, const R: usize, const V: usize>(self, simd: S, sums: &mut [[S::Vector; V]; R]) {
        let Self { linear, column } = self;
        let mut bias = [simd.splat(0.0); V];
        for (vector, bias) in bias.iter_mut().enumerate() {
            *bias = simd.load(&linear.bias[column + vector * LANES..]);
        }
        for row in &mut *sums {
            for (sum, bias) in row.iter_mut().zip(bias) {
                *sum = simd.add(*sum, bias);
            }
        }
        if linear.activation != Activation::Identity {
            let mut numbers = [[[0.0; LANES]; V]; R];
            for row in 0..R {
                for vector in 0..V {
                    simd.store(sums[row][vector], &mut numbers[row][vector]);
                }
            }
            simd.apart(Activate { activation: linear.activation, numbers: numbers.as_flattened_mut().as_flattened_mut() });
            for row in 0..R {
                for vector in 0..V {
                    sums[row][vector] = simd.load(&numbers[row][vector]);
                }
            }
        }
        if let Some(scale) = &linear.layer_scale {
            for row in sums {
                for (vector, sum) in row.iter_mut().enumerate() {
                    *sum = simd.mul(*sum, simd.load(&scale[column + vector * LANES..]));
                }
            }
        }
    }
}

/// Whole vectors of sums. On its own: done for all sums in registers at once, none is left for what the functions need.
struct Activate<'a> {
    activation: Activation,
    numbers: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (vectors, _) = self.numbers.as_chunks_mut::<LANES>();
        // Asked once for all sums: their functions do not wait for each other.
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => {
                for x in vectors {
                    simd.store(simd.max(simd.splat(0.0), simd.load(x)), x);
                }
            }
            Activation::Gelu => {
                for x in vectors {
                    simd.store(gelu(simd, simd.load(x)), x);
                }
            }
            Activation::GeluTanh => {
                for x in vectors {
                    simd.store(gelu_tanh(simd, simd.load(x)), x);
                }
            }
            Activation::GeluSigmoid => {
                for x in vectors {
                    simd.store(silu(simd, simd.load(x), 1.702), x);
                }
            }
            Activation::Silu => {
                for x in vectors {
                    simd.store(silu(simd, simd.load(x), 1.0), x);
                }
            }
        }
    }
}
