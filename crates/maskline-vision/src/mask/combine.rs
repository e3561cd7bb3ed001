//! Masks of one picture with each other.

use super::{Mask, RunBuilder};
use crate::{Error, Result};

impl Mask {
    /// Intersection over union with another mask of the same picture; 0 when both are empty.
    ///
    /// # Errors
    /// `InvalidArgument` when the sizes differ.
    pub fn iou(&self, other: &Mask) -> Result<f64> {
        let shared = self.overlap(other)?;
        let union = self.area() + other.area() - shared;
        Ok(if union == 0 { 0.0 } else { shared as f64 / union as f64 })
    }

    /// Number of pixels that are set in both masks of the same picture.
    ///
    /// # Errors
    /// `InvalidArgument` when the sizes differ.
    pub fn overlap(&self, other: &Mask) -> Result<u64> {
        Ok(self.intersection(other)?.area())
    }

    /// The pixels that are set in both masks of the same picture.
    ///
    /// # Errors
    /// `InvalidArgument` when the sizes differ.
    pub fn intersection(&self, other: &Mask) -> Result<Mask> {
        self.combined(other, |ours, theirs| ours && theirs)
    }

    /// The pixels that are set in either mask of the same picture.
    ///
    /// # Errors
    /// `InvalidArgument` when the sizes differ.
    pub fn union(&self, other: &Mask) -> Result<Mask> {
        self.combined(other, |ours, theirs| ours || theirs)
    }

    /// The pixels that are set here and not in the other mask of the same picture.
    ///
    /// # Errors
    /// `InvalidArgument` when the sizes differ.
    pub fn difference(&self, other: &Mask) -> Result<Mask> {
        self.combined(other, |ours, theirs| ours && !theirs)
    }

    /// One walk over the flips of both.
    fn combined(&self, other: &Mask, is_set: impl Fn(bool, bool) -> bool) -> Result<Mask> {
        if (self.width, self.height) != (other.width, other.height) {
            let error = Error::invalid("masks of one picture").with_expected(format!("{} x {}", self.width, self.height));
            return Err(error.with_found(format!("{} x {}", other.width, other.height)));
        }
        let (mut ours, mut theirs) = (self.flips.iter().peekable(), other.flips.iter().peekable());
        let mut values = (false, false);
        let mut runs = RunBuilder::of(self);
        loop {
            let next = [ours.peek(), theirs.peek()].into_iter().flatten().min().map_or(self.total(), |flip| **flip);
            runs.push_until(next, is_set(values.0, values.1));
            if next == self.total() {
                return Ok(runs.finish());
            }
            values.0 ^= ours.next_if(|flip| **flip == next).is_some();
            values.1 ^= theirs.next_if(|flip| **flip == next).is_some();
        }
    }
}
