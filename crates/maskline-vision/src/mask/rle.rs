//! COCO run lengths and their compressed text.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::{Error, Result};

/// COCO run lengths: column-major, alternately zeros and ones, starting with zeros (the first may be 0).
///
/// Serialises as `{"size": [h, w], "counts": "…"}` with the compressed text; counts as a list of numbers are read too. That they add
/// up to the size is checked by [`Mask::from_rle`](crate::Mask::from_rle), and where a [`Mask`](crate::Mask) is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rle {
    /// `[height, width]` in pixels.
    pub size: [usize; 2],
    /// Run lengths in pixels.
    pub counts: Vec<u32>,
}

/// Data bits per character.
const BITS: u32 = 5;
/// Set in every character of a number but the last.
const CONTINUES: i64 = 0x20;
/// Sign bit of the last character.
const SIGN: i64 = 0x10;
/// Character of the value 0; the 64 values end at `o`.
const ZERO: u8 = b'0';
/// A 32-bit difference and its sign fit into this many characters.
const MAX_CHARACTERS: u32 = 7;

impl Rle {
    /// The compressed text of pycocotools: from the fourth run on, the difference to the run two before; five bits per
    /// character, low bits first, as the characters `0` (48) to `o` (111).
    pub fn to_coco_string(&self) -> String {
        let mut text = String::with_capacity(self.counts.len() * 2);
        for (index, &count) in self.counts.iter().enumerate() {
            let mut rest = i64::from(count) - if index > 2 { i64::from(self.counts[index - 2]) } else { 0 };
            loop {
                let bits = rest & (CONTINUES - 1);
                rest >>= BITS;
                let is_last = if bits & SIGN != 0 { rest == -1 } else { rest == 0 };
                let value = if is_last { bits } else { bits | CONTINUES };
                text.push(char::from(ZERO + value as u8));
                if is_last {
                    break;
                }
            }
        }
        text
    }

    /// Reads the compressed text; `size` is `[height, width]`. That the runs add up is checked by [`Mask::from_rle`](crate::Mask::from_rle).
    ///
    /// # Errors
    /// `InvalidArgument` for a character outside `0`..=`o`, a number cut off, or a run below 0 or above 32 bits.
    pub fn from_coco_string(size: [usize; 2], text: &str) -> Result<Self> {
        let mut counts: Vec<u32> = Vec::new();
        let mut value = 0i64;
        let mut characters = 0;
        for (position, byte) in text.bytes().enumerate() {
            let bits = byte.checked_sub(ZERO).map(i64::from).filter(|&bits| bits < 2 * CONTINUES);
            let bits = bits.ok_or_else(|| broken(position, "a character outside '0'..='o'"))?;
            value |= (bits & (CONTINUES - 1)) << (BITS * characters);
            characters += 1;
            if bits & CONTINUES != 0 {
                if characters == MAX_CHARACTERS {
                    return Err(broken(position, "a number of more than 32 bits"));
                }
                continue;
            }
            if bits & SIGN != 0 {
                value |= -1 << (BITS * characters);
            }
            let base = if counts.len() > 2 { i64::from(counts[counts.len() - 2]) } else { 0 };
            counts.push(u32::try_from(base + value).map_err(|_| broken(position, "a run below 0 or above 32 bits"))?);
            (value, characters) = (0, 0);
        }
        if characters != 0 {
            return Err(broken(text.len(), "the end of the text inside a number"));
        }
        Ok(Self { size, counts })
    }
}

fn broken(position: usize, found: &str) -> Error {
    let error = Error::invalid("RLE counts").with_expected("COCO's compressed text");
    error.with_found(format!("{found} at byte {position}")).with_help("uncompressed counts are a list of numbers; set them in Rle::counts")
}

impl Serialize for Rle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rle = serializer.serialize_struct("Rle", 2)?;
        rle.serialize_field("size", &self.size)?;
        rle.serialize_field("counts", &self.to_coco_string())?;
        rle.end()
    }
}

impl<'de> Deserialize<'de> for Rle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { size, counts } = Written::deserialize(deserializer)?;
        match counts {
            Counts::Text(text) => Self::from_coco_string(size, &text).map_err(D::Error::custom),
            Counts::List(counts) => Ok(Self { size, counts }),
        }
    }
}

/// Run lengths as they are written.
#[derive(serde::Deserialize)]
struct Written {
    size: [usize; 2],
    counts: Counts,
}

#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "counts: expected COCO's compressed text, or a list of pixels below 2^32")]
enum Counts {
    Text(String),
    List(Vec<u32>),
}
