//! Convolutions as checkpoints store them: alone or followed by batch normalisation.

use maskline_onnx::{Constant, ConvOptions, FileSpan, Graph, Value};
use maskline_weights::{Scope, Tensor};

use crate::{Error, ErrorKind, Result};

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `x * sigmoid(x)`.
    Silu,
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
}

/// A convolution with bias (`weight`, `bias` in `scope`).
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn convolution<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
    let weight = scope.f32("weight", &[spec.output, spec.input, spec.kernel, spec.kernel])?;
    let bias = scope.f32("bias", &[spec.output])?;
    g.scoped(scope.name(), |g| {
        let weight = constant(g, (scope, "weight"), weight)?;
        let bias = constant(g, (scope, "bias"), bias)?;
        Ok(g.conv(x, &weight, Some(&bias), &ConvOptions::same(spec.kernel, spec.stride))?)
    })
}

/// A convolution (`conv`) followed by batch normalisation (`bn`) and an activation; the normalisation is folded into the
/// weights. Checkpoints that are folded already (`conv.bias`, no `bn`) are taken as they are.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn convolution_batch_norm<'w>(
    g: &mut Graph<'w>,
    scope: &Scope<'w>,
    (x, spec): (&Value, ConvSpec),
    (epsilon, activation): (f64, Activation),
) -> Result<Value> {
    let convolved = if scope.contains("conv.bias") {
        convolution(g, &scope.push("conv"), x, spec)?
    } else {
        let (weight, bias) = folded(scope, spec, epsilon)?;
        g.scoped(scope.name(), |g| {
            let weight = constant(g, (scope, "conv.weight"), weight)?;
            let bias = constant(g, (scope, "bn.bias"), bias)?;
            Ok::<_, Error>(g.conv(x, &weight, Some(&bias), &ConvOptions::same(spec.kernel, spec.stride))?)
        })?
    };
    match activation {
        Activation::None => Ok(convolved),
        Activation::Silu => g.scoped(scope.name(), |g| Ok(g.silu(&convolved)?)),
    }
}

/// Weight and bias of `bn(conv(x))`: computed in f64 and rounded once.
fn folded<'w>(scope: &Scope<'w>, spec: ConvSpec, epsilon: f64) -> Result<(Tensor<'w>, Tensor<'w>)> {
    let mut weight = scope.f32("conv.weight", &[spec.output, spec.input, spec.kernel, spec.kernel])?;
    let norm = scope.push("bn");
    let parameter = |name: &str| norm.f32(name, &[spec.output]);
    let (scale, shift) = (parameter("weight")?, parameter("bias")?);
    let (mean, variance) = (parameter("running_mean")?, parameter("running_var")?);
    let mut bias = Vec::with_capacity(spec.output);
    let taps = spec.input * spec.kernel * spec.kernel;
    for (channel, weights) in weight.data.to_mut().chunks_exact_mut(taps).enumerate() {
        let factor = f64::from(scale.data[channel]) / (f64::from(variance.data[channel]) + epsilon).sqrt();
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * factor) as f32);
        bias.push((f64::from(shift.data[channel]) - f64::from(mean.data[channel]) * factor) as f32);
    }
    weight.span = None;
    Ok((weight, Tensor { shape: vec![spec.output], data: bias.into(), span: None }))
}

/// A checkpoint's tensor as a constant of the graph, in place where it lies unchanged in the file.
///
/// # Errors
/// `Checkpoint` if it holds NaN or infinite values.
pub fn constant<'w>(g: &mut Graph<'w>, (scope, name): (&Scope<'w>, &str), tensor: Tensor<'w>) -> Result<Value> {
    if let Some(bad) = tensor.data.iter().find(|value| !value.is_finite()) {
        let message = format!("{}.{name}: expected finite weights, found {bad}", scope.name());
        let error = Error::new(ErrorKind::Checkpoint, message).at(scope.checkpoint().path());
        return Err(error.help("the training diverged or the file is damaged; use another checkpoint"));
    }
    let span = tensor.span.map(|s| FileSpan { path: s.path, offset: s.offset, length: s.length });
    let fits = Constant::f32(&tensor.shape, tensor.data);
    let fits = fits.ok_or_else(|| Error::new(ErrorKind::Graph, format!("{}.{name}: its values do not fill its shape", scope.name())))?;
    Ok(g.constant(fits.located(span)))
}
