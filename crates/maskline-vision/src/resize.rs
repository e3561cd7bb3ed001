//! Resizing in 8 bits with a filter as wide as the reduction, one axis at a time, rounded to levels after each: to the last bit
//! as Pillow does it, and as PyTorch does on bytes.
//!
//! Both compute the same filters in double precision and then weigh in fixed point. They differ in the bits of the weights and
//! in the order of the axes, and so in a level here and there.

use std::ops::Range;

use crate::limits::{check_between, check_target};
use crate::{Error, Result, RgbImage};

/// The shape of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// A triangle, two pixels wide.
    Bilinear,
    /// Keys' cubic with a = -1/2, four pixels wide.
    Bicubic,
}

/// Whose fixed-point arithmetic is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Pillow's `Image.resize`: weights of 22 bits (`src/libImaging/Resample.c`).
    Pillow,
    /// PyTorch's `interpolate(antialias=True)` on uint8, which torchvision calls: weights of 16 bits with as much precision as
    /// the largest leaves (`aten/src/ATen/native/cpu/UpSampleKernel.cpp`).
    Torch,
}

/// A way of resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// The filter.
    pub kernel: Kernel,
    /// Its arithmetic.
    pub arithmetic: Arithmetic,
}

impl Resampling {
    /// Pillow's `BILINEAR`, of SAM 1 and its relatives.
    pub const PILLOW_BILINEAR: Self = Self { kernel: Kernel::Bilinear, arithmetic: Arithmetic::Pillow };
    /// Pillow's `BICUBIC`.
    pub const PILLOW_BICUBIC: Self = Self { kernel: Kernel::Bicubic, arithmetic: Arithmetic::Pillow };
    /// torchvision's `BILINEAR` on bytes, of SAM 3 and of SAM 2 in transformers.
    pub const TORCH_BILINEAR: Self = Self { kernel: Kernel::Bilinear, arithmetic: Arithmetic::Torch };
    /// torchvision's `BICUBIC` on bytes, of OWL-ViT in transformers.
    pub const TORCH_BICUBIC: Self = Self { kernel: Kernel::Bicubic, arithmetic: Arithmetic::Torch };
}

/// The picture at another size, `(width, height)`.
///
/// # Errors
/// `InvalidArgument` for a side of 0; `TooLarge` above [`MOST_TARGET_PIXELS`](crate::limits::MOST_TARGET_PIXELS), and for a picture too long and thin.
pub fn resize(image: &RgbImage, resampling: Resampling, size: (usize, usize)) -> Result<RgbImage> {
    let (width, height) = size;
    if width == 0 || height == 0 {
        let message = format!("a picture of {} x {} cannot become {width} x {height}", image.width(), image.height());
        return Err(Error::invalid(message));
    }
    check_target(width, height)?;
    let source = [image.width(), image.height()];
    let is_rows_first = rows_first(resampling, source, [width, height]);
    check_between(source, if is_rows_first { [image.width(), height] } else { [width, image.height()] })?;
    Ok(resize_part(image, resampling, size, Part { columns: 0..width, rows: 0..height }))
}

/// A part of the resized picture.
pub(crate) struct Part {
    pub(crate) columns: Range<usize>,
    pub(crate) rows: Range<usize>,
}

/// A part of the picture at another `size` (`(width, height)`), reading only what it needs. Sizes are checked by the caller.
pub(crate) fn resize_part(image: &RgbImage, resampling: Resampling, size: (usize, usize), part: Part) -> RgbImage {
    let (width, height) = size;
    let passes = Passes {
        columns: Filters::new(resampling, image.width(), width, part.columns),
        rows: Filters::new(resampling, image.height(), height, part.rows),
        rows_first: rows_first(resampling, [image.width(), image.height()], [width, height]),
    };
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the function's only requirement is the feature, which was just found.
        #[allow(unsafe_code)]
        return unsafe { both_passes_avx2(image, &passes) };
    }
    both_passes(image, &passes)
}

/// Pillow (since 12.3) begins with the rows where that leaves much less to do.
fn rows_first(resampling: Resampling, source: [usize; 2], target: [usize; 2]) -> bool {
    let lost = |axis: usize| source[axis].saturating_sub(target[axis]);
    resampling.arithmetic == Arithmetic::Pillow && lost(1) > 2 * lost(0)
}

/// [`both_passes`], compiled for wider vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn both_passes_avx2(image: &RgbImage, passes: &Passes) -> RgbImage {
    both_passes(image, passes)
}

#[inline(always)]
fn both_passes(image: &RgbImage, passes: &Passes) -> RgbImage {
    let Passes { columns, rows, rows_first } = passes;
    if *rows_first {
        return filter_columns(&filter_rows(image, rows, 0), columns, 0..rows.list.len());
    }
    let first = rows.list.iter().map(|filter| filter.first).min().unwrap_or(0);
    let end = rows.list.iter().map(|filter| filter.first + filter.weights.len()).max().unwrap_or(0);
    filter_rows(&filter_columns(image, columns, first..end), rows, first)
}

#[inline(always)]
fn filter_columns(image: &RgbImage, columns: &Filters, rows: Range<usize>) -> RgbImage {
    let (width, height) = (columns.list.len(), rows.len());
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in rows {
        let row = image.row(y);
        for filter in &columns.list {
            let mut sums = [columns.half(); 3];
            let taps = row[3 * filter.first..].chunks_exact(3);
            for (weight, pixel) in filter.weights.iter().zip(taps) {
                (0..3).for_each(|c| sums[c] += weight * i32::from(pixel[c]));
            }
            pixels.extend(sums.map(|sum| columns.level(sum)));
        }
    }
    RgbImage::whole(width, height, pixels)
}

/// The rows of an image that begins at row `first` of the picture.
#[inline(always)]
fn filter_rows(image: &RgbImage, rows: &Filters, first: usize) -> RgbImage {
    let mut pixels = Vec::with_capacity(3 * image.width() * rows.list.len());
    let mut sums = vec![0; 3 * image.width()];
    for filter in &rows.list {
        sums.fill(rows.half());
        for (i, weight) in filter.weights.iter().enumerate() {
            sums.iter_mut().zip(image.row(filter.first - first + i)).for_each(|(sum, level)| *sum += weight * i32::from(*level));
        }
        pixels.extend(sums.iter().map(|sum| rows.level(*sum)));
    }
    RgbImage::whole(image.width(), rows.list.len(), pixels)
}

/// The source pixels of one target pixel, and their weights.
struct Filter {
    first: usize,
    weights: Vec<i32>,
}

/// The filters of one axis.
struct Filters {
    list: Vec<Filter>,
    /// Bits after the point of the weights.
    precision: u32,
}

/// How a picture is resized: along the rows and down the columns, in one order or the other.
struct Passes {
    columns: Filters,
    rows: Filters,
    rows_first: bool,
}

/// Pillow's bits after the point. A sum of weighted bytes fits 32.
const PILLOW_PRECISION: u32 = 22;

impl Filters {
    /// Of some target pixels.
    fn new(resampling: Resampling, source: usize, target: usize, part: Range<usize>) -> Self {
        if source == target {
            let list = part.map(|first| Filter { first, weights: vec![1 << PILLOW_PRECISION] }).collect();
            return Self { list, precision: PILLOW_PRECISION };
        }
        let exact = |range: Range<usize>| range.map(|i| exact_weights(resampling.kernel, source, target, i));
        let precision = match resampling.arithmetic {
            Arithmetic::Pillow => PILLOW_PRECISION,
            // That of the whole axis, of which only a part may be wanted.
            Arithmetic::Torch => torch_precision(exact(0..target).flat_map(|(_, weights)| weights).fold(0.0, f64::max)),
        };
        let fixed = |weight: f64| (weight * f64::from(1_u32 << precision) + 0.5_f64.copysign(weight)) as i32;
        let list = exact(part).map(|(first, weights)| Filter { first, weights: weights.into_iter().map(fixed).collect() });
        Self { list: list.collect(), precision }
    }

    #[inline(always)]
    fn half(&self) -> i32 {
        1 << (self.precision - 1)
    }

    #[inline(always)]
    fn level(&self, sum: i32) -> u8 {
        (sum >> self.precision).clamp(0, 255) as u8
    }
}

/// The filters of an axis, in f32: of each target pixel the first source pixel, and the weights from there on.
pub(crate) fn exact_filters(kernel: Kernel, source: usize, target: usize) -> Vec<(usize, Vec<f32>)> {
    if source == target {
        return (0..target).map(|place| (place, vec![1.0])).collect();
    }
    let narrowed = |(first, weights): (usize, Vec<f64>)| (first, weights.into_iter().map(|weight| weight as f32).collect());
    (0..target).map(|place| narrowed(exact_weights(kernel, source, target, place))).collect()
}

/// The first source pixel of target pixel `i`, and the weights from there on; their sum is 1.
fn exact_weights(kernel: Kernel, source: usize, target: usize, i: usize) -> (usize, Vec<f64>) {
    let scale = source as f64 / target as f64;
    let stretch = scale.max(1.0);
    let (center, support, shrink) = ((i as f64 + 0.5) * scale, kernel.support() * stretch, 1.0 / stretch);
    let first = (center - support + 0.5).max(0.0) as usize;
    let end = ((center + support + 0.5) as usize).min(source);
    let mut weights: Vec<f64> = (first..end).map(|x| kernel.at((x as f64 - center + 0.5) * shrink)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= total);
    (first, weights)
}

/// The most bits after the point with which the largest weight fits 16.
fn torch_precision(largest: f64) -> u32 {
    let fits = |bits: &u32| ((0.5 + largest * f64::from(1_u32 << bits)) as i64) < 1 << 15;
    (1..=PILLOW_PRECISION).take_while(fits).last().unwrap_or(1)
}

impl Kernel {
    /// Half the width, in pixels.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}
