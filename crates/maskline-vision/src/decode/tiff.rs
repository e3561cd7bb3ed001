//! What the library does not ask a TIFF, and would get wrong.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer};
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::{DecodeOptions, LARGEST_HEADER, check_size, unread};
use crate::{Error, ErrorKind, Result};

/// Cameras' raw files are TIFFs too, whose first page is a thumbnail.
const DNG_VERSION: Tag = Tag::Unknown(50_706);
/// The bit of `NewSubfileType` that says that a page is a smaller version of another.
const REDUCED: u32 = 1;
/// `SampleFormat` of floats.
const FLOATS: u16 = 3;
const NAME: &str = "TIFF";

/// Refuses what is not a picture in full: a raw file's thumbnail, and numbers that would be taken for others.
///
/// # Errors
/// `UnknownFormat` for those, `Corrupt` for a broken header.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    if bytes.get(8..10) == Some(b"CR") {
        return Err(unread(NAME, "a camera's raw file (CR2)"));
    }
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(broken)?;
    let mut number = |tag| decoder.find_tag_unsigned::<u32>(tag).map_err(broken);
    let is_reduced = number(Tag::NewSubfileType)?.is_some_and(|kind| kind & REDUCED != 0);
    if is_reduced || number(DNG_VERSION)?.is_some() {
        return Err(unread(NAME, "its first page is a thumbnail, as in a camera's raw file"));
    }
    let color = decoder.colortype().map_err(broken)?;
    // The library has numbers for these.
    match color {
        ColorType::YCbCr(_) => return Err(unread(NAME, "brightness and colour (YCbCr) in place of RGB")),
        ColorType::GrayA(_) => return Err(unread(NAME, "grey with alpha")),
        ColorType::Multiband { num_samples, .. } => return Err(unread(NAME, &format!("{num_samples} channels"))),
        _ => {}
    }
    if color.bit_depth() > 16 && !has_floats(&mut decoder)? {
        return Err(unread(NAME, &format!("whole numbers of {} bits", color.bit_depth())));
    }
    Ok(())
}

/// Width and height of the first page.
///
/// # Errors
/// `Corrupt` for a broken header.
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32)> {
    Decoder::new(Cursor::new(bytes)).and_then(|mut decoder| decoder.dimensions()).map_err(broken)
}

/// The picture, if it is of one channel of 32-bit floats; its three channels are alike.
///
/// # Errors
/// As [`decode`](super::decode).
pub(super) fn grey_floats(bytes: &[u8], options: &DecodeOptions) -> Result<Option<DynamicImage>> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(broken)?;
    if decoder.colortype().map_err(broken)? != ColorType::Gray(32) || !has_floats(&mut decoder)? {
        return Ok(None);
    }
    let (width, height) = decoder.dimensions().map_err(broken)?;
    check_size((width, height), options)?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten().and_then(Orientation::from_exif);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = size_of::<f32>() * width as usize * height as usize;
    limits.intermediate_buffer_size = limits.decoding_buffer_size + LARGEST_HEADER as usize;
    let DecodingResult::F32(values) = decoder.with_limits(limits).read_image().map_err(broken)? else { return Ok(None) };
    let rgb: Vec<f32> = values.into_iter().flat_map(|value| [value; 3]).collect();
    let cut_off = || Error::new(ErrorKind::Corrupt, "the TIFF is broken: it has fewer pixels than its size says");
    let mut picture = DynamicImage::ImageRgb32F(ImageBuffer::from_raw(width, height, rgb).ok_or_else(cut_off)?);
    if options.apply_exif {
        picture.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    }
    Ok(Some(picture))
}

fn has_floats(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<bool> {
    let formats = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).map_err(broken)?;
    Ok(formats.is_some_and(|formats| formats.iter().all(|format| *format == FLOATS)))
}

fn broken(error: TiffError) -> Error {
    match error {
        TiffError::UnsupportedError(reason) => unread(NAME, &reason.to_string()),
        TiffError::LimitsExceeded => Error::new(ErrorKind::TooLarge, "the TIFF asks for more memory than a picture of its size can need"),
        other => Error::new(ErrorKind::Corrupt, format!("the TIFF is broken: {other}")),
    }
}
