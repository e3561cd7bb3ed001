//! The picture in memory.

use crate::{Error, ErrorKind, Result};

/// An RGB picture: 8 bits per channel, rows from the top, no padding (`pixels.len() == width * height * 3`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Interleaved R, G, B.
    pub pixels: Vec<u8>,
}

impl RgbImage {
    /// Takes pixels as they are.
    ///
    /// # Errors
    /// `InvalidArgument` if a side is 0 or the number of bytes is not `width * height * 3`.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        if width == 0 || height == 0 || Some(pixels.len()) != width.checked_mul(height).and_then(|n| n.checked_mul(3)) {
            let message = format!("{} bytes are no RGB picture of {width} × {height}", pixels.len());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { width, height, pixels })
    }

    /// Whether the bytes are those of the size: the fields are public, and a picture need not come from [`RgbImage::new`].
    pub(crate) fn is_whole(&self) -> bool {
        !self.pixels.is_empty() && self.width.checked_mul(self.height).and_then(|n| n.checked_mul(3)) == Some(self.pixels.len())
    }

    /// Bytes of one row.
    pub fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width * 3..(y + 1) * self.width * 3]
    }
}
