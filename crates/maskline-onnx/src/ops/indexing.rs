//! Taking parts of tensors, joining and padding them.

use crate::graph::Op;
use crate::{DType, Dim, ErrorKind, Graph, Result, Shape, Value};

/// What [`Graph::pad`] fills with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PadMode {
    /// A constant.
    Constant(f32),
    /// The border element.
    Edge,
    /// The mirrored inside, the border element not repeated.
    Reflect,
}

impl<'w> Graph<'w> {
    /// The part `start..end` of one axis; negative positions count from the end, `i64::MAX` is the end.
    ///
    /// # Errors
    /// `Invalid` if the range may be empty or outside the axis.
    pub fn slice(&mut self, x: &Value, axis: isize, range: std::ops::Range<i64>) -> Result<Value> {
        let axis = self.axis("Slice", x, axis)?;
        let size = &x.shape()[axis];
        let least = size.least().unwrap_or(0);
        let absolute = |position: i64| match position {
            i64::MAX => Some(size.clone()),
            p if p < 0 && -p <= least => Some(size.offset(p)),
            p if p >= 0 && p <= least => Some(Dim::fixed(p as usize)),
            _ => None,
        };
        let length = absolute(range.end).zip(absolute(range.start)).map(|(end, start)| end.plus(&start.times(-1)));
        let Some(length) = length.filter(|n| n.least().is_some_and(|n| n > 0)) else {
            let message = format!("{}..{} may be empty or outside axis {axis} of {}", range.start, range.end, x.shape());
            return Err(self.fail("Slice", ErrorKind::Invalid, message));
        };
        if length == *size {
            return Ok(x.clone());
        }
        let mut shape = x.shape().clone();
        shape.0[axis] = length;
        let (starts, ends, axes) = (self.i64s(&[range.start]), self.i64s(&[range.end]), self.i64s(&[axis as i64]));
        Ok(self.emit(Op::new("Slice", &[x, &starts, &ends, &axes]), x.dtype(), shape))
    }

    /// Cuts one axis into consecutive parts of the given sizes.
    ///
    /// # Errors
    /// `Invalid` if the sizes do not add up to the axis.
    pub fn split(&mut self, x: &Value, axis: isize, sizes: &[usize]) -> Result<Vec<Value>> {
        let index = self.axis("Split", x, axis)?;
        if x.shape()[index].known() != Some(sizes.iter().sum()) {
            let message = format!("sizes {sizes:?} do not add up to axis {index} of {}", x.shape());
            return Err(self.fail("Split", ErrorKind::Invalid, message));
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(self.slice(x, index as isize, start..start + *size as i64)?);
            start += *size as i64;
        }
        Ok(parts)
    }

    /// Joins tensors along one axis.
    ///
    /// # Errors
    /// `Shape` if the other axes differ, `Invalid` for an empty list.
    pub fn concat(&mut self, parts: &[&Value], axis: isize) -> Result<Value> {
        let Some(first) = parts.first() else {
            return Err(self.fail("Concat", ErrorKind::Invalid, "nothing to join"));
        };
        let dtype = self.same_dtype("Concat", parts)?;
        let axis = self.axis("Concat", first, axis)?;
        let mut shape = first.shape().clone();
        for part in &parts[1..] {
            let fits = part.rank() == shape.rank() && (0..shape.rank()).all(|i| i == axis || part.shape()[i] == shape[i]);
            if !fits {
                let message = format!("{} and {} do not join along axis {axis}", first.shape(), part.shape());
                return Err(self.fail("Concat", ErrorKind::Shape, message));
            }
            shape.0[axis] = shape[axis].plus(&part.shape()[axis]);
        }
        if parts.len() == 1 {
            return Ok((*first).clone());
        }
        Ok(self.emit(Op::new("Concat", parts).int("axis", axis as i64), dtype, shape))
    }

    /// Takes entries of one axis by index: the axis is replaced by the axes of `indices` (i64 or i32).
    ///
    /// # Errors
    /// `DType` if the indices are not integers.
    pub fn gather(&mut self, x: &Value, indices: &Value, axis: isize) -> Result<Value> {
        let axis = self.axis("Gather", x, axis)?;
        if !matches!(indices.dtype(), DType::I64 | DType::I32) {
            return Err(self.fail("Gather", ErrorKind::DType, "").expecting("integer indices").finding(indices.dtype()));
        }
        let mut dims = x.shape().0[..axis].to_vec();
        dims.extend(indices.shape().0.iter().cloned());
        dims.extend(x.shape().0[axis + 1..].iter().cloned());
        Ok(self.emit(Op::new("Gather", &[x, indices]).int("axis", axis as i64), x.dtype(), Shape(dims)))
    }

    /// Adds elements before and after each axis; one `(before, after)` per axis.
    ///
    /// # Errors
    /// `Invalid` if there is not one pair per axis.
    pub fn pad(&mut self, x: &Value, amounts: &[(usize, usize)], mode: PadMode) -> Result<Value> {
        if amounts.len() != x.rank() {
            let message = format!("{} pairs for the {} axes of {}", amounts.len(), x.rank(), x.shape());
            return Err(self.fail("Pad", ErrorKind::Invalid, message));
        }
        if amounts.iter().all(|a| *a == (0, 0)) {
            return Ok(x.clone());
        }
        let shape = Shape(x.shape().0.iter().zip(amounts).map(|(d, (a, b))| d.offset((a + b) as i64)).collect());
        let flat: Vec<i64> = amounts.iter().map(|a| a.0 as i64).chain(amounts.iter().map(|a| a.1 as i64)).collect();
        let pads = self.i64s(&flat);
        let op = match mode {
            PadMode::Constant(fill) => {
                let dtype = self.float_only("Pad", x)?;
                let fill = self.scalar_of(fill, dtype)?;
                return Ok(self.emit(Op::new("Pad", &[x, &pads, &fill]).text("mode", "constant"), x.dtype(), shape));
            }
            PadMode::Edge => Op::new("Pad", &[x, &pads]).text("mode", "edge"),
            PadMode::Reflect => Op::new("Pad", &[x, &pads]).text("mode", "reflect"),
        };
        Ok(self.emit(op, x.dtype(), shape))
    }
}
