//! The picture in memory.

mod foreign;
#[cfg(feature = "image")]
mod interop;

pub use foreign::{PixelFormat, Strided};

use crate::{Error, Result};

/// An RGB picture: 8 bits per channel, rows from the top, no padding.
///
/// Never empty, and its bytes are always those of its size: what is no picture cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: usize,
    height: usize,
    /// Interleaved R, G, B: `width * height * 3`.
    pixels: Vec<u8>,
}

impl RgbImage {
    /// Takes interleaved R, G, B as they are, without a copy. The same as [`RgbImage::from_rgb`].
    ///
    /// # Errors
    /// As [`RgbImage::from_rgb`].
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        check(width, height, PixelFormat::Rgb.channels(), pixels.len())?;
        Ok(Self { width, height, pixels })
    }

    /// Pixels that the caller made for this size.
    pub(crate) fn whole(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        debug_assert!(width > 0 && height > 0 && pixels.len() == width * height * 3);
        Self { width, height, pixels }
    }

    /// Width in pixels, above 0.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, above 0.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// All pixels, interleaved R, G, B, row after row from the top.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels, to be painted on.
    pub(crate) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The pixels, without a copy.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// One row of `width * 3` bytes.
    ///
    /// # Panics
    /// If `y` is not below the height.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width * 3..(y + 1) * self.width * 3]
    }
}

/// Refuses bytes that are not those of the size.
fn check(width: usize, height: usize, channels: usize, found: usize) -> Result<()> {
    let expected = counted(width, height, channels)?;
    if found != expected {
        let error = Error::invalid("picture").with_expected(format!("{width} × {height} × {channels} = {expected} bytes"));
        return Err(error.with_found(found.to_string()));
    }
    Ok(())
}

/// The number of bytes of a picture, which is not 0 and does not overflow.
fn counted(width: usize, height: usize, channels: usize) -> Result<usize> {
    if width == 0 || height == 0 {
        return Err(Error::invalid("picture").with_expected("at least one pixel").with_found(format!("a size of {width} × {height}")));
    }
    let bytes = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels)).filter(|bytes| isize::try_from(*bytes).is_ok());
    let expected = || Error::invalid("picture").with_expected("a size that memory can hold");
    bytes.ok_or_else(|| expected().with_found(format!("{width} × {height} × {channels} bytes")))
}
