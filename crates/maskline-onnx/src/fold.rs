//! Constant folding: small operators on constants are evaluated while building.
//!
//! Floats are computed in f64 and rounded once, so a folded result is at least as exact as the runtime's own.

use crate::graph::Op;
use crate::{Constant, DType};

/// Results that are larger than this and much larger than what they are computed from stay nodes: the runtime computes them once at load, and
/// the file stays small.
const LARGE_RESULT: usize = 1 << 20;
/// Elements of a large result for each of its inputs' that are still written.
const LARGEST_GROWTH: usize = 2;
/// Larger results stay nodes in any case.
const LARGEST_RESULT: usize = 1 << 24;

/// What `op` evaluates to on constant inputs (`None` entries are optional inputs not given), or `None` to keep the node.
pub(crate) fn evaluate<'w>(op: &Op<'_>, inputs: &[Option<&Constant<'w>>], dtype: DType, shape: &[usize]) -> Option<Constant<'w>> {
    let count = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
    let given: usize = inputs.iter().flatten().map(|input| input.shape.iter().product::<usize>()).sum();
    let is_large = |count| count > LARGEST_RESULT || (count > LARGE_RESULT && count > LARGEST_GROWTH.saturating_mul(given));
    if !op.domain.is_empty() || count.is_none_or(is_large) {
        return None;
    }
    let x = *inputs.first()?.as_ref()?;
    let operand = |i: usize| inputs.get(i).copied().flatten();
    match op.kind {
        "Identity" | "Reshape" | "Unsqueeze" | "Squeeze" => {
            Some(Constant { dtype, shape: shape.to_vec(), bytes: x.bytes.clone(), span: x.span.clone() })
        }
        "Transpose" => {
            let order = ints(op, "perm")?;
            let own = Layout::of(&x.shape);
            Some(pick(x, shape, &Layout { start: 0, strides: order.iter().map(|axis| own.strides[*axis as usize]).collect() }))
        }
        "Expand" => Some(pick(x, shape, &Layout::broadcast(&x.shape, shape.len()))),
        "Slice" => {
            let (starts, axes) = (operand(1)?.integers()?, operand(3)?.integers()?);
            let mut layout = Layout::of(&x.shape);
            for (start, axis) in starts.iter().zip(&axes) {
                let size = x.shape[*axis as usize] as i64;
                layout.start += (if *start < 0 { start + size } else { *start }) as usize * layout.strides[*axis as usize];
            }
            Some(pick(x, shape, &layout))
        }
        "Gather" => gather(x, operand(1)?, int(op, "axis")? as usize, shape),
        "Concat" => concat(inputs, int(op, "axis")? as usize, shape),
        "Cast" => cast(x, dtype, shape),
        "Where" => select(x, [operand(1)?, operand(2)?], shape),
        "MatMul" => matmul(x, operand(1)?, dtype, shape),
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceL2" => reduce(op, x, &operand(1)?.integers()?, shape),
        kind => match operand(1) {
            Some(y) if inputs.len() == 2 => binary(kind, [x, y], dtype, shape),
            None => unary(kind, x, dtype, shape),
            _ => None,
        },
    }
}

fn int(op: &Op<'_>, name: &str) -> Option<i64> {
    op.attributes.iter().find(|a| a.name == name)?.i
}

fn ints(op: &Op<'_>, name: &str) -> Option<Vec<i64>> {
    op.attributes.iter().find(|a| a.name == name).map(|a| a.ints.clone())
}

/// Where in a tensor the element for each index of a shape lies, in elements.
struct Layout {
    start: usize,
    /// Per axis of the shape.
    strides: Vec<usize>,
}

impl Layout {
    /// A tensor's own, row-major.
    fn of(shape: &[usize]) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Self { start: 0, strides }
    }

    /// A tensor of `shape`, broadcast to so many axes.
    fn broadcast(shape: &[usize], rank: usize) -> Self {
        let own = Self::of(shape);
        let used = shape.iter().zip(own.strides).map(|(size, stride)| if *size == 1 { 0 } else { stride });
        Self { start: 0, strides: std::iter::repeat_n(0, rank - shape.len()).chain(used).collect() }
    }
}

/// Calls `visit` with the elements of several tensors for every index of `shape`, in row-major order.
fn walk<const N: usize>(shape: &[usize], layouts: [&Layout; N], mut visit: impl FnMut([usize; N])) {
    let mut at = vec![0; shape.len()];
    let mut places = layouts.map(|layout| layout.start);
    for _ in 0..shape.iter().product::<usize>() {
        visit(places);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            let is_inside = at[axis] < shape[axis];
            for (place, layout) in places.iter_mut().zip(layouts) {
                *place = if is_inside { *place + layout.strides[axis] } else { *place - layout.strides[axis] * (at[axis] - 1) };
            }
            if is_inside {
                break;
            }
            at[axis] = 0;
        }
    }
}

/// A tensor whose elements are those of `x` at the places of a layout.
fn pick<'w>(x: &Constant<'_>, shape: &[usize], layout: &Layout) -> Constant<'w> {
    let size = x.dtype.size();
    let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * size);
    walk(shape, [layout], |[place]| bytes.extend_from_slice(&x.bytes[place * size..(place + 1) * size]));
    Constant { dtype: x.dtype, shape: shape.to_vec(), bytes: bytes.into(), span: None }
}

fn gather<'w>(x: &Constant<'_>, indices: &Constant<'_>, axis: usize, shape: &[usize]) -> Option<Constant<'w>> {
    let size = x.shape[axis];
    let positions: Vec<usize> =
        indices.integers()?.into_iter().map(|p| usize::try_from(if p < 0 { p + size as i64 } else { p }).ok()).collect::<Option<_>>()?;
    if positions.iter().any(|position| *position >= size) {
        return None;
    }
    let run = x.shape[axis + 1..].iter().product::<usize>() * x.dtype.size();
    let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * x.dtype.size());
    for row in 0..x.shape[..axis].iter().product::<usize>() {
        for position in &positions {
            bytes.extend_from_slice(&x.bytes[(row * size + position) * run..][..run]);
        }
    }
    Some(Constant { dtype: x.dtype, shape: shape.to_vec(), bytes: bytes.into(), span: None })
}

fn concat<'w>(inputs: &[Option<&Constant<'_>>], axis: usize, shape: &[usize]) -> Option<Constant<'w>> {
    let parts: Vec<&Constant<'_>> = inputs.iter().copied().collect::<Option<_>>()?;
    let size = parts[0].dtype.size();
    let outer: usize = shape[..axis].iter().product();
    let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * size);
    for row in 0..outer {
        for part in &parts {
            let run = part.shape[axis..].iter().product::<usize>() * size;
            bytes.extend_from_slice(&part.bytes[row * run..(row + 1) * run]);
        }
    }
    Constant::new(parts[0].dtype, shape, bytes)
}

fn cast<'w>(x: &Constant<'_>, dtype: DType, shape: &[usize]) -> Option<Constant<'w>> {
    match (x.floats(), dtype.is_float()) {
        (Some(values), true) => Constant::from_floats(dtype, shape, &values),
        (None, true) => Constant::from_floats(dtype, shape, &x.integers()?.iter().map(|v| *v as f64).collect::<Vec<_>>()),
        (None, false) => Constant::from_integers(dtype, shape, &x.integers()?),
        // Float to bool is a comparison with zero; to integers runtimes differ outside the range, so that stays a node.
        (Some(values), false) if dtype == DType::Bool => {
            Constant::from_integers(dtype, shape, &values.iter().map(|v| i64::from(*v != 0.0)).collect::<Vec<_>>())
        }
        (Some(_), false) => None,
    }
}

fn select<'w>(condition: &Constant<'_>, [a, b]: [&Constant<'_>; 2], shape: &[usize]) -> Option<Constant<'w>> {
    let chosen = condition.integers()?;
    let size = a.dtype.size();
    let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * size);
    let layouts = [condition, a, b].map(|constant| Layout::broadcast(&constant.shape, shape.len()));
    walk(shape, layouts.each_ref(), |[condition, place_a, place_b]| {
        let (from, place) = if chosen[condition] != 0 { (a, place_a) } else { (b, place_b) };
        bytes.extend_from_slice(&from.bytes[place * size..(place + 1) * size]);
    });
    Constant::new(a.dtype, shape, bytes)
}

fn unary<'w>(kind: &str, x: &Constant<'_>, dtype: DType, shape: &[usize]) -> Option<Constant<'w>> {
    let f: fn(f64) -> f64 = match kind {
        "Neg" => |x| -x,
        "Abs" => f64::abs,
        "Exp" => f64::exp,
        "Log" => f64::ln,
        "Sqrt" => f64::sqrt,
        "Reciprocal" => f64::recip,
        "Sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
        "Tanh" => f64::tanh,
        "Relu" => |x| if x < 0.0 { 0.0 } else { x },
        "Sin" => f64::sin,
        "Cos" => f64::cos,
        "Floor" => f64::floor,
        _ => return None,
    };
    let values: Vec<f64> = x.floats()?.into_iter().map(f).collect();
    Constant::from_floats(dtype, shape, &values)
}

fn binary<'w>(kind: &str, [x, y]: [&Constant<'_>; 2], dtype: DType, shape: &[usize]) -> Option<Constant<'w>> {
    match (x.floats(), y.floats()) {
        (Some(a), Some(b)) => {
            let f: fn(f64, f64) -> f64 = match kind {
                "Add" => |a, b| a + b,
                "Sub" => |a, b| a - b,
                "Mul" => |a, b| a * b,
                "Div" => |a, b| a / b,
                "Pow" => f64::powf,
                "Min" => |a, b| if b < a || b.is_nan() { b } else { a },
                "Max" => |a, b| if b > a || b.is_nan() { b } else { a },
                "Equal" => |a, b| f64::from(a == b),
                "Greater" => |a, b| f64::from(a > b),
                "Less" => |a, b| f64::from(a < b),
                _ => return None,
            };
            let values = zip_broadcast(&a, &b, [&x.shape, &y.shape], shape).map(|(a, b)| f(a, b)).collect::<Vec<_>>();
            if dtype == DType::Bool {
                return Constant::from_integers(dtype, shape, &values.iter().map(|v| *v as i64).collect::<Vec<_>>());
            }
            Constant::from_floats(dtype, shape, &values)
        }
        (None, None) => {
            let f: fn(i64, i64) -> Option<i64> = match kind {
                "Add" => i64::checked_add,
                "Sub" => i64::checked_sub,
                "Mul" => i64::checked_mul,
                "Min" => |a, b| Some(a.min(b)),
                "Max" => |a, b| Some(a.max(b)),
                "Equal" => |a, b| Some((a == b).into()),
                "Greater" => |a, b| Some((a > b).into()),
                "Less" => |a, b| Some((a < b).into()),
                _ => return None,
            };
            let (a, b) = (x.integers()?, y.integers()?);
            let values = zip_broadcast(&a, &b, [&x.shape, &y.shape], shape).map(|(a, b)| f(a, b)).collect::<Option<Vec<_>>>()?;
            Constant::from_integers(dtype, shape, &values)
        }
        _ => None,
    }
}

/// Elements of two tensors of these shapes, `a` and `b`, in pairs.
fn zip_broadcast<T: Copy>(a: &[T], b: &[T], own: [&[usize]; 2], shape: &[usize]) -> impl Iterator<Item = (T, T)> {
    let mut pairs = Vec::with_capacity(shape.iter().product());
    let layouts = own.map(|own| Layout::broadcast(own, shape.len()));
    walk(shape, layouts.each_ref(), |[place_a, place_b]| pairs.push((a[place_a], b[place_b])));
    pairs.into_iter()
}

/// Only small two-dimensional products: position tables, folded projections.
fn matmul<'w>(a: &Constant<'_>, b: &Constant<'_>, dtype: DType, shape: &[usize]) -> Option<Constant<'w>> {
    let (&[m, k], &[_, n]) = (a.shape.as_slice(), b.shape.as_slice()) else { return None };
    if m * n * k > LARGEST_RESULT {
        return None;
    }
    let (left, right) = (a.floats()?, b.floats()?);
    let mut values = vec![0.0; m * n];
    for (row, sums) in values.chunks_exact_mut(n.max(1)).enumerate() {
        for (i, factor) in left[row * k..(row + 1) * k].iter().enumerate() {
            sums.iter_mut().zip(&right[i * n..(i + 1) * n]).for_each(|(sum, r)| *sum += factor * r);
        }
    }
    Constant::from_floats(dtype, shape, &values)
}

fn reduce<'w>(op: &Op<'_>, x: &Constant<'_>, axes: &[i64], shape: &[usize]) -> Option<Constant<'w>> {
    let values = x.floats()?;
    let kept: Vec<usize> = x.shape.iter().enumerate().map(|(i, size)| if axes.contains(&(i as i64)) { 1 } else { *size }).collect();
    let start = match op.kind {
        "ReduceMax" => f64::NEG_INFINITY,
        "ReduceMin" => f64::INFINITY,
        _ => 0.0,
    };
    let mut results = vec![start; kept.iter().product()];
    let mut source = values.iter();
    walk(&x.shape, [&Layout::broadcast(&kept, x.shape.len())], |[place]| {
        let result = &mut results[place];
        let value = source.next().copied().unwrap_or(f64::NAN);
        *result = match op.kind {
            "ReduceMax" => result.max(value),
            "ReduceMin" => result.min(value),
            "ReduceL2" => *result + value * value,
            _ => *result + value,
        };
    });
    let count = (values.len() / results.len().max(1)) as f64;
    match op.kind {
        "ReduceMean" => results.iter_mut().for_each(|r| *r /= count),
        "ReduceL2" => results.iter_mut().for_each(|r| *r = r.sqrt()),
        _ => {}
    }
    Constant::from_floats(x.dtype, shape, &results)
}
