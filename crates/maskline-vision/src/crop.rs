//! Pictures to a classifier's input: Pillow's antialiased bilinear resize of the short side, then the centre (torchvision
//! `Resize`, `CenterCrop` and `ToTensor` on a Pillow picture), to the last bit.

use std::ops::Range;

use crate::{Error, ErrorKind, Result, RgbImage};

/// Pillow's fixed-point weights: 22 bits. A sum of weighted bytes fits 32.
const PRECISION: u32 = 22;
const HALF: i32 = 1 << (PRECISION - 1);

/// The centre square of the picture, its short side scaled to `size`: planes R, G, B with values in 0..1.
///
/// # Errors
/// `InvalidArgument` for a size of 0.
pub fn center_crop(image: &RgbImage, size: usize) -> Result<Vec<f32>> {
    if size == 0 {
        return Err(Error::new(ErrorKind::InvalidArgument, "a picture cannot become 0 pixels wide"));
    }
    let short = image.width.min(image.height);
    let resized = [image.width, image.height].map(|side| size * side / short);
    let [columns, rows] = resized.map(|side| {
        let offset = ((side - size) as f64 / 2.0).round_ties_even() as usize;
        offset..offset + size
    });
    let crop = resize_part(image, (resized[0], resized[1]), (columns, rows));
    let mut planes = Vec::with_capacity(3 * size * size);
    for channel in 0..3 {
        planes.extend(crop.pixels.chunks_exact(3).map(|pixel| f32::from(pixel[channel]) / 255.0));
    }
    Ok(planes)
}

/// Pillow's `resize` with `BILINEAR`: a triangle filter as wide as the reduction, one axis at a time, 8 bits in between.
pub fn resize_bilinear(image: &RgbImage, (width, height): (usize, usize)) -> RgbImage {
    resize_part(image, (width, height), (0..width, 0..height))
}

/// The given columns and rows of the resized picture, reading only what they need.
fn resize_part(image: &RgbImage, (width, height): (usize, usize), (columns, rows): (Range<usize>, Range<usize>)) -> RgbImage {
    let (columns, rows) = (filters((image.width, width), columns), filters((image.height, height), rows));
    // Pillow (since 12.3) begins with the rows where that leaves much less to do.
    let lost = |from: usize, to: usize| from.saturating_sub(to);
    let rows_first = lost(image.height, height) > 2 * lost(image.width, width);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the function's only requirement is the feature, which was just found.
        #[allow(unsafe_code)]
        return unsafe { both_passes_avx2(image, (&columns, &rows), rows_first) };
    }
    both_passes(image, (&columns, &rows), rows_first)
}

/// [`both_passes`], compiled for wider vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn both_passes_avx2(image: &RgbImage, filters: (&[Filter], &[Filter]), rows_first: bool) -> RgbImage {
    both_passes(image, filters, rows_first)
}

#[inline(always)]
fn both_passes(image: &RgbImage, (columns, rows): (&[Filter], &[Filter]), rows_first: bool) -> RgbImage {
    if rows_first {
        return filter_columns(&filter_rows(image, rows), columns, 0..rows.len());
    }
    let first = rows.iter().map(|filter| filter.first).min().unwrap_or(0);
    let end = rows.iter().map(|filter| filter.first + filter.weights.len()).max().unwrap_or(0);
    let shifted: Vec<Filter> = rows.iter().map(|filter| Filter { first: filter.first - first, ..filter.clone() }).collect();
    filter_rows(&filter_columns(image, columns, first..end), &shifted)
}

#[inline(always)]
fn filter_columns(image: &RgbImage, columns: &[Filter], rows: Range<usize>) -> RgbImage {
    let (width, height) = (columns.len(), rows.len());
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in rows {
        let row = image.row(y);
        for filter in columns {
            let mut sums = [HALF; 3];
            let taps = row[3 * filter.first..].chunks_exact(3);
            for (weight, pixel) in filter.weights.iter().zip(taps) {
                (0..3).for_each(|c| sums[c] += weight * i32::from(pixel[c]));
            }
            pixels.extend(sums.map(level));
        }
    }
    RgbImage { width, height, pixels }
}

#[inline(always)]
fn filter_rows(image: &RgbImage, rows: &[Filter]) -> RgbImage {
    let mut pixels = Vec::with_capacity(3 * image.width * rows.len());
    let mut sums = vec![0; 3 * image.width];
    for filter in rows {
        sums.fill(HALF);
        for (i, weight) in filter.weights.iter().enumerate() {
            sums.iter_mut().zip(image.row(filter.first + i)).for_each(|(sum, level)| *sum += weight * i32::from(*level));
        }
        pixels.extend(sums.iter().map(|sum| level(*sum)));
    }
    RgbImage { width: image.width, height: rows.len(), pixels }
}

fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The source pixels of one target pixel, and their weights.
#[derive(Debug, Clone)]
struct Filter {
    first: usize,
    weights: Vec<i32>,
}

/// The filters of some target pixels along one axis.
fn filters((source, target): (usize, usize), part: Range<usize>) -> Vec<Filter> {
    if source == target {
        return part.map(|first| Filter { first, weights: vec![1 << PRECISION] }).collect();
    }
    let scale = source as f64 / target as f64;
    let support = scale.max(1.0);
    part.map(|i| {
        let center = (i as f64 + 0.5) * scale;
        let first = (center - support + 0.5).max(0.0) as usize;
        let end = ((center + support + 0.5) as usize).min(source);
        let raw: Vec<f64> = (first..end).map(|x| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0)).collect();
        let total: f64 = raw.iter().sum();
        Filter { first, weights: raw.iter().map(|w| (w / total * f64::from(1 << PRECISION) + 0.5) as i32).collect() }
    })
    .collect()
}
