//! The image encoder: a ViT with attention in windows and over the whole picture (Li et al. 2022), a neck, the image side of the
//! decoder. Maps are [B, rows, columns, width].

use maskline_onnx::{AttentionOptions, ConvOptions, DType, Dim, Graph, Interpolation, LayerActivation, Value};
use maskline_weights::{Init, Scope};

use super::config::Config;
use super::relative::{self, Sizes};
use crate::blocks::{Joint, Mlp, Norm, Normed, cells, constant, dense, join, layer_norm, map_sizes, mlp, parameter, partition};
use crate::sam::{Decoder, first};
use crate::{BuildOptions, Error, Result};

/// The picture f32 [batch, 3, S, S], normalised → the embedding, see [`crate::embedding`].
pub(super) fn graph<'w>(decoder: &Decoder<'_, 'w>, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let (checkpoint, taps) = (decoder.checkpoint(), options.taps);
    let mut graph = options.encoder(&config.architecture, true);
    let g = &mut graph;
    let size = config.image_size;
    let picture = g.input(first::INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), size.into(), size.into()])?;
    let vit = Vit { scope: checkpoint.root().push(config.names.encoder), config };
    let mut x = vit.patches(g, &picture)?;
    if taps {
        g.output("patches", &x)?;
    }
    for index in 0..config.windows.len() {
        x = vit.block(g, index, &x)?;
        if taps {
            g.output(&format!("block{index}"), &x)?;
        }
    }
    let neck = config.names.neck.map(|name| vit.scope.push(name));
    let embedding = first::neck(g, &neck, &x, [config.width, config.decoder.width])?;
    if taps {
        first::tap(g, "embedding", &embedding)?;
        decoder.positions_tap(g, "positions")?;
    }
    let cells = cells(g, &embedding)?;
    decoder.image_side(g, &cells, None)?;
    Ok(graph)
}

/// The ViT of a checkpoint.
struct Vit<'a, 'w> {
    scope: Scope<'w>,
    config: &'a Config,
}

impl<'w> Vit<'_, 'w> {
    fn patches(&self, g: &mut Graph<'w>, picture: &Value) -> Result<Value> {
        let Config { width, patch, .. } = *self.config;
        let scope = self.scope.push(self.config.names.patches);
        let weight = parameter(g, &scope, "weight", &[width, 3, patch, patch])?;
        let bias = parameter(g, &scope, "bias", &[width])?;
        let options = ConvOptions { stride: [patch; 2], ..ConvOptions::default() };
        let x = g.scoped(scope.name(), |g| g.conv(picture, &weight, Some(&bias), &options))?;
        let x = g.transpose(&x, &[0, 2, 3, 1])?;
        match self.positions(g)? {
            Some(positions) => Ok(g.add(&x, &positions)?),
            None => Ok(x),
        }
    }

    /// The position embedding [1, grid, grid, width], stretched where the picture has another side than the one trained with (ViTDet).
    fn positions(&self, g: &mut Graph<'w>) -> Result<Option<Value>> {
        let (side, grid, width) = (self.config.positions, self.config.grid(), self.config.width);
        if side == 0 {
            return Ok(None);
        }
        let stored = self.scope.f32_init("pos_embed", &[1, side, side, width], Init::Normal { mean: 0.0, std: 0.5 })?;
        let positions = constant(g, &self.scope, "pos_embed", stored)?;
        if side == grid {
            return Ok(Some(positions));
        }
        g.scoped(self.scope.name(), |g| {
            let map = g.transpose(&positions, &[0, 3, 1, 2])?;
            let map = g.resize(&map, [grid; 2], Interpolation::Cubic)?;
            Ok::<_, Error>(Some(g.transpose(&map, &[0, 2, 3, 1])?))
        })
    }

    fn block(&self, g: &mut Graph<'w>, index: usize, x: &Value) -> Result<Value> {
        let Config { width, hidden, epsilon, names, .. } = *self.config;
        let scope = self.scope.push(names.blocks).push(index);
        let norm = |i: usize| scope.push(format!("{}{i}", names.norm));
        let y = layer_norm(g, &norm(1), x, Norm::of(width, epsilon))?;
        let y = self.attention(g, &scope.push("attn"), index, &y)?;
        let x = g.add(x, &y)?;
        if g.has_own_layers() {
            let second = norm(2);
            let normed = Normed { scope: &second, norm: Norm::of(width, epsilon) };
            let layers = ["mlp.lin1", "mlp.lin2"].map(|name| scope.push(name));
            return Mlp { norm: normed, layers: layers.each_ref(), activation: LayerActivation::Gelu }.build(g, &x, hidden);
        }
        let y = layer_norm(g, &norm(2), &x, Norm::of(width, epsilon))?;
        let y = mlp(g, [&scope.push("mlp.lin1"), &scope.push("mlp.lin2")], &y, [width, hidden])?;
        Ok(g.add(&x, &y)?)
    }

    /// Cells that fill the last windows up are zeros before the projection and take part in the attention.
    fn attention(&self, g: &mut Graph<'w>, scope: &Scope<'w>, index: usize, x: &Value) -> Result<Value> {
        let Config { width, heads, .. } = *self.config;
        let [rows, columns, _] = map_sizes(x);
        let side = if self.config.windows[index] == 0 { rows } else { self.config.windows[index] };
        let windows = partition(g, x, [side; 2])?;
        let [q, k, v] = Joint::ByKind.projections(g, &scope.push("qkv"), &windows, [width; 2])?;
        let [q, k, v] = [cells(g, &q)?, cells(g, &k)?, cells(g, &v)?];
        let seen = match self.config.relative[index] {
            0 => g.scoped(scope.name(), |g| g.attention([&q, &k, &v], &AttentionOptions { heads, scale: None }))?,
            rows => relative::attention(g, scope, [&q, &k, &v], Sizes { heads, head: width / heads, side, rows })?,
        };
        let seen = g.reshape(&seen, windows.shape().clone())?;
        let joined = join(g, &seen, &x.shape()[0], [rows, columns])?;
        dense(g, &scope.push("proj"), &joined, [width; 2])
    }
}
