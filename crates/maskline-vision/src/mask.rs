//! Masks as runs: compact at any size, made straight from low-resolution logits, written as COCO RLE.
//!
//! A [`Mask`] is always as large as the original picture, but costs memory only where its outline crosses a column.

mod bilinear;
mod combine;
mod label_studio;
mod logits;
mod middle;
mod polygon;
mod prototypes;
mod regions;
mod rle;
mod rows;
mod segmentation;
mod upsample;

use std::ops::Range;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

pub(crate) use bilinear::Bilinear;
pub use logits::{Logits, StabilityCut};
pub(crate) use polygon::bridged;
pub use polygon::{Part, Polygon};
pub use prototypes::Prototypes;
pub use regions::{Cleaning, Regions, clean, fill_holes, largest_region, remove_small_regions};
pub use rle::Rle;
pub use upsample::{Frame, Upsampler, above, stability, threshold, upsample};

use crate::limits::mask_pixels as pixel_count;
use crate::{Error, Result};

/// A binary mask at the size of the original picture.
///
/// Kept as the positions where the value changes, in column-major order (down the first column, then the next, as COCO
/// counts them). Two masks are equal when their sizes and their pixels are.
///
/// Serialises as its [`Rle`]; run lengths that do not add up to their size, or are of no picture's, are not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    height: usize,
    /// Strictly increasing, below `width * height`; the value is 0 before the first and flips at each.
    flips: Vec<u32>,
}

impl Mask {
    /// A mask from a function of x and y.
    ///
    /// # Errors
    /// `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS).
    pub fn from_fn(width: usize, height: usize, mut is_set: impl FnMut(usize, usize) -> bool) -> Result<Self> {
        let mut runs = RunBuilder::new(width, height)?;
        for x in 0..width {
            for y in 0..height {
                runs.push(1, is_set(x, y));
            }
        }
        Ok(runs.finish())
    }

    /// A mask from rows of bytes, `rows.len() == width * height`; every byte but 0 is set.
    ///
    /// # Errors
    /// `InvalidArgument` when the length does not match, `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS).
    pub fn from_rows(width: usize, height: usize, rows: &[u8]) -> Result<Self> {
        let pixels = pixel_count(width, height)? as usize;
        if rows.len() != pixels {
            let error = Error::invalid("mask rows").with_expected(format!("{width} x {height} = {pixels} bytes"));
            return Err(error.with_found(rows.len().to_string()));
        }
        Self::from_fn(width, height, |x, y| rows[y * width + x] != 0)
    }

    /// A mask from its COCO run lengths. Runs of zero length, which some writers emit, are joined.
    ///
    /// # Errors
    /// `InvalidArgument` when the runs do not add up to the size, `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS).
    pub fn from_rle(rle: &Rle) -> Result<Self> {
        let [height, width] = rle.size;
        let total = pixel_count(width, height)?;
        let sum: u64 = rle.counts.iter().map(|&count| u64::from(count)).sum();
        if sum != u64::from(total) {
            let error = Error::invalid("RLE counts").with_expected(format!("a sum of {width} x {height} = {total}"));
            return Err(error.with_found(sum.to_string()));
        }
        let mut runs = RunBuilder::new(width, height)?;
        for (index, &count) in rle.counts.iter().enumerate() {
            runs.push(count, index % 2 == 1);
        }
        Ok(runs.finish())
    }

    /// The mask's COCO run lengths.
    pub fn to_rle(&self) -> Rle {
        let ends = self.flips.iter().copied().chain([self.total()]);
        let counts = ends
            .scan(0, |start, end| {
                let count = end - *start;
                *start = end;
                Some(count)
            })
            .collect::<Vec<u32>>();
        Rle { size: [self.height, self.width], counts }
    }

    /// The mask as rows of bytes, 0 or `value`.
    pub fn to_rows(&self, value: u8) -> Vec<u8> {
        self.rows_within([0, 0, self.width, self.height], value)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Whether the pixel is set; `false` outside the picture.
    pub fn get(&self, x: usize, y: usize) -> bool {
        if x >= self.width || y >= self.height {
            return false;
        }
        let position = (x * self.height + y) as u32;
        self.flips.partition_point(|&flip| flip <= position) % 2 == 1
    }

    /// Number of set pixels.
    pub fn area(&self) -> u64 {
        self.set_runs().map(|run| u64::from(run.end - run.start)).sum()
    }

    /// Whether no pixel is set.
    pub fn is_empty(&self) -> bool {
        self.flips.is_empty()
    }

    /// `[x1, y1, x2, y2]` around the set pixels, in pixel edges (`x2` and `y2` are one past the last set pixel).
    pub fn bounds(&self) -> Option<[usize; 4]> {
        let mut bounds: Option<[usize; 4]> = None;
        for (x, ys) in self.column_runs() {
            let [x1, y1, _, y2] = bounds.unwrap_or([x, ys.start, x, ys.end]);
            bounds = Some([x1, y1.min(ys.start), x + 1, y2.max(ys.end)]);
        }
        bounds
    }

    /// The mask with its top left pixel at `origin` (`[x, y]`) of an otherwise empty picture of `size` (`[width, height]`).
    ///
    /// # Errors
    /// `InvalidArgument` when it does not fit, `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS).
    pub fn placed(&self, origin: [usize; 2], size: [usize; 2]) -> Result<Self> {
        let ([left, top], [width, height]) = (origin, size);
        let fits = |start: usize, length: usize, side: usize| start.checked_add(length).is_some_and(|end| end <= side);
        if !fits(left, self.width, width) || !fits(top, self.height, height) {
            let error = Error::invalid(format!("mask of {} x {} at {left}, {top}", self.width, self.height));
            return Err(error.with_expected(format!("to lie inside {width} x {height}")));
        }
        let mut runs = RunBuilder::new(width, height)?;
        for (x, ys) in self.column_runs() {
            let column = (left + x) * height + top;
            runs.push_until((column + ys.start) as u32, false);
            runs.push_until((column + ys.end) as u32, true);
        }
        runs.push_until((width * height) as u32, false);
        Ok(runs.finish())
    }

    fn total(&self) -> u32 {
        // Checked when the mask was made.
        (self.width * self.height) as u32
    }

    /// The set runs, as ranges of column-major positions.
    fn set_runs(&self) -> impl Iterator<Item = Range<u32>> {
        self.flips.chunks(2).map(|pair| pair[0]..pair.get(1).copied().unwrap_or(self.total()))
    }

    /// The set runs cut at the ends of columns: `(x, y1..y2)`, from left to right and top to bottom.
    pub(crate) fn column_runs(&self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let height = self.height;
        self.set_runs().flat_map(move |run| {
            let (start, end) = (run.start as usize, run.end as usize);
            (start / height..=(end - 1) / height).map(move |x| (x, start.saturating_sub(x * height)..(end - x * height).min(height)))
        })
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_rle().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_rle(&Rle::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Collects runs in column-major order into a [`Mask`].
struct RunBuilder {
    mask: Mask,
    position: u32,
}

impl RunBuilder {
    fn new(width: usize, height: usize) -> Result<Self> {
        pixel_count(width, height)?;
        Ok(Self { mask: Mask { width, height, flips: Vec::new() }, position: 0 })
    }

    /// For a mask of the size of another.
    fn of(other: &Mask) -> Self {
        Self { mask: Mask { width: other.width, height: other.height, flips: Vec::new() }, position: 0 }
    }

    /// The pixels from here to the given position, which must not lie before, have this value.
    fn push_until(&mut self, position: u32, value: bool) {
        self.push(position - self.position, value);
    }

    /// The next `count` pixels have this value. Together the counts must not exceed the size.
    fn push(&mut self, count: u32, value: bool) {
        let current = self.mask.flips.len() % 2 == 1;
        if count > 0 && value != current {
            self.mask.flips.push(self.position);
        }
        self.position += count;
    }

    fn finish(self) -> Mask {
        debug_assert_eq!(self.position, self.mask.total(), "the runs cover the picture");
        self.mask
    }
}

/// Most places where outlines may cross columns, in all: 512 MiB, more than any mask of a photograph has.
const MOST_CROSSINGS: usize = 1 << 27;
