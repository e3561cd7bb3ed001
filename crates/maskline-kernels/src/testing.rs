//! What tests share.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::workers::Workers;

/// So many threads, which take what is next.
pub(crate) struct Threads(pub(crate) usize);

impl Workers for Threads {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync + Send)) {
        let next = AtomicUsize::new(0);
        let run = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    break;
                }
                work(index);
            }
        };
        std::thread::scope(|scope| (0..self.0).for_each(|_| drop(scope.spawn(run))));
    }
}

/// Numbers that repeat themselves after a long time, from -1 to 1.
pub(crate) fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// By its series near 0, and beyond by the continued fraction of its complement.
pub(crate) fn error_function(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let mut term = x;
        let mut sum = x;
        for n in 1..120 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * std::f64::consts::FRAC_2_SQRT_PI;
    }
    let fraction = (1..60).rev().fold(x.abs(), |below, n| x.abs() + f64::from(n) / 2.0 / below);
    (1.0 - (-x * x).exp() / (fraction * std::f64::consts::PI.sqrt())).copysign(x)
}

/// Whether two answers have the same bits.
pub(crate) fn are_same(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
