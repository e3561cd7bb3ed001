//! Pictures to the input of SAM-like models: stretched to the frame (SAM 2, SAM 3, OWL-ViT), scaled by the longest side into its
//! top left corner (SAM 1, MobileSAM, EfficientViT-SAM), or padded to a square (OWLv2).

mod filters;
mod sampling;
mod stretch;

use crate::limits::{check_between, check_target};
use crate::resize::{Resampling, resize};
use crate::{Error, Result, RgbImage};
use filters::{Filters, Separable};

pub use filters::SquareFilter;
pub use sampling::{Sampling, Way};

/// Mean and standard deviation of each channel (R, G, B), of pixels in 0..1: a pixel becomes `(pixel - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalise {
    /// What is subtracted.
    pub mean: [f32; 3],
    /// What the rest is divided by.
    pub std: [f32; 3],
}

impl Normalise {
    /// Statistics of ImageNet. SAM's 123.675, 116.28, 103.53 and 58.395, 57.12, 57.375 are these in levels of 0..255.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
    /// Statistics of CLIP's pictures (OWL-ViT, OWLv2).
    pub const CLIP: Self = Self { mean: [0.481_454_66, 0.457_827_5, 0.408_210_73], std: [0.268_629_54, 0.261_302_6, 0.275_777_1] };
    /// From -1 to 1 (SAM 3).
    pub const SIGNED: Self = Self { mean: [0.5; 3], std: [0.5; 3] };

    fn check(&self) -> Result<()> {
        let is_usable = self.mean.iter().all(|mean| mean.is_finite()) && self.std.iter().all(|std| std.is_finite() && *std > 0.0);
        if is_usable {
            return Ok(());
        }
        let error = Error::invalid("normalisation").with_expected("finite means and deviations above 0");
        Err(error.with_found(format!("{:?} and {:?}", self.mean, self.std)))
    }
}

/// What a picture becomes: the size of the network's input, and its statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// `[height, width]` of the input.
    pub frame: [usize; 2],
    /// Of its pixels.
    pub normalise: Normalise,
}

/// The picture stretched to the target's frame, its aspect given up: the preprocessing of SAM 2
/// (`sam2/utils/transforms.py`, `SAM2Transforms`).
///
/// The antialiased bilinear resize of torchvision on a tensor of floats: a triangle filter as wide as the reduction, along the
/// rows and then down the columns, nothing rounded to levels in between. `out` takes f32 `[3, height, width]`, within rounding
/// (about 1e-6) of the official values.
///
/// # Errors
/// `InvalidArgument` for a frame with a zero side, an `out` of another size, or an unusable normalisation; `TooLarge` for a frame above
/// [`MOST_TARGET_PIXELS`](crate::limits::MOST_TARGET_PIXELS), and for a picture too long and thin.
pub fn stretch(image: &RgbImage, target: Target, out: &mut [f32]) -> Result<()> {
    let Target { frame, normalise } = target;
    check_frame(frame, out.len())?;
    normalise.check()?;
    check_taps([image.width(), image.height()], [frame[1], frame[0]])?;
    let columns = Filters::antialiased(image.width(), frame[1]);
    let rows = Filters::antialiased(image.height(), frame[0]);
    stretch::stretch(image, &Separable { columns, rows }, &normalise, out);
    Ok(())
}

/// The picture stretched to the target's frame in 8 bits, then normalised: the preprocessing of SAM 3 and, unlike the
/// official one, of SAM 2 in transformers ([`Resampling::TORCH_BILINEAR`]; apart from [`stretch`] by up to a level), and of
/// OWL-ViT ([`Resampling::TORCH_BICUBIC`], or [`Resampling::PILLOW_BICUBIC`] without torchvision). `out` as for [`stretch`].
///
/// # Errors
/// As [`stretch`].
pub fn stretch_levels(image: &RgbImage, target: Target, resampling: Resampling, out: &mut [f32]) -> Result<()> {
    let Target { frame, normalise } = target;
    check_frame(frame, out.len())?;
    normalise.check()?;
    place(&resize(image, resampling, (frame[1], frame[0]))?, frame[1], &normalise, out);
    Ok(())
}

/// The picture in the top left corner of a black square, resized to the target's frame, a square too, without rounding to levels: the preprocessing of
/// OWLv2 in transformers (`Owlv2ImageProcessor`). The border is normalised like the picture. `out` takes f32
/// `[3, side, side]`.
///
/// A square that becomes smaller is blurred before, by half of what its pixels grow.
///
/// # Errors
/// As [`stretch`], and `InvalidArgument` for a frame that is no square.
pub fn padded_square(image: &RgbImage, target: Target, filter: SquareFilter, out: &mut [f32]) -> Result<()> {
    let Target { frame: [side, width], normalise } = target;
    if side != width {
        return Err(Error::invalid("frame").with_expected("a square").with_found(format!("{width} x {side}")));
    }
    check_frame([side; 2], out.len())?;
    normalise.check()?;
    let square = image.width().max(image.height());
    check_taps([square; 2], [side; 2])?;
    let [columns, rows] = [image.width(), image.height()].map(|length| Filters::padded(filter, length, square, side));
    stretch::stretch(image, &Separable { columns, rows }, &normalise, out);
    Ok(())
}

/// The picture scaled so that its longest side is `side`, in the top left corner of the target's frame: the
/// preprocessing of SAM 1, MobileSAM and EfficientViT-SAM (`segment_anything/utils/transforms.py`, `ResizeLongestSide`).
///
/// Pillow's antialiased bilinear resize in 8 bits, to the last bit. The rest of the frame is 0 after normalising. `out` takes
/// f32 `[3, height, width]`; returned is the `[height, width]` that the picture fills.
///
/// # Errors
/// `InvalidArgument` when the scaled picture does not fit into the frame or is thinner than half a pixel, for a frame with a
/// zero side, an `out` of another size, or an unusable normalisation.
pub fn longest_side(image: &RgbImage, side: usize, target: Target, out: &mut [f32]) -> Result<[usize; 2]> {
    let Target { frame, normalise } = target;
    check_frame(frame, out.len())?;
    normalise.check()?;
    let kept = longest_side_size([image.height(), image.width()], side)?;
    if kept[0] > frame[0] || kept[1] > frame[1] {
        let error = Error::invalid("frame").with_expected(format!("room for {} x {} pixels", kept[1], kept[0]));
        return Err(error.with_found(format!("{} x {}", frame[1], frame[0])));
    }
    let resized;
    let picture = if kept == [image.height(), image.width()] {
        image
    } else {
        resized = resize(image, Resampling::PILLOW_BILINEAR, (kept[1], kept[0]))?;
        &resized
    };
    place(picture, frame[1], &normalise, out);
    Ok(kept)
}

/// The `[height, width]` of a picture of `size` (`[height, width]`) scaled so that its longest side is `side`.
///
/// # Errors
/// `InvalidArgument` when a side is 0 or would become 0.
pub fn longest_side_size(size: [usize; 2], side: usize) -> Result<[usize; 2]> {
    let scale = side as f64 / size[0].max(size[1]) as f64;
    let scaled = size.map(|length| (length as f64 * scale + 0.5) as usize);
    if size.contains(&0) || scaled.contains(&0) {
        let message = format!("a picture of {} x {} cannot become {side} pixels long", size[1], size[0]);
        return Err(Error::invalid(message).with_help("both sides must be at least one pixel after scaling"));
    }
    Ok(scaled)
}

/// Normalises the levels into the top left corner and clears the rest.
fn place(picture: &RgbImage, width: usize, normalise: &Normalise, out: &mut [f32]) {
    let plane = out.len() / 3;
    for (channel, out) in out.chunks_exact_mut(plane).enumerate() {
        let (mean, std) = (normalise.mean[channel], normalise.std[channel]);
        let values: [f32; 256] = std::array::from_fn(|level| (level as f32 / 255.0 - mean) / std);
        let (filled, rest) = out.split_at_mut(picture.height() * width);
        for (y, row) in filled.chunks_exact_mut(width).enumerate() {
            let (inside, border) = row.split_at_mut(picture.width());
            for (value, pixel) in inside.iter_mut().zip(picture.row(y).as_chunks::<3>().0) {
                *value = values[usize::from(pixel[channel])];
            }
            border.fill(0.0);
        }
        rest.fill(0.0);
    }
}

/// What the filters of a picture of `source` (`[width, height]`) keep, at most: as many rows as one has taps.
fn check_taps(source: [usize; 2], target: [usize; 2]) -> Result<()> {
    // The widest filter, a blur before the reduction, reaches five times as far as that.
    let taps = [0, 1].map(|axis| 5 * (source[axis] / target[axis]) + 5);
    check_between(source, [taps[1], 3 * target[0]])?;
    check_between(source, [taps[0].max(taps[1]), target[0].max(target[1])])
}

fn check_frame([height, width]: [usize; 2], found: usize) -> Result<()> {
    let expected = width.checked_mul(height).and_then(|plane| plane.checked_mul(3)).filter(|values| *values > 0);
    if expected != Some(found) {
        let error = Error::invalid("frame").with_expected(format!("room for 3 x {height} x {width} values, none of them 0"));
        return Err(error.with_found(found.to_string()));
    }
    check_target(width, height)
}
