//! Separable filters on floats, from bytes to normalised planes.
//!
//! Each source row is widened to floats and filtered once, as vectors of R, G, B (and what follows); rows that a target row
//! needs wait in a ring, as planes, where the second pass is plain arithmetic over slices.

use super::Normalise;
use super::filters::{Filters, Separable};
use crate::RgbImage;

/// Fills `out`, planes R, G, B of what the filters of the columns and rows give; all sizes are checked by the caller.
pub(super) fn stretch(image: &RgbImage, filters: &Separable, normalise: &Normalise, out: &mut [f32]) {
    let Separable { columns, rows } = filters;
    let (width, height) = (columns.firsts.len(), rows.firsts.len());
    // Levels are 255 times as large as the pixels that the normalisation is for.
    let gains = normalise.std.map(|std| 1.0 / (255.0 * std));
    let offsets = [0, 1, 2].map(|channel| -normalise.mean[channel] / normalise.std[channel]);

    let mut ring = vec![0.0; rows.taps * 3 * width];
    let mut levels = vec![0.0; 3 * image.width() + 1];
    let mut filtered = 0;
    let plane = height * width;
    for (y, (first, weights)) in rows.iter().enumerate() {
        // What lies above the first row of the filter is not needed by any later one either.
        for source in filtered.max(first)..first + rows.taps {
            widen(image.row(source), &mut levels);
            filter_row(&levels, columns, &mut ring[source % rows.taps * 3 * width..][..3 * width]);
        }
        filtered = first + rows.taps;
        for channel in 0..3 {
            let sources = (first..first + rows.taps).map(|row| &ring[(row % rows.taps * 3 + channel) * width..][..width]);
            let target = &mut out[channel * plane + y * width..][..width];
            blend_rows(sources.zip(weights), target);
            let (gain, offset) = (gains[channel], offsets[channel]);
            target.iter_mut().for_each(|value| *value = *value * gain + offset);
        }
    }
}

fn widen(bytes: &[u8], levels: &mut [f32]) {
    levels.iter_mut().zip(bytes).for_each(|(level, byte)| *level = f32::from(*byte));
}

/// One row of pixels to three rows of the new width.
fn filter_row(levels: &[f32], columns: &Filters, out: &mut [f32]) {
    match columns.taps {
        2 => filter_row_of::<2>(levels, columns, out),
        3 => filter_row_of::<3>(levels, columns, out),
        4 => filter_row_of::<4>(levels, columns, out),
        5 => filter_row_of::<5>(levels, columns, out),
        6 => filter_row_of::<6>(levels, columns, out),
        _ => filter_row_by(levels, columns, out, weigh),
    }
}

/// [`filter_row`] with the loop over the taps unrolled: most pictures need few.
fn filter_row_of<const TAPS: usize>(levels: &[f32], columns: &Filters, out: &mut [f32]) {
    filter_row_by(levels, columns, out, |taps, weights| match weights.first_chunk::<TAPS>() {
        Some(weights) => weigh(&taps[..3 * TAPS + 1], weights),
        None => weigh(taps, weights),
    });
}

#[inline(always)]
fn filter_row_by(levels: &[f32], columns: &Filters, out: &mut [f32], weigh: impl Fn(&[f32], &[f32]) -> [f32; 4]) {
    let (red, rest) = out.split_at_mut(columns.firsts.len());
    let (green, blue) = rest.split_at_mut(columns.firsts.len());
    for ((((first, weights), red), green), blue) in columns.iter().zip(red).zip(green).zip(blue) {
        [*red, *green, *blue, _] = weigh(&levels[3 * first..][..3 * columns.taps + 1], weights);
    }
}

/// The weighted sum of the pixels; the fourth lane is the next pixel's and means nothing.
#[inline(always)]
fn weigh(taps: &[f32], weights: &[f32]) -> [f32; 4] {
    let mut sums = [0.0; 4];
    for (k, weight) in weights.iter().enumerate() {
        let pixel = &taps[3 * k..][..4];
        (0..4).for_each(|lane| sums[lane] += weight * pixel[lane]);
    }
    sums
}

fn blend_rows<'a>(mut sources: impl Iterator<Item = (&'a [f32], &'a f32)>, target: &mut [f32]) {
    if let Some((row, weight)) = sources.next() {
        target.iter_mut().zip(row).for_each(|(sum, value)| *sum = weight * value);
    }
    for (row, weight) in sources {
        target.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
    }
}
