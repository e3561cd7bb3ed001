//! maskline's own operators of the folded mask decoder, see `maskline_kernels::decoder`: cells of a picture are kept in stripes of sixteen,
//! and what a prompt does to them as a few columns.

use crate::graph::Op;
use crate::{Dim, ErrorKind, Graph, Result, Shape, Value};

/// Cells of a stripe.
const STRIPE: usize = 16;

/// The cells of each prompt; S stripes, K columns, N tokens, I numbers inside the attentions. They may be the same for all prompts.
#[derive(Debug, Clone, Copy)]
pub struct FoldedCells<'a> {
    /// Scales and columns, [P, S, 1 + K, 16].
    pub cells: &'a Value,
    /// Values of the tokens in each block so far, [P, blocks, N, I].
    pub values: &'a Value,
}

/// What [`Graph::token_to_image`] looks from and at.
#[derive(Debug, Clone, Copy)]
pub struct TokenToImage<'a> {
    /// Scaled, [P, n, I].
    pub queries: &'a Value,
    /// What the cells are.
    pub cells: FoldedCells<'a>,
    /// The image as keys, [1, S, I, 16].
    pub keys: &'a Value,
    /// The positions of the cells as keys, [S, I, 16], where `keys` has them not in it.
    pub positions: Option<&'a Value>,
    /// The image as values, [1, h ⌈d / 16⌉, T, 16].
    pub values: &'a Value,
    /// From rows of the columns to keys, [I / 16, sources, 16], and to values, [h ⌈d / 16⌉, sources, 16].
    pub to_keys_and_values: [&'a Value; 2],
    /// Heads.
    pub heads: usize,
}

/// What [`Graph::image_to_token`] looks from and at.
#[derive(Debug, Clone, Copy)]
pub struct ImageToToken<'a> {
    /// Scaled, [P, N, I].
    pub keys: &'a Value,
    /// What the cells are before the block, and values that have the block's too.
    pub cells: FoldedCells<'a>,
    /// The image as queries, [1, S, I, 16].
    pub queries: &'a Value,
    /// The positions of the cells as queries, [S, I, 16], where `queries` has them not in it.
    pub positions: Option<&'a Value>,
    /// From rows of the columns to queries, [I / 16, sources, 16].
    pub to_queries: &'a Value,
    /// The image times the row of every source, [1, S, sources, 16].
    pub image: &'a Value,
    /// The image's squares, [1, S, 16].
    pub squares: &'a Value,
    /// Rows of all sources times each other, [sources / 16, sources, 16].
    pub products: &'a Value,
    /// Heads.
    pub heads: usize,
    /// Cells, T.
    pub area: usize,
    /// Channels of the cells.
    pub width: usize,
    /// What the variance is increased by.
    pub epsilon: f32,
    /// What the number of rows of the cells is called after the block.
    pub rows: &'static str,
}

/// What [`Graph::upscale_masks`] makes masks of.
#[derive(Debug, Clone, Copy)]
pub struct Upscale<'a> {
    /// Weights of the last channels for each mask, [P, M, F].
    pub weights: &'a Value,
    /// What the cells are.
    pub cells: FoldedCells<'a>,
    /// The image after the first convolution, [1, S, 4 E, 16].
    pub image: &'a Value,
    /// What is added there to all cells, [4 E].
    pub bias: &'a Value,
    /// Features that are added there, [1, S, 4 E, 16].
    pub middle: Option<&'a Value>,
    /// From rows of the columns to there, [4 E / 16, sources, 16].
    pub to_middle: &'a Value,
    /// Gain and bias of the normalisation, [2, E].
    pub norm: &'a Value,
    /// The second convolution, [4 F / 16, E, 16].
    pub convolution: &'a Value,
    /// What is added there: features [1, S, 16 F, 16], or the same to all cells, `[F]`.
    pub fine: &'a Value,
    /// Heads.
    pub heads: usize,
    /// Cells, T.
    pub area: usize,
    /// What the variance is increased by.
    pub epsilon: f32,
}

impl<'w> Graph<'w> {
    /// Cells [B, T, C] in stripes, [B, ⌈T / 16⌉, n, 16]: as they are, or through a fully connected layer of weight `[n / 16, C, 16]` and
    /// bias `[n]`. Behind the last cell are cells of zeros.
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` in another dialect than `native`.
    pub fn in_stripes(&mut self, cells: &Value, projection: Option<[&Value; 2]>) -> Result<Value> {
        const NAME: &str = "InStripes";
        self.check_own(NAME)?;
        let [batch, area, width] = &cells.shape().0[..] else { return Err(self.folded_misfit(NAME, &[cells])) };
        let fits = |[weight, bias]: [&Value; 2]| match (&weight.shape().0[..], &bias.shape().0[..]) {
            ([rows, channels, _], [count]) => {
                channels == width
                    && rows.known() == count.known().map(|count| count.div_ceil(STRIPE))
                    && weight.shape()[2].known() == Some(STRIPE)
            }
            _ => false,
        };
        if let Some(operands) = projection.filter(|projection| !fits(*projection)) {
            return Err(self.folded_misfit(NAME, &[cells, operands[0], operands[1]]));
        }
        let Some(area) = area.known() else { return Err(self.folded_misfit(NAME, &[cells])) };
        let rows = projection.map_or(width, |[_, bias]| &bias.shape()[0]).clone();
        let shape = Shape(vec![batch.clone(), area.div_ceil(STRIPE).into(), rows, STRIPE.into()]);
        let operands: Vec<&Value> = [cells].into_iter().chain(projection.into_iter().flatten()).collect();
        let dtype = self.same_dtype(NAME, &operands)?;
        Ok(self.emit(Op::own(NAME, &operands), dtype, shape))
    }

    /// Attention from tokens to folded cells: → [P, n, I].
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` in another dialect than `native`.
    pub fn token_to_image(&mut self, of: TokenToImage<'_>) -> Result<Value> {
        const NAME: &str = "TokenToImage";
        let TokenToImage { queries, cells: FoldedCells { cells, values: tokens }, keys, values, .. } = of;
        let [to_keys, to_values] = of.to_keys_and_values;
        let operands = [queries, cells, tokens, keys, values, to_keys, to_values];
        self.check_folded(NAME, &operands, &[3, 4, 4, 4, 4, 3, 3])?;
        let fits =
            queries.shape()[2] == keys.shape()[2] && keys.shape()[1] == cells.shape()[1] && to_keys.shape()[1] == to_values.shape()[1];
        if !fits {
            return Err(self.folded_misfit(NAME, &operands));
        }
        let op = Op::own(NAME, &operands).optional(of.positions).int("heads", of.heads as i64);
        Ok(self.emit(op, queries.dtype(), queries.shape().clone()))
    }

    /// Attention from folded cells to tokens, and the normalisation that follows: the cells after the block, [P, S, 1 + K, 16].
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` in another dialect than `native`.
    pub fn image_to_token(&mut self, of: ImageToToken<'_>) -> Result<Value> {
        const NAME: &str = "ImageToToken";
        let ImageToToken { keys, cells: FoldedCells { cells, values }, queries, to_queries, image, squares, products, .. } = of;
        let operands = [keys, cells, values, queries, to_queries, image, squares, products];
        self.check_folded(NAME, &operands, &[3, 4, 4, 4, 3, 4, 3, 3])?;
        let fits = keys.shape()[2] == queries.shape()[2]
            && values.shape()[3] == keys.shape()[2]
            && [queries, image, squares].iter().all(|operand| operand.shape()[1] == cells.shape()[1])
            && cells.shape()[1].known() == Some(of.area.div_ceil(STRIPE));
        if !fits {
            return Err(self.folded_misfit(NAME, &operands));
        }
        let shape = Shape(vec![keys.shape()[0].clone(), cells.shape()[1].clone(), Dim::symbol(of.rows), STRIPE.into()]);
        let op = Op::own(NAME, &operands).optional(of.positions).int("heads", of.heads as i64).int("cells", of.area as i64);
        Ok(self.emit(op.int("width", of.width as i64).float("epsilon", of.epsilon), keys.dtype(), shape))
    }

    /// Masks of folded cells, in blocked order: [P, M, 16 T].
    ///
    /// # Errors
    /// `Shape` if the operands do not fit, `Invalid` in another dialect than `native`.
    pub fn upscale_masks(&mut self, of: Upscale<'_>) -> Result<Value> {
        const NAME: &str = "Upscale";
        let Upscale { weights, cells: FoldedCells { cells, values }, image, bias, to_middle, norm, convolution, fine, .. } = of;
        let operands = [weights, cells, values, image, bias, to_middle, norm, convolution, fine];
        self.check_folded(NAME, &operands, &[3, 4, 4, 4, 1, 3, 2, 3, fine.rank()])?;
        let fits = image.shape()[1] == cells.shape()[1]
            && image.shape()[2] == bias.shape()[0]
            && norm.shape()[1] == convolution.shape()[1]
            && of.middle.is_none_or(|middle| middle.shape() == image.shape())
            && cells.shape()[1].known() == Some(of.area.div_ceil(STRIPE));
        if !fits {
            return Err(self.folded_misfit(NAME, &operands));
        }
        let shape = Shape(vec![weights.shape()[0].clone(), weights.shape()[1].clone(), (16 * of.area).into()]);
        let op = Op::own(NAME, &operands).optional(of.middle).int("heads", of.heads as i64).int("cells", of.area as i64);
        Ok(self.emit(op.float("epsilon", of.epsilon), weights.dtype(), shape))
    }

    fn check_own(&self, name: &'static str) -> Result<()> {
        if self.has_own_operators() {
            return Ok(());
        }
        Err(self.fail(name, ErrorKind::Invalid, "only the native dialect has this operator"))
    }

    fn check_folded(&self, name: &'static str, operands: &[&Value], ranks: &[usize]) -> Result<()> {
        self.check_own(name)?;
        self.same_dtype(name, operands)?;
        if operands.iter().map(|operand| operand.rank()).eq(ranks.iter().copied()) {
            return Ok(());
        }
        Err(self.folded_misfit(name, operands))
    }

    fn folded_misfit(&self, name: &'static str, operands: &[&Value]) -> crate::Error {
        let shapes: Vec<String> = operands.iter().map(|operand| operand.shape().to_string()).collect();
        self.fail(name, ErrorKind::Shape, format!("{} do not fit", shapes.join(", ")))
    }
}
