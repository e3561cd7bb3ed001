//! Fully connected layers, `y = residual + layer_scale ⊙ activation(norm(x) W + bias)`, in one pass over x and y.
//!
//! The weights never change and are packed once, sixteen columns side by side. Rows of x are packed by each share of the work, and normalised
//! on the way; what follows the product is done while its sums are in registers. Each sum is made in the same order however the
//! work is divided, so that the answer is the same for any number of threads.

mod mlp;
mod pack;
mod rows;
mod share;
#[cfg(test)]
mod tests;

use std::sync::Mutex;

pub use self::mlp::Mlp;
use self::pack::Packed;
use self::share::{Piece, Share};
use crate::scratch::with_scratch;
use crate::simd::{LANES, Processor};
use crate::workers::{Workers, own};

/// Numbers of a matrix.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision (IEEE 754 binary16), as bits.
    F16(&'a [u16]),
    /// The upper halves of f32 (bfloat16), as bits.
    BF16(&'a [u16]),
}

impl Numbers<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::F16(bits) | Self::BF16(bits) => bits.len(),
        }
    }
}

/// Which index of a weight comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// [K, N], as ONNX's `MatMul` has it.
    InputsFirst,
    /// [N, K], as PyTorch's `Linear` has it.
    OutputsFirst,
}

/// The weight W of a layer with K inputs and N outputs.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// All numbers, in their order.
    pub numbers: Numbers<'a>,
    /// Which index comes first.
    pub order: Order,
    /// K.
    pub inputs: usize,
    /// N.
    pub outputs: usize,
}

/// What follows the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x Φ(x)` with the normal distribution Φ.
    Gelu,
    /// Its first approximation, `x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
    /// Its second one, `x σ(1.702 x)`: CLIP's "quick" GELU.
    GeluSigmoid,
    /// `x σ(x)`, also called swish.
    Silu,
}

/// Layer normalisation (Ba et al. 2016) over the K numbers of a row.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// `[K]`.
    pub gamma: &'a [f32],
    /// `[K]`.
    pub beta: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// What belongs to a layer beside its weight.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinearOptions<'a> {
    /// Normalises the rows of x before the product.
    pub norm: Option<LayerNorm<'a>>,
    /// `[N]`: added to each row of the product.
    pub bias: Option<&'a [f32]>,
    /// Applied to that.
    pub activation: Activation,
    /// `[N]`: factors of that, before the residual is added (LayerScale, Touvron et al. 2021).
    pub layer_scale: Option<&'a [f32]>,
    /// Keeps weights of sixteen bits as f32: twice the memory, for no work of widening.
    pub widen: bool,
}

/// A fully connected layer.
#[derive(Debug)]
pub struct Linear {
    packed: Packed,
    /// `[N]` with zeros up to whole vectors.
    bias: Vec<f32>,
    has_bias: bool,
    layer_scale: Option<Vec<f32>>,
    activation: Activation,
    norm: Option<Norm>,
    processor: Processor,
}

/// A [`LayerNorm`] of one's own.
#[derive(Debug)]
struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    epsilon: f32,
}

impl Linear {
    /// Packs the weight. `None` if something has not the length that its shape says, or there are no inputs or no outputs.
    pub fn new(weights: Weights<'_>, options: LinearOptions<'_>) -> Option<Self> {
        let Weights { inputs, outputs, .. } = weights;
        let LinearOptions { norm, bias, activation, layer_scale, widen } = options;
        let fits = inputs > 0
            && outputs > 0
            && weights.numbers.len() == inputs.checked_mul(outputs)?
            && bias.is_none_or(|bias| bias.len() == outputs)
            && layer_scale.is_none_or(|scale| scale.len() == outputs)
            && norm.is_none_or(|norm| norm.gamma.len() == inputs && norm.beta.len() == inputs);
        if !fits {
            return None;
        }
        let padded = |numbers: &[f32]| {
            let mut padded = numbers.to_vec();
            padded.resize(outputs.next_multiple_of(LANES), 0.0);
            padded
        };
        Some(Self {
            packed: Packed::new(weights, widen),
            bias: padded(bias.unwrap_or_default()),
            has_bias: bias.is_some(),
            layer_scale: layer_scale.map(padded),
            activation,
            norm: norm.map(|LayerNorm { gamma, beta, epsilon }| Norm { gamma: gamma.to_vec(), beta: beta.to_vec(), epsilon }),
            processor: Processor::best(),
        })
    }

    /// With these instructions instead of the best.
    #[must_use]
    pub fn on(self, processor: Processor) -> Self {
        Self { processor, ..self }
    }

    /// K.
    pub fn inputs(&self) -> usize {
        self.packed.inputs
    }

    /// N.
    pub fn outputs(&self) -> usize {
        self.packed.outputs
    }

    /// Bytes of the packed weight.
    pub fn bytes(&self) -> usize {
        self.packed.bytes()
    }

    /// Whether anything follows the product.
    fn has_more(&self, residual: Option<&[f32]>) -> bool {
        self.has_bias || self.activation != Activation::Identity || self.layer_scale.is_some() || residual.is_some()
    }

    /// `x` [M, K] → `out` [M, N], to which `residual` [M, N] is added if there is one.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn apply(&self, x: &[f32], residual: Option<&[f32]>, workers: &dyn Workers, out: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let rows = out.len() / outputs;
        assert!(out.len().is_multiple_of(outputs) && x.len() == rows * inputs, "x is [M, K], and the output [M, N]");
        assert!(residual.is_none_or(|residual| residual.len() == out.len()), "the residual is [M, N]");
        if rows == 0 {
            return;
        }
        let division = Division::of(rows, [inputs, outputs]);
        // The rows' parts by shares: those of the same rows follow each other.
        let across = outputs.div_ceil(division.columns);
        let mut pieces: Vec<Vec<&mut [f32]>> = (0..rows.div_ceil(division.rows) * across).map(|_| Vec::new()).collect();
        for (row, numbers) in out.chunks_exact_mut(outputs).enumerate() {
            for (part, numbers) in numbers.chunks_mut(division.columns).enumerate() {
                pieces[row / division.rows * across + part].push(numbers);
            }
        }
        let pieces: Vec<_> = pieces.into_iter().map(Mutex::new).collect();
        workers.each(pieces.len(), &|index| {
            let rows = std::mem::take(&mut *own(&pieces[index]));
            let (row, column) = (index / across * division.rows, index % across * division.columns);
            let piece = Piece { x: &x[row * inputs..][..rows.len() * inputs], residual: residual.map(|all| &all[row * outputs..]), column };
            with_scratch(|scratch| self.processor.run(Share { linear: self, piece, rows, scratch }));
        });
    }
}

/// Rows and columns of a share.
struct Division {
    rows: usize,
    columns: usize,
}

impl Division {
    /// As many rows as stay in the second cache with their sums, so that the weight is read seldom. Where that makes few shares, each has only
    /// some of the columns.
    fn of(rows: usize, [inputs, outputs]: [usize; 2]) -> Self {
        const FEWEST_COLUMNS: usize = 128;
        /// Shares that there should be.
        const SHARES: usize = 16;
        let parts = rows.div_ceil(most_rows(inputs + outputs.min(share::COLUMNS))).max(1);
        let of_rows = rows.div_ceil(parts).next_multiple_of(MOST_OF_TILE);
        let columns = outputs.div_ceil((SHARES / parts).max(1)).max(FEWEST_COLUMNS).next_multiple_of(2 * LANES);
        Self { rows: of_rows, columns }
    }
}

/// The most rows that a tile of any processor has; a multiple of all others.
const MOST_OF_TILE: usize = 12;

/// The most rows of a share, for each of which so many numbers are in use.
fn most_rows(numbers: usize) -> usize {
    /// Numbers in the second cache, beside the weight's.
    const CACHED: usize = 192 << 10;
    const LEAST: usize = 48;
    /// With more, shares get few, and threads do not end at the same time.
    const MOST: usize = 192;
    (CACHED / numbers).clamp(LEAST, MOST)
}
