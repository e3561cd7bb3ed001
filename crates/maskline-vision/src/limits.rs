//! How large things may get: what is asked for is checked before memory is.

use crate::{Error, Result};

/// Most pixels of a [`Mask`](crate::Mask): 2^30, whose rows are a gigabyte.
pub const MOST_MASK_PIXELS: usize = 1 << 30;

/// Most pixels of what a picture is made into, a network's input for one: 2^26, as 8192 × 8192.
pub const MOST_TARGET_PIXELS: usize = 1 << 26;

/// Longest side of a mask, in pixels: 2^24.
pub const LONGEST_SIDE: usize = 1 << 24;

/// Most values between two steps of resizing; pictures of extreme shape need many.
const MOST_BETWEEN: usize = 1 << 28;

/// Checks the size of a mask; the product fits 32 bits.
pub(crate) fn mask_pixels(width: usize, height: usize) -> Result<u32> {
    let pixels = width.checked_mul(height).filter(|pixels| *pixels <= MOST_MASK_PIXELS && width.max(height) <= LONGEST_SIDE);
    pixels.and_then(|pixels| u32::try_from(pixels).ok()).ok_or_else(|| {
        let expected = format!("at most {MOST_MASK_PIXELS} pixels and sides up to {LONGEST_SIDE}");
        Error::too_large("mask").with_expected(expected).with_found(format!("{width} x {height}"))
    })
}

/// Checks the size of what a picture is made into.
pub(crate) fn check_target(width: usize, height: usize) -> Result<()> {
    if width.checked_mul(height).is_some_and(|pixels| pixels <= MOST_TARGET_PIXELS) {
        return Ok(());
    }
    let error = Error::too_large("size").with_expected(format!("at most {MOST_TARGET_PIXELS} pixels"));
    Err(error.with_found(format!("{width} x {height}")).with_help("ask for a smaller size; 8192 x 8192 is the largest square"))
}

/// Checks what resizing a picture of `source` (`[width, height]`) keeps between its steps.
pub(crate) fn check_between(source: [usize; 2], values: [usize; 2]) -> Result<()> {
    if values[0].checked_mul(values[1]).is_some_and(|values| values <= MOST_BETWEEN) {
        return Ok(());
    }
    let message = format!(
        "a picture of {} x {} is too long and thin to be resized: {} x {} values at once",
        source[0], source[1], values[0], values[1]
    );
    Err(Error::too_large(message).with_help("cut it into shorter pieces"))
}
