//! The picture's side: a ViT, and heads that say of every patch where its object is and what it looks like.

use maskline_onnx::{ConvOptions, DType, Dim, GeluForm, Graph, Interpolation, Value};
use maskline_weights::{Checkpoint, Init, Scope};

use super::config::Config;
use super::{INPUT, Version};
use crate::blocks::{Reach, batched, computed, constant, layer_norm, linear, parameter, tokens};
use crate::info::WordHead;
use crate::{BuildOptions, Error, Result};

/// The picture f32 [batch, 3, S, S], normalised → of every patch what [`WordHead`] names.
pub(super) fn graph<'w>(checkpoint: &'w Checkpoint, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let mut graph = options.encoder(&config.architecture, false);
    let g = &mut graph;
    let size = config.image_size;
    let picture = g.input(INPUT, DType::F32, [Dim::symbol("batch"), 3.into(), size.into(), size.into()])?;
    let seer = Seer { root: checkpoint.root(), scope: checkpoint.root().push(config.version.scope()).push("vision_model"), config };
    let hidden = seer.tower(g, &picture)?;
    let patches = seer.patches(g, &hidden)?;
    if options.taps {
        g.output("vision_last_hidden", &hidden)?;
        let grid = config.grid();
        let map = g.reshape(&patches, batched(&patches.shape()[0], &[grid, grid, config.vision.width]))?;
        g.output("image_embeds", &map)?;
    }
    let boxes = seer.boxes(g, &patches)?;
    g.output(WordHead::BOXES, &boxes)?;
    seer.classes(g, &patches)?;
    if config.version == Version::Two {
        let objectness = seer.head(g, "objectness_head", &patches, 1)?;
        let objectness = g.squeeze(&objectness, -1)?;
        g.output(WordHead::OBJECTNESS, &objectness)?;
    }
    Ok(graph)
}

/// The picture's side of a checkpoint.
struct Seer<'a, 'w> {
    root: Scope<'w>,
    scope: Scope<'w>,
    config: &'a Config,
}

impl<'w> Seer<'_, 'w> {
    /// [B, 3, S, S] → [B, 1 + patches, width]: the class token, then the patches by rows.
    fn tower(&self, g: &mut Graph<'w>, picture: &Value) -> Result<Value> {
        let Config { vision, patch, .. } = self.config;
        let scope = self.scope.push("embeddings");
        let grid = self.config.grid();
        let weight = parameter(g, &scope, "patch_embedding.weight", &[vision.width, 3, *patch, *patch])?;
        let options = ConvOptions { stride: [*patch; 2], ..ConvOptions::default() };
        let patches = g.scoped(scope.name(), |g| g.conv(picture, &weight, None, &options))?;
        let batch = patches.shape()[0].clone();
        let patches = g.reshape(&patches, batched(&batch, &[vision.width, grid * grid]))?;
        let patches = g.transpose(&patches, &[0, 2, 1])?;
        let [class, positions] = self.positions(g, &scope)?;
        let patches = g.add(&patches, &positions)?;
        let class = g.repeat_leading(&class, &patches)?;
        let x = g.concat(&[&class, &patches], 1)?;
        let x = layer_norm(g, &self.scope.push("pre_layernorm"), &x, vision.norm())?;
        vision.blocks(g, &self.scope.push("encoder"), &x, Reach::default())
    }

    /// The class token with its position [1, 1, width] and the patches' positions [1, patches, width], stretched where the picture has
    /// another side than the one trained with.
    fn positions(&self, g: &mut Graph<'w>, scope: &Scope<'w>) -> Result<[Value; 2]> {
        let (width, trained, grid) = (self.config.vision.width, self.config.trained_grid, self.config.grid());
        let small = Init::Normal { mean: 0.0, std: 0.1 };
        let positions = scope.f32_init("position_embedding.weight", &[trained * trained + 1, width], small)?;
        let class = scope.f32("class_embedding", &[width])?;
        let class = class.data.iter().zip(positions.data.iter()).map(|(class, position)| class + position).collect();
        let positions = constant(g, scope, "position_embedding.weight", positions)?;
        g.scoped(scope.name(), |g| {
            let class = computed(g, &[1, 1, width], class)?;
            let patches = g.slice(&positions, 0, 1..(trained * trained + 1) as i64)?;
            if trained == grid {
                return Ok::<_, Error>([class, g.reshape(&patches, [1, grid * grid, width])?]);
            }
            let map = g.reshape(&patches, [1, trained, trained, width])?;
            let map = g.transpose(&map, &[0, 3, 1, 2])?;
            let map = g.resize(&map, [grid; 2], Interpolation::Cubic)?;
            let map = g.transpose(&map, &[0, 2, 3, 1])?;
            Ok([class, g.reshape(&map, [1, grid * grid, width])?])
        })
    }

    /// Each patch times the class token, [B, patches, width].
    fn patches(&self, g: &mut Graph<'w>, hidden: &Value) -> Result<Value> {
        let (vision, grid) = (self.config.vision, self.config.grid());
        let x = layer_norm(g, &self.scope.push("post_layernorm"), hidden, vision.norm())?;
        let class = g.slice(&x, 1, 0..1)?;
        let patches = g.slice(&x, 1, 1..(grid * grid + 1) as i64)?;
        let merged = g.mul(&patches, &class)?;
        layer_norm(g, &self.root.push("layer_norm"), &merged, vision.norm())
    }

    /// Three fully connected layers with GELU (exact form) between them: [B, patches, width] → [B, patches, output].
    fn head(&self, g: &mut Graph<'w>, name: &str, patches: &Value, output: usize) -> Result<Value> {
        let width = self.config.vision.width;
        let scope = self.root.push(name);
        let layers = |g: &mut Graph<'w>, x: &Value| {
            let x = linear(g, &scope.push("dense0"), x, [width; 2])?;
            let x = g.gelu(&x, GeluForm::Exact)?;
            let x = linear(g, &scope.push("dense1"), &x, [width; 2])?;
            let x = g.gelu(&x, GeluForm::Exact)?;
            linear(g, &scope.push("dense2"), &x, [width, output])
        };
        // A pixel is finer than f16, and so is what scores differ by.
        g.full_precision(|g| tokens(g, patches, layers))
    }

    /// Boxes as centre and size in 0..1, [B, patches, 4]: the head moves them from where their patches are.
    fn boxes(&self, g: &mut Graph<'w>, patches: &Value) -> Result<Value> {
        let grid = self.config.grid();
        let moved = self.head(g, "box_head", patches, 4)?;
        g.full_precision(|g| {
            let bias = computed(g, &[1, grid * grid, 4], box_bias(grid))?;
            let boxes = g.add(&moved, &bias)?;
            Ok(g.sigmoid(&boxes)?)
        })
    }

    /// What patches look like, [B, patches, text width], and by what their likeness to words is moved and scaled, [B, patches] each.
    fn classes(&self, g: &mut Graph<'w>, patches: &Value) -> Result<()> {
        let (width, scope) = (self.config.vision.width, self.root.push("class_head"));
        g.full_precision(|g| {
            let layer = |g: &mut Graph<'w>, name: &str, output| tokens(g, patches, |g, x| linear(g, &scope.push(name), x, [width, output]));
            let classes = layer(g, "dense0", self.config.text.width)?;
            g.output(WordHead::CLASSES, &classes)?;
            let shift = layer(g, "logit_shift", 1)?;
            let shift = g.squeeze(&shift, -1)?;
            g.output(WordHead::SHIFT, &shift)?;
            let scale = layer(g, "logit_scale", 1)?;
            let scale = g.squeeze(&scale, -1)?;
            let (scale, one) = (g.elu(&scale, 1.0)?, g.scalar(1.0));
            let scale = g.add(&scale, &one)?;
            Ok(g.output(WordHead::SCALE, &scale)?)
        })
    }
}

/// What is added to the boxes of `grid`² patches before the sigmoid: the logit of a patch's lower right corner as the centre, that of a
/// patch as the size.
fn box_bias(grid: usize) -> Vec<f32> {
    const MARGIN: f64 = 1e-4;
    let logit = |share: f64| ((share + MARGIN).ln() - (1.0 - share + MARGIN).ln()) as f32;
    let (corner, size) = (|index: usize| logit((index + 1) as f64 / grid as f64), logit(1.0 / grid as f64));
    (0..grid * grid).flat_map(|patch| [corner(patch % grid), corner(patch / grid), size, size]).collect()
}
