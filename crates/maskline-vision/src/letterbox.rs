//! Pictures to network input: OpenCV's bilinear resize on a grey canvas (ultralytics `LetterBox`), to the last bit.

mod bilinear;

use crate::limits::check_target;
use crate::{Error, Result, RgbImage};
use bilinear::{Planes, resize_to_planes, resize_to_rows};

/// Grey of the border.
const PAD: u8 = 114;

/// How a picture of one size lies in a network input of another: scaled to fit, centred on grey.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    source: (usize, usize),
    target: (usize, usize),
    resized: (usize, usize),
    left: usize,
    top: usize,
}

impl Letterbox {
    /// Into a square; sizes are (width, height) in pixels.
    ///
    /// # Errors
    /// `InvalidArgument` for a size of 0, `TooLarge` above [`MOST_TARGET_PIXELS`](crate::limits::MOST_TARGET_PIXELS).
    pub fn square(source: (usize, usize), size: usize) -> Result<Self> {
        Self::fit(source, (size, size))
    }

    /// Into a given size.
    ///
    /// # Errors
    /// `InvalidArgument` for a size of 0, `TooLarge` above [`MOST_TARGET_PIXELS`](crate::limits::MOST_TARGET_PIXELS).
    pub fn fit(source: (usize, usize), target: (usize, usize)) -> Result<Self> {
        Ok(Self::centred(source, resized_to_fit(source, target)?, target))
    }

    /// Into the smallest multiple of `stride` that holds the picture scaled to `size`.
    ///
    /// # Errors
    /// `InvalidArgument` for a size or stride of 0, or a size that is no multiple of the stride; `TooLarge` as above.
    pub fn rect(source: (usize, usize), size: usize, stride: usize) -> Result<Self> {
        if stride == 0 || !size.is_multiple_of(stride) {
            return Err(Error::invalid(format!("size {size} is no multiple of the stride {stride}")));
        }
        let (width, height) = resized_to_fit(source, (size, size))?;
        // The border left in a square, modulo the stride, is what stays.
        let padded = |resized: usize| resized + (size - resized) % stride;
        Ok(Self::centred(source, (width, height), (padded(width), padded(height))))
    }

    fn centred(source: (usize, usize), resized: (usize, usize), target: (usize, usize)) -> Self {
        // A border that cannot be halved has its odd pixel on the right and at the bottom.
        let half = |target: usize, resized: usize| round_even((target - resized) as f64 / 2.0 - 0.1);
        Self { source, target, resized, left: half(target.0, resized.0), top: half(target.1, resized.1) }
    }

    /// Width and height of the network input.
    pub fn target(&self) -> (usize, usize) {
        self.target
    }

    /// Fills `out`, planes R, G, B of the input's height × width, with values in 0..1.
    ///
    /// # Panics
    /// If the picture is not of the source size or `out` is not of the target's.
    pub fn to_planar_f32(&self, image: &RgbImage, out: &mut [f32]) {
        let (width, height) = self.target;
        assert_eq!((image.width(), image.height()), self.source, "the letterbox is for another picture size");
        assert_eq!(out.len(), 3 * width * height, "the output has not the size of the network input");
        let plane = width * height;
        let grey = f32::from(PAD) / 255.0;
        let rows = self.top * width..(self.top + self.resized.1) * width;
        for channel in out.chunks_exact_mut(plane) {
            channel[..rows.start].fill(grey);
            channel[rows.end..].fill(grey);
            for row in channel[rows.clone()].chunks_exact_mut(width) {
                row[..self.left].fill(grey);
                row[self.left + self.resized.0..].fill(grey);
            }
        }
        let (red, rest) = out.split_at_mut(plane);
        let (green, blue) = rest.split_at_mut(plane);
        let mut planes = Planes { planes: [red, green, blue], width, origin: (self.left, self.top) };
        resize_to_planes(image, self.resized, &mut planes);
    }

    /// The letterboxed picture in 8 bits.
    ///
    /// # Panics
    /// If the picture is not of the source size.
    pub fn to_rgb(&self, image: &RgbImage) -> RgbImage {
        assert_eq!((image.width(), image.height()), self.source, "the letterbox is for another picture size");
        let (width, height) = self.target;
        let mut pixels = vec![PAD; width * height * 3];
        resize_to_rows(image, self.resized, |y, levels| {
            let start = ((self.top + y) * width + self.left) * 3;
            for (out, level) in pixels[start..].chunks_exact_mut(3).zip(levels) {
                out.copy_from_slice(&level[..3]);
            }
        });
        RgbImage::whole(width, height, pixels)
    }

    /// A box `[x1, y1, x2, y2]` of the network input in pixels of the picture, cut at its borders.
    pub fn unmap_box(&self, [x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
        let ([x1, y1], [x2, y2]) = (self.unmap_point([x1, y1]), self.unmap_point([x2, y2]));
        let (width, height) = (self.source.0 as f32, self.source.1 as f32);
        [x1.clamp(0.0, width), y1.clamp(0.0, height), x2.clamp(0.0, width), y2.clamp(0.0, height)]
    }

    /// A point of the network input in pixels of the picture; it may lie outside.
    pub fn unmap_point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [gain_x, gain_y] = self.gain();
        [(x - self.left as f32) / gain_x, (y - self.top as f32) / gain_y]
    }

    /// Input pixels per pixel of the picture, by axis: the sizes are whole, so the two differ a little.
    pub fn gain(&self) -> [f32; 2] {
        let gain = |resized: usize, source: usize| (resized as f64 / source as f64) as f32;
        [gain(self.resized.0, self.source.0), gain(self.resized.1, self.source.1)]
    }
}

fn resized_to_fit(source: (usize, usize), target: (usize, usize)) -> Result<(usize, usize)> {
    if source.0 == 0 || source.1 == 0 || target.0 == 0 || target.1 == 0 {
        let message = format!("a picture of {} × {} cannot become {} × {}", source.0, source.1, target.0, target.1);
        return Err(Error::invalid(message));
    }
    check_target(target.0, target.1)?;
    let ratio = (target.0 as f64 / source.0 as f64).min(target.1 as f64 / source.1 as f64);
    let side = |source: usize, target: usize| round_even(source as f64 * ratio).clamp(1, target);
    Ok((side(source.0, target.0), side(source.1, target.1)))
}

/// Python's `round`: halves go to the even neighbour. Below zero counts as zero.
fn round_even(value: f64) -> usize {
    value.round_ties_even().max(0.0) as usize
}
