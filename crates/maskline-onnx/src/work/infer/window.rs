//! Convolutions, pooling and resizing over any number of spatial axes.

use super::{Operation, Shape};

/// How windows lie on the spatial axes.
struct Windows {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    /// Begins of all axes, then ends.
    pads: Vec<i64>,
    /// `SAME_UPPER`, `SAME_LOWER`, `VALID`, or none.
    automatic: String,
}

impl Windows {
    fn of(op: &Operation<'_, '_>, kernel: Vec<i64>) -> Option<Self> {
        let axes = kernel.len();
        let read = |name: &str, default: i64, length: usize| {
            let values = op.ints(name).filter(|values| !values.is_empty()).unwrap_or_else(|| vec![default; length]);
            (values.len() == length).then_some(values)
        };
        let automatic = op.text("auto_pad").filter(|text| *text != "NOTSET").unwrap_or_default().to_string();
        let (strides, dilations, pads) = (read("strides", 1, axes)?, read("dilations", 1, axes)?, read("pads", 0, 2 * axes)?);
        let are_positive = [&kernel, &strides, &dilations].iter().all(|values| values.iter().all(|value| *value > 0));
        are_positive.then_some(Self { kernel, strides, dilations, pads, automatic })
    }

    fn padding(&self, axis: usize) -> i64 {
        if self.automatic == "VALID" { 0 } else { self.pads[axis] + self.pads[axis + self.kernel.len()] }
    }

    fn reach(&self, axis: usize) -> i64 {
        self.dilations[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Number of windows along an axis of `size`.
    fn positions(&self, axis: usize, size: i64, rounds_up: bool) -> Option<i64> {
        let stride = self.strides[axis];
        if self.automatic.starts_with("SAME") {
            return Some((size + stride - 1).div_euclid(stride));
        }
        let free = size + self.padding(axis) - self.reach(axis);
        let steps = if rounds_up { (free + stride - 1).div_euclid(stride) } else { free.div_euclid(stride) };
        // A window that starts in the end's padding is none.
        let starts_outside = rounds_up && steps * stride >= size + self.pads[axis];
        (free >= 0).then_some(steps + 1 - i64::from(starts_outside))
    }
}

pub(super) fn conv(op: &Operation<'_, '_>) -> Option<Shape> {
    let (x, weight) = (op.shape(0)?, op.shape(1)?);
    let windows = Windows::of(op, weight.get(2..)?.to_vec())?;
    let mut shape = vec![*x.first()?, weight[0]];
    for (axis, size) in x.get(2..).filter(|sizes| sizes.len() == windows.kernel.len())?.iter().enumerate() {
        shape.push(windows.positions(axis, *size, false)?);
    }
    Some(shape)
}

pub(super) fn conv_transpose(op: &Operation<'_, '_>) -> Option<Shape> {
    let (x, weight) = (op.shape(0)?, op.shape(1)?);
    let windows = Windows::of(op, weight.get(2..)?.to_vec())?;
    let mut shape = vec![*x.first()?, weight[1] * op.int_or("group", 1)];
    if let Some(sizes) = op.ints("output_shape").filter(|sizes| !sizes.is_empty()) {
        shape.extend(sizes);
        return Some(shape);
    }
    let extra = op.ints("output_padding").unwrap_or_default();
    for (axis, size) in x.get(2..).filter(|sizes| sizes.len() == windows.kernel.len())?.iter().enumerate() {
        let stride = windows.strides[axis];
        shape.push(if windows.automatic.starts_with("SAME") {
            size * stride
        } else {
            (size - 1) * stride + windows.reach(axis) + extra.get(axis).unwrap_or(&0) - windows.padding(axis)
        });
    }
    Some(shape)
}

pub(super) fn pool(op: &Operation<'_, '_>) -> Option<Shape> {
    let x = op.shape(0)?;
    let windows = Windows::of(op, op.ints("kernel_shape")?)?;
    let mut shape = x.get(..2)?.to_vec();
    for (axis, size) in x[2..].iter().enumerate() {
        windows.kernel.get(axis)?;
        shape.push(windows.positions(axis, *size, op.int_or("ceil_mode", 0) != 0)?);
    }
    Some(shape)
}

/// `Resize` of operator set 10 and later, and `Upsample`.
pub(super) fn resize(op: &Operation<'_, '_>) -> Option<Shape> {
    let x = op.shape(0)?;
    if op.text("keep_aspect_ratio_policy").is_some_and(|policy| policy != "stretch") {
        return None;
    }
    let axes = match op.ints("axes") {
        Some(axes) => axes.iter().map(|axis| super::axis_of(*axis, x.len())).collect::<Option<Vec<usize>>>()?,
        None => (0..x.len()).collect(),
    };
    let has_sizes = op.has(3);
    let scales = if op.node.input.len() == 2 { 1 } else { 2 };
    let values = &op.elements(if has_sizes { 3 } else { scales })?.data;
    let mut shape = x.to_vec();
    for (axis, value) in axes.iter().zip(values) {
        shape[*axis] = if has_sizes { *value as i64 } else { (x[*axis] as f64 * value).floor() as i64 };
    }
    (values.len() == axes.len()).then_some(shape)
}
