//! Each step against the same formula as it is written, in f64; and the same answer for any number of threads.

use super::*;
use crate::is_small;
use crate::simd::Processor;
use crate::testing::{Threads, numbers};

/// Rows [count, width] as they are kept with rows in lanes, [count / 16, width, 16]; what is beyond is 7, which must count for nothing.
fn in_lanes(rows: &[f32], width: usize) -> Vec<f32> {
    let count = rows.len() / width.max(1);
    let mut lanes = vec![7.0; count.div_ceil(LANES) * width * LANES];
    for (row, numbers) in rows.chunks_exact(width.max(1)).enumerate() {
        for (column, number) in numbers.iter().enumerate() {
            lanes[(row / LANES * width + column) * LANES + row % LANES] = *number;
        }
    }
    lanes
}

/// A matrix [rows, columns] by sixteen of its columns, those of each group of `group` padded to whole vectors.
fn by_columns(matrix: &[f32], columns: usize, group: usize) -> Vec<f32> {
    let rows = matrix.len() / columns.max(1);
    let mut out = Vec::new();
    for first in (0..columns).step_by(group) {
        for vector in (first..(first + group).min(columns)).step_by(LANES) {
            for row in 0..rows {
                let lane = |lane: usize| {
                    let column = vector + lane;
                    if lane < LANES && column < (first + group).min(columns) { matrix[row * columns + column] } else { 0.0 }
                };
                out.extend((0..LANES).map(lane));
            }
        }
    }
    out
}

/// A prompt of random numbers.
struct Prompt {
    columns: Vec<f32>,
    scales: Vec<f32>,
    values: Vec<f32>,
    asking: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    sizes: Sizes,
    mask: usize,
    /// Blocks that the columns already have.
    blocks: usize,
    prompts: usize,
}

impl Case {
    fn columns<'a>(&self, values: &'a [f32]) -> Columns<'a> {
        Columns { sizes: self.sizes, mask: self.mask, values }
    }

    fn prompts(&self) -> Vec<Prompt> {
        let block = self.sizes.tokens * self.sizes.inner();
        let make = |prompt: usize| {
            let seed = 10 * prompt as u32;
            let values = numbers(self.blocks * block, seed + 1);
            let count = self.columns(&values).count();
            // Weights of an attention, more or less.
            let columns = numbers(self.sizes.cells * count, seed + 2).iter().map(|a| 0.3 * (a + 1.0)).collect();
            let scales = numbers(self.sizes.cells, seed + 3).iter().map(|s| 0.5 * s + 1.0).collect();
            Prompt { columns, scales, values, asking: numbers(block, seed + 4) }
        };
        (0..self.prompts).map(make).collect()
    }

    /// The row of a column after a matrix [sources, width], in f64.
    fn row(&self, values: &[f32], column: usize, matrix: &[f32], width: usize) -> Vec<f64> {
        let runs = self.columns(values).runs();
        let run = runs.iter().rfind(|run| run.column <= column).expect("every column belongs to something");
        if run.values.is_empty() {
            return source(matrix, run.source + column - run.column, width);
        }
        let factors = &run.values[(column - run.column) * run.channels()..][..run.channels()];
        let mut row = vec![0.0; width];
        for (channel, factor) in factors.iter().enumerate() {
            add(&mut row, f64::from(*factor), &source(matrix, run.source + channel, width));
        }
        row
    }
}

/// A row of a matrix.
fn source(matrix: &[f32], row: usize, width: usize) -> Vec<f64> {
    matrix[row * width..][..width].iter().map(|number| f64::from(*number)).collect()
}

fn add(to: &mut [f64], factor: f64, row: &[f64]) {
    to.iter_mut().zip(row).for_each(|(to, number)| *to += factor * number);
}

const SIZES: [Sizes; 5] = [
    Sizes { cells: 300, heads: 8, head_width: 16, tokens: 9 },
    Sizes { cells: 64, heads: 4, head_width: 4, tokens: 7 },
    Sizes { cells: 33, heads: 2, head_width: 24, tokens: 19 },
    Sizes { cells: 9, heads: 3, head_width: 5, tokens: 6 },
    Sizes { cells: 257, heads: 1, head_width: 32, tokens: 33 },
];

fn cases() -> Vec<Case> {
    let stages = [(0, 0), (0, 1), (0, 2), (5, 0), (17, 1), (3, 2), (0, 3)];
    let cases = SIZES.into_iter().flat_map(|sizes| stages.map(|(mask, blocks)| Case { sizes, mask, blocks, prompts: 2 }));
    if is_small() { cases.filter(|case| case.sizes.cells == 33 && case.mask == 3).collect() } else { cases.collect() }
}

/// A cell of the image, X, as something: `scale · x + Σ columns · rows`.
fn folded(prompt: &Prompt, cell: usize, image: &[f32], rows: &[Vec<f64>]) -> Vec<f64> {
    let width = image.len();
    let count = rows.len();
    let mut folded: Vec<f64> = image.iter().map(|x| f64::from(prompt.scales[cell]) * f64::from(*x)).collect();
    for (column, row) in rows.iter().enumerate() {
        let weight = f64::from(prompt.columns[cell * count + column]);
        (0..width).for_each(|channel| folded[channel] += weight * row[channel]);
    }
    folded
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The largest difference, against the largest number.
fn worst(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0, |largest: f64, number| largest.max(number.abs()));
    let apart = |(a, b): (&f32, &f64)| if a.is_finite() { (f64::from(*a) - b).abs() / largest } else { f64::INFINITY };
    found.iter().zip(expected).map(apart).fold(0.0, f64::max)
}

#[test]
fn tokens_see_what_the_attention_as_it_is_written_sees() {
    for case in cases() {
        let Case { sizes, .. } = case;
        let Sizes { cells, heads, head_width, tokens } = sizes;
        let inner = sizes.inner();
        let mut prompts = case.prompts();
        // After all blocks only some of the tokens look.
        let tokens = if case.blocks == 2 { tokens.div_ceil(2) } else { tokens };
        prompts.iter_mut().for_each(|prompt| prompt.asking.truncate(tokens * inner));
        let sources = case.columns(&prompts[0].values).sources();
        let [keys, positions, values] = [101, 102, 103].map(|seed| numbers(cells * inner, seed));
        let [to_keys, to_values] = [104, 105].map(|seed| numbers(sources * inner, seed).iter().map(|w| 0.2 * w).collect::<Vec<_>>());
        let mut expected = Vec::new();
        for prompt in &prompts {
            let count = case.columns(&prompt.values).count();
            let rows = |matrix: &[f32]| (0..count).map(|column| case.row(&prompt.values, column, matrix, inner)).collect::<Vec<_>>();
            let (key_rows, value_rows) = (rows(&to_keys), rows(&to_values));
            let of_cell = |image: &[f32], rows: &[Vec<f64>]| {
                (0..cells).map(|cell| folded(prompt, cell, &image[cell * inner..][..inner], rows)).collect::<Vec<_>>()
            };
            let (keys, values) = (of_cell(&keys, &key_rows), of_cell(&values, &value_rows));
            for token in 0..tokens {
                for channels in (0..heads).map(|head| head * head_width..(head + 1) * head_width) {
                    let score = |cell: usize| -> f64 {
                        let key = |channel: usize| keys[cell][channel] + f64::from(positions[cell * inner + channel]);
                        channels.clone().map(|channel| f64::from(prompt.asking[token * inner + channel]) * key(channel)).sum()
                    };
                    let weights = softmax(&(0..cells).map(score).collect::<Vec<_>>());
                    let seen = |channel: usize| weights.iter().zip(&values).map(|(w, value)| w * value[channel]).sum::<f64>();
                    expected.extend(channels.clone().map(seen));
                }
            }
        }
        let (keys, positions) = (in_lanes(&keys, inner), in_lanes(&positions, inner));
        let values = by_columns(&values, inner, head_width);
        let (to_keys, to_values) = (by_columns(&to_keys, inner, inner), by_columns(&to_values, inner, head_width));
        let kept: Vec<_> = prompts.iter().map(|prompt| kept(&case, prompt)).collect();
        let asked = prompts.iter().zip(&kept).map(|(prompt, numbers)| TokenToImage {
            queries: &prompt.asking,
            cells: Cells { numbers },
            columns: case.columns(&prompt.values),
            keys: &keys,
            positions: &positions,
            values: &values,
            to_keys: &to_keys,
            to_values: &to_values,
        });
        let asked: Vec<_> = asked.collect();
        for processor in Processor::all() {
            let mut found = vec![f32::NAN; expected.len()];
            TokenToImage::attend(&asked, processor, &Threads(1), &mut found);
            let error = worst(&found, &expected);
            assert!(error < 5e-6, "{processor:?}, {case:?}: {error}");
            let mut again = vec![f32::NAN; expected.len()];
            TokenToImage::attend(&asked, processor, &Threads(3), &mut again);
            assert_eq!(found, again, "three threads");
            TokenToImage::attend(&asked[1..], processor, &Threads(2), &mut again[..found.len() / 2]);
            assert_eq!(found[found.len() / 2..], again[..found.len() / 2], "a prompt alone");
        }
    }
}

/// Scales and columns as they are kept.
fn kept(case: &Case, prompt: &Prompt) -> Vec<f32> {
    let count = case.columns(&prompt.values).count();
    let rows = prompt
        .scales
        .iter()
        .enumerate()
        .flat_map(|(cell, scale)| [*scale].into_iter().chain(prompt.columns[cell * count..][..count].iter().copied()));
    in_lanes(&rows.collect::<Vec<_>>(), 1 + count)
}

#[test]
fn cells_are_what_the_block_as_it_is_written_makes_of_them() {
    const WIDTH: usize = 40;
    const EPSILON: f32 = 1e-5;
    for case in cases() {
        let Case { sizes, .. } = case;
        let Sizes { cells, heads, head_width, tokens } = sizes;
        let inner = sizes.inner();
        let prompts = case.prompts();
        let values: Vec<Vec<f32>> = prompts
            .iter()
            .enumerate()
            .map(|(at, prompt)| [prompt.values.clone(), numbers(tokens * inner, 60 + at as u32)].concat())
            .collect();
        let (before, after) = (case.columns(&prompts[0].values), case.columns(&values[0]));
        let [queries, positions] = [201, 202].map(|seed| numbers(cells * inner, seed));
        let to_queries = numbers(before.sources() * inner, 203);
        let (centred, rows) = (numbers(cells * WIDTH, 204), numbers(after.sources() * WIDTH, 205));
        let product = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32;
            a.chunks_exact(WIDTH).flat_map(|a| b.chunks_exact(WIDTH).map(move |b| dot(a, b))).collect::<Vec<_>>()
        };
        let mut expected = Vec::new();
        for (prompt, values) in prompts.iter().zip(&values) {
            let query_rows: Vec<_> = (0..before.count()).map(|column| case.row(&prompt.values, column, &to_queries, inner)).collect();
            let old_rows: Vec<_> = (0..before.count()).map(|column| case.row(&prompt.values, column, &rows, WIDTH)).collect();
            let new = &values[prompt.values.len()..];
            for cell in 0..cells {
                let query = folded(prompt, cell, &queries[cell * inner..][..inner], &query_rows);
                let mut columns: Vec<f64> =
                    prompt.columns[cell * before.count()..][..before.count()].iter().map(|a| f64::from(*a)).collect();
                let mut full = folded(prompt, cell, &centred[cell * WIDTH..][..WIDTH], &old_rows);
                for channels in (0..heads).map(|head| head * head_width..(head + 1) * head_width) {
                    let score = |token: usize| -> f64 {
                        let query = |channel: usize| query[channel] + f64::from(positions[cell * inner + channel]);
                        channels.clone().map(|channel| f64::from(prompt.asking[token * inner + channel]) * query(channel)).sum()
                    };
                    let weights = softmax(&(0..tokens).map(score).collect::<Vec<_>>());
                    // As it is written: all tokens are seen, the last one too.
                    for (token, weight) in weights.iter().enumerate() {
                        for channel in channels.clone() {
                            let value = weight * f64::from(new[token * inner + channel]);
                            add(&mut full, value, &source(&rows, before.sources() + channel, WIDTH));
                        }
                    }
                    columns.extend(&weights[..tokens - 1]);
                }
                columns.push(1.0);
                if case.blocks > 0 {
                    add(&mut full, 1.0, &source(&rows, before.sources() + inner, WIDTH));
                }
                let variance = full.iter().map(|x| x * x).sum::<f64>() / WIDTH as f64;
                let deviation = (variance + f64::from(EPSILON)).sqrt();
                expected.extend([f64::from(prompt.scales[cell])].iter().chain(&columns).map(|a| a / deviation));
            }
        }
        let (queries, positions) = (in_lanes(&queries, inner), in_lanes(&positions, inner));
        let to_queries = by_columns(&to_queries, inner, inner);
        let image = in_lanes(&product(&centred, &rows), after.sources());
        let squares: Vec<f32> = centred.chunks_exact(WIDTH).map(|x| x.iter().map(|x| x * x).sum()).collect();
        let squares = in_lanes(&squares, 1);
        let products = by_columns(&product(&rows, &rows), after.sources(), after.sources());
        let kept: Vec<_> = prompts.iter().map(|prompt| kept(&case, prompt)).collect();
        let asked = prompts.iter().zip(&kept).zip(&values).map(|((prompt, numbers), values)| ImageToToken {
            keys: &prompt.asking,
            cells: Cells { numbers },
            columns: case.columns(values),
            queries: &queries,
            positions: &positions,
            to_queries: &to_queries,
            image: &image,
            squares: &squares,
            products: &products,
            width: WIDTH,
            epsilon: EPSILON,
        });
        let asked: Vec<_> = asked.collect();
        let (stripes, rows) = (sizes.stripes(), 1 + after.count());
        for processor in Processor::all() {
            let run = |threads: usize| {
                let mut found = vec![f32::NAN; case.prompts * stripes * rows * LANES];
                ImageToToken::update(&asked, processor, &Threads(threads), &mut found);
                found
            };
            let found = run(1);
            assert!(found.iter().all(|number| number.is_finite()), "lanes beyond the cells are finite too");
            let cell = |cell: usize| (0..rows).map(move |row| (cell / LANES * rows + row) * LANES + cell % LANES);
            let of_prompts = found.chunks_exact(stripes * rows * LANES);
            let by_cells: Vec<f32> = of_prompts.flat_map(|kept| (0..cells).flat_map(cell).map(|at| kept[at])).collect();
            let error = worst(&by_cells, &expected);
            assert!(error < 5e-6, "{processor:?}, {case:?}: {error}");
            assert_eq!(found, run(3), "three threads");
        }
    }
}

#[test]
fn masks_are_what_the_upscaling_as_it_is_written_makes() {
    for (case, [middle, fine, masks]) in cases().into_iter().zip([[64, 32, 4], [8, 4, 3], [12, 6, 14], [5, 3, 1]].into_iter().cycle()) {
        for is_map in [false, true] {
            check_masks(&case, [middle, fine, masks], is_map);
        }
    }
}

fn check_masks(case: &Case, [middle, fine, masks]: [usize; 3], is_map: bool) {
    const EPSILON: f32 = 1e-6;
    let cells = case.sizes.cells;
    let prompts = case.prompts();
    let sources = case.columns(&prompts[0].values).sources();
    let image = numbers(cells * 4 * middle, 301);
    let to_middle = numbers(sources * 4 * middle, 302);
    let bias = numbers(4 * middle, 307);
    let added = if is_map { numbers(cells * 4 * middle, 303) } else { vec![] };
    let norm = numbers(2 * middle, 304);
    let convolution = numbers(middle * 4 * fine, 305);
    let map = numbers(if is_map { cells * PIXELS * fine } else { fine }, 306);
    let weights: Vec<Vec<f32>> = (0..case.prompts).map(|prompt| numbers(masks * fine, 310 + prompt as u32)).collect();
    let mut expected = vec![0.0; case.prompts * masks * cells * PIXELS];
    for (at, prompt) in prompts.iter().enumerate() {
        let count = case.columns(&prompt.values).count();
        let rows: Vec<_> = (0..count).map(|column| case.row(&prompt.values, column, &to_middle, 4 * middle)).collect();
        for cell in 0..cells {
            let mut first = folded(prompt, cell, &image[cell * 4 * middle..][..4 * middle], &rows);
            first.iter_mut().zip(&bias).for_each(|(first, bias)| *first += f64::from(*bias));
            let added = added.iter().skip(cell * 4 * middle);
            first.iter_mut().zip(added).for_each(|(first, added)| *first += f64::from(*added));
            for (quarter, first) in first.chunks_exact(middle).enumerate() {
                let mean = first.iter().sum::<f64>() / middle as f64;
                let variance = first.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / middle as f64;
                let normal = |channel: usize| {
                    let normal = (first[channel] - mean) / (variance + f64::from(EPSILON)).sqrt();
                    gelu(normal * f64::from(norm[channel]) + f64::from(norm[middle + channel]))
                };
                let between: Vec<f64> = (0..middle).map(normal).collect();
                for sixteenth in 0..4 {
                    let pixel = 4 * quarter + sixteenth;
                    let last = |channel: usize| {
                        let column = sixteenth * fine + channel;
                        let sum: f64 = between.iter().enumerate().map(|(k, x)| x * f64::from(convolution[k * 4 * fine + column])).sum();
                        gelu(sum + f64::from(if is_map { map[(cell * PIXELS + pixel) * fine + channel] } else { map[channel] }))
                    };
                    let last: Vec<f64> = (0..fine).map(last).collect();
                    for mask in 0..masks {
                        let weights = weights[at][mask * fine..][..fine].iter();
                        expected[((at * masks + mask) * cells + cell) * PIXELS + pixel] =
                            weights.zip(&last).map(|(w, x)| f64::from(*w) * x).sum();
                    }
                }
            }
        }
    }
    let image = in_lanes(&image, 4 * middle);
    let to_middle = by_columns(&to_middle, 4 * middle, 4 * middle);
    let (added, map) = if is_map { (in_lanes(&added, 4 * middle), in_lanes(&map, PIXELS * fine)) } else { (added, map) };
    let convolution = by_columns(&convolution, 4 * fine, 4 * fine);
    let kept: Vec<_> = prompts.iter().map(|prompt| kept(case, prompt)).collect();
    let asked = prompts.iter().zip(&kept).zip(&weights).map(|((prompt, numbers), weights)| Upscale {
        masks,
        weights,
        cells: Cells { numbers },
        columns: case.columns(&prompt.values),
        image: &image,
        bias: &bias,
        middle: &added,
        to_middle: &to_middle,
        norm: &norm,
        convolution: &convolution,
        fine: &map,
        epsilon: EPSILON,
    });
    let asked: Vec<_> = asked.collect();
    for processor in Processor::all() {
        let run = |threads: usize| {
            let mut found = vec![f32::NAN; expected.len()];
            Upscale::masks_of(&asked, processor, &Threads(threads), &mut found);
            found
        };
        let found = run(1);
        let error = worst(&found, &expected);
        assert!(error < 5e-6, "{processor:?}, {case:?}, {middle} and {fine} channels: {error}");
        assert_eq!(found, run(3), "three threads");
    }
}

const PIXELS: usize = 16;

/// By numerical integration of the normal density: nothing that the kernel's own form could share an error with.
fn gelu(x: f64) -> f64 {
    const STEPS: i32 = 160;
    let end = x.clamp(-9.0, 9.0);
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let step = end / f64::from(STEPS);
    // Simpson's rule.
    let sum: f64 =
        (0..=STEPS).map(|i| density(f64::from(i) * step) * if i == 0 || i == STEPS { 1.0 } else { f64::from(2 + 2 * (i % 2)) }).sum();
    x * (0.5 + sum * step / 3.0)
}

#[test]
fn what_is_no_number_does_not_become_one() {
    let sizes = Sizes { cells: 20, heads: 2, head_width: 4, tokens: 3 };
    let case = Case { sizes, mask: 0, blocks: 1, prompts: 1 };
    for broken in [f32::NAN, f32::INFINITY] {
        let mut prompts = case.prompts();
        prompts[0].columns[7] = broken;
        let numbers_of_cells = kept(&case, &prompts[0]);
        let sources = case.columns(&prompts[0].values).sources();
        let (keys, values) = (numbers(2 * 8 * LANES, 1), numbers(2 * 20 * LANES, 2));
        let to_keys = by_columns(&numbers(sources * 8, 3), 8, 8);
        let to_values = by_columns(&numbers(sources * 8, 4), 8, 4);
        let of = TokenToImage {
            queries: &prompts[0].asking,
            cells: Cells { numbers: &numbers_of_cells },
            columns: case.columns(&prompts[0].values),
            keys: &keys,
            positions: &[],
            values: &values,
            to_keys: &to_keys,
            to_values: &to_values,
        };
        for processor in Processor::all() {
            let mut found = vec![0.0; 3 * 8];
            TokenToImage::attend(&[of], processor, &Threads(1), &mut found);
            assert!(found.iter().all(|number| !number.is_finite()), "{processor:?}: {found:?}");
        }
    }
}

#[test]
fn cells_come_in_stripes_as_they_are_or_projected() {
    let sizes: &[_] = if is_small() { &[(18, 17, 3)] } else { &[(300, 40, 23), (16, 16, 16), (5, 3, 1), (33, 64, 128)] };
    for &(cells, width, rows) in sizes {
        let (numbers, weight, bias) = (numbers(cells * width, 1), numbers(width * rows, 2), numbers(rows, 3));
        let in_stripes = |projection: Option<Projection<'_>>, rows: usize| {
            let of = InStripes { cells: &numbers, width, projection };
            let found = Processor::all().into_iter().map(|processor| {
                let mut found = [1, 3].map(|threads| {
                    let mut found = vec![f32::NAN; cells.div_ceil(LANES) * rows * LANES];
                    of.write(processor, &Threads(threads), &mut found);
                    found
                });
                assert_eq!(found[0], found[1], "three threads");
                assert!(found[0].iter().all(|number| number.is_finite()));
                let stripes = std::mem::take(&mut found[0]);
                let at = |cell: usize, row: usize| (cell / LANES * rows + row) * LANES + cell % LANES;
                (0..cells).flat_map(|cell| (0..rows).map(move |row| at(cell, row))).map(|at| stripes[at]).collect::<Vec<f32>>()
            });
            found.collect::<Vec<_>>()
        };
        assert!(in_stripes(None, width).iter().all(|found| *found == numbers));
        let projection = Projection { weight: &by_columns(&weight, rows, rows), bias: &bias };
        let expected: Vec<f64> = numbers
            .chunks_exact(width)
            .flat_map(|cell| {
                let (weight, bias) = (&weight, &bias);
                (0..rows).map(move |row| {
                    let product = |channel: usize| f64::from(cell[channel]) * f64::from(weight[channel * rows + row]);
                    f64::from(bias[row]) + (0..width).map(product).sum::<f64>()
                })
            })
            .collect();
        for found in in_stripes(Some(projection), rows) {
            assert!(worst(&found, &expected) < 1e-5);
        }
    }
}
