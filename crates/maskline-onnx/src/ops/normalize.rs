//! Softmax and layer normalisation.

use crate::graph::Op;
use crate::{ErrorKind, Graph, Result, Shape, Value};

impl<'w> Graph<'w> {
    /// Softmax along one axis.
    ///
    /// # Errors
    /// `Invalid` for an axis outside the shape.
    pub fn softmax(&mut self, x: &Value, axis: isize) -> Result<Value> {
        let dtype = self.float_only("Softmax", x)?;
        let axis = self.axis("Softmax", x, axis)?;
        Ok(self.emit(Op::new("Softmax", &[x]).int("axis", axis as i64), dtype, x.shape().clone()))
    }

    /// Layer normalisation over the last axis: `(x - mean) / sqrt(variance + epsilon) * weight + bias`.
    ///
    /// # Errors
    /// `Shape` if weight or bias are not [size of the last axis].
    pub fn layer_norm(&mut self, x: &Value, weight: &Value, bias: Option<&Value>, epsilon: f32) -> Result<Value> {
        let dtype = self.same_dtype("LayerNormalization", &[x, weight])?;
        let axis = self.axis("LayerNormalization", x, -1)?;
        let expected = Shape(vec![x.shape()[axis].clone()]);
        for parameter in std::iter::once(weight).chain(bias) {
            if *parameter.shape() != expected {
                let misfit = self.fail("LayerNormalization", ErrorKind::Shape, "");
                return Err(misfit.expecting(format!("parameters {expected}")).finding(parameter.shape()));
            }
        }
        let op = Op::new("LayerNormalization", &[x, weight]).optional(bias).int("axis", -1).float("epsilon", epsilon);
        Ok(self.emit(op, dtype, x.shape().clone()))
    }

    /// Layer normalisation over the channels of [N, C, H, W] (`LayerNorm2d` of SAM).
    ///
    /// # Errors
    /// `Shape` if `x` is not four-dimensional or the parameters are not `[C]`.
    pub fn layer_norm_channels(&mut self, x: &Value, weight: &Value, bias: &Value, epsilon: f32) -> Result<Value> {
        if x.rank() != 4 {
            return Err(self.fail("LayerNormalization", ErrorKind::Shape, "").expecting("[N, C, H, W]").finding(x.shape()));
        }
        let last = self.transpose(x, &[0, 2, 3, 1])?;
        let normed = self.layer_norm(&last, weight, Some(bias), epsilon)?;
        self.transpose(&normed, &[0, 3, 1, 2])
    }
}
