//! AVX2, FMA and F16C: two registers for sixteen lanes. All processors with the first have the others too.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Simd};

/// AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn of_this_processor() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }
}

type Vector = [__m256; 2];

#[target_feature(enable = "avx2,fma,f16c")]
#[inline(never)]
fn enabled_apart<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enabled<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Methods that do the same to both registers.
macro_rules! both {
    ($($method:ident($($argument:ident),+) = $intrinsic:ident;)+) => {$(
        #[inline(always)]
        fn $method(self, $($argument: Vector),+) -> Vector {
            // SAFETY: `self` is the proof of AVX and FMA.
            unsafe { [$intrinsic($($argument[0]),+), $intrinsic($($argument[1]),+)] }
        }
    )+};
}

// SAFETY: the one way to a value is `of_this_processor`, which asks the processor. Every intrinsic below is of AVX, AVX2, FMA or F16C, and
// so there wherever a value is.
#[allow(unsafe_code, reason = "intrinsics")]
unsafe impl Simd for Avx2 {
    type Vector = Vector;
    /// Of sixteen registers they take twelve, one vector two, and a number one.
    const SUMS: usize = 6;
    const COLUMNS: usize = 1;

    both! {
        add(a, b) = _mm256_add_ps;
        sub(a, b) = _mm256_sub_ps;
        mul(a, b) = _mm256_mul_ps;
        div(a, b) = _mm256_div_ps;
        mul_add(a, b, c) = _mm256_fmadd_ps;
        min(a, b) = _mm256_min_ps;
        max(a, b) = _mm256_max_ps;
        sqrt(vector) = _mm256_sqrt_ps;
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Vector {
        // SAFETY: `self` is the proof of AVX.
        unsafe { [_mm256_set1_ps(number); 2] }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Vector {
        let from = &from[..LANES];
        // SAFETY: `self` is the proof of AVX, and the slice has sixteen numbers.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> Vector {
        let from = from[..LANES].as_ptr().cast::<__m128i>();
        // SAFETY: `self` is the proof of F16C, and the slice has sixteen numbers, which fill two registers of 128 bits.
        unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from.add(1)))] }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16]) -> Vector {
        let [a, b] = halves(self, from);
        // SAFETY: `self` is the proof of AVX2.
        unsafe { [_mm256_castsi256_ps(_mm256_slli_epi32::<16>(a)), _mm256_castsi256_ps(_mm256_slli_epi32::<16>(b))] }
    }

    #[inline(always)]
    fn prefetch(self, from: &[f32]) {
        // SAFETY: any address may be prefetched.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn prefetch_far(self, from: &[f32]) {
        // SAFETY: any address may be prefetched.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, [first, second]: Vector, to: &mut [f32]) {
        let to = &mut to[..LANES];
        // SAFETY: `self` is the proof of AVX, and the slice has sixteen numbers.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), first);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), second);
        }
    }

    #[inline(always)]
    fn round(self, [a, b]: Vector) -> Vector {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: `self` is the proof of AVX.
        unsafe { [_mm256_round_ps::<NEAREST>(a), _mm256_round_ps::<NEAREST>(b)] }
    }

    #[inline(always)]
    fn scale(self, a: Vector, n: Vector) -> Vector {
        self.mul(a, [power(self, n[0]), power(self, n[1])])
    }

    #[inline(always)]
    fn transpose(self, v: [Vector; LANES]) -> [Vector; LANES] {
        let a = eight(self, [v[0][0], v[1][0], v[2][0], v[3][0], v[4][0], v[5][0], v[6][0], v[7][0]]);
        let b = eight(self, [v[8][0], v[9][0], v[10][0], v[11][0], v[12][0], v[13][0], v[14][0], v[15][0]]);
        let c = eight(self, [v[0][1], v[1][1], v[2][1], v[3][1], v[4][1], v[5][1], v[6][1], v[7][1]]);
        let d = eight(self, [v[8][1], v[9][1], v[10][1], v[11][1], v[12][1], v[13][1], v[14][1], v[15][1]]);
        let mut turned = [self.splat(0.0); LANES];
        for row in 0..8 {
            turned[row] = [a[row], b[row]];
            turned[row + 8] = [c[row], d[row]];
        }
        turned
    }

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` is the proof of AVX2, FMA and F16C.
        unsafe { enabled(self, kernel) }
    }

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` is the proof of AVX2, FMA and F16C.
        unsafe { enabled_apart(self, kernel) }
    }
}

// No closures in what follows: they would be functions without the instructions.

/// 2ⁿ.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn power(_: Avx2, n: __m256) -> __m256 {
    // SAFETY: an `Avx2` is the proof of AVX2.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)))) }
}

/// Sixteen numbers of sixteen bits in the lower halves of those of thirty-two.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn halves(_: Avx2, from: &[u16]) -> [__m256i; 2] {
    let from = from[..LANES].as_ptr().cast::<__m128i>();
    // SAFETY: an `Avx2` is the proof of AVX2, and the slice has sixteen numbers, which fill two registers of 128 bits.
    unsafe { [_mm256_cvtepu16_epi32(_mm_loadu_si128(from)), _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(1)))] }
}

/// Eight vectors of eight lanes, transposed: pairs, then fours, then halves.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn eight(simd: Avx2, v: [__m256; 8]) -> [__m256; 8] {
    let (top, bottom) = (four(simd, [v[0], v[1], v[2], v[3]]), four(simd, [v[4], v[5], v[6], v[7]]));
    let mut turned = v;
    for row in 0..4 {
        // SAFETY: an `Avx2` is the proof of AVX.
        unsafe {
            turned[row] = _mm256_permute2f128_ps::<0x20>(top[row], bottom[row]);
            turned[row + 4] = _mm256_permute2f128_ps::<0x31>(top[row], bottom[row]);
        }
    }
    turned
}

/// Four vectors, transposed in each half: column `i` of the first half is half of vector `i`, and of the second half the other.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn four(_: Avx2, [a, b, c, d]: [__m256; 4]) -> [__m256; 4] {
    // SAFETY: an `Avx2` is the proof of AVX.
    unsafe {
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (under, over) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps::<0x44>(low, under),
            _mm256_shuffle_ps::<0xee>(low, under),
            _mm256_shuffle_ps::<0x44>(high, over),
            _mm256_shuffle_ps::<0xee>(high, over),
        ]
    }
}
