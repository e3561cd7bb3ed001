//! The image encoder: a TinyViT, a neck, the image side of the decoder.
//!
//! The first stage is convolutional and has its channels first; from there on maps are [B, rows, columns, width].

use maskline_onnx::{AttentionOptions, DType, Dim, GeluForm, Graph, Value};
use maskline_weights::Scope;

use super::config::{Config, Stage};
use crate::blocks::{
    Activation, BatchNormed, ConvSpec, Joint, Norm, cells, computed, convolution_batch_norm, dense, join, layer_norm, map_sizes, mlp,
    partition,
};
use crate::sam::{Decoder, first};
use crate::{BuildOptions, Result};

/// Epsilon of the encoder's layer norms.
const EPSILON: f32 = 1e-5;
const NAMES: BatchNormed = BatchNormed { conv: "c", norm: "bn", epsilon: 1e-5 };
const GELU: Activation = Activation::Gelu(GeluForm::Exact);

/// The picture f32 [batch, 3, S, S], normalised → the embedding, see [`crate::embedding`].
pub(super) fn graph<'w>(decoder: &Decoder<'_, 'w>, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let (checkpoint, taps) = (decoder.checkpoint(), options.taps);
    let mut graph = options.encoder(&config.architecture, false);
    let g = &mut graph;
    let size = config.image_size;
    let picture = g.input(first::INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), size.into(), size.into()])?;
    let scope = checkpoint.root().push("image_encoder");
    let mut x = patches(g, &scope.push("patch_embed.seq"), &picture, [config.stem, config.stages[0].width])?;
    for (i, stage) in config.stages.iter().enumerate() {
        let layer = scope.push("layers").push(i);
        for index in 0..stage.blocks {
            let block = layer.push("blocks").push(index);
            x = if i == 0 { convolutions(g, &block, &x, stage)? } else { tiny_vit_block(g, &block, &x, stage)? };
        }
        if let Some(next) = config.stages.get(i + 1) {
            if i > 0 {
                x = g.transpose(&x, &[0, 3, 1, 2])?;
            }
            let stride = if i + 2 == config.stages.len() { 1 } else { 2 };
            x = merge(g, &layer.push("downsample"), &x, Merge { input: stage.width, output: next.width, stride })?;
            x = g.transpose(&x, &[0, 2, 3, 1])?;
        }
        if taps {
            let list = cells(g, &x)?;
            g.output(&format!("stage{i}"), &list)?;
        }
    }
    let neck = ["0", "1", "2", "3"].map(|name| scope.push("neck").push(name));
    let embedding = first::neck(g, &neck, &x, [config.stages[3].width, config.decoder.width])?;
    if taps {
        first::tap(g, "embedding", &embedding)?;
        decoder.positions_tap(g, "positions")?;
    }
    let cells = cells(g, &embedding)?;
    decoder.image_side(g, &cells, None)?;
    Ok(graph)
}

/// Two convolutions of stride 2: [B, 3, S, S] → [B, width, S/4, S/4].
fn patches<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, picture: &Value, [stem, width]: [usize; 2]) -> Result<Value> {
    let spec = |input: usize, output: usize| ConvSpec { kernel: 3, stride: 2, ..ConvSpec::point(input, output) };
    let x = convolution_batch_norm(g, &scope.push(0), picture, NAMES.of(spec(3, stem)).then(GELU))?;
    convolution_batch_norm(g, &scope.push(2), &x, NAMES.of(spec(stem, width)))
}

/// An inverted bottleneck (Sandler et al. 2018), activated behind the sum.
fn convolutions<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, stage: &Stage) -> Result<Value> {
    let Stage { width, hidden, kernel, .. } = *stage;
    let y = convolution_batch_norm(g, &scope.push("conv1"), x, NAMES.of(ConvSpec::point(width, hidden)).then(GELU))?;
    let y = convolution_batch_norm(g, &scope.push("conv2"), &y, NAMES.of(ConvSpec::depthwise(hidden, kernel, 1)).then(GELU))?;
    let y = convolution_batch_norm(g, &scope.push("conv3"), &y, NAMES.of(ConvSpec::point(hidden, width)))?;
    let sum = g.add(x, &y)?;
    g.scoped(scope.name(), |g| GELU.apply(g, &sum))
}

/// What lies between two stages.
struct Merge {
    input: usize,
    output: usize,
    stride: usize,
}

/// Between stages: [B, input, rows, columns] → [B, output, rows / stride, columns / stride].
fn merge<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, merge: Merge) -> Result<Value> {
    let Merge { input, output, stride } = merge;
    let y = convolution_batch_norm(g, &scope.push("conv1"), x, NAMES.of(ConvSpec::point(input, output)).then(GELU))?;
    let y = convolution_batch_norm(g, &scope.push("conv2"), &y, NAMES.of(ConvSpec::depthwise(output, 3, stride)).then(GELU))?;
    convolution_batch_norm(g, &scope.push("conv3"), &y, NAMES.of(ConvSpec::point(output, output)))
}

/// Attention in windows, a depthwise convolution across their borders, an MLP.
fn tiny_vit_block<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, stage: &Stage) -> Result<Value> {
    let Stage { width, hidden, kernel, .. } = *stage;
    let seen = window_attention(g, &scope.push("attn"), x, stage)?;
    let x = g.add(x, &seen)?;
    let x = g.transpose(&x, &[0, 3, 1, 2])?;
    let spec = ConvSpec::depthwise(width, kernel, 1);
    let x = convolution_batch_norm(g, &scope.push("local_conv"), &x, NAMES.of(spec))?;
    let x = g.transpose(&x, &[0, 2, 3, 1])?;
    let layer = scope.push("mlp");
    let y = layer_norm(g, &layer.push("norm"), &x, Norm::of(width, EPSILON))?;
    let y = mlp(g, [&layer.push("fc1"), &layer.push("fc2")], &y, [width, hidden])?;
    Ok(g.add(&x, &y)?)
}

/// Cells that fill the last windows up are zeros before the norm, so that its bias stands in them; they take part in the attention.
fn window_attention<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, stage: &Stage) -> Result<Value> {
    let Stage { width, heads, window, .. } = *stage;
    let [rows, columns, _] = map_sizes(x);
    let windows = partition(g, x, [window; 2])?;
    let windows = layer_norm(g, &scope.push("norm"), &windows, Norm::of(width, EPSILON))?;
    let [q, k, v] = Joint::ByHead { heads }.projections(g, &scope.push("qkv"), &windows, [width; 2])?;
    let [q, k, v] = [cells(g, &q)?, cells(g, &k)?, cells(g, &v)?];
    let bias = distance_bias(g, scope, stage)?;
    let options = AttentionOptions { heads, scale: None };
    let seen = g.scoped(scope.name(), |g| g.attention_with_bias([&q, &k, &v], Some(&bias), &options))?;
    let seen = g.reshape(&seen, windows.shape().clone())?;
    let joined = join(g, &seen, &x.shape()[0], [rows, columns])?;
    dense(g, &scope.push("proj"), &joined, [width; 2])
}

/// What the distance between two cells of a window adds to their score: [1, heads, window², window²].
fn distance_bias<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, stage: &Stage) -> Result<Value> {
    let Stage { heads, window, .. } = *stage;
    let area = window * window;
    let biases = scope.f32("attention_biases", &[heads, area])?;
    let mut values = Vec::with_capacity(heads * area * area);
    for of_head in biases.data.chunks_exact(area) {
        for (a, b) in (0..area).flat_map(|a| (0..area).map(move |b| (a, b))) {
            let (down, across) = ((a / window).abs_diff(b / window), (a % window).abs_diff(b % window));
            values.push(of_head[down * window + across]);
        }
    }
    g.scoped(scope.name(), |g| computed(g, &[1, heads, area, area], values))
}
