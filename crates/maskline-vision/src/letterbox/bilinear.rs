//! OpenCV's `INTER_LINEAR` on 8 bits, to the last bit: rows are stretched to the new width in fixed point, then two of them are
//! blended.
//!
//! A row in between has four 16-bit slots per pixel (R, G, B and nothing): what one vector shuffle makes of six source bytes.

use std::ops::Range;

use crate::RgbImage;

/// OpenCV's fixed-point weights: 11 bits.
const ONE: f32 = 2048.0;

type Slots = [i16; 4];

/// Where three planes of floats take a resized picture.
pub(super) struct Planes<'a> {
    /// R, G, B.
    pub(super) planes: [&'a mut [f32]; 3],
    /// Values per row of a plane.
    pub(super) width: usize,
    /// Place of the resized picture in a plane: its first column and row.
    pub(super) origin: (usize, usize),
}

/// Resizes into planes of values in 0..1.
pub(super) fn resize_to_planes(image: &RgbImage, size: (usize, usize), out: &mut Planes) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the function's only requirement is the feature, which was just found.
        #[allow(unsafe_code)]
        return unsafe { avx2::resize_to_planes(image, size, out) };
    }
    fill_planes(Resizer::new(image, size), out, stretch);
}

/// Resizes to interleaved R, G, B.
pub(super) fn resize_to_rows(image: &RgbImage, size: (usize, usize), mut row: impl FnMut(usize, &[[u8; 4]])) {
    let mut resizer = Resizer::new(image, size);
    for y in 0..size.1 {
        row(y, resizer.row(y, stretch));
    }
}

#[inline(always)]
fn fill_planes(mut resizer: Resizer, out: &mut Planes, stretch: impl Fn(&[u8], &[Column], &mut [Slots])) {
    let (left, top) = out.origin;
    let [red, green, blue] = &mut out.planes;
    for y in 0..resizer.rows.len() {
        let levels = resizer.row(y, &stretch);
        let start = (top + y) * out.width + left;
        let span: Range<usize> = start..start + levels.len();
        let (red, green, blue) = (&mut red[span.clone()], &mut green[span.clone()], &mut blue[span]);
        for (((slots, red), green), blue) in levels.iter().zip(red).zip(green).zip(blue) {
            // Bytes of one word rather than of an array: this is the form that becomes vector code.
            let word = u32::from_le_bytes(*slots);
            let value = |shift: u32| over_255(((word >> shift) & 0xff) as f32);
            (*red, *green, *blue) = (value(0), value(8), value(16));
        }
    }
}

/// `level / 255` of a whole level below 256, to the last bit and without the division: 257/65536 of a level is exact, and what
/// it lacks is added.
#[inline(always)]
fn over_255(level: f32) -> f32 {
    const MOST: f64 = 257.0 / 65536.0;
    const REST: f64 = 1.0 / 255.0 - MOST;
    level * MOST as f32 + level * REST as f32
}

/// A target column: the byte offset of its left source pixel, and the weights of that and the next.
#[derive(Debug, Clone, Copy)]
struct Column {
    first: usize,
    weights: [i16; 2],
}

/// A target row: its upper and lower source row, and their weights.
#[derive(Debug, Clone, Copy)]
struct Row {
    sources: [usize; 2],
    weights: [i16; 2],
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Blend {
    /// No change of size: the upper row as it is.
    Copy,
    /// Exactly half on both axes, where OpenCV averages four pixels.
    Half,
    Linear,
}

struct Resizer<'a> {
    image: &'a RgbImage,
    columns: Vec<Column>,
    rows: Vec<Row>,
    blend: Blend,
    /// Two stretched rows, and which source rows they are.
    stretched: [Vec<Slots>; 2],
    held: [Option<usize>; 2],
    levels: Vec<[u8; 4]>,
}

impl<'a> Resizer<'a> {
    fn new(image: &'a RgbImage, size: (usize, usize)) -> Self {
        let (width, height) = size;
        // Stretching drops 4 bits: 16 is a weight of one.
        let whole = |index: usize, step: usize, weights| Column { first: 3 * step * index, weights };
        let (blend, columns, rows) = if (image.width(), image.height()) == (width, height) {
            let rows = (0..height).map(|y| Row { sources: [y, y], weights: [0; 2] }).collect();
            (Blend::Copy, (0..width).map(|x| whole(x, 1, [16, 0])).collect(), rows)
        } else if (image.width(), image.height()) == (2 * width, 2 * height) {
            let rows = (0..height).map(|y| Row { sources: [2 * y, 2 * y + 1], weights: [0; 2] }).collect();
            (Blend::Half, (0..width).map(|x| whole(x, 2, [16, 16])).collect(), rows)
        } else {
            (Blend::Linear, linear_columns(image.width(), width), linear_rows(image.height(), height))
        };
        let stretched = [vec![[0; 4]; width], vec![[0; 4]; width]];
        Self { image, columns, rows, blend, stretched, held: [None; 2], levels: vec![[0; 4]; width] }
    }

    /// Row `y` of the result.
    #[inline(always)]
    fn row(&mut self, y: usize, stretch: impl Fn(&[u8], &[Column], &mut [Slots])) -> &[[u8; 4]] {
        let Row { sources: [upper, lower], weights: [b0, b1] } = self.rows[y];
        let upper_slot = self.hold(upper, lower, &stretch);
        let lower_slot = self.hold(lower, upper, &stretch);
        let (upper, lower) = (self.stretched[upper_slot].as_flattened(), self.stretched[lower_slot].as_flattened());
        let pairs = self.levels.as_flattened_mut().iter_mut().zip(upper.iter().zip(lower));
        match self.blend {
            Blend::Copy => pairs.for_each(|(level, (a, _))| *level = *a as u8),
            Blend::Half => pairs.for_each(|(level, (a, b))| *level = ((a + b + 2) >> 2) as u8),
            Blend::Linear => {
                // Both products are rounded down before they are added; so are OpenCV's.
                let weighted = |weight: i16, value: i16| ((i32::from(weight) * i32::from(value)) >> 16) as i16;
                pairs.for_each(|(level, (a, b))| *level = ((weighted(b0, *a) + weighted(b1, *b) + 2) >> 2) as u8);
            }
        }
        &self.levels
    }

    /// The slot that holds source row `row` stretched, without giving up the one that holds `keep`.
    #[inline(always)]
    fn hold(&mut self, row: usize, keep: usize, stretch: impl Fn(&[u8], &[Column], &mut [Slots])) -> usize {
        if let Some(slot) = self.held.iter().position(|held| *held == Some(row)) {
            return slot;
        }
        let slot = usize::from(self.held[0] == Some(keep));
        stretch(self.image.row(row), &self.columns, &mut self.stretched[slot]);
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

fn weights(fraction: f32) -> [i16; 2] {
    [1.0 - fraction, fraction].map(|weight| (weight * ONE).round_ties_even() as i16)
}

/// Columns beyond the border take the border pixel with full weight.
fn linear_columns(source: usize, target: usize) -> Vec<Column> {
    let scale = 1.0 / (target as f64 / source as f64);
    let last = source as i64 - 1;
    (0..target)
        .map(|x| match position(x, scale) {
            (whole, _) if whole < 0 => Column { first: 0, weights: weights(0.0) },
            (whole, _) if whole >= last => Column { first: 3 * last as usize, weights: weights(0.0) },
            (whole, fraction) => Column { first: 3 * whole as usize, weights: weights(fraction) },
        })
        .collect()
}

/// Rows beyond the border are the border row, but keep their weights (and the rounding of both products).
fn linear_rows(source: usize, target: usize) -> Vec<Row> {
    let scale = 1.0 / (target as f64 / source as f64);
    let last = source as i64 - 1;
    (0..target)
        .map(|y| {
            let (whole, fraction) = position(y, scale);
            Row { sources: [whole, whole + 1].map(|row| row.clamp(0, last) as usize), weights: weights(fraction) }
        })
        .collect()
}

/// Weights the two source pixels of each column; 15 bits stay.
fn stretch(source: &[u8], columns: &[Column], out: &mut [Slots]) {
    for (Column { first, weights: [w0, w1] }, slots) in columns.iter().zip(out) {
        let (left, right) = (&source[*first..first + 3], source.get(first + 3..first + 6).unwrap_or(&[0; 3]));
        let mix = |c: usize| ((i32::from(left[c]) * i32::from(*w0) + i32::from(right[c]) * i32::from(*w1)) >> 4) as i16;
        *slots = [mix(0), mix(1), mix(2), 0];
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        _mm_cvtsi64_si128, _mm_madd_epi16, _mm_packs_epi32, _mm_set1_epi32, _mm_setr_epi8, _mm_shuffle_epi8, _mm_srai_epi32,
    };

    use super::{Column, Planes, Resizer, RgbImage, Slots, fill_planes};

    #[target_feature(enable = "avx2")]
    pub(super) fn resize_to_planes(image: &RgbImage, size: (usize, usize), out: &mut Planes) {
        fill_planes(Resizer::new(image, size), out, |source, columns, out| stretch(source, columns, out));
    }

    /// [`super::stretch`], a pixel per instruction: eight bytes are loaded, six used, and each channel's two multiplied and added.
    #[target_feature(enable = "avx2")]
    fn stretch(source: &[u8], columns: &[Column], out: &mut [Slots]) {
        let pixel = |column: &Column| {
            let bytes = source.get(column.first..column.first + 8)?;
            let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(bytes.try_into().ok()?));
            let zero = -1;
            let pairs = _mm_setr_epi8(0, zero, 3, zero, 1, zero, 4, zero, 2, zero, 5, zero, zero, zero, zero, zero);
            let weights = i32::from(column.weights[0]) | (i32::from(column.weights[1]) << 16);
            Some(_mm_srai_epi32::<4>(_mm_madd_epi16(_mm_shuffle_epi8(bytes, pairs), _mm_set1_epi32(weights))))
        };
        let mut done = 0;
        for (columns, out) in columns.chunks_exact(2).zip(out.chunks_exact_mut(2)) {
            let (Some(first), Some(second)) = (pixel(&columns[0]), pixel(&columns[1])) else { break };
            out.copy_from_slice(&bytemuck::cast::<_, [Slots; 2]>(_mm_packs_epi32(first, second)));
            done += 2;
        }
        // The last pixels of the row have no eight bytes.
        super::stretch(source, &columns[done..], &mut out[done..]);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn levels_become_what_division_gives() {
        for level in 0..=255_u8 {
            assert_eq!(super::over_255(f32::from(level)), f32::from(level) / 255.0);
        }
    }
}
