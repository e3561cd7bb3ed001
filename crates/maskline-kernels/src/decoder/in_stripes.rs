//! The image's side: cells by rows become stripes, as they are or projected.

use std::sync::Mutex;

use super::panels::{Panel, Turn, add_rows, groups};
use super::{PART, Workers, own, vectors};
use crate::rows::by_rows;
use crate::scratch::{parts, with_scratch};
use crate::simd::{Kernel, LANES, Processor, Simd};

/// A fully connected layer.
#[derive(Debug, Clone, Copy)]
pub struct Projection<'a> {
    /// By sixteen rows, the last ones padded: [n / 16, C, 16].
    pub weight: &'a [f32],
    /// `[n]`.
    pub bias: &'a [f32],
}

/// Cells of a picture by rows.
#[derive(Debug, Clone, Copy)]
pub struct InStripes<'a> {
    /// [T, C].
    pub cells: &'a [f32],
    /// Channels, C.
    pub width: usize,
    /// What they go through; nothing where they are wanted as they are.
    pub projection: Option<Projection<'a>>,
}

impl InStripes<'_> {
    fn cells(&self) -> usize {
        self.cells.len() / self.width.max(1)
    }

    /// Rows of a stripe that comes out.
    fn rows(&self) -> usize {
        self.projection.map_or(self.width, |projection| projection.bias.len())
    }

    /// The cells in stripes, [stripes, n, 16]; lanes beyond the last cell are those of cells of zeros.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn write(&self, processor: Processor, workers: &dyn Workers, out: &mut [f32]) {
        let (width, rows, stripes) = (self.width, self.rows(), self.cells().div_ceil(LANES));
        assert!(width > 0 && self.cells.len().is_multiple_of(width), "cells are [T, C]");
        let fits = |projection: Projection<'_>| projection.weight.len() == vectors(rows) * width * LANES;
        assert!(self.projection.is_none_or(fits), "the weight is [n / 16, C, 16]");
        assert_eq!(out.len(), stripes * rows * LANES, "the output is [stripes, n, 16]");
        let parts: Vec<_> = out.chunks_mut((PART * rows * LANES).max(1)).map(Mutex::new).collect();
        workers.each(parts.len(), &|part| {
            with_scratch(|scratch| processor.run(Part { of: self, first: part * PART, scratch, out: &mut own(&parts[part]) }));
        });
    }
}

struct Part<'a> {
    of: &'a InStripes<'a>,
    /// The first stripe.
    first: usize,
    scratch: &'a mut Vec<f32>,
    out: &'a mut [f32],
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { of, first, scratch, out } = self;
        let [lanes, last] = parts(scratch, [of.width * LANES, of.width * LANES]);
        for (stripe, out) in out.chunks_exact_mut(of.rows() * LANES).enumerate() {
            let cells = &of.cells[(first + stripe) * LANES * of.width..];
            let is_last = cells.len() < LANES * of.width;
            let cells = if is_last {
                last[..cells.len()].copy_from_slice(cells);
                last[cells.len()..].fill(0.0);
                &*last
            } else {
                &cells[..LANES * of.width]
            };
            let Some(Projection { weight, bias }) = of.projection else {
                turn(simd, cells, of.width, out);
                continue;
            };
            turn(simd, cells, of.width, lanes);
            for group in groups(simd, of.rows()) {
                let panel = Panel { numbers: &weight[group.panel * of.width * LANES..][..of.width * LANES], first: group.first };
                let (bias, out) = (&bias[group.row()..], &mut out[group.row() * LANES..]);
                by_rows!(group.rows, R => simd.apart(Project::<'_, R> { panel, bias, lanes, out }));
            }
        }
    }
}

/// Sixteen cells [16, C] → [C, 16].
#[inline(always)]
fn turn<S: Simd>(simd: S, cells: &[f32], width: usize, out: &mut [f32]) {
    for channel in (0..width).step_by(LANES) {
        let out = &mut out[channel * LANES..];
        if channel + LANES <= width {
            simd.apart(Turn { rows: &cells[channel..], stride: width, out: &mut out[..LANES * LANES] });
        } else {
            for (row, out) in out.chunks_exact_mut(LANES).take(width - channel).enumerate() {
                out.iter_mut().enumerate().for_each(|(cell, out)| *out = cells[cell * width + channel + row]);
            }
        }
    }
}

struct Project<'a, const R: usize> {
    panel: Panel<'a>,
    bias: &'a [f32],
    lanes: &'a [f32],
    out: &'a mut [f32],
}

impl<const R: usize> Kernel for Project<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { panel, bias, lanes, out } = self;
        let mut sums = [simd.splat(0.0); R];
        for (sum, bias) in sums.iter_mut().zip(bias) {
            *sum = simd.splat(*bias);
        }
        add_rows(simd, &mut sums, panel, lanes);
        for (sum, out) in sums.iter().zip(out.chunks_exact_mut(LANES)) {
            simd.store(*sum, out);
        }
    }
}
