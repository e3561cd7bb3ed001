//! Shapes of what operators give, by the [operators' definitions](https://onnx.ai/onnx/operators/), for files that do not say them.

mod arrange;
mod elements;
mod window;

use super::facts::Operation;
use super::own;
pub(super) use elements::elements;

type Shape = Vec<i64>;

/// What is known of a node's outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Their shapes, in order.
    Shapes(Vec<Shape>),
    /// The graph alone does not tell, or an operand is unknown.
    Unknown,
    /// The operator is not known to this program.
    NoRule,
}

/// Operators whose first output has the shape of their first input.
const SAME: &[&str] = &[
    "Abs",
    "BatchNormalization",
    "BiasGelu",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "CumSum",
    "DequantizeLinear",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "FastGelu",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "Not",
    "QuantizeLinear",
    "QuickGelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "RotaryEmbedding",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Sigmoid",
    "Sign",
    "SimplifiedLayerNormalization",
    "Sin",
    "SkipLayerNormalization",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
];

/// Operators that broadcast all their inputs.
const BROADCAST: &[&str] = &[
    "Add",
    "And",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
];

const REDUCE: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
];

/// Operators without products whose sizes the data decide.
const DATA_DECIDES: &[&str] = &["Compress", "NonMaxSuppression", "NonZero", "Unique"];

/// Shapes of a node's outputs.
pub(super) fn outputs(op: &Operation<'_, '_>) -> Outcome {
    let kind = op.node.op_type.as_str();
    if op.node.domain == crate::OWN_DOMAIN {
        return own::shape(op).map_or(Outcome::Unknown, |shape| Outcome::Shapes(vec![shape]));
    }
    if !matches!(op.node.domain.as_str(), "" | "ai.onnx" | "com.microsoft") {
        return Outcome::NoRule;
    }
    let shapes = match kind {
        "Split" => arrange::split(op),
        "TopK" => top_k(op),
        "MaxPool" | "AveragePool" | "LpPool" => window::pool(op).map(|shape| vec![shape; op.node.output.len()]),
        _ if DATA_DECIDES.contains(&kind) => None,
        _ => match single(op, kind) {
            Some(shape) => shape.map(|shape| vec![shape]),
            None => return Outcome::NoRule,
        },
    };
    shapes.map_or(Outcome::Unknown, Outcome::Shapes)
}

/// The shape of the first output; `None` for an operator without a rule.
fn single(op: &Operation<'_, '_>, kind: &str) -> Option<Option<Shape>> {
    Some(match kind {
        _ if SAME.contains(&kind) => op.shape(0).map(<[i64]>::to_vec),
        _ if BROADCAST.contains(&kind) => (0..op.node.input.len()).try_fold(Vec::new(), |shape, input| broadcast(&shape, op.shape(input)?)),
        _ if REDUCE.contains(&kind) => reduce(op),
        "ArgMax" | "ArgMin" => op.shape(0).and_then(|x| reduced(x, &[op.int_or("axis", 0)], op.int_or("keepdims", 1) != 0)),
        "MatMul" | "FusedMatMul" | "MatMulInteger" => matmul(op),
        "Gemm" => gemm(op),
        "Conv" | "FusedConv" | "ConvInteger" => window::conv(op),
        "ConvTranspose" => window::conv_transpose(op),
        "GlobalAveragePool" | "GlobalMaxPool" => {
            op.shape(0).map(|x| x.iter().enumerate().map(|(axis, size)| if axis < 2 { *size } else { 1 }).collect())
        }
        "Attention" | "MultiHeadAttention" => attention(op, kind),
        "Einsum" => einsum(op),
        "Resize" | "Upsample" => window::resize(op),
        "Constant" => constant(op),
        "Shape" => op.shape(0).map(|x| vec![span(op, x.len()).len() as i64]),
        "Size" => Some(Vec::new()),
        "Range" => elements::range_length(op).map(|count| vec![count as i64]),
        _ => return arrange::single(op, kind),
    })
}

/// An axis that may count from the end.
fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let index = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(index).ok().filter(|index| *index < rank)
}

/// The axes that a `Shape` node takes.
fn span(op: &Operation<'_, '_>, rank: usize) -> std::ops::Range<usize> {
    let position = |axis: i64| (if axis < 0 { axis + rank as i64 } else { axis }).clamp(0, rank as i64) as usize;
    let start = position(op.int_or("start", 0));
    start..position(op.int_or("end", rank as i64)).max(start)
}

/// NumPy's broadcasting.
pub(super) fn broadcast(a: &[i64], b: &[i64]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let at = |shape: &[i64], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

/// Number of elements.
pub(super) fn count(shape: &[i64]) -> f64 {
    shape.iter().map(|size| *size as f64).product()
}

fn reduce(op: &Operation<'_, '_>) -> Option<Shape> {
    let x = op.shape(0)?;
    let axes = if op.has(1) || op.attribute("axes").is_some() { op.ints_or_input("axes", 1)? } else { Vec::new() };
    let all = axes.is_empty() && op.int_or("noop_with_empty_axes", 0) == 0;
    let axes = if all { (0..x.len() as i64).collect() } else { axes };
    reduced(x, &axes, op.int_or("keepdims", 1) != 0)
}

fn reduced(x: &[i64], axes: &[i64], keeps: bool) -> Option<Shape> {
    let axes: Vec<usize> = axes.iter().map(|axis| axis_of(*axis, x.len())).collect::<Option<_>>()?;
    let size = |axis: usize, size: i64| if axes.contains(&axis) { keeps.then_some(1) } else { Some(size) };
    Some(x.iter().enumerate().filter_map(|(axis, of_axis)| size(axis, *of_axis)).collect())
}

/// `(rows, inner, columns, leading)` of a matrix product with its flags for transposed operands.
pub(super) fn matrices(op: &Operation<'_, '_>, operands: [usize; 2]) -> Option<(i64, i64, i64, Shape)> {
    let turn = |input: usize, flag: &str, batch: &str| {
        let mut shape = op.shape(input)?.to_vec();
        let rank = shape.len();
        if op.node.op_type == "FusedMatMul" && rank >= 2 {
            if op.int_or(batch, 0) != 0 {
                // The batch's axis moves behind the others, before the last.
                shape[..rank - 1].rotate_left(1);
            }
            if op.int_or(flag, 0) != 0 {
                shape.swap(rank - 2, rank - 1);
            }
        }
        Some(shape)
    };
    let (mut a, mut b) = (turn(operands[0], "transA", "transBatchA")?, turn(operands[1], "transB", "transBatchB")?);
    if a.len() == 1 {
        a.insert(0, 1);
    }
    if b.len() == 1 {
        b.push(1);
    }
    let (columns, inner, found) = (b.pop()?, a.pop()?, b.pop()?);
    let rows = a.pop()?;
    (inner == found).then_some(())?;
    Some((rows, inner, columns, broadcast(&a, &b)?))
}

fn matmul(op: &Operation<'_, '_>) -> Option<Shape> {
    let (rows, _, columns, mut shape) = matrices(op, [0, 1])?;
    shape.extend((op.shape(0)?.len() > 1).then_some(rows));
    shape.extend((op.shape(1)?.len() > 1).then_some(columns));
    Some(shape)
}

/// `(rows, inner, columns)` of a `Gemm`.
pub(super) fn gemm_sizes(op: &Operation<'_, '_>) -> Option<[i64; 3]> {
    let (&[mut rows, mut inner], &[mut other, mut columns]) = (op.shape(0)?, op.shape(1)?) else { return None };
    if op.int_or("transA", 0) != 0 {
        std::mem::swap(&mut rows, &mut inner);
    }
    if op.int_or("transB", 0) != 0 {
        std::mem::swap(&mut other, &mut columns);
    }
    (inner == other).then_some([rows, inner, columns])
}

fn gemm(op: &Operation<'_, '_>) -> Option<Shape> {
    gemm_sizes(op).map(|[rows, _, columns]| vec![rows, columns])
}

/// Only the plain three-dimensional form; others need more than the queries' and values' shapes.
fn attention(op: &Operation<'_, '_>, kind: &str) -> Option<Shape> {
    let is_standard = op.node.domain != "com.microsoft";
    if kind == "Attention" && !is_standard {
        let (&[batch, length, _], &[_, all]) = (op.shape(0)?, op.shape(1)?) else { return None };
        let values = op.ints("qkv_hidden_sizes").and_then(|sizes| sizes.get(2).copied()).unwrap_or(all / 3);
        return Some(vec![batch, length, values]);
    }
    match (op.shape(0)?, op.shape(2)?) {
        (&[batch, length, _], &[_, _, width]) if !is_standard => Some(vec![batch, length, width]),
        (&[batch, heads, length, _], &[_, _, _, width]) if is_standard => Some(vec![batch, heads, length, width]),
        (&[batch, length, _], &[_, _, width]) => {
            let heads = op.int("kv_num_heads").filter(|heads| *heads > 0)?;
            Some(vec![batch, length, width / heads * op.int("q_num_heads")?])
        }
        _ => None,
    }
}

/// Letters of an `Einsum` with their sizes, and the letters of its output; `None` for ellipses and diagonals of unequal sizes.
pub(super) fn einsum_letters(op: &Operation<'_, '_>) -> Option<(Vec<(char, i64)>, String)> {
    let equation: String = op.text("equation")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (terms, output) = equation.split_once("->")?;
    let mut letters: Vec<(char, i64)> = Vec::new();
    for (input, term) in terms.split(',').enumerate() {
        let shape = op.shape(input)?;
        if term.chars().count() != shape.len() || !term.chars().all(char::is_alphabetic) {
            return None;
        }
        for (letter, size) in term.chars().zip(shape) {
            match letters.iter_mut().find(|(known, _)| *known == letter) {
                Some((_, known)) if *known == *size || *size == 1 => {}
                Some((_, known)) if *known == 1 => *known = *size,
                Some(_) => return None,
                None => letters.push((letter, *size)),
            }
        }
    }
    Some((letters, output.to_string()))
}

fn einsum(op: &Operation<'_, '_>) -> Option<Shape> {
    let (letters, output) = einsum_letters(op)?;
    output.chars().map(|letter| letters.iter().find(|(known, _)| *known == letter).map(|(_, size)| *size)).collect()
}

fn top_k(op: &Operation<'_, '_>) -> Option<Vec<Shape>> {
    let mut shape = op.shape(0)?.to_vec();
    let axis = axis_of(op.int_or("axis", -1), shape.len())?;
    shape[axis] = op.int("k").or_else(|| op.integers(1)?.first().copied())?;
    Some(vec![shape.clone(), shape])
}

fn constant(op: &Operation<'_, '_>) -> Option<Shape> {
    if let Some(tensor) = op.attribute("value").and_then(|a| a.t.as_ref()) {
        return Some(tensor.dims.clone());
    }
    match op.node.attribute.first()?.name.as_str() {
        "value_int" | "value_float" => Some(Vec::new()),
        "value_ints" => Some(vec![op.node.attribute[0].ints.len() as i64]),
        "value_floats" => Some(vec![op.node.attribute[0].floats.len() as i64]),
        _ => None,
    }
}
