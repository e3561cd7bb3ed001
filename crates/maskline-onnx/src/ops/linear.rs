//! Matrix products.

use super::LayerOptions;
use crate::graph::{Dialect, Op};
use crate::{ErrorKind, Graph, Result, Shape, Value};

impl<'w> Graph<'w> {
    /// Matrix product over the last two axes, the leading ones broadcast: [.., M, K] × [.., K, N] → [.., M, N].
    ///
    /// # Errors
    /// `Shape` if the operands do not fit.
    pub fn matmul(&mut self, a: &Value, b: &Value) -> Result<Value> {
        let dtype = self.same_dtype("MatMul", &[a, b])?;
        let mismatch = |g: &Self| g.fail("MatMul", ErrorKind::Shape, format!("{} × {} do not fit", a.shape(), b.shape()));
        let (rank_a, rank_b) = (a.rank(), b.rank());
        if rank_a < 2 || rank_b < 2 || a.shape()[rank_a - 1] != b.shape()[rank_b - 2] {
            return Err(mismatch(self));
        }
        let leading = |v: &Value| Shape(v.shape().0[..v.rank() - 2].to_vec());
        let mut shape = leading(a).broadcast(&leading(b)).ok_or_else(|| mismatch(self))?;
        shape.0.extend([a.shape()[rank_a - 2].clone(), b.shape()[rank_b - 1].clone()]);
        Ok(self.emit(Op::new("MatMul", &[a, b]), dtype, shape))
    }

    /// `a` times the transpose of `b` over the last two axes, the leading ones broadcast: [.., M, K] × [.., N, K] → [.., M, N].
    ///
    /// In the `ort` dialect one operator that reads `b` as it lies.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit.
    pub fn matmul_transposed(&mut self, a: &Value, b: &Value) -> Result<Value> {
        let mut order: Vec<usize> = (0..b.rank()).collect();
        if b.rank() < 2 || self.dialect == Dialect::Portable || self.as_constant(b).is_some() {
            if let [.., row, column] = order.as_mut_slice() {
                std::mem::swap(row, column);
            }
            let turned = self.transpose(b, &order)?;
            return self.matmul(a, &turned);
        }
        let dtype = self.same_dtype("FusedMatMul", &[a, b])?;
        let leading = |v: &Value| Shape(v.shape().0[..v.rank() - 2].to_vec());
        let fits = a.rank() >= 2 && a.shape()[a.rank() - 1] == b.shape()[b.rank() - 1];
        let Some(mut shape) = leading(a).broadcast(&leading(b)).filter(|_| fits) else {
            let message = format!("{} × {} transposed do not fit", a.shape(), b.shape());
            return Err(self.fail("FusedMatMul", ErrorKind::Shape, message));
        };
        shape.0.extend([a.shape()[a.rank() - 2].clone(), b.shape()[b.rank() - 2].clone()]);
        Ok(self.emit(Op::microsoft("FusedMatMul", &[a, b]).int("transA", 0).int("transB", 1).float("alpha", 1.0), dtype, shape))
    }

    /// A fully connected layer as PyTorch stores it: `x` [.., I], `weight` `[O, I]`, `bias` `[O]` → `[.., O]`.
    ///
    /// One operator where layers are maskline's own. Elsewhere, for two-dimensional `x` this is one Gemm, else a MatMul with the transposed (folded) weight and an Add.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit.
    pub fn linear(&mut self, x: &Value, weight: &Value, bias: Option<&Value>) -> Result<Value> {
        if self.has_own_layers && weight.rank() == 2 && x.rank() >= 2 {
            return self.layer(x, weight, LayerOptions { bias, ..LayerOptions::default() });
        }
        if x.rank() == 2 {
            return self.gemm(x, weight, bias);
        }
        let transposed = self.transpose(weight, &[1, 0])?;
        let product = self.matmul(x, &transposed)?;
        match bias {
            Some(bias) => self.add(&product, bias),
            None => Ok(product),
        }
    }

    /// `x weightᵀ + bias` for [N, I] and [O, I].
    fn gemm(&mut self, x: &Value, weight: &Value, bias: Option<&Value>) -> Result<Value> {
        let dtype = self.same_dtype("Gemm", &[x, weight])?;
        let fits = weight.rank() == 2 && x.shape()[1] == weight.shape()[1];
        if !fits || bias.is_some_and(|b| *b.shape() != Shape(vec![weight.shape()[0].clone()])) {
            let bias = bias.map_or("none".into(), |b| b.shape().to_string());
            let message = format!("input {}, weight {} and bias {bias} do not fit", x.shape(), weight.shape());
            return Err(self.fail("Gemm", ErrorKind::Shape, message));
        }
        let shape = Shape(vec![x.shape()[0].clone(), weight.shape()[0].clone()]);
        Ok(self.emit(Op::new("Gemm", &[x, weight]).optional(bias).int("transB", 1), dtype, shape))
    }
}
