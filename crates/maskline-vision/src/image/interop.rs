//! Pictures of the `image` crate, and back (feature `image`).

use image::{DynamicImage, ImageBuffer};

use super::RgbImage;
use crate::Error;

impl TryFrom<image::RgbImage> for RgbImage {
    type Error = Error;

    /// Takes the pixels without a copy.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a picture without pixels.
    fn try_from(picture: image::RgbImage) -> Result<Self, Error> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut pixels = picture.into_raw();
        // Its buffer may be longer than the picture, never shorter.
        pixels.truncate(width.saturating_mul(height).saturating_mul(3));
        Self::new(width, height, pixels)
    }
}

impl TryFrom<DynamicImage> for RgbImage {
    type Error = Error;

    /// Takes pixels of 8 bits of RGB without a copy; converts all others as [`DynamicImage::into_rgb8`] does: alpha is dropped, 16 bits
    /// are scaled to 8.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a picture without pixels.
    fn try_from(picture: DynamicImage) -> Result<Self, Error> {
        picture.into_rgb8().try_into()
    }
}

impl TryFrom<RgbImage> for image::RgbImage {
    type Error = Error;

    /// Takes the pixels without a copy.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for a side above 2^32 - 1 pixels.
    fn try_from(picture: RgbImage) -> Result<Self, Error> {
        let RgbImage { width, height, pixels } = picture;
        let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
        let buffer = sides.and_then(|(width, height)| ImageBuffer::from_raw(width, height, pixels));
        let error = || Error::invalid("picture").with_expected("sides below 2^32").with_found(format!("{width} × {height}"));
        buffer.ok_or_else(error)
    }
}

impl TryFrom<RgbImage> for DynamicImage {
    type Error = Error;

    /// As for [`image::RgbImage`].
    ///
    /// # Errors
    /// As for [`image::RgbImage`].
    fn try_from(picture: RgbImage) -> Result<Self, Error> {
        picture.try_into().map(Self::ImageRgb8)
    }
}
