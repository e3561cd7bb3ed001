//! From a prompt's cells to its masks.
//!
//! Two transposed convolutions of kernel and stride 2 make sixteen pixels of every cell: the first is a product with the folded cells, the
//! second one of what lies between, a stripe at a time, so that nothing of their size is ever kept. A mask is the sum of the last channels,
//! weighed as its token says.

use std::ops::Range;
use std::sync::Mutex;

use super::columns::matrix_length;
use super::panels::{Group, Panel, Stripes, Turn, add_rows, groups};
use super::{Cells, Columns, Sizes, TILE, Workers, own, vectors};
use crate::rows::by_rows;
use crate::scratch::{parts, with_scratch};
use crate::simd::{Kernel, LANES, Processor, Simd, gelu};

/// Pixels of a cell: four of each of the four that the first convolution makes.
const PIXELS: usize = 16;

/// One prompt's masks.
#[derive(Debug, Clone, Copy)]
pub struct Upscale<'a> {
    /// Masks of a prompt, M.
    pub masks: usize,
    /// Weights of the last channels for each mask, [M, F].
    pub weights: &'a [f32],
    /// The prompt's cells.
    pub cells: Cells<'a>,
    /// What its columns are.
    pub columns: Columns<'a>,
    /// The image after the first convolution, four pixels of E channels: [stripes, 4 E, 16].
    pub image: &'a [f32],
    /// What is added there to all cells, [4 E].
    pub bias: &'a [f32],
    /// What is added there too, [stripes, 4 E, 16]; nothing where there are no features of higher resolution.
    pub middle: &'a [f32],
    /// From rows of the columns to there, [4 E / 16, sources, 16].
    pub to_middle: &'a [f32],
    /// Gain and bias of the normalisation, [2, E].
    pub norm: &'a [f32],
    /// The second convolution: [4 F / 16, E, 16].
    pub convolution: &'a [f32],
    /// What is added there, sixteen pixels of F channels: [stripes, 16 F, 16], or the same to all, `[F]`.
    pub fine: &'a [f32],
    /// What the variance is increased by.
    pub epsilon: f32,
}

impl Upscale<'_> {
    fn sizes(&self) -> Sizes {
        self.columns.sizes
    }

    /// Channels between the convolutions, E.
    fn middle_channels(&self) -> usize {
        self.norm.len() / 2
    }

    /// Channels after them, F.
    fn fine_channels(&self) -> usize {
        self.weights.len() / self.masks.max(1)
    }

    fn check(&self) {
        let (stripes, middle, fine) = (self.sizes().stripes(), self.middle_channels(), self.fine_channels());
        self.cells.check(&self.columns);
        assert_eq!(self.norm.len(), 2 * middle, "the norm is [2, E]");
        assert_eq!(self.image.len(), stripes * 4 * middle * LANES, "the image is [stripes, 4 E, 16]");
        assert_eq!(self.bias.len(), 4 * middle, "the bias is [4 E]");
        assert!(self.middle.is_empty() || self.middle.len() == self.image.len(), "the middle is [stripes, 4 E, 16]");
        assert_eq!(self.to_middle.len(), matrix_length(&self.columns, 4 * middle), "a matrix is [4 E / 16, sources, 16]");
        assert_eq!(self.convolution.len(), vectors(4 * fine) * middle * LANES, "the convolution is [4 F / 16, E, 16]");
        assert!([fine, stripes * PIXELS * fine * LANES].contains(&self.fine.len()), "the fine map is [stripes, 16 F, 16] or [F]");
        assert_eq!(self.weights.len(), self.masks * fine, "weights are [M, F]");
    }

    /// The masks of each prompt, [P, M, T, 16]: the pixels of a cell in the order in which the convolutions make them. All prompts have the
    /// same sizes.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn masks_of(prompts: &[Self], processor: Processor, workers: &dyn Workers, out: &mut [f32]) {
        let Some(first) = prompts.first() else { return };
        let (sizes, masks) = (first.sizes(), first.masks);
        prompts.iter().for_each(Self::check);
        assert_eq!(out.len(), prompts.len() * masks * sizes.cells * PIXELS, "masks are [P, M, T, 16]");
        let rows: Vec<_> = prompts.iter().map(|_| Mutex::new(vec![])).collect();
        workers.each(prompts.len(), &|prompt| *own(&rows[prompt]) = processor.run(Prepare(&prompts[prompt])));
        let rows: Vec<Vec<f32>> = rows.into_iter().map(|rows| rows.into_inner().unwrap_or_default()).collect();
        let parts = parts_of(out, sizes, masks);
        workers.each(parts.len(), &|index| {
            let (part, prompt) = (index / prompts.len(), index % prompts.len());
            let mut out = own(&parts[prompt * sizes.parts() + part]);
            let draw = Draw { of: &prompts[prompt], rows: &rows[prompt], part };
            with_scratch(|scratch| processor.run(DrawWith { draw, scratch, out: &mut out }));
        });
    }
}

/// The masks by prompts, and of each prompt by parts: a slice of every mask.
fn parts_of(out: &mut [f32], sizes: Sizes, masks: usize) -> Vec<Mutex<Vec<&mut [f32]>>> {
    let mut all = Vec::new();
    for prompt in out.chunks_exact_mut((masks * sizes.cells * PIXELS).max(1)) {
        let mut parts: Vec<Vec<&mut [f32]>> = (0..sizes.parts()).map(|_| Vec::with_capacity(masks)).collect();
        for mut mask in prompt.chunks_exact_mut(sizes.cells * PIXELS) {
            for (part, slices) in parts.iter_mut().enumerate() {
                let cells: usize = sizes.part(part).map(|stripe| sizes.cells_of(stripe)).sum();
                let (slice, rest) = mask.split_at_mut(cells * PIXELS);
                slices.push(slice);
                mask = rest;
            }
        }
        all.extend(parts.into_iter().map(Mutex::new));
    }
    all
}

/// The columns' rows after the first convolution, panels [4 E / 16, K, 16].
struct Prepare<'a>(&'a Upscale<'a>);

impl Kernel for Prepare<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<f32> {
        self.0.columns.through(simd, &self.0.columns.runs(), self.0.to_middle)
    }
}

struct Draw<'a> {
    of: &'a Upscale<'a>,
    rows: &'a [f32],
    part: usize,
}

struct DrawWith<'a, 'o> {
    draw: Draw<'a>,
    scratch: &'a mut Vec<f32>,
    /// Of every mask the cells of the part.
    out: &'a mut [&'o mut [f32]],
}

impl Kernel for DrawWith<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { draw: Draw { of, rows, part }, scratch, out } = self;
        let (sizes, masks) = (of.sizes(), out.len());
        let (middle, fine) = (of.middle_channels(), of.fine_channels());
        let (wide, narrow) = (vectors(4 * middle) * LANES, vectors(4 * fine) * LANES);
        let [between, last, pixels] = parts(scratch, [TILE * wide * LANES, narrow * LANES, masks * PIXELS * LANES]);
        let all = sizes.part(part);
        for stripes in sizes.tiles(part) {
            for group in groups(simd, 4 * middle) {
                let first = First { of, rows, group, stripes: stripes.clone(), out: between, stride: wide * LANES };
                by_rows!(group.rows, R => simd.apart(FirstOf::<'_, R>(first)));
            }
            for (stripe, between) in stripes.zip(between.chunks_exact_mut(wide * LANES)) {
                for (quarter, between) in between.chunks_exact_mut(middle * LANES).take(4).enumerate() {
                    simd.apart(NormGelu { of, channels: &mut *between });
                    for group in groups(simd, 4 * fine) {
                        let second = Second { of, quarter, group, stripe, from: between, out: last };
                        by_rows!(group.rows, R => simd.apart(SecondOf::<'_, R>(second)));
                    }
                    for (sixteenth, last) in last.chunks_exact(fine * LANES).take(4).enumerate() {
                        let pixel = quarter * 4 + sixteenth;
                        for first in (0..masks).step_by(S::SUMS) {
                            let weights = &of.weights[first * fine..];
                            let place = &mut pixels[(first * PIXELS + pixel) * LANES..];
                            by_rows!(S::SUMS.min(masks - first), R => simd.apart(Weigh::<'_, R> { weights, channels: last, pixels: place }));
                        }
                    }
                }
                let cells = sizes.cells_of(stripe);
                for (mask, pixels) in out.iter_mut().zip(pixels.chunks_exact(PIXELS * LANES)) {
                    let at = (stripe - all.start) * LANES * PIXELS;
                    simd.apart(Turn { rows: pixels, stride: LANES, out: &mut mask[at..at + cells * PIXELS] });
                }
            }
        }
    }
}

/// A group of channels after the first convolution: `scale · image + rows · columns + bias + middle`.
struct First<'a> {
    of: &'a Upscale<'a>,
    rows: &'a [f32],
    group: Group,
    stripes: Range<usize>,
    /// [TILE, 4 E, 16], stripes so far apart.
    out: &'a mut [f32],
    stride: usize,
}

struct FirstOf<'a, const R: usize>(First<'a>);

impl<const R: usize> Kernel for FirstOf<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let First { of, rows, group, stripes, out, stride } = self.0;
        let (count, channels) = (of.columns.count(), 4 * of.middle_channels());
        let panel = Panel { numbers: &rows[group.panel * count * LANES..][..count * LANES], first: group.first };
        let (columns, scales) = (of.cells.columns(count), of.cells.scales(count));
        let image = Stripes::new(of.image, channels).rows(group.row(), R);
        let middle = (!of.middle.is_empty()).then(|| Stripes::new(of.middle, channels).rows(group.row(), R));
        let start = stripes.start;
        for stripe in stripes {
            let mut sums = [simd.splat(0.0); R];
            for (sum, bias) in sums.iter_mut().zip(&of.bias[group.row()..]) {
                *sum = simd.splat(*bias);
            }
            add_rows(simd, &mut sums, panel, columns.of(stripe));
            let scale = simd.load(scales.of(stripe));
            for (sum, image) in sums.iter_mut().zip(image.of(stripe).chunks_exact(LANES)) {
                *sum = simd.mul_add(simd.load(image), scale, *sum);
            }
            if let Some(middle) = middle {
                for (sum, middle) in sums.iter_mut().zip(middle.of(stripe).chunks_exact(LANES)) {
                    *sum = simd.add(*sum, simd.load(middle));
                }
            }
            let out = &mut out[(stripe - start) * stride + group.row() * LANES..][..R * LANES];
            for (sum, out) in sums.iter().zip(out.chunks_exact_mut(LANES)) {
                simd.store(*sum, out);
            }
        }
    }
}

/// Layer norm over the channels of one pixel, [E, 16], and GELU.
struct NormGelu<'a> {
    of: &'a Upscale<'a>,
    channels: &'a mut [f32],
}

impl Kernel for NormGelu<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { of, channels } = self;
        let count = of.middle_channels();
        let share = simd.splat(1.0 / count as f32);
        let mut sum = simd.splat(0.0);
        for channel in channels.chunks_exact(LANES) {
            sum = simd.add(sum, simd.load(channel));
        }
        let mean = simd.mul(sum, share);
        let mut squares = simd.splat(0.0);
        for channel in channels.chunks_exact(LANES) {
            let apart = simd.sub(simd.load(channel), mean);
            squares = simd.mul_add(apart, apart, squares);
        }
        let deviation = simd.sqrt(simd.mul_add(squares, share, simd.splat(of.epsilon)));
        let scale = simd.div(simd.splat(1.0), deviation);
        let (gain, bias) = of.norm.split_at(count);
        for ((channel, gain), bias) in channels.chunks_exact_mut(LANES).zip(gain).zip(bias) {
            let normal = simd.mul(simd.sub(simd.load(channel), mean), scale);
            simd.store(gelu(simd, simd.mul_add(normal, simd.splat(*gain), simd.splat(*bias))), channel);
        }
    }
}

/// A group of channels after the second convolution, of one of the first one's pixels.
struct Second<'a> {
    of: &'a Upscale<'a>,
    quarter: usize,
    group: Group,
    stripe: usize,
    /// [E, 16].
    from: &'a [f32],
    /// [4 F, 16].
    out: &'a mut [f32],
}

struct SecondOf<'a, const R: usize>(Second<'a>);

impl<const R: usize> Kernel for SecondOf<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Second { of, quarter, group, stripe, from, out } = self.0;
        let (middle, fine) = (of.middle_channels(), of.fine_channels());
        let panel = Panel { numbers: &of.convolution[group.panel * middle * LANES..][..middle * LANES], first: group.first };
        let mut sums = [simd.splat(0.0); R];
        add_rows(simd, &mut sums, panel, from);
        let out = out[group.row() * LANES..].chunks_exact_mut(LANES);
        if of.fine.len() > fine {
            let map = Stripes::new(of.fine, PIXELS * fine).rows(quarter * 4 * fine + group.row(), R);
            for ((sum, map), out) in sums.iter().zip(map.of(stripe).chunks_exact(LANES)).zip(out) {
                simd.store(simd.add(*sum, simd.load(map)), out);
            }
        } else {
            for (row, (sum, out)) in sums.iter().zip(out).enumerate() {
                simd.store(simd.add(*sum, simd.splat(of.fine[(group.row() + row) % fine])), out);
            }
        }
    }
}

/// Masks of one pixel of the cells: channels [F, 16] after their GELU, weighed; masks lie [`PIXELS`] vectors apart.
struct Weigh<'a, const R: usize> {
    /// [R, F].
    weights: &'a [f32],
    channels: &'a [f32],
    pixels: &'a mut [f32],
}

impl<const R: usize> Kernel for Weigh<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { weights, channels, pixels } = self;
        let fine = channels.len() / LANES;
        let mut sums = [simd.splat(0.0); R];
        let weights = &weights[..R * fine];
        for (channel, lanes) in channels.chunks_exact(LANES).enumerate() {
            let lanes = gelu(simd, simd.load(lanes));
            for row in 0..R {
                sums[row] = simd.mul_add(simd.splat(weights[row * fine + channel]), lanes, sums[row]);
            }
        }
        for (sum, pixels) in sums.iter().zip(pixels.chunks_mut(PIXELS * LANES)) {
            simd.store(*sum, pixels);
        }
    }
}

const _: () = assert!(PIXELS == LANES, "a cell's pixels are as many as lanes");
