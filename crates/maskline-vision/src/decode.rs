//! Files to pixels, within limits that are checked on the header.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::{Error, ErrorKind, Result, RgbImage};

/// Larger files are refused unread: no picture within the pixel limit needs as much.
const LARGEST_FILE: u64 = 2 << 30;

/// Options of [`decode`].
#[derive(Debug, Clone)]
pub struct DecodeOptions {
    /// Most pixels (width × height) that are decoded.
    pub max_pixels: u64,
    /// Turn the picture as its EXIF orientation says, as `cv2.imread` does.
    pub apply_exif: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { max_pixels: 100_000_000, apply_exif: true }
    }
}

/// Reads and decodes a file; its format is told by its content, never by its name.
///
/// # Errors
/// As [`decode`], naming the file; `Io` if it cannot be read.
pub fn decode_file(path: &Path, options: &DecodeOptions) -> Result<RgbImage> {
    let io = |error: std::io::Error| Error::new(ErrorKind::Io, error.to_string()).at(path);
    let facts = std::fs::metadata(path).map_err(io)?;
    if facts.is_dir() {
        return Err(Error::new(ErrorKind::Io, "expected a picture, found a folder").at(path));
    }
    if facts.len() > LARGEST_FILE {
        let message = format!("the file has {} bytes, the limit is {LARGEST_FILE}", facts.len());
        return Err(Error::new(ErrorKind::TooLarge, message).at(path));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    decode(&bytes, options).map_err(|error| error.at(path))
}

/// Decodes a JPEG, PNG or WebP picture. Alpha is dropped, not composited; 16-bit channels keep their high byte; both as
/// `cv2.imread` does.
///
/// # Errors
/// `UnknownFormat` if the bytes are of no known format, `TooLarge` above the limit (before any pixel is allocated), `Corrupt`
/// if the picture is broken or cut off.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<RgbImage> {
    let format = format_of(bytes)?;
    let corrupt = |error: image::ImageError| Error::new(ErrorKind::Corrupt, format!("the {} is broken: {error}", name(format)));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // The limit below is ours, and in pixels; the library's own, in bytes, would only blur the message.
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > options.max_pixels {
        let message = format!("the picture has {width} × {height} pixels, the limit is {}", options.max_pixels);
        return Err(Error::new(ErrorKind::TooLarge, message).help("raise the limit if this picture is meant (--max-pixels)"));
    }
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(Error::new(ErrorKind::Corrupt, "the JPEG is cut off: its end marker is missing"));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(corrupt)?;
    if options.apply_exif {
        picture.apply_orientation(orientation);
    }
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    RgbImage::new(width, height, rgb_bytes(picture))
}

/// The EXIF orientation of a JPEG, PNG or WebP picture, 1 to 8; 1 (upright) where it says nothing.
///
/// # Errors
/// `UnknownFormat` if the bytes are of no known format, `Corrupt` if the header is broken.
pub fn exif_orientation(bytes: &[u8]) -> Result<u8> {
    let format = format_of(bytes)?;
    let corrupt = |error: image::ImageError| Error::new(ErrorKind::Corrupt, format!("the {} is broken: {error}", name(format)));
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(corrupt)?;
    Ok(decoder.orientation().unwrap_or(Orientation::NoTransforms).to_exif())
}

/// The picture turned as an EXIF orientation says: what [`decode`] does with `apply_exif`, for pixels that lie upright in
/// another file.
///
/// # Errors
/// `InvalidArgument` for an orientation outside 1..=8, or a picture whose bytes are not width x height x 3.
pub fn turn(picture: RgbImage, orientation: u8) -> Result<RgbImage> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidArgument, message);
    let turned = Orientation::from_exif(orientation);
    let turned = turned.ok_or_else(|| invalid(format!("EXIF orientation: expected 1 to 8, found {orientation}")))?;
    let (width, height, bytes) = (picture.width, picture.height, picture.pixels.len());
    let buffer = image::RgbImage::from_raw(width as u32, height as u32, picture.pixels);
    let sizes = || invalid(format!("picture: expected {width} x {height} x 3 bytes, found {bytes}"));
    let mut picture = DynamicImage::ImageRgb8(buffer.ok_or_else(sizes)?);
    picture.apply_orientation(turned);
    RgbImage::new(picture.width() as usize, picture.height() as usize, rgb_bytes(picture))
}

fn rgb_bytes(picture: DynamicImage) -> Vec<u8> {
    let high_bytes = |values: &[u16]| values.iter().map(|value| (value >> 8) as u8).collect::<Vec<u8>>();
    match picture {
        DynamicImage::ImageRgb8(rgb) => rgb.into_raw(),
        DynamicImage::ImageRgb16(rgb) => high_bytes(&rgb),
        DynamicImage::ImageRgba16(rgba) => rgba.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]].map(|v| (v >> 8) as u8)).collect(),
        DynamicImage::ImageLuma16(grey) => grey.iter().flat_map(|v| [(v >> 8) as u8; 3]).collect(),
        DynamicImage::ImageLumaA16(grey) => grey.pixels().flat_map(|p| [(p.0[0] >> 8) as u8; 3]).collect(),
        other => other.into_rgb8().into_raw(),
    }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        _ => "WebP",
    }
}

fn format_of(bytes: &[u8]) -> Result<ImageFormat> {
    let known: [(&[u8], ImageFormat); 2] = [(b"\xff\xd8\xff", ImageFormat::Jpeg), (b"\x89PNG\r\n\x1a\n", ImageFormat::Png)];
    if let Some((_, format)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Ok(*format);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(ImageFormat::WebP);
    }
    let message = match foreign(bytes) {
        Some(found) => format!("expected a JPEG, PNG or WebP picture, found {found}"),
        None => {
            let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("expected a JPEG, PNG or WebP picture, found bytes that start with {}", start.join(" "))
        }
    };
    Err(Error::new(ErrorKind::UnknownFormat, message))
}

/// What bytes of another kind are, for the message.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 8] = [
        (b"GIF8", "a GIF"),
        (b"BM", "a BMP"),
        (b"II*\0", "a TIFF"),
        (b"MM\0*", "a TIFF"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
        (b"\x89PNG", "a damaged PNG"),
    ];
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if let Some((_, name)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(name);
    }
    match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(b"avif")) => return Some("an AVIF picture"),
        (Some(b"ftyp"), Some(b"heic" | b"heix" | b"mif1")) => return Some("a HEIC picture"),
        (Some(b"ftyp"), _) => return Some("an MP4 or MOV video"),
        _ => {}
    }
    let start = &bytes[..bytes.len().min(256)];
    let printable = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    std::str::from_utf8(start).is_ok_and(|_| start.iter().all(printable)).then_some("text")
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
