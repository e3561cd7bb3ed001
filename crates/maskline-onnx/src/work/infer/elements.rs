//! The elements of small tensors from which graphs compute shapes.

use super::{Operation, axis_of, span};
use crate::work::facts::{Elements, elements_of};

/// More of them are never made.
const MOST: f64 = 256.0;

/// The elements of a node's first output; `None` where they are not known or do not matter for shapes.
pub(in crate::work) fn elements(op: &Operation<'_, '_>) -> Option<Elements> {
    let whole = |data: Vec<f64>| Some(Elements { data, is_integer: true });
    match op.node.op_type.as_str() {
        "Constant" => constant(op),
        "Shape" => {
            let shape = op.shape(0)?;
            whole(shape[span(op, shape.len())].iter().map(|size| *size as f64).collect())
        }
        "Size" => whole(vec![super::count(op.shape(0)?)]),
        "Identity" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" => op.elements(0).cloned(),
        "Cast" => cast(op),
        "Gather" => gather(op),
        "Slice" => slice(op),
        "Concat" => concat(op),
        "ConstantOfShape" => constant_of_shape(op),
        "Range" => range(op),
        "Floor" => map(op, f64::floor),
        "Ceil" => map(op, f64::ceil),
        "Neg" => map(op, |x| -x),
        "Add" => zip(op, |a, b| a + b),
        "Sub" => zip(op, |a, b| a - b),
        "Mul" => zip(op, |a, b| a * b),
        "Div" => zip(op, |a, b| a / b),
        "Min" => zip(op, f64::min),
        "Max" => zip(op, f64::max),
        "Equal" => zip(op, |a, b| f64::from(a == b)),
        "Where" => select(op),
        _ => None,
    }
}

fn constant(op: &Operation<'_, '_>) -> Option<Elements> {
    let attribute = op.node.attribute.first()?;
    let whole = |values: &[i64]| Elements { data: values.iter().map(|v| *v as f64).collect(), is_integer: true };
    match attribute.name.as_str() {
        "value" => elements_of(attribute.t.as_ref()?),
        "value_int" => Some(whole(&[attribute.i?])),
        "value_ints" => Some(whole(&attribute.ints)),
        "value_float" => Some(Elements { data: vec![attribute.f?.into()], is_integer: false }),
        "value_floats" => Some(Elements { data: attribute.floats.iter().map(|v| f64::from(*v)).collect(), is_integer: false }),
        _ => None,
    }
}

fn cast(op: &Operation<'_, '_>) -> Option<Elements> {
    let x = op.elements(0)?;
    match op.int("to")? {
        1 | 10 | 11 | 16 => Some(Elements { is_integer: false, ..x.clone() }),
        6 | 7 => Some(Elements { data: x.data.iter().map(|v| v.trunc()).collect(), is_integer: true }),
        _ => None,
    }
}

fn gather(op: &Operation<'_, '_>) -> Option<Elements> {
    // Of a one-dimensional tensor only.
    let (x, &[size]) = (op.elements(0)?, op.shape(0)?) else { return None };
    let at = |index: &i64| axis_of(*index, size as usize).and_then(|index| x.data.get(index).copied());
    let data = op.integers(1)?.iter().map(at).collect::<Option<_>>()?;
    Some(Elements { data, is_integer: x.is_integer })
}

fn slice(op: &Operation<'_, '_>) -> Option<Elements> {
    let (x, &[size]) = (op.elements(0)?, op.shape(0)?) else { return None };
    let (start, end) = (*op.ints_or_input("starts", 1)?.first()?, *op.ints_or_input("ends", 2)?.first()?);
    if op.has(4) && op.integers(4)? != [1] {
        return None;
    }
    let position = |at: i64| (if at < 0 { at + size } else { at }).clamp(0, size) as usize;
    Some(Elements { data: x.data.get(position(start)..position(end))?.to_vec(), is_integer: x.is_integer })
}

fn concat(op: &Operation<'_, '_>) -> Option<Elements> {
    let part = |input| op.elements(input).filter(|_| op.shape(input).is_some_and(|shape| shape.len() == 1));
    let parts: Vec<&Elements> = (0..op.node.input.len()).map(part).collect::<Option<_>>()?;
    let is_integer = parts.iter().all(|part| part.is_integer);
    Some(Elements { data: parts.iter().flat_map(|part| part.data.iter().copied()).collect(), is_integer })
}

fn constant_of_shape(op: &Operation<'_, '_>) -> Option<Elements> {
    let count = op.elements(0)?.data.iter().product::<f64>();
    let fill = match op.attribute("value") {
        Some(attribute) => elements_of(attribute.t.as_ref()?)?,
        None => Elements { data: vec![0.0], is_integer: false },
    };
    let value = *fill.data.first()?;
    (0.0..=MOST).contains(&count).then(|| Elements { data: vec![value; count as usize], is_integer: fill.is_integer })
}

/// Number of elements of a `Range`.
pub(super) fn range_length(op: &Operation<'_, '_>) -> Option<f64> {
    let [start, end, step] = range_operands(op)?;
    let count = ((end - start) / step).ceil().max(0.0);
    count.is_finite().then_some(count)
}

fn range_operands(op: &Operation<'_, '_>) -> Option<[f64; 3]> {
    let at = |input: usize| op.elements(input)?.data.first().copied();
    Some([at(0)?, at(1)?, at(2)?])
}

fn range(op: &Operation<'_, '_>) -> Option<Elements> {
    let ([start, _, step], is_integer) = (range_operands(op)?, op.elements(0)?.is_integer);
    let count = range_length(op).filter(|count| *count <= MOST)?;
    Some(Elements { data: (0..count as usize).map(|i| start + i as f64 * step).collect(), is_integer })
}

fn map(op: &Operation<'_, '_>, f: impl Fn(f64) -> f64) -> Option<Elements> {
    let x = op.elements(0)?;
    Some(Elements { data: x.data.iter().map(|v| f(*v)).collect(), is_integer: x.is_integer })
}

/// One by one, or one element with all others; integers stay integers.
fn zip(op: &Operation<'_, '_>, f: impl Fn(f64, f64) -> f64) -> Option<Elements> {
    let (a, b) = (op.elements(0)?, op.elements(1)?);
    let is_integer = a.is_integer && b.is_integer;
    let length = match (a.data.len(), b.data.len()) {
        (n, m) if n == m || m == 1 => n,
        (1, m) => m,
        _ => return None,
    };
    let at = |e: &Elements, i: usize| e.data[if e.data.len() == 1 { 0 } else { i }];
    let value = |i: usize| f(at(a, i), at(b, i));
    let data: Vec<f64> = (0..length).map(|i| if is_integer { value(i).trunc() } else { value(i) }).collect();
    (op.node.input.len() == 2 && data.iter().all(|v| v.is_finite())).then_some(Elements { data, is_integer })
}

fn select(op: &Operation<'_, '_>) -> Option<Elements> {
    let (condition, a, b) = (op.elements(0)?, op.elements(1)?, op.elements(2)?);
    let length = condition.data.len();
    let at = |e: &Elements, i: usize| e.data.get(if e.data.len() == 1 { 0 } else { i }).copied();
    let data = (0..length).map(|i| at(if condition.data[i] != 0.0 { a } else { b }, i)).collect::<Option<_>>()?;
    Some(Elements { data, is_integer: a.is_integer && b.is_integer })
}
