//! Pictures that a server has not seen, without making any during a run.
//!
//! A server finds what it knows by the hash of a picture's file or of its pixels: the same picture again is no picture that has to be decoded
//! and encoded. In a JPEG file the pixels depend on the table of quantisation (ITU T.81, B.2.4.1), a few bytes at a known place: with other
//! steps for its low frequencies it is another picture of the same size, that is decoded in the same time.

use maskline::vision::write::{PictureFormat, encode_picture};
use maskline::{Image, Result};

/// A JPEG file whose pixels are those of a number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fresh {
    file: Vec<u8>,
    /// Where the steps of the frequencies 1 to 12 are, of the first table.
    steps: usize,
}

/// Frequencies whose steps change, each by 0 to 3: 4¹² pictures.
const FREQUENCIES: usize = 12;

impl Fresh {
    /// The file itself if it is JPEG; otherwise its picture as JPEG.
    ///
    /// # Errors
    /// If the picture cannot be decoded or encoded.
    pub(super) fn of(file: Vec<u8>) -> Result<Self> {
        if let Some(steps) = steps_in(&file) {
            return Ok(Self { file, steps });
        }
        let image = Image::from_bytes(&file, &maskline::vision::decode::DecodeOptions::default())?;
        let file = encode_picture(image.pixels(), PictureFormat::Jpeg { quality: 90 })?;
        let none = || maskline::Error::new(maskline::ErrorKind::Failed, "the encoder's JPEG has no table of quantisation");
        let steps = steps_in(&file).ok_or_else(none)?;
        Ok(Self { file, steps })
    }

    /// The file with the number 0.
    pub(super) fn file(&self) -> &[u8] {
        &self.file
    }

    /// Makes a copy of the file, which is at a place of a message, the picture with a number.
    pub(super) fn renew(&self, copy: &mut [u8], number: u64) {
        let steps = self.steps..self.steps + FREQUENCIES;
        let (Some(from), Some(to)) = (self.file.get(steps.clone()), copy.get_mut(steps)) else { return };
        for (index, (old, new)) in from.iter().zip(to).enumerate() {
            let more = (number >> (2 * index) & 3) as u8;
            // A step is 1 to 255.
            *new = if *old > u8::MAX - 3 { old - more } else { old + more };
        }
    }
}

/// Where in a JPEG file the steps of frequency 1 and higher of its first table are; `None` of other files and of 16-bit tables.
fn steps_in(file: &[u8]) -> Option<usize> {
    const QUANTISATION: u8 = 0xdb;
    const SCAN: u8 = 0xda;
    let mut at = 2;
    if file.get(..2)? != [0xff, 0xd8] {
        return None;
    }
    loop {
        let [mark, kind, high, low]: [u8; 4] = file.get(at..at + 4)?.try_into().ok()?;
        if mark != 0xff || kind == SCAN {
            return None;
        }
        if kind == QUANTISATION {
            // Marker, length, precision and number; then the step of frequency 0.
            let is_of_bytes = file.get(at + 4)? >> 4 == 0;
            return is_of_bytes.then_some(at + 6).filter(|steps| steps + FREQUENCIES <= file.len());
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline::vision::RgbImage;
    use maskline::vision::decode::DecodeOptions;

    fn picture() -> RgbImage {
        let pixels = (0..96 * 64).flat_map(|i| [(i % 96 * 2) as u8, (i / 96 * 3) as u8, (i * 37 % 251) as u8]).collect();
        RgbImage::new(96, 64, pixels).expect("a picture")
    }

    #[test]
    fn numbers_are_pictures_of_one_size_that_differ() {
        for format in [PictureFormat::Jpeg { quality: 90 }, PictureFormat::Png] {
            let fresh = Fresh::of(encode_picture(&picture(), format).expect("a file")).expect("a picture");
            let mut seen = Vec::new();
            for number in [0, 1, 2, 3, 4, 17, 1 << 10, 1 << 22] {
                let mut copy = fresh.file().to_vec();
                fresh.renew(&mut copy, number);
                let image = Image::from_bytes(&copy, &DecodeOptions::default()).expect("still a picture");
                assert_eq!(image.size(), (96, 64));
                let pixels = image.pixels().pixels().to_vec();
                assert!(!seen.contains(&pixels), "{number} has been seen");
                seen.push(pixels);
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_no_picture_is_an_error() {
        let file = encode_picture(&picture(), PictureFormat::Jpeg { quality: 90 }).expect("a file");
        for length in [0, 1, 2, 5, 20, 24] {
            assert!(Fresh::of(file[..length].to_vec()).is_err(), "{length}");
        }
        assert!(Fresh::of(b"no picture".to_vec()).is_err());
    }
}
