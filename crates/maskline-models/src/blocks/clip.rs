//! Transformer blocks of CLIP (Radford et al. 2021): norms first, plain multi-head attention, as towers over words and over pictures use them.

use maskline_onnx::{AttentionInPlace, AttentionOptions, Graph, LayerActivation, Value};
use maskline_weights::Scope;

use super::{Activation, Around, Mlp, Norm, Normed, batched, layer_norm, linear};
use crate::{Error, ErrorKind, Result};

/// What tokens may look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reach<'a> {
    /// Added to the attentions' scores, [1 or B, 1, N, N].
    pub bias: Option<&'a Value>,
    /// 1 for rows of the batch that look at something, 0 for those whose attentions see nothing, [B, 1, 1].
    pub present: Option<&'a Value>,
}

/// Sizes of a tower.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tower {
    /// Width of a token.
    pub width: usize,
    /// Hidden width of the MLPs.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Epsilon of the norms.
    pub epsilon: f32,
    /// Activation of the MLPs.
    pub activation: Activation,
}

impl Tower {
    /// A norm over the tokens' width.
    pub fn norm(&self) -> Norm {
        Norm::of(self.width, self.epsilon)
    }

    /// All blocks (`layers.0` … in `scope`): `x` [B, N, width] → [B, N, width].
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn blocks<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, reach: Reach<'_>) -> Result<Value> {
        let layers = scope.push("layers");
        let mut x = x.clone();
        for index in 0..self.layers {
            x = self.block(g, &layers.push(index), &x, reach)?;
        }
        Ok(x)
    }

    /// One block (norms, attention and MLP in `scope`): `x` [B, N, width] → the same.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn block<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, reach: Reach<'_>) -> Result<Value> {
        if let (true, Some(activation), None, None) = (g.has_own_layers(), self.activation.of_layer(), reach.bias, reach.present) {
            return self.block_in_place(g, scope, x, activation);
        }
        let y = layer_norm(g, &scope.push("layer_norm1"), x, self.norm())?;
        let y = self.attention(g, &scope.push("self_attn"), &y, reach)?;
        let x = g.add(x, &y)?;
        let y = layer_norm(g, &scope.push("layer_norm2"), &x, self.norm())?;
        let y = self.mlp(g, &scope.push("mlp"), &y)?;
        Ok(g.add(&x, &y)?)
    }

    /// A block of our own layers, whose tokens look at all others.
    fn block_in_place<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, activation: LayerActivation) -> Result<Value> {
        let Self { width, hidden, heads, .. } = *self;
        let [first, second] = ["layer_norm1", "layer_norm2"].map(|name| scope.push(name));
        let normed = |scope| Normed { scope, norm: self.norm() };
        let before = Around { norm: Some(normed(&first)), ..Around::default() };
        let attention = scope.push("self_attn");
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|name| before.layer(g, &attention.push(name), x, [width; 2]));
        let (q, k, v) = (q?, k?, v?);
        let seen = g.scoped(attention.name(), |g| g.attention_in_place(AttentionInPlace::of([&q, &k, &v], [heads, width / heads])))?;
        let x = Around { residual: Some(x), ..Around::default() }.layer(g, &attention.push("out_proj"), &seen, [width; 2])?;
        let layers = ["mlp.fc1", "mlp.fc2"].map(|name| scope.push(name));
        Mlp { norm: normed(&second), layers: layers.each_ref(), activation }.build(g, &x, hidden)
    }

    fn attention<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, reach: Reach<'_>) -> Result<Value> {
        let project = |g: &mut Graph<'w>, name: &str, x: &Value| tokens(g, x, |g, x| linear(g, &scope.push(name), x, [self.width; 2]));
        let (q, k, mut v) = (project(g, "q_proj", x)?, project(g, "k_proj", x)?, project(g, "v_proj", x)?);
        if let Some(present) = reach.present {
            v = g.mul(&v, present)?;
        }
        let options = AttentionOptions { heads: self.heads, scale: None };
        let seen = g.scoped(scope.name(), |g| g.attention_with_bias([&q, &k, &v], reach.bias, &options))?;
        project(g, "out_proj", &seen)
    }

    fn mlp<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value) -> Result<Value> {
        tokens(g, x, |g, x| {
            let hidden = linear(g, &scope.push("fc1"), x, [self.width, self.hidden])?;
            let hidden = g.scoped(scope.name(), |g| self.activation.apply(g, &hidden))?;
            linear(g, &scope.push("fc2"), &hidden, [self.hidden, self.width])
        })
    }
}

/// Layers on every token as one matrix product: `x` [B, N, C] → [B, N, D].
///
/// # Errors
/// Those of `layers`, which go from [B·N, C] to [B·N, D].
pub fn tokens<'w>(g: &mut Graph<'w>, x: &Value, layers: impl FnOnce(&mut Graph<'w>, &Value) -> Result<Value>) -> Result<Value> {
    let unknown = || Error::new(ErrorKind::Graph, format!("tokens {} are not a known number of a known width", x.shape()));
    let (Some(count), Some(width)) = (x.shape()[1].known(), x.shape()[2].known()) else { return Err(unknown()) };
    let flat = g.reshape(x, vec![x.shape()[0].times(count as i64), width.into()])?;
    let y = layers(g, &flat)?;
    let width = y.shape()[1].known().ok_or_else(unknown)?;
    Ok(g.reshape(&y, batched(&x.shape()[0], &[count, width]))?)
}
