//! The brush masks of Label Studio.

use super::Mask;
use crate::{Error, Result};

/// Bits of a value, less one.
const WORD: (u32, u32) = (8 - 1, 5);
/// A run's length less one is written in as few bits of these as hold it.
const LENGTHS: [u32; 4] = [3, 4, 8, 16];
/// Bytes of a pixel: a mask is written as R, G, B, A.
const CHANNELS: usize = 4;

impl Mask {
    /// The `rle` of a Label Studio brush annotation (`value.rle`, with `format: "rle"`), as `label_studio_converter.brush`
    /// writes it: the rows as R, G, B, A bytes of 0 or 255, in run lengths packed to the bit.
    ///
    /// Big-endian bits: the number of bytes (32), the bits of a value less one (5), of four kinds of lengths less one (4 each);
    /// then for each run a one, the kind of length (2), the length less one, the value (8). Zeros, at least one, fill the last
    /// byte.
    ///
    /// # Errors
    /// `TooLarge` above 2^30 pixels, whose bytes 32 bits cannot count.
    pub fn to_label_studio_rle(&self) -> Result<Vec<u8>> {
        let bytes = (self.width * self.height * CHANNELS) as u64;
        let length = u32::try_from(bytes).map_err(|_| {
            let error = Error::too_large("Label Studio mask").with_expected("less than 2^30 pixels");
            error.with_found(format!("{} x {}", self.width, self.height))
        })?;
        let mut bits = Bits::default();
        bits.push(length, 32);
        bits.push(WORD.0, WORD.1);
        LENGTHS.iter().for_each(|width| bits.push(width - 1, 4));
        let longest = 1 << LENGTHS[3];
        for run in self.to_rows(u8::MAX).chunk_by(|a, b| a == b) {
            let mut left = CHANNELS * run.len();
            while left > 0 {
                let count = left.min(longest);
                bits.run(count as u32 - 1, run[0]);
                left -= count;
            }
        }
        Ok(bits.finish())
    }
}

/// Bits from the highest of each byte to the lowest.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; the others are 0.
    taken: u32,
}

impl Bits {
    fn run(&mut self, rest: u32, value: u8) {
        let kind = LENGTHS.iter().position(|width| rest >> width == 0).unwrap_or(LENGTHS.len() - 1);
        self.push(1, 1);
        self.push(kind as u32, 2);
        self.push(rest, LENGTHS[kind]);
        self.push(u32::from(value), 8);
    }

    fn push(&mut self, value: u32, width: u32) {
        for bit in (0..width).rev().map(|at| (value >> at) & 1) {
            if self.taken.is_multiple_of(8) {
                self.bytes.push(0);
                self.taken = 0;
            }
            self.taken += 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= (bit as u8) << (8 - self.taken);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.taken == 8 {
            self.bytes.push(0);
        }
        self.bytes
    }
}
