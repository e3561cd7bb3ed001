//! The concept decoder: a DETR (Carion et al. 2020) whose encoder mixes picture and prompt, and whose queries, with a token for whether the
//! concept is there at all, move their boxes from layer to layer.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::{ConceptConfig, Config};
use super::layers::{Looking, Prompt, attention, dense, mlp, norm, perceptron, shaped, sines, table};
use super::names::DETECTOR;
use super::neck::{Attending, self_attention};
use crate::blocks::{computed, grid_positions};
use crate::info::ConceptHead;
use crate::{BuildOptions, Error, Result};

/// Shares nearer than this to 0 or 1 count as it where their logit is taken.
const LEAST_SHARE: f32 = 1e-3;
/// A query's logit is at most so large.
const MOST_LOGIT: f32 = 12.0;
/// Offsets from a box's sides are told in so many steps of the picture's side.
const OFFSET_STEPS: f32 = 8.0;

/// `attended` f32 [1, g², D] and prompts → what [`ConceptHead`] says.
pub(super) fn graph<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    concepts: &ConceptConfig,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = Graph::new(ConceptHead::CONCEPT_DECODER, options.dialect);
    let g = &mut graph;
    let (grid, width) = (config.grid(), config.width);
    let attended = g.input(ConceptHead::ATTENDED, DType::F32, [1, grid * grid, width])?;
    let prompt = Prompt::input(g, width, Dim::symbol("phrases"))?;
    let finder = Finder { detector: checkpoint.root().push(DETECTOR), concepts, grid, width, taps: options.taps };
    let positions = grid_positions(g, grid, width)?;
    let encoded = finder.encode(g, &attended, &prompt, &positions)?;
    g.output(ConceptHead::ENCODED, &encoded)?;
    let found = finder.decode(g, &encoded, &prompt, &positions)?;
    let logits = g.full_precision(|g| finder.score(g, &found.queries, &prompt))?;
    g.output(ConceptHead::LOGITS, &logits)?;
    let corners = corners(g, &found.boxes)?;
    g.output(ConceptHead::BOXES, &corners)?;
    g.output(ConceptHead::PRESENCE, &found.presence)?;
    let mut queries = found.queries;
    let embedder = finder.detector.push("mask_decoder.mask_embedder.layers");
    for layer in 0..3 {
        queries = dense(g, &embedder.push(layer), &queries, [width; 2])?;
        if layer < 2 {
            queries = g.relu(&queries)?;
        }
    }
    g.output(ConceptHead::QUERIES, &queries)?;
    Ok(graph)
}

/// DETR of a checkpoint.
struct Finder<'a, 'w> {
    detector: Scope<'w>,
    concepts: &'a ConceptConfig,
    grid: usize,
    width: usize,
    taps: bool,
}

/// What the queries have found.
struct Found {
    /// After the last layer, [P, q, D].
    queries: Value,
    /// Centre and size in 0..1, [P, q, 4].
    boxes: Value,
    /// [P, 1].
    presence: Value,
}

/// What a layer gives, for taps.
struct Layered {
    /// After the output's norm, [P, q, D].
    queries: Value,
    /// Those that it looked near, [P, q, 4].
    boxes: Value,
    /// With the presence token, [P, 1 + q, D].
    hidden: Value,
}

impl<'w> Finder<'_, 'w> {
    /// Cells that know the prompt: [1, g², D] → [P, g², D].
    fn encode(&self, g: &mut Graph<'w>, attended: &Value, prompt: &Prompt, positions: &Value) -> Result<Value> {
        let stack = &self.concepts.encoder;
        let mut x = g.repeat_leading(attended, &prompt.rows)?;
        for index in 0..stack.layers {
            let layer = self.detector.push("detr_encoder.layers").push(index);
            if index > 0 {
                x = self_attention(g, &layer, &x, Attending { positions, heads: stack.heads })?;
            }
            let y = norm(g, &layer.push("layer_norm2"), &x)?;
            let y = prompt.seen_by(g, &layer.push("cross_attn"), &y, stack.heads)?;
            x = g.add(&x, &y)?;
            let y = norm(g, &layer.push("layer_norm3"), &x)?;
            let y = mlp(g, &layer.push("mlp"), &y, stack)?;
            x = g.add(&x, &y)?;
        }
        Ok(x)
    }

    fn decode(&self, g: &mut Graph<'w>, encoded: &Value, prompt: &Prompt, positions: &Value) -> Result<Found> {
        let (scope, queries, width) = (self.detector.push("detr_decoder"), self.concepts.queries, self.width);
        let token = table(g, &scope, "presence_token.weight", [1, width])?;
        let embedded = table(g, &scope, "query_embed.weight", [queries, width])?;
        let hidden = g.concat(&[&token, &embedded], 1)?;
        let mut hidden = g.repeat_leading(&hidden, encoded)?;
        let points = scope.f32("reference_points.weight", &[queries, 4])?;
        let points = points.data.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        let boxes = computed(g, &[1, queries, 4], points)?;
        let mut boxes = g.repeat_leading(&boxes, encoded)?;
        let keys = g.add(encoded, positions)?;
        let (mut found, mut taps) = (None, Vec::new());
        for index in 0..self.concepts.decoder.layers {
            let layer = self.detector.push("detr_decoder.layers").push(index);
            let sights = Sights { boxes: &boxes, keys: &keys, encoded };
            hidden = self.layer(g, &layer, &hidden, prompt, sights)?;
            let found_now = g.slice(&hidden, 1, 1..(queries + 1) as i64)?;
            let found_now = norm(g, &scope.push("output_layer_norm"), &found_now)?;
            // Boxes, as shares of the picture, are finer than f16.
            let moved = g.full_precision(|g| {
                let moved = perceptron(g, &scope.push("box_head"), &found_now, &[width, width, width, 4])?;
                let logits = logit(g, &boxes)?;
                Ok::<_, Error>(g.add(&moved, &logits)?)
            })?;
            taps.push(Layered { queries: found_now.clone(), boxes: boxes.clone(), hidden: hidden.clone() });
            boxes = g.sigmoid(&moved)?;
            found = Some(found_now);
        }
        let presence = self.presence(g, &hidden)?;
        if self.taps {
            self.tap(g, &taps)?;
        }
        let queries = found.unwrap_or(embedded);
        Ok(Found { queries, boxes, presence })
    }

    /// What every layer gives, stacked as the golden cases have it.
    fn tap(&self, g: &mut Graph<'w>, layers: &[Layered]) -> Result<()> {
        let (mut hidden, mut boxes, mut presence) = (Vec::new(), Vec::new(), Vec::new());
        for layer in layers {
            hidden.push(g.unsqueeze(&layer.queries, 0)?);
            boxes.push(g.unsqueeze(&layer.boxes, 0)?);
            let logit = self.presence(g, &layer.hidden)?;
            presence.push(g.unsqueeze(&logit, 0)?);
        }
        for (name, values) in [("decoder_hidden", hidden), ("reference_boxes", boxes), ("presence_all", presence)] {
            let values: Vec<&Value> = values.iter().collect();
            let stacked = g.concat(&values, 0)?;
            g.output(name, &stacked)?;
        }
        Ok(())
    }

    /// Whether the concept is there at all, [P, 1]: not cut to a range, as in the official code.
    fn presence(&self, g: &mut Graph<'w>, hidden: &Value) -> Result<Value> {
        let (scope, width) = (self.detector.push("detr_decoder"), self.width);
        let token = g.slice(hidden, 1, 0..1)?;
        let token = norm(g, &scope.push("presence_layer_norm"), &token)?;
        let logit = g.full_precision(|g| perceptron(g, &scope.push("presence_head"), &token, &[width, width, width, 1]))?;
        Ok(g.squeeze(&logit, 2)?)
    }

    /// Queries look at each other, at the prompt and at the picture: [P, 1 + q, D] → the same.
    fn layer(&self, g: &mut Graph<'w>, layer: &Scope<'w>, hidden: &Value, prompt: &Prompt, sights: Sights<'_>) -> Result<Value> {
        let stack = &self.concepts.decoder;
        let places = self.places(g, sights.boxes)?;
        let placed = g.add(hidden, &places)?;
        let seen =
            attention(g, &layer.push("self_attn"), Looking { from: &placed, keys: &placed, values: hidden, bias: None }, stack.heads)?;
        let x = self.added(g, &layer.push("self_attn_layer_norm"), hidden, &seen)?;
        let placed = g.add(&x, &places)?;
        let seen = prompt.seen_by(g, &layer.push("text_cross_attn"), &placed, stack.heads)?;
        let x = self.added(g, &layer.push("text_cross_attn_layer_norm"), &x, &seen)?;
        let placed = g.add(&x, &places)?;
        let bias = self.nearness(g, sights.boxes)?;
        let looking = Looking { from: &placed, keys: sights.keys, values: sights.encoded, bias: Some(&bias) };
        let seen = attention(g, &layer.push("vision_cross_attn"), looking, stack.heads)?;
        let x = self.added(g, &layer.push("vision_cross_attn_layer_norm"), &x, &seen)?;
        let y = mlp(g, &layer.push("mlp"), &x, stack)?;
        self.added(g, &layer.push("mlp_layer_norm"), &x, &y)
    }

    fn added(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, y: &Value) -> Result<Value> {
        let sum = g.add(x, y)?;
        norm(g, scope, &sum)
    }

    /// Where the queries' boxes are, as what is added to them; nothing is added to the presence token: [P, 1 + q, D].
    fn places(&self, g: &mut Graph<'w>, boxes: &Value) -> Result<Value> {
        let (scope, width) = (self.detector.push("detr_decoder.ref_point_head"), self.width);
        let mut waves = Vec::with_capacity(4);
        for index in [1, 0, 2, 3] {
            let side = g.slice(boxes, 2, index..index + 1)?;
            waves.push(sines(g, &side, width / 2)?);
        }
        let waves: Vec<&Value> = waves.iter().collect();
        let waves = g.concat(&waves, 2)?;
        let places = perceptron(g, &scope, &waves, &[width / 2 * 4, width, width])?;
        let none = computed(g, &[1, 1, width], vec![0.0; width])?;
        let none = g.repeat_leading(&none, &places)?;
        Ok(g.concat(&[&none, &places], 1)?)
    }

    /// What is added to the scores of cells, by how they lie to the queries' boxes: [P, heads, 1 + q, g²].
    fn nearness(&self, g: &mut Graph<'w>, boxes: &Value) -> Result<Value> {
        let (grid, heads) = (self.grid, self.concepts.decoder.heads);
        let corners = corners(g, boxes)?;
        let across = self.offsets(g, "box_rpb_embed_x", &corners, 0)?;
        let down = self.offsets(g, "box_rpb_embed_y", &corners, 1)?;
        let (across, down) = (g.unsqueeze(&across, 3)?, g.unsqueeze(&down, 4)?);
        let sum = g.add(&down, &across)?;
        Ok(g.reshape(&sum, shaped(boxes, &[heads, self.concepts.queries + 1, grid * grid]))?)
    }

    /// What the offsets of columns (`first` 0) or rows (1) from both sides of the boxes' corners [P, q, 4] say to each head:
    /// [P, heads, 1 + q, g], zeros for the presence token.
    fn offsets(&self, g: &mut Graph<'w>, name: &str, corners: &Value, first: i64) -> Result<Value> {
        let (grid, width) = (self.grid, self.width);
        let (queries, heads) = (self.concepts.queries, self.concepts.decoder.heads);
        let scope = self.detector.push("detr_decoder").push(name);
        let lines = computed(g, &[1, 1, grid, 1], (0..grid).map(|line| line as f32 / grid as f32).collect())?;
        let (low, high) = (g.slice(corners, 2, first..first + 1)?, g.slice(corners, 2, first + 2..first + 3)?);
        let sides = g.concat(&[&low, &high], 2)?;
        let sides = g.unsqueeze(&sides, 2)?;
        let offsets = g.sub(&lines, &sides)?;
        let steps = g.scalar(OFFSET_STEPS);
        let offsets = g.mul(&offsets, &steps)?;
        let offsets = signed_log(g, &offsets)?;
        let flat = g.reshape(&offsets, shaped(corners, &[queries * grid, 2]))?;
        let told = perceptron(g, &scope, &flat, &[2, width, heads])?;
        let told = g.reshape(&told, shaped(corners, &[queries, grid, heads]))?;
        let told = g.transpose(&told, &[0, 3, 1, 2])?;
        let none = computed(g, &[1, heads, 1, grid], vec![0.0; heads * grid])?;
        let none = g.repeat_leading(&none, &told)?;
        Ok(g.concat(&[&none, &told], 2)?)
    }

    /// Logits [P, q] of the queries [P, q, D]: how like the prompt's mean they are.
    fn score(&self, g: &mut Graph<'w>, queries: &Value, prompt: &Prompt) -> Result<Value> {
        let (scope, width) = (self.detector.push("dot_product_scoring"), self.width);
        let told = perceptron(g, &scope.push("text_mlp"), &prompt.rows, &[width, self.concepts.scoring_hidden, width])?;
        let told = g.add(&told, &prompt.rows)?;
        let told = norm(g, &scope.push("text_mlp_out_norm"), &told)?;
        let told = g.mul(&told, &prompt.present)?;
        let (sum, count) = (g.reduce_sum(&told, &[1], true)?, g.reduce_sum(&prompt.present, &[1], true)?);
        let count = g.clip(&count, 1.0, f32::MAX)?;
        let mean = g.div(&sum, &count)?;
        let mean = dense(g, &scope.push("text_proj"), &mean, [width; 2])?;
        let queries = dense(g, &scope.push("query_proj"), queries, [width; 2])?;
        let products = g.matmul_transposed(&queries, &mean)?;
        let scale = g.scalar(1.0 / (width as f32).sqrt());
        let logits = g.mul(&products, &scale)?;
        let logits = g.clip(&logits, -MOST_LOGIT, MOST_LOGIT)?;
        Ok(g.squeeze(&logits, 2)?)
    }
}

/// What a decoder layer looks at besides the prompt.
#[derive(Clone, Copy)]
struct Sights<'a> {
    /// Of the queries, [P, q, 4].
    boxes: &'a Value,
    /// Cells with their positions, [P, g², D].
    keys: &'a Value,
    /// [P, g², D].
    encoded: &'a Value,
}

/// Centre and size [P, q, 4] to corners.
fn corners(g: &mut Graph<'_>, boxes: &Value) -> Result<Value> {
    let (centre, size) = (g.slice(boxes, 2, 0..2)?, g.slice(boxes, 2, 2..4)?);
    let half = g.scalar(0.5);
    let half = g.mul(&size, &half)?;
    let (low, high) = (g.sub(&centre, &half)?, g.add(&centre, &half)?);
    Ok(g.concat(&[&low, &high], 2)?)
}

/// Logits of shares in 0..1.
fn logit(g: &mut Graph<'_>, shares: &Value) -> Result<Value> {
    let one = g.scalar(1.0);
    let rest = g.sub(&one, shares)?;
    let (shares, rest) = (g.clip(shares, LEAST_SHARE, 1.0)?, g.clip(&rest, LEAST_SHARE, 1.0)?);
    let odds = g.div(&shares, &rest)?;
    Ok(g.log(&odds)?)
}

/// `sign(x) log2(|x| + 1) / log2(8)`.
fn signed_log(g: &mut Graph<'_>, x: &Value) -> Result<Value> {
    let one = g.scalar(1.0);
    let half = |g: &mut Graph<'_>, x: &Value| {
        let positive = g.relu(x)?;
        let more = g.add(&positive, &one)?;
        g.log(&more)
    };
    let negative = g.neg(x)?;
    let (above, below) = (half(g, x)?, half(g, &negative)?);
    let difference = g.sub(&above, &below)?;
    let scale = g.scalar(1.0 / OFFSET_STEPS.ln());
    Ok(g.mul(&difference, &scale)?)
}
