//! Eight lanes of f32, whatever the processor: kernels are written once in them, and compiled for each.

/// Lanes of a vector.
pub(crate) const LANES: usize = 8;

/// Instructions that kernels are compiled for. A value of such a type is a proof that the processor has them.
///
/// # Safety
/// Values are only made where the processor has the instructions.
#[allow(unsafe_code)]
pub(crate) unsafe trait Simd: Copy {
    /// Eight lanes.
    type Vector: Copy;

    fn splat(self, number: f32) -> Self::Vector;
    /// The first eight numbers of a slice that has as many.
    fn load(self, from: &[f32]) -> Self::Vector;
    /// Into the first eight numbers of a slice that has as many.
    fn store(self, vector: Self::Vector, to: &mut [f32]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// To the nearest whole numbers, which fit an i32.
    fn round(self, vector: Self::Vector) -> Self::Vector;
    /// `a 2ⁿ` for whole `n` from -126 to 127.
    fn scale(self, a: Self::Vector, n: Self::Vector) -> Self::Vector;

    /// Runs `kernel` with these instructions enabled.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;
    /// As `run`, in a function of its own.
    fn apart<K: Kernel>(self, kernel: K) -> K::Output;
}

/// Something that is compiled for each kind of instructions.
pub(crate) trait Kernel {
    type Output;

    /// Must be `#[inline(always)]`, and all that it calls: it is compiled where it is called.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Which instructions kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Processor {
    /// Those that every processor of its kind has.
    Any,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Processor {
    /// The best that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if avx2::Avx2::of_this_processor().is_some() {
            return Self::Avx2;
        }
        Self::Any
    }

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
        }
    }

    /// Runs a kernel with these instructions; with those that every processor has where this one does not have them.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match avx2::Avx2::of_this_processor() {
                Some(simd) => simd.run(kernel),
                None => Portable.run(kernel),
            },
            Self::Any => Portable.run(kernel),
        }
    }
}

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
    let mut sum = simd.splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        sum = simd.mul_add(sum, r, simd.splat(*coefficient));
    }
    let sum = simd.mul_add(sum, simd.mul(r, r), r);
    simd.scale(simd.add(sum, simd.splat(1.0)), n)
}

/// What every processor can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

#[inline(always)]
fn each(make: impl FnMut(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(make)
}

// SAFETY: it needs nothing that a processor may not have.
#[allow(unsafe_code)]
unsafe impl Simd for Portable {
    type Vector = [f32; LANES];

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Vector {
        [number; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::Vector {
        each(|lane| from[lane])
    }

    #[inline(always)]
    fn store(self, vector: Self::Vector, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        each(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        each(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        each(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // Not `f32::mul_add`, which is a function call where the processor has no such instruction.
        each(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector {
        each(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn round(self, vector: Self::Vector) -> Self::Vector {
        each(|lane| vector[lane].round_ties_even())
    }

    #[inline(always)]
    fn scale(self, a: Self::Vector, n: Self::Vector) -> Self::Vector {
        each(|lane| a[lane] * f32::from_bits(((n[lane] as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Kernel, LANES, Simd};

    /// AVX2 and FMA.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx2(());

    impl Avx2 {
        pub(crate) fn of_this_processor() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
        }
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline(never)]
    fn enabled_apart<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
        kernel.run(simd)
    }

    #[target_feature(enable = "avx2,fma")]
    fn enabled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
        kernel.run(simd)
    }

    // SAFETY: the one way to a value is `of_this_processor`, which asks the processor. Every intrinsic below is of AVX, AVX2 or FMA, and
    // so there wherever a value is.
    #[allow(unsafe_code)]
    unsafe impl Simd for Avx2 {
        type Vector = __m256;

        #[inline(always)]
        fn splat(self, number: f32) -> __m256 {
            // SAFETY: `self` is the proof of AVX.
            unsafe { _mm256_set1_ps(number) }
        }

        #[inline(always)]
        fn load(self, from: &[f32]) -> __m256 {
            let from = &from[..LANES];
            // SAFETY: `self` is the proof of AVX, and the slice has eight numbers.
            unsafe { _mm256_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, vector: __m256, to: &mut [f32]) {
            let to = &mut to[..LANES];
            // SAFETY: `self` is the proof of AVX, and the slice has eight numbers.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector) }
        }

        #[inline(always)]
        fn add(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` is the proof of AVX.
            unsafe { _mm256_add_ps(a, b) }
        }

        #[inline(always)]
        fn sub(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` is the proof of AVX.
            unsafe { _mm256_sub_ps(a, b) }
        }

        #[inline(always)]
        fn mul(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` is the proof of AVX.
            unsafe { _mm256_mul_ps(a, b) }
        }

        #[inline(always)]
        fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
            // SAFETY: `self` is the proof of FMA.
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn max(self, a: __m256, b: __m256) -> __m256 {
            // SAFETY: `self` is the proof of AVX.
            unsafe { _mm256_max_ps(a, b) }
        }

        #[inline(always)]
        fn round(self, vector: __m256) -> __m256 {
            // SAFETY: `self` is the proof of AVX.
            unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(vector) }
        }

        #[inline(always)]
        fn scale(self, a: __m256, n: __m256) -> __m256 {
            // SAFETY: `self` is the proof of AVX2.
            unsafe {
                let exponent = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)));
                _mm256_mul_ps(a, _mm256_castsi256_ps(exponent))
            }
        }

        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> K::Output {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            unsafe { enabled(self, kernel) }
        }

        #[inline(always)]
        fn apart<K: Kernel>(self, kernel: K) -> K::Output {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            unsafe { enabled_apart(self, kernel) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exp(Vec<f32>);

    impl Kernel for Exp {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut out = vec![0.0; self.0.len()];
            for (from, to) in self.0.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
                simd.store(exp(simd, simd.load(from)), to);
            }
            out
        }
    }

    #[test]
    fn exponentials_are_right_to_the_last_places_on_every_processor() {
        let numbers: Vec<f32> = (0..80_000).map(|index| -(index as f32) * 87.0 / 79_999.0).collect();
        for processor in [Processor::Any, Processor::best()] {
            for (x, found) in numbers.iter().zip(processor.run(Exp(numbers.clone()))) {
                let exact = f64::from(*x).exp();
                let error = (f64::from(found) - exact).abs() / exact;
                assert!(error < 2.5e-7, "{processor:?}: e^{x} is {exact}, found {found}");
            }
            let far = processor.run(Exp(vec![f32::NEG_INFINITY, -1e30, -88.0, -1000.0, 0.0, -0.0, -1e-30, -87.0]));
            assert!(far[..4].iter().all(|small| *small < 2e-38) && far[4..7] == [1.0; 3], "{far:?}");
        }
    }
}
