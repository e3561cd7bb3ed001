//! A picture and its halves, and the mean of a part of it per cell.

use super::frame::{Axis, Frame, Optics};
use crate::RgbImage;

/// A picture and its halves: each level holds the means of 2 × 2 pixels of the one before, rounded half up; an odd last row or column
/// stands alone. The last level is no larger than the network's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pyramid {
    levels: Vec<RgbImage>,
}

impl Pyramid {
    /// Of a picture, down to at most `smallest` pixels a side.
    pub fn new(picture: &RgbImage, smallest: usize) -> Self {
        let mut levels = vec![picture.clone()];
        while let Some(last) = levels.last().filter(|level| level.width().max(level.height()) > smallest.max(1)) {
            levels.push(halved(last));
        }
        Self { levels }
    }

    /// The levels, the picture first.
    pub fn levels(&self) -> &[RgbImage] {
        &self.levels
    }

    /// Bytes of all levels.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.pixels().len()).sum()
    }

    /// Index of the level that a frame looks at: one with cells of one to two pixels for windows, a small picture for foveas.
    fn level_of(&self, frame: &Frame, optics: &Optics) -> usize {
        let last = self.levels.len() - 1;
        if frame.is_fovea() {
            let is_small = |level: &RgbImage| level.width().max(level.height()) <= optics.fovea_side;
            return self.levels.iter().position(is_small).unwrap_or(last);
        }
        let step = (frame.extent() / optics.input as f64).max(1.0);
        (step.log2().floor() as usize).min(last)
    }

    /// Writes what the network sees of the picture: f32 [4, n, n] with `n` = `optics.input`, normalised RGB and the share of each
    /// cell that lies in the picture. Outside, colours are the mean.
    pub(super) fn see(&self, frame: &Frame, optics: &Optics, out: &mut [f32]) {
        let index = self.level_of(frame, optics);
        let (level, scale) = (&self.levels[index], (1_u64 << index) as f64);
        let cells = optics.input;
        let rows = shares(&frame.y, cells, level.height(), scale);
        let columns = shares(&frame.x, cells, level.width(), scale);
        let (Some(first), Some(end)) = (columns.iter().map(|c| c.first).min(), columns.iter().map(Shares::end).max()) else { return };
        let mut line = vec![0.0_f32; 3 * (end - first)];
        for (y, row) in rows.iter().enumerate() {
            line.fill(0.0);
            for (source, weight) in row.iter() {
                let pixels = &level.row(source)[3 * first..3 * end];
                line.iter_mut().zip(pixels).for_each(|(sum, value)| *sum += weight * f32::from(*value));
            }
            let covered = row.sum();
            for (x, column) in columns.iter().enumerate() {
                let mut sum = [0.0_f32; 3];
                for (source, weight) in column.iter() {
                    let pixel = &line[3 * (source - first)..][..3];
                    sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * value);
                }
                let (inside, cell) = (covered * column.sum(), y * cells + x);
                for channel in 0..3 {
                    out[channel * cells * cells + cell] = (sum[channel] / 255.0 - inside * optics.mean[channel]) / optics.std[channel];
                }
                out[3 * cells * cells + cell] = inside;
            }
        }
    }
}

fn halved(picture: &RgbImage) -> RgbImage {
    let (width, height) = (picture.width().div_ceil(2), picture.height().div_ceil(2));
    let mut pixels = vec![0; 3 * width * height];
    let mut sums = vec![0_u16; 3 * picture.width()];
    for (y, line) in pixels.chunks_exact_mut(3 * width).enumerate() {
        let (upper, lower) = (picture.row(2 * y), picture.row((2 * y + 1).min(picture.height() - 1)));
        sums.iter_mut().zip(upper.iter().zip(lower)).for_each(|(sum, (up, low))| *sum = u16::from(*up) + u16::from(*low));
        for (out, pair) in line.chunks_exact_mut(3).zip(sums.chunks(6)) {
            // The last pixel of an odd row stands alone.
            let right = if pair.len() == 6 { &pair[3..] } else { pair };
            out.iter_mut().zip(pair.iter().zip(right)).for_each(|(mean, (left, right))| *mean = ((left + right + 2) / 4) as u8);
        }
    }
    RgbImage::whole(width, height, pixels)
}

/// The pixels that a cell's mean is made of, and their weights. What lies outside the picture is missing: the sum is less than 1 there.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    first: usize,
    weights: Vec<f32>,
}

impl Shares {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }

    /// Pixels and their weights.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.weights.iter().enumerate().map(|(i, weight)| (self.first + i, *weight))
    }

    fn sum(&self) -> f32 {
        self.weights.iter().sum()
    }
}

/// The pixels of each of `cells` cells on an axis of `length` pixels, each `scale` pixels of the picture long.
///
/// Cells narrower than a pixel are widened to one about their centre, which makes the mean a linear blend.
pub(super) fn shares(axis: &Axis, cells: usize, length: usize, scale: f64) -> Vec<Shares> {
    let edges = axis.edges(cells);
    let of_cell = |pair: &[f64]| {
        let (low, high) = (pair[0] / scale, pair[1] / scale);
        let (centre, half) = (f64::midpoint(low, high), (high - low).max(1.0) / 2.0);
        let (low, high) = (centre - half, centre + half);
        // As casts saturate, what lies before the picture begins at 0.
        let (first, end) = ((low.floor() as usize).min(length), (high.ceil().max(0.0) as usize).min(length));
        let overlap = |pixel: usize| (high.min(pixel as f64 + 1.0) - low.max(pixel as f64)).max(0.0);
        Shares { first: first.min(end), weights: (first.min(end)..end).map(|pixel| (overlap(pixel) / (high - low)) as f32).collect() }
    };
    edges.windows(2).map(of_cell).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::look::planes::tests::OPTICS;

    fn picture(width: usize, height: usize) -> RgbImage {
        let pixels = (0..width * height * 3).map(|i| (i * 7919 % 251) as u8).collect();
        RgbImage::new(width, height, pixels).unwrap()
    }

    #[test]
    fn halves_are_rounded_means_and_odd_edges_stand_alone() {
        let small = RgbImage::new(3, 1, vec![0, 10, 20, 1, 11, 20, 200, 100, 7]).unwrap();
        let levels = Pyramid::new(&small, 2);
        assert_eq!(levels.levels().len(), 2);
        assert_eq!(levels.levels()[1].pixels(), [1, 11, 20, 200, 100, 7], "0 and 1 are 0.5, which rounds up");
    }

    #[test]
    fn weights_sum_to_one_inside_and_to_less_at_the_border() {
        let axis = Axis::Window { low: -10.0, length: 120.0 };
        let all = shares(&axis, 96, 100, 1.0);
        assert_eq!(all[0].sum(), 0.0, "outside");
        assert!((all[50].sum() - 1.0).abs() < 1e-6);
        assert!(all.iter().all(|cell| cell.sum() <= 1.0 + 1e-6 && cell.end() <= 100));
        let far = shares(&Axis::Window { low: 500.0, length: 10.0 }, 4, 100, 1.0);
        assert!(far.iter().all(|cell| cell.weights.is_empty()), "far outside there is nothing");
    }

    #[test]
    fn a_flat_picture_is_flat_in_every_frame() {
        let flat = RgbImage::new(301, 203, [10, 130, 250].repeat(301 * 203)).unwrap();
        let pyramid = Pyramid::new(&flat, OPTICS.input);
        for frame in [Frame::window([20.0, 30.0, 280.0, 190.0], &OPTICS), Frame::fovea([150.0, 100.0], (301, 203), &OPTICS)] {
            let cells = OPTICS.input * OPTICS.input;
            let mut out = vec![f32::NAN; 4 * cells];
            pyramid.see(&frame, &OPTICS, &mut out);
            for cell in (0..cells).filter(|cell| out[3 * cells + cell] > 0.999) {
                for (channel, value) in [10.0_f32, 130.0, 250.0].into_iter().enumerate() {
                    let expected = (value / 255.0 - OPTICS.mean[channel]) / OPTICS.std[channel];
                    assert!((out[channel * cells + cell] - expected).abs() < 1e-4, "channel {channel}, cell {cell}");
                }
            }
        }
    }

    #[test]
    fn large_windows_look_at_small_levels() {
        let pyramid = Pyramid::new(&picture(1000, 700), OPTICS.input);
        assert_eq!(pyramid.level_of(&Frame::window([0.0, 0.0, 50.0, 50.0], &OPTICS), &OPTICS), 0);
        assert_eq!(pyramid.level_of(&Frame::window([0.0, 0.0, 300.0, 300.0], &OPTICS), &OPTICS), 2);
        assert_eq!(pyramid.level_of(&Frame::fovea([5.0, 5.0], (1000, 700), &OPTICS), &OPTICS), 0);
    }
}
