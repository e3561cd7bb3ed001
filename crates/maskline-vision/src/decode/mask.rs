//! Masks from pictures, by the values as they are stored.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, ImageReader, Luma};

use super::format::format_of;
use super::{DecodeOptions, LARGEST_HEADER, broken, check_size, limits, open, read};
use crate::{Error, ErrorKind, Mask, Result};

/// Reads the mask that a picture file holds, as [`mask_of_picture`].
///
/// # Errors
/// As [`mask_of_picture`], naming the file; `Io` if it cannot be read.
pub fn mask_of_file(path: &Path, options: &DecodeOptions) -> Result<Mask> {
    mask_of_picture(&read(path)?, options).map_err(|error| error.at(path))
}

/// The mask that a picture of any format that [`decode`](super::decode) reads holds, at the picture's size.
///
/// Values are taken as they are stored, in 8 or 16 bits; of colours, the largest channel. A picture of black and one other value (0
/// and 1, 0 and 255, 0 and 65535, …) has the mask where it is not black. One of more values is set above half of the range: of
/// 255, or of 65535 where a value is above 255. In a palette of colours (PASCAL VOC's, DAVIS') every index but 0 is set,
/// VOC's border 255 too; a palette of greys counts as its greys. Where all pixels have one colour and alpha differs, alpha is the mask.
/// A black picture is an empty mask ([`Mask::is_empty`]).
///
/// # Errors
/// As [`decode`](super::decode); `InvalidArgument` for a picture that is neither black nor has anything above half of the range,
/// such as one of several small numbers: which of them are meant is not to be guessed.
pub fn mask_of_picture(bytes: &[u8], options: &DecodeOptions) -> Result<Mask> {
    let values = match indices_of_png(bytes, options)? {
        Some(indices) => indices,
        None => values_of(open(bytes, options)?.0),
    };
    let (width, height) = (values.width() as usize, values.height() as usize);
    let threshold = threshold(values.as_raw())?;
    let rows = values.into_raw();
    Mask::from_fn(width, height, |x, y| rows[y * width + x] > threshold)
}

type Values = ImageBuffer<Luma<u16>, Vec<u16>>;

/// The value above which a pixel is set.
fn threshold(values: &[u16]) -> Result<u16> {
    let most = values.iter().copied().max().unwrap_or(0);
    if values.iter().all(|value| *value == 0 || *value == most) {
        return Ok(0);
    }
    let range = if most > 255 { u16::MAX } else { 255 };
    if most > range / 2 {
        return Ok(range / 2);
    }
    let error = Error::invalid("mask").with_expected(format!("0 and 1, 0 and 255 or another value, or levels up to {range}"));
    Err(error.with_found(format!("several values up to {most}")).with_help("save the mask with 0 where it is not set and 255 where it is"))
}

/// The largest channel of each pixel, or alpha where nothing else differs.
fn values_of(picture: DynamicImage) -> Values {
    let has_alpha = picture.color().has_alpha();
    let (width, height) = (picture.width(), picture.height());
    let in_16_bits = matches!(
        picture,
        DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_)
    );
    let is_float = matches!(picture, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_));
    let pixels: Vec<[u16; 4]> = if in_16_bits || is_float {
        picture.into_rgba16().pixels().map(|pixel| pixel.0).collect()
    } else {
        picture.into_rgba8().pixels().map(|pixel| pixel.0.map(u16::from)).collect()
    };
    let is_plain = pixels.iter().all(|pixel| pixel[..3] == pixels[0][..3]);
    let is_alpha_mask = has_alpha && is_plain && pixels.iter().any(|pixel| pixel[3] != pixels[0][3]);
    let value = |[red, green, blue, alpha]: &[u16; 4]| if is_alpha_mask { *alpha } else { *red.max(green).max(blue) };
    let values = pixels.iter().map(value).collect();
    // There is a value for each pixel.
    Values::from_raw(width, height, values).unwrap_or_default()
}

/// Of a PNG with a palette: its greys, or where the used colours are no greys 1 for every index but 0. `None` for other pictures.
fn indices_of_png(bytes: &[u8], options: &DecodeOptions) -> Result<Option<Values>> {
    if format_of(bytes)? != ImageFormat::Png {
        return Ok(None);
    }
    let corrupt = |error: png::DecodingError| match error {
        png::DecodingError::LimitsExceeded => Error::too_large("the PNG asks for more memory than a picture of its size can need"),
        error => Error::new(ErrorKind::Corrupt, format!("the PNG is broken: {error}")),
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: LARGEST_HEADER as usize });
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let info = reader.info();
    let (width, height, bits) = (info.width, info.height, info.bit_depth as usize);
    let Some(palette) = info.palette.as_ref().filter(|_| info.color_type == png::ColorType::Indexed).map(|colors| colors.to_vec()) else {
        return Ok(None);
    };
    check_size((width, height), options)?;
    let mut packed = vec![0; reader.output_buffer_size().unwrap_or(0)];
    reader.next_frame(&mut packed).map_err(corrupt)?;
    let line = (width as usize * bits).div_ceil(8);
    let indices: Vec<u8> =
        packed.chunks(line.max(1)).take(height as usize).flat_map(|row| unpacked(row, bits).take(width as usize)).collect();
    let mut picture = DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, indices).unwrap_or_default());
    if options.apply_exif {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
        reader.limits(limits(LARGEST_HEADER));
        let mut decoder = reader.into_decoder().map_err(|error| broken(ImageFormat::Png, &error))?;
        picture.apply_orientation(super::exif::orientation(&mut decoder, ImageFormat::Png, bytes));
    }
    let indices = picture.into_luma8();
    let levels = levels_of(&indices, palette.as_chunks::<3>().0);
    let values = indices.pixels().map(|pixel| levels[usize::from(pixel.0[0])]).collect();
    Ok(Values::from_raw(indices.width(), indices.height(), values))
}

/// What each index is worth.
fn levels_of(indices: &GrayImage, palette: &[[u8; 3]]) -> [u16; 256] {
    let mut used = [false; 256];
    indices.pixels().for_each(|pixel| used[usize::from(pixel.0[0])] = true);
    let color = |index: usize| palette.get(index).copied().unwrap_or_default();
    let colors: Vec<[u8; 3]> = (0..256).filter(|index| used[*index]).map(color).collect();
    let are_greys = colors.iter().all(|[red, green, blue]| red == green && green == blue);
    let are_apart = colors.len() < 2 || colors.iter().any(|color| *color != colors[0]);
    std::array::from_fn(|index| if are_greys && are_apart { u16::from(color(index)[0]) } else { u16::from(index != 0) })
}

/// Values of 1, 2, 4 or 8 bits, highest first.
fn unpacked(row: &[u8], bits: usize) -> impl Iterator<Item = u8> {
    row.iter().flat_map(move |byte| (0..8 / bits.clamp(1, 8)).map(move |place| (byte >> (8 - bits * (place + 1))) & (0xff >> (8 - bits))))
}
