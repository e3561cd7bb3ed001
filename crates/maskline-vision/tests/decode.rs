//! Pictures of every format: read right, or refused with a reason.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage as Pixels};
use maskline_vision::ErrorKind;
use maskline_vision::decode::{
    DecodeOptions, EXTENSIONS, SixteenBits, UNREAD_EXTENSIONS, decode, decode_file, mask_of_picture, size_in_header,
};
use proptest::prelude::*;
use tiff::encoder::{TiffEncoder, colortype};
use tiff::tags::Tag;

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn colors() -> Pixels {
    Pixels::from_fn(31, 17, |x, y| Rgb([x as u8 * 8, y as u8 * 15, if x > y { 200 } else { 20 }]))
}

fn read(bytes: &[u8]) -> maskline_vision::Result<maskline_vision::RgbImage> {
    decode(bytes, &DecodeOptions::default())
}

fn tiff_of<C: colortype::ColorType>(size: [u32; 2], values: &[C::Inner], tag: Option<(u16, u16)>) -> Vec<u8>
where
    [C::Inner]: tiff::encoder::TiffValue,
{
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    let mut page = encoder.new_image::<C>(size[0], size[1]).unwrap();
    if let Some((tag, value)) = tag {
        page.encoder().write_tag(Tag::Unknown(tag), value).unwrap();
    }
    page.write_data(values).unwrap();
    bytes.into_inner()
}

/// Where the entry of a tag begins in a little-endian TIFF of one page.
fn entry(file: &[u8], tag: u16) -> usize {
    let first = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes([file[first], file[first + 1]]) as usize;
    (0..count).map(|place| first + 2 + 12 * place).find(|at| file[*at..at + 2] == tag.to_le_bytes()).unwrap()
}

#[test]
fn bmp_tiff_and_gif_are_read_by_content() {
    let picture = DynamicImage::ImageRgb8(colors());
    let folder = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Bmp, ImageFormat::Tiff] {
        let path = folder.path().join("photo.jpg");
        std::fs::write(&path, encoded(&picture, format)).unwrap();
        let found = decode_file(&path, &DecodeOptions::default()).unwrap();
        assert_eq!((found.width(), found.height(), found.pixels()), (31, 17, colors().as_raw().as_slice()), "{format:?}");
    }
    // Colours that fit a palette come back.
    let flags = DynamicImage::ImageRgb8(Pixels::from_fn(20, 10, |x, _| Rgb(if x < 10 { [255, 0, 0] } else { [0, 0, 255] })));
    let found = read(&encoded(&flags, ImageFormat::Gif)).unwrap();
    assert_eq!((found.row(3)[..3].to_vec(), found.row(9)[57..].to_vec()), (vec![255, 0, 0], vec![0, 0, 255]));
    let grey = DynamicImage::ImageLuma8(picture.to_luma8());
    for format in [ImageFormat::Bmp, ImageFormat::Tiff] {
        let found = read(&encoded(&grey, format)).unwrap();
        assert_eq!(found.row(5)[9..12], [picture.to_luma8().get_pixel(3, 5).0[0]; 3], "{format:?}");
    }
}

#[test]
fn the_first_page_and_the_first_frame_are_taken() {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
    encoder.write_image::<colortype::Gray8>(2, 1, &[10, 20]).unwrap();
    encoder.write_image::<colortype::Gray8>(3, 3, &[99; 9]).unwrap();
    assert_eq!(read(&bytes.into_inner()).unwrap().pixels(), [10, 10, 10, 20, 20, 20]);

    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for level in [[255, 0, 0, 255], [0, 255, 0, 255]] {
        encoder.encode_frame(image::Frame::new(image::RgbaImage::from_pixel(4, 4, image::Rgba(level)))).unwrap();
    }
    drop(encoder);
    assert_eq!(read(&bytes).unwrap().pixels(), [255, 0, 0].repeat(16));
}

#[test]
fn sixteen_bits_keep_what_can_be_seen() {
    let grey = |most: u16| DynamicImage::ImageLuma16(ImageBuffer::from_fn(16, 1, |x, _| Luma([x as u16 * (most / 15)])));
    let last =
        |bytes: &[u8], sixteen_bits| decode(bytes, &DecodeOptions { sixteen_bits, ..DecodeOptions::default() }).unwrap().pixels()[45];
    // The largest values of 10, 12, 14 and 16 bits.
    for (most, fitted, high) in
        [(1020, 255, 3), (4095, 255, 15), (3000, 187, 11), (16380, 255, 63), (17010, 66, 66), (65535, 255, 255), (240, 240, 0)]
    {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            let bytes = encoded(&grey(most), format);
            assert_eq!([last(&bytes, SixteenBits::Fitted), last(&bytes, SixteenBits::HighByte)], [fitted, high], "{most} {format:?}");
        }
    }
    let colour = DynamicImage::ImageRgb16(ImageBuffer::from_pixel(16, 1, Rgb([4095, 2048, 0])));
    let found = read(&encoded(&colour, ImageFormat::Png)).unwrap();
    assert_eq!(found.pixels()[..3], [15, 8, 0], "of a PNG in colour the high byte, as OpenCV has it");
    assert_eq!(read(&encoded(&colour, ImageFormat::Tiff)).unwrap().pixels()[..3], [255, 128, 0]);
}

#[test]
fn floats_are_from_black_to_white_or_refused() {
    let grey = tiff_of::<colortype::Gray32Float>([3, 1], &[0.0, 0.5, 1.0], None);
    assert_eq!(read(&grey).unwrap().pixels(), [0, 0, 0, 128, 128, 128, 255, 255, 255]);
    let colour = tiff_of::<colortype::RGB32Float>([1, 1], &[1.0, 0.5, 0.0], None);
    assert_eq!(read(&colour).unwrap().pixels(), [255, 128, 0]);
    for strange in [255.0, -0.1, f32::NAN, f32::INFINITY] {
        for bytes in [
            tiff_of::<colortype::Gray32Float>([2, 1], &[0.5, strange], None),
            tiff_of::<colortype::RGB32Float>([1, 1], &[0.5, 0.5, strange], None),
        ] {
            let error = read(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownFormat);
            assert!(error.to_string().contains("from 0 to 1") && error.to_string().contains("help: "), "{error}");
        }
    }
}

#[test]
fn tiffs_that_would_be_taken_for_others_are_refused() {
    let cases = [
        tiff_of::<colortype::Gray32>([2, 1], &[1, 2], None),
        tiff_of::<colortype::RGB32>([1, 1], &[1, 2, 3], None),
        tiff_of::<colortype::GrayI16>([2, 1], &[-1, 2], None),
        tiff_of::<colortype::Gray64Float>([2, 1], &[0.5, 0.5], None),
        // A camera's raw file: a thumbnail, or the version of DNG.
        tiff_of::<colortype::Gray8>([2, 1], &[1, 2], Some((254, 1))),
        tiff_of::<colortype::Gray8>([2, 1], &[1, 2], Some((50_706, 1))),
    ];
    for (place, bytes) in cases.iter().enumerate() {
        let error = read(bytes).unwrap_err();
        assert!(error.kind() == ErrorKind::UnknownFormat && error.to_string().contains("help: "), "{place}: {error}");
    }
    let other = read(&tiff_of::<colortype::YCbCr8>([1, 1], &[9, 9, 9], None)).unwrap_err().to_string();
    assert!(other.contains("YCbCr") && !other.contains("Unknown"), "{other}");
    // One without the kind of its numbers says whole ones; its 32 bits are not taken for floats.
    let mut unnamed = tiff_of::<colortype::RGB32>([1, 1], &[7, 7, 7], None);
    let entry = entry(&unnamed, 339);
    unnamed[entry..entry + 2].copy_from_slice(&340_u16.to_le_bytes());
    assert_eq!(read(&unnamed).unwrap_err().kind(), ErrorKind::UnknownFormat);
    let cmyk = read(&tiff_of::<colortype::CMYK8>([1, 1], &[0, 255, 255, 0], None)).unwrap();
    assert_eq!(cmyk.pixels(), [255, 0, 0]);
}

#[test]
fn white_is_zero_is_turned_over() {
    let mut bytes = tiff_of::<colortype::Gray8>([2, 1], &[0, 200], None);
    let entry = entry(&bytes, 262);
    assert_eq!(bytes[entry + 8], 1);
    bytes[entry + 8] = 0;
    assert_eq!(read(&bytes).unwrap().pixels(), [255, 255, 255, 55, 55, 55]);
}

#[test]
fn orientations_of_tiffs_are_applied() {
    let bytes = tiff_of::<colortype::Gray8>([2, 1], &[10, 20], Some((274, 6)));
    let found = read(&bytes).unwrap();
    assert_eq!((found.width(), found.height()), (1, 2));
    assert_eq!(maskline_vision::decode::exif_orientation(&bytes).unwrap(), 6);
    let floats = tiff_of::<colortype::Gray32Float>([2, 1], &[0.0, 1.0], Some((274, 6)));
    assert_eq!(read(&floats).unwrap().height(), 2);
    let as_stored = DecodeOptions { apply_exif: false, ..DecodeOptions::default() };
    assert_eq!(decode(&floats, &as_stored).unwrap().height(), 1);
}

#[test]
fn sizes_are_checked_before_pixels_are_asked_for() {
    let small = DynamicImage::ImageRgb8(colors());
    let claims = |format, at: usize, bytes: &[u8]| {
        let mut file = encoded(&small, format);
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let tiff = |wide: u32| {
        let mut file = tiff_of::<colortype::Gray32Float>([2, 1], &[0.0, 1.0], None);
        for tag in [256_u16, 257, 278] {
            let entry = entry(&file, tag);
            file[entry + 2..entry + 4].copy_from_slice(&4_u16.to_le_bytes());
            file[entry + 8..entry + 12].copy_from_slice(&wide.to_le_bytes());
        }
        file
    };
    let files = [
        claims(ImageFormat::Bmp, 18, &[0, 0, 0, 0x40, 0, 0, 0, 0x40]),
        claims(ImageFormat::Gif, 6, &[0xff; 4]),
        tiff(60_000),
        tiff(u32::MAX),
    ];
    for file in files {
        let error = read(&file).unwrap_err();
        assert!(error.kind() == ErrorKind::TooLarge && error.to_string().contains("--max-pixels"), "{error}");
    }
    let long = claims(ImageFormat::Bmp, 18, &[0x70, 0x11, 1, 0, 4, 0, 0, 0]);
    assert!(read(&long).unwrap_err().to_string().contains("found 70000 × 4"));
    // A GIF whose frame is larger than its screen: 65535 x 65535 in a file of 800 bytes.
    let mut gif = encoded(&small, ImageFormat::Gif);
    let frame = gif
        .iter()
        .rposition(|byte| *byte == 0x2c)
        .into_iter()
        .chain((0..gif.len()).filter(|at| gif[*at] == 0x2c && gif[at + 5..at + 9] == [31, 0, 17, 0]))
        .last()
        .unwrap();
    gif[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    assert_eq!(read(&gif).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn the_header_tells_the_size_that_decoding_gives() {
    let picture = DynamicImage::ImageRgb8(colors());
    for format in [ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Tiff, ImageFormat::WebP] {
        let file = encoded(&picture, format);
        assert_eq!(size_in_header(&file).unwrap(), (31, 17), "{format:?}");
        // Of what follows the header nothing is asked.
        let cut = size_in_header(&file[..file.len() - 1]);
        assert!(cut.is_ok() || cut.is_err_and(|error| error.kind() == ErrorKind::Corrupt), "{format:?}");
    }
    let floats = tiff_of::<colortype::Gray32Float>([3, 2], &[0.5; 6], None);
    assert_eq!(size_in_header(&floats).unwrap(), (3, 2));
    assert_eq!(size_in_header(b"not a picture").unwrap_err().kind(), ErrorKind::UnknownFormat);
}

#[test]
fn cut_files_are_errors_at_every_length() {
    let picture = DynamicImage::ImageRgb8(colors());
    // The last bytes of a GIF hold no pixels; a TIFF has its header at its end.
    for (format, rest) in [(ImageFormat::Bmp, 0), (ImageFormat::Tiff, 0), (ImageFormat::Gif, 4)] {
        let bytes = encoded(&picture, format);
        for length in 0..bytes.len() - rest {
            let error = read(&bytes[..length]).expect_err(&format!("{format:?} cut at {length} of {}", bytes.len()));
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::UnknownFormat), "{format:?} {length}: {error}");
        }
    }
}

#[test]
fn text_is_no_bmp_and_endings_are_listed_once() {
    let error = read(b"BM is how this text begins, and nothing else").unwrap_err();
    assert!(error.kind() == ErrorKind::UnknownFormat && error.to_string().contains("text"), "{error}");
    for ending in ["jfif", "bmp", "tif", "tiff", "gif", "webp"] {
        assert!(EXTENSIONS.contains(&ending) && !UNREAD_EXTENSIONS.contains(&ending), "{ending}");
    }
    assert!(UNREAD_EXTENSIONS.iter().all(|ending| !EXTENSIONS.contains(ending)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(at in 0_usize..4000, with in any::<[u8; 4]>(), kind in 0_usize..7) {
        let picture = DynamicImage::ImageRgb8(colors());
        let mut bytes = match kind {
            0 => encoded(&picture, ImageFormat::Bmp),
            1 => encoded(&picture, ImageFormat::Gif),
            2 => encoded(&picture, ImageFormat::Tiff),
            3 => encoded(&DynamicImage::ImageLuma16(picture.to_luma16()), ImageFormat::Tiff),
            4 => tiff_of::<colortype::Gray32Float>([8, 8], &[0.5; 64], None),
            5 => tiff_of::<colortype::CMYK8>([4, 4], &[9; 64], None),
            _ => encoded(&DynamicImage::ImageLuma8(picture.to_luma8()), ImageFormat::Bmp),
        };
        let at = at % (bytes.len() - 4);
        bytes[at..at + 4].copy_from_slice(&with);
        let options = DecodeOptions { max_pixels: 1 << 20, ..DecodeOptions::default() };
        let _ = decode(&bytes, &options);
        let _ = maskline_vision::decode::mask_of_picture(&bytes, &options);
    }
}

/// EXIF that says: turned by a quarter.
const TURNED: [u8; 26] = [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];

/// A PNG chunk whose checksum nobody reads.
fn png_with_exif_after_its_pixels() -> Vec<u8> {
    let mut bytes = encoded(&DynamicImage::ImageRgb8(colors()), ImageFormat::Png);
    let end = bytes.split_off(bytes.len() - 12);
    bytes.extend((TURNED.len() as u32).to_be_bytes());
    bytes.extend(*b"eXIf");
    bytes.extend(TURNED);
    bytes.extend([0; 4]);
    bytes.extend(end);
    bytes
}

/// The extended form of a WebP, with EXIF behind the picture.
fn webp_with_exif(prefix: &[u8]) -> Vec<u8> {
    let plain = encoded(&DynamicImage::ImageRgb8(colors()), ImageFormat::WebP);
    let (width, height) = colors().dimensions();
    let mut chunks = Vec::new();
    let mut add = |kind: &[u8; 4], data: &[u8]| {
        chunks.extend(kind);
        chunks.extend((data.len() as u32).to_le_bytes());
        chunks.extend(data);
        chunks.resize(chunks.len().next_multiple_of(2), 0);
    };
    let side = |side: u32| (side - 1).to_le_bytes();
    add(b"VP8X", &[&[8, 0, 0, 0][..], &side(width)[..3], &side(height)[..3]].concat());
    add(b"VP8L", &plain[20..]);
    add(b"EXIF", &[prefix, &TURNED].concat());
    [&b"RIFF"[..], &(chunks.len() as u32 + 4).to_le_bytes(), b"WEBP", &chunks].concat()
}

#[test]
fn exif_is_found_wherever_writers_put_it() {
    let (width, height) = colors().dimensions();
    let turned = read(&encoded(&DynamicImage::ImageRgb8(colors()).rotate90(), ImageFormat::Png)).unwrap();
    for bytes in [png_with_exif_after_its_pixels(), webp_with_exif(b""), webp_with_exif(b"Exif\0\0")] {
        let found = read(&bytes).unwrap();
        assert_eq!([found.width(), found.height()], [height as usize, width as usize]);
        assert_eq!(found, turned);
        assert_eq!(maskline_vision::decode::exif_orientation(&bytes).unwrap(), 6);
    }
}

#[test]
fn a_webp_without_its_end_is_cut_off_and_does_not_stand_otherwise() {
    let bytes = webp_with_exif(b"");
    for missing in [1, 3, 20, 34, 60] {
        let error = read(&bytes[..bytes.len() - missing]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{missing}: {error}");
        assert!(error.to_string().contains("cut off"), "{missing}: {error}");
    }
}

/// A header of a few bytes may say any size: without a limit it is an error still, and neither overflows nor asks for the memory.
#[test]
fn no_limit_is_no_way_to_exhaust_memory() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1 << 20, (1 << 31) - 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(vec![0, 0, 0, 255, 255, 255]);
    encoder.write_header().unwrap().write_chunk(png::chunk::IDAT, &[0x78, 0x9c]).unwrap();
    let options = DecodeOptions { max_pixels: u64::MAX, ..DecodeOptions::default() };
    let error = decode(&bytes, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    let error = mask_of_picture(&bytes, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("no more than 2147483648 can be read"), "{error}");
}
