//! Channels of any depth to 8 bits.

use image::{DynamicImage, ImageFormat};

use super::{SixteenBits, name, unread};
use crate::Result;

/// Depths that cameras have, of which [`SixteenBits::Fitted`] takes the least that holds all values.
const SENSOR_BITS: [u32; 4] = [8, 10, 12, 14];

/// R, G, B of every pixel.
pub(super) fn rgb_bytes(picture: DynamicImage, format: ImageFormat, sixteen_bits: SixteenBits) -> Result<Vec<u8>> {
    // Of PNGs in colour the high byte is what everybody takes; values of few bits are a habit of grey ones and of TIFFs.
    let may_fit = sixteen_bits == SixteenBits::Fitted && (format == ImageFormat::Tiff || !picture.color().has_color());
    Ok(match picture {
        DynamicImage::ImageRgb8(rgb) => rgb.into_raw(),
        DynamicImage::ImageRgb16(rgb) => {
            let shift = shift(rgb.iter(), may_fit);
            rgb.iter().map(|value| (value >> shift) as u8).collect()
        }
        DynamicImage::ImageRgba16(rgba) => {
            let colors = || rgba.pixels().flat_map(|pixel| &pixel.0[..3]);
            let shift = shift(colors(), may_fit);
            colors().map(|value| (value >> shift) as u8).collect()
        }
        DynamicImage::ImageLuma16(grey) => {
            let shift = shift(grey.iter(), may_fit);
            grey.iter().flat_map(|value| [(value >> shift) as u8; 3]).collect()
        }
        DynamicImage::ImageLumaA16(grey) => {
            let levels = || grey.pixels().map(|pixel| &pixel.0[0]);
            let shift = shift(levels(), may_fit);
            levels().flat_map(|value| [(value >> shift) as u8; 3]).collect()
        }
        DynamicImage::ImageRgb32F(ref rgb) => {
            check_floats(rgb.iter(), format)?;
            picture.into_rgb8().into_raw()
        }
        DynamicImage::ImageRgba32F(ref rgba) => {
            check_floats(rgba.pixels().flat_map(|pixel| &pixel.0[..3]), format)?;
            picture.into_rgb8().into_raw()
        }
        other => other.into_rgb8().into_raw(),
    })
}

/// How many low bits are dropped.
fn shift<'a>(values: impl Iterator<Item = &'a u16>, may_fit: bool) -> u32 {
    if !may_fit {
        return 8;
    }
    let most = values.copied().max().unwrap_or(0);
    SENSOR_BITS.into_iter().find(|bits| most >> bits == 0).unwrap_or(16) - 8
}

/// Floats have no white of their own.
fn check_floats<'a>(values: impl Iterator<Item = &'a f32>, format: ImageFormat) -> Result<()> {
    let strange = values.copied().find(|value| !(0.0..=1.0).contains(value));
    strange.map_or(Ok(()), |value| Err(unread(name(format), &format!("expected floating-point values from 0 to 1, found {value}"))))
}
