//! Blending into the rows of a picture. Coordinates are pixel edges: pixel (0, 0) has its centre at (0.5, 0.5).

use std::ops::Range;

use super::Color;
use crate::{Mask, RgbImage};

pub(super) struct Canvas<'a> {
    image: &'a mut RgbImage,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(image: &'a mut RgbImage) -> Self {
        Self { image }
    }

    /// Width and height.
    pub(super) fn size(&self) -> [f32; 2] {
        [self.image.width() as f32, self.image.height() as f32]
    }

    /// Blends one pixel; nothing outside of the picture.
    pub(super) fn blend(&mut self, x: usize, y: usize, color: Color, opacity: f32) {
        if x < self.image.width() && y < self.image.height() {
            let start = (y * self.image.width() + x) * 3;
            blend(&mut self.image.pixels_mut()[start..start + 3], color, weight(opacity));
        }
    }

    /// Blends the mask's pixels.
    pub(super) fn blend_mask(&mut self, mask: &Mask, color: Color, opacity: f32) {
        let Some([x1, y1, x2, y2]) = mask.bounds() else { return };
        let [x2, y2] = [x2.min(self.image.width()), y2.min(self.image.height())];
        if x1 >= x2 || y1 >= y2 {
            return;
        }
        let blended = color.map(|channel| blended_with(channel, weight(opacity)));
        let set = mask.rows_within([x1, y1, x2, y2], 1);
        for (y, set) in (y1..).zip(set.chunks_exact(x2 - x1)) {
            let start = (y * self.image.width() + x1) * 3;
            let (pixels, _) = self.image.pixels_mut()[start..start + set.len() * 3].as_chunks_mut::<3>();
            for (pixel, _) in pixels.iter_mut().zip(set).filter(|(_, set)| **set != 0) {
                *pixel = [0, 1, 2].map(|channel| blended[channel][usize::from(pixel[channel])]);
            }
        }
    }

    /// Fills the pixels nearest to `[x1, y1, x2, y2]`.
    pub(super) fn fill(&mut self, [x1, y1, x2, y2]: [f32; 4], color: Color, opacity: f32) {
        let [width, height] = [self.image.width(), self.image.height()];
        // The casts saturate: what lies outside becomes an empty range.
        let (left, right) = (x1.round() as usize, (x2.round() as usize).min(width));
        let weight = weight(opacity);
        for y in y1.round() as usize..(y2.round() as usize).min(height) {
            if left < right {
                let row = &mut self.image.pixels_mut()[(y * width + left) * 3..(y * width + right) * 3];
                row.chunks_exact_mut(3).for_each(|pixel| blend(pixel, color, weight));
            }
        }
    }

    /// An upright frame whose lines, of a whole width, are centred on the box; those of one pixel are just inside.
    pub(super) fn frame(&mut self, [x1, y1, x2, y2]: [f32; 4], width: f32, color: Color) {
        let outer = [x1 - width / 2.0, y1 - width / 2.0, x2 + width / 2.0, y2 + width / 2.0].map(f32::round);
        let inner = [x1.floor(), y1.floor(), x2.ceil().max(x1.floor() + 1.0), y2.ceil().max(y1.floor() + 1.0)];
        let [left, top, right, bottom] = if width > 1.0 { outer } else { inner };
        self.fill([left, top, right, top + width], color, 1.0);
        self.fill([left, bottom - width, right, bottom], color, 1.0);
        self.fill([left, top, left + width, bottom], color, 1.0);
        self.fill([right - width, top, right, bottom], color, 1.0);
    }

    /// A smooth line with round ends; a dot where both ends are one.
    pub(super) fn line(&mut self, from: [f32; 2], to: [f32; 2], radius: f32, color: Color) {
        let size = [self.image.width(), self.image.height()];
        cover_line([from, to], radius, size, |x, y, coverage| self.blend(x, y, color, coverage));
    }

    /// Closed lines. Where they meet, no pixel is blended twice, which would make the smooth edges of short lines rough.
    pub(super) fn closed_lines(&mut self, outlines: &[impl AsRef<[[f32; 2]]>], radius: f32, color: Color) {
        let size = [self.image.width(), self.image.height()];
        let Some([x1, y1, x2, y2]) = reached(outlines.iter().flat_map(|outline| outline.as_ref()), radius + 1.0, size) else { return };
        let mut coverages = vec![0u8; (x2 - x1) * (y2 - y1)];
        for corners in outlines.iter().map(AsRef::as_ref) {
            for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                cover_line([*from, *to], radius, size, |x, y, coverage| {
                    let under = &mut coverages[(y - y1) * (x2 - x1) + x - x1];
                    *under = (*under).max(weight(coverage) as u8);
                });
            }
        }
        for (y, row) in (y1..y2).zip(coverages.chunks_exact(x2 - x1)) {
            for (x, &coverage) in (x1..x2).zip(row).filter(|(_, coverage)| **coverage != 0) {
                let start = (y * size[0] + x) * 3;
                blend(&mut self.image.pixels_mut()[start..start + 3], color, u32::from(coverage));
            }
        }
    }
}

/// Visits the pixels of a picture of this size that a line covers, with the share that is covered.
fn cover_line([from, to]: [[f32; 2]; 2], radius: f32, size: [usize; 2], mut visit: impl FnMut(usize, usize, f32)) {
    if !from.iter().chain(&to).all(|value| value.is_finite()) {
        return;
    }
    let reach = radius + 1.0;
    let along = [to[0] - from[0], to[1] - from[1]];
    let length_squared = along[0] * along[0] + along[1] * along[1];
    let first_row = (from[1].min(to[1]) - reach).floor() as usize;
    let last_row = ((from[1].max(to[1]) + reach).ceil() as usize).min(size[1]);
    for y in first_row..last_row {
        let center_y = y as f32 + 0.5;
        let columns = columns_near([from, to], center_y, reach);
        for x in columns.start..columns.end.min(size[0]) {
            let offset = [x as f32 + 0.5 - from[0], center_y - from[1]];
            let projected = offset[0] * along[0] + offset[1] * along[1];
            let share = if length_squared > 0.0 { (projected / length_squared).clamp(0.0, 1.0) } else { 0.0 };
            let distance = (offset[0] - share * along[0]).hypot(offset[1] - share * along[1]);
            let coverage = (radius + 0.5 - distance).min(1.0);
            if coverage > 0.0 {
                visit(x, y, coverage);
            }
        }
    }
}

/// The pixels `[x1, y1, x2, y2]` of a picture of this size within `reach` of the finite corners; `None` where there are none.
fn reached<'a>(corners: impl Iterator<Item = &'a [f32; 2]>, reach: f32, size: [usize; 2]) -> Option<[usize; 4]> {
    let finite = corners.filter(|corner| corner.iter().all(|value| value.is_finite()));
    let [x1, y1, x2, y2] = finite.fold([f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY], |bounds, [x, y]| {
        [bounds[0].min(*x), bounds[1].min(*y), bounds[2].max(*x), bounds[3].max(*y)]
    });
    // The casts saturate: what lies outside becomes an empty range.
    let [left, top] = [x1, y1].map(|low| (low - reach).floor() as usize);
    let [right, bottom] = [(x2, size[0]), (y2, size[1])].map(|(high, limit)| ((high + reach).ceil() as usize).min(limit));
    (left < right && top < bottom).then_some([left, top, right, bottom])
}

/// The columns where a line passes within `reach` rows of `y`, widened by `reach` on both sides.
fn columns_near([from, to]: [[f32; 2]; 2], y: f32, reach: f32) -> Range<usize> {
    let rise = to[1] - from[1];
    let share_at = |y: f32| if rise == 0.0 { 0.0 } else { ((y - from[1]) / rise).clamp(0.0, 1.0) };
    let shares = if rise == 0.0 { [0.0, 1.0] } else { [share_at(y - reach), share_at(y + reach)] };
    let [a, b] = shares.map(|share| from[0] + share * (to[0] - from[0]));
    (a.min(b) - reach).floor() as usize..(a.max(b) + reach).ceil() as usize
}

/// Opacity in 255ths.
fn weight(opacity: f32) -> u32 {
    (opacity * 255.0).round().clamp(0.0, 255.0) as u32
}

fn blend(pixel: &mut [u8], color: Color, weight: u32) {
    for (under, over) in pixel.iter_mut().zip(color) {
        *under = mix(*under, over, weight);
    }
}

/// What each of the 256 values becomes under this one.
fn blended_with(over: u8, weight: u32) -> [u8; 256] {
    let mut table = [0; 256];
    for (under, value) in (0..=u8::MAX).zip(&mut table) {
        *value = mix(under, over, weight);
    }
    table
}

fn mix(under: u8, over: u8, weight: u32) -> u8 {
    ((u32::from(under) * (255 - weight) + u32::from(over) * weight + 127) / 255) as u8
}
