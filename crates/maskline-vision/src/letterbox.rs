//! Pictures to network input: OpenCV's bilinear resize on a grey canvas (ultralytics `LetterBox`), to the last bit.

use crate::{Error, ErrorKind, Result, RgbImage};

/// Grey of the border.
const PAD: u8 = 114;
/// OpenCV's fixed-point weights: 11 bits.
const ONE: i32 = 1 << 11;

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
    /// `InvalidArgument` for a size of 0.
    pub fn square(source: (usize, usize), size: usize) -> Result<Self> {
        Self::fit(source, (size, size))
    }

    /// Into a given size.
    ///
    /// # Errors
    /// `InvalidArgument` for a size of 0.
    pub fn fit(source: (usize, usize), target: (usize, usize)) -> Result<Self> {
        Ok(Self::centred(source, resized_to_fit(source, target)?, target))
    }

    /// Into the smallest multiple of `stride` that holds the picture scaled to `size`.
    ///
    /// # Errors
    /// `InvalidArgument` for a size or stride of 0, or a size that is no multiple of the stride.
    pub fn rect(source: (usize, usize), size: usize, stride: usize) -> Result<Self> {
        if stride == 0 || !size.is_multiple_of(stride) {
            return Err(Error::new(ErrorKind::InvalidArgument, format!("size {size} is no multiple of the stride {stride}")));
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
        assert_eq!((image.width, image.height), self.source, "the letterbox is for another picture size");
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
        let mut resizer = Resizer::new(image, self.resized);
        for y in 0..self.resized.1 {
            let start = (self.top + y) * width + self.left;
            let row = start..start + self.resized.0;
            resizer.row(y, [&mut red[row.clone()], &mut green[row.clone()], &mut blue[row]], |level| f32::from(level) / 255.0);
        }
    }

    /// The letterboxed picture in 8 bits.
    pub fn to_rgb(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = self.target;
        let mut pixels = vec![PAD; width * height * 3];
        let mut resizer = Resizer::new(image, self.resized);
        let mut planes = vec![0; 3 * self.resized.0];
        for y in 0..self.resized.1 {
            let (red, rest) = planes.split_at_mut(self.resized.0);
            let (green, blue) = rest.split_at_mut(self.resized.0);
            resizer.row(y, [red, green, blue], |level| level);
            let start = ((self.top + y) * width + self.left) * 3;
            for (x, pixel) in pixels[start..start + 3 * self.resized.0].chunks_exact_mut(3).enumerate() {
                pixel.copy_from_slice(&[0, 1, 2].map(|channel| planes[channel * self.resized.0 + x]));
            }
        }
        RgbImage { width, height, pixels }
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
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    let ratio = (target.0 as f64 / source.0 as f64).min(target.1 as f64 / source.1 as f64);
    let side = |source: usize, target: usize| round_even(source as f64 * ratio).clamp(1, target);
    Ok((side(source.0, target.0), side(source.1, target.1)))
}

/// Python's `round`: halves go to the even neighbour. Below zero counts as zero.
fn round_even(value: f64) -> usize {
    value.round_ties_even().max(0.0) as usize
}

/// One step of linear interpolation: two neighbours and their weights.
#[derive(Debug, Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weights: [i32; 2],
}

/// OpenCV's `INTER_LINEAR` on 8 bits, row by row.
struct Resizer<'a> {
    image: &'a RgbImage,
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// Rows stretched to the new width, 15 bits, planes R, G, B; and which source rows they are.
    stretched: [Vec<i16>; 2],
    held: [Option<usize>; 2],
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// No change of size.
    Copy,
    /// Exactly half on both axes, where OpenCV averages four pixels.
    Half,
    Linear,
}

impl<'a> Resizer<'a> {
    fn new(image: &'a RgbImage, (width, height): (usize, usize)) -> Self {
        let kind = if (image.width, image.height) == (width, height) {
            Kind::Copy
        } else if (image.width, image.height) == (2 * width, 2 * height) {
            Kind::Half
        } else {
            Kind::Linear
        };
        let (columns, rows) = match kind {
            Kind::Linear => (column_taps(image.width, width), row_taps(image.height, height)),
            _ => (Vec::new(), Vec::new()),
        };
        let stretched = [vec![0; 3 * columns.len()], vec![0; 3 * columns.len()]];
        Self { image, columns, rows, stretched, held: [None; 2], kind }
    }

    /// Row `y` of the result, as three planes.
    fn row<T>(&mut self, y: usize, planes: [&mut [T]; 3], level: impl Fn(u8) -> T) {
        match self.kind {
            Kind::Copy => {
                let source = self.image.row(y);
                for (channel, plane) in planes.into_iter().enumerate() {
                    plane.iter_mut().zip(source.chunks_exact(3)).for_each(|(out, pixel)| *out = level(pixel[channel]));
                }
            }
            Kind::Half => {
                let (upper, lower) = (self.image.row(2 * y), self.image.row(2 * y + 1));
                for (channel, plane) in planes.into_iter().enumerate() {
                    for ((out, a), b) in plane.iter_mut().zip(upper.chunks_exact(6)).zip(lower.chunks_exact(6)) {
                        let sum = [a[channel], a[channel + 3], b[channel], b[channel + 3]].map(u16::from).iter().sum::<u16>();
                        *out = level(((sum + 2) >> 2) as u8);
                    }
                }
            }
            Kind::Linear => self.linear_row(y, planes, level),
        }
    }

    fn linear_row<T>(&mut self, y: usize, planes: [&mut [T]; 3], level: impl Fn(u8) -> T) {
        let Tap { first, second, weights } = self.rows[y];
        let upper = self.hold(first, second);
        let lower = self.hold(second, first);
        let [b0, b1] = weights;
        let width = self.columns.len();
        for (channel, plane) in planes.into_iter().enumerate() {
            let span = channel * width..(channel + 1) * width;
            let (upper, lower) = (&self.stretched[upper][span.clone()], &self.stretched[lower][span]);
            for ((out, a), b) in plane.iter_mut().zip(upper).zip(lower) {
                let sum = ((b0 * i32::from(*a)) >> 16) + ((b1 * i32::from(*b)) >> 16) + 2;
                *out = level((sum >> 2) as u8);
            }
        }
    }

    /// The slot that holds source row `row` stretched, without giving up the one that holds `keep`.
    fn hold(&mut self, row: usize, keep: usize) -> usize {
        if let Some(slot) = self.held.iter().position(|held| *held == Some(row)) {
            return slot;
        }
        let slot = usize::from(self.held[0] == Some(keep));
        let width = self.columns.len();
        let (red, rest) = self.stretched[slot].split_at_mut(width);
        let (green, blue) = rest.split_at_mut(width);
        let source = self.image.row(row);
        for (((tap, red), green), blue) in self.columns.iter().zip(red).zip(green).zip(blue) {
            let (a, b) = (&source[tap.first..tap.first + 3], &source[tap.second..tap.second + 3]);
            let mix = |c: usize| ((i32::from(a[c]) * tap.weights[0] + i32::from(b[c]) * tap.weights[1]) >> 4) as i16;
            (*red, *green, *blue) = (mix(0), mix(1), mix(2));
        }
        self.held[slot] = Some(row);
        slot
    }
}

/// Position of a target pixel's centre in the source: whole part and fraction, in OpenCV's precision.
fn position(target: usize, scale: f64) -> (i64, f32) {
    let at = ((target as f64 + 0.5) * scale - 0.5) as f32;
    let whole = at.floor();
    (whole as i64, at - whole)
}

fn weights(fraction: f32) -> [i32; 2] {
    [1.0 - fraction, fraction].map(|weight| (weight * ONE as f32).round_ties_even() as i32)
}

/// Columns beyond the border take the border pixel with full weight; `first` and `second` are byte offsets in a row.
fn column_taps(source: usize, target: usize) -> Vec<Tap> {
    let scale = 1.0 / (target as f64 / source as f64);
    let last = source as i64 - 1;
    (0..target)
        .map(|x| {
            let (whole, fraction) = position(x, scale);
            let (whole, fraction) = if whole < 0 {
                (0, 0.0)
            } else if whole >= last {
                (last, 0.0)
            } else {
                (whole, fraction)
            };
            let second = (whole + 1).min(last);
            Tap { first: 3 * whole as usize, second: 3 * second as usize, weights: weights(fraction) }
        })
        .collect()
}

/// Rows beyond the border are the border row, but keep their weights (and the rounding of both products).
fn row_taps(source: usize, target: usize) -> Vec<Tap> {
    let scale = 1.0 / (target as f64 / source as f64);
    let last = source as i64 - 1;
    (0..target)
        .map(|y| {
            let (whole, fraction) = position(y, scale);
            Tap { first: whole.clamp(0, last) as usize, second: (whole + 1).clamp(0, last) as usize, weights: weights(fraction) }
        })
        .collect()
}
