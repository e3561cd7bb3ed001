//! The words' side: a text encoder, every token of whose answer the decoders read.
//!
//! SAM 3 has CLIP's (`clip`), SAM3-LiteText a smaller one, MobileCLIP's (`lite`).

mod clip;
mod lite;

use maskline_onnx::{DType, Dim, GeluForm, Graph, Value};
use maskline_weights::{Checkpoint, Init, Scope};

use self::lite::Mixers;
use super::config::{ConceptConfig, Config, misshapen, text_scope};
use super::names::DETECTOR;
use crate::blocks::{Activation, Norm, Tower, batched, constant, layer_norm, linear, tokens};
use crate::info::{ConceptHead, WordHead};
use crate::{BuildOptions, Error, ErrorKind, Facts, Result};

/// What may not be looked at weighs nothing after a softmax.
const HIDDEN: f32 = -1e9;

/// Tokens of CLIP's vocabulary.
const CLIP_VOCABULARY: usize = 49_408;

/// Sizes of a text encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TextConfig {
    pub(super) tower: Tower,
    pub(super) vocabulary: usize,
    /// Tokens of a text, with its start, its end and its padding.
    pub(super) context: usize,
    pub(super) form: TextForm,
}

/// Which text encoder it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TextForm {
    /// CLIP's, which reads from left to right.
    Clip,
    /// MobileCLIP's.
    Lite(Mixers),
}

impl TextConfig {
    /// That of a published model; `None` for other names.
    pub(super) fn published(architecture: &str, options: &BuildOptions) -> Result<Option<Self>> {
        let tower =
            Tower { width: 1024, hidden: 4096, heads: 16, layers: 24, epsilon: 1e-5, activation: Activation::Gelu(GeluForm::Exact) };
        let clip = || clip::check_context(options, 32);
        Ok(match architecture {
            "sam3" => Some(Self { tower, vocabulary: CLIP_VOCABULARY, context: clip()?, form: TextForm::Clip }),
            _ => lite::published(architecture, tower, options)?,
        })
    }

    /// From tensor shapes, and what these do not tell from the detector's configuration.
    pub(super) fn of_checkpoint(detector: &Scope<'_>, facts: &Facts, options: &BuildOptions) -> Result<Self> {
        let scope = text_scope(detector);
        let is_lite = ["embeddings", "layers"].into_iter().any(|part| !scope.push(part).children().is_empty());
        if is_lite {
            lite::of_checkpoint(&scope, &facts.under("text_config"), options)
        } else {
            clip::of_checkpoint(&scope, facts, options)
        }
    }

    /// Published name of a model of published sizes with this text encoder.
    pub(super) fn name(&self) -> Option<&'static str> {
        match &self.form {
            TextForm::Clip => (self.tower.width == 1024 && self.tower.layers == 24).then_some("sam3"),
            TextForm::Lite(mixers) => lite::name(&self.tower, mixers),
        }
    }
}

/// What a configuration says of the transformer, checked against the tensors' `sizes`.
fn tower(facts: &Facts, sizes: Sizes) -> Result<Tower> {
    let Sizes { width, hidden, layers, heads } = sizes;
    let heads = facts.number("num_attention_heads").unwrap_or(heads);
    if heads == 0 || !width.is_multiple_of(heads) {
        let error = Error::new(ErrorKind::Configuration, format!("config.json: {}", facts.key("num_attention_heads")));
        let error = error.expecting(format!("a divisor of the width {width}")).finding(heads);
        return Err(error.with_help("put the model's config.json beside it"));
    }
    facts.expect("hidden_size", width)?;
    facts.expect("intermediate_size", hidden)?;
    facts.expect("num_hidden_layers", layers)?;
    let activation = Activation::of(facts, Activation::Gelu(GeluForm::Exact))?;
    let epsilon = facts.fraction("layer_norm_eps").unwrap_or(1e-5) as f32;
    Ok(Tower { width, hidden, heads, layers, epsilon, activation })
}

/// What tensors tell of a transformer, and the usual number of heads.
struct Sizes {
    width: usize,
    hidden: usize,
    layers: usize,
    heads: usize,
}

/// `[vocabulary, width]` of the table of tokens.
fn table(scope: &Scope<'_>) -> Result<[usize; 2]> {
    match scope.shape("embeddings.token_embedding.weight")? {
        &[vocabulary, width] if vocabulary > 0 && width > 0 => Ok([vocabulary, width]),
        other => Err(misshapen("token_embedding.weight", "[tokens, width]", other)),
    }
}

/// Token ids i64 [P, context] → words f32 [P, context, width], see [`ConceptHead`].
///
/// With taps, padding is what `mask` i64 [P, context] says it is: as in Hugging Face's model, also at places after a text's end.
pub(super) fn graph<'w>(
    checkpoint: &'w Checkpoint,
    config: &Config,
    concepts: &ConceptConfig,
    options: &BuildOptions,
) -> Result<Graph<'w>> {
    let mut graph = Graph::new(&config.architecture, options.dialect);
    let g = &mut graph;
    let text = &concepts.text;
    let ids = g.input(ConceptHead::IDS, DType::I64, [Dim::symbol("phrases"), text.context.into()])?;
    let mask = options.taps.then(|| g.input(WordHead::MASK, DType::I64, [Dim::symbol("phrases"), text.context.into()])).transpose()?;
    let detector = checkpoint.root().push(DETECTOR);
    let scope = text_scope(&detector);
    let read = Read { ids, mask };
    let (scope, hidden) = match &text.form {
        TextForm::Clip => {
            let scope = scope.push("text_model");
            let hidden = clip::tower(g, &scope, &read, text)?;
            (scope, hidden)
        }
        TextForm::Lite(mixers) => {
            let hidden = lite::tower(g, &scope, &read, lite::Lite { text, mixers })?;
            (scope, hidden)
        }
    };
    let hidden = layer_norm(g, &scope.push("final_layer_norm"), &hidden, Norm::of(text.tower.width, text.tower.epsilon))?;
    let words = tokens(g, &hidden, |g, x| linear(g, &detector.push("text_projection"), x, [text.tower.width, config.width]))?;
    g.output(ConceptHead::WORDS, &words)?;
    Ok(graph)
}

/// What a text encoder is given.
struct Read {
    /// i64 [P, context].
    ids: Value,
    /// 1 for tokens that count, i64 [P, context]; an input with taps alone.
    mask: Option<Value>,
}

/// Rows of the table of tokens, [P, context, width]: small in generated weights.
fn looked_up<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, ids: &Value, config: &TextConfig) -> Result<Value> {
    let small = Init::Normal { mean: 0.0, std: 0.5 };
    let words = scope.f32_init("token_embedding.weight", &[config.vocabulary, config.tower.width], small)?;
    let words = constant(g, scope, "token_embedding.weight", words)?;
    Ok(g.gather(&words, ids, 0)?)
}

/// What keeps padding from being looked at, [P, 1, 1, context]: of `counts` f32 [P, context], which is 1 for tokens that count.
fn padding(g: &mut Graph<'_>, counts: &Value) -> Result<Value> {
    let context = counts.shape()[1].known().unwrap_or(0);
    let counts = g.reshape(counts, batched(&counts.shape()[0], &[1, 1, context]))?;
    let (one, hidden) = (g.scalar(1.0), g.scalar(HIDDEN));
    let absent = g.sub(&one, &counts)?;
    Ok(g.mul(&absent, &hidden)?)
}

#[cfg(test)]
mod tests;
