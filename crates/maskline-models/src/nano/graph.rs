//! The forward pass.

use maskline_onnx::{AttentionOptions, DType, Dialect, Dim, Graph, Interpolation, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::Config;
use crate::blocks::{Activation, BatchNormed, ConvSpec, Norm, batched, convolution, convolution_batch_norm, layer_norm, linear, parameter};
use crate::{LookHead, PLANES, Result};

/// Epsilon of the layer norms.
const EPSILON: f32 = 1e-5;
const NAMES: BatchNormed = BatchNormed { conv: "0", norm: "1", epsilon: 1e-5 };

/// `planes` f32 `[P, 11, n, n]` → `logits` f32 `[P, n/2, n/2]` and `scores` f32 `[P]`, the predicted IoU.
pub(super) fn graph<'w>(checkpoint: &'w Checkpoint, config: &Config, head: &LookHead, dialect: Dialect) -> Result<Graph<'w>> {
    let mut graph = Graph::new(super::config::ARCHITECTURE, dialect);
    let g = &mut graph;
    let root = checkpoint.root();
    let &Config { fine: f, middle: m, coarse: c, .. } = config;
    let planes = g.input(LookHead::PLANES, DType::F32, [Dim::symbol("prompts"), PLANES.into(), head.input.into(), head.input.into()])?;
    let fine = block(g, &root.push("stem"), &planes, three(PLANES, f, 2))?;
    let fine = block(g, &root.push("fine"), &fine, three(f, f, 1))?;
    let middle = block(g, &root.push("down1"), &fine, three(f, m, 2))?;
    let middle = residual(g, &root.push("encode"), &middle, m)?;
    let coarse = block(g, &root.push("down2"), &middle, three(m, c, 2))?;
    let tokens = transformer(g, &root, &coarse, config)?;
    let scores = predicted_iou(g, &root.push("iou"), &tokens, c)?;
    let coarse = map(g, &tokens, coarse.shape())?;
    let up = convolution_batch_norm(g, &root.push("up1"), &coarse, NAMES.of(ConvSpec::point(c, m)))?;
    let up = g.upsample(&up, 2, Interpolation::Nearest)?;
    let sum = g.add(&up, &middle)?;
    let middle = g.relu(&sum)?;
    let middle = residual(g, &root.push("decode"), &middle, m)?;
    let up = block(g, &root.push("up2"), &middle, ConvSpec::point(m, f))?;
    let up = g.upsample(&up, 2, Interpolation::Nearest)?;
    let both = g.concat(&[&up, &fine], 1)?;
    let merged = block(g, &root.push("merge"), &both, three(2 * f, f, 1))?;
    let logits = convolution(g, &root.push("mask"), &merged, three(f, 1, 1))?;
    let logits = g.squeeze(&logits, 1)?;
    g.output(LookHead::LOGITS, &logits)?;
    g.output(LookHead::SCORES, &scores)?;
    Ok(graph)
}

fn three(input: usize, output: usize, stride: usize) -> ConvSpec {
    ConvSpec { kernel: 3, stride, ..ConvSpec::point(input, output) }
}

/// Convolution, batch normalisation, ReLU.
fn block<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    convolution_batch_norm(g, scope, x, NAMES.of(spec).then(Activation::Relu))
}

/// Two 3×3 convolutions beside a path that changes nothing (He et al. 2016).
fn residual<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, width: usize) -> Result<Value> {
    let y = block(g, &scope.push("first"), x, three(width, width, 1))?;
    let y = convolution_batch_norm(g, &scope.push("second"), &y, NAMES.of(three(width, width, 1)))?;
    let sum = g.add(x, &y)?;
    Ok(g.relu(&sum)?)
}

/// Residual and attention blocks in turn; the map [P, C, s, s] → normalised tokens [P, s², C].
fn transformer<'w>(g: &mut Graph<'w>, root: &Scope<'w>, x: &Value, config: &Config) -> Result<Value> {
    // The input's side is known, so this one is.
    let side = x.shape()[2].known().unwrap_or(0);
    let mut coarse = x.clone();
    let mut tokens = x.clone();
    for index in 0..config.depth {
        coarse = residual(g, &root.push("residuals").push(index), &coarse, config.coarse)?;
        tokens = cells(g, &coarse, [side * side, config.coarse])?;
        if index == 0 {
            let position = parameter(g, root, "position", &[1, side * side, config.coarse])?;
            tokens = g.add(&tokens, &position)?;
        }
        tokens = attention(g, &root.push("attentions").push(index), &tokens, config)?;
        if index + 1 < config.depth {
            coarse = map(g, &tokens, x.shape())?;
        }
    }
    layer_norm(g, &root.push("norm"), &tokens, Norm::of(config.coarse, EPSILON))
}

/// A transformer block with its norms first (Xiong et al. 2020), ReLU in between its layers.
fn attention<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, tokens: &Value, config: &Config) -> Result<Value> {
    let width = config.coarse;
    let x = layer_norm(g, &scope.push("norm1"), tokens, Norm::of(width, EPSILON))?;
    let qkv = linear(g, &scope.push("qkv"), &x, [width, 3 * width])?;
    let parts = g.split(&qkv, -1, &[width; 3])?;
    let options = AttentionOptions { heads: config.heads, scale: None };
    let mixed = g.scoped(scope.name(), |g| g.attention([&parts[0], &parts[1], &parts[2]], &options))?;
    let mixed = linear(g, &scope.push("out"), &mixed, [width; 2])?;
    let tokens = g.add(tokens, &mixed)?;
    let x = layer_norm(g, &scope.push("norm2"), &tokens, Norm::of(width, EPSILON))?;
    let x = linear(g, &scope.push("expand"), &x, [width, 2 * width])?;
    let x = g.relu(&x)?;
    let x = linear(g, &scope.push("reduce"), &x, [2 * width, width])?;
    Ok(g.add(&tokens, &x)?)
}

/// The mean of all tokens to a number in 0..1 per prompt.
fn predicted_iou<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, tokens: &Value, width: usize) -> Result<Value> {
    let mean = g.reduce_mean(tokens, &[1], false)?;
    g.full_precision(|g| {
        let x = linear(g, &scope.push(0), &mean, [width; 2])?;
        let x = g.relu(&x)?;
        let x = linear(g, &scope.push(2), &x, [width, 1])?;
        let x = g.squeeze(&x, 1)?;
        Ok(g.sigmoid(&x)?)
    })
}

/// [P, C, s, s] → [P, s², C].
fn cells(g: &mut Graph<'_>, x: &Value, [cells, width]: [usize; 2]) -> Result<Value> {
    let flat = g.reshape(x, batched(&x.shape()[0], &[width, cells]))?;
    Ok(g.transpose(&flat, &[0, 2, 1])?)
}

/// [P, s², C] → [P, C, s, s], the given shape.
fn map(g: &mut Graph<'_>, tokens: &Value, shape: &maskline_onnx::Shape) -> Result<Value> {
    let flat = g.transpose(tokens, &[0, 2, 1])?;
    Ok(g.reshape(&flat, shape.clone())?)
}
