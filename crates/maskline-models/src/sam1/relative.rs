//! Attention with decomposed relative positions (Li et al. 2022, MViTv2 §4.1), without a tensor of all pairs of cells.
//!
//! The score of query cell (y, x) and key cell (v, u) is `q·k / √d + q·R_rows[y - v] + q·R_columns[x - u]`. The last two terms depend on
//! the key by its row and its column alone: they are entries of two short vectors per query. So the query is lengthened by
//! these vectors, the key by zeros with a one in the place of its row and of its column, and an ordinary attention does the rest.

use maskline_onnx::{AttentionInPlace, AttentionOptions, Graph, PadMode, Value};
use maskline_weights::Scope;

use crate::blocks::{batched, computed};
use crate::{Error, Result};

/// Widths of heads are rounded up to a multiple of this, as fused kernels want them.
const ALIGNMENT: usize = 8;

/// The attention of one block: heads, their width, the window's side, the rows of the tables that the checkpoint holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) heads: usize,
    pub(super) head: usize,
    pub(super) side: usize,
    pub(super) rows: usize,
}

impl Sizes {
    /// Width of a lengthened head.
    fn long(&self) -> usize {
        (self.head + 2 * self.side).next_multiple_of(ALIGNMENT)
    }
}

/// `q`, `k` and `v` [W, side², heads·head] → [W, side², heads·head]; the tables `rel_pos_h` and `rel_pos_w` lie in `scope`.
pub(super) fn attention<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, [q, k, v]: [&Value; 3], sizes: Sizes) -> Result<Value> {
    let Sizes { heads, head, side, .. } = sizes;
    if g.has_own_layers() {
        return in_place(g, scope, [q, k, v], sizes);
    }
    let options = AttentionOptions { heads, scale: Some(1.0 / (head as f32).sqrt()) };
    let padding = sizes.long() - head - 2 * side;
    let (rows, columns) = (table(scope, "rel_pos_h", 0, sizes)?, table(scope, "rel_pos_w", padding, sizes)?);
    g.scoped(scope.name(), |g| {
        let rows = computed(g, &[side, head, side], rows)?;
        let columns = computed(g, &[side, head, side + padding], columns)?;
        let q = lengthen_queries(g, q, [&rows, &columns], sizes)?;
        let k = lengthen_keys(g, k, sizes)?;
        Ok::<_, Error>(g.attention([&q, &k, v], &options)?)
    })
}

/// [`attention`] by our own operator, which adds what rows and columns say to the scores.
fn in_place<'w>(g: &mut Graph<'w>, scope: &Scope<'w>, [q, k, v]: [&Value; 3], sizes: Sizes) -> Result<Value> {
    let Sizes { heads, head, side, .. } = sizes;
    let plain = |table: Vec<f32>| table.into_iter().map(|number| number / (head as f32).sqrt()).collect();
    let (rows, columns) = (plain(table(scope, "rel_pos_h", 0, sizes)?), plain(table(scope, "rel_pos_w", 0, sizes)?));
    g.scoped(scope.name(), |g| {
        let shape = [side, head, side];
        let tables = [computed(g, &shape, rows)?, computed(g, &shape, columns)?];
        let relative = of_places(g, q, [&tables[0], &tables[1]], sizes)?;
        let shape = batched(&q.shape()[0], &[side * side, heads * side]);
        let [rows, columns] = relative.map(|added| g.reshape(&added, shape.clone()));
        let (rows, columns) = (rows?, columns?);
        let of = AttentionInPlace { relative: Some([&rows, &columns]), ..AttentionInPlace::of([q, k, v], [heads, head]) };
        Ok::<_, Error>(g.attention_in_place(of)?)
    })
}

/// What rows and columns of keys add to the scores of each query, by cells, heads, and rows or columns.
fn of_places(g: &mut Graph<'_>, q: &Value, [rows, columns]: [&Value; 2], sizes: Sizes) -> Result<[Value; 2]> {
    let Sizes { heads, head, side, .. } = sizes;
    let count = q.shape()[0].clone();
    // By rows of the window, then by cells: the tables are the same for all heads.
    let of_rows = g.reshape(q, batched(&count, &[side, side * heads, head]))?;
    let of_rows = g.matmul(&of_rows, rows)?;
    let of_cells = g.reshape(q, batched(&count, &[side, side, heads, head]))?;
    Ok([of_rows, g.matmul(&of_cells, columns)?])
}

/// The window's table of every place: [side, head, side + padding], entry (y, ·, v) for a query in row y and a key in row v. What the
/// attention will scale by 1/√head is multiplied by √head here.
fn table(scope: &Scope<'_>, name: &str, padding: usize, sizes: Sizes) -> Result<Vec<f32>> {
    let Sizes { head, side, rows, .. } = sizes;
    let stored = scope.f32(name, &[rows, head])?;
    let fitted = stretch(&stored.data, [rows, 2 * side - 1], head);
    let factor = (head as f64).sqrt();
    let mut table = Vec::with_capacity(side * head * (side + padding));
    for (query, channel) in (0..side).flat_map(|query| (0..head).map(move |channel| (query, channel))) {
        table.extend((0..side).map(|key| (fitted[(query + side - 1 - key) * head + channel] * factor) as f32));
        table.extend(std::iter::repeat_n(0.0, padding));
    }
    Ok(table)
}

/// Linear interpolation of a table's rows on half-pixel centres, where the window has another side than the one trained with.
fn stretch(table: &[f32], [from, to]: [usize; 2], width: usize) -> Vec<f64> {
    let mut rows = Vec::with_capacity(to * width);
    for i in 0..to {
        let place = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let before = (place as usize).min(from - 1);
        let (after, part) = ((before + 1).min(from - 1), place - before as f64);
        let value = |row: usize, channel: usize| f64::from(table[row * width + channel]);
        rows.extend((0..width).map(|channel| value(before, channel) * (1.0 - part) + value(after, channel) * part));
    }
    rows
}

/// [W, side², heads·head] → [W, side², heads·long].
fn lengthen_queries(g: &mut Graph<'_>, q: &Value, tables: [&Value; 2], sizes: Sizes) -> Result<Value> {
    let Sizes { heads, head, side, .. } = sizes;
    let (count, area) = (q.shape()[0].clone(), side * side);
    let [of_rows, of_columns] = of_places(g, q, tables, sizes)?;
    let parts = [(q, head), (&of_rows, side), (&of_columns, sizes.long() - head - side)];
    let parts = parts.map(|(part, width)| g.reshape(part, batched(&count, &[area, heads, width])));
    let [q, of_rows, of_columns] = parts;
    let joined = g.concat(&[&q?, &of_rows?, &of_columns?], 3)?;
    Ok(g.reshape(&joined, batched(&count, &[area, heads * sizes.long()]))?)
}

/// [W, side², heads·head] → [W, side², heads·long].
fn lengthen_keys(g: &mut Graph<'_>, k: &Value, sizes: Sizes) -> Result<Value> {
    let Sizes { heads, head, side, .. } = sizes;
    let (count, area, long) = (k.shape()[0].clone(), side * side, sizes.long());
    let k = g.reshape(k, batched(&count, &[area, heads, head]))?;
    let k = g.pad(&k, &[(0, 0), (0, 0), (0, 0), (0, long - head)], PadMode::Constant(0.0))?;
    let mut places = vec![0.0; area * long];
    for (cell, row) in places.chunks_exact_mut(long).enumerate() {
        row[head + cell / side] = 1.0;
        row[head + side + cell % side] = 1.0;
    }
    let places = computed(g, &[1, area, 1, long], places)?;
    let k = g.add(&k, &places)?;
    Ok(g.reshape(&k, batched(&count, &[area, heads * long]))?)
}

#[cfg(test)]
mod tests {
    use super::stretch;

    #[test]
    fn a_table_of_the_right_length_stays_and_a_ramp_stays_a_ramp() {
        let table: Vec<f32> = (0..5).flat_map(|i| [i as f32, -2.0 * i as f32]).collect();
        assert_eq!(stretch(&table, [5, 5], 2), table.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let doubled = stretch(&table, [5, 10], 2);
        // Between the outermost centres steps are halved; beyond them the border is repeated.
        assert_eq!((doubled[0], doubled[2], doubled[4]), (0.0, 0.25, 0.75));
        assert_eq!((doubled[17], doubled[19]), (-8.0 + 0.5, -8.0));
    }
}
