//! maskline's own operators: what they give, and what they do, not what would be done without them.

use super::facts::Operation;
use super::infer::count;

/// Cells of a stripe, see `maskline_kernels::decoder`.
const STRIPE: i64 = 16;

/// The shape of an operator's output.
pub(super) fn shape(op: &Operation<'_, '_>) -> Option<Vec<i64>> {
    match op.node.op_type.as_str() {
        "MemoryAttention" => match (op.shape(0)?, op.shape(1)?) {
            (&[_, area, _], &[objects, _, _, width]) => Some(vec![objects, area, width]),
            _ => None,
        },
        "Attention" => match (op.shape(0)?, op.shape(2)?) {
            (&[batch, queries, _], &[_, _, width]) => Some(vec![batch, queries, width]),
            _ => None,
        },
        "Linear" => {
            let mut shape = op.shape(0)?.to_vec();
            *shape.last_mut()? = *op.shape(1)?.first()?;
            Some(shape)
        }
        "MultiHeadAttention" => {
            let mut shape = op.shape(0)?.to_vec();
            *shape.last_mut()? = op.int("heads")? * op.int("head_width")?;
            Some(shape)
        }
        "InStripes" => {
            let &[batch, area, width] = op.shape(0)? else { return None };
            let rows = if op.has(2) { *op.shape(2)?.first()? } else { width };
            Some(vec![batch, (area + STRIPE - 1) / STRIPE, rows, STRIPE])
        }
        "Mlp" | "TokenToImage" => Some(op.shape(0)?.to_vec()),
        "ImageToToken" => {
            let (&[prompts, tokens, _], &[_, stripes, rows, _]) = (op.shape(0)?, op.shape(1)?) else { return None };
            Some(vec![prompts, stripes, rows + op.int("heads")? * (tokens - 1) + 1, STRIPE])
        }
        "Upscale" => match op.shape(0)? {
            &[prompts, masks, _] => Some(vec![prompts, masks, 16 * op.int("cells")?]),
            _ => None,
        },
        _ => None,
    }
}

/// Multiplications with their additions; `None` where the shapes do not tell.
pub(super) fn products(op: &Operation<'_, '_>) -> Option<f64> {
    match op.node.op_type.as_str() {
        "MemoryAttention" => memory_attention(op),
        "Linear" => Some(count(op.shape(0)?) * count(op.shape(1)?.get(..1)?)),
        "Mlp" => Some(2.0 * count(op.shape(0)?) * count(op.shape(1)?.get(..1)?)),
        "MultiHeadAttention" => attention_in_place(op),
        "InStripes" => match (op.shape(0)?, op.has(2)) {
            (_, false) => Some(0.0),
            (&[batch, area, width], true) => Some(count(&[batch, area, width, *op.shape(2)?.first()?])),
            _ => None,
        },
        "TokenToImage" => token_to_image(op),
        "ImageToToken" => image_to_token(op),
        "Upscale" => upscale(op),
        _ => None,
    }
}

/// Queries taken back to every column and row, then a memory's width for each score and each weight.
fn memory_attention(op: &Operation<'_, '_>) -> Option<f64> {
    let (&[_, area, width], &[objects, _, memories, memory_width], &[_, pointers, _]) = (op.shape(0)?, op.shape(1)?, op.shape(3)?) else {
        return None;
    };
    let absorbed = count(&[objects, area, 2 * area.isqrt(), width / 2, memory_width]);
    Some(absorbed + 2.0 * count(&[objects, area, memories * area + pointers, memory_width]))
}

/// Scores and sums of every query with the keys of its window, those that fill it up among them.
fn attention_in_place(op: &Operation<'_, '_>) -> Option<f64> {
    let (queries, keys) = (op.shape(0)?, op.shape(1)?);
    let rows = |shape: &[i64]| Some(count(shape.get(..shape.len() - 1)?));
    let inner = op.int("heads")? * op.int("head_width")?;
    let seen = match (op.int("window")?, keys) {
        (0, _) => rows(keys)? / *keys.first()? as f64,
        (side, _) => (side * side) as f64,
    };
    Some(2.0 * rows(queries)? * seen * inner as f64)
}

/// For each cell and query: keys, their positions and values of the image, and all columns twice. What is made of the tokens alone, once for
/// all cells, is not counted.
fn token_to_image(op: &Operation<'_, '_>) -> Option<f64> {
    let (&[prompts, tokens, inner], &[_, _, rows, _], &[_, _, area, _]) = (op.shape(0)?, op.shape(1)?, op.shape(4)?) else {
        return None;
    };
    let images = if op.has(7) { 3 } else { 2 };
    Some(count(&[prompts, area, tokens, images * inner + 2 * op.int("heads")? * (rows - 1)]))
}

/// For each cell: scores as above; then for the variance the image's and all pairs of columns.
fn image_to_token(op: &Operation<'_, '_>) -> Option<f64> {
    let (&[prompts, tokens, inner], &[_, _, rows, _], &[_, blocks, ..]) = (op.shape(0)?, op.shape(1)?, op.shape(2)?) else { return None };
    let (heads, area) = (op.int("heads")?, op.int("cells")?);
    let images = if op.has(8) { 2 } else { 1 };
    let scores = count(&[prompts, area, tokens, images * inner + heads * (rows - 1)]);
    let columns = rows - 1 + heads * (tokens - 1) + 1;
    Some(scores + count(&[prompts, area, blocks * tokens * inner + columns * (columns + 1) / 2]))
}

/// Both convolutions and the masks' weights.
fn upscale(op: &Operation<'_, '_>) -> Option<f64> {
    let (&[prompts, masks, last], &[_, _, rows, _], &[_, between]) = (op.shape(0)?, op.shape(1)?, op.shape(6)?) else { return None };
    let of_cell = 4 * between * rows + 4 * between * 4 * last + 16 * last * masks;
    Some(count(&[prompts, op.int("cells")?, of_cell]))
}
