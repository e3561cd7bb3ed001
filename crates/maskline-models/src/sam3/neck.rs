//! Necks: from the trunk's cells to maps at one, two and four times their resolution, and to what each head makes of these for all prompts.

use maskline_onnx::{ConvOptions, DType, Dim, GeluForm, Graph, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::{ConceptConfig, Config};
use super::layers::{Looking, attention, norm};
use super::names::{DETECTOR, NECKS, NO_MEMORY};
use super::{exemplars, masks, trunk};
use crate::blocks::{batched, computed, grid_positions};
use crate::info::ConceptHead;
use crate::sam::{Decoder, HighResolution};
use crate::{BuildOptions, Result};

/// `trunk` f32 [B, g², C] → [`ConceptHead::FEATURES`].
pub(super) fn of_concepts<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    concepts: &ConceptConfig,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = Graph::new(ConceptHead::CONCEPT_NECK, options.dialect);
    let g = &mut graph;
    let (width, grid) = (config.width, config.grid());
    let cells = input(g, config)?;
    let neck = Neck { scope: checkpoint.root().push(NECKS[0]), config, width };
    let levels = [neck.map(g, 2, &cells, None)?, neck.map(g, 1, &cells, None)?, neck.map(g, 0, &cells, None)?];
    if options.taps {
        for (index, level) in levels.iter().rev().enumerate() {
            g.output(&format!("fpn.{index}"), level)?;
        }
        let positions = grid_positions(g, grid, width)?;
        let positions = g.transpose(&positions, &[0, 2, 1])?;
        let positions = g.reshape(&positions, [1, width, grid, grid])?;
        g.output("fpn_pos.2", &positions)?;
    }
    let coarse = as_cells(g, &levels[0])?;
    g.output(ConceptHead::COARSE, &coarse)?;
    let blank = exemplars::blank(g, checkpoint, &coarse, concepts)?;
    g.output(ConceptHead::BLANK, &blank)?;
    // The first thing that the encoder's first layer does is the same for all prompts.
    let layer = checkpoint.root().push(DETECTOR).push("detr_encoder.layers.0");
    let positions = grid_positions(g, grid, width)?;
    let attended = self_attention(g, &layer, &coarse, Attending { positions: &positions, heads: concepts.encoder.heads })?;
    g.output(ConceptHead::ATTENDED, &attended)?;
    let pixels = masks::Pixels::of(checkpoint, config);
    let middle = pixels.shared(g, 0, &levels[1])?;
    g.output(ConceptHead::MIDDLE, &middle)?;
    let fine = pixels.shared(g, 1, &levels[2])?;
    g.output(ConceptHead::FINE, &fine)?;
    Ok(graph)
}

/// How cells look at each other.
pub(super) struct Attending<'a> {
    /// [1, g², C].
    pub(super) positions: &'a Value,
    pub(super) heads: usize,
}

/// Cells [B, g², C] and what they see of each other, added: the first step of an encoder's layer.
pub(super) fn self_attention<'w>(g: &mut Graph<'w>, layer: &Scope<'w>, cells: &Value, attending: Attending<'_>) -> Result<Value> {
    let values = norm(g, &layer.push("layer_norm1"), cells)?;
    let placed = g.add(&values, attending.positions)?;
    let looking = Looking { from: &placed, keys: &placed, values: &values, bias: None };
    let seen = attention(g, &layer.push("self_attn"), looking, attending.heads)?;
    Ok(g.add(&seen, cells)?)
}

/// `trunk` f32 [B, g², C] → the embedding that clicks are answered from, see [`crate::embedding`].
pub(super) fn of_clicks<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    decoder: &Decoder<'_, 'w>,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = Graph::new(ConceptHead::CLICK_NECK, options.dialect);
    let cells = input(&mut graph, config)?;
    click_side(&mut graph, checkpoint, config, Clicks { cells: &cells, decoder, taps: options.taps })?;
    Ok(graph)
}

/// The same from the picture, of a checkpoint that has no other head.
pub(super) fn encoder_of_clicks<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    decoder: &Decoder<'_, 'w>,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = options.encoder(&config.architecture, false);
    let cells = trunk::cells(&mut graph, checkpoint, config)?;
    click_side(&mut graph, checkpoint, config, Clicks { cells: &cells, decoder, taps: options.taps })?;
    Ok(graph)
}

/// What the click head's side of the picture is made from.
struct Clicks<'a, 'd, 'w> {
    cells: &'a Value,
    decoder: &'a Decoder<'d, 'w>,
    taps: bool,
}

fn click_side<'w>(g: &mut Graph<'w>, checkpoint: &'w Checkpoint, config: &Config, clicks: Clicks<'_, '_, 'w>) -> Result<()> {
    let (root, grid) = (checkpoint.root(), config.grid());
    let width = config.clicks.as_ref().map_or(config.width, |clicks| clicks.width);
    let neck = Neck { scope: root.push(NECKS[1]), config, width };
    let decoder = root.push(crate::sam::names::SAM_3.mask_decoder);
    let after = |name: &str, output: usize| Some(After { scope: decoder.push(name), output });
    let coarse = neck.map(g, 2, clicks.cells, None)?;
    let middle = neck.map(g, 1, clicks.cells, after("conv_s1", width / 4))?;
    let fine = neck.map(g, 0, clicks.cells, after("conv_s0", width / 8))?;
    let mut cells = as_cells(g, &coarse)?;
    let no_memory = root.f32(NO_MEMORY, &[1, 1, width])?;
    if config.adds_no_memory {
        let no_memory = computed(g, &[1, 1, width], no_memory.data.into_owned())?;
        cells = g.add(&cells, &no_memory)?;
    }
    if clicks.taps {
        let map = g.transpose(&cells, &[0, 2, 1])?;
        let map = g.reshape(&map, batched(&cells.shape()[0], &[width, grid, grid]))?;
        for (name, map) in [("level.2", &map), ("level.1", &middle), ("level.0", &fine)] {
            g.output(name, map)?;
        }
        clicks.decoder.positions_tap(g, "positions")?;
    }
    let (middle, fine) = (g.transpose(&middle, &[0, 2, 3, 1])?, g.transpose(&fine, &[0, 2, 3, 1])?);
    clicks.decoder.image_side(g, &cells, Some(HighResolution { middle: &middle, fine: &fine }))
}

fn input(g: &mut Graph<'_>, config: &Config) -> Result<Value> {
    let (grid, width) = (config.grid(), config.trunk.width);
    Ok(g.input(ConceptHead::TRUNK, DType::F32, [Dim::symbol("batch"), (grid * grid).into(), width.into()])?)
}

/// [B, C, rows, columns] → [B, rows·columns, C].
fn as_cells(g: &mut Graph<'_>, map: &Value) -> Result<Value> {
    let [width, rows, columns] = [1, 2, 3].map(|axis| map.shape()[axis].known().unwrap_or(0));
    let flat = g.reshape(map, batched(&map.shape()[0], &[width, rows * columns]))?;
    Ok(g.transpose(&flat, &[0, 2, 1])?)
}

/// A 1×1 convolution that follows a level at once.
struct After<'w> {
    scope: Scope<'w>,
    output: usize,
}

/// A feature pyramid of one map: each level is made of the trunk's cells alone.
struct Neck<'a, 'w> {
    scope: Scope<'w>,
    config: &'a Config,
    /// Of its maps.
    width: usize,
}

/// A linear map of columns, row by row: weight [output, input], bias [output].
struct Affine {
    input: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl<'w> Neck<'_, 'w> {
    /// Level 0, 1 or 2, of four, two times or once the cells' resolution: [B, g², C] → [B, width, side, side].
    ///
    /// What follows one another without anything between is one layer: the last transposed convolution and the 1×1 convolution, and the 3×3
    /// convolution and the one of `after`.
    fn map(&self, g: &mut Graph<'w>, level: usize, cells: &Value, after: Option<After<'w>>) -> Result<Value> {
        let (grid, trunk_width, width) = (self.config.grid(), self.config.trunk.width, self.width);
        let scope = self.scope.push("fpn_layers").push(level);
        let batch = cells.shape()[0].clone();
        let point = |input| affine(&scope.push("proj1"), input, width);
        let rows = |count: usize| batch.times((grid * grid * count) as i64);
        let flat = g.reshape(cells, vec![rows(1), trunk_width.into()])?;
        let map = match level {
            0 => {
                let half = trunk_width / 2;
                let larger = self.enlarging(&scope.push("scale_layers.0"), trunk_width, half)?;
                let larger = self.apply(g, &scope.push("scale_layers.0"), &flat, larger)?;
                let larger = g.scoped(scope.name(), |g| g.gelu(&larger, GeluForm::Exact))?;
                let larger = g.reshape(&larger, vec![rows(4), half.into()])?;
                let layer = self.enlarging(&scope.push("scale_layers.2"), half, trunk_width / 4)?.then(&point(trunk_width / 4)?, 4);
                let larger = self.apply(g, &scope.push("proj1"), &larger, layer)?;
                let larger = g.reshape(&larger, batched(&batch, &[grid, grid, 2, 2, 2, 2, width]))?;
                g.transpose(&larger, &[0, 1, 3, 5, 2, 4, 6, 7])?
            }
            1 => {
                let layer = self.enlarging(&scope.push("scale_layers.0"), trunk_width, trunk_width / 2)?.then(&point(trunk_width / 2)?, 4);
                let larger = self.apply(g, &scope.push("proj1"), &flat, layer)?;
                let larger = g.reshape(&larger, batched(&batch, &[grid, grid, 2, 2, width]))?;
                g.transpose(&larger, &[0, 1, 3, 2, 4, 5])?
            }
            _ => self.apply(g, &scope.push("proj1"), &flat, point(trunk_width)?)?,
        };
        // Cells are put in order before their channels are: whole cells are moved, which is faster than both at once.
        let side = grid << (2 - level.min(2));
        let map = g.reshape(&map, batched(&batch, &[side, side, width]))?;
        let map = g.transpose(&map, &[0, 3, 1, 2])?;
        self.convolve(g, &scope.push("proj2"), &map, after)
    }

    /// The 3×3 convolution of a level, with what follows it.
    fn convolve(&self, g: &mut Graph<'w>, scope: &Scope<'w>, map: &Value, after: Option<After<'w>>) -> Result<Value> {
        let width = self.width;
        let (weight, bias) = (scope.f32("weight", &[width, width, 3, 3])?, scope.f32("bias", &[width])?);
        // As a layer from (input channel, tap) to output channels.
        let kernel = Affine { input: 9 * width, weight: weight.data.into_owned(), bias: bias.data.into_owned() };
        let (kernel, output) = match after {
            Some(After { scope, output }) => (kernel.then(&affine(&scope, width, output)?, 1), output),
            None => (kernel, width),
        };
        let weight = computed(g, &[output, width, 3, 3], kernel.weight)?;
        let bias = computed(g, &[output], kernel.bias)?;
        g.scoped(scope.name(), |g| Ok(g.conv(map, &weight, Some(&bias), &ConvOptions::same(3, 1))?))
    }

    /// A transposed 2×2 convolution of stride 2 as a layer of cells: its output is (row, column, channel).
    fn enlarging(&self, scope: &Scope<'w>, input: usize, output: usize) -> Result<Affine> {
        let weight = scope.f32("weight", &[input, output, 2, 2])?;
        let bias = scope.f32("bias", &[output])?;
        let at = |row: usize| (row % output) * 4 + row / output;
        let weight = (0..4 * output)
            .flat_map(|row| (0..input).map(move |column| (column, at(row))))
            .map(|(column, at)| weight.data[column * output * 4 + at]);
        Ok(Affine { input, weight: weight.collect(), bias: bias.data.repeat(4) })
    }

    fn apply(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, layer: Affine) -> Result<Value> {
        let output = layer.bias.len();
        let (weight, bias) = (computed(g, &[output, layer.input], layer.weight)?, computed(g, &[output], layer.bias)?);
        g.scoped(scope.name(), |g| Ok(g.linear(x, &weight, Some(&bias))?))
    }
}

/// A 1×1 convolution (`weight` [output, input, 1, 1], `bias` [output]).
fn affine(scope: &Scope<'_>, input: usize, output: usize) -> Result<Affine> {
    let (weight, bias) = (scope.f32("weight", &[output, input, 1, 1])?, scope.f32("bias", &[output])?);
    Ok(Affine { input, weight: weight.data.into_owned(), bias: bias.data.into_owned() })
}

impl Affine {
    /// This layer and then `next` on each of `groups` equal parts of its output, as one layer.
    fn then(&self, next: &Affine, groups: usize) -> Self {
        let (inner, output) = (next.input, next.bias.len());
        let mut weight = Vec::with_capacity(groups * output * self.input);
        let mut bias = Vec::with_capacity(groups * output);
        for group in 0..groups {
            for (factors, shift) in next.weight.chunks_exact(inner).zip(&next.bias) {
                let mut sums = vec![0.0_f64; self.input];
                let mut constant = f64::from(*shift);
                for (row, factor) in factors.iter().enumerate() {
                    let (row, factor) = (group * inner + row, f64::from(*factor));
                    let from = &self.weight[row * self.input..][..self.input];
                    sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += factor * f64::from(*value));
                    constant += factor * f64::from(self.bias[row]);
                }
                weight.extend(sums.into_iter().map(|sum| sum as f32));
                bias.push(constant as f32);
            }
        }
        Self { input: self.input, weight, bias }
    }
}
