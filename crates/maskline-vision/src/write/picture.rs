//! Pictures as files.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};

use super::write_atomically;
use crate::{Error, Result, RgbImage};

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
    let (width, height) = image.size();
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let beyond = || Error::invalid("picture").with_expected("sides below 2^32").with_found(format!("{width} × {height}"));
    let (columns, rows) = sides.ok_or_else(beyond)?;
    let mut bytes = Vec::new();
    let encoded = match format {
        PictureFormat::Png => PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive).write_image(
            image.pixels(),
            columns,
            rows,
            ExtendedColorType::Rgb8,
        ),
        PictureFormat::Jpeg { quality } if !(1..=100).contains(&quality) => {
            return Err(Error::invalid("JPEG quality").with_expected("1..=100").with_found(quality.to_string()));
        }
        PictureFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut bytes, quality).write_image(image.pixels(), columns, rows, ExtendedColorType::Rgb8)
        }
    };
    let unfit = |error: ImageError| {
        Error::invalid(format!("the picture of {width} × {height} cannot be encoded: {error}")).with_help("write it as PNG instead")
    };
    encoded.map_err(unfit)?;
    Ok(bytes)
}
