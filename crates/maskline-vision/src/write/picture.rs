//! Pictures as files.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};

use super::write_atomically;
use crate::{Error, ErrorKind, Result, RgbImage};

/// The format of a picture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureFormat {
    /// Lossless, compressed fast rather than small.
    Png,
    /// Lossy.
    Jpeg {
        /// 1..=100.
        quality: u8,
    },
}

/// Encodes a picture and writes it as [`write_atomically`] does.
///
/// # Errors
/// `InvalidArgument` for a quality outside 1..=100 or a picture that the format cannot hold (JPEG: sides up to 65535 pixels);
/// `Io` as [`write_atomically`].
pub fn save_picture(path: &Path, image: &RgbImage, format: PictureFormat) -> Result<()> {
    write_atomically(path, &encode_picture(image, format).map_err(|error| error.at(path))?)
}

/// The bytes of a picture file.
///
/// # Errors
/// `InvalidArgument` for a quality outside 1..=100 or a picture that the format cannot hold (JPEG: sides up to 65535 pixels).
pub fn encode_picture(image: &RgbImage, format: PictureFormat) -> Result<Vec<u8>> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    let (width, height) = (image.width, image.height);
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok()).filter(|_| image.is_whole());
    let (columns, rows) = sides.ok_or_else(|| invalid(format!("{} bytes are no RGB picture of {width} × {height}", image.pixels.len())))?;
    let mut bytes = Vec::new();
    let encoded = match format {
        PictureFormat::Png => PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive).write_image(
            &image.pixels,
            columns,
            rows,
            ExtendedColorType::Rgb8,
        ),
        PictureFormat::Jpeg { quality } if !(1..=100).contains(&quality) => {
            return Err(invalid(format!("JPEG quality: expected 1..=100, found {quality}")));
        }
        PictureFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut bytes, quality).write_image(&image.pixels, columns, rows, ExtendedColorType::Rgb8)
        }
    };
    let unfit = |error: ImageError| {
        invalid(format!("the picture of {width} × {height} cannot be encoded: {error}")).help("write it as PNG instead")
    };
    encoded.map_err(unfit)?;
    Ok(bytes)
}
