//! The words' side: a causal transformer, read where the text ends.

use maskline_onnx::{DType, Dim, Graph, Value};
use maskline_weights::{Checkpoint, Init, Scope};

use super::config::Config;
use crate::blocks::{Reach, batched, computed, constant, layer_norm, parameter};
use crate::info::WordHead;
use crate::{BuildOptions, Result};

/// What may not be looked at weighs nothing after a softmax.
const HIDDEN: f32 = -1e9;

/// Token ids i64 [phrases, context] → f32 [phrases, width], of length 1.
///
/// With taps also the tokens after the last norm; what stands at places after the end, which no answer depends on, is that of the
/// reference if `mask` i64 [phrases, context] is 1 up to the end.
pub(super) fn graph<'w>(checkpoint: &'w Checkpoint, config: &Config, options: &BuildOptions) -> Result<Graph<'w>> {
    let mut graph = Graph::new(&config.architecture, options.dialect);
    let g = &mut graph;
    let Config { text, context, .. } = config;
    let ids = g.input(WordHead::IDS, DType::I64, [Dim::symbol("phrases"), (*context).into()])?;
    let root = checkpoint.root().push(config.version.scope());
    let scope = root.push("text_model");
    let embedded = embed(g, &scope.push("embeddings"), &ids, config)?;
    let causal = causal(g, *context)?;
    let padding = if options.taps { Some(padding(g, *context)?) } else { None };
    let bias = padding.as_ref().map_or(Ok(causal.clone()), |padding| g.add(&causal, &padding.bias))?;
    let reach = Reach { bias: Some(&bias), present: padding.as_ref().map(|padding| &padding.present) };
    let hidden = text.blocks(g, &scope.push("encoder"), &embedded, reach)?;
    let hidden = layer_norm(g, &scope.push("final_layer_norm"), &hidden, text.norm())?;
    if options.taps {
        g.output("text_last_hidden", &hidden)?;
    }
    let pooled = at_end(g, &ids, &hidden)?;
    let weight = parameter(g, &root.push("text_projection"), "weight", &[text.width; 2])?;
    let projected = g.scoped("text_projection", |g| g.linear(&pooled, &weight, None))?;
    let length = g.reduce_l2(&projected, &[-1], true)?;
    let normed = g.div(&projected, &length)?;
    g.output(WordHead::WORDS, &normed)?;
    Ok(graph)
}

/// [phrases, context] → [phrases, context, width].
fn embed<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, ids: &Value, config: &Config) -> Result<Value> {
    let (width, small) = (config.text.width, Init::Normal { mean: 0.0, std: 0.5 });
    let words = scope.f32_init("token_embedding.weight", &[config.vocabulary, width], small)?;
    let words = constant(g, scope, "token_embedding.weight", words)?;
    let positions = parameter(g, scope, "position_embedding.weight", &[config.context, width])?;
    let words = g.gather(&words, ids, 0)?;
    Ok(g.add(&words, &positions)?)
}

/// Nobody looks at what comes later: [1, 1, context, context].
fn causal(g: &mut Graph<'_>, context: usize) -> Result<Value> {
    let hidden = (0..context * context).map(|at| if at % context > at / context { HIDDEN } else { 0.0 }).collect();
    g.scoped("causal", |g| computed(g, &[1, 1, context, context], hidden))
}

/// What padding changes, see [`Reach`].
struct Padding {
    bias: Value,
    present: Value,
}

/// Nor does anybody look at padding: what `mask` i64 [phrases, context] says. A phrase that is all padding sees nothing.
fn padding(g: &mut Graph<'_>, context: usize) -> Result<Padding> {
    let mask = g.input(WordHead::MASK, DType::I64, [Dim::symbol("phrases"), context.into()])?;
    let mask = g.cast(&mask, DType::F32)?;
    let present = g.slice(&mask, 1, 0..1)?;
    let present = g.unsqueeze(&present, 2)?;
    let mask = g.reshape(&mask, batched(&mask.shape()[0], &[1, 1, context]))?;
    let (one, hidden) = (g.scalar(1.0), g.scalar(HIDDEN));
    let absent = g.sub(&one, &mask)?;
    Ok(Padding { bias: g.mul(&absent, &hidden)?, present })
}

/// The token where a text ends, which has the largest id: [phrases, context, width] → [phrases, width].
fn at_end(g: &mut Graph<'_>, ids: &Value, hidden: &Value) -> Result<Value> {
    let context = ids.shape()[1].known().unwrap_or(0);
    // No operator set has it for whole numbers everywhere; ids are exact in f32.
    let ids = g.cast(ids, DType::F32)?;
    let end = g.arg_max(&ids, -1)?;
    let end = g.unsqueeze(&end, 1)?;
    let places = g.i64s(&(0..context as i64).collect::<Vec<_>>());
    let is_end = g.equal(&places, &end)?;
    let is_end = g.cast(&is_end, DType::F32)?;
    let is_end = g.unsqueeze(&is_end, 1)?;
    let pooled = g.matmul(&is_end, hidden)?;
    Ok(g.squeeze(&pooled, 1)?)
}
