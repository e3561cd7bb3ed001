//! The two-way mask decoder (Kirillov et al. 2023), folded: what a prompt does to the picture is never written down at full width.
//!
//! A block of the two-way transformer adds to every cell of the image what it sees of the prompt's few tokens, and normalises it. So the cells
//! X of a prompt, [T, C], are at every stage
//!
//! `X[t] = s[t] · x[t] + Σ_r a[t, r] · m[r] + constant`
//!
//! with `x` of the image alone, a number `s` per cell, and a few *columns* `a[:, r]`: attention weights of the cells to the tokens of each
//! block, each with a row `m[r]` that is made of that token's value. Whatever is linear in X (keys, values, queries, the upscaling) is linear
//! in `x` and `m`: `x` is multiplied once per picture, `m` once per token, and per prompt and cell there remain products with the columns.
//! `docs/decoder.md` has the derivation and the counts.
//!
//! Cells are lanes. A *stripe* is sixteen cells, and tensors of the image are `[stripes, rows, 16]`: a row of numbers
//! for every channel. Where the cells end within a stripe, its last lanes hold something finite and count for nothing.
//!
//! - [`TokenToImage`]: tokens look at the cells, with an online softmax;
//! - [`ImageToToken`]: cells look at the tokens, which gives new columns, and are normalised;
//! - [`Upscale`]: the cells become masks;
//! - [`InStripes`]: the image's side of all that, once per picture;
//! - `columns`: what the columns stand for; `panels`: products of rows with lanes.

mod columns;
mod image_to_token;
mod in_stripes;
mod panels;
mod token_to_image;
mod upscale;

#[cfg(test)]
mod tests;

pub use columns::{Cells, Columns};
pub use image_to_token::ImageToToken;
pub use in_stripes::{InStripes, Projection};
pub use token_to_image::TokenToImage;
pub use upscale::Upscale;

use crate::simd::LANES;
pub use crate::workers::Workers;
use crate::workers::own;

/// Stripes that are worked on together: what is read of a prompt stays in the processor's first cache for all of them.
const TILE: usize = 4;
/// Stripes of a part of the work. Sums are made by parts and joined in their order, so that they are the same whoever makes them.
const PART: usize = 4 * TILE;

/// Sizes that all steps share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Cells of the image, T.
    pub cells: usize,
    /// Heads of the attentions.
    pub heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Tokens of a prompt, N: at least one.
    pub tokens: usize,
}

impl Sizes {
    /// Width inside the attentions, I.
    pub fn inner(&self) -> usize {
        self.heads * self.head_width
    }

    /// Columns that a block adds: one for each token but the last of each head, and one for what is left.
    pub fn columns(&self) -> usize {
        self.heads * (self.tokens - 1) + 1
    }

    /// Stripes of the image.
    pub fn stripes(&self) -> usize {
        self.cells.div_ceil(LANES)
    }

    /// Parts of the image.
    fn parts(&self) -> usize {
        self.stripes().div_ceil(PART)
    }

    /// Stripes of a part.
    fn part(&self, part: usize) -> std::ops::Range<usize> {
        part * PART..((part + 1) * PART).min(self.stripes())
    }

    /// Tiles of a part: ranges of its stripes.
    fn tiles(&self, part: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let stripes = self.part(part);
        stripes.clone().step_by(TILE).map(move |first| first..(first + TILE).min(stripes.end))
    }

    /// Cells of a stripe that are there.
    fn cells_of(&self, stripe: usize) -> usize {
        LANES.min(self.cells - stripe * LANES)
    }
}

/// Vectors that so many numbers fill.
fn vectors(count: usize) -> usize {
    count.div_ceil(LANES)
}
