//! What every processor can.

use super::{Kernel, LANES, Simd};

/// Needs nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

type Vector = [f32; LANES];

#[inline(always)]
fn each(make: impl FnMut(usize) -> f32) -> Vector {
    std::array::from_fn(make)
}

// SAFETY: it needs nothing that a processor may not have.
#[allow(unsafe_code, reason = "the trait is unsafe")]
unsafe impl Simd for Portable {
    type Vector = Vector;
    const SUMS: usize = 3;
    const COLUMNS: usize = 1;

    #[inline(always)]
    fn splat(self, number: f32) -> Vector {
        [number; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Vector {
        let from = &from[..LANES];
        each(|lane| from[lane])
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16]) -> Vector {
        let from = &from[..LANES];
        each(|lane| {
            let (sign, rest) = (u32::from(from[lane] & 0x8000) << 16, u32::from(from[lane] & 0x7fff) << 13);
            // The exponents differ by 112. What is not finite keeps the largest exponent.
            let number = f32::from_bits(rest) * f32::from_bits((127 + 112) << 23);
            let largest = if number >= 65536.0 { 0x7f80_0000 } else { 0 };
            f32::from_bits(number.to_bits() | largest | sign)
        })
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16]) -> Vector {
        let from = &from[..LANES];
        each(|lane| f32::from_bits(u32::from(from[lane]) << 16))
    }

    #[inline(always)]
    fn prefetch(self, _: &[f32]) {}

    #[inline(always)]
    fn prefetch_far(self, _: &[f32]) {}

    #[inline(always)]
    fn store(self, vector: Vector, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        each(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn sub(self, a: Vector, b: Vector) -> Vector {
        each(|lane| a[lane] - b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Vector, b: Vector) -> Vector {
        each(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn div(self, a: Vector, b: Vector) -> Vector {
        each(|lane| a[lane] / b[lane])
    }

    #[inline(always)]
    fn mul_add(self, a: Vector, b: Vector, c: Vector) -> Vector {
        // Not `f32::mul_add`, which is a function call where the processor has no such instruction.
        each(|lane| a[lane] * b[lane] + c[lane])
    }

    #[inline(always)]
    fn min(self, a: Vector, b: Vector) -> Vector {
        each(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn max(self, a: Vector, b: Vector) -> Vector {
        each(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn sqrt(self, vector: Vector) -> Vector {
        each(|lane| vector[lane].sqrt())
    }

    #[inline(always)]
    fn round(self, vector: Vector) -> Vector {
        each(|lane| vector[lane].round_ties_even())
    }

    #[inline(always)]
    fn scale(self, a: Vector, n: Vector) -> Vector {
        each(|lane| a[lane] * f32::from_bits(((n[lane] as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn transpose(self, vectors: [Vector; LANES]) -> [Vector; LANES] {
        std::array::from_fn(|row| each(|lane| vectors[lane][row]))
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
