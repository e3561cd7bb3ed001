//! Attention between a prompt's few tokens and the image's many cells, exactly and cheaper than as written.
//!
//! With `T` cells, `N` tokens and `h` heads of width `d` (T = 4096, N ≈ 9, h = 8, d = 16, cells of width C = 256), projecting the
//! cells costs `T·C·h·d` per projection and prompt. Two identities avoid that:
//!
//! - *Sharing*: before the first two-way block ends, the cells are the same for all prompts of an image. Their projections are part
//!   of the embedding.
//! - *Absorption*: `q·(W x) = (Wᵀ q)·x`. Projecting the tokens back into the cells' width replaces three products of `T·C·h·d` by two
//!   of `T·C·h·N`, which is cheaper for `N < d`. What is constant along a softmax, such as the keys' bias, falls out.

use maskline_onnx::{AttentionOptions, Dim, Graph, Value};
use maskline_weights::Scope;

use super::names::Names;
use crate::blocks::parameter;
use crate::{Error, Result};

/// One attention layer: width of its ends, width inside, heads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
}

/// A projection: `weight` `[output, input]`, `bias` `[output]`.
#[derive(Debug)]
pub(super) struct Projection {
    pub(super) weight: Value,
    pub(super) bias: Value,
}

impl Projection {
    pub(super) fn apply(&self, g: &mut Graph<'_>, x: &Value) -> Result<Value> {
        Ok(g.linear(x, &self.weight, Some(&self.bias))?)
    }
}

/// The weights of an attention layer.
#[derive(Debug)]
pub(super) struct Attention {
    sizes: Sizes,
    pub(super) query: Projection,
    pub(super) key: Projection,
    pub(super) value: Projection,
    pub(super) out: Projection,
}

/// The cells of the image as they are, and with their position encoding added: [P, T, C].
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) plain: &'a Value,
    pub(super) positioned: &'a Value,
}

impl Attention {
    pub(super) fn read<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, names: &Names, sizes: Sizes) -> Result<Self> {
        let Sizes { width, inner, .. } = sizes;
        let mut projection = |name: &str, [input, output]: [usize; 2]| {
            let scope = scope.push(name);
            let weight = parameter(g, &scope, "weight", &[output, input])?;
            Ok::<_, Error>(Projection { weight, bias: parameter(g, &scope, "bias", &[output])? })
        };
        Ok(Self {
            sizes,
            query: projection("q_proj", [width, inner])?,
            key: projection("k_proj", [width, inner])?,
            value: projection("v_proj", [width, inner])?,
            out: projection(names.out, [inner, width])?,
        })
    }

    /// The layer as it is written: `q` [P, N, C], `k` and `v` [P, M, C] → [P, N, C].
    pub(super) fn plain(&self, g: &mut Graph<'_>, [q, k, v]: [&Value; 3]) -> Result<Value> {
        let (q, k, v) = (self.query.apply(g, q)?, self.key.apply(g, k)?, self.value.apply(g, v)?);
        let context = g.attention([&q, &k, &v], &AttentionOptions { heads: self.sizes.heads, scale: None })?;
        self.out.apply(g, &context)
    }

    /// Keys and values of cells that all prompts share, with heads apart so that no run has to move them: cells [B, T, C] with and
    /// without their position encoding → [B, heads, inner / heads, T] and [B, heads, T, inner / heads].
    pub(super) fn shared_keys_and_values(&self, g: &mut Graph<'_>, cells: Cells<'_>) -> Result<[Value; 2]> {
        let keys = self.key.apply(g, cells.positioned)?;
        let values = self.value.apply(g, cells.plain)?;
        let keys = self.heads_first(g, &keys)?;
        Ok([g.transpose(&keys, &[0, 1, 3, 2])?, self.heads_first(g, &values)?])
    }

    /// Tokens [P, N, C] look at cells that all prompts share: `keys` and `values` of one picture from
    /// [`Attention::shared_keys_and_values`].
    pub(super) fn over_shared_cells(&self, g: &mut Graph<'_>, tokens: &Value, [keys, values]: [&Value; 2]) -> Result<Value> {
        let Sizes { inner, heads, .. } = self.sizes;
        let rows = g.merge_leading(tokens, "prompts*tokens")?;
        let queries = self.query.apply(g, &rows)?;
        let scale = g.scalar(1.0 / ((inner / heads) as f32).sqrt());
        let queries = g.mul(&queries, &scale)?;
        let queries = g.unsqueeze(&queries, 0)?;
        let queries = self.heads_first(g, &queries)?;
        let scores = g.matmul(&queries, keys)?;
        let weights = g.softmax(&scores, -1)?;
        let context = g.matmul(&weights, values)?;
        let context = g.transpose(&context, &[0, 2, 1, 3])?;
        let context = g.reshape(&context, vec![rows.shape()[0].clone(), inner.into()])?;
        let out = self.out.apply(g, &context)?;
        g.split_leading(&out, tokens).map_err(Error::from)
    }

    /// Tokens [P, N, C] look at cells of their own prompt.
    pub(super) fn over_cells(&self, g: &mut Graph<'_>, tokens: &Value, cells: Cells<'_>) -> Result<Value> {
        let Sizes { width, inner, heads } = self.sizes;
        let (prompts, count) = (tokens.shape()[0].clone(), tokens.shape()[1].clone());
        let queries = self.query.apply(g, tokens)?;
        let scale = g.scalar(1.0 / ((inner / heads) as f32).sqrt());
        let queries = g.mul(&queries, &scale)?;
        let absorbed = self.absorb(g, &queries, &self.key)?;
        let scores = g.matmul_transposed(&absorbed, cells.positioned)?;
        let weights = g.softmax(&scores, -1)?;
        let seen = g.matmul(&weights, cells.plain)?;

        // Only now the values' projection, on N rows per head instead of T.
        let seen = g.reshape(&seen, vec![prompts.clone(), heads.into(), count.clone(), width.into()])?;
        let weight = g.reshape(&self.value.weight, [heads, inner / heads, width])?;
        let weight = g.transpose(&weight, &[0, 2, 1])?;
        let context = g.matmul(&seen, &weight)?;
        let context = g.transpose(&context, &[0, 2, 1, 3])?;
        let context = g.reshape(&context, vec![prompts, count, inner.into()])?;
        let context = g.add(&context, &self.value.bias)?;
        self.out.apply(g, &context)
    }

    /// Shared cells look at each prompt's tokens: `queries` [1, T, inner] projected already → [P, T, C].
    pub(super) fn update_of_shared_cells(&self, g: &mut Graph<'_>, queries: &Value, [keys, values]: [&Value; 2]) -> Result<Value> {
        let Sizes { inner, heads, .. } = self.sizes;
        let (prompts, count) = (keys.shape()[0].clone(), keys.shape()[1].clone());
        let keys = self.scaled_keys(g, keys)?;
        // One product for all heads: the keys of head i stand in the rows of head i and columns of head i, zeros elsewhere.
        let keys = g.transpose(&keys, &[0, 2, 1])?;
        let keys = g.unsqueeze(&keys, 2)?;
        let own_head: Vec<f32> = (0..inner * heads).map(|i| f32::from(u8::from(i / heads / (inner / heads) == i % heads))).collect();
        let own_head = crate::blocks::computed(g, &[inner, heads, 1], own_head)?;
        let blocks = g.mul(&keys, &own_head)?;
        let blocks = g.reshape(&blocks, vec![prompts, inner.into(), count.times(heads as i64)])?;
        let scores = g.matmul(queries, &blocks)?;
        self.weigh_values(g, &scores, values, &count)
    }

    /// Cells look at their own prompt's tokens: → [P, T, C].
    pub(super) fn update_of_cells(&self, g: &mut Graph<'_>, cells: &Value, [keys, values]: [&Value; 2]) -> Result<Value> {
        let Sizes { inner, heads, .. } = self.sizes;
        let (prompts, count) = (keys.shape()[0].clone(), keys.shape()[1].clone());
        let keys = self.scaled_keys(g, keys)?;
        let absorbed = self.absorb(g, &keys, &self.query)?;
        let scores = g.matmul_transposed(cells, &absorbed)?;
        // The queries' bias times each key: constant along the cells, but not along the tokens.
        let split = self.heads_first(g, &keys)?;
        let bias = g.reshape(&self.query.bias, [heads, inner / heads, 1])?;
        let shift = g.matmul(&split, &bias)?;
        let shift = g.reshape(&shift, vec![prompts, 1.into(), count.times(heads as i64)])?;
        let scores = g.add(&scores, &shift)?;
        self.weigh_values(g, &scores, values, &count)
    }

    fn scaled_keys(&self, g: &mut Graph<'_>, keys: &Value) -> Result<Value> {
        let scale = g.scalar(1.0 / ((self.sizes.inner / self.sizes.heads) as f32).sqrt());
        let keys = self.key.apply(g, keys)?;
        Ok(g.mul(&keys, &scale)?)
    }

    /// Softmax of scores [P, T, heads·N] over the tokens of each head, then the tokens' values through the output projection, which
    /// is applied to N rows per head instead of T.
    fn weigh_values(&self, g: &mut Graph<'_>, scores: &Value, tokens: &Value, count: &Dim) -> Result<Value> {
        let Sizes { width, inner, heads } = self.sizes;
        let (prompts, cells) = (scores.shape()[0].clone(), scores.shape()[1].clone());
        let split = g.reshape(scores, vec![prompts.clone(), cells.clone(), heads.into(), count.clone()])?;
        let weights = g.softmax(&split, -1)?;
        let weights = g.reshape(&weights, vec![prompts.clone(), cells, count.times(heads as i64)])?;
        let values = self.value.apply(g, tokens)?;
        let values = self.heads_first(g, &values)?;
        let out = g.transpose(&self.out.weight, &[1, 0])?;
        let out = g.reshape(&out, [heads, inner / heads, width])?;
        let values = g.matmul(&values, &out)?;
        // The weights of each head add up to 1, so an equal share of the output's bias in every value is the bias itself.
        let heads_share = g.scalar(heads as f32);
        let share = g.div(&self.out.bias, &heads_share)?;
        let values = g.add(&values, &share)?;
        let values = g.reshape(&values, vec![prompts, count.times(heads as i64), width.into()])?;
        Ok(g.matmul(&weights, &values)?)
    }

    /// Projected tokens [P, N, inner] back through a projection of the cells: [P, heads·N, C].
    fn absorb(&self, g: &mut Graph<'_>, tokens: &Value, projection: &Projection) -> Result<Value> {
        let Sizes { width, inner, heads } = self.sizes;
        let (prompts, count) = (tokens.shape()[0].clone(), tokens.shape()[1].clone());
        let split = self.heads_first(g, tokens)?;
        let weight = g.reshape(&projection.weight, [heads, inner / heads, width])?;
        let absorbed = g.matmul(&split, &weight)?;
        Ok(g.reshape(&absorbed, vec![prompts, count.times(heads as i64), width.into()])?)
    }

    /// [P, N, inner] → [P, heads, N, inner / heads].
    fn heads_first(&self, g: &mut Graph<'_>, x: &Value) -> Result<Value> {
        let Sizes { inner, heads, .. } = self.sizes;
        let split = vec![x.shape()[0].clone(), x.shape()[1].clone(), heads.into(), (inner / heads).into()];
        let split = g.reshape(x, split)?;
        Ok(g.transpose(&split, &[0, 2, 1, 3])?)
    }
}
