//! Half precision.

use super::rewriting::Rewriting;
use crate::graph::Node;
use crate::{Constant, DType, Model, OWN_DOMAIN, Result};

/// What of a model is of half precision (IEEE f16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    /// The weights of products and convolutions, as they are stored; everything is computed in f32. For processors, whose f16 arithmetic is
    /// missing or slow.
    Weights,
    /// Products, convolutions and what lies between them. Softmax, sums, rotary tables and what a family keeps
    /// ([`Graph::full_precision`](crate::Graph::full_precision)) stay f32, with casts in the graph, so that every runtime that keeps to the
    /// types computes the same; the statistics of a layer normalisation are f32 by its definition (`stash_type`).
    Arithmetic,
    /// The numbers of [`Half::Arithmetic`] in f32, rounded to f16 wherever that has f16: what a GPU answers, told by any processor. Slow.
    Emulated,
}

/// Operators that are worth it: what has matrix units for f16 sums their products in f32.
const PRODUCTS: [&str; 6] = ["Conv", "ConvTranspose", "FusedMatMul", "Gemm", "MatMul", "MultiHeadAttention"];

/// Operators whose results, or what they sum on the way, f16 is too coarse or too small for.
const FULL: [&str; 21] = [
    "Celu",
    "Cos",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "InstanceNormalization",
    "Log",
    "Mish",
    "Pow",
    "Reciprocal",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "RotaryEmbedding",
    "Selu",
    "Sin",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
];

/// Fewer elements are not worth a cast.
const SMALLEST_WEIGHT: usize = 1024;
/// The largest finite f16.
const LARGEST: f32 = 65504.0;
/// Half of the smallest f16 above 0: what is smaller becomes 0.
const SMALLEST: f32 = 2.980_232_2e-8;

impl<'w> Model<'w> {
    /// The same model in half precision. Inputs and outputs keep their types.
    ///
    /// # Errors
    /// `DType` for a model with numbers that f16 cannot be made of.
    pub fn in_half(self, half: Half) -> Result<Self> {
        let (mut rewriting, nodes) = Rewriting::of(self.graph, half == Half::Emulated)?;
        for node in nodes {
            match (half, stored_half(&rewriting, &node)) {
                (_, Some(weight)) => keep_half(&mut rewriting, &node, weight)?,
                (Half::Weights, None) => with_half_weights(&mut rewriting, node)?,
                (Half::Arithmetic | Half::Emulated, None) => in_half_arithmetic(&mut rewriting, node)?,
            }
        }
        rewriting.finish()
    }
}

/// The constant that a node only widens ([`Graph::widened`](crate::Graph::widened)).
fn stored_half(rewriting: &Rewriting<'_>, node: &Node) -> Option<usize> {
    let id = node.inputs.first().copied().flatten().filter(|_| node.kind == "Cast")?;
    (rewriting.constant(id).is_some() && rewriting.dtype(id) == DType::F16).then_some(id)
}

/// What is stored in f16 already is taken from there, and what needs it in f32 widens it.
fn keep_half(rewriting: &mut Rewriting<'_>, node: &Node, weight: usize) -> Result<()> {
    let stored = rewriting.value(weight, DType::F16)?;
    rewriting.stands_for(node.output, stored, DType::F16);
    Ok(())
}

fn with_half_weights(rewriting: &mut Rewriting<'_>, node: Node) -> Result<()> {
    let is_product = PRODUCTS.contains(&node.kind) && !node.is_full;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for id in &node.inputs {
        let is_weight = |weight: &Constant<'_>| weight.shape.len() > 1 && weight.len() >= SMALLEST_WEIGHT && fits(weight);
        inputs.push(match id {
            Some(id) if is_product && rewriting.constant(*id).is_some_and(is_weight) => Some(rewriting.widened(*id)?),
            Some(id) => Some(rewriting.value(*id, rewriting.dtype(*id))?),
            None => None,
        });
    }
    let dtype = rewriting.dtype(node.output);
    rewriting.emit(node, &inputs, dtype);
    Ok(())
}

fn in_half_arithmetic(rewriting: &mut Rewriting<'_>, node: Node) -> Result<()> {
    let float = float_type(rewriting, &node);
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for (place, id) in node.inputs.iter().enumerate() {
        inputs.push(match id {
            Some(id) => {
                let own = rewriting.dtype(*id);
                let takes_float = own.is_float() && takes_its_type(&node, place);
                let dtype = if takes_float {
                    float
                } else if is_typeless(&node) {
                    rewriting.natural(*id)
                } else {
                    own
                };
                Some(rewriting.value(*id, dtype)?)
            }
            None => None,
        });
    }
    let own = rewriting.dtype(node.output);
    // What a cast gives is said in its attribute.
    let dtype = if own == DType::F32 && node.kind != "Cast" { float } else { own };
    rewriting.emit(node, &inputs, dtype);
    Ok(())
}

/// In which float type a node computes.
fn float_type(rewriting: &Rewriting<'_>, node: &Node) -> DType {
    let floats = || node.inputs.iter().flatten().copied().filter(|id| rewriting.dtype(*id).is_float());
    let is_kept = node.is_full || FULL.contains(&node.kind) || node.domain == OWN_DOMAIN;
    if is_kept || floats().filter_map(|id| rewriting.constant(id)).any(|constant| !fits(constant)) {
        return DType::F32;
    }
    let mut computed = floats().filter(|id| rewriting.constant(*id).is_none()).peekable();
    let is_half = match PRODUCTS.contains(&node.kind) {
        true => true,
        false => computed.peek().is_some() && computed.all(|id| rewriting.natural(id) == DType::F16),
    };
    if is_half { DType::F16 } else { DType::F32 }
}

/// Whether the operator's float type is that of this input: the scales of a resize are f32 whatever it resizes.
fn takes_its_type(node: &Node, place: usize) -> bool {
    match node.kind {
        "Resize" => place == 0,
        _ => !is_typeless(node),
    }
}

/// Operators that take an input of any type as it is.
fn is_typeless(node: &Node) -> bool {
    ["Cast", "Shape"].contains(&node.kind)
}

/// Whether f16 has room for all elements, and does not make 0 of a number that stands alone: an epsilon.
fn fits(constant: &Constant<'_>) -> bool {
    if constant.dtype != DType::F32 {
        return true;
    }
    let is_alone = constant.len() == 1;
    constant.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).all(|value| {
        let is_lost = is_alone && value != 0.0 && value.abs() < SMALLEST;
        !is_lost && (value.abs() <= LARGEST || !value.is_finite())
    })
}
