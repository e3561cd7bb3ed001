//! Masks from pictures: whatever is stored for "set" is set.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use maskline_vision::decode::{DecodeOptions, mask_of_file, mask_of_picture};
use maskline_vision::write::voc_palette;
use maskline_vision::{ErrorKind, Mask};
use png::{BitDepth, ColorType};

const SIZE: [u32; 2] = [13, 9];

fn square() -> Mask {
    Mask::from_fn(13, 9, |x, y| (3..8).contains(&x) && (2..7).contains(&y)).unwrap()
}

fn is_set(x: u32, y: u32) -> bool {
    square().get(x as usize, y as usize)
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn read(bytes: &[u8]) -> maskline_vision::Result<Mask> {
    mask_of_picture(bytes, &DecodeOptions::default())
}

fn grey(set: u8) -> DynamicImage {
    DynamicImage::ImageLuma8(ImageBuffer::from_fn(SIZE[0], SIZE[1], |x, y| Luma([if is_set(x, y) { set } else { 0 }])))
}

fn deep(set: u16) -> DynamicImage {
    DynamicImage::ImageLuma16(ImageBuffer::from_fn(SIZE[0], SIZE[1], |x, y| Luma([if is_set(x, y) { set } else { 0 }])))
}

/// A PNG of indices of this many bits.
fn indexed(bits: BitDepth, palette: &[[u8; 3]], index: impl Fn(u32, u32) -> u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE[0], SIZE[1]);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(bits);
    encoder.set_palette(palette.concat());
    let mut writer = encoder.write_header().unwrap();
    let mut rows = Vec::new();
    for y in 0..SIZE[1] {
        let mut row = vec![0; (SIZE[0] as usize * bits as usize).div_ceil(8)];
        for x in 0..SIZE[0] {
            let bit = x as usize * bits as usize;
            row[bit / 8] |= index(x, y) << (8 - bits as usize - bit % 8);
        }
        rows.extend(row);
    }
    writer.write_image_data(&rows).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn two_values_are_a_mask_whatever_they_are() {
    for set in [1, 2, 38, 127, 128, 254, 255] {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
            assert_eq!(read(&encoded(&grey(set), format)).unwrap(), square(), "{set} {format:?}");
        }
    }
    for set in [1, 255, 256, 4095, 32767, 65535] {
        for format in [ImageFormat::Png, ImageFormat::Tiff] {
            assert_eq!(read(&encoded(&deep(set), format)).unwrap(), square(), "{set} {format:?}");
        }
    }
    let rgb =
        |set: [u8; 3]| DynamicImage::ImageRgb8(ImageBuffer::from_fn(SIZE[0], SIZE[1], |x, y| Rgb(if is_set(x, y) { set } else { [0; 3] })));
    for set in [[1, 1, 1], [255, 0, 0], [0, 0, 128], [0, 1, 0]] {
        assert_eq!(read(&encoded(&rgb(set), ImageFormat::Png)).unwrap(), square(), "{set:?}");
    }
    for bits in [BitDepth::One, BitDepth::Two, BitDepth::Four] {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 8, 1);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(bits);
        encoder.write_header().unwrap().write_image_data(&vec![0x11; bits as usize]).unwrap();
        assert!(!read(&bytes).unwrap().is_empty(), "{bits:?}");
    }
}

#[test]
fn black_is_empty_and_full_is_full() {
    for picture in [grey(0), deep(0)] {
        assert!(read(&encoded(&picture, ImageFormat::Png)).unwrap().is_empty());
    }
    for value in [1, 255] {
        let full = DynamicImage::ImageLuma8(ImageBuffer::from_pixel(4, 3, Luma([value])));
        assert_eq!(read(&encoded(&full, ImageFormat::Png)).unwrap().area(), 12, "{value}");
    }
}

#[test]
fn many_levels_are_cut_at_half() {
    let levels = DynamicImage::ImageLuma8(ImageBuffer::from_fn(256, 1, |x, _| Luma([x as u8])));
    assert_eq!(read(&encoded(&levels, ImageFormat::Png)).unwrap().bounds(), Some([128, 0, 256, 1]));
    let deep = DynamicImage::ImageLuma16(ImageBuffer::from_fn(256, 1, |x, _| Luma([x as u16 * 257])));
    assert_eq!(read(&encoded(&deep, ImageFormat::Png)).unwrap().bounds(), Some([128, 0, 256, 1]));
    let narrow = DynamicImage::ImageLuma16(ImageBuffer::from_fn(256, 1, |x, _| Luma([x as u16])));
    assert_eq!(read(&encoded(&narrow, ImageFormat::Png)).unwrap().bounds(), Some([128, 0, 256, 1]));
}

#[test]
fn several_small_numbers_are_an_error_and_no_empty_mask() {
    let labels = DynamicImage::ImageLuma8(ImageBuffer::from_fn(8, 8, |x, _| Luma([x as u8 % 4])));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.png");
    std::fs::write(&path, encoded(&labels, ImageFormat::Png)).unwrap();
    let error = mask_of_file(&path, &DecodeOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidArgument, Some(path.as_path())));
    assert!(error.to_string().contains("several values up to 3") && error.to_string().contains("help: "), "{error}");
    assert_eq!(mask_of_file(&folder.path().join("no.png"), &DecodeOptions::default()).unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn palettes_of_colours_are_indices_and_palettes_of_greys_are_greys() {
    let object = |index: u8| move |x: u32, y: u32| if is_set(x, y) { index } else { 0 };
    for index in [1, 7, 20, 255] {
        assert_eq!(read(&indexed(BitDepth::Eight, &voc_palette(), object(index))).unwrap(), square(), "{index}");
    }
    let several = |x: u32, y: u32| if is_set(x, y) { 1 + (x % 3) as u8 } else { 0 };
    assert_eq!(read(&indexed(BitDepth::Eight, &voc_palette(), several)).unwrap(), square());
    for bits in [BitDepth::One, BitDepth::Two, BitDepth::Four] {
        let colors = &voc_palette()[..1 << bits as usize];
        assert_eq!(read(&indexed(bits, colors, object(1))).unwrap(), square(), "{bits:?}");
        // Index 0 is white here: a palette of greys says itself what is set.
        let turned: Vec<[u8; 3]> = [[255; 3], [0; 3]].into_iter().cycle().take(1 << bits as usize).collect();
        let found = read(&indexed(bits, &turned, object(1))).unwrap();
        assert_eq!(found, Mask::from_fn(13, 9, |x, y| !square().get(x, y)).unwrap(), "{bits:?}");
    }
    assert_eq!(read(&indexed(BitDepth::Eight, &[[0; 3], [1; 3]], object(1))).unwrap(), square(), "0 and 1 as greys");
    assert_eq!(read(&indexed(BitDepth::Eight, &[[0; 3], [0; 3]], object(1))).unwrap(), square(), "a palette that says nothing");
    assert!(read(&indexed(BitDepth::Eight, &voc_palette(), |_, _| 0)).unwrap().is_empty());
}

#[test]
fn alpha_is_the_mask_only_where_nothing_else_is() {
    let cut = |color: fn(u32) -> [u8; 3]| {
        let pixel = move |x: u32, y: u32| {
            let [r, g, b] = color(x);
            Rgba([r, g, b, if is_set(x, y) { 255 } else { 0 }])
        };
        DynamicImage::ImageRgba8(ImageBuffer::from_fn(SIZE[0], SIZE[1], pixel))
    };
    assert_eq!(read(&encoded(&cut(|_| [255; 3]), ImageFormat::Png)).unwrap(), square());
    let halves = read(&encoded(&cut(|x| if x < 5 { [255; 3] } else { [0; 3] }), ImageFormat::Png)).unwrap();
    assert_eq!(halves.bounds(), Some([0, 0, 5, 9]));
    let opaque = DynamicImage::ImageLumaA8(ImageBuffer::from_fn(SIZE[0], SIZE[1], |x, y| LumaA([u8::from(is_set(x, y)), 255])));
    assert_eq!(read(&encoded(&opaque, ImageFormat::Png)).unwrap(), square());
}

#[test]
fn broken_and_huge_masks_are_errors() {
    let bytes = indexed(BitDepth::Eight, &voc_palette(), |x, _| x as u8);
    for length in 0..bytes.len() - 16 {
        assert!(read(&bytes[..length]).is_err(), "{length}");
    }
    let error = mask_of_picture(&bytes, &DecodeOptions { max_pixels: 100, ..DecodeOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn a_mask_of_zeros_and_ones_from_elsewhere() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases/mask_0_1.png");
    if !path.exists() {
        return maskline_testing::skip(format_args!("{} is missing", path.display()));
    }
    assert!(!mask_of_file(&path, &DecodeOptions::default()).unwrap().is_empty());
}
