//! What a mask decoder gives: logits at low resolution.

use crate::{Error, Result};

/// Mask logits at the decoder's resolution (256 x 256 for SAM at 1024), rows from the top. At least one value.
///
/// Values need not be finite: NaN is above no threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    data: Vec<f32>,
    height: usize,
    width: usize,
}

/// Where mask logits are cut into bits, and how far apart the two cuts are that measure how stable that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StabilityCut {
    /// The logit above which a pixel belongs to the mask.
    pub threshold: f32,
    /// The cuts are `threshold + offset` and `threshold - offset`.
    pub offset: f32,
}

impl Default for StabilityCut {
    /// As in the automatic mask generators of SAM 1 and SAM 2: 1 about 0.
    fn default() -> Self {
        Self { threshold: 0.0, offset: 1.0 }
    }
}

impl StabilityCut {
    /// The higher cut.
    pub(super) fn high(&self) -> f32 {
        self.threshold + self.offset
    }

    /// The lower cut.
    pub(super) fn low(&self) -> f32 {
        self.threshold - self.offset
    }
}

impl Logits {
    /// Takes logits as they are; `size` is `[height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` for a zero side or when the length does not match.
    pub fn new(data: Vec<f32>, size: [usize; 2]) -> Result<Self> {
        let [height, width] = size;
        if height.checked_mul(width) != Some(data.len()) || data.is_empty() {
            let error = Error::invalid("mask logits").with_expected(format!("{height} x {width} values, at least one"));
            return Err(error.with_found(data.len().to_string()));
        }
        Ok(Self { data, height, width })
    }

    /// The values, row after row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, to be changed.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// `[height, width]`.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// One row.
    pub(super) fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width..][..self.width]
    }

    /// Number of values greater than the threshold.
    pub fn above(&self, threshold: f32) -> u64 {
        let count = |row: &[f32]| row.iter().map(|value| u32::from(*value > threshold)).sum::<u32>();
        (0..self.height).map(|y| u64::from(count(self.row(y)))).sum()
    }

    /// Overlap of the masks at the two cuts, at low resolution; 1 where both are empty. SAM 2 takes its single-mask token only
    /// where this is at least 0.98 for an offset of 0.05 (`sam2/modeling/sam/mask_decoder.py`, dynamic multimask).
    pub fn stability(&self, cut: StabilityCut) -> f32 {
        let (inner, outer) = (self.above(cut.high()), self.above(cut.low()));
        if outer == 0 { 1.0 } else { inner as f32 / outer as f32 }
    }
}
