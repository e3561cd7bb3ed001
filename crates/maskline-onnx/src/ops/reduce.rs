//! Reductions.

use crate::graph::Op;
use crate::{DType, Dim, Graph, Result, Shape, Value};

macro_rules! reductions {
    ($($(#[$doc:meta])* $method:ident => $kind:literal;)*) => {
        impl<'w> Graph<'w> {
            $($(#[$doc])*
            /// With `keep`, the reduced axes stay as 1.
            ///
            /// # Errors
            /// `Invalid` for an axis outside the shape.
            pub fn $method(&mut self, x: &Value, axes: &[isize], keep: bool) -> Result<Value> {
                self.reduce($kind, x, axes, keep)
            })*
        }
    };
}

reductions! {
    /// Mean over `axes`.
    reduce_mean => "ReduceMean";
    /// Sum over `axes`.
    reduce_sum => "ReduceSum";
    /// Maximum over `axes`.
    reduce_max => "ReduceMax";
    /// Minimum over `axes`.
    reduce_min => "ReduceMin";
    /// Euclidean norm over `axes`.
    reduce_l2 => "ReduceL2";
}

impl<'w> Graph<'w> {
    fn reduce(&mut self, kind: &'static str, x: &Value, axes: &[isize], keep: bool) -> Result<Value> {
        let axes = axes.iter().map(|a| self.axis(kind, x, *a)).collect::<Result<Vec<_>>>()?;
        let indices: Vec<i64> = axes.iter().map(|a| *a as i64).collect();
        let kept = x.shape().0.iter().enumerate().filter_map(|(i, dim)| match (axes.contains(&i), keep) {
            (false, _) => Some(dim.clone()),
            (true, true) => Some(Dim::fixed(1)),
            (true, false) => None,
        });
        let shape = Shape(kept.collect());
        let axes = self.i64s(&indices);
        Ok(self.emit(Op::new(kind, &[x, &axes]).int("keepdims", keep.into()), x.dtype(), shape))
    }

    /// Index of the maximum along one axis (the first of equal ones), i64; the axis is dropped.
    ///
    /// # Errors
    /// `Invalid` for an axis outside the shape.
    pub fn arg_max(&mut self, x: &Value, axis: isize) -> Result<Value> {
        let axis = self.axis("ArgMax", x, axis)?;
        let mut shape = x.shape().clone();
        shape.0.remove(axis);
        Ok(self.emit(Op::new("ArgMax", &[x]).int("axis", axis as i64).int("keepdims", 0), DType::I64, shape))
    }
}
