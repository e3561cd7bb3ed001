//! Backbone and neck: convolutions, C2f blocks, SPPF, and a path aggregation network over three levels.

use maskline_onnx::{DType, Dialect, Dim, Graph, Interpolation, PoolOptions, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::{C2F_LAYERS, CLASSIFY_LAYER, Config, DETECT_LAYER};
use super::head;
use crate::blocks::{Activation, BatchNormed, ConvSpec, convolution_batch_norm};
use crate::{Result, Task};

/// Epsilon of the batch normalisations; not stored in state dicts. Only the detectors' initialisation changes PyTorch's default.
fn batch_norm_epsilon(task: Task) -> f64 {
    if task == Task::Classify { 1e-5 } else { 1e-3 }
}

/// Name of the picture input.
pub(super) const INPUT: &str = "images";

/// The network of `config` as one graph: [`INPUT`] f32 [batch, 3, 32·rows, 32·columns], RGB in 0..1; outputs by [`head`].
pub(super) fn network<'w>(checkpoint: &'w Checkpoint, config: &Config, (dialect, taps): (Dialect, bool)) -> Result<Graph<'w>> {
    let mut g = Graph::new(&config.architecture, dialect);
    let side = |name: &str| Dim::symbol(name).times(32);
    let images = g.input(INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), side("rows"), side("columns")])?;
    let model = checkpoint.root().push("model");
    let [c2, c3, c4, c5] = [1, 2, 3, 4].map(|i| config.channels[i]);
    let layers = &mut Layers { g: &mut g, model: model.clone(), config };

    let p2 = layers.stem(&images)?;
    let p2 = layers.c2f(2, (&p2, c2), (c2, true))?;
    let p3 = layers.down(3, (&p2, c2), c3)?;
    let p3 = layers.c2f(4, (&p3, c3), (c3, true))?;
    let p4 = layers.down(5, (&p3, c3), c4)?;
    let p4 = layers.c2f(6, (&p4, c4), (c4, true))?;
    let p5 = layers.down(7, (&p4, c4), c5)?;
    let p5 = layers.c2f(8, (&p5, c5), (c5, true))?;
    if config.task == Task::Classify {
        head::classify(&mut g, &model.push(CLASSIFY_LAYER), (&p5, config), taps)?;
        return Ok(g);
    }
    let p5 = layers.sppf(9, &p5, c5)?;

    let top_down = layers.upsample_concat(&p5, &p4)?;
    let n4 = layers.c2f(12, (&top_down, c5 + c4), (c4, false))?;
    let top_down = layers.upsample_concat(&n4, &p3)?;
    let n3 = layers.c2f(15, (&top_down, c4 + c3), (c3, false))?;
    let bottom_up = layers.down_concat(16, (&n3, c3), &n4)?;
    let n4 = layers.c2f(18, (&bottom_up, c3 + c4), (c4, false))?;
    let bottom_up = layers.down_concat(19, (&n4, c4), &p5)?;
    let n5 = layers.c2f(21, (&bottom_up, c4 + c5), (c5, false))?;
    head::detect(&mut g, &model.push(DETECT_LAYER), ([&n3, &n4, &n5], config), taps)?;
    Ok(g)
}

/// `Conv` of ultralytics: convolution, batch normalisation, SiLU.
pub(super) fn conv_silu<'w>(g: &mut Graph<'w>, (scope, task): (&Scope<'w>, Task), x: &Value, spec: ConvSpec) -> Result<Value> {
    let names = BatchNormed { conv: "conv", norm: "bn", epsilon: batch_norm_epsilon(task) };
    convolution_batch_norm(g, scope, (x, spec), (names, Activation::Silu))
}

/// The numbered layers of the model.
struct Layers<'g, 'w> {
    g: &'g mut Graph<'w>,
    model: Scope<'w>,
    config: &'g Config,
}

impl Layers<'_, '_> {
    fn conv(&mut self, scope: &str, x: &Value, spec: ConvSpec) -> Result<Value> {
        conv_silu(self.g, (&self.model.push(scope), self.config.task), x, spec)
    }

    /// Layers 0 and 1: to a quarter of the picture's size.
    fn stem(&mut self, images: &Value) -> Result<Value> {
        let [c1, c2, ..] = self.config.channels;
        let p1 = self.conv("0", images, ConvSpec { input: 3, output: c1, kernel: 3, stride: 2, groups: 1 })?;
        self.down(1, (&p1, c1), c2)
    }

    fn down(&mut self, layer: usize, (x, input): (&Value, usize), output: usize) -> Result<Value> {
        self.conv(&layer.to_string(), x, ConvSpec { input, output, kernel: 3, stride: 2, groups: 1 })
    }

    /// A cross-stage block with all intermediate results: half the channels go through a chain of bottlenecks, each link's
    /// result is kept, and one convolution joins them all. The halves are cut out of one convolution.
    fn c2f(&mut self, layer: usize, (x, input): (&Value, usize), (output, shortcut): (usize, bool)) -> Result<Value> {
        let repeats = C2F_LAYERS.iter().position(|l| *l == layer).map_or(0, |i| self.config.repeats[i]);
        let hidden = output / 2;
        let split = self.conv(&format!("{layer}.cv1"), x, ConvSpec { input, output: 2 * hidden, kernel: 1, stride: 1, groups: 1 })?;
        let mut last = self.g.scoped(format!("model.{layer}"), |g| g.slice(&split, 1, hidden as i64..2 * hidden as i64))?;
        let mut kept = vec![split];
        for i in 0..repeats {
            let spec = ConvSpec { input: hidden, output: hidden, kernel: 3, stride: 1, groups: 1 };
            let inner = self.conv(&format!("{layer}.m.{i}.cv1"), &last, spec)?;
            let inner = self.conv(&format!("{layer}.m.{i}.cv2"), &inner, spec)?;
            last = if shortcut { self.g.scoped(format!("model.{layer}.m.{i}"), |g| g.add(&last, &inner))? } else { inner };
            kept.push(last.clone());
        }
        let parts: Vec<&Value> = kept.iter().collect();
        let joined = self.g.scoped(format!("model.{layer}"), |g| g.concat(&parts, 1))?;
        self.conv(&format!("{layer}.cv2"), &joined, ConvSpec { input: (2 + repeats) * hidden, output, kernel: 1, stride: 1, groups: 1 })
    }

    /// Spatial pyramid pooling: three chained 5×5 maxima.
    fn sppf(&mut self, layer: usize, x: &Value, channels: usize) -> Result<Value> {
        let hidden = channels / 2;
        let first = self.conv(&format!("{layer}.cv1"), x, ConvSpec { input: channels, output: hidden, kernel: 1, stride: 1, groups: 1 })?;
        let pool = PoolOptions { kernel: [5; 2], stride: [1; 2], padding: [2; 4] };
        let joined = self.g.scoped(format!("model.{layer}"), |g| {
            let second = g.max_pool(&first, &pool)?;
            let third = g.max_pool(&second, &pool)?;
            let fourth = g.max_pool(&third, &pool)?;
            g.concat(&[&first, &second, &third, &fourth], 1)
        })?;
        self.conv(&format!("{layer}.cv2"), &joined, ConvSpec { input: 4 * hidden, output: channels, kernel: 1, stride: 1, groups: 1 })
    }

    fn upsample_concat(&mut self, small: &Value, large: &Value) -> Result<Value> {
        let enlarged = self.g.upsample(small, 2, Interpolation::Nearest)?;
        Ok(self.g.concat(&[&enlarged, large], 1)?)
    }

    fn down_concat(&mut self, layer: usize, (large, channels): (&Value, usize), small: &Value) -> Result<Value> {
        let halved = self.down(layer, (large, channels), channels)?;
        Ok(self.g.concat(&[&halved, small], 1)?)
    }
}
