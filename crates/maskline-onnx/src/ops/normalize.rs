//! Softmax and layer normalisation.

use crate::graph::Op;
use crate::{Constant, Dim, ErrorKind, Graph, Result, Shape, Value};

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

    /// Group normalisation (Wu & He 2018) of `x` [N, C, ..] in `groups` equal runs of channels, `weight` and `bias` `[C]`.
    ///
    /// # Errors
    /// `Shape` if the channels are not a known multiple of the groups, or the parameters are not `[C]`.
    pub fn group_norm(&mut self, x: &Value, groups: usize, parameters: [&Value; 2], epsilon: f32) -> Result<Value> {
        let dtype = self.same_dtype("GroupNormalization", &[x, parameters[0], parameters[1]])?;
        let channels = x.shape().0.get(1).and_then(|channels| channels.known()).unwrap_or(0);
        let of_channels = Shape(vec![channels.into()]);
        if x.rank() < 3
            || groups == 0
            || !channels.is_multiple_of(groups)
            || parameters.iter().any(|parameter| *parameter.shape() != of_channels)
        {
            let found = format!("{} in {groups} groups with {} and {}", x.shape(), parameters[0].shape(), parameters[1].shape());
            let error = self.fail("GroupNormalization", ErrorKind::Shape, "");
            return Err(error.expecting("[N, C, ..] of a multiple of the groups, and [C]").finding(found));
        }
        let inner = x.shape().0[2..].iter().try_fold(channels / groups, |size, dim| Some(size * dim.known()?));
        let inner = inner.ok_or_else(|| self.fail("GroupNormalization", ErrorKind::Shape, format!("{} must be known", x.shape())))?;
        let grouped = self.reshape(x, vec![x.shape()[0].clone(), groups.into(), inner.into()])?;
        let fill = |g: &mut Self, value: f32| Constant::f32(&[groups], vec![value; groups]).map(|constant| g.constant(constant));
        let (Some(ones), Some(zeros)) = (fill(self, 1.0), fill(self, 0.0)) else { return Ok(x.clone()) };
        let op = Op::new("InstanceNormalization", &[&grouped, &ones, &zeros]).float("epsilon", epsilon);
        let normed = self.emit(op, dtype, grouped.shape().clone());
        let normed = self.reshape(&normed, x.shape().clone())?;
        let mut per_channel: Vec<Dim> = vec![1.into(); x.rank()];
        per_channel[1] = channels.into();
        let [weight, bias] = [self.reshape(parameters[0], per_channel.clone())?, self.reshape(parameters[1], per_channel)?];
        let scaled = self.mul(&normed, &weight)?;
        self.add(&scaled, &bias)
    }
}
