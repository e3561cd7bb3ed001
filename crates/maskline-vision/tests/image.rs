//! Pictures in memory: what is no picture cannot be made, and other programs' pixels arrive as what they show.
#![allow(clippy::unwrap_used)]

use maskline_vision::{Error, ErrorKind, PixelFormat, RgbImage, Strided};
use proptest::prelude::*;

const FORMATS: [PixelFormat; 5] = [PixelFormat::Rgb, PixelFormat::Bgr, PixelFormat::Rgba, PixelFormat::Bgra, PixelFormat::Grey];

/// A picture by its format's own constructor.
fn packed(format: PixelFormat, [width, height]: [usize; 2], bytes: &[u8]) -> Result<RgbImage, Error> {
    match format {
        PixelFormat::Rgb => RgbImage::from_rgb(width, height, bytes.to_vec()),
        PixelFormat::Bgr => RgbImage::from_bgr(width, height, bytes.to_vec()),
        PixelFormat::Rgba => RgbImage::from_rgba(width, height, bytes),
        PixelFormat::Bgra => RgbImage::from_bgra(width, height, bytes),
        _ => RgbImage::from_grey(width, height, bytes),
    }
}

/// A pixel's red, green and blue, by definition.
fn rgb(format: PixelFormat, pixel: &[u8]) -> [u8; 3] {
    let order = match format {
        PixelFormat::Rgb | PixelFormat::Rgba => [0, 1, 2],
        PixelFormat::Bgr | PixelFormat::Bgra => [2, 1, 0],
        _ => [0; 3],
    };
    order.map(|channel| pixel[channel])
}

fn level(at: usize) -> u8 {
    (at * 7919 % 251) as u8
}

#[test]
fn what_is_no_picture_cannot_be_made() {
    let cases: [([usize; 2], usize, &str, &str); 6] = [
        ([0, 0], 0, "at least one pixel", "a size of 0 × 0"),
        ([9, 0], 0, "at least one pixel", "a size of 9 × 0"),
        ([0, 9], 12, "at least one pixel", "a size of 0 × 9"),
        ([9, 9], 12, "9 × 9 × 3 = 243 bytes", "12"),
        ([usize::MAX, 2], 12, "a size that memory can hold", "18446744073709551615 × 2 × 3 bytes"),
        ([usize::MAX / 4, 1], 12, "a size that memory can hold", "4611686018427387903 × 1 × 3 bytes"),
    ];
    for ([width, height], bytes, expected, found) in cases {
        for error in [RgbImage::new, RgbImage::from_rgb, RgbImage::from_bgr].map(|make| make(width, height, vec![7; bytes]).unwrap_err()) {
            assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidArgument, "picture"));
            assert_eq!((error.expected(), error.found()), (Some(expected), Some(found)));
            assert_eq!(error.to_string(), format!("picture: expected {expected}, found {found}"));
        }
    }
    let error = RgbImage::from_rgba(2, 2, &[0; 12]).unwrap_err();
    assert_eq!(error.to_string(), "picture: expected 2 × 2 × 4 = 16 bytes, found 12");
    let error = RgbImage::from_grey(2, 2, &[0; 12]).unwrap_err();
    assert_eq!(error.to_string(), "picture: expected 2 × 2 × 1 = 4 bytes, found 12");
}

#[test]
fn rows_that_overlap_or_do_not_fit_are_refused() {
    let strided = |stride_bytes, height, bytes| Strided { width: 3, height, stride_bytes, format: PixelFormat::Bgra, bytes };
    let text = |picture| RgbImage::from_strided(picture).unwrap_err().to_string();
    assert_eq!(text(strided(11, 2, &[0; 24])), "stride: expected at least 12 bytes (3 pixels of 4), found 11");
    assert_eq!(text(strided(0, 1, &[0; 12])), "stride: expected at least 12 bytes (3 pixels of 4), found 0");
    assert_eq!(text(strided(16, 2, &[0; 27])), "picture: expected 28 to 32 bytes (2 rows, 16 apart), found 27");
    assert_eq!(text(strided(16, 2, &[0; 33])), "picture: expected 28 to 32 bytes (2 rows, 16 apart), found 33");
    assert!(text(strided(usize::MAX, 2, &[0; 33])).starts_with("picture: expected a size that memory can hold"));
    assert!(text(strided(usize::MAX / 2, usize::MAX / 64, &[0; 33])).starts_with("picture: expected a size that memory can hold"));
    assert!(text(strided(12, 0, &[])).starts_with("picture: expected at least one pixel"));
    // One row may lie at any distance from the next, which there is none of.
    assert!(RgbImage::from_strided(strided(usize::MAX, 1, &[0; 12])).is_ok());
}

#[test]
fn what_a_picture_is_made_of_comes_back() {
    let image = RgbImage::new(2, 2, (0..12).collect()).unwrap();
    assert_eq!((image.width(), image.height(), image.size()), (2, 2, (2, 2)));
    assert_eq!((image.row(1), image.pixels().len()), (&[6, 7, 8, 9, 10, 11][..], 12));
    assert_eq!(image.into_pixels(), (0..12).collect::<Vec<u8>>());
}

proptest! {
    /// Whatever the format and the padding, every pixel is what its bytes say, and the padding is never seen.
    #[test]
    fn every_format_shows_the_same_pixels(
        format in prop::sample::select(&FORMATS[..]),
        width in 1_usize..9,
        height in 1_usize..7,
        padding in 0_usize..9,
        has_last_padding in any::<bool>(),
    ) {
        let row = width * format.channels();
        let stride = row + padding;
        let mut bytes: Vec<u8> = (0..stride * height).map(level).collect();
        if !has_last_padding {
            bytes.truncate(stride * (height - 1) + row);
        }
        let rows = bytes.chunks(stride).map(|padded| &padded[..row]);
        let expected: Vec<u8> = rows.clone().flat_map(|row| row.chunks(format.channels()).flat_map(|pixel| rgb(format, pixel))).collect();
        let strided = Strided { width, height, stride_bytes: stride, format, bytes: &bytes };
        let image = RgbImage::from_strided(strided).unwrap();
        prop_assert_eq!(image.size(), (width, height));
        prop_assert_eq!(image.pixels(), &expected);
        let tight: Vec<u8> = rows.flatten().copied().collect();
        prop_assert_eq!(&packed(format, [width, height], &tight).unwrap(), &image);
    }

    /// Any numbers at all end in a picture of that size or in an error, and only the right ones in a picture.
    #[test]
    fn no_numbers_panic(
        format in prop::sample::select(&FORMATS[..]),
        sides in prop::array::uniform3(prop_oneof![0_usize..6, any::<usize>(), usize::MAX - 3..=usize::MAX]),
        length in 0_usize..80,
    ) {
        let [width, height, stride_bytes] = sides;
        let bytes = vec![3; length];
        let expected = |channels: usize| width.checked_mul(height).and_then(|pixels| pixels.checked_mul(channels)).filter(|bytes| *bytes > 0);
        let image = packed(format, [width, height], &bytes);
        prop_assert_eq!(image.is_ok(), expected(format.channels()) == Some(length));
        if let Ok(image) = RgbImage::from_strided(Strided { width, height, stride_bytes, format, bytes: &bytes }) {
            prop_assert_eq!((image.size(), Some(image.pixels().len())), ((width, height), expected(3)));
        }
    }
}

/// `cargo test` has the feature, which this crate's development dependencies ask for.
#[cfg(feature = "image")]
mod interop {
    use image::{DynamicImage, GrayImage, Rgb, RgbaImage};

    use super::*;

    #[test]
    fn pictures_of_the_image_crate_come_and_go_unchanged() {
        let theirs = image::RgbImage::from_fn(7, 5, |x, y| Rgb([level(x as usize), level(y as usize + 40), level((x * y) as usize)]));
        let ours = RgbImage::try_from(theirs.clone()).unwrap();
        assert_eq!((ours.size(), ours.pixels()), ((7, 5), theirs.as_raw().as_slice()));
        assert_eq!(RgbImage::try_from(DynamicImage::ImageRgb8(theirs.clone())).unwrap(), ours);
        assert_eq!(image::RgbImage::try_from(ours.clone()).unwrap(), theirs);
        assert_eq!(DynamicImage::try_from(ours).unwrap(), DynamicImage::ImageRgb8(theirs));
    }

    #[test]
    fn other_formats_become_rgb() {
        let rgba = RgbaImage::from_raw(2, 1, vec![1, 2, 3, 0, 4, 5, 6, 255]).unwrap();
        assert_eq!(RgbImage::try_from(DynamicImage::ImageRgba8(rgba)).unwrap().pixels(), [1, 2, 3, 4, 5, 6]);
        let grey = GrayImage::from_raw(2, 1, vec![9, 200]).unwrap();
        assert_eq!(RgbImage::try_from(DynamicImage::ImageLuma8(grey)).unwrap().pixels(), [9, 9, 9, 200, 200, 200]);
    }

    #[test]
    fn an_empty_picture_is_an_error_and_a_long_buffer_is_cut() {
        let error = RgbImage::try_from(image::RgbImage::new(0, 4)).unwrap_err();
        assert_eq!((error.kind(), error.found()), (ErrorKind::InvalidArgument, Some("a size of 0 × 4")));
        let long = image::RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6, 99]).unwrap();
        assert_eq!(RgbImage::try_from(long).unwrap().pixels(), [1, 2, 3, 4, 5, 6]);
    }
}
