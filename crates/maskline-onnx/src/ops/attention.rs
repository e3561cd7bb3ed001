//! Scaled dot-product attention.

use super::AttentionInPlace;
use crate::graph::{Dialect, Op};
use crate::{DType, ErrorKind, Graph, Result, Shape, Value};

/// Options of [`Graph::attention`].
#[derive(Debug, Clone)]
pub struct AttentionOptions {
    /// Number of heads; the width must be a multiple of it.
    pub heads: usize,
    /// Factor of the scores; `None` is `1 / sqrt(width / heads)`.
    pub scale: Option<f32>,
}

/// Up to so many keys, as in attention windows, ONNX Runtime's plain products are faster than its fused attention, which is made for
/// long rows (measured with 16 to 196 keys and 1 to 8 heads: 1.1 to 2.7 times).
const SMALL_ATTENTION: usize = 256;

impl<'w> Graph<'w> {
    /// Multi-head attention (Vaswani et al. 2017, §3.2) on projected inputs.
    ///
    /// `q` [B, N, C], `k` [B, M, C], `v` [B, M, D] → [B, N, D]; heads lie side by side in C and D. In the `ort` dialect, many
    /// keys take one fused operator; else MatMul, Softmax, MatMul with the transposes that they need.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` if a width is not a multiple of the heads.
    pub fn attention(&mut self, qkv: [&Value; 3], options: &AttentionOptions) -> Result<Value> {
        self.attention_with_bias(qkv, None, options)
    }

    /// Element type and shape [B, N, D] of what attention with `q` [B, N, C], `k` [B, M, C], `v` [B, M, D] gives.
    pub(super) fn attended(&self, [q, k, v]: [&Value; 3]) -> Result<(DType, Shape)> {
        let dtype = self.same_dtype("Attention", &[q, k, v])?;
        let fits = [q, k, v].iter().all(|x| x.rank() == 3 && x.shape()[0] == q.shape()[0])
            && q.shape()[2] == k.shape()[2]
            && k.shape()[1] == v.shape()[1];
        if !fits {
            let message = format!("queries {}, keys {} and values {} do not fit", q.shape(), k.shape(), v.shape());
            return Err(self.fail("Attention", ErrorKind::Shape, message));
        }
        Ok((dtype, Shape(vec![q.shape()[0].clone(), q.shape()[1].clone(), v.shape()[2].clone()])))
    }

    /// As [`Graph::attention`], with `bias` added to the scaled scores: [1 or B, heads, N, M].
    ///
    /// # Errors
    /// As [`Graph::attention`]; `Shape` if the bias does not fit.
    pub fn attention_with_bias(&mut self, [q, k, v]: [&Value; 3], bias: Option<&Value>, options: &AttentionOptions) -> Result<Value> {
        let (dtype, shape) = self.attended([q, k, v])?;
        let heads = options.heads;
        let (Some(width), Some(value_width)) = (q.shape()[2].known(), v.shape()[2].known()) else {
            return Err(self.fail("Attention", ErrorKind::Shape, format!("the widths of {} and {} must be known", q.shape(), v.shape())));
        };
        if heads == 0 || width % heads != 0 || value_width % heads != 0 {
            let message = format!("widths {width} and {value_width} are not multiples of {heads} heads");
            return Err(self.fail("Attention", ErrorKind::Invalid, message));
        }
        let scale = options.scale.unwrap_or(1.0 / ((width / heads) as f32).sqrt());
        let scores = Shape(vec![q.shape()[0].clone(), heads.into(), q.shape()[1].clone(), k.shape()[1].clone()]);
        if let Some(bias) = bias.filter(|b| b.rank() != 4 || scores.broadcast(b.shape()).as_ref() != Some(&scores)) {
            return Err(self.fail("Attention", ErrorKind::Shape, format!("bias {} does not fit scores {scores}", bias.shape())));
        }
        if self.has_own_layers && bias.is_none() && width == value_width {
            return self
                .attention_in_place(AttentionInPlace { scale: options.scale, ..AttentionInPlace::of([q, k, v], [heads, width / heads]) });
        }
        let is_small = k.shape()[1].known().is_some_and(|keys| keys <= SMALL_ATTENTION);
        // The fused operator takes no bias that all queries share.
        let is_shared = bias.is_some_and(|bias| bias.shape()[2] != q.shape()[1]);
        if self.dialect != Dialect::Portable && !is_small && !is_shared {
            let op = Op::microsoft("MultiHeadAttention", &[q, k, v]).optional(None).optional(None).optional(bias);
            return Ok(self.emit(op.int("num_heads", heads as i64).float("scale", scale), dtype, shape));
        }
        let scale = self.scalar_of(scale, dtype)?;
        let q = self.mul(q, &scale)?;
        let [q, k, v] = [&q, k, v].map(|x| self.split_heads(x, heads));
        let (q, k, v) = (q?, k?, v?);
        let mut scores = self.matmul_transposed(&q, &k)?;
        if let Some(bias) = bias {
            scores = self.add(&scores, bias)?;
        }
        let weights = self.softmax(&scores, -1)?;
        let context = self.matmul(&weights, &v)?;
        if heads == 1 {
            return self.squeeze(&context, 1);
        }
        let context = self.transpose(&context, &[0, 2, 1, 3])?;
        self.reshape(&context, shape)
    }

    /// [B, N, heads·c] → [B, heads, N, c].
    fn split_heads(&mut self, x: &Value, heads: usize) -> Result<Value> {
        let dims = x.shape();
        let width = dims[2].divided(heads as i64).unwrap_or_else(|| dims[2].clone());
        if heads == 1 {
            return self.unsqueeze(x, 1);
        }
        let split = self.reshape(x, vec![dims[0].clone(), dims[1].clone(), heads.into(), width])?;
        self.transpose(&split, &[0, 2, 1, 3])
    }
}
