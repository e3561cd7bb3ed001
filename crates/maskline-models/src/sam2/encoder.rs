//! The image encoder: trunk, feature pyramid, image side of the decoder.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Scope, Tensor};

use super::config::Config;
use super::hiera::Hiera;
use crate::blocks::{batched, computed};
use crate::info::MemoryHead;
use crate::sam::{Decoder, HighResolution};
use crate::{BuildOptions, Error, Result};

/// Name of the picture input.
pub(super) const INPUT: &str = "picture";

/// [`INPUT`] f32 [batch, 3, S, S], normalised → the embedding, see [`crate::embedding`].
pub(super) fn graph<'w>(checkpoint: &'w Checkpoint, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let taps = options.taps;
    let mut graph = options.encoder(&config.architecture, true);
    let g = &mut graph;
    let size = config.image_size;
    let picture = g.input(INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), size.into(), size.into()])?;
    let trunk = Hiera { scope: checkpoint.root().push(config.trunk_names.trunk), config };
    let (maps, patches) = trunk.stages(g, &picture)?;
    let pyramid = Pyramid { checkpoint, config };
    let lowest = pyramid.lateral(g, 3, &maps[3])?;
    let lateral = pyramid.lateral(g, 2, &maps[2])?;
    let joined = add_enlarged(g, &lateral, &lowest)?;
    let no_memory = pyramid.no_memory(g)?;
    let embedding = g.add(&joined, &no_memory)?;
    let middle = pyramid.high_resolution(g, &Level { index: 1, name: "conv_s1", output: config.decoder.width / 4 }, &maps[1])?;
    let fine = pyramid.high_resolution(g, &Level { index: 0, name: "conv_s0", output: config.decoder.width / 8 }, &maps[0])?;
    if taps {
        g.output("patches", &patches)?;
        for (i, map) in maps.iter().enumerate() {
            g.output(&format!("trunk.{i}"), map)?;
        }
        let second = pyramid.lateral(g, 1, &maps[1])?;
        for (name, map) in [("fpn.1", &second), ("fpn.2", &joined), ("level.2", &embedding), ("level.1", &middle), ("level.0", &fine)] {
            let map = g.transpose(map, &[0, 3, 1, 2])?;
            g.output(name, &map)?;
        }
    }
    let decoder = Decoder::new(checkpoint, config.decoder_names, &config.decoder);
    if taps {
        decoder.positions_tap(g, "positions")?;
    }
    let cells =
        g.reshape(&embedding, batched(&embedding.shape()[0], &[config.decoder.grid * config.decoder.grid, config.decoder.width]))?;
    if config.memory.is_some() {
        // What a past is added to, instead of its absence.
        let features = g.reshape(&joined, cells.shape().clone())?;
        g.output(MemoryHead::FEATURES, &features)?;
    }
    decoder.image_side(g, &cells, Some(HighResolution { middle: &middle, fine: &fine }))?;
    Ok(graph)
}

/// The feature pyramid (Lin et al. 2017), of which only the third level is fed from above.
struct Pyramid<'a, 'w> {
    checkpoint: &'w Checkpoint,
    config: &'a Config,
}

impl<'w> Pyramid<'_, 'w> {
    /// The convolution of a level; they are stored from the lowest resolution to the highest.
    fn scope(&self, level: usize) -> Scope<'w> {
        let names = self.config.trunk_names;
        self.checkpoint.root().push(names.neck).push(format!("{}{}", 3 - level, names.neck_suffix))
    }

    fn weights(&self, level: usize) -> Result<(Tensor<'w>, Tensor<'w>)> {
        let (scope, width) = (self.scope(level), self.config.decoder.width);
        Ok((scope.f32("weight", &[width, self.config.stages[level].width, 1, 1])?, scope.f32("bias", &[width])?))
    }

    fn lateral(&self, g: &mut Graph<'w>, level: usize, map: &Value) -> Result<Value> {
        let (weight, bias) = self.weights(level)?;
        let (input, output) = (self.config.stages[level].width, self.config.decoder.width);
        let (weight, bias) = (weight.data.into_owned(), bias.data.into_owned());
        point_convolution(g, &self.scope(level), map, Point { sizes: [input, output], weight, bias })
    }

    /// The decoder's 1×1 convolution of a level that nothing is added to follows the pyramid's at once: both are one.
    fn high_resolution(&self, g: &mut Graph<'w>, level: &Level, map: &Value) -> Result<Value> {
        let Level { index: level, name, output } = *level;
        let (lateral, lateral_bias) = self.weights(level)?;
        let (input, width) = (self.config.stages[level].width, self.config.decoder.width);
        let scope = self.checkpoint.root().push(self.config.decoder_names.mask_decoder).push(name);
        let (weight, bias) = (scope.f32("weight", &[output, width, 1, 1])?, scope.f32("bias", &[output])?);
        let mut joined = Vec::with_capacity(output * input);
        let mut joined_bias = Vec::with_capacity(output);
        for (row, bias) in weight.data.chunks_exact(width).zip(bias.data.iter()) {
            let mut sums = vec![0.0_f64; input];
            for (factor, lateral) in row.iter().zip(lateral.data.chunks_exact(input)) {
                sums.iter_mut().zip(lateral).for_each(|(sum, w)| *sum += f64::from(*factor) * f64::from(*w));
            }
            joined.extend(sums.iter().map(|sum| *sum as f32));
            let shift: f64 = row.iter().zip(lateral_bias.data.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            joined_bias.push((shift + f64::from(*bias)) as f32);
        }
        point_convolution(g, &scope, map, Point { sizes: [input, output], weight: joined, bias: joined_bias })
    }

    /// A picture without a past: [1, 1, 1, C].
    fn no_memory(&self, g: &mut Graph<'w>) -> Result<Value> {
        let width = self.config.decoder.width;
        let tensor = self.checkpoint.root().f32(self.config.trunk_names.no_memory, &[1, 1, width])?;
        computed(g, &[1, 1, 1, width], tensor.data.into_owned())
    }
}

/// A level that the decoder sees: its number, and the decoder's convolution of it.
struct Level {
    index: usize,
    name: &'static str,
    output: usize,
}

/// The numbers of a 1×1 convolution: input and output channels, weight [output, input], bias [output].
struct Point {
    sizes: [usize; 2],
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// A 1×1 convolution of a map with channels last.
fn point_convolution<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, map: &Value, point: Point) -> Result<Value> {
    let Point { sizes: [input, output], weight, bias } = point;
    let (weight, bias) = (computed(g, &[output, input], weight)?, computed(g, &[output], bias)?);
    let area = map.shape()[1].product(&map.shape()[2]).and_then(|n| n.known()).unwrap_or(0);
    g.scoped(scope.name(), |g| {
        let flat = g.reshape(map, vec![map.shape()[0].times(area as i64), input.into()])?;
        let flat = g.linear(&flat, &weight, Some(&bias))?;
        let mut shape = map.shape().0.clone();
        shape[3] = output.into();
        Ok::<_, Error>(g.reshape(&flat, shape)?)
    })
}

/// `large + small`, each cell of `small` under four of `large`.
fn add_enlarged(g: &mut Graph<'_>, large: &Value, small: &Value) -> Result<Value> {
    let [batch, rows, columns, width] = [0, 1, 2, 3].map(|axis| small.shape()[axis].clone());
    let split = g.reshape(large, vec![batch.clone(), rows.clone(), 2.into(), columns.clone(), 2.into(), width.clone()])?;
    let small = g.reshape(small, vec![batch, rows, 1.into(), columns, 1.into(), width])?;
    let sum = g.add(&split, &small)?;
    Ok(g.reshape(&sum, large.shape().clone())?)
}
