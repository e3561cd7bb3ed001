//! Constants, fully connected layers and layer normalisation as checkpoints store them.

use maskline_onnx::{Constant, FileSpan, Graph, Value};
use maskline_weights::{Scope, Tensor};

use super::pickled;
use crate::{Error, ErrorKind, Result};

/// A checkpoint's tensor as a constant of the graph, in place where it lies unchanged in the file.
///
/// # Errors
/// `Checkpoint` if it holds NaN or infinite values.
pub fn constant<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, name: &str, tensor: Tensor<'w>) -> Result<Value> {
    if let Some(bad) = tensor.data.iter().find(|value| !value.is_finite()) {
        let error = Error::new(ErrorKind::Checkpoint, format!("{}.{name}", scope.name())).expecting("finite weights").finding(bad);
        let error = error.at(scope.checkpoint().path());
        return Err(error.with_help("the training diverged or the file is damaged; use another checkpoint"));
    }
    let span = tensor.span.map(|s| FileSpan { path: s.path, offset: s.offset, length: s.length });
    let fits = Constant::f32(&tensor.shape, tensor.data);
    let fits = fits.ok_or_else(|| Error::new(ErrorKind::Graph, format!("{}.{name}: its values do not fill its shape", scope.name())))?;
    Ok(g.constant(fits.located(span)))
}

/// The tensor `name` of `scope` as a constant.
///
/// # Errors
/// `Checkpoint` if it is missing, misshapen or not finite.
pub fn parameter<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, name: &str, shape: &[usize]) -> Result<Value> {
    let tensor = scope.f32(name, shape)?;
    constant(g, scope, name, tensor)
}

/// Values computed from weights as a constant.
///
/// # Errors
/// `Checkpoint` if they are not finite, `Graph` if they do not fill the shape.
pub fn computed(g: &mut Graph<'_>, shape: &[usize], values: Vec<f32>) -> Result<Value> {
    if let Some(bad) = values.iter().find(|value| !value.is_finite()) {
        let scope = g.scope_path();
        let error = Error::new(ErrorKind::Checkpoint, scope).expecting("finite weights").finding(format!("some that give {bad}"));
        return Err(error.with_help("the training diverged or the file is damaged; use another checkpoint"));
    }
    let constant = Constant::f32(shape, values);
    let constant = constant.ok_or_else(|| Error::new(ErrorKind::Graph, format!("computed values do not fill {shape:?}")))?;
    Ok(g.constant(constant))
}

/// A fully connected layer (`weight` `[output, input]`, `bias` `[output]` in `scope`) on the last axis.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn linear<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let weight = parameter(g, scope, "weight", &[output, input])?;
    let bias = parameter(g, scope, "bias", &[output])?;
    g.scoped(scope.name(), |g| Ok(g.linear(x, &weight, Some(&bias))?))
}

/// GELU (exact form) of a fully connected layer on [N, input]: the bias is added on the way through the activation, which spares a
/// pass over what is the largest tensor of a transformer.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn linear_gelu<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let weight = parameter(g, scope, "weight", &[output, input])?;
    let bias = parameter(g, scope, "bias", &[output])?;
    g.scoped(scope.name(), |g| {
        let weight = g.transpose(&weight, &[1, 0])?;
        let product = g.matmul(x, &weight)?;
        Ok(g.bias_gelu(&product, &bias)?)
    })
}

/// A layer normalisation.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    /// Size of the normalised axis.
    pub width: usize,
    /// What is added to the variance, unless the checkpoint says another.
    pub epsilon: f32,
}

impl Norm {
    /// Over an axis of this size.
    pub fn of(width: usize, epsilon: f32) -> Self {
        Self { width, epsilon }
    }
}

/// Layer normalisation over the last axis (`weight`, `bias` in `scope`).
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn layer_norm<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, norm: Norm) -> Result<Value> {
    let Norm { width, epsilon } = norm;
    let epsilon = pickled::epsilon(scope, f64::from(epsilon))? as f32;
    let weight = parameter(g, scope, "weight", &[width])?;
    let bias = parameter(g, scope, "bias", &[width])?;
    g.scoped(scope.name(), |g| Ok(g.layer_norm(x, &weight, Some(&bias), epsilon)?))
}

/// Layer normalisation over the channels of [N, C, H, W] (`weight`, `bias` in `scope`).
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn layer_norm_channels<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, norm: Norm) -> Result<Value> {
    let Norm { width, epsilon } = norm;
    let epsilon = pickled::epsilon(scope, f64::from(epsilon))? as f32;
    let weight = parameter(g, scope, "weight", &[width])?;
    let bias = parameter(g, scope, "bias", &[width])?;
    g.scoped(scope.name(), |g| Ok(g.layer_norm_channels(x, &weight, &bias, epsilon)?))
}
