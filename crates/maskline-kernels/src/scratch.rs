//! Working memory of kernels.

use std::cell::RefCell;

use crate::simd::LANES;

thread_local! {
    /// Kept from tile to tile.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's working memory.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut Vec<f32>) -> T) -> T {
    SCRATCH.with_borrow_mut(work)
}

/// Cuts working memory into parts of these lengths, each a multiple of a vector, that begin where vectors are loaded fastest.
pub(crate) fn parts<const N: usize>(scratch: &mut Vec<f32>, lengths: [usize; N]) -> [&mut [f32]; N] {
    scratch.resize(lengths.iter().sum::<usize>() + LANES, 0.0);
    let aligned = scratch.as_ptr().align_offset(size_of::<f32>() * LANES).min(LANES);
    cut(&mut &mut scratch[aligned..], lengths)
}

/// Cuts parts of these lengths off the front.
pub(crate) fn cut<'a, const N: usize>(rest: &mut &'a mut [f32], lengths: [usize; N]) -> [&'a mut [f32]; N] {
    lengths.map(|length| {
        let (part, after) = std::mem::take(rest).split_at_mut(length);
        *rest = after;
        part
    })
}
