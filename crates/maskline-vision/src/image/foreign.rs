//! Pictures from the pixels of other programs: their order of channels, and rows with padding.

use super::{RgbImage, check, counted};
use crate::{Error, Result};

/// The channels of a pixel in the order of their bytes, 8 bits each.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red: OpenCV's order.
    Bgr,
    /// Red, green, blue and alpha, which is dropped.
    Rgba,
    /// Blue, green, red and alpha, which is dropped: the order of many screens and cameras.
    Bgra,
    /// One level for all three.
    Grey,
}

/// A view of pixels whose rows need not follow each other closely, as cameras, NumPy and OpenCV hand them out.
#[derive(Debug, Clone, Copy)]
pub struct Strided<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// From the beginning of one row to that of the next, at least `width` times the bytes of a pixel.
    pub stride_bytes: usize,
    /// The order of the channels.
    pub format: PixelFormat,
    /// From the first pixel on; the padding of the last row may be missing.
    pub bytes: &'a [u8],
}

impl PixelFormat {
    /// Bytes of one pixel.
    pub fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::Bgr => 3,
            Self::Rgba | Self::Bgra => 4,
        }
    }

    /// Writes a row in this order as R, G, B.
    fn convert(self, row: &[u8], out: &mut [u8]) {
        let pixels = out.as_chunks_mut::<3>().0.iter_mut();
        match self {
            Self::Rgb => out.copy_from_slice(row),
            Self::Bgr => pixels.zip(row.as_chunks::<3>().0).for_each(|(out, [blue, green, red])| *out = [*red, *green, *blue]),
            Self::Rgba => pixels.zip(row.as_chunks::<4>().0).for_each(|(out, [red, green, blue, _])| *out = [*red, *green, *blue]),
            Self::Bgra => pixels.zip(row.as_chunks::<4>().0).for_each(|(out, [blue, green, red, _])| *out = [*red, *green, *blue]),
            Self::Grey => pixels.zip(row).for_each(|(out, level)| *out = [*level; 3]),
        }
    }
}

impl RgbImage {
    /// Takes interleaved R, G, B as they are, without a copy: `width * height * 3` bytes.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if a side is 0, the size overflows, or the number of bytes is not that of the
    /// size; it says how many were expected and found.
    pub fn from_rgb(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        Self::new(width, height, pixels)
    }

    /// Takes interleaved B, G, R (OpenCV's order) and swaps them in place: `width * height * 3` bytes.
    ///
    /// # Errors
    /// As [`RgbImage::from_rgb`].
    pub fn from_bgr(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        let mut image = Self::new(width, height, pixels)?;
        image.pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        Ok(image)
    }

    /// Copies interleaved R, G, B, A, and drops the alpha: `width * height * 4` bytes.
    ///
    /// # Errors
    /// As [`RgbImage::from_rgb`].
    pub fn from_rgba(width: usize, height: usize, bytes: &[u8]) -> Result<Self> {
        Self::from_packed(PixelFormat::Rgba, [width, height], bytes)
    }

    /// Copies interleaved B, G, R, A, and drops the alpha: `width * height * 4` bytes.
    ///
    /// # Errors
    /// As [`RgbImage::from_rgb`].
    pub fn from_bgra(width: usize, height: usize, bytes: &[u8]) -> Result<Self> {
        Self::from_packed(PixelFormat::Bgra, [width, height], bytes)
    }

    /// Copies levels of grey into all three channels: `width * height` bytes.
    ///
    /// # Errors
    /// As [`RgbImage::from_rgb`].
    pub fn from_grey(width: usize, height: usize, bytes: &[u8]) -> Result<Self> {
        Self::from_packed(PixelFormat::Grey, [width, height], bytes)
    }

    /// Copies pixels of any [`PixelFormat`] whose rows may be padded.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if a side is 0, the size overflows, the stride is less than a row, or the
    /// number of bytes is not that of `height` rows, the last of which may lack its padding.
    pub fn from_strided(picture: Strided<'_>) -> Result<Self> {
        let Strided { width, height, stride_bytes, format, bytes } = picture;
        counted(width, height, format.channels())?;
        let row = width * format.channels();
        if stride_bytes < row {
            let expected = format!("at least {row} bytes ({width} pixels of {})", format.channels());
            return Err(Error::invalid("stride").with_expected(expected).with_found(stride_bytes.to_string()));
        }
        let most = stride_bytes.checked_mul(height);
        let least = (height - 1).checked_mul(stride_bytes).and_then(|rows| rows.checked_add(row));
        let (Some(least), Some(most)) = (least, most) else {
            let found = format!("{height} rows of {stride_bytes} bytes");
            return Err(Error::invalid("picture").with_expected("a size that memory can hold").with_found(found));
        };
        if !(least..=most).contains(&bytes.len()) {
            let expected = format!("{least} to {most} bytes ({height} rows, {stride_bytes} apart)");
            return Err(Error::invalid("picture").with_expected(expected).with_found(bytes.len().to_string()));
        }
        // Whatever the format was, it becomes three channels.
        let mut pixels = vec![0; counted(width, height, 3)?];
        for (padded, out) in bytes.chunks(stride_bytes).zip(pixels.chunks_exact_mut(3 * width)) {
            format.convert(&padded[..row], out);
        }
        Ok(Self { width, height, pixels })
    }

    fn from_packed(format: PixelFormat, [width, height]: [usize; 2], bytes: &[u8]) -> Result<Self> {
        check(width, height, format.channels(), bytes.len())?;
        let stride_bytes = width * format.channels();
        Self::from_strided(Strided { width, height, stride_bytes, format, bytes })
    }
}
