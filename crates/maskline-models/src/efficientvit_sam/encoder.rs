//! The image encoder: backbone, neck, the image side of the decoder. Maps have their channels first up to the last norm.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::Scope;

use super::block::{Step, activated, plain};
use super::config::{Config, EPSILON};
use crate::blocks::{ConvSpec, Norm, cells, computed, convolution, layer_norm};
use crate::sam::{Decoder, first};
use crate::{BuildOptions, Error, Result};

/// The picture f32 [batch, 3, S, S], normalised → the embedding, see [`crate::embedding`].
pub(super) fn graph<'w>(decoder: &Decoder<'_, 'w>, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let (checkpoint, taps) = (decoder.checkpoint(), options.taps);
    let mut graph = Graph::new(&config.architecture, options.dialect);
    let g = &mut graph;
    let size = config.image_size;
    let picture = g.input(first::INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), size.into(), size.into()])?;
    let scope = checkpoint.root().push("image_encoder");
    let maps = backbone(g, &scope.push("backbone.stages"), &picture, config)?;
    let x = neck(g, &scope.push("neck"), &maps, config)?;
    if taps {
        for (i, map) in maps.iter().enumerate() {
            g.output(&format!("stage{i}"), map)?;
        }
        g.output("stage_neck", &x)?;
    }
    let x = g.transpose(&x, &[0, 2, 3, 1])?;
    let embedding = layer_norm(g, &scope.push("norm"), &x, Norm::of(config.decoder.width, EPSILON))?;
    if taps {
        first::tap(g, "embedding", &embedding)?;
        decoder.positions_tap(g, "positions")?;
    }
    let cells = cells(g, &embedding)?;
    decoder.image_side(g, &cells, None)?;
    Ok(graph)
}

/// The last map of every stage.
fn backbone<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, picture: &Value, config: &Config) -> Result<Vec<Value>> {
    let stem = ConvSpec { kernel: config.stem_kernel, stride: 2, ..ConvSpec::point(3, config.stages[0].width) };
    let mut x = activated(g, &scope.push("0.op_list.0"), picture, stem)?;
    let mut maps: Vec<Value> = Vec::with_capacity(config.stages.len());
    for (i, stage) in config.stages.iter().enumerate() {
        let list = scope.push(i).push("op_list");
        for (index, block) in stage.blocks.iter().enumerate() {
            if i > 0 && index == 0 {
                let step = Step { input: config.stages[i - 1].width, output: stage.width, stride: 2 };
                x = block.convolutions(g, &list.push("0.main"), &x, step)?;
            } else {
                // The stem is the first entry of the first stage's list.
                let entry = if i == 0 { index + 1 } else { index };
                x = block.residual(g, &list.push(entry), &x, stage.width)?;
            }
        }
        maps.push(x.clone());
    }
    Ok(maps)
}

/// The fed maps brought to one width and to the embedding's side, added, and refined: [B, C, grid, grid].
fn neck<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, maps: &[Value], config: &Config) -> Result<Value> {
    let (width, grid) = (config.neck_width, config.decoder.grid);
    let mut sum: Option<Value> = None;
    for (i, stage) in config.fed.iter().enumerate() {
        let input = scope.push("input_ops").push(i).push("op_list.0");
        let x = plain(g, &input, &maps[*stage], ConvSpec::point(config.stages[*stage].width, width))?;
        let x = g.scoped(input.name(), |g| resize(g, &x, grid))?;
        sum = Some(match sum {
            Some(sum) => g.add(&sum, &x)?,
            None => x,
        });
    }
    let mut x = sum.ok_or_else(|| Error::new(crate::ErrorKind::Checkpoint, "no stage feeds the neck"))?;
    for (i, block) in config.neck.iter().enumerate() {
        x = block.residual(g, &scope.push("middle.op_list").push(i), &x, width)?;
    }
    convolution(g, &scope.push("output_ops.0.op_list.0.conv"), &x, ConvSpec::point(width, config.decoder.width))
}

/// Bicubic interpolation of a square map [B, C, side, side] → [B, C, grid, grid], as two matrix products: the general operator is
/// slow.
fn resize(g: &mut Graph<'_>, x: &Value, grid: usize) -> Result<Value> {
    let side = x.shape()[3].known().unwrap_or(0);
    if side == grid {
        return Ok(x.clone());
    }
    let weights = cubic_weights(side, grid);
    let down = computed(g, &[grid, side], weights)?;
    let across = g.transpose(&down, &[1, 0])?;
    let x = g.matmul(x, &across)?;
    Ok(g.matmul(&down, &x)?)
}

/// The weights of `side` values in each of `grid` interpolated ones, row by row: Keys' cubic (1981) with a = -0.75 on half-pixel
/// centres, the border repeated (PyTorch's `bicubic`).
fn cubic_weights(side: usize, grid: usize) -> Vec<f32> {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    let mut weights = vec![0.0_f64; grid * side];
    for (i, row) in weights.chunks_exact_mut(side.max(1)).enumerate() {
        let place = (i as f64 + 0.5) * side as f64 / grid as f64 - 0.5;
        let (before, part) = (place.floor(), place - place.floor());
        for (offset, weight) in [(-1.0, far(1.0 + part)), (0.0, near(part)), (1.0, near(1.0 - part)), (2.0, far(2.0 - part))] {
            let at = (before + offset).clamp(0.0, side as f64 - 1.0) as usize;
            row[at] += weight;
        }
    }
    weights.into_iter().map(|weight| weight as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::cubic_weights;

    #[test]
    fn cubic_weights_keep_constants_and_the_size() {
        for (side, grid) in [(2, 8), (3, 12), (16, 64), (8, 3)] {
            for row in cubic_weights(side, grid).chunks_exact(side) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{side} to {grid}: {row:?}");
            }
        }
        let same = cubic_weights(4, 4);
        assert!((0..16).all(|i| same[i] == if i / 4 == i % 4 { 1.0 } else { 0.0 }), "{same:?}");
    }
}
