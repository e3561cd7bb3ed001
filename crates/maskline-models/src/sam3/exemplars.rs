//! Examples: boxes on a picture, with what the picture shows there, as tokens of a prompt.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::{ConceptConfig, Config, StackConfig};
use super::layers::{Looking, attention, dense, mlp, norm, sines, table};
use super::names::DETECTOR;
use crate::blocks::{computed, grid_positions, linear, parameter};
use crate::info::ConceptHead;
use crate::{BuildOptions, Result};

/// Examples on a picture → [`ConceptHead::EXEMPLARS`].
pub(super) fn graph<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    concepts: &ConceptConfig,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = Graph::new(ConceptHead::EXEMPLAR_ENCODER, options.dialect);
    let g = &mut graph;
    let (grid, width, pooled, count) = (config.grid(), config.width, concepts.pooled, Dim::symbol("examples"));
    let coarse = g.input(ConceptHead::COARSE, DType::F32, [1, grid * grid, width])?;
    let boxes = g.input(ConceptHead::BOXES, DType::F32, [1.into(), count.clone(), 4.into()])?;
    let labels = g.input(ConceptHead::LABELS, DType::I64, [1.into(), count.clone()])?;
    let weights = [1.into(), count, pooled.into(), grid.into()];
    let across = g.input(ConceptHead::ACROSS, DType::F32, weights.clone())?;
    let down = g.input(ConceptHead::DOWN, DType::F32, weights)?;
    let encoder = Encoder { scope: scope(checkpoint), stack: &concepts.exemplars };
    let seen = encoder.pool(g, &coarse, Pooling { across: &across, down: &down, side: pooled })?;
    let examples = g.full_precision(|g| encoder.boxes(g, &boxes, &labels, width))?;
    let examples = g.add(&examples, &seen)?;
    let whole = table(g, &encoder.scope, "cls_embed.weight", [1, width])?;
    let tokens = g.concat(&[&examples, &whole], 1)?;
    let encoded = encoder.run(g, &tokens, &coarse)?;
    g.output(ConceptHead::EXEMPLARS, &encoded)?;
    Ok(graph)
}

/// The prompt without examples, of the cells f32 [B, g², D]: f32 [B, 1, D].
pub(super) fn blank<'w>(g: &mut Graph<'w>, checkpoint: &'w Checkpoint, coarse: &Value, concepts: &ConceptConfig) -> Result<Value> {
    let encoder = Encoder { scope: scope(checkpoint), stack: &concepts.exemplars };
    let width = coarse.shape()[2].known().unwrap_or(0);
    let whole = table(g, &encoder.scope, "cls_embed.weight", [1, width])?;
    let whole = g.repeat_leading(&whole, coarse)?;
    encoder.run(g, &whole, coarse)
}

fn scope(checkpoint: &Checkpoint) -> Scope<'_> {
    checkpoint.root().push(DETECTOR).push("geometry_encoder")
}

/// The exemplar encoder of a checkpoint.
struct Encoder<'a, 'w> {
    scope: Scope<'w>,
    stack: &'a StackConfig,
}

/// How much each cell's row and column counts in what is pooled, [1, n, side, g].
struct Pooling<'a> {
    across: &'a Value,
    down: &'a Value,
    side: usize,
}

impl<'w> Encoder<'_, 'w> {
    /// What the picture [1, g², D] shows in the boxes: [1, n, D].
    ///
    /// Pooling is bilinear, so that the weights of rows and columns tell it exactly: two matrix products.
    fn pool(&self, g: &mut Graph<'w>, coarse: &Value, pooling: Pooling<'_>) -> Result<Value> {
        let Pooling { across, down, side } = pooling;
        let width = coarse.shape()[2].known().unwrap_or(0);
        let (count, grid) = (down.shape()[1].clone(), down.shape()[3].known().unwrap_or(0));
        let cells = norm(g, &self.scope.push("vision_layer_norm"), coarse)?;
        let weight = self.scope.f32("boxes_pool_project.weight", &[width, width, side, side])?;
        // From (channel, row, column) to (row, column, channel).
        let taps = side * side;
        let of_output = |output: &[f32]| (0..taps * width).map(|at| output[at % width * taps + at / width]).collect::<Vec<f32>>();
        let weight = weight.data.chunks_exact(taps * width).flat_map(of_output).collect();
        let bias = parameter(g, &self.scope, "boxes_pool_project.bias", &[width])?;
        g.scoped(self.scope.push("boxes_pool_project").name(), |g| {
            let weight = computed(g, &[width, taps * width], weight)?;
            let rows = g.reshape(&cells, [grid, grid * width])?;
            let down = g.reshape(down, vec![count.times(side as i64), grid.into()])?;
            let by_row = g.matmul(&down, &rows)?;
            let by_row = g.reshape(&by_row, vec![count.clone(), side.into(), grid.into(), width.into()])?;
            let across = g.reshape(across, vec![count.clone(), 1.into(), side.into(), grid.into()])?;
            let pooled = g.matmul(&across, &by_row)?;
            let flat = g.reshape(&pooled, vec![count.clone(), (taps * width).into()])?;
            let projected = g.linear(&flat, &weight, Some(&bias))?;
            Ok(g.reshape(&projected, vec![1.into(), count, width.into()])?)
        })
    }

    /// Where the boxes [1, n, 4] are, and whether they are wanted: [1, n, D].
    fn boxes(&self, g: &mut Graph<'w>, boxes: &Value, labels: &Value, width: usize) -> Result<Value> {
        let kinds = parameter(g, &self.scope, "label_embed.weight", &[2, width])?;
        let kinds = g.gather(&kinds, labels, 0)?;
        let direct = linear(g, &self.scope.push("boxes_direct_project"), boxes, [4, width])?;
        let side = |g: &mut Graph<'w>, index: i64| g.slice(boxes, 2, index..index + 1);
        let (x, y, across, down) = (side(g, 0)?, side(g, 1)?, side(g, 2)?, side(g, 3)?);
        let (x, y) = (sines(g, &x, width / 2)?, sines(g, &y, width / 2)?);
        let place = g.concat(&[&y, &x, &down, &across], 2)?;
        let place = dense(g, &self.scope.push("boxes_pos_enc_project"), &place, [width / 2 * 2 + 2, width])?;
        let sum = g.add(&direct, &place)?;
        Ok(g.add(&sum, &kinds)?)
    }

    /// Tokens [B, n, D] look at each other and at the picture [B, g², D].
    fn run(&self, g: &mut Graph<'w>, tokens: &Value, coarse: &Value) -> Result<Value> {
        let width = coarse.shape()[2].known().unwrap_or(0);
        let grid = coarse.shape()[1].known().unwrap_or(0).isqrt();
        let heads = self.stack.heads;
        let projected = dense(g, &self.scope.push("final_proj"), tokens, [width; 2])?;
        let mut x = norm(g, &self.scope.push("prompt_layer_norm"), &projected)?;
        let positions = grid_positions(g, grid, width)?;
        let keys = g.add(coarse, &positions)?;
        for index in 0..self.stack.layers {
            let layer = self.scope.push("layers").push(index);
            let y = norm(g, &layer.push("layer_norm1"), &x)?;
            let y = attention(g, &layer.push("self_attn"), Looking { from: &y, keys: &y, values: &y, bias: None }, heads)?;
            x = g.add(&x, &y)?;
            let y = norm(g, &layer.push("layer_norm2"), &x)?;
            let y = attention(g, &layer.push("cross_attn"), Looking { from: &y, keys: &keys, values: coarse, bias: None }, heads)?;
            x = g.add(&x, &y)?;
            let y = norm(g, &layer.push("layer_norm3"), &x)?;
            let y = mlp(g, &layer.push("mlp"), &y, self.stack)?;
            x = g.add(&x, &y)?;
        }
        norm(g, &self.scope.push("output_layer_norm"), &x)
    }
}
