//! The trunk: Hiera (Ryali et al. 2023), a transformer in four stages with attention in windows.
//!
//! Maps are [B, rows, columns, width] throughout. Between stages, the queries of the first block are pooled: its windows then hold a
//! quarter of the cells.

use maskline_onnx::{AttentionInPlace, AttentionOptions, ConvOptions, Graph, Heads, Interpolation, LayerActivation, Value, Windows};
use maskline_weights::{Init, Scope};

use super::config::Config;
use crate::blocks::{
    Around, Joint, Mlp, Norm, Normed, batched, cells, constant, dense, join, layer_norm, map_sizes, mlp, parameter, partition,
};
use crate::{Error, Result};

/// The trunk of a checkpoint.
#[derive(Debug)]
pub(super) struct Hiera<'a, 'w> {
    pub(super) scope: Scope<'w>,
    pub(super) config: &'a Config,
}

/// One block.
#[derive(Debug, Clone, Copy)]
struct Block {
    input: usize,
    output: usize,
    heads: usize,
    /// 0 for the whole picture.
    window: usize,
}

impl<'w> Hiera<'_, 'w> {
    /// The last map of every stage, and the embedded patches: picture [B, 3, S, S].
    pub(super) fn stages(&self, g: &mut Graph<'w>, picture: &Value) -> Result<(Vec<Value>, Value)> {
        let patches = self.patches(g, picture)?;
        let mut x = patches.clone();
        let mut maps = Vec::new();
        let mut index = 0;
        for (number, stage) in self.config.stages.iter().enumerate() {
            for i in 0..stage.blocks {
                // The first block of a stage still has the windows of the stage before, whose cells it pools.
                let before = &self.config.stages[if i == 0 { number.saturating_sub(1) } else { number }];
                let is_global = self.config.global_blocks.contains(&index);
                let window = if is_global { 0 } else { before.window };
                let block = Block { input: before.width, output: stage.width, heads: stage.heads, window };
                x = self.block(g, &self.scope.push("blocks").push(index), &x, block)?;
                index += 1;
            }
            maps.push(x.clone());
        }
        Ok((maps, patches))
    }

    fn patches(&self, g: &mut Graph<'w>, picture: &Value) -> Result<Value> {
        let width = self.config.stages[0].width;
        let scope = self.scope.push(self.config.trunk_names.patches);
        let weight = parameter(g, &scope, "weight", &[width, 3, 7, 7])?;
        let bias = parameter(g, &scope, "bias", &[width])?;
        let options = ConvOptions { stride: [4; 2], padding: [3; 4], ..ConvOptions::default() };
        let x = g.scoped(scope.name(), |g| g.conv(picture, &weight, Some(&bias), &options))?;
        let x = g.transpose(&x, &[0, 2, 3, 1])?;
        let positions = self.positions(g)?;
        Ok(g.add(&x, &positions)?)
    }

    /// A small embedding stretched over the picture plus one that repeats with every window: constants, [1, S/4, S/4, width].
    fn positions(&self, g: &mut Graph<'w>) -> Result<Value> {
        let (width, side) = (self.config.stages[0].width, self.config.image_size / 4);
        let [stretched, repeated] = self.config.position_sides;
        let mut read = |name: &str, side: usize| {
            let init = Init::Normal { mean: 0.0, std: 0.5 };
            let tensor = self.scope.f32_init(name, &[1, width, side, side], init)?;
            constant(g, &self.scope, name, tensor)
        };
        let (whole, tile) = (read("pos_embed", stretched)?, read("pos_embed_window", repeated)?);
        g.scoped(self.scope.name(), |g| {
            let whole = g.resize(&whole, [side, side], Interpolation::Cubic)?;
            let indices: Vec<i64> = (0..side).map(|i| (i % repeated) as i64).collect();
            let indices = g.i64s(&indices);
            let tile = g.gather(&tile, &indices, 2)?;
            let tile = g.gather(&tile, &indices, 3)?;
            let sum = g.add(&whole, &tile)?;
            Ok::<_, Error>(g.transpose(&sum, &[0, 2, 3, 1])?)
        })
    }

    fn block(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, block: Block) -> Result<Value> {
        let names = self.config.trunk_names;
        let norm = |i: usize| scope.push(format!("{}{i}", names.norm));
        if g.has_own_layers() {
            return self.block_in_place(g, scope, x, block);
        }
        let normed = layer_norm(g, &norm(1), x, Norm::of(block.input, self.config.epsilon))?;
        let shortcut = if block.input == block.output {
            x.clone()
        } else {
            let projected = dense(g, &scope.push("proj"), &normed, [block.input, block.output])?;
            halve(g, &projected)?
        };
        let seen = attention(g, &scope.push("attn"), &normed, block)?;
        let x = g.add(&shortcut, &seen)?;
        let hidden = self.config.mlp_ratio * block.output;
        let y = layer_norm(g, &norm(2), &x, Norm::of(block.output, self.config.epsilon))?;
        let y = mlp(g, [&scope.push(names.mlp[0]), &scope.push(names.mlp[1])], &y, [block.output, hidden])?;
        Ok(g.add(&x, &y)?)
    }
}

impl<'w> Hiera<'_, 'w> {
    /// A block of our own layers: what comes before and after each product goes with it, and windows are looked at where they lie.
    fn block_in_place(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, block: Block) -> Result<Value> {
        let Block { input, output, heads, window } = block;
        let names = self.config.trunk_names;
        let [first, second] = [1, 2].map(|i| scope.push(format!("{}{i}", names.norm)));
        let normed = |scope, width| Normed { scope, norm: Norm::of(width, self.config.epsilon) };
        let before = Around { norm: Some(normed(&first, input)), ..Around::default() };
        let attention = scope.push("attn");
        let joint = before.layer(g, &attention.push("qkv"), x, [input, 3 * output])?;
        let (shortcut, pooled) = if input == output {
            (x.clone(), None)
        } else {
            let projected = before.layer(g, &scope.push("proj"), x, [input, output])?;
            let queries = g.slice(&joint, 3, 0..output as i64)?;
            (halve(g, &projected)?, Some(halve(g, &queries)?))
        };
        // Cells that fill the last windows up are zeros before the projection.
        let padding = parameter(g, &attention.push("qkv"), "bias", &[3 * output])?;
        let at = |offset| Heads { rows: &joint, offset };
        let seen = g.scoped(attention.name(), |g| {
            let queries = pooled.as_ref().map_or(at(0), |rows| Heads { rows, offset: 0 });
            let windows = (window > 0).then_some(Windows { side: window, padding: &padding });
            let (keys, values, head_width) = (at(output), at(2 * output), output / heads);
            g.attention_in_place(AttentionInPlace {
                queries,
                keys,
                values,
                windows,
                ..AttentionInPlace::of([&joint; 3], [heads, head_width])
            })
        })?;
        let after = Around { residual: Some(&shortcut), ..Around::default() };
        let x = after.layer(g, &attention.push("proj"), &seen, [output; 2])?;
        let hidden = self.config.mlp_ratio * output;
        let layers = names.mlp.map(|name| scope.push(name));
        Mlp { norm: normed(&second, output), layers: layers.each_ref(), activation: LayerActivation::Gelu }.build(g, &x, hidden)
    }
}

/// The maximum of every 2×2 cells.
fn halve(g: &mut Graph<'_>, x: &Value) -> Result<Value> {
    let [rows, columns, width] = map_sizes(x);
    let batch = x.shape()[0].clone();
    let lines = g.reshape(x, batched(&batch, &[rows / 2, 2, columns * width]))?;
    let lines = g.reduce_max(&lines, &[2], false)?;
    let cells = g.reshape(&lines, batched(&batch, &[rows / 2, columns / 2, 2, width]))?;
    Ok(g.reduce_max(&cells, &[3], false)?)
}

/// Attention in windows (or over the whole picture); cells that fill the last windows up are zeros before the projection and take
/// part in it.
fn attention<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, block: Block) -> Result<Value> {
    let Block { output, window, heads, .. } = block;
    let [rows, columns, _] = map_sizes(x);
    let pools = block.input != output;
    let batch = x.shape()[0].clone();
    let side = if window == 0 { [rows, columns] } else { [window, window] };
    let windowed = partition(g, x, side)?;
    let count = windowed.shape()[0].clone();
    let [mut q, k, v] = Joint::ByKind.projections(g, &scope.push("qkv"), &windowed, [block.input, output])?;
    let mut inside = side;
    if pools {
        q = halve(g, &q)?;
        inside = side.map(|n| n / 2);
    }
    let (q, k, v) = (cells(g, &q)?, cells(g, &k)?, cells(g, &v)?);
    let seen = g.scoped(scope.name(), |g| g.attention([&q, &k, &v], &AttentionOptions { heads, scale: None }))?;
    let seen = g.reshape(&seen, batched(&count, &[inside[0], inside[1], output]))?;
    let target = if pools { [rows / 2, columns / 2] } else { [rows, columns] };
    let joined = join(g, &seen, &batch, target)?;
    dense(g, &scope.push("proj"), &joined, [output, output])
}
