//! Operators that move, join, cut and repeat.

use super::{Operation, Shape, axis_of, broadcast, count};

/// The shape of the first output; `None` for an operator without a rule.
pub(super) fn single(op: &Operation<'_, '_>, kind: &str) -> Option<Option<Shape>> {
    Some(match kind {
        "Reshape" => reshape(op),
        "Transpose" => transpose(op),
        "Unsqueeze" => unsqueeze(op),
        "Squeeze" => squeeze(op),
        "Flatten" => flatten(op),
        "Expand" => op.shape(0).zip(op.integers(1)).and_then(|(x, target)| broadcast(x, &target)),
        "Tile" => op.shape(0).zip(op.integers(1)).and_then(|(x, repeats)| tile(x, &repeats)),
        "Concat" => concat(op),
        "Slice" => slice(op),
        "Pad" => pad(op),
        "Gather" => gather(op),
        "GatherElements" => op.shape(1).map(<[i64]>::to_vec),
        "GatherND" => gather_nd(op),
        "ConstantOfShape" | "RandomUniform" | "RandomNormal" => op.ints_or_input("shape", 0),
        "OneHot" => one_hot(op),
        "GridSample" => grid_sample(op),
        "DepthToSpace" => blocks(op, |[n, c, h, w], b| [n, c / (b * b), h * b, w * b]),
        "SpaceToDepth" => blocks(op, |[n, c, h, w], b| [n, c * b * b, h / b, w / b]),
        _ => return None,
    })
}

fn reshape(op: &Operation<'_, '_>) -> Option<Shape> {
    let (x, mut target) = (op.shape(0)?, op.ints_or_input("shape", 1)?);
    if op.int_or("allowzero", 0) == 0 {
        for (axis, size) in target.iter_mut().enumerate().filter(|(_, size)| **size == 0) {
            *size = *x.get(axis)?;
        }
    }
    if let Some(free) = target.iter().position(|size| *size == -1) {
        target[free] = 1;
        let others = count(&target);
        target[free] = if others == 0.0 { 0 } else { (count(x) / others) as i64 };
    }
    (count(x) == count(&target)).then_some(target)
}

fn transpose(op: &Operation<'_, '_>) -> Option<Shape> {
    let x = op.shape(0)?;
    match op.ints("perm") {
        Some(order) => order.iter().map(|axis| axis_of(*axis, x.len()).map(|axis| x[axis])).collect(),
        None => Some(x.iter().rev().copied().collect()),
    }
}

fn unsqueeze(op: &Operation<'_, '_>) -> Option<Shape> {
    let (mut shape, axes) = (op.shape(0)?.to_vec(), op.ints_or_input("axes", 1)?);
    let rank = shape.len() + axes.len();
    let mut axes: Vec<usize> = axes.iter().map(|axis| axis_of(*axis, rank)).collect::<Option<_>>()?;
    axes.sort_unstable();
    for axis in axes {
        (axis <= shape.len()).then(|| shape.insert(axis, 1))?;
    }
    Some(shape)
}

fn squeeze(op: &Operation<'_, '_>) -> Option<Shape> {
    let x = op.shape(0)?;
    if !op.has(1) && op.attribute("axes").is_none() {
        return Some(x.iter().copied().filter(|size| *size != 1).collect());
    }
    let axes = op.ints_or_input("axes", 1)?.iter().map(|axis| axis_of(*axis, x.len())).collect::<Option<Vec<usize>>>()?;
    Some(x.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, size)| *size).collect())
}

fn flatten(op: &Operation<'_, '_>) -> Option<Shape> {
    let x = op.shape(0)?;
    let axis = op.int_or("axis", 1);
    let axis = if axis == x.len() as i64 { x.len() } else { axis_of(axis, x.len())? };
    Some(vec![count(&x[..axis]) as i64, count(&x[axis..]) as i64])
}

fn tile(x: &[i64], repeats: &[i64]) -> Option<Shape> {
    (x.len() == repeats.len()).then(|| x.iter().zip(repeats).map(|(size, times)| size * times).collect())
}

fn concat(op: &Operation<'_, '_>) -> Option<Shape> {
    let mut shape = op.shape(0)?.to_vec();
    let axis = axis_of(op.int("axis")?, shape.len())?;
    for input in 1..op.node.input.len() {
        let part = op.shape(input).filter(|part| part.len() == shape.len())?;
        shape[axis] = shape[axis].checked_add(part[axis])?;
    }
    Some(shape)
}

fn slice(op: &Operation<'_, '_>) -> Option<Shape> {
    let mut shape = op.shape(0)?.to_vec();
    let (starts, ends) = (op.ints_or_input("starts", 1)?, op.ints_or_input("ends", 2)?);
    let has_axes = op.has(3) || op.attribute("axes").is_some();
    let axes = if has_axes { op.ints_or_input("axes", 3)? } else { (0..starts.len() as i64).collect() };
    let steps = if op.has(4) { op.integers(4)? } else { vec![1; starts.len()] };
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = axis_of(*axis, shape.len())?;
        let size = shape[axis];
        let absolute = |position: i64| if position < 0 { position + size } else { position };
        let length = match *step {
            0 => return None,
            step if step > 0 => {
                let (start, end) = (absolute(*start).clamp(0, size), absolute(*end).clamp(0, size));
                (end - start + step - 1).div_euclid(step)
            }
            step => {
                let (start, end) = (absolute(*start).clamp(-1, size - 1), absolute(*end).clamp(-1, size - 1));
                (start - end - step - 1).div_euclid(-step)
            }
        };
        shape[axis] = length.max(0);
    }
    Some(shape)
}

pub(super) fn split(op: &Operation<'_, '_>) -> Option<Vec<Shape>> {
    let (x, outputs) = (op.shape(0)?, op.node.output.len() as i64);
    let axis = axis_of(op.int_or("axis", 0), x.len())?;
    let size = x[axis];
    let sizes = match op.ints("split") {
        Some(sizes) => sizes,
        None if op.has(1) => op.integers(1)?,
        None => {
            let each = (size + outputs - 1).checked_div(outputs)?;
            (0..outputs).map(|i| each.min(size - each * i)).collect()
        }
    };
    let part = |size: &i64| {
        let mut shape = x.to_vec();
        shape[axis] = *size;
        shape
    };
    Some(sizes.iter().map(part).collect())
}

fn pad(op: &Operation<'_, '_>) -> Option<Shape> {
    let mut shape = op.shape(0)?.to_vec();
    let pads = op.ints_or_input("pads", 1)?;
    let axes = if op.has(3) { op.integers(3)? } else { (0..shape.len() as i64).collect() };
    if pads.len() != 2 * axes.len() {
        return None;
    }
    for (i, axis) in axes.iter().enumerate() {
        shape[axis_of(*axis, op.shape(0)?.len())?] += pads[i] + pads[i + axes.len()];
    }
    Some(shape)
}

fn gather(op: &Operation<'_, '_>) -> Option<Shape> {
    let (x, indices) = (op.shape(0)?, op.shape(1)?);
    let axis = axis_of(op.int_or("axis", 0), x.len())?;
    Some([&x[..axis], indices, &x[axis + 1..]].concat())
}

fn gather_nd(op: &Operation<'_, '_>) -> Option<Shape> {
    let (x, indices) = (op.shape(0)?, op.shape(1)?);
    let (last, leading) = indices.split_last()?;
    let taken = usize::try_from(op.int_or("batch_dims", 0) + last).ok()?;
    Some([leading, x.get(taken..)?].concat())
}

fn grid_sample(op: &Operation<'_, '_>) -> Option<Shape> {
    // The grid's last axis holds the coordinates.
    let (_, places) = op.shape(1)?.split_last()?;
    Some([op.shape(0)?.get(..2)?, places.get(1..)?].concat())
}

fn one_hot(op: &Operation<'_, '_>) -> Option<Shape> {
    let mut shape = op.shape(0)?.to_vec();
    let depth = *op.integers(1)?.first()?;
    shape.insert(axis_of(op.int_or("axis", -1), shape.len() + 1)?, depth);
    Some(shape)
}

fn blocks(op: &Operation<'_, '_>, turn: impl Fn([i64; 4], i64) -> [i64; 4]) -> Option<Shape> {
    let (x, block) = (<[i64; 4]>::try_from(op.shape(0)?).ok()?, op.int("blocksize").filter(|block| (1..1 << 10).contains(block))?);
    Some(turn(x, block).to_vec())
}
