//! Against the same formula in f64; and the same answer for any number of threads.

use super::*;
use crate::is_small;
use crate::testing::{Threads, are_same, numbers};

fn attend(of: &MultiHeadAttention<'_>, processor: Processor, threads: usize) -> Vec<f32> {
    let mut out = vec![7.0; of.queries.rows() * of.sizes.heads * of.sizes.head_width];
    of.attend(processor, &Threads(threads), &mut out);
    out
}

/// A token's numbers of a head, turned if they are to be.
fn token(of: &MultiHeadAttention<'_>, projected: &Projected<'_>, [entry, count, token, head]: [usize; 4], is_turned: bool) -> Vec<f64> {
    let numbers = projected.head(entry * count + token, head, of.sizes.head_width);
    let numbers: Vec<f64> = numbers.iter().map(|number| f64::from(*number)).collect();
    let Some(Rotary { cos, sin }) = of.rotary.filter(|_| is_turned) else { return numbers };
    let factor = |of: &[f32], channel: usize| f64::from(of[token * numbers.len() + channel]);
    let turn = |channel: usize| {
        let other = if channel.is_multiple_of(2) { -numbers[channel + 1] } else { numbers[channel - 1] };
        numbers[channel] * factor(cos, channel) + other * factor(sin, channel)
    };
    (0..numbers.len()).map(turn).collect()
}

/// The formula as it is written.
fn expected(of: &MultiHeadAttention<'_>) -> Vec<f64> {
    let AttentionSizes { batch, heads, head_width, queries, keys } = of.sizes;
    let mut out = vec![7.0; of.queries.rows() * heads * head_width];
    for entry in 0..batch {
        for head in 0..heads {
            let all_keys: Vec<_> = (0..keys).map(|key| token(of, &of.keys, [entry, keys, key, head], true)).collect();
            let all_values: Vec<_> = (0..keys).map(|key| token(of, &of.values, [entry, keys, key, head], false)).collect();
            for query in 0..queries {
                let Some(row) = of.queries.row(entry * queries + query) else { continue };
                let numbers = token(of, &of.queries, [entry, queries, query, head], true);
                let score = |key: usize| {
                    let product: f64 = numbers.iter().zip(&all_keys[key]).map(|(a, b)| a * b).sum();
                    product * f64::from(of.scale) + added(of, [entry, head, query], key)
                };
                let scores: Vec<f64> = (0..keys).map(score).collect();
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for channel in 0..head_width {
                    let seen: f64 = weights.iter().zip(&all_values).map(|(weight, value)| weight * value[channel]).sum();
                    out[(row * heads + head) * head_width + channel] = seen / sum;
                }
            }
        }
    }
    out
}

fn added(of: &MultiHeadAttention<'_>, [entry, head, query]: [usize; 3], key: usize) -> f64 {
    let AttentionSizes { heads, queries, .. } = of.sizes;
    let bias =
        of.bias.map_or(0.0, |bias| bias.numbers[entry * bias.batch_stride + head * bias.head_stride + query * bias.query_stride + key]);
    let positions = of.positions.map_or(0.0, |RelativePositions { rows, columns, height, width }| {
        let query = (entry * heads + head) * queries + query;
        f64::from(rows[query * height + key / width]) + f64::from(columns[query * width + key % width])
    });
    f64::from(bias) + positions
}

fn check(of: &MultiHeadAttention<'_>) {
    let expected = expected(of);
    for processor in Processor::all() {
        let found = attend(of, processor, 1);
        assert!(are_same(&found, &attend(of, processor, 3)), "{processor:?}, {:?}: threads differ", of.sizes);
        let errors = found.iter().zip(&expected).map(|(found, expected)| (f64::from(*found) - expected).abs());
        let worst = errors.fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a });
        assert!(worst < 3e-6, "{processor:?}, {:?}: wrong by {worst}", of.sizes);
    }
}

fn sizes([batch, heads, head_width, queries, keys]: [usize; 5]) -> AttentionSizes {
    AttentionSizes { batch, heads, head_width, queries, keys }
}

/// Queries, keys and values of one projection.
fn projection(sizes: AttentionSizes, seed: u32) -> Vec<f32> {
    numbers(sizes.batch * sizes.keys * 3 * sizes.heads * sizes.head_width, seed).iter().map(|x| 2.0 * x).collect()
}

#[test]
fn queries_keys_and_values_of_one_projection() {
    let mut all = vec![[1, 2, 16, 7, 7], [3, 1, 20, 50, 50], [1, 1, 8, 1, 1]];
    if !is_small() {
        all.extend([[2, 4, 64, 196, 196], [1, 2, 96, 700, 700], [4, 3, 72, 49, 49], [1, 1, 128, 530, 530], [1, 8, 32, 64, 64]]);
        all.extend([[9, 1, 5, 33, 33], [0, 1, 8, 4, 4], [2, 12, 80, 100, 100]]);
    }
    for all in all {
        let sizes = sizes(all);
        check(&MultiHeadAttention::packed(&projection(sizes, 1), sizes));
    }
}

#[test]
fn fewer_queries_than_keys_and_heads_in_another_order() {
    let sizes = sizes([2, 3, 24, 13, 52]);
    let inner = 72;
    let queries = numbers(2 * 13 * inner, 1);
    // Of every head its key and its value, and something else before them.
    let both = numbers(2 * 52 * (2 * inner + 5), 2);
    let keys = Projected { numbers: &both, stride: 2 * inner + 5, offset: 5, head_stride: 48, tokens: None, padding: &[] };
    let values = Projected { offset: 5 + 24, ..keys };
    let of = MultiHeadAttention { keys, values, queries: Projected::alone(&queries, sizes), ..MultiHeadAttention::packed(&[], sizes) };
    check(&of);
}

#[test]
fn a_bias_is_added() {
    for (of, is_one) in [([2, 2, 16, 9, 21], false), ([8, 2, 16, 40, 600], true)] {
        let sizes = sizes(of);
        let AttentionSizes { batch, heads, queries, keys, .. } = sizes;
        let numbers_of = |seed: u32, count: usize| numbers(batch * count * heads * 16, seed);
        let (q, k, v) = (numbers_of(1, queries), numbers_of(2, keys), numbers_of(3, keys));
        let mut numbers = numbers(batch * heads * queries * keys, 4);
        numbers.iter_mut().step_by(5).for_each(|number| *number = f32::NEG_INFINITY);
        let whole = ScoreBias { numbers: &numbers, batch_stride: heads * queries * keys, head_stride: queries * keys, query_stride: keys };
        let one = ScoreBias { batch_stride: keys, head_stride: 0, query_stride: 0, ..whole };
        let of = MultiHeadAttention {
            queries: Projected::alone(&q, sizes),
            keys: Projected::alone(&k, sizes),
            values: Projected::alone(&v, sizes),
            bias: Some(if is_one { one } else { whole }),
            ..MultiHeadAttention::packed(&[], sizes)
        };
        check(&of);
    }
}

#[test]
fn a_query_without_keys_sees_nothing() {
    let sizes = sizes([1, 1, 16, 2, 20]);
    let (q, kv) = (numbers(2 * 16, 1), numbers(20 * 16, 2));
    let mut numbers = vec![0.0; 40];
    numbers[20..].fill(f32::NEG_INFINITY);
    let keys = Projected::alone(&kv, sizes);
    let bias = Some(ScoreBias { numbers: &numbers, batch_stride: 0, head_stride: 0, query_stride: 20 });
    let packed = MultiHeadAttention::packed(&[], sizes);
    let of = MultiHeadAttention { queries: Projected::alone(&q, sizes), keys, values: keys, bias, ..packed };
    for processor in Processor::all() {
        let found = attend(&of, processor, 1);
        assert!(found[..16].iter().all(|x| x.is_finite()) && found[16..].iter().all(|x| x.is_nan()), "{processor:?}");
    }
}

#[test]
fn positions_on_the_grid_of_keys_are_added() {
    let mut grids = vec![[3, 7], [2, 16]];
    if !is_small() {
        grids.extend([[14, 14], [5, 100], [25, 48], [1, 3]]);
    }
    for [height, width] in grids {
        let sizes = sizes([2, 2, 16, height * width, height * width]);
        let numbers_of = projection(sizes, 1);
        let queries = 2 * 2 * height * width;
        let (rows, columns, bias) = (numbers(queries * height, 2), numbers(queries * width, 3), numbers(height * width, 4));
        let positions = Some(RelativePositions { rows: &rows, columns: &columns, height, width });
        let of = MultiHeadAttention { positions, ..MultiHeadAttention::packed(&numbers_of, sizes) };
        check(&of);
        let bias = Some(ScoreBias { numbers: &bias, batch_stride: 0, head_stride: 0, query_stride: 0 });
        check(&MultiHeadAttention { bias, ..of });
    }
}

#[test]
fn queries_and_keys_are_turned_by_their_places() {
    for (of, together) in [([2, 2, 12, 30, 30], 1), ([1, 2, 64, 560, 560], 1), ([2, 4, 16, 20, 40], 2)] {
        if is_small() && of[4] > 100 {
            continue;
        }
        let sizes = sizes(of);
        let AttentionSizes { batch, heads, head_width, queries, keys } = sizes;
        let (kqv, q) = (projection(sizes, 1), numbers(batch * queries * heads * head_width, 2));
        let angles: Vec<f32> = (0..keys * head_width).map(|at| (at / head_width) as f32 * 0.1 / (1 + at % head_width / 2) as f32).collect();
        let cos: Vec<f32> = angles.iter().map(|angle| angle.cos()).collect();
        let sin: Vec<f32> = angles.iter().map(|angle| angle.sin()).collect();
        let rotary = Some(Rotary { cos: &cos, sin: &sin });
        let mut attention = MultiHeadAttention { rotary, ..MultiHeadAttention::packed(&kqv, sizes) };
        if together == 2 {
            attention.queries = Projected::alone(&q, sizes);
        }
        check(&attention);
    }
}

/// The rows of a picture's cells by windows, [windows, side²], padded at the right and at the bottom.
fn windows([height, width]: [usize; 2], side: usize) -> Vec<u32> {
    let mut tokens = Vec::new();
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            for at in 0..side * side {
                let (y, x) = (top + at / side, left + at % side);
                tokens.push(if y < height && x < width { (y * width + x) as u32 } else { PADDING });
            }
        }
    }
    tokens
}

#[test]
fn windows_of_a_padded_picture_are_a_batch() {
    for (picture, side) in [([5, 7], 4), ([9, 9], 3), ([30, 50], 14)] {
        if is_small() && side > 4 {
            continue;
        }
        let tokens = windows(picture, side);
        let count = tokens.len() / (side * side);
        let sizes = sizes([count, 2, 16, side * side, side * side]);
        let (kqv, padding) = (numbers(picture[0] * picture[1] * 96, 1), numbers(96, 2));
        let attention = MultiHeadAttention::packed(&kqv, sizes);
        let of = MultiHeadAttention {
            queries: attention.queries.at(&tokens, &padding),
            keys: attention.keys.at(&tokens, &padding),
            values: attention.values.at(&tokens, &padding),
            ..attention
        };
        check(&of);
        assert!(attend(&of, Processor::best(), 2).iter().all(|seen| *seen != 7.0), "every row is a token's");
        let positions = sizes.batch * sizes.heads * side * side * side;
        let (rows, columns) = (numbers(positions, 3), numbers(positions, 4));
        check(&MultiHeadAttention {
            positions: Some(RelativePositions { rows: &rows, columns: &columns, height: side, width: side }),
            ..of
        });
    }
}

#[test]
fn what_is_no_number_stays_with_those_who_see_it() {
    let sizes = sizes([2, 2, 16, 20, 20]);
    let mut kqv = projection(sizes, 1);
    // A query of the second entry, and a value of the first one, both of the second head.
    kqv[25 * 96 + 16] = f32::NAN;
    kqv[3 * 96 + 64 + 16 + 2] = f32::INFINITY;
    for processor in Processor::all() {
        let found = attend(&MultiHeadAttention::packed(&kqv, sizes), processor, 1);
        for (row, seen) in found.chunks_exact(32).enumerate() {
            let is_nan = row == 25;
            assert!(seen[16..].iter().all(|x| x.is_nan() == is_nan), "{processor:?}: row {row}");
            assert!(seen[..16].iter().all(|x| x.is_finite()), "{processor:?}: row {row}");
            assert_eq!(seen[18] == f32::INFINITY, row < 20, "{processor:?}: row {row}");
        }
    }
}

#[test]
#[should_panic(expected = "token of two queries")]
fn a_row_is_one_query() {
    let sizes = sizes([2, 1, 8, 2, 2]);
    let attention = MultiHeadAttention::packed(&[0.0; 4 * 24], sizes);
    let tokens = [0, 1, 1, 2];
    attend(&MultiHeadAttention { queries: attention.queries.at(&tokens, &[]), ..attention }, Processor::Any, 1);
}

#[test]
#[should_panic(expected = "rows of the input")]
fn padding_needs_a_row() {
    let sizes = sizes([1, 1, 8, 2, 2]);
    let attention = MultiHeadAttention::packed(&[0.0; 2 * 24], sizes);
    let tokens = [0, PADDING];
    attend(&MultiHeadAttention { keys: attention.keys.at(&tokens, &[]), ..attention }, Processor::Any, 1);
}
