//! Resampling of pictures and feature maps.

use crate::graph::Op;
use crate::{Constant, ErrorKind, Graph, Result, Shape, Value};

/// How [`Graph::resize`] interpolates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// The nearest element, rounding down, on asymmetric coordinates (PyTorch's `nearest`).
    Nearest,
    /// Linear, on half-pixel centres (PyTorch's `bilinear`, `align_corners=False`).
    #[default]
    Linear,
    /// Cubic with coefficient -0.75, on half-pixel centres (PyTorch's `bicubic`).
    Cubic,
}

impl<'w> Graph<'w> {
    /// Resizes the last two axes of [N, C, H, W] to a known size.
    ///
    /// # Errors
    /// `Shape` if `x` is not four-dimensional, `Invalid` for an empty target.
    pub fn resize(&mut self, x: &Value, [rows, columns]: [usize; 2], interpolation: Interpolation) -> Result<Value> {
        let dtype = self.check_resize(x, rows == 0 || columns == 0)?;
        let target = Shape(vec![x.shape()[0].clone(), x.shape()[1].clone(), rows.into(), columns.into()]);
        if target == *x.shape() {
            return Ok(x.clone());
        }
        let sizes = self.i64s(&[rows as i64, columns as i64]);
        let op = Op::new("Resize", &[x]).optional(None).optional(None).optional(Some(&sizes));
        Ok(self.emit(resize_attributes(op, interpolation).ints("axes", [2, 3]), dtype, target))
    }

    /// Enlarges the last two axes of [N, C, H, W] by a whole factor; works for unknown sizes too.
    ///
    /// # Errors
    /// `Shape` if `x` is not four-dimensional, `Invalid` for a factor of 0.
    pub fn upsample(&mut self, x: &Value, factor: usize, interpolation: Interpolation) -> Result<Value> {
        let dtype = self.check_resize(x, factor == 0)?;
        let scaled = |axis: usize| x.shape()[axis].times(factor as i64);
        let shape = Shape(vec![x.shape()[0].clone(), x.shape()[1].clone(), scaled(2), scaled(3)]);
        let scales = [1.0, 1.0, factor as f32, factor as f32];
        let scales = self.constant(Constant {
            dtype: crate::DType::F32,
            shape: vec![4],
            bytes: bytemuck::cast_slice(&scales).to_vec().into(),
            span: None,
        });
        let op = Op::new("Resize", &[x]).optional(None).optional(Some(&scales));
        Ok(self.emit(resize_attributes(op, interpolation), dtype, shape))
    }

    fn check_resize(&self, x: &Value, empty: bool) -> Result<crate::DType> {
        let dtype = self.float_only("Resize", x)?;
        if x.rank() != 4 {
            return Err(self.fail("Resize", ErrorKind::Shape, "").expecting("[N, C, H, W]").finding(x.shape()));
        }
        if empty {
            return Err(self.fail("Resize", ErrorKind::Invalid, "the target is empty"));
        }
        Ok(dtype)
    }
}

fn resize_attributes(op: Op<'_>, interpolation: Interpolation) -> Op<'_> {
    let (mode, coordinates) = match interpolation {
        Interpolation::Nearest => ("nearest", "asymmetric"),
        Interpolation::Linear => ("linear", "half_pixel"),
        Interpolation::Cubic => ("cubic", "half_pixel"),
    };
    let op = op.text("mode", mode).text("coordinate_transformation_mode", coordinates);
    match interpolation {
        Interpolation::Nearest => op.text("nearest_mode", "floor"),
        Interpolation::Cubic => op.float("cubic_coeff_a", -0.75),
        Interpolation::Linear => op,
    }
}
