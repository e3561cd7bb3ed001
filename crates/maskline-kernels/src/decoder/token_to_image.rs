//! Attention from a prompt's tokens to its cells.
//!
//! With the cells as they are kept, a score is `s (q · x) + a · (M q) + q · position`: `x` is what the image's cells are as keys, M what the
//! rows `m` of the columns are as keys. What is constant along the cells falls out of the softmax. What is seen is likewise
//! `Σ p s v + (Σ p a) M'`: values of the image, and for all columns how much of them was seen, which goes through M' once.

use std::ops::Range;
use std::sync::Mutex;

use super::columns::{Dots, dots, matrix_length};
use super::panels::{Group, Place, Scores, Stripes, Turn, groups, panels_of};
use super::{Cells, Columns, PART, Sizes, TILE, Workers, own, vectors};
use crate::rows::{Rows, Sums, add_products, by_rows};
use crate::scratch::{parts, with_scratch};
use crate::simd::{Kernel, LANES, Processor, Simd, exp, largest, sum};

/// One prompt's attention from its tokens, or some of them, to its cells.
#[derive(Debug, Clone, Copy)]
pub struct TokenToImage<'a> {
    /// Scaled, [n, I]: of any number of tokens.
    pub queries: &'a [f32],
    /// The prompt's cells.
    pub cells: Cells<'a>,
    /// What its columns are.
    pub columns: Columns<'a>,
    /// The image as keys, [stripes, I, 16].
    pub keys: &'a [f32],
    /// The positions of the cells as keys, [stripes, I, 16]; nothing where `keys` has them in it.
    pub positions: &'a [f32],
    /// The image as values: heads padded to whole vectors, [h ⌈d / 16⌉, T, 16].
    pub values: &'a [f32],
    /// From rows of the columns to keys, [I / 16, sources, 16].
    pub to_keys: &'a [f32],
    /// From rows of the columns to values, heads padded as in `values`: [h ⌈d / 16⌉, sources, 16].
    pub to_values: &'a [f32],
}

impl TokenToImage<'_> {
    fn sizes(&self) -> Sizes {
        self.columns.sizes
    }

    /// Tokens that look, n.
    fn looking(&self) -> usize {
        self.queries.len() / self.sizes().inner().max(1)
    }

    /// Vectors of a head's values.
    fn value_vectors(&self) -> usize {
        vectors(self.sizes().head_width)
    }

    fn check(&self) {
        let Sizes { cells, heads, .. } = self.sizes();
        let (inner, stripes) = (self.sizes().inner(), self.sizes().stripes());
        assert!(self.queries.len().is_multiple_of(inner), "queries are [n, I]");
        assert_eq!(self.keys.len(), stripes * inner * LANES, "keys are [stripes, I, 16]");
        assert!(self.positions.is_empty() || self.positions.len() == self.keys.len(), "positions are as keys");
        assert_eq!(self.values.len(), heads * self.value_vectors() * cells * LANES, "values are [h vectors, T, 16]");
        self.cells.check(&self.columns);
        assert_eq!(self.to_keys.len(), matrix_length(&self.columns, inner), "a matrix is [I / 16, sources, 16]");
        let sources = self.columns.sources();
        assert_eq!(self.to_values.len(), heads * self.value_vectors() * sources * LANES, "a matrix is [h vectors, sources, 16]");
    }

    /// What the tokens of each prompt see, [P, n, I]. All prompts have the same sizes.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn attend(prompts: &[Self], processor: Processor, workers: &dyn Workers, out: &mut [f32]) {
        let Some(first) = prompts.first() else { return };
        let (sizes, of_prompt) = (first.sizes(), first.queries.len());
        prompts.iter().for_each(Self::check);
        assert_eq!(out.len(), prompts.len() * of_prompt, "the output is [P, n, I]");
        let operands: Vec<_> = prompts.iter().map(|_| Mutex::new(Operands::default())).collect();
        workers.each(prompts.len(), &|prompt| *own(&operands[prompt]) = processor.run(Prepare(&prompts[prompt])));
        let operands: Vec<Operands> = operands.into_iter().map(|operands| operands.into_inner().unwrap_or_default()).collect();
        // The same part of all prompts after each other: the image's share of it is still near.
        let seen: Vec<_> = (0..sizes.parts() * prompts.len()).map(|_| Mutex::new(Seen::default())).collect();
        workers.each(seen.len(), &|index| {
            let (part, prompt) = (index / prompts.len(), index % prompts.len());
            let look = Look { of: &prompts[prompt], operands: &operands[prompt], part };
            *own(&seen[index]) = with_scratch(|scratch| processor.run(LookWith { look, scratch }));
        });
        let rows: Vec<_> = out.chunks_exact_mut(of_prompt.max(1)).map(Mutex::new).collect();
        workers.each(prompts.len(), &|prompt| {
            let parts: Vec<_> = (0..sizes.parts()).map(|part| own(&seen[part * prompts.len() + prompt])).collect();
            let parts: Vec<&Seen> = parts.iter().map(|seen| &**seen).collect();
            processor.run(Join { of: &prompts[prompt], operands: &operands[prompt], parts: &parts, out: &mut own(&rows[prompt]) });
        });
    }
}

/// What is made of a prompt's tokens before any cell is looked at.
#[derive(Default)]
struct Operands {
    /// Panels [n / 16, I, 16].
    queries: Vec<f32>,
    /// What the queries see of each column: by heads, panels [n / 16, K, 16].
    through: Vec<f32>,
    /// The columns' rows as values, [h vectors, K, 16].
    values: Vec<f32>,
}

struct Prepare<'a>(&'a TokenToImage<'a>);

impl Kernel for Prepare<'_> {
    type Output = Operands;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Operands {
        let Self(of) = self;
        let Sizes { heads, head_width, .. } = of.sizes();
        let (inner, count, tokens) = (of.sizes().inner(), of.columns.count(), of.looking());
        let queries = panels_of(of.queries, inner, 1.0);
        let runs = of.columns.runs();
        let rows = of.columns.through(simd, &runs, of.to_keys);
        let panel = vectors(tokens) * count * LANES;
        let mut through = vec![0.0; heads * panel];
        for (head, out) in through.chunks_exact_mut(panel.max(1)).enumerate() {
            let channels = head * head_width..(head + 1) * head_width;
            dots(simd, Dots { rows: &rows, count, channels, tokens: &queries, width: inner, first: head * head_width }, out);
        }
        Operands { queries, through, values: of.columns.through(simd, &runs, of.to_values) }
    }
}

/// What was seen of a part of the cells, before it is divided by the sum of the weights.
#[derive(Default)]
struct Seen {
    /// Largest score of every row (a token of a head).
    largest: Vec<f32>,
    /// Sum of the weights of every row.
    sum: Vec<f32>,
    /// Of the image's values: [h vectors, n, 16].
    values: Vec<f32>,
    /// Of each column: rows in lanes, [h n / 16, K, 16].
    columns: Vec<f32>,
}

struct Look<'a> {
    of: &'a TokenToImage<'a>,
    operands: &'a Operands,
    part: usize,
}

struct LookWith<'a> {
    look: Look<'a>,
    scratch: &'a mut Vec<f32>,
}

/// Cells of a tile.
const WIDTH: usize = TILE * LANES;

impl Kernel for LookWith<'_> {
    type Output = Seen;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Seen {
        let Self { look: Look { of, operands, part }, scratch } = self;
        let (sizes, heads, tokens) = (of.sizes(), of.sizes().heads, of.looking());
        let (rows, count) = (heads * tokens, of.columns.count());
        let [weights, scaled, turned, shrink] =
            parts(scratch, [vectors(rows) * LANES * WIDTH, tokens * WIDTH, vectors(rows) * LANES * WIDTH, vectors(rows) * LANES]);
        // Beyond the last row there are zeros.
        weights[rows * WIDTH..].fill(0.0);
        shrink.fill(1.0);
        let mut seen = Seen {
            largest: vec![f32::NEG_INFINITY; rows],
            sum: vec![0.0; rows],
            values: vec![0.0; heads * of.value_vectors() * tokens * LANES],
            columns: vec![0.0; vectors(rows) * count * LANES],
        };
        for stripes in sizes.tiles(part) {
            for head in 0..heads {
                let of_head = head * tokens..(head + 1) * tokens;
                of.score(simd, operands, head, Tile { stripes: stripes.clone(), weights: &mut weights[of_head.start * WIDTH..] });
                for row in of_head.clone() {
                    let token = row - of_head.start;
                    let tile = Weigh {
                        sizes,
                        stripes: stripes.clone(),
                        scales: of.cells.scales(count),
                        scores: &mut weights[row * WIDTH..][..WIDTH],
                    };
                    shrink[row] = tile.weigh(simd, seen.softmax(row), &mut scaled[token * WIDTH..][..WIDTH]);
                }
                seen.shrink_values(simd, of, head, &shrink[of_head]);
                seen.add_values(simd, of, head, Tile { stripes: stripes.clone(), weights: scaled });
            }
            if count > 0 {
                turn(simd, weights, turned);
                seen.shrink_columns(simd, shrink, count);
                seen.add_columns(simd, of, Tile { stripes, weights: turned });
            }
        }
        seen
    }
}

/// Numbers that belong to the cells of some stripes.
struct Tile<'a> {
    stripes: Range<usize>,
    weights: &'a mut [f32],
}

impl TokenToImage<'_> {
    /// Scores of a head's tokens: rows [n, WIDTH].
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, operands: &Operands, head: usize, tile: Tile<'_>) {
        let (head_width, tokens) = (self.sizes().head_width, self.looking());
        let (inner, count) = (self.sizes().inner(), self.columns.count());
        let channel = head * head_width;
        let positions = (!self.positions.is_empty()).then(|| Stripes::new(self.positions, inner).rows(channel, head_width));
        for group in groups(simd, tokens) {
            let panel = (head * vectors(tokens) + group.panel) * count * LANES;
            let scores = Scores {
                query: &operands.queries[(group.panel * inner + channel) * LANES..][..head_width * LANES],
                image: Stripes::new(self.keys, inner).rows(channel, head_width),
                scales: self.cells.scales(count),
                through: &operands.through[panel..][..count * LANES],
                columns: self.cells.columns(count),
                positions,
            };
            let place = Place { numbers: tile.weights, start: group.row() * WIDTH, row: WIDTH, stripe: LANES };
            scores.of(simd, group, tile.stripes.clone(), place);
        }
    }
}

/// The softmax so far of one row.
struct Softmax<'a> {
    largest: &'a mut f32,
    sum: &'a mut f32,
}

/// A row of scores that become weights.
struct Weigh<'a> {
    sizes: Sizes,
    stripes: Range<usize>,
    scales: Stripes<'a>,
    /// [WIDTH].
    scores: &'a mut [f32],
}

impl Weigh<'_> {
    /// Also the weights times the cells' scales; the factor that brings what was seen before to the same scale.
    #[inline(always)]
    fn weigh<S: Simd>(self, simd: S, softmax: Softmax<'_>, scaled: &mut [f32]) -> f32 {
        let Self { sizes, stripes, scales, scores } = self;
        let last = (stripes.end - 1 - stripes.start) * LANES;
        // Lanes beyond the last cell do not count, nor do stripes beyond the tile's last.
        let there = sizes.cells_of(stripes.end - 1);
        scores[last + there..].fill(f32::MIN);
        let mut most = simd.load(scores);
        for lanes in scores.chunks_exact(LANES).skip(1) {
            most = simd.max(simd.load(lanes), most);
        }
        let (before, most) = (*softmax.largest, largest(simd, most));
        let now = if most > before { most } else { before };
        let shrink = if now > before { (before - now).exp() } else { 1.0 };
        let (mut total, now_lanes) = (simd.splat(0.0), simd.splat(now));
        for (stripe, (scores, scaled)) in stripes.zip(scores.chunks_exact_mut(LANES).zip(scaled.chunks_exact_mut(LANES))) {
            let score = simd.load(scores);
            let weights = exp(simd, simd.sub(score, now_lanes));
            // What is no finite number stays none: the sum is NaN then, and so is all that it divides.
            total = simd.add(total, simd.mul_add(score, simd.splat(0.0), weights));
            simd.store(weights, scores);
            simd.store(simd.mul(weights, simd.load(scales.of(stripe))), scaled);
        }
        scores[last + there..].fill(0.0);
        scaled[last + there..].fill(0.0);
        *softmax.largest = now;
        *softmax.sum = *softmax.sum * shrink + sum(simd, total);
        shrink
    }
}

/// Rows of weights [rows, WIDTH], a multiple of 16 of them, with rows in lanes: [rows / 16, WIDTH, 16].
#[inline(always)]
fn turn<S: Simd>(simd: S, weights: &[f32], turned: &mut [f32]) {
    for (weights, turned) in weights.chunks_exact(LANES * WIDTH).zip(turned.chunks_exact_mut(LANES * WIDTH)) {
        for (stripe, turned) in turned.chunks_exact_mut(LANES * LANES).enumerate() {
            simd.apart(Turn { rows: &weights[stripe * LANES..], stride: WIDTH, out: turned });
        }
    }
}

impl Seen {
    fn softmax(&mut self, row: usize) -> Softmax<'_> {
        Softmax { largest: &mut self.largest[row], sum: &mut self.sum[row] }
    }

    /// What a head's tokens saw of the image's values, brought to the scale of what follows.
    #[inline(always)]
    fn shrink_values<S: Simd>(&mut self, simd: S, of: &TokenToImage<'_>, head: usize, shrink: &[f32]) {
        let length = shrink.len() * LANES;
        for vector in 0..of.value_vectors() {
            let values = &mut self.values[(head * of.value_vectors() + vector) * length..][..length];
            for (shrink, values) in shrink.iter().zip(values.chunks_exact_mut(LANES)) {
                if *shrink < 1.0 {
                    simd.store(simd.mul(simd.load(values), simd.splat(*shrink)), values);
                }
            }
        }
    }

    /// Adds what a head's tokens see of the image's values: weights [n, WIDTH].
    #[inline(always)]
    fn add_values<S: Simd>(&mut self, simd: S, of: &TokenToImage<'_>, head: usize, tile: Tile<'_>) {
        let (cells, tokens) = (of.sizes().cells, of.looking());
        let (first, after) = (tile.stripes.start * LANES, (tile.stripes.end * LANES).min(cells));
        for vector in head * of.value_vectors()..(head + 1) * of.value_vectors() {
            let values = &of.values[(vector * cells + first) * LANES..(vector * cells + after) * LANES];
            let rows = Rows { numbers: tile.weights, start: 0, stride: WIDTH, step: 1 };
            let seen = &mut self.values[vector * tokens * LANES..][..tokens * LANES];
            add_products(simd, [values], rows, Sums { numbers: seen, stride: LANES, count: tokens });
        }
    }

    /// What was seen of the columns, brought to the scale of what follows.
    #[inline(always)]
    fn shrink_columns<S: Simd>(&mut self, simd: S, shrink: &[f32], count: usize) {
        for (shrink, columns) in shrink.chunks_exact(LANES).zip(self.columns.chunks_exact_mut(count * LANES)) {
            if shrink.iter().any(|shrink| *shrink < 1.0) {
                let shrink = simd.load(shrink);
                for columns in columns.chunks_exact_mut(LANES) {
                    simd.store(simd.mul(simd.load(columns), shrink), columns);
                }
            }
        }
    }

    /// Adds what is seen of the columns: weights with rows in lanes, [h n / 16, WIDTH, 16].
    #[inline(always)]
    fn add_columns<S: Simd>(&mut self, simd: S, of: &TokenToImage<'_>, tile: Tile<'_>) {
        let count = of.columns.count();
        let columns = of.cells.columns(count);
        for (weights, seen) in tile.weights.chunks_exact(LANES * WIDTH).zip(self.columns.chunks_exact_mut(count * LANES)) {
            for Group { panel, first, rows } in groups(simd, count) {
                let first = panel * LANES + first;
                let seen = &mut seen[first * LANES..];
                by_rows!(rows, R => simd.apart(Outer::<'_, R> { columns: columns.rows(first, R), stripes: tile.stripes.clone(), weights, seen }));
            }
        }
    }
}

/// `seen[r] += Σ_t columns[r, t] · weights[t]` over the cells of some stripes.
struct Outer<'a, const R: usize> {
    columns: Stripes<'a>,
    stripes: Range<usize>,
    /// [WIDTH, 16].
    weights: &'a [f32],
    /// [R, 16].
    seen: &'a mut [f32],
}

impl<const R: usize> Kernel for Outer<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { columns, stripes, weights, seen } = self;
        let mut sums = [simd.splat(0.0); R];
        for (sum, seen) in sums.iter_mut().zip(seen.chunks_exact(LANES)) {
            *sum = simd.load(seen);
        }
        for (stripe, weights) in stripes.zip(weights.chunks_exact(LANES * LANES)) {
            let (rows, _) = columns.of(stripe).as_chunks::<LANES>();
            let Some(rows) = rows.first_chunk::<R>() else { return };
            let (weights, _) = weights.as_chunks::<LANES>();
            for (cell, weights) in weights.iter().enumerate() {
                let weights = simd.load(weights);
                for row in 0..R {
                    sums[row] = simd.mul_add(simd.splat(rows[row][cell]), weights, sums[row]);
                }
            }
        }
        for (sum, seen) in sums.iter().zip(seen.chunks_exact_mut(LANES)) {
            simd.store(*sum, seen);
        }
    }
}

/// All parts together, in their order.
struct Join<'a> {
    of: &'a TokenToImage<'a>,
    operands: &'a Operands,
    parts: &'a [&'a Seen],
    /// [n, I].
    out: &'a mut [f32],
}

impl Kernel for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { of, operands, parts, out } = self;
        let (Sizes { heads, head_width, .. }, tokens) = (of.sizes(), of.looking());
        let (rows, count, inner) = (heads * tokens, of.columns.count(), of.sizes().inner());
        let mut all = Seen {
            largest: vec![f32::NEG_INFINITY; rows],
            sum: vec![0.0; rows],
            values: vec![0.0; parts[0].values.len()],
            columns: vec![0.0; parts[0].columns.len()],
        };
        for part in parts {
            all.largest.iter_mut().zip(&part.largest).for_each(|(all, part)| *all = if *part > *all { *part } else { *all });
        }
        for part in parts {
            let mut factors = vec![0.0; vectors(rows) * LANES];
            for (factor, (all, part)) in factors.iter_mut().zip(all.largest.iter().zip(&part.largest)) {
                *factor = (part - all).exp();
            }
            all.sum.iter_mut().zip(&part.sum).zip(&factors).for_each(|((all, part), factor)| *all += factor * part);
            all.add(simd, part, of, &factors);
        }
        // By rows: what each token of each head saw of the columns.
        let mut by_rows = vec![0.0; rows * count];
        for row in 0..rows {
            let lanes = all.columns[row / LANES * count * LANES..].iter().skip(row % LANES).step_by(LANES);
            by_rows[row * count..][..count].iter_mut().zip(lanes).for_each(|(to, from)| *to = *from);
        }
        let length = tokens * LANES;
        for (vector, seen) in all.values.chunks_exact_mut(length).enumerate() {
            let (head, first) = (vector / of.value_vectors(), vector % of.value_vectors() * LANES);
            let matrix = &operands.values[vector * count * LANES..][..count * LANES];
            let factors = Rows { numbers: &by_rows, start: head * tokens * count, stride: count, step: 1 };
            add_products(simd, [matrix], factors, Sums { numbers: seen, stride: LANES, count: tokens });
            let here = LANES.min(head_width - first);
            for (token, seen) in seen.chunks_exact(LANES).enumerate() {
                let sum = all.sum[head * tokens + token];
                let out = &mut out[token * inner + head * head_width + first..][..here];
                out.iter_mut().zip(seen).for_each(|(out, seen)| *out = seen / sum);
            }
        }
    }
}

impl Seen {
    /// Adds a part's, each row times its factor.
    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, part: &Self, of: &TokenToImage<'_>, factors: &[f32]) {
        let tokens = of.looking();
        for (vector, (all, part)) in self.values.chunks_exact_mut(LANES).zip(part.values.chunks_exact(LANES)).enumerate() {
            let row = vector / tokens / of.value_vectors() * tokens + vector % tokens;
            simd.store(simd.mul_add(simd.load(part), simd.splat(factors[row]), simd.load(all)), all);
        }
        let length = (of.columns.count() * LANES).max(1);
        let columns = self.columns.chunks_exact_mut(length).zip(part.columns.chunks_exact(length)).zip(factors.chunks_exact(LANES));
        for ((all, part), factors) in columns {
            let factors = simd.load(factors);
            for (all, part) in all.chunks_exact_mut(LANES).zip(part.chunks_exact(LANES)) {
                simd.store(simd.mul_add(simd.load(part), factors, simd.load(all)), all);
            }
        }
    }
}

const _: () = assert!(PART.is_multiple_of(TILE), "a part is whole tiles");
