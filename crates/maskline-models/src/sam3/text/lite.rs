//! MobileCLIP's text encoder (Vasu et al. 2024), as SAM3-LiteText has it: transformer layers that look both ways, and in the smallest
//! model *RepMixers* around them, which mix neighbouring tokens by convolutions.
//!
//! A RepMixer looks at padding as at any token, and positions are stretched to the length of a text with its padding: how long texts
//! are is a part of what they mean. Here they have [`CONTEXT`] tokens, as Hugging Face's processor pads every text, whatever positions
//! the model has. The published models have 16 and were trained on texts of 16 tokens; [`BuildOptions::context`] builds for another
//! length.
//!
//! Source: `transformers` (`models/sam3_lite_text`).

use maskline_onnx::{ConvOptions, DType, Graph, Value};
use maskline_weights::{Init, Scope, Tensor};

use super::{CLIP_VOCABULARY, Read, Sizes, TextConfig, TextForm, looked_up, padding, table};
use crate::blocks::{Reach, Tower, computed, constant, tokens};
use crate::sam3::config::{misshapen, rows};
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

/// Tokens of a text, unless another number is wished.
const CONTEXT: usize = 32;
/// Longer texts are read by no model.
const MOST_CONTEXT: usize = 1024;
/// Of the batch norms, whatever a configuration says: the reference reads none.
const EPSILON: f64 = 1e-5;
/// The table of positions, [1, 1, positions, width].
const POSITIONS: &str = "embeddings.position_embedding.position_embedding";
/// Scales of what a RepMixer's branches add, in generated weights.
const LAYER_SCALE: Init = Init::Constant(0.3);

/// What is not a transformer's in the tower.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sam3) struct Mixers {
    /// Places that have a position of their own.
    pub(super) positions: usize,
    /// Tokens that each layer's convolutions see; `None` for layers of a transformer.
    pub(super) kernels: Vec<Option<usize>>,
}

/// Published models: name, width, layers, whether the first and the last of them are RepMixers.
///
/// No published file was read: these are the sizes that MobileCLIP's text encoders S0, S1 and (of MobileCLIP2) L have. Their weights are the
/// published 42, 63 and 124 million.
const PUBLISHED: [Published; 3] = [
    Published { name: "sam3-litetext-s0", width: 512, layers: 6, mixes: true },
    Published { name: "sam3-litetext-s1", width: 512, layers: 12, mixes: false },
    Published { name: "sam3-litetext-l", width: 768, layers: 12, mixes: false },
];

struct Published {
    name: &'static str,
    width: usize,
    layers: usize,
    mixes: bool,
}

/// Width of a head in MobileCLIP.
const HEAD: usize = 64;

/// That of a published model, for which `usual` tells what all text encoders share.
pub(super) fn published(architecture: &str, usual: Tower, options: &BuildOptions) -> Result<Option<TextConfig>> {
    let Some(Published { width, layers, mixes, .. }) = PUBLISHED.iter().find(|model| model.name == architecture) else {
        return Ok(None);
    };
    let tower = Tower { width: *width, hidden: 4 * width, heads: width / HEAD, layers: *layers, ..usual };
    let is_mixer = |layer: usize| *mixes && (layer == 0 || layer + 1 == *layers);
    let mixers = Mixers { positions: 16, kernels: (0..*layers).map(|layer| is_mixer(layer).then_some(11)).collect() };
    Ok(Some(TextConfig { tower, vocabulary: CLIP_VOCABULARY, context: context(options)?, form: TextForm::Lite(mixers) }))
}

/// Name of the published model of these sizes.
pub(super) fn name(tower: &Tower, mixers: &Mixers) -> Option<&'static str> {
    let mixes = mixers.kernels.iter().any(Option::is_some);
    let is_it = |model: &&Published| (model.width, model.layers, model.mixes) == (tower.width, tower.layers, mixes);
    PUBLISHED.iter().find(is_it).map(|model| model.name)
}

/// From tensor shapes of `scope`, and what these do not tell from its configuration.
pub(super) fn of_checkpoint(scope: &Scope<'_>, facts: &Facts, options: &BuildOptions) -> Result<TextConfig> {
    let [vocabulary, width] = table(scope)?;
    let positions = match scope.shape(POSITIONS)? {
        &[1, 1, positions, other] if positions > 0 && other == width => positions,
        other => return Err(misshapen("position_embedding", &format!("[1, 1, positions, {width}]"), other)),
    };
    let layers = scope.push("layers");
    let kernels = layers.children().iter().map(|name| kernel(&layers.push(name))).collect::<Result<Vec<_>>>()?;
    let first = layers.push(0);
    let first = if kernels.first().is_some_and(Option::is_some) { first.push("conv_feed_forward") } else { first };
    let hidden = rows(&first.push("mlp"), "fc1.weight")?;
    facts.expect("vocab_size", vocabulary)?;
    facts.expect("max_position_embeddings", positions)?;
    facts.expect("use_repmixer_blocks", kernels.iter().any(Option::is_some))?;
    for kernel in kernels.iter().flatten() {
        facts.expect("repmixer_kernel_size", *kernel)?;
    }
    let heads = (width / HEAD).max(1);
    let tower = super::tower(facts, Sizes { width, hidden, layers: kernels.len(), heads })?;
    let form = TextForm::Lite(Mixers { positions, kernels });
    Ok(TextConfig { tower, vocabulary, context: context(options)?, form })
}

/// Tokens that the convolutions of a layer see, if it has some.
fn kernel(layer: &Scope<'_>) -> Result<Option<usize>> {
    if layer.push("token_mixer").children().is_empty() {
        return Ok(None);
    }
    match layer.shape("token_mixer.mixer.conv.weight")? {
        // Others would make texts longer.
        &[_, 1, 1, kernel] if kernel % 2 == 1 => Ok(Some(kernel)),
        other => Err(misshapen("token_mixer.mixer.conv.weight", "[width, 1, 1, an odd number]", other)),
    }
}

fn context(options: &BuildOptions) -> Result<usize> {
    let context = options.context.unwrap_or(CONTEXT);
    if (2..=MOST_CONTEXT).contains(&context) {
        return Ok(context);
    }
    let error = Error::new(ErrorKind::Configuration, "tokens of a text").expecting(format!("2 to {MOST_CONTEXT}"));
    Err(error.finding(context))
}

/// A configuration of this form.
#[derive(Clone, Copy)]
pub(super) struct Lite<'a> {
    pub(super) text: &'a TextConfig,
    pub(super) mixers: &'a Mixers,
}

/// Token ids → f32 [P, context, width], before the last norm.
pub(super) fn tower<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, read: &Read, lite: Lite<'_>) -> Result<Value> {
    let tower = &lite.text.tower;
    let words = looked_up(g, &scope.push("embeddings"), &read.ids, lite.text)?;
    let positions = positions(g, scope, lite)?;
    let mut x = g.add(&words, &positions)?;
    let counts = match &read.mask {
        Some(mask) => g.cast(mask, DType::F32)?,
        None => own_tokens(g, &read.ids)?,
    };
    let bias = padding(g, &counts)?;
    for (index, kernel) in lite.mixers.kernels.iter().enumerate() {
        let layer = scope.push("layers").push(index);
        x = match kernel {
            Some(kernel) => RepMixer { width: tower.width, kernel: *kernel }.block(g, &layer, &x, tower)?,
            None => tower.block(g, &layer, &x, Reach { bias: Some(&bias), present: None })?,
        };
        if read.mask.is_some() {
            g.output(&format!("text_layer{index}"), &x)?;
        }
    }
    Ok(x)
}

/// The table of positions, stretched to the texts' length: f32 [context, width].
fn positions<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, lite: Lite<'_>) -> Result<Value> {
    let (width, context, count) = (lite.text.tower.width, lite.text.context, lite.mixers.positions);
    let table = scope.f32(POSITIONS, &[1, 1, count, width])?;
    g.scoped(POSITIONS, |g| computed(g, &[context, width], stretched(&table.data, width, context)))
}

/// Rows of `width`, as `length` rows: linearly between the centres of their places (PyTorch's `bilinear`, `align_corners=False`, which
/// does not blur what it shortens).
pub(super) fn stretched(rows: &[f32], width: usize, length: usize) -> Vec<f32> {
    let count = rows.len() / width;
    let scale = count as f64 / length as f64;
    let mut values = Vec::with_capacity(length * width);
    for place in 0..length {
        let at = ((place as f64 + 0.5) * scale - 0.5).max(0.0);
        let first = (at as usize).min(count - 1);
        let second = (first + 1).min(count - 1);
        let share = at - first as f64;
        let row = |index: usize| rows[index * width..(index + 1) * width].iter().map(|value| f64::from(*value));
        values.extend(row(first).zip(row(second)).map(|(first, second)| (first * (1.0 - share) + second * share) as f32));
    }
    values
}

/// 1 for a text's own tokens, 0 for its padding, f32 [P, context]: those up to the first with the largest id, which is where a text
/// ends. It is what tokenizers say in an attention mask, whatever they pad with.
fn own_tokens(g: &mut Graph<'_>, ids: &Value) -> Result<Value> {
    let context = ids.shape()[1].known().unwrap_or(0);
    // No operator set has it for whole numbers everywhere; ids are exact in f32.
    let ids = g.cast(ids, DType::F32)?;
    let end = g.arg_max(&ids, -1)?;
    let end = g.unsqueeze(&end, 1)?;
    let places = g.i64s(&(0..context as i64).collect::<Vec<_>>());
    let is_padding = g.greater(&places, &end)?;
    let is_own = g.not(&is_padding)?;
    Ok(g.cast(&is_own, DType::F32)?)
}

/// A RepMixer with its feed-forward network: depthwise convolutions along tokens.
#[derive(Debug, Clone, Copy)]
struct RepMixer {
    width: usize,
    kernel: usize,
}

impl RepMixer {
    /// `x` [P, N, width] → the same.
    ///
    /// ```text
    /// x = x + scale · (norm(conv(x)) + skip_norm(x) − reference_norm(x))
    /// x = x + scale · fc2(activation(fc1(norm(conv(x)))))
    /// ```
    /// All norms are linear here, and so is the first line: it is one convolution. In the second the outer scale goes into `fc2`.
    fn block<'w>(self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, tower: &Tower) -> Result<Value> {
        let rows = g.transpose(x, &[0, 2, 1])?;
        let rows = g.unsqueeze(&rows, 2)?;
        let mixed = self.convolve(g, &scope.push("token_mixer"), &rows, self.mixer(&scope.push("token_mixer"))?)?;
        let network = scope.push("conv_feed_forward");
        let y = self.convolve(g, &network, &mixed, self.feed_forward(&network)?)?;
        let y = as_tokens(g, &y)?;
        let y = tokens(g, &y, |g, x| mlp(g, scope, x, tower))?;
        let mixed = as_tokens(g, &mixed)?;
        Ok(g.add(&mixed, &y)?)
    }

    /// `x` [P, width, 1, N] → the same.
    fn convolve<'w>(self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, kernel: Kernel) -> Result<Value> {
        let reach = self.kernel / 2;
        let options = ConvOptions { groups: self.width, padding: [0, reach, 0, reach], ..ConvOptions::default() };
        g.scoped(scope.name(), |g| {
            let weight = computed(g, &[self.width, 1, 1, self.kernel], rounded(&kernel.taps))?;
            let bias = computed(g, &[self.width], rounded(&kernel.bias))?;
            Ok(g.conv(x, &weight, Some(&bias), &options)?)
        })
    }

    /// The first line of [`RepMixer::block`].
    fn mixer(self, scope: &Scope<'_>) -> Result<Kernel> {
        let mut kernel = self.normed(&scope.push("mixer"), ["conv.weight", "batchnorm_conv"])?;
        let skip = Affine::of(&scope.push("mixer.batchnorm_skip"), self.width)?;
        let reference = Affine::of(&scope.push("reference_batchnorm"), self.width)?;
        let scale = scope.f32_init("layer_scale", &[self.width, 1, 1], LAYER_SCALE)?;
        for (channel, taps) in kernel.taps.chunks_exact_mut(self.kernel).enumerate() {
            let scale = f64::from(scale.data[channel]);
            taps[self.kernel / 2] += skip.factor[channel] - reference.factor[channel];
            taps.iter_mut().for_each(|tap| *tap *= scale);
            taps[self.kernel / 2] += 1.0;
            kernel.bias[channel] = scale * (kernel.bias[channel] + skip.shift[channel] - reference.shift[channel]);
        }
        Ok(kernel)
    }

    /// The convolution in front of the network.
    fn feed_forward(self, scope: &Scope<'_>) -> Result<Kernel> {
        self.normed(scope, ["depthwise_conv.weight", "depthwise_batchnorm"])
    }

    /// A convolution without bias and the norm behind it.
    fn normed(self, scope: &Scope<'_>, [convolution, norm]: [&str; 2]) -> Result<Kernel> {
        let weight = scope.f32(convolution, &[self.width, 1, 1, self.kernel])?;
        let norm = Affine::of(&scope.push(norm), self.width)?;
        let scaled = weight.data.iter().enumerate().map(|(at, tap)| f64::from(*tap) * norm.factor[at / self.kernel]);
        Ok(Kernel { taps: scaled.collect(), bias: norm.shift })
    }
}

/// A depthwise convolution, computed in f64 and rounded once.
struct Kernel {
    /// [width, kernel].
    taps: Vec<f64>,
    bias: Vec<f64>,
}

/// A batch norm of a network that is not trained any more: `factor · x + shift`.
struct Affine {
    factor: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    fn of(scope: &Scope<'_>, width: usize) -> Result<Self> {
        let read = |name: &str| scope.f32(name, &[width]);
        let (weight, bias) = (read("weight")?, read("bias")?);
        let (mean, variance) = (read("running_mean")?, read("running_var")?);
        let factor: Vec<f64> = weight
            .data
            .iter()
            .zip(variance.data.iter())
            .map(|(weight, variance)| f64::from(*weight) / (f64::from(*variance) + EPSILON).sqrt())
            .collect();
        let shift =
            bias.data.iter().zip(mean.data.iter()).zip(&factor).map(|((bias, mean), factor)| f64::from(*bias) - f64::from(*mean) * factor);
        Ok(Self { shift: shift.collect(), factor })
    }
}

/// The network of a block, on [N, width], with what the block scales it by.
fn mlp<'w>(g: &mut Graph<'w>, block: &Scope<'w>, x: &Value, tower: &Tower) -> Result<Value> {
    let Tower { width, hidden, .. } = *tower;
    let scope = block.push("conv_feed_forward.mlp");
    let weight = scope.f32("fc1.weight", &[hidden, width, 1, 1])?;
    let weight = constant(g, &scope, "fc1.weight", Tensor { shape: vec![hidden, width], ..weight })?;
    let bias = scope.f32("fc1.bias", &[hidden])?;
    let bias = constant(g, &scope, "fc1.bias", bias)?;
    let scale = block.f32_init("layer_scale", &[width, 1, 1], LAYER_SCALE)?;
    let (last, shift) = (scope.f32("fc2.weight", &[width, hidden, 1, 1])?, scope.f32("fc2.bias", &[width])?);
    let scaled = |values: &[f32], size: usize| -> Vec<f32> {
        let rows = values.chunks_exact(size).zip(scale.data.iter());
        rows.flat_map(|(row, scale)| row.iter().map(|value| (f64::from(*value) * f64::from(*scale)) as f32)).collect()
    };
    g.scoped(scope.name(), |g| {
        let x = g.linear(x, &weight, Some(&bias))?;
        let x = tower.activation.apply(g, &x)?;
        let weight = computed(g, &[width, hidden], scaled(&last.data, hidden))?;
        let bias = computed(g, &[width], scaled(&shift.data, 1))?;
        Ok(g.linear(&x, &weight, Some(&bias))?)
    })
}

/// [P, width, 1, N] → [P, N, width].
fn as_tokens(g: &mut Graph<'_>, x: &Value) -> Result<Value> {
    let x = g.squeeze(x, 2)?;
    Ok(g.transpose(&x, &[0, 2, 1])?)
}

fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}
