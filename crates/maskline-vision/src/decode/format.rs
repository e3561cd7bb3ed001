//! Which format a file is of, by its content.

use image::ImageFormat;

use crate::{Error, ErrorKind, Result};

/// Endings, in lower case and without the dot, of the pictures that are read.
pub const EXTENSIONS: [&str; 12] = ["jpg", "jpeg", "jfif", "jpe", "png", "apng", "webp", "bmp", "dib", "tif", "tiff", "gif"];

/// Endings of pictures that are not read, for messages and for telling a picture from something else.
pub const UNREAD_EXTENSIONS: [&str; 36] = [
    "avif", "heic", "heif", "hif", "jxl", "jp2", "j2k", "jpx", "ppm", "pgm", "pbm", "pnm", "pam", "pfm", "tga", "exr", "hdr", "ico",
    "icns", "svg", "psd", "xcf", "dds", "pcx", "qoi", "dcm", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "raw", "fits",
];

const EXPECTED: &str = "expected a JPEG, PNG, WebP, BMP, TIFF or GIF picture";

pub(super) fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        _ => "WebP",
    }
}

pub(super) fn format_of(bytes: &[u8]) -> Result<ImageFormat> {
    let known: [(&[u8], ImageFormat); 8] = [
        (b"\xff\xd8\xff", ImageFormat::Jpeg),
        (b"\x89PNG\r\n\x1a\n", ImageFormat::Png),
        (b"GIF87a", ImageFormat::Gif),
        (b"GIF89a", ImageFormat::Gif),
        (b"II*\0", ImageFormat::Tiff),
        (b"MM\0*", ImageFormat::Tiff),
        // BigTIFF.
        (b"II+\0", ImageFormat::Tiff),
        (b"MM\0+", ImageFormat::Tiff),
    ];
    if let Some((_, format)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Ok(*format);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(ImageFormat::WebP);
    }
    if is_bmp(bytes) {
        return Ok(ImageFormat::Bmp);
    }
    let message = match foreign(bytes) {
        Some(found) => format!("{EXPECTED}, found {found}"),
        None => {
            let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("{EXPECTED}, found bytes that start with {}", start.join(" "))
        }
    };
    Err(Error::new(ErrorKind::UnknownFormat, message).with_help("convert it to PNG or JPEG first"))
}

/// Two letters are too few to tell: text may begin with them. The size of the header behind tells its version.
fn is_bmp(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BM")
        && bytes
            .get(14..18)
            .is_some_and(|size| [12, 16, 40, 52, 56, 64, 108, 124].map(u32::to_le_bytes).contains(&[size[0], size[1], size[2], size[3]]))
}

/// What bytes of another kind are, for the message.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 10] = [
        (b"GIF8", "a damaged GIF"),
        (b"%PDF", "a PDF"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
        (b"\x89PNG", "a damaged PNG"),
        (b"8BPS", "a Photoshop file"),
        (b"\0\0\x01\0", "an icon"),
        (b"\xff\x0a", "a JPEG XL picture"),
        (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    ];
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if let Some((_, name)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(name);
    }
    match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(b"avif" | b"avis")) => return Some("an AVIF picture"),
        (Some(b"ftyp"), Some(b"heic" | b"heix" | b"mif1")) => return Some("a HEIC picture"),
        (Some(b"ftyp"), Some(b"crx ")) => return Some("a camera's raw file"),
        (Some(b"ftyp"), _) => return Some("an MP4 or MOV video"),
        _ => {}
    }
    if let [b'P', b'1'..=b'7', space, ..] = bytes
        && space.is_ascii_whitespace()
    {
        return Some("a Netpbm picture");
    }
    let start = &bytes[..bytes.len().min(256)];
    let printable = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    std::str::from_utf8(start).is_ok_and(|_| start.iter().all(printable)).then_some("text")
}
