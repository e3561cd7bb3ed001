//! Masks: cells that know the prompt, enlarged with the picture's finer maps, against what the found objects look like (MaskFormer, Cheng
//! et al. 2021).

use maskline_onnx::{ConvOptions, DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::{ConceptConfig, Config, EPSILON};
use super::layers::{Prompt, norm};
use super::names::DETECTOR;
use crate::blocks::{batched, computed, parameter};
use crate::info::ConceptHead;
use crate::{BuildOptions, Result};

/// Groups of channels that are normalised together.
const GROUPS: usize = 8;

/// One prompt's cells and objects → [`ConceptHead::MASKS`].
pub(super) fn graph<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    concepts: &ConceptConfig,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = Graph::new(ConceptHead::MASK_HEAD, options.dialect);
    let g = &mut graph;
    let (grid, width) = (config.grid(), config.width);
    let encoded = g.input(ConceptHead::ENCODED, DType::F32, [1, grid * grid, width])?;
    let prompt = Prompt::input(g, width, 1.into())?;
    let queries = g.input(ConceptHead::QUERIES, DType::F32, [1.into(), Dim::symbol("objects"), width.into()])?;
    let middle = g.input(ConceptHead::MIDDLE, DType::F32, [1, width, 4 * grid, grid])?;
    let fine = g.input(ConceptHead::FINE, DType::F32, [1, width, 8 * grid, 2 * grid])?;
    let scope = checkpoint.root().push(DETECTOR).push("mask_decoder");
    let normed = norm(g, &scope.push("prompt_cross_attn_norm"), &encoded)?;
    let seen = prompt.seen_by(g, &scope.push("prompt_cross_attn"), &normed, concepts.mask_heads)?;
    let cells = g.add(&encoded, &seen)?;
    let map = g.transpose(&cells, &[0, 2, 1])?;
    let map = g.reshape(&map, [1, width, grid, grid])?;
    let pixels = Pixels::of(checkpoint, config);
    let twice = pixels.enlarged(g, 0, &map, &middle)?;
    let twice = by_row(g, &twice)?;
    let pixels = pixels.enlarged(g, 1, &twice, &fine)?;
    let flat = g.reshape(&pixels, [1, width, 16 * grid * grid])?;
    let masks = instances(g, &scope.push("instance_projection"), &queries, &flat)?;
    let side = 4 * grid;
    let masks = g.reshape(&masks, vec![1.into(), masks.shape()[1].clone(), (2 * side).into(), (side / 2).into()])?;
    let masks = by_row(g, &masks)?;
    g.output(ConceptHead::MASKS, &masks)?;
    if options.taps {
        let scope = scope.push("semantic_projection");
        let weight = parameter(g, &scope, "weight", &[1, width, 1, 1])?;
        let bias = parameter(g, &scope, "bias", &[1])?;
        let all = by_row(g, &pixels)?;
        let all = g.conv(&all, &weight, Some(&bias), &ConvOptions::default())?;
        g.output("semantic_seg", &all)?;
    } else {
        // What is wherever something is found is not asked for.
        scope.push("semantic_projection").f32("weight", &[1, width, 1, 1])?;
        scope.push("semantic_projection").f32("bias", &[1])?;
    }
    Ok(graph)
}

/// Logits of objects [1, k, D] over pixels [1, D, n]: the pixels' 1×1 convolution is done to the objects, of which there are fewer.
fn instances<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, objects: &Value, pixels: &Value) -> Result<Value> {
    let width = objects.shape()[2].known().unwrap_or(0);
    let weight = parameter(g, scope, "weight", &[width, width, 1, 1])?;
    let bias = parameter(g, scope, "bias", &[width])?;
    g.scoped(scope.name(), |g| {
        let (weight, bias) = (g.reshape(&weight, [width; 2])?, g.reshape(&bias, [width, 1])?);
        let turned = g.matmul(objects, &weight)?;
        let shift = g.matmul(objects, &bias)?;
        let logits = g.matmul(&turned, pixels)?;
        Ok(g.add(&logits, &shift)?)
    })
}

/// A map with even and odd rows and columns apart: [B, C, 2h, 2w] → [B, C, 4h, w].
fn by_phase(g: &mut Graph<'_>, map: &Value) -> Result<Value> {
    let [width, rows, columns] = [1, 2, 3].map(|axis| map.shape()[axis].known().unwrap_or(0));
    let pairs = g.reshape(map, batched(&map.shape()[0], &[width, rows / 2, 2, columns / 2, 2]))?;
    let apart = g.transpose(&pairs, &[0, 1, 3, 5, 2, 4])?;
    Ok(g.reshape(&apart, batched(&map.shape()[0], &[width, 2 * rows, columns / 2]))?)
}

/// Undoes [`by_phase`]: [B, C, 4h, w] → [B, C, 2h, 2w]; C need not be known.
fn by_row(g: &mut Graph<'_>, map: &Value) -> Result<Value> {
    let [rows, columns] = [2, 3].map(|axis| map.shape()[axis].known().unwrap_or(0));
    let shape = |rest: &[usize]| {
        let mut shape = vec![map.shape()[0].clone(), map.shape()[1].clone()];
        shape.extend(rest.iter().map(|size| Dim::fixed(*size)));
        shape
    };
    let apart = g.reshape(map, shape(&[2, 2, rows / 4, columns]))?;
    let pairs = g.transpose(&apart, &[0, 1, 4, 2, 5, 3])?;
    Ok(g.reshape(&pairs, shape(&[rows / 2, 2 * columns]))?)
}

/// The pixel decoder of a checkpoint: twice, a map is doubled by repeating cells, a finer map is added, and a 3×3 convolution, a norm and
/// ReLU follow.
///
/// The convolution of a sum is a sum: that of the finer map is done once for all prompts, and that of repeated cells is four convolutions of
/// the smaller map, one for each place of a pixel in its cell, as a kernel of 3 meets only two of its rows and columns.
pub(super) struct Pixels<'w> {
    scope: Scope<'w>,
    width: usize,
}

/// How taps of a kernel of 3 meet the cells of a map, for pixels in the first half of a cell, and in the second.
const MET: [[&[usize]; 2]; 2] = [[&[0], &[1, 2]], [&[0, 1], &[2]]];

impl<'w> Pixels<'w> {
    pub(super) fn of(checkpoint: &'w Checkpoint, config: &Config) -> Self {
        Self { scope: checkpoint.root().push(DETECTOR).push("mask_decoder.pixel_decoder"), width: config.width }
    }

    /// What all prompts share of stage 0 or 1: the convolution of the picture's map, [B, C, 2h, 2w] → [B, C, 4h, w] by phase.
    pub(super) fn shared(&self, g: &mut Graph<'w>, stage: usize, map: &Value) -> Result<Value> {
        let scope = self.scope.push("conv_layers").push(stage);
        let weight = parameter(g, &scope, "weight", &[self.width, self.width, 3, 3])?;
        let bias = parameter(g, &scope, "bias", &[self.width])?;
        g.scoped(scope.name(), |g| {
            let map = g.conv(map, &weight, Some(&bias), &ConvOptions::same(3, 1))?;
            by_phase(g, &map)
        })
    }

    /// The rest of a stage: `map` [1, C, h, w] and what is shared, by phase → [1, C, 4h, w] by phase.
    fn enlarged(&self, g: &mut Graph<'w>, stage: usize, map: &Value, shared: &Value) -> Result<Value> {
        let doubled = self.doubled(g, stage, map)?;
        let sum = g.add(&doubled, shared)?;
        let scope = self.scope.push("norms").push(stage);
        let weight = parameter(g, &scope, "weight", &[self.width])?;
        let bias = parameter(g, &scope, "bias", &[self.width])?;
        g.scoped(scope.name(), |g| {
            let normed = g.group_norm(&sum, GROUPS, [&weight, &bias], EPSILON)?;
            Ok(g.relu(&normed)?)
        })
    }

    /// The convolution, without its bias, of a map whose cells are repeated: [1, C, h, w] → [1, C, 4h, w] by phase.
    fn doubled(&self, g: &mut Graph<'w>, stage: usize, map: &Value) -> Result<Value> {
        let (width, scope) = (self.width, self.scope.push("conv_layers").push(stage));
        let weight = scope.f32("weight", &[width, width, 3, 3])?;
        let mut phases = Vec::with_capacity(4);
        for (down, across) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let kernel = |taps: &[f32]| {
                let sum = |rows: &[usize], columns: &[usize]| {
                    rows.iter().flat_map(|row| columns.iter().map(move |column| taps[3 * row + column])).sum::<f32>()
                };
                MET[down]
                    .iter()
                    .flat_map(|rows| MET[across].iter().map(|columns| sum(rows, columns)).collect::<Vec<f32>>())
                    .collect::<Vec<f32>>()
            };
            let kernels = weight.data.chunks_exact(9).flat_map(kernel).collect();
            let padding = [1 - down, 1 - across, down, across];
            let options = ConvOptions { padding, ..ConvOptions::default() };
            phases.push(g.scoped(scope.name(), |g| {
                let kernels = computed(g, &[width, width, 2, 2], kernels)?;
                Ok::<_, crate::Error>(g.conv(map, &kernels, None, &options)?)
            })?);
        }
        let phases: Vec<&Value> = phases.iter().collect();
        Ok(g.concat(&phases, 2)?)
    }
}
