//! Operators that move elements without changing them.

use crate::graph::Op;
use crate::{Dim, ErrorKind, Graph, Result, Shape, Value};

impl<'w> Graph<'w> {
    /// The same elements in another shape.
    ///
    /// At most one unknown dimension may change; unknown dimensions that stay at their index are kept whatever they are.
    ///
    /// # Errors
    /// `Shape` if the number of elements differs or cannot be shown to be equal.
    pub fn reshape(&mut self, x: &Value, shape: impl Into<Shape>) -> Result<Value> {
        let shape = shape.into();
        if shape == *x.shape() {
            return Ok(x.clone());
        }
        if !same_elements(x.shape(), &shape) {
            return Err(self.fail("Reshape", ErrorKind::Shape, format!("{} cannot become {shape}", x.shape())));
        }
        let mut inferred = false;
        let mut target = Vec::with_capacity(shape.rank());
        for (i, dim) in shape.0.iter().enumerate() {
            target.push(match dim.known() {
                Some(size) if size > 0 => size as i64,
                // 0 keeps the dimension at this index, -1 is worked out from the others.
                None if x.shape().0.get(i) == Some(dim) => 0,
                None if !std::mem::replace(&mut inferred, true) => -1,
                _ => {
                    let message = format!("{} to {shape} changes more than one unknown dimension", x.shape());
                    return Err(self.fail("Reshape", ErrorKind::Shape, message));
                }
            });
        }
        let target = self.i64s(&target);
        Ok(self.emit(Op::new("Reshape", &[x, &target]), x.dtype(), shape))
    }

    /// Joins the first two axes under a new name: [A, B, ..] → [name, ..]; the other axes must be known.
    ///
    /// # Errors
    /// `Shape` if there are fewer than two axes or another one is unknown.
    pub fn merge_leading(&mut self, x: &Value, name: &str) -> Result<Value> {
        let rest = x.shape().0.get(2..).and_then(|dims| dims.iter().map(Dim::known).collect::<Option<Vec<_>>>());
        let Some(rest) = rest else {
            return Err(self.fail("Reshape", ErrorKind::Shape, format!("the first axes of {} cannot be joined", x.shape())));
        };
        let merged = x.shape()[0].product(&x.shape()[1]).unwrap_or_else(|| Dim::symbol(name));
        let target: Vec<i64> = std::iter::once(-1).chain(rest.iter().map(|n| *n as i64)).collect();
        let shape = Shape(std::iter::once(merged).chain(rest.into_iter().map(Dim::fixed)).collect());
        let target = self.i64s(&target);
        Ok(self.emit(Op::new("Reshape", &[x, &target]), x.dtype(), shape))
    }

    /// Undoes [`Graph::merge_leading`]: [name, ..] → [A, B, ..] with the first two axes of `like`.
    ///
    /// # Errors
    /// `Shape` if another axis than the first is unknown or `like` has fewer than two.
    pub fn split_leading(&mut self, x: &Value, like: &Value) -> Result<Value> {
        let rest = x.shape().0.get(1..).and_then(|dims| dims.iter().map(Dim::known).collect::<Option<Vec<_>>>());
        let Some(rest) = rest.filter(|_| like.rank() >= 2) else {
            return Err(self.fail("Reshape", ErrorKind::Shape, format!("{} cannot be split as {}", x.shape(), like.shape())));
        };
        let sizes = self.emit(Op::new("Shape", &[like]).int("start", 0).int("end", 2), crate::DType::I64, Shape::fixed(&[2]));
        let known: Vec<i64> = rest.iter().map(|n| *n as i64).collect();
        let known = self.i64s(&known);
        let target = self.concat(&[&sizes, &known], 0)?;
        let dims = like.shape().0[..2].iter().cloned().chain(rest.into_iter().map(Dim::fixed));
        Ok(self.emit(Op::new("Reshape", &[x, &target]), x.dtype(), Shape(dims.collect())))
    }

    /// Lists the cells of maps in groups of channels: [B, C, H, W] → [B, groups, C / groups, name], with `name` for H·W.
    ///
    /// # Errors
    /// `Shape` if `x` is no map, or its channels are unknown or no multiple of the groups.
    pub fn cells_of_groups(&mut self, x: &Value, groups: usize, name: &str) -> Result<Value> {
        let channels = (x.rank() == 4).then(|| x.shape()[1].known()).flatten().filter(|channels| groups > 0 && channels % groups == 0);
        let Some(channels) = channels else {
            return Err(self.fail("Reshape", ErrorKind::Shape, format!("{} has no {groups} groups of channels", x.shape())));
        };
        let width = channels / groups;
        let cells = x.shape()[2].product(&x.shape()[3]).unwrap_or_else(|| Dim::symbol(name));
        let target = self.i64s(&[0, groups as i64, width as i64, -1]);
        let shape = Shape(vec![x.shape()[0].clone(), groups.into(), width.into(), cells]);
        Ok(self.emit(Op::new("Reshape", &[x, &target]), x.dtype(), shape))
    }

    /// Undoes [`Graph::cells_of_groups`]: [B, groups, C, N] → [B, groups·C, H, W] with the last two axes of `like`.
    ///
    /// # Errors
    /// `Shape` if `x` or `like` has not four axes, or groups and channels are unknown.
    pub fn map_of_groups(&mut self, x: &Value, like: &Value) -> Result<Value> {
        let width = (x.rank() == 4 && like.rank() == 4).then(|| Some(x.shape()[1].known()? * x.shape()[2].known()?)).flatten();
        let Some(width) = width else {
            return Err(self.fail("Reshape", ErrorKind::Shape, format!("{} cannot become a map like {}", x.shape(), like.shape())));
        };
        let sizes = self.emit(Op::new("Shape", &[like]).int("start", 2).int("end", 4), crate::DType::I64, Shape::fixed(&[2]));
        let known = self.i64s(&[0, width as i64]);
        let target = self.concat(&[&known, &sizes], 0)?;
        let shape = Shape(vec![x.shape()[0].clone(), width.into(), like.shape()[2].clone(), like.shape()[3].clone()]);
        Ok(self.emit(Op::new("Reshape", &[x, &target]), x.dtype(), shape))
    }

    /// Reorders the axes: axis `i` of the result is axis `order[i]` of `x`.
    ///
    /// # Errors
    /// `Invalid` if `order` is not a permutation of the axes.
    pub fn transpose(&mut self, x: &Value, order: &[usize]) -> Result<Value> {
        let mut seen = order.to_vec();
        seen.sort_unstable();
        if !seen.iter().copied().eq(0..x.rank()) {
            return Err(self.fail("Transpose", ErrorKind::Invalid, format!("{order:?} is no order of the axes of {}", x.shape())));
        }
        if order.is_sorted() {
            return Ok(x.clone());
        }
        let shape = Shape(order.iter().map(|i| x.shape()[*i].clone()).collect());
        Ok(self.emit(Op::new("Transpose", &[x]).ints("perm", order.iter().map(|i| *i as i64)), x.dtype(), shape))
    }

    /// Inserts an axis of size 1 before `axis` (the rank to append one).
    ///
    /// # Errors
    /// `Invalid` for an axis beyond the rank.
    pub fn unsqueeze(&mut self, x: &Value, axis: usize) -> Result<Value> {
        if axis > x.rank() {
            return Err(self.fail("Unsqueeze", ErrorKind::Invalid, format!("axis {axis} is outside {}", x.shape())));
        }
        let mut shape = x.shape().clone();
        shape.0.insert(axis, Dim::fixed(1));
        let axes = self.i64s(&[axis as i64]);
        Ok(self.emit(Op::new("Unsqueeze", &[x, &axes]), x.dtype(), shape))
    }

    /// Removes an axis of size 1.
    ///
    /// # Errors
    /// `Shape` if the axis is not 1.
    pub fn squeeze(&mut self, x: &Value, axis: isize) -> Result<Value> {
        let axis = self.axis("Squeeze", x, axis)?;
        if !x.shape()[axis].is_one() {
            return Err(self.fail("Squeeze", ErrorKind::Shape, format!("axis {axis} of {} is not 1", x.shape())));
        }
        let mut shape = x.shape().clone();
        shape.0.remove(axis);
        let axes = self.i64s(&[axis as i64]);
        Ok(self.emit(Op::new("Squeeze", &[x, &axes]), x.dtype(), shape))
    }

    /// Repeats the first axis, of size 1, as often as `like` has entries: [1, ..] → [A, ..].
    ///
    /// # Errors
    /// `Shape` if the first axis is not 1, another one is unknown, or `like` has no axis.
    pub fn repeat_leading(&mut self, x: &Value, like: &Value) -> Result<Value> {
        let rest = x.shape().0.get(1..).and_then(|dims| dims.iter().map(Dim::known).collect::<Option<Vec<_>>>());
        let Some(rest) = rest.filter(|_| x.shape()[0].is_one() && like.rank() > 0) else {
            return Err(self.fail("Expand", ErrorKind::Shape, format!("{} cannot be repeated as {}", x.shape(), like.shape())));
        };
        let count = self.emit(Op::new("Shape", &[like]).int("start", 0).int("end", 1), crate::DType::I64, Shape::fixed(&[1]));
        let known: Vec<i64> = rest.iter().map(|n| *n as i64).collect();
        let known = self.i64s(&known);
        let target = self.concat(&[&count, &known], 0)?;
        let dims = std::iter::once(like.shape()[0].clone()).chain(rest.into_iter().map(Dim::fixed));
        Ok(self.emit(Op::new("Expand", &[x, &target]), x.dtype(), Shape(dims.collect())))
    }

    /// Repeats axes of size 1 up to a known shape.
    ///
    /// # Errors
    /// `Shape` if `x` does not broadcast to it.
    pub fn expand(&mut self, x: &Value, shape: &[usize]) -> Result<Value> {
        let target = Shape::fixed(shape);
        if x.shape().broadcast(&target).as_ref() != Some(&target) {
            return Err(self.fail("Expand", ErrorKind::Shape, format!("{} does not broadcast to {target}", x.shape())));
        }
        if target == *x.shape() {
            return Ok(x.clone());
        }
        let sizes: Vec<i64> = shape.iter().map(|s| *s as i64).collect();
        let sizes = self.i64s(&sizes);
        Ok(self.emit(Op::new("Expand", &[x, &sizes]), x.dtype(), target))
    }
}

/// Whether both shapes surely hold the same number of elements: unknown factors cancel as they stand, the rest multiplies out.
fn same_elements(a: &Shape, b: &Shape) -> bool {
    let mut left = a.0.clone();
    let mut right = b.0.clone();
    left.retain(|dim| match right.iter().position(|d| d == dim && d.known().is_none()) {
        Some(i) => {
            right.remove(i);
            false
        }
        None => true,
    });
    let (left, right) = (Shape(left).elements(), Shape(right).elements());
    left.is_some() && left == right
}
