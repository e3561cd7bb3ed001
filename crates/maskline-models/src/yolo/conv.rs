//! `Conv` of ultralytics: a convolution, batch normalisation, and an activation.

use maskline_onnx::{Graph, Value};
use maskline_weights::Scope;

use super::said;
use crate::Result;
use crate::blocks::{Activation, BatchNormed, ConvSpec, convolution_batch_norm, parameter, pickled};

/// What no tensor tells of the convolutions; a pickled module says it of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConvStyle {
    pub(super) epsilon: f64,
    pub(super) activation: Activation,
}

impl ConvStyle {
    /// With the activation that the checkpoint says (SiLU in the published models).
    pub(super) fn conv<'w>(self, g: &mut Graph<'w>, scope: &Scope<'w>, x: &Value, spec: ConvSpec) -> Result<Value> {
        pickled::expect_class(scope, &["Conv", "DWConv"])?;
        let names = BatchNormed { conv: "conv", norm: "bn", epsilon: self.epsilon };
        match said::activation(scope, self.activation)? {
            Some(activation) => convolution_batch_norm(g, scope, x, names.of(spec).then(activation)),
            None => {
                let y = convolution_batch_norm(g, scope, x, names.of(spec))?;
                slopes(g, &scope.push("act"), &y, spec.output)
            }
        }
    }

    /// Without one, where the checkpoint does not say it.
    pub(super) fn bare(self) -> Self {
        Self { activation: Activation::None, ..self }
    }
}

/// Negative values times a slope that was learned, for all channels or for each.
fn slopes<'w>(g: &mut Graph<'w>, act: &Scope<'w>, x: &Value, channels: usize) -> Result<Value> {
    let count = if act.shape("weight")? == [1] { 1 } else { channels };
    let slope = parameter(g, act, "weight", &[count])?;
    g.scoped(act.name(), |g| {
        let slope = g.reshape(&slope, [count, 1, 1])?;
        Ok(g.prelu(x, &slope)?)
    })
}
