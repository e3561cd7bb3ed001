//! Memory encoder: a picture's features and the mask of an object in it become a memory.

use maskline_onnx::{ConvOptions, DType, Dialect, Dim, GeluForm, Graph, Interpolation, Value};
use maskline_weights::Scope;

use super::Memory;
use crate::Result;
use crate::blocks::{ConvSpec, Norm, convolution, dense_point, layer_norm, layer_norm_channels, linear_gelu, parameter};
use crate::blocks::{grid_positions, linear};
use crate::info::MemoryHead;

/// Epsilon of the layer norms.
const EPSILON: f32 = 1e-6;

impl<'w> Memory<'_, 'w> {
    /// [`MemoryHead::ENCODER`]: features [1, T, C] of a picture and the masks of O objects in it → memories [O, T, M].
    pub(super) fn encoder(&self, g: &mut Graph<'w>, taps: bool) -> Result<()> {
        let (config, scope) = (self.config, self.scope.push(self.names.encoder));
        let (area, grid, width) = (self.area(), config.grid, config.width);
        let features = g.input(MemoryHead::FEATURES, DType::F32, [1, area, width])?;
        let objects = Dim::symbol("objects");
        let object = g.input(MemoryHead::OBJECT, DType::F32, [objects.clone(), 1.into()])?;
        let mask = self.remembered_mask(g, objects)?;
        let mask = self.shrunk(g, &scope, &mask)?;
        let mask = g.transpose(&mask, &[0, 2, 3, 1])?;
        let map = g.reshape(&features, [1, grid, grid, width])?;
        let map = dense_point_with_bias(g, &scope.push(self.names.features), &map, [width, width])?;
        // OpenVINO takes the picture's one map into the convolution before, as if it had a row for each object.
        let map = if g.dialect() == Dialect::Portable { g.repeat_leading(&map, &mask)? } else { map };
        let mut x = g.add(&map, &mask)?;
        for index in 0..config.fuser_blocks {
            x = self.fuse(g, &scope.push(self.names.fuser).push(index), &x)?;
        }
        let memory = dense_point_with_bias(g, &scope.push(self.names.projection), &x, [width, config.memory_width])?;
        let memory = g.reshape(&memory, vec![memory.shape()[0].clone(), area.into(), config.memory_width.into()])?;
        let memory = self.with_occlusion(g, &memory, &object)?;
        if taps {
            let places = grid_positions(g, grid, config.memory_width)?;
            g.output("positions", &places)?;
        }
        Ok(g.output(MemoryHead::MEMORY, &memory)?)
    }

    /// The mask at the size of the picture's input, as it is remembered: probabilities, or 0 and 1 where it is `hard`, scaled.
    fn remembered_mask(&self, g: &mut Graph<'w>, objects: Dim) -> Result<Value> {
        let side = self.config.mask_side;
        let [rows, columns] = ["rows", "columns"].map(Dim::symbol);
        let logits = g.input(MemoryHead::LOGITS, DType::F32, [objects.clone(), 1.into(), rows, columns])?;
        let hard = g.input(MemoryHead::HARD, DType::Bool, [objects, 1.into(), 1.into(), 1.into()])?;
        let logits = g.resize(&logits, [side; 2], Interpolation::Linear)?;
        let zero = g.scalar(0.0);
        let inside = g.greater(&logits, &zero)?;
        let inside = g.cast(&inside, DType::F32)?;
        let soft = g.sigmoid(&logits)?;
        let mask = g.select(&hard, &inside, &soft)?;
        let [scale, bias] = self.config.mask_scale.map(|number| g.scalar(number));
        let mask = g.mul(&mask, &scale)?;
        Ok(g.add(&mask, &bias)?)
    }

    /// Convolutions that halve the mask until it has the picture's grid: [O, 1, S, S] → [O, C, g, g].
    fn shrunk(&self, g: &mut Graph<'w>, scope: &Scope<'w>, mask: &Value) -> Result<Value> {
        let (mut x, mut input) = (mask.clone(), 1);
        for (index, &output) in self.config.mask_channels.iter().enumerate() {
            let [conv, norm] = self.names.mask_layers.layer(index).map(|name| scope.push(name));
            x = convolution(g, &conv, &x, ConvSpec { kernel: 3, stride: 2, ..ConvSpec::point(input, output) })?;
            x = layer_norm_channels(g, &norm, &x, Norm::of(output, EPSILON))?;
            x = g.gelu(&x, GeluForm::Exact)?;
            input = output;
        }
        let last = scope.push(self.names.mask_layers.last(self.config.mask_channels.len()));
        convolution(g, &last, &x, ConvSpec::point(input, self.config.width))
    }

    /// A block as in ConvNeXt (Liu et al. 2022): [O, g, g, C] → the same.
    fn fuse(&self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value) -> Result<Value> {
        let (config, [depthwise, norm, point1, point2, scale]) = (self.config, self.names.fuser_block);
        let (width, grid, hidden) = (config.width, config.grid, config.fuser_hidden);
        let y = g.transpose(x, &[0, 3, 1, 2])?;
        let y = convolution(g, &scope.push(depthwise), &y, ConvSpec::depthwise(width, config.fuser_kernel, 1))?;
        let y = g.transpose(&y, &[0, 2, 3, 1])?;
        let y = layer_norm(g, &scope.push(norm), &y, Norm::of(width, EPSILON))?;
        let rows = g.reshape(&y, vec![y.shape()[0].times((grid * grid) as i64), width.into()])?;
        let rows = linear_gelu(g, &scope.push(point1), &rows, [width, hidden])?;
        let rows = linear(g, &scope.push(point2), &rows, [hidden, width])?;
        let scale = parameter(g, scope, scale, &[width])?;
        let rows = g.mul(&rows, &scale)?;
        let y = g.reshape(&rows, x.shape().clone())?;
        Ok(g.add(x, &y)?)
    }

    /// What is remembered of an object that is not seen says so.
    fn with_occlusion(&self, g: &mut Graph<'w>, memory: &Value, object: &Value) -> Result<Value> {
        if !self.config.tells_occlusion {
            return Ok(memory.clone());
        }
        let told = parameter(g, &self.scope, self.names.occlusion, &[1, self.config.memory_width])?;
        let zero = g.scalar(0.0);
        let seen = g.greater(object, &zero)?;
        let unseen = g.not(&seen)?;
        let unseen = g.cast(&unseen, DType::F32)?;
        let told = g.mul(&unseen, &told)?;
        let told = g.unsqueeze(&told, 1)?;
        Ok(g.add(memory, &told)?)
    }

    /// [`MemoryHead::MASK_READER`]: masks of 0 and 1 at the size of the picture's input, [O, 1, S, S] → what the decoder takes as logits,
    /// [O, 1, S/4, S/4].
    pub(super) fn mask_reader(&self, g: &mut Graph<'w>) -> Result<()> {
        let side = self.config.mask_side;
        let mask = g.input(MemoryHead::MASK, DType::F32, [Dim::symbol("objects"), 1.into(), side.into(), side.into()])?;
        let scope = self.scope.push(self.names.mask_downsample);
        let weight = parameter(g, &scope, "weight", &[1, 1, 4, 4])?;
        let bias = parameter(g, &scope, "bias", &[1])?;
        let options = ConvOptions { stride: [4, 4], ..ConvOptions::default() };
        let logits = g.scoped(scope.name(), |g| g.conv(&mask, &weight, Some(&bias), &options))?;
        Ok(g.output(MemoryHead::LOGITS, &logits)?)
    }
}

/// A 1×1 convolution with bias of a map with channels last.
fn dense_point_with_bias<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, sizes: [usize; 2]) -> Result<Value> {
    let y = dense_point(g, scope, x, sizes)?;
    let bias = parameter(g, scope, "bias", &[sizes[1]])?;
    g.scoped(scope.name(), |g| Ok(g.add(&y, &bias)?))
}
