//! Pictures to a classifier's input: Pillow's antialiased bilinear resize of the short side, then the centre (torchvision
//! `Resize`, `CenterCrop` and `ToTensor` on a Pillow picture), to the last bit.

use crate::limits::check_target;
use crate::resize::{Part, Resampling, resize_part};
use crate::{Error, Result, RgbImage};

/// The centre square of the picture, its short side scaled to `size`: planes R, G, B with values in 0..1.
///
/// # Errors
/// `InvalidArgument` for a size of 0, `TooLarge` above
/// [`MOST_TARGET_PIXELS`](crate::limits::MOST_TARGET_PIXELS).
pub fn center_crop(image: &RgbImage, size: usize) -> Result<Vec<f32>> {
    if size == 0 {
        let message = format!("a picture of {} x {} cannot become {size} pixels wide", image.width(), image.height());
        return Err(Error::invalid(message));
    }
    check_target(size, size)?;
    let short = image.width().min(image.height());
    let resized = [image.width(), image.height()].map(|side| size * side / short);
    let [columns, rows] = resized.map(|side| {
        let offset = ((side - size) as f64 / 2.0).round_ties_even() as usize;
        offset..offset + size
    });
    let crop = resize_part(image, Resampling::PILLOW_BILINEAR, (resized[0], resized[1]), Part { columns, rows });
    let mut planes = Vec::with_capacity(3 * size * size);
    for channel in 0..3 {
        planes.extend(crop.pixels().chunks_exact(3).map(|pixel| f32::from(pixel[channel]) / 255.0));
    }
    Ok(planes)
}
