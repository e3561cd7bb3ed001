//! Attention from a prompt's cells to its tokens, and the normalisation that follows.
//!
//! Scores are as in [`TokenToImage`](super::TokenToImage), with keys in the place of queries; a softmax over the tokens of each head gives one
//! new column for each but the last, and one more ([`Columns`]). The normalised cells have the same form again: all columns and scales times `1 / √(variance + ε)`.
//!
//! The variance of a cell is the square of `s x̄ + Σ_r a_r m̄_r` (the bar: less the mean of the channels) over C:
//! `s² |x̄|² + Σ_r a_r (2 s x̄ · m̄_r + Σ_q a_q m̄_q · m̄_r)`. `x̄ · m̄_r` is a product of the image with the value of one token, and
//! `m̄_q · m̄_r` one of two tokens, both through matrices that are the same for all prompts. Of the symmetric second half only the triangle is
//! summed, twice.

use std::ops::Range;
use std::sync::Mutex;

use super::columns::{Dots, Run, dots, matrix_length};
use super::panels::{Group, Panel, Place, Scores, Stripes, add_rows, groups, panels_of, scale_rows};
use super::{Cells, Columns, PART, Sizes, TILE, Workers, own, vectors};
use crate::rows::by_rows;
use crate::simd::{Kernel, LANES, Processor, Simd, exp};

/// One prompt's attention from its cells to its tokens.
#[derive(Debug, Clone, Copy)]
pub struct ImageToToken<'a> {
    /// [N, I], scaled.
    pub keys: &'a [f32],
    /// The prompt's cells before this block.
    pub cells: Cells<'a>,
    /// What its columns are after this block: with the values of this block's tokens.
    pub columns: Columns<'a>,
    /// The image as queries, [stripes, I, 16].
    pub queries: &'a [f32],
    /// The positions of the cells as queries, [stripes, I, 16]; nothing where `queries` has them in it.
    pub positions: &'a [f32],
    /// From rows of the columns before this block to queries, [I / 16, sources, 16].
    pub to_queries: &'a [f32],
    /// Less its mean, the image as it is added to the columns: times the row of every source, [stripes, sources, 16]. What lies in front of
    /// the rows that there are columns for is passed over: that of a mask prompt where there is none.
    pub image: &'a [f32],
    /// Its square, [stripes, 16].
    pub squares: &'a [f32],
    /// Rows of all sources times each other, [sources / 16, sources, 16].
    pub products: &'a [f32],
    /// Channels of the cells, C.
    pub width: usize,
    /// What the variance is increased by.
    pub epsilon: f32,
}

impl<'a> ImageToToken<'a> {
    fn sizes(&self) -> Sizes {
        self.columns.sizes
    }

    /// What the columns were before this block.
    fn before(&self) -> Columns<'a> {
        let block = self.sizes().tokens * self.sizes().inner();
        Columns { values: &self.columns.values[..self.columns.values.len() - block], ..self.columns }
    }

    /// Rows of a stripe of the image.
    fn image_rows(&self) -> usize {
        self.image.len() / (self.sizes().stripes() * LANES).max(1)
    }

    fn check(&self) {
        let (inner, stripes, sources) = (self.sizes().inner(), self.sizes().stripes(), self.columns.sources());
        assert!(self.columns.blocks() > 0, "there are values of this block");
        assert_eq!(self.keys.len(), self.sizes().tokens * inner, "keys are [N, I]");
        assert_eq!(self.queries.len(), stripes * inner * LANES, "queries are [stripes, I, 16]");
        assert!(self.positions.is_empty() || self.positions.len() == self.queries.len(), "positions are as queries");
        self.cells.check(&self.before());
        assert_eq!(self.to_queries.len(), matrix_length(&self.before(), inner), "a matrix is [I / 16, sources, 16]");
        assert!(self.image.len().is_multiple_of(stripes * LANES), "the image is [stripes, sources, 16]");
        assert!(self.image_rows() >= sources, "the image has a row for every source");
        assert_eq!(self.squares.len(), stripes * LANES, "squares are [stripes, 16]");
        assert_eq!(self.products.len(), matrix_length(&self.columns, sources), "products are [sources / 16, sources, 16]");
    }

    /// The cells of each prompt after the block, [P, stripes, 1 + K, 16]. All prompts have the same sizes.
    ///
    /// # Panics
    /// If a slice has not the length that its shape says.
    pub fn update(prompts: &[Self], processor: Processor, workers: &dyn Workers, out: &mut [f32]) {
        let Some(first) = prompts.first() else { return };
        let (sizes, rows) = (first.sizes(), 1 + first.columns.count());
        prompts.iter().for_each(Self::check);
        assert_eq!(out.len(), prompts.len() * sizes.stripes() * rows * LANES, "cells are [P, stripes, 1 + K, 16]");
        let operands: Vec<_> = prompts.iter().map(|_| Mutex::new(Operands::default())).collect();
        workers.each(prompts.len(), &|prompt| *own(&operands[prompt]) = processor.run(Prepare(&prompts[prompt])));
        let operands: Vec<Operands> = operands.into_iter().map(|operands| operands.into_inner().unwrap_or_default()).collect();
        let of_prompts = out.chunks_exact_mut(sizes.stripes() * rows * LANES);
        let parts: Vec<_> = of_prompts.flat_map(|cells| cells.chunks_mut(PART * rows * LANES)).map(Mutex::new).collect();
        workers.each(parts.len(), &|index| {
            let (part, prompt) = (index / prompts.len(), index % prompts.len());
            let mut cells = own(&parts[prompt * sizes.parts() + part]);
            processor.run(Update { of: &prompts[prompt], operands: &operands[prompt], part, cells: &mut cells });
        });
    }
}

/// What is made of a prompt's tokens before any cell is looked at.
#[derive(Default)]
struct Operands {
    /// Panels [N / 16, I, 16].
    keys: Vec<f32>,
    /// What the keys see of each column before this block: by heads, panels [N / 16, K, 16].
    through: Vec<f32>,
    /// Terms of the variance, in the order of the columns.
    terms: Vec<Term>,
}

/// What some columns add to the variance.
struct Term {
    run: Run,
    /// Twice what the sources are multiplied by, panels [count / 16, channels, 16].
    values: Vec<f32>,
    /// Products with all columns, panels [count / 16, K, 16]: twice, once with itself, not with later ones.
    products: Vec<f32>,
}

struct Prepare<'a>(&'a ImageToToken<'a>);

impl Kernel for Prepare<'_> {
    type Output = Operands;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Operands {
        let Self(of) = self;
        let Sizes { heads, head_width, tokens, .. } = of.sizes();
        let (inner, before, count) = (of.sizes().inner(), of.before(), of.columns.count());
        let keys = panels_of(of.keys, inner, 1.0);
        let rows = before.through(simd, &before.runs(), of.to_queries);
        let panel = vectors(tokens) * before.count() * LANES;
        let mut through = vec![0.0; heads * panel];
        for (head, out) in through.chunks_exact_mut(panel.max(1)).enumerate() {
            let channels = head * head_width..(head + 1) * head_width;
            dots(simd, Dots { rows: &rows, count: before.count(), channels, tokens: &keys, width: inner, first: head * head_width }, out);
        }
        let runs = of.columns.runs();
        let rows = of.columns.through(simd, &runs, of.products);
        let mut terms = Vec::with_capacity(runs.len());
        for run in runs {
            let values = panels_of(&run.values, run.channels(), 2.0);
            let mut products = vec![0.0; vectors(run.count) * count * LANES];
            if values.is_empty() {
                copy_products(&run, &rows, count, &mut products);
            } else {
                let (channels, width) = (run.source..run.source + run.channels(), run.channels());
                dots(simd, Dots { rows: &rows, count, channels, tokens: &values, width, first: 0 }, &mut products);
            }
            keep_triangle(&run, count, &mut products);
            terms.push(Term { run, values, products });
        }
        Operands { keys, through, terms }
    }
}

/// Twice the products of columns whose rows are sources with all columns: of rows [sources / 16, K, 16].
fn copy_products(run: &Run, rows: &[f32], count: usize, products: &mut [f32]) {
    for row in 0..run.count {
        let source = run.source + row;
        let from = rows[source / LANES * count * LANES..].iter().skip(source % LANES).step_by(LANES);
        let to = products[row / LANES * count * LANES..].iter_mut().skip(row % LANES).step_by(LANES);
        to.zip(from).take(count).for_each(|(to, from)| *to = 2.0 * from);
    }
}

/// Products with later columns are theirs to count, and one with itself counts once.
fn keep_triangle(run: &Run, count: usize, products: &mut [f32]) {
    for row in 0..run.count {
        let own = run.column + row;
        let products = products[row / LANES * count * LANES..].iter_mut().skip(row % LANES).step_by(LANES);
        for (column, product) in products.take(count).enumerate().skip(own) {
            *product = if column == own { 0.5 * *product } else { 0.0 };
        }
    }
}

struct Update<'a> {
    of: &'a ImageToToken<'a>,
    operands: &'a Operands,
    part: usize,
    /// Those of the part.
    cells: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { of, operands, part, cells } = self;
        let Sizes { heads, tokens, .. } = of.sizes();
        let (before, length) = (of.before().count(), (1 + of.columns.count()) * LANES);
        for (stripes, cells) in of.sizes().tiles(part).zip(cells.chunks_mut(TILE * length)) {
            for (stripe, cells) in stripes.clone().zip(cells.chunks_exact_mut(length)) {
                let (scale, columns) = cells.split_at_mut(LANES);
                of.square(simd, stripe, scale);
                columns[..before * LANES].copy_from_slice(of.cells.columns(before).of(stripe));
            }
            for head in 0..heads {
                // The last token's weights lie where the next head's first ones come, and those of the last head where ones are in the end.
                let first = 1 + before + head * (tokens - 1);
                of.score(simd, operands, head, Place { numbers: cells, start: first * LANES, row: LANES, stripe: length }, stripes.clone());
                for cells in cells.chunks_exact_mut(length) {
                    simd.apart(OverTokens(&mut cells[first * LANES..][..tokens * LANES]));
                }
            }
            cells.chunks_exact_mut(length).for_each(|cells| cells[length - LANES..].fill(1.0));
            of.add_squares(simd, operands, stripes.clone(), cells);
            for (stripe, cells) in stripes.zip(cells.chunks_exact_mut(length)) {
                of.normalise(simd, stripe, cells);
            }
        }
    }
}

impl ImageToToken<'_> {
    /// Scores of a head's tokens.
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, operands: &Operands, head: usize, place: Place<'_>, stripes: Range<usize>) {
        let Sizes { head_width, tokens, .. } = self.sizes();
        let (inner, before) = (self.sizes().inner(), self.before().count());
        let Place { numbers, start, row, stripe } = place;
        let channel = head * head_width;
        let positions = (!self.positions.is_empty()).then(|| Stripes::new(self.positions, inner).rows(channel, head_width));
        for group in groups(simd, tokens) {
            let panel = (head * vectors(tokens) + group.panel) * before * LANES;
            let scores = Scores {
                query: &operands.keys[(group.panel * inner + channel) * LANES..][..head_width * LANES],
                image: Stripes::new(self.queries, inner).rows(channel, head_width),
                scales: self.cells.scales(before),
                through: &operands.through[panel..][..before * LANES],
                columns: self.cells.columns(before),
                positions,
            };
            let place = Place { numbers: &mut *numbers, start: start + group.row() * row, row, stripe };
            scores.of(simd, group, stripes.clone(), place);
        }
    }

    /// The squares of a stripe's cells as the image alone makes them, where their scale will be.
    #[inline(always)]
    fn square<S: Simd>(&self, simd: S, stripe: usize, out: &mut [f32]) {
        let scale = simd.load(self.cells.scales(self.before().count()).of(stripe));
        simd.store(simd.mul(simd.mul(scale, scale), simd.load(&self.squares[stripe * LANES..])), out);
    }

    /// What the columns add to the squares.
    #[inline(always)]
    fn add_squares<S: Simd>(&self, simd: S, operands: &Operands, stripes: Range<usize>, cells: &mut [f32]) {
        let all = self.image_rows();
        let image = Stripes::new(self.image, all).rows(all - self.columns.sources(), self.columns.sources());
        for term in &operands.terms {
            for group in groups(simd, term.run.count) {
                let squares = Squares { of: self, term, group, image, stripes: stripes.clone(), cells };
                by_rows!(group.rows, R => simd.apart(SquaresOf::<'_, R>(squares)));
            }
        }
    }

    /// Scale and columns of a stripe over the standard deviation.
    #[inline(always)]
    fn normalise<S: Simd>(&self, simd: S, stripe: usize, cells: &mut [f32]) {
        let (share, epsilon) = (simd.splat(1.0 / self.width as f32), simd.splat(self.epsilon));
        let (scale, columns) = cells.split_at_mut(LANES);
        // Rounding may leave less than nothing of a sum of squares; what is no number stays none.
        let square = simd.max(simd.splat(0.0), simd.load(scale));
        let deviation = simd.sqrt(simd.mul_add(square, share, epsilon));
        let factor = simd.div(simd.splat(1.0), deviation);
        let before = simd.load(self.cells.scales(self.before().count()).of(stripe));
        simd.store(simd.mul(before, factor), scale);
        for column in columns.chunks_exact_mut(LANES) {
            simd.store(simd.mul(simd.load(column), factor), column);
        }
    }
}

/// Softmax over the tokens of one head, [N, 16].
struct OverTokens<'a>(&'a mut [f32]);

impl Kernel for OverTokens<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut largest = simd.splat(f32::MIN);
        for scores in self.0.chunks_exact(LANES) {
            largest = simd.max(largest, simd.load(scores));
        }
        let mut sum = simd.splat(0.0);
        for scores in self.0.chunks_exact_mut(LANES) {
            let score = simd.load(scores);
            let weight = exp(simd, simd.sub(score, largest));
            // What is no finite number stays none.
            sum = simd.add(sum, simd.mul_add(score, simd.splat(0.0), weight));
            simd.store(weight, scores);
        }
        let share = simd.div(simd.splat(1.0), sum);
        for weights in self.0.chunks_exact_mut(LANES) {
            simd.store(simd.mul(simd.load(weights), share), weights);
        }
    }
}

/// What a group of columns adds to the squares.
struct Squares<'a> {
    of: &'a ImageToToken<'a>,
    term: &'a Term,
    group: Group,
    image: Stripes<'a>,
    stripes: Range<usize>,
    /// Squares and columns, [stripes, 1 + K, 16].
    cells: &'a mut [f32],
}

struct SquaresOf<'a, const R: usize>(Squares<'a>);

impl<const R: usize> Kernel for SquaresOf<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Squares { of, term: Term { run, values, products }, group, image, stripes, cells } = self.0;
        let (count, channels, Group { panel, first, .. }) = (of.columns.count(), run.channels(), group);
        // The group's own columns are the last that it is multiplied with.
        let own = run.column + group.row();
        let products = &products[panel * count * LANES..][..(own + R) * LANES];
        let scales = of.cells.scales(of.before().count());
        for (stripe, cells) in stripes.zip(cells.chunks_exact_mut((1 + count) * LANES)) {
            let (square, columns) = cells.split_at_mut(LANES);
            let mut sums = [simd.splat(0.0); R];
            let scale = simd.load(scales.of(stripe));
            if channels > 0 {
                let values = Panel { numbers: &values[panel * channels * LANES..][..channels * LANES], first };
                add_rows(simd, &mut sums, values, image.rows(run.source, channels).of(stripe));
                scale_rows(simd, &mut sums, scale);
            } else {
                let scale = simd.add(scale, scale);
                let rows = image.rows(run.source + group.row(), R).of(stripe);
                for (sum, row) in sums.iter_mut().zip(rows.chunks_exact(LANES)) {
                    *sum = simd.mul(simd.load(row), scale);
                }
            }
            let columns = &columns[..(own + R) * LANES];
            add_rows(simd, &mut sums, Panel { numbers: products, first }, columns);
            let mut all = simd.load(square);
            for (sum, column) in sums.iter().zip(columns[own * LANES..].chunks_exact(LANES)) {
                all = simd.mul_add(*sum, simd.load(column), all);
            }
            simd.store(all, square);
        }
    }
}
