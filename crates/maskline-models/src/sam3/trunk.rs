//! The trunk: a plain ViT with rotary positions whose blocks look at windows, but for a few that look at the whole picture.

use maskline_onnx::{AttentionInPlace, AttentionOptions, ConvOptions, DType, Dim, Graph, LayerActivation, Rotation, Value};
use maskline_weights::{Checkpoint, Scope};

use super::INPUT;
use super::config::{Config, TrunkConfig};
use super::names::TRUNK;
use crate::blocks::{Around, Axial, Mlp, Norm, Normed, batched, computed, join, layer_norm, linear, parameter, partition};
use crate::info::ConceptHead;
use crate::{BuildOptions, Result};

/// The picture f32 [B, 3, S, S], normalised → [`ConceptHead::TRUNK`] f32 [B, g², C], cells by rows.
pub(super) fn graph<'w>(checkpoint: &'w Checkpoint, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let mut graph = options.encoder(&config.architecture, false);
    let cells = cells(&mut graph, checkpoint, config)?;
    graph.output(ConceptHead::TRUNK, &cells)?;
    Ok(graph)
}

/// From the picture, which becomes the graph's input, to its cells after all blocks: f32 [B, g², C], by rows.
pub(super) fn cells<'w>(g: &mut Graph<'w>, checkpoint: &'w Checkpoint, config: &Config) -> Result<Value> {
    let size = config.image_size;
    let picture = g.input(INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), size.into(), size.into()])?;
    let (scope, grid) = (checkpoint.root().push(TRUNK), config.grid());
    Trunk { scope, config: &config.trunk, grid, batch: picture.shape()[0].clone() }.run(g, &picture)
}

/// The trunk of a checkpoint.
///
/// Where whole windows fill the picture, its cells lie window by window from the first block to the last: then a window is a run of cells,
/// and nothing is cut out and joined again. Layers on single cells do not mind, and neither does looking at the whole picture, as places
/// are told by rotations.
struct Trunk<'a, 'w> {
    scope: Scope<'w>,
    config: &'a TrunkConfig,
    grid: usize,
    batch: Dim,
}

/// What a block looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    Window,
    Picture,
}

impl<'w> Trunk<'_, 'w> {
    /// Windows a side, if they fill the picture.
    fn whole_windows(&self) -> Option<usize> {
        self.grid.is_multiple_of(self.config.window).then(|| self.grid / self.config.window)
    }

    /// The cell, counted by rows, at each place of the sequence.
    fn order(&self) -> Vec<usize> {
        let (grid, window) = (self.grid, self.config.window);
        let Some(across) = self.whole_windows() else { return (0..grid * grid).collect() };
        let cell = |place: usize| {
            let (number, inside) = (place / (window * window), place % (window * window));
            let row = number / across * window + inside / window;
            row * grid + number % across * window + inside % window
        };
        (0..grid * grid).map(cell).collect()
    }

    /// [B, 3, S, S] → [B, g², C].
    fn run(&self, g: &mut Graph<'w>, picture: &Value) -> Result<Value> {
        let TrunkConfig { layers, window, .. } = *self.config;
        let embedded = self.embed(g, picture)?;
        let mut x = layer_norm(g, &self.scope.push("layer_norm"), &embedded, self.norm())?;
        let in_window = self.rotation(g, Axial::grid(window, 1.0))?;
        let places = Axial::grid(self.grid, window as f64 / self.grid as f64);
        let in_picture = self.rotation(g, self.order().into_iter().map(|cell| places[cell]).collect())?;
        for index in 0..layers {
            let scope = self.scope.push("layers").push(index);
            let (view, rotation) =
                if self.config.global_blocks.contains(&index) { (View::Picture, &in_picture) } else { (View::Window, &in_window) };
            if let (true, Some(activation), true) =
                (g.has_own_layers(), self.config.activation.of_layer(), view == View::Picture || self.whole_windows().is_some())
            {
                let length = if view == View::Picture { self.grid * self.grid } else { window * window };
                x = self.block_in_place(g, &scope, &x, InPlace { sequence: Sequence { length, rotation }, activation })?;
                continue;
            }
            x = self.block(g, &scope, &x, &|g: &mut Graph<'w>, y: &Value| match view {
                View::Picture => self.attention(g, &scope.push("attention"), y, Sequence { length: self.grid * self.grid, rotation }),
                View::Window => self.windows(g, &scope.push("attention"), y, rotation),
            })?;
        }
        self.by_rows(g, &x)
    }

    fn norm(&self) -> Norm {
        Norm::of(self.config.width, self.config.epsilon)
    }

    fn rotation(&self, g: &mut Graph<'w>, places: Vec<[f32; 2]>) -> Result<Rotation> {
        let TrunkConfig { width, heads, theta, .. } = *self.config;
        g.scoped("rotation", |g| Axial { places, head: width / heads, theta }.rotation(g))
    }

    /// [B, 3, S, S] → cells with their positions, [B·g², C], in the order of the sequence.
    fn embed(&self, g: &mut Graph<'w>, picture: &Value) -> Result<Value> {
        let TrunkConfig { width, patch, tile, window, .. } = *self.config;
        let (scope, grid) = (self.scope.push("embeddings"), self.grid);
        let weight = parameter(g, &scope, "patch_embeddings.projection.weight", &[width, 3, patch, patch])?;
        let options = ConvOptions { stride: [patch; 2], ..ConvOptions::default() };
        let patches = g.scoped(scope.name(), |g| g.conv(picture, &weight, None, &options))?;
        let cells = match self.whole_windows() {
            Some(across) => {
                let windows = g.reshape(&patches, batched(&self.batch, &[width, across, window, across, window]))?;
                g.transpose(&windows, &[0, 2, 4, 3, 5, 1])?
            }
            None => g.transpose(&patches, &[0, 2, 3, 1])?,
        };
        let cells = g.reshape(&cells, batched(&self.batch, &[grid * grid, width]))?;
        let positions = scope.f32("position_embeddings", &[1, tile * tile, width])?;
        let of_cell = |cell: usize| &positions.data[(cell / grid % tile * tile + cell % grid % tile) * width..][..width];
        let laid = self.order().into_iter().flat_map(|cell| of_cell(cell).iter().copied()).collect();
        let laid = g.scoped(scope.name(), |g| computed(g, &[1, grid * grid, width], laid))?;
        let cells = g.add(&cells, &laid)?;
        Ok(g.reshape(&cells, vec![self.batch.times((grid * grid) as i64), width.into()])?)
    }

    /// Norms first; `attend` goes from [B·g², C] to the same.
    fn block(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, attend: Attend<'_, 'w>) -> Result<Value> {
        let TrunkConfig { width, hidden, activation, .. } = *self.config;
        let y = layer_norm(g, &scope.push("layer_norm1"), x, self.norm())?;
        let y = attend(g, &y)?;
        let x = g.add(x, &y)?;
        let y = layer_norm(g, &scope.push("layer_norm2"), &x, self.norm())?;
        let mlp = scope.push("mlp");
        let y = linear(g, &mlp.push("fc1"), &y, [width, hidden])?;
        let y = g.scoped(mlp.name(), |g| activation.apply(g, &y))?;
        let y = linear(g, &mlp.push("fc2"), &y, [hidden, width])?;
        Ok(g.add(&x, &y)?)
    }

    /// A block of our own layers: [B·g², C] → the same.
    fn block_in_place(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, block: InPlace<'_>) -> Result<Value> {
        let TrunkConfig { width, hidden, heads, .. } = *self.config;
        let InPlace { sequence: Sequence { length, rotation }, activation } = block;
        let count = x.shape()[0].divided(length as i64).unwrap_or_else(|| Dim::symbol("sequences"));
        let [first, second] = ["layer_norm1", "layer_norm2"].map(|name| scope.push(name));
        let normed = |scope| Normed { scope, norm: self.norm() };
        let before = Around { norm: Some(normed(&first)), ..Around::default() };
        let attention = scope.push("attention");
        let mut project = |name: &str| {
            let flat = before.layer(g, &attention.push(name), x, [width; 2])?;
            Ok::<_, crate::Error>(g.reshape(&flat, batched(&count, &[length, width]))?)
        };
        let (q, k, v) = (project("q_proj")?, project("k_proj")?, project("v_proj")?);
        let looking = AttentionInPlace { rotation: Some(rotation), ..AttentionInPlace::of([&q, &k, &v], [heads, width / heads]) };
        let seen = g.scoped(attention.name(), |g| g.attention_in_place(looking))?;
        let seen = g.reshape(&seen, x.shape().clone())?;
        let x = Around { residual: Some(x), ..Around::default() }.layer(g, &attention.push("o_proj"), &seen, [width; 2])?;
        let layers = ["mlp.fc1", "mlp.fc2"].map(|name| scope.push(name));
        Mlp { norm: normed(&second), layers: layers.each_ref(), activation }.build(g, &x, hidden)
    }

    /// Attention in windows; where they do not fill the picture, zeros that take part are added at the right and at the bottom.
    fn windows(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, rotation: &Rotation) -> Result<Value> {
        let TrunkConfig { width, window, .. } = *self.config;
        let sequence = Sequence { length: window * window, rotation };
        if self.whole_windows().is_some() {
            return self.attention(g, scope, x, sequence);
        }
        let grid = self.grid;
        let map = g.reshape(x, batched(&self.batch, &[grid, grid, width]))?;
        let windows = partition(g, &map, [window; 2])?;
        let count = windows.shape()[0].clone();
        let flat = g.reshape(&windows, vec![count.times((window * window) as i64), width.into()])?;
        let seen = self.attention(g, scope, &flat, sequence)?;
        let seen = g.reshape(&seen, batched(&count, &[window, window, width]))?;
        let map = join(g, &seen, &self.batch, [grid; 2])?;
        Ok(g.reshape(&map, vec![self.batch.times((grid * grid) as i64), width.into()])?)
    }

    /// Multi-head attention within sequences: [n · length, C] → the same.
    fn attention(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, sequence: Sequence<'_>) -> Result<Value> {
        let TrunkConfig { width, heads, .. } = *self.config;
        let count = x.shape()[0].divided(sequence.length as i64).unwrap_or_else(|| Dim::symbol("sequences"));
        let project = |g: &mut Graph<'w>, name: &str| {
            let flat = linear(g, &scope.push(name), x, [width; 2])?;
            Ok::<_, crate::Error>(g.reshape(&flat, batched(&count, &[sequence.length, width]))?)
        };
        let (q, k, v) = (project(g, "q_proj")?, project(g, "k_proj")?, project(g, "v_proj")?);
        let seen = g.scoped(scope.name(), |g| {
            let (q, k) = (g.rotary(&q, sequence.rotation, heads)?, g.rotary(&k, sequence.rotation, heads)?);
            g.attention([&q, &k, &v], &AttentionOptions { heads, scale: None })
        })?;
        let seen = g.reshape(&seen, x.shape().clone())?;
        linear(g, &scope.push("o_proj"), &seen, [width; 2])
    }

    /// [B·g², C] in the order of the sequence → [B, g², C] by rows.
    fn by_rows(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        let TrunkConfig { width, window, .. } = *self.config;
        let x = match self.whole_windows() {
            Some(across) => {
                let windows = g.reshape(x, batched(&self.batch, &[across, across, window, window, width]))?;
                g.transpose(&windows, &[0, 1, 3, 2, 4, 5])?
            }
            None => x.clone(),
        };
        Ok(g.reshape(&x, batched(&self.batch, &[self.grid * self.grid, width]))?)
    }
}

/// A block of our own layers.
#[derive(Debug, Clone, Copy)]
struct InPlace<'a> {
    sequence: Sequence<'a>,
    activation: LayerActivation,
}

/// An attention of a block.
type Attend<'a, 'w> = &'a dyn Fn(&mut Graph<'w>, &Value) -> Result<Value>;

/// Cells that look at each other.
#[derive(Debug, Clone, Copy)]
struct Sequence<'a> {
    length: usize,
    rotation: &'a Rotation,
}
