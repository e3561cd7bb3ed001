//! Convolutions as checkpoints store them: alone or followed by batch normalisation.

use maskline_onnx::{ConvOptions, GeluForm, Graph, LayerActivation, Value};
use maskline_weights::{Init, Scope, Tensor};

use super::{constant, pickled};
use crate::{Error, ErrorKind, Facts, Result};

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(x)`.
    Silu,
    /// Gaussian error linear unit.
    Gelu(GeluForm),
    /// `x * sigmoid(1.702 x)`, that of CLIP.
    QuickGelu,
    /// `x` where it is positive, else `slope * x`.
    LeakyRelu {
        /// Slope below 0.
        slope: f32,
    },
    /// `x` limited to a range (ReLU6, hard tanh).
    Clip {
        /// Least value.
        low: f32,
        /// Largest value.
        high: f32,
    },
    /// `x` where it is positive, else `alpha * (eˣ - 1)`.
    Elu {
        /// Depth below 0.
        alpha: f32,
    },
    /// As `Elu`, with a derivative that has no jump.
    Celu {
        /// Depth below 0; not 0.
        alpha: f32,
    },
    /// The scaled exponential linear unit.
    Selu,
    /// `x * clip(x / 6 + 1/2, 0, 1)`.
    HardSwish,
    /// `clip(x / 6 + 1/2, 0, 1)`.
    HardSigmoid,
    /// `x * tanh(ln(1 + eˣ))`.
    Mish,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `ln(1 + eˣ)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
}

impl Activation {
    /// As a [layer](super::Around::layer) has it; `None` where none has.
    pub fn of_layer(self) -> Option<LayerActivation> {
        match self {
            Self::None => Some(LayerActivation::Identity),
            Self::Relu => Some(LayerActivation::Relu),
            Self::Silu => Some(LayerActivation::Silu),
            Self::Gelu(GeluForm::Exact) => Some(LayerActivation::Gelu),
            Self::Gelu(GeluForm::Tanh) => Some(LayerActivation::GeluTanh),
            Self::QuickGelu => Some(LayerActivation::QuickGelu),
            _ => None,
        }
    }

    /// What a configuration of Hugging Face names (`hidden_act`), else the usual one.
    ///
    /// # Errors
    /// `Configuration` for one that is not built.
    pub fn of(facts: &Facts, usual: Self) -> Result<Self> {
        let Some(said) = facts.said("hidden_act") else { return Ok(usual) };
        match said.as_str() {
            Some("relu") => Ok(Self::Relu),
            Some("gelu") => Ok(Self::Gelu(GeluForm::Exact)),
            Some("gelu_pytorch_tanh" | "gelu_new") => Ok(Self::Gelu(GeluForm::Tanh)),
            Some("quick_gelu") => Ok(Self::QuickGelu),
            Some("silu" | "swish") => Ok(Self::Silu),
            _ => {
                let error = Error::new(ErrorKind::Configuration, format!("config.json: {}", facts.key("hidden_act")));
                Err(error.expecting("relu, gelu, gelu_pytorch_tanh, quick_gelu or silu").finding(format!("{said:.40}")))
            }
        }
    }

    /// The activation of `x`.
    ///
    /// # Errors
    /// `Graph` if `x` is not a float tensor.
    pub fn apply(self, g: &mut Graph<'_>, x: &Value) -> Result<Value> {
        match self {
            Self::None => Ok(x.clone()),
            Self::Relu => Ok(g.relu(x)?),
            Self::Silu => Ok(g.silu(x)?),
            Self::Gelu(form) => Ok(g.gelu(x, form)?),
            Self::QuickGelu => Ok(g.quick_gelu(x)?),
            Self::LeakyRelu { slope } => Ok(g.leaky_relu(x, slope)?),
            Self::Clip { low, high } => Ok(g.clip(x, low, high)?),
            Self::Elu { alpha } => Ok(g.elu(x, alpha)?),
            Self::Celu { alpha } => Ok(g.celu(x, alpha)?),
            Self::Selu => Ok(g.selu(x)?),
            Self::HardSwish => Ok(g.hard_swish(x)?),
            Self::HardSigmoid => Ok(g.hard_sigmoid(x)?),
            Self::Mish => Ok(g.mish(x)?),
            Self::Sigmoid => Ok(g.sigmoid(x)?),
            Self::Tanh => Ok(g.tanh(x)?),
            Self::Softplus => Ok(g.softplus(x)?),
            Self::Softsign => Ok(g.softsign(x)?),
        }
    }
}

/// A square convolution with padding that keeps (or exactly divides) the size.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    /// Input channels.
    pub input: usize,
    /// Output channels.
    pub output: usize,
    /// Kernel side.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Independent channel groups; the channel count for a depthwise convolution.
    pub groups: usize,
    /// What generated biases follow, of a convolution that has them.
    pub bias: Init,
}

impl ConvSpec {
    /// A 1×1 convolution.
    pub fn point(input: usize, output: usize) -> Self {
        Self { input, output, kernel: 1, stride: 1, groups: 1, bias: Init::Auto }
    }

    /// A depthwise convolution.
    pub fn depthwise(channels: usize, kernel: usize, stride: usize) -> Self {
        Self { input: channels, output: channels, kernel, stride, groups: channels, bias: Init::Auto }
    }

    fn options(&self) -> ConvOptions {
        ConvOptions { groups: self.groups, ..ConvOptions::same(self.kernel, self.stride) }
    }

    fn weight_shape(&self) -> [usize; 4] {
        [self.output, self.input / self.groups.max(1), self.kernel, self.kernel]
    }
}

/// How a checkpoint names a convolution with batch normalisation, and the normalisation's epsilon (which only pickled modules store).
#[derive(Debug, Clone, Copy)]
pub struct BatchNormed {
    /// Name of the convolution.
    pub conv: &'static str,
    /// Name of the normalisation.
    pub norm: &'static str,
    /// Epsilon of the normalisation, unless its module says another.
    pub epsilon: f64,
}

impl BatchNormed {
    /// A convolution that is so named, without an activation.
    pub fn of(self, spec: ConvSpec) -> ConvNorm {
        ConvNorm { names: self, spec, activation: Activation::None, init: Init::Auto }
    }
}

/// A convolution, the batch normalisation behind it, and what follows them.
#[derive(Debug, Clone, Copy)]
pub struct ConvNorm {
    names: BatchNormed,
    spec: ConvSpec,
    activation: Activation,
    init: Init,
}

impl ConvNorm {
    /// The same, followed by an activation.
    #[must_use]
    pub fn then(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The same, where the norm's scale follows `init` in generated weights: a long chain of residual blocks whose last scales are not
    /// small grows beyond all bounds.
    #[must_use]
    pub fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }
}

/// A convolution with bias (`weight`, `bias` in `scope`).
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn convolution<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    pickled::check_convolution(scope, spec)?;
    let weight = scope.f32("weight", &spec.weight_shape())?;
    let bias = scope.f32_init("bias", &[spec.output], spec.bias)?;
    g.scoped(scope.name(), |g| {
        let weight = constant(g, scope, "weight", weight)?;
        let bias = constant(g, scope, "bias", bias)?;
        Ok(g.conv(x, &weight, Some(&bias), &spec.options())?)
    })
}

/// A convolution without bias (`weight` in `scope`).
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn convolution_unbiased<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    pickled::check_convolution(scope, spec)?;
    let weight = scope.f32("weight", &spec.weight_shape())?;
    g.scoped(scope.name(), |g| {
        let weight = constant(g, scope, "weight", weight)?;
        Ok(g.conv(x, &weight, None, &spec.options())?)
    })
}

/// A convolution followed by batch normalisation and an activation; the normalisation is folded into the weights. Checkpoints that
/// are folded already (a bias, no normalisation) are taken as they are.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn convolution_batch_norm<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, layer: ConvNorm) -> Result<Value> {
    let ConvNorm { names, spec, activation, .. } = layer;
    let bias_name = format!("{}.bias", names.conv);
    let is_folded = !scope.checkpoint().is_synthetic() && scope.contains(&bias_name) && !scope.contains(&format!("{}.weight", names.norm));
    let convolved = if is_folded {
        convolution(g, &scope.push(names.conv), x, spec)?
    } else {
        let (weight, bias) = folded(scope, layer)?;
        g.scoped(scope.name(), |g| {
            let weight = constant(g, scope, names.conv, weight)?;
            let bias = constant(g, scope, names.norm, bias)?;
            Ok::<_, Error>(g.conv(x, &weight, Some(&bias), &spec.options())?)
        })?
    };
    g.scoped(scope.name(), |g| activation.apply(g, &convolved))
}

/// Weight and bias of `norm(conv(x))`: computed in f64 and rounded once. A bias of the convolution itself is shifted along.
fn folded<'w>(scope: &Scope<'w>, layer: ConvNorm) -> Result<(Tensor<'w>, Tensor<'w>)> {
    let ConvNorm { names, spec, init, .. } = layer;
    pickled::check_convolution(&scope.push(names.conv), spec)?;
    let epsilon = pickled::epsilon(&scope.push(names.norm), names.epsilon)?;
    let mut weight = scope.f32(&format!("{}.weight", names.conv), &spec.weight_shape())?;
    let bias_name = format!("{}.bias", names.conv);
    let own_bias = if !scope.checkpoint().is_synthetic() && scope.contains(&bias_name) {
        scope.f32(&bias_name, &[spec.output])?.data.into_owned()
    } else {
        vec![0.0; spec.output]
    };
    let norm = scope.push(names.norm);
    pickled::check_statistics(&norm)?;
    let parameter = |name: &str| norm.f32(name, &[spec.output]);
    let (scale, shift) = if pickled::is_plain(&norm) {
        let same = |value: f32| Tensor { shape: vec![spec.output], data: vec![value; spec.output].into(), span: None };
        (same(1.0), same(0.0))
    } else {
        (norm.f32_init("weight", &[spec.output], init)?, parameter("bias")?)
    };
    let (mean, variance) = (parameter("running_mean")?, parameter("running_var")?);
    let mut bias = Vec::with_capacity(spec.output);
    let taps = weight.data.len() / spec.output.max(1);
    for (channel, weights) in weight.data.to_mut().chunks_exact_mut(taps.max(1)).enumerate() {
        let factor = f64::from(scale.data[channel]) / (f64::from(variance.data[channel]) + epsilon).sqrt();
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
        let centred = f64::from(own_bias[channel]) - f64::from(mean.data[channel]);
        bias.push((f64::from(shift.data[channel]) + centred * factor) as f32);
    }
    weight.span = None;
    Ok((weight, Tensor { shape: vec![spec.output], data: bias.into(), span: None }))
}
