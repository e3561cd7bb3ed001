//! Floating-point operations of the operators that consist of products, a multiplication with its addition being two.

use super::facts::Operation;
use super::infer::{count, einsum_letters, gemm_sizes, matrices};
use super::own;

/// What an operator costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cost {
    /// So many operations.
    Operations(f64),
    /// It consists of products, but the shapes do not tell how many.
    Unknown,
    /// It is written in a form that is not counted.
    Uncounted,
    /// It is no operator of products.
    NoProducts,
}

/// Operations of one node.
pub(super) fn cost(op: &Operation<'_, '_>) -> Cost {
    if op.node.domain == crate::OWN_DOMAIN {
        return match op.node.op_type.as_str() {
            "Attention" => multi_head_attention(op),
            _ => own::products(op).map_or(Cost::Unknown, |products| Cost::Operations(2.0 * products)),
        };
    }
    let is_microsoft = op.node.domain == "com.microsoft";
    if !is_microsoft && !matches!(op.node.domain.as_str(), "" | "ai.onnx") {
        return Cost::NoProducts;
    }
    let operations = match op.node.op_type.as_str() {
        "MatMul" | "FusedMatMul" | "MatMulInteger" => matmul(op, [0, 1]),
        // Scale and zero point stand behind each operand.
        "QLinearMatMul" => matmul(op, [0, 3]),
        "Gemm" | "FusedGemm" => gemm_sizes(op).map(|[rows, inner, columns]| 2.0 * count(&[rows, inner, columns])),
        "Conv" | "FusedConv" | "ConvInteger" => conv(op, 1),
        "QLinearConv" => conv(op, 3),
        "ConvTranspose" => conv_transpose(op),
        "Attention" if is_microsoft => return projected_attention(op),
        "MultiHeadAttention" => return multi_head_attention(op),
        "Attention" => return attention(op),
        "Einsum" => return einsum(op),
        _ => return Cost::NoProducts,
    };
    operations.map_or(Cost::Unknown, Cost::Operations)
}

fn matmul(op: &Operation<'_, '_>, operands: [usize; 2]) -> Option<f64> {
    let (rows, inner, columns, leading) = matrices(op, operands)?;
    Some(2.0 * count(&leading) * count(&[rows, inner, columns]))
}

/// Each element of the result is a sum over the kernel and the channels of its group.
fn conv(op: &Operation<'_, '_>, weight: usize) -> Option<f64> {
    let (weight, output) = (op.shape(weight)?, op.facts.shape(op.node.output.first()?)?);
    Some(2.0 * count(output) * count(weight.get(1..)?))
}

/// Each element of the input goes into the kernel's taps of every output channel of its group.
fn conv_transpose(op: &Operation<'_, '_>) -> Option<f64> {
    let (x, weight) = (op.shape(0)?, op.shape(1)?);
    Some(2.0 * count(x) * count(weight.get(1..)?))
}

/// Scores and the weighted sum: queries [B, N, C], keys [B, M, C], values [B, M, D]; widths include all heads.
fn scores_and_sum([batch, queries, keys]: [i64; 3], widths: i64) -> Cost {
    Cost::Operations(2.0 * count(&[batch, queries, keys]) * widths as f64)
}

/// `com.microsoft.MultiHeadAttention` on three separate operands; packed ones and caches are not counted.
fn multi_head_attention(op: &Operation<'_, '_>) -> Cost {
    if !op.has(1) || !op.has(2) || op.has(6) || op.has(7) {
        return Cost::Uncounted;
    }
    match (op.shape(0), op.shape(1), op.shape(2)) {
        (Some(&[batch, queries, width]), Some(&[_, keys, _]), Some(&[_, _, value_width])) => {
            scores_and_sum([batch, queries, keys], width + value_width)
        }
        // Keys and values of another network, with heads apart.
        (Some(&[batch, queries, width]), Some(&[_, _, keys, _]), Some(&[_, heads, _, value_width])) => {
            scores_and_sum([batch, queries, keys], width + heads * value_width)
        }
        (None, ..) | (_, None, _) | (_, _, None) => Cost::Unknown,
        _ => Cost::Uncounted,
    }
}

/// `com.microsoft.Attention`: also projects its input [B, N, I] with [I, queries + keys + values].
fn projected_attention(op: &Operation<'_, '_>) -> Cost {
    if op.has(4) {
        return Cost::Uncounted;
    }
    let (Some(x), Some(weight)) = (op.shape(0), op.shape(1)) else { return Cost::Unknown };
    let (&[batch, length, width], &[_, all]) = (x, weight) else { return Cost::Uncounted };
    let widths = match op.ints("qkv_hidden_sizes").as_deref() {
        Some(&[queries, _, values]) => queries + values,
        _ => 2 * (all / 3),
    };
    Cost::Operations(2.0 * count(&[batch, length, width, all]) + 2.0 * count(&[batch, length, length, widths]))
}

/// `Attention` of the standard, heads apart or side by side; keys of a group of heads count once per head.
fn attention(op: &Operation<'_, '_>) -> Cost {
    if op.has(4) || op.has(5) {
        return Cost::Uncounted;
    }
    let (Some(q), Some(k), Some(v)) = (op.shape(0), op.shape(1), op.shape(2)) else { return Cost::Unknown };
    match (q, k, v) {
        (&[batch, heads, queries, width], &[_, _, keys, _], &[_, _, _, value_width]) => {
            scores_and_sum([batch, queries, keys], heads * (width + value_width))
        }
        (&[batch, queries, width], &[_, keys, _], &[_, _, value_width]) => match (op.int("q_num_heads"), op.int("kv_num_heads")) {
            (Some(heads), Some(key_heads)) if key_heads > 0 => {
                scores_and_sum([batch, queries, keys], width + value_width / key_heads * heads)
            }
            _ => Cost::Uncounted,
        },
        _ => Cost::Uncounted,
    }
}

/// Two operands that are summed over a letter; an equation that sums nothing multiplies element by element.
fn einsum(op: &Operation<'_, '_>) -> Cost {
    if (0..op.node.input.len()).any(|input| op.shape(input).is_none()) {
        return Cost::Unknown;
    }
    match einsum_letters(op) {
        Some((letters, output)) => {
            let is_summed = letters.iter().any(|(letter, _)| !output.contains(*letter));
            match op.node.input.len() {
                1 => Cost::NoProducts,
                2 if is_summed => Cost::Operations(2.0 * letters.iter().map(|(_, size)| *size as f64).product::<f64>()),
                2 => Cost::NoProducts,
                _ => Cost::Uncounted,
            }
        }
        None => Cost::Uncounted,
    }
}
