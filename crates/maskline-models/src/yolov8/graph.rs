//! Backbone and neck: convolutions, C2f blocks, SPPF, and a path aggregation network over three levels.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope};

use super::config::{C2F_LAYERS, CLASSIFY_LAYER, Config, DETECT_LAYER, output_channels};
use super::head::Head;
use super::said;
use crate::blocks::{Activation, BatchNormed, ConvSpec, convolution_batch_norm, parameter, pickled};
use crate::{BuildOptions, Result, Task};

/// Epsilon of the batch normalisations, where the checkpoint does not say it: state dicts do not. Only the detectors' initialisation changes PyTorch's default.
fn batch_norm_epsilon(task: Task) -> f64 {
    if task == Task::Classify { 1e-5 } else { 1e-3 }
}

/// Name of the picture input.
pub(super) const INPUT: &str = "images";

/// The network of `config` as one graph: [`INPUT`] f32 [batch, 3, 32·rows, 32·columns], RGB in 0..1; outputs by [`head`].
pub(super) fn network<'w>(checkpoint: &'w Checkpoint, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let taps = options.taps;
    let mut g = Graph::new(&config.architecture, options.dialect);
    let side = |name: &str| Dim::symbol(name).times(32);
    let images = g.input(INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), side("rows"), side("columns")])?;
    let model = checkpoint.root().push("model");
    let [c2, c3, c4, c5] = [1, 2, 3, 4].map(|i| config.channels[i]);
    let style = ConvStyle { epsilon: batch_norm_epsilon(config.task), activation: said::default_activation(checkpoint)? };
    said::check_layers(&model, config)?;
    let layers = &mut Layers { g: &mut g, model: model.clone(), config, style };

    let p2 = layers.stem(&images)?;
    let p2 = layers.c2f(2, &p2, [c2, c2], true)?;
    let p3 = layers.down(3, &p2, [c2, c3])?;
    let p3 = layers.c2f(4, &p3, [c3, c3], true)?;
    let p4 = layers.down(5, &p3, [c3, c4])?;
    let p4 = layers.c2f(6, &p4, [c4, c4], true)?;
    let p5 = layers.down(7, &p4, [c4, c5])?;
    let p5 = layers.c2f(8, &p5, [c5, c5], true)?;
    if config.task == Task::Classify {
        let head = Head { scope: model.push(CLASSIFY_LAYER), config, style, taps };
        head.classify(&mut g, &p5)?;
        return Ok(g);
    }
    let p5 = layers.sppf(9, &p5, c5)?;
    let sppf = p5.clone();

    let top_down = layers.upsample_concat(10, &p5, &p4)?;
    let n4 = layers.c2f(12, &top_down, [c5 + c4, c4], false)?;
    let top_down = layers.upsample_concat(13, &n4, &p3)?;
    let n3 = layers.c2f(15, &top_down, [c4 + c3, c3], false)?;
    let bottom_up = layers.down_concat(16, [&n3, &n4], c3)?;
    let n4 = layers.c2f(18, &bottom_up, [c3 + c4, c4], false)?;
    let bottom_up = layers.down_concat(19, [&n4, &p5], c4)?;
    let n5 = layers.c2f(21, &bottom_up, [c4 + c5, c5], false)?;
    if taps {
        g.output("sppf", &sppf)?;
    }
    let head = Head { scope: model.push(DETECT_LAYER), config, style, taps };
    head.detect(&mut g, [&n3, &n4, &n5])?;
    Ok(g)
}

/// What no tensor tells of the convolutions; a pickled module says it of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvStyle {
    epsilon: f64,
    activation: Activation,
}

impl ConvStyle {
    /// `Conv` of ultralytics: convolution, batch normalisation, and the activation that the checkpoint says (SiLU in the published models).
    pub(super) fn conv<'w>(self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
        pickled::expect_class(scope, &["Conv"])?;
        let names = BatchNormed { conv: "conv", norm: "bn", epsilon: self.epsilon };
        match said::activation(scope, self.activation)? {
            Some(activation) => convolution_batch_norm(g, scope, x, names.of(spec).then(activation)),
            None => {
                let y = convolution_batch_norm(g, scope, x, names.of(spec))?;
                slopes(g, &scope.push("act"), &y, spec.output)
            }
        }
    }
}

/// Negative values times a slope that was learned, for all channels or for each.
fn slopes<'w>(g: &mut Graph<'w>, act: &Scope<'w>, x: &Value, channels: usize) -> Result<Value> {
    let count = if act.shape("weight")? == [1] { 1 } else { channels };
    let slope = parameter(g, act, "weight", &[count])?;
    g.scoped(act.name(), |g| {
        let slope = g.reshape(&slope, [count, 1, 1])?;
        Ok(g.prelu(x, &slope)?)
    })
}

/// The numbered layers of the model.
struct Layers<'g, 'w> {
    g: &'g mut Graph<'w>,
    model: Scope<'w>,
    config: &'g Config,
    style: ConvStyle,
}

impl Layers<'_, '_> {
    fn conv(&mut self, scope: &str, x: &Value, spec: ConvSpec) -> Result<Value> {
        self.style.conv(self.g, &self.model.push(scope), x, spec)
    }

    /// Layers 0 and 1: to a quarter of the picture's size.
    fn stem(&mut self, images: &Value) -> Result<Value> {
        let [c1, c2, ..] = self.config.channels;
        let p1 = self.conv("0", images, ConvSpec { input: 3, output: c1, kernel: 3, stride: 2, groups: 1 })?;
        self.down(1, &p1, [c1, c2])
    }

    fn down(&mut self, layer: usize, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
        self.conv(&layer.to_string(), x, ConvSpec { input, output, kernel: 3, stride: 2, groups: 1 })
    }

    /// Channels of a cross-stage block's links, as its two convolutions say together; `None` where they disagree, as in a damaged file,
    /// which is told by what the published models have: half of the output.
    fn c2f_width(&self, layer: usize, repeats: usize) -> Result<Option<usize>> {
        if self.model.checkpoint().is_synthetic() {
            return Ok(None);
        }
        let hidden = output_channels(&self.model, &format!("{layer}.cv1.conv.weight"))? / 2;
        let joined = self.model.shape(&format!("{layer}.cv2.conv.weight"))?.get(1).copied();
        Ok(Some(hidden).filter(|hidden| *hidden > 0 && joined == Some((2 + repeats) * hidden)))
    }

    /// A cross-stage block with all intermediate results: half the channels go through a chain of bottlenecks, each link's
    /// result is kept, and one convolution joins them all. The halves are cut out of one convolution.
    fn c2f(&mut self, layer: usize, x: &Value, [input, output]: [usize; 2], shortcut: bool) -> Result<Value> {
        let repeats = C2F_LAYERS.iter().position(|l| *l == layer).map_or(0, |i| self.config.repeats[i]);
        let hidden = self.c2f_width(layer, repeats)?.unwrap_or(output / 2);
        let split = self.conv(&format!("{layer}.cv1"), x, ConvSpec { input, output: 2 * hidden, kernel: 1, stride: 1, groups: 1 })?;
        let mut last = self.g.scoped(format!("model.{layer}"), |g| g.slice(&split, 1, hidden as i64..2 * hidden as i64))?;
        let mut kept = vec![split];
        for i in 0..repeats {
            let adds = said::adds(&self.model.push(layer).push("m").push(i), shortcut)?;
            let spec = ConvSpec { input: hidden, output: hidden, kernel: 3, stride: 1, groups: 1 };
            let inner = self.conv(&format!("{layer}.m.{i}.cv1"), &last, spec)?;
            let inner = self.conv(&format!("{layer}.m.{i}.cv2"), &inner, spec)?;
            last = if adds { self.g.scoped(format!("model.{layer}.m.{i}"), |g| g.add(&last, &inner))? } else { inner };
            kept.push(last.clone());
        }
        let parts: Vec<&Value> = kept.iter().collect();
        let joined = self.g.scoped(format!("model.{layer}"), |g| g.concat(&parts, 1))?;
        self.conv(&format!("{layer}.cv2"), &joined, ConvSpec { input: (2 + repeats) * hidden, output, kernel: 1, stride: 1, groups: 1 })
    }

    /// Spatial pyramid pooling: chained maxima over windows (three over 5×5 in the published models).
    fn sppf(&mut self, layer: usize, x: &Value, channels: usize) -> Result<Value> {
        let hidden = channels / 2;
        let pooling = said::pooling(&self.model.push(layer))?;
        let first = self.conv(&format!("{layer}.cv1"), x, ConvSpec { input: channels, output: hidden, kernel: 1, stride: 1, groups: 1 })?;
        let joined = self.g.scoped(format!("model.{layer}"), |g| {
            let mut kept = vec![first];
            for _ in 0..pooling.times {
                let last = kept[kept.len() - 1].clone();
                kept.push(g.max_pool(&last, &pooling.pool)?);
            }
            g.concat(&kept.iter().collect::<Vec<_>>(), 1)
        })?;
        let input = (1 + pooling.times) * hidden;
        let y = self.conv(&format!("{layer}.cv2"), &joined, ConvSpec { input, output: channels, kernel: 1, stride: 1, groups: 1 })?;
        if pooling.adds { Ok(self.g.scoped(format!("model.{layer}"), |g| g.add(&y, x))?) } else { Ok(y) }
    }

    fn upsample_concat(&mut self, layer: usize, small: &Value, large: &Value) -> Result<Value> {
        let interpolation = said::upsampling(&self.model.push(layer))?;
        let enlarged = self.g.upsample(small, 2, interpolation)?;
        Ok(self.g.concat(&[&enlarged, large], 1)?)
    }

    fn down_concat(&mut self, layer: usize, [large, small]: [&Value; 2], channels: usize) -> Result<Value> {
        let halved = self.down(layer, large, [channels; 2])?;
        Ok(self.g.concat(&[&halved, small], 1)?)
    }
}
