//! Layers of the transformers over prompts, cells and queries.

use maskline_onnx::{AttentionOptions, DType, Dim, Graph, Shape, Value};
use maskline_weights::Scope;

use super::config::{EPSILON, StackConfig};
use crate::blocks::{Norm, batched, computed, layer_norm, linear, parameter, tokens, wavelength};
use crate::info::ConceptHead;
use crate::{Error, Result};

/// What may not be looked at weighs nothing after a softmax.
const HIDDEN: f32 = -1e9;

/// Queries, keys and values before their projections, [B, N, C], [B, M, C] and [B, M, C].
#[derive(Debug, Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) from: &'a Value,
    pub(super) keys: &'a Value,
    pub(super) values: &'a Value,
    /// Added to the scores, [1 or B, 1 or heads, N or 1, M].
    pub(super) bias: Option<&'a Value>,
}

/// A fully connected layer on every token: [B, N, input] → [B, N, output]; N need not be known.
pub(super) fn dense<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, sizes: [usize; 2]) -> Result<Value> {
    if x.shape()[1].known().is_some() { tokens(g, x, |g, x| linear(g, scope, x, sizes)) } else { linear(g, scope, x, sizes) }
}

/// Multi-head attention with its projections: → [B, N, C].
pub(super) fn attention<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, looking: Looking<'_>, heads: usize) -> Result<Value> {
    let width = looking.from.shape()[2].known().unwrap_or(0);
    let project = |g: &mut Graph<'w>, name: &str, x: &Value| dense(g, &scope.push(name), x, [width; 2]);
    let (q, k) = (project(g, "q_proj", looking.from)?, project(g, "k_proj", looking.keys)?);
    let v = project(g, "v_proj", looking.values)?;
    let options = AttentionOptions { heads, scale: None };
    let seen = g.scoped(scope.name(), |g| g.attention_with_bias([&q, &k, &v], looking.bias, &options))?;
    project(g, "o_proj", &seen)
}

/// The MLP of a layer: [B, N, C] → the same.
pub(super) fn mlp<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, stack: &StackConfig) -> Result<Value> {
    let width = x.shape()[2].known().unwrap_or(0);
    let hidden = dense(g, &scope.push("fc1"), x, [width, stack.hidden])?;
    let hidden = g.scoped(scope.name(), |g| stack.activation.apply(g, &hidden))?;
    dense(g, &scope.push("fc2"), &hidden, [stack.hidden, width])
}

/// A norm over the last axis.
pub(super) fn norm<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value) -> Result<Value> {
    let width = x.shape().0.last().and_then(|width| width.known()).unwrap_or(0);
    layer_norm(g, scope, x, Norm::of(width, EPSILON))
}

/// Fully connected layers `layer1`, `layer2` … with ReLU between them, of the given widths from input to output: [B, N, input] →
/// [B, N, output].
pub(super) fn perceptron<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, widths: &[usize]) -> Result<Value> {
    let mut x = x.clone();
    for (index, sizes) in widths.windows(2).enumerate() {
        if index > 0 {
            x = g.scoped(scope.name(), |g| g.relu(&x))?;
        }
        x = dense(g, &scope.push(format!("layer{}", index + 1)), &x, [sizes[0], sizes[1]])?;
    }
    Ok(x)
}

/// A table `[rows, width]` as [1, rows, width].
pub(super) fn table<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, name: &str, [rows, width]: [usize; 2]) -> Result<Value> {
    let table = parameter(g, scope, name, &[rows, width])?;
    Ok(g.reshape(&table, [1, rows, width])?)
}

/// The inputs that say what is looked for: `prompt` f32 [P, L, C], and from `present` f32 [P, L] what is added to scores of its rows, f32
/// [P, 1, 1, L], and which rows count, f32 [P, L, 1].
pub(super) struct Prompt {
    pub(super) rows: Value,
    pub(super) bias: Value,
    pub(super) present: Value,
}

impl Prompt {
    /// With P as `prompts`: a symbol, or one prompt.
    pub(super) fn input(g: &mut Graph<'_>, width: usize, prompts: Dim) -> Result<Self> {
        let length = Dim::symbol("length");
        let rows = g.input(ConceptHead::PROMPT, DType::F32, [prompts.clone(), length.clone(), width.into()])?;
        let present = g.input(ConceptHead::PRESENT, DType::F32, [prompts, length])?;
        let (one, hidden) = (g.scalar(1.0), g.scalar(HIDDEN));
        let absent = g.sub(&one, &present)?;
        let bias = g.mul(&absent, &hidden)?;
        let bias = g.unsqueeze(&bias, 1)?;
        let bias = g.unsqueeze(&bias, 1)?;
        Ok(Self { rows, bias, present: g.unsqueeze(&present, 2)? })
    }

    /// What cells or queries [P, N, C] see of the prompt.
    pub(super) fn seen_by<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, from: &Value, heads: usize) -> Result<Value> {
        attention(g, scope, Looking { from, keys: &self.rows, values: &self.rows, bias: Some(&self.bias) }, heads)
    }
}

/// Sine position encoding of each coordinate in 0..1: [B, N, 1] → [B, N, channels].
pub(super) fn sines(g: &mut Graph<'_>, at: &Value, channels: usize) -> Result<Value> {
    let pairs = channels.div_ceil(2);
    let factors: Vec<f32> = (0..pairs).map(|pair| (std::f64::consts::TAU / wavelength(2 * pair, channels)) as f32).collect();
    let factors = computed(g, &[1, 1, pairs], factors)?;
    let angles = g.mul(at, &factors)?;
    let (sin, cos) = (g.sin(&angles)?, g.cos(&angles)?);
    let (sin, cos) = (g.unsqueeze(&sin, 3)?, g.unsqueeze(&cos, 3)?);
    let both = g.concat(&[&sin, &cos], 3)?;
    let shape = Shape(vec![at.shape()[0].clone(), at.shape()[1].clone(), (2 * pairs).into()]);
    let flat = g.reshape(&both, shape)?;
    Ok::<_, Error>(if 2 * pairs == channels { flat } else { g.slice(&flat, 2, 0..channels as i64)? })
}

/// The leading dimension of `x` with known ones after it.
pub(super) fn shaped(x: &Value, rest: &[usize]) -> Vec<Dim> {
    batched(&x.shape()[0], rest)
}
