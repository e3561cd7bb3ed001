//! What the families of the first generation share around their image encoders: SAM 1, MobileSAM, EfficientViT-SAM.

use maskline_onnx::{Graph, Value};
use maskline_weights::{Scope, Source};

use super::config::DecoderConfig;
use crate::blocks::{ConvSpec, Norm, convolution_unbiased, dense_point, layer_norm};
use crate::info::{EverythingDefaults, LabelSource, Normalise, Output, Preprocess, PromptHead, SingleMask, SizeSource, Task};
use crate::{BuildOptions, Error, ErrorKind, Facts, ModelInfo, Result};

/// Name of the picture input.
pub(crate) const INPUT: &str = "picture";

/// Epsilon of the layer norms over the neck's channels, in all published code.
const NECK_EPSILON: f32 = 1e-6;

/// Side of the square in which the published models take prompts, and of most models' pictures.
pub(crate) const PUBLISHED_SPACE: usize = 1024;

/// The neck of SAM 1 and MobileSAM: 1×1 convolution, norm, 3×3 convolution, norm.
///
/// `x` [B, rows, columns, input] → [B, rows, columns, output]; `scopes` are those of the four layers.
pub(crate) fn neck<'w>(g: &mut Graph<'w>, scopes: &[Scope<'w>; 4], x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let [conv1, norm1, conv2, norm2] = scopes;
    let x = dense_point(g, conv1, x, [input, output])?;
    let x = layer_norm(g, norm1, &x, Norm::of(output, NECK_EPSILON))?;
    let x = g.transpose(&x, &[0, 3, 1, 2])?;
    let spec = ConvSpec { kernel: 3, ..ConvSpec::point(output, output) };
    let x = convolution_unbiased(g, conv2, &x, spec)?;
    let x = g.transpose(&x, &[0, 2, 3, 1])?;
    layer_norm(g, norm2, &x, Norm::of(output, NECK_EPSILON))
}

/// A map with channels last as output `name` with channels first, as the golden cases hold it.
pub(crate) fn tap(g: &mut Graph<'_>, name: &str, map: &Value) -> Result<()> {
    let map = g.transpose(map, &[0, 3, 1, 2])?;
    Ok(g.output(name, &map)?)
}

/// The description of a model whose pictures have the side `image_size`.
pub(crate) fn info(family: &str, architecture: &str, image_size: usize, decoder: &DecoderConfig) -> ModelInfo {
    ModelInfo {
        family: family.into(),
        architecture: architecture.into(),
        task: Task::Promptable,
        labels: vec![],
        labels_from: LabelSource::None,
        weights_notes: vec![],
        input: INPUT.into(),
        // In 0..255 the published numbers are 123.675, 116.28, 103.53 and 58.395, 57.12, 57.375: ImageNet's.
        preprocess: Preprocess::LongestSide(Normalise::IMAGENET),
        default_size: image_size,
        size_from: SizeSource::default(),
        fixed_size: Some([image_size, image_size]),
        fixed_batch: None,
        parts: vec![],
        memory: None,
        output: Output::Promptable(PromptHead {
            grid: decoder.grid,
            space: decoder.space,
            masks: decoder.masks,
            object_score: false,
            high_resolution: false,
            decoder: decoder.form,
            always_padded: false,
            single: SingleMask::First,
            everything: EverythingDefaults::SAM_1,
            prompt_logit_limit: None,
        }),
    }
}

/// Checks the side of the square picture.
///
/// # Errors
/// `Configuration` if it is no multiple of `stride` from `stride` to 8192.
pub(crate) fn check_image_size(size: usize, stride: usize) -> Result<usize> {
    if size > 0 && size.is_multiple_of(stride) && size <= 8192 {
        return Ok(size);
    }
    let expected = format!("a multiple of {stride} from {stride} to 8192");
    Err(Error::new(ErrorKind::Configuration, "image size").expecting(expected).finding(size))
}

/// Side of the square in which prompts are given, whose cells are so large.
pub(crate) fn check_space(space: usize, cell: usize) -> Result<usize> {
    if space > 0 && space.is_multiple_of(cell) && space <= 8192 {
        return Ok(space);
    }
    let expected = format!("a multiple of {cell} up to 8192 as its side");
    Err(Error::new(ErrorKind::Configuration, "prompt square").expecting(expected).finding(space))
}

/// The sizes to build: a published architecture's for generated weights, else the checkpoint's.
///
/// # Errors
/// `Configuration` if weights are to be generated without an architecture, and those of `published` and `read`.
pub(crate) fn choose<C>(
    source: &Source,
    options: &BuildOptions,
    published: impl Fn(&str) -> Result<C>,
    read: impl Fn(&Facts) -> Result<C>,
) -> Result<C> {
    match (&options.architecture, source.checkpoint().is_synthetic()) {
        (Some(name), true) => published(name),
        (None, true) => Err(Error::new(ErrorKind::Configuration, "generated weights need the name of an architecture")),
        (_, false) => read(&Facts::of(source, options)?),
    }
}
