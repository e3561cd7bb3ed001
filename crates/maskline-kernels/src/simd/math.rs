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

/// `2ˣ` for x up to 127, within 2 units in the last place: less than -126 counts as that. What is no number stays so.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const LEAST: f32 = -126.0;
    // The best polynomial on the interval of half a power (Remez).
    const POLYNOMIAL: [f32; 7] = [1.534_581_2e-4, 1.339_993e-3, 9.618_489e-3, 5.550_328_6e-2, 0.240_226_46, std::f32::consts::LN_2, 1.0];
    let x = simd.max(simd.splat(LEAST), x);
    let n = simd.round(x);
    simd.scale(polynomial(simd, &POLYNOMIAL, simd.sub(x, n)), n)
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

/// [`gelu`] as it was first approximated, `x σ(2 √(2/π) (x + 0.044715 x³))`, which is `x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    const FACTOR: f32 = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    let cubic = simd.mul_add(simd.mul(x, x), simd.splat(FACTOR * 0.044_715), simd.splat(FACTOR));
    simd.mul(x, sigmoid(simd, simd.mul(x, cubic)))
}

/// `x σ(factor x)` with the logistic function σ.
#[inline(always)]
pub(crate) fn silu<S: Simd>(simd: S, x: S::Vector, factor: f32) -> S::Vector {
    simd.mul(x, sigmoid(simd, simd.mul(x, simd.splat(factor))))
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // The power's largest and least stand for what is beyond.
    let exponent = simd.min(simd.splat(126.0), simd.mul(x, simd.splat(-std::f32::consts::LOG2_E)));
    let one = simd.splat(1.0);
    simd.div(one, simd.add(one, exp2(simd, exponent)))
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
    use crate::testing::error_function;

    #[derive(Debug, Clone, Copy)]
    enum Function {
        Exp,
        Exp2,
        Gelu,
        GeluTanh,
        Silu,
    }

    /// A function of every number.
    struct Each<'a>(Function, &'a [f32]);

    impl Kernel for Each<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut out = vec![0.0; self.1.len()];
            for (from, to) in self.1.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
                let x = simd.load(from);
                let found = match self.0 {
                    Function::Exp => exp(simd, x),
                    Function::Exp2 => exp2(simd, x),
                    Function::Gelu => gelu(simd, x),
                    Function::GeluTanh => gelu_tanh(simd, x),
                    Function::Silu => silu(simd, x, 1.702),
                };
                simd.store(found, to);
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
            for (x, found) in numbers.iter().zip(processor.run(Each(Function::Exp, &numbers))) {
                let exact = f64::from(*x).exp();
                let error = (f64::from(found) - exact).abs() / exact;
                assert!(error < 2.5e-7, "{processor:?}: e^{x} is {exact}, found {found}");
            }
            let far = [f32::NEG_INFINITY, -1e30, -88.0, -1000.0, 0.0, -0.0, -1e-30, -87.0];
            let far = processor.run(Each(Function::Exp, &[far, far].concat()));
            assert!(far[..4].iter().all(|small| *small < 2e-38) && far[4..7] == [1.0; 3], "{far:?}");
        }
    }

    #[test]
    fn gelus_are_right_to_the_last_places_on_every_processor() {
        let numbers = evenly(-12.0, 12.0);
        for processor in Processor::all() {
            for (x, found) in numbers.iter().zip(processor.run(Each(Function::Gelu, &numbers))) {
                let wide = f64::from(*x);
                let exact = 0.5 * wide * (1.0 + error_function(wide * std::f64::consts::FRAC_1_SQRT_2));
                let error = (f64::from(found) - exact).abs() / wide.abs().max(1.0);
                assert!(error < 3e-7, "{processor:?}: gelu({x}) is {exact}, found {found}");
            }
            let far = processor.run(Each(Function::Gelu, &[-1e30, 1e30, -40.0, 40.0].repeat(4)));
            let error = |lane: usize, exact: f32| (far[lane] - exact).abs() / [1e30, 1e30, 40.0, 40.0][lane];
            assert!([0.0, 1e30, 0.0, 40.0].into_iter().enumerate().all(|(lane, exact)| error(lane, exact) < 3e-7), "{far:?}");
        }
    }

    #[test]
    fn powers_of_two_are_right_to_the_last_places_on_every_processor() {
        let numbers = evenly(-126.0, 126.9);
        for processor in Processor::all() {
            for (x, found) in numbers.iter().zip(processor.run(Each(Function::Exp2, &numbers))) {
                let exact = f64::from(*x).exp2();
                let error = (f64::from(found) - exact).abs() / exact;
                assert!(error < 2.5e-7, "{processor:?}: 2^{x} is {exact}, found {found}");
            }
            let far = processor.run(Each(Function::Exp2, &[f32::NEG_INFINITY, -1e30, 0.0, f32::NAN].repeat(4)));
            assert!(far[..2].iter().all(|small| *small < 2e-38) && far[2] == 1.0 && far[3].is_nan(), "{processor:?}: {far:?}");
        }
    }

    #[test]
    fn approximations_of_gelu_are_what_they_are_said_to_be() {
        let numbers = evenly(-12.0, 12.0);
        for processor in Processor::all() {
            for function in [Function::GeluTanh, Function::Silu] {
                for (x, found) in numbers.iter().zip(processor.run(Each(function, &numbers))) {
                    let wide = f64::from(*x);
                    let inner = std::f64::consts::FRAC_2_PI.sqrt() * (wide + 0.044715 * wide.powi(3));
                    let exact = match function {
                        Function::GeluTanh => 0.5 * wide * (1.0 + inner.tanh()),
                        _ => wide / (1.0 + (-1.702 * wide).exp()),
                    };
                    let error = (f64::from(found) - exact).abs() / wide.abs().max(1.0);
                    assert!(error < 1e-6, "{processor:?}: {function:?}({x}) is {exact}, found {found}");
                }
                let far = processor.run(Each(function, &[-1e10, 1e10, f32::NAN, f32::INFINITY].repeat(4)));
                assert!(far[0].abs() < 1e-20 && far[1] == 1e10 && far[2].is_nan() && far[3] == f32::INFINITY, "{processor:?}: {far:?}");
            }
        }
    }
}
