//! Blocks of EfficientViT: convolutions, and linear attention over several scales (Cai et al. 2023, §3.1).

use maskline_onnx::{GeluForm, Graph, Value};
use maskline_weights::{Init, Scope};

use super::config::{Attention, Block, EPSILON};
use crate::blocks::{Activation, BatchNormed, ConvSpec, convolution_batch_norm, convolution_unbiased};
use crate::{Error, ErrorKind, Result};

const NAMES: BatchNormed = BatchNormed { conv: "conv", norm: "norm", epsilon: EPSILON as f64 };
const GELU: Activation = Activation::Gelu(GeluForm::Tanh);
/// Keeps the linear attention's denominator from zero.
const SMALLEST: f32 = 1e-15;

/// Widths before and behind a block, and its stride.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) stride: usize,
}

/// A convolution that is activated: [B, input, rows, columns] → [B, output, rows / stride, columns / stride].
pub(super) fn activated<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    convolution_batch_norm(g, scope, x, NAMES.of(spec).then(GELU))
}

/// A convolution that is not activated.
pub(super) fn plain<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    convolution_batch_norm(g, scope, x, NAMES.of(spec))
}

/// The last convolution of a block.
fn last<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    // Generated weights only: the blocks' sums must not grow, for linear attention multiplies three of them.
    let init = Init::Normal { mean: 0.2, std: 0.02 };
    convolution_batch_norm(g, scope, x, NAMES.of(spec).init(init))
}

impl Block {
    /// A block that keeps the resolution: its result is added to `x`.
    pub(super) fn residual<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, width: usize) -> Result<Value> {
        let step = Step { input: width, output: width, stride: 1 };
        let Self::Attention(attention) = self else {
            let y = self.convolutions(g, &scope.push("main"), x, step)?;
            return Ok(g.add(&y, x)?);
        };
        let seen = attention.linear(g, &scope.push("context_module.main"), x, width)?;
        let x = g.add(&seen, x)?;
        let local = Block::Inverted { hidden: attention.hidden, kernel: attention.kernel };
        let y = local.convolutions(g, &scope.push("local_module.main"), &x, step)?;
        Ok(g.add(&y, &x)?)
    }

    /// The convolutions of a block without attention.
    pub(super) fn convolutions<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, step: Step) -> Result<Value> {
        let Step { input, output, stride } = step;
        match *self {
            Block::Residual { hidden, kernel } => {
                let x = activated(g, &scope.push("conv1"), x, ConvSpec { kernel, stride, ..ConvSpec::point(input, hidden) })?;
                last(g, &scope.push("conv2"), &x, ConvSpec { kernel, ..ConvSpec::point(hidden, output) })
            }
            Block::Fused { hidden, kernel } => {
                let x = activated(g, &scope.push("spatial_conv"), x, ConvSpec { kernel, stride, ..ConvSpec::point(input, hidden) })?;
                last(g, &scope.push("point_conv"), &x, ConvSpec::point(hidden, output))
            }
            Block::Inverted { hidden, kernel } => {
                let x = activated(g, &scope.push("inverted_conv"), x, ConvSpec::point(input, hidden))?;
                let x = activated(g, &scope.push("depth_conv"), &x, ConvSpec::depthwise(hidden, kernel, stride))?;
                last(g, &scope.push("point_conv"), &x, ConvSpec::point(hidden, output))
            }
            Block::Attention(_) => {
                let message = format!("{}: attention cannot halve the resolution", scope.name());
                Err(Error::new(ErrorKind::Checkpoint, message).at(scope.checkpoint().path()))
            }
        }
    }
}

impl Attention {
    /// ReLU linear attention over the map and its gathered scales: `v (relu(k)ᵀ relu(q)) / Σ relu(k)ᵀ relu(q)`.
    ///
    /// Sums over all cells, and a denominator that may be as small as [`SMALLEST`]: f16 has room for neither, nor has the official code it.
    ///
    /// The official code takes another order of products where there are fewer cells than channels in a head; the result is the same.
    fn linear<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, width: usize) -> Result<Value> {
        let Attention { heads, size, ref scales, .. } = *self;
        let total = 3 * heads * size;
        let qkv = convolution_unbiased(g, &scope.push("qkv.conv"), x, ConvSpec::point(width, total))?;
        let mut all = vec![qkv.clone()];
        for (i, kernel) in scales.iter().enumerate() {
            let gather = scope.push("aggreg").push(i);
            let gathered = convolution_unbiased(g, &gather.push(0), &qkv, ConvSpec::depthwise(total, *kernel, 1))?;
            let spec = ConvSpec { groups: 3 * heads, ..ConvSpec::point(total, total) };
            all.push(convolution_unbiased(g, &gather.push(1), &gathered, spec)?);
        }
        let heads = heads * all.len();
        let attend = |g: &mut Graph<'w>| {
            let joined = g.concat(&all.iter().collect::<Vec<_>>(), 1)?;
            let [batch, _, rows, columns] = [0, 1, 2, 3].map(|axis| x.shape()[axis].clone());
            let cells = rows.product(&columns).unwrap_or_else(|| rows.clone());
            let joined = g.reshape(&joined, vec![batch.clone(), heads.into(), (3 * size).into(), cells])?;
            let parts = g.split(&joined, 2, &[size; 3])?;
            let (q, k, v) = (g.relu(&parts[0])?, g.relu(&parts[1])?, &parts[2]);
            let summary = g.matmul_transposed(v, &k)?;
            let weighted = g.matmul(&summary, &q)?;
            let sums = g.reduce_sum(&k, &[3], false)?;
            let sums = g.unsqueeze(&sums, 2)?;
            let weights = g.matmul(&sums, &q)?;
            let epsilon = g.scalar(SMALLEST);
            let weights = g.add(&weights, &epsilon)?;
            let seen = g.div(&weighted, &weights)?;
            g.reshape(&seen, vec![batch, (heads * size).into(), rows, columns])
        };
        let seen = g.scoped(scope.name(), |g| g.full_precision(attend))?;
        last(g, &scope.push("proj"), &seen, ConvSpec::point(heads * size, width))
    }
}
