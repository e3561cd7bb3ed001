//! Backbone and neck: the layers of a generation, one after the other, at the sizes of a configuration.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope};

use super::attention;
use super::config::{Config, LinkKind, Sizes};
use super::conv::ConvStyle;
use super::generation::{Layer, Pool, Stage};
use super::head::Head;
use super::{checks, said};
use crate::blocks::ConvSpec;
use crate::{BuildOptions, Error, ErrorKind, Result};

/// Name of the picture input.
pub(super) const INPUT: &str = "images";

/// The network of `config` as one graph: [`INPUT`] f32 [batch, 3, 32·rows, 32·columns], RGB in 0..1; outputs by [`Head`].
pub(super) fn network<'w>(checkpoint: &'w Checkpoint, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let mut g = Graph::new(&config.architecture, options.dialect);
    let side = |name: &str| Dim::symbol(name).times(32);
    let images = g.input(INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), side("rows"), side("columns")])?;
    let model = checkpoint.root().push("model");
    let style =
        ConvStyle { epsilon: said::epsilon(checkpoint, config.is_classifier())?, activation: said::default_activation(checkpoint)? };
    checks::layers(&model, config)?;
    let layers = config.generation.layers(config.is_classifier());
    let mut outputs: Vec<Value> = Vec::with_capacity(layers.len());
    for (index, (layer, sizes)) in layers.iter().zip(&config.layers).enumerate() {
        let block = Block { scope: model.push(index), style, sizes: *sizes };
        let x = outputs.last().unwrap_or(&images).clone();
        let made = match layer {
            Layer::Down(_) => block.down(&mut g, &x)?,
            Layer::Stage(stage) => block.stage(&mut g, &x, stage)?,
            Layer::Pool(pool) => block.pool(&mut g, &x, pool)?,
            Layer::Attention { .. } => block.attention(&mut g, &x)?,
            Layer::Upsample => g.upsample(&x, 2, said::upsampling(&block.scope)?)?,
            Layer::Concat(other) => g.concat(&[&x, &outputs[*other]], 1)?,
        };
        outputs.push(made);
    }
    if options.taps {
        tap(&mut g, layers, &outputs)?;
    }
    let head = Head { scope: model.push(layers.len()), config, style, taps: options.taps };
    if config.is_classifier() {
        head.classify(&mut g, &outputs[outputs.len() - 1])?;
    } else {
        head.detect(&mut g, config.generation.levels.map(|level| &outputs[level]))?;
    }
    Ok(g)
}

/// Inner tensors that golden cases hold.
fn tap(g: &mut Graph<'_>, layers: &[Layer], outputs: &[Value]) -> Result<()> {
    for (layer, output) in layers.iter().zip(outputs) {
        match layer {
            Layer::Pool(_) => g.output("sppf", output)?,
            Layer::Attention { .. } => g.output("c2psa", output)?,
            _ => {}
        }
    }
    Ok(())
}

/// Channels of a map.
pub(super) fn channels(x: &Value) -> Result<usize> {
    x.shape().0.get(1).and_then(Dim::known).ok_or_else(|| Error::new(ErrorKind::Graph, format!("{} has no known channels", x.shape())))
}

/// A layer, or a block inside of one.
struct Block<'w> {
    scope: Scope<'w>,
    style: ConvStyle,
    sizes: Sizes,
}

impl<'w> Block<'w> {
    fn conv(&self, g: &mut Graph<'w>, name: &str, x: &Value, spec: ConvSpec) -> Result<Value> {
        self.style.conv(g, &self.scope.push(name), x, spec)
    }

    fn point(&self, g: &mut Graph<'w>, name: &str, x: &Value, output: usize) -> Result<Value> {
        self.conv(g, name, x, ConvSpec::point(channels(x)?, output))
    }

    fn down(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        self.style.conv(g, &self.scope, x, ConvSpec { kernel: 3, stride: 2, ..ConvSpec::point(channels(x)?, self.sizes.output) })
    }

    /// A cross-stage block with all intermediate results (`C2f`, `C3k2`): half the channels go through a chain of links, each link's
    /// result is kept, and one convolution joins them all. The halves are cut out of one convolution.
    fn stage(&self, g: &mut Graph<'w>, x: &Value, stage: &Stage) -> Result<Value> {
        let width = self.sizes.hidden;
        let split = self.point(g, "cv1", x, 2 * width)?;
        let mut last = g.scoped(self.scope.name(), |g| g.slice(&split, 1, width as i64..2 * width as i64))?;
        let mut kept = vec![split];
        for i in 0..self.sizes.repeats {
            last = self.link(g, &self.scope.push("m").push(i), &last, stage.adds)?;
            kept.push(last.clone());
        }
        let joined = g.scoped(self.scope.name(), |g| g.concat(&kept.iter().collect::<Vec<_>>(), 1))?;
        self.point(g, "cv2", &joined, self.sizes.output)
    }

    fn link(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, adds: bool) -> Result<Value> {
        let hidden = self.sizes.link.hidden;
        let bottleneck = Bottleneck { style: self.style, hidden, adds };
        match self.sizes.link.kind {
            LinkKind::Bottleneck => bottleneck.build(g, scope, x),
            LinkKind::Nested => self.nested(g, scope, x, &bottleneck),
            LinkKind::Attended => {
                checks::class(scope, "Sequential")?;
                let x = bottleneck.build(g, &scope.push(0), x)?;
                attention::block(g, &scope.push(1), &x, self.style)
            }
        }
    }

    /// A cross-stage block of two ways (`C3k`): one through a chain of bottlenecks, one past it, joined by a convolution.
    fn nested(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, bottleneck: &Bottleneck) -> Result<Value> {
        checks::class(scope, "C3k")?;
        let inner = Block { scope: scope.clone(), ..*self };
        let mut way = inner.point(g, "cv1", x, bottleneck.hidden)?;
        let past = inner.point(g, "cv2", x, bottleneck.hidden)?;
        for i in 0..self.sizes.link.repeats {
            way = bottleneck.build(g, &scope.push("m").push(i), &way)?;
        }
        let joined = g.scoped(scope.name(), |g| g.concat(&[&way, &past], 1))?;
        inner.point(g, "cv3", &joined, channels(x)?)
    }

    /// Spatial pyramid pooling: chained maxima over windows (three over 5×5 in the published models).
    fn pool(&self, g: &mut Graph<'w>, x: &Value, pool: &Pool) -> Result<Value> {
        let pooling = said::pooling(&self.scope, pool.is_residual && channels(x)? == self.sizes.output)?;
        let spec = ConvSpec::point(channels(x)?, self.sizes.hidden);
        // Where modules say nothing.
        let style = if pool.is_residual { self.style.bare() } else { self.style };
        let first = style.conv(g, &self.scope.push("cv1"), x, spec)?;
        let joined = g.scoped(self.scope.name(), |g| {
            let mut kept = vec![first];
            for _ in 0..pooling.times {
                let last = kept[kept.len() - 1].clone();
                kept.push(g.max_pool(&last, &pooling.pool)?);
            }
            g.concat(&kept.iter().collect::<Vec<_>>(), 1)
        })?;
        let y = self.point(g, "cv2", &joined, self.sizes.output)?;
        if pooling.adds { Ok(g.scoped(self.scope.name(), |g| g.add(&y, x))?) } else { Ok(y) }
    }

    /// A cross-stage block of attention (`C2PSA`): half the channels go through it.
    fn attention(&self, g: &mut Graph<'w>, x: &Value) -> Result<Value> {
        let width = self.sizes.hidden;
        let split = self.point(g, "cv1", x, 2 * width)?;
        let [past, mut way] = g.scoped(self.scope.name(), |g| {
            Ok::<_, Error>([g.slice(&split, 1, 0..width as i64)?, g.slice(&split, 1, width as i64..2 * width as i64)?])
        })?;
        for i in 0..self.sizes.repeats {
            way = attention::block(g, &self.scope.push("m").push(i), &way, self.style)?;
        }
        let joined = g.scoped(self.scope.name(), |g| g.concat(&[&past, &way], 1))?;
        self.point(g, "cv2", &joined, self.sizes.output)
    }
}

/// Two convolutions, to which the input may be added.
struct Bottleneck {
    style: ConvStyle,
    /// Channels between them.
    hidden: usize,
    /// As the published models do; modules say it themselves.
    adds: bool,
}

impl Bottleneck {
    fn build<'w>(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value) -> Result<Value> {
        let width = channels(x)?;
        let adds = said::adds(scope, "Bottleneck", self.adds)?;
        let inner = self.style.conv(g, &scope.push("cv1"), x, ConvSpec { kernel: 3, ..ConvSpec::point(width, self.hidden) })?;
        let inner = self.style.conv(g, &scope.push("cv2"), &inner, ConvSpec { kernel: 3, ..ConvSpec::point(self.hidden, width) })?;
        if adds { Ok(g.scoped(scope.name(), |g| g.add(x, &inner))?) } else { Ok(inner) }
    }
}
