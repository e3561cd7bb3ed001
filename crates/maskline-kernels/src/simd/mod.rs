//! Sixteen lanes of f32, whatever the processor: kernels are written once in them, and compiled for each.
//!
//! `portable` is what every processor can, `avx2`, `avx512` and `neon` what some can; `math` has functions of lanes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

pub(crate) use math::{exp, exp2, gelu, gelu_tanh, silu};

use self::portable::Portable;

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// Instructions that kernels are compiled for. A value of such a type is a proof that the processor has them.
///
/// # Safety
/// Values are only made where the processor has the instructions.
#[allow(unsafe_code, reason = "kernels are unsafe where they run without the instructions that they are compiled for")]
pub(crate) unsafe trait Simd: Copy {
    /// Sixteen lanes, in as many registers as they need.
    type Vector: Copy;
    /// Vectors of sums that are kept in registers at once: as many as leave room for what is added.
    const SUMS: usize;
    /// Vectors side by side of which `SUMS` rows are summed at once, where each number of a row is multiplied with all of them.
    const COLUMNS: usize;

    fn splat(self, number: f32) -> Self::Vector;
    /// The first numbers of a slice that has as many as there are lanes.
    fn load(self, from: &[f32]) -> Self::Vector;
    /// As `load`, of numbers of half precision (IEEE 754 binary16) as bits.
    fn load_f16(self, from: &[u16]) -> Self::Vector;
    /// As `load`, of the upper halves of f32 (bfloat16) as bits.
    fn load_bf16(self, from: &[u16]) -> Self::Vector;
    /// Tells the processor that the cache line where a slice begins will be needed soon.
    fn prefetch(self, from: &[f32]);
    /// As `prefetch`, into the second cache: the first one has no room for it yet.
    fn prefetch_far(self, from: &[f32]);
    /// Into the first numbers of a slice that has as many as there are lanes.
    fn store(self, vector: Self::Vector, to: &mut [f32]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Of each pair the smaller number, and the second if one is none.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Of each pair the larger number, and the second if one is none.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sqrt(self, vector: Self::Vector) -> Self::Vector;
    /// To the nearest whole numbers, which fit an i32.
    fn round(self, vector: Self::Vector) -> Self::Vector;
    /// `a 2ⁿ` for whole `n` from -126 to 127.
    fn scale(self, a: Self::Vector, n: Self::Vector) -> Self::Vector;
    /// Lane i of vector j becomes lane j of vector i.
    fn transpose(self, vectors: [Self::Vector; LANES]) -> [Self::Vector; LANES];

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

/// As `load`, with zeros where the slice ends before the lanes do.
#[inline(always)]
pub(crate) fn load_some<S: Simd>(simd: S, from: &[f32]) -> S::Vector {
    if from.len() >= LANES {
        return simd.load(from);
    }
    let mut numbers = [0.0; LANES];
    numbers[..from.len()].copy_from_slice(from);
    simd.load(&numbers)
}

/// As `store`, of as many lanes as the slice has numbers.
#[inline(always)]
pub(crate) fn store_some<S: Simd>(simd: S, vector: S::Vector, to: &mut [f32]) {
    if to.len() >= LANES {
        return simd.store(vector, to);
    }
    to.copy_from_slice(&numbers(simd, vector)[..to.len()]);
}

/// The lanes as numbers.
#[inline(always)]
pub(crate) fn numbers<S: Simd>(simd: S, vector: S::Vector) -> [f32; LANES] {
    let mut numbers = [0.0; LANES];
    simd.store(vector, &mut numbers);
    numbers
}

/// The sum of all lanes, two halves at a time.
#[inline(always)]
pub(crate) fn sum<S: Simd>(simd: S, vector: S::Vector) -> f32 {
    halve(numbers(simd, vector), |a, b| a + b)
}

/// The largest lane; what is no number does not count.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, vector: S::Vector) -> f32 {
    halve(numbers(simd, vector), |a, b| if b > a { b } else { a })
}

#[inline(always)]
fn halve(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for lane in 0..count {
            lanes[lane] = join(lanes[lane], lanes[lane + count]);
        }
    }
    lanes[0]
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
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Processor {
    /// The best that this processor has.
    pub fn best() -> Self {
        Self::all().pop().unwrap_or(Self::Any)
    }

    /// All that this processor has, the most common first.
    pub fn all() -> Vec<Self> {
        let all = [
            Some(Self::Any),
            #[cfg(target_arch = "x86_64")]
            avx2::Avx2::of_this_processor().map(|_| Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            avx512::Avx512::of_this_processor().map(|_| Self::Avx512),
            #[cfg(target_arch = "aarch64")]
            neon::Neon::of_this_processor().map(|_| Self::Neon),
        ];
        all.into_iter().flatten().collect()
    }

    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
        }
    }

    /// Runs a kernel with these instructions; with those that every processor has where this one does not have them.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => run_or_portable(avx2::Avx2::of_this_processor(), kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => run_or_portable(avx512::Avx512::of_this_processor(), kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => run_or_portable(neon::Neon::of_this_processor(), kernel),
            Self::Any => Portable.run(kernel),
        }
    }
}

#[inline(always)]
fn run_or_portable<S: Simd, K: Kernel>(simd: Option<S>, kernel: K) -> K::Output {
    match simd {
        Some(simd) => simd.run(kernel),
        None => Portable.run(kernel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What processors must agree on, one vector after the other.
    struct Everything([[f32; LANES]; 3]);

    impl Kernel for Everything {
        type Output = Vec<[f32; LANES]>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let [a, b, c] = self.0.map(|numbers| simd.load(&numbers));
            let vectors = [
                simd.splat(1.5),
                simd.add(a, b),
                simd.sub(a, b),
                simd.mul(a, b),
                simd.div(a, b),
                simd.min(a, b),
                simd.max(a, b),
                simd.sqrt(simd.mul(a, a)),
                simd.round(a),
                simd.scale(a, simd.round(b)),
                simd.mul_add(a, b, c),
            ];
            let turned = simd.transpose(std::array::from_fn(|row| simd.add(a, simd.splat(100.0 * row as f32))));
            let single = [sum(simd, a), largest(simd, a)].map(|number| simd.splat(number));
            vectors.into_iter().chain(turned).chain(single).map(|vector| numbers(simd, vector)).collect()
        }
    }

    #[test]
    fn processors_agree() {
        // Small whole numbers and halves: every result is exact, however it is rounded.
        let a = std::array::from_fn(|lane| lane as f32 - 7.5);
        let b = std::array::from_fn(|lane| [1.0, 2.0, -4.0, 8.0][lane % 4]);
        let c = std::array::from_fn(|lane| lane as f32);
        let expected = Processor::Any.run(Everything([a, b, c]));
        assert_eq!(expected[10][3], -4.5 * 8.0 + 3.0);
        assert_eq!(expected[11 + 3][2], 300.0 - 7.5 + 2.0 - 300.0 + 200.0 + 1.0, "lane 2 of row 3 is lane 3 of row 2");
        assert_eq!(expected[27][0], 0.0);
        assert_eq!(expected[28][0], 7.5);
        for processor in Processor::all() {
            assert_eq!(processor.run(Everything([a, b, c])), expected, "{processor:?}");
        }
    }

    /// Where processors could differ.
    struct Edges([f32; LANES]);

    impl Kernel for Edges {
        type Output = [[f32; LANES]; 6];

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let (numbers_and_none, ones) = (simd.load(&self.0), simd.splat(1.0));
            [
                numbers(simd, simd.min(numbers_and_none, ones)),
                numbers(simd, simd.min(ones, numbers_and_none)),
                numbers(simd, simd.max(numbers_and_none, ones)),
                numbers(simd, simd.max(ones, numbers_and_none)),
                numbers(simd, simd.round(simd.load(&[2e9, -2e9, 8_388_607.5, -0.4].repeat(4)))),
                numbers(simd, simd.scale(simd.splat(1.5), simd.load(&[127.0, -126.0, 0.0, -1.0].repeat(4)))),
            ]
        }
    }

    #[test]
    fn processors_agree_at_the_edges() {
        let numbers_and_none = std::array::from_fn(|lane| [f32::NAN, 0.5, 2.0, f32::INFINITY][lane % 4]);
        for processor in Processor::all() {
            for lane in [0, 4, 8, 12] {
                let found = processor.run(Edges(numbers_and_none)).map(|lanes| -> [f32; 4] { std::array::from_fn(|at| lanes[lane + at]) });
                assert_eq!([found[0], found[2]], [[1.0, 0.5, 1.0, 1.0], [1.0, 1.0, 2.0, f32::INFINITY]], "{processor:?}");
                assert_eq!([&found[1][1..], &found[3][1..]], [[0.5, 1.0, 1.0], [1.0, 2.0, f32::INFINITY]], "{processor:?}");
                assert!(found[1][0].is_nan() && found[3][0].is_nan(), "{processor:?}: the second of two counts if one is no number");
                assert_eq!(found[4], [2e9, -2e9, 8_388_608.0, 0.0], "{processor:?}");
                assert_eq!(found[5], [3.0 / f32::MIN_POSITIVE, 1.5 * f32::MIN_POSITIVE, 1.5, 0.75], "{processor:?}");
            }
        }
    }

    /// Numbers of sixteen bits, and the first few of other numbers.
    struct Bits<'a>(&'a [u16]);

    impl Kernel for Bits<'_> {
        type Output = Vec<[[f32; LANES]; 2]>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            self.0.chunks_exact(LANES).map(|bits| [numbers(simd, simd.load_f16(bits)), numbers(simd, simd.load_bf16(bits))]).collect()
        }
    }

    #[test]
    fn numbers_of_sixteen_bits_are_widened_exactly() {
        // All of them, or some of every exponent.
        let step = if cfg!(miri) || crate::is_small() { 97 } else { 1 };
        let mut bits: Vec<u16> = (0..=u16::MAX).step_by(step).chain([0x7c00, 0xfc00, 0x7e00, 0x0001, 0x8000]).collect();
        bits.resize(bits.len().next_multiple_of(LANES), 0);
        let is_same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        for processor in Processor::all() {
            for (bits, [f16, bf16]) in bits.chunks_exact(LANES).zip(processor.run(Bits(&bits))) {
                for lane in 0..LANES {
                    let expected = half::f16::from_bits(bits[lane]).to_f32();
                    assert!(is_same(f16[lane], expected), "{processor:?}: {:x} is {expected}, found {}", bits[lane], f16[lane]);
                    let expected = half::bf16::from_bits(bits[lane]).to_f32();
                    assert!(is_same(bf16[lane], expected), "{processor:?}: {:x} is {expected}, found {}", bits[lane], bf16[lane]);
                }
            }
        }
    }

    /// Fewer numbers than lanes.
    struct Some<'a>(&'a [f32]);

    impl Kernel for Some<'_> {
        type Output = (Vec<f32>, [f32; LANES]);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            simd.prefetch(self.0);
            let loaded = load_some(simd, self.0);
            let mut stored = vec![7.0; self.0.len()];
            store_some(simd, loaded, &mut stored);
            (stored, numbers(simd, loaded))
        }
    }

    #[test]
    fn fewer_numbers_than_lanes_are_loaded_and_stored() {
        let all: [f32; LANES + 1] = std::array::from_fn(|at| at as f32 + 1.0);
        for processor in Processor::all() {
            for count in [0, 1, 5, LANES] {
                let (stored, lanes) = processor.run(Some(&all[..count]));
                assert_eq!(stored, all[..count], "{processor:?}");
                assert!(lanes[..count] == all[..count] && lanes[count..].iter().all(|lane| *lane == 0.0), "{processor:?}: {lanes:?}");
            }
        }
    }

    /// `testing/kernels.sh` names the one that it means to try.
    #[test]
    fn the_processor_that_is_to_be_tried_is_there() {
        if let Ok(name) = std::env::var("MASKLINE_EXPECTED_PROCESSOR") {
            assert_eq!(Processor::best().name(), name);
        }
    }
}
