//! AVX-512: one register for sixteen lanes.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Simd};

/// The foundation of AVX-512, which every processor with any of it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn of_this_processor() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f")]
#[inline(never)]
fn enabled_apart<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

#[target_feature(enable = "avx512f")]
fn enabled<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// Methods that are one instruction.
macro_rules! one {
    ($($method:ident($($argument:ident),+) = $intrinsic:path;)+) => {$(
        #[inline(always)]
        fn $method(self, $($argument: __m512),+) -> __m512 {
            // SAFETY: `self` is the proof of AVX-512.
            unsafe { $intrinsic($($argument),+) }
        }
    )+};
}

// SAFETY: the one way to a value is `of_this_processor`, which asks the processor. Every intrinsic below is of AVX-512's foundation, and so
// there wherever a value is.
#[allow(unsafe_code, reason = "intrinsics")]
unsafe impl Simd for Avx512 {
    type Vector = __m512;
    /// Of thirty-two registers: enough that none waits for its last addition. What they are multiplied with is read from memory on the way.
    const SUMS: usize = 12;
    const COLUMNS: usize = 2;

    one! {
        add(a, b) = _mm512_add_ps;
        sub(a, b) = _mm512_sub_ps;
        mul(a, b) = _mm512_mul_ps;
        div(a, b) = _mm512_div_ps;
        mul_add(a, b, c) = _mm512_fmadd_ps;
        min(a, b) = _mm512_min_ps;
        max(a, b) = _mm512_max_ps;
        sqrt(vector) = _mm512_sqrt_ps;
        round(vector) = _mm512_roundscale_ps::<NEAREST>;
        scale(a, n) = _mm512_scalef_ps;
    }

    #[inline(always)]
    fn splat(self, number: f32) -> __m512 {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { _mm512_set1_ps(number) }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..LANES];
        // SAFETY: `self` is the proof of AVX-512, and the slice has sixteen numbers.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> __m512 {
        let from = &from[..LANES];
        // SAFETY: `self` is the proof of AVX-512, and the slice has sixteen numbers.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16]) -> __m512 {
        let from = &from[..LANES];
        // SAFETY: `self` is the proof of AVX-512, and the slice has sixteen numbers.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast())))) }
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
    fn store(self, vector: __m512, to: &mut [f32]) {
        let to = &mut to[..LANES];
        // SAFETY: `self` is the proof of AVX-512, and the slice has sixteen numbers.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), vector) }
    }

    #[inline(always)]
    fn transpose(self, v: [__m512; LANES]) -> [__m512; LANES] {
        let a = four(self, [v[0], v[1], v[2], v[3]]);
        let b = four(self, [v[4], v[5], v[6], v[7]]);
        let c = four(self, [v[8], v[9], v[10], v[11]]);
        let d = four(self, [v[12], v[13], v[14], v[15]]);
        let mut turned = v;
        for row in 0..4 {
            [turned[row], turned[row + 4], turned[row + 8], turned[row + 12]] = quarters(self, [a[row], b[row], c[row], d[row]]);
        }
        turned
    }

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { enabled(self, kernel) }
    }

    #[inline(always)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` is the proof of AVX-512.
        unsafe { enabled_apart(self, kernel) }
    }
}

/// Four vectors, transposed in each quarter: lanes of the same quarter are columns of four.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn four(_: Avx512, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: an `Avx512` is the proof of AVX-512.
    unsafe {
        let (low, high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let (under, over) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        [
            _mm512_shuffle_ps::<0x44>(low, under),
            _mm512_shuffle_ps::<0xee>(low, under),
            _mm512_shuffle_ps::<0x44>(high, over),
            _mm512_shuffle_ps::<0xee>(high, over),
        ]
    }
}

/// Quarter i of vector j becomes quarter j of vector i.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn quarters(_: Avx512, [a, b, c, d]: [__m512; 4]) -> [__m512; 4] {
    // SAFETY: an `Avx512` is the proof of AVX-512.
    unsafe {
        let (low, high) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
        let (under, over) = (_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
        [
            _mm512_shuffle_f32x4::<0x88>(low, under),
            _mm512_shuffle_f32x4::<0xdd>(low, under),
            _mm512_shuffle_f32x4::<0x88>(high, over),
            _mm512_shuffle_f32x4::<0xdd>(high, over),
        ]
    }
}
