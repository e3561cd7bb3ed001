//! The weight, packed.

use super::{Numbers, Order, Weights};
use crate::simd::{LANES, Simd};

/// Numbers of a row of x that are multiplied at a time: with them a panel of the weight stays in the first cache, and the rows of a share in
/// the second.
pub(super) const DEPTH: usize = 384;

/// Numbers of a row of which the products are one sum.
const PART: usize = 128;

/// A weight as panels [K / depth, N / 16, depth, 16]. Columns beyond the last one are zeros.
#[derive(Debug)]
pub(super) struct Packed {
    numbers: Bits,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Depth of all panels but those of the last inputs.
    depth: usize,
    /// Inputs whose products are one sum.
    pub(super) part: usize,
}

#[derive(Debug)]
enum Bits {
    F32(Vec<f32>),
    F16(Vec<u16>),
    BF16(Vec<u16>),
}

/// Inputs that are multiplied at a time: so many from the first on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) first: usize,
    pub(super) depth: usize,
}

impl Packed {
    pub(super) fn new(weights: Weights<'_>, widen: bool) -> Self {
        let Weights { numbers, inputs, outputs, .. } = weights;
        let part = inputs.div_ceil(inputs.div_ceil(PART).max(1)).next_multiple_of(8);
        let depth = part * (DEPTH / PART);
        let mut packed = Self { numbers: Bits::F32(vec![]), inputs, outputs, depth, part };
        packed.numbers = match numbers {
            Numbers::F32(numbers) => Bits::F32(packed.panels_of(&weights, numbers, |number| number)),
            Numbers::F16(bits) if widen => Bits::F32(packed.panels_of(&weights, bits, |bits| half::f16::from_bits(bits).to_f32())),
            Numbers::BF16(bits) if widen => Bits::F32(packed.panels_of(&weights, bits, |bits| half::bf16::from_bits(bits).to_f32())),
            Numbers::F16(bits) => Bits::F16(packed.panels_of(&weights, bits, |bits| bits)),
            Numbers::BF16(bits) => Bits::BF16(packed.panels_of(&weights, bits, |bits| bits)),
        };
        packed
    }

    fn panels_of<T: Copy, U: Copy + Default>(&self, weights: &Weights<'_>, numbers: &[T], change: impl Fn(T) -> U) -> Vec<U> {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let mut panels = vec![U::default(); inputs * outputs.next_multiple_of(LANES)];
        let mut rest = &mut panels[..];
        for Block { first, depth } in self.blocks() {
            for column in (0..outputs).step_by(LANES) {
                let (panel, after) = std::mem::take(&mut rest).split_at_mut(depth * LANES);
                rest = after;
                let count = LANES.min(outputs - column);
                match weights.order {
                    Order::InputsFirst => {
                        for (k, out) in panel.chunks_exact_mut(LANES).enumerate() {
                            let from = &numbers[(first + k) * outputs + column..][..count];
                            out.iter_mut().zip(from).for_each(|(out, number)| *out = change(*number));
                        }
                    }
                    Order::OutputsFirst => {
                        for lane in 0..count {
                            let from = &numbers[(column + lane) * inputs + first..][..depth];
                            panel[lane..].iter_mut().step_by(LANES).zip(from).for_each(|(out, number)| *out = change(*number));
                        }
                    }
                }
            }
        }
        panels
    }

    /// All inputs in their order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let Self { inputs, depth, .. } = *self;
        (0..inputs).step_by(depth.max(1)).map(move |first| Block { first, depth: depth.min(inputs - first) })
    }

    /// Numbers of the largest panel.
    pub(super) fn largest(&self) -> usize {
        self.depth * LANES
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.numbers {
            Bits::F32(numbers) => size_of_val(&numbers[..]),
            Bits::F16(bits) | Bits::BF16(bits) => size_of_val(&bits[..]),
        }
    }

    /// What follows the panel of sixteen columns, as much as it is; nothing where it would have to be widened.
    #[inline(always)]
    pub(super) fn following(&self, block: Block, column: usize) -> &[f32] {
        let Bits::F32(numbers) = &self.numbers else { return &[] };
        let start = block.first * self.outputs.next_multiple_of(LANES) + (column + LANES) * block.depth;
        &numbers[start.min(numbers.len())..numbers.len().min(start + block.depth * LANES)]
    }

    /// The panel of sixteen columns, the first of which is given, widened into `wide` if need be.
    #[inline(always)]
    pub(super) fn panel<'a, S: Simd>(&'a self, simd: S, block: Block, column: usize, wide: &'a mut [f32]) -> &'a [f32] {
        let Block { first, depth } = block;
        let start = first * self.outputs.next_multiple_of(LANES) + column * depth;
        let panel = start..start + depth * LANES;
        let wide = match &self.numbers {
            Bits::F32(numbers) => return &numbers[panel],
            Bits::F16(bits) => {
                for (bits, wide) in bits[panel].chunks_exact(LANES).zip(wide.chunks_exact_mut(LANES)) {
                    simd.store(simd.load_f16(bits), wide);
                }
                wide
            }
            Bits::BF16(bits) => {
                for (bits, wide) in bits[panel].chunks_exact(LANES).zip(wide.chunks_exact_mut(LANES)) {
                    simd.store(simd.load_bf16(bits), wide);
                }
                wide
            }
        };
        &wide[..depth * LANES]
    }
}
