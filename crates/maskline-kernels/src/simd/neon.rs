//! NEON: four registers for sixteen lanes.

use std::arch::aarch64::*;
use std::arch::is_aarch64_feature_detected;

use super::{Kernel, LANES, Simd};

/// NEON, which is compiled for anyway: nothing needs to be enabled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon(());

impl Neon {
    pub(super) fn of_this_processor() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

type Vector = [float32x4_t; 4];

/// Methods that do the same to all registers.
macro_rules! all {
    ($($method:ident($($argument:ident),+) = $intrinsic:ident;)+) => {$(
        #[inline(always)]
        fn $method(self, $($argument: Vector),+) -> Vector {
            // SAFETY: `self` is the proof of NEON.
            unsafe {
                [
                    $intrinsic($($argument[0]),+),
                    $intrinsic($($argument[1]),+),
                    $intrinsic($($argument[2]),+),
                    $intrinsic($($argument[3]),+),
                ]
            }
        }
    )+};
}

// SAFETY: the one way to a value is `of_this_processor`, which asks the processor. Every intrinsic below is of NEON, and so there wherever a
// value is.
#[allow(unsafe_code, reason = "intrinsics")]
unsafe impl Simd for Neon {
    type Vector = Vector;
    /// Of thirty-two registers they take twenty-four, one vector four, and a number one.
    const SUMS: usize = 6;
    const COLUMNS: usize = 1;

    all! {
        add(a, b) = vaddq_f32;
        sub(a, b) = vsubq_f32;
        mul(a, b) = vmulq_f32;
        div(a, b) = vdivq_f32;
        mul_add(a, b, c) = mul_add;
        min(a, b) = min;
        max(a, b) = max;
        sqrt(vector) = vsqrtq_f32;
        round(vector) = vrndnq_f32;
        scale(a, n) = scale;
    }

    #[inline(always)]
    fn splat(self, number: f32) -> Vector {
        // SAFETY: `self` is the proof of NEON.
        unsafe { [vdupq_n_f32(number); 4] }
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Vector {
        let from = from[..LANES].as_ptr();
        // SAFETY: `self` is the proof of NEON, and the slice has sixteen numbers.
        unsafe { [vld1q_f32(from), vld1q_f32(from.add(4)), vld1q_f32(from.add(8)), vld1q_f32(from.add(12))] }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> Vector {
        let [a, b, c, d] = quarters(self, from);
        // SAFETY: `self` is the proof of NEON.
        unsafe { [widen_f16(a), widen_f16(b), widen_f16(c), widen_f16(d)] }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16]) -> Vector {
        let [a, b, c, d] = quarters(self, from);
        // SAFETY: `self` is the proof of NEON.
        unsafe { [widen_bf16(a), widen_bf16(b), widen_bf16(c), widen_bf16(d)] }
    }

    /// Rust has no stable way to say it.
    #[inline(always)]
    fn prefetch(self, _: &[f32]) {}

    #[inline(always)]
    fn prefetch_far(self, _: &[f32]) {}

    #[inline(always)]
    fn store(self, [a, b, c, d]: Vector, to: &mut [f32]) {
        let to = to[..LANES].as_mut_ptr();
        // SAFETY: `self` is the proof of NEON, and the slice has sixteen numbers.
        unsafe {
            vst1q_f32(to, a);
            vst1q_f32(to.add(4), b);
            vst1q_f32(to.add(8), c);
            vst1q_f32(to.add(12), d);
        }
    }

    #[inline(always)]
    fn transpose(self, v: [Vector; LANES]) -> [Vector; LANES] {
        let mut turned = v;
        for column in 0..4 {
            for row in 0..4 {
                let at = 4 * column;
                let block = four(self, [v[at][row], v[at + 1][row], v[at + 2][row], v[at + 3][row]]);
                for lane in 0..4 {
                    turned[4 * row + lane][column] = block[lane];
                }
            }
        }
        turned
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

/// `a b + c`.
#[target_feature(enable = "neon")]
#[inline]
fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
    vfmaq_f32(c, a, b)
}

/// NEON's own minimum is no number where one of two is none; on other processors it is the second of them.
#[target_feature(enable = "neon")]
#[inline]
fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vbslq_f32(vcltq_f32(a, b), a, b)
}

/// See [`min`].
#[target_feature(enable = "neon")]
#[inline]
fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    vbslq_f32(vcgtq_f32(a, b), a, b)
}

/// `a 2ⁿ`.
#[target_feature(enable = "neon")]
#[inline]
fn scale(a: float32x4_t, n: float32x4_t) -> float32x4_t {
    let exponents = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponents)))
}

/// Sixteen numbers of sixteen bits in the lower halves of those of thirty-two.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn quarters(_: Neon, from: &[u16]) -> [uint32x4_t; 4] {
    let from = from[..LANES].as_ptr();
    // SAFETY: a `Neon` is the proof of NEON, and the slice has sixteen numbers.
    unsafe {
        [vmovl_u16(vld1_u16(from)), vmovl_u16(vld1_u16(from.add(4))), vmovl_u16(vld1_u16(from.add(8))), vmovl_u16(vld1_u16(from.add(12)))]
    }
}

/// Numbers of half precision, with the instructions of any NEON.
#[target_feature(enable = "neon")]
#[inline]
fn widen_f16(bits: uint32x4_t) -> float32x4_t {
    let sign = vshlq_n_u32::<16>(vandq_u32(bits, vdupq_n_u32(0x8000)));
    let rest = vshlq_n_u32::<13>(vandq_u32(bits, vdupq_n_u32(0x7fff)));
    // The exponents differ by 112. What is not finite keeps the largest exponent.
    let number = vmulq_f32(vreinterpretq_f32_u32(rest), vreinterpretq_f32_u32(vdupq_n_u32((127 + 112) << 23)));
    let largest = vandq_u32(vcgeq_f32(number, vdupq_n_f32(65536.0)), vdupq_n_u32(0x7f80_0000));
    vreinterpretq_f32_u32(vorrq_u32(vorrq_u32(vreinterpretq_u32_f32(number), largest), sign))
}

/// Upper halves of f32.
#[target_feature(enable = "neon")]
#[inline]
fn widen_bf16(bits: uint32x4_t) -> float32x4_t {
    vreinterpretq_f32_u32(vshlq_n_u32::<16>(bits))
}

/// Four vectors of four lanes, transposed: pairs, then halves.
#[inline(always)]
#[allow(unsafe_code, reason = "intrinsics")]
fn four(_: Neon, [a, b, c, d]: [float32x4_t; 4]) -> [float32x4_t; 4] {
    // SAFETY: a `Neon` is the proof of NEON.
    unsafe {
        let even = [vreinterpretq_f64_f32(vtrn1q_f32(a, b)), vreinterpretq_f64_f32(vtrn1q_f32(c, d))];
        let odd = [vreinterpretq_f64_f32(vtrn2q_f32(a, b)), vreinterpretq_f64_f32(vtrn2q_f32(c, d))];
        [
            vreinterpretq_f32_f64(vtrn1q_f64(even[0], even[1])),
            vreinterpretq_f32_f64(vtrn1q_f64(odd[0], odd[1])),
            vreinterpretq_f32_f64(vtrn2q_f64(even[0], even[1])),
            vreinterpretq_f32_f64(vtrn2q_f64(odd[0], odd[1])),
        ]
    }
}
