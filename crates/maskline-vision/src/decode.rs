//! Files to pixels, within limits that are checked on the header.

mod exif;
mod format;
mod levels;
mod mask;
mod tiff;

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::{Error, ErrorKind, Result, RgbImage};
use format::{format_of, name};
use levels::rgb_bytes;

pub use format::{EXTENSIONS, UNREAD_EXTENSIONS};
pub use mask::{mask_of_file, mask_of_picture};

/// Larger files are refused unread: no picture within the pixel limit needs as much.
const LARGEST_FILE: u64 = 2 << 30;
/// Most bytes that a header may ask for, a colour profile for one.
const LARGEST_HEADER: u64 = 64 << 20;
/// Bytes of the widest pixel: four floats.
const WIDEST_PIXEL: u64 = 16;
/// Most pixels, whatever the limit: 2^31. The sizes of their buffers do not overflow.
const MOST_PIXELS: u64 = 1 << 31;

/// Options of [`decode`].
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// Most pixels (width × height) that are decoded.
    pub max_pixels: u64,
    /// Turn the picture as its EXIF orientation says, as `cv2.imread` does.
    pub apply_exif: bool,
    /// How 16 bits become 8.
    pub sixteen_bits: SixteenBits,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, apply_exif: true, sixteen_bits: SixteenBits::Fitted }
    }
}

/// How channels of 16 bits become 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SixteenBits {
    /// Their high byte, as `cv2.imread` has it; but grey pictures and TIFFs whose values all fit 8, 10, 12 or 14 bits, as those of
    /// cameras and microscopes do, keep the highest 8 of the fewest of these: their high byte would be nearly black.
    #[default]
    Fitted,
    /// Their high byte, whatever the picture holds: equal to `cv2.imread`.
    HighByte,
}

/// Reads and decodes a file; its format is told by its content, never by its name.
///
/// # Errors
/// As [`decode`], naming the file; `Io` if it cannot be read.
pub fn decode_file(path: &Path, options: &DecodeOptions) -> Result<RgbImage> {
    decode(&read(path)?, options).map_err(|error| error.at(path))
}

/// Decodes a JPEG, PNG, WebP, BMP, TIFF or GIF picture; of several pages or frames the first.
///
/// Alpha is dropped, not composited, as `cv2.imread` does; where a GIF's first frame leaves its screen uncovered it is black.
/// 16-bit channels become 8 as [`SixteenBits`] says. Floats (TIFF) are taken from 0 (black) to 1 (white).
///
/// # Errors
/// `UnknownFormat` if the bytes are of no known format, or of a kind of it that is not read (floats beyond 0..1, palettes, YCbCr,
/// grey with alpha and signed or 32-bit numbers in a TIFF, a camera's raw file); `TooLarge` above the limit (before any pixel is allocated),
/// `Corrupt` if the picture is broken or cut off.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage> {
    let (picture, format) = open(bytes, options)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    RgbImage::new(width, height, rgb_bytes(picture, format, options.sixteen_bits)?)
}

/// Width and height of a picture as its header tells them, before it is turned: what decoding it would need memory for.
///
/// # Errors
/// `UnknownFormat` and `Corrupt` as [`decode`], as far as a header tells; no size is too large.
pub fn size_in_header(bytes: &[u8]) -> Result<(usize, usize)> {
    let format = format_of(bytes)?;
    let (width, height) = match format {
        // Also of the kinds that the library does not read.
        ImageFormat::Tiff => tiff::size(bytes)?,
        _ => {
            let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
            reader.limits(limits(LARGEST_HEADER));
            reader.into_dimensions().map_err(|error| broken(format, &error))?
        }
    };
    Ok((width as usize, height as usize))
}

/// The content of a picture's file, within limits.
fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |error: std::io::Error| Error::new(ErrorKind::Io, error.to_string()).at(path);
    let facts = std::fs::metadata(path).map_err(io)?;
    if facts.is_dir() {
        return Err(Error::new(ErrorKind::Io, "expected a picture, found a folder").at(path));
    }
    if facts.len() > LARGEST_FILE {
        let message = format!("the file has {} bytes, the limit is {LARGEST_FILE}", facts.len());
        return Err(Error::new(ErrorKind::TooLarge, message).at(path));
    }
    std::fs::read(path).map_err(io)
}

/// The picture with the channels that the file has, turned if asked for.
fn open(bytes: &[u8], options: &DecodeOptions) -> Result<(DynamicImage, ImageFormat)> {
    let format = format_of(bytes)?;
    let broken = |error| broken(format, &error);
    if format == ImageFormat::Tiff {
        tiff::check(bytes)?;
    }
    if format == ImageFormat::Bmp {
        check_bmp(bytes, options)?;
    }
    if format == ImageFormat::WebP {
        check_webp(bytes)?;
    }
    // Floats of one channel are not for the library.
    if format == ImageFormat::Tiff
        && let Some(floats) = tiff::grey_floats(bytes, options)?
    {
        return Ok((floats, format));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits(LARGEST_HEADER));
    let mut decoder = reader.into_decoder().map_err(broken)?;
    check_size(decoder.dimensions(), options)?;
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(Error::new(ErrorKind::Corrupt, "the JPEG is cut off: its end marker is missing"));
    }
    let (width, height) = decoder.dimensions();
    // The picture itself, as much again for its pieces, and what the header may have.
    let most = 2 * WIDEST_PIXEL * u64::from(width) * u64::from(height) + LARGEST_HEADER;
    decoder.set_limits(limits(most)).map_err(broken)?;
    let orientation = exif::orientation(&mut decoder, format, bytes);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    if options.apply_exif {
        picture.apply_orientation(orientation);
    }
    Ok((picture, format))
}

/// The limit is ours, and in pixels; the library's own, in bytes, would blur the message.
fn check_size(size: (u32, u32), options: &DecodeOptions) -> Result<()> {
    let (width, height) = size;
    if width == 0 || height == 0 {
        return Err(Error::new(ErrorKind::Corrupt, format!("the picture has {width} × {height} pixels")));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > options.max_pixels {
        let message = format!("the picture has {width} × {height} pixels, the limit is {}", options.max_pixels);
        return Err(Error::too_large(message).with_help("raise the limit if this picture is meant (--max-pixels)"));
    }
    // A few bytes may say any size: whoever lifts the limit still wants an error, not the end of the process.
    if pixels > MOST_PIXELS {
        return Err(Error::too_large(format!("the picture has {width} × {height} pixels, no more than {MOST_PIXELS} can be read")));
    }
    Ok(())
}

/// The library takes what is there: the picture without the EXIF that says how it stands. libwebp refuses what is cut off.
fn check_webp(bytes: &[u8]) -> Result<()> {
    const HEADER: u64 = 8;
    let said = bytes.get(4..8).map_or(0, |size| HEADER + u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]])));
    if said <= bytes.len() as u64 {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Corrupt, "the WebP is cut off").with_expected(format!("{said} bytes"));
    Err(error.with_found(bytes.len().to_string()))
}

/// The library calls a BMP broken that has longer sides than it reads.
fn check_bmp(bytes: &[u8], options: &DecodeOptions) -> Result<()> {
    const LONGEST: u32 = 65_535;
    let side = |at: usize| bytes.get(at..at + 4).map(|side| i32::from_le_bytes([side[0], side[1], side[2], side[3]]).unsigned_abs());
    // The oldest header has sides of 16 bits.
    let (Some(width), Some(height)) = (side(18), side(22)) else { return Ok(()) };
    if bytes[14] == 12 || width.max(height) <= LONGEST {
        return Ok(());
    }
    check_size((width, height), options)?;
    let error = Error::too_large("BMP").with_expected(format!("sides of up to {LONGEST} pixels"));
    Err(error.with_found(format!("{width} × {height}")).with_help("convert it to PNG first"))
}

fn limits(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// The library's error as ours.
fn broken(format: ImageFormat, error: &ImageError) -> Error {
    let name = name(format);
    match error {
        ImageError::Unsupported(reason) => unread(name, &reason.to_string()),
        ImageError::Limits(_) => {
            Error::new(ErrorKind::TooLarge, format!("the {name} asks for more memory than a picture of its size can need: {error}"))
        }
        _ => Error::new(ErrorKind::Corrupt, format!("the {name} is broken: {error}")),
    }
}

/// A known format with something in it that is not read.
fn unread(name: &str, found: &str) -> Error {
    Error::new(ErrorKind::UnknownFormat, format!("this kind of {name} is not read: {found}"))
        .with_help("save it as a PNG, or as a TIFF, with 8 or 16 bits of grey or RGB")
}

/// The EXIF orientation of a picture (of a TIFF, its own), 1 to 8; 1 (upright) where it says nothing.
///
/// # Errors
/// `UnknownFormat` if the bytes are of no known format, `Corrupt` if the header is broken.
pub fn exif_orientation(bytes: &[u8]) -> Result<u8> {
    let format = format_of(bytes)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits(LARGEST_HEADER));
    let mut decoder = reader.into_decoder().map_err(|error| broken(format, &error))?;
    Ok(exif::orientation(&mut decoder, format, bytes).to_exif())
}

/// The picture turned as an EXIF orientation says: what [`decode`] does with `apply_exif`, for pixels that lie upright in
/// another file.
///
/// # Errors
/// `InvalidArgument` for an orientation outside 1..=8, or a side of 2^32 pixels.
pub fn turn(picture: RgbImage, orientation: u8) -> Result<RgbImage> {
    let turned = Orientation::from_exif(orientation);
    let unknown = || Error::invalid("EXIF orientation").with_expected("1 to 8").with_found(orientation.to_string());
    let turned = turned.ok_or_else(unknown)?;
    let (width, height) = picture.size();
    let sides = u32::try_from(width).ok().zip(u32::try_from(height).ok());
    let buffer = sides.and_then(|(columns, rows)| image::RgbImage::from_raw(columns, rows, picture.into_pixels()));
    let beyond = || Error::invalid("picture").with_expected("sides below 2^32").with_found(format!("{width} × {height}"));
    let mut picture = DynamicImage::ImageRgb8(buffer.ok_or_else(beyond)?);
    picture.apply_orientation(turned);
    RgbImage::new(picture.width() as usize, picture.height() as usize, picture.into_rgb8().into_raw())
}

/// Whether the end marker follows the (last) header. Decoders fill what is missing with grey; that is no answer.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    // Segments with a length, up to the first scan: an end marker in there belongs to a thumbnail.
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        match marker {
            0xff => at += 1,
            0xda => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => match bytes.get(at + 2..at + 4) {
                Some(length) => at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                None => return false,
            },
        }
    }
    // Not as the standard has it: the decoder judges.
    at < bytes.len()
}
