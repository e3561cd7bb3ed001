//! Instance masks from prototypes (Bolya et al. 2019, YOLACT §3.1), as the YOLOv8 segmentation head gives them.
//!
//! A mask is `coefficients · prototypes > 0`, enlarged bilinearly and cut to the object's box. Enlarging is linear and
//! separable, so both of its steps (prototype → network input → picture) fold into three weights per column and per row,
//! and only the columns and rows of the box are ever computed, one column at a time.

use std::ops::Range;

use super::bilinear::Bilinear;
use super::{Mask, RunBuilder};
use crate::{Error, Result};

/// Input pixels per prototype pixel.
const STRIDE: usize = 4;

/// Prototype masks of one picture: f32 `[channels, height, width]`, at a quarter of the network's input size.
#[derive(Debug, Clone, Copy)]
pub struct Prototypes<'a> {
    values: &'a [f32],
    channels: usize,
    height: usize,
    width: usize,
}

impl<'a> Prototypes<'a> {
    /// Borrows the network's output; `shape` is `[channels, height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` for a zero dimension or when the length does not match.
    pub fn new(values: &'a [f32], shape: [usize; 3]) -> Result<Self> {
        let [channels, height, width] = shape;
        let expected = channels.checked_mul(height).and_then(|n| n.checked_mul(width));
        if expected != Some(values.len()) || values.is_empty() {
            let error = Error::invalid("prototypes").with_expected(format!("{channels} x {height} x {width} values"));
            return Err(error.with_found(values.len().to_string()));
        }
        Ok(Self { values, channels, height, width })
    }

    /// The mask of one object at the size of the network's input (ultralytics' `process_mask` with `upsample=True`).
    ///
    /// `bounds` is `[x1, y1, x2, y2]` in input pixels; `input` is `[width, height]`. Letterbox borders are not cut off.
    ///
    /// # Errors
    /// `InvalidArgument` when there is not one coefficient per channel or `input` has a zero side.
    pub fn input_mask(&self, coefficients: &[f32], bounds: [f32; 4], input: [usize; 2]) -> Result<Mask> {
        let [width, height] = input;
        self.mask(coefficients, bounds, [Enlarge::whole(self.width, width), Enlarge::whole(self.height, height)])
    }

    /// The mask of one object at the size of the original picture (ultralytics' `process_mask_native`).
    ///
    /// `bounds` is `[x1, y1, x2, y2]` in pixels of the picture; `picture` is `[width, height]`. The network's input is taken
    /// to be four times the prototypes, with the picture scaled to fit and centred in it.
    ///
    /// # Errors
    /// `InvalidArgument` when there is not one coefficient per channel or `picture` has a zero side.
    pub fn native_mask(&self, coefficients: &[f32], bounds: [f32; 4], picture: [usize; 2]) -> Result<Mask> {
        let axes = Enlarge::letterboxed([self.width, self.height], picture);
        self.mask(coefficients, bounds, axes)
    }

    fn mask(&self, coefficients: &[f32], bounds: [f32; 4], axes: [Enlarge; 2]) -> Result<Mask> {
        if coefficients.len() != self.channels {
            let error = Error::invalid("mask coefficients").with_expected(format!("{}, one per prototype", self.channels));
            return Err(error.with_found(coefficients.len().to_string()));
        }
        let [width, height] = [axes[0].output, axes[1].output];
        if width == 0 || height == 0 {
            return Err(Error::invalid("mask").with_expected("a size above 0").with_found(format!("{width} x {height}")));
        }
        let mut runs = RunBuilder::new(width, height)?;
        let columns = covered(bounds[0], bounds[2], width);
        let rows = covered(bounds[1], bounds[3], height);
        if columns.is_empty() || rows.is_empty() {
            runs.push((width * height) as u32, false);
            return Ok(runs.finish());
        }
        let column_taps: Vec<Taps> = columns.clone().map(|x| axes[0].taps(x)).collect();
        let row_taps: Vec<Taps> = rows.clone().map(|y| axes[1].taps(y)).collect();
        let logits = self.logits(coefficients, span(&column_taps, self.width), span(&row_taps, self.height));

        runs.push((columns.start * height) as u32, false);
        let mut column = vec![0.0; logits.rows.len()];
        for taps in &column_taps {
            runs.push(rows.start as u32, false);
            logits.blend_columns(taps, &mut column);
            push_column(&mut runs, &column, &row_taps, logits.rows.start);
            runs.push((height - rows.end) as u32, false);
        }
        runs.push(((width - columns.end) * height) as u32, false);
        Ok(runs.finish())
    }

    /// `coefficients · prototypes` inside the window.
    fn logits(&self, coefficients: &[f32], columns: Range<usize>, rows: Range<usize>) -> Logits {
        let mut by_row = vec![0.0f32; columns.len() * rows.len()];
        for (plane, &coefficient) in self.values.chunks_exact(self.height * self.width).zip(coefficients) {
            for (y, line) in rows.clone().zip(by_row.chunks_exact_mut(columns.len())) {
                let source = &plane[y * self.width..][columns.clone()];
                for (sum, &value) in line.iter_mut().zip(source) {
                    *sum += coefficient * value;
                }
            }
        }
        let mut by_column = Vec::with_capacity(by_row.len());
        for x in 0..columns.len() {
            by_column.extend(by_row.iter().skip(x).step_by(columns.len()));
        }
        Logits { by_column, columns, rows }
    }
}

/// Mask logits at prototype resolution, in a window of the prototypes; column after column.
struct Logits {
    by_column: Vec<f32>,
    columns: Range<usize>,
    rows: Range<usize>,
}

impl Logits {
    /// The column of logits that an output column with these taps is made of.
    fn blend_columns(&self, taps: &Taps, column: &mut [f32]) {
        let source = |tap: usize| {
            let x = (taps.start + tap).min(self.columns.end - 1) - self.columns.start;
            &self.by_column[x * self.rows.len()..][..self.rows.len()]
        };
        let [w0, w1, w2] = taps.weights;
        for (((out, &a), &b), &c) in column.iter_mut().zip(source(0)).zip(source(1)).zip(source(2)) {
            *out = w0 * a + w1 * b + w2 * c;
        }
    }
}

/// Enlarges one column of logits and pushes its signs.
///
/// Where all prototype rows that a stretch of output rows is made of have the same sign, so has every blend of them.
fn push_column(runs: &mut RunBuilder, column: &[f32], row_taps: &[Taps], first_row: usize) {
    for stretch in row_taps.chunk_by(|a, b| a.start == b.start) {
        let start = stretch[0].start - first_row;
        let last = column.len() - 1;
        let [a, b, c] = [column[start], column[(start + 1).min(last)], column[(start + 2).min(last)]];
        if (a > 0.0) == (b > 0.0) && (b > 0.0) == (c > 0.0) {
            runs.push(stretch.len() as u32, a > 0.0);
            continue;
        }
        for Taps { weights: [w0, w1, w2], .. } in stretch {
            runs.push(1, w0 * a + w1 * b + w2 * c > 0.0);
        }
    }
}

/// One output position as a blend of prototype positions `start`, `start + 1` and `start + 2`; what lies past the end weighs 0.
#[derive(Debug, Clone, Copy)]
struct Taps {
    start: usize,
    weights: [f32; 3],
}

/// The prototype positions that the taps touch.
fn span(taps: &[Taps], size: usize) -> Range<usize> {
    let last = taps.last().map_or(0, |taps| taps.start + 3);
    taps.first().map_or(0, |taps| taps.start)..last.min(size)
}

/// The pixels whose corner `x` satisfies `low <= x < high`; none when a bound is not a number.
fn covered(low: f32, high: f32, size: usize) -> Range<usize> {
    if low.is_nan() || high.is_nan() {
        return 0..0;
    }
    // Casts saturate: everything below 0 becomes 0.
    let edge = |value: f32| (value.ceil() as usize).min(size);
    edge(low)..edge(high)
}

/// Bilinear enlargement along one axis (PyTorch's `interpolate`, `align_corners=False`), in two steps: all `prototypes` by
/// `factor`, then positions `crop` of that to `output`.
#[derive(Debug, Clone)]
struct Enlarge {
    prototypes: usize,
    factor: f32,
    crop: Range<usize>,
    output: usize,
}

impl Enlarge {
    /// In one step, without a border.
    fn whole(prototypes: usize, output: usize) -> Self {
        Self { prototypes, factor: 1.0, crop: 0..prototypes, output }
    }

    /// Both axes (width, then height) of prototypes whose input holds the picture centred within a border.
    ///
    /// The border is cut on whole pixels, so the prototypes are first enlarged by the least of 1, 2 and 4 that puts the
    /// border's edges there.
    fn letterboxed(prototypes: [usize; 2], picture: [usize; 2]) -> [Self; 2] {
        let content = |size: [usize; 2]| {
            let gain = (size[0] as f64 / picture[0] as f64).min(size[1] as f64 / picture[1] as f64);
            picture.map(|side| ((side as f64 * gain).round_ties_even() as usize).max(1))
        };
        let input = prototypes.map(|size| STRIDE * size);
        let scaled = content(input);
        let border = input[0].saturating_sub(scaled[0]) | input[1].saturating_sub(scaled[1]);
        let factor = STRIDE >> (border | (border / 2)).trailing_zeros().min(STRIDE.trailing_zeros());

        let enlarged = prototypes.map(|size| factor * size);
        let scaled = content(enlarged);
        [0, 1].map(|axis| {
            let border = (enlarged[axis] as f64 - scaled[axis] as f64) / 2.0;
            let start = (border - 0.1).round_ties_even().max(0.0) as usize;
            let end = (start + scaled[axis]).min(enlarged[axis]);
            Self { prototypes: prototypes[axis], factor: factor as f32, crop: start..end, output: picture[axis] }
        })
    }

    /// What output position `position` is made of.
    fn taps(&self, position: usize) -> Taps {
        let outer = Bilinear::at(position, self.crop.len() as f32 / self.output as f32, self.crop.len());
        let inner = outer.positions.map(|middle| Bilinear::at(self.crop.start + middle, 1.0 / self.factor, self.prototypes));
        let start = inner[0].positions[0];
        let mut weights = [0.0; 3];
        for (step, outer_weight) in inner.iter().zip(outer.weights) {
            for (index, weight) in step.positions.iter().zip(step.weights) {
                weights[index - start] += outer_weight * weight;
            }
        }
        Taps { start, weights }
    }
}
