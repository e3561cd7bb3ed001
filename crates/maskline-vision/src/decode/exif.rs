//! How a picture stands, where the library does not look.

use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat};

/// What some writers of WebP begin the chunk with, as if it were a segment of a JPEG.
const JPEG_PREFIX: &[u8] = b"Exif\0\0";

/// The picture's orientation. The library reads a PNG's only where it stands before the pixels, and a WebP's without a prefix.
pub(super) fn orientation(decoder: &mut impl ImageDecoder, format: ImageFormat, bytes: &[u8]) -> Orientation {
    let found = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if found != Orientation::NoTransforms {
        return found;
    }
    let chunk = match format {
        ImageFormat::Png => png_chunk(bytes),
        ImageFormat::WebP => webp_chunk(bytes),
        _ => None,
    };
    let exif = chunk.map(|chunk| chunk.strip_prefix(JPEG_PREFIX).unwrap_or(chunk));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(found)
}

fn png_chunk(bytes: &[u8]) -> Option<&[u8]> {
    const SIGNATURE: usize = 8;
    const CHECKSUM: usize = 4;
    let mut rest = bytes.get(SIGNATURE..)?;
    loop {
        let (length, kind) = (size(rest.get(..4)?, u32::from_be_bytes)?, rest.get(4..8)?);
        let end = length.checked_add(8)?;
        if kind == b"eXIf" {
            return rest.get(8..end);
        }
        rest = rest.get(end.checked_add(CHECKSUM)?..)?;
    }
}

fn webp_chunk(bytes: &[u8]) -> Option<&[u8]> {
    const HEADER: usize = 12;
    let mut rest = bytes.get(HEADER..)?;
    loop {
        let (kind, length) = (rest.get(..4)?, size(rest.get(4..8)?, u32::from_le_bytes)?);
        let end = length.checked_add(8)?;
        if kind == b"EXIF" {
            return rest.get(8..end);
        }
        // Chunks have an even length.
        rest = rest.get(end.checked_add(length % 2)?..)?;
    }
}

fn size(bytes: &[u8], read: fn([u8; 4]) -> u32) -> Option<usize> {
    usize::try_from(read(bytes.try_into().ok()?)).ok()
}
