//! The prompt encoder: positions by random Fourier features (Tancik et al. 2020), clicks and box corners as tokens, masks as maps.

use maskline_onnx::{ConvOptions, GeluForm, Graph, Value};
use maskline_weights::{Init, Scope};

use super::config::{DecoderConfig, MAP_EPSILON};
use super::folding::{MaskRows, Matrix};
use super::names::{Kinds, Names};
use crate::blocks::{ConvSpec, Norm, computed, convolution, layer_norm_channels, parameter};
use crate::{Error, Result};

/// What a prompt token is: the numbers of the graph's input `kinds`.
pub mod kind {
    /// The pad of the official code: a token without position.
    pub const PAD: i64 = 0;
    /// A click outside the object.
    pub const NEGATIVE: i64 = 1;
    /// A click on the object.
    pub const POSITIVE: i64 = 2;
    /// Left top corner of a box.
    pub const TOP_LEFT: i64 = 3;
    /// Right bottom corner of a box.
    pub const BOTTOM_RIGHT: i64 = 4;
    /// A zero token (Hugging Face's label -10).
    pub const IGNORED: i64 = 5;
}

/// Where Hugging Face keeps the Gaussian matrix of the image's position encoding.
const SHARED_GAUSSIAN: &str = "shared_image_embedding.positional_embedding";

/// The prompt encoder of a checkpoint.
#[derive(Debug)]
pub(super) struct PromptEncoder<'a, 'w> {
    pub(super) scope: Scope<'w>,
    pub(super) names: &'a Names,
    pub(super) config: &'a DecoderConfig,
}

impl<'w> PromptEncoder<'_, 'w> {
    /// The Gaussian matrix [2, width / 2].
    fn gaussian(&self) -> Result<Vec<f32>> {
        let init = Init::Normal { mean: 0.0, std: 1.0 };
        let (root, shape) = (self.scope.checkpoint().root(), [2, self.config.width / 2]);
        // Hugging Face's files hold it once or twice: the prompt encoder's copy is tied to that of the image.
        let is_only_shared = !self.scope.contains(self.names.gaussian) && root.contains(SHARED_GAUSSIAN);
        let (scope, name) = if is_only_shared { (&root, SHARED_GAUSSIAN) } else { (&self.scope, self.names.gaussian) };
        Ok(scope.f32_init(name, &shape, init)?.data.into_owned())
    }

    /// Position encoding of every cell of the image embedding: [1, grid², width].
    pub(super) fn dense_positions(&self, g: &mut Graph<'w>) -> Result<Value> {
        computed(g, &[1, self.config.grid * self.config.grid, self.config.width], self.position_rows()?)
    }

    /// The same as numbers, [grid², width].
    pub(super) fn position_rows(&self) -> Result<Vec<f32>> {
        let (gaussian, grid, half) = (self.gaussian()?, self.config.grid, self.config.width / 2);
        let centre = |i: usize| 2.0 * (i as f64 + 0.5) / grid as f64 - 1.0;
        let mut values = Vec::with_capacity(grid * grid * 2 * half);
        for (row, column) in (0..grid).flat_map(|row| (0..grid).map(move |column| (row, column))) {
            let angle = |i: usize| {
                let projected = centre(column) * f64::from(gaussian[i]) + centre(row) * f64::from(gaussian[half + i]);
                std::f64::consts::TAU * projected
            };
            values.extend((0..half).map(|i| angle(i).sin() as f32));
            values.extend((0..half).map(|i| angle(i).cos() as f32));
        }
        Ok(values)
    }

    /// Tokens of clicks and box corners: `coords` [P, n, 2] in pixels of the prompt square, `kinds` [P, n] → [P, n, width]. Pixels are finer
    /// than f16.
    pub(super) fn tokens(&self, g: &mut Graph<'w>, coords: &Value, kinds: &Value) -> Result<Value> {
        g.full_precision(|g| self.placed(g, coords, kinds))
    }

    fn placed(&self, g: &mut Graph<'w>, coords: &Value, kinds: &Value) -> Result<Value> {
        let (width, half) = (self.config.width, self.config.width / 2);
        let gaussian = computed(g, &[2, half], self.gaussian()?)?;
        let not_a_point = self.row("not_a_point_embed.weight")?;
        let mut table = not_a_point;
        for index in 0..4 {
            table.extend(self.kind_embedding(index)?);
        }
        table.extend(vec![0.0; width]);
        let table = computed(g, &[6, width], table)?;
        let placed = computed(g, &[6, 1], vec![0.0, 1.0, 1.0, 1.0, 1.0, 0.0])?;
        g.scoped(self.scope.name(), |g| {
            // A pixel's centre lies half a pixel beyond its corner.
            let (half_pixel, two, one) = (g.scalar(0.5), g.scalar(2.0), g.scalar(1.0));
            let (space, tau) = (g.scalar(self.config.space as f32), g.scalar(std::f32::consts::TAU));
            let centred = g.add(coords, &half_pixel)?;
            let unit = g.div(&centred, &space)?;
            let signed = g.mul(&unit, &two)?;
            let signed = g.sub(&signed, &one)?;
            let projected = g.matmul(&signed, &gaussian)?;
            let angle = g.mul(&projected, &tau)?;
            let (sine, cosine) = (g.sin(&angle)?, g.cos(&angle)?);
            let position = g.concat(&[&sine, &cosine], -1)?;
            let placed = g.gather(&placed, kinds, 0)?;
            let position = g.mul(&position, &placed)?;
            let embedding = g.gather(&table, kinds, 0)?;
            Ok::<_, Error>(g.add(&position, &embedding)?)
        })
    }

    fn row(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.scope.f32_init(name, &[1, self.config.width], Init::Normal { mean: 0.0, std: 1.0 })?.data.into_owned())
    }

    fn kind_embedding(&self, index: usize) -> Result<Vec<f32>> {
        let width = self.config.width;
        match self.names.kinds {
            Kinds::Rows(name) => self.row(&format!("{name}.{index}.weight")),
            Kinds::Table(name) => {
                let init = Init::Normal { mean: 0.0, std: 1.0 };
                let table = self.scope.f32_init(&format!("{name}.weight"), &[4, width], init)?;
                Ok(table.data[index * width..(index + 1) * width].to_vec())
            }
        }
    }

    /// What stands in the place of a mask prompt where there is none: [1, 1, width].
    pub(super) fn no_mask(&self, g: &mut Graph<'w>) -> Result<Value> {
        let row = parameter(g, &self.scope, "no_mask_embed.weight", &[1, self.config.width])?;
        Ok(g.reshape(&row, [1, 1, self.config.width])?)
    }

    /// A mask prompt: logits [P, 1, 4 grid, 4 grid] → [P, grid², width].
    pub(super) fn dense(&self, g: &mut Graph<'w>, mask: &Value) -> Result<Value> {
        let DecoderConfig { width, mask_channels, grid, .. } = *self.config;
        let x = self.mask_channels(g, mask)?;
        let x = convolution(g, &self.scope.push(self.names.mask[4]), &x, ConvSpec::point(mask_channels, width))?;
        let flat = g.reshape(&x, vec![x.shape()[0].clone(), width.into(), (grid * grid).into()])?;
        Ok(g.transpose(&flat, &[0, 2, 1])?)
    }

    /// The last of these convolutions as rows that its channels weigh, see [`MaskRows`].
    pub(super) fn mask_rows(&self) -> Result<MaskRows> {
        let DecoderConfig { width, mask_channels, .. } = *self.config;
        let scope = self.scope.push(self.names.mask[4]);
        let weight = Matrix::of(mask_channels, &scope.f32("weight", &[width, mask_channels, 1, 1])?.data).transposed();
        let (bias, no_mask) = (scope.f32("bias", &[width])?, self.scope.f32("no_mask_embed.weight", &[1, width])?);
        Ok(MaskRows {
            weight,
            added: bias.data.iter().zip(no_mask.data.iter()).map(|(bias, none)| f64::from(*bias) - f64::from(*none)).collect(),
        })
    }

    /// A mask prompt before the last convolution: logits [P, 1, 4 grid, 4 grid] → [P, mask channels, grid, grid].
    pub(super) fn mask_channels(&self, g: &mut Graph<'w>, mask: &Value) -> Result<Value> {
        let DecoderConfig { mask_channels, .. } = *self.config;
        let [conv1, norm1, conv2, norm2, _] = self.names.mask.map(|name| self.scope.push(name));
        let x = patch(g, &conv1, mask, [1, mask_channels / 4])?;
        let x = layer_norm_channels(g, &norm1, &x, Norm::of(mask_channels / 4, MAP_EPSILON))?;
        let x = g.gelu(&x, GeluForm::Exact)?;
        let x = patch(g, &conv2, &x, [mask_channels / 4, mask_channels])?;
        let x = layer_norm_channels(g, &norm2, &x, Norm::of(mask_channels, MAP_EPSILON))?;
        Ok(g.gelu(&x, GeluForm::Exact)?)
    }
}

/// A 2×2 convolution of stride 2 without padding.
fn patch<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let weight = parameter(g, scope, "weight", &[output, input, 2, 2])?;
    let bias = parameter(g, scope, "bias", &[output])?;
    g.scoped(scope.name(), |g| Ok(g.conv(x, &weight, Some(&bias), &ConvOptions { stride: [2, 2], ..ConvOptions::default() })?))
}
