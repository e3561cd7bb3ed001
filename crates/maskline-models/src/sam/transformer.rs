//! The two-way transformer: tokens look at each other and at the image, the image looks at the tokens.

use maskline_onnx::{Graph, Value};
use maskline_weights::Scope;

use super::attention::{Attention, Cells as Plain, Sizes};
use super::config::DecoderConfig;
use super::folded::Cells;
use super::names::Names;
use crate::blocks::{Norm, layer_norm, linear};
use crate::{Error, Result};

/// The cells of the image, as the blocks know them.
#[derive(Debug)]
pub(super) enum Image<'a> {
    /// Until the first block ends, prompts without a mask share the cells [1, T, C], whose projections are part of the embedding.
    Shared {
        cells: Value,
        /// Keys, values and queries, see [`TwoWay::shared_projections`].
        projections: [Value; 3],
    },
    /// Afterwards, and with a mask from the start, every prompt has cells of its own: [P, T, C], without and with their position
    /// encoding.
    Own { plain: Value, positioned: Value },
    /// With operators of our own cells are never written down as they are.
    Folded(Cells<'a>),
}

impl Image<'_> {
    /// Cells of each prompt's own.
    pub(super) fn own(g: &mut Graph<'_>, plain: Value, positions: &Value) -> Result<Self> {
        let positioned = g.add(&plain, positions)?;
        Ok(Self::Own { plain, positioned })
    }
}

/// Tokens [P, N, C], the first `outputs` of which are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) all: &'a Value,
    pub(super) outputs: usize,
}

/// The transformer of a checkpoint.
#[derive(Debug)]
pub(super) struct TwoWay<'a, 'w> {
    pub(super) scope: Scope<'w>,
    pub(super) names: &'a Names,
    pub(super) config: &'a DecoderConfig,
}

impl<'w> TwoWay<'_, 'w> {
    fn sizes(&self) -> Sizes {
        Sizes { width: self.config.width, inner: self.config.inner, heads: self.config.heads }
    }

    fn block(&self, index: usize) -> Scope<'w> {
        self.scope.push("layers").push(index)
    }

    /// The projections of the shared cells for the first block: keys and values with heads apart, queries [B, T, inner].
    pub(super) fn shared_projections(&self, g: &mut Graph<'w>, cells: &Value, positions: &Value) -> Result<[Value; 3]> {
        let block = self.block(0);
        let to_image = Attention::read(g, &block.push("cross_attn_token_to_image"), self.names, self.sizes())?;
        let to_token = Attention::read(g, &block.push("cross_attn_image_to_token"), self.names, self.sizes())?;
        let positioned = g.add(cells, positions)?;
        let [keys, values] = to_image.shared_keys_and_values(g, Plain { plain: cells, positioned: &positioned })?;
        Ok([keys, values, to_token.query.apply(g, &positioned)?])
    }

    /// The tokens, the image and its position encoding [1, T, C] → tokens [P, outputs, C], and what has become of the image.
    pub(super) fn run<'i>(
        &self,
        g: &mut Graph<'w>,
        tokens: Tokens<'_>,
        mut image: Image<'i>,
        positions: &Value,
    ) -> Result<(Value, Image<'i>)> {
        let Tokens { all: tokens, outputs } = tokens;
        let mut queries = tokens.clone();
        for index in 0..self.config.depth {
            let block = self.block(index);
            queries = self.self_attention(g, &block, [&queries, tokens], index == 0)?;
            let layer = Attention::read(g, &block.push("cross_attn_token_to_image"), self.names, self.sizes())?;
            let asking = g.add(&queries, tokens)?;
            let seen = match &image {
                Image::Shared { projections: [keys, values, _], .. } => layer.over_shared_cells(g, &asking, [keys, values])?,
                Image::Own { plain, positioned } => layer.over_cells(g, &asking, Plain { plain, positioned })?,
                Image::Folded(cells) => cells.seen(g, &layer, &asking)?,
            };
            queries = self.residual_norm(g, &block.push(format!("{}2", self.names.norm)), &queries, &seen)?;
            let hidden = linear(g, &block.push(self.names.mlp[0]), &queries, [self.config.width, self.config.mlp])?;
            let hidden = g.relu(&hidden)?;
            let moved = linear(g, &block.push(self.names.mlp[1]), &hidden, [self.config.mlp, self.config.width])?;
            queries = self.residual_norm(g, &block.push(format!("{}3", self.names.norm)), &queries, &moved)?;

            let layer = Attention::read(g, &block.push("cross_attn_image_to_token"), self.names, self.sizes())?;
            let asked = g.add(&queries, tokens)?;
            let (update, before) = match &mut image {
                Image::Shared { cells, projections: [.., looking] } => {
                    (layer.update_of_shared_cells(g, looking, [&asked, &queries])?, cells)
                }
                Image::Own { plain, positioned } => (layer.update_of_cells(g, positioned, [&asked, &queries])?, plain),
                Image::Folded(cells) => {
                    cells.update(g, &layer, [&asked, &queries])?;
                    continue;
                }
            };
            let sum = g.add(&update, before)?;
            let norm = block.push(format!("{}4", self.names.norm));
            let cells = layer_norm(g, &norm, &sum, Norm::of(self.config.width, self.config.epsilon))?;
            image = Image::own(g, cells, positions)?;
        }
        // The prompts' tokens are not looked at any more.
        let queries = g.slice(&queries, 1, 0..outputs as i64)?;
        let own_tokens = g.slice(tokens, 1, 0..outputs as i64)?;
        let layer = Attention::read(g, &self.scope.push("final_attn_token_to_image"), self.names, self.sizes())?;
        let asking = g.add(&queries, &own_tokens)?;
        let seen = match &image {
            Image::Own { plain, positioned } => layer.over_cells(g, &asking, Plain { plain, positioned })?,
            Image::Folded(cells) => cells.seen(g, &layer, &asking)?,
            Image::Shared { .. } => return Err(Error::new(crate::ErrorKind::Checkpoint, "the two-way transformer has no block")),
        };
        let sum = g.add(&queries, &seen)?;
        let norm = self.scope.push(self.names.final_norm);
        Ok((layer_norm(g, &norm, &sum, Norm::of(self.config.width, self.config.final_epsilon))?, image))
    }

    /// The first block neither adds the tokens' own embedding nor keeps a residual.
    fn self_attention(&self, g: &mut Graph<'w>, block: &Scope<'w>, [queries, tokens]: [&Value; 2], is_first: bool) -> Result<Value> {
        let sizes = Sizes { inner: self.config.width, ..self.sizes() };
        let layer = Attention::read(g, &block.push("self_attn"), self.names, sizes)?;
        let norm = block.push(format!("{}1", self.names.norm));
        let widths = Norm::of(self.config.width, self.config.epsilon);
        if is_first {
            let seen = layer.plain(g, [queries, queries, queries])?;
            return layer_norm(g, &norm, &seen, widths);
        }
        let asking = g.add(queries, tokens)?;
        let seen = layer.plain(g, [&asking, &asking, queries])?;
        let sum = g.add(queries, &seen)?;
        layer_norm(g, &norm, &sum, widths)
    }

    fn residual_norm(&self, g: &mut Graph<'w>, norm: &Scope<'w>, x: &Value, update: &Value) -> Result<Value> {
        let sum = g.add(x, update)?;
        layer_norm(g, norm, &sum, Norm::of(self.config.width, self.config.epsilon))
    }
}
