//! Pictures to a classifier's input: Pillow's antialiased bilinear resize of the short side, then the centre (torchvision
//! `Resize`, `CenterCrop` and `ToTensor` on a Pillow picture), to the last bit.

use crate::{Error, ErrorKind, Result, RgbImage};

/// Pillow's fixed-point weights: 22 bits.
const PRECISION: u32 = 22;

/// The centre square of the picture, its short side scaled to `size`: planes R, G, B with values in 0..1.
///
/// # Errors
/// `InvalidArgument` for a size of 0.
pub fn center_crop(image: &RgbImage, size: usize) -> Result<Vec<f32>> {
    if size == 0 {
        return Err(Error::new(ErrorKind::InvalidArgument, "a picture cannot become 0 pixels wide"));
    }
    let long = |long: usize, short: usize| size * long / short;
    let (width, height) =
        if image.width <= image.height { (size, long(image.height, image.width)) } else { (long(image.width, image.height), size) };
    let resized = resize_bilinear(image, (width, height));
    let offset = |side: usize| ((side - size) as f64 / 2.0).round_ties_even() as usize;
    let (left, top) = (offset(width), offset(height));
    let mut planes = vec![0.0; 3 * size * size];
    for y in 0..size {
        let row = &resized.row(top + y)[3 * left..3 * (left + size)];
        for (x, pixel) in row.chunks_exact(3).enumerate() {
            for (channel, level) in pixel.iter().enumerate() {
                planes[(channel * size + y) * size + x] = f32::from(*level) / 255.0;
            }
        }
    }
    Ok(planes)
}

/// Pillow's `resize` with `BILINEAR`: a triangle filter as wide as the reduction, columns first, 8 bits in between.
pub fn resize_bilinear(image: &RgbImage, (width, height): (usize, usize)) -> RgbImage {
    let columns = filters(image.width, width);
    let mut narrow = Vec::with_capacity(width * image.height * 3);
    for y in 0..image.height {
        let row = image.row(y);
        for filter in &columns {
            for channel in 0..3 {
                let taps = filter.weights.iter().enumerate();
                narrow.push(rounded(taps.map(|(i, w)| w * i64::from(row[3 * (filter.first + i) + channel])).sum()));
            }
        }
    }
    let mut pixels = Vec::with_capacity(width * height * 3);
    let row_bytes = width * 3;
    let mut sums = vec![0_i64; row_bytes];
    for filter in filters(image.height, height) {
        sums.fill(0);
        for (i, weight) in filter.weights.iter().enumerate() {
            let row = &narrow[(filter.first + i) * row_bytes..][..row_bytes];
            sums.iter_mut().zip(row).for_each(|(sum, level)| *sum += weight * i64::from(*level));
        }
        pixels.extend(sums.iter().map(|sum| rounded(*sum)));
    }
    RgbImage { width, height, pixels }
}

fn rounded(sum: i64) -> u8 {
    ((sum + (1 << (PRECISION - 1))) >> PRECISION).clamp(0, 255) as u8
}

struct Filter {
    first: usize,
    weights: Vec<i64>,
}

fn filters(source: usize, target: usize) -> Vec<Filter> {
    if source == target {
        return (0..target).map(|first| Filter { first, weights: vec![1 << PRECISION] }).collect();
    }
    let scale = source as f64 / target as f64;
    let support = scale.max(1.0);
    (0..target)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(source);
            let raw: Vec<f64> = (first..end).map(|x| (1.0 - ((x as f64 - center + 0.5) / support).abs()).max(0.0)).collect();
            let total: f64 = raw.iter().sum();
            Filter { first, weights: raw.iter().map(|w| (w / total * f64::from(1 << PRECISION) + 0.5) as i64).collect() }
        })
        .collect()
}
