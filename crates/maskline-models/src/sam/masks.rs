//! From image cells to masks: upscaling, hypernetworks, scores.
//!
//! Both transposed convolutions have kernel and stride 2: each cell becomes four by a matrix product. Cells are kept in that blocked
//! order ([y, x, dy, dx, …], channels last) to the end, so that nothing of their size is ever transposed; [`unblock`] brings a mask,
//! the smallest tensor of all, into rows.

use maskline_onnx::{Dim, GeluForm, Graph, Value};
use maskline_weights::Scope;

use super::config::{DecoderConfig, MAP_EPSILON};
use super::folding::Matrix;
use super::names::Names;
use crate::blocks::{Norm, computed, layer_norm, linear, parameter, pickled};
use crate::{Error, Result};

/// Cells that are upscaled together.
const PART: usize = 512;

/// Mask head of a checkpoint.
#[derive(Debug)]
pub(super) struct MaskHead<'a, 'w> {
    pub(super) scope: Scope<'w>,
    pub(super) names: &'a Names,
    pub(super) config: &'a DecoderConfig,
}

impl<'w> MaskHead<'_, 'w> {
    /// Cells [P, T, C] and, in SAM 2, the image's features at two and four times their resolution in blocked order
    /// ([1, 4T, C/4], [1, 16T, C/8]) → [P, 16T, C/8].
    fn upscale(&self, g: &mut Graph<'w>, cells: &Value, high_resolution: Option<[&Value; 2]>) -> Result<Value> {
        let width = self.config.width;
        let (first, second) = (width / 4, width / 8);
        let [conv1, norm, conv2] = self.names.upscale.map(|name| self.scope.push(name));
        let prompts = cells.shape()[0].clone();
        let area = cells.shape()[1].known().unwrap_or(0);

        let x = enlarge(g, &conv1, cells, [width, first])?;
        let x = g.reshape(&x, vec![prompts.clone(), (4 * area).into(), first.into()])?;
        // The features of higher resolution have the biases in them: see `with_bias`.
        let x = match high_resolution {
            Some([middle, _]) => g.add(&x, middle)?,
            None => {
                let bias = parameter(g, &conv1, "bias", &[first])?;
                g.add(&x, &bias)?
            }
        };
        let x = layer_norm(g, &norm, &x, Norm::of(first, MAP_EPSILON))?;
        let x = g.gelu(&x, GeluForm::Exact)?;

        let x = enlarge(g, &conv2, &x, [first, second])?;
        let x = match high_resolution {
            Some([_, fine]) => {
                let fine = g.reshape(fine, [1, 4 * area, 4 * second])?;
                let x = g.add(&x, &fine)?;
                g.gelu(&x, GeluForm::Exact)?
            }
            None => {
                let bias = parameter(g, &conv2, "bias", &[second])?;
                let bias = g.concat(&[&bias, &bias, &bias, &bias], 0)?;
                g.bias_gelu(&x, &bias)?
            }
        };
        Ok(g.reshape(&x, vec![prompts, (16 * area).into(), second.into()])?)
    }

    /// The first transposed convolution as a product of cells: [C, 4 C/4], the last axis (dy, dx, channel).
    pub(super) fn first_convolution(&self) -> Result<Matrix> {
        self.convolution(0, [self.config.width, self.config.width / 4])
    }

    /// The second one: [C/4, 4 C/8].
    pub(super) fn second_convolution(&self) -> Result<Matrix> {
        self.convolution(2, [self.config.width / 4, self.config.width / 8])
    }

    fn convolution(&self, index: usize, [input, output]: [usize; 2]) -> Result<Matrix> {
        let weight = self.scope.push(self.names.upscale[index]).f32("weight", &[input, output, 2, 2])?;
        let columns = (0..4).flat_map(|offset| (0..output).map(move |channel| channel * 4 + offset));
        let row = |row: usize| columns.clone().map(move |column| row * 4 * output + column);
        Ok(Matrix::of(4 * output, &(0..input).flat_map(row).map(|at| weight.data[at]).collect::<Vec<_>>()))
    }

    /// The biases of both: [C/4] and [C/8].
    pub(super) fn convolution_biases(&self) -> Result<[Vec<f32>; 2]> {
        let bias = |index: usize, channels: usize| {
            let bias = self.scope.push(self.names.upscale[index]).f32("bias", &[channels])?;
            Ok::<_, Error>(bias.data.into_owned())
        };
        Ok([bias(0, self.config.width / 4)?, bias(2, self.config.width / 8)?])
    }

    /// Gains and biases of the norm between them, one behind the other, [2 C/4], and its epsilon.
    pub(super) fn norm(&self) -> Result<(Vec<f32>, f32)> {
        let scope = self.scope.push(self.names.upscale[1]);
        let channels = [self.config.width / 4];
        let epsilon = pickled::epsilon(&scope, f64::from(MAP_EPSILON))? as f32;
        Ok(([scope.f32("weight", &channels)?.data, scope.f32("bias", &channels)?.data].concat(), epsilon))
    }

    /// Features of twice (`step` 0) or four times (1) the resolution with the bias of that transposed convolution added: once per
    /// image instead of once per prompt.
    pub(super) fn with_bias(&self, g: &mut Graph<'w>, features: &Value, step: usize) -> Result<Value> {
        let channels = [self.config.width / 4, self.config.width / 8][step];
        let bias = parameter(g, &self.scope.push(self.names.upscale[2 * step]), "bias", &[channels])?;
        Ok(g.add(features, &bias)?)
    }

    /// The masks: each a linear combination of the upscaled channels that its token's hypernetwork makes. Weights [P, M, C/8], cells and
    /// features as in [`Self::upscale`] → [P, M, 16T].
    ///
    /// Upscaling goes part by part over the cells, so that what lies between two operators stays in the processor's cache.
    pub(super) fn masks(&self, g: &mut Graph<'w>, weights: &Value, cells: &Value, high_resolution: Option<&[Value; 2]>) -> Result<Value> {
        let area = self.config.grid * self.config.grid;
        let step = if area.is_multiple_of(PART) { PART } else { area };
        let mut parts = Vec::new();
        for start in (0..area).step_by(step) {
            let part =
                |g: &mut Graph<'w>, x: &Value, factor: usize| g.slice(x, 1, (factor * start) as i64..(factor * (start + step)) as i64);
            let cells = part(g, cells, 1)?;
            let upscaled = match high_resolution {
                Some([middle, fine]) => {
                    let (middle, fine) = (part(g, middle, 4)?, part(g, fine, 16)?);
                    self.upscale(g, &cells, Some([&middle, &fine]))?
                }
                None => self.upscale(g, &cells, None)?,
            };
            parts.push(g.matmul_transposed(weights, &upscaled)?);
        }
        let parts: Vec<&Value> = parts.iter().collect();
        Ok(g.concat(&parts, 2)?)
    }

    /// Tokens [P, M, C] → weights of the upscaled channels [P, M, C/8].
    pub(super) fn hypernetworks(&self, g: &mut Graph<'w>, tokens: &Value) -> Result<Value> {
        let width = self.config.width;
        let scope = self.scope.push("output_hypernetworks_mlps");
        let mut x = g.transpose(tokens, &[1, 0, 2])?;
        let widths = [width, width, width, width / 8];
        for layer in 0..3 {
            let [input, output] = [widths[layer], widths[layer + 1]];
            let (weight, bias) = self.stacked(g, &scope, layer, [input, output])?;
            x = g.matmul(&x, &weight)?;
            x = g.add(&x, &bias)?;
            if layer < 2 {
                x = g.relu(&x)?;
            }
        }
        Ok(g.transpose(&x, &[1, 0, 2])?)
    }

    /// One layer of all hypernetworks: weight [M, input, output], bias [M, 1, output].
    fn stacked(&self, g: &mut Graph<'w>, scope: &Scope<'w>, layer: usize, [input, output]: [usize; 2]) -> Result<(Value, Value)> {
        let masks = self.config.masks;
        let (mut weights, mut biases) = (Vec::with_capacity(masks * input * output), Vec::with_capacity(masks * output));
        for index in 0..masks {
            let scope = scope.push(index).push(self.names.head_layer(layer, 3));
            let weight = scope.f32("weight", &[output, input])?;
            weights.extend((0..input).flat_map(|i| (0..output).map(move |o| o * input + i)).map(|at| weight.data[at]));
            biases.extend_from_slice(&scope.f32("bias", &[output])?.data);
        }
        Ok((computed(g, &[masks, input, output], weights)?, computed(g, &[masks, 1, output], biases)?))
    }

    /// Predicted IoU of each mask, from the IoU token [P, C] → [P, M].
    pub(super) fn scores(&self, g: &mut Graph<'w>, token: &Value) -> Result<Value> {
        let DecoderConfig { width, score_hidden, masks, score_depth, .. } = *self.config;
        let scores = self.head(g, "iou_prediction_head", token, Layers { sizes: [width, score_hidden, masks], depth: score_depth })?;
        Ok(if self.config.score_is_logit { g.sigmoid(&scores)? } else { scores })
    }

    /// Logit that the object is there at all, from its token [P, C] → [P, 1].
    pub(super) fn object_score(&self, g: &mut Graph<'w>, token: &Value) -> Result<Value> {
        let width = self.config.width;
        self.head(g, "pred_obj_score_head", token, Layers { sizes: [width, width, 1], depth: 3 })
    }

    fn head(&self, g: &mut Graph<'w>, name: &str, token: &Value, layers: Layers) -> Result<Value> {
        let Layers { sizes: [input, hidden, output], depth } = layers;
        let scope = self.scope.push(name);
        // Answers are chosen by these numbers, which cost next to nothing.
        g.full_precision(|g| {
            let mut x = token.clone();
            for layer in 0..depth {
                let sizes = [if layer == 0 { input } else { hidden }, if layer + 1 == depth { output } else { hidden }];
                x = linear(g, &scope.push(self.names.head_layer(layer, depth)), &x, sizes)?;
                if layer + 1 < depth {
                    x = g.relu(&x)?;
                }
            }
            Ok(x)
        })
    }
}

/// A prediction head: input, hidden and output width, and how many layers there are.
struct Layers {
    sizes: [usize; 3],
    depth: usize,
}

/// A transposed 2×2 convolution of stride 2 without its bias: [P, T, input] → [P, T, 4·output], the last axis (dy, dx, channel).
fn enlarge<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let weight = parameter(g, scope, "weight", &[input, output, 2, 2])?;
    g.scoped(scope.name(), |g| {
        let weight = g.transpose(&weight, &[0, 2, 3, 1])?;
        let weight = g.reshape(&weight, [input, 4 * output])?;
        Ok::<_, Error>(g.matmul(x, &weight)?)
    })
}

/// A map [B, side·factor, side·factor, C] → [B, side²·factor², C] in blocked order; `factor` is 2 or 4.
pub(super) fn block(g: &mut Graph<'_>, map: &Value, side: usize, factor: usize) -> Result<Value> {
    let (batch, channels) = (map.shape()[0].clone(), map.shape()[3].clone());
    let (dims, order) = match factor {
        2 => (vec![side, 2, side, 2], [0, 1, 3, 2, 4, 5].as_slice()),
        _ => (vec![side, 2, 2, side, 2, 2], [0, 1, 4, 2, 5, 3, 6, 7].as_slice()),
    };
    let split: Vec<Dim> = [batch.clone()].into_iter().chain(dims.into_iter().map(Dim::fixed)).chain([channels.clone()]).collect();
    let split = g.reshape(map, split)?;
    let blocked = g.transpose(&split, order)?;
    Ok(g.reshape(&blocked, vec![batch, (side * side * factor * factor).into(), channels])?)
}

/// A mask in blocked order → rows of `4·grid` pixels.
pub fn unblock(blocked: &[f32], grid: usize, out: &mut Vec<f32>) {
    out.clear();
    out.reserve(blocked.len());
    let cells = blocked.chunks_exact(16 * grid).take(grid);
    for row in cells {
        for line in 0..4 {
            // Two bits of the line: which half, then which quarter of the cell.
            let start = 8 * (line / 2) + 2 * (line % 2);
            for cell in row.chunks_exact(16) {
                out.extend_from_slice(&[cell[start], cell[start + 1], cell[start + 4], cell[start + 5]]);
            }
        }
    }
}
