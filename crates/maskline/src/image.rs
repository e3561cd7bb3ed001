//! A picture to be asked about.

use std::path::Path;
use std::time::{Duration, Instant};

use maskline_vision::RgbImage;
use maskline_vision::decode::{DecodeOptions, decode, decode_file};

use crate::{Error, ErrorKind, Result};

/// A decoded picture and what decoding it took.
#[derive(Debug, Clone)]
pub struct Image {
    pub(crate) pixels: RgbImage,
    pub(crate) decode: Duration,
}

impl Image {
    /// Reads a picture of any format that [`decode_file`] reads with the default limits; EXIF orientation is applied, alpha dropped.
    ///
    /// # Errors
    /// `BadInput` if it is missing, broken or of another format, `OverLimit` above 100 megapixels.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &DecodeOptions::default())
    }

    /// As [`Image::open`], with limits.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &DecodeOptions) -> Result<Self> {
        let start = Instant::now();
        let pixels = decode_file(path.as_ref(), options).map_err(|error| match error.kind() {
            // A picture that cannot be read is a bad input, whatever the reason.
            maskline_vision::ErrorKind::Io => Error::new(ErrorKind::BadInput, error.to_string()),
            _ => error.into(),
        })?;
        Ok(Self { pixels, decode: start.elapsed() })
    }

    /// Decodes the content of a picture file.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn from_bytes(bytes: &[u8], options: &DecodeOptions) -> Result<Self> {
        let start = Instant::now();
        let pixels = decode(bytes, options)?;
        Ok(Self { pixels, decode: start.elapsed() })
    }

    /// Takes pixels as they are.
    pub fn from_pixels(pixels: RgbImage) -> Self {
        Self { pixels, decode: Duration::ZERO }
    }

    /// The pixels.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// Refuses pixels that are no picture: their fields are public.
    ///
    /// # Errors
    /// `BadInput`.
    pub(crate) fn check(&self) -> Result<()> {
        let RgbImage { width, height, pixels } = &self.pixels;
        let expected = width.checked_mul(*height).and_then(|pixels| pixels.checked_mul(3));
        if expected == Some(pixels.len()) && !pixels.is_empty() {
            return Ok(());
        }
        let message = format!("picture: expected {width} × {height} × 3 bytes and at least one pixel, found {} bytes", pixels.len());
        Err(Error::new(ErrorKind::BadInput, message))
    }

    /// Hash of size and pixels.
    pub(crate) fn content_hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.pixels.width as u64).to_le_bytes());
        hasher.update(&(self.pixels.height as u64).to_le_bytes());
        hasher.update(&self.pixels.pixels);
        hasher.finalize()
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.pixels.width, self.pixels.height)
    }
}
