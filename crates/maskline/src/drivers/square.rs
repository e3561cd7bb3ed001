//! Pictures brought to the square inputs of networks.

use maskline_models::{Normalise, Preprocess};
use maskline_vision::RgbImage;
use maskline_vision::fit::{self, SquareFilter, Target, longest_side, padded_square, stretch, stretch_levels};
use maskline_vision::resize::Resampling;

use crate::{Error, ErrorKind, Result, limits};

/// Brings a picture to the network's input: f32 [3, side, side].
///
/// # Errors
/// `BadInput` for a picture too thin for it, `OverLimit` for an input beyond all memory.
pub(in crate::drivers) fn fit(image: &RgbImage, side: usize, preprocess: &Preprocess) -> Result<Vec<f32>> {
    let mut values = vec![0.0; limits::input_length([1, side, side])?];
    let target = |Normalise { mean, std }: &Normalise| Target { frame: [side, side], normalise: fit::Normalise { mean: *mean, std: *std } };
    let out = &mut values;
    match preprocess {
        Preprocess::Stretch(statistics) => stretch(image, target(statistics), out),
        Preprocess::LongestSide(statistics) => longest_side(image, side, target(statistics), out).map(|_| ()),
        Preprocess::StretchLevels(statistics) => stretch_levels(image, target(statistics), Resampling::TORCH_BICUBIC, out),
        Preprocess::StretchLevelsLinear(statistics) => stretch_levels(image, target(statistics), Resampling::TORCH_BILINEAR, out),
        Preprocess::PaddedSquare(statistics) => padded_square(image, target(statistics), SquareFilter::Torchvision, out),
        other => return Err(Error::new(ErrorKind::Failed, format!("no square is made of a picture by {other:?}"))),
    }
    .map_err(Error::of_picture)?;
    Ok(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A step from level 64 to level 192, enlarged: values in levels.
    fn enlarged(preprocess: fn(Normalise) -> Preprocess) -> Vec<f32> {
        let step = RgbImage::new(4, 1, [[64; 6], [192; 6]].concat()).unwrap();
        let plain = Normalise { mean: [0.0; 3], std: [1.0; 3] };
        fit(&step, 16, &preprocess(plain)).unwrap().into_iter().map(|value| 255.0 * value).collect()
    }

    #[test]
    fn each_way_to_a_stretched_square_has_its_filter() {
        let in_levels = |values: &[f32]| values.iter().all(|value| (value - value.round()).abs() < 1e-3);
        let overshoots = |values: &[f32]| values.iter().any(|value| !(63.5..192.5).contains(value));
        let [linear, cubic, floats] = [Preprocess::StretchLevelsLinear, Preprocess::StretchLevels, Preprocess::Stretch].map(enlarged);
        assert!(in_levels(&linear) && !overshoots(&linear), "{linear:?}");
        assert!(in_levels(&cubic) && overshoots(&cubic), "{cubic:?}");
        // The same filter, but for rounding to levels.
        assert!(linear.iter().zip(&floats).all(|(a, b)| (a - b).abs() <= 0.5 + 1e-3), "{floats:?}");
    }
}
