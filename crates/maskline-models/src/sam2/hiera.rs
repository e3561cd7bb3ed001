//! The trunk: Hiera (Ryali et al. 2023), a transformer in four stages with attention in windows.
//!
//! Maps are [B, rows, columns, width] throughout. Between stages, the queries of the first block are pooled: its windows then hold a
//! quarter of the cells.

use maskline_onnx::{AttentionOptions, ConvOptions, Dim, Graph, Interpolation, PadMode, Value};
use maskline_weights::{Init, Scope};

use super::config::Config;
use crate::blocks::{constant, layer_norm, linear, linear_gelu, parameter};
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
                x = self.block(g, &self.scope.push("blocks").push(index), (&x, block))?;
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
            constant(g, (&self.scope, name), tensor)
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

    fn block(&self, g: &mut Graph<'w>, scope: &Scope<'w>, (x, block): (&Value, Block)) -> Result<Value> {
        let names = self.config.trunk_names;
        let norm = |i: usize| scope.push(format!("{}{i}", names.norm));
        let normed = layer_norm(g, &norm(1), x, (block.input, self.config.epsilon))?;
        let shortcut = if block.input == block.output {
            x.clone()
        } else {
            let projected = dense(g, &scope.push("proj"), &normed, [block.input, block.output])?;
            halve(g, &projected)?
        };
        let seen = attention(g, &scope.push("attn"), (&normed, block))?;
        let x = g.add(&shortcut, &seen)?;
        let hidden = self.config.mlp_ratio * block.output;
        let y = layer_norm(g, &norm(2), &x, (block.output, self.config.epsilon))?;
        let [rows, columns, width] = sizes(&y);
        let y = g.reshape(&y, vec![y.shape()[0].times((rows * columns) as i64), width.into()])?;
        let y = linear_gelu(g, &scope.push(names.mlp[0]), &y, [block.output, hidden])?;
        let y = linear(g, &scope.push(names.mlp[1]), &y, [hidden, block.output])?;
        let y = g.reshape(&y, x.shape().clone())?;
        Ok(g.add(&x, &y)?)
    }
}

/// Rows, columns and channels of a map; its batch stays open.
fn sizes(x: &Value) -> [usize; 3] {
    [1, 2, 3].map(|axis| x.shape()[axis].known().unwrap_or(0))
}

fn shaped(batch: &Dim, rest: &[usize]) -> Vec<Dim> {
    std::iter::once(batch.clone()).chain(rest.iter().copied().map(Dim::fixed)).collect()
}

/// A fully connected layer on every cell, as one matrix product.
fn dense<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let [rows, columns, _] = sizes(x);
    let flat = g.reshape(x, vec![x.shape()[0].times((rows * columns) as i64), input.into()])?;
    let flat = linear(g, scope, &flat, [input, output])?;
    Ok(g.reshape(&flat, shaped(&x.shape()[0], &[rows, columns, output]))?)
}

/// The maximum of every 2×2 cells.
fn halve(g: &mut Graph<'_>, x: &Value) -> Result<Value> {
    let [rows, columns, width] = sizes(x);
    let batch = x.shape()[0].clone();
    let lines = g.reshape(x, shaped(&batch, &[rows / 2, 2, columns * width]))?;
    let lines = g.reduce_max(&lines, &[2], false)?;
    let cells = g.reshape(&lines, shaped(&batch, &[rows / 2, columns / 2, 2, width]))?;
    Ok(g.reduce_max(&cells, &[3], false)?)
}

/// Attention in windows (or over the whole picture); cells that fill the last windows up are zeros before the projection and take
/// part in it.
fn attention<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, (x, block): (&Value, Block)) -> Result<Value> {
    let Block { output, window, heads, .. } = block;
    let [rows, columns, _] = sizes(x);
    let pools = block.input != output;
    let batch = x.shape()[0].clone();
    let side = if window == 0 { [rows, columns] } else { [window, window] };
    let windowed = partition(g, x, side)?;
    let count = windowed.shape()[0].clone();
    let [mut q, k, v] = projections(g, scope, (&windowed, [block.input, output]))?;
    let mut inside = side;
    if pools {
        q = halve(g, &q)?;
        inside = side.map(|n| n / 2);
    }
    let flat = |g: &mut Graph<'w>, x: &Value| {
        let [rows, columns, width] = sizes(x);
        g.reshape(x, shaped(&count, &[rows * columns, width]))
    };
    let (q, k, v) = (flat(g, &q)?, flat(g, &k)?, flat(g, &v)?);
    let seen = g.scoped(scope.name(), |g| g.attention([&q, &k, &v], &AttentionOptions { heads, scale: None }))?;
    let seen = g.reshape(&seen, shaped(&count, &[inside[0], inside[1], output]))?;
    let target = if pools { [rows / 2, columns / 2] } else { [rows, columns] };
    let joined = join(g, &seen, (&batch, target))?;
    dense(g, &scope.push("proj"), &joined, [output, output])
}

/// Queries, keys and values, each by its own product: cutting them out of one would copy them all.
fn projections<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, (x, [input, output]): (&Value, [usize; 2])) -> Result<[Value; 3]> {
    let qkv = scope.push("qkv");
    let weight = qkv.f32("weight", &[3 * output, input])?;
    let bias = qkv.f32("bias", &[3 * output])?;
    let [rows, columns, _] = sizes(x);
    let batch = x.shape()[0].clone();
    let flat = g.reshape(x, vec![batch.times((rows * columns) as i64), input.into()])?;
    let mut parts = Vec::with_capacity(3);
    for part in 0..3 {
        let rows_of = |data: &[f32], width: usize| data[part * output * width..(part + 1) * output * width].to_vec();
        let weight = maskline_weights::Tensor { shape: vec![output, input], data: rows_of(&weight.data, input).into(), span: None };
        let bias = maskline_weights::Tensor { shape: vec![output], data: rows_of(&bias.data, 1).into(), span: None };
        let (weight, bias) = (constant(g, (&qkv, "weight"), weight)?, constant(g, (&qkv, "bias"), bias)?);
        let projected = g.scoped(qkv.name(), |g| g.linear(&flat, &weight, Some(&bias)))?;
        parts.push(g.reshape(&projected, shaped(&batch, &[rows, columns, output]))?);
    }
    <[Value; 3]>::try_from(parts).map_err(|_| Error::new(crate::ErrorKind::Graph, "queries, keys and values are three"))
}

/// [B, H, W, C] → [B·windows, side, side, C], zeros added at the right and at the bottom.
fn partition(g: &mut Graph<'_>, x: &Value, [height, width]: [usize; 2]) -> Result<Value> {
    let [rows, columns, channels] = sizes(x);
    let batch = x.shape()[0].clone();
    let (down, across) = (rows.div_ceil(height), columns.div_ceil(width));
    let padding = [(0, 0), (0, down * height - rows), (0, across * width - columns), (0, 0)];
    let x = g.pad(x, &padding, PadMode::Constant(0.0))?;
    if (down, across) == (1, 1) {
        return Ok(x);
    }
    let x = g.reshape(&x, shaped(&batch, &[down, height, across, width, channels]))?;
    let x = g.transpose(&x, &[0, 1, 3, 2, 4, 5])?;
    Ok(g.reshape(&x, shaped(&batch.times((down * across) as i64), &[height, width, channels]))?)
}

/// Undoes [`partition`]: [B·windows, side, side, C] → [B, H, W, C].
fn join(g: &mut Graph<'_>, x: &Value, (batch, [rows, columns]): (&Dim, [usize; 2])) -> Result<Value> {
    let [height, width, channels] = sizes(x);
    let (down, across) = (rows.div_ceil(height), columns.div_ceil(width));
    let x = if (down, across) == (1, 1) {
        x.clone()
    } else {
        let x = g.reshape(x, shaped(batch, &[down, across, height, width, channels]))?;
        let x = g.transpose(&x, &[0, 1, 3, 2, 4, 5])?;
        g.reshape(&x, shaped(batch, &[down * height, across * width, channels]))?
    };
    let x = g.slice(&x, 1, 0..rows as i64)?;
    Ok(g.slice(&x, 2, 0..columns as i64)?)
}
