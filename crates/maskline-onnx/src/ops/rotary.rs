//! Rotary position embedding.

use crate::graph::{Dialect, Op};
use crate::{Constant, ErrorKind, Graph, Result, Shape, Value};

/// By which angles pairs of neighbouring channels are turned, at each place of a sequence: f32 [places, pairs] as constants.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Cosines.
    pub cos: Value,
    /// Sines.
    pub sin: Value,
}

/// ONNX Runtime's operator is used from this size of a head on.
const FUSED_HEAD: usize = 16;

impl<'w> Graph<'w> {
    /// Rotary position embedding (Su et al. 2021) of `x` [B, places, heads · 2 pairs]: in each head, channels 2i and 2i + 1 are turned as a
    /// point of the plane by angle i of their place.
    ///
    /// In the `ort` dialect one operator.
    ///
    /// # Errors
    /// `Shape` if the rotation is not one of such places and heads.
    pub fn rotary(&mut self, x: &Value, rotation: &Rotation, heads: usize) -> Result<Value> {
        let dtype = self.float_only("RotaryEmbedding", x)?;
        let angles = rotation.cos.shape().known();
        let (Some(&[places, pairs]), Some(width)) = (angles.as_deref(), x.shape().0.last().and_then(|width| width.known())) else {
            return Err(self.misfit(x, rotation, heads));
        };
        let fits = x.rank() == 3 && x.shape()[1].known() == Some(places) && width == 2 * pairs * heads;
        if !fits || rotation.cos.shape() != rotation.sin.shape() {
            return Err(self.misfit(x, rotation, heads));
        }
        if self.dialect != Dialect::Portable && (2 * pairs).is_multiple_of(FUSED_HEAD) {
            let start = self.i64s(&[0]);
            let op = Op::microsoft("RotaryEmbedding", &[x, &start, &rotation.cos, &rotation.sin]);
            return Ok(self.emit(op.int("interleaved", 1).int("num_heads", heads as i64), dtype, x.shape().clone()));
        }
        // (a, b) → (a cos - b sin, b cos + a sin): a product with the cosine of each channel's pair, and one of the swapped pairs with the
        // sine, negative for the first of a pair.
        let split = Shape(vec![x.shape()[0].clone(), places.into(), heads.into(), pairs.into(), 2.into()]);
        let paired = self.reshape(x, split)?;
        let turn = Shape(vec![places.into(), 1.into(), pairs.into(), 1.into()]);
        let (cos, sin) = (self.reshape(&rotation.cos, turn.clone())?, self.reshape(&rotation.sin, turn)?);
        let (first, second) = (self.slice(&paired, -1, 0..1)?, self.slice(&paired, -1, 1..2)?);
        let signs = Constant::f32(&[2], vec![-1.0, 1.0]).map(|signs| self.constant(signs));
        let signs = signs.ok_or_else(|| self.fail("RotaryEmbedding", ErrorKind::Shape, "two signs"))?;
        let swapped = self.concat(&[&second, &first], -1)?;
        let signed = self.mul(&sin, &signs)?;
        let (straight, crossed) = (self.mul(&paired, &cos)?, self.mul(&swapped, &signed)?);
        let turned = self.add(&straight, &crossed)?;
        self.reshape(&turned, x.shape().clone())
    }

    fn misfit(&self, x: &Value, rotation: &Rotation, heads: usize) -> crate::Error {
        let found = format!("{} in {heads} heads with angles {}", x.shape(), rotation.cos.shape());
        let error = self.fail("RotaryEmbedding", ErrorKind::Shape, "");
        error.expecting("[B, places, heads · 2 pairs] and [places, pairs]").finding(found)
    }
}
