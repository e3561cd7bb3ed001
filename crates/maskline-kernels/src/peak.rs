//! What a processor can do at most.

use crate::simd::{Kernel, Processor, Simd};
use crate::tile::with_tile;

impl Processor {
    /// Multiplies and adds in registers, nothing else, as often as is wished; returns how many floating-point operations that were. Nothing waits for
    /// memory or for another sum: on one thread, no kernel is faster.
    pub fn multiply_and_add(self, repeats: usize) -> f64 {
        self.run(Peak { repeats })
    }
}

struct Peak {
    repeats: usize,
}

impl Kernel for Peak {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        with_tile!(S, R, V => multiply_and_add::<S, R, V>(simd, self.repeats))
    }
}

#[inline(always)]
fn multiply_and_add<S: Simd, const R: usize, const V: usize>(simd: S, repeats: usize) -> f64 {
    // Sums stay at one.
    let half = simd.splat(std::hint::black_box(0.5));
    let mut sums = [[half; V]; R];
    for _ in 0..repeats {
        for sum in sums.as_flattened_mut() {
            *sum = simd.mul_add(*sum, half, half);
        }
    }
    let mut lanes = [0.0; crate::simd::LANES];
    for sum in sums.as_flattened() {
        simd.store(*sum, &mut lanes);
        std::hint::black_box(&lanes);
    }
    (2 * repeats * R * V * crate::simd::LANES) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted() {
        for processor in Processor::all() {
            let once = processor.multiply_and_add(1);
            assert!(once >= 2.0 * 3.0 * 16.0, "{processor:?}: {once}");
            assert_eq!(processor.multiply_and_add(10), 10.0 * once);
        }
    }
}
