//! A picture to be asked about.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use maskline_vision::RgbImage;
use maskline_vision::decode::{DecodeOptions, decode, decode_file};

use crate::{Error, ErrorKind, Result};

/// A decoded picture and what decoding it took. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Image {
    pixels: Arc<RgbImage>,
    pub(crate) decode: Duration,
    /// Hash of size and pixels, once somebody asked for it.
    content: Arc<OnceLock<blake3::Hash>>,
}

/// By pixels.
impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.pixels == other.pixels
    }
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
        Ok(Self::new(pixels, start.elapsed()))
    }

    /// Decodes the content of a picture file.
    ///
    /// # Errors
    /// As [`Image::open`].
    pub fn from_bytes(bytes: &[u8], options: &DecodeOptions) -> Result<Self> {
        let start = Instant::now();
        let pixels = decode(bytes, options)?;
        Ok(Self::new(pixels, start.elapsed()))
    }

    fn new(pixels: RgbImage, decode: Duration) -> Self {
        Self { pixels: Arc::new(pixels), decode, content: Arc::default() }
    }

    /// What decoding it took.
    pub fn decode_time(&self) -> Duration {
        self.decode
    }

    /// The same picture for later questions, whose answers do not tell that it was decoded.
    #[must_use]
    pub fn held(&self) -> Self {
        Self { decode: Duration::ZERO, ..self.clone() }
    }

    /// Takes pixels as they are.
    pub fn from_pixels(pixels: RgbImage) -> Self {
        Self::new(pixels, Duration::ZERO)
    }

    /// The pixels.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// What the picture is known by: the hash of size and pixels (BLAKE3, 64 hexadecimal digits), computed once. Equal pictures have the same,
    /// whatever file they come from.
    pub fn id(&self) -> String {
        self.content_hash().to_hex().to_string()
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.pixels.pixels().len()
    }

    /// Hash of size and pixels, computed once.
    pub(crate) fn content_hash(&self) -> blake3::Hash {
        *self.content.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&(self.pixels.width() as u64).to_le_bytes());
            hasher.update(&(self.pixels.height() as u64).to_le_bytes());
            hasher.update(self.pixels.pixels());
            hasher.finalize()
        })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.pixels.width(), self.pixels.height())
    }
}
