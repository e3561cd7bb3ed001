//! Maps with channels last, [B, rows, columns, C], as transformers over pictures use them: layers on every cell, and attention windows.

use std::borrow::Cow;
use std::ops::Range;

use maskline_onnx::{Dim, Graph, PadMode, Value};
use maskline_weights::{FileSpan, Scope, Tensor};

use super::{constant, linear, linear_gelu, parameter};
use crate::{Error, ErrorKind, Result};

/// Rows, columns and channels of a map; its batch stays open. An unknown size is 0.
pub fn map_sizes(x: &Value) -> [usize; 3] {
    [1, 2, 3].map(|axis| x.shape()[axis].known().unwrap_or(0))
}

/// The shape `[batch, rest..]`.
pub fn batched(batch: &Dim, rest: &[usize]) -> Vec<Dim> {
    std::iter::once(batch.clone()).chain(rest.iter().copied().map(Dim::fixed)).collect()
}

/// A map as a list of its cells: [B, rows, columns, C] → [B, rows·columns, C].
///
/// # Errors
/// `Graph` if `x` is no map of known size.
pub fn cells(g: &mut Graph<'_>, x: &Value) -> Result<Value> {
    let [rows, columns, width] = map_sizes(x);
    Ok(g.reshape(x, batched(&x.shape()[0], &[rows * columns, width]))?)
}

/// A fully connected layer (`weight` `[output, input]`, `bias` `[output]` in `scope`) on every cell, as one matrix product.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn dense<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let [rows, columns, _] = map_sizes(x);
    let flat = g.reshape(x, vec![x.shape()[0].times((rows * columns) as i64), input.into()])?;
    let flat = linear(g, scope, &flat, [input, output])?;
    Ok(g.reshape(&flat, batched(&x.shape()[0], &[rows, columns, output]))?)
}

/// Two fully connected layers (in `scopes`) on every cell with a GELU (exact form) between them: [B, rows, columns, width] → the same.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn mlp<'w>(g: &mut Graph<'w>, scopes: [&Scope<'w>; 2], x: &Value, [width, hidden]: [usize; 2]) -> Result<Value> {
    let [rows, columns, _] = map_sizes(x);
    let flat = g.reshape(x, vec![x.shape()[0].times((rows * columns) as i64), width.into()])?;
    let flat = linear_gelu(g, scopes[0], &flat, [width, hidden])?;
    let flat = linear(g, scopes[1], &flat, [hidden, width])?;
    Ok(g.reshape(&flat, x.shape().clone())?)
}

/// A 1×1 convolution without bias (`weight` `[output, input, 1, 1]` in `scope`) on every cell, as one matrix product.
///
/// # Errors
/// `Checkpoint` for missing or misshapen tensors.
pub fn dense_point<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<Value> {
    let [rows, columns, _] = map_sizes(x);
    let weight = parameter(g, scope, "weight", &[output, input, 1, 1])?;
    g.scoped(scope.name(), |g| {
        let weight = g.reshape(&weight, [output, input])?;
        let flat = g.reshape(x, vec![x.shape()[0].times((rows * columns) as i64), input.into()])?;
        let flat = g.linear(&flat, &weight, None)?;
        Ok(g.reshape(&flat, batched(&x.shape()[0], &[rows, columns, output]))?)
    })
}

/// How a layer that makes queries, keys and values at once orders its outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// All queries, all keys, all values.
    ByKind,
    /// Queries, keys and values of the first head, of the second, and so on.
    ByHead {
        /// Number of heads.
        heads: usize,
    },
}

impl Joint {
    /// Where the outputs of one kind (0 queries, 1 keys, 2 values) lie, as runs of equal length.
    fn runs(self, kind: usize, output: usize) -> Vec<Range<usize>> {
        let heads = match self {
            Self::ByKind => 1,
            Self::ByHead { heads } => heads.max(1),
        };
        let size = output / heads;
        (0..heads).map(|head| (3 * head + kind) * size..(3 * head + kind + 1) * size).collect()
    }

    /// Queries, keys and values of every cell, each by its own product: cutting them out of one would copy them all.
    ///
    /// `weight` `[3 output, input]` and, where there is one, `bias` `[3 output]` in `scope`.
    ///
    /// # Errors
    /// `Checkpoint` for missing or misshapen tensors.
    pub fn projections<'w>(self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, [input, output]: [usize; 2]) -> Result<[Value; 3]> {
        let weight = scope.f32("weight", &[3 * output, input])?;
        let bias = if scope.contains("bias") { Some(scope.f32("bias", &[3 * output])?) } else { None };
        let [rows, columns, _] = map_sizes(x);
        let batch = x.shape()[0].clone();
        let flat = g.reshape(x, vec![batch.times((rows * columns) as i64), input.into()])?;
        let mut parts = Vec::with_capacity(3);
        for kind in 0..3 {
            let runs = self.runs(kind, output);
            let weight = constant(g, scope, "weight", entries(&weight, &runs))?;
            let bias = bias.as_ref().map(|bias| constant(g, scope, "bias", entries(bias, &runs))).transpose()?;
            let projected = g.scoped(scope.name(), |g| g.linear(&flat, &weight, bias.as_ref()))?;
            parts.push(g.reshape(&projected, batched(&batch, &[rows, columns, output]))?);
        }
        <[Value; 3]>::try_from(parts).map_err(|_| Error::new(ErrorKind::Graph, "queries, keys and values are three"))
    }
}

/// Runs of entries of a tensor's first axis, in place where they are one run.
fn entries<'w>(tensor: &Tensor<'w>, runs: &[Range<usize>]) -> Tensor<'w> {
    let size: usize = tensor.shape[1..].iter().product();
    let mut shape = tensor.shape.clone();
    shape[0] = runs.iter().map(Range::len).sum();
    if let (Cow::Borrowed(data), [run]) = (&tensor.data, runs) {
        let bytes = |count: usize| (count * size * size_of::<f32>()) as u64;
        let span = tensor.span.as_ref();
        let span = span.map(|s| FileSpan { path: s.path.clone(), offset: s.offset + bytes(run.start), length: bytes(run.len()) });
        return Tensor { shape, data: Cow::Borrowed(&data[run.start * size..run.end * size]), span };
    }
    let data: Vec<f32> = runs.iter().flat_map(|run| &tensor.data[run.start * size..run.end * size]).copied().collect();
    Tensor { shape, data: data.into(), span: None }
}

/// Cuts a map into windows: [B, rows, columns, C] → [B·windows, height, width, C], zeros added at the right and at the bottom.
///
/// # Errors
/// `Graph` if `x` is no map of known size.
pub fn partition(g: &mut Graph<'_>, x: &Value, [height, width]: [usize; 2]) -> Result<Value> {
    let [rows, columns, channels] = map_sizes(x);
    let batch = x.shape()[0].clone();
    let (down, across) = (rows.div_ceil(height), columns.div_ceil(width));
    let padding = [(0, 0), (0, down * height - rows), (0, across * width - columns), (0, 0)];
    let x = g.pad(x, &padding, PadMode::Constant(0.0))?;
    if (down, across) == (1, 1) {
        return Ok(x);
    }
    let x = g.reshape(&x, batched(&batch, &[down, height, across, width, channels]))?;
    let x = g.transpose(&x, &[0, 1, 3, 2, 4, 5])?;
    Ok(g.reshape(&x, batched(&batch.times((down * across) as i64), &[height, width, channels]))?)
}

/// Undoes [`partition`]: [B·windows, height, width, C] → [B, rows, columns, C].
///
/// # Errors
/// `Graph` if the windows do not make up such a map.
pub fn join(g: &mut Graph<'_>, x: &Value, batch: &Dim, [rows, columns]: [usize; 2]) -> Result<Value> {
    let [height, width, channels] = map_sizes(x);
    let (down, across) = (rows.div_ceil(height), columns.div_ceil(width));
    let x = if (down, across) == (1, 1) {
        x.clone()
    } else {
        let x = g.reshape(x, batched(batch, &[down, across, height, width, channels]))?;
        let x = g.transpose(&x, &[0, 1, 3, 2, 4, 5])?;
        g.reshape(&x, batched(batch, &[down * height, across * width, channels]))?
    };
    let x = g.slice(&x, 1, 0..rows as i64)?;
    Ok(g.slice(&x, 2, 0..columns as i64)?)
}
