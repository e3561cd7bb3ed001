//! Resampling as two matrices, for who multiplies better than he filters.

use super::filters::{Filters, SquareFilter};
use super::{check_taps, longest_side_size};
use crate::Result;
use crate::resize::{Resampling, exact_filters};

/// How a picture becomes the square input of a network, see the functions of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// [`stretch`](super::stretch).
    Stretch,
    /// [`stretch_levels`](super::stretch_levels).
    StretchLevels(Resampling),
    /// [`longest_side`](super::longest_side), with the side of the square.
    LongestSide,
    /// [`padded_square`](super::padded_square).
    PaddedSquare(SquareFilter),
}

/// A picture's rows and columns as sums of which the square's are made. Pass by pass this gives what the filters give: of
/// [`Way::Stretch`] and [`Way::PaddedSquare`] but for the order of summing; of the others, whose weights have few bits where they filter bytes,
/// and which are to be rounded to levels after each pass, but for a level where two are nearly as near.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// [columns of the picture, side], row-major.
    pub across: Vec<f32>,
    /// [side, rows of the picture].
    pub down: Vec<f32>,
}

impl Sampling {
    /// Of a picture of `[width, height]` to a square of a side.
    ///
    /// # Errors
    /// `InvalidArgument` for a side of 0, and for a picture too thin for it; `TooLarge` for a picture too long and thin.
    pub fn of([width, height]: [usize; 2], side: usize, way: Way) -> Result<Self> {
        super::check_frame([side; 2], 3 * side * side)?;
        let dense = |source: usize, filters: &mut dyn Iterator<Item = (usize, Vec<f32>)>| {
            let mut rows = vec![0.0; side * source];
            for (row, (first, weights)) in rows.chunks_exact_mut(source.max(1)).zip(filters) {
                row[first..][..weights.len()].copy_from_slice(&weights);
            }
            rows
        };
        let owned = |filters: Filters| filters.iter().map(|(first, weights)| (first, weights.to_vec())).collect::<Vec<_>>();
        let axis = |source: usize, kept: usize| match way {
            Way::Stretch => owned(Filters::antialiased(source, side)),
            Way::PaddedSquare(filter) => owned(Filters::padded(filter, source, width.max(height), side)),
            Way::StretchLevels(resampling) => exact_filters(resampling.kernel, source, side),
            Way::LongestSide => exact_filters(Resampling::PILLOW_BILINEAR.kernel, source, kept),
        };
        let [kept_rows, kept_columns] = match way {
            Way::LongestSide => longest_side_size([height, width], side)?,
            _ => [side; 2],
        };
        match way {
            Way::PaddedSquare(_) => check_taps([width.max(height); 2], [side; 2])?,
            _ => check_taps([width, height], [kept_columns, kept_rows])?,
        }
        let down = dense(height, &mut axis(height, kept_rows).into_iter());
        let columns = dense(width, &mut axis(width, kept_columns).into_iter());
        let across = (0..width * side).map(|at| columns[at % side * width + at / side]).collect();
        Ok(Self { across, down })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::fit::{Normalise, Target, longest_side, padded_square, stretch, stretch_levels};
    use crate::{Error, RgbImage};

    const SIDE: usize = 40;
    /// Values are levels, and 0 is 0.
    const PLAIN: Normalise = Normalise { mean: [0.0; 3], std: [1.0 / 255.0; 3] };

    /// The picture by matrices, rounded after each pass where that is wished: [3, side, side].
    fn multiplied(image: &RgbImage, way: Way, is_rounded: bool) -> Vec<f32> {
        let (width, height) = (image.width(), image.height());
        let Sampling { across, down } = Sampling::of([width, height], SIDE, way).unwrap();
        let round = |value: f32| if is_rounded { (value + 0.5).floor().clamp(0.0, 255.0) } else { value };
        let mut out = Vec::new();
        for channel in 0..3 {
            let level = |y: usize, x: usize| f32::from(image.row(y)[3 * x + channel]);
            let narrow = |y: usize, column: usize| round((0..width).map(|x| level(y, x) * across[x * SIDE + column]).sum());
            let narrow: Vec<f32> = (0..height * SIDE).map(|at| narrow(at / SIDE, at % SIDE)).collect();
            let value = |row: usize, column: usize| round((0..height).map(|y| down[row * height + y] * narrow[y * SIDE + column]).sum());
            out.extend((0..SIDE * SIDE).map(|at| value(at / SIDE, at % SIDE)));
        }
        out
    }

    fn filtered(make: impl Fn(Target, &mut [f32]) -> Result<(), Error>) -> Vec<f32> {
        let mut out = vec![0.0; 3 * SIDE * SIDE];
        make(Target { frame: [SIDE; 2], normalise: PLAIN }, &mut out).unwrap();
        out
    }

    fn apart(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn products_give_what_filters_give() {
        for (width, height) in [(97, 61), (23, 31), (40, 40), (200, 7)] {
            let noise = |at: usize| ((at * 7919 + at / 13 * 31) % 256) as u8;
            let image = RgbImage::new(width, height, (0..width * height * 3).map(noise).collect()).unwrap();
            let expected = filtered(|target, out| stretch(&image, target, out));
            assert!(apart(&multiplied(&image, Way::Stretch, false), &expected) < 1e-2, "{width} x {height}");
            let square = SquareFilter::Torchvision;
            let expected = filtered(|target, out| padded_square(&image, target, square, out));
            assert!(apart(&multiplied(&image, Way::PaddedSquare(square), false), &expected) < 1e-2, "{width} x {height}");
            for resampling in [Resampling::TORCH_BILINEAR, Resampling::TORCH_BICUBIC, Resampling::PILLOW_BICUBIC] {
                let expected = filtered(|target, out| stretch_levels(&image, target, resampling, out));
                let found = multiplied(&image, Way::StretchLevels(resampling), true);
                assert!(apart(&found, &expected) < 1.5, "{width} x {height} {resampling:?}");
                let different = found.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > 0.5).count();
                assert!(different * 50 < found.len(), "{different} of {} levels, {width} x {height} {resampling:?}", found.len());
            }
            let expected = filtered(|target, out| longest_side(&image, SIDE, target, out).map(drop));
            assert!(apart(&multiplied(&image, Way::LongestSide, true), &expected) < 1.5, "{width} x {height}");
        }
    }

    #[test]
    fn what_cannot_be_resampled_is_refused() {
        assert!(Sampling::of([10, 10], 0, Way::Stretch).is_err());
        assert!(Sampling::of([10_000, 1], 40, Way::LongestSide).is_err());
    }
}
