//! Constants, fully connected layers and layer normalisation as checkpoints store them.

use maskline_onnx::{Constant, DType, FileSpan, Graph, LayerActivation, LayerNorm, LayerOptions, MlpLayers, Value};
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

/// From so many numbers on, weights of half precision stay so on disk.
const LARGE: usize = 1 << 20;

/// The weight of a layer as a constant: a large one of half precision is stored as it is, and becomes f32 when the model is opened. Layers of our
/// own take it as it is.
///
/// # Errors
/// `Checkpoint` if it is missing, misshapen or not finite.
fn weight_of<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, shape: &[usize]) -> Result<Value> {
    let tensor = scope.f32("weight", shape)?;
    let may_be_half = tensor.data.len() >= LARGE && tensor.span.is_none() && !scope.checkpoint().is_synthetic();
    let raw = if may_be_half { Some(scope.raw("weight", shape)?) } else { None };
    let half = raw.and_then(|raw| match raw.dtype {
        maskline_weights::DType::F16 => Some((DType::F16, raw)),
        maskline_weights::DType::BF16 => Some((DType::BF16, raw)),
        _ => None,
    });
    let is_finite = tensor.data.iter().all(|value| value.is_finite());
    let Some((dtype, raw)) = half.filter(|_| is_finite) else { return constant(g, scope, "weight", tensor) };
    let span = raw.span.map(|s| FileSpan { path: s.path, offset: s.offset, length: s.length });
    let fits = Constant::new(dtype, shape, raw.bytes);
    let fits = fits.ok_or_else(|| Error::new(ErrorKind::Graph, format!("{}.weight: its bytes do not fill its shape", scope.name())))?;
    let half = fits.located(span);
    if g.has_own_layers() {
        return Ok(g.constant(half));
    }
    g.scoped(scope.name(), |g| Ok(g.widened(half)))
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
    let weight = weight_of(g, scope, &[output, input])?;
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

/// What goes with a [layer](Around::layer): `residual + activation(norm(x) weightᵀ + bias)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a, 'w> {
    /// In front of it.
    pub norm: Option<Normed<'a, 'w>>,
    /// Behind it.
    pub activation: LayerActivation,
    /// Added in the end.
    pub residual: Option<&'a Value>,
}

/// A layer normalisation of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct Normed<'a, 'w> {
    /// Where its parameters are.
    pub scope: &'a Scope<'w>,
    /// What it is.
    pub norm: Norm,
}

impl<'w> Around<'_, 'w> {
    /// A fully connected layer (`weight` `[output, input]`, `bias` `[output]` in `scope`) on the last axis with all that goes with it, as one
    /// operator: for graphs whose layers are our own.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors, `Graph` where layers are not our own.
    pub fn layer(self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
        let weight = weight_of(g, scope, &[output, input])?;
        let bias = parameter(g, scope, "bias", &[output])?;
        let Self { norm, activation, residual } = self;
        let norm = norm.map(|normed| normed.parameters(g)).transpose()?;
        g.scoped(scope.name(), |g| {
            let norm = norm.as_ref().map(|(weight, bias, epsilon)| LayerNorm { weight, bias, epsilon: *epsilon });
            Ok(g.layer(x, &weight, LayerOptions { norm, bias: Some(&bias), activation, residual })?)
        })
    }
}

/// The end of a transformer's block of our own layers: `x + second(activation(first(norm(x))))`.
#[derive(Debug, Clone, Copy)]
pub struct Mlp<'a, 'w> {
    /// In front of both layers.
    pub norm: Normed<'a, 'w>,
    /// Where their `weight` and `bias` are.
    pub layers: [&'a Scope<'w>; 2],
    /// Between both.
    pub activation: LayerActivation,
}

impl<'w> Mlp<'_, 'w> {
    /// From [.., width] to the same as one operator: for graphs whose layers are our own.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors, `Graph` where layers are not our own.
    pub fn build(self, g: &mut Graph<'w>, x: &Value, hidden: usize) -> Result<Value> {
        let Self { norm, layers: [first, second], activation } = self;
        let width = norm.norm.width;
        let (weight, shift, epsilon) = norm.parameters(g)?;
        let weights = [weight_of(g, first, &[hidden, width])?, weight_of(g, second, &[width, hidden])?];
        let biases = [parameter(g, first, "bias", &[hidden])?, parameter(g, second, "bias", &[width])?];
        let norm = LayerNorm { weight: &weight, bias: &shift, epsilon };
        let layers = MlpLayers { norm, weights: weights.each_ref(), biases: biases.each_ref(), activation };
        g.scoped(first.name(), |g| Ok(g.mlp(x, layers)?))
    }
}

impl<'w> Normed<'_, 'w> {
    /// Gain, shift and epsilon.
    fn parameters(&self, g: &mut Graph<'w>) -> Result<(Value, Value, f32)> {
        let Norm { width, epsilon } = self.norm;
        let epsilon = pickled::epsilon(self.scope, f64::from(epsilon))? as f32;
        let weight = parameter(g, self.scope, "weight", &[width])?;
        Ok((weight, parameter(g, self.scope, "bias", &[width])?, epsilon))
    }
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
    let (weight, bias, epsilon) = Normed { scope, norm }.parameters(g)?;
    g.scoped(scope.name(), |g| Ok(g.layer_norm(x, &weight, Some(&bias), epsilon)?))
}

/// Layer normalisation over the channels of [N, C, H, W] (`weight`, `bias` in `scope`).
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn layer_norm_channels<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, norm: Norm) -> Result<Value> {
    let (weight, bias, epsilon) = Normed { scope, norm }.parameters(g)?;
    g.scoped(scope.name(), |g| Ok(g.layer_norm_channels(x, &weight, &bias, epsilon)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use maskline_onnx::{DType, Dialect, Graph, SaveOptions, Saver};
    use maskline_weights::Checkpoint;

    use super::{LARGE, linear};

    /// Bytes outside the graph of a layer whose weight is stored in this type, of so many rows of 1024.
    fn saved(dtype: &str, size: usize, rows: usize) -> (u64, bool) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let length = rows * 1024 * size;
        let header = format!(
            r#"{{"weight":{{"dtype":"{dtype}","shape":[{rows},1024],"data_offsets":[0,{length}]}},"bias":{{"dtype":"F32","shape":[{rows}],"data_offsets":[{length},{}]}}}}"#,
            length + 4 * rows
        );
        std::fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; length + 4 * rows]].concat()).unwrap();
        let checkpoint = Checkpoint::open(&file).unwrap();
        let mut g = Graph::new("layer", Dialect::Portable);
        let x = g.input("x", DType::F32, [2, 1024]).unwrap();
        let y = linear(&mut g, &checkpoint.root(), &x, [1024, rows]).unwrap();
        g.output("y", &y).unwrap();
        let model = g.finish().unwrap();
        let out = folder.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let saved = Saver::new(&out, SaveOptions::default()).save("layer", &model).unwrap();
        (saved.external_bytes, saved.has_half)
    }

    #[test]
    fn large_weights_of_half_precision_stay_so_on_disk() {
        let rows = LARGE / 1024;
        for dtype in ["F16", "BF16"] {
            assert_eq!(saved(dtype, 2, rows), ((2 * LARGE + 4 * rows) as u64, true));
            assert!(!saved(dtype, 2, rows / 2).1, "small ones are not worth it");
        }
        assert_eq!(saved("F32", 4, rows), ((4 * LARGE + 4 * rows) as u64, false));
    }
}
