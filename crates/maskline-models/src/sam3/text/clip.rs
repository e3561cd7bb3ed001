//! CLIP's text encoder (Radford et al. 2021), as SAM 3 has it: a causal transformer.

use maskline_onnx::{DType, Graph, Value};
use maskline_weights::Scope;

use super::{HIDDEN, Read, Sizes, TextConfig, TextForm, looked_up, padding, table};
use crate::blocks::{Reach, computed, parameter};
use crate::sam3::config::rows;
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

/// From tensor shapes of `scope`, and what these do not tell from its configuration.
pub(super) fn of_checkpoint(scope: &Scope<'_>, own: &Facts, options: &BuildOptions) -> Result<TextConfig> {
    let facts = &own.under("text_config");
    let model = scope.push("text_model");
    let [vocabulary, width] = table(&model)?;
    let layers = model.push("encoder.layers");
    let hidden = rows(&layers.push(0).push("mlp"), "fc1.weight")?;
    let positions = rows(&model, "embeddings.position_embedding.weight")?;
    facts.expect("vocab_size", vocabulary)?;
    facts.expect("max_position_embeddings", positions)?;
    let heads = own.number("ta").unwrap_or(16);
    let tower = super::tower(facts, Sizes { width, hidden, layers: layers.children().len(), heads })?;
    Ok(TextConfig { tower, vocabulary, context: check_context(options, positions)?, form: TextForm::Clip })
}

/// It has a position for each of so many tokens, and texts have as many.
pub(super) fn check_context(options: &BuildOptions, positions: usize) -> Result<usize> {
    match options.context {
        Some(other) if other != positions => {
            let error = Error::new(ErrorKind::Configuration, "tokens of a text").expecting(positions).finding(other);
            Err(error.with_help("this text encoder takes texts of one length"))
        }
        _ => Ok(positions),
    }
}

/// Token ids → f32 [P, context, width], before the last norm.
///
/// Nothing looks at what comes later, so that padding changes nothing of a text, and no mask is needed.
pub(super) fn tower<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, read: &Read, config: &TextConfig) -> Result<Value> {
    let embeddings = scope.push("embeddings");
    let words = looked_up(g, &embeddings, &read.ids, config)?;
    let positions = parameter(g, &embeddings, "position_embedding.weight", &[config.context, config.tower.width])?;
    let embedded = g.add(&words, &positions)?;
    let mut bias = causal(g, config.context)?;
    if let Some(mask) = &read.mask {
        let counts = g.cast(mask, DType::F32)?;
        let padding = padding(g, &counts)?;
        bias = g.add(&bias, &padding)?;
    }
    config.tower.blocks(g, &scope.push("encoder"), &embedded, Reach { bias: Some(&bias), present: None })
}

/// Nobody looks at what comes later: [1, 1, context, context].
fn causal(g: &mut Graph<'_>, context: usize) -> Result<Value> {
    let hidden = (0..context * context).map(|at| if at % context > at / context { HIDDEN } else { 0.0 }).collect();
    g.scoped("causal", |g| computed(g, &[1, 1, context, context], hidden))
}
