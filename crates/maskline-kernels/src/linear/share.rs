//! Some rows and columns of a layer's answer, by one thread.

use std::ops::Range;

use super::pack::Block;
use super::rows::{PITCH, PackRows};
use super::{Activation, Linear};
use crate::scratch::parts;
use crate::simd::{Kernel, LANES, Simd, gelu, gelu_tanh, load_some, silu, store_some};
use crate::tile::{products, with_tile};

/// Columns whose sums stay in a near cache from one block of inputs to the next, beside the rows of x.
pub(super) const COLUMNS: usize = 384;

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
        let of_block = count.next_multiple_of(R) * PITCH;
        let lengths = [packed.blocks().count() * of_block, V * packed.largest(), R * width.next_multiple_of(LANES)];
        let [x, wide, aside] = parts(scratch, lengths);
        simd.apart(PackRows { packed, norm: linear.norm.as_ref(), x: piece.x, count: count.next_multiple_of(R), out: x });
        let mut rows = tiles_of::<R>(rows.into_iter(), aside.chunks_exact_mut(width.max(1)));
        let together = width.div_ceil(width.div_ceil(COLUMNS).max(1)).next_multiple_of(V * LANES).max(1);
        for first in (0..width).step_by(together) {
            let columns = first..(first + together).min(width);
            for (block, x) in packed.blocks().zip(x.chunks_exact(of_block)) {
                let part = Part { linear, block, x, count, column: piece.column, residual: piece.residual };
                part.products::<S, R, V>(simd, columns.clone(), Sums { rows: &mut rows, wide });
            }
        }
    }
}

/// Rows by tiles, with others in the place of those that the last one lacks.
#[inline(always)]
pub(super) fn tiles_of<'a, const R: usize>(
    rows: impl ExactSizeIterator<Item = &'a mut [f32]>,
    others: impl Iterator<Item = &'a mut [f32]>,
) -> Vec<[&'a mut [f32]; R]> {
    let tiles = rows.len().div_ceil(R);
    let mut rows = rows.chain(others);
    (0..tiles).map(|_| std::array::from_fn(|_| rows.next().unwrap_or_default())).collect()
}

/// Where sums are made.
pub(super) struct Sums<'a, 'r, const R: usize> {
    /// Where they are written.
    pub(super) rows: &'a mut [[&'r mut [f32]; R]],
    /// Place for widened panels.
    pub(super) wide: &'a mut [f32],
}

/// The products of a block of inputs.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) linear: &'a Linear,
    pub(super) block: Block,
    /// The block of the rows of x, [rows, [`PITCH`]].
    pub(super) x: &'a [f32],
    /// Rows that are there.
    pub(super) count: usize,
    /// The layer's column that is the first one of the sums' rows.
    pub(super) column: usize,
    /// Added to the last block, at full width.
    pub(super) residual: Option<&'a [f32]>,
}

impl Part<'_> {
    /// Those of some columns of the sums' rows.
    #[inline(always)]
    pub(super) fn products<S: Simd, const R: usize, const V: usize>(&self, simd: S, columns: Range<usize>, mut sums: Sums<'_, '_, R>) {
        let mut at = columns.start;
        while at + (V - 1) * LANES < columns.end {
            self.panels::<S, R, V>(simd, at, &mut sums);
            at += V * LANES;
        }
        while at < columns.end {
            self.panels::<S, R, 1>(simd, at, &mut sums);
            at += LANES;
        }
    }

    /// Those of `V` vectors of columns.
    #[inline(always)]
    fn panels<S: Simd, const R: usize, const V: usize>(&self, simd: S, at: usize, sums: &mut Sums<'_, '_, R>) {
        let Self { linear, block, x, count, residual, .. } = *self;
        let packed = &linear.packed;
        let column = self.column + at;
        let mut wide = sums.wide.chunks_exact_mut(packed.largest().max(1));
        let mut panels: [&[f32]; V] = [&[]; V];
        for (vector, panel) in panels.iter_mut().enumerate() {
            *panel = packed.panel(simd, block, column + vector * LANES, wide.next().unwrap_or_default());
        }
        // What is needed next is asked for bit by bit.
        let mut following = packed.following(block, column + (V - 1) * LANES).chunks(LANES);
        let lines = (V * block.depth).div_ceil(sums.rows.len());
        for (rows, x) in sums.rows.iter_mut().zip(x.chunks_exact(R * PITCH)) {
            for line in following.by_ref().take(lines) {
                simd.prefetch_far(line);
            }
            simd.apart(Tile { x, panels, part: packed.part, is_first: block.first == 0, at, rows });
        }
        if block.first + block.depth == linear.inputs() && linear.has_more(residual) {
            simd.apart(Finish { linear, column, residual, at, width: V * LANES, rows: &mut sums.rows.as_flattened_mut()[..count] });
        }
    }
}

/// Sums that stay in registers.
struct Tile<'a, 'r, const R: usize, const V: usize> {
    x: &'a [f32],
    panels: [&'a [f32]; V],
    /// Inputs whose products are one sum.
    part: usize,
    /// Whether there are no sums yet.
    is_first: bool,
    /// Where in the rows the sums are.
    at: usize,
    rows: &'a mut [&'r mut [f32]; R],
}

impl<const R: usize, const V: usize> Kernel for Tile<'_, '_, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { x, panels, part, is_first, at, rows } = self;
        let is_whole = rows.iter().all(|row| at + V * LANES <= row.len());
        if is_whole {
            for row in &*rows {
                simd.prefetch(&row[at..]);
            }
        }
        let mut sums = products_in_parts::<S, R, V>(simd, part, x, panels);
        if !is_whole {
            return write_last(simd, sums, Place { is_first, at, rows });
        }
        if !is_first {
            for row in 0..R {
                for vector in 0..V {
                    sums[row][vector] = simd.add(sums[row][vector], simd.load(&rows[row][at + vector * LANES..]));
                }
            }
        }
        for row in 0..R {
            for vector in 0..V {
                simd.store(sums[row][vector], &mut rows[row][at + vector * LANES..]);
            }
        }
    }
}

/// Where sums are written.
struct Place<'a, 'r, const R: usize> {
    /// Whether there are none yet.
    is_first: bool,
    at: usize,
    rows: &'a mut [&'r mut [f32]; R],
}

/// Writes sums of which the last columns are not there.
#[inline(always)]
fn write_last<S: Simd, const R: usize, const V: usize>(simd: S, sums: [[S::Vector; V]; R], place: Place<'_, '_, R>) {
    let Place { is_first, at, rows } = place;
    for row in 0..R {
        for vector in 0..V {
            let to = &mut rows[row][at + vector * LANES..];
            let before = if is_first { simd.splat(0.0) } else { load_some(simd, to) };
            store_some(simd, simd.add(sums[row][vector], before), to);
        }
    }
}

/// [`products`] of a few inputs at a time, which are then added: sums of many numbers would lose more of the last ones.
#[inline(always)]
fn products_in_parts<S: Simd, const R: usize, const V: usize>(simd: S, part: usize, x: &[f32], panels: [&[f32]; V]) -> [[S::Vector; V]; R] {
    let depth = panels[0].len() / LANES;
    let mut sums = products::<S, R, V, PITCH, 1>(simd, x, cut(panels, 0..depth.min(part)));
    for first in (part..depth).step_by(part) {
        let more = products::<S, R, V, PITCH, 1>(simd, &x[first..], cut(panels, first..depth.min(first + part)));
        for row in 0..R {
            for vector in 0..V {
                sums[row][vector] = simd.add(more[row][vector], sums[row][vector]);
            }
        }
    }
    sums
}

/// Some inputs of panels. A loop: what arrays do with closures is not compiled into where it is called.
#[inline(always)]
fn cut<const V: usize>(mut panels: [&[f32]; V], inputs: Range<usize>) -> [&[f32]; V] {
    for panel in &mut panels {
        *panel = &panel[inputs.start * LANES..inputs.end * LANES];
    }
    panels
}

/// What is done with some columns when all inputs are in their sums: bias, activation, factors, residual.
struct Finish<'a, 'r> {
    linear: &'a Linear,
    /// The first of the layer's columns.
    column: usize,
    /// From the first row on, at full width.
    residual: Option<&'a [f32]>,
    /// Where in the rows the columns are.
    at: usize,
    /// How many.
    width: usize,
    rows: &'a mut [&'r mut [f32]],
}

impl Kernel for Finish<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // Asked once for all rows, whose functions do not wait for each other.
        match self.linear.activation {
            Activation::Identity => self.rows::<S, Unchanged>(simd),
            Activation::Relu => self.rows::<S, Relu>(simd),
            Activation::Gelu => self.rows::<S, Gelu>(simd),
            Activation::GeluTanh => self.rows::<S, GeluTanh>(simd),
            Activation::GeluSigmoid => self.rows::<S, GeluSigmoid>(simd),
            Activation::Silu => self.rows::<S, Silu>(simd),
        }
    }
}

impl Finish<'_, '_> {
    #[inline(always)]
    fn rows<S: Simd, F: Function>(self, simd: S) {
        let Self { linear, column, residual, at, width, rows } = self;
        for first in (0..width).step_by(LANES) {
            let (at, column) = (at + first, column + first);
            let bias = simd.load(&linear.bias[column..]);
            let scale = linear.layer_scale.as_ref().map(|scale| simd.load(&scale[column..]));
            for (index, row) in rows.iter_mut().enumerate() {
                let to = &mut row[at..];
                let mut numbers = F::of(simd, simd.add(load_some(simd, to), bias));
                if let Some(scale) = scale {
                    numbers = simd.mul(numbers, scale);
                }
                if let Some(residual) = residual {
                    numbers = simd.add(numbers, load_some(simd, &residual[index * linear.outputs() + column..]));
                }
                store_some(simd, numbers, to);
            }
        }
    }
}

/// A function of each number.
trait Function {
    fn of<S: Simd>(simd: S, x: S::Vector) -> S::Vector;
}

/// Types for functions: closures would be compiled without the processor's instructions.
macro_rules! functions {
    ($($name:ident: |$simd:ident, $x:ident| $value:expr;)+) => {$(
        struct $name;

        impl Function for $name {
            #[inline(always)]
            fn of<S: Simd>($simd: S, $x: S::Vector) -> S::Vector {
                $value
            }
        }
    )+};
}

functions! {
    Unchanged: |_simd, x| x;
    Relu: |simd, x| simd.max(simd.splat(0.0), x);
    Gelu: |simd, x| gelu(simd, x);
    GeluTanh: |simd, x| gelu_tanh(simd, x);
    GeluSigmoid: |simd, x| silu(simd, x, 1.702);
    Silu: |simd, x| silu(simd, x, 1.0);
}
