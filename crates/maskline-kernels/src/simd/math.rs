//! Functions of lanes.

use super::Simd;

/// `eˣ` for x from -87 to 0, within 2 units in the last place: less than -87 counts as that.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const LEAST: f32 = -87.0;
    // ln 2 in two parts, of which the first has few bits: n times it is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Taylor's, with the last coefficients fitted to the interval of half a ln 2.
    const POLYNOMIAL: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
    let x = simd.max(x, simd.splat(LEAST));
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN_2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN_2_LOW), r);
    let sum = simd.mul_add(polynomial(simd, &POLYNOMIAL, r), simd.mul(r, r), r);
    simd.scale(simd.add(sum, simd.splat(1.0)), n)
}

/// `x Φ(x)` with the normal distribution Φ, within 3e-7 of max(1, |x|).
///
/// The error function is a quotient of two polynomials in x² on the interval where it is not yet ±1 in f32.
#[inline(always)]
pub(crate) fn gelu<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const LIMIT: f32 = 3.85;
    const NUMERATOR: [f32; 7] =
        [-2.726_142_3e-10, 2.770_681_4e-8, -2.101_024e-6, -5.692_506_5e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2];
    const DENOMINATOR: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let z = simd.mul(x, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    let z = simd.max(simd.min(z, simd.splat(LIMIT)), simd.splat(-LIMIT));
    let square = simd.mul(z, z);
    let error = simd.div(simd.mul(polynomial(simd, &NUMERATOR, square), z), polynomial(simd, &DENOMINATOR, square));
    let half = simd.mul(x, simd.splat(0.5));
    simd.mul_add(half, error, half)
}

/// Horner's rule, from the coefficient of the highest power.
#[inline(always)]
fn polynomial<S: Simd>(simd: S, coefficients: &[f32], x: S::Vector) -> S::Vector {
    let mut sum = simd.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = simd.mul_add(sum, x, simd.splat(*coefficient));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, LANES, Processor};

    /// A function of every number.
    struct Each<'a, const EXP: bool>(&'a [f32]);

    impl<const EXP: bool> Kernel for Each<'_, EXP> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut out = vec![0.0; self.0.len()];
            for (from, to) in self.0.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
                let x = simd.load(from);
                simd.store(if EXP { exp(simd, x) } else { gelu(simd, x) }, to);
            }
            out
        }
    }

    /// Fewer where every operation is looked at.
    const COUNT: usize = if cfg!(miri) { 96 } else { 80_000 };

    fn evenly(from: f32, to: f32) -> Vec<f32> {
        (0..COUNT).map(|index| from + (to - from) * (index as f32 / (COUNT - 1) as f32)).collect()
    }

    #[test]
    fn exponentials_are_right_to_the_last_places_on_every_processor() {
        let numbers = evenly(0.0, -87.0);
        for processor in Processor::all() {
            for (x, found) in numbers.iter().zip(processor.run(Each::<true>(&numbers))) {
                let exact = f64::from(*x).exp();
                let error = (f64::from(found) - exact).abs() / exact;
                assert!(error < 2.5e-7, "{processor:?}: e^{x} is {exact}, found {found}");
            }
            let far = [f32::NEG_INFINITY, -1e30, -88.0, -1000.0, 0.0, -0.0, -1e-30, -87.0];
            let far = processor.run(Each::<true>(&[far, far].concat()));
            assert!(far[..4].iter().all(|small| *small < 2e-38) && far[4..7] == [1.0; 3], "{far:?}");
        }
    }

    #[test]
    fn gelus_are_right_to_the_last_places_on_every_processor() {
        let numbers = evenly(-12.0, 12.0);
        for processor in Processor::all() {
            for (x, found) in numbers.iter().zip(processor.run(Each::<false>(&numbers))) {
                let wide = f64::from(*x);
                let exact = 0.5 * wide * (1.0 + error_function(wide * std::f64::consts::FRAC_1_SQRT_2));
                let error = (f64::from(found) - exact).abs() / wide.abs().max(1.0);
                assert!(error < 3e-7, "{processor:?}: gelu({x}) is {exact}, found {found}");
            }
            let far = processor.run(Each::<false>(&[-1e30, 1e30, -40.0, 40.0].repeat(4)));
            let error = |lane: usize, exact: f32| (far[lane] - exact).abs() / [1e30, 1e30, 40.0, 40.0][lane];
            assert!([0.0, 1e30, 0.0, 40.0].into_iter().enumerate().all(|(lane, exact)| error(lane, exact) < 3e-7), "{far:?}");
        }
    }

    /// By its series near 0, and beyond by the continued fraction of its complement.
    fn error_function(x: f64) -> f64 {
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
}
